//! The sealer: killed anywhere, raced by another, lied to by its tile bucket, and shown evidence that was tampered with.
//!
//! Each scenario has buckets of its own, where no deployed sealer is faster; the last ones are on the deployed bucket, under the
//! deployed role.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use aws_credential_types::provider::SharedCredentialsProvider;
use calls::CallLog;
use evidence::log::{Batch, Checkpoint, Edge, Entry, batch_key, leaf_hash, read_bundle};
use evidence::{Draft, Keyring, Kind, PublicKey, RecordId, RecordKey, Report, RingKey, Root, Session, Standing, Verifier, Version};
use evidence_store::{S3, Worm as _};
use ids::{IncidentId, SessionId, Sha256, SignalId, Timestamp};
use p256::ecdsa::SigningKey;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use responder::{Attention, Transient};
use seal::{Answer, Environment, Said};
use serde_json::json;

use crate::privilege::allowed_actions;
use crate::stage::{Asked, Caller, Fate, Stage, Wire, from_base64, text, texts};

pub(crate) const LOG: &str = "example.com/cordon";
/// Shorter than the log is silent, longer than a test.
pub(crate) const PAST: Duration = Duration::from_secs(20 * 60);

/// An evidence bucket with Object Lock, a tile bucket, a key and a queue.
pub(crate) struct Vault {
    pub(crate) stage: Stage,
    pub(crate) name: String,
    key: String,
    pub(crate) public: PublicKey,
    queue: String,
}

pub(crate) fn unique() -> String {
    static NTH: AtomicUsize = AtomicUsize::new(0);
    format!("{}-{}", std::process::id(), NTH.fetch_add(1, Ordering::SeqCst))
}

impl Vault {
    pub(crate) async fn new() -> Self {
        let stage = Stage::open();
        let name = format!("vault-{}", unique());
        let root = &stage.root;
        let locked = [("x-amz-bucket-object-lock-enabled", "true")];
        root.send("s3", "PUT", &format!("/{name}"), &locked, Vec::new()).await.unwrap();
        let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention><Mode>COMPLIANCE</Mode><Days>1</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
        root.send("s3", "PUT", &format!("/{name}?object-lock"), &[], rule.as_bytes().to_vec()).await.unwrap();
        root.send("s3", "PUT", &format!("/{name}-tiles"), &[], Vec::new()).await.unwrap();
        let asked = json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" });
        let key = text(&root.json("kms", "TrentService.CreateKey", &asked).await.unwrap()["KeyMetadata"]["Arn"]);
        let der = root.json("kms", "TrentService.GetPublicKey", &json!({ "KeyId": key })).await.unwrap();
        let public = PublicKey::from_der(&from_base64(&text(&der["PublicKey"]))).unwrap();
        let queue = root.json("sqs", "AmazonSQS.CreateQueue", &json!({ "QueueName": name })).await.unwrap();
        Self { name, key, public, queue: text(&queue["QueueUrl"]), stage }
    }

    pub(crate) fn config(&self, caller: &Caller, wire: &Wire) -> responder::SdkConfig {
        let get = |name: &'static str| match name {
            "AWS_REGION" => Some(caller.region.clone()),
            "AWS_ENDPOINT_URL" => Some(caller.endpoint.clone()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("-".to_owned()),
            _ => None,
        };
        let config = responder::sdk_config(get).unwrap().into_builder();
        config.credentials_provider(SharedCredentialsProvider::new(caller.credentials.clone())).http_client(wire.clone()).build()
    }

    pub(crate) fn bucket(&self, name: &str) -> S3 {
        S3::new(&self.config(&self.stage.root, &Wire::good()), CallLog::default(), name.to_owned())
    }

    pub(crate) fn evidence(&self) -> S3 {
        self.bucket(&self.name)
    }

    pub(crate) fn tiles(&self) -> S3 {
        self.bucket(&format!("{}-tiles", self.name))
    }

    /// A sealer that starts cold.
    pub(crate) fn sealer(&self, wire: &Wire) -> Environment {
        self.sealer_with(wire, &[])
    }

