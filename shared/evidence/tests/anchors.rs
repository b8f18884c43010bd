//! What others say of a log: its second signature, witnesses and timestamps, and what the verifier says of those that do not fit.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey as Ed25519};
use evidence::log::{
    Batch, Checkpoint, CheckpointError, Ed25519Key, Edge, LogKey, LogKeys, TimestampRequest, Token, TokenError, Witness,
    WitnessError, batch_key, checkpoint_key, cosigned_key, timestamp_key, timestamp_size,
};
use evidence::{FaultKind, PublicKey, Report, Root, Standing, Verifier};
use ids::{Sha256, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use proptest::prelude::*;

const LOG: &str = "example.com/cordon";
const FIRST: u8 = 2;
const SECOND: u8 = 3;
const WITNESS: u8 = 4;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_795_400_000_000 + seconds * 1000).unwrap()
}

fn first(n: u8) -> (SigningKey, PublicKey) {
    let key = SigningKey::from_slice(&[n; 32]).unwrap();
    let public = PublicKey::of(key.verifying_key()).unwrap();
    (key, public)
}

fn ed25519(n: u8) -> Ed25519 {
    Ed25519::from_bytes(&[n; 32])
}

fn der(key: &Ed25519) -> Vec<u8> {
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    [prefix.as_slice(), key.verifying_key().as_bytes()].concat()
}

fn second(n: u8) -> Ed25519Key {
    Ed25519Key::from_der(&der(&ed25519(n))).unwrap()
}

/// By the words of C2SP's tlog-cosignature, and not by our code.
fn id(name: &str, kind: u8, key: &Ed25519) -> [u8; 4] {
    let whole = [name.as_bytes(), b"\n", &[kind], key.verifying_key().as_bytes()].concat();
    Sha256::of(&whole).as_bytes()[..4].try_into().unwrap()
}

fn witness(name: &str, n: u8) -> Witness {
    let key = ed25519(n);
    let id = u32::from_be_bytes(id(name, 4, &key));
    let bytes = [&[4], key.verifying_key().as_bytes().as_slice()].concat();
    format!("{name}+{id:08x}+{}", STANDARD.encode(bytes)).parse().unwrap()
}

fn cosign(name: &str, n: u8, text: &str, time: Timestamp) -> String {
    let seconds = u64::try_from(time.millis() / 1000).unwrap();
    let signature = ed25519(n).sign(format!("cosignature/v1\ntime {seconds}\n{text}").as_bytes());
    let bytes = [id(name, 4, &ed25519(n)).as_slice(), &seconds.to_be_bytes(), &signature.to_bytes()].concat();
    format!("\u{2014} {name} {}\n", STANDARD.encode(bytes))
}

fn note(checkpoint: &Checkpoint) -> String {
    let (key, public) = first(FIRST);
    let signature: Signature = key.sign_prehash(checkpoint.digest().as_bytes()).unwrap();
    checkpoint.note(signature.to_der().as_bytes(), &public).unwrap()
}

fn both(checkpoint: &Checkpoint) -> String {
    let signature = ed25519(SECOND).sign(checkpoint.to_string().as_bytes());
    checkpoint.add_ed25519(&note(checkpoint), &signature.to_bytes(), &second(SECOND)).unwrap()
}

/// A log of empty batches, a minute apart, each under a checkpoint with both signatures.
struct Log {
    objects: BTreeMap<String, Vec<u8>>,
    heads: Vec<Checkpoint>,
    edge: Edge,
    last: Option<(u64, Sha256)>,
}

impl Log {
    fn of(times: &[i64]) -> Self {
        let mut log = Self { objects: BTreeMap::new(), heads: Vec::new(), edge: Edge::default(), last: None };
        let (first, second) = (first(FIRST).1, second(SECOND));
        log.objects.insert(format!("keys/seal/{}.der", first.fingerprint()), first.der().to_vec());
        log.objects.insert(format!("keys/seal/{}.der", second.fingerprint()), second.der().to_vec());
        times.iter().for_each(|time| log.seal(*time));
        log
    }

