//! What a recorder makes of a store that works, lies, hangs, or is not there.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::future::{pending, ready};
use std::sync::{Arc, Mutex};

use evidence::{Draft, Endorsement, Kind, PublicKey, RecordId, RecordKey, Session, Standing, Verifier, dsse};
use evidence_store::{Created, Folder, Found, Kept, LocalEndorser, RecordFailure, Recorder, StoreError, Worm};
use ids::{IncidentId, SessionId, Sha256, SignalId, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use plan::Closes;
use serde::{Deserialize, Serialize};

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Seal(u32);

impl Closes for Seal {}

fn at(seconds: i64) -> Timestamp {
    Timestamp::saturating(1_795_400_000_000 + seconds * 1000)
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_slice(&[n; 32]).unwrap()
}

/// How a store misbehaves.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Manner {
    Works,
    /// Answers with an error, after it has (or has not) kept the object.
    Fails {
        persist: bool,
    },
    Hangs,
}

/// A store in memory.
#[derive(Debug, Clone)]
struct Double {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    manner: Arc<Mutex<Manner>>,
}

impl Double {
    fn new(manner: Manner) -> Self {
        Self { objects: Arc::default(), manner: Arc::new(Mutex::new(manner)) }
    }

    fn put(&self, key: &str, bytes: &[u8]) -> Created {
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(key) {
            return Created::Existed;
        }
        objects.insert(key.to_owned(), bytes.to_vec());
        Created::New
    }

    fn turn(&self, manner: Manner) {
        *self.manner.lock().unwrap() = manner;
    }
}

impl Worm for Double {
    async fn create(&self, key: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        let manner = *self.manner.lock().unwrap();
        match manner {
            Manner::Works => Ok(self.put(key, bytes)),
            Manner::Fails { persist } => {
                if persist {
                    self.put(key, bytes);
                }
                Err(StoreError { doing: "write", cause: "503".to_owned(), passes: true })
            }
            Manner::Hangs => pending().await,
        }
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.objects.lock().unwrap().get(key).cloned())
    }
}

fn recorder<S: Worm>(store: S, n: u8) -> Recorder<S> {
    let session = Session::new(SessionId::from_random([n; 16]), key(n)).unwrap();
    let kms = key(1);
    let endorsement = Endorsement {
        session: session.id().clone(),
        session_key: session.public_key().clone(),
        function: "quarantine".parse().unwrap(),
        code_sha256: None,
        not_before: at(0),
        not_after: at(3600),
        endorser: PublicKey::of(kms.verifying_key()).unwrap(),
    };
    let unsigned = endorsement.prepare().unwrap();
    let signature: Signature = kms.sign_prehash(unsigned.digest().as_bytes()).unwrap();
    let envelope: dsse::Envelope = unsigned.finish(signature.to_der().as_bytes()).unwrap();
    let mut recorder = Recorder::new(store, session);
    recorder.endorse(envelope);
    recorder
}

fn draft(signal: &str, kind: Kind, body: u32) -> Draft<Seal> {
    let function = "quarantine".parse().unwrap();
    let incident = IncidentId::derive("machine", "technique");
    let signal = SignalId::of_bytes(&Sha256::of(signal.as_bytes()));
    let id = RecordId::derive(&function, Some(&incident), &signal);
    Draft {
        key: RecordKey::new(function, at(0), id, 1, kind),
        subject: Vec::new(),
        incident: Some(incident),
        signal,
        time: at(1),
        answers: None,
        due: None,
        playbook: Sha256::of(b"playbook"),
        rule: None,
        controls: Vec::new(),
        anomalies: Vec::new(),
        body: Seal(body),
    }
}

#[tokio::test]
async fn a_retry_runs_the_plan_that_was_recorded() {
    let store = Double::new(Manner::Works);
    let first = recorder(store.clone(), 7).intent(draft("s", Kind::Intent, 1)).await.unwrap();
    let again = recorder(store, 8).intent(draft("s", Kind::Intent, 2)).await.unwrap();
    assert_eq!((again.value(), again.found(), again.link()), (&Seal(1), Found::Earlier, first.link()));
}

#[tokio::test]
async fn outcomes_of_two_runs_stand_side_by_side() {
    let store = Double::new(Manner::Works);
    recorder(store.clone(), 7).outcome(draft("s", Kind::Outcome, 1)).await.unwrap();
    let second = recorder(store, 8).outcome(draft("s", Kind::Outcome, 2)).await.unwrap();
    assert_eq!((second.value(), second.link().key.attempt), (&Seal(2), 2));
}

