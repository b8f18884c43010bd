"""`make drill`: a finding, a plan, a sealed machine, stolen credentials that are refused, and the proof, on the local AWS and by the commands a user types.

Leaves target/drill/report.json, target/drill/evidence/ (every object with its versions), target/drill/evidence.pub, target/drill/root (the
fingerprint of the one key to trust), target/drill/release.sha256 (what code was deployed) and target/drill/timeline.html. Ends 0 only if the machine was contained, the drill itself saw so, the way there was as short as promised,
the records were sealed into the log, and the evidence verified.
"""

from __future__ import annotations

import base64
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from common import REPO, WORK, Command, Trouble, last_lines, run_logged, run_main, shown
from local_aws import LocalAws, local_aws
from story import Story
from venvs import enter, venv

if TYPE_CHECKING:
    from deploy import Stack
    from minutes import Minutes
    from target import Target
    from thieves import Caught

DRILL = REPO / "target" / "drill"
EVIDENCE = DRILL / "evidence"
PUBLIC_KEY = DRILL / "evidence.pub"
ROOT = DRILL / "root"
RELEASE = DRILL / "release.sha256"
TIMELINE = DRILL / "timeline.html"
REPORT = DRILL / "report.json"
FUNCTION = "quarantine"
ANSWER_SECONDS = 60.0
# A new record is heard of at once; the next minute's pass comes in any case.
SEAL_SECONDS = 100.0
# What the design promises of the way from the finding to the last sealed interface (docs/architecture.md).
EVIDENCE_TRIPS = 1
DEPTH = 3
POLL_SECONDS = 0.05


def drill(arguments: list[str]) -> int:
    if arguments:
        raise Trouble("usage: drill.py (it takes no arguments)")
    enter()
    story = Story()
    # What an earlier drill left must not pass for this one's result.
    shutil.rmtree(DRILL, ignore_errors=True)
    DRILL.mkdir(parents=True)
    contained = _drill(story)
    story.line(f"report: {shown(REPORT)}; evidence: {shown(EVIDENCE)}; its public key: {shown(PUBLIC_KEY)}")
    if ROOT.exists():
        story.line(f"to verify it yourself: cordon evidence verify {shown(EVIDENCE)} --root $(cat {shown(ROOT)}) --release {shown(RELEASE)}")
    story.line(f"the incident's timeline, to look at in a browser: {shown(TIMELINE)}")
    return 0 if contained else 1


def _drill(story: Story) -> bool:
    from deploy import FOR_TESTS, build, client, cordon_binary, deploy
    from release import write_release
    from target import make_target

    story.chapter("Setting up")
    venv("tools")
    story.line("building the function (sam build); the first time takes about ten minutes on two cores, later seconds")
    built = build(tick=story.tick)
    cordon = cordon_binary()
    with local_aws() as aws:
        story.line(f"the local AWS answers at {aws.endpoint}: MiniStack, with moto behind it for EC2")
        stack = deploy(aws, built, FOR_TESTS, tick=story.tick)
        story.line(f"template.yaml is deployed as it is (sam deploy), in act mode: {stack.outputs['FunctionName']}")
        write_release(built.parent, RELEASE)
        root = _trust(story, aws, cordon, stack)
        ec2 = client(aws, "ec2")
        target = make_target(ec2)
        story.line(f"a machine to contain: {target.instance} with {len(target.ids())} interfaces in {target.vpc} (IPv4 and IPv6)")
        _prepare(story, aws, cordon, stack, target)

        told = _incident(story, aws, stack, target)
        seen = _look(story, ec2, target)
        caught, last = _thieves(story, aws, cordon, stack)
        granted = _minutes(story, aws, cordon, stack)
        verified = _prove(story, aws, cordon, stack, told, last, root)
        report = _report(told, seen, caught) | {"access": asdict(granted)}
        REPORT.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    return _verdict(story, report, seen, caught, granted, verified)


