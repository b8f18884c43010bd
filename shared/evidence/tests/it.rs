//! What holds, and what each attack on it gets.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::time::Duration;

use evidence::{
    BlobKey, BlobList, Draft, Endorsement, Fault, FaultKind, Kind, PublicKey, RecordId, RecordKey, Report, Root, Session, Signed,
    Standing, Subject, Verifier, dsse,
};
use ids::{IncidentId, SessionId, Sha256, SignalId, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use proptest::prelude::*;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_400_000_000 + seconds * 1000).unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_slice(&[n; 32]).unwrap()
}

/// A function's KMS key, which signs a digest as KMS does.
struct Kms(SigningKey);

impl Kms {
    fn public(&self) -> PublicKey {
        PublicKey::of(self.0.verifying_key()).unwrap()
    }

    fn endorse(&self, session: &Session, function: &str) -> dsse::Envelope {
        let endorsement = Endorsement {
            session: session.id().clone(),
            session_key: session.public_key().clone(),
            function: function.parse().unwrap(),
            code_sha256: Some(Sha256::of(b"bootstrap")),
            not_before: at(0),
            not_after: at(12 * 3600),
            endorser: self.public(),
        };
        let endorser = endorsement.prepare().unwrap();
        let signature: Signature = self.0.sign_prehash(endorser.digest().as_bytes()).unwrap();
        endorser.finish(signature.to_der().as_bytes()).unwrap()
    }
}

fn session(n: u8) -> Session {
    Session::new(SessionId::from_random([n; 16]), key(n)).unwrap()
}

fn draft(function: &str, signal: &str, kind: Kind, time: Timestamp) -> Draft<&'static str> {
    let function = function.parse().unwrap();
    let incident = IncidentId::derive("ec2:instance:123456789012:us-east-1:i-99999999", signal);
    let signal = SignalId::of_bytes(&Sha256::of(signal.as_bytes()));
    let id = RecordId::derive(&function, Some(&incident), &signal);
    Draft {
        key: RecordKey::new(function, at(0), id, 1, kind),
        subject: vec![Subject::new("finding", Sha256::of(b"finding"))],
        incident: Some(incident),
        signal,
        time,
        answers: None,
        due: (kind == Kind::Intent).then(|| time.plus(Duration::from_secs(900))),
        playbook: Sha256::of(b"playbook"),
        rule: None,
        controls: Vec::new(),
        anomalies: Vec::new(),
        body: "what the function has to say",
    }
}

/// Two incidents, four records, one session.
fn story() -> Vec<Signed> {
    let mut session = session(7);
    session.endorse(Kms(key(1)).endorse(&session, "quarantine"));
    let mut records = Vec::new();
    for (n, signal) in ["first", "second"].into_iter().enumerate() {
        let start = i64::try_from(n).unwrap() * 10;
        let intent = session.sign(draft("quarantine", signal, Kind::Intent, at(start + 1))).unwrap();
        session.kept(&intent);
        let mut outcome = draft("quarantine", signal, Kind::Outcome, at(start + 2));
        outcome.answers = Some(intent.link());
        let outcome = session.sign(outcome).unwrap();
        session.kept(&outcome);
        records.extend([intent, outcome]);
    }
    records
}

fn verify_as(records: &[Signed], roots: Vec<Root>, now: Timestamp) -> Report {
    let mut verifier = Verifier::new(roots);
    for record in records {
        verifier.add(&record.key.to_string(), &record.bytes, None, now);
    }
    verifier.finish(now)
}

fn root() -> Root {
    Root { function: None, fingerprint: Kms(key(1)).public().fingerprint() }
}

fn verify(records: &[Signed]) -> Report {
    verify_as(records, vec![root()], at(3600))
}

