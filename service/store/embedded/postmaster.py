"""The postmaster as a process: its pid file, whether it lives, how it is shut down."""

import os
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

POLL = 0.01  # s
# Signal, and the seconds it gets: fast shutdown (disconnect, checkpoint), immediate shutdown
# (recovery at the next start), and the end of a postmaster that does not react.
SHUTDOWN = ((signal.SIGINT, 30.0), (signal.SIGQUIT, 10.0), (signal.SIGKILL, 10.0))


def read_pid_file(data: Path) -> tuple[int, str] | None:
    """Pid and state (`starting`, `ready`, `stopping`, ...) of `postmaster.pid`; None without."""
    try:
        lines = (data / "postmaster.pid").read_text().splitlines()
        # Written line by line: the state comes last, and is missing for a moment.
        return int(lines[0]), lines[7].strip() if len(lines) > 7 else "starting"
    except (FileNotFoundError, ValueError, IndexError):
        return None


def is_postmaster(pid: int, data: Path) -> bool:
    """Whether that process is the postmaster of that data directory: pids are used again."""
    arguments = _command_line(pid)
    return bool(arguments) and Path(arguments[0]).name == "postgres" and str(data) in arguments


def is_alive(pid: int) -> bool:
    """Whether there is a process of that pid, whoever's it is."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def shut_down_child(process: subprocess.Popen[bytes]) -> None:
    """Stop our own postmaster and reap it."""

    def gone(patience: float) -> bool:
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            return False
        return True

    _shut_down(process.send_signal, gone)


def shut_down_orphan(pid: int, data: Path) -> bool:
    """Stop a postmaster that outlived its service; whether it is gone."""

    def send(number: signal.Signals) -> None:
        if is_postmaster(pid, data):
            os.kill(pid, number)

    def gone(patience: float) -> bool:
        until = time.monotonic() + patience
        while is_postmaster(pid, data):
            if time.monotonic() > until:
                return False
            time.sleep(POLL)
        return True

    return _shut_down(send, gone)


def _shut_down(send: Callable[[signal.Signals], None], gone: Callable[[float], bool]) -> bool:
    for number, patience in SHUTDOWN:
        send(number)
        if gone(patience):
            return True
    return False


def _command_line(pid: int) -> list[str]:
    """Empty for a process that is gone or a zombie."""
    if not Path("/proc/self/cmdline").exists():
        shown = subprocess.run(  # noqa: S603
            ["/bin/ps", "-o", "command=", "-p", str(pid)], check=False, capture_output=True
        )
        return shown.stdout.decode(errors="surrogateescape").split()
    try:
        raw = Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [os.fsdecode(part) for part in raw.split(b"\0")[:-1]]
