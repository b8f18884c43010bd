"""What the scripts here share: trouble told in plain words, signals, and commands that never outlive us."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

HERE = Path(__file__).resolve().parent
REPO = HERE.parents[1]
WORK = REPO / "target" / "local-aws"
LAST_LINES = 30


class Trouble(Exception):
    """Something a user can act on: its text is all that is shown."""


class Stopped(BaseException):
    """A signal asked us to stop. Not an `Exception`, so no library swallows it on its way to the clean-up."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


def _stop(number: int, _frame: FrameType | None) -> None:
    raise Stopped(number)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Clean-up runs to its end: a second Ctrl-C is too late to leave a process behind."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def run_main(main: Callable[[list[str]], int]) -> None:
    """Run a script: one line for what went wrong or who stopped it, never a traceback for either."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _stop)
    try:
        code = main(sys.argv[1:])
    except Stopped as stopped:
        with undisturbed():
            print(f"\nstopped ({stopped}); everything that was started has been stopped too", file=sys.stderr)
        code = stopped.exit_code
    except Trouble as trouble:
        print(f"error: {trouble}", file=sys.stderr)
        code = 1
    sys.exit(code)


class Command:
    """A command in a session of its own, which ends with us, whatever ends us (see lifeline.py)."""

    def __init__(self, argv: Sequence[str | Path], env: Mapping[str, str], cwd: Path = REPO, log: Path | None = None) -> None:
        output = log.open("wb") if log else None
        try:
            self._process = subprocess.Popen(
                [sys.executable, str(HERE / "lifeline.py"), *map(str, argv)],
                env=dict(env),
                cwd=cwd,
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT if output else None,
                start_new_session=True,
            )
        finally:
            if output:
                output.close()
        self.session = self._process.pid

    def ended(self) -> bool:
        """Whether the command is over, and everything it started."""
        return self._process.poll() is not None

    def wait(self, tick: Callable[[float], None] = lambda _seconds: None) -> int:
        """Its exit code. `tick` is told the seconds so far, a few times a second."""
        began = time.monotonic()
        while not self.ended():
            tick(time.monotonic() - began)
            time.sleep(0.05)
        return self.stop()

    def stop(self) -> int:
        """End it and all it started, if that is still needed, and answer its exit code."""
        with undisturbed():
            self._process.terminate()
            code = self._process.wait()
            if self._process.stdin:
                self._process.stdin.close()
        return code if code >= 0 else 128 - code


def last_lines(log: Path, count: int = LAST_LINES) -> str:
    """The end of a log, indented for showing."""
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    return "\n".join(f"    {line}" for line in lines[-count:]) or "    (it wrote nothing)"


def run_logged(
    what: str,
    argv: Sequence[str | Path],
    env: Mapping[str, str],
    log: Path,
    cwd: Path = REPO,
    tick: Callable[[Command, float], None] = lambda _command, _seconds: None,
) -> None:
    """Run a command to its end with its output in `log`; if it fails, the trouble shows how the log ends."""
    log.parent.mkdir(parents=True, exist_ok=True)
    command = Command(argv, env, cwd, log)
    try:
        code = command.wait(lambda seconds: tick(command, seconds))
    finally:
        command.stop()
    if code != 0:
        raise Trouble(f"{what} failed (exit code {code}). The end of {shown(log)}:\n{last_lines(log)}")


def shown(path: Path) -> str:
    """A path as the user would type it."""
    return str(path.relative_to(REPO)) if path.is_relative_to(REPO) else str(path)