#[track_caller]
fn fails_at(report: &Report, key: &RecordKey) {
    assert_eq!(report.standing, Standing::Failed, "{report:#?}");
    let named = |fault: &Fault| fault.kind == FaultKind::Failure && fault.object == key.to_string();
    assert!(report.faults.iter().any(named), "no failure names {key}: {:#?}", report.faults);
}

#[test]
fn what_was_written_holds() {
    let report = verify(&story());
    assert_eq!(report.faults, []);
    assert_eq!((report.standing, report.records, report.sessions), (Standing::Verified, 4, 1));
}

#[test]
fn without_a_root_it_is_only_self_consistent() {
    assert_eq!(verify_as(&story(), vec![], at(3600)).standing, Standing::SelfConsistent);
}

#[test]
fn nothing_is_not_verified() {
    assert_eq!(verify(&[]).standing, Standing::Empty);
}

#[test]
fn another_root_is_refused() {
    let other = Root { function: None, fingerprint: Kms(key(2)).public().fingerprint() };
    fails_at(&verify_as(&story(), vec![other], at(3600)), &story()[0].key);
}

#[test]
fn a_root_may_be_bound_to_its_function() {
    let fingerprint = root().fingerprint;
    let text = format!("quarantine={fingerprint}");
    assert_eq!(verify_as(&story(), vec![text.parse().unwrap()], at(3600)).standing, Standing::Verified);
    let text = format!("revoke={fingerprint}");
    fails_at(&verify_as(&story(), vec![text.parse().unwrap()], at(3600)), &story()[0].key);
    assert!("quarantine".parse::<Root>().is_err());
}

#[test]
fn a_dropped_intent_is_named() {
    let records = story();
    fails_at(&verify(&records[1..]), &records[0].key);
}

#[test]
fn a_dropped_outcome_leaves_an_orphan_once_it_is_due() {
    let mut records = story();
    records.truncate(3);
    let report = verify_as(&records, vec![root()], at(60));
    assert_eq!(report.standing, Standing::Verified);
    assert_eq!(report.faults.len(), 1, "an intent in flight is mentioned");
    fails_at(&verify(&records), &records[2].key);
}

#[test]
fn a_record_in_the_middle_cannot_be_taken_out() {
    let mut records = story();
    let outcome = records.remove(1);
    let report = verify(&records);
    fails_at(&report, &records[1].key);
    assert!(report.faults.iter().any(|f| f.reason.contains("lacks number 2")), "{outcome:?} {:?}", report.faults);
}

#[test]
fn a_lost_number_is_declared_and_then_means_nothing() {
    let mut session = session(7);
    session.endorse(Kms(key(1)).endorse(&session, "quarantine"));
    let first = session.sign(draft("quarantine", "a", Kind::Decision, at(1))).unwrap();
    session.kept(&first);
    let lost = session.sign(draft("quarantine", "b", Kind::Decision, at(2))).unwrap();
    session.lost(&lost);
    let third = session.sign(draft("quarantine", "c", Kind::Decision, at(3))).unwrap();
    session.kept(&third);
    assert_eq!(verify(&[first.clone(), third.clone()]).standing, Standing::Verified);
    // It was stored after all: no contradiction.
    assert_eq!(verify(&[first, lost, third]).standing, Standing::Verified);
}

#[test]
fn a_record_at_another_key_is_a_replay() {
    let mut records = story();
    let own = records[3].key.clone();
    records[3].key = own.sibling(2, Kind::Outcome);
    let report = verify(&records);
    fails_at(&report, &records[3].key);
    assert!(report.faults.iter().any(|f| f.reason.contains(&own.to_string())));
}

#[test]
fn an_outcome_moved_to_another_incident_is_refused() {
    let mut session = session(7);
    session.endorse(Kms(key(1)).endorse(&session, "quarantine"));
    let intent = session.sign(draft("quarantine", "a", Kind::Intent, at(1))).unwrap();
    session.kept(&intent);
    let mut outcome = draft("quarantine", "b", Kind::Outcome, at(2));
    outcome.answers = Some(intent.link());
    let outcome = session.sign(outcome).unwrap();
    fails_at(&verify(&[intent, outcome.clone()]), &outcome.key);
}

