"""`python -m service`: the same as the command `segserve`."""

from service.cli import app

app()
