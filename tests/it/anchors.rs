//! Checkpoints that others vouch for: a second signature, a clock, a witness, a copy. Each is there when it can be, and none of them, in
//! whatever way it fails, keeps a record out of the log.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use calls::CallLog;
use evidence::log::{Checkpoint, Ed25519Key, Witness, checkpoint_key, cosigned_key, timestamp_key};
use evidence::{Report, Root, Verifier};
use evidence_store::S3;
use ids::Sha256;
use responder::SettingsError;
use seal::{Anchored, Answer, Environment, Said};
use serde_json::json;
use tempfile::TempDir;

use crate::outsiders::{Clock, Reply, Watch, cosign};
use crate::sealing::{LOG, Vault, asked, dead_at, holds};
use crate::stage::{Asked, Fate, Wire, from_base64, json_error, s3_error, text};

/// A vault whose sealer anchors what it signs.
struct Anchorage {
    vault: Vault,
    clock: Clock,
    watch: Watch,
    key: String,
    public: Ed25519Key,
}

impl Anchorage {
    async fn new() -> Self {
        let vault = Vault::new().await;
        let root = &vault.stage.root;
        let asked = json!({ "KeySpec": "ECC_NIST_EDWARDS25519", "KeyUsage": "SIGN_VERIFY" });
        let key = text(&root.json("kms", "TrentService.CreateKey", &asked).await.unwrap()["KeyMetadata"]["Arn"]);
        let der = root.json("kms", "TrentService.GetPublicKey", &json!({ "KeyId": key })).await.unwrap();
        let public = Ed25519Key::from_der(&from_base64(&text(&der["PublicKey"]))).unwrap();
        root.send("s3", "PUT", &format!("/{}-copies", vault.name), &[], Vec::new()).await.unwrap();
        let watch = Watch::new("witness.example/w1");
        watch.memory.lock().unwrap().logs.insert(LOG.to_owned(), public.vkey(LOG));
        Self { vault, clock: Clock::new(), watch, key, public }
    }

    fn settings(&self) -> Vec<(&'static str, String)> {
        vec![
            ("CORDON_ED25519_KEY", self.key.clone()),
            ("CORDON_TIMESTAMP_URL", self.clock.url.clone()),
            ("CORDON_WITNESSES", self.watch.line()),
            ("CORDON_COPY_BUCKET", format!("{}-copies", self.vault.name)),
        ]
    }

    /// A sealer that starts cold.
    fn sealer(&self, wire: &Wire) -> Environment {
        self.vault.sealer_with(wire, &self.settings())
    }

    async fn seal(&self) -> Answer {
        asked(&self.sealer(&Wire::good())).await.unwrap()
    }

    fn witness(&self) -> Witness {
        self.watch.vkey.parse().unwrap()
    }

    fn copies(&self) -> S3 {
        self.vault.bucket(&format!("{}-copies", self.vault.name))
    }

    /// What the verifier says, which demands the witness.
    async fn verify(&self) -> Report {
        let root = Root { function: Some("seal".parse().unwrap()), fingerprint: self.vault.public.fingerprint() };
        self.vault.verify_with(Verifier::new(vec![root]).witnessed_by(vec![self.witness()])).await
    }

    async fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.vault.evidence().content(key, None, 1 << 20).await.unwrap()
    }

    /// How many of a checkpoint's anchors are kept: its timestamp, its cosignature, its copy.
    async fn kept(&self, size: u64) -> [bool; 3] {
        let copy = self.copies().content(&format!("{LOG}/{size}.note"), None, 1 << 20).await.unwrap();
        [
            self.object(&timestamp_key(size)).await.is_some(),
            self.object(&cosigned_key(size, &self.witness())).await.is_some(),
            copy.is_some(),
        ]
    }
}

