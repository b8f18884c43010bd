"""Start one emulator in the foreground.

    emulator.py moto PORT
    emulator.py ministack MOTO_ENDPOINT

MiniStack knows too little of EC2 and moto enforces no policy, so MiniStack decides who may do what and moto does it: every EC2 call is
authorized by MiniStack, as any other call is, and answered by moto. A test then sees the refusal that AWS would give. For that
MiniStack is told what it does not know by itself:

- `iam:PolicyARN` and `iam:PermissionsBoundary` (which policy is attached or detached, or bounds, or bounded until now);
- `aws:PrincipalOrgID` and, for `AssumeRole`, `aws:ResourceOrgID`: which accounts are one organisation;
- `s3:if-none-match` and `s3:ObjectCreationOperation` (create-once), `dynamodb:LeadingKeys` (own rows only);
- the path in the ARN of the role that a call of IAM names;
- `sts:SourceIdentity`, `sts:TransitiveTagKeys` and `aws:SourceIdentity`: what a session is begun with, and carries from then on;
- in CloudTrail, the name of a call of STS, and the role that a session was begun of;
- of the EC2 calls that change something: every resource they name, the tags those have in moto, the tags a new group gets, and that
  tagging a group at birth is a `CreateTags` with `ec2:CreateAction`.
"""

from __future__ import annotations

import asyncio
import contextvars
import dataclasses
import json
import sys
import urllib.error
import urllib.parse
import urllib.request
from typing import Any
from xml.etree import ElementTree

DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def s3_keys(action: str, query: dict[str, Any], headers: dict[str, str]) -> dict[str, str]:
    """The keys of a conditional write. Only the request that creates the object carries the condition."""
    if action != "s3:PutObject":
        return {}
    part = "uploads" in query or ("uploadId" in query and "partNumber" in query)
    keys = {"s3:ObjectCreationOperation": "false" if part else "true"}
    for name in ("if-none-match", "if-match"):
        if headers.get(name):
            keys[f"s3:{name}"] = headers[name]
    return keys


def iam_keys(action: str, query: dict[str, Any]) -> dict[str, str]:
    """The policy that a call attaches, or bounds a principal by."""
    named = {"iam:PolicyARN": "PolicyArn", "iam:PermissionsBoundary": "PermissionsBoundary"} if action.startswith("iam:") else {}
    return {key: _first(query[name]) for key, name in named.items() if query.get(name)}


# The organisation of the local AWS. Any other account is a stranger's.
ORGANIZATION = "o-cordonlocal1"
ORGANIZED = {"123456789012", "210987654321", "111122223333"}


def organization_of(account: str) -> str | None:
    """The organisation that an account is in."""
    return ORGANIZATION if account in ORGANIZED else None


def sts_keys(action: str, query: dict[str, Any]) -> dict[str, str]:
    """The organisation of the role that is assumed; none if its account is in none, as on AWS."""
    role = _first(query.get("RoleArn")) if action == "sts:AssumeRole" else ""
    organization = organization_of(role.split(":")[4]) if role.count(":") > 4 else None
    return {"aws:ResourceOrgID": organization} if organization else {}


def assuming_keys(query: dict[str, Any]) -> dict[str, Any]:
    """What `AssumeRole` is called with beside tags: conditions of trust policies are about it."""
    keys: dict[str, Any] = {}
    if source := _first(query.get("SourceIdentity")):
        keys["sts:sourceidentity"] = source
    if transitive := [_first(value) for name, value in sorted(query.items()) if name.startswith("TransitiveTagKeys.member.")]:
        keys["sts:transitivetagkeys"] = transitive
    return keys


def sts_event(parameters: dict[str, Any]) -> tuple[dict[str, Any], list[dict[str, str]]]:
    """A call of STS as CloudTrail tells of it: its parameters, and the role as a resource."""
    role = _first(parameters.get("RoleArn"))
    if not role:
        return parameters, []
    told = {"roleArn": role, "roleSessionName": _first(parameters.get("RoleSessionName"))}
    return told, [{"ResourceType": "AWS::IAM::Role", "ResourceName": role}]


def dynamodb_keys(body: bytes) -> dict[str, list[str]]:
    """The partition keys that a request names, in tables whose key is the string `pk`."""
    try:
        request = json.loads(body or b"{}")
        parts = [part for item in request.get("TransactItems", []) for part in item.values()] or [request]
        values = [(part.get("Key") or part.get("Item") or {})["pk"]["S"] for part in parts]
    except (ValueError, AttributeError, KeyError, TypeError):
        return {}
    return {"dynamodb:LeadingKeys": values}


