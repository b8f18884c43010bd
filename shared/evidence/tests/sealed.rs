//! What a log adds: each attack on it, and what the verifier says then.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]
#![expect(clippy::needless_pass_by_value, reason = "keys are named as they come, owned or not")]

use std::collections::{BTreeMap, BTreeSet};

use evidence::log::{Batch, Checkpoint, Edge, Entry, Odd, Orphan, Sealed, batch_key, checkpoint_key};
use evidence::{
    Draft, Endorsement, FaultKind, Kind, PublicKey, RecordId, RecordKey, Report, Root, Session, Standing, Verifier, Version,
};
use ids::{IncidentId, SessionId, Sha256, SignalId, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use proptest::prelude::*;

const LOG: &str = "example.com/cordon";

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_400_000_000 + seconds * 1000).unwrap()
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_slice(&[n; 32]).unwrap()
}

fn public(n: u8) -> PublicKey {
    PublicKey::of(key(n).verifying_key()).unwrap()
}

fn sign(n: u8, digest: Sha256) -> Vec<u8> {
    let signature: Signature = key(n).sign_prehash(digest.as_bytes()).unwrap();
    signature.to_der().as_bytes().to_vec()
}

/// A store: objects in the order of their keys, each with its version.
#[derive(Clone, Default)]
struct Store(BTreeMap<String, (Vec<u8>, Version)>);

/// The sealer's view of a log that grows.
#[derive(Default)]
struct Log {
    last: Option<(Batch, Sha256)>,
    edge: Edge,
}

const FUNCTION: u8 = 1;
const SEALER: u8 = 2;

impl Store {
    fn put(&mut self, object: &str, bytes: Vec<u8>, stored: Timestamp) {
        let version = Version { id: format!("v{}", self.0.len()), stored };
        self.0.insert(object.to_owned(), (bytes, version));
    }

    /// Intent and outcome of an incident, by a session of its own.
    fn record(&mut self, n: u8, start: i64) -> [RecordKey; 2] {
        let mut session = Session::new(SessionId::from_random([n; 16]), key(n)).unwrap();
        let endorsement = Endorsement {
            session: session.id().clone(),
            session_key: session.public_key().clone(),
            function: "quarantine".parse().unwrap(),
            code_sha256: None,
            not_before: at(0),
            not_after: at(12 * 3600),
            endorser: public(FUNCTION),
        };
        let endorser = endorsement.prepare().unwrap();
        let signature = sign(FUNCTION, endorser.digest());
        session.endorse(endorser.finish(&signature).unwrap());
        let incident = IncidentId::derive("target", &n.to_string());
        let signal = SignalId::of_bytes(&Sha256::of(&[n]));
        let id = RecordId::derive(&"quarantine".parse().unwrap(), Some(&incident), &signal);
        let intent = RecordKey::new("quarantine".parse().unwrap(), at(start), id, 1, Kind::Intent);
        let draft = |kind, time, answers, due| Draft {
            key: intent.sibling(1, kind),
            subject: Vec::new(),
            incident: Some(incident.clone()),
            signal: signal.clone(),
            time: at(time),
            answers,
            due,
            playbook: Sha256::of(b"playbook"),
            rule: None,
            controls: Vec::new(),
            anomalies: Vec::new(),
            body: "said",
        };
        let first = session.sign(draft(Kind::Intent, start, None, Some(at(start + 900)))).unwrap();
        session.kept(&first);
        let second = session.sign(draft(Kind::Outcome, start + 1, Some(first.link()), None)).unwrap();
        self.put(&first.key.to_string(), first.bytes, at(start));
        self.put(&second.key.to_string(), second.bytes, at(start + 1));
        [first.key, second.key]
    }

    fn entry(&self, key: &RecordKey) -> Entry {
        let (bytes, version) = self.0.get(&key.to_string()).unwrap();
        Entry::Record(Sealed {
            key: key.clone(),
            version: version.id.clone(),
            sha256: Sha256::of(bytes),
            stored: version.stored,
            kind: key.kind,
            incident: None,
            due: None,
        })
    }

