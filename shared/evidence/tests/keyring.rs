//! One root for everything: what a keyring lets a reader believe, and what each attack on it gets.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;

use evidence::log::{Batch, Checkpoint, Edge, Entry, Kept, Sealed, batch_key, checkpoint_key};
use evidence::{
    Draft, Endorsement, FaultKind, Keyring, Kind, PublicKey, RecordId, RecordKey, Release, Report, RingError, RingKey, RingTrust,
    Rings, Root, Session, Standing, Verifier, Version, dsse, ring_key,
};
use ids::{FunctionName, SessionId, Sha256, SignalId, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use proptest::prelude::*;

const LOG: &str = "example.com/cordon";
const HOUR: i64 = 3600;

/// The keys of the story.
const QUARANTINE: u8 = 1;
const SEAL: u8 = 2;
const LATER: u8 = 3;
const LATER_SEAL: u8 = 4;
const ROOT: u8 = 10;
const NEXT_ROOT: u8 = 11;
const STRANGER: u8 = 99;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_400_000_000 + seconds * 1000).unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_slice(&[n; 32]).unwrap()
}

fn public(n: u8) -> PublicKey {
    PublicKey::of(key(n).verifying_key()).unwrap()
}

fn fingerprint(n: u8) -> Sha256 {
    public(n).fingerprint()
}

fn sign(n: u8, digest: Sha256) -> Vec<u8> {
    let signature: Signature = key(n).sign_prehash(digest.as_bytes()).unwrap();
    signature.to_der().as_bytes().to_vec()
}

fn function(name: &str) -> FunctionName {
    name.parse().unwrap()
}

fn entry(name: &str, n: u8, from: i64) -> RingKey {
    RingKey { function: function(name), key: public(n), from: at(from), until: None, reason: None }
}

fn first() -> Keyring {
    Keyring::first(public(ROOT), at(0), vec![entry("quarantine", QUARANTINE, -HOUR), entry("seal", SEAL, -HOUR)])
}

/// Which of our keys this is.
fn number_of(key: &PublicKey) -> u8 {
    static ALL: OnceLock<BTreeMap<Sha256, u8>> = OnceLock::new();
    ALL.get_or_init(|| (1..u8::MAX).map(|n| (fingerprint(n), n)).collect())[&key.fingerprint()]
}

/// The ring's object, signed by whom it names.
fn object(ring: &Keyring) -> Vec<u8> {
    let signer = number_of(&ring.signer);
    let unsigned = ring.prepare().unwrap();
    let signature = sign(signer, unsigned.digest());
    unsigned.finish(&signature).unwrap()
}