def _trust(story: Story, aws: LocalAws, cordon: Path, stack: Stack) -> str:
    """Make a root key and a keyring under it, as its own principal. Answers the one fingerprint that a reader needs."""
    from deploy import KEYRING, public_key_pem, user_credentials

    # Whoever signs; the intake function does not.
    outputs = {
        "quarantine": "SigningKeyArn",
        "revoke": "RevokeSigningKeyArn",
        "release": "ReleaseSigningKeyArn",
        "access": "AccessSigningKeyArn",
        "mint": "MintSigningKeyArn",
        "reconcile": "ReconcileSigningKeyArn",
        "seal": "SealingKeyArn",
    }
    public = {name: DRILL / ("evidence.pub" if name == FUNCTION else f"{name}.pub") for name in outputs}
    for name, output in outputs.items():
        public[name].write_text(public_key_pem(aws, stack.outputs[output]), encoding="utf-8")
    # A drill's own, and gone with its bucket: a real root key is kept offline, or in KMS in the log-archive account.
    key = WORK / "drill-root.pem"
    key.unlink(missing_ok=True)
    log = WORK / "keygen.log"
    run_logged("cordon evidence keygen", [cordon, "evidence", "keygen", key], aws.environment(), log)
    root = next(line.split()[-1] for line in log.read_text(encoding="utf-8").splitlines() if line.startswith("fingerprint"))
    ROOT.write_text(root + "\n", encoding="utf-8")
    keys = [f"{name}={path}" for name, path in public.items()]
    store = f"s3://{stack.outputs['EvidenceBucket']}"
    writer = user_credentials(aws, KEYRING)
    environment = aws.environment() | {
        "AWS_ACCESS_KEY_ID": writer["access_key_id"],
        "AWS_SECRET_ACCESS_KEY": writer["secret_access_key"],
    }
    argv = [cordon, "evidence", "trust", "new", "--key", key, "--store", store, *keys]
    run_logged("cordon evidence trust new", argv, environment, WORK / "trust.log")
    story.line(f"a keyring names every function's key, under one root (cordon evidence trust new): {root}")
    return root


def _prepare(story: Story, aws: LocalAws, cordon: Path, stack: Stack, target: Target) -> None:
    """Make the VPC's sealed group ahead, as a platform team would."""
    argv = [cordon, "prepare", "--function", stack.outputs["FunctionName"], "--vpc", target.vpc]
    run_logged("cordon prepare", argv, aws.environment(), WORK / "prepare.log")
    story.line(f"the sealed group of {target.vpc} is ready (cordon prepare)")


@dataclass(frozen=True)
class Told:
    """What the function recorded, and when we saw it happen."""

    key: str
    incident: str | None
    outcome: dict[str, Any]
    body: dict[str, Any]
    milliseconds: dict[str, float]


def _incident(story: Story, aws: LocalAws, stack: Stack, target: Target) -> Told:
    from deploy import client
    from target import finding_about

    story.chapter("The incident")
    detail = finding_about(target, aws)
    watch = _Watch(client(aws, "s3"), stack.outputs["EvidenceBucket"])
    entry = {"Source": "cordon.drill", "DetailType": "GuardDuty Finding", "Detail": json.dumps(detail), "Time": datetime.now(UTC)}
    began = time.monotonic()
    answer = client(aws, "events").put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        raise Trouble(f"the event bus refused the finding: {answer['Entries'][0].get('ErrorMessage')}")
    story.line(f"finding: {detail['type']}, severity {detail['severity']}: {detail['title']}")

    intent = _await(aws, stack, watch, "intent", began)
    story.line(f"plan, recorded before the first change: {intent.key}")
    for step in _steps(intent.body):
        story.quote(step)
    sealed = _sealed_after(client(aws, "ec2"), target, began)
    outcome = _await(aws, stack, watch, "outcome", began)
    state = str(outcome.body.get("outcome", {}).get("state", "unknown"))
    (story.good if state == "Contained" else story.bad)(f"sealed, says the function: {state} ({outcome.key})")
    milliseconds = {"finding_to_outcome_seen": _since(began)} | ({"finding_to_sealed": sealed} if sealed else {})
    return Told(outcome.key, outcome.incident, outcome.body.get("outcome", {}), outcome.body, milliseconds)


@dataclass(frozen=True)
class Record:
    key: str
    incident: str | None
    body: dict[str, Any]