    fn seal(&mut self, log: &mut Log, time: i64, entries: Vec<Entry>) {
        let previous = log.last.as_ref().map(|(batch, digest)| (batch.seal.batch, *digest));
        let batch = Batch::next(LOG, previous, &log.edge, at(time), entries).unwrap();
        let name = previous.map(|(_, digest)| (LOG, digest));
        batch.follow(batch.seal.batch, name, &mut log.edge).unwrap();
        let bytes = batch.to_bytes().unwrap();
        let digest = Sha256::of(&bytes);
        self.put(&batch_key(batch.seal.batch), bytes, at(time));
        let checkpoint = Checkpoint { origin: LOG.to_owned(), size: batch.size, root: batch.root };
        self.put(&checkpoint_key(batch.size), note(SEALER, &checkpoint).into_bytes(), at(time));
        log.last = Some((batch, digest));
    }

    fn verify_as(&self, roots: &[(u8, &str)], now: i64) -> Report {
        let root =
            |(n, function): &(u8, &str)| Root { function: Some(function.parse().unwrap()), fingerprint: public(*n).fingerprint() };
        let mut verifier = Verifier::new(roots.iter().map(root).collect());
        for (object, (bytes, version)) in &self.0 {
            verifier.add(object, bytes, Some(version), at(now));
        }
        verifier.finish(at(now))
    }

    fn verify(&self) -> Report {
        self.verify_as(&[(FUNCTION, "quarantine"), (SEALER, "seal")], 200)
    }

    fn remove(&mut self, object: impl ToString) -> &mut Self {
        self.0.remove(&object.to_string()).unwrap();
        self
    }

    fn replace(&mut self, object: impl ToString, bytes: Vec<u8>) -> &mut Self {
        self.0.get_mut(&object.to_string()).unwrap().0 = bytes;
        self
    }
}

fn note(signer: u8, checkpoint: &Checkpoint) -> String {
    checkpoint.note(&sign(signer, checkpoint.digest()), &public(signer)).unwrap()
}

/// Two incidents, sealed a minute apart, and an empty batch after them.
fn story() -> (Store, Log, [RecordKey; 4]) {
    let (mut store, mut log) = (Store::default(), Log::default());
    store.put(&format!("keys/seal/{}.der", public(SEALER).fingerprint()), public(SEALER).der().to_vec(), at(0));
    let [a, b] = store.record(11, 10);
    let [c, d] = store.record(12, 70);
    let first = vec![store.entry(&a), store.entry(&b)];
    store.seal(&mut log, 60, first);
    let second = vec![store.entry(&c), store.entry(&d)];
    store.seal(&mut log, 120, second);
    store.seal(&mut log, 180, Vec::new());
    (store, log, [a, b, c, d])
}

#[track_caller]
fn names(report: &Report, object: impl ToString, reason: &str) {
    assert_eq!(report.standing, Standing::Failed, "{report:#?}");
    let object = object.to_string();
    let named = report.faults.iter().any(|f| f.kind == FaultKind::Failure && f.object == object && f.reason.contains(reason));
    assert!(named, "no failure names {object} with `{reason}`: {:#?}", report.faults);
}

#[test]
fn a_sealed_log_is_verified_with_its_size_and_root() {
    let (store, log, _) = story();
    let report = store.verify();
    assert_eq!(report.faults, []);
    assert_eq!((report.standing, report.records), (Standing::Verified, 4));
    let seen = report.log.unwrap();
    assert_eq!((seen.batches, seen.size, seen.checkpoints, seen.signed), (3, 7, 3, 7));
    assert_eq!((seen.name.as_str(), seen.root, seen.newest), (LOG, log.edge.root(), at(180)));
}

#[test]
fn a_record_and_its_whole_session_cannot_be_dropped() {
    let (mut store, _, [_, _, c, d]) = story();
    store.remove(&c).remove(&d);
    names(&store.verify(), &c, "in the log at index 4");
    names(&store.verify(), &d, "in the log at index 5");
}

#[test]
fn a_record_cannot_be_exchanged_for_another_that_is_signed_as_well() {
    let (mut store, _, [a, ..]) = story();
    let mut session = Session::new(SessionId::from_random([99; 16]), key(99)).unwrap();
    let (bytes, _) = &store.0[&a.to_string()];
    let (there, _) = evidence::open::<serde_json::Value>(&a, bytes).unwrap();
    let header = there.predicate.record;
    let forged = session.sign(Draft {
        key: header.key,
        subject: Vec::new(),
        incident: header.incident,
        signal: header.signal,
        time: header.time,
        answers: None,
        due: header.due,
        playbook: header.playbook,
        rule: None,
        controls: Vec::new(),
        anomalies: Vec::new(),
        body: "another story",
    });
    store.replace(&a, forged.unwrap().bytes);
    names(&store.verify(), &a, "not the object that the log has at index 1");
}

