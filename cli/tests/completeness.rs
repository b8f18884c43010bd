//! The evidence beside CloudTrail, as a user asks for it: folders of log files as `aws s3 sync` leaves them.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use evidence::{Draft, Endorsement, Kind, Link, PublicKey, RecordId, RecordKey, Session, Subject};
use flate2::Compression;
use flate2::write::GzEncoder;
use ids::{SessionId, Sha256, SignalId, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

const ROLE: &str = "quarantine=arn:aws:iam::123456789012:role/QuarantineRole";

fn at(seconds: i64) -> Timestamp {
    let base: Timestamp = "2026-11-23T02:00:00Z".parse().unwrap();
    Timestamp::from_millis(base.millis() + 1000 * seconds).unwrap()
}

/// A folder with one containment in it, and its records' keys.
fn evidence() -> (TempDir, Vec<RecordKey>) {
    let folder = TempDir::new().unwrap();
    let mut session = Session::new(SessionId::from_random([7; 16]), SigningKey::from_slice(&[7; 32]).unwrap()).unwrap();
    let kms = SigningKey::from_slice(&[1; 32]).unwrap();
    let endorsement = Endorsement {
        session: session.id().clone(),
        session_key: session.public_key().clone(),
        function: "quarantine".parse().unwrap(),
        code_sha256: None,
        not_before: at(-60),
        not_after: at(3600),
        endorser: PublicKey::of(kms.verifying_key()).unwrap(),
    };
    let unsigned = endorsement.prepare().unwrap();
    let signature: Signature = kms.sign_prehash(unsigned.digest().as_bytes()).unwrap();
    session.endorse(unsigned.finish(signature.to_der().as_bytes()).unwrap());

    let step = json!({"wave": 0, "action": {"tag": {"instance": "i-99999999", "tags": {}}}});
    let call = json!({"service": "EC2", "operation": "CreateTags", "request_id": "request-1", "status": 200, "attempts": 1,
        "started": at(2), "ended": at(3)});
    let outcome = json!({"outcome": {"state": "Contained", "steps": [{"step": 0, "did": "accepted", "request_id": "request-1"}]}, "calls": [call]});
    let mut keys = Vec::new();
    let mut answers: Option<Link> = None;
    for (kind, time, body) in [(Kind::Intent, at(1), json!({"steps": [step]})), (Kind::Outcome, at(4), outcome)] {
        let signal = SignalId::of_bytes(&Sha256::of(b"cause"));
        let id = RecordId::derive(&"quarantine".parse().unwrap(), None, &signal);
        let signed = session
            .sign(Draft {
                key: RecordKey::new("quarantine".parse().unwrap(), at(1), id, 1, kind),
                subject: vec![Subject::new("finding/1", Sha256::of(b"finding"))],
                incident: None,
                signal,
                time,
                answers: answers.take(),
                due: (kind == Kind::Intent).then(|| at(900)),
                playbook: Sha256::of(b"playbook"),
                rule: None,
                controls: Vec::new(),
                anomalies: Vec::new(),
                body,
            })
            .unwrap();
        session.kept(&signed);
        let path = folder.path().join(signed.key.to_string());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, &signed.bytes).unwrap();
        keys.push(signed.key.clone());
        answers = Some(signed.link());
    }
    (folder, keys)
}

fn event(request: &str, seconds: i64, name: &str, role: &str) -> Value {
    json!({
        "eventVersion": "1.11", "eventID": format!("event-of-{request}"), "requestID": request, "eventTime": at(seconds).to_string(),
        "eventSource": "ec2.amazonaws.com", "eventName": name, "awsRegion": "us-east-1", "recipientAccountId": "123456789012",
        "readOnly": false, "eventCategory": "Management", "sourceIPAddress": "192.0.2.66",
        "requestParameters": {"resourcesSet": {"items": [{"resourceId": "i-99999999"}]}},
        "userIdentity": {"type": "AssumedRole", "arn": format!("arn:aws:sts::123456789012:assumed-role/{role}/x"),
            "sessionContext": {"sessionIssuer": {"type": "Role", "arn": format!("arn:aws:iam::123456789012:role/{role}")}}},
    })
}