class _Watch:
    """Looks into the evidence bucket for new records of one kind."""

    def __init__(self, s3: Any, bucket: str, function: str = FUNCTION) -> None:
        self._s3, self._bucket, self._function = s3, bucket, function
        self._before = set(self._keys())

    def find(self, kind: str) -> Record | None:
        for key in self._keys():
            if key.endswith(f"-{kind}.json") and key not in self._before:
                return _record(key, self._s3.get_object(Bucket=self._bucket, Key=key)["Body"].read())
        return None

    def _keys(self) -> Iterator[str]:
        for page in self._s3.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=f"rec/{self._function}/"):
            for entry in page.get("Contents", []):
                yield entry["Key"]


def _record(key: str, bundle: bytes) -> Record:
    """Read a record without checking it: that is `cordon evidence verify`'s work."""
    try:
        statement = json.loads(base64.b64decode(json.loads(bundle)["dsseEnvelope"]["payload"]))
        predicate = statement["predicate"]
        return Record(key, predicate["record"]["incident"], predicate["body"])
    except (ValueError, KeyError, TypeError) as error:
        raise Trouble(f"{key} is not a record: {error!r}") from error


def _await(aws: LocalAws, stack: Stack, watch: _Watch, kind: str, began: float) -> Record:
    while time.monotonic() - began < ANSWER_SECONDS:
        if record := watch.find(kind):
            return record
        time.sleep(POLL_SECONDS)
    raise Trouble(f"no {kind} record within {ANSWER_SECONDS:.0f} s. The function's log ends:\n{_function_log(aws, stack)}")


def _function_log(aws: LocalAws, stack: Stack) -> str:
    from deploy import client

    events = client(aws, "logs").filter_log_events(logGroupName=stack.outputs["LogGroup"])["events"]
    path = DRILL / "function.log"
    path.write_text("\n".join(event["message"].rstrip() for event in events) + "\n", encoding="utf-8")
    return f"{last_lines(path)}\n    (all of it: {shown(path)})"


def _sealed_after(ec2: Any, target: Target, began: float) -> float | None:
    """Milliseconds until we saw every interface in one other group, to within a poll; nothing if it did not happen."""
    from target import groups_of

    while time.monotonic() - began < ANSWER_SECONDS:
        now = {tuple(groups) for groups in groups_of(ec2, target.ids()).values()}
        if len(now) == 1 and not now & {tuple(groups) for groups in _before(target).values()}:
            return _since(began)
        time.sleep(POLL_SECONDS)
    return None


@dataclass(frozen=True)
class Seen:
    """What the drill read back itself, whatever the function says."""

    interfaces: list[dict[str, Any]]
    sealed: bool


def _look(story: Story, ec2: Any, target: Target) -> Seen:
    from target import groups_of, is_sealed

    before, after = _before(target), groups_of(ec2, target.ids())
    empty = {group: is_sealed(ec2, group) for group in {group for groups in after.values() for group in groups}}
    interfaces = []
    for interface in target.ids():
        sealed = len(after[interface]) == 1 and all(empty[group] for group in after[interface])
        tell = story.good if sealed else story.bad
        tell(f"{interface}: {' '.join(before[interface])} → {' '.join(after[interface])} ({'sealed' if sealed else 'NOT SEALED'})")
        state = "sealed" if sealed else "open"
        interfaces.append({"id": interface, "before": before[interface], "after": after[interface], "state": state})
    sealed = all(interface["state"] == "sealed" for interface in interfaces)
    if sealed:
        story.line("read back by the drill itself: the group has no rule, IPv4 or IPv6, in or out")
    return Seen(interfaces, sealed)


def _before(target: Target) -> dict[str, list[str]]:
    return {face["NetworkInterfaceId"]: sorted(group["GroupId"] for group in face["Groups"]) for face in target.interfaces}


