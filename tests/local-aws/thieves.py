"""Stolen credentials for the drill: a user's key, a role's session, an instance's session, each with a neighbour that must go on working.

A thief uses what it has as often as it can, from before the finding is put until it is refused; the time from the finding to the first
refused call is measured on the thief's side.
"""

from __future__ import annotations

import copy
import json
import threading
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from common import REPO, Trouble
from local_aws import LocalAws
from target import rfc3339

FINDING = REPO / "events" / "leaks" / "user-key-malicious-ip.json"
GIVE_UP_SECONDS = 30.0
EVERYTHING = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]})


@dataclass(frozen=True)
class Thief:
    """One stolen credential, what a finding says of it, and who must not be hit."""

    pattern: str
    what: str
    iam: Any
    neighbour: Any
    details: dict[str, str]


@dataclass(frozen=True)
class Caught:
    """What became of a thief, by the thief's own calls."""

    pattern: str
    what: str
    calls_before: int
    refused_after_ms: float | None
    neighbour_works: bool
    # Whether the way to the deny was as short as promised, by the function's own record.
    short: bool = True

    def good(self) -> bool:
        return self.calls_before > 0 and self.refused_after_ms is not None and self.neighbour_works and self.short


def thieves(aws: LocalAws, iam: Any, sts: Any) -> list[Thief]:
    """Three thieves with fresh credentials that may do everything."""
    name = uuid.uuid4().hex[:8]
    stolen, colleague = (_user(aws, iam, f"drill-{who}-{name}") for who in ("ci", "colleague"))
    role = f"drill-role-{name}"
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn = iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.put_role_policy(RoleName=role, PolicyName="all", PolicyDocument=EVERYTHING)

    def session(called: str) -> tuple[Any, dict[str, str]]:
        made = sts.assume_role(RoleArn=arn, RoleSessionName=called)
        keys, who = made["Credentials"], made["AssumedRoleUser"]["AssumedRoleId"]
        caller = _iam(aws, keys["AccessKeyId"], keys["SecretAccessKey"], keys["SessionToken"])
        return caller, {"accessKeyId": keys["AccessKeyId"], "principalId": who, "userType": "AssumedRole", "userName": role}

    mallory, alice = session("mallory"), session("alice")
    machine, sibling = session("i-0447a53385d345b29"), session("i-0447a53385d345b30")
    return [
        Thief("user-key", f"the key {stolen[1]['accessKeyId']} of user {stolen[1]['userName']}", stolen[0], colleague[0], stolen[1]),
        Thief("role-session", f"the session mallory of role {role}", mallory[0], alice[0], mallory[1]),
        Thief("instance-session", f"the credentials of role {role} on i-0447a53385d345b29", machine[0], sibling[0], machine[1]),
    ]


def _user(aws: LocalAws, iam: Any, name: str) -> tuple[Any, dict[str, str]]:
    iam.create_user(UserName=name)
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=EVERYTHING)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    details = {"accessKeyId": key["AccessKeyId"], "principalId": "AIDAEXAMPLEUSERID1234", "userType": "IAMUser", "userName": name}
    return _iam(aws, key["AccessKeyId"], key["SecretAccessKey"], None), details


def _iam(aws: LocalAws, key: str, secret: str, token: str | None) -> Any:
    return boto3.client(
        "iam",
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        aws_session_token=token,
        config=Config(retries={"total_max_attempts": 1}, proxies={}),
    )


def finding_about(thief: Thief, aws: LocalAws) -> dict[str, Any]:
    """The sample event's `detail`, about our thief, with fresh times and a fresh id."""
    detail = copy.deepcopy(json.loads(FINDING.read_text(encoding="utf-8"))["detail"])
    now, finding = datetime.now(UTC), uuid.uuid4().hex
    exfiltrated = "UnauthorizedAccess:IAMUser/InstanceCredentialExfiltration.OutsideAWS"
    detail |= {
        "accountId": aws.account,
        "region": aws.region,
        "id": finding,
        "type": exfiltrated if thief.pattern == "instance-session" else detail["type"],
        "title": f"{thief.what[0].upper()}{thief.what[1:]} was used from a listed address.",
        "createdAt": rfc3339(now - timedelta(seconds=60)),
        "updatedAt": rfc3339(now),
    }
    detail["resource"]["accessKeyDetails"] = thief.details
    detail["service"] |= {"eventFirstSeen": rfc3339(now - timedelta(seconds=60)), "eventLastSeen": rfc3339(now)}
    return detail


def catch(thief: Thief, report: Callable[[dict[str, Any]], None], aws: LocalAws) -> Caught:
    """Let the thief work, report it with `report`, and see when it is refused."""
    calls: list[float] = []
    refused: list[float] = []
    stop = threading.Event()

    def work() -> None:
        while not stop.is_set():
            if not works(thief.iam):
                refused.append(time.monotonic())
                return
            calls.append(time.monotonic())

    worker = threading.Thread(target=work)
    worker.start()
    try:
        while not calls and worker.is_alive():
            time.sleep(0.005)
        began = time.monotonic()
        report(finding_about(thief, aws))
        worker.join(GIVE_UP_SECONDS)
    finally:
        stop.set()
        worker.join()
    before = sum(1 for call in calls if call < began)
    after = round((refused[0] - began) * 1000, 1) if refused and refused[0] >= began else None
    return Caught(thief.pattern, thief.what, before, after, works(thief.neighbour))


def works(iam: Any) -> bool:
    """Whether the credentials are good for a call that changes nothing."""
    try:
        iam.list_users(MaxItems=1)
    except ClientError as error:
        code = error.response["Error"]["Code"]
        if code in ("AccessDenied", "InvalidClientTokenId"):
            return False
        raise Trouble(f"a thief's call failed for another reason: {error}") from error
    return True
