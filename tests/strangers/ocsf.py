"""Validates OCSF events against the released schema of the version that each of them names, which ocsf-json-schema carries.

    ocsf.py EVENTS.jsonl…

Says of each file, in a line, whether it is accepted. An unknown attribute is an error, as is a missing one that is required. Attestations (profile `record_integrity`, OCSF 1.9.0) are newer than
what that package carries: an event that says 1.9.0 is held to 1.8.0 without them, and they to `ocsf-attestation.schema.json` beside this.
Their fingerprints are computed again by rfc8785, and every link to a previous event that is in the file is followed.
"""

import hashlib
import json
import sys
from functools import cache
from pathlib import Path

import rfc8785
from jsonschema import Draft202012Validator
from ocsf_json_schema import OcsfJsonSchemaEmbedded, get_ocsf_schema

INTEGRITY = "record_integrity"
ATTESTATIONS = Draft202012Validator(json.loads(Path(__file__).with_name("ocsf-attestation.schema.json").read_text()))


@cache
def validator(version: str, class_uid: int, profiles: tuple[str, ...]) -> Draft202012Validator:
    schema = OcsfJsonSchemaEmbedded(get_ocsf_schema(version=version))
    name = schema.lookup_class_name_from_uid(class_uid)
    return Draft202012Validator(schema.get_class_schema(name, list(profiles)))


def first_error(found: Draft202012Validator, value: object, where: str) -> None:
    for error in found.iter_errors(value):
        raise ValueError(f"{where}: {error.json_path}: {error.message[:300]}")


def fingerprint(event: dict) -> str:
    """SHA-256 of the whole event but for its attestations' own fingerprints and signatures, in the form of RFC 8785."""
    covered = json.loads(json.dumps(event))
    for attestation in covered["attestation_list"]:
        attestation.pop("fingerprint", None)
        attestation.pop("signatures", None)
    return hashlib.sha256(rfc8785.dumps(covered)).hexdigest()


def check_chains(events: list[dict]) -> None:
    """Every event names the one before it in its chain. Only one of each chain may lead out of the file, or nowhere."""
    by_uid = {event["metadata"]["uid"]: event for event in events}
    if len(by_uid) != len(events):
        raise ValueError("two events have the same metadata.uid")
    begun, followed = set(), set()
    for event in events:
        uid, (attestation,) = event["metadata"]["uid"], event["attestation_list"]
        if fingerprint(event) != attestation["fingerprint"]["value"]:
            raise ValueError(f"{uid}: it is not what its fingerprint was made of")
        chain, previous = attestation["chain_uid"], attestation.get("prev_event")
        before = by_uid.get(previous["uid"]) if previous else None
        if before is None:
            if chain in begun:
                raise ValueError(f"{uid}: the event before it in its chain is missing")
            begun.add(chain)
            continue
        link = before["attestation_list"][0]
        wanted = (link["chain_uid"], link["fingerprint"], before["type_uid"])
        if (chain, previous["fingerprint"], previous["type_uid"]) != wanted:
            raise ValueError(f"{uid}: the event before it is another one")
        if previous["uid"] in followed:
            raise ValueError(f"{uid}: its chain is forked")
        followed.add(previous["uid"])


def check(path: Path) -> None:
    events = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    if not events:
        raise ValueError("there is no event")
    for number, event in enumerate(events, 1):
        where = f"line {number}, class {event.get('class_uid')}"
        version, profiles = event["metadata"]["version"], tuple(event["metadata"].get("profiles", []))
        rest = dict(event)
        if INTEGRITY in profiles and version == "1.9.0":
            first_error(ATTESTATIONS, rest.pop("attestation_list", None), where)
            version, profiles = "1.8.0", tuple(profile for profile in profiles if profile != INTEGRITY)
        first_error(validator(version, event["class_uid"], profiles), rest, where)
    if INTEGRITY in events[0]["metadata"].get("profiles", []):
        check_chains(events)


def main(*paths: str) -> int:
    refused = 0
    for path in paths:
        try:
            check(Path(path))
            print(f"accepted {path}")
        except (ValueError, KeyError, TypeError) as error:
            print(f"refused {path}: {error!r}")
            refused = 1
    return refused


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
