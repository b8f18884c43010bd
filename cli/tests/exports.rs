//! What the program exports, held to its readers' own tools: strangers that have never heard of Cordon accept it, and refuse it once it is
//! not what it should be. And the same evidence as pages and lists, as a user gets them.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test may stop at the first surprise"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use evidence::PublicKey;
use evidence::log::{Batch, Checkpoint, Edge, Entry, Sealed, batch_key, checkpoint_key};
use ids::{Sha256, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

#[expect(dead_code, reason = "the reports' own tests need more of it")]
#[path = "../../shared/report/tests/it/story.rs"]
mod story;

use story::{Course, MINING, Story};

/// An archive: what was written, sealed in a log under a checkpoint, and a folder beside it for what is made of it.
struct Archive {
    evidence: TempDir,
    out: TempDir,
    listed: Vec<Value>,
}

impl Archive {
    fn put(&mut self, key: &str, bytes: &[u8], stored: Timestamp) -> String {
        let path = self.evidence.path().join(key);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, bytes).unwrap();
        let version = format!("v{}", self.listed.len());
        self.listed.push(json!({
            "key": key, "version_id": version, "latest": true, "delete_marker": false, "last_modified": stored, "size": bytes.len(),
            "sha256": Sha256::of(bytes), "retain_until": null, "mode": "COMPLIANCE", "path": key,
        }));
        version
    }

    /// All of `story`, the last `unsealed` records of which are in no batch yet.
    fn of(story: &Story, unsealed: usize) -> Self {
        let mut archive = Self { evidence: TempDir::new().unwrap(), out: TempDir::new().unwrap(), listed: Vec::new() };
        let mut entries = Vec::new();
        let mut newest = story::at(0);
        for (signed, stored) in story.written() {
            let version = archive.put(&signed.key.to_string(), &signed.bytes, stored);
            let (key, sha256, kind) = (signed.key.clone(), Sha256::of(&signed.bytes), signed.key.kind);
            entries.push(Entry::Record(Sealed { key, version, sha256, stored, kind, incident: None, due: None }));
            newest = newest.max(stored);
        }
        entries.truncate(entries.len() - unsealed);
        let sealer = SigningKey::from_slice(&[2; 32]).unwrap();
        let public = PublicKey::of(sealer.verifying_key()).unwrap();
        let time = newest.plus(std::time::Duration::from_secs(30));
        archive.put(&format!("keys/seal/{}.der", public.fingerprint()), public.der(), time);
        let batch = Batch::next("example.com/cordon", None, &Edge::default(), time, entries).unwrap();
        archive.put(&batch_key(1), &batch.to_bytes().unwrap(), time);
        let checkpoint = Checkpoint { origin: "example.com/cordon".to_owned(), size: batch.size, root: batch.root };
        let signature: Signature = sealer.sign_prehash(checkpoint.digest().as_bytes()).unwrap();
        let note = checkpoint.note(signature.to_der().as_bytes(), &public).unwrap();
        archive.put(&checkpoint_key(batch.size), note.as_bytes(), time);
        let list =
            json!({"format": "cordon-archive/v1", "bucket": "evidence", "taken_at": time, "objects": archive.listed}).to_string();
        fs::write(archive.evidence.path().join("versions.json"), list).unwrap();
        archive
    }

    fn path(&self) -> &str {
        self.evidence.path().to_str().unwrap()
    }

    /// A file for what is made of the evidence.
    fn out(&self, name: &str) -> PathBuf {
        self.out.path().join(name)
    }

    /// `cordon evidence …` on this archive, into a file.
    fn make(&self, arguments: &[&str], name: &str) -> PathBuf {
        let file = self.out(name);
        let mut command = cordon();
        command.args(arguments).arg(self.path()).arg("--output").arg(&file);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        file
    }

    fn text(&self, arguments: &[&str]) -> String {
        let output = cordon().args(arguments).arg(self.path()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }
}

fn cordon() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.arg("evidence");
    command
}