# What a resource id starts with, and what its ARN calls it.
EC2_KINDS = {"eni": "network-interface", "i": "instance", "sg": "security-group", "vpc": "vpc"}
# By action, the parameters that name resources. Parameters of a list are numbered: `ResourceId.1`.
EC2_NAMED = {
    "AuthorizeSecurityGroupEgress": ("GroupId",),
    "AuthorizeSecurityGroupIngress": ("GroupId",),
    "CreateSecurityGroup": ("VpcId",),
    "CreateTags": ("ResourceId",),
    "DeleteTags": ("ResourceId",),
    "ModifyNetworkInterfaceAttribute": ("NetworkInterfaceId", "SecurityGroupId"),
    "RevokeSecurityGroupEgress": ("GroupId",),
    "RevokeSecurityGroupIngress": ("GroupId",),
}


def ec2_resources(parameters: dict[str, Any], region: str, account: str) -> list[str]:
    """All resources that AWS authorizes a call on; none for the calls we leave to MiniStack."""
    action = _first(parameters.get("Action"))
    named = [
        _first(value)
        for wanted in EC2_NAMED.get(action, ())
        for name, value in sorted(parameters.items())
        if name == wanted or name.startswith(f"{wanted}.")
    ]
    paths = [f"{EC2_KINDS.get(resource.partition('-')[0], '*')}/{resource}" for resource in named]
    if action == "CreateSecurityGroup":
        paths.append("security-group/*")
    return [f"arn:aws:ec2:{region}:{account}:{path}" for path in paths]


def _first(value: Any) -> str:
    return str(value[0] if isinstance(value, list) and value else value or "")


