//! An archive as large as one likes, verified by the program as it is built.
//!
//! `CORDON_SCALE` is the number of records (3,000 if not given), `CORDON_BIN` another build of the program. A second archive of a fifth of
//! that shows that memory does not grow with it. By hand, for the figures in
//! `docs/architecture.md`: `CORDON_SCALE=100000 CORDON_BIN=… cargo nextest run --workspace --no-capture -E 'test(an_archive_of_any_size)'`.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use evidence::log::{Batch, Checkpoint, Edge, Entry, Sealed, batch_key, checkpoint_key};
use evidence::{Draft, Endorsement, Kind, PublicKey, RecordId, RecordKey, Session};
use ids::{IncidentId, SessionId, Sha256, SignalId, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value, json};
use tempfile::TempDir;

const LOG: &str = "example.com/cordon";
/// A sandbox handles so many incidents before another takes its place.
const PER_SESSION: usize = 200;

fn key(n: u8) -> (SigningKey, PublicKey) {
    let key = SigningKey::from_slice(&[n; 32]).unwrap();
    let public = PublicKey::of(key.verifying_key()).unwrap();
    (key, public)
}

fn sign(key: &SigningKey, digest: Sha256) -> Vec<u8> {
    let signature: Signature = key.sign_prehash(digest.as_bytes()).unwrap();
    signature.to_der().as_bytes().to_vec()
}

struct Archive {
    folder: TempDir,
    objects: Vec<Value>,
}

impl Archive {
    fn put(&mut self, key: &str, bytes: &[u8], stored: Timestamp) -> (String, Sha256) {
        let path = self.folder.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
        let (version, sha256) = (format!("v{}", self.objects.len()), Sha256::of(bytes));
        self.objects.push(json!({
            "key": key, "version_id": version, "latest": true, "delete_marker": false, "last_modified": stored, "size": bytes.len(),
            "sha256": sha256, "retain_until": null, "mode": "COMPLIANCE", "path": key,
        }));
        (version, sha256)
    }
}

