//! Strangers check what we write: `openssl` by the commands of `docs/verify-by-hand.md`, word for word; Sigstore's own library,
//! securesystemslib, and Go's transparency log code, none of which has heard of Cordon. Each must accept what is whole and refuse what is not.

use std::path::{Path, PathBuf};
use std::process::Command;

use ed25519_dalek::Signer as _;
use evidence::PublicKey;
use evidence::log::{Checkpoint, Ed25519Key, Edge, Receipt, Tile, TimestampRequest, Token, Witness, inclusion, leaf_hash};
use ids::Sha256;
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use p256::pkcs8::{EncodePublicKey as _, LineEnding};
use serde_json::Value;

use tempfile::TempDir;

use crate::outsiders::{Authority, cosign, der, vkey};

/// The block of commands that `docs/verify-by-hand.md` has under `mark`, with these values in place of those of its example.
fn commands(mark: &str, values: &[(&str, &Path)]) -> String {
    let page = std::fs::read_to_string(scenarios::repository().join("docs/verify-by-hand.md")).unwrap();
    let after = page.split(&format!("<!-- {mark} -->")).nth(1).unwrap();
    let block = after.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    let is_value = |line: &&str| values.iter().any(|(name, _)| line.starts_with(&format!("{name}=")));
    let fixed: Vec<_> = block.lines().filter(|line| !is_value(line)).collect();
    assert_eq!(block.lines().count(), fixed.len() + values.len(), "{block}");
    let values: String = values.iter().map(|(name, value)| format!("{name}={}\n", value.display())).collect();
    format!("set -e\n{values}{}\n", fixed.join("\n"))
}

fn records() -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![scenarios::repository().join("events/records/v1/archive")];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.to_string_lossy().contains("/rec/") {
                found.push(path);
            }
        }
    }
    found
}

fn openssl(record: &str) -> (bool, String) {
    let key = scenarios::repository().join("events/records/v1/evidence.pub");
    let work = TempDir::new().unwrap();
    let script = commands("openssl", &[("RECORD", Path::new(record)), ("KEY", &key)]);
    let output = Command::new("sh").args(["-c", &script]).current_dir(&work).output();
    let output = output.unwrap_or_else(|error| panic!("this test needs `sh` and `openssl`: {error}"));
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    (output.status.success(), text)
}

#[test]
fn openssl_verifies_every_record_up_to_the_kms_key() {
    let records = records();
    assert!(records.len() >= 4);
    for record in records {
        let (good, text) = openssl(record.to_str().unwrap());
        assert!(good, "{}: {text}", record.display());
        assert_eq!(text.matches("Verified OK").count(), 2, "{text}");
    }
}

#[test]
fn openssl_refuses_another_payload_and_another_key() {
    let work = TempDir::new().unwrap();
    let record = std::fs::read_to_string(records().pop().unwrap()).unwrap();
    // One character inside the base64 of the payload, well past its beginning.
    let at = record.find("\"payload\":\"").unwrap() + 400;
    let mut changed = record.into_bytes();
    changed[at] = if changed[at] == b'A' { b'B' } else { b'A' };
    let path = work.path().join("record.json");
    std::fs::write(&path, changed).unwrap();
    let (good, text) = openssl(path.to_str().unwrap());
    assert!(!good, "{text}");
}

/// One of the strangers that `tests/strangers/prepare.sh` gets ready; none if it could not come. On a build server all must come.
fn stranger(name: &str, program: &[&str]) -> Option<Command> {
    let home = std::env::var_os("CORDON_STRANGERS").map(PathBuf::from);
    let there = home.filter(|home| home.join(name).exists());
    let Some(home) = there else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "`{name}` is missing: see tests/strangers/prepare.sh");
        eprintln!("not checked: `{name}` is missing (`make test` gets it, where node, npm, Go and golang-golang-x-mod-dev are)");
        return None;
    };
    let (first, rest) = program.split_first().unwrap();
    // A program of its own lies in that folder; `node` does not.
    let own = home.join(first);
    let mut command = Command::new(if own.exists() { own } else { first.into() });
    command.current_dir(&home).args(rest);
    Some(command)
}

/// Whether a stranger accepts; what it says when it does not is never a crash.
fn accepts(mut command: Command, arguments: &[&Path]) -> bool {
    let output = command.args(arguments).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    match output.status.code() {
        Some(0) => true,
        Some(1) if said.contains("refused: ") => false,
        code => panic!("{code:?}: {said}"),
    }
}