#[test]
fn the_logs_end_cannot_be_cut_off_under_a_checkpoint() {
    let (mut store, _, _) = story();
    store.remove(batch_key(3));
    names(&store.verify(), checkpoint_key(7), "the log's end was cut off");
    // With the checkpoint gone too, one that was kept elsewhere still tells.
    let kept = store.0[&checkpoint_key(7)].0.clone();
    store.remove(checkpoint_key(7));
    assert_eq!(store.verify().standing, Standing::Verified, "nothing here says that there was more");
    let mut verifier = Verifier::new(Vec::new()).against("kept.note", kept);
    store.0.iter().for_each(|(object, (bytes, version))| verifier.add(object, bytes, Some(version), at(200)));
    names(&verifier.finish(at(200)), "kept.note", "signed over 7 leaves, and only 6 are here");
}

#[test]
fn a_batch_in_the_middle_cannot_be_dropped_or_moved() {
    let (mut store, _, _) = story();
    let second = store.0[&batch_key(2)].0.clone();
    store.replace(batch_key(3), second);
    names(&store.verify(), batch_key(3), "it is batch 2");
    let (mut store, _, _) = story();
    store.remove(batch_key(2));
    names(&store.verify(), batch_key(3), "batch 2 is missing");
    let (mut store, _, _) = story();
    store.remove(batch_key(1));
    names(&store.verify(), batch_key(2), "batch 1 is missing");
}

#[test]
fn a_forked_batch_is_not_what_was_signed() {
    let (mut store, _, _) = story();
    let (mut fork, mut log) = (Store::default(), Log::default());
    let [a, b] = fork.record(11, 10);
    let swapped = vec![fork.entry(&b), fork.entry(&a)];
    fork.seal(&mut log, 60, swapped);
    let forged = fork.0[&batch_key(1)].0.clone();
    store.replace(batch_key(1), forged);
    let report = store.verify();
    names(&report, batch_key(2), "does not follow");
    names(&report, checkpoint_key(3), "the log was forked");
}

#[test]
fn a_changed_batch_is_named() {
    let (mut store, _, _) = story();
    let mut bytes = store.0[&batch_key(2)].0.clone();
    let place = bytes.windows(5).position(|part| part == b"prev\"").unwrap() + 10;
    bytes[place] = if bytes[place] == b'0' { b'1' } else { b'0' };
    store.replace(batch_key(2), bytes);
    names(&store.verify(), batch_key(2), "does not");
    let (mut store, _, _) = story();
    store.replace(batch_key(2), b"{}".to_vec());
    names(&store.verify(), batch_key(2), "not a batch");
}

#[test]
fn a_checkpoint_by_another_key_is_refused() {
    let (mut store, log, _) = story();
    let checkpoint = Checkpoint { origin: LOG.to_owned(), size: 7, root: log.edge.root() };
    store.replace(checkpoint_key(7), note(9, &checkpoint).into_bytes());
    names(&store.verify(), checkpoint_key(7), "not signed by any key");
    // Even if that key is put among the keys: it is no root.
    store.put(&format!("keys/seal/{}.der", public(9).fingerprint()), public(9).der().to_vec(), at(0));
    names(&store.verify(), checkpoint_key(7), "not a trusted root for `seal`");
    let (store, ..) = story();
    names(&store.verify_as(&[(FUNCTION, "quarantine"), (SEALER, "quarantine")], 200), checkpoint_key(7), "not a trusted root");
}

#[test]
fn a_log_nobody_signed_is_a_failure_once_it_had_the_time() {
    let (mut store, _, _) = story();
    store.remove(checkpoint_key(3)).remove(checkpoint_key(6)).remove(checkpoint_key(7));
    assert_eq!(store.verify_as(&[], 200).standing, Standing::SelfConsistent);
    names(&store.verify_as(&[], 1000), batch_key(3), "no checkpoint over its 7 leaves");
}

#[test]
fn a_key_that_is_not_what_its_name_says_is_named() {
    let (mut store, _, _) = story();
    let name = format!("keys/seal/{}.der", public(SEALER).fingerprint());
    store.replace(&name, public(9).der().to_vec());
    names(&store.verify(), &name, "not the public key that its name says");
}

