"""Start one emulator in the foreground.

    emulator.py ministack
    emulator.py moto PORT

MiniStack is told what the template's policies test and it does not know by itself, so that a test sees the refusal that AWS
would give (the template deploys and works without this, too):

- `s3:if-none-match` and `s3:ObjectCreationOperation` (create-once), `dynamodb:LeadingKeys` (own rows only);
- of the EC2 calls that change something, every resource they name, the tags those have, and the tags a new group gets.
"""

from __future__ import annotations

import json
import sys
from typing import Any


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


def dynamodb_keys(body: bytes) -> dict[str, list[str]]:
    """The partition keys that a request names, in tables whose key is the string `pk`."""
    try:
        request = json.loads(body or b"{}")
        value = (request.get("Key") or request.get("Item") or {})["pk"]["S"]
    except (ValueError, AttributeError, KeyError, TypeError):
        return {}
    return {"dynamodb:LeadingKeys": [value]}


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


def ministack() -> None:
    from ministack import app
    from ministack.core import iam_actions
    from ministack.services import ec2, tagging

    of_s3, of_dynamodb = iam_actions.s3_service_context, iam_actions.dynamodb_service_context
    resource_of, resources_of, tags_of = iam_actions.extract_resource_arn, iam_actions.verified_access_resource_arns, tagging.resource_tags

    def with_s3_keys(action: str, query: Any = None, path: str = "", headers: Any = None) -> dict[str, Any]:
        return {**of_s3(action, query, path, headers), **s3_keys(action, query or {}, headers or {})}

    def with_dynamodb_keys(body: bytes) -> dict[str, Any]:
        return {**of_dynamodb(body), **dynamodb_keys(body)}

    def first_resource(service: str, method: str, path: str, headers: Any, body: bytes, query: Any, region: str, account: str) -> str:
        named = ec2_resources(query, region, account) if service == "ec2" else []
        return named[0] if named else resource_of(service, method, path, headers, body, query, region, account)

    def all_resources(query: Any, region: str, account: str) -> list[str]:
        return ec2_resources(query, region, account) or resources_of(query, region, account)

    def with_ec2_tags(arn: str) -> dict[str, str] | None:
        if not arn.startswith("arn:aws:ec2:"):
            return tags_of(arn)
        return {tag["Key"]: tag["Value"] for tag in ec2._tags.get(arn.rpartition("/")[2]) or []}

    iam_actions.s3_service_context = with_s3_keys
    iam_actions.dynamodb_service_context = with_dynamodb_keys
    iam_actions.extract_resource_arn = first_resource
    iam_actions.verified_access_resource_arns = all_resources
    iam_actions._TAG_OPERATIONS["ec2"] = iam_actions._tag_operations("ec2") | {"CreateSecurityGroup"}
    tagging.resource_tags = with_ec2_tags
    sys.argv = ["ministack"]
    app.main()


def moto(port: str) -> None:
    from moto.server import main

    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    {"ministack": ministack, "moto": moto}[sys.argv[1]](*sys.argv[2:])
