"""The local AWS: MiniStack for everything, with moto behind it for EC2, on free loopback ports.

    local_aws.py -- COMMAND [ARGUMENT …]     run a command against it

There is one endpoint, which the SDKs take from AWS_ENDPOINT_URL.
"""

from __future__ import annotations

import os
import shutil
import socket
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from common import HERE, WORK, Command, Trouble, last_lines, run_main, shown
from venvs import enter, venv

REGION = "us-east-1"
ACCOUNT = "123456789012"
READY_SECONDS = 60.0
ATTEMPTS = 3


@dataclass(frozen=True)
class LocalAws:
    """A local AWS that answers."""

    endpoint: str
    region: str = REGION
    account: str = ACCOUNT

    def function_environment(self) -> dict[str, str]:
        """What a deployed function needs to find it."""
        return {"AWS_ENDPOINT_URL": self.endpoint}

    def environment(self) -> dict[str, str]:
        """Our environment with no way left to a real account: every AWS setting of the user is replaced."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
        return kept | self.function_environment() | {
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_REGION": self.region,
            "AWS_DEFAULT_REGION": self.region,
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_CONFIG_FILE": os.devnull,
            "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
            "NO_PROXY": "127.0.0.1,localhost",
            "no_proxy": "127.0.0.1,localhost",
        }


@contextmanager
def local_aws(work: Path = WORK) -> Iterator[LocalAws]:
    """Start both emulators, wait until they answer, and stop them with all they started, whatever happens."""
    work.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix="cordon-local-aws-"))
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, scratch, ignore_errors=True)
        moto = _ready(stack.enter_context(_emulator("moto", [], work, scratch, "/moto-api/data.json")))
        yield LocalAws(_ready(stack.enter_context(_emulator("ministack", [moto], work, scratch, "/_ministack/health"))))


@dataclass
class _Emulator:
    name: str
    arguments: list[str]
    log: Path
    health: str
    scratch: Path
    port: int
    command: Command


@contextmanager
def _emulator(name: str, arguments: list[str], work: Path, scratch: Path, health: str) -> Iterator[_Emulator]:
    log = work / f"{name}.log"
    port = _free_port()
    emulator = _Emulator(name, arguments, log, health, scratch, port, _start(name, arguments, log, scratch, port))
    try:
        yield emulator
    finally:
        emulator.command.stop()


def _start(name: str, arguments: list[str], log: Path, scratch: Path, port: int) -> Command:
    argv = [venv("emulators") / "bin" / "python", HERE / "emulator.py", name, *(arguments or [str(port)])]
    return Command(argv, _settings(scratch, port), log=log)


def _settings(scratch: Path, port: int) -> dict[str, str]:
    """Nothing of ours is inherited: MiniStack hands its own environment on to the functions it runs."""
    return {
        "PATH": "/usr/local/bin:/usr/bin:/bin",
        "HOME": str(scratch),
        "TMPDIR": str(scratch),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONDONTWRITEBYTECODE": "1",
        "AUTH": "true",
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "MINISTACK_ACCOUNT_ID": ACCOUNT,
        "MINISTACK_REGION": REGION,
        "CLOUDTRAIL_RECORDING": "1",
        # Scenarios make thousands of calls: what one of them looks for must not have been pushed out by the others.
        "CLOUDTRAIL_MAX_EVENTS": "100000",
        "IOT_MTLS_ENABLED": "0",
        "STATE_DIR": str(scratch / "state"),
        "S3_DATA_DIR": str(scratch / "s3"),
    }


def _ready(emulator: _Emulator) -> str:
    """Its endpoint, once it answers. If the port was taken in the meantime, it is started again on another."""
    for attempt in range(1, ATTEMPTS + 1):
        endpoint = f"http://127.0.0.1:{emulator.port}"
        deadline = time.monotonic() + READY_SECONDS
        while not emulator.command.ended() and time.monotonic() < deadline:
            if _answers(endpoint + emulator.health):
                return endpoint
            time.sleep(0.05)
        taken = "in use" in last_lines(emulator.log).lower()
        if not (taken and attempt < ATTEMPTS):
            break
        emulator.command.stop()
        emulator.port = _free_port()
        emulator.command = _start(emulator.name, emulator.arguments, emulator.log, emulator.scratch, emulator.port)
    raise Trouble(f"{emulator.name} did not start. The end of {shown(emulator.log)}:\n{last_lines(emulator.log)}")


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=2) as answer:
            return answer.status == 200
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def main(arguments: list[str]) -> int:
    if arguments[:1] != ["--"] or len(arguments) < 2:
        raise Trouble("usage: local_aws.py -- COMMAND [ARGUMENT …]")
    enter()
    with local_aws() as aws:
        command = Command(arguments[1:], aws.environment(), cwd=Path.cwd())
        try:
            return command.wait()
        finally:
            command.stop()


if __name__ == "__main__":
    run_main(main)