/// Two incidents that went well, one that did not, one drill.
fn story() -> Story {
    let mut story = Story::new();
    story.goes(&MINING);
    story.goes(&Course { name: "refused", received: 60_000, severity: "9.10", refused: true, ..MINING });
    story.goes(&Course { name: "drill", source: "drill", received: 120_000, ..MINING });
    story.goes(&Course { name: "mild", severity: "5.00", received: 180_000, ..MINING });
    story
}

/// A Python stranger that `tests/strangers/prepare.sh` gets ready; none if it could not come. On a build server all must come.
fn stranger(script: &str) -> Option<Command> {
    let home = std::env::var_os("CORDON_STRANGERS").map(PathBuf::from).filter(|home| home.join("python").exists());
    let Some(home) = home else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "the Python strangers are missing: see tests/strangers/prepare.sh");
        eprintln!("not checked: `{script}` needs Python packages that `make test` gets");
        return None;
    };
    let mut command = Command::new(home.join("python"));
    command.current_dir(&home).arg(script);
    Some(command)
}

/// What a stranger says of each file: starting one takes seconds, so it is given all of them.
#[track_caller]
fn verdicts(mut command: Command, files: &[PathBuf]) -> Vec<Result<(), String>> {
    let output = command.args(files).output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    let verdict = |file: &PathBuf| {
        let name = file.to_str().unwrap();
        if said.lines().any(|line| line == format!("accepted {name}")) {
            return Ok(());
        }
        let refused = said.lines().find_map(|line| line.strip_prefix(&format!("refused {name}: ")));
        // Anything else is a crash of theirs, and no verdict.
        Err(refused.unwrap_or_else(|| panic!("{name}: {said}{}", String::from_utf8_lossy(&output.stderr))).to_owned())
    };
    let verdicts: Vec<_> = files.iter().map(verdict).collect();
    assert_eq!(output.status.code(), Some(i32::from(verdicts.iter().any(Result::is_err))));
    verdicts
}

/// A file among those that are to be refused, and a word that must be in the reason.
struct Forged {
    archive: Archive,
    files: Vec<PathBuf>,
    why: Vec<String>,
}

impl Forged {
    fn of(archive: Archive) -> Self {
        Self { archive, files: Vec::new(), why: Vec::new() }
    }

    fn add(&mut self, text: &str, why: &str) {
        // trestle goes by the name.
        let file = self.archive.out(&format!("forged-{}.json", self.files.len()));
        fs::write(&file, text).unwrap();
        self.files.push(file);
        self.why.push(why.to_owned());
    }

