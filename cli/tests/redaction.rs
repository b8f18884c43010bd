//! Planted secrets and personal data, searched for in every byte of the store; and output that only its identity opens.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use regex::Regex;
use serde_json::{Value, json};
use tempfile::TempDir;

const INCIDENT: &str = "inc-582222c0ebe0c78fc33d";

struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn evidence(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        command.current_dir(self.0.path()).arg("evidence").args(arguments);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.evidence(arguments).output().unwrap()
    }

    /// A command that must work, and what it printed.
    fn works(&self, arguments: &[&str]) -> String {
        let output = self.output(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", text(&output.stderr));
        text(&output.stdout)
    }

    fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.path("evidence")];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next).into_iter().flatten() {
                let path = entry.unwrap().path();
                if path.is_dir() { folders.push(path) } else { found.push(path) }
            }
        }
        found.sort();
        found
    }

    fn file(&self, part: &str) -> String {
        let found: Vec<_> = self.files().into_iter().filter(|path| path.to_str().unwrap().contains(part)).collect();
        assert_eq!(found.len(), 1, "one file with `{part}`: {found:?}");
        found[0].to_str().unwrap().to_owned()
    }

    fn body(&self, part: &str) -> Value {
        let statement: Value = serde_json::from_str(&self.works(&["show", "--json", &self.file(part)])).unwrap();
        statement.pointer("/predicate/body").unwrap().clone()
    }

    /// Every byte of the store, and of what its records have in base64.
    fn everything(&self) -> Vec<u8> {
        let mut all = Vec::new();
        for file in self.files() {
            all.extend_from_slice(file.to_str().unwrap().as_bytes());
            let bytes = fs::read(&file).unwrap();
            if file.to_str().unwrap().contains("/rec/") {
                let bundle: Value = serde_json::from_slice(&bytes).unwrap();
                let payload = bundle.pointer("/dsseEnvelope/payload").unwrap().as_str().unwrap();
                all.extend_from_slice(&STANDARD.decode(payload).unwrap());
            }
            all.extend_from_slice(&bytes);
        }
        all
    }

    fn verifies(&self) {
        let output = self.output(&["verify", "evidence"]);
        assert_eq!(output.status.code(), Some(3), "{}", text(&output.stdout));
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn has(all: &[u8], needle: &str) -> bool {
    text(all).contains(needle)
}

/// Secrets as they are printed, and what must be found nowhere. Put together here, so that no scanner finds them in this file.
fn planted() -> Vec<(String, String)> {
    let some = "a7Bq9ZkR3mXw5TfY1nLc8VhJ2pGd4SuE6a7BQ";
    let plain = |text: String| (text.clone(), text);
    let secret = ["wJalrXUtnFEMI", "/K7MDENG/bPxRfiCYEXAMPLEKEY"].concat();
    vec![
        plain(["gh", "p_", some].concat()),
        plain(["np", "m_", some].concat()),
        plain(["sk", "-ant-api03-", some, some].concat()),
        ("db_password: planted-4711".to_owned(), "planted-4711".to_owned()),
        ("postgres://bob:planted-4712@db.example/x".to_owned(), "planted-4712".to_owned()),
        (format!("{}\t{secret}", ["AKIA", "IOSFODNN7EXAMPLE"].concat()), secret),
        (["-----BEGIN EC PRIVATE ", "KEY-----\nplanted4713\n-----END EC PRIVATE ", "KEY-----"].concat(), "planted4713".to_owned()),
        plain("planted@corp.example".to_owned()),
        ("case CASE-471147".to_owned(), "CASE-471147".to_owned()),
    ]
}

const CONFIG: &str = "# for this test\nemail, phone\ncase number = \\bCASE-[0-9]{6}\\b\n";

/// A command that prints everything planted, around the places where the output is cut, in a file that it is given.
fn script(place: &Place) {
    let mut out = b"\xff\xfe not text \x00\n".to_vec();
    for (shown, _) in planted() {
        // Chunks of a pipe end at 64 KiB, windows at 256 KiB.
        for end in [64 << 10, 192 << 10, 256 << 10] {
            let fill = end - 10 - out.len() % end;
            out.extend_from_slice(&b"nothing to see here\n".repeat(fill / 20));
            out.extend(std::iter::repeat_n(b'.', fill % 20));
            out.extend_from_slice(b"\n");
            out.extend_from_slice(shown.as_bytes());
            out.extend_from_slice(b"\n");
        }
    }
    fs::write(place.path("out"), out).unwrap();
    fs::write(place.path("redact.conf"), CONFIG).unwrap();
}

#[test]
fn what_is_planted_is_found_in_no_byte_of_the_store() {
    let place = Place::new();
    script(&place);
    let token = &planted()[0].0;
    // In the path of the program, in an argument, in the environment's values and names, in the purpose, and in both outputs.
    let folder = place.path("of planted@corp.example");
    fs::create_dir(&folder).unwrap();
    let program = folder.join(token);
    fs::write(&program, "#!/bin/sh\ncat out; cat out >&2\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o755)).unwrap();
    let mut command =
        place.evidence(&["run", "--redact-output", "--redact-config", "redact.conf", "--purpose", "CASE-471147", "--"]);
    command.arg(&program).args(["--password", "planted-4711", &format!("https://x/?token={token}"), "planted@corp.example"]);
    let output = command.env("PLANTED", "planted-4712").env(token, "planted4713").output().unwrap();

    let out = fs::read(place.path("out")).unwrap();
    // Before it stands that nobody vouches for the record.
    assert!(output.stdout == out && output.stderr.ends_with(&out), "what is seen is what was printed");
    let all = place.everything();
    for (_, needle) in planted() {
        assert!(!has(&all, &needle), "{needle}");
    }
    place.verifies();

    let (intent, outcome) = (place.body("intent"), place.body("outcome"));
    assert_eq!(intent["output"], json!({ "redacting": true, "sealed_to": [] }));
    let also: Vec<_> = intent["also_redacted"].as_array().unwrap().iter().map(|one| one["place"].as_str().unwrap()).collect();
    for place in ["program", "environment", "purpose"] {
        assert!(also.contains(&place), "{also:?}");
    }
    let counts: BTreeMap<String, u64> = serde_json::from_value(outcome["stdout"]["redacted"].clone()).unwrap();
    let expected = [
        ("AI provider key", 3),
        ("AWS secret access key", 3),
        ("GitHub token", 3),
        ("case number", 3),
        ("email", 3),
        ("npm token", 3),
        ("password in a URL", 3),
        ("private key", 3),
        ("value of a secret's name", 3),
    ];
    assert_eq!(counts, expected.map(|(kind, count)| (kind.to_owned(), count)).into());
    assert_eq!(outcome["stdout"]["bytes"].as_u64(), Some(out.len() as u64));

    // What is stored is what was printed, but for the marks; and no digest of the original is anywhere.
    let stored = place.output(&["output", &place.file("outcome")]);
    assert_eq!(outcome["stdout"]["stored_bytes"].as_u64(), Some(stored.stdout.len() as u64));
    let unmarked = |text: &str| Regex::new(r"\[redacted: [^\]]*\]").unwrap().replace_all(text, "").into_owned();
    let mut expected = text(&out);
    for (shown, needle) in planted() {
        // Of a key its lines go too; and a password before a host looks like an address.
        let gone = if shown.starts_with("---") { shown } else { needle.replace("-4712", "-4712@db.example") };
        expected = expected.replace(&gone, "");
    }
    assert!(stored.stdout.starts_with(b"\xff\xfe not text \x00\n"));
    let (stored, expected) = (unmarked(&text(&stored.stdout)), unmarked(&expected));
    let other = stored.lines().zip(expected.lines()).find(|(one, other)| one != other);
    assert!(other.is_none() && stored.len() == expected.len(), "{other:?}");
    assert!(!has(&all, &ids::Sha256::of(&out).to_string()));
    let shown = place.works(&["show", &place.file("outcome")]);
    assert!(shown.contains("redacted, 3 times: GitHub token") && shown.contains("bytes stored"), "{shown}");
}

/// age's implementation in TypeScript, which `tests/strangers/prepare.sh` gets ready; none if it could not come. On a build server it must.
fn stranger() -> Option<Command> {
    let home = std::env::var_os("CORDON_STRANGERS").map(PathBuf::from);
    let Some(home) = home.filter(|home| home.join("node_modules/age-encryption").exists()) else {
        assert!(std::env::var("CI").as_deref() != Ok("true"), "`age-encryption` is missing: see tests/strangers/prepare.sh");
        eprintln!("not checked: `age-encryption` is missing (`make test` gets it, where node and npm are)");
        return None;
    };
    let mut command = Command::new("node");
    command.current_dir(home).arg("age.js");
    Some(command)
}

/// Whoever has the identity needs no Cordon: each blob is one age file, to another implementation too.
#[test]
fn a_stranger_opens_sealed_blobs_with_their_identity_alone() {
    let place = Place::new();
    for name in [INCIDENT, "inc-0000000000000000000f"] {
        place.works(&["datakey", "new", name, "--out", &format!("{name}.key")]);
    }
    let (key, other) = (place.path(&format!("{INCIDENT}.key")), place.path("inc-0000000000000000000f.key"));
    // Several of age's own chunks, of 64 KiB each.
    let script = "head -c 200000 /dev/zero | tr '\\0' x; printf hunter2 >&2";
    let output = place.evidence(&["run", "--incident", INCIDENT, "--datakeys", ".", "--", "sh", "-c", script]).output().unwrap();
    assert!(output.status.success() && output.stdout.len() == 200_000, "{}", text(&output.stderr));
    let blobs: Vec<_> = place.files().into_iter().filter(|file| file.to_str().unwrap().contains("/blob/")).collect();
    assert_eq!(blobs.len(), 2);
    let open = |key: &Path, blob: &Path| {
        let output = stranger().map(|mut command| command.arg(key).arg(blob).output().unwrap())?;
        let said = text(&output.stderr);
        match output.status.code() {
            Some(0) => Some(Ok(output.stdout)),
            Some(1) if said.starts_with("refused: ") && output.stdout.is_empty() => Some(Err(said)),
            code => panic!("{code:?}: {said}"),
        }
    };
    let mut opened = Vec::new();
    for blob in &blobs {
        let Some(inside) = open(&key, blob) else { return };
        opened.push(inside.unwrap());
        open(&other, blob).unwrap().unwrap_err();
        // The last byte is the last chunk's.
        let mut bytes = fs::read(blob).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(place.path("changed.age"), bytes).unwrap();
        open(&key, &place.path("changed.age")).unwrap().unwrap_err();
    }
    opened.sort();
    assert_eq!(opened, [b"hunter2".to_vec(), vec![b'x'; 200_000]]);
}

#[test]
fn sealed_output_is_opened_by_its_identity_and_by_nothing_else() {
    let place = Place::new();
    script(&place);
    fs::create_dir(place.path("keys")).unwrap();
    let key = format!("keys/{INCIDENT}.key");
    let made = place.works(&["datakey", "new", INCIDENT, "--out", &key]);
    let recipient = made.lines().next().unwrap().split_whitespace().last().unwrap().to_owned();
    assert!(recipient.starts_with("age1"), "{made}");
    for file in [&key, &format!("keys/{INCIDENT}.pub")] {
        assert_eq!(fs::metadata(place.path(file)).unwrap().permissions().mode() & 0o777, 0o600, "{file}");
    }
    let secret = fs::read_to_string(place.path(&key)).unwrap();
    let secret = secret.lines().last().unwrap().to_owned();
    assert!(secret.starts_with("AGE-SECRET-KEY-1") && !made.contains(&secret));
    place.works(&["datakey", "new", "inc-0000000000000000000f", "--out", "other.key"]);

    // The incident's data key is found in the folder; without one the output stays plain, and a note says so.
    let arguments = ["run", "--incident", INCIDENT, "--", "sh", "-c", "cat out; printf hunter2 >&2"];
    let output = place.evidence(&arguments).env("CORDON_DATAKEYS", "keys").output().unwrap();
    let out = fs::read(place.path("out")).unwrap();
    assert!(output.stdout == out && output.stderr.ends_with(b"hunter2"), "{}", text(&output.stderr));

    let all = place.everything();
    for (_, needle) in planted() {
        assert!(!has(&all, &needle), "{needle}");
    }
    for digest in [ids::Sha256::of(&out), ids::Sha256::of(b"hunter2")] {
        assert!(!has(&all, &digest.to_string()), "a digest of what was printed would be enough to guess it");
    }
    assert!(!has(&all, &secret));
    place.verifies();
    let outcome = place.body("outcome");
    assert_eq!((&outcome["sealed_to"], &outcome["stderr"]["bytes"]), (&json!([recipient]), &json!(7)));
    assert_eq!(place.body("intent")["output"], json!({ "redacting": false, "sealed_to": [recipient] }));

    let record = place.file("outcome");
    let opened = place.output(&["output", "--identity", &key, &record]);
    assert!(opened.stdout == out, "{}", text(&opened.stderr));
    assert_eq!(place.works(&["output", "--stream", "stderr", "--identity", &key, &record]), "hunter2");
    let blobs: Vec<_> = place.files().into_iter().filter(|file| file.to_str().unwrap().contains("/blob/")).collect();
    let blob = blobs.first().unwrap();
    assert!(fs::read(blob).unwrap().starts_with(b"age-encryption.org/v1\n"));

    let refused = |arguments: &[&str], part: &str| {
        let output = place.output(arguments);
        assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{arguments:?}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    };
    refused(&["output", &record], &format!("its output is sealed to {recipient}"));
    refused(&["output", "--identity", "other.key", &record], "it is not sealed to this identity");
    refused(&["output", "--identity", "out", &record], "others can read the identity");
    // A byte of it altered: the verifier names it without a key, and nothing of it is written out.
    let good = fs::read(blob).unwrap();
    let mut bad = good.clone();
    *bad.last_mut().unwrap() ^= 1;
    fs::write(blob, bad).unwrap();
    assert_eq!(place.output(&["verify", "evidence"]).status.code(), Some(1));
    fs::write(blob, good).unwrap();

    // Destroyed: the evidence still verifies, and nobody reads it.
    fs::remove_file(place.path(&key)).unwrap();
    place.verifies();
    refused(&["output", "--identity", &key, &record], "could not read the identity");
}

#[test]
fn redacted_and_sealed_to_two_it_is_both() {
    let place = Place::new();
    script(&place);
    let mut recipients = Vec::new();
    for (incident, key) in [("inc-0000000000000000000a", "a.key"), ("inc-0000000000000000000b", "b.key")] {
        let made = place.works(&["datakey", "new", incident, "--out", key]);
        recipients.push(made.lines().next().unwrap().split_whitespace().last().unwrap().to_owned());
    }
    let output = place
        .evidence(&["run", "--redact-output", "--seal-to", &recipients[0], "--seal-to", &recipients[1], "--", "cat", "out"])
        .env("CORDON_REDACT", CONFIG)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    let record = place.file("outcome");
    let (a, b) =
        (place.output(&["output", "--identity", "a.key", &record]), place.output(&["output", "--identity", "b.key", &record]));
    assert!(a.stdout == b.stdout && has(&a.stdout, "[redacted: GitHub token]") && has(&a.stdout, "[redacted: case number]"));
    for (_, needle) in planted() {
        assert!(!has(&a.stdout, &needle), "{needle}");
    }
    assert_eq!(place.body("outcome")["stdout"]["stored_bytes"].as_u64(), Some(a.stdout.len() as u64));
    let shown = place.works(&["show", &record]);
    assert!(recipients.iter().all(|recipient| shown.contains(&format!("sealed to {recipient}"))), "{shown}");
    place.verifies();
}

#[test]
fn what_is_wrong_is_said_before_anything_runs() {
    let place = Place::new();
    fs::write(place.path("bad.conf"), "email\nnames\n").unwrap();
    fs::create_dir(place.path("keys")).unwrap();
    fs::write(place.path(&format!("keys/{INCIDENT}.pub")), "age1nobody\n").unwrap();
    for (options, part) in [
        (&["--redact-output", "--redact-config", "bad.conf"][..], "line 2: `names` is no kind of personal data"),
        (&["--redact-config", "none.conf"], "could not read `none.conf`"),
        (&["--seal-to", "age1nobody"], "`age1nobody` is no age recipient"),
        (&["--incident", INCIDENT, "--datakeys", "keys"], "is no age recipient"),
        (&["--incident", INCIDENT, "--datakeys", "kyes"], "there is no folder of data keys at `kyes`"),
    ] {
        let output = place.output(&[&["run"], options, &["--", "touch", "marker"]].concat());
        assert_eq!(output.status.code(), Some(125), "{options:?}");
        assert!(text(&output.stderr).contains(part), "{}", text(&output.stderr));
    }
    let output = place.evidence(&["run", "--", "touch", "marker"]).env("CORDON_REDACT", "x = (").output().unwrap();
    assert!(output.status.code() == Some(125) && text(&output.stderr).contains("the variable CORDON_REDACT: line 1"));
    assert!(!place.path("marker").exists());
    // No key of this incident: it runs, in plain, and says so.
    let output = place.output(&["run", "--incident", "inc-0000000000000000000f", "--datakeys", "keys", "--", "true"]);
    assert!(output.status.success() && text(&output.stderr).contains("the output is stored in plain"), "{}", text(&output.stderr));
    // A key is made once.
    place.works(&["datakey", "new", "inc-0000000000000000000f", "--out", "a.key"]);
    for file in ["a.key", "b.key"] {
        let output = place.output(&["datakey", "new", "inc-0000000000000000000f", "--out", file]);
        assert!(output.status.code() == Some(1) && text(&output.stderr).contains("could not make"), "{}", text(&output.stderr));
    }
    assert!(!place.path("b.key").exists());
    let output = place.output(&["datakey", "new", "inc-0000000000000000000e", "--out", "a.key"]);
    assert!(output.status.code() == Some(1) && !place.path("inc-0000000000000000000e.pub").exists());
}

/// KMS, as far as wrapping needs it: what is encrypted under a context is decrypted under the same one alone.
fn kms() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            answer(stream.unwrap());
        }
    });
    format!("http://{address}")
}

