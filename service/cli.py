"""The command `segserve`."""

import asyncio
import gc
import json
import signal
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from service.commands import definitions, importing, keys, secret
from service.commands.environment import console, database, failed, progress_bars, settings
from service.settings import Settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Which segments is this customer in, now, and why?",
)
demo_app = typer.Typer(no_args_is_help=True, help="The demo: real households of a grocery.")
app.add_typer(demo_app, name="demo")
app.add_typer(keys.app, name="keys")
app.add_typer(secret.app, name="secret")
app.command()(definitions.apply)
app.command()(definitions.export)
app.command("import")(importing.import_)


@app.command()
def run(
    demo: Annotated[bool, typer.Option(help="Load the demo into an empty workspace.")] = True,
) -> None:
    """Start everything: the database, the demo the first time, the service."""
    _serve(settings(), demo=demo)


@app.command()
def serve() -> None:
    """Start the database and the service."""
    _serve(settings(), demo=False)


def _serve(config: Settings, *, demo: bool) -> None:
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
        sample = asyncio.run(_prepare_demo(config, url, load=demo))
        _run_server(config, url, sample)
    console.print("Stopped.")


def _run_server(config: Settings, url: str, sample: str | None) -> None:
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

    process = Process(config, url)
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


async def _prepare_demo(config: Settings, url: str, *, load: bool) -> str | None:
    """Load the demo where it was never loaded into an empty workspace; a body for the `curl`
    that shows it, None without the demo."""
    from sqlalchemy import text

    from service.store import workspace
    from service.store.database import Database

    store = Database(url, pool=3)
    try:
        async with store.engine.connect() as connection:
            state = await workspace.fact(connection, "demo")
            query = text("select exists (select from customers) or exists (select from segments)")
            used = (await connection.execute(query)).scalar_one()
    finally:
        await store.close()
    begun = state is not None and state["state"] == "loading"
    if load and (begun or (state is None and not used)):
        state = await _load_demo(config, url)
    if state is None or state["state"] != "loaded":
        return None
    return json.dumps({"customer_id": state["sample"]})


async def _load_demo(config: Settings, url: str) -> dict[str, Any]:
    from service.demo import setup
    from service.demo.starter import starter_segments
    from service.flows.demo import Demo
    from service.wiring import Process

    process = Process(config, url)
    with progress_bars() as bars:
        computing = bars.add_task("Reading 155,848 baskets", total=10)

        def computed(done: int, total: int, label: str) -> None:
            bars.update(computing, completed=done, total=total)

        customers, weeks = await asyncio.to_thread(setup.households, datetime.now(UTC), computed)
        training = bars.add_task("Training household tiers", total=1)
        version, digest, manifest = await asyncio.to_thread(
            setup.train_tiers, customers, config.bundles
        )
        bars.update(training, completed=1)
        recording = bars.add_task("Recording households", total=len(customers))
        documents = starter_segments()
        declarations = setup.declarations()
        async with process.running(background=False) as parts:
            demo = Demo(parts.database, parts.publisher, parts.writer, parts.jobs, parts.clock)
            facts = {
                "weeks": weeks,
                "sample": _sample(customers),
                "customers": [customer["customer_id"] for customer in customers],
                "segments": [document["key"] for document in documents],
                "traits": list(declarations),
                "model": setup.MODEL,
            }
            await demo.begin(facts)
            await demo.declare_traits(declarations)
            await parts.publisher.activate_model(setup.MODEL, version, digest, manifest)
            facts["versions"] = await demo.save_segments(documents)
            await demo.load_customers(
                customers, lambda done, total: bars.update(recording, completed=done)
            )
            await demo.finish(facts)
    console.print(
        f"The demo is loaded: {len(customers):,} real households of a grocery, with dates moved "
        f"{weeks} weeks so that they end this week. Take it out again with `make demo-remove` in "
        "a checkout, elsewhere with `segserve demo remove`."
    )
    return {"state": "loaded", **facts}


def _sample(customers: list[dict[str, Any]]) -> str:
    """A household that shows something: the one with most revenue whose shopper answered the
    survey."""
    surveyed = [c for c in customers if "age_band" in c["traits"]] or customers
    best = max(surveyed, key=lambda customer: customer["traits"].get("revenue", 0))
    return str(best["customer_id"])


@demo_app.command("load")
def demo_load() -> None:
    """Load the demo, once."""
    config = settings()

    async def load(url: str) -> None:
        if await _prepare_demo(config, url, load=True) is None:
            raise failed("The workspace is in use, or the demo was removed: it is not loaded.")

    with database(config, beside=True) as url:
        asyncio.run(load(url))


@demo_app.command("remove")
def demo_remove() -> None:
    """Take the demo out again: its customers, segments, traits and model."""
    from service.flows.demo import Demo, Removed
    from service.wiring import Process

    config = settings()

    async def remove(url: str) -> Removed:
        process = Process(config, url)
        async with process.running(background=False) as parts:
            demo = Demo(parts.database, parts.publisher, parts.writer, parts.jobs, parts.clock)
            return await demo.remove()

    with database(config, beside=True) as url:
        removed = asyncio.run(remove(url))
    console.print(f"Removed {removed.customers:,} customers of the demo.")
    if removed.kept:
        console.print(f"Left, because you have changed them: {', '.join(removed.kept)}.")


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