#[test]
fn a_lapsed_endorsement_covers_nothing() {
    let mut session = session(7);
    session.endorse(Kms(key(1)).endorse(&session, "quarantine"));
    let late = session.sign(draft("quarantine", "a", Kind::Decision, at(13 * 3600))).unwrap();
    fails_at(&verify_as(std::slice::from_ref(&late), vec![root()], at(14 * 3600)), &late.key);
}

#[test]
fn a_record_of_the_future_is_refused() {
    let records = story();
    fails_at(&verify_as(&records, vec![root()], at(-7200)), &records[0].key);
}

#[test]
fn an_endorsement_of_another_session_is_refused() {
    let (mut thief, honest) = (session(9), session(7));
    thief.endorse(Kms(key(1)).endorse(&honest, "quarantine"));
    let forged = thief.sign(draft("quarantine", "a", Kind::Decision, at(1))).unwrap();
    fails_at(&verify(std::slice::from_ref(&forged)), &forged.key);
}

#[test]
fn an_endorsement_signed_by_another_key_is_refused() {
    let session = session(7);
    let endorsement = Endorsement {
        session: session.id().clone(),
        session_key: session.public_key().clone(),
        function: "quarantine".parse().unwrap(),
        code_sha256: None,
        not_before: at(0),
        not_after: at(60),
        endorser: Kms(key(1)).public(),
    };
    let endorser = endorsement.prepare().unwrap();
    let signature: Signature = key(2).sign_prehash(endorser.digest().as_bytes()).unwrap();
    assert_eq!(endorser.finish(signature.to_der().as_bytes()), Err(dsse::DsseError::Signature));
}

#[test]
fn one_key_cannot_speak_for_two_functions() {
    let kms = Kms(key(1));
    let mut records = Vec::new();
    for (n, function) in [(7, "quarantine"), (8, "revoke")] {
        let mut session = session(n);
        session.endorse(kms.endorse(&session, function));
        records.push(session.sign(draft(function, "a", Kind::Decision, at(1))).unwrap());
    }
    let report = verify(&records);
    assert_eq!(report.standing, Standing::Failed);
    assert!(report.faults.iter().any(|f| f.reason.contains("more than one function")));
}

#[test]
fn an_unendorsed_record_is_degraded_not_verified() {
    let mut session = session(7);
    let record = session.sign(draft("quarantine", "a", Kind::Decision, at(1))).unwrap();
    assert_eq!(verify(&[record]).standing, Standing::Degraded);
}

#[test]
fn a_fork_of_a_session_is_seen() {
    let fork = |signal| {
        let mut session = session(7);
        session.endorse(Kms(key(1)).endorse(&session, "quarantine"));
        session.sign(draft("quarantine", signal, Kind::Decision, at(1))).unwrap()
    };
    let report = verify(&[fork("a"), fork("b")]);
    assert_eq!(report.standing, Standing::Failed);
    assert!(report.faults.iter().any(|f| f.reason.contains("a fork")));
}

#[test]
fn something_else_among_the_evidence_is_named() {
    let mut verifier = Verifier::new(vec![root()]);
    verifier.add("rec/quarantine/notes.txt", b"hello", None, at(0));
    let report = verifier.finish(at(0));
    assert_eq!(report.standing, Standing::Failed);
    assert_eq!(report.faults[0].object, "rec/quarantine/notes.txt");
}

#[test]
fn keys_are_read_in_one_form_only() {
    let key = story()[0].key.to_string();
    assert_eq!(key.parse::<RecordKey>().unwrap().to_string(), key);
    for other in
        [key.replace(".1-", ".01-"), key.replace(".1-", ".0-"), key.replace("rec/", "/rec/"), key.replace("intent", "Intent")]
    {
        assert!(other.parse::<RecordKey>().is_err(), "{other}");
    }
}

