//! An archive of sealed evidence, made without a bucket.

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

/// An archive of `count` records in sessions, from `start` on, sealed in batches of `per_batch` or a few more, and the roots to verify it by.
pub(crate) fn make(count: usize, start: Timestamp, per_batch: usize) -> (TempDir, Vec<String>) {
    let mut archive = Archive { folder: TempDir::new().unwrap(), objects: Vec::new() };
    let ((kms, endorser), (sealer, sealing)) = (key(1), key(2));
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
        if entries.len() >= per_batch || n + 1 == count / 2 {
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