fn all() -> Anchored {
    Anchored { timestamps: 1, cosignatures: 1, copies: 1, failed: Vec::new() }
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_checkpoint_is_anchored_outside_its_owners_reach() {
    let anchorage = Anchorage::new().await;
    let vault = &anchorage.vault;
    let wire = Wire::good();
    let sealer = anchorage.sealer(&wire);
    assert_eq!(asked(&sealer).await.unwrap().anchored, all());
    vault.incidents(2).await;
    let answer = asked(&sealer).await.unwrap();
    assert_eq!((answer.outcome, &answer.anchored, answer.size), (Said::Sealed, &all(), 8), "{answer:#?}");
    assert_eq!(asked(&sealer).await.unwrap().anchored, Anchored::default(), "with nothing new nobody is asked");

    // The note in WORM carries the log's two signatures; the published one the witness's too, and so does the one beside the note.
    let lines = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap().lines().count();
    let (note, whole) = (anchorage.object(&checkpoint_key(8)).await.unwrap(), cosigned_key(8, &anchorage.witness()));
    let published = vault.tiles().content("checkpoint", None, 1 << 20).await.unwrap().unwrap();
    assert_eq!((lines(note.clone()), lines(published.clone())), (6, 7));
    assert_eq!(anchorage.object(&whole).await, Some(published.clone()));
    let published = String::from_utf8(published).unwrap();
    assert!(Checkpoint::cosigned(&published, &anchorage.witness()).unwrap().is_some());
    let key = format!("keys/seal/{}.der", anchorage.public.fingerprint());
    assert_eq!(anchorage.object(&key).await.as_deref(), Some(anchorage.public.der()));
    let copy = anchorage.copies().content(&format!("{LOG}/8.note"), None, 1 << 20).await.unwrap();
    assert_eq!(copy.as_deref(), Some(&*note), "the copy is the note");

    // `openssl` believes the token, over this text and no other.
    let work = TempDir::new().unwrap();
    let write = |name: &str, bytes: &[u8]| {
        std::fs::write(work.path().join(name), bytes).unwrap();
        work.path().join(name)
    };
    let token = write("8.tsr", &anchorage.object(&timestamp_key(8)).await.unwrap());
    let text = Checkpoint::read(&published).unwrap().to_string();
    assert!(anchorage.clock.authority.accepts(&token, &write("8.txt", text.as_bytes())));
    assert!(!anchorage.clock.authority.accepts(&token, &write("9.txt", text.replace("\n8\n", "\n9\n").as_bytes())));

    let report = anchorage.verify().await;
    holds(&report);
    let anchors = report.log.unwrap().anchors;
    let sizes: Vec<u64> = anchors.cosigned.values().map(|cosigned| cosigned.size).collect();
    assert_eq!((anchors.timestamped, sizes), (2, vec![8]));
    assert_eq!(anchors.vkeys.into_iter().collect::<Vec<_>>(), [anchorage.public.vkey(LOG)]);
    vault.assert_published().await;
    vault.assert_sealed_once(4).await;
}

/// More than a tile: the proofs then come from the published tiles as well as from the tree's edge, for a warm sealer and a cold one.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_witness_follows_a_log_that_outgrows_its_tiles() {
    let anchorage = Anchorage::new().await;
    let warm = anchorage.sealer(&Wire::good());
    for incidents in [3, 120, 20, 130, 1] {
        anchorage.vault.incidents(incidents).await;
        let answer = asked(&warm).await.unwrap();
        assert_eq!(answer.anchored, all(), "{} leaves", answer.size);
    }
    let before = anchorage.watch.asked.lock().unwrap().len();
    anchorage.vault.incidents(2).await;
    assert_eq!(anchorage.seal().await.anchored, all());
    let asked: Vec<String> = anchorage.watch.asked.lock().unwrap()[before..].to_vec();
    // A cold sealer does not know what the witness knows: it is told, and asks once more.
    assert_eq!(asked.iter().map(|body| body.lines().next().unwrap()).collect::<Vec<_>>(), ["old 0", "old 555"]);
    holds(&anchorage.verify().await);
}