    /// The same with settings that are optional.
    pub(crate) fn sealer_with(&self, wire: &Wire, settings: &[(&'static str, String)]) -> Environment {
        let get = |name: &'static str| match name {
            "CORDON_LOG" => Some(LOG.to_owned()),
            "CORDON_EVIDENCE_BUCKET" => Some(self.name.clone()),
            "CORDON_TILE_BUCKET" => Some(format!("{}-tiles", self.name)),
            "CORDON_SIGNING_KEY" => Some(self.key.clone()),
            "CORDON_ORPHANS" => Some(self.queue.clone()),
            _ => settings.iter().find_map(|(other, value)| (*other == name).then(|| value.clone())),
        };
        Environment::new(get, &self.config(&self.stage.root, wire), &CallLog::default()).unwrap()
    }

    pub(crate) async fn seal(&self) -> Answer {
        asked(&self.sealer(&Wire::good())).await.unwrap()
    }

    /// Stores the intent of an incident, due at `due`, and with `answered` its outcome.
    pub(crate) async fn record(&self, signal: &str, due: Timestamp, answered: bool) -> Vec<RecordKey> {
        let mut keys = Vec::new();
        for (key, bytes) in records(signal, due, answered) {
            self.evidence().create(&key.to_string(), &bytes).await.unwrap();
            keys.push(key);
        }
        keys
    }

    pub(crate) async fn incidents(&self, count: usize) -> usize {
        for n in 0..count {
            self.record(&format!("{n} of {}", unique()), calls::now().plus(PAST), true).await;
        }
        2 * count
    }

    /// What the verifier says of everything in the bucket, every version.
    pub(crate) async fn verify(&self) -> Report {
        let root = Root { function: Some("seal".parse().unwrap()), fingerprint: self.public.fingerprint() };
        self.verify_as(vec![root]).await
    }

    pub(crate) async fn verify_as(&self, roots: Vec<Root>) -> Report {
        self.verify_with(Verifier::new(roots)).await
    }

    /// The same by a verifier that was told more.
    pub(crate) async fn verify_with(&self, mut verifier: Verifier) -> Report {
        let store = self.evidence();
        let mut listed = store.versions("", None).await.unwrap();
        listed.sort_by(|a, b| (&a.key, a.stored).cmp(&(&b.key, b.stored)));
        for one in listed {
            let version = Version { id: one.version.clone(), stored: one.stored };
            if one.marker {
                verifier.hidden(&one.key, &version);
            } else {
                let bytes = store.content(&one.key, Some(&one.version), 1 << 24).await.unwrap().unwrap();
                verifier.add(&one.key, &bytes, Some(&version), calls::now());
            }
        }
        verifier.finish(calls::now())
    }

    /// All batches, in order.
    pub(crate) async fn batches(&self) -> Vec<Batch> {
        let mut found = Vec::new();
        for number in 1.. {
            match self.evidence().content(&batch_key(number), None, 1 << 24).await.unwrap() {
                Some(bytes) => found.push(Batch::parse(&bytes).unwrap()),
                None => break,
            }
        }
        found
    }

    /// The published tree is the one that the batches come to, tile by tile, and its head is signed.
    pub(crate) async fn assert_published(&self) {
        let batches = self.batches().await;
        let leaves: Vec<Vec<u8>> = batches.iter().flat_map(|batch| batch.leaves().unwrap()).collect();
        let newest = batches.last().unwrap();
        assert_eq!(newest.size, leaves.len() as u64);
        let note = String::from_utf8(self.tiles().content("checkpoint", None, 1 << 20).await.unwrap().unwrap()).unwrap();
        let checkpoint = Checkpoint::verify(&note, &self.public).unwrap();
        assert_eq!((checkpoint.origin.as_str(), checkpoint.size, checkpoint.root), (LOG, newest.size, newest.root));
        for tile in evidence::log::Tile::grow(Edge::default(), Vec::new(), leaves.clone()).tiles {
            let there = self.tiles().content(&tile.path.to_string(), None, 1 << 24).await.unwrap();
            assert_eq!(there.as_ref(), Some(&tile.bytes), "{}", tile.path);
            if tile.path.level.is_none() {
                let entries = read_bundle(&tile.bytes).unwrap();
                let hashes: Vec<_> = entries.iter().map(|entry| leaf_hash(entry)).collect();
                let first = usize::try_from(tile.path.number).unwrap() * 256;
                assert_eq!(hashes, leaves[first..first + entries.len()].iter().map(|leaf| leaf_hash(leaf)).collect::<Vec<_>>());
            }
        }
    }

    /// Every object version of a record is in the log, once; and so is every key that it has.
    pub(crate) async fn assert_sealed_once(&self, count: usize) {
        let mut names = Vec::new();
        for batch in self.batches().await {
            names.extend(batch.entries.iter().filter_map(|entry| entry.object().map(|(key, version)| (key, version.to_owned()))));
        }
        let distinct: BTreeSet<_> = names.iter().cloned().collect();
        assert_eq!(names.len(), distinct.len());
        assert_eq!(names.iter().filter(|(key, _)| !key.starts_with("keys/")).count(), count);
    }

    pub(crate) async fn orphans_in_queue(&self) -> BTreeSet<String> {
        let mut found = BTreeSet::new();
        loop {
            let asked = json!({ "QueueUrl": self.queue, "MaxNumberOfMessages": 10, "VisibilityTimeout": 600 });
            let answer = self.stage.root.json("sqs", "AmazonSQS.ReceiveMessage", &asked).await.unwrap();
            let Some(messages) = answer["Messages"].as_array().filter(|messages| !messages.is_empty()).cloned() else {
                return found;
            };
            for message in messages {
                let body: serde_json::Value = serde_json::from_str(&text(&message["Body"])).unwrap();
                found.insert(text(&body["intent"]));
            }
        }
    }
}

/// The records of one incident, signed by a session of their own that nobody endorses: whom to trust is not what is tested here.
fn records(signal: &str, due: Timestamp, answered: bool) -> Vec<(RecordKey, Vec<u8>)> {
    records_of("quarantine", signal, due, answered)
}

pub(crate) fn records_of(function: &str, signal: &str, due: Timestamp, answered: bool) -> Vec<(RecordKey, Vec<u8>)> {
    records_at(calls::now(), function, signal, due, answered)
}

/// The same of another time.
fn records_at(now: Timestamp, function: &str, signal: &str, due: Timestamp, answered: bool) -> Vec<(RecordKey, Vec<u8>)> {
    let seed = Sha256::of(signal.as_bytes());
    let key = SigningKey::from_slice(seed.as_bytes()).unwrap();
    let mut session = Session::new(SessionId::from_random(seed.as_bytes()[..16].try_into().unwrap()), key).unwrap();
    let function: ids::FunctionName = function.parse().unwrap();
    let (incident, signal) = (IncidentId::derive("target", signal), SignalId::of_bytes(&seed));
    let intent = RecordKey::new(function.clone(), now, RecordId::derive(&function, Some(&incident), &signal), 1, Kind::Intent);
    let draft = |kind, answers, due| Draft {
        key: intent.sibling(1, kind),
        subject: Vec::new(),
        incident: Some(incident.clone()),
        signal: signal.clone(),
        time: now,
        answers,
        due,
        playbook: seed,
        rule: None,
        controls: Vec::new(),
        anomalies: Vec::new(),
        body: "said",
    };
    let first = session.sign(draft(Kind::Intent, None, Some(due))).unwrap();
    session.kept(&first);
    let mut all = vec![(first.key.clone(), first.bytes.clone())];
    if answered {
        let second = session.sign(draft(Kind::Outcome, Some(first.link()), None)).unwrap();
        all.push((second.key, second.bytes));
    }
    all
}

pub(crate) async fn asked(sealer: &Environment) -> Result<Answer, Transient> {
    seal::handle(br#"{"cordon":"seal"}"#, sealer).await
}

/// Signed by nobody whom anyone vouches for, and otherwise whole.
#[track_caller]
pub(crate) fn holds(report: &Report) {
    let failures: Vec<_> = report.faults.iter().filter(|fault| fault.kind == evidence::FaultKind::Failure).collect();
    assert!(failures.is_empty(), "{failures:#?}");
    assert_eq!(report.standing, Standing::Degraded, "{report:#?}");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn records_become_a_log_that_verifies() {
    let vault = Vault::new().await;
    assert_eq!(vault.seal().await.outcome, Said::Sealed, "a new log begins with an empty batch");
    let count = vault.incidents(3).await;
    let wire = Wire::good();
    let sealer = vault.sealer(&wire);
    let answer = asked(&sealer).await.unwrap();
    assert_eq!((answer.outcome, answer.records, answer.size, answer.attention), (Said::Sealed, count, 9, Attention::None));
    assert_eq!(answer.keys, 1, "the key that signs checkpoints, which the first pass put there");
    let report = vault.verify().await;
    holds(&report);
    let log = report.log.unwrap();
    assert_eq!((log.name.as_str(), log.batches, log.size, log.signed), (LOG, 2, 9, 9));
    vault.assert_published().await;
    vault.assert_sealed_once(count).await;

    // With nothing new it looks once at the log's end and once at each function's records and at the keys, and signs
    // nothing.
    let before = wire.sent().len();
    assert_eq!(asked(&sealer).await.unwrap().outcome, Said::Quiet);
    let sent: Vec<_> = wire.sent()[before..].iter().map(Asked::action).collect();
    assert_eq!(sent, ["s3:GetObject", "s3:ListBucket", "s3:ListBucketVersions", "s3:ListBucketVersions"]);
    // A warm sealer goes on where it was.
    let more = vault.incidents(2).await;
    assert_eq!(asked(&sealer).await.unwrap().records, more);
    holds(&vault.verify().await);
    vault.assert_published().await;
    assert_eq!(asked(&vault.sealer(&Wire::good())).await.unwrap().outcome, Said::Quiet, "and a cold one finds nothing left");
}

/// What docs/architecture.md says a seal costs: a read for each record, and a number of requests that does not grow with them.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn ten_times_the_records_cost_ten_times_the_reads_and_nothing_else() {
    let vault = Vault::new().await;
    vault.seal().await;
    let wire = Wire::good();
    let sealer = vault.sealer(&wire);
    // The first pass of a process also finds where the log ends, and keeps its key.
    asked(&sealer).await.unwrap();
    vault.incidents(1).await;
    asked(&sealer).await.unwrap();
    let mut rest = Vec::new();
    for incidents in [5, 50] {
        let count = vault.incidents(incidents).await;
        let before = wire.sent().len();
        assert_eq!(asked(&sealer).await.unwrap().records, count);
        let mut sent: Vec<String> = wire.sent()[before..].iter().map(Asked::action).collect();
        sent.sort();
        let reads = sent.iter().filter(|action| *action == "s3:GetObjectVersion").count();
        assert_eq!(reads, count, "each record is read once");
        sent.retain(|action| action != "s3:GetObjectVersion");
        rest.push(sent);
    }
    let [ten, hundred] = &rest[..] else { panic!("{rest:?}") };
    assert_eq!(ten, hundred);
    let counted = |action: &str| ten.iter().filter(|other| *other == action).count();
    let puts = ["kms:GetPublicKey", "kms:Sign", "s3:GetObject", "s3:ListBucket", "s3:ListBucketVersions", "s3:PutObject"];
    assert_eq!(puts.map(counted), [1, 1, 2, 1, 2, 7], "{ten:?}");
    assert_eq!(ten.len(), 14, "{ten:?}");
}

/// More than one tile, more than one batch at a time.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_log_that_outgrows_its_tiles_stays_whole() {
    let vault = Vault::new().await;
    let mut count = vault.incidents(100).await;
    vault.seal().await;
    count += vault.incidents(80).await;
    // A cold sealer takes up a tile that is nearly full.
    assert_eq!(vault.seal().await.size, count as u64 + 3, "two batches, and the key that signs checkpoints");
    vault.assert_published().await;
    vault.assert_sealed_once(count).await;
    holds(&vault.verify().await);
}

/// A ring's place and object.
pub(crate) fn sign_ring(root: &SigningKey, ring: &Keyring) -> (String, Vec<u8>) {
    let unsigned = ring.prepare().unwrap();
    let signature: p256::ecdsa::Signature = root.sign_prehash(unsigned.digest().as_bytes()).unwrap();
    (unsigned.key(), unsigned.finish(signature.to_der().as_bytes()).unwrap())
}

/// A ring is sealed like a record, once: whoever drops it, exchanges it or hides it is found out.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_keyring_is_sealed_and_missed_when_it_is_gone() {
    let vault = Vault::new().await;
    vault.incidents(1).await;
    vault.seal().await;
    let root = SigningKey::from_slice(&[7; 32]).unwrap();
    let public = PublicKey::of(root.verifying_key()).unwrap();
    let sign = |ring: &Keyring| sign_ring(&root, ring);
    let seal: ids::FunctionName = "seal".parse().unwrap();
    let entry = RingKey { function: seal, key: vault.public.clone(), from: Timestamp::saturating(0), until: None, reason: None };
    let first = Keyring::first(public.clone(), calls::now(), vec![entry]);
    let (object, bytes) = sign(&first);
    vault.evidence().create_once(&object, &bytes, "application/json").await.unwrap();
    let answer = vault.seal().await;
    assert_eq!(
        (answer.keys, answer.records, answer.attention),
        (2, 0, Attention::None),
        "the ring and the sealer's key: {answer:#?}"
    );
    assert_eq!(vault.seal().await.outcome, Said::Quiet);
    let trusts_the_root = || vec![Root { function: None, fingerprint: public.fingerprint() }];
    let report = vault.verify_as(trusts_the_root()).await;
    holds(&report);
    assert_eq!(report.keyring.unwrap().number, 1);

