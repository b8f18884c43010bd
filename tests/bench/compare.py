"""`make bench`: how fast the deployed function starts and acts, beside the same handler in Python with boto3.

Both run as bare processes against one canned AWS (canned_aws.py) on this machine, taking turns. Times are from just before the process
is made until its first request for work and until its first change arrive; memory is the kernel's peak (VmHWM). The code is warm in
the page cache for both: what Lambda needs to fetch it comes on top. Leaves target/bench.json and ends 0 only if every bar is met.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
import zipfile
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "local-aws"))

from common import REPO, Trouble, run_main, shown  # noqa: E402
from venvs import enter  # noqa: E402

RUNS, WARM_UPS, SECONDS = 30, 2, 30.0
# docs/architecture.md, "Numbers".
FIRST_POLL, FIRST_CHANGE, PACKAGE_MB, MEMORY_MIB = 30.0, 8.0, 6.0, 32.0
REPORT = REPO / "target" / "bench.json"


def event() -> bytes:
    """A sample finding about the canned instance, with fresh times."""
    from canned_aws import ACCOUNT, INSTANCE, INTERFACES, REGION, VPC

    told = json.loads((REPO / "events/guardduty/crypto-mining-actor-two-interfaces.json").read_text(encoding="utf-8"))
    now = datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    told |= {"account": ACCOUNT, "region": REGION, "time": now}
    told["detail"] |= {"accountId": ACCOUNT, "region": REGION, "updatedAt": now}
    machine = told["detail"]["resource"]["instanceDetails"]
    machine["instanceId"] = INSTANCE
    for face, name in zip(machine["networkInterfaces"], INTERFACES, strict=True):
        face |= {"networkInterfaceId": name, "vpcId": VPC}
    return json.dumps(told).encode()


def environment(address: str) -> dict[str, str]:
    from canned_aws import KEY, REGION

    return {
        "PATH": "/usr/bin:/bin",
        # Amazon Linux has its trusted roots in one file; Debian also in 300 links, which only a program for HTTPS would read.
        "SSL_CERT_FILE": "/etc/ssl/certs/ca-certificates.crt",
        "AWS_LAMBDA_RUNTIME_API": address,
        "AWS_LAMBDA_FUNCTION_NAME": "quarantine",
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "512",
        "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
        "AWS_ENDPOINT_URL": f"http://{address}",
        "AWS_REGION": REGION,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_SESSION_TOKEN": "test",
        "CORDON_FUNCTION": "quarantine",
        "CORDON_MODE": "act",
        "CORDON_TABLE": "holds",
        "CORDON_EVIDENCE_BUCKET": "evidence",
        "CORDON_SIGNING_KEY": KEY,
    }


def once(aws: Any, argv: list[str | Path]) -> dict[str, float]:
    """Start one handler, let it contain one instance, and end it."""
    from canned_aws import Run

    run = aws.run = Run(event())
    began = time.monotonic()
    process = subprocess.Popen(argv, env=environment(aws.address), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if not run.done.wait(SECONDS):
            raise Trouble(f"{argv[-1]} did not finish in {SECONDS:.0f} s")
        status = Path(f"/proc/{process.pid}/status").read_text()
    finally:
        process.kill()
        errors = process.communicate()[1].decode(errors="replace")
    outcome = json.loads(run.answer or b"{}").get("outcome")
    if outcome != "Contained" or run.polled is None or run.changed is None:
        raise Trouble(f"{argv[-1]} answered {outcome!r} after {run.calls}:\n{errors}")
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return {"first_poll_ms": (run.polled - began) * 1000, "first_change_ms": (run.changed - began) * 1000, "peak_mib": peak / 1024}


def package_mb(binary: Path) -> float:
    """The size of what Lambda gets, as `sam package` zips it, in megabytes of a million bytes."""
    zipped = BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(binary, "bootstrap")
    return len(zipped.getvalue()) / 1e6


def compare(arguments: list[str]) -> int:
    if len(arguments) > 1:
        raise Trouble("usage: compare.py [BOOTSTRAP]")
    if not Path("/proc/self/status").exists():
        raise Trouble("this needs Linux: memory is read from /proc")
    from canned_aws import CannedAws

    if arguments:
        binary = Path(arguments[0])
    else:
        from deploy import build

        print("building the function (sam build)", file=sys.stderr, flush=True)
        binary = build().parent / "Quarantine" / "bootstrap"
    handlers: dict[str, list[str | Path]] = {"rust": [binary], "python": [sys.executable, HERE / "handler.py"]}
    figures: dict[str, list[dict[str, float]]] = {name: [] for name in handlers}
    aws = CannedAws()
    try:
        for turn in range(RUNS + WARM_UPS):
            for name, argv in handlers.items():
                figure = once(aws, argv)
                if turn >= WARM_UPS:
                    figures[name].append(figure)
    finally:
        aws.close()
    return report(figures, package_mb(binary))


def report(figures: dict[str, list[dict[str, float]]], package: float) -> int:
    def median(name: str, figure: str) -> float:
        return statistics.median(run[figure] for run in figures[name])

    def ratio(figure: str) -> float:
        """The median of the ratios of neighbouring runs: what slows the machine slows both."""
        return statistics.median(p[figure] / r[figure] for r, p in zip(figures["rust"], figures["python"], strict=True))

    print(f"medians of {RUNS} starts each, taking turns")
    for figure, unit in (("first_poll_ms", "ms"), ("first_change_ms", "ms"), ("peak_mib", "MiB")):
        rust, python = median("rust", figure), median("python", figure)
        print(f"  {figure:<16} Rust {rust:7.1f} {unit:<4} Python {python:7.1f} {unit:<4} 1/{ratio(figure):.1f}")
    print(f"  package          {package:.2f} MB zipped")
    bars = {
        f"first poll in under 1/{FIRST_POLL:.0f} of Python's time": ratio("first_poll_ms") > FIRST_POLL,
        f"first change in under 1/{FIRST_CHANGE:.0f} of Python's time": ratio("first_change_ms") > FIRST_CHANGE,
        f"under {MEMORY_MIB:.0f} MiB resident": median("rust", "peak_mib") < MEMORY_MIB,
        f"under {PACKAGE_MB:.0f} MB zipped": package < PACKAGE_MB,
    }
    REPORT.parent.mkdir(parents=True, exist_ok=True)
    REPORT.write_text(json.dumps({"runs": figures, "package_mb": package, "bars": bars}, indent=2) + "\n", encoding="utf-8")
    for bar, met in bars.items():
        print(f"{'met' if met else 'NOT MET'}: {bar}")
    print(f"every run: {shown(REPORT)}")
    return 0 if all(bars.values()) else 1


def _main(arguments: list[str]) -> int:
    enter()
    return compare(arguments)


if __name__ == "__main__":
    run_main(_main)