    fn seal(&mut self, time: i64) {
        let batch = Batch::next(LOG, self.last, &self.edge, at(time), Vec::new()).unwrap();
        batch.follow(batch.seal.batch, self.last.map(|(_, digest)| (LOG, digest)), &mut self.edge).unwrap();
        let bytes = batch.to_bytes().unwrap();
        self.last = Some((batch.seal.batch, Sha256::of(&bytes)));
        self.objects.insert(batch_key(batch.seal.batch), bytes);
        let checkpoint = Checkpoint { origin: LOG.to_owned(), size: batch.size, root: batch.root };
        self.objects.insert(checkpoint_key(batch.size), both(&checkpoint).into_bytes());
        self.heads.push(checkpoint);
    }

    /// The witness cosigns the checkpoint of `size` leaves.
    fn cosign(&mut self, name: &str, size: u64, time: i64) {
        let head = &self.heads[usize::try_from(size).unwrap() - 1];
        let note = format!("{}{}", both(head), cosign(name, WITNESS, &head.to_string(), at(time)));
        self.objects.insert(cosigned_key(size, &witness(name, WITNESS)), note.into_bytes());
    }

    fn verify_at(&self, now: i64, witnesses: Vec<Witness>) -> Report {
        let root = Root { function: Some("seal".parse().unwrap()), fingerprint: first(FIRST).1.fingerprint() };
        let mut verifier = Verifier::new(vec![root]).witnessed_by(witnesses);
        for (object, bytes) in &self.objects {
            verifier.add(object, bytes, None, at(now));
        }
        verifier.finish(at(now))
    }

    fn verify(&self) -> Report {
        self.verify_at(200, Vec::new())
    }
}

#[track_caller]
fn names(report: &Report, object: &str, reason: &str) {
    assert_eq!(report.standing, Standing::Failed, "{report:#?}");
    let named = report.faults.iter().any(|f| f.kind == FaultKind::Failure && f.object == object && f.reason.contains(reason));
    assert!(named, "no failure names {object} with `{reason}`: {:#?}", report.faults);
}

#[test]
fn a_verifier_key_is_the_one_that_others_compute() {
    // That of Go's checksum database, as every Go program has it.
    let known = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8";
    let point = STANDARD.decode(known.splitn(3, '+').nth(2).unwrap()).unwrap()[1..].to_vec();
    let prefix = der(&ed25519(1))[..12].to_vec();
    assert_eq!(Ed25519Key::from_der(&[prefix, point].concat()).unwrap().vkey("sum.golang.org"), known);
    assert_eq!(known.parse::<Witness>(), Err(WitnessError::Type(1)));
}

#[test]
fn what_is_no_witness_is_told_apart() {
    let good = witness("witness.example/w1", WITNESS).to_string();
    assert_eq!(good.parse::<Witness>().unwrap().to_string(), good);
    let (name, rest) = good.split_once('+').unwrap();
    let (id, key) = rest.split_once('+').unwrap();
    for (wrong, error) in [
        ("", WitnessError::Form),
        ("witness.example/w1", WitnessError::Form),
        (&format!("+{id}+{key}"), WitnessError::Form),
        (&format!("a b+{id}+{key}"), WitnessError::Form),
        (&format!("{name}+{id}+{key}!"), WitnessError::Form),
        (&format!("{name}+{id}+{}", &STANDARD.encode([4; 20])), WitnessError::Key),
        (
            &format!(
                "{name}+{id}+{}",
                &STANDARD.encode([4, 1].iter().chain(&[0; 31]).collect::<Vec<_>>().into_iter().copied().collect::<Vec<u8>>())
            ),
            WitnessError::Key,
        ),
    ] {
        assert_eq!(wrong.parse::<Witness>(), Err(error), "{wrong}");
    }
    let mistyped = format!("{name}.other+{id}+{key}").parse::<Witness>().unwrap_err();
    assert!(matches!(&mistyped, WitnessError::Id { is, .. } if is == id), "{mistyped}");
}

