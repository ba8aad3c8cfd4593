"""Structured logs, without personal data: no ids, no traits, no bodies."""

import io
import logging
import sys
import traceback
from typing import Any, TextIO, cast

import structlog
import structlog.tracebacks
from structlog.typing import ExcInfo

# Without local variables, which hold what must not be logged.
_TRACEBACKS = structlog.processors.ExceptionRenderer(
    structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
)


def configure(level: str, log_format: str) -> None:
    """Set logging up for the process. `log_format`: json, console, or auto (console at a
    terminal)."""
    as_json = log_format == "json" or (log_format == "auto" and not sys.stderr.isatty())
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: list[Any] = (
        [
            structlog.processors.ExceptionRenderer(_places),
            structlog.processors.JSONRenderer(),
        ]
        if as_json
        else [structlog.dev.ConsoleRenderer(exception_formatter=_print_places)]
    )
    structlog.configure(
        processors=[*shared, *renderer],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelName(level.upper())),
        logger_factory=structlog.PrintLoggerFactory(cast("TextIO", _STDERR)),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(_STDERR)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(max(logging.WARNING, logging.getLevelName(level.upper())))


class _Stderr(io.TextIOBase):
    """Standard error as it is at the moment: progress bars put a stream in its place that writes
    lines above them."""

    def write(self, text: str) -> int:
        return sys.stderr.write(text)

    def flush(self) -> None:
        sys.stderr.flush()


_STDERR = _Stderr()


def _places(exc_info: ExcInfo) -> list[dict[str, Any]]:
    """An exception and its causes, the outermost first: each by its type and where it came from.

    Neither variables nor messages are told: both may quote what a customer sent, and a database's
    URL has its password in it.
    """
    told = []
    seen: set[int] = set()
    cause: BaseException | None = exc_info[1]
    while cause is not None and id(cause) not in seen:
        seen.add(id(cause))
        kind = type(cause)
        frames = traceback.extract_tb(cause.__traceback__)
        told.append(
            {
                "type": f"{kind.__module__}.{kind.__qualname__}",
                "frames": [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames],
            }
        )
        cause = cause.__cause__ or (None if cause.__suppress_context__ else cause.__context__)
    return told


def _print_places(target: TextIO, exc_info: ExcInfo) -> None:
    """The same for people."""
    for told in _places(exc_info):
        target.write(f"\n  {told['type']}\n")
        target.writelines(f"    {frame}\n" for frame in told["frames"])
