//! `cordon evidence trust` as a platform team uses it: real keys, a real folder, and whoever verifies knows one fingerprint.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tempfile::TempDir;

/// A folder to work in, with a store in it.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn evidence(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        let output = command.current_dir(self.0.path()).arg("evidence").args(arguments).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
    }

    #[track_caller]
    fn done(&self, arguments: &[&str]) -> String {
        let (code, text) = self.evidence(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {text}");
        text
    }

    #[track_caller]
    fn refused(&self, arguments: &[&str], reason: &str) {
        let before = self.rings();
        let (code, text) = self.evidence(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {text}");
        assert!(text.contains(reason), "{arguments:?}: no `{reason}` in {text}");
        assert_eq!(self.rings(), before, "nothing is written");
    }

    /// A new key, and its fingerprint.
    fn key(&self, name: &str) -> String {
        let text = self.done(&["keygen", name]);
        text.split("fingerprint  ").nth(1).unwrap().lines().next().unwrap().to_owned()
    }

    fn rings(&self) -> Vec<String> {
        let listed = fs::read_dir(self.path("evidence/keys/ring")).into_iter().flatten();
        let mut names: Vec<_> = listed.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    fn record(&self, key: &str) {
        self.done(&["run", "--key", key, "--", "true"]);
    }

    fn verify(&self, root: &str) -> (Option<i32>, String) {
        self.evidence(&["verify", "--root", root, "evidence"])
    }
}

/// Arguments of a signing command on the store.
fn signed<'a>(verb: &'a str, key: &'a str, rest: &[&'a str]) -> Vec<&'a str> {
    [&["trust", verb, "--key", key, "--store", "evidence"], rest].concat()
}

#[test]
fn one_root_is_enough_from_the_first_key_to_its_successor() {
    let place = Place::new();
    let (root, first, second) = (place.key("root.pem"), place.key("first.pem"), place.key("second.pem"));
    // Records may be older than the ring.
    place.record("first.pem");
    let text = place.done(&signed("new", "root.pem", &["run=first.pem"]));
    assert!(text.starts_with("signed keys/ring/000001.json, SHA-256 "), "{text}");
    assert!(text.contains(&format!("key {first} for run, from the beginning")), "{text}");
    let (code, text) = place.verify(&root);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("VERIFIED: 2 records") && text.contains(&format!("signed by root {root}\n")), "{text}");
    let (code, text) = place.evidence(&["verify", "evidence"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("(whose that is was not asked)") && text.contains("SELF-CONSISTENT"), "{text}");
    let (code, text) = place.verify(&"0".repeat(64));
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("which is no root given, so it was not used"), "{text}");

    place.done(&signed("add", "root.pem", &["run=second.pem"]));
    place.record("second.pem");
    let text = place.done(&signed("retire", "root.pem", &[&first, "--reason", "rotated"]));
    assert!(text.contains("(rotated)"), "{text}");
    let (code, text) = place.verify(&root);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("VERIFIED: 4 records") && text.contains("keyring 3 of "), "{text}");
    // The old key goes on signing, and is found out.
    place.record("first.pem");
    let (code, text) = place.verify(&root);
    assert_eq!(code, Some(1), "{text}");
    assert!(
        text.contains(&format!("after key {first} was retired at ")) && !text.contains(&format!("after key {second}")),
        "{text}"
    );
}

