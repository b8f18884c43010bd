//! `cordon access`: keys of one request each, grants that are believed by their digest, and credentials that nobody else sees.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use age::armor::{ArmoredWriter, Format};
use age::secrecy::{ExposeSecret as _, SecretString};
use age::x25519::{Identity, Recipient};
use ids::{Sha256, Timestamp};
use serde_json::{Value, json};
use tempfile::TempDir;

const GRANT: &str = "gr-0123456789abcdef0123";
/// In every secret here, so that one search finds any of them. No scanner takes it for one.
const PLANTED: &str = "pLaNtEd9ZkR3mXw5TfY1nLc8VhJ2pG";
/// Its first letters, for what may have been cut.
const NEEDLE: &str = "pLaNtEd9";
const PASSPHRASE: &str = "correct horse, for a test";

#[derive(Debug, Clone)]
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Request {
    fn line(&self) -> String {
        format!("{} {}", self.method, self.target)
    }

    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap()
    }
}

struct Reply(&'static str, Vec<(&'static str, String)>, String);

fn reply(status: &'static str, body: &Value) -> Reply {
    Reply(status, Vec::new(), body.to_string())
}

fn ok(body: &Value) -> Reply {
    reply("200 OK", body)
}

fn problem(status: &'static str, detail: &str) -> Reply {
    reply(status, &json!({ "title": status, "detail": detail }))
}

/// Someone who answers, and remembers what was asked.
struct Stub {
    base: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

impl Stub {
    fn new(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let base = format!("http://{}", listener.local_addr().unwrap());
        let (seen, answer) = (Arc::new(Mutex::new(Vec::new())), Arc::new(answer));
        let log = Arc::clone(&seen);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (log, answer) = (Arc::clone(&log), Arc::clone(&answer));
                std::thread::spawn(move || talk(stream.unwrap(), &log, &*answer));
            }
        });
        Self { base, seen }
    }

    fn seen(&self) -> Vec<Request> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn lines(&self) -> Vec<String> {
        self.seen().iter().map(Request::line).collect()
    }
}

fn talk(mut stream: TcpStream, log: &Mutex<Vec<Request>>, answer: &dyn Fn(&Request) -> Reply) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).unwrap_or(0) == 0 {
            return;
        }
        let mut headers = BTreeMap::new();
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            let Some((name, value)) = line.trim().split_once(": ") else { break };
            headers.insert(name.to_ascii_lowercase(), value.to_owned());
        }
        let length = headers.get("content-length").map_or(0, |length| length.parse().unwrap());
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        let mut words = first.split(' ').map(ToOwned::to_owned);
        let (method, target) = (words.next().unwrap(), words.next().unwrap());
        let request = Request { method, target, headers, body: String::from_utf8(body).unwrap() };
        log.lock().unwrap_or_else(PoisonError::into_inner).push(request.clone());
        let Reply(status, headers, body) = answer(&request);
        let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        if write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len()).is_err() {
            return;
        }
    }
}

/// As the server has its digest; it shows it in another order.
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Sid":"Read","Effect":"Allow","Action":"s3:GetObject","Resource":"*"}]}"#;

fn policy() -> Value {
    serde_json::from_str(POLICY).unwrap()
}

fn terms(recipient: &str, wish: &Value) -> Value {
    let mut terms = json!({
        "format": "cordon/grant/terms/v1",
        "requester": { "kind": "person", "name": "alice@example.com", "permission_set": "Developer", "account": "123456789012" },
        "entitlement": wish["entitlement"], "class": { "kind": "approved", "needed": 2 },
        "role": "arn:aws:iam::123456789012:role/jit/prod-read", "session_policy": Sha256::of(POLICY.as_bytes()),
        "seconds": wish["seconds"], "session_seconds": 900, "reason": wish["reason"], "recipient": recipient, "policies": "0".repeat(64),
    });
    if !wish["ticket"].is_null() {
        terms["ticket"] = wish["ticket"].clone();
    }
    terms
}

fn digest(terms: &Value) -> String {
    serde_json::from_value::<grant::Terms>(terms.clone()).unwrap().digest().to_string()
}

/// A grant as the API shows it.
fn shown(state: &str, terms: &Value) -> Value {
    let mut shown = json!({
        "grant": GRANT, "state": state, "terms": terms, "digest": digest(terms), "text": "what a liar would have you read",
        "session_policy": policy(), "opened": "2026-11-27T08:00:00.000Z", "approve_by": "2026-11-27T12:00:00.000Z",
        "changed": "2026-11-27T08:00:00.000Z", "revision": 1, "sessions": 0, "approvals": [], "not_counted": [], "needed": 2,
        "approvers": ["Security", "OnCall"], "records": [],
    });
    let more = match state {
        "active" => json!({ "since": "2026-11-27T08:05:00.000Z", "ends": "2026-11-27T08:35:00.000Z", "sessions": 1 }),
        "denied" => {
            json!({ "denied": { "by": bob(), "at": "2026-11-27T08:02:00.000Z", "reason": "not during the\u{1b}[31m freeze" } })
        }
        "ended" => {
            json!({ "ended": { "at": "2026-11-27T08:09:00.000Z", "how": { "kind": "revoked", "by": bob(), "reason": "it is over" },
                "deny_until": "2026-11-27T08:40:00.000Z", "refused_at": "2026-11-27T08:09:04.000Z" } })
        }
        _ => json!({}),
    };
    shown.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    shown
}

/// A grant as lists have it.
fn brief(state: &str, terms: &Value) -> Value {
    let mut brief = shown(state, terms);
    for more in ["session_policy", "approvers", "approvals", "not_counted", "records"] {
        brief.as_object_mut().unwrap().remove(more);
    }
    brief
}

fn bob() -> Value {
    json!({ "kind": "person", "name": "bob@example.com", "permission_set": "Security", "account": "123456789012" })
}

fn wish() -> Value {
    json!({ "entitlement": "prod-read", "seconds": 1800, "reason": "OPS-7: orders are stuck" })
}

fn seconds_from_now(seconds: i64) -> Timestamp {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
    Timestamp::from_millis(i64::try_from(now).unwrap() + seconds * 1000).unwrap()
}

fn session(number: u32, lasts: i64) -> Value {
    json!({
        "Version": 1, "AccessKeyId": format!("ASIAEXAMPLEEXAMPLE0{number}"), "SecretAccessKey": format!("secret+{PLANTED}/{number}"),
        "SessionToken": format!("token=={PLANTED}{number}"), "Expiration": seconds_from_now(lasts),
    })
}