/// A record that is checked in, and the key of the session that signed it.
fn record_and_key(work: &TempDir) -> (PathBuf, PathBuf) {
    let record = records().remove(0);
    let key = record.strip_prefix(scenarios::repository().join("events/records/v1/archive")).unwrap();
    let key = key.to_str().unwrap().parse().unwrap();
    let (statement, _) = evidence::open::<Value>(&key, &std::fs::read(&record).unwrap()).unwrap();
    let pem = work.path().join("session.pem");
    let der = statement.predicate.record.session.key.der().to_vec();
    let key = <p256::PublicKey as p256::pkcs8::DecodePublicKey>::from_public_key_der(&der).unwrap();
    std::fs::write(&pem, key.to_public_key_pem(LineEnding::LF).unwrap()).unwrap();
    (record, pem)
}

fn check_records(name: &str, program: &[&str]) {
    let work = TempDir::new().unwrap();
    let (record, key) = record_and_key(&work);
    let Some(command) = stranger(name, program) else { return };
    assert!(accepts(command, &[&record, &key]), "{name} does not accept what we wrote");
    let another = scenarios::repository().join("events/records/v1/evidence.pub");
    assert!(!accepts(stranger(name, program).unwrap(), &[&record, &another]), "{name} accepts another key");
    let mut bundle: Value = serde_json::from_slice(&std::fs::read(&record).unwrap()).unwrap();
    let payload = bundle["dsseEnvelope"]["payload"].as_str().unwrap().to_owned();
    let changed = if &payload[400..401] == "A" { "B" } else { "A" };
    bundle["dsseEnvelope"]["payload"] = format!("{}{changed}{}", &payload[..400], &payload[401..]).into();
    let forged = work.path().join("forged.json");
    std::fs::write(&forged, bundle.to_string()).unwrap();
    assert!(!accepts(stranger(name, program).unwrap(), &[&forged, &key]), "{name} accepts another payload");
}

#[test]
fn sigstores_own_library_verifies_records() {
    check_records("node_modules/@sigstore/verify", &["node", "sigstore.js"]);
}

#[test]
fn securesystemslib_verifies_records() {
    check_records("python", &["python", "dsse.py"]);
}

/// A published log in a folder: its tree, its head with two signatures and a cosignature, receipts for some leaves.
struct Published {
    work: TempDir,
    key: PublicKey,
    checkpoint: Checkpoint,
}

const LEAVES: u64 = 700;
const WITNESS: &str = "witness.example/w1";

/// The log's second key.
fn second() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[8; 32])
}

/// The witness's key.
fn third() -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[9; 32])
}