#[test]
fn a_der_key_is_taken_in_its_one_form_only() {
    let good = der(&ed25519(1));
    assert!(Ed25519Key::from_der(&good).is_ok());
    let mut bit_string = good.clone();
    bit_string[11] = 1;
    // The point of order one, which fits signatures that nobody made.
    let weak = [&good[..12], &[1], &[0; 31]].concat();
    for wrong in [&good[..43], &[&good[..], b"!"].concat(), &bit_string, &weak, first(FIRST).1.der()] {
        assert!(Ed25519Key::from_der(wrong).is_err(), "{wrong:02x?}");
    }
    assert_eq!(LogKey::from_der(&weak), None);
    assert!(matches!(LogKey::from_der(first(FIRST).1.der()), Some(LogKey::P256(_))));
}

#[test]
fn a_log_with_two_signatures_holds_and_names_its_verifier_key() {
    let log = Log::of(&[0, 60, 120]);
    let report = log.verify();
    assert_eq!((report.faults.as_slice(), report.standing), ([].as_slice(), Standing::Verified));
    let seen = report.log.unwrap();
    assert_eq!((seen.checkpoints, seen.signed, seen.anchors.timestamped), (3, 3, 0));
    assert_eq!(seen.anchors.vkeys.into_iter().collect::<Vec<_>>(), [second(SECOND).vkey(LOG)]);
}

#[test]
fn each_signature_by_a_known_key_must_fit_and_one_must_be_p256() {
    let log = Log::of(&[0]);
    let (head, object) = (&log.heads[0], checkpoint_key(1));
    let with = |note: String| {
        let mut objects = log.objects.clone();
        objects.insert(object.clone(), note.into_bytes());
        Log { objects, heads: Vec::new(), edge: Edge::default(), last: None }.verify()
    };
    let lines: Vec<String> = both(head).lines().skip(4).map(|line| format!("{line}\n")).collect();
    let [ecdsa, edwards] = &lines[..] else { panic!("{lines:?}") };
    let text = head.to_string();
    let another = Checkpoint { size: 2, ..head.clone() };
    let foreign = both(&another).lines().map(|line| format!("{line}\n")).collect::<Vec<_>>();

    assert_eq!(with(format!("{text}\n{edwards}{ecdsa}")).standing, Standing::Verified, "in either order");
    let stranger = "\u{2014} somebody.example AAAAAAAAAAA=\n";
    assert_eq!(
        with(format!("{text}\n{stranger}{ecdsa}{stranger}{edwards}")).standing,
        Standing::Verified,
        "strangers do not count"
    );
    names(&with(format!("{text}\n{edwards}")), &object, "not signed by any key");
    names(&with(format!("{text}\n{stranger}")), &object, "not signed by any key");
    let bad = format!("its Ed25519 signature by the log's key {} does not fit", second(SECOND).fingerprint());
    names(&with(format!("{text}\n{ecdsa}{}", foreign[5])), &object, &bad);
    names(&with(format!("{text}\n{ecdsa}{edwards}{}", foreign[5])), &object, &bad);
    names(&with(format!("{text}\n{}{edwards}", foreign[4])), &object, "its signature does not fit");
    names(&with(format!("{text}\n{ecdsa}{}{edwards}", foreign[4])), &object, "its signature does not fit");
    names(&with(format!("{text}\n{ecdsa}{}", stranger.repeat(64))), &object, "not a signed note");
    names(&with(format!("{text}\n{ecdsa}{edwards}rest\n")), &object, "not a signed note");
}