/// One log's name and key, two histories: the witness cosigns the one it knows.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn a_witness_refuses_another_history_of_the_log() {
    let anchorage = Anchorage::new().await;
    anchorage.vault.incidents(2).await;
    assert_eq!(anchorage.seal().await.anchored, all());
    let fork = Vault::new().await;
    fork.incidents(3).await;
    let settings = anchorage.settings();
    let answer = asked(&fork.sealer_with(&Wire::good(), &settings[..3])).await.unwrap();
    let Anchored { cosignatures, failed, .. } = &answer.anchored;
    assert_eq!((answer.outcome, *cosignatures), (Said::Sealed, 0));
    assert!(matches!(&failed[..], [one] if one.contains("does not accept that the log goes on from 5 leaves")), "{failed:?}");
    let root = Root { function: Some("seal".parse().unwrap()), fingerprint: fork.public.fingerprint() };
    let report = fork.verify_with(Verifier::new(vec![root]).witnessed_by(vec![anchorage.witness()])).await;
    assert!(report.faults.iter().any(|fault| fault.reason.contains("no checkpoint here carries a cosignature")), "{report:#?}");
    // And a log that was rolled back.
    let short = Vault::new().await;
    let answer = asked(&short.sealer_with(&Wire::good(), &settings[..3])).await.unwrap();
    assert!(answer.anchored.failed[0].contains("it has cosigned 5 leaves, and here are 1"), "{:?}", answer.anchored);
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Of {
    Clock,
    Watch,
    Wire,
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn outsiders_that_fail_stop_nothing_and_are_asked_again_with_the_next_checkpoint() {
    let anchorage = Anchorage::new().await;
    let (vault, clock, watch) = (&anchorage.vault, &anchorage.clock, &anchorage.watch);
    anchorage.seal().await;
    let mut size = 1;
    let said = |status: u16, body: &str| Reply::Said(status, body.as_bytes().to_vec());
    let foreign = cosign("witness.example/w1", &ed25519_dalek::SigningKey::from_bytes(&[1; 32]), "another text\n");
    let stale = clock.authority.stamp(&clock.asked.lock().unwrap()[0]);
    let cases: Vec<(Of, Reply, &str)> = vec![
        (Of::Clock, said(500, "down"), "it answered with HTTP status 500"),
        (Of::Clock, said(302, ""), "it answered with HTTP status 302"),
        (Of::Clock, said(200, "<html>"), "not a timestamp response"),
        (Of::Clock, said(200, &"x".repeat(300 << 10)), "longer than"),
        (Of::Clock, Reply::Said(200, stale), "over something else"),
        (Of::Clock, Reply::CutOff, "the timestamp of"),
        (Of::Clock, Reply::Hang, "did not answer within 5 seconds"),
        (Of::Watch, said(403, ""), "does not know the log's Ed25519 key"),
        (Of::Watch, said(404, ""), "does not know this log"),
        (Of::Watch, said(422, ""), "does not accept"),
        (Of::Watch, said(500, ""), "HTTP status 500"),
        (Of::Watch, said(409, "what?"), "it knows another tree"),
        (Of::Watch, said(409, "999999999\n"), "it has cosigned 999999999 leaves"),
        (Of::Watch, said(200, ""), "it carries no cosignature of witness witness.example/w1"),
        (Of::Watch, said(200, "thanks!\n"), "not a signed note"),
        (Of::Watch, said(200, &foreign), "no cosignature of witness"),
        (Of::Watch, Reply::Hang, "did not answer within 5 seconds"),
    ];
    for (of, reply, reason) in cases {
        let trouble = if of == Of::Clock { &clock.trouble } else { &watch.trouble };
        *trouble.lock().unwrap() = Some(reply.clone());
        vault.incidents(1).await;
        let began = Instant::now();
        let answer = anchorage.seal().await;
        // The log's own keys are entered once.
        size += 3 + u64::try_from(answer.keys).unwrap();
        assert_eq!((answer.outcome, answer.records, answer.size), (Said::Sealed, 2, size), "{reason}");
        assert!(began.elapsed() < Duration::from_secs(10), "{reason}: {:?}", began.elapsed());
        let failed = &answer.anchored.failed;
        assert!(matches!(&failed[..], [one] if one.contains(reason)), "{reason}: {failed:?}");
        assert!(answer.reason.contains("1 anchors failed"), "{}", answer.reason);
        let kept = [of != Of::Clock, of != Of::Watch, true];
        assert_eq!(anchorage.kept(size).await, kept, "{reason}: the others are there, and nothing unsound is");
        vault.assert_published().await;
        *trouble.lock().unwrap() = None;
    }
    // A connection that nobody takes.
    let settings = anchorage.settings();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let deaf = [("CORDON_TIMESTAMP_URL", format!("http://{nobody}/")), settings[0].clone()];
    vault.incidents(1).await;
    let answer = asked(&vault.sealer_with(&Wire::good(), &deaf)).await.unwrap();
    assert!(answer.anchored.failed[0].contains("the timestamp of"), "{:?}", answer.anchored);
    // Everyone is there again.
    vault.incidents(1).await;
    assert_eq!(anchorage.seal().await.anchored, all());
    let report = anchorage.verify().await;
    holds(&report);
    vault.assert_sealed_once(2 * 19).await;
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn neither_the_second_key_nor_the_other_account_stop_the_log() {
    let anchorage = Anchorage::new().await;
    let vault = &anchorage.vault;
    anchorage.seal().await;
    let (key, copies) = (anchorage.key.clone(), format!("{}-copies", vault.name));
    let denied = |operation: &'static str| {
        let key = key.clone();
        move |asked: &Asked| {
            let ours = asked.service == "kms" && asked.operation == operation && asked.text.contains(&key);
            if ours { json_error(400, "AccessDeniedException") } else { Fate::Pass }
        }
    };
    let closed = {
        let copies = copies.clone();
        move |fate: Fate| {
            let copies = copies.clone();
            move |asked: &Asked| if asked.text.contains(&copies) { fate.clone() } else { Fate::Pass }
        }
    };
    let hanging = key.clone();
    let hangs = move |asked: &Asked| {
        if asked.service == "kms" && asked.text.contains(&hanging) { Fate::Hang } else { Fate::Pass }
    };
    let wires: Vec<(Of, Wire, &str)> = vec![
        (Of::Watch, Wire::with(denied("Sign")), "AccessDenied"),
        (Of::Watch, Wire::with(denied("GetPublicKey")), "AccessDenied"),
        (Of::Watch, Wire::with(hangs), "did not answer within 5 seconds"),
        (Of::Wire, Wire::with(closed(s3_error(403, "AccessDenied"))), "AccessDenied"),
        (Of::Wire, Wire::with(closed(s3_error(404, "NoSuchBucket"))), "NoSuchBucket"),
        (Of::Wire, Wire::with(closed(Fate::Hang)), "did not answer within 5 seconds"),
    ];
    for (of, wire, reason) in wires {
        vault.incidents(1).await;
        let answer = asked(&anchorage.sealer(&wire)).await.unwrap();
        assert_eq!((answer.outcome, answer.records), (Said::Sealed, 2), "{reason}");
        let failed = &answer.anchored.failed;
        assert!(failed[0].contains(reason), "{reason}: {failed:?}");
        let second = of == Of::Watch;
        // A witness that is shown no signature it knows says so.
        assert_eq!(failed.len(), if second { 2 } else { 1 }, "{failed:?}");
        assert_eq!(anchorage.kept(answer.size).await, [true, !second, second], "{reason}");
        let note = String::from_utf8(anchorage.object(&checkpoint_key(answer.size)).await.unwrap()).unwrap();
        assert_eq!(note.lines().count(), if second { 5 } else { 6 }, "the P-256 signature is always there");
        vault.assert_published().await;
    }
    // A key of another kind.
    vault.incidents(1).await;
    let root = &vault.stage.root;
    let wrong = json!({ "KeySpec": "ECC_NIST_P256", "KeyUsage": "SIGN_VERIFY" });
    let wrong = text(&root.json("kms", "TrentService.CreateKey", &wrong).await.unwrap()["KeyMetadata"]["Arn"]);
    let answer = asked(&vault.sealer_with(&Wire::good(), &[("CORDON_ED25519_KEY", wrong)])).await.unwrap();
    assert!(answer.anchored.failed[0].contains("not an Ed25519 public key"), "{:?}", answer.anchored);
    vault.incidents(1).await;
    assert_eq!(anchorage.seal().await.anchored, all());
    holds(&anchorage.verify().await);
}

/// Wherever it is killed, the next makes the same log, and nobody outside is asked twice about one checkpoint.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn killed_at_any_call_an_anchored_log_stays_whole_and_asks_once() {
    let mut nth = 0;
    loop {
        let anchorage = Anchorage::new().await;
        let vault = &anchorage.vault;
        vault.incidents(1).await;
        anchorage.seal().await;
        vault.incidents(1).await;
        let wire = dead_at(nth, if nth.is_multiple_of(2) { Fate::Hang } else { Fate::Deaf });
        let dying = anchorage.sealer(&wire);
        // What waits for an anchor only is not dead: it goes on without.
        let lived = tokio::select! {
            biased;
            answer = asked(&dying) => Some(answer.unwrap()),
            () = wire.hung() => None,
        };
        let at = wire.sent().last().map(|asked| format!("{} (call {nth})", asked.action())).unwrap();
        drop(dying);
        anchorage.seal().await;
        vault.incidents(1).await;
        let answer = anchorage.seal().await;
        assert_eq!(answer.anchored, all(), "dead at {at}");
        vault.assert_sealed_once(6).await;
        vault.assert_published().await;
        holds(&anchorage.verify().await);
        let mut asked: BTreeMap<Sha256, usize> = BTreeMap::new();
        for request in anchorage.clock.asked.lock().unwrap().iter() {
            // The digest stands at one place in every request.
            *asked.entry(Sha256::of(&request[24..56])).or_default() += 1;
        }
        assert!(asked.values().all(|times| *times == 1), "dead at {at}: {asked:?}");
        if lived.is_some() {
            break;
        }
        nth += 1;
        assert!(nth < 60, "it never ends");
    }
    assert!(nth >= 18, "it died at {nth} calls only");
}

