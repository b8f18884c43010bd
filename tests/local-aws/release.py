"""Write down which code was built: a line for each function, as `sha256sum` prints it.

    release.py BUILD_FOLDER FILE

`cordon evidence verify --release FILE` compares the code that wrote each record with it, and `sha256sum -c FILE`, run in the build
folder, the files themselves.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from common import Trouble, run_main, shown


def write_release(built: Path, file: Path) -> None:
    """Every program under `built`, where `sam build` left it."""
    programs = sorted(built.glob("*/bootstrap"))
    if not programs:
        raise Trouble(f"nothing is built in {built}: run `sam build` first")
    lines = [f"{hashlib.sha256(program.read_bytes()).hexdigest()}  {program.relative_to(built).as_posix()}\n" for program in programs]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(lines), encoding="utf-8")


def _main(arguments: list[str]) -> int:
    if len(arguments) != 2:
        raise Trouble("usage: release.py BUILD_FOLDER FILE")
    built, file = map(Path, arguments)
    write_release(built, file)
    print(f"{shown(file)}: {file.read_text(encoding='utf-8').count(chr(10))} programs of {built}")
    return 0


if __name__ == "__main__":
    run_main(_main)