#[test]
fn nothing_unsound_is_put_onto_a_note() {
    let log = Log::of(&[0]);
    let head = &log.heads[0];
    let another = Checkpoint { size: 2, ..head.clone() };
    let signature = ed25519(SECOND).sign(another.to_string().as_bytes()).to_bytes();
    let refused = head.add_ed25519(&note(head), &signature, &second(SECOND));
    assert_eq!(refused, Err(CheckpointError::Ed25519(second(SECOND).fingerprint())));

    let w = witness("w.example", WITNESS);
    let line = cosign("w.example", WITNESS, &head.to_string(), at(1));
    let others = cosign("other.example", 9, &head.to_string(), at(1));
    let whole = Checkpoint::add_cosignature(&both(head), &format!("{others}{line}"), &w).unwrap();
    assert_eq!(whole, format!("{}{line}", both(head)), "others are left out");
    assert_eq!(Checkpoint::cosigned(&whole, &w), Ok(Some(at(1))));
    let refused = |answer: &str| Checkpoint::add_cosignature(&both(head), answer, &w).unwrap_err();
    assert_eq!(refused(&others), CheckpointError::NoCosignature("w.example".to_owned()));
    assert_eq!(
        refused(&cosign("w.example", WITNESS, &another.to_string(), at(1))),
        CheckpointError::Cosignature("w.example".to_owned())
    );
    for form in ["", "\n", "404 not found\n", line.trim_end(), &format!("\n{line}")] {
        let error = refused(form);
        let expected = if form.is_empty() { CheckpointError::NoCosignature("w.example".to_owned()) } else { CheckpointError::Form };
        assert_eq!(error, expected, "{form:?}");
    }
    assert_eq!(
        Checkpoint::add_cosignature(&whole, &others, &w),
        Err(CheckpointError::NoCosignature("w.example".to_owned())),
        "an old line is no answer"
    );
}

#[test]
fn a_witness_that_was_asked_for_must_have_cosigned() {
    let mut log = Log::of(&[0, 60, 120]);
    let asked = || vec![witness("w.example", WITNESS)];
    names(&log.verify_at(200, asked()), "log/", "no checkpoint here carries a cosignature of witness w.example");
    log.cosign("w.example", 3, 121);
    let report = log.verify_at(200, asked());
    assert_eq!(report.faults, []);
    let seen = report.log.unwrap();
    let cosigned = seen.anchors.cosigned.values().map(|one| (one.size, one.time)).collect::<Vec<_>>();
    assert_eq!((cosigned, seen.checkpoints), (vec![(3, at(121))], 3), "and one checkpoint is counted once");
    let two = vec![witness("w.example", WITNESS), witness("v.example", 9)];
    names(&log.verify_at(200, two), "log/", "cosignature of witness v.example");
    names(&log.verify_at(200 - 2000, asked()), "log/", "which is in the future");
    // Of the same name with another key: whoever asks for that one is not served by this one.
    names(&log.verify_at(200, vec![witness("w.example", 9)]), "log/", "no checkpoint here");
}

#[test]
fn a_cosignature_that_does_not_fit_is_named_if_its_witness_was_asked_for() {
    let mut log = Log::of(&[0, 60]);
    let line = cosign("w.example", WITNESS, &log.heads[0].to_string(), at(1));
    let object = cosigned_key(2, &witness("w.example", WITNESS));
    log.objects.insert(object.clone(), format!("{}{line}", both(&log.heads[1])).into_bytes());
    assert_eq!(log.verify().standing, Standing::Verified, "nobody asked");
    let report = log.verify_at(200, vec![witness("w.example", WITNESS)]);
    names(&report, &object, "the cosignature of witness w.example does not fit");
    names(&report, "log/", "no checkpoint here");
    // A cosigned note is a checkpoint like any other: another root is a fork.
    let forked = Checkpoint { root: Sha256::of(b"fork"), ..log.heads[1].clone() };
    log.objects.insert(object.clone(), both(&forked).into_bytes());
    names(&log.verify(), &object, "the log was forked");
}

#[test]
fn a_witness_may_be_away_for_an_hour_and_no_longer() {
    let asked = || vec![witness("w.example", WITNESS)];
    let hour = 3600;
    let mut log = Log::of(&[0, hour, hour + 1800, 2 * hour]);
    log.cosign("w.example", 1, 1);
    // What it has not cosigned begins an hour before the newest batch.
    assert_eq!(log.verify_at(2 * hour, asked()).standing, Standing::Verified);
    log.seal(2 * hour + 400);
    names(&log.verify_at(2 * hour + 400, asked()), "log/", "cosigned 1 of 5 leaves");
    log.cosign("w.example", 2, 2 * hour);
    assert_eq!(log.verify_at(2 * hour + 400, asked()).standing, Standing::Verified);
    let nothing = Log { objects: BTreeMap::new(), heads: Vec::new(), edge: Edge::default(), last: None };
    names(&nothing.verify_at(0, asked()), "log/", "no log here that w.example could have cosigned");
}

