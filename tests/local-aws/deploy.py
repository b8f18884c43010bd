"""Build and deploy `template.yaml` on the local AWS with the commands a user types, and describe what is there then."""

from __future__ import annotations

import base64
import json
import os
import platform
import shutil
import subprocess
import textwrap
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

from common import REPO, WORK, Command, Trouble, run_logged
from emulator import ORGANIZATION
from local_aws import ACCOUNT, LocalAws
from venvs import venv

STACK = "cordon"
# Each function's name, and the output that names it where it is deployed.
FUNCTIONS = {
    "quarantine": "FunctionName",
    "revoke": "RevokeFunctionName",
    "intake": "IntakeFunctionName",
    "release": "ReleaseFunctionName",
    "access": "AccessFunctionName",
    "mint": "MintFunctionName",
    "reconcile": "ReconcileFunctionName",
    "seal": "SealFunctionName",
}
# Whom the bucket's policy lets write the keyring, and what responders run.
KEYRING, RESPONDER = "cordon-keyring", "cordon-responder"
# Whom IAM itself keeps Cordon from touching.
BREAK_GLASS = "cordon-break-glass"
# Another account of the organisation, what it calls the role for Cordon, and whom IAM keeps Cordon from touching there.
MEMBER, MEMBER_ROLE, MEMBER_BREAK_GLASS = "210987654321", "CordonMember", "ops-break-glass"
# What the roles that are granted may do by themselves: session policies narrow it.
TARGETS_MAY = "arn:aws:iam::aws:policy/AdministratorAccess"
FOR_TESTS = {
    "Mode": "act",
    "Drill": "true",
    "TableDeletionProtection": "false",
    "KeyringPrincipalArn": f"arn:aws:iam::{ACCOUNT}:user/{KEYRING}",
    "BreakGlassArns": f"arn:aws:iam::{ACCOUNT}:role/{BREAK_GLASS}",
    "ReleaseApproverPermissionSets": "SecurityApprover",
    "ResponderPrincipalArns": f"arn:aws:iam::{ACCOUNT}:user/{RESPONDER}",
    "Webhooks": "on",
    # Nobody is there.
    "GithubApi": "http://127.0.0.1:9",
    "JustInTime": "on",
    "MemberRoleName": MEMBER_ROLE,
    "OrganizationId": ORGANIZATION,
}
# Only here, where tests act as the function's role; longer than any build that a test run may contain.
SESSION_SECONDS = 12 * 60 * 60

Tick = Callable[[Command, float], None]


@dataclass(frozen=True)
class Stack:
    """A deployed stack, and the environment each of its functions really has."""

    name: str
    outputs: dict[str, str]
    environments: dict[str, dict[str, str]]


def client(aws: LocalAws, service: str, account: str | None = None) -> Any:
    """A client of the local AWS, as its root user, or as another account's: there a key that is an account's id selects that one."""
    return boto3.client(
        service,
        endpoint_url=aws.endpoint,
        region_name=aws.region,
        aws_access_key_id=account or "test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 2}, proxies={}),
    )


def architecture() -> str:
    """This machine's, in Lambda's words."""
    return "arm64" if platform.machine() in ("aarch64", "arm64") else "x86_64"


def tools_environment(base: Mapping[str, str]) -> dict[str, str]:
    """`base` with sam and cargo-lambda first on the path, and the compile accelerator unless another one is set."""
    environment = dict(base)
    environment["PATH"] = f"{venv('tools') / 'bin'}{os.pathsep}{base.get('PATH', os.defpath)}"
    environment["SAM_CLI_TELEMETRY"] = "0"
    environment.setdefault("RUSTC_WRAPPER", str(REPO / ".ci" / "rustc-hint"))
    return environment


def no_tick(_command: Command, _seconds: float) -> None:
    """Tell nobody how it goes."""