#[test]
fn a_record_that_is_never_sealed_is_named_once_it_had_the_time() {
    let (mut store, mut log, _) = story();
    let [e, _] = store.record(13, 181);
    let report = store.verify();
    assert_eq!(report.standing, Standing::Verified, "it has a minute: {:?}", report.faults);
    assert!(report.faults.iter().any(|f| f.object == e.to_string() && f.reason.contains("not in the log yet")));
    store.seal(&mut log, 181 + 660, Vec::new());
    names(&store.verify_as(&[], 900), &e, "never sealed");
}

#[test]
fn what_the_sealer_found_odd_stays_found() {
    let (mut store, mut log, [a, ..]) = story();
    let marker = Version { id: "marker".to_owned(), stored: at(190) };
    let odd = |key: String| {
        let reason = "a delete marker".to_owned();
        Entry::Odd(Odd { key, version: marker.id.clone(), stored: marker.stored, sha256: None, reason })
    };
    store.seal(&mut log, 195, vec![odd(a.to_string())]);
    // The marker is there: once as what the store has, once as what the log says.
    let mut verifier = Verifier::new(Vec::new());
    store.0.iter().for_each(|(object, (bytes, version))| verifier.add(object, bytes, Some(version), at(200)));
    verifier.hidden(&a.to_string(), &marker);
    let report = verifier.finish(at(200));
    names(&report, &a, "hidden under delete marker");
    names(&report, &a, "the log says of version marker");
    assert!(report.faults.iter().all(|fault| fault.object == a.to_string()), "{:?}", report.faults);
    // The marker was taken away again: the log has it all the same.
    names(&store.verify(), &a, "(version marker), and not here");
}

#[test]
fn a_record_named_twice_and_a_changed_time_are_named() {
    let (mut store, mut log, [a, ..]) = story();
    let again = store.entry(&a);
    store.seal(&mut log, 195, vec![again]);
    names(&store.verify(), batch_key(4), "a second time");
    let (mut store, _, [a, ..]) = story();
    store.0.get_mut(&a.to_string()).unwrap().1.stored = at(12);
    names(&store.verify(), &a, "its listed time was changed");
}

#[test]
fn orphans_and_silence_are_mentioned() {
    let (mut store, mut log, [a, ..]) = story();
    store.seal(&mut log, 180 + 7200, vec![Entry::Orphan(Orphan { intent: a.clone(), due: at(910) })]);
    let report = store.verify_as(&[], 7400);
    assert_eq!(report.standing, Standing::SelfConsistent);
    let said = |object: String, reason: &str| report.faults.iter().any(|f| f.object == object && f.reason.contains(reason));
    assert!(said(a.to_string(), "had no outcome when one was due"));
    assert!(said(batch_key(4), "silent for 120 minutes"));
    let report = store.verify_as(&[], 7380 + 4000);
    assert!(report.faults.iter().any(|f| f.object == batch_key(4) && f.reason.contains("the log ends here")), "{report:#?}");
}

#[test]
fn a_log_that_is_gone_is_missed_by_whoever_knows_its_key() {
    let (mut store, ..) = story();
    store.0.retain(|object, _| object.starts_with("rec/"));
    assert_eq!(store.verify_as(&[(FUNCTION, "quarantine")], 200).standing, Standing::Verified);
    names(&store.verify(), "log/", "there is no log here");
}

#[test]
fn records_without_any_log_are_judged_as_before() {
    let mut store = Store::default();
    store.record(11, 10);
    let report = store.verify_as(&[(FUNCTION, "quarantine")], 200);
    assert_eq!((report.standing, report.log), (Standing::Verified, None));
}

/// Something done to a store.
type Attack = fn(&mut Store, &[RecordKey; 4]);

