//! Runs as the records tell them, on stores that work and stores that do not.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use evidence::{BlobKey, FaultKind, LARGEST_BLOB, RecordKey, Report, Session, Standing, Verifier, open};
use evidence_store::{Created, LocalEndorser, Recorder, StoreError, Worm};
use ids::{SessionId, Sha256, Timestamp};
use p256::ecdsa::SigningKey;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use witnessed::{
    Ending, Endorser, INCOMPLETE, Intent, Live, Outcome, Pieces, Redactor, Refused, Run, Text, Texts, Which, Witnessed, output,
    show, witness,
};

const START: i64 = 1_795_400_000_000;

fn now() -> Timestamp {
    Timestamp::saturating(START)
}

/// A store in memory that refuses keys with one of these beginnings.
#[derive(Debug, Clone, Default)]
struct Double {
    objects: Arc<Mutex<BTreeMap<String, Vec<u8>>>>,
    refuses: &'static [&'static str],
    /// So many creates fail in passing before one works.
    hiccups: Arc<Mutex<BTreeMap<&'static str, u32>>>,
}

impl Worm for Double {
    async fn create(&self, key: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        if self.refuses.iter().any(|start| key.starts_with(start)) {
            return Err(StoreError { doing: "write", cause: "AccessDenied".to_owned(), passes: false });
        }
        let mut hiccups = self.hiccups.lock().unwrap();
        if let Some((part, left)) = hiccups.iter_mut().find(|(part, left)| key.contains(**part) && **left > 0) {
            *left -= 1;
            return Err(StoreError { doing: "write", cause: format!("503 for {part}"), passes: true });
        }
        let mut objects = self.objects.lock().unwrap();
        if objects.contains_key(key) {
            return Ok(Created::Existed);
        }
        objects.insert(key.to_owned(), bytes.to_vec());
        Ok(Created::New)
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        Ok(self.objects.lock().unwrap().get(key).cloned())
    }
}

impl Double {
    fn refusing(refuses: &'static [&'static str]) -> Self {
        Self { refuses, ..Self::default() }
    }

    fn verify(&self) -> Report {
        let mut verifier = Verifier::new(Vec::new());
        for (key, bytes) in self.objects.lock().unwrap().iter() {
            verifier.add(key, bytes, None, now());
        }
        verifier.finish(now())
    }

    fn body<B: DeserializeOwned>(&self, key: &RecordKey) -> B {
        let bytes = self.objects.lock().unwrap().get(&key.to_string()).cloned().unwrap();
        open::<B>(key, &bytes).unwrap().0.predicate.body
    }

    fn blobs(&self) -> usize {
        self.objects.lock().unwrap().keys().filter(|key| key.starts_with("blob/")).count()
    }
}

/// What was passed on; takes no more than it has room for.
#[derive(Debug, Clone)]
struct Reader {
    seen: Arc<Mutex<Vec<u8>>>,
    room: usize,
}

impl Default for Reader {
    fn default() -> Self {
        Self { seen: Arc::default(), room: usize::MAX }
    }
}