/// The form on disk is a promise: what is checked in under `events/records/v1` must be what is written, and stay readable for good.
/// To make the folder again: `CORDON_BLESS=1 cargo nextest run -p evidence`.
#[test]
fn the_form_on_disk_is_pinned() {
    let top = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../events/records/v1");
    let bless = std::env::var_os("CORDON_BLESS").is_some();
    let mut objects = Vec::new();
    for (n, record) in story().iter().enumerate() {
        let key = record.key.to_string();
        let path = top.join("archive").join(&key);
        if bless {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &record.bytes).unwrap();
        }
        assert_eq!(std::fs::read(&path).unwrap(), record.bytes, "{key}");
        objects.push(serde_json::json!({
            "key": key, "version_id": format!("v1-{n}"), "latest": true, "delete_marker": false, "last_modified": at(20),
            "size": record.bytes.len(), "sha256": record.sha256, "retain_until": at(86_400), "mode": "COMPLIANCE", "path": key,
        }));
    }
    let list = serde_json::json!({ "format": "cordon-archive/v1", "bucket": "example", "taken_at": at(60), "objects": objects });
    let pem = Kms(key(1)).0.verifying_key().to_public_key_pem(LineEnding::LF).unwrap();
    let (list_path, pem_path) = (top.join("archive/versions.json"), top.join("evidence.pub"));
    if bless {
        std::fs::write(&list_path, serde_json::to_string_pretty(&list).unwrap() + "\n").unwrap();
        std::fs::write(&pem_path, &pem).unwrap();
    }
    // The list's members may stand in any order.
    let there: serde_json::Value = serde_json::from_slice(&std::fs::read(list_path).unwrap()).unwrap();
    assert_eq!(there, list);
    assert_eq!(std::fs::read_to_string(pem_path).unwrap(), pem);
}

proptest! {
    /// Whichever byte of whichever object is changed, and however, the object is named.
    #[test]
    fn no_byte_is_outside_the_check(which in 0usize..4, place in any::<prop::sample::Index>(), flip in 1u8..=255) {
        let mut records = story();
        let place = place.index(records[which].bytes.len());
        records[which].bytes[place] ^= flip;
        let report = verify(&records);
        prop_assert_eq!(report.standing, Standing::Failed);
        let key = records[which].key.to_string();
        prop_assert!(report.faults.iter().any(|fault| fault.object == key));
    }

    #[test]
    fn arbitrary_bytes_are_refused_quietly(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        let mut verifier = Verifier::new(vec![]);
        verifier.add(&story()[0].key.to_string(), &bytes, None, at(0));
        prop_assert_eq!(verifier.finish(at(0)).standing, Standing::Failed);
    }
}

/// An intent, and an outcome that names two blobs itself and a third in a list.
fn story_with_blobs() -> (Vec<Signed>, Vec<Vec<u8>>) {
    let [first, second, third] = ["first", "second", "third"].map(|text| text.as_bytes().to_vec());
    let items = vec![
        serde_json::json!({ "sha256": Sha256::of(&third) }),
        serde_json::json!({ "sha256": Sha256::of(b"never kept"), "unstored": "503" }),
    ];
    let list = serde_json::to_vec(&BlobList::new(items)).unwrap();
    let mut session = session(7);
    session.endorse(Kms(key(1)).endorse(&session, "run"));
    let intent = session.sign(draft("run", "s", Kind::Intent, at(1))).unwrap();
    session.kept(&intent);
    let mut outcome = draft("run", "s", Kind::Outcome, at(2));
    outcome.answers = Some(intent.link());
    outcome.subject.extend([&first, &second].map(|blob| Subject::blob(Sha256::of(blob))));
    outcome.subject.push(Subject::blob_list(Sha256::of(&list)));
    (vec![intent, session.sign(outcome).unwrap()], vec![first, second, third, list])
}