fn sealed_to(recipient: &dyn age::Recipient, plain: &str) -> String {
    let encryptor = age::Encryptor::with_recipients(std::iter::once(recipient)).unwrap();
    let mut sealed = Vec::new();
    let mut writer = encryptor.wrap_output(ArmoredWriter::wrap_output(&mut sealed, Format::AsciiArmor).unwrap()).unwrap();
    writer.write_all(plain.as_bytes()).unwrap();
    writer.finish().and_then(ArmoredWriter::finish).unwrap();
    String::from_utf8(sealed).unwrap()
}

/// What the API gives for `credentials`.
fn given(recipient: &str, serial: u32, session: &Value) -> Value {
    let recipient: Recipient = recipient.parse().unwrap();
    json!({ "grant": GRANT, "serial": serial, "expires": session["Expiration"], "sealed": sealed_to(&recipient, &session.to_string()) })
}

/// Somebody's machine: a state folder, and what they type.
struct Desk(TempDir);

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn all(&self) -> String {
        format!("{}{}", self.stdout, self.stderr)
    }
}

impl Desk {
    fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    fn folder(&self) -> PathBuf {
        self.0.path().join("cordon/access")
    }

    fn files(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(self.folder()) else { return Vec::new() };
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    /// Keeps a key for [`GRANT`] as `request` would, with less work for its passphrase.
    fn keeps(&self, identity: &Identity, api: &str) {
        let mut passphrase = age::scrypt::Recipient::new(SecretString::from(PASSPHRASE));
        passphrase.set_work_factor(2);
        let sealed = sealed_to(&passphrase, identity.to_string().expose_secret());
        let kept = json!({
            "format": "cordon/access/key/v1", "grant": GRANT, "api": api, "entitlement": "prod-read", "recipient": identity.to_public().to_string(),
            "made": "2026-11-27T08:00:00.000Z", "profile": "default", "region": "eu-central-1", "key": { "in": "file", "sealed": sealed },
        });
        fs::create_dir_all(self.folder()).unwrap();
        let file = self.folder().join(format!("{GRANT}.json"));
        fs::write(&file, kept.to_string()).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        command.arg("access").args(arguments).env_clear().env("HOME", "/nonexistent").env("XDG_STATE_HOME", self.0.path());
        command.env("AWS_REGION", "eu-central-1").env("AWS_EC2_METADATA_DISABLED", "true");
        command.env("AWS_ACCESS_KEY_ID", "ASIAEXAMPLEEXAMPLE12").env("AWS_SECRET_ACCESS_KEY", format!("own{PLANTED}"));
        command.env("AWS_SESSION_TOKEN", "own-token").env("PATH", "/usr/bin:/bin");
        command.env("CORDON_ACCESS_KEEP", "file").env("CORDON_ACCESS_PASSPHRASE", PASSPHRASE);
        command
    }

    /// Runs it, and holds to what holds always: no secret is in a file, on standard error, or where it does not belong.
    fn runs(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        self.said(arguments, &output)
    }

    fn said(&self, arguments: &[&str], output: &Output) -> Said {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let said = Said { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) };
        let files = everything(self.0.path());
        for quiet in [&said.stderr, &files] {
            for secret in [NEEDLE, "AGE-SECRET-KEY", PASSPHRASE, "panicked"] {
                assert!(!quiet.contains(secret), "{arguments:?} leaks {secret}: {quiet}");
            }
        }
        if !["credentials", "exec", "console"].contains(&arguments[0]) {
            assert!(!said.stdout.contains(NEEDLE), "{arguments:?}: {}", said.stdout);
        }
        assert!(!said.all().contains(['\u{1b}', '\u{7}', '\r', '\u{202e}']), "{arguments:?}: {:?}", said.all());
        said
    }
}

fn everything(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        all += &if path.is_dir() { everything(&path) } else { String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned() };
    }
    all
}

/// The API, for one request: it becomes what `states` say, one more at each look, and stays at the last.
fn becoming(states: &'static [&'static str]) -> Stub {
    let asked: Mutex<(Value, usize, usize)> = Mutex::new((Value::Null, 0, 0));
    Stub::new(move |request| {
        let mut asked = asked.lock().unwrap_or_else(PoisonError::into_inner);
        match (request.line().as_str(), request.method.as_str()) {
            ("POST /grants", _) => {
                asked.0 = terms(request.json()["recipient"].as_str().unwrap(), &request.json());
                reply("201 Created", &shown("requested", &asked.0))
            }
            (line, "GET") if line.ends_with("/credentials") => {
                asked.2 += 1;
                if asked.2 == 1 {
                    return problem("409 Conflict", "There are no credentials yet.");
                }
                ok(&given(asked.0["recipient"].as_str().unwrap(), 1, &session(1, 900)))
            }
            (line, "GET") if line.ends_with(GRANT) => {
                let state = states[asked.1.min(states.len() - 1)];
                asked.1 += 1;
                ok(&shown(state, &asked.0))
            }
            _ => problem("404 Not Found", "nothing is here"),
        }
    })
}

const ASK: [&str; 6] = ["request", "prod-read", "--for", "30m", "--reason", "OPS-7: orders are stuck"];

fn asking(api: &str) -> Vec<&str> {
    [&ASK[..], &["--api", api]].concat()
}

#[test]
fn a_request_that_is_approved_ends_with_the_lines_that_use_it() {
    let (desk, stub) = (Desk::new(), becoming(&["requested", "approved", "active"]));
    let said = desk.runs(&asking(&stub.base));
    assert_eq!(said.code, Some(0), "{}", said.all());
    let seen = stub.seen();
    let (asked, body) = (&seen[0], seen[0].json());
    let recipient = body["recipient"].as_str().unwrap();
    assert_eq!(
        body,
        json!({ "entitlement": "prod-read", "seconds": 1800, "reason": "OPS-7: orders are stuck", "recipient": recipient })
    );
    let key = &asked.headers["idempotency-key"];
    assert!((1..=64).contains(&key.len()) && key.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)), "{key}");
    assert!(asked.headers["authorization"].contains("content-type;host;idempotency-key"), "{:?}", asked.headers);
    assert!(asked.headers["authorization"].contains("/eu-central-1/execute-api/aws4_request"));

    // What the server derived, from the terms and not from its own text; who can approve, and what they type.
    let digest = digest(&terms(recipient, &body));
    for words in [
        "arn:aws:iam::123456789012:role/jit/prod-read for alice@example.com (Developer)",
        "as prod-read for 30 minutes, in sessions of 15",
        "because: OPS-7: orders are stuck",
        "\"s3:GetObject\"",
        "0 of 2 have approved; who can: Security, OnCall",
        &format!("An approver: cordon access approve {GRANT} --digest {digest} --api {}", stub.base),
        &format!("credential_process = {} access credentials {GRANT}\n", env!("CARGO_BIN_EXE_cordon")),
        &format!("cordon access exec {GRANT} -- COMMAND"),
    ] {
        assert!(said.stdout.contains(words), "{words}: {}", said.stdout);
    }
    assert!(!said.stdout.contains("liar"), "{}", said.stdout);

    // The key is for this user alone, and the passphrase's.
    assert_eq!(desk.files(), [format!("{GRANT}.json")]);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    let file = desk.folder().join(format!("{GRANT}.json"));
    assert_eq!((mode(&desk.folder()), mode(&file)), (0o700, 0o600));
    let kept: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
    assert_eq!((&kept["recipient"], &kept["grant"], &kept["api"]), (&json!(recipient), &json!(GRANT), &json!(stub.base)));

    // And what it is for: the address is known by now.
    let said = desk.runs(&["credentials", GRANT]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert!(said.stdout.contains(&format!("secret+{PLANTED}/1")));
}

