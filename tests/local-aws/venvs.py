"""The pinned Python environments, made on first use and kept outside the clone.

    venvs.py tools|emulators|strangers      print the path of one (made if it is missing)

Standard library only: this is what installs everything else.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import platform
import shutil
import sys
from pathlib import Path

from common import HERE, Trouble, run_logged, run_main, shown

KINDS = ("tools", "emulators", "strangers")
INSIDE = "CORDON_LOCAL_AWS_VENV"


def cache() -> Path:
    """Where the environments live: `CORDON_CACHE`, else the user's cache folder."""
    if own := os.environ.get("CORDON_CACHE"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "cordon"


def venv(kind: str) -> Path:
    """The environment for `requirements-<kind>.txt`, complete. Safe to call from several processes at once."""
    requirements = HERE / f"requirements-{kind}.txt"
    identity = requirements.read_bytes() + f"{sys.version_info[:2]} {platform.machine()}".encode()
    home = cache() / f"venv-{kind}-{hashlib.sha256(identity).hexdigest()[:16]}"
    complete = home / ".complete"
    if complete.exists():
        return home
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not complete.exists():
            # Without the marker it is what a killed install left behind.
            shutil.rmtree(home, ignore_errors=True)
            _install(kind, requirements, home)
            complete.touch()
    return home


def _install(kind: str, requirements: Path, home: Path) -> None:
    if importlib.util.find_spec("ensurepip") is None:
        raise Trouble("Python has no `venv` module. On Debian and Ubuntu: apt-get install python3-venv")
    packages = sum(1 for line in requirements.read_text().splitlines() if "==" in line)
    print(f"installing {packages} pinned Python packages ({kind}) into {home}: a minute or two, once", file=sys.stderr, flush=True)
    log = home.parent / f"{home.name}.log"
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONHOME"}
    run_logged("making a Python environment", [sys.executable, "-m", "venv", home], environment, log)
    pip = [home / "bin" / "python", "-m", "pip", "--disable-pip-version-check", "install", "--no-deps", "--quiet"]
    run_logged(f"installing {shown(requirements)}", [*pip, "-r", requirements], environment, log)
    log.unlink()


def enter() -> None:
    """Go on inside the emulators' environment, where boto3 is: the script starts again with that interpreter."""
    home = venv("emulators")
    if os.environ.get(INSIDE) != str(home):
        python = home / "bin" / "python"
        os.execve(python, [str(python), *sys.argv], {**os.environ, INSIDE: str(home)})


def main(arguments: list[str]) -> int:
    if len(arguments) != 1 or arguments[0] not in KINDS:
        raise Trouble(f"usage: venvs.py {'|'.join(KINDS)}")
    print(venv(arguments[0]))
    return 0


if __name__ == "__main__":
    run_main(main)