def _thieves(story: Story, aws: LocalAws, cordon: Path, stack: Stack) -> tuple[list[Caught], str]:
    """Three kinds of stolen credentials, one after the other: each is reported, and refused. Answers the last outcome's key too."""
    from deploy import client
    from thieves import catch, thieves

    story.chapter("Stolen credentials")
    s3, bus = client(aws, "s3"), client(aws, "events")
    caught, key = [], ""
    stolen = thieves(aws, client(aws, "iam"), client(aws, "sts"))
    # What a responder looks at first, and the function's cold start with it: what follows is measured warm.
    argv = [cordon, "revoke", "--user", stolen[0].details["userName"], "--dry-run", "--function", stack.outputs["RevokeFunctionName"]]
    run_logged("cordon revoke --dry-run", argv, aws.environment(), WORK / "revoke-plan.log")
    story.line("what would be done about a user (cordon revoke --user … --dry-run)")
    story.quote((WORK / "revoke-plan.log").read_text(encoding="utf-8"))
    for thief in stolen:
        watch = _Watch(s3, stack.outputs["EvidenceBucket"], "revoke")

        def report(detail: dict[str, Any]) -> None:
            entry = {"Source": "cordon.drill", "DetailType": "GuardDuty Finding", "Detail": json.dumps(detail)}
            if bus.put_events(Entries=[entry])["FailedEntryCount"]:
                raise Trouble("the event bus refused the finding")

        one = catch(thief, report, aws)
        outcome = _await(aws, stack, watch, "outcome", time.monotonic())
        trips, key = outcome.body["round_trips"], outcome.key
        short = trips["evidence_before_first_change"] == EVIDENCE_TRIPS and trips["depth_to_denied"] <= DEPTH
        tell = story.good if one.good() and short else story.bad
        refused = f"refused {one.refused_after_ms:.0f} ms after the finding" if one.refused_after_ms else "STILL WORKS"
        neighbour = "its neighbour goes on" if one.neighbour_works else "ITS NEIGHBOUR IS HIT"
        tell(f"{one.what}: worked {one.calls_before} times, {refused}; {neighbour} ({trips['depth_to_denied']} round trips to the deny)")
        caught.append(replace(one, short=short))
    return caught, key


def _minutes(story: Story, aws: LocalAws, cordon: Path, stack: Stack) -> Minutes:
    """A role for minutes: asked for, approved by two, used, and taken away, by the commands that people type."""
    from deploy import client, deploy_targets
    from minutes import minutes

    story.chapter("Access for minutes")
    deploy_targets(aws, stack)
    granted = minutes(aws, stack, cordon, client(aws, "iam"), client(aws, "sts"))
    story.line(f"cordon access request, and two approvals: {granted.grant} works {granted.approved_to_usable_ms:.0f} ms after the second one")
    tell = story.good if granted.narrowed else story.bad
    tell("through credential_process: what the session policy allows is let through, and what it does not is refused" if granted.narrowed else "THE SESSION IS NOT NARROWED")
    tell = story.good if granted.good() else story.bad
    refused = f"refused {granted.ended_to_refused_ms:.0f} ms after cordon access revoke" if granted.ended_to_refused_ms else "STILL WORKS"
    tell(f"{refused}; {'another session of the role goes on' if granted.neighbour_works else 'ANOTHER SESSION OF THE ROLE IS HIT'}")
    return granted


def _prove(story: Story, aws: LocalAws, cordon: Path, stack: Stack, told: Told, last: str, root: str) -> bool:
    from deploy import client

    story.chapter("The proof")
    began = time.monotonic()
    _sealed(client(aws, "s3"), stack, told.key, began)
    checkpoint = _sealed(client(aws, "s3"), stack, last, began)
    origin, size, head = checkpoint.splitlines()[:3]
    story.line(f"sealed into the log {origin}: {size} leaves, root {head} ({_since(began) / 1000:.1f} s after the last outcome)")
    _cordon(story, aws, ["archive", f"s3://{stack.outputs['EvidenceBucket']}", EVIDENCE], cordon)
    trust = [f"--root={root}"]
    verified = _cordon(story, aws, ["verify", EVIDENCE, *trust, "--release", RELEASE], cordon)
    report = ["timeline", told.incident or "", EVIDENCE, *trust, "--format", "html", "--output", TIMELINE]
    return verified and _cordon(story, aws, report, cordon)


