"""How a command ends whose work can't be done."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn

import typer

from service.core.problems import Problem
from service.settings import Settings

# 1, as Python and other commands end, says something else: that files differ, or rows are faulty.
FAILED = 2


@contextmanager
def ending_as_failure(
    config: Settings, fail: Callable[[Problem], NoReturn], cut_off: str = ""
) -> Iterator[None]:
    """Whatever nobody foresaw is told by `fail`, and ends the command; `cut_off`: what is to be
    done where the database has gone."""
    import structlog

    from service import logs
    from service.store.database import CANT_READ, is_our_fault

    logs.configure("error", config.log_format)
    try:
        yield
    except typer.Exit as ended:
        raise typer.Exit(FAILED) from ended
    except Exception as error:  # the last resort: logged without values, told without details
        if isinstance(error, CANT_READ) and not is_our_fault(error):
            why = cut_off or f": {type(error).__name__}"
            fail(Problem("", "unavailable", f"the database does not answer{why}"))
        structlog.get_logger().error("command_failed", exc_info=error)
        detail = "something went wrong on our side: the lines above say where"
        fail(Problem("", "internal", detail))