const ATTACKS: &[Attack] = &[
    |_, _| {},
    |store, [a, ..]| {
        store.remove(a);
    },
    |store, [_, _, c, d]| {
        store.remove(c).remove(d);
    },
    |store, [_, b, ..]| store.0.get_mut(&b.to_string()).unwrap().1.stored = at(12),
    |store, [_, _, c, _]| store.0.get_mut(&c.to_string()).unwrap().1.id = "other".to_owned(),
    |store, [_, _, _, d]| {
        store.replace(d, b"{}".to_vec());
    },
    |store, _| {
        store.remove(batch_key(2));
    },
    |store, _| {
        store.remove(batch_key(3));
    },
    |store, _| {
        store.remove(checkpoint_key(7));
    },
    |store, _| {
        store.replace(batch_key(3), b"{}".to_vec());
    },
    |store, _| {
        let note = store.0.get(&checkpoint_key(3)).unwrap().0.clone();
        store.replace(checkpoint_key(6), note);
    },
    |store, _| store.put("rec/quarantine/2026/11/23/00/00/notes.txt", b"me too".to_vec(), at(65)),
    |store, _| {
        let [e, f] = store.record(14, 50);
        (store.0.get_mut(&e.to_string()).unwrap().1.stored, store.0.get_mut(&f.to_string()).unwrap().1.stored) = (at(50), at(51));
    },
];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Batches before records or after them: what holds and what does not is the same.
    #[test]
    fn the_log_and_the_records_may_be_read_side_by_side(attack in 0..ATTACKS.len(), choices in prop::collection::vec(0u8..3, 0..20)) {
        let (mut store, _, keys) = story();
        ATTACKS.get(attack).unwrap()(&mut store, &keys);
        let part = |prefix: &str| store.0.iter().filter(|(object, _)| object.starts_with(prefix)).rev().collect::<Vec<_>>();
        let (mut first, mut parts) = (part("keys/"), [part("log/batch/"), part("log/cp/"), part("rec/")]);
        first.extend(parts[0].pop());
        let order = choices.into_iter().chain([0, 1, 2].into_iter().flat_map(|n| [n; 9]));
        let order: Vec<_> = first.into_iter().chain(order.filter_map(|n| parts[usize::from(n)].pop())).collect();
        prop_assert_eq!(order.len(), store.0.len());
        let mut verifier = Verifier::new(Vec::new());
        for (object, (bytes, version)) in order {
            verifier.add(object, bytes, Some(version), at(2000));
        }
        let said = |report: Report| {
            let faults = report.faults.iter().map(|fault| (fault.kind, fault.object.clone())).collect::<BTreeSet<_>>();
            (report.standing, report.records, faults, report.log.map(|log| (log.size, log.root, log.signed)))
        };
        let (side_by_side, in_order) = (said(verifier.finish(at(2000))), said(store.verify_as(&[], 2000)));
        prop_assert_eq!(side_by_side, in_order);
    }
}

#[test]
fn sessions_that_are_over_are_forgotten_and_counted() {
    // More of them than are looked through at once, over weeks; and one that lacks its beginning, early on.
    let mut store = Store::default();
    let mut gone = None;
    for n in 0..1300_i64 {
        let seed = Sha256::of(&n.to_be_bytes());
        let own = SigningKey::from_slice(seed.as_bytes()).unwrap();
        let mut session = Session::new(SessionId::from_random(seed.as_bytes()[..16].try_into().unwrap()), own).unwrap();
        let signal = SignalId::of_bytes(&seed);
        let function: ids::FunctionName = "quarantine".parse().unwrap();
        let id = RecordId::derive(&function, None, &signal);
        let mut draft = |time, kind| {
            let record = session.sign(Draft {
                key: RecordKey::new(function.clone(), at(time), id.clone(), 1, kind),
                subject: Vec::new(),
                incident: None,
                signal: signal.clone(),
                time: at(time),
                answers: None,
                due: None,
                playbook: Sha256::of(b"playbook"),
                rule: None,
                controls: Vec::new(),
                anomalies: Vec::new(),
                body: "said",
            });
            let record = record.unwrap();
            session.kept(&record);
            record
        };
        let (one, two) = (draft(n * 600, Kind::Refusal), draft(n * 600 + 60, Kind::Decision));
        if n == 5 {
            gone = Some(two.key.to_string());
        } else {
            store.put(&one.key.to_string(), one.bytes, at(n * 600));
        }
        store.put(&two.key.to_string(), two.bytes, at(n * 600 + 60));
    }
    let report = store.verify_as(&[], 1300 * 600);
    assert_eq!((report.records, report.sessions), (2599, 1300));
    names(&report, gone.unwrap(), "lacks number 1");
    assert_eq!(report.faults.iter().filter(|fault| fault.kind == FaultKind::Failure).count(), 1);
}

