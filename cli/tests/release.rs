//! `cordon release`: signed requests that go to one address, and answers that are not believed unless their digest fits.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::{Command, Output};
use std::thread::JoinHandle;

use serde_json::{Value, json};

const INCIDENT: &str = "inc-0123456789abcdef0123";

/// Someone who answers one request, and gives back what it was.
fn stub(answer: String) -> (String, JoinHandle<(String, String, TcpListener)>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).unwrap();
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
            head.push_str(&line);
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).unwrap();
        stream.write_all(answer.as_bytes()).unwrap();
        (head, String::from_utf8(body).unwrap(), listener)
    });
    (address, serving)
}

fn http(status: &str, headers: &str, body: &Value) -> String {
    let body = body.to_string();
    format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\nconnection: close\r\n\r\n{body}", body.len())
}

fn cordon(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.arg("release").args(arguments).env_clear().env("HOME", "/nonexistent").env("AWS_REGION", "eu-central-1");
    command.env("AWS_ACCESS_KEY_ID", "ASIAEXAMPLEEXAMPLE12").env("AWS_SECRET_ACCESS_KEY", "planted-secret");
    command.env("AWS_SESSION_TOKEN", "planted-token").env("AWS_EC2_METADATA_DISABLED", "true").output().unwrap()
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

#[test]
fn a_request_is_signed_for_its_api_and_a_refusal_is_one_sentence() {
    let detail = "Who asks does not approve: a second person has to. [nobody-approves-their-own]";
    let (api, serving) = stub(http("403 Forbidden", "", &json!({ "status": 403, "detail": detail })));
    let digest = "0".repeat(64);
    let output = cordon(&["approve", INCIDENT, "--digest", &digest, "--api", &api]);
    let (head, body, _listener) = serving.join().unwrap();
    assert!(head.starts_with(&format!("POST /releases/{INCIDENT}/approval HTTP/1.1")), "{head}");
    assert!(head.contains("/eu-central-1/execute-api/aws4_request") && head.contains("planted-token"), "{head}");
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), json!({ "digest": digest }));
    assert_eq!((output.status.code(), said(&output)), (Some(1), format!("error: {detail} (403)\n")));
    assert!(!head.contains("planted-secret"));
}

#[test]
fn a_redirection_is_not_followed() {
    let (api, serving) = stub(http("302 Found", "location: http://127.0.0.1:1/elsewhere\r\n", &json!({})));
    let output = cordon(&["show", INCIDENT, "--api", &api]);
    let (_, _, listener) = serving.join().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("a signed request goes nowhere else"), "{}", said(&output));
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "nothing more was asked");
}

/// What an approver is shown is what the digest stands for, whoever answers.
#[test]
fn a_digest_that_does_not_fit_what_is_shown_is_refused() {
    let proposal = json!({
        "incident": INCIDENT, "account": "123456789012", "principal": "arn:aws:iam::123456789012:user/ci",
        "wish": { "by": "person/alice", "reason": "a decoy", "early": false },
        "lifts": [{ "detach_deny": { "user": "ci", "policy": "arn:aws:iam::123456789012:policy/deny" } }],
        "held_by": [], "stays": ["the key stays"], "works": [], "instead": [],
        "revives": { "what": "sessions", "until": "2026-11-24T00:00:00.000Z" },
        "before": { "kind": "user", "name": "ci", "arn": "arn:aws:iam::123456789012:user/ci", "attached": [], "boundary": null, "keys": [] },
        "basis": [], "playbook": "0".repeat(64),
    });
    let read: plan::release::Proposal = serde_json::from_value(proposal.clone()).unwrap();
    let answer = |digest: String| json!({ "incident": INCIDENT, "state": "Open", "expires": "2026-11-24T08:00:00.000Z", "digest": digest, "proposal": proposal, "records": [] });
    for (digest, code, words) in
        [(read.digest().unwrap().to_string(), 0, "stays: the key stays"), ("0".repeat(64), 1, "approve nothing")]
    {
        let (api, serving) = stub(http("200 OK", "", &answer(digest)));
        let output = cordon(&["show", INCIDENT, "--api", &api]);
        serving.join().unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}

#[test]
fn only_tls_leaves_this_machine_and_an_api_has_to_be_named() {
    for (arguments, words) in [
        (vec!["show", INCIDENT, "--api", "http://api.example"], "is no https:// address"),
        (vec!["show", INCIDENT, "--api", "https://me@api.example"], "is no https:// address"),
        (vec!["show", INCIDENT], "which API?"),
    ] {
        let output = cordon(&arguments);
        assert_eq!(output.status.code(), Some(1), "{}", said(&output));
        assert!(said(&output).contains(words), "{}", said(&output));
    }
}
