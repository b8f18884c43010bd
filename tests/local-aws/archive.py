"""Download an evidence bucket as the folder that `cordon evidence verify` reads: every version of every object.

`<key>` is the first version of an object and `<key>@<version id>` a later one; `versions.json` lists them all as S3 sees them,
delete markers too.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FORMAT = "cordon-archive/v1"


def archive(s3: Any, bucket: str, folder: Path) -> int:
    """Write the archive. Answers how many object versions it holds."""
    objects = [_object(s3, bucket, folder, *entry) for entry in _oldest_first(s3, bucket)]
    index = {"format": FORMAT, "bucket": bucket, "taken_at": rfc3339(datetime.now(UTC)), "objects": objects}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "versions.json").write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return sum(1 for entry in objects if entry["path"])


def rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _oldest_first(s3: Any, bucket: str) -> Iterator[tuple[dict[str, Any], bool, bool]]:
    """Every version and delete marker, with whether it is a marker and whether it is the first version of its key."""
    found: list[tuple[dict[str, Any], bool]] = []
    for page in s3.get_paginator("list_object_versions").paginate(Bucket=bucket):
        found += [(version, False) for version in page.get("Versions", [])]
        found += [(marker, True) for marker in page.get("DeleteMarkers", [])]
    # S3 lists the newest version of a key first, so a reversed stable sort keeps the order of two in the same second.
    found.reverse()
    found.sort(key=lambda entry: (entry[0]["Key"], entry[0]["LastModified"]))
    seen: set[str] = set()
    for entry, marker in found:
        first = not marker and entry["Key"] not in seen
        if first:
            seen.add(entry["Key"])
        yield entry, marker, first


def _object(s3: Any, bucket: str, folder: Path, entry: dict[str, Any], marker: bool, first: bool) -> dict[str, Any]:
    key, version = entry["Key"], entry["VersionId"]
    described: dict[str, Any] = {
        "key": key,
        "version_id": version,
        "latest": entry["IsLatest"],
        "delete_marker": marker,
        "last_modified": rfc3339(entry["LastModified"]),
        "size": None,
        "sha256": None,
        "retain_until": None,
        "mode": None,
        "path": None,
    }
    if marker:
        return described
    path = key if first else f"{key}@{version}"
    got = s3.get_object(Bucket=bucket, Key=key, VersionId=version, ChecksumMode="ENABLED")
    target = _inside(folder, path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(got["Body"].read())
    checksum, retained = got.get("ChecksumSHA256"), got.get("ObjectLockRetainUntilDate")
    return described | {
        "size": got["ContentLength"],
        "sha256": base64.b64decode(checksum).hex() if checksum else None,
        "retain_until": rfc3339(retained) if retained else None,
        "mode": got.get("ObjectLockMode"),
        "path": path,
    }


def _inside(folder: Path, path: str) -> Path:
    """A key comes from a bucket: it must not lead out of the folder."""
    target = (folder / path).resolve()
    if not target.is_relative_to(folder.resolve()):
        raise ValueError(f"the key {path!r} leads out of the archive")
    return target
