"""Access for minutes, in the drill: a request, two approvals, a narrow session that `credential_process` hands out, and an end that ends.

Everybody uses the `cordon` command line as themselves; the session is used through boto3's own `credential_process`.
"""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from common import WORK, Trouble
from local_aws import LocalAws

if TYPE_CHECKING:
    from deploy import Stack

SSO = "/aws-reserved/sso.amazonaws.com/us-east-1/"
ENTITLEMENT = "prod-read"
GIVE_UP_SECONDS = 60.0


@dataclass(frozen=True)
class Minutes:
    """What became of a grant, by the calls of those who had it and of those who did not."""

    grant: str
    approved_to_usable_ms: float
    narrowed: bool
    ended_to_refused_ms: float | None
    neighbour_works: bool

    def good(self) -> bool:
        return self.narrowed and self.ended_to_refused_ms is not None and self.neighbour_works


class Someone:
    """A person of Identity Center, with the credentials that signing in gives."""

    def __init__(self, aws: LocalAws, stack: Stack, iam: Any, sts: Any, permission_set: str, name: str) -> None:
        role = f"AWSReservedSSO_{permission_set}_{uuid.uuid4().hex[:16]}"
        trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        arn = iam.create_role(RoleName=role, Path=SSO, AssumeRolePolicyDocument=document)["Role"]["Arn"]
        call = {"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": stack.outputs["AccessApiArn"]}
        iam.put_role_policy(
            RoleName=role, PolicyName="call", PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [call]})
        )
        keys = sts.assume_role(RoleArn=arn, RoleSessionName=name)["Credentials"]
        self.name = name
        self.environment = {name: value for name, value in aws.environment().items() if name != "AWS_PROFILE"} | {
            "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
            "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
            "AWS_SESSION_TOKEN": keys["SessionToken"],
            "CORDON_ACCESS_API": f"{aws.endpoint}/_aws/execute-api/{stack.outputs['AccessApiId']}/$default",
            "CORDON_ACCESS_PASSPHRASE": uuid.uuid4().hex,
            "XDG_STATE_HOME": str(WORK / f"state-{uuid.uuid4().hex[:8]}"),
        }

    def cordon(self, cordon: Path, *arguments: str) -> dict[str, Any]:
        """One `cordon access …` of theirs. Its answer."""
        argv = [str(cordon), "access", *arguments, "--json"]
        ran = subprocess.run(argv, env=self.environment, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise Trouble(f"{self.name}: cordon access {' '.join(arguments)} ended with {ran.returncode}:\n{ran.stderr.strip()}")
        return dict(json.loads(ran.stdout))


def profile(aws: LocalAws, someone: Someone, cordon: Path, grant: str) -> Any:
    """IAM through a profile whose `credential_process` is `cordon access credentials`: boto3 runs it, as the AWS CLI does."""
    config = WORK / f"aws-config-{grant}"
    config.write_text(f"[profile {grant}]\ncredential_process = {shlex.quote(str(cordon))} access credentials {grant}\n", encoding="utf-8")
    with _environment(someone.environment | {"AWS_CONFIG_FILE": str(config)}):
        session = boto3.Session(profile_name=grant, region_name=aws.region)
        # Asked for now, while the environment is theirs: the process has it from there.
        if session.get_credentials() is None:
            raise Trouble(f"boto3 finds no credentials for the profile {grant}")
        session.get_credentials().get_frozen_credentials()
    return session.client("iam", endpoint_url=aws.endpoint, config=Config(retries={"total_max_attempts": 1}, proxies={}))


class _environment:
    def __init__(self, variables: Mapping[str, str]) -> None:
        self._variables, self._before = variables, dict(os.environ)

    def __enter__(self) -> None:
        os.environ.clear()
        os.environ.update(self._variables)

    def __exit__(self, *_: object) -> None:
        os.environ.clear()
        os.environ.update(self._before)


def allowed(iam: Any, call: str) -> bool:
    """Whether a call that changes nothing is let through."""
    try:
        getattr(iam, call)()
    except ClientError as error:
        if error.response["Error"]["Code"] == "AccessDenied":
            return False
        raise Trouble(f"{call} failed for another reason: {error}") from error
    return True


def approved(aws: LocalAws, who: Someone, approvers: list[Someone], cordon: Path) -> tuple[str, Any, float]:
    """A grant that others have approved, its IAM, and the milliseconds from the last approval to credentials that work."""
    reason = "orders are stuck: the drill"
    asked = who.cordon(cordon, "request", ENTITLEMENT, "--for", "30m", "--reason", reason, "--no-wait", "--keep", "file")
    grant, digest = asked["grant"], asked["digest"]
    for approver in approvers:
        approver.cordon(cordon, "approve", grant, "--digest", digest)
    began = time.monotonic()
    while who.cordon(cordon, "show", grant).get("credentials") is None:
        if time.monotonic() - began > GIVE_UP_SECONDS:
            raise Trouble(f"{grant} has no credentials: {who.cordon(cordon, 'show', grant)}")
        time.sleep(0.02)
    usable = (time.monotonic() - began) * 1000
    return grant, profile(aws, who, cordon, grant), usable


def minutes(aws: LocalAws, stack: Stack, cordon: Path, iam: Any, sts: Any) -> Minutes:
    """The whole of it."""
    alice, dave = (Someone(aws, stack, iam, sts, "Developer", name) for name in ("alice", "dave"))
    bob, carol = (Someone(aws, stack, iam, sts, "Security", name) for name in ("bob", "carol"))
    grant, session, usable = approved(aws, alice, [bob, carol], cordon)
    _, neighbour, _ = approved(aws, dave, [bob, carol], cordon)
    # The role may do whatever its boundary lets it; its session policy lets this through and not that.
    narrowed = allowed(session, "list_account_aliases") and not allowed(session, "list_users")
    began = time.monotonic()
    bob.cordon(cordon, "revoke", grant, "--reason", "the drill is over")
    refused = None
    while time.monotonic() - began < GIVE_UP_SECONDS:
        if not allowed(session, "list_account_aliases"):
            refused = round((time.monotonic() - began) * 1000, 1)
            break
        time.sleep(0.02)
    return Minutes(grant, round(usable, 1), narrowed, refused, allowed(neighbour, "list_account_aliases"))