#[tokio::test]
#[ignore = "needs the local AWS"]
async fn sealers_that_race_ask_once_for_each_checkpoint() {
    let anchorage = Anchorage::new().await;
    let wire = Wire::good();
    let sealers = [anchorage.sealer(&wire), anchorage.sealer(&wire), anchorage.sealer(&wire)];
    for _ in 0..4 {
        anchorage.vault.incidents(3).await;
        let [a, b, c] = &sealers;
        let (a, b, c) = tokio::join!(asked(a), asked(b), asked(c));
        for answer in [a, b, c] {
            answer.unwrap();
        }
    }
    let requests = anchorage.clock.asked.lock().unwrap().clone();
    let distinct: std::collections::BTreeSet<_> = requests.iter().map(|request| request[24..56].to_vec()).collect();
    assert_eq!(requests.len(), distinct.len());
    anchorage.vault.incidents(1).await;
    anchorage.seal().await;
    anchorage.vault.assert_published().await;
    holds(&anchorage.verify().await);
}

/// What each anchor costs: one request to AWS, whatever the size of the log; the second key one more, once in a process.
#[tokio::test]
#[ignore = "needs the local AWS"]
async fn each_anchor_costs_one_more_request() {
    let anchorage = Anchorage::new().await;
    let (vault, settings) = (&anchorage.vault, anchorage.settings());
    let chosen: Vec<(Vec<usize>, usize)> =
        vec![(vec![], 0), (vec![0], 1), (vec![1], 1), (vec![0, 2], 2), (vec![3], 1), (vec![0, 1, 2, 3], 4)];
    for (which, more) in chosen {
        let chosen: Vec<_> = which.iter().map(|at| settings[*at].clone()).collect();
        let wire = Wire::good();
        let sealer = vault.sealer_with(&wire, &chosen);
        // The second pass enters the keys that the first one kept.
        for _ in 0..2 {
            vault.incidents(1).await;
            asked(&sealer).await.unwrap();
        }
        let count = vault.incidents(2).await;
        let before = wire.sent().len();
        let answer = asked(&sealer).await.unwrap();
        assert!(answer.anchored.failed.is_empty(), "{:?}", answer.anchored);
        let sent: Vec<String> = wire.sent()[before..].iter().map(Asked::action).collect();
        assert_eq!(sent.len(), 14 + count + more, "{which:?}: {sent:?}");
    }
}