#[tokio::test]
async fn a_squatted_place_is_reported_and_passed_by() {
    let store = Double::new(Manner::Works);
    let place = draft("s", Kind::Intent, 1).key.to_string();
    store.put(&place, b"not a record");
    let recorded = recorder(store.clone(), 7).intent(draft("s", Kind::Intent, 1)).await.unwrap();
    assert_eq!((recorded.link().key.attempt, recorded.found()), (2, Found::New));
    let bytes = store.read(&recorded.link().key.to_string()).await.unwrap().unwrap();
    let (statement, _) = evidence::open::<Seal>(&recorded.link().key, &bytes).unwrap();
    assert_eq!(statement.predicate.record.anomalies[0].key, place);
}

#[tokio::test]
async fn a_record_that_another_key_vouches_for_is_not_run() {
    let store = Double::new(Manner::Works);
    // A session that nobody endorsed writes a plan of its own into our place.
    let thief = Session::new(SessionId::from_random([9; 16]), key(9)).unwrap();
    Recorder::new(store.clone(), thief).intent(draft("s", Kind::Intent, 666)).await.unwrap();
    let recorded = recorder(store, 7).intent(draft("s", Kind::Intent, 1)).await.unwrap();
    assert_eq!((recorded.value(), recorded.link().key.attempt), (&Seal(1), 2));
}

/// What a release goes by: a record is believed only with the right KMS key behind it, its own or another function's.
#[tokio::test]
async fn what_is_gone_by_later_is_vouched_for_by_the_right_key() {
    let store = Double::new(Manner::Works);
    let written = recorder(store.clone(), 7).intent(draft("s", Kind::Intent, 1)).await.unwrap();
    let (recorder, key) = (recorder(store.clone(), 8), written.link().key.clone());
    let (recalled, time) = recorder.recall::<Seal>(&key).await.unwrap().unwrap();
    assert_eq!((recalled.value(), recalled.found(), recalled.link(), time), (&Seal(1), Found::Earlier, written.link(), at(1)));
    let kms = PublicKey::of(self::key(1).verifying_key()).unwrap().fingerprint();
    let (predicate, sha256) = recorder.testimony::<Seal>(&key, kms).await.unwrap().unwrap();
    assert_eq!((predicate.body, sha256), (Seal(1), written.link().sha256));

    assert!(recorder.testimony::<Seal>(&key, Sha256::of(b"another key")).await.is_err());
    assert!(recorder.recall::<Seal>(&key.sibling(2, Kind::Intent)).await.unwrap().is_none());
    // Moved elsewhere, or by a session that nobody vouches for; read by a process that nobody vouches for.
    let elsewhere = key.sibling(3, Kind::Intent);
    store.put(&elsewhere.to_string(), &store.read(&key.to_string()).await.unwrap().unwrap());
    assert!(recorder.recall::<Seal>(&elsewhere).await.is_err());
    let thief = Session::new(SessionId::from_random([9; 16]), self::key(9)).unwrap();
    let mut alone = Recorder::new(store, thief);
    let forged = alone.intent(draft("t", Kind::Intent, 666)).await.unwrap();
    assert!(recorder.recall::<Seal>(&forged.link().key).await.is_err());
    assert!(alone.recall::<Seal>(&key).await.is_err());
}

#[tokio::test]
async fn what_opens_fails_closed() {
    for persist in [false, true] {
        let failed = recorder(Double::new(Manner::Fails { persist }), 7).intent(draft("s", Kind::Intent, 1)).await;
        assert!(matches!(failed, Err(RecordFailure::Store(_))));
    }
}

#[tokio::test]
async fn what_closes_goes_on_degraded_and_is_settled_later() {
    let (failing, persisted) = (Manner::Fails { persist: false }, Manner::Fails { persist: true });
    for (manner, turns_to, settles) in [
        (failing, Manner::Works, Kept::Durable),
        (persisted, Manner::Works, Kept::Durable),
        (persisted, persisted, Kept::Durable),
        (failing, failing, Kept::Late),
    ] {
        let store = Double::new(manner);
        let mut recorder = recorder(store.clone(), 7);
        let (recorded, late) = recorder.intent_or_degraded(draft("s", Kind::Intent, 1), pending()).await.unwrap();
        assert_eq!((recorded.value(), recorded.kept()), (&Seal(1), Kept::Late));
        store.turn(turns_to);
        assert_eq!(recorder.settle(late.unwrap()).await, settles, "{manner:?}, then {turns_to:?}");
    }
}

