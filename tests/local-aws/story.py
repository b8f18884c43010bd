"""Telling a person what happens, as it happens."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from common import Command

PLAIN_EVERY_SECONDS = 30


class Story:
    """Lines with the time since the start. Colours on a terminal only, and never against `NO_COLOR`."""

    def __init__(self) -> None:
        self._began = time.monotonic()
        self._terminal = sys.stdout.isatty()
        self._colours = self._terminal and not os.environ.get("NO_COLOR")
        self._ticked = -1

    def chapter(self, title: str) -> None:
        self._print(f"\n{self._paint('1', title)}")

    def line(self, text: str) -> None:
        seconds = time.monotonic() - self._began
        self._print(f"{self._paint('2', f'{seconds:7.1f} s')}  {text}")

    def good(self, text: str) -> None:
        self.line(self._paint("32", text))

    def bad(self, text: str) -> None:
        self.line(self._paint("31", text))

    def quote(self, text: str) -> None:
        for line in text.rstrip().splitlines():
            self._print(f"           {self._paint('2', '│')} {line}")

    def tick(self, command: Command, seconds: float) -> None:
        """Show that a long command is alive: one changing line on a terminal, else a line now and then."""
        whole = int(seconds)
        if whole == self._ticked:
            return
        self._ticked = whole
        if self._terminal:
            sys.stdout.write(f"\r\x1b[K           … {whole} s{compiling(command.session)}")
            sys.stdout.flush()
        elif whole and whole % PLAIN_EVERY_SECONDS == 0:
            self._print(f"           … {whole} s{compiling(command.session)}")

    def _print(self, text: str) -> None:
        clear = "\r\x1b[K" if self._terminal else ""
        print(f"{clear}{text}", flush=True)

    def _paint(self, code: str, text: str) -> str:
        return f"\x1b[{code}m{text}\x1b[0m" if self._colours else text


def compiling(session: int) -> str:
    """What the compilers of this session are at, from /proc (nothing where there is none): sam hides cargo's output."""
    names = set()
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) != session:
                continue
            words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except (OSError, ValueError):
            continue
        if "--crate-name" in words[:-1]:
            names.add(words[words.index("--crate-name") + 1])
    return f": compiling {', '.join(sorted(names))}" if names else ""