class Moto:
    """EC2, behind MiniStack's authorization."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint

    async def handle(self, method: str, path: str, headers: dict[str, str], body: bytes, query: dict[str, Any]) -> Any:
        """Pass a request on as it came, and the answer back."""
        url = self._endpoint + (path or "/") + (f"?{urllib.parse.urlencode(query, doseq=True)}" if query else "")
        kept = {name: headers[name] for name in ("authorization", "content-type", "x-amz-date") if name in headers}
        status, kind, answer = await asyncio.to_thread(self._send, urllib.request.Request(url, body or None, kept, method=method))
        return status, {"Content-Type": kind}, answer

    def tags(self, arn: str) -> dict[str, str]:
        """The tags of one EC2 resource."""
        resource = arn.rpartition("/")[2]
        if resource == "*":
            return {}
        wanted = {"Action": "DescribeTags", "Version": "2016-11-15", "Filter.1.Name": "resource-id", "Filter.1.Value.1": resource}
        # moto reads the service and the Region out of the credential's scope, and no more of it.
        scope = f"AWS4-HMAC-SHA256 Credential=test/20260101/{arn.split(':')[3]}/ec2/aws4_request, SignedHeaders=host, Signature=0"
        form = urllib.parse.urlencode(wanted).encode()
        status, _, answer = self._send(urllib.request.Request(self._endpoint + "/", form, {"Authorization": scope}, method="POST"))
        if status != 200:
            raise RuntimeError(f"moto does not say which tags {arn} has: {answer!r}")
        root = ElementTree.fromstring(answer)
        return {str(item.findtext("{*}key")): str(item.findtext("{*}value") or "") for item in root.iterfind(".//{*}item")}

    @staticmethod
    def _send(request: urllib.request.Request) -> tuple[int, str, bytes]:
        try:
            with DIRECT.open(request, timeout=30) as answer:
                return answer.status, answer.headers.get("Content-Type", "text/xml"), answer.read()
        except urllib.error.HTTPError as refused:
            return refused.code, refused.headers.get("Content-Type", "text/xml"), refused.read()


def ministack(moto_endpoint: str) -> None:
    from ministack import app
    from ministack.core import iam_actions, iam_evaluator
    from ministack.services import cloudtrail, iam, sts, tagging

    ec2 = Moto(moto_endpoint)
    of_s3, of_dynamodb = iam_actions.s3_service_context, iam_actions.dynamodb_service_context
    of_tags = iam_actions.request_tag_context
    resource_of, resources_of = iam_actions.extract_resource_arn, iam_actions.verified_access_resource_arns
    tags_of, enforce = tagging.resource_tags, iam_evaluator.enforce
    record_event = cloudtrail.record_event
    trusts, principal_keys, register_session = iam_evaluator.evaluate_trust_policy, iam_evaluator._principal_keys, sts.register_session
    # What the request that is being answered begins a session with.
    assuming: contextvars.ContextVar[dict[str, Any]] = contextvars.ContextVar("assuming", default={})

    def with_s3_keys(action: str, query: Any = None, path: str = "", headers: Any = None) -> dict[str, Any]:
        return {**of_s3(action, query, path, headers), **s3_keys(action, query or {}, headers or {})}

    def with_iam_keys(service: str, action: str, body: bytes, parameters: Any) -> dict[str, Any]:
        keys = iam_keys(action, parameters or {})
        if action == "iam:DeleteUserPermissionsBoundary":
            # The call names no boundary: the one that the user has is meant.
            user = iam._users.get(_first((parameters or {}).get("UserName"))) or {}
            keys = {"iam:PermissionsBoundary": user["PermissionsBoundary"]} if user.get("PermissionsBoundary") else {}
        if action in ("iam:PutRolePolicy", "iam:DeleteRolePolicy"):
            # Whether the role that is written on has a boundary, and which.
            bound = (iam._roles.get(_first((parameters or {}).get("RoleName"))) or {}).get("PermissionsBoundary")
            bound = bound.get("PermissionsBoundaryArn") if isinstance(bound, dict) else bound
            keys = {"iam:PermissionsBoundary": bound} if bound else {}
        assuming.set(assuming_keys(parameters or {}) if service == "sts" else {})
        return {**of_tags(service, action, body, parameters), **keys, **sts_keys(action, parameters or {})}

    def with_assuming_keys(document: Any, caller: str, context: Any = None) -> bool:
        if context is not None:
            context = dataclasses.replace(context, service_context={**context.service_context, **assuming.get()})
        return trusts(document, caller, context)

    def with_source_identity(access_key: str, session: dict[str, Any]) -> None:
        register_session(access_key, {**session, "SourceIdentity": assuming.get().get("sts:sourceidentity")})

    def keys_of_principal(credential: Any) -> dict[str, Any]:
        source = (sts._sessions.get(credential.access_key_id) or {}).get("SourceIdentity")
        return {**principal_keys(credential), **({"aws:sourceidentity": source} if source else {})}

    def with_dynamodb_keys(body: bytes) -> dict[str, Any]:
        return {**of_dynamodb(body), **dynamodb_keys(body)}

    def first_resource(service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, account: str) -> str:
        role = iam._roles.get(_first(query.get("RoleName"))) if service == "iam" else None
        if role:
            # With its path, which MiniStack leaves out.
            return str(role["Arn"])
        named = ec2_resources(query, region, account) if service == "ec2" else []
        return named[0] if named else resource_of(service, method, path, headers, body, query, region, account)

    def all_resources(query: Any, region: str, account: str) -> list[str]:
        return ec2_resources(query, region, account) or resources_of(query, region, account)

    def with_ec2_tags(arn: str) -> dict[str, str] | None:
        return ec2.tags(arn) if arn.startswith("arn:aws:ec2:") else tags_of(arn)

    def with_tags_at_birth(
        access_key: str, action: str, service: str, region: str, resource_arn: str = "*", service_context: Any = None
    ) -> Any:
        denied = enforce(access_key, action, service, region, resource_arn=resource_arn, service_context=service_context)
        context = service_context or {}
        if denied is None and action == "ec2:CreateSecurityGroup" and resource_arn.endswith("/*") and context.get("aws:TagKeys"):
            birth = {**context, "ec2:CreateAction": "CreateSecurityGroup"}
            return enforce(access_key, "ec2:CreateTags", service, region, resource_arn=resource_arn, service_context=birth)
        return denied

    def with_sts_names(**event: Any) -> None:
        if event["service"] == "sts":
            event["event_name"] = _first(event["request_params"].get("Action")) or event["event_name"]
            event["request_params"], event["resources"] = sts_event(event["request_params"])
        record_event(**event)

    cloudtrail.record_event = with_sts_names
    iam_evaluator._principal_org_id = organization_of
    iam_evaluator.evaluate_trust_policy = with_assuming_keys
    iam_evaluator._principal_keys = keys_of_principal
    sts.register_session = with_source_identity
    iam_actions.s3_service_context = with_s3_keys
    iam_actions.dynamodb_service_context = with_dynamodb_keys
    iam_actions.request_tag_context = with_iam_keys
    iam_actions.extract_resource_arn = first_resource
    iam_actions.verified_access_resource_arns = all_resources
    iam_actions._TAG_OPERATIONS["ec2"] = iam_actions._tag_operations("ec2") | {"CreateSecurityGroup"}
    iam_evaluator.enforce = with_tags_at_birth
    tagging.resource_tags = with_ec2_tags
    app.SERVICE_HANDLERS["ec2"] = ec2.handle
    sys.argv = ["ministack"]
    app.main()


def moto(port: str) -> None:
    from moto.server import main

    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    {"ministack": ministack, "moto": moto}[sys.argv[1]](*sys.argv[2:])