fn value(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match content.len() {
        short @ 0..=0x7f => vec![u8::try_from(short).unwrap()],
        long @ 0x80..=0xff => vec![0x81, u8::try_from(long).unwrap()],
        longer => [&[0x82], u16::try_from(longer).unwrap().to_be_bytes().as_slice()].concat(),
    };
    [&[tag], length.as_slice(), &content].concat()
}

const DIGEST: [u8; 11] = [0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

fn info(digest: &[u8], time: &str, rest: &[u8]) -> Vec<u8> {
    let imprint = value(0x30, &[&value(0x30, &[&DIGEST]), &value(0x04, &[digest])]);
    value(0x30, &[&[2, 1, 1], &[6, 1, 42], &imprint, &[2, 1, 7], &value(0x18, &[time.as_bytes()]), rest])
}

fn response(status: u8, info: &[u8]) -> Vec<u8> {
    let signed_data = [0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x07, 0x02];
    let tst_info = [0x06, 0x0b, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x10, 0x01, 0x04];
    let encapsulated = value(0x30, &[&tst_info, &value(0xa0, &[&value(0x04, &[info])])]);
    let certificates = value(0xa0, &[&[0x55; 1500]]);
    let signed = value(0x30, &[&[2, 1, 3], &value(0x31, &[]), &encapsulated, &certificates, &value(0x31, &[])]);
    let token = value(0x30, &[&signed_data, &value(0xa0, &[&signed])]);
    value(0x30, &[&value(0x30, &[&[2, 1, status]]), &token])
}

#[test]
fn a_timestamp_is_read_strictly_and_must_answer_the_question() {
    let digest = Sha256::of(b"text");
    let request = TimestampRequest::new(digest, [0xff; 8]);
    let asked = request.to_der();
    assert_eq!(
        (asked.len(), &asked[..5], &asked[asked.len() - 3..]),
        (69, [0x30, 67, 2, 1, 1].as_slice(), [1, 1, 0xff].as_slice())
    );
    let nonce = [2, 8, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
    assert!(asked.windows(10).any(|part| part == nonce), "{asked:02x?}");

    let accuracy = value(0x30, &[&[2, 1, 1]]);
    let rest = [accuracy.as_slice(), &[1, 1, 0xff], &nonce, &value(0xa0, &[b"tsa"])].concat();
    let good = response(0, &info(digest.as_bytes(), "20261124133811.5Z", &rest));
    let token = Token::read(&good).unwrap();
    assert_eq!((token.imprint, token.time.to_string().as_str()), (digest, "2026-11-24T13:38:11.500Z"));
    assert_eq!(token.answers(&request), Ok(()));
    assert_eq!(token.answers(&TimestampRequest::new(Sha256::of(b"other"), [0xff; 8])), Err(TokenError::Imprint));
    assert_eq!(token.answers(&TimestampRequest::new(digest, [1; 8])), Err(TokenError::Nonce));
    let without = Token::read(&response(1, &info(digest.as_bytes(), "20261124133811Z", &[]))).unwrap();
    assert_eq!(without.answers(&request), Err(TokenError::Nonce));

    let said = value(0x30, &[&value(0x0c, &["no \u{1b}[31mclock".as_bytes()])]);
    let refusal = value(0x30, &[&value(0x30, &[&[2, 1, 2], &said, &[3, 2, 0, 4]])]);
    let error = Token::read(&refusal).unwrap_err();
    assert_eq!(error, TokenError::Refused { status: 2, text: "no [31mclock".to_owned() });
    for (wrong, what) in [
        (b"".to_vec(), "nothing"),
        (b"<html>".to_vec(), "a page"),
        ([&good[..], b"!"].concat(), "something after it"),
        (good[..good.len() - 1].to_vec(), "cut off"),
        (response(0, &info(&[1; 20], "20261124133811Z", &[])), "another digest"),
        (response(0, &info(digest.as_bytes(), "20261324133811Z", &[])), "a thirteenth month"),
        (response(0, &info(digest.as_bytes(), "20261124133811", &[])), "no time zone"),
        (response(0, &info(digest.as_bytes(), "20261124133811.Z", &[])), "an empty fraction"),
        (response(0, &info(digest.as_bytes(), "2026-11-2413:3Z", &[])), "signs in a time"),
        (value(0x30, &[&value(0x30, &[&[2, 1, 0]])]), "granted without a token"),
        // The indefinite form, and a length in more bytes than it needs.
        ([&[0x30, 0x80], &good[4..], &[0, 0]].concat(), "BER"),
        ([&[0x30, 0x83, 0], &good[2..]].concat(), "a long length"),
    ] {
        assert_eq!(Token::read(&wrong), Err(TokenError::Form), "{what}");
    }
}

#[test]
fn timestamps_are_counted_and_one_over_something_else_is_named() {
    let mut log = Log::of(&[0, 60]);
    let put = |log: &mut Log, size: u64, bytes: Vec<u8>| log.objects.insert(timestamp_key(size), bytes);
    let over = |head: &Checkpoint| response(0, &info(head.digest().as_bytes(), "20261123020001Z", &[]));
    let (one, two) = (log.heads[0].clone(), log.heads[1].clone());
    put(&mut log, 1, over(&one));
    put(&mut log, 2, over(&two));
    let report = log.verify();
    assert_eq!(report.faults, []);
    let anchors = report.log.unwrap().anchors;
    assert_eq!((anchors.timestamped, anchors.newest_timestamp), (2, Some("2026-11-23T02:00:01Z".parse().unwrap())));

    put(&mut log, 1, over(&two));
    names(&log.verify(), &timestamp_key(1), "the timestamp is over something else");
    put(&mut log, 1, b"not found".to_vec());
    names(&log.verify(), &timestamp_key(1), "not a timestamp response");
    put(&mut log, 1, response(0, &info(one.digest().as_bytes(), "20361123020001Z", &[])));
    names(&log.verify(), &timestamp_key(1), "in the future");
    put(&mut log, 1, over(&one));
    put(&mut log, 7, over(&one));
    names(&log.verify(), &timestamp_key(7), "no batch that holds ends");
    assert_eq!((timestamp_size("log/cp/000000000007.tsr"), timestamp_size("log/cp/7.tsr")), (Some(7), None));
}

proptest! {
    #[test]
    fn no_bytes_make_the_readers_stumble(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Token::read(&bytes);
        let _ = LogKey::from_der(&bytes);
        let text = String::from_utf8_lossy(&bytes);
        let _ = text.parse::<Witness>();
        let _ = Checkpoint::open(&text, &LogKeys::default());
    }

    /// One bit of the digest or of the nonce is another: no answer to this question any more.
    #[test]
    fn a_changed_timestamp_answers_another_question(place in 0usize..40, bit in 0u8..8) {
        let digest = Sha256::of(b"text");
        let request = TimestampRequest::new(digest, [5; 8]);
        let nonce = [0x45, 5, 5, 5, 5, 5, 5, 5];
        let mut answer = response(0, &info(digest.as_bytes(), "20261124133811Z", &[&[2, 8], nonce.as_slice()].concat()));
        prop_assert_eq!(Token::read(&answer).unwrap().answers(&request), Ok(()));
        let start = |part: &[u8]| answer.windows(part.len()).position(|found| found == part).unwrap();
        let place = if place < 32 { start(digest.as_bytes()) + place } else { start(&nonce) + place - 32 };
        answer[place] ^= 1 << bit;
        let still = Token::read(&answer).is_ok_and(|token| token.answers(&request).is_ok());
        prop_assert!(!still, "byte {place}, bit {bit}");
    }
}