/// No AWS is asked for this.
#[test]
fn what_is_configured_wrongly_stops_the_start() {
    let config = responder::sdk_config(|name| match name {
        "AWS_REGION" => Some("us-east-1".to_owned()),
        "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("-".to_owned()),
        _ => None,
    })
    .unwrap();
    let start = |settings: &[(&'static str, &str)]| {
        let get = |name: &'static str| match name {
            "CORDON_LOG" => Some(LOG.to_owned()),
            "CORDON_EVIDENCE_BUCKET" | "CORDON_TILE_BUCKET" | "CORDON_SIGNING_KEY" | "CORDON_ORPHANS" => Some("x".to_owned()),
            _ => settings.iter().find_map(|(other, value)| (*other == name).then(|| (*value).to_owned())),
        };
        Environment::new(get, &config, &CallLog::default()).map(drop)
    };
    let (one, two) = (Watch::new("witness.example/w1"), Watch::new("witness.example/w2"));
    let both = format!("{}, {}", one.line(), two.line());
    let key = ("CORDON_ED25519_KEY", "arn");
    assert_eq!(start(&[("CORDON_WITNESSES", ""), ("CORDON_TIMESTAMP_URL", ""), ("CORDON_COPY_BUCKET", " ")]), Ok(()));
    assert_eq!(start(&[key, ("CORDON_WITNESSES", &both), ("CORDON_TIMESTAMP_URL", "https://tsa.example/")]), Ok(()));
    let refused = |settings: &[(&'static str, &str)]| match start(settings) {
        Err(error @ SettingsError::Wrong { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(refused(&[("CORDON_WITNESSES", &both)]).contains("empty without `CORDON_ED25519_KEY`"));
    assert!(refused(&[key, ("CORDON_WITNESSES", &format!("{0},{0}", one.line()))]).contains("each witness once"));
    for wrong in [one.vkey.clone(), one.url.clone(), format!("{} http://w.example/", one.vkey), one.line().replacen("w1", "w2", 1)]
    {
        assert!(refused(&[key, ("CORDON_WITNESSES", &wrong)]).contains("VKEY URL"), "{wrong}");
    }
    for wrong in ["http://tsa.example/", "tsa.example", "https://a@tsa.example/"] {
        assert!(refused(&[("CORDON_TIMESTAMP_URL", wrong)]).contains("an https URL"), "{wrong}");
    }
}