impl Write for Reader {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut seen = self.seen.lock().unwrap();
        let taken = bytes.len().min(self.room - seen.len());
        if taken == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        seen.extend_from_slice(bytes.get(..taken).unwrap());
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn asked<const N: usize>(argv: [&str; N]) -> Run {
    Run {
        argv: argv.map(OsString::from).to_vec(),
        incident: None,
        purpose: None,
        redactor: Redactor::new(&[]).unwrap(),
        output_redactor: Redactor::off(),
        seal_to: None,
        due_in: Duration::from_secs(60),
        code_sha256: None,
    }
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_slice(&[n; 32]).unwrap()
}

async fn run(run: &Run, store: &Double, stdout: &Reader, stderr: &Reader) -> Result<Witnessed, Refused> {
    let session = Session::new(SessionId::from_random([7; 16]), key(7)).unwrap();
    let endorser = Endorser::Key(Box::new(LocalEndorser::new(key(1)).unwrap()));
    let mut recorder = Recorder::new(store.clone(), session);
    witness(run, &mut recorder, &endorser, Live { stdout: stdout.clone(), stderr: stderr.clone() }, now).await
}

/// Runs a shell script whose outputs go nowhere.
async fn script(text: &str, store: &Double) -> (Witnessed, Outcome) {
    let done = run(&asked(["sh", "-c", text]), store, &Reader::default(), &Reader::default()).await.unwrap();
    let outcome = store.body(&done.outcome.as_ref().unwrap().key);
    (done, outcome)
}

/// Bytes of every kind, the same for the same seed.
fn noise(length: usize, mut seed: u64) -> Vec<u8> {
    let next = || {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed.to_le_bytes()
    };
    let mut bytes: Vec<u8> = std::iter::repeat_with(next).take(length / 8 + 1).flatten().collect();
    bytes.truncate(length);
    bytes
}

#[tokio::test(flavor = "multi_thread")]
async fn both_outputs_are_passed_on_and_stored_byte_for_byte() {
    let folder = TempDir::new().unwrap();
    let (out, err) = (noise(LARGEST_BLOB * 2 + 12_345, 1), noise(777_777, 2));
    fs::write(folder.path().join("out"), &out).unwrap();
    fs::write(folder.path().join("err"), &err).unwrap();
    let text = format!("cd {} && (cat err >&2 & cat out; wait)", folder.path().display());
    let (store, stdout, stderr) = (Double::default(), Reader::default(), Reader::default());
    let done = run(&asked(["sh", "-c", &text]), &store, &stdout, &stderr).await.unwrap();

    assert_eq!((done.exit_code(), &done.lacks), (0, &Vec::new()));
    assert!(*stdout.seen.lock().unwrap() == out && *stderr.seen.lock().unwrap() == err, "what was passed on is what was written");
    let key = done.outcome.unwrap().key;
    let outcome: Outcome = store.body(&key);
    assert_eq!((outcome.stdout.bytes, outcome.stdout.sha256), (out.len() as u64, Sha256::of(&out)));
    assert_eq!((outcome.stderr.passed_on, outcome.stderr.sha256), (err.len() as u64, Sha256::of(&err)));
    let Pieces::Here(pieces) = &outcome.stdout.pieces else { panic!("three pieces are listed in the record") };
    let cuts: Vec<_> = pieces.iter().map(|piece| (piece.offset, piece.length)).collect();
    assert_eq!(cuts, [(0, 8 << 20), (8 << 20, 8 << 20), (16 << 20, 12_345)]);
    for (which, bytes) in [(Which::Stdout, &out), (Which::Stderr, &err)] {
        let mut again = Vec::new();
        assert_eq!(output(&store, &key, which, None, &mut again).await.unwrap(), bytes.len() as u64);
        assert!(again == *bytes, "what is written again is what was written");
    }
    let report = store.verify();
    assert_eq!((report.standing, report.records, report.blobs, report.faults), (Standing::SelfConsistent, 2, 4, vec![]));
}

#[tokio::test]
async fn the_intent_says_what_is_about_to_run_and_hides_credentials() {
    let store = Double::default();
    let mut asked = asked(["sh", "-c", "exit 0", "--password=hunter2"]);
    asked.purpose = Some("see who is there".to_owned());
    let done = run(&asked, &store, &Reader::default(), &Reader::default()).await.unwrap();
    let intent: Intent = store.body(&done.intent.key);
    let Texts::Here(argv) = &intent.argv else { panic!("four words are in the record") };
    assert_eq!(argv.last(), Some(&Text::Utf8("--password=[redacted: value of a secret's name]".to_owned())));
    assert_eq!((intent.redactions.len(), intent.redactions[0].argument, intent.redacting), (1, 3, true));
    let program = intent.program.unwrap();
    let Text::Utf8(path) = program.path else { panic!("sh has a plain path") };
    assert!(path.starts_with('/') && path.ends_with("/sh"), "{path}");
    assert_eq!(program.sha256, Some(Sha256::of(&fs::read(path).unwrap())));
    let Texts::Here(names) = intent.environment else { panic!("the environment is small") };
    assert!(names.contains(&Text::Utf8("PATH".to_owned())), "{names:?}");
    let Text::Utf8(directory) = intent.directory else { panic!("a plain path") };
    assert_eq!(Path::new(&directory), std::env::current_dir().unwrap());
    assert_eq!((intent.user.id, intent.purpose.as_deref()), (nix::unistd::geteuid().as_raw(), Some("see who is there")));

    let shown = show(&store, &done.intent.key).await.unwrap().to_string();
    assert!(shown.contains("redacted  argument 3: value of a secret's name") && !shown.contains("hunter2"), "{shown}");
}

#[tokio::test]
async fn how_it_ended_is_recorded_and_is_our_exit_code() {
    for (text, ending, code) in [
        ("exit 0", Ending::Exited { code: 0 }, 0),
        ("exit 42", Ending::Exited { code: 42 }, 42),
        ("kill -TERM $$", Ending::Killed { signal: 15, core_dumped: false }, 143),
        ("kill -KILL $$", Ending::Killed { signal: 9, core_dumped: false }, 137),
    ] {
        let (done, outcome) = script(text, &Double::default()).await;
        assert_eq!((outcome.ending, done.exit_code()), (ending, code), "{text}");
        assert!(outcome.pid.is_some() && outcome.started.is_some());
    }
}

#[tokio::test]
async fn a_command_that_cannot_start_is_an_outcome() {
    let folder = TempDir::new().unwrap();
    let plain = folder.path().join("plain");
    fs::write(&plain, "no program").unwrap();
    for (command, code) in
        [("no-such-command-anywhere", 127), ("./no/such/path", 127), (plain.to_str().unwrap(), 126), ("/", 126), ("/dev/zero", 126)]
    {
        let store = Double::default();
        let done = run(&asked([command]), &store, &Reader::default(), &Reader::default()).await.unwrap();
        assert_eq!(done.exit_code(), code, "{command}: {:?}", done.ending);
        let outcome: Outcome = store.body(&done.outcome.unwrap().key);
        assert_eq!((outcome.started, outcome.stdout.bytes, outcome.ending), (None, 0, done.ending));
        assert_eq!(store.verify().standing, Standing::SelfConsistent);
    }
}

#[tokio::test]
async fn without_a_durable_intent_nothing_starts() {
    let folder = TempDir::new().unwrap();
    let marker = folder.path().join("marker");
    let asked = asked(["touch", marker.to_str().unwrap()]);
    let refused = run(&asked, &Double::refusing(&["rec/"]), &Reader::default(), &Reader::default()).await;
    assert!(matches!(refused, Err(Refused::Intent(_))), "{refused:?}");
    assert!(!marker.exists(), "the command was started");
    run(&asked, &Double::default(), &Reader::default(), &Reader::default()).await.unwrap();
    assert!(marker.exists(), "the marker shows what it should");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_loses_output_loses_no_digest_and_stops_no_command() {
    let store = Double::refusing(&["blob/"]);
    let (done, outcome) = script("printf abc; exit 5", &store).await;
    assert_eq!((done.ending.clone(), done.exit_code()), (Ending::Exited { code: 5 }, INCOMPLETE));
    assert!(done.lacks[0].contains("1 of the 1 pieces of stdout are not stored"), "{:?}", done.lacks);
    assert_eq!(outcome.stdout.sha256, Sha256::of(b"abc"));
    let report = store.verify();
    assert_eq!(report.standing, Standing::SelfConsistent);
    assert!(report.faults.iter().any(|fault| fault.kind == FaultKind::Notice && fault.reason.contains("AccessDenied")));
    let error = output(&store, &done.outcome.unwrap().key, Which::Stdout, None, &mut Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains("3 bytes from byte 0 on were never stored"), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_is_busy_is_asked_again() {
    let store = Double::default();
    store.hiccups.lock().unwrap().extend([("blob/", 1), ("outcome", 1)]);
    let (done, _) = script("printf abc", &store).await;
    assert_eq!((done.exit_code(), &done.lacks), (0, &Vec::new()));
    let report = store.verify();
    assert_eq!((report.standing, report.records, report.faults), (Standing::SelfConsistent, 2, vec![]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_squatted_blob_is_not_taken_for_ours() {
    let store = Double::default();
    let place = BlobKey::new(Sha256::of(b"abc")).to_string();
    store.create(&place, b"other bytes").await.unwrap();
    let (done, _) = script("printf abc", &store).await;
    assert!(done.lacks[0].contains("something else is in its place"), "{:?}", done.lacks);
    assert_eq!(done.exit_code(), INCOMPLETE);
}

#[tokio::test(flavor = "multi_thread")]
async fn identical_pieces_are_stored_once() {
    let store = Double::default();
    let (done, outcome) = script("printf same; printf same >&2", &store).await;
    assert_eq!((store.blobs(), done.exit_code()), (1, 0));
    assert_eq!(outcome.stdout.sha256, outcome.stderr.sha256);
    assert_eq!(store.verify().standing, Standing::SelfConsistent);
}

/// `yes` never ends by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_goes_away_ends_the_command_as_it_would_without_us() {
    let (store, stdout) = (Double::default(), Reader { room: 5, ..Reader::default() });
    let done = run(&asked(["yes"]), &store, &stdout, &Reader::default()).await.unwrap();
    assert_eq!(done.ending, Ending::Killed { signal: 13, core_dumped: false });
    let outcome: Outcome = store.body(&done.outcome.unwrap().key);
    assert_eq!((outcome.stdout.passed_on, outcome.stdout.cut_off.as_deref()), (5, Some("broken pipe")));
    assert!(outcome.stdout.bytes > 5);
    assert_eq!(store.verify().standing, Standing::SelfConsistent);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_back_is_checked_piece_by_piece() {
    let store = Double::default();
    let (done, _) = script("printf abc; printf def >&2", &store).await;
    let key = done.outcome.unwrap().key;
    let place = BlobKey::new(Sha256::of(b"abc")).to_string();
    store.objects.lock().unwrap().insert(place.clone(), b"abd".to_vec());
    let mut written = Vec::new();
    let error = output(&store, &key, Which::Stdout, None, &mut written).await.unwrap_err();
    assert_eq!(error.to_string(), format!("`{place}` is not what was recorded"));
    assert_eq!(written, b"", "nothing is written that was not checked");
    output(&store, &key, Which::Stderr, None, &mut written).await.unwrap();
    assert_eq!(written, b"def");
    store.objects.lock().unwrap().remove(&place);
    let error = output(&store, &key, Which::Stdout, None, &mut Vec::new()).await.unwrap_err();
    assert!(error.to_string().contains(&format!("`{place}` is not in the store")), "{error}");
    // From the intent's key it finds the outcome; from another function's record it takes nothing.
    assert!(output(&store, &done.intent.key, Which::Stderr, None, &mut Vec::new()).await.is_ok());
    let foreign: RecordKey = key.to_string().replace("rec/run/", "rec/revoke/").parse().unwrap();
    assert!(output(&store, &foreign, Which::Stderr, None, &mut Vec::new()).await.is_err());
}

/// Linux takes words of up to 128 KiB; a record takes them out of line.
#[tokio::test(flavor = "multi_thread")]
async fn arguments_too_long_for_a_record_lie_beside_it() {
    let store = Double::default();
    let long = "x".repeat(100_000);
    let done = run(&asked(["true", &long, &long]), &store, &Reader::default(), &Reader::default()).await.unwrap();
    let intent: Intent = store.body(&done.intent.key);
    let Texts::Elsewhere { blob, count } = intent.argv else { panic!("200 kB do not belong into a record") };
    assert_eq!(count, 3);
    let bytes = store.read(&BlobKey::new(blob).to_string()).await.unwrap().unwrap();
    let argv: Vec<Text> = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(argv[1], Text::Utf8(long));
    assert_eq!(store.verify().standing, Standing::SelfConsistent);
}

/// An endorsement holds for twelve hours; this run seems to take thirteen.
#[tokio::test]
async fn a_run_longer_than_an_endorsement_is_vouched_for_again() {
    let store = Double::default();
    let session = Session::new(SessionId::from_random([7; 16]), key(7)).unwrap();
    let endorser = LocalEndorser::new(key(1)).unwrap();
    let root = evidence::Root { function: None, fingerprint: endorser.public_key().fingerprint() };
    let mut recorder = Recorder::new(store.clone(), session);
    let asks = std::cell::Cell::new(0);
    let clock = || {
        asks.set(asks.get() + 1);
        if asks.get() == 1 { now() } else { Timestamp::saturating(START + 13 * 3_600_000) }
    };
    let live = Live { stdout: io::sink(), stderr: io::sink() };
    let endorser = Endorser::Key(Box::new(endorser));
    witness(&asked(["true"]), &mut recorder, &endorser, live, clock).await.unwrap();
    let later = Timestamp::saturating(START + 14 * 3_600_000);
    let mut verifier = Verifier::new(vec![root]);
    for (key, bytes) in store.objects.lock().unwrap().iter() {
        verifier.add(key, bytes, None, later);
    }
    let report = verifier.finish(later);
    assert_eq!((report.standing, report.faults), (Standing::Verified, vec![]));
}

/// The form is for good: what is written today must be read by every later version.
#[test]
fn the_form_of_the_bodies_is_fixed() {
    let intent = r#"{"argv":["ls",{"base64":"/w=="}],"redactions":[{"argument":1,"why":"GitHub token"}],"redacting":true,"directory":"/tmp","program":{"path":"/bin/ls","sha256":null},"environment":{"blob":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","count":2},"user":{"id":0,"name":"root"},"host":"h","purpose":null}"#;
    assert_eq!(serde_json::to_string(&serde_json::from_str::<Intent>(intent).unwrap()).unwrap(), intent);
    let stream = r#"{"bytes":1,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","passed_on":1,"cut_off":null,"unread":null,"pieces":[{"offset":0,"length":1,"sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","first_ms":0,"last_ms":1}]}"#;
    let listed = stream.replace(stream.split_once("\"pieces\":").unwrap().1, r#"{"lists":[]}}"#);
    for ending in [
        r#"{"exited":{"code":0}}"#,
        r#"{"killed":{"signal":9,"core_dumped":false}}"#,
        r#""not_found""#,
        r#"{"not_executable":{"cause":"x"}}"#,
        r#"{"unknown":{"cause":"x"}}"#,
        r#"{"stopped":{"signal":2}}"#,
    ] {
        let outcome = format!(
            r#"{{"ending":{ending},"started":null,"ended":"2026-11-23T02:00:00.000Z","duration_ms":3,"pid":7,"signals":[{{"signal":"SIGTERM","at_ms":1,"forwarded":true}}],"left_open":false,"stdout":{stream},"stderr":{listed}}}"#
        );
        assert_eq!(serde_json::to_string(&serde_json::from_str::<Outcome>(&outcome).unwrap()).unwrap(), outcome);
    }
}