fn gzipped(text: &str) -> Vec<u8> {
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(text.as_bytes()).unwrap();
    gzip.finish().unwrap()
}

/// A copy of a trail's bucket: two log files, a digest, Insights, and something else.
fn trail(events: &[Value]) -> TempDir {
    let folder = TempDir::new().unwrap();
    let at = |path: &str| {
        let path = folder.path().join("AWSLogs/123456789012").join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        path
    };
    let day = "CloudTrail/us-east-1/2026/11/23";
    let name = |n: u8| format!("{day}/123456789012_CloudTrail_us-east-1_20261123T020{n}Z_abc.json.gz");
    let (first, rest) = events.split_at(events.len() / 2);
    fs::write(at(&name(5)), gzipped(&json!({ "Records": first }).to_string())).unwrap();
    // A file that was put together of two compressed ones is one file, too.
    let (one, two) = rest.split_at(rest.len() / 2);
    let lines = |events: &[Value]| gzipped(&events.iter().map(|event| format!("{event}\n")).collect::<String>());
    fs::write(at(&format!("{day}/more.jsonl.gz")), [lines(one), lines(two)].concat()).unwrap();
    fs::write(at("CloudTrail-Digest/us-east-1/2026/11/23/digest.json.gz"), gzipped("{}")).unwrap();
    fs::write(at("CloudTrail-Insight/us-east-1/2026/11/23/insight.json.gz"), gzipped("{}")).unwrap();
    fs::write(at("README.txt"), "not events").unwrap();
    folder
}

fn told() -> Vec<Value> {
    vec![
        event("before", -600, "RunInstances", "Alice"),
        event("request-1", 3, "CreateTags", "QuarantineRole"),
        event("after", 3000, "RunInstances", "Alice"),
    ]
}

fn cordon(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cordon")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

fn completeness(evidence: &Path, trail: &Path, more: &[&str]) -> (Option<i32>, String) {
    let basic = ["evidence", "completeness", evidence.to_str().unwrap(), "--trail", trail.to_str().unwrap()];
    cordon(&[&basic[..], more].concat())
}

#[test]
fn a_bucket_of_log_files_that_agrees_is_complete() {
    let (evidence, _) = evidence();
    let trail = trail(&told());
    let (code, text) = completeness(evidence.path(), trail.path(), &["--role", ROLE]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.starts_with("SELF-CONSISTENT: "), "{text}");
    for line in [
        "COMPLETE as far as this trail goes: it has the one change in the evidence",
        "3 events in 2 files, from 2026-11-23T01:50:00.000Z to 2026-11-23T02:50:00.000Z",
        "left out, events of other principals: 2",
        "left out, digest files: 1",
        "left out, files of Insights events: 1",
        "left out, files of other names: 1",
        "`aws cloudtrail validate-logs`",
    ] {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
}

#[test]
fn a_change_that_nothing_announced_is_a_finding() {
    let (evidence, _) = evidence();
    let mut events = told();
    events.push(event("stranger", 1800, "TerminateInstances", "QuarantineRole"));
    let trail = trail(&events);
    let (code, text) = completeness(evidence.path(), trail.path(), &["--role", ROLE]);
    assert_eq!(code, Some(1), "{text}");
    let line = "UNANNOUNCED: no record names this call, and no open intent announced it; it is later than every record here";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("ec2 TerminateInstances on i-99999999 in us-east-1, by arn:aws:sts::123456789012:assumed-role/QuarantineRole/x from 192.0.2.66"), "{text}");

    let (code, text) = completeness(evidence.path(), trail.path(), &["--role", ROLE, "--format", "json"]);
    assert_eq!(code, Some(1), "{text}");
    let (json, said) = text.split_once("\n}\n").unwrap();
    let json: Value = serde_json::from_str(&(json.to_owned() + "}")).unwrap();
    assert_eq!(
        (&json["complete"], &json["findings"][0]["kind"], &json["findings"][0]["request_id"]),
        (&json!(false), &json!("unannounced"), &json!("stranger"))
    );
    assert!(said.starts_with("SELF-CONSISTENT: "), "{said}");

    // It is outside this period.
    let period = ["--role", ROLE, "--from", "2026-11-23T02:00:00Z", "--to", "2026-11-23T02:20:00Z"];
    let (code, text) = completeness(evidence.path(), trail.path(), &period);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("left out, calls outside the period: 1"), "{text}");
    // And of nobody who was asked about.
    let (code, text) = completeness(evidence.path(), trail.path(), &["--role", "revoke=arn:aws:iam::123456789012:role/RevokeRole"]);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("NOT SHOWN TO BE COMPLETE") && text.contains("no record of `revoke`"), "{text}");
}