fn publish() -> Published {
    let work = TempDir::new().unwrap();
    let leaves: Vec<Vec<u8>> = (0..LEAVES).map(|n| format!("{{\"record\":{n}}}").into_bytes()).collect();
    let grown = Tile::grow(Edge::default(), Vec::new(), leaves.clone());
    let write = |name: &str, bytes: &[u8]| {
        let path = work.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    for tile in &grown.tiles {
        write(&tile.path.to_string(), &tile.bytes);
    }
    let signer = SigningKey::from_slice(&[7; 32]).unwrap();
    let key = PublicKey::of(signer.verifying_key()).unwrap();
    let checkpoint = Checkpoint { origin: "example.com/cordon".to_owned(), size: LEAVES, root: grown.edge.root() };
    let signature: Signature = signer.sign_prehash(checkpoint.digest().as_bytes()).unwrap();
    let signature = signature.to_der().as_bytes().to_vec();
    let note = checkpoint.note(&signature, &key).unwrap();
    let text = checkpoint.to_string();
    let public = Ed25519Key::from_der(&der(&second().verifying_key())).unwrap();
    let note = checkpoint.add_ed25519(&note, &second().sign(text.as_bytes()).to_bytes(), &public).unwrap();
    let witness: Witness = vkey(WITNESS, 4, &third().verifying_key()).parse().unwrap();
    let note = Checkpoint::add_cosignature(&note, &cosign(WITNESS, &third(), &text), &witness).unwrap();
    write("checkpoint", note.as_bytes());
    write("key.der", key.der());
    write("key.pem", signer.verifying_key().to_public_key_pem(LineEnding::LF).unwrap().as_bytes());
    write("checkpoint.txt", checkpoint.to_string().as_bytes());
    write("checkpoint.sigstore.json", checkpoint.bundle(&signature, &key).as_bytes());
    let hashes: Vec<Sha256> = leaves.iter().map(|leaf| leaf_hash(leaf)).collect();
    for index in [0, 255, 256, 511, 699_u64] {
        let path = inclusion(index, LEAVES, |height, number| node(&hashes, height, number)).unwrap();
        let leaf = leaves[usize::try_from(index).unwrap()].clone();
        write(&format!("{index}.tlog-proof"), Receipt { leaf, index, path, checkpoint: note.clone() }.to_string().as_bytes());
    }
    Published { work, key, checkpoint }
}

fn node(leaves: &[Sha256], height: u8, number: u64) -> Result<Sha256, std::convert::Infallible> {
    if height == 0 {
        return Ok(leaves[usize::try_from(number).unwrap()]);
    }
    let (left, right) = (node(leaves, height - 1, 2 * number)?, node(leaves, height - 1, 2 * number + 1)?);
    Ok(evidence::log::node_hash(&left, &right))
}

#[test]
fn go_verifies_every_leaf_of_a_published_log_and_names_what_is_wrong() {
    let log = publish();
    let at = |name: &str| log.work.path().join(name);
    let go = |what: &str, path: &Path| stranger("tlog", &["tlog", what]).map(|command| accepts(command, &[path, &at("key.der")]));
    let Some(whole) = go("tree", log.work.path()) else { return };
    assert!(whole, "Go does not accept the tree");
    for index in [0, 255, 256, 511, 699] {
        assert_eq!(go("receipt", &at(&format!("{index}.tlog-proof"))), Some(true), "receipt {index}");
    }
    // One byte of one entry, of one hash, of the root; a cut-off bundle; another's receipt.
    for (file, place) in [("tile/entries/001", 300), ("tile/0/001", 40), ("tile/1/000.p/2", 3), ("checkpoint", 25)] {
        let whole = std::fs::read(at(file)).unwrap();
        let mut changed = whole.clone();
        changed[place] ^= 1;
        std::fs::write(at(file), changed).unwrap();
        assert_eq!(go("tree", log.work.path()), Some(false), "{file} was changed");
        std::fs::write(at(file), &whole[..whole.len() - 1]).unwrap();
        assert_eq!(go("tree", log.work.path()), Some(false), "{file} was cut off");
        std::fs::write(at(file), whole).unwrap();
    }
    let receipt = std::fs::read_to_string(at("255.tlog-proof")).unwrap();
    for (from, to) in [("index 255", "index 256"), ("extra ey", "extra fy"), ("\n700\n", "\n701\n")] {
        assert!(receipt.contains(from), "{from:?}");
        std::fs::write(at("forged.tlog-proof"), receipt.replacen(from, to, 1)).unwrap();
        assert_eq!(go("receipt", &at("forged.tlog-proof")), Some(false), "{from:?} became {to:?}");
    }
}

/// By nothing but the verifier key, as anyone's log monitor would.
#[test]
fn go_reads_the_second_signature_and_the_cosignature_and_refuses_forged_ones() {
    let log = publish();
    let at = |name: &str| log.work.path().join(name);
    let own = vkey("example.com/cordon", 1, &second().verifying_key());
    assert_eq!(Ed25519Key::from_der(&der(&second().verifying_key())).unwrap().vkey("example.com/cordon"), own);
    let witness = vkey(WITNESS, 4, &third().verifying_key());
    let go =
        |note: &Path, vkey: &str| stranger("tlog", &["tlog", "vkey"]).map(|command| accepts(command, &[note, Path::new(vkey)]));
    let note = std::fs::read_to_string(at("checkpoint")).unwrap();
    for key in [&own, &witness] {
        let Some(whole) = go(&at("checkpoint"), key) else { return };
        assert!(whole, "Go does not accept {key}");
        std::fs::write(at("forged.note"), note.replace("\n700\n", "\n701\n")).unwrap();
        assert_eq!(go(&at("forged.note"), key), Some(false), "another size, by {key}");
        let other = key.replace(char::is_numeric, "0");
        assert_eq!(go(&at("checkpoint"), &other), Some(false), "{other}");
    }
    // The second signature over another checkpoint, and none at all.
    let lines: Vec<&str> = note.lines().collect();
    let text = log.checkpoint.to_string().replace("700", "699");
    let foreign = second().sign(text.as_bytes()).to_bytes();
    let public = Ed25519Key::from_der(&der(&second().verifying_key())).unwrap();
    let other = Checkpoint { size: 699, ..log.checkpoint.clone() };
    let forged = other.add_ed25519("", &foreign, &public).unwrap();
    std::fs::write(at("forged.note"), note.replace(&format!("{}\n", lines[5]), &forged)).unwrap();
    assert_eq!(go(&at("forged.note"), &own), Some(false));
    std::fs::write(at("forged.note"), note.replace(&format!("{}\n", lines[5]), "")).unwrap();
    assert_eq!(go(&at("forged.note"), &own), Some(false));
    assert_eq!(go(&at("forged.note"), &witness), Some(true), "a witness's line stands for itself");
    // A cosignature with another time.
    let bytes = base64::engine::Engine::decode(&base64::engine::general_purpose::STANDARD, lines[6].rsplit_once(' ').unwrap().1);
    let mut bytes = bytes.unwrap();
    bytes[11] ^= 1;
    let late = base64::engine::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
    std::fs::write(at("forged.note"), note.replace(lines[6].rsplit_once(' ').unwrap().1, &late)).unwrap();
    assert_eq!(go(&at("forged.note"), &witness), Some(false));
}

/// `openssl ts` as the authority and as the reader, by the page's own lines.
#[test]
fn openssl_gives_and_verifies_the_timestamp_of_a_checkpoint() {
    let log = publish();
    let at = |name: &str| log.work.path().join(name);
    let authority = Authority::new();
    let request = TimestampRequest::new(log.checkpoint.digest(), [7; 8]);
    let answer = authority.stamp(&request.to_der());
    let token = Token::read(&answer).unwrap();
    assert_eq!((token.imprint, token.answers(&request)), (log.checkpoint.digest(), Ok(())));
    assert!(calls::now().millis_since(token.time).abs() < 60_000, "{}", token.time);
    std::fs::write(at("checkpoint.tsr"), &answer).unwrap();

    let work = TempDir::new().unwrap();
    let openssl = |note: &Path, root: &Path| {
        let script = commands("openssl-ts", &[("NOTE", note), ("TOKEN", &at("checkpoint.tsr")), ("AUTHORITY", root)]);
        let output = Command::new("sh").args(["-c", &script]).current_dir(&work).output().unwrap();
        output.status.success().then(|| String::from_utf8(output.stdout).unwrap())
    };
    let said = openssl(&at("checkpoint"), &authority.root()).unwrap();
    assert!(said.contains("Time stamp: "), "{said}");
    let note = std::fs::read_to_string(at("checkpoint")).unwrap();
    std::fs::write(at("forged.note"), note.replace("\n700\n", "\n701\n")).unwrap();
    assert_eq!(openssl(&at("forged.note"), &authority.root()), None, "another checkpoint");
    assert_eq!(openssl(&at("checkpoint"), &Authority::new().root()), None, "another authority");
    // A refusal of openssl's own is read as one.
    let unknown =
        [&[0x30, 0x27, 2, 1, 1, 0x30, 0x1f, 0x30, 7, 6, 5, 0x2b, 0x0e, 3, 2, 0x1a, 4, 0x14], &[1; 20][..], &[1, 1, 0xff]].concat();
    let refusal = Token::read(&authority.stamp(&unknown)).unwrap_err();
    assert!(refusal.to_string().contains("refused, with status 2"), "{refusal}");
}

#[test]
fn a_checkpoint_is_verified_by_tools_that_know_no_notes() {
    let log = publish();
    let at = |name: &str| log.work.path().join(name);
    let work = TempDir::new().unwrap();
    let openssl = |note: &str| {
        let script = commands("openssl-note", &[("NOTE", &at(note)), ("KEY", &at("key.pem"))]);
        Command::new("sh").args(["-c", &script]).current_dir(&work).output().unwrap().status.success()
    };
    let note = std::fs::read_to_string(at("checkpoint")).unwrap();
    std::fs::write(at("forged.note"), note.replace("\n700\n", "\n701\n")).unwrap();
    assert!(openssl("checkpoint") && !openssl("forged.note"));
    std::fs::write(at("forged.txt"), log.checkpoint.to_string().replace("700", "701")).unwrap();
    assert_eq!(log.key.fingerprint(), Sha256::of(&std::fs::read(at("key.der")).unwrap()));
    let sigstore = |text: &str| {
        stranger("node_modules/@sigstore/verify", &["node", "sigstore.js"])
            .map(|command| accepts(command, &[&at("checkpoint.sigstore.json"), &at("key.pem"), &at(text)]))
    };
    if let Some(accepted) = sigstore("checkpoint.txt") {
        assert!(accepted, "Sigstore does not accept the checkpoint's bundle");
        assert_eq!(sigstore("forged.txt"), Some(false));
    }
}
