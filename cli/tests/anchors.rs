//! What the program says of a log that others vouch for, and of one that they do not.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::process::Command;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signer as _, SigningKey as Ed25519};
use evidence::PublicKey;
use evidence::log::{Batch, Checkpoint, Ed25519Key, Edge, Witness, batch_key, checkpoint_key, cosigned_key};
use ids::{Sha256, Timestamp};
use p256::ecdsa::signature::hazmat::PrehashSigner as _;
use p256::ecdsa::{Signature, SigningKey};
use tempfile::TempDir;

const LOG: &str = "example.com/cordon";
const WITNESS: &str = "witness.example/w1";

fn key_id(name: &str, kind: u8, key: &Ed25519) -> Vec<u8> {
    let whole = [name.as_bytes(), b"\n", &[kind], key.verifying_key().as_bytes()].concat();
    Sha256::of(&whole).as_bytes().iter().take(4).copied().collect()
}

fn vkey(name: &str, kind: u8, key: &Ed25519) -> String {
    let id: String = key_id(name, kind, key).iter().map(|byte| format!("{byte:02x}")).collect();
    format!("{name}+{id}+{}", STANDARD.encode([&[kind], key.verifying_key().as_bytes().as_slice()].concat()))
}

fn now() -> Timestamp {
    let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH).unwrap();
    Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap()).unwrap()
}

/// A log of one batch in a folder, signed twice and cosigned; and the log's fingerprint.
fn log(second: &Ed25519, witness: &Ed25519) -> (TempDir, Sha256) {
    let folder = TempDir::new().unwrap();
    let put = |key: &str, bytes: &[u8]| {
        let path = folder.path().join(key);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    };
    let first = SigningKey::from_slice(&[2; 32]).unwrap();
    let public = PublicKey::of(first.verifying_key()).unwrap();
    let prefix = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    let other = Ed25519Key::from_der(&[prefix.as_slice(), second.verifying_key().as_bytes()].concat()).unwrap();
    put(&format!("keys/seal/{}.der", public.fingerprint()), public.der());
    put(&format!("keys/seal/{}.der", other.fingerprint()), other.der());
    let batch = Batch::next(LOG, None, &Edge::default(), now(), Vec::new()).unwrap();
    put(&batch_key(1), &batch.to_bytes().unwrap());
    let checkpoint = Checkpoint { origin: LOG.to_owned(), size: batch.size, root: batch.root };
    let text = checkpoint.to_string();
    let signature: Signature = first.sign_prehash(checkpoint.digest().as_bytes()).unwrap();
    let note = checkpoint.note(signature.to_der().as_bytes(), &public).unwrap();
    let note = checkpoint.add_ed25519(&note, &second.sign(text.as_bytes()).to_bytes(), &other).unwrap();
    put(&checkpoint_key(1), note.as_bytes());
    let seconds = u64::try_from(now().millis() / 1000).unwrap();
    let signature = witness.sign(format!("cosignature/v1\ntime {seconds}\n{text}").as_bytes()).to_bytes();
    let bytes = [key_id(WITNESS, 4, witness).as_slice(), &seconds.to_be_bytes(), &signature].concat();
    let asked: Witness = vkey(WITNESS, 4, witness).parse().unwrap();
    let cosigned = format!("{note}\u{2014} {WITNESS} {}\n", STANDARD.encode(bytes));
    put(&cosigned_key(1, &asked), cosigned.as_bytes());
    (folder, public.fingerprint())
}

fn verify(folder: &TempDir, more: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    let output = command.args(["evidence", "verify", folder.path().to_str().unwrap()]).args(more).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

#[test]
fn a_witness_that_was_asked_for_is_shown_or_missed() {
    let (second, witness) = (Ed25519::from_bytes(&[3; 32]), Ed25519::from_bytes(&[4; 32]));
    let (folder, fingerprint) = log(&second, &witness);
    let root = format!("seal={fingerprint}");
    let asked = vkey(WITNESS, 4, &witness);
    let (code, text) = verify(&folder, &["--root", &root, "--witness", &asked]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&format!("signed with Ed25519 too, by {}", vkey(LOG, 1, &second))), "{text}");
    assert!(text.contains(": 1 of 1 leaves, by witness.example/w1+"), "{text}");
    let (code, json) = verify(&folder, &["--root", &root, "--witness", &asked, "--json"]);
    assert!(code == Some(0) && json.contains("\"timestamped\": 0"), "{json}");

    let absent = vkey(WITNESS, 4, &Ed25519::from_bytes(&[5; 32]));
    let (code, text) = verify(&folder, &["--root", &root, "--witness", &asked, "--witness", &absent]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("FAILED: log/: no checkpoint here carries a cosignature of witness witness.example/w1"), "{text}");
}

#[test]
fn a_mistyped_witness_is_a_wrong_argument() {
    let (second, witness) = (Ed25519::from_bytes(&[3; 32]), Ed25519::from_bytes(&[4; 32]));
    let (folder, _) = log(&second, &witness);
    for (wrong, reason) in [
        ("witness.example/w1".to_owned(), "NAME+ID+KEY"),
        (vkey(LOG, 1, &second), "signatures of type 1"),
        (vkey(WITNESS, 4, &witness).replacen("w1", "w2", 1), "is it complete?"),
    ] {
        let (code, text) = verify(&folder, &["--witness", &wrong]);
        assert!(code == Some(2) && text.contains(reason), "{wrong}: {text}");
    }
}