#[test]
fn a_request_that_is_denied_or_expires_says_so_and_leaves_no_key() {
    for (states, words) in [
        (
            &["requested", "denied"][..],
            "denied by bob@example.com (Security) at 2026-11-27T08:02:00.000Z: not during the [31m freeze",
        ),
        (&["expired"], "expired  prod-read"),
        (&["approved", "ended"], "ended at 2026-11-27T08:09:00.000Z: revoked by bob@example.com (Security): it is over"),
    ] {
        let (desk, stub) = (Desk::new(), becoming(states));
        let said = desk.runs(&asking(&stub.base));
        assert_eq!(said.code, Some(1), "{states:?}: {}", said.all());
        assert!(said.stdout.contains(words), "{states:?}: {}", said.stdout);
        assert!(!said.stdout.contains("credential_process") && desk.files().is_empty(), "{:?}", desk.files());
    }
}

#[test]
fn what_nobody_can_approve_is_never_told_as_asked_for() {
    let detail = "Nobody could approve this: the entitlement names no approvers but you. [four-eyes]";
    let (desk, stub) = (Desk::new(), Stub::new(move |_| problem("403 Forbidden", detail)));
    let said = desk.runs(&asking(&stub.base));
    assert_eq!((said.code, said.all()), (Some(1), format!("error: {detail} (403)\n")));
    assert!(desk.files().is_empty(), "{:?}", desk.files());

    // A server that takes it all the same is not believed: it is taken back.
    let stub = Stub::new(|request| {
        let recipient = Identity::generate().to_public().to_string();
        let recipient = request.json()["recipient"].as_str().map_or(recipient, ToOwned::to_owned);
        let mut wish = wish();
        wish.as_object_mut().unwrap().remove("ticket");
        let mut answer = shown(if request.target.ends_with("/end") { "ended" } else { "requested" }, &terms(&recipient, &wish));
        answer["approvers"] = json!([]);
        ok(&answer)
    });
    let said = desk.runs(&asking(&stub.base));
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(said.stderr.contains("nobody can approve gr-") && said.stderr.contains("It is taken back"), "{}", said.stderr);
    assert!(said.stdout.is_empty() && desk.files().is_empty(), "{} {:?}", said.stdout, desk.files());
    assert_eq!(stub.lines(), ["POST /grants".to_owned(), format!("POST /grants/{GRANT}/end")]);
}

#[test]
fn without_a_place_for_the_key_nothing_is_asked_for() {
    let (desk, stub) = (Desk::new(), becoming(&["active"]));
    for empty in [false, true] {
        let mut command = desk.command(&asking(&stub.base));
        if empty {
            command.env("CORDON_ACCESS_PASSPHRASE", "");
        } else {
            command.env_remove("CORDON_ACCESS_PASSPHRASE");
        }
        let said = desk.said(&ASK, &command.output().unwrap());
        assert_eq!(said.code, Some(1), "{}", said.all());
        assert!(
            said.stderr.contains("the key cannot be kept") && said.stderr.contains("Set CORDON_ACCESS_PASSPHRASE"),
            "{}",
            said.stderr
        );
    }
    assert_eq!((stub.lines(), desk.files()), (Vec::new(), Vec::new()));
}