/// Own writes are known by bucket and key, and the buckets are whoever asks to name. These records have no log, so no copy is of one.
#[test]
fn the_buckets_of_own_writes_are_given() {
    let (evidence, _) = evidence();
    let put = |bucket: &str, key: &str| {
        let mut put = event(&format!("put-{key}"), 10, "PutObject", "QuarantineRole");
        put["eventSource"] = "s3.amazonaws.com".into();
        put["requestParameters"] = json!({"bucketName": bucket, "key": key});
        put
    };
    let with = |puts: &[Value], more: &[&str]| {
        let trail = trail(&[&told()[..], puts].concat());
        completeness(evidence.path(), trail.path(), &[&["--role", ROLE.trim_start_matches("quarantine=")], more].concat())
    };
    let puts = [put("mine", "keys/quarantine/x"), put("tiles", "tile/0/000")];
    let (code, text) = with(&puts, &[]);
    assert!(code == Some(0) && text.contains("give --evidence-bucket") && text.contains("give --tile-bucket"), "{text}");
    assert!(text.contains("written to mine: 1") && text.contains("written to tiles: 1"), "{text}");
    let (code, text) = with(&puts, &["--evidence-bucket", "mine", "--tile-bucket", "tiles"]);
    assert!(code == Some(0) && !text.contains("give --"), "{text}");
    let (code, text) = with(&puts, &["--evidence-bucket", "mine", "--tile-bucket", "others"]);
    assert!(code == Some(1) && text.contains("1 FINDING: 1 unannounced"), "{text}");
    let copied = [put("copies", "cordon/x/8.note")];
    let (code, text) = with(&copied, &[]);
    assert!(code == Some(1) && text.contains("1 FINDING: 1 unannounced"), "{text}");
    let (code, text) = with(&copied, &["--copy-bucket", "copies"]);
    assert!(
        code == Some(1) && text.contains("MISSING: the checkpoint over 8 leaves was copied, and is not in the evidence"),
        "{text}"
    );
}