/// An archive of `count` records in sessions, all sealed, and the roots to verify it by.
fn make(count: usize) -> (TempDir, Vec<String>) {
    let mut archive = Archive { folder: TempDir::new().unwrap(), objects: Vec::new() };
    let ((kms, endorser), (sealer, sealing)) = (key(1), key(2));
    let start = Timestamp::from_millis(1_790_000_000_000).unwrap();
    let at = |seconds: usize| Timestamp::from_millis(start.millis() + i64::try_from(seconds).unwrap() * 1000).unwrap();
    archive.put(&format!("keys/seal/{}.der", sealing.fingerprint()), sealing.der(), start);
    let function: ids::FunctionName = "quarantine".parse().unwrap();
    let (mut edge, mut previous, mut entries) = (Edge::default(), None, Vec::new());
    let mut session: Option<Session> = None;
    for n in 0..count / 2 {
        if n % PER_SESSION == 0 {
            let seed = Sha256::of(&n.to_be_bytes());
            let own = SigningKey::from_slice(seed.as_bytes()).unwrap();
            let mut fresh = Session::new(SessionId::from_random(seed.as_bytes()[..16].try_into().unwrap()), own).unwrap();
            let endorsement = Endorsement {
                session: fresh.id().clone(),
                session_key: fresh.public_key().clone(),
                function: function.clone(),
                code_sha256: Some(Sha256::of(b"bootstrap")),
                not_before: at(n),
                not_after: at(n + 12 * 3600),
                endorser: endorser.clone(),
            };
            let unsigned = endorsement.prepare().unwrap();
            let signature = sign(&kms, unsigned.digest());
            fresh.endorse(unsigned.finish(&signature).unwrap());
            session = Some(fresh);
        }
        let session = session.as_mut().unwrap();
        let incident = IncidentId::derive("target", &n.to_string());
        let signal = SignalId::of_bytes(&Sha256::of(&n.to_le_bytes()));
        let id = RecordId::derive(&function, Some(&incident), &signal);
        let intent = RecordKey::new(function.clone(), at(n), id, 1, Kind::Intent);
        let draft = |kind, answers, due| Draft {
            key: intent.sibling(1, kind),
            subject: Vec::new(),
            incident: Some(incident.clone()),
            signal: signal.clone(),
            time: at(n),
            answers,
            due,
            playbook: Sha256::of(b"playbook"),
            rule: None,
            controls: Vec::new(),
            anomalies: Vec::new(),
            // As long as a containment's plan.
            body: "x".repeat(1500),
        };
        let first = session.sign(draft(Kind::Intent, None, Some(at(n + 900)))).unwrap();
        session.kept(&first);
        let second = session.sign(draft(Kind::Outcome, Some(first.link()), None)).unwrap();
        session.kept(&second);
        for signed in [first, second] {
            let (version, sha256) = archive.put(&signed.key.to_string(), &signed.bytes, at(n));
            let (kind, incident) = (signed.key.kind, Some(incident.clone()));
            entries.push(Entry::Record(Sealed { key: signed.key, version, sha256, stored: at(n), kind, incident, due: None }));
        }
        if entries.len() >= 60 || n + 1 == count / 2 {
            let time = at(n + 1);
            let batch = Batch::next(LOG, previous, &edge, time, std::mem::take(&mut entries)).unwrap();
            let name = previous.map(|(_, digest)| (LOG, digest));
            batch.follow(batch.seal.batch, name, &mut edge).unwrap();
            let (_, digest) = archive.put(&batch_key(batch.seal.batch), &batch.to_bytes().unwrap(), time);
            previous = Some((batch.seal.batch, digest));
            let checkpoint = Checkpoint { origin: LOG.to_owned(), size: batch.size, root: batch.root };
            let note = checkpoint.note(&sign(&sealer, checkpoint.digest()), &sealing).unwrap();
            archive.put(&checkpoint_key(batch.size), note.as_bytes(), time);
        }
    }
    archive.objects.sort_by(|a, b| a["key"].as_str().cmp(&b["key"].as_str()));
    let list = json!({ "format": "cordon-archive/v1", "bucket": "scale", "taken_at": at(count), "objects": archive.objects });
    std::fs::write(archive.folder.path().join("versions.json"), list.to_string()).unwrap();
    let roots = vec![format!("--root=quarantine={}", endorser.fingerprint()), format!("--root=seal={}", sealing.fingerprint())];
    (archive.folder, roots)
}

/// The program's answer, its time, and its peak memory in MiB where the kernel tells.
fn verify(folder: &Path, roots: &[String]) -> (String, f64, Option<f64>) {
    let program = std::env::var_os("CORDON_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_cordon")), PathBuf::from);
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(["evidence", "verify"]).arg(folder).args(roots).stdout(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let watch = std::thread::spawn(move || {
        let mut peak = None;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(kib) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()) else { break };
            peak = Some(kib / 1024.0);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        peak
    });
    let output = child.wait_with_output().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    (String::from_utf8(output.stdout).unwrap(), seconds, watch.join().unwrap())
}

#[test]
fn an_archive_of_any_size_is_verified_whole() {
    let count: usize = std::env::var("CORDON_SCALE").map_or(3000, |text| text.parse().unwrap());
    let (folder, roots) = make(count);
    let (said, seconds, peak) = verify(folder.path(), &roots);
    println!("{count} records: {seconds:.1} s, {peak:?} MiB at most\n{said}");
    let (smaller, roots_of_smaller) = make(count / 5);
    let (_, seconds, less) = verify(smaller.path(), &roots_of_smaller);
    println!("{} records: {seconds:.1} s, {less:?} MiB at most", count / 5);
    if let Some((more, less)) = peak.zip(less) {
        assert!(more < less + 8.0, "memory grows with the records: {less} MiB for a fifth of them, {more} MiB for all");
    }
    assert!(said.contains(&format!("VERIFIED: {count} records")), "{said}");
    // And one of them, from the middle, is missed.
    let mut records: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.path().join("rec")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { records.push(path) }
        }
    }
    records.sort();
    let gone = records.swap_remove(count / 2);
    std::fs::remove_file(&gone).unwrap();
    let (said, ..) = verify(folder.path(), &roots);
    let name = gone.file_name().unwrap().to_str().unwrap();
    assert!(said.lines().any(|line| line.starts_with("FAILED: ") && line.contains(name)), "{said}");
}