#[test]
fn a_reason_is_sent_whole_or_not_at_all() {
    let (desk, stub) = (Desk::new(), becoming(&["requested"]));
    let reason = "Reason: OPS-7: it's \"stuck\"\nsecond line: 50 %\n\tno";
    let said = desk.runs(&["request", "prod-read", "--for", "30m", "--no-wait", "--reason", reason, "--api", &stub.base]);
    assert_eq!((said.code, stub.seen().len()), (Some(2), 0), "{}", said.all());

    let reason = "Reason: OPS-7: it's \"stuck\"\nsecond line: 50 %, größer, 100$";
    let said = desk.runs(&[
        "request",
        "prod-read",
        "--for",
        "30m",
        "--no-wait",
        "--ticket",
        "OPS-7",
        "--reason",
        reason,
        "--api",
        &stub.base,
    ]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert_eq!((&stub.seen()[0].json()["reason"], &stub.seen()[0].json()["ticket"]), (&json!(reason), &json!("OPS-7")));
    assert!(said.stdout.contains("because: Reason: OPS-7: it's \"stuck\"\\nsecond line: 50 %, größer, 100$"), "{}", said.stdout);
    // Not waited for, and the key is there.
    assert_eq!((stub.lines(), desk.files()), (vec!["POST /grants".to_owned()], vec![format!("{GRANT}.json")]));
    assert!(said.stdout.contains(&format!("cordon access show {GRANT}")), "{}", said.stdout);
}

#[test]
fn a_server_that_makes_something_else_of_it_is_not_followed() {
    for (field, value) in [("seconds", json!(7200)), ("ticket", json!("OPS-8")), ("entitlement", json!("prod-admin"))] {
        let stub = Stub::new(move |request| {
            let mut wish = request.json();
            wish[field] = value.clone();
            ok(&shown("active", &terms(request.json()["recipient"].as_str().unwrap(), &wish)))
        });
        let said = Desk::new().runs(&asking(&stub.base));
        assert_eq!(said.code, Some(1), "{field}: {}", said.all());
        assert!(said.stderr.contains("is not what was asked for"), "{field}: {}", said.stderr);
    }
    // Sealed to somebody else's key.
    let stub = Stub::new(|request| ok(&shown("active", &terms(&Identity::generate().to_public().to_string(), &request.json()))));
    let said = Desk::new().runs(&asking(&stub.base));
    assert!(said.code == Some(1) && said.stderr.contains("is not what was asked for"), "{}", said.all());
}

#[test]
fn a_request_whose_answer_is_lost_is_sent_again_as_the_same_one() {
    let calls = Mutex::new(0);
    let stub = Stub::new(move |request| {
        let mut calls = calls.lock().unwrap_or_else(PoisonError::into_inner);
        *calls += 1;
        if *calls < 3 {
            return problem("503 Service Unavailable", "Service Unavailable");
        }
        ok(&shown("requested", &terms(request.json()["recipient"].as_str().unwrap(), &wish())))
    });
    let desk = Desk::new();
    let said = desk.runs(&[&asking(&stub.base)[..], &["--no-wait"]].concat());
    assert_eq!(said.code, Some(0), "{}", said.all());
    let keys: Vec<_> =
        stub.seen().iter().map(|request| (request.headers["idempotency-key"].clone(), request.body.clone())).collect();
    assert_eq!(keys.len(), 3);
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[test]
fn a_request_that_may_have_arrived_keeps_its_key_until_its_grant_is_known() {
    let arrived: Arc<Mutex<Option<Value>>> = Arc::default();
    let log = Arc::clone(&arrived);
    let stub = Stub::new(move |request| {
        let mut log = log.lock().unwrap_or_else(PoisonError::into_inner);
        match request.line().as_str() {
            "POST /grants" => {
                *log = Some(terms(request.json()["recipient"].as_str().unwrap(), &request.json()));
                problem("502 Bad Gateway", "it broke on the way back")
            }
            "GET /grants" => ok(&json!({ "grants": [brief("requested", log.as_ref().unwrap())] })),
            _ => ok(&shown("ended", log.as_ref().unwrap())),
        }
    });
    let desk = Desk::new();
    let said = desk.runs(&asking(&stub.base));
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(
        said.stderr.contains("may have arrived all the same") && said.stderr.contains("it broke on the way back"),
        "{}",
        said.stderr
    );
    assert!(desk.files().len() == 1 && desk.files()[0].starts_with("request-age1"), "{:?}", desk.files());

    let said = desk.runs(&["list", "--api", &stub.base]);
    assert_eq!((said.code, desk.files()), (Some(0), vec![format!("{GRANT}.json")]), "{}", said.all());
    assert!(
        said.stdout.contains(&format!("{GRANT}  requested  prod-read for alice@example.com (Developer), 30 minutes")),
        "{}",
        said.stdout
    );
    // Over, and its key goes.
    let said = desk.runs(&["show", GRANT]);
    assert_eq!((said.code, desk.files()), (Some(0), Vec::new()), "{}", said.all());
    assert!(said.stdout.contains("its sessions were seen to be refused at 2026-11-27T08:09:04.000Z"), "{}", said.stdout);
}

#[test]
fn who_interrupts_the_waiting_loses_nothing() {
    let (desk, stub) = (Desk::new(), becoming(&["requested"]));
    let mut command = desk.command(&asking(&stub.base));
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let started = Instant::now();
    while stub.seen().len() < 3 {
        assert!(started.elapsed() < Duration::from_secs(60), "{:?}", stub.lines());
        std::thread::sleep(Duration::from_millis(50));
    }
    let sent = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let said = desk.said(&ASK, &child.wait_with_output().unwrap());
    assert_eq!(said.code, Some(130), "{}", said.all());
    for words in ["the request stands", &format!("cordon access show {GRANT}"), &format!("cordon access credentials {GRANT}")] {
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
    assert_eq!(desk.files(), [format!("{GRANT}.json")]);
}

/// A grant that waits for approval, whose answers somebody has edited.
fn edited(edit: impl Fn(&mut Value) + Send + Sync + 'static) -> (Stub, String) {
    let terms = terms("age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p", &wish());
    let digest = digest(&terms);
    let stub = Stub::new(move |_| {
        let mut answer = shown("requested", &terms);
        edit(&mut answer);
        ok(&answer)
    });
    (stub, digest)
}

#[test]
fn an_approval_binds_what_was_shown() {
    let (stub, digest) = edited(|_| ());
    let desk = Desk::new();
    let said = desk.runs(&["show", GRANT, "--api", &stub.base]);
    assert!(said.stdout.contains(&format!("An approver: cordon access approve {GRANT} --digest {digest}")), "{}", said.stdout);
    let said = desk.runs(&["approve", GRANT, "--digest", &digest, "--api", &stub.base]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    let asked = stub.seen();
    assert_eq!(asked.last().unwrap().line(), format!("POST /grants/{GRANT}/approval"));
    assert_eq!(asked.last().unwrap().json(), json!({ "digest": digest }));

    // Another digest than that of what is there now.
    let before = stub.seen().len();
    let said = desk.runs(&["approve", GRANT, "--digest", &"0".repeat(64), "--api", &stub.base]);
    assert!(said.code == Some(1) && said.stderr.contains("nothing is approved"), "{}", said.all());
    assert!(stub.lines()[before..].iter().all(|line| line.starts_with("GET ")), "{:?}", stub.lines());
}

#[test]
fn an_approver_is_shown_nothing_that_the_digest_does_not_stand_for() {
    type Edit = fn(&mut Value);
    let edits: [(Edit, &str); 6] = [
        (|answer| answer["terms"]["reason"] = json!("something harmless"), "approve nothing"),
        (|answer| answer["terms"]["role"] = json!("arn:aws:iam::123456789012:role/jit/other"), "approve nothing"),
        (|answer| answer["session_policy"]["Statement"][0]["Action"] = json!("*"), "the session policy that is shown"),
        (|answer| answer["session_policy"] = Value::Null, "the session policy that is shown"),
        (|answer| answer["terms"]["label"] = json!("read only"), "of another version than this program"),
        (|answer| answer["grant"] = json!("gr-ffffffffffffffffffff"), "was asked for"),
    ];
    for (edit, words) in edits {
        let (stub, digest) = edited(edit);
        for arguments in [vec!["show", GRANT], vec!["approve", GRANT, "--digest", &digest]] {
            let said = Desk::new().runs(&[&arguments[..], &["--api", &stub.base]].concat());
            assert_eq!(said.code, Some(1), "{arguments:?}: {}", said.all());
            assert!(said.stderr.contains(words) && said.stdout.is_empty(), "{arguments:?}: {}", said.all());
        }
        assert!(stub.lines().iter().all(|line| line.starts_with("GET ")), "{:?}", stub.lines());
    }
}

#[test]
fn each_verb_is_one_request() {
    let (stub, _) = edited(|answer| answer["state"] = json!("active"));
    let desk = Desk::new();
    let cases: [(&[&str], &str, Value, i32); 5] = [
        (&["deny", GRANT, "--reason", "no: not now"], "denial", json!({ "reason": "no: not now" }), 1),
        (&["return", GRANT], "end", json!({}), 1),
        (&["revoke", GRANT, "--reason", "x"], "end", json!({ "reason": "x" }), 1),
        (&["renew", GRANT], "renewal", json!({}), 0),
        (&["review", GRANT, "--note", "looked\nat it"], "review", json!({ "note": "looked\nat it" }), 0),
    ];
    for (arguments, path, body, code) in cases {
        let said = desk.runs(&[arguments, &["--api", &stub.base, "--json"]].concat());
        let asked = stub.seen().last().unwrap().clone();
        assert_eq!((asked.line(), asked.json()), (format!("POST /grants/{GRANT}/{path}"), body), "{arguments:?}");
        // A state that is not what was asked for is no success.
        assert_eq!(said.code, Some(code), "{arguments:?}: {}", said.all());
        assert_eq!(serde_json::from_str::<Value>(&said.stdout).unwrap()["grant"], GRANT);
    }
}

/// The API of a grant whose credentials are these, each after the ones before have been replaced by a renewal.
fn giving(states: &'static str, recipient: &str, credentials: Vec<Reply>) -> Stub {
    let terms = terms(recipient, &wish());
    let renewals = Mutex::new(0_usize);
    Stub::new(move |request| {
        let mut renewals = renewals.lock().unwrap_or_else(PoisonError::into_inner);
        if request.target.ends_with("/renewal") {
            *renewals += 1;
            return reply("202 Accepted", &shown(states, &terms));
        }
        if request.target.ends_with("/credentials") {
            let Reply(status, headers, body) = &credentials[(*renewals).min(credentials.len() - 1)];
            return Reply(status, headers.clone(), body.clone());
        }
        ok(&shown(states, &terms))
    })
}

#[test]
fn credentials_are_exactly_what_a_credential_process_prints() {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let session = session(1, 900);
    let stub = giving("active", &recipient, vec![ok(&given(&recipient, 1, &session))]);
    let desk = Desk::new();
    desk.keeps(&identity, &stub.base);
    // The profile that it is the credential_process of does not keep it from signing as who asked.
    let mut command = desk.command(&["credentials", GRANT]);
    let said = desk.said(&["credentials"], &command.env("AWS_PROFILE", GRANT).env_remove("AWS_REGION").output().unwrap());
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let printed: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!(printed, session);
    let fields: BTreeSet<_> = printed.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(fields, BTreeSet::from(["Version", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"]));
    assert_eq!(stub.lines(), [format!("GET /grants/{GRANT}/credentials")]);
}

#[test]
fn credentials_that_are_not_ours_are_refused() {
    let (identity, other) = (Identity::generate(), Identity::generate());
    let (recipient, others) = (identity.to_public().to_string(), other.to_public().to_string());
    let swapped = {
        let mut given = given(&recipient, 1, &session(1, 900));
        given["grant"] = json!("gr-ffffffffffffffffffff");
        given
    };
    let damaged = {
        let mut given = given(&recipient, 1, &session(1, 900));
        // Its last bytes are lost on the way.
        let mut lines: Vec<_> = given["sealed"].as_str().unwrap().lines().map(ToOwned::to_owned).collect();
        lines.remove(lines.len() - 2);
        given["sealed"] = json!(lines.join("\n") + "\n");
        given
    };
    let mut more = session(1, 900);
    more["Extra"] = json!(PLANTED);
    let cases = [
        (given(&others, 1, &session(1, 900)), "sealed to another key than the one that is kept here"),
        (swapped, "are another grant's"),
        (damaged, "are damaged"),
        (given(&recipient, 1, &more), "is not what a credential_process takes"),
        (given(&recipient, 1, &json!({ "Version": 1 })), "is not what a credential_process takes"),
        (given(&recipient, 1, &session(1, -5)), "has ended, and"),
        (json!({ "grant": GRANT, "serial": 1 }), "has no credentials"),
    ];
    for (answer, words) in cases {
        let renewal = problem("409 Conflict", "too little is left");
        let terms = terms(&recipient, &wish());
        let stub = Stub::new(move |request| {
            if request.target.ends_with("/renewal") {
                return Reply(renewal.0, Vec::new(), renewal.2.clone());
            }
            ok(if request.target.ends_with("/credentials") { &answer } else { &terms })
        });
        let desk = Desk::new();
        desk.keeps(&identity, &stub.base);
        let said = desk.runs(&["credentials", GRANT]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{words}: {}", said.stderr);
        assert!(said.stderr.contains(words), "{words}: {}", said.stderr);
    }
}

#[test]
fn credentials_that_end_soon_are_renewed_first() {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let desk = Desk::new();
    let (old, new) = (session(1, 200), session(2, 900));
    let stub = giving("active", &recipient, vec![ok(&given(&recipient, 1, &old)), ok(&given(&recipient, 2, &new))]);
    desk.keeps(&identity, &stub.base);
    let said = desk.runs(&["credentials", GRANT]);
    assert_eq!((said.code, serde_json::from_str::<Value>(&said.stdout).unwrap()), (Some(0), new), "{}", said.stderr);
    assert_eq!(stub.lines().iter().filter(|line| line.starts_with("POST ")).count(), 1);

    // Where there is no more, there is what there is.
    let terms = terms(&recipient, &wish());
    let (given, expected) = (given(&recipient, 1, &old), old);
    let stub = Stub::new(move |request| match request.target.rsplit('/').next() {
        Some("renewal") => problem("409 Conflict", "600 seconds are left of the grant, and the shortest session lasts 900"),
        Some("credentials") => ok(&given),
        _ => ok(&shown("active", &terms)),
    });
    desk.keeps(&identity, &stub.base);
    let said = desk.runs(&["credentials", GRANT]);
    assert_eq!((said.code, serde_json::from_str::<Value>(&said.stdout).unwrap()), (Some(0), expected), "{}", said.stderr);
    assert!(said.stderr.contains("was not renewed: 600 seconds are left"), "{}", said.stderr);
}

/// Nobody has asked for a while: the API does not give what has ended.
#[test]
fn a_session_that_has_ended_is_replaced_while_its_grant_goes_on() {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let (desk, terms, new) = (Desk::new(), terms(&recipient, &wish()), session(2, 900));
    let (given, polls) = (given(&recipient, 2, &new), Mutex::new(0));
    let stub = Stub::new(move |request| {
        let mut polls = polls.lock().unwrap_or_else(PoisonError::into_inner);
        let mut active = shown("active", &terms);
        active["credentials"] = json!({ "serial": 1, "expires": "2026-11-27T08:20:00.000Z" });
        match request.target.rsplit('/').next() {
            Some("renewal") => reply("202 Accepted", &active),
            Some("credentials") if *polls < 2 => {
                *polls += 1;
                problem("409 Conflict", "session 1 ran out at 2026-11-27T08:20:00.000Z: renew it")
            }
            Some("credentials") => ok(&given),
            _ => ok(&active),
        }
    });
    desk.keeps(&identity, &stub.base);
    let said = desk.runs(&["credentials", GRANT]);
    assert_eq!((said.code, serde_json::from_str::<Value>(&said.stdout).unwrap()), (Some(0), new), "{}", said.stderr);
    assert!(stub.lines().contains(&format!("POST /grants/{GRANT}/renewal")), "{:?}", stub.lines());
}

/// What looks like a secret is taken out of a reason by the server, and is no reason to stop.
#[test]
fn a_reason_that_the_server_has_redacted_is_shown_as_it_is_kept() {
    let stub = Stub::new(|request| {
        let mut wish = request.json();
        wish["reason"] = json!("OPS-7: the key [REDACTED] is stuck");
        ok(&shown("requested", &terms(request.json()["recipient"].as_str().unwrap(), &wish)))
    });
    let said = Desk::new().runs(&[&asking(&stub.base)[..], &["--no-wait"]].concat());
    assert!(said.code == Some(0) && said.stdout.contains("because: OPS-7: the key [REDACTED] is stuck"), "{}", said.all());
}

#[test]
fn credentials_that_are_not_there_yet_or_not_any_more_are_told_apart() {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let desk = Desk::new();
    let none = || vec![problem("409 Conflict", "There are no credentials of this grant.")];
    let stub = giving("requested", &recipient, none());
    desk.keeps(&identity, &stub.base);
    let said = desk.runs(&["credentials", GRANT]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains(&format!("{GRANT} is requested: there are no credentials of it yet")), "{}", said.stderr);
    assert_eq!(desk.files().len(), 1);

    let stub = giving("ended", &recipient, none());
    desk.keeps(&identity, &stub.base);
    let said = desk.runs(&["credentials", GRANT]);
    assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
    assert!(said.stderr.contains(&format!("{GRANT} is over (ended), and its key is removed")), "{}", said.stderr);
    assert!(desk.files().is_empty(), "{:?}", desk.files());

    let said = desk.runs(&["credentials", GRANT, "--api", &stub.base]);
    assert!(said.code == Some(1) && said.stderr.contains("is not kept here"), "{}", said.all());
}

#[test]
fn a_grant_that_is_over_leaves_no_key() {
    let identity = Identity::generate();
    // It is not listed any more, so it is asked about.
    let terms = terms(&identity.to_public().to_string(), &wish());
    let stub = Stub::new(move |request| match request.target.as_str() {
        "/grants" => ok(&json!({ "grants": [] })),
        _ => ok(&shown("ended", &terms)),
    });
    for arguments in [&["return", GRANT][..], &["show", GRANT], &["list"]] {
        let desk = Desk::new();
        desk.keeps(&identity, &stub.base);
        let said = desk.runs(&[arguments, &["--api", &stub.base]].concat());
        assert_eq!((said.code, desk.files()), (Some(0), Vec::new()), "{arguments:?}: {}", said.all());
    }
}

#[test]
fn no_redirection_is_followed() {
    let elsewhere = Stub::new(|_| ok(&json!({})));
    let identity = Identity::generate();
    for status in ["301 Moved Permanently", "302 Found", "307 Temporary Redirect", "308 Permanent Redirect"] {
        let place = format!("{}/grants/{GRANT}", elsewhere.base);
        let stub = Stub::new(move |_| Reply(status, vec![("location", place.clone())], String::new()));
        let desk = Desk::new();
        desk.keeps(&identity, &stub.base);
        for arguments in [vec!["credentials", GRANT], vec!["show", GRANT], asking(&stub.base)] {
            let said = desk.runs(&arguments);
            assert_eq!(said.code, Some(1), "{arguments:?}: {}", said.all());
            assert!(said.stderr.contains("a signed request goes nowhere else"), "{arguments:?}: {}", said.stderr);
        }
    }
    assert_eq!(elsewhere.lines(), Vec::<String>::new());
}

#[test]
fn a_key_in_a_file_opens_with_its_passphrase_only() {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let stub = giving("active", &recipient, vec![ok(&given(&recipient, 1, &session(1, 900)))]);
    let desk = Desk::new();
    desk.keeps(&identity, &stub.base);
    for (passphrase, words) in [
        (Some("another passphrase"), "the passphrase in CORDON_ACCESS_PASSPHRASE does not open the key"),
        (None, "is in a file: set CORDON_ACCESS_PASSPHRASE to its passphrase"),
    ] {
        let mut command = desk.command(&["credentials", GRANT]);
        match passphrase {
            Some(passphrase) => command.env("CORDON_ACCESS_PASSPHRASE", passphrase),
            None => command.env_remove("CORDON_ACCESS_PASSPHRASE"),
        };
        let said = desk.said(&["credentials"], &command.output().unwrap());
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""));
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    assert_eq!(stub.seen().len(), 0, "nothing is fetched that could not be opened");

    let file = desk.folder().join(format!("{GRANT}.json"));
    fs::set_permissions(&file, fs::Permissions::from_mode(0o640)).unwrap();
    let said = desk.runs(&["credentials", GRANT]);
    assert!(said.code == Some(1) && said.stderr.contains("others can read"), "{}", said.all());
}

/// Where the kernel keeps keys (many containers have it refused), no file holds one, and nobody has to type anything.
#[test]
fn a_key_in_the_systems_keyring_is_in_no_file() {
    let (desk, stub) = (Desk::new(), becoming(&["active"]));
    let run = |arguments: &[&str]| {
        let mut command = desk.command(arguments);
        command.env("CORDON_ACCESS_KEEP", "keyring").env_remove("CORDON_ACCESS_PASSPHRASE");
        desk.said(arguments, &command.output().unwrap())
    };
    let said = run(&asking(&stub.base));
    if said.code == Some(1) {
        assert!(
            said.stderr.contains("the system's keyring keeps nothing here") && said.stderr.contains("--keep file"),
            "{}",
            said.stderr
        );
        assert_eq!((stub.lines(), desk.files()), (Vec::new(), Vec::new()));
        return;
    }
    assert_eq!(said.code, Some(0), "{}", said.all());
    let kept = everything(&desk.folder());
    assert!(kept.contains("\"in\": \"keyring\"") && !kept.contains("age-encryption") && !kept.contains("BEGIN AGE"), "{kept}");
    let said = run(&["credentials", GRANT]);
    assert!(said.code == Some(0) && said.stdout.contains(&format!("secret+{PLANTED}/1")), "{}", said.stderr);

    // The grant goes, and so does the key: the file alone opens nothing.
    let file = desk.folder().join(format!("{GRANT}.json"));
    let note = fs::read_to_string(&file).unwrap();
    let recipient = stub.seen()[0].json()["recipient"].as_str().unwrap().to_owned();
    let over = giving("ended", &recipient, vec![ok(&given(&recipient, 1, &session(1, 900)))]);
    assert_eq!(run(&["return", GRANT, "--api", &over.base]).code, Some(0));
    assert!(desk.files().is_empty());
    fs::write(&file, note).unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
    let said = run(&["credentials", GRANT]);
    assert!(said.code == Some(1) && said.stderr.contains("is not in the system's keyring any more"), "{}", said.all());
}

fn desk_with_session() -> (Desk, Stub) {
    let identity = Identity::generate();
    let recipient = identity.to_public().to_string();
    let stub = giving("active", &recipient, vec![ok(&given(&recipient, 1, &session(1, 900)))]);
    let desk = Desk::new();
    desk.keeps(&identity, &stub.base);
    (desk, stub)
}

#[test]
fn a_command_gets_the_session_in_its_environment_and_ends_as_it_does() {
    let (desk, _stub) = desk_with_session();
    let mut command = desk.command(&["exec", GRANT, "--", "env"]);
    command.env("AWS_PROFILE", "mine").env("AWS_DEFAULT_PROFILE", "mine").env("AWS_SECURITY_TOKEN", "old");
    let said = desk.said(&["exec"], &command.output().unwrap());
    assert_eq!((said.code, said.stderr.as_str()), (Some(0), ""));
    let variables: BTreeMap<_, _> = said.stdout.lines().filter_map(|line| line.split_once('=')).collect();
    assert_eq!(variables["AWS_ACCESS_KEY_ID"], "ASIAEXAMPLEEXAMPLE01");
    assert_eq!(variables["AWS_SECRET_ACCESS_KEY"], format!("secret+{PLANTED}/1"));
    assert_eq!(variables["AWS_SESSION_TOKEN"], format!("token=={PLANTED}1"));
    assert_eq!(variables["AWS_REGION"], "eu-central-1");
    for gone in ["AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_SECURITY_TOKEN", "CORDON_ACCESS_PASSPHRASE"] {
        assert!(!variables.contains_key(gone), "{gone}");
    }

    // Its exit code, its signals; and no secret among its arguments.
    assert_eq!(desk.runs(&["exec", GRANT, "--", "sh", "-c", "exit 7"]).code, Some(7));
    let output = desk.command(&["exec", GRANT, "--", "sh", "-c", "kill -TERM $$"]).output().unwrap();
    assert_eq!(output.status.signal(), Some(15));
    let said = desk.runs(&["exec", GRANT, "--", "sh", "-c", "tr '\\0' ' ' < /proc/$$/cmdline"]);
    assert!(said.code == Some(0) && said.stdout.starts_with("sh -c") && !said.stdout.contains(NEEDLE), "{}", said.all());
    let said = desk.runs(&["exec", GRANT, "--", "no-such-program-here"]);
    assert!(said.code == Some(127) && said.stderr.contains("`no-such-program-here` is not found"), "{}", said.all());
    assert_eq!(desk.runs(&["exec", GRANT, "--", "/"]).code, Some(126));
}

#[test]
fn a_console_address_is_a_sign_in_token_and_no_credentials() {
    let (desk, _stub) = desk_with_session();
    let federation = Stub::new(|_| ok(&json!({ "SigninToken": format!("signin/{PLANTED}") })));
    let place = format!("{}/federation", federation.base);
    let said = desk.runs(&["console", GRANT, "--federation", &place]);
    assert_eq!(said.code, Some(0), "{}", said.stderr);
    assert_eq!(
        said.stdout,
        format!(
            "{place}?Action=login&Issuer=cordon&Destination=https%3A%2F%2Fconsole%2Eaws%2Eamazon%2Ecom%2F&SigninToken=signin%2F{PLANTED}\n"
        )
    );
    assert!(said.stderr.contains("SECRET"), "{}", said.stderr);
    let asked = federation.seen();
    assert_eq!(asked.len(), 1);
    assert!(
        asked[0].line().starts_with("GET /federation?Action=getSigninToken&Session=%7B%22sessionId%22%3A%22ASIAEXAMPLEEXAMPLE01"),
        "{}",
        asked[0].line()
    );
    assert!(asked[0].target.contains(&format!("secret%2B{PLANTED}%2F1")) && !asked[0].target.contains("SessionDuration"));
    assert!(!asked[0].headers.contains_key("authorization"));

    let elsewhere = Stub::new(|_| ok(&json!({ "SigninToken": "x" })));
    let away = elsewhere.base.clone();
    for (reply, words) in [
        (Reply("302 Found", vec![("location", away)], String::new()), "credentials go nowhere else"),
        (Reply("400 Bad Request", Vec::new(), PLANTED.to_owned()), "gives no sign-in token (400)"),
        (Reply("200 OK", Vec::new(), format!("<html>{PLANTED}")), "does not answer as AWS does"),
    ] {
        let federation = Stub::new(move |_| Reply(reply.0, reply.1.clone(), reply.2.clone()));
        let said = desk.runs(&["console", GRANT, "--federation", &format!("{}/federation", federation.base)]);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{}", said.stderr);
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    assert_eq!(elsewhere.lines(), Vec::<String>::new());
    let said = desk.runs(&["console", GRANT, "--federation", "http://signin.example/federation"]);
    assert!(said.code == Some(1) && said.stderr.contains("is no https:// address"), "{}", said.all());
}

#[test]
fn what_the_server_says_moves_no_cursor() {
    let stub = Stub::new(|_| problem("403 Forbidden", "no\u{1b}[2J\u{7}\r\u{202e}way"));
    let said = Desk::new().runs(&["show", GRANT, "--api", &stub.base]);
    assert!(said.code == Some(1) && said.stderr.contains("no [2J") && said.stderr.contains("way (403)"), "{}", said.stderr);

    let entitlements = json!({ "entitlements": [{
        "name": "prod-read", "role": "arn:aws:iam::123456789012:role/jit/prod-read\u{1b}[31m", "class": { "kind": "approved", "needed": 2 },
        "longest_seconds": 7200, "session_seconds": 1800, "ticket": true, "approvers": ["Security"], "session_policy": policy(),
        "rule": "developers-may-ask", "reason": "Developers read production for a case." }] });
    let stub = Stub::new(move |_| ok(&entitlements));
    let said = Desk::new().runs(&["entitlements", "--api", &stub.base]);
    assert_eq!(
        said.stdout,
        "prod-read: arn:aws:iam::123456789012:role/jit/prod-read [31m\n  for up to 120 minutes, in sessions of 30; needs a ticket\n  2 of these have to approve: Security\n  Developers read production for a case. [developers-may-ask]\n"
    );
}

#[test]
fn an_api_has_to_be_named_and_only_tls_leaves_this_machine() {
    for (arguments, words) in [
        (vec!["list"], "which API? Give --api URL (the stack's output `AccessApi`)"),
        (vec!["show", GRANT], "which API?"),
        (vec!["list", "--api", "http://api.example"], "is no https:// address"),
        (vec!["show", GRANT, "--api", "https://me@api.example"], "is no https:// address"),
    ] {
        let said = Desk::new().runs(&arguments);
        assert_eq!(said.code, Some(1), "{}", said.all());
        assert!(said.stderr.contains(words), "{}", said.stderr);
    }
    for (arguments, words) in [
        (["request", "prod-read", "--for", "1.5s", "--reason", "x"], "expected whole seconds"),
        (["request", "Prod Read", "--for", "30m", "--reason", "x"], "an entitlement's name"),
        (["request", "prod-read", "--for", "30m", "--reason", " "], "a reason has 1 to 1000 characters"),
    ] {
        let said = Desk::new().runs(&arguments);
        assert!(said.code == Some(2) && said.stderr.contains(words), "{}", said.all());
    }
}

/// Offline: by the policies that are built in.
#[test]
fn a_decision_is_explained_by_the_policies_it_rests_on() {
    let desk = Desk::new();
    let check = |more: &[&str]| desk.runs(&[&["check", "prod-read"], more].concat());
    let said = check(&["--as", "person/Alice@example.com", "--permission-set", "Developer", "--act", "request", "--for", "30m"]);
    assert_eq!(said.code, Some(0), "{}", said.all());
    assert!(
        said.stdout.starts_with("request prod-read: yes, once it is approved\n") && said.stdout.contains("\n+ "),
        "{}",
        said.stdout
    );

    // Nobody approves their own, however they come.
    let own = [
        "--as",
        "person/alice@example.com",
        "--permission-set",
        "Security",
        "--act",
        "approve",
        "--requester",
        "person/alice@example.com",
    ];
    let said = check(&own);
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(said.stdout.starts_with("approve prod-read: no\n") && said.stdout.contains("\n- "), "{}", said.stdout);
    let said = check(&[&own[..], &["--json"]].concat());
    let answer: Value = serde_json::from_str(&said.stdout).unwrap();
    assert_eq!((&answer["allowed"], &answer["act"]), (&json!(false), &json!("approve")));

    for (more, words) in [
        (&["--as", "person/bob@example.com", "--permission-set", "Security", "--act", "approve"][..], "Give --requester"),
        (&["--as", "alice", "--act", "request"], "expected person/NAME"),
        (&["--as", "person/a", "--act", "steal"], "expected one of request, break-glass"),
    ] {
        let said = check(more);
        assert!(said.code != Some(0) && said.stderr.contains(words), "{}", said.all());
    }
    let said = desk.runs(&["check", "no-such", "--as", "person/a", "--act", "request"]);
    assert!(said.code == Some(1) && said.stderr.contains("there is no entitlement `no-such`"), "{}", said.all());
}

/// Identity Center's profiles, which are most people's, are the AWS CLI's to sign in with.
#[test]
fn who_is_signed_in_with_the_aws_cli_is_known_by_it() {
    let desk = Desk::new();
    let stub = Stub::new(|_| ok(&json!({ "entitlements": [] })));
    let file = |name: &str, text: &str, mode: u32| {
        let path = desk.0.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    };
    let exported = json!({ "Version": 1, "AccessKeyId": "ASIAFROMTHECLI123456", "SecretAccessKey": "a secret", "SessionToken": "of-the-cli",
        "Expiration": "2099-01-01T00:00:00+00:00" });
    file("aws", &format!("#!/bin/sh\necho \"$@\" >> $XDG_STATE_HOME/asked\necho '{exported}'\n"), 0o755);
    let config = file(
        "config",
        "[profile me]\nsso_start_url = https://x.awsapps.com/start\nsso_region = eu-central-1\nsso_account_id = 123456789012\nsso_role_name = Developer\n",
        0o600,
    );
    let path = format!("{}:/usr/bin:/bin", desk.0.path().display());
    let run = |asking: bool| {
        let mut command = desk.command(&["entitlements", "--api", &stub.base]);
        command
            .env_remove("AWS_ACCESS_KEY_ID")
            .env_remove("AWS_SECRET_ACCESS_KEY")
            .env_remove("AWS_SESSION_TOKEN")
            .env("PATH", &path);
        command.env("AWS_PROFILE", "me").env("AWS_CONFIG_FILE", &config);
        if asking {
            command.env("CORDON_ASKS_AWS_CLI", "1");
        }
        desk.said(&["entitlements"], &command.output().unwrap())
    };
    let said = run(false);
    assert_eq!((said.code, said.stdout.as_str()), (Some(0), "There is nothing that you may ask for.\n"), "{}", said.stderr);
    assert!(stub.seen()[0].headers["authorization"].contains("Credential=ASIAFROMTHECLI123456/"), "{:?}", stub.seen()[0].headers);
    assert_eq!(fs::read_to_string(desk.0.path().join("asked")).unwrap(), "configure export-credentials --format process\n");

    // A profile that leads back here ends here.
    let said = run(true);
    assert_eq!(said.code, Some(1), "{}", said.all());
    assert!(said.stderr.contains("no AWS credentials were found"), "{}", said.stderr);
    assert_eq!(fs::read_to_string(desk.0.path().join("asked")).unwrap().lines().count(), 1);
}