#[tokio::test]
async fn the_deadline_ends_the_waiting_not_the_plan() {
    let mut recorder = recorder(Double::new(Manner::Hangs), 7);
    let (recorded, late) = recorder.intent_or_degraded(draft("s", Kind::Intent, 1), ready(())).await.unwrap();
    assert_eq!(recorded.kept(), Kept::Late);
    assert!(!late.unwrap().signed().bytes.is_empty());
}

#[tokio::test]
async fn what_a_folder_keeps_verifies() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = Folder::new(folder.path());
    let mut recorder = recorder(store.clone(), 7);
    let intent = recorder.intent(draft("s", Kind::Intent, 1)).await.unwrap();
    let outcome = recorder.outcome(Draft { answers: Some(intent.link().clone()), ..draft("s", Kind::Outcome, 2) }).await.unwrap();
    let mut verifier = Verifier::new(Vec::new());
    for key in [intent.link().key.to_string(), outcome.link().key.to_string()] {
        let bytes = store.read(&key).await.unwrap().unwrap();
        assert_eq!(store.create(&key, b"other").await, Ok(Created::Existed));
        verifier.add(&key, &bytes, None, at(60));
    }
    assert_eq!(verifier.finish(at(60)).standing, Standing::SelfConsistent);
    assert!(store.create("../outside", b"x").await.is_err());
    assert_eq!(store.read("rec/nothing").await, Ok(None));
}

/// A name that an earlier process left behind could still be a second link to a finished record: none is ever reused.
#[tokio::test]
async fn what_a_crash_left_in_a_folder_is_neither_evidence_nor_in_the_way() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = Folder::new(folder.path().join("deep/er"));
    assert_eq!(store.create("rec/x/one", b"one").await.unwrap(), Created::New);
    assert_eq!(store.create("rec/x/one", b"two").await.unwrap(), Created::Existed);
    assert_eq!(store.read("rec/x/one").await.unwrap().as_deref(), Some(&b"one"[..]));

    let names = || std::fs::read_dir(folder.path().join("deep/er/rec/x")).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(names().collect::<Vec<_>>(), ["one"], "nothing is left beside it");
    assert!(Folder::is_unfinished(".cordon-abc.part".as_ref()) && !Folder::is_unfinished("one".as_ref()));
}

#[tokio::test]
async fn what_is_too_large_for_its_key_is_not_read() {
    let folder = tempfile::TempDir::new().unwrap();
    let store = Folder::new(folder.path());
    let large = vec![0; evidence::LARGEST_RECORD + 1];
    store.create("rec/x/large", &large).await.unwrap();
    assert!(store.read("rec/x/large").await.unwrap_err().to_string().contains("larger than any record"));
    let key = evidence::BlobKey::new(Sha256::of(&large)).to_string();
    store.create(&key, &large).await.unwrap();
    assert_eq!(store.read(&key).await.unwrap(), Some(large));
}

#[test]
fn a_key_file_vouches_as_a_kms_key_does() {
    let endorser = LocalEndorser::from_pem(&LocalEndorser::new(key(1)).unwrap().to_pem().unwrap().with(String::clone)).unwrap();
    let mut session = Session::new(SessionId::from_random([7; 16]), key(7)).unwrap();
    let function: ids::FunctionName = "quarantine".parse().unwrap();
    let session_key = session.public_key().clone();
    let what = evidence_store::Endorse { session: session.id().clone(), session_key, function, code_sha256: None };
    let (envelope, until) = endorser.endorse(&what, at(0)).unwrap();
    assert_eq!(until, at(12 * 3600));
    session.endorse(envelope);
    let signed = session.sign(draft("s", Kind::Refusal, 1)).unwrap();
    let fingerprint = endorser.public_key().fingerprint();
    let mut verifier = Verifier::new(vec![evidence::Root { function: None, fingerprint }]);
    verifier.add(&signed.key.to_string(), &signed.bytes, None, at(2));
    assert_eq!(verifier.finish(at(2)).standing, Standing::Verified);
    assert!(LocalEndorser::from_pem("-----BEGIN PRIVATE KEY-----").is_err());
}

#[tokio::test]
async fn a_lapsed_endorsement_is_left_out_and_the_record_degraded() {
    let store = Double::new(Manner::Works);
    let mut recorder = recorder(store.clone(), 7);
    recorder.lapse();
    let link = recorder.intent(draft("s", Kind::Refusal, 1)).await.unwrap().link().clone();
    let mut verifier = Verifier::new(Vec::new());
    let bytes = store.read(&link.key.to_string()).await.unwrap().unwrap();
    verifier.add(&link.key.to_string(), &bytes, None, at(13 * 3600));
    assert_eq!((recorder.endorsed(), verifier.finish(at(13 * 3600)).standing), (false, Standing::Degraded));
}