    /// The stranger accepts `whole`, and refuses each of the others for its reason.
    #[track_caller]
    fn all_refused(&self, command: Command, whole: &Path) {
        let verdicts = verdicts(command, &[&[whole.to_owned()], self.files.as_slice()].concat());
        assert_eq!(verdicts[0], Ok(()));
        for (verdict, why) in verdicts[1..].iter().zip(&self.why) {
            let said = verdict.clone().expect_err(why);
            assert!(said.contains(why), "{why}: {said}");
        }
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn compliance_trestle_reads_what_is_exported_as_oscal() {
    let archive = Archive::of(&story(), 0);
    let results = archive.make(&["export", "--format", "oscal"], "results.json");
    let plan = archive.out("assessment-plan.json");
    let Some(mut command) = stranger("oscal.py") else { return };
    let whole = json(&results);
    let mut forged = Forged::of(archive);
    let mut forge = |why: &str, change: &dyn Fn(&mut Value)| {
        let mut changed = whole.clone();
        change(&mut changed["assessment-results"]);
        forged.add(&changed.to_string(), why);
    };
    let without = |from: &mut Value, name: &str| assert!(from.as_object_mut().unwrap().remove(name).is_some(), "{name}");
    forge("import-ap", &|results| without(results, "import-ap"));
    forge("reviewed-controls", &|results| without(&mut results["results"][0], "reviewed-controls"));
    forge("collected", &|results| without(&mut results["results"][0]["observations"][0], "collected"));
    forge("uuid", &|results| results["uuid"] = "66c9a008".into());
    forge("target-id", &|results| results["results"][0]["findings"][0]["target"]["target-id"] = "ir-4(1)".into());
    forge("surprise", &|results| results["surprise"] = 1.into());
    forge("import `another.json`", &|results| results["import-ap"]["href"] = "another.json".into());
    // The same UUID twice, which no single field shows.
    forge("duplicate uuids", &|results| {
        let first = results["results"][0]["observations"][0]["uuid"].clone();
        results["results"][0]["observations"][1]["uuid"] = first;
    });
    command.arg(&plan);
    forged.all_refused(command, &results);
    // And a plan that is none.
    let other = forged.archive.out("other-plan.json");
    fs::write(&other, json(&plan).to_string().replace("import-ssp", "import-sp")).unwrap();
    let mut command = stranger("oscal.py").unwrap();
    command.arg(&other);
    assert!(verdicts(command, &[results])[0].as_ref().is_err_and(|said| said.contains("import-ssp")));
}

#[test]
fn ocsf_events_are_those_of_the_released_schema() {
    let archive = Archive::of(&story(), 0);
    let plain = archive.make(&["export", "--format", "ocsf"], "plain.jsonl");
    let Some(command) = stranger("ocsf.py") else { return };
    let lines: Vec<Value> = fs::read_to_string(&plain).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let classes: std::collections::BTreeSet<u64> = lines.iter().map(|event| event["class_uid"].as_u64().unwrap()).collect();
    assert_eq!(classes.into_iter().collect::<Vec<_>>(), [2005, 7001]);
    let mut forged = Forged::of(archive);
    for (class, path, value) in [
        (7001, "/command_uid", None),
        (7001, "/metadata/product", None),
        (2005, "/finding_info_list", None),
        (2005, "/finding_info_list/0/uid", None),
        (7001, "/activity_id", Some(json!(17))),
        (7001, "/time", Some(json!("2026-11-24T00:00:00Z"))),
        (2005, "/cloud/provider", None),
        (7001, "/evidence_standing", Some(json!("an attribute that no class has"))),
    ] {
        let mut event = lines.iter().find(|event| event["class_uid"] == class).unwrap().clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        let fields = event.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            None => assert!(fields.remove(name).is_some(), "{path}"),
            Some(value) => drop(fields.insert(name.to_owned(), value)),
        }
        forged.add(&event.to_string(), name);
    }
    forged.all_refused(command, &plain);
}

#[test]
fn attested_events_show_what_was_changed_or_taken_out() {
    let archive = Archive::of(&story(), 0);
    let attested = archive.make(&["export", "--format", "ocsf", "--profile", "record_integrity"], "attested.jsonl");
    let Some(command) = stranger("ocsf.py") else { return };
    let whole = fs::read_to_string(&attested).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    assert_eq!(lines.len(), 12);
    let mut forged = Forged::of(archive);
    // A word, the digest of the record behind it, a link.
    for (path, value) in [
        ("/message", "all is well"),
        ("/unmapped/record_sha256", "00"),
        ("/attestation_list/0/prev_event/uid", "another"),
        ("/attestation_list/0/chain_uid", "another"),
        ("/attestation_list/0/fingerprint/value", "00"),
    ] {
        let mut event: Value = serde_json::from_str(lines[7]).unwrap();
        *event.pointer_mut(path).unwrap() = value.into();
        let changed = event.to_string();
        let mut all = lines.clone();
        all[7] = &changed;
        forged.add(&all.join("\n"), "not what its fingerprint was made of");
    }
    let mut dropped = lines.clone();
    dropped.remove(5);
    forged.add(&dropped.join("\n"), "the event before it in its chain is missing");
    forged.add(&[lines.as_slice(), &lines[3..4]].concat().join("\n"), "two events have the same metadata.uid");
    forged.add(&whole.replacen("\"chain_uid\"", "\"chain_id\"", 1), "chain_id");
    // What a schema before 1.9.0 does not know, it refuses: the reason why one has to ask for it.
    forged.add(&whole.replace("\"1.9.0\"", "\"1.6.0\""), "attestation_list");
    forged.all_refused(command, &attested);
}

#[test]
fn timesketch_and_iris_read_a_timeline() {
    let incident = story::incident("refused").to_string();
    for (what, forgeries) in [
        (
            "timesketch",
            [
                ("+00:00\"", "\"", "no offset"),
                ("000,\"timestamp_desc\"", ",\"timestamp_desc\"", "not datetime in microseconds"),
                ("\"message\":", "\"massage\":", "no message"),
            ],
        ),
        (
            "iris",
            [
                ("event_date,event_tz", "event_tz,event_date", "the header is"),
                (",+00:00,", ",,", "does not match format"),
                (",cordon quarantine,,,", ",cordon quarantine,i-99999999,,", "names assets"),
            ],
        ),
    ] {
        let archive = Archive::of(&story(), 0);
        let made = archive.make(&["timeline", &incident, "--format", what], what);
        let Some(mut command) = stranger("tables.py") else { return };
        let mut forged = Forged::of(archive);
        for (from, to, why) in forgeries {
            let whole = fs::read_to_string(&made).unwrap();
            assert!(whole.contains(from), "{from}: {whole}");
            forged.add(&whole.replacen(from, to, 1), why);
        }
        command.arg(what);
        forged.all_refused(command, &made);
    }
}

/// A page that fetches nothing tells nobody that it was opened, and looks the same in ten years.
#[test]
fn a_page_is_one_file() {
    let archive = Archive::of(&story(), 0);
    let incident = story::incident("mining").to_string();
    for page in [
        archive.make(&["timeline", &incident, "--format", "html"], "timeline.html"),
        archive.make(&["slo", "--format", "html"], "slo.html"),
    ] {
        let html = fs::read_to_string(&page).unwrap();
        let lower = html.to_lowercase();
        for loads in [
            "http://",
            "https://",
            "<script",
            "javascript:",
            " src=",
            "srcset",
            "url(",
            "@import",
            "<link",
            "<iframe",
            "<object",
            " onload=",
        ] {
            assert!(!lower.contains(loads), "{}: {loads}", page.display());
        }
        assert!(html.contains("default-src 'none'") && html.contains("width=device-width"), "{}", page.display());
    }
}

#[test]
fn a_population_is_proved_by_the_log_of_an_archive() {
    let archive = Archive::of(&story(), 0);
    let text = archive.text(&["population", "--from", "2026-11-01", "--to", "2026-12-01"]);
    assert!(text.contains("4 incidents from") && text.contains(", proved\nProved: every one of the 8 records"), "{text}");
    assert!(text.contains("log/cp/000000000009.note") && text.contains("in the log: leaves 1 2"), "{text}");
    // The batch that names them is known, and of the last two records it does not.
    let archive = Archive::of(&story(), 2);
    let json: Value = serde_json::from_str(&archive.text(&["population", "--format", "json"])).unwrap();
    assert_eq!((&json["complete"], &json["total"], &json["sealed"]), (&json!(true), &json!(4), &json!(3)));
    assert!(json["completeness"].as_str().unwrap().contains("2 records of the period are not in the log yet"), "{json}");
    assert_eq!(json["evidence"]["tree"]["signed"], 7);
    // Without the log nothing is proved.
    fs::remove_dir_all(archive.evidence.path().join("log")).unwrap();
    fs::remove_file(archive.evidence.path().join("versions.json")).unwrap();
    let text = archive.text(&["population"]);
    assert!(
        text.contains("4 incidents") && text.contains("NOT PROVED") && text.contains("Not proved: no sealed log is here"),
        "{text}"
    );
}