#[test]
fn a_record_that_is_older_than_the_minute_in_its_key_is_named() {
    let (mut store, ..) = story();
    let [e, _] = store.record(15, 7200);
    let (bytes, _) = &store.0[&e.to_string()];
    let (there, _) = evidence::open::<serde_json::Value>(&e, bytes).unwrap();
    let header = there.predicate.record;
    let mut session = Session::new(SessionId::from_random([98; 16]), key(98)).unwrap();
    let backdated = session.sign(Draft {
        key: header.key,
        subject: Vec::new(),
        incident: header.incident,
        signal: header.signal,
        time: at(7200 - 16 * 60),
        answers: None,
        due: header.due,
        playbook: header.playbook,
        rule: None,
        controls: Vec::new(),
        anomalies: Vec::new(),
        body: "backdated",
    });
    store.replace(&e, backdated.unwrap().bytes);
    names(&store.verify_as(&[], 8000), &e, "before the minute in its key");
}

#[test]
fn a_log_whose_clock_stands_still_is_named() {
    // What a witness cosigned long ago would otherwise seem to be the newest.
    let (mut store, mut log, _) = story();
    let [e, f] = store.record(13, 7200);
    let late = vec![store.entry(&e), store.entry(&f)];
    store.seal(&mut log, 181, late);
    names(&store.verify_as(&[], 7300), batch_key(4), "which was stored later");
    let (mut store, mut log, _) = story();
    store.seal(&mut log, 181, Vec::new());
    store.0.get_mut(&batch_key(4)).unwrap().1.stored = at(7200);
    names(&store.verify_as(&[], 7300), batch_key(4), "long before it was stored");
}

#[test]
fn a_record_that_was_never_sealed_is_a_failure_even_where_nobody_says_when_it_was_stored() {
    let (mut store, mut log, _) = story();
    let [e, _] = store.record(13, 181);
    for hours in 1..=30 {
        store.seal(&mut log, 181 + hours * 3600, Vec::new());
    }
    let read = |until: i64| {
        let mut verifier = Verifier::new(Vec::new());
        let old = store.0.iter().filter(|(_, (_, version))| version.stored <= at(until));
        old.for_each(|(object, (bytes, _))| verifier.add(object, bytes, None, at(until)));
        verifier.finish(at(until))
    };
    assert_eq!(read(181 + 20 * 3600).standing, Standing::SelfConsistent, "it may still come: a look back of a day finds it");
    names(&read(181 + 30 * 3600), &e, "never sealed");
}

#[test]
fn a_functions_key_does_not_keep_the_log_nor_the_keys_of_others() {
    let (mut store, _, _) = story();
    let object = format!("keys/seal/{}.der", public(FUNCTION).fingerprint());
    store.put(&object, public(FUNCTION).der().to_vec(), at(0));
    let (_, log, _) = story();
    let checkpoint = Checkpoint { origin: LOG.to_owned(), size: 7, root: log.edge.root() };
    store.replace(checkpoint_key(7), note(FUNCTION, &checkpoint).into_bytes());
    // Both keys are given without the function they speak for.
    let free = |n: u8| Root { function: None, fingerprint: public(n).fingerprint() };
    let mut verifier = Verifier::new(vec![free(FUNCTION), free(SEALER)]);
    store.0.iter().for_each(|(object, (bytes, version))| verifier.add(object, bytes, Some(version), at(200)));
    names(&verifier.finish(at(200)), public(FUNCTION).fingerprint(), "more than one function");
}

#[test]
fn a_checkpoints_bundle_is_what_it_should_be_or_is_named() {
    let (mut store, log, _) = story();
    let checkpoint = Checkpoint { origin: LOG.to_owned(), size: 7, root: log.edge.root() };
    let object = checkpoint_key(7).replace(".note", ".sigstore.json");
    let bundle =
        |signer: u8, checkpoint: &Checkpoint| checkpoint.bundle(&sign(signer, checkpoint.digest()), &public(signer)).into_bytes();
    store.put(&object, bundle(SEALER, &checkpoint), at(180));
    assert_eq!(store.verify().faults, []);
    let other = Checkpoint { size: 6, ..checkpoint.clone() };
    let mut flipped = bundle(SEALER, &checkpoint);
    *flipped.last_mut().unwrap() = b' ';
    for wrong in [bundle(9, &checkpoint), bundle(SEALER, &other), flipped, b"{}".to_vec()] {
        store.replace(&object, wrong);
        names(&store.verify(), &object, "not this checkpoint");
    }
    store.remove(&object);
    let elsewhere = "log/cp/000000000005.sigstore.json";
    store.put(elsewhere, bundle(SEALER, &checkpoint), at(180));
    names(&store.verify(), elsewhere, "where no batch");
}
