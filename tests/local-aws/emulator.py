"""Start one emulator in the foreground.

    emulator.py ministack
    emulator.py moto PORT

MiniStack gets the request's condition keys that the template's policies test and that it does not know by itself:
`s3:if-none-match` and `s3:ObjectCreationOperation` (create-once), `dynamodb:LeadingKeys` (own rows only). With them a test sees
the refusal that AWS would give. The template deploys and works without them, too.
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


def ministack() -> None:
    from ministack import app
    from ministack.core import iam_actions

    of_s3, of_dynamodb = iam_actions.s3_service_context, iam_actions.dynamodb_service_context

    def with_s3_keys(action: str, query: Any = None, path: str = "", headers: Any = None) -> dict[str, Any]:
        return {**of_s3(action, query, path, headers), **s3_keys(action, query or {}, headers or {})}

    def with_dynamodb_keys(body: bytes) -> dict[str, Any]:
        return {**of_dynamodb(body), **dynamodb_keys(body)}

    iam_actions.s3_service_context = with_s3_keys
    iam_actions.dynamodb_service_context = with_dynamodb_keys
    sys.argv = ["ministack"]
    app.main()


def moto(port: str) -> None:
    from moto.server import main

    main(["-H", "127.0.0.1", "-p", port])


if __name__ == "__main__":
    {"ministack": ministack, "moto": moto}[sys.argv[1]](*sys.argv[2:])