def _sealed(s3: Any, stack: Stack, key: str, began: float) -> str:
    """The checkpoint under which the outcome is, as soon as it is published."""
    bucket, tiles = stack.outputs["EvidenceBucket"], stack.outputs["TileBucket"]
    while time.monotonic() - began < SEAL_SECONDS:
        for entry in s3.list_objects_v2(Bucket=bucket, Prefix="log/batch/").get("Contents", []):
            batch = json.loads(s3.get_object(Bucket=bucket, Key=entry["Key"])["Body"].read())
            if any(item.get("record", {}).get("key") == key for item in batch["entries"]):
                note = _published(s3, tiles)
                if note and int(note.splitlines()[1]) >= batch["size"]:
                    return note
        time.sleep(POLL_SECONDS)
    raise Trouble(f"{key} was not sealed within {SEAL_SECONDS:.0f} s: see the log of {stack.outputs['SealFunctionName']}")


def _published(s3: Any, bucket: str) -> str | None:
    if not s3.list_objects_v2(Bucket=bucket, Prefix="checkpoint").get("KeyCount"):
        return None
    return s3.get_object(Bucket=bucket, Key="checkpoint")["Body"].read().decode()


def _cordon(story: Story, aws: LocalAws, arguments: list[str | Path], cordon: Path) -> bool:
    """Run `cordon evidence …` before the reader's eyes."""
    shown_arguments = [shown(argument) if isinstance(argument, Path) else argument for argument in arguments]
    story.line(f"cordon evidence {' '.join(shown_arguments)}")
    log = WORK / "cordon.log"
    command = Command([cordon, "evidence", *arguments], aws.environment(), log=log)
    try:
        code = command.wait()
    finally:
        command.stop()
    story.quote(log.read_text(encoding="utf-8", errors="replace"))
    return code == 0


def _report(told: Told, seen: Seen, caught: list[Caught]) -> dict[str, Any]:
    """The function's own words from its signed record, beside what the drill saw."""
    return {
        "outcome": told.outcome.get("state"),
        "incident": told.incident,
        "interfaces": seen.interfaces,
        "round_trips": told.body.get("round_trips", {}),
        "milliseconds": told.body.get("timings", {}) | told.milliseconds,
        "revocations": [asdict(one) for one in caught],
    }


def _steps(body: dict[str, Any]) -> list[str]:
    """The plan in plain words, a line for each action."""
    return [_in_words(step["action"]) for step in body.get("steps", [])]


def _in_words(action: dict[str, Any]) -> str:
    (verb, what), *_ = action.items()
    match verb:
        case "create_group":
            return f"create the sealed group {what['name']} in {what['vpc']}"
        case "empty_group":
            return f"take every rule off {_group(what['group'])}"
        case "swap_groups":
            return f"move {what['interface']} from {', '.join(what['from']) or 'no group'} to {_group(what['to'])}"
        case "tag":
            return f"tag {what['instance']} with its incident and where the intent is"
        case _:
            return json.dumps(action, sort_keys=True)


def _group(sealed: dict[str, str]) -> str:
    return sealed.get("known") or f"the new sealed group of {sealed.get('created')}"


def _verdict(
    story: Story, report: dict[str, Any], seen: Seen, caught: list[Caught], granted: Minutes, verified: bool
) -> bool:
    story.chapter("The verdict")
    contained = report["outcome"] == "Contained"
    trips = report["round_trips"]
    short = trips.get("evidence_before_first_change") == EVIDENCE_TRIPS and trips.get("depth_to_sealed", DEPTH + 1) <= DEPTH
    revoked = all(one.good() for one in caught)
    if contained and seen.sealed and revoked and granted.good() and verified and short:
        slowest = max(one.refused_after_ms or 0 for one in caught)
        contained_in = f"Contained in {report['milliseconds'].get('finding_to_sealed', 0):.0f} ms from the finding"
        story.good(f"{contained_in}, stolen credentials refused in {slowest:.0f} ms at most, and proved")
        return True
    for holds, text in (
        (contained, f"the function says {report['outcome']}, not Contained"),
        (seen.sealed, "the drill itself does not find every interface sealed"),
        (revoked, "a stolen credential still works, or a neighbour's does not"),
        (granted.good(), "a session that was granted is not narrowed, or does not end, or ends with another's"),
        (verified, "the evidence does not verify"),
        (short, f"the way was longer than {EVIDENCE_TRIPS} evidence round trip and {DEPTH} in all: {trips}"),
    ):
        if not holds:
            story.bad(text)
    return False


def _since(began: float) -> float:
    return round((time.monotonic() - began) * 1000, 1)


if __name__ == "__main__":
    run_main(drill)
