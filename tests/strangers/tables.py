"""Reads timelines as Timesketch and DFIR-IRIS would, with nothing but Python's own csv, json and datetime.

    tables.py timesketch FILE.jsonl…
    tables.py iris FILE.csv…

Says of each file, in a line, whether it is accepted.

The rules are theirs: google/timesketch, `docs/guides/user/import-from-json-csv.md` and `timesketch/lib/utils.py`;
dfir-iris/iris-web, `case_timeline_routes.py`.
"""

import csv
import json
import sys
from datetime import datetime, timezone
from pathlib import Path

IRIS = ["event_date", "event_tz", "event_title", "event_category", "event_content", "event_raw", "event_source", "event_assets", "event_iocs", "event_tags"]
# OpenSearch indexes no longer keyword field whole.
LONGEST = 32_766


def need(truth: bool, what: str) -> None:
    if not truth:
        raise ValueError(what)


def timesketch(text: str) -> int:
    lines = text.splitlines()
    for number, line in enumerate(lines, 1):
        event = json.loads(line)
        for field in ("message", "datetime", "timestamp_desc"):
            need(isinstance(event.get(field), str) and event[field] != "", f"line {number}: no {field}")
        moment = datetime.fromisoformat(event["datetime"])
        need(moment.utcoffset() is not None, f"line {number}: datetime has no offset: {event['datetime']}")
        if "timestamp" in event:
            micros = round((moment - datetime(1970, 1, 1, tzinfo=timezone.utc)).total_seconds() * 1_000_000)
            need(event["timestamp"] == micros, f"line {number}: timestamp is not datetime in microseconds")
        for name, value in event.items():
            need(not isinstance(value, str) or len(value.encode()) <= LONGEST, f"line {number}: {name} is too long to be searched")
    return len(lines)


def iris(text: str) -> int:
    rows = list(csv.reader(text.splitlines()))
    need(bool(rows) and rows[0] == IRIS, f"the header is {rows[:1]}")
    for number, row in enumerate(rows[1:], 2):
        need(len(row) == len(IRIS), f"row {number} has {len(row)} cells")
        event = dict(zip(IRIS, row))
        need(event["event_title"] != "", f"row {number}: no title")
        moment = datetime.strptime(event["event_date"] + event["event_tz"], "%Y-%m-%dT%H:%M:%S.%f%z")
        need(moment.utcoffset() is not None, f"row {number}: no time zone")
        # An asset that the case does not have yet is an error to IRIS.
        need(event["event_assets"] == "" and event["event_iocs"] == "", f"row {number}: it names assets or indicators")
    return len(rows) - 1


def main(what: str, *paths: str) -> int:
    refused = 0
    for path in paths:
        try:
            need({"timesketch": timesketch, "iris": iris}[what](Path(path).read_text(encoding="utf-8")) > 0, "there is nothing in it")
            print(f"accepted {path}")
        except (ValueError, KeyError) as error:
            print(f"refused {path}: {error}")
            refused = 1
    return refused


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