fn answer(mut stream: TcpStream) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let (mut target, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            let lower = line.trim().to_lowercase();
            if let Some(value) = lower.strip_prefix("x-amz-target:") {
                target = value.trim().to_owned();
            }
            if let Some(value) = lower.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if lower.is_empty() {
                break;
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let asked: Value = serde_json::from_slice(&body).unwrap();
        let context = format!("{}/{}", asked["KeyId"].as_str().unwrap(), asked["EncryptionContext"]["incident"].as_str().unwrap());
        let flip = |bytes: Vec<u8>| bytes.into_iter().map(|byte| byte ^ 0x5a).collect::<Vec<u8>>();
        let (status, said) = if target.ends_with(".encrypt") {
            let plain = STANDARD.decode(asked["Plaintext"].as_str().unwrap()).unwrap();
            let wrapped = [context.as_bytes(), b"\n", &plain].concat();
            ("200 OK", json!({ "CiphertextBlob": STANDARD.encode(flip(wrapped)) }))
        } else {
            let wrapped = flip(STANDARD.decode(asked["CiphertextBlob"].as_str().unwrap()).unwrap());
            match wrapped.strip_prefix(format!("{context}\n").as_bytes()) {
                Some(plain) => ("200 OK", json!({ "Plaintext": STANDARD.encode(plain) })),
                None => ("400 Bad Request", json!({ "__type": "InvalidCiphertextException" })),
            }
        };
        let said = said.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.1\r\ncontent-length: {}\r\n\r\n", said.len());
        stream.write_all((head + &said).as_bytes()).unwrap();
    }
}