def build(work: Path = WORK, tick: Tick = no_tick) -> Path:
    """`sam build` for this machine's architecture. Cargo leaves alone what is unchanged. Answers the built template."""
    environment = tools_environment(os.environ)
    if shutil.which("cargo", path=environment["PATH"]) is None:
        raise Trouble("cargo is not on the PATH: install Rust (the version in Cargo.toml's rust-version, or newer)")
    built = work / "build"
    overrides = ["--parameter-overrides", f"Architecture={architecture()}"]
    run_logged("sam build", ["sam", "build", "--build-dir", built, *overrides], environment, work / "sam-build.log", tick=tick)
    return built / "template.yaml"


def cordon_binary() -> Path:
    """The command-line tool: `CORDON_BIN`, else what the same `sam build` left (it builds the whole workspace)."""
    if own := os.environ.get("CORDON_BIN"):
        return Path(own)
    found = [path for path in (_target() / "lambda" / "cordon" / "bootstrap", _target() / "release" / "cordon") if path.exists()]
    if not found:
        raise Trouble("the `cordon` command-line tool is not built: run `cargo build --workspace --release`, or set CORDON_BIN")
    return max(found, key=lambda path: path.stat().st_mtime)


def _target() -> Path:
    metadata = subprocess.run(
        ["cargo", "metadata", "--no-deps", "--format-version", "1"], cwd=REPO, capture_output=True, text=True, check=False
    )
    return Path(json.loads(metadata.stdout)["target_directory"]) if metadata.returncode == 0 else REPO / "target"


def deploy(aws: LocalAws, built: Path, parameters: Mapping[str, str], work: Path = WORK, tick: Tick = no_tick) -> Stack:
    """`sam deploy`, then the two things only a local stack needs: its function's way home, and the bucket's lock."""
    overrides = [f"{name}={value}" for name, value in {"Architecture": architecture(), **parameters}.items()]
    argv = ["sam", "deploy", "--template-file", built, "--stack-name", STACK, "--resolve-s3", "--capabilities", "CAPABILITY_IAM"]
    argv += ["--no-confirm-changeset", "--parameter-overrides", *overrides]
    run_logged("sam deploy", argv, tools_environment(aws.environment()), work / "sam-deploy.log", tick=tick)
    described = client(aws, "cloudformation").describe_stacks(StackName=STACK)["Stacks"][0]
    outputs = {output["OutputKey"]: output["OutputValue"] for output in described["Outputs"]}
    _lock_bucket(aws, outputs["EvidenceBucket"], {item["ParameterKey"]: item["ParameterValue"] for item in described["Parameters"]})
    functions = {name: outputs[output] for name, output in FUNCTIONS.items() if output in outputs}
    return Stack(STACK, outputs, {name: _point_home(aws, function) for name, function in functions.items()})


