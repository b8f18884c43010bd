//! Whoever has no credentials, no Region or no way to AWS is told so in one sentence, with what to do.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef";
const RECORD: &str = "rec/run/2026/11/23/02/13/66c9a00821b4aa9e84d0197b52721204.1-intent.json";
const INCIDENT: &str = "inc-582222c0ebe0c78fc33d";

/// Every command that asks AWS, and its exit code if AWS cannot be asked.
fn commands(event: &str) -> Vec<(Vec<&str>, i32)> {
    let bucket = "s3://my-evidence";
    vec![
        (vec!["prepare", "--function", "cordon"], 1),
        (vec!["plan", "--live", "--function", "cordon", "--event", event], 1),
        (vec!["webhook", "list", "--keys", "doors"], 1),
        (vec!["webhook", "open", "falco", "--keys", "doors"], 1),
        (vec!["evidence", "verify", bucket], 1),
        (vec!["evidence", "archive", bucket, "archive"], 1),
        (vec!["evidence", "proof", RECORD, bucket], 1),
        (vec!["evidence", "timeline", INCIDENT, bucket], 1),
        (vec!["evidence", "show", RECORD, "--store", bucket], 1),
        (vec!["evidence", "output", RECORD, "--store", bucket], 1),
        (vec!["evidence", "trust", "show", bucket], 1),
        (vec!["evidence", "trust", "new", "--kms-key", KEY, "--store", "evidence", "seal=seal.pub"], 1),
        (vec!["evidence", "datakey", "new", INCIDENT, "--wrap-with", KEY, "--out", "datakey.json"], 1),
        (vec!["evidence", "run", "--store", bucket, "--", "true"], 125),
        (vec!["evidence", "run", "--kms-key", KEY, "--", "true"], 125),
    ]
}

/// Looks at what each command says, and at its exit code, under these variables alone.
fn all_say(variables: &[(&str, &str)], parts: &[&str]) {
    let event = Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/guardduty/drill.json");
    // All at once: each waits between its attempts.
    let running = commands(event.to_str().unwrap()).into_iter().map(|(arguments, code)| {
        let place = TempDir::new().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        command.current_dir(place.path()).args(&arguments).env_clear().env("HOME", place.path());
        // No other machine is asked for credentials, wherever the tests run.
        command.env("AWS_EC2_METADATA_DISABLED", "true").envs(variables.iter().copied());
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        (arguments, code, child, place)
    });
    for (arguments, code, child, _place) in running.collect::<Vec<_>>() {
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(code), &b""[..]), "{arguments:?}: {said}");
        let lines: Vec<_> = said.lines().filter(|line| !line.contains("nobody vouches")).collect();
        assert_eq!(lines.len(), 1, "{arguments:?}: {said}");
        for part in parts {
            assert!(said.contains(part), "{arguments:?}: no `{part}` in {said}");
        }
        for internal in ["Failure", "{ ", "Some(", "dispatch", "provider", "hyper"] {
            assert!(!said.contains(internal), "{arguments:?}: `{internal}` in {said}");
        }
    }
}

#[test]
fn without_credentials() {
    all_say(&[("AWS_REGION", "us-east-1")], &["no AWS credentials were found: set AWS_PROFILE"]);
}

#[test]
fn without_a_region() {
    let credentials = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"), ("AWS_SECRET_ACCESS_KEY", "secret")];
    all_say(&credentials, &["which Region? Set AWS_REGION"]);
}

#[test]
fn with_an_endpoint_that_refuses() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let endpoint = format!("http://{address}");
    let variables = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_ENDPOINT_URL", &endpoint),
    ];
    all_say(&variables, &["AWS cannot be reached: Connection refused", "AWS_ENDPOINT_URL"]);
}