#[test]
fn what_the_rules_forbid_is_not_signed() {
    let place = Place::new();
    let (root, own) = (place.key("root.pem"), place.key("own.pem"));
    let stranger = place.key("stranger.pem");
    place.refused(&signed("add", "root.pem", &["run=own.pem"]), "there is no keyring yet");
    place.refused(&signed("new", "root.pem", &["run=root.pem"]), &format!("key {root} signs rings"));
    place.refused(&signed("new", "root.pem", &["run=own.pem", "seal=own.pem"]), &format!("names key {own} twice"));
    place.done(&signed("new", "root.pem", &["run=own.pem", "--from", "2026-11-01T00:00:00Z"]));
    place.refused(&signed("new", "root.pem", &["run=own.pem"]), "there is a keyring: keys/ring/000001.json");
    place.refused(&signed("add", "root.pem", &["seal=own.pem"]), "twice");
    place.refused(&signed("add", "stranger.pem", &["seal=stranger.pem"]), "is not the root that keys/ring/000001.json names");
    place.refused(&signed("retire", "root.pem", &[&stranger, "--reason", "x"]), "there is no key");
    place.refused(&signed("retire", "root.pem", &[&own, "--reason", " "]), "a reason belongs to an end");
    place.refused(&signed("retire", "root.pem", &[&own, "--reason", "x", "--at", "2026-10-01T00:00:00Z"]), "before it began");
    place.done(&signed("retire", "root.pem", &[&own, "--reason", "compromised", "--at", "2026-11-10T00:00:00Z"]));
    let later = ["--reason", "never mind", "--at", "2027-01-01T00:00:00Z"];
    place.refused(&signed("retire", "root.pem", &[&[own.as_str()], &later[..]].concat()), "an end may only come earlier");
    place.done(&signed("retire", "root.pem", &[&own, "--reason", "earlier than thought", "--at", "2026-11-05T00:00:00Z"]));
    assert_eq!(place.rings(), ["000001.json", "000002.json", "000003.json"]);
    // Nothing is built on a ring that does not hold.
    let second = place.path("evidence/keys/ring/000002.json");
    let bytes = fs::read_to_string(&second).unwrap();
    fs::write(&second, bytes.replacen("\"sig\":\"M", "\"sig\":\"N", 1)).unwrap();
    place.refused(&signed("renew", "root.pem", &[]), "keys/ring/000002.json");
    fs::remove_file(&second).unwrap();
    place.refused(&signed("renew", "root.pem", &[]), "before it, ring 2 is missing");
    let (code, text) = place.verify(&root);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("FAILED: keys/ring/000003.json: before it, ring 2 is missing"), "{text}");
}

#[test]
fn a_root_hands_over_and_the_next_one_is_enough_alone() {
    let place = Place::new();
    let (old, new) = (place.key("root.pem"), place.key("next.pem"));
    place.key("own.pem");
    place.done(&signed("new", "root.pem", &["run=own.pem"]));
    place.record("own.pem");
    // A public key is enough to name the next root.
    let mut openssl = Command::new("openssl");
    openssl.args(["pkey", "-in", "next.pem", "-pubout", "-out", "next.pub"]).current_dir(place.0.path());
    let openssl = openssl.output().unwrap_or_else(|error| panic!("this test needs `openssl`: {error}"));
    assert!(openssl.status.success());
    let text = place.done(&signed("rotate-root", "root.pem", &["--to", "next.pub"]));
    assert!(text.contains(&format!("the next is signed by {new}")) && text.contains("trust renew"), "{text}");
    assert_eq!(place.verify(&new).0, Some(1), "it has signed nothing yet");
    place.refused(&signed("renew", "root.pem", &[]), "is not the root that keys/ring/000002.json names");
    place.done(&signed("renew", "next.pem", &[]));
    for root in [&old, &new] {
        let (code, text) = place.verify(root);
        assert_eq!(code, Some(0), "{text}");
        let (code, text) = place.evidence(&["trust", "show", "evidence", "--root", root]);
        assert_eq!(code, Some(0), "{text}");
    }
    let (code, text) = place.evidence(&["trust", "show", "evidence", "--root", &"0".repeat(64), "--json"]);
    assert_eq!(code, Some(1), "{text}");
    let shown: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&shown["number"], &shown["trust"], shown["signer"].as_str()),
        (&3.into(), &"not_trusted".into(), Some(new.as_str()))
    );
}