def _lock_bucket(aws: LocalAws, bucket: str, parameters: Mapping[str, str]) -> None:
    """MiniStack's CloudFormation leaves a bucket's Object Lock out: put on what the template says, through the S3 API."""
    template = client(aws, "cloudformation").get_template(StackName=STACK, TemplateStage="Processed")["TemplateBody"]
    if parameters["EvidenceBucketName"]:
        return
    retention = template["Resources"]["EvidenceBucket"]["Properties"]["ObjectLockConfiguration"]["Rule"]["DefaultRetention"]
    rule = {"DefaultRetention": {"Mode": retention["Mode"], "Days": int(parameters[retention["Days"]["Ref"]])}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client(aws, "s3").put_object_lock_configuration(Bucket=bucket, ObjectLockConfiguration=lock)


def _point_home(aws: LocalAws, function: str) -> dict[str, str]:
    functions = client(aws, "lambda")
    configured = functions.get_function_configuration(FunctionName=function)
    variables = configured.get("Environment", {}).get("Variables", {}) | aws.function_environment()
    functions.update_function_configuration(FunctionName=function, Environment={"Variables": variables})
    functions.get_waiter("function_updated_v2").wait(FunctionName=function, WaiterConfig={"Delay": 1})
    return variables


def deploy_member(aws: LocalAws, stack: Stack) -> dict[str, Any]:
    """`infra/member.yaml` in another account, as a StackSet would, and what a test needs to know about it."""
    parameters = {
        "RoleName": MEMBER_ROLE,
        "RevokeRoleArns": stack.outputs["RevokeRoleArn"],
        "OrganizationId": ORGANIZATION,
        "BreakGlassArns": f"arn:aws:iam::*:role/{MEMBER_BREAK_GLASS}",
    }
    there = client(aws, "cloudformation", MEMBER)
    there.create_stack(
        StackName=STACK,
        TemplateBody=(REPO / "infra" / "member.yaml").read_text(encoding="utf-8"),
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
    )
    there.get_waiter("stack_create_complete").wait(StackName=STACK, WaiterConfig={"Delay": 1})
    outputs = there.describe_stacks(StackName=STACK)["Stacks"][0]["Outputs"]
    iam = client(aws, "iam", MEMBER)
    names = iam.list_role_policies(RoleName=MEMBER_ROLE)["PolicyNames"]
    return {
        "account": MEMBER,
        "outputs": {output["OutputKey"]: output["OutputValue"] for output in outputs},
        "role_policies": {name: iam.get_role_policy(RoleName=MEMBER_ROLE, PolicyName=name)["PolicyDocument"] for name in names},
        "break_glass": MEMBER_BREAK_GLASS,
    }


def describe(aws: LocalAws, stack: Stack) -> dict[str, Any]:
    """All that a test needs to know about the stack: what is deployed, under which role, and how to act as that role."""
    role, sealer = stack.outputs["RoleName"], stack.outputs["SealRoleName"]
    return {
        "endpoint": aws.endpoint,
        "region": aws.region,
        "account": aws.account,
        "stack": stack.name,
        "outputs": stack.outputs,
        "function_environment": stack.environments["quarantine"],
        "role_policies": role_policies(aws, role),
        "role_trust": client(aws, "iam").get_role(RoleName=role)["Role"]["AssumeRolePolicyDocument"],
        "role_credentials": role_credentials(aws, role),
        "signing_key_pem": public_key_pem(aws, stack.outputs["SigningKeyArn"]),
        "revoke": {
            "environment": stack.environments["revoke"],
            "role_policies": role_policies(aws, stack.outputs["RevokeRoleName"]),
            "role_credentials": role_credentials(aws, stack.outputs["RevokeRoleName"]),
            "signing_key_pem": public_key_pem(aws, stack.outputs["RevokeSigningKeyArn"]),
        },
        "intake": {
            "environment": stack.environments["intake"],
            "role_policies": role_policies(aws, stack.outputs["IntakeRoleName"]),
            "role_credentials": role_credentials(aws, stack.outputs["IntakeRoleName"]),
        },
        "release": {
            "environment": stack.environments["release"],
            "role_policies": role_policies(aws, stack.outputs["ReleaseRoleName"]),
            "role_credentials": role_credentials(aws, stack.outputs["ReleaseRoleName"]),
            "signing_key_pem": public_key_pem(aws, stack.outputs["ReleaseSigningKeyArn"]),
        },
        **{name: of_access(aws, stack, name) for name in ("access", "mint", "reconcile")},
        "targets": deploy_targets(aws, stack),
        "seal": {
            "environment": stack.environments["seal"],
            "role_policies": role_policies(aws, sealer),
            "role_credentials": role_credentials(aws, sealer),
        },
        "member": deploy_member(aws, stack),
        "other_function": _other_function(aws),
        "users": {name: user_credentials(aws, name) for name in (KEYRING, RESPONDER)},
    }


def of_access(aws: LocalAws, stack: Stack, name: str) -> dict[str, Any]:
    """One of the functions of just-in-time access."""
    prefix = name.capitalize()
    return {
        "environment": stack.environments[name],
        "role_policies": role_policies(aws, stack.outputs[f"{prefix}RoleName"]),
        "role_credentials": role_credentials(aws, stack.outputs[f"{prefix}RoleName"]),
        "signing_key_pem": public_key_pem(aws, stack.outputs[f"{prefix}SigningKeyArn"]),
    }


def deploy_targets(aws: LocalAws, stack: Stack) -> dict[str, str]:
    """`infra/target.yaml` for each of the shipped entitlements, as users would deploy it. Their ARNs."""
    formation, targets = client(aws, "cloudformation"), {}
    for name in ("prod-read", "prod-deploy", "break-glass"):
        parameters = {"EntitlementName": name, "MintRoleArn": stack.outputs["MintRoleArn"], "ManagedPolicyArns": TARGETS_MAY}
        formation.create_stack(
            StackName=f"target-{name}",
            TemplateBody=(REPO / "infra" / "target.yaml").read_text(encoding="utf-8"),
            Capabilities=["CAPABILITY_NAMED_IAM"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()],
        )
        formation.get_waiter("stack_create_complete").wait(StackName=f"target-{name}", WaiterConfig={"Delay": 1})
        outputs = formation.describe_stacks(StackName=f"target-{name}")["Stacks"][0]["Outputs"]
        # MiniStack's CloudFormation leaves a role's boundary out: put on what the template says, through the IAM API.
        boundary = f"arn:aws:iam::{aws.account}:policy/cordon-jit-boundary-{name}"
        client(aws, "iam").put_role_permissions_boundary(RoleName=name, PermissionsBoundary=boundary)
        targets[name] = next(output["OutputValue"] for output in outputs if output["OutputKey"] == "RoleArn")
    return targets


def role_policies(aws: LocalAws, role: str) -> dict[str, Any]:
    """The role's policy documents as deployed, intrinsics resolved."""
    iam = client(aws, "iam")
    names = iam.list_role_policies(RoleName=role)["PolicyNames"]
    return {name: iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"] for name in names}


def role_credentials(aws: LocalAws, role: str) -> dict[str, str]:
    """Credentials of the deployed role itself: its trust is widened for one call, and put back."""
    iam = client(aws, "iam")
    deployed = iam.get_role(RoleName=role)["Role"]
    trust = deployed["AssumeRolePolicyDocument"]
    root = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{aws.account}:root"}, "Action": "sts:AssumeRole"}
    widened = {**trust, "Statement": [*trust["Statement"], root]}
    iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(widened))
    iam.update_role(RoleName=role, MaxSessionDuration=SESSION_SECONDS)
    try:
        session = client(aws, "sts").assume_role(
            RoleArn=deployed["Arn"], RoleSessionName="test", DurationSeconds=SESSION_SECONDS
        )["Credentials"]
    finally:
        iam.update_role(RoleName=role, MaxSessionDuration=deployed.get("MaxSessionDuration", 3600))
        iam.update_assume_role_policy(RoleName=role, PolicyDocument=json.dumps(trust))
    return {
        "access_key_id": session["AccessKeyId"],
        "secret_access_key": session["SecretAccessKey"],
        "session_token": session["SessionToken"],
    }


def user_credentials(aws: LocalAws, name: str) -> dict[str, str]:
    """A new user whom IAM allows everything, so that what refuses it is the bucket's policy."""
    iam = client(aws, "iam")
    iam.create_user(UserName=name)
    everything = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}
    iam.put_user_policy(UserName=name, PolicyName="all", PolicyDocument=json.dumps(everything))
    made = iam.create_access_key(UserName=name)["AccessKey"]
    return {"access_key_id": made["AccessKeyId"], "secret_access_key": made["SecretAccessKey"]}


def public_key_der(aws: LocalAws, key: str) -> bytes:
    """The key's SubjectPublicKeyInfo."""
    return client(aws, "kms").get_public_key(KeyId=key)["PublicKey"]


def public_key_pem(aws: LocalAws, key: str) -> str:
    """The same, as `openssl` reads it."""
    lines = textwrap.wrap(base64.b64encode(public_key_der(aws, key)).decode(), 64)
    return "\n".join(["-----BEGIN PUBLIC KEY-----", *lines, "-----END PUBLIC KEY-----", ""])


def _other_function(aws: LocalAws) -> dict[str, str]:
    """Another key that leaves the decision to IAM, so that what refuses quarantine is its own role."""
    key = client(aws, "kms").create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY", Description="another function's")
    return {"signing_key_arn": key["KeyMetadata"]["Arn"], "evidence_prefix": "rec/revoke/"}


def write_description(aws: LocalAws, stack: Stack, path: Path) -> None:
    """`describe` as JSON, readable by its owner alone because it holds credentials (of the local AWS)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        json.dump(describe(aws, stack), file, indent=2, default=str)
        file.write("\n")