fn verify_with_blobs(records: &[Signed], blobs: &[(String, Vec<u8>)]) -> Report {
    let mut verifier = Verifier::new(vec![root()]);
    for (object, bytes) in blobs {
        verifier.add(object, bytes, None, at(10));
    }
    for record in records {
        verifier.add(&record.key.to_string(), &record.bytes, None, at(10));
    }
    verifier.finish(at(10))
}

fn placed(blobs: &[Vec<u8>]) -> Vec<(String, Vec<u8>)> {
    blobs.iter().map(|blob| (BlobKey::new(Sha256::of(blob)).to_string(), blob.clone())).collect()
}

#[test]
fn blobs_that_are_named_and_there_hold() {
    let (records, blobs) = story_with_blobs();
    let report = verify_with_blobs(&records, &placed(&blobs));
    assert_eq!((report.standing, report.blobs, report.faults), (Standing::Verified, 4, vec![]));
}

#[test]
fn every_blob_that_is_missing_or_altered_is_named() {
    let (records, blobs) = story_with_blobs();
    for n in 0..blobs.len() {
        let mut without = placed(&blobs);
        let (name, _) = without.remove(n);
        let named = |report: &Report| report.faults.iter().any(|fault| fault.kind == FaultKind::Failure && fault.object == name);
        let report = verify_with_blobs(&records, &without);
        assert!(report.standing == Standing::Failed && named(&report), "{name}: {:#?}", report.faults);

        let mut altered = placed(&blobs);
        altered[n].1[0] ^= 1;
        let report = verify_with_blobs(&records, &altered);
        assert!(report.standing == Standing::Failed && named(&report), "{name}: {:#?}", report.faults);
    }
}

#[test]
fn a_blob_that_nobody_names_is_a_notice() {
    let (records, blobs) = story_with_blobs();
    let mut more = placed(&blobs);
    more.extend(placed(&[b"of a run that was killed".to_vec()]));
    let report = verify_with_blobs(&records, &more);
    assert_eq!((report.standing, report.faults.len()), (Standing::Verified, 1));
    assert_eq!((report.faults[0].kind, &report.faults[0].object), (FaultKind::Notice, &more[4].0));
}

/// A command's output may look like a list. It names nothing: only a record can say what is one.
#[test]
fn output_that_looks_like_a_list_is_none() {
    let (records, mut blobs) = story_with_blobs();
    let posing = BlobList::new(vec![serde_json::json!({ "sha256": Sha256::of(b"not there") })]);
    blobs.push(serde_json::to_vec(&posing).unwrap());
    let report = verify_with_blobs(&records, &placed(&blobs));
    assert_eq!((report.standing, report.faults.len()), (Standing::Verified, 1));
    assert_eq!(report.faults[0].kind, FaultKind::Notice);
}

#[test]
fn a_subject_cannot_give_a_blob_another_digest() {
    let mut session = session(7);
    let mut draft = draft("run", "s", Kind::Intent, at(1));
    draft.subject.push(Subject::new(BlobKey::new(Sha256::of(b"one")).to_string(), Sha256::of(b"another")));
    let record = session.sign(draft).unwrap();
    fails_at(&verify_with_blobs(std::slice::from_ref(&record), &placed(&[b"one".to_vec()])), &record.key);
}

#[test]
fn a_blobs_key_has_one_form() {
    let key = BlobKey::new(Sha256::of(b""));
    assert_eq!(key.to_string(), "blob/e3/e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    assert_eq!(key.to_string().parse(), Ok(key));
    for bad in ["blob/e4/", "blob/E3/", "blob/", "rec/e3/"] {
        assert!(key.to_string().replace("blob/e3/", bad).parse::<BlobKey>().is_err(), "{bad}");
    }
    assert!(key.to_string().to_uppercase().parse::<BlobKey>().is_err());
}