#[test]
fn bad_input_is_said_and_writes_nothing() {
    let place = Place::new();
    place.key("root.pem");
    fs::write(place.path("text.pub"), "hello").unwrap();
    fs::write(place.path("bytes.pub"), [0x30, 0xff, 0x00]).unwrap();
    place.refused(&signed("new", "root.pem", &["run=text.pub"]), "`text.pub`: not a P-256 public key");
    place.refused(&signed("new", "root.pem", &["run=bytes.pub"]), "`bytes.pub`: not a P-256 public key");
    place.refused(&signed("new", "root.pem", &["run=missing.pub"]), "could not read `missing.pub`");
    place.refused(&signed("new", "missing.pem", &["run=root.pem"]), "could not read the key `missing.pem`");
    for arguments in [
        signed("new", "root.pem", &["text.pub"]),
        signed("new", "root.pem", &["Run=text.pub"]),
        signed("new", "root.pem", &[]),
        signed("retire", "root.pem", &["nonsense", "--reason", "x"]),
        vec!["trust", "renew", "--store", "evidence"],
    ] {
        let (code, text) = place.evidence(&arguments);
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
    }
    assert_eq!(place.evidence(&["trust", "show", "evidence"]).1, "error: there is no keyring here\n");
    // An archive is a copy: what is signed into it would be nowhere else.
    place.key("own.pem");
    fs::create_dir(place.path("evidence")).unwrap();
    fs::write(place.path("evidence/versions.json"), "{}").unwrap();
    place.refused(&signed("new", "root.pem", &["run=own.pem"]), "`evidence` is an archive");
}

#[test]
fn a_ring_is_checked_by_the_commands_of_the_readme_pattern() {
    let place = Place::new();
    place.key("root.pem");
    place.key("own.pem");
    place.done(&signed("new", "root.pem", &["run=own.pem"]));
    let script = r#"set -e
RING=evidence/keys/ring/000001.json
openssl pkey -in root.pem -pubout -out root.pub
get() { grep -o "\"$1\":\"[^\"]*\"" "$2" | head -n 1 | cut -d '"' -f 4; }
pae() { printf 'DSSEv1 %d %s %d ' "${#1}" "$1" "$(wc -c <"$2")"; cat "$2"; }
get payload "$RING" | openssl base64 -d -A >ring.json
get sig "$RING" | openssl base64 -d -A >ring.sig
pae application/vnd.in-toto+json ring.json | openssl dgst -sha256 -verify root.pub -signature ring.sig
sed -i 's/"function":"run"/"function":"ran"/' ring.json
! pae application/vnd.in-toto+json ring.json | openssl dgst -sha256 -verify root.pub -signature ring.sig"#;
    let output = Command::new("sh").args(["-c", script]).current_dir(place.0.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && said.contains("Verified OK"), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let statement: serde_json::Value = serde_json::from_str(&fs::read_to_string(place.path("ring.json")).unwrap()).unwrap();
    assert_eq!(statement["predicateType"], "urn:cordon:evidence:keyring:v1");
    assert_eq!(statement["subject"][0]["digest"]["sha256"].as_str().unwrap().len(), 64);
}

#[test]
fn the_running_code_is_compared_with_the_release() {
    let place = Place::new();
    let own = place.key("own.pem");
    place.record("own.pem");
    let code = {
        let text = place.verify(&own).1;
        text.split("written by code ").nth(1).unwrap().split(',').next().unwrap().to_owned()
    };
    let release = |text: &str| {
        fs::write(place.path("release.sha256"), text).unwrap();
        place.evidence(&["verify", "--root", &own, "--release", "release.sha256", "evidence"])
    };
    let (status, text) = release(&format!("# this build\n{code}  target/release/cordon\n"));
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("compared with the release: the code of run"), "{text}");
    let (status, text) = release(&format!("{}  run\n", "a".repeat(64)));
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains(&format!("written by code {code}, which the release does not name for `run`")), "{text}");
    let (status, text) = release(&format!("{code}  Quarantine/bootstrap\n"));
    assert_eq!(status, Some(0), "{text}");
    assert_eq!(text.matches("note: rec/run/: the release does not name it").count(), 1, "{text}");
    for (text, reason) in [("", "it names no function"), ("nonsense", "line 1 is not a SHA-256")] {
        let (status, said) = release(text);
        assert_eq!(status, Some(1), "{said}");
        assert!(said.contains("`release.sha256`") && said.contains(reason), "{said}");
    }
    // A record that nobody vouches for names no code at all.
    place.done(&["run", "--", "true"]);
    let (status, text) = release(&format!("{code}  run\n"));
    assert_eq!(status, Some(1), "{text}");
    assert!(text.contains("it does not say which code wrote it"), "{text}");
}
