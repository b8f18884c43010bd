"""Run a command that dies with whoever started it, and leaves nothing behind.

    lifeline.py COMMAND [ARGUMENT …]

The starter holds the other end of our standard input. When it ends, by whatever means (`kill -9` too), the pipe closes and the
command goes, with all it started. SIGTERM asks the command to end and gives it a moment. Either way the exit code comes last, when
every descendant is gone: on Linux those that outlive their parent become our children, so they are ended and reaped too.
"""

from __future__ import annotations

import ctypes
import os
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

GRACE_SECONDS = 5.0
PR_SET_CHILD_SUBREAPER = 36


def main() -> int:
    _adopt_orphans()
    woken = _wake_on_signals()
    try:
        command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, process_group=0)
    except OSError as error:
        print(f"{sys.argv[1]}: {error.strerror}", file=sys.stderr)
        return 127
    code = _watch(command.pid, woken)
    _end_the_rest(command.pid)
    return code if code >= 0 else 128 - code


def _watch(command: int, woken: int) -> int:
    """Wait for the command to end, or for a reason to end it."""
    deadline: float | None = None
    sources = [sys.stdin.fileno(), woken]
    while True:
        if (code := _reap(command)) is not None:
            return code
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        ready, _, _ = select.select(sources, [], [], left)
        if woken in ready and any(number != signal.SIGCHLD for number in os.read(woken, 1024)) and deadline is None:
            deadline = time.monotonic() + GRACE_SECONDS
            _signal_group(command, signal.SIGTERM)
        if sys.stdin.fileno() in ready and not os.read(sys.stdin.fileno(), 1024):
            sources = [woken]
            deadline = time.monotonic()
        if deadline is not None and time.monotonic() >= deadline:
            _signal_group(command, signal.SIGKILL)
            deadline = time.monotonic() + GRACE_SECONDS


def _reap(command: int) -> int | None:
    """Collect whoever has ended. The command's exit code, if it is among them."""
    code = None
    try:
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return code
            if pid == command:
                code = os.waitstatus_to_exitcode(status)
    except ChildProcessError:
        return code


def _end_the_rest(command: int) -> None:
    _signal_group(command, signal.SIGKILL)
    deadline = time.monotonic() + GRACE_SECONDS
    children = Path(f"/proc/self/task/{os.getpid()}/children")
    while time.monotonic() < deadline:
        _reap(command)
        left = [int(pid) for pid in children.read_text().split()] if children.exists() else []
        if not left:
            return
        for pid in left:
            os.kill(pid, signal.SIGKILL)
        time.sleep(0.01)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        pass


def _adopt_orphans() -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _wake_on_signals() -> int:
    """A pipe with a byte for each signal. Handlers, not "ignore", which the command would inherit."""
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    signal.set_wakeup_fd(writer)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD):
        signal.signal(number, lambda _number, _frame: None)
    return reader


if __name__ == "__main__":
    sys.exit(main())