/// The same without asking what a ring must keep: what a forger with the root key at hand would write.
fn forged(ring: &Keyring, signer: u8) -> Vec<u8> {
    let subject: Vec<_> = ring
        .keys
        .iter()
        .map(|entry| {
            let fingerprint = entry.key.fingerprint();
            serde_json::json!({ "name": format!("keys/{}/{fingerprint}.der", entry.function), "digest": { "sha256": fingerprint } })
        })
        .collect();
    let payload = format!(
        r#"{{"_type":"https://in-toto.io/Statement/v1","subject":{},"predicateType":"{}","predicate":{}}}"#,
        serde_json::to_string(&subject).unwrap().replace(r#"{"digest":"#, "\u{0}"),
        evidence::KEYRING_TYPE,
        serde_json::to_string(ring).unwrap()
    );
    // `json!` sorts a subject's fields by name; ours are in the order of in-toto's examples.
    let payload = subject.iter().fold(payload, |payload, subject| {
        let ours = format!(r#"{{"name":{},"digest":{}}}"#, subject["name"], subject["digest"]);
        let theirs = format!("\u{0}{},\"name\":{}}}", subject["digest"], subject["name"]);
        payload.replacen(&theirs, &ours, 1)
    });
    let envelope = dsse::Envelope::sign(dsse::IN_TOTO_TYPE, payload.as_bytes(), &key(signer), &public(signer));
    dsse::Bundle::new(envelope).to_bytes().unwrap()
}

/// A store: objects in the order of their keys, each with its version.
#[derive(Clone, Default)]
struct Store {
    objects: BTreeMap<String, (Vec<u8>, Version)>,
    last: Option<(u64, Sha256)>,
    edge: Edge,
    sealed: BTreeSet<String>,
}

impl Store {
    fn put(&mut self, object: &str, bytes: Vec<u8>, stored: i64) {
        let version = Version { id: format!("v{}", self.objects.len()), stored: at(stored) };
        self.objects.insert(object.to_owned(), (bytes, version));
    }

    fn ring(&mut self, ring: &Keyring) -> Sha256 {
        let bytes = object(ring);
        let digest = Sha256::of(&bytes);
        self.put(&ring_key(ring.number), bytes, ring.time.millis_since(at(0)) / 1000);
        digest
    }

    /// A decision, by a session of its own.
    fn record_with(&mut self, name: &str, endorser: u8, (made, stored): (i64, i64), code: Option<Sha256>) -> String {
        let n = u8::try_from(self.objects.len() + 100).unwrap();
        let mut session = Session::new(SessionId::from_random([n; 16]), key(n)).unwrap();
        let endorsement = Endorsement {
            session: session.id().clone(),
            session_key: session.public_key().clone(),
            function: function(name),
            code_sha256: code,
            not_before: at(made - 60),
            not_after: at(made + 12 * HOUR),
            endorser: public(endorser),
        };
        let unsigned = endorsement.prepare().unwrap();
        let signature = sign(endorser, unsigned.digest());
        session.endorse(unsigned.finish(&signature).unwrap());
        let signal = SignalId::of_bytes(&Sha256::of(&[n]));
        let id = RecordId::derive(&function(name), None, &signal);
        let signed = session.sign(Draft {
            key: RecordKey::new(function(name), at(made), id, 1, Kind::Decision),
            subject: Vec::new(),
            incident: None,
            signal,
            time: at(made),
            answers: None,
            due: None,
            playbook: Sha256::of(b"playbook"),
            rule: None,
            controls: Vec::new(),
            anomalies: Vec::new(),
            body: "said",
        });
        let signed = signed.unwrap();
        self.put(&signed.key.to_string(), signed.bytes, stored);
        signed.key.to_string()
    }

    fn record(&mut self, endorser: u8, made: i64) -> String {
        self.record_with("quarantine", endorser, (made, made), None)
    }

    fn entry(&self, object: &str) -> Entry {
        let (bytes, version) = &self.objects[object];
        let (sha256, stored, version) = (Sha256::of(bytes), version.stored, version.id.clone());
        match object.parse::<RecordKey>() {
            Ok(key) => Entry::Record(Sealed { kind: key.kind, key, version, sha256, stored, incident: None, due: None }),
            Err(_) => Entry::Kept(Kept { key: object.to_owned(), version, sha256, stored }),
        }
    }

    /// What is new becomes a batch, with a checkpoint by `sealer` over it.
    fn seal(&mut self, sealer: u8, time: i64) {
        let new: Vec<_> =
            self.objects.keys().filter(|key| !key.starts_with("log/") && !self.sealed.contains(*key)).cloned().collect();
        let entries = new.iter().map(|object| self.entry(object)).collect();
        self.sealed.extend(new);
        let batch = Batch::next(LOG, self.last, &self.edge, at(time), entries).unwrap();
        batch.follow(batch.seal.batch, self.last.map(|(_, digest)| (LOG, digest)), &mut self.edge).unwrap();
        let bytes = batch.to_bytes().unwrap();
        self.last = Some((batch.seal.batch, Sha256::of(&bytes)));
        self.put(&batch_key(batch.seal.batch), bytes, time);
        let checkpoint = Checkpoint { origin: LOG.to_owned(), size: batch.size, root: batch.root };
        let note = checkpoint.note(&sign(sealer, checkpoint.digest()), &public(sealer)).unwrap();
        self.put(&checkpoint_key(batch.size), note.into_bytes(), time);
    }

    fn verifier(&self, roots: &[&str], now: i64) -> Verifier {
        self.read_by(Verifier::new(roots.iter().map(|root| root.parse::<Root>().unwrap()).collect()), now)
    }

    fn read_by(&self, mut verifier: Verifier, now: i64) -> Verifier {
        self.objects.iter().for_each(|(object, (bytes, version))| verifier.add(object, bytes, Some(version), at(now)));
        verifier
    }

    fn verify_as(&self, roots: &[&str]) -> Report {
        let newest = self.objects.values().map(|(_, version)| version.stored.millis_since(at(0)) / 1000).max().unwrap();
        self.verifier(roots, newest + 60).finish(at(newest + 60))
    }

    /// As a reader who trusts the one root.
    fn verify(&self) -> Report {
        self.verify_as(&[&fingerprint(ROOT).to_string()])
    }
}

/// A ring, two decisions, all sealed.
fn story() -> (Store, Sha256, Vec<String>) {
    let mut store = Store::default();
    let digest = store.ring(&first());
    let records = vec![store.record(QUARANTINE, 10), store.record(QUARANTINE, 20)];
    store.seal(SEAL, 60);
    (store, digest, records)
}

/// The story goes on: in ring 2 the function's key is retired at `at_`, and another begins then.
fn rotated(until: i64) -> (Store, Keyring, Sha256) {
    let (mut store, digest, _) = story();
    let mut second = first().successor(digest, at(2 * HOUR));
    second.retire(&fingerprint(QUARANTINE), at(until), "rotated").unwrap();
    second.keys.push(entry("quarantine", LATER, until));
    let digest = store.ring(&second);
    (store, second, digest)
}

#[track_caller]
fn holds(report: &Report) {
    assert_eq!(report.faults, []);
    assert_eq!(report.standing, Standing::Verified);
}

#[track_caller]
fn names(report: &Report, object: &str, reason: &str) {
    assert_eq!(report.standing, Standing::Failed, "{report:#?}");
    let named = report.faults.iter().any(|f| f.kind == FaultKind::Failure && f.object == object && f.reason.contains(reason));
    assert!(named, "no failure names {object} with `{reason}`: {:#?}", report.faults);
}

#[test]
fn one_root_is_enough_for_records_and_log() {
    let (store, ..) = story();
    let report = store.verify();
    holds(&report);
    let ring = report.keyring.unwrap();
    assert_eq!((ring.number, ring.trust, ring.root, ring.keys.len()), (1, RingTrust::Trusted, fingerprint(ROOT), 2));
    assert_eq!((ring.keys[0].function.as_str(), ring.keys[0].fingerprint), ("quarantine", fingerprint(QUARANTINE)));
    // The key that signs checkpoints needs no file of its own: the ring has it. It may have one all the same.
    let mut store = store;
    store.put(&format!("keys/seal/{}.der", fingerprint(SEAL)), public(SEAL).der().to_vec(), 0);
    holds(&store.verify());
}

#[test]
fn without_a_root_the_ring_is_checked_and_whose_it_is_was_not_asked() {
    let (mut store, ..) = story();
    let report = store.verify_as(&[]);
    assert_eq!((report.standing, report.keyring.unwrap().trust), (Standing::SelfConsistent, RingTrust::NotAsked));
    let other = store.record(LATER, 70);
    names(&store.verify_as(&[]), &other, "keys/ring/000001.json does not name that key for `quarantine`");
}

#[test]
fn a_ring_under_another_root_vouches_for_nothing() {
    let (store, _, records) = story();
    let report = store.verify_as(&[&fingerprint(STRANGER).to_string()]);
    names(&report, &records[0], "not a trusted root for `quarantine`");
    assert!(report.faults.iter().any(|f| f.object == ring_key(1) && f.reason.contains("it was not used")), "{report:#?}");
    assert_eq!(report.keyring.unwrap().trust, RingTrust::NotTrusted);
    // A root that is bound to a function is no keyring's.
    let bound = format!("quarantine={}", fingerprint(ROOT));
    names(&store.verify_as(&[&bound]), &records[0], "not a trusted root");
}

#[test]
fn keys_that_were_given_by_hand_go_on_as_before() {
    let (mut store, ..) = story();
    let roots = [format!("quarantine={}", fingerprint(QUARANTINE)), format!("seal={}", fingerprint(SEAL))];
    let report = store.verify_as(&[&roots[0], &roots[1]]);
    assert_eq!(report.standing, Standing::Verified, "{report:#?}");
    assert_eq!(report.keyring.unwrap().trust, RingTrust::NotTrusted);
    // Beside a root: a responder's own key, which is on no ring.
    store.record_with("run", 7, (30, 30), None);
    let root = fingerprint(ROOT).to_string();
    assert_eq!(store.verify_as(&[&root]).standing, Standing::Failed);
    let own = format!("run={}", fingerprint(7));
    assert_eq!(store.verify_as(&[&root, &own]).standing, Standing::Verified);
    // But not against the ring: retirement is for everyone.
    let (mut store, ..) = rotated(HOUR);
    let late = store.record(QUARANTINE, 2 * HOUR);
    names(&store.verify_as(&[&root, &roots[0]]), &late, "was retired at");
}

#[test]
fn a_root_key_speaks_for_no_function() {
    let (mut store, ..) = story();
    let record = store.record_with("run", ROOT, (30, 30), None);
    names(&store.verify(), &record, "does not name that key for `run`");
    let mut ring = first();
    ring.keys.push(entry("run", ROOT, 0));
    assert_eq!(ring.prepare().unwrap_err(), RingError::RootSpeaks(fingerprint(ROOT)));
}

#[test]
fn a_key_speaks_for_the_function_that_its_ring_says() {
    let (mut store, ..) = story();
    let record = store.record_with("release", QUARANTINE, (30, 30), None);
    names(&store.verify(), &record, "names that key for `quarantine` only");
    let mut store = Store::default();
    store.ring(&first());
    store.put(&format!("keys/seal/{}.der", fingerprint(QUARANTINE)), public(QUARANTINE).der().to_vec(), 0);
    store.seal(QUARANTINE, 60);
    names(&store.verify(), &checkpoint_key(3), "names that key for `quarantine` only");
}

#[test]
fn after_a_rotation_each_key_has_its_time() {
    let (mut store, ..) = rotated(HOUR);
    store.record(QUARANTINE, HOUR - 60);
    store.record(LATER, HOUR + 60);
    store.seal(SEAL, 2 * HOUR + 60);
    let report = store.verify();
    assert_eq!(report.standing, Standing::Verified, "{report:#?}");
    let (mut late, mut backdated, mut early) = (store.clone(), store.clone(), store);
    let record = late.record(QUARANTINE, HOUR + 60);
    names(&late.verify(), &record, &format!("after key {} was retired at {} (rotated)", fingerprint(QUARANTINE), at(HOUR)));
    // Whoever steals the old key can write any time into a record, and none into the store.
    let record = backdated.record_with("quarantine", QUARANTINE, (HOUR - 60, 3 * HOUR), None);
    names(&backdated.verify(), &record, &format!("stored at {}, after key", at(3 * HOUR)));
    let record = early.record_with("quarantine", LATER, (60, 60), None);
    names(&early.verify(), &record, "before key");
}

#[test]
fn what_a_compromised_key_vouched_for_since_then_fails() {
    let (store, _, records) = story();
    let compromised = |until: i64| {
        let (mut store, digest) = (store.clone(), Sha256::of(&store.objects[&ring_key(1)].0));
        let mut second = first().successor(digest, at(2 * HOUR));
        second.retire(&fingerprint(QUARANTINE), at(until), "compromised: INC-7").unwrap();
        store.ring(&second);
        store.verify()
    };
    names(&compromised(15), &records[1], "(compromised: INC-7)");
    assert!(!compromised(15).faults.iter().any(|fault| fault.object == records[0]), "what was made before that stands");
}

#[test]
fn a_checkpoint_after_its_key_was_retired_is_refused() {
    let (mut store, digest, _) = story();
    let mut second = first().successor(digest, at(2 * HOUR));
    second.retire(&fingerprint(SEAL), at(2 * HOUR), "rotated").unwrap();
    second.keys.push(entry("seal", LATER_SEAL, 2 * HOUR));
    store.ring(&second);
    let mut good = store.clone();
    good.seal(LATER_SEAL, 2 * HOUR + 60);
    assert_eq!(good.verify().standing, Standing::Verified);
    store.seal(SEAL, 2 * HOUR + 60);
    let object = checkpoint_key(store.edge.size());
    names(&store.verify(), &object, "after key");
    // A note that was kept elsewhere has no time of its own; the batch under it has.
    let note = store.objects[&object].0.clone();
    let root = fingerprint(ROOT).to_string().parse().unwrap();
    let verifier = good.read_by(Verifier::new(vec![root]).against("kept.note", note), 2 * HOUR + 120);
    names(&verifier.finish(at(2 * HOUR + 120)), "kept.note", "after key");
}

#[test]
fn a_root_hands_over_to_another() {
    let (mut store, digest, _) = story();
    let mut second = first().successor(digest, at(HOUR));
    second.root = public(NEXT_ROOT);
    let digest = store.ring(&second);
    let roots = [ROOT, NEXT_ROOT, STRANGER].map(|n| fingerprint(n).to_string());
    store.seal(SEAL, HOUR + 60);
    holds(&store.verify_as(&[&roots[0]]));
    // Anyone can name a root; only what it signed is its word.
    assert_eq!(store.verify_as(&[&roots[1]]).standing, Standing::Failed);
    let mut third = second.successor(digest, at(2 * HOUR));
    third.keys.push(entry("run", LATER, 0));
    store.ring(&third);
    store.record_with("run", LATER, (2 * HOUR, 2 * HOUR), None);
    store.seal(SEAL, 2 * HOUR + 60);
    for root in &roots[..2] {
        let report = store.verify_as(&[root]);
        assert_eq!(report.standing, Standing::Verified, "{report:#?}");
        let ring = report.keyring.unwrap();
        assert_eq!((ring.number, ring.signer), (3, fingerprint(NEXT_ROOT)));
    }
    assert_eq!(store.verify_as(&[&roots[2]]).standing, Standing::Failed);
    // The old root has no say any more.
    let mut fourth = third.successor(Sha256::of(&object(&third)), at(3 * HOUR));
    fourth.signer = public(ROOT);
    store.put(&ring_key(4), object(&fourth), 3 * HOUR);
    names(&store.verify(), &ring_key(4), "names");
    assert_eq!(store.verify().keyring.unwrap().number, 3, "and its ring counts for nobody");
}

#[test]
fn a_ring_that_is_dropped_hidden_or_exchanged_is_missed_by_the_log() {
    let (mut store, second, digest) = rotated(HOUR);
    store.record(LATER, 2 * HOUR);
    store.seal(SEAL, 2 * HOUR + 60);
    assert_eq!(store.verify().standing, Standing::Verified);
    let mut dropped = store.clone();
    dropped.objects.remove(&ring_key(2)).unwrap();
    names(&dropped.verify(), &ring_key(2), "in the log at index");
    // Another ring of the same number by the same root: one that retires nobody.
    let mut other = first().successor(second.prev.unwrap(), at(2 * HOUR));
    other.keys.push(entry("quarantine", LATER, HOUR));
    let mut exchanged = store.clone();
    exchanged.objects.get_mut(&ring_key(2)).unwrap().0 = object(&other);
    names(&exchanged.verify(), &ring_key(2), "not the object that the log has");
    let mut verifier = store.verifier(&[&fingerprint(ROOT).to_string()], 2 * HOUR + 120);
    verifier.hidden(&ring_key(2), &Version { id: "marker".to_owned(), stored: at(2 * HOUR + 90) });
    names(&verifier.finish(at(2 * HOUR + 120)), &ring_key(2), "hidden under delete marker");
    // One that came after the newest batch is not there yet, which is said.
    store.ring(&second.successor(digest, at(2 * HOUR + 90)));
    let report = store.verify();
    assert_eq!(report.standing, Standing::Verified);
    assert!(report.faults.iter().any(|f| f.object == ring_key(3) && f.reason.contains("not in the log")), "{report:#?}");
}

#[test]
fn a_log_that_is_gone_is_missed_by_whoever_trusts_the_ring() {
    let (mut store, ..) = story();
    store.objects.retain(|object, _| !object.starts_with("log/"));
    names(&store.verify(), "log/", "keys/ring/000001.json names a key for `seal`");
    assert_eq!(store.verify_as(&[]).standing, Standing::SelfConsistent);
}

#[test]
fn a_keyring_that_is_gone_leaves_nothing_to_trust() {
    let (mut store, _, records) = story();
    store.objects.remove(&ring_key(1));
    let report = store.verify();
    names(&report, &records[0], "not a trusted root");
    names(&report, &ring_key(1), "in the log at index");
}

#[test]
fn gaps_forks_and_what_is_no_ring_are_named() {
    let (mut store, second, digest) = rotated(HOUR);
    store.ring(&second.successor(digest, at(3 * HOUR)));
    let without = |number: u64| {
        let mut store = store.clone();
        store.objects.remove(&ring_key(number));
        store.verify()
    };
    names(&without(1), &ring_key(2), "ring 1 is missing");
    names(&without(2), &ring_key(3), "ring 2 is missing");
    let replaced = |bytes: Vec<u8>| {
        let mut store = store.clone();
        store.objects.get_mut(&ring_key(2)).unwrap().0 = bytes;
        store.verify()
    };
    let unsigned = serde_json::to_vec(&second).unwrap();
    names(&replaced(unsigned), &ring_key(2), "not a signed ring");
    names(&replaced(object(&first())), &ring_key(2), "it is ring 1, under another number's key");
    names(&replaced(object(&first())), &ring_key(3), "ring 2 is missing or does not hold");
    let mut signed_by_another = second.clone();
    signed_by_another.signer = public(STRANGER);
    names(&replaced(object(&signed_by_another)), &ring_key(2), "as the root");
    let mut elsewhere = store.clone();
    elsewhere.put("keys/ring/2.json", object(&second), 0);
    names(&elsewhere.verify(), "keys/ring/2.json", "not a ring's key");
    // Two versions of one number, both by the root.
    let mut fork = first().successor(second.prev.unwrap(), at(2 * HOUR));
    fork.keys.push(entry("quarantine", LATER, HOUR));
    let mut verifier = Verifier::new(vec![fingerprint(ROOT).to_string().parse().unwrap()]);
    for (number, bytes) in [(1, object(&first())), (2, object(&second)), (2, object(&fork))] {
        verifier.add(&ring_key(number), &bytes, None, at(3 * HOUR));
    }
    names(&verifier.finish(at(3 * HOUR)), &ring_key(2), "there are two rings 2");
}

#[test]
fn a_ring_of_the_future_is_named() {
    let mut store = Store::default();
    let mut ring = first();
    ring.time = at(HOUR);
    store.put(&ring_key(1), object(&ring), 0);
    names(&store.verify(), &ring_key(1), "in the future");
}

type Edit = (&'static str, fn(&mut Keyring));

/// Whatever a ring must keep by itself is asked of one that is read, too, not only of one that is made.
#[test]
fn what_a_ring_must_keep_by_itself_is_asked_of_what_is_read() {
    let good = first();
    assert_eq!(Keyring::open(&ring_key(1), &forged(&good, ROOT)).unwrap().0, good, "the forger's hand writes the same form");
    let edits: [Edit; 9] = [
        ("it names no key", |ring| ring.keys.clear()),
        ("names key", |ring| ring.keys.push(entry("run", QUARANTINE, 0))),
        ("so it speaks for no function", |ring| ring.keys.push(entry("run", ROOT, 0))),
        ("so it speaks for no function", |ring| ring.root = public(SEAL)),
        ("before it began", |ring| ring.retire(&fingerprint(SEAL), at(-2 * HOUR), "so").unwrap()),
        ("a reason belongs to an end", |ring| ring.retire(&fingerprint(SEAL), at(0), " ").unwrap()),
        ("a reason belongs to an end", |ring| ring.retire(&fingerprint(SEAL), at(0), "two\nlines").unwrap()),
        ("a reason belongs to an end", |ring| ring.keys[0].reason = Some("no end".to_owned())),
        ("follows on none", |ring| ring.prev = Some(Sha256::of(b""))),
    ];
    for (reason, edit) in edits {
        let mut ring = good.clone();
        edit(&mut ring);
        let made = ring.prepare().unwrap_err().to_string();
        let read = Keyring::open(&ring_key(1), &forged(&ring, ROOT)).unwrap_err().to_string();
        assert!(made.contains(reason) && read == made, "`{reason}`: {made} / {read}");
    }
}

#[test]
fn code_is_compared_with_the_release() {
    let (good, bad) = (Sha256::of(b"bootstrap"), Sha256::of(b"another"));
    let mut store = Store::default();
    let record = store.record_with("quarantine", QUARANTINE, (10, 10), Some(good));
    let verify = |store: &Store, manifest: &str| {
        let mut verifier = Verifier::new(vec![fingerprint(QUARANTINE).to_string().parse().unwrap()]);
        verifier.expect_release(Release::parse(manifest).unwrap());
        store.objects.iter().for_each(|(object, (bytes, version))| verifier.add(object, bytes, Some(version), at(60)));
        verifier.finish(at(60))
    };
    let report = verify(&store, &format!("{good}  Quarantine/bootstrap\n"));
    holds(&report);
    assert_eq!(report.released, [function("quarantine")].into());
    // Two versions are allowed at once.
    holds(&verify(&store, &format!("{bad}  quarantine\n{good}  quarantine\n")));
    names(&verify(&store, &format!("{bad}  quarantine\n")), &record, &format!("written by code {good}"));
    let report = verify(&store, &format!("{good}  seal\n"));
    assert_eq!(report.standing, Standing::Verified);
    let said: Vec<_> = report.faults.iter().map(|fault| (fault.kind, fault.object.as_str())).collect();
    assert_eq!(said, [(FaultKind::Notice, "rec/quarantine/")], "once, however many records there are");
    let record = store.record_with("quarantine", QUARANTINE, (20, 20), None);
    names(&verify(&store, &format!("{good}  quarantine\n")), &record, "does not say which code wrote it");
}

/// What may be done to a keyring.
#[derive(Debug, Clone)]
enum Op {
    Add(u8),
    Retire(prop::sample::Index, i64),
    Earlier(prop::sample::Index, i64),
    HandOver(u8),
    Renew,
}

fn ops() -> impl Strategy<Value = Vec<(Op, i64)>> {
    let op = prop_oneof![
        (20u8..60).prop_map(Op::Add),
        (any::<prop::sample::Index>(), 0..10_000_i64).prop_map(|(nth, time)| Op::Retire(nth, time)),
        (any::<prop::sample::Index>(), 0..5_000_i64).prop_map(|(nth, by)| Op::Earlier(nth, by)),
        (200u8..210).prop_map(Op::HandOver),
        Just(Op::Renew),
    ];
    // Clocks may run back a little.
    prop::collection::vec((op, -600..5_000_i64), 1..12)
}

/// The rings that these operations come to.
fn grow(ops: Vec<(Op, i64)>) -> Vec<(Keyring, Vec<u8>)> {
    let mut rings = vec![(first(), object(&first()))];
    let mut clock = 0;
    for (op, passed) in ops {
        let (before, bytes) = rings.last().unwrap();
        clock = (clock + passed).max(before.time.millis_since(at(0)) / 1000 - 600);
        let mut next = before.successor(Sha256::of(bytes), at(clock));
        match op {
            Op::Add(n) => next.keys.push(entry("run", n, clock)),
            Op::Retire(nth, time) => {
                let entry = nth.get(&next.keys).clone();
                let until = at(time).max(entry.from);
                if entry.until.is_none_or(|old| until < old) {
                    next.retire(&entry.key.fingerprint(), until, "for a reason").unwrap();
                }
            }
            Op::Earlier(nth, by) => {
                let entry = nth.get(&next.keys).clone();
                if let Some(until) = entry.until {
                    let until = Timestamp::saturating(until.millis() - by * 1000).max(entry.from);
                    let reason = if Some(until) == entry.until { entry.reason.unwrap() } else { "sooner".to_owned() };
                    next.retire(&entry.key.fingerprint(), until, &reason).unwrap();
                }
            }
            Op::HandOver(n) => next.root = public(n),
            Op::Renew => {}
        }
        // The same key again is forbidden, and not what is tested here.
        if next.prepare().is_ok() {
            let bytes = object(&next);
            rings.push((next, bytes));
        }
    }
    rings
}

fn read(rings: &[(u64, Vec<u8>)]) -> Report {
    let mut verifier = Verifier::new(Vec::new());
    rings.iter().for_each(|(number, bytes)| verifier.add(&ring_key(*number), bytes, None, at(200_000)));
    verifier.finish(at(200_000))
}

/// What may not be done to a ring that follows on another, and what is said of it. None where there is nothing to do it to.
fn forbidden(which: usize, before: &Keyring, ring: &mut Keyring) -> Option<&'static str> {
    let retired = before.keys.iter().position(|entry| entry.until.is_some());
    Some(match which {
        0 => {
            ring.keys.remove(before.keys.len() - 1);
            if ring.keys.is_empty() { "it names no key" } else { "is gone" }
        }
        1 => {
            ring.keys[0].function = function("release");
            "another function or beginning"
        }
        2 => {
            ring.keys[0].from = Timestamp::saturating(ring.keys[0].from.millis() - 1);
            "another function or beginning"
        }
        3 => {
            let entry = &mut ring.keys[retired?];
            (entry.until, entry.reason) = (None, None);
            "may only come earlier"
        }
        4 => {
            let entry = &mut ring.keys[retired?];
            entry.until = before.keys[retired?].until.map(|until| Timestamp::saturating(until.millis() + 1));
            "may only come earlier"
        }
        5 => {
            let (entry, old) = (&mut ring.keys[retired?], &before.keys[retired?]);
            (entry.until, entry.reason) = (old.until, Some("another story".to_owned()));
            "a reason belongs to an end"
        }
        6 => {
            ring.prev = Some(Sha256::of(b"another ring"));
            "does not follow on the ring before it"
        }
        7 => {
            ring.signer = public(STRANGER);
            "as the root"
        }
        8 => {
            ring.time = Timestamp::saturating(before.time.millis() - 15 * 60 * 1000 - 1);
            "before the ring that it follows"
        }
        9 => {
            ring.number += 1;
            "under another number's key"
        }
        _ => return None,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    /// Whatever is allowed is accepted, by whoever trusts the first root or the last one that signed.
    #[test]
    fn what_is_allowed_is_accepted(ops in ops()) {
        let rings = grow(ops);
        let objects: Vec<_> = rings.iter().map(|(ring, bytes)| (ring.number, bytes.clone())).collect();
        let report = read(&objects);
        let (last, _) = rings.last().unwrap();
        prop_assert_eq!(&report.faults, &[]);
        prop_assert_eq!(report.keyring.unwrap().number, last.number);
        let mut all = Rings::default();
        for (number, bytes) in &objects {
            let (ring, digest) = Keyring::open(&ring_key(*number), bytes).unwrap();
            all.add(ring, digest).unwrap();
        }
        for root in [fingerprint(ROOT), last.signer.fingerprint()] {
            prop_assert_eq!(all.trusted(&[root].into()), Some(last));
        }
        prop_assert_eq!(all.trusted(&[fingerprint(STRANGER)].into()), None);
    }

    /// Whatever is not allowed is named where it was done, whoever signed it.
    #[test]
    fn any_single_forbidden_edit_is_named(ops in ops(), nth in any::<prop::sample::Index>(), which in 0usize..10) {
        let rings = grow(ops);
        prop_assume!(rings.len() > 1);
        let nth = 1 + nth.index(rings.len() - 1);
        let mut objects: Vec<_> = rings.iter().map(|(ring, bytes)| (ring.number, bytes.clone())).collect();
        let mut ring = rings[nth].0.clone();
        let reason = forbidden(which, &rings[nth - 1].0, &mut ring);
        prop_assume!(reason.is_some());
        objects[nth].1 = forged(&ring, number_of(&ring.signer));
        let report = read(&objects);
        let named = |f: &evidence::Fault| f.object == ring_key(objects[nth].0) && f.reason.contains(reason.unwrap());
        prop_assert!(report.faults.iter().any(named), "{which} at {nth}: {:#?}", report.faults);
        // And it counts for nobody.
        prop_assert_ne!(report.keyring.unwrap().number, objects[nth].0);
    }

    /// And no byte of a ring is outside the check.
    #[test]
    fn no_byte_of_a_ring_is_outside_the_check(place in any::<prop::sample::Index>(), bit in 0u8..8) {
        let (_, second, _) = rotated(HOUR);
        let mut objects = vec![(1, object(&first())), (2, object(&second))];
        let at = place.index(objects[1].1.len());
        objects[1].1[at] ^= 1 << bit;
        let report = read(&objects);
        prop_assert!(report.faults.iter().any(|f| f.kind == FaultKind::Failure && f.object == ring_key(2)), "byte {at}");
    }
}
