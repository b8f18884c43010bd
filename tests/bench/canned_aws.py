"""An AWS that answers at once, and the Lambda runtime's own endpoint: what both handlers of the comparison talk to.

One instance with two interfaces, one sealed group, an empty table, a bucket that takes everything, a KMS key that really signs.
Nothing is checked and nothing is kept: that is the local AWS's work. Here only the caller's own time may show.
"""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs
from xml.sax.saxutils import escape

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import Prehashed

ACCOUNT, REGION = "123456789012", "us-east-1"
INSTANCE, VPC, SEALED = "i-0abcdef1234567890", "vpc-0a1b2c3d4e5f60718", "sg-0fedcba9876543210"
INTERFACES = ("eni-0aaaaaaaaaaaaaaa1", "eni-0aaaaaaaaaaaaaaa2")
KEY = f"arn:aws:kms:{REGION}:{ACCOUNT}:key/00000000-0000-4000-8000-000000000000"
FUNCTION = f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:quarantine"
EC2_NAMESPACE = "http://ec2.amazonaws.com/doc/2016-11-15/"


class Run:
    """One start of one handler: an event to hand out, and when what happened."""

    def __init__(self, event: bytes) -> None:
        self.event = event
        self.polled: float | None = None
        self.changed: float | None = None
        self.answer: bytes | None = None
        self.calls: list[str] = []
        self.groups = {interface: "sg-0123456789abcdef0" for interface in INTERFACES}
        self.done = threading.Event()


class CannedAws:
    """The server, for one run after another."""

    def __init__(self) -> None:
        self.run: Run | None = None
        self._key = ec.generate_private_key(ec.SECP256R1())
        canned = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: Any) -> None:
                pass

            def _answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                canned._answer(self, body)

            do_GET = do_POST = do_PUT = _answer

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, body: bytes) -> None:
        run, now = self.run, time.monotonic()
        if run is None:
            return _send(request, 503, b"")
        if "/2018-06-01/runtime/" in request.path:
            return self._runtime(request, run, body, now)
        target = request.headers.get("X-Amz-Target", "")
        if target.startswith("TrentService."):
            run.calls.append(f"kms:{target.split('.')[1]}")
            return _json(request, self._kms(target, json.loads(body)))
        if target.startswith("DynamoDB_"):
            run.calls.append(f"dynamodb:{target.split('.')[1]}")
            return _json(request, {})
        if request.command == "PUT":
            run.calls.append("s3:PutObject")
            return _send(request, 200, b"", {"ETag": '"0"'})
        return _ec2(request, run, {name: values[0] for name, values in parse_qs(body.decode()).items()}, now)

    def _runtime(self, request: BaseHTTPRequestHandler, run: Run, body: bytes, now: float) -> None:
        if not request.path.endswith("/invocation/next"):
            run.answer = body
            return _send(request, 202, b"{}")
        if run.polled is None:
            run.polled = now
            headers = {
                "Lambda-Runtime-Aws-Request-Id": "8476a536-e9f4-11e8-9739-2dfe598c3fcd",
                "Lambda-Runtime-Deadline-Ms": str(int(time.time() * 1000) + 30_000),
                "Lambda-Runtime-Invoked-Function-Arn": FUNCTION,
                "Content-Type": "application/json",
            }
            return _send(request, 200, run.event, headers)
        run.done.set()
        time.sleep(3600)

    def _kms(self, target: str, asked: dict[str, Any]) -> dict[str, str]:
        if target.endswith("GetPublicKey"):
            form = serialization.PublicFormat.SubjectPublicKeyInfo
            der = self._key.public_key().public_bytes(serialization.Encoding.DER, form)
            return {"KeyId": KEY, "PublicKey": base64.b64encode(der).decode()}
        digest = base64.b64decode(asked["Message"])
        signature = self._key.sign(digest, ec.ECDSA(Prehashed(hashes.SHA256())))
        return {"KeyId": KEY, "Signature": base64.b64encode(signature).decode(), "SigningAlgorithm": "ECDSA_SHA_256"}


def _ec2(request: BaseHTTPRequestHandler, run: Run, asked: dict[str, str], now: float) -> None:
    action = asked.get("Action", "")
    run.calls.append(f"ec2:{action}")
    if action == "ModifyNetworkInterfaceAttribute":
        run.changed = run.changed or now
        run.groups[asked["NetworkInterfaceId"]] = asked["SecurityGroupId.1"]
    answers: dict[str, Callable[[], str]] = {
        "DescribeInstances": lambda: _instances(run),
        "DescribeSecurityGroups": lambda: _SEALED_GROUPS,
        "DescribeNetworkInterfaces": lambda: f"<networkInterfaceSet>{_interfaces(run)}</networkInterfaceSet>",
        "ModifyNetworkInterfaceAttribute": lambda: "<return>true</return>",
        "CreateTags": lambda: "<return>true</return>",
    }
    if action not in answers:
        return _send(request, 400, b"<Response><Errors><Error><Code>InvalidAction</Code></Error></Errors></Response>")
    inner = f"<requestId>1</requestId>{answers[action]()}"
    _send(request, 200, f'<{action}Response xmlns="{EC2_NAMESPACE}">{inner}</{action}Response>'.encode(), {"Content-Type": "text/xml"})


def _interfaces(run: Run) -> str:
    return "".join(
        f"<item><networkInterfaceId>{interface}</networkInterfaceId><vpcId>{VPC}</vpcId><status>in-use</status>"
        f"<groupSet><item><groupId>{escape(group)}</groupId><groupName>g</groupName></item></groupSet></item>"
        for interface, group in run.groups.items()
    )


def _instances(run: Run) -> str:
    return (
        f"<reservationSet><item><instancesSet><item><instanceId>{INSTANCE}</instanceId>"
        f"<instanceState><code>16</code><name>running</name></instanceState><vpcId>{VPC}</vpcId>"
        f"<networkInterfaceSet>{_interfaces(run)}</networkInterfaceSet></item></instancesSet></item></reservationSet>"
    )


_SEALED_GROUPS = (
    f"<securityGroupInfo><item><ownerId>{ACCOUNT}</ownerId><groupId>{SEALED}</groupId><groupName>cordon-sealed</groupName>"
    f"<vpcId>{VPC}</vpcId><ipPermissions/><ipPermissionsEgress/>"
    "<tagSet><item><key>cordon:sealed</key><value>true</value></item></tagSet></item></securityGroupInfo>"
)


def _json(request: BaseHTTPRequestHandler, answer: dict[str, Any]) -> None:
    _send(request, 200, json.dumps(answer).encode(), {"Content-Type": "application/x-amz-json-1.1"})


def _send(request: BaseHTTPRequestHandler, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
    head = [f"HTTP/1.1 {status} .", *(f"{name}: {value}" for name, value in (headers or {}).items()), f"Content-Length: {len(body)}"]
    # One write, or a small answer waits for the peer's delayed acknowledgement.
    request.wfile.write("\r\n".join([*head, "", ""]).encode() + body)
