"""Run a command against the local AWS with the template deployed on it.

    with_local_aws.py [Parameter=value …] -- COMMAND [ARGUMENT …]

The command finds the local AWS in AWS_* and what is deployed in the file that CORDON_STACK names (see deploy.py). Its exit code
is ours. Afterwards everything is gone.
"""

from __future__ import annotations

import sys
from pathlib import Path

from common import WORK, Command, Trouble, run_main, shown
from local_aws import local_aws
from venvs import enter


def main(arguments: list[str]) -> int:
    from deploy import FOR_TESTS, build, deploy, write_description

    parameters, command = _parse(arguments)
    print(f"building (log: {shown(WORK / 'sam-build.log')})", file=sys.stderr, flush=True)
    built = build()
    print("starting the local AWS and deploying template.yaml on it", file=sys.stderr, flush=True)
    with local_aws() as aws:
        description = WORK / "stack.json"
        write_description(aws, deploy(aws, built, FOR_TESTS | parameters), description)
        running = Command(command, aws.environment() | {"CORDON_STACK": str(description)}, cwd=Path.cwd())
        try:
            return running.wait()
        finally:
            running.stop()
            description.unlink(missing_ok=True)


def _parse(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    separator = arguments.index("--") if "--" in arguments else len(arguments)
    pairs = [argument.partition("=") for argument in arguments[:separator]]
    command = arguments[separator + 1 :]
    if not command or not all(equals for _, equals, _ in pairs):
        raise Trouble("usage: with_local_aws.py [Parameter=value …] -- COMMAND [ARGUMENT …]")
    return {name: value for name, _, value in pairs}, command


def _main(arguments: list[str]) -> int:
    enter()
    return main(arguments)


if __name__ == "__main__":
    run_main(_main)