    // The next one is hidden by someone whom no policy stops, and a file is put beside it.
    let (object, bytes) = sign(&first.successor(Sha256::of(&bytes), calls::now()));
    vault.evidence().create_once(&object, &bytes, "application/json").await.unwrap();
    assert_eq!(vault.seal().await.keys, 1);
    let caller = &vault.stage.root;
    caller.send("s3", "DELETE", &format!("/{}/{object}", vault.name), &[], Vec::new()).await.unwrap();
    caller.send("s3", "PUT", &format!("/{}/keys/notes.txt", vault.name), &[], b"hello".to_vec()).await.unwrap();
    let answer = vault.seal().await;
    let said = |key: &str, reason: &str| answer.odd.iter().any(|odd| odd.key == key && odd.reason.contains(reason));
    assert!(said(&object, "a delete marker") && said("keys/notes.txt", "neither a ring"), "{answer:#?}");
    assert_eq!((answer.attention, answer.odd.len()), (Attention::Page, 2));
    let report = vault.verify_as(trusts_the_root()).await;
    assert!(report.faults.iter().any(|fault| fault.object == object && fault.reason.contains("hidden under")), "{report:#?}");
}

pub(crate) fn dead_at(nth: usize, fate: Fate) -> Wire {
    let sent = Arc::new(AtomicUsize::new(0));
    Wire::with(move |_| match sent.fetch_add(1, Ordering::SeqCst) {
        before if before < nth => Fate::Pass,
        at if at == nth => fate.clone(),
        _ => Fate::Hang,
    })
}