#[test]
fn a_trail_that_cannot_be_read_to_its_end_is_never_complete() {
    let (evidence, _) = evidence();
    let trail = trail(&told());
    let whole = gzipped(&json!({"Records": told()}).to_string());
    let file = trail.path().join("AWSLogs/cut.json.gz");
    // The end of the stream, its checksum, or what it holds.
    for (bytes, why) in [
        (whole.get(..whole.len() - 30).unwrap().to_vec(), "the file could not be read on"),
        (whole.get(..whole.len() - 4).unwrap().to_vec(), "the file could not be read on"),
        (gzipped(r#"{"Records":[{"eventVersion":"1.11"}]}"#), "`eventSource` is missing"),
        (gzipped(r#"{"Events":[],"NextToken":"x"}"#), "the listing was cut off"),
    ] {
        fs::write(&file, bytes).unwrap();
        let (code, text) = completeness(evidence.path(), trail.path(), &["--role", ROLE]);
        assert_eq!(code, Some(3), "{text}");
        assert!(text.contains("part of the trail could not be read"), "{text}");
        assert!(
            text.lines().any(|line| line.contains("not read: ") && line.contains("cut.json.gz: ") && line.contains(why)),
            "{why}: {text}"
        );
    }
}

#[test]
fn evidence_that_does_not_hold_is_said_first() {
    let (evidence, keys) = evidence();
    let trail = trail(&told());
    let outcome = evidence.path().join(keys.get(1).unwrap().to_string());
    let mut bytes = fs::read(&outcome).unwrap();
    let middle = bytes.len() / 2;
    *bytes.get_mut(middle).unwrap() ^= 1;
    fs::write(&outcome, bytes).unwrap();
    let (code, text) = completeness(evidence.path(), trail.path(), &["--role", ROLE]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("FAILED: ") && text.contains("UNCONCLUDED: an intent announced this change"), "{text}");
}

#[test]
fn what_is_asked_wrongly_is_said_at_once() {
    let (evidence, _) = evidence();
    let trail = trail(&told());
    let nowhere = trail.path().join("nowhere");
    let (code, text) = completeness(evidence.path(), &nowhere, &["--role", ROLE]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("there is no trail at `") && text.contains("nowhere"), "{text}");
    let empty = TempDir::new().unwrap();
    let (code, text) = completeness(evidence.path(), empty.path(), &["--role", ROLE]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("holds no file of events"), "{text}");
    for wrong in
        [&[][..], &["--role", "QuarantineRole"], &["--role", ROLE, "--from", "2026-11-23"], &["--role", ROLE, "--delay", "-1"]]
    {
        let (code, text) = completeness(evidence.path(), trail.path(), wrong);
        assert_eq!(code, Some(2), "{wrong:?}: {text}");
    }
    let period = ["--role", ROLE, "--from", "2026-11-23", "--to", "2026-11-22"];
    let (code, text) = completeness(evidence.path(), trail.path(), &period);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("the period ends at"), "{text}");
}

const RECORD: &str = "rec/quarantine/2026/11/23/02/13/66c9a00821b4aa9e84d0197b52721204.1-intent.json";

/// What is said of that record with these samples beside the evidence.
fn custody(evidence: &Path, samples: &[&str], more: &[&str]) -> (Option<i32>, String) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/cloudtrail");
    let paths: Vec<PathBuf> = samples.iter().map(|name| folder.join(name)).collect();
    let mut arguments = vec!["evidence", "custody", RECORD, evidence.to_str().unwrap()];
    arguments.extend(paths.iter().flat_map(|path| ["--trail", path.to_str().unwrap()]));
    arguments.extend(more);
    cordon(&arguments)
}

#[test]
fn custody_says_who_touched_a_record() {
    let archive = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/records/v1/archive");
    // The archive says which bucket it is of, and the samples are of another: nothing in them is about this record.
    let (code, text) = custody(&archive, &["s3-get-object.json"], &[]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("by CloudTrail: 0 accesses among 1 event in 1 file"), "{text}");
    // Without its list it may be of any.
    let folder = TempDir::new().unwrap();
    let inside = folder.path().join(RECORD);
    fs::create_dir_all(inside.parent().unwrap()).unwrap();
    fs::copy(archive.join(RECORD), &inside).unwrap();
    let of = |names: &[&str], more: &[&str]| custody(folder.path(), names, more);
    let role = ["--role", "quarantine=arn:aws:iam::123456789012:role/cordon-QuarantineRole-1A2B3C4D5E6F"];
    let all = [
        "s3-put-object.json",
        "s3-get-object.json",
        "s3-get-object-denied.json",
        "s3-delete-object-denied.json",
        "s3-list-object-versions.json",
        "s3-copy-object.json",
    ];
    let (_, text) = of(&all, &role);
    for line in [
        "by CloudTrail: 6 accesses among 6 events in 6 files",
        "PutObject by arn:aws:sts::123456789012:assumed-role/cordon-QuarantineRole-1A2B3C4D5E6F/cordon-quarantine",
        "GetObject by arn:aws:iam::123456789012:user/mallory from 192.0.2.66, refused (AccessDenied), in cordon-evidence",
        "notice: arn:aws:iam::123456789012:user/mallory tried to delete it",
        "CopyObject by arn:aws:sts::123456789012:assumed-role/AWSReservedSSO_Auditor_0123456789abcdef/alice@example.com",
    ] {
        assert!(text.contains(line), "`{line}` is not in\n{text}");
    }
    assert!(!text.contains("FINDING"), "{text}");
    let (code, text) = of(&["s3-put-object.json"], &["--role", "quarantine=arn:aws:iam::123456789012:role/Another", "--json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("which is not the role of `quarantine`, wrote it"), "{text}");
    let (code, text) = of(&[], &role);
    assert_eq!(code, Some(2), "a role without a trail says nothing: {text}");
}
