"""`segserve secret`: the installation's own secret key."""

import typer

from service.commands.environment import console, failed, settings
from service.store import vault

app = typer.Typer(no_args_is_help=True, help="The key that secrets are encrypted with at rest.")


@app.command("rotate")
def rotate() -> None:
    """Make a new secret key. What the old ones encrypted can still be read."""
    config = settings()
    try:
        vault.rotate(config.data_dir)
    except vault.VaultRefused as error:
        raise failed(error) from error
    console.print(
        f"{config.data_dir / vault.FILE} has a new key before the old ones. A service that runs "
        "here uses it within a second. Back the file up."
    )


@app.callback()
def secret() -> None:
    """The key that secrets are encrypted with at rest."""
