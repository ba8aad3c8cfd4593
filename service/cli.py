"""The command `segserve`."""

import asyncio
import gc
import json
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from service.commands import definitions, demo, importing, keys, secret
from service.commands.environment import console, database, failed, settings
from service.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Which segments is this customer in, now, and why?",
)
app.add_typer(demo.app, name="demo")
app.add_typer(keys.app, name="keys")
app.add_typer(secret.app, name="secret")
app.command()(definitions.apply)
app.command()(definitions.export)
app.command("import")(importing.import_)


@app.command()
def run(
    load: Annotated[
        bool, typer.Option("--demo/--no-demo", help="Load the demo into an empty workspace.")
    ] = True,
) -> None:
    """Start everything: the database, the service and, the first time, the demo behind it."""
    _serve(settings(), load=load)


@app.command()
def serve() -> None:
    """Start the database and the service."""
    _serve(settings(), load=False)


def _serve(config: Settings, *, load: bool) -> None:
    from service import logs

    logs.configure(config.log_level, config.log_format)
    # Terminating ends everything in order too, PostgreSQL last.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    # Ctrl-C while something is prepared; once it serves, the server takes it and returns.
    with suppress(KeyboardInterrupt), database(config) as url:
        try:
            asyncio.run(keys.secure(config, url))
        except keys.Exposed as error:
            raise failed(error) from error
        wanted = load and asyncio.run(demo.is_wanted(url))
        sample = asyncio.run(demo.sample(url))
        _run_server(config, url, sample, load=wanted)
    console.print("Stopped.")


def _run_server(config: Settings, url: str, sample: str | None, *, load: bool) -> None:
    import uvicorn

    from service.api.app import create_app
    from service.wiring import Process

    class Server(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            # What is loaded by now stays: the collector need not look at it again and again.
            gc.collect()
            gc.freeze()
            gc.set_threshold(20_000, 20, 20)
            if self.started:
                _announce(config, sample, protected=process.keyring.protected)
                if load:
                    console.print("The demo is being loaded, which takes a minute or two.")
                    behind.start()

        async def shutdown(self, sockets: Any = None) -> None:
            await behind.stop()
            await super().shutdown(sockets)

    process = Process(config, url)
    behind = demo.Behind(process.services, config)
    server = Server(
        uvicorn.Config(
            create_app(process.services, process.running()),
            host=config.host,
            port=config.port,
            loop="uvloop",
            http="httptools",
            lifespan="on",
            access_log=False,
            log_config=None,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=20,
        )
    )
    server.run()
    if not server.started:
        raise typer.Exit(1)


def _announce(config: Settings, sample: str | None, *, protected: bool) -> None:
    host = f"[{config.host}]" if ":" in config.host else config.host
    base = f"http://{host}:{config.port}"
    body = sample or '{"traits": {"age": 31, "country": "CZ"}}'
    console.print(f"\nsegserve answers on [bold]{base}[/] (its API: {base}/openapi.json).\nTry:\n")
    key = "" if protected else "-H 'authorization: Bearer KEY' "
    console.print(
        f"  curl -s {base}/assign {key}-H 'content-type: application/json' \\\n    -d '{body}'\n",
        soft_wrap=True,
        markup=False,
    )
    if protected:
        console.print(
            "Protected mode: there is no key yet, so only this machine is answered, and nothing "
            "that comes through a proxy or from a web page. `segserve keys create` ends it."
        )
    console.print("Ctrl-C stops it.")


@app.command()
def train(
    file: Annotated[Path, typer.Argument(help='Customers, one JSON {"traits": {...}} a line.')],
    name: Annotated[str, typer.Option(help="The model's name.")] = "household-tiers",
    version: Annotated[str | None, typer.Option(help="Default: the next number.")] = None,
) -> None:
    """Train household tiers from a file, and serve them."""
    from service.store import models
    from service.wiring import Process

    config = settings()

    async def activate(url: str) -> str:
        process = Process(config, url)
        async with process.running(background=False) as parts:
            async with parts.database.engine.connect() as connection:
                known = await models.versions(connection, name)
            # A version is never written again, also when the demo that used it was removed.
            known += [path.name for path in (config.bundles / name).glob("*")]
            chosen = version or str(max((int(v) for v in known if v.isdigit()), default=0) + 1)
            digest, manifest = await asyncio.to_thread(_train_in_child, config, file, name, chosen)
            await parts.publisher.activate_model(name, chosen, digest, manifest)
            return chosen

    with database(config, beside=True) as url:
        console.print(f"{name} version {asyncio.run(activate(url))} is active.")


def _train_in_child(
    config: Settings, file: Path, name: str, version: str
) -> tuple[str, dict[str, Any]]:
    import subprocess

    command = [sys.executable, "-m", "models", str(file), name, version, str(config.bundles)]
    child = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 - our own module
    if child.returncode != 0:
        raise failed(child.stderr.strip()[-2000:])
    answer = json.loads(child.stdout)
    return answer["digest"], answer["manifest"]


@app.command()
def migrate() -> None:
    """Bring the database's schema to the newest."""
    with database(settings()):
        console.print("The schema is the newest.")


@app.command()
def openapi() -> None:
    """Print openapi.yaml."""
    from service.api.contract import openapi_yaml

    sys.stdout.write(openapi_yaml())