async fn die_everywhere(fate: Fate) {
    let mut nth = 0;
    loop {
        let vault = Vault::new().await;
        let overdue = Timestamp::saturating(calls::now().millis() - 1000);
        vault.incidents(1).await;
        vault.seal().await;
        let mut count = 2 + vault.incidents(1).await;
        let [orphan] = vault.record(&unique(), overdue, false).await.try_into().unwrap();
        count += 1;
        let wire = dead_at(nth, fate.clone());
        let dying = vault.sealer(&wire);
        let lived = tokio::select! {
            biased;
            answer = asked(&dying) => Some(answer.unwrap()),
            () = wire.hung() => None,
        };
        let at = wire.sent().last().map(|asked| format!("{} {} ({fate:?}, call {nth})", asked.service, asked.operation)).unwrap();
        // The next minute comes.
        let next = vault.seal().await;
        vault.assert_sealed_once(count).await;
        vault.assert_published().await;
        let report = vault.verify().await;
        let failures: Vec<_> = report.faults.iter().filter(|fault| fault.kind == evidence::FaultKind::Failure).collect();
        assert!(matches!(&failures[..], [one] if one.object == orphan.to_string()), "dead at {at}: {failures:#?}");
        assert_eq!(vault.orphans_in_queue().await, BTreeSet::from([orphan.to_string()]), "dead at {at}");
        let named: usize =
            vault.batches().await.iter().flat_map(|batch| &batch.entries).filter(|entry| matches!(entry, Entry::Orphan(_))).count();
        assert_eq!(named, 1, "dead at {at}: an orphan is named once");
        if lived.is_some() {
            assert_eq!(next.outcome, Said::Quiet, "it had done all of it");
            break;
        }
        nth += 1;
        assert!(nth < 60, "it never ends");
    }
    assert!(nth >= 15, "it died at {nth} calls only");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn killed_before_any_of_its_calls_the_next_sealer_makes_the_same_log() {
    die_everywhere(Fate::Hang).await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn killed_after_any_of_its_calls_the_next_sealer_makes_the_same_log() {
    die_everywhere(Fate::Deaf).await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn sealers_that_race_make_one_log() {
    let vault = Vault::new().await;
    let (wire, mut count) = (Wire::good(), 0);
    let sealers = [vault.sealer(&wire), vault.sealer(&wire), vault.sealer(&wire)];
    for _ in 0..5 {
        count += vault.incidents(4).await;
        let [a, b, c] = &sealers;
        let (a, b, c) = tokio::join!(asked(a), asked(b), asked(c));
        for answer in [a, b, c] {
            assert!(answer.unwrap().odd.is_empty());
        }
    }
    vault.assert_sealed_once(count).await;
    holds(&vault.verify().await);
    vault.seal().await;
    vault.assert_published().await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn what_should_not_be_there_is_sealed_as_such_and_pages() {
    let vault = Vault::new().await;
    let keys = vault.record("a", calls::now().plus(PAST), true).await;
    vault.seal().await;
    let (root, name) = (&vault.stage.root, &vault.name);
    let put = async |key: &str, bytes: &[u8]| root.send("s3", "PUT", &format!("/{name}/{key}"), &[], bytes.to_vec()).await.unwrap();
    let second = keys[0].to_string();
    let hidden = keys[1].to_string();
    put(&second, b"another story").await;
    root.send("s3", "DELETE", &format!("/{name}/{hidden}"), &[], Vec::new()).await.unwrap();
    let [(_, bytes)] = records("b", calls::now(), false).try_into().unwrap();
    let moved = keys[0].sibling(7, Kind::Intent).to_string();
    put(&moved, &bytes).await;
    let folder = second.rsplit_once('/').unwrap().0;
    put(&format!("{folder}/notes.txt"), b"hello").await;
    put(&format!("{folder}/large"), &vec![b'x'; (1 << 20) + 1]).await;

    let answer = vault.seal().await;
    assert_eq!((answer.attention, answer.odd.len(), answer.records), (Attention::Page, 5, 0), "{answer:#?}");
    let said = |key: &str, reason: &str| answer.odd.iter().any(|odd| odd.key == key && odd.reason.contains(reason));
    assert!(said(&second, "a second version"));
    assert!(said(&hidden, "a delete marker"));
    assert!(said(&moved, "it belongs at"));
    assert!(said(&format!("{folder}/notes.txt"), "not a record's key"));
    assert!(said(&format!("{folder}/large"), "larger than any record"));
    assert_eq!(vault.seal().await.outcome, Said::Quiet, "each is told once");
    let report = vault.verify().await;
    assert_eq!(report.standing, Standing::Failed);
    for key in [&second, &hidden, &moved] {
        assert!(report.faults.iter().any(|fault| fault.object == *key && fault.reason.contains("the log says")), "{key}");
    }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_tile_bucket_is_believed_in_nothing() {
    let vault = Vault::new().await;
    vault.incidents(3).await;
    vault.seal().await;
    let root = &vault.stage.root;
    let tiles = format!("{}-tiles", vault.name);
    let put = async |key: &str, bytes: &[u8]| {
        root.send("s3", "PUT", &format!("/{tiles}/{key}"), &[], bytes.to_vec()).await.unwrap();
    };
    // A tile that lies, a hint to a batch that does not exist, to none at all, and no tile bucket's content whatever.
    put("tile/0/000.p/7", &[7; 7 * 32]).await;
    let mut count = 6 + vault.incidents(1).await;
    assert_eq!(vault.seal().await.outcome, Said::Sealed);
    vault.assert_published().await;
    for hint in [r#"{"batch":99}"#, "{}", "nonsense"] {
        put("tip.json", hint.as_bytes()).await;
        count += vault.incidents(1).await;
        assert_eq!(vault.seal().await.outcome, Said::Sealed, "{hint}");
        vault.assert_published().await;
    }
    let listed = root.send("s3", "GET", &format!("/{tiles}?list-type=2"), &[], Vec::new()).await.unwrap();
    for key in texts(&listed, "Key") {
        root.send("s3", "DELETE", &format!("/{tiles}/{key}"), &[], Vec::new()).await.unwrap();
    }
    // With nothing new, what is missing is derived all the same: by the next cold start.
    vault.seal().await;
    vault.assert_published().await;
    vault.assert_sealed_once(count).await;
    holds(&vault.verify().await);
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_silent_hour_ends_with_a_heartbeat() {
    let vault = Vault::new().await;
    let long_ago = Timestamp::saturating(calls::now().millis() - 2 * 3_600_000);
    let first = Batch::next(LOG, None, &Edge::default(), long_ago, Vec::new()).unwrap();
    vault.evidence().create_once(&batch_key(1), &first.to_bytes().unwrap(), "application/json").await.unwrap();
    let answer = vault.seal().await;
    assert_eq!((answer.batches.len(), answer.records, answer.size), (2, 0, 3), "the one found, and one with the key alone");
    assert_eq!(vault.seal().await.outcome, Said::Quiet);
    vault.assert_published().await;
}

/// An ordinary pass looks back two hours. After a silence it looks back to the last batch, whatever was written meanwhile.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_sealer_that_was_stopped_catches_up_with_what_came_meanwhile() {
    let vault = Vault::new().await;
    let hours_ago = |hours: i64| Timestamp::saturating(calls::now().millis() - hours * 3_600_000);
    let store = async |hours: i64| {
        for (key, bytes) in records_at(hours_ago(hours), "quarantine", &format!("{hours} ago, {}", unique()), calls::now(), true) {
            vault.evidence().create(&key.to_string(), &bytes).await.unwrap();
        }
    };
    // The last batch before somebody stopped it, and what was recorded early and late in the silence, and before it.
    let last = Batch::next(LOG, None, &Edge::default(), hours_ago(50), Vec::new()).unwrap();
    vault.evidence().create_once(&batch_key(1), &last.to_bytes().unwrap(), "application/json").await.unwrap();
    for hours in [49, 20, 1] {
        store(hours).await;
    }
    let answer = vault.seal().await;
    assert_eq!((answer.outcome, answer.records), (Said::Sealed, 6), "all of the silence, in one pass: {answer:?}");
    vault.assert_published().await;
    vault.assert_sealed_once(6).await;

    // Now there is a batch of this minute, so a record that is filed that late waits for the daily pass.
    store(20).await;
    assert_eq!(vault.seal().await.outcome, Said::Quiet);
    let answer = seal::handle(br#"{"cordon":"seal","hours":26}"#, &vault.sealer(&Wire::good())).await.unwrap();
    assert_eq!(answer.records, 2);
    vault.assert_sealed_once(8).await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_batch_that_is_not_ours_stops_the_log_loudly() {
    let vault = Vault::new().await;
    vault.seal().await;
    let forged = Batch::next("example.com/another", None, &Edge::default(), calls::now(), Vec::new()).unwrap();
    vault.evidence().create_once(&batch_key(2), &forged.to_bytes().unwrap(), "application/json").await.unwrap();
    vault.incidents(1).await;
    let error = asked(&vault.sealer(&Wire::good())).await.unwrap_err();
    assert!(error.0.contains("is of the log `example.com/another`"), "{error}");
    let note = vault.tiles().content("checkpoint", None, 1 << 20).await.unwrap().unwrap();
    assert_eq!(Checkpoint::read(std::str::from_utf8(&note).unwrap()).unwrap().size, 1, "and nothing of it is signed");
}

/// An event that is none, and errors of each service.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn what_it_cannot_do_it_says() {
    let vault = Vault::new().await;
    let answer = seal::handle(b"[]", &vault.sealer(&Wire::good())).await.unwrap();
    assert_eq!(answer.outcome, Said::Refused);
    assert!(vault.batches().await.is_empty());
    vault.incidents(1).await;
    for (service, operation) in [("s3", "PUT"), ("s3", "GET"), ("kms", "Sign"), ("kms", "GetPublicKey")] {
        let denied = move |asked: &Asked| match asked.service.as_str() {
            at if at == service && asked.operation == operation && service == "s3" => crate::stage::s3_error(403, "AccessDenied"),
            at if at == service && asked.operation == operation => crate::stage::json_error(400, "AccessDeniedException"),
            _ => Fate::Pass,
        };
        let error = asked(&vault.sealer(&Wire::with(denied))).await.unwrap_err();
        assert!(error.0.contains("AccessDenied"), "{service} {operation}: {error}");
    }
    vault.seal().await;
    vault.assert_sealed_once(2).await;
    vault.assert_published().await;
}

/// What Lambda does in the role's name: the log, and taking messages from the queue (Lambda developer guide, "Using Lambda with SQS").
const BY_LAMBDA: [&str; 5] =
    ["logs:CreateLogStream", "logs:PutLogEvents", "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"];

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn the_sealers_role_allows_what_it_does_and_nothing_else() {
    let stage = Stage::open();
    let part = |name: &str| text(&stage.stack["seal"]["role_credentials"][name]);
    let credentials = aws_credential_types::Credentials::new(
        part("access_key_id"),
        part("secret_access_key"),
        Some(part("session_token")),
        None,
        "test",
    );
    let role = Caller { credentials, ..stage.root.clone() };
    let vault = Vault::new().await;
    let wire = Wire::good();
    let deployed = stage.stack["seal"]["environment"].clone();
    let get = |name: &'static str| deployed[name].as_str().map(str::to_owned);
    let mut used: BTreeSet<String> = BY_LAMBDA.map(str::to_owned).into();
    let sealer = Environment::new(get, &vault.config(&role, &wire), &CallLog::default()).unwrap();
    // The deployed sealer hears of a record at once too, and whoever is slower has nothing to read: this one is warm, and tries again.
    for turn in 0..20 {
        asked(&sealer).await.unwrap();
        let overdue = Timestamp::saturating(calls::now().millis() - 1000);
        let [(key, bytes)] = records(&unique(), overdue, false).try_into().unwrap();
        let path = format!("/{}/{key}", stage.output("EvidenceBucket"));
        stage.role().send("s3", "PUT", &path, &[("if-none-match", "*")], bytes).await.unwrap();
        asked(&sealer).await.unwrap();
        used.extend(wire.sent().iter().map(Asked::action));
        if used.contains("sqs:SendMessage") && used.contains("s3:GetObjectVersion") {
            break;
        }
        assert!(turn < 19, "it never was the faster one");
    }
    assert_eq!(used, allowed_actions(&stage.stack["seal"]["role_policies"]));

    // A thief of the sealer's credentials can neither write a record nor take anything away, and the function's thief no batch.
    let (bucket, admin) = (stage.output("EvidenceBucket"), crate::privilege::administrator(&stage).await);
    for (who, caller, method, path) in [
        ("the sealer", &role, "PUT", format!("/{bucket}/rec/quarantine/2026/11/23/00/00/forged")),
        ("the sealer", &role, "DELETE", format!("/{bucket}/{}", batch_key(1))),
        ("the sealer", &role, "PUT", format!("/{bucket}/{}", batch_key(1))),
        ("quarantine", &stage.role(), "PUT", format!("/{bucket}/{}", batch_key(999_999))),
        ("quarantine", &stage.role(), "PUT", format!("/{bucket}/keys/seal/forged.der")),
        ("an administrator", &admin, "PUT", format!("/{bucket}/{}", batch_key(999_999))),
        ("an administrator", &admin, "PUT", format!("/{bucket}/anything-else")),
        ("the sealer", &role, "PUT", format!("/{bucket}/{}", evidence::ring_key(999_999))),
    ] {
        let headers: &[(&str, &str)] = if path.contains("000001") { &[] } else { &[("if-none-match", "*")] };
        let refusal = caller.send("s3", method, &path, headers, b"forged".to_vec()).await;
        match refusal {
            Err(refusal) => assert!(refusal.is_denial(), "{who}, {method} {path}: {} {}", refusal.code, refusal.body),
            Ok(_) => panic!("{who} could {method} {path}"),
        }
    }
    // Nor does anyone else sign a checkpoint.
    let asked = json!({
        "KeyId": stage.output("SealingKeyArn"),
        "Message": "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=",
        "MessageType": "DIGEST",
        "SigningAlgorithm": "ECDSA_SHA_256",
    });
    for caller in [&admin, &stage.role()] {
        let refusal = caller.json("kms", "TrentService.Sign", &asked).await.unwrap_err();
        assert!(refusal.is_denial(), "{} {}", refusal.code, refusal.body);
    }
}