#[test]
fn a_wrapped_data_key_is_of_no_use_without_kms_and_its_incident() {
    let place = Place::new();
    let endpoint = kms();
    let with_kms = |arguments: &[&str]| {
        let mut command = place.evidence(arguments);
        command.env("AWS_ENDPOINT_URL", &endpoint).env("AWS_REGION", "eu-central-1");
        command.env("AWS_ACCESS_KEY_ID", "x").env("AWS_SECRET_ACCESS_KEY", "x").output().unwrap()
    };
    let arn = "arn:aws:kms:eu-central-1:123456789012:key/00000000-0000-0000-0000-000000000000";
    let made = with_kms(&["datakey", "new", INCIDENT, "--out", "wrapped.json", "--wrap-with", arn]);
    assert!(made.status.success(), "{}", text(&made.stderr));
    let file = fs::read_to_string(place.path("wrapped.json")).unwrap();
    assert!(!file.contains("AGE-SECRET-KEY") && file.contains(arn) && file.contains(INCIDENT));
    assert_eq!(fs::metadata(place.path("wrapped.json")).unwrap().permissions().mode() & 0o777, 0o600);

    place.works(&["run", "--incident", INCIDENT, "--datakeys", ".", "--", "printf", "hunter2"]);
    let record = place.file("outcome");
    let output = |file: &str| with_kms(&["output", "--identity", file, &record]);
    let opened = output("wrapped.json");
    assert_eq!(text(&opened.stdout), "hunter2", "{}", text(&opened.stderr));

    // Another incident's name is another context: KMS does not unwrap. Another recipient is another key.
    for (from, to, part) in [
        (INCIDENT, "inc-0000000000000000000f", "InvalidCiphertextException"),
        ("cordon-datakey/v1", "cordon-datakey/v2", "of another format"),
        ("\"age1", "\"age2", "does not hold the identity of"),
        ("\"wrapped\": \"", "\"wrapped\": \"*", "is no data key"),
        ("\"kms_key\"", "\"key\"", "is no data key"),
    ] {
        assert!(file.contains(from));
        write_mine(&place.path("bad.json"), &file.replace(from, to));
        let refused = output("bad.json");
        assert!(refused.status.code() == Some(1) && refused.stdout.is_empty());
        assert!(text(&refused.stderr).contains(part), "{}", text(&refused.stderr));
    }
}

fn write_mine(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

/// The command looks at the peak memory of the process that records it.
#[test]
fn memory_stays_flat_when_output_is_redacted_and_sealed() {
    if !Path::new("/proc/self/status").exists() {
        return;
    }
    let peak = |bytes: u64| {
        let place = Place::new();
        let made = place.works(&["datakey", "new", INCIDENT, "--out", "a.key"]);
        let recipient = made.lines().next().unwrap().split_whitespace().last().unwrap().to_owned();
        let script = format!("head -c {bytes} /dev/urandom; head -c {bytes} /dev/zero >&2; grep VmHWM /proc/$PPID/status >peak");
        let mut command = place.evidence(&["run", "--redact-output", "--seal-to", &recipient, "--", "sh", "-c", &script]);
        assert!(command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null()).status().unwrap().success());
        let line = fs::read_to_string(place.path("peak")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let (small, large) = (peak(1_000), peak(20_000_000));
    eprintln!("peak memory: {small} kB for 2 kB of output, {large} kB for 40 MB");
    // Two pieces being filled, one on its way, one being stored, and that one encrypted: 40 MiB, and half as much again for luck.
    assert!(large < small + 60 * 1024, "{large} kB");
}
