//! Tokens of other platforms end, are seen to end, and are printed nowhere. The platforms are stubs on this machine.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::panic,
    reason = "a test may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ids::Sha256;
use serde_json::{Value, json};
use tempfile::TempDir;

/// In every token here, so that one search finds any of them. No scanner takes it for one.
const PLANTED: &str = "pLaNtEd9ZkR3mXw5TfY1nLc8VhJ2pG";

/// Put together here, so that no scanner finds it in this file.
fn token(prefix: &[&str], number: usize) -> String {
    format!("{}{PLANTED}{number:06}", prefix.concat())
}

fn classic(number: usize) -> String {
    token(&["gh", "p_"], number)
}

fn bot(number: usize) -> String {
    token(&["xo", "xb-12-34-"], number)
}

fn fingerprint(token: &str) -> String {
    format!("{}:{}", &token[..4], Sha256::of(token.as_bytes()).prefix(6))
}

#[derive(Debug, Clone)]
struct Request {
    method: String,
    target: String,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Request {
    fn bearer(&self) -> &str {
        self.headers.get("authorization").and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default()
    }
}

type Headers = Vec<(&'static str, String)>;

enum Reply {
    Now(&'static str, Headers, String),
    Endless,
    Never,
}

fn reply(status: &'static str) -> Reply {
    Reply::Now(status, Vec::new(), String::new())
}

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

    fn revocations(&self) -> Vec<Request> {
        self.seen().into_iter().filter(|request| request.target.ends_with("revoke")).collect()
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
        let done = match answer(&request) {
            Reply::Now(status, headers, body) => {
                let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
                write!(stream, "HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n{body}", body.len())
            }
            Reply::Endless => {
                let mut sent = write!(stream, "HTTP/1.1 202 Accepted\r\ntransfer-encoding: chunked\r\n\r\n");
                while sent.is_ok() {
                    sent = write!(stream, "400\r\n{}\r\n", "x".repeat(0x400));
                }
                sent
            }
            Reply::Never => {
                std::thread::sleep(Duration::from_secs(30));
                Ok(())
            }
        };
        if done.is_err() {
            return;
        }
    }
}

/// GitHub, as far as these requests go. A token that was revoked is still answered to once, as where changes take a while.
fn github(ended: &[String]) -> Stub {
    let gone: Mutex<BTreeMap<String, usize>> = Mutex::new(ended.iter().map(|token| (token.clone(), 0)).collect());
    Stub::new(move |request| {
        let mut gone = gone.lock().unwrap_or_else(PoisonError::into_inner);
        if request.method == "POST" {
            let list: Value = serde_json::from_str(&request.body).unwrap();
            gone.extend(list["credentials"].as_array().unwrap().iter().map(|token| (token.as_str().unwrap().to_owned(), 1)));
            return reply("202 Accepted");
        }
        match gone.get_mut(request.bearer()) {
            Some(0) => reply("401 Unauthorized"),
            Some(left) => {
                *left -= 1;
                Reply::Now("200 OK", Vec::new(), format!("{{\"login\":\"{}\"}}", request.bearer()))
            }
            None => Reply::Now("200 OK", Vec::new(), format!("{{\"login\":\"{}\"}}", request.bearer())),
        }
    })
}

struct Said {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Said {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    fn outcomes(&self) -> Vec<String> {
        self.json()["leaked"].as_array().unwrap().iter().map(|told| told["outcome"].as_str().unwrap().to_owned()).collect()
    }
}

/// Runs it, and holds to what holds always: no token is in what it says.
fn cordon(arguments: &[&str], input: &[u8]) -> Said {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.arg("revoke-tokens").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // It may have refused before it read.
    let _refused = child.stdin.take().unwrap().write_all(input);
    let output = child.wait_with_output().unwrap();
    let (stdout, stderr) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    for said in [&stdout, &stderr] {
        assert!(!said.contains(&PLANTED[..8]) && !said.contains("panicked"), "{arguments:?}: {said}");
    }
    Said { code: output.status.code(), stdout, stderr }
}

fn on(platform: &str, stub: &Stub, more: &[&str], tokens: &[String]) -> Said {
    let arguments = [&[platform, "--api", &stub.base, "--from", "-"], more].concat();
    cordon(&arguments, tokens.join("\n").as_bytes())
}

#[test]
fn tokens_end_and_are_seen_to_end() {
    let (first, fine, oauth, user) = (classic(1), token(&["github", "_pat_"], 2), token(&["gh", "o_"], 3), token(&["gh", "u_"], 4));
    let dead = classic(5);
    let stub = github(std::slice::from_ref(&dead));
    // A byte order mark, line ends of Windows, an empty line, and one token twice.
    let text = format!("\u{feff}{first}\r\n\r\n  {fine}\t\r\n{oauth}\n{user}\n{first}\n{dead}\n");
    let said = cordon(&["github", "--api", &stub.base, "--from", "-", "--json"], text.as_bytes());
    assert_eq!(said.code, Some(0), "{}{}", said.stdout, said.stderr);
    let leaked = said.json()["leaked"].as_array().unwrap().clone();
    let told: Vec<_> =
        leaked.iter().map(|told| (told["line"].as_u64().unwrap(), told["fingerprint"].as_str().unwrap().to_owned())).collect();
    let lines = [1, 3, 4, 5, 7].into_iter().zip([&first, &fine, &oauth, &user, &dead].map(|token| fingerprint(token)));
    assert_eq!(told, lines.collect::<Vec<_>>());
    assert_eq!(said.outcomes(), ["Ended", "Ended", "Ended", "Ended", "AlreadyEnded"]);
    for told in &leaked[..4] {
        assert_eq!((&told["before"], &told["after"]), (&json!("works"), &json!("ended")));
        assert!(told["millis"].as_u64().unwrap() < 10_000 && told["survives"].is_string(), "{told}");
    }

    let asked = stub.revocations();
    assert_eq!(asked.len(), 1);
    let list: Value = serde_json::from_str(&asked[0].body).unwrap();
    assert_eq!(list, json!({ "credentials": [first, fine, oauth, user] }));
    assert_eq!((asked[0].method.as_str(), asked[0].target.as_str()), ("POST", "/credentials/revoke"));
    let header = |name: &str| asked[0].headers.get(name).cloned().unwrap_or_default();
    assert_eq!(header("accept"), "application/vnd.github+json");
    assert_eq!(header("x-github-api-version"), "2022-11-28");
    assert_eq!(header("content-type"), "application/json");
    assert!(header("user-agent").starts_with("cordon/"));
    // GitHub refuses who signs in.
    assert_eq!(header("authorization"), "");
    assert!(stub.seen().iter().filter(|request| request.method == "GET").all(|request| request.target == "/user"));

    // Again: nothing is left to do, and nothing is sent.
    let said = on("github", &stub, &[], &[first, dead]);
    assert_eq!((said.code, stub.revocations().len()), (Some(0), 1));
    assert!(said.stdout.contains("GitHub: 2 AlreadyEnded"), "{}", said.stdout);
}

#[test]
fn a_dry_run_asks_nobody() {
    let stub = github(&[]);
    let said = on("github", &stub, &["--dry-run"], &[classic(1), token(&["gh", "s_"], 2)]);
    assert_eq!((said.code, stub.seen().len()), (Some(0), 0), "{}", said.stderr);
    assert!(
        said.stdout.contains(&format!("Planned: {} (line 1, github-pat-classic)\n", fingerprint(&classic(1)))),
        "{}",
        said.stdout
    );
    assert!(said.stdout.contains("NotRevocable") && said.stdout.contains("DELETE /installation/token"), "{}", said.stdout);
}

#[test]
fn without_probes_no_token_is_used() {
    let stub = github(&[]);
    let said = on("github", &stub, &["--no-probe", "--json"], &[classic(1)]);
    assert_eq!((said.code, said.outcomes()), (Some(0), vec!["Accepted".to_owned()]));
    assert!(stub.seen().iter().all(|request| request.method == "POST") && stub.seen().len() == 1);
}

#[test]
fn what_github_does_not_end_or_does_not_show_is_told() {
    let stub = github(&[token(&["gh", "s_"], 3)]);
    let said = on("github", &stub, &["--json"], &[token(&["gh", "r_"], 1), token(&["gh", "s_"], 2), token(&["gh", "s_"], 3)]);
    assert_eq!(said.outcomes(), ["Accepted", "NotRevocable", "AlreadyEnded"]);
    assert_eq!(said.code, Some(1));
    let bearers: BTreeSet<_> = stub.seen().iter().map(|request| request.bearer().to_owned()).collect();
    assert!(!bearers.contains(&token(&["gh", "r_"], 1)), "a refresh token is no access token");
    assert!(!stub.revocations()[0].body.contains(&token(&["gh", "s_"], 2)));
    // All that shows of a refresh token is that it was accepted, which is enough.
    assert_eq!(on("github", &stub, &[], &[token(&["gh", "r_"], 1)]).code, Some(0));
}

#[test]
fn more_than_a_thousand_are_several_requests() {
    let stub = github(&[]);
    let tokens: Vec<_> = (0..1001).map(classic).collect();
    let said = on("github", &stub, &["--json", "--no-probe"], &tokens);
    assert_eq!((said.code, said.outcomes().len()), (Some(0), 1001));
    let sizes: Vec<_> = stub.revocations().iter().map(|request| request.body.matches(PLANTED).count()).collect();
    assert_eq!(sizes, [1000, 1]);
}

#[test]
fn a_token_that_goes_on_is_told_so() {
    let stub = Stub::new(|request| reply(if request.method == "POST" { "202 Accepted" } else { "200 OK" }));
    let said = on("github", &stub, &["--wait", "1"], &[classic(1)]);
    assert_eq!(said.code, Some(1));
    assert!(said.stdout.contains("NotShown") && said.stdout.contains("it still worked 1 s later"), "{}", said.stdout);
}

#[test]
fn a_probe_that_fails_keeps_nothing_from_ending() {
    let calls = Mutex::new(0);
    let stub = Stub::new(move |request| {
        if request.method == "POST" {
            return reply("202 Accepted");
        }
        *calls.lock().unwrap() += 1;
        // Whoever goes on asking now is locked out for longer.
        Reply::Now("403 Forbidden", vec![("retry-after", "60".to_owned())], request.bearer().to_owned())
    });
    let said = on("github", &stub, &["--json"], &[classic(1), classic(2)]);
    assert_eq!((said.code, said.outcomes()), (Some(1), vec!["NotShown".to_owned(); 2]));
    assert_eq!(stub.revocations().len(), 1);
    assert!(stub.seen().len() <= 5, "{}", stub.seen().len());
    let why = said.json()["leaked"][0]["why"].as_str().unwrap().to_owned();
    assert_eq!(why, "GitHub takes no more requests from here (403): try again in 60 seconds");
}

/// What goes wrong, and what is said of it. Each answer repeats the request, as some servers do.
#[test]
fn each_refusal_is_one_clear_sentence() {
    let elsewhere = github(&[]);
    let place = elsewhere.base.clone();
    let cases: Vec<(&str, Headers, &str)> = vec![
        (
            "403 Forbidden",
            vec![("retry-after", "77".to_owned())],
            "GitHub takes no more requests from here (403): try again in 77 seconds",
        ),
        (
            "429 Too Many Requests",
            vec![("x-ratelimit-remaining", "0".to_owned())],
            "takes no more requests from here (429): try again in some minutes",
        ),
        ("403 Forbidden", vec![], "GitHub refuses it (403)"),
        ("401 Unauthorized", vec![], "GitHub asks who we are (401)"),
        ("404 Not Found", vec![], "GitHub does not know this request (404): is --api right?"),
        ("422 Unprocessable Entity", vec![], "GitHub took the list for invalid, or had too many of them (422)"),
        ("500 Internal Server Error", vec![], "GitHub failed (500)"),
        ("307 Temporary Redirect", vec![("location", place)], "a redirection (307), which is not followed"),
        ("200 OK", vec![], "an answer that is not known here (200)"),
    ];
    for (status, headers, sentence) in cases {
        let stub = Stub::new(move |request| {
            if request.method == "GET" {
                return reply("200 OK");
            }
            Reply::Now(status, headers.clone(), request.body.clone())
        });
        let said = on("github", &stub, &["--json"], &[classic(1)]);
        let why = said.json()["leaked"][0]["why"].as_str().unwrap().to_owned();
        assert_eq!((said.code, said.outcomes()), (Some(1), vec!["Failed".to_owned()]), "{status}: {why}");
        assert!(why.contains(sentence), "{status}: {why}");
    }
    assert_eq!(elsewhere.seen().len(), 0);

    let stub = Stub::new(|_| Reply::Endless);
    let said = on("github", &stub, &["--no-probe"], &[classic(1)]);
    assert!(said.code == Some(1) && said.stdout.contains("is longer than 65536 bytes"), "{}", said.stdout);

    let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stub = Stub { base: format!("http://{free}"), seen: Arc::default() };
    let said = on("github", &stub, &[], &[classic(1), classic(2)]);
    assert!(said.code == Some(1) && said.stdout.contains("cannot be reached: Connection refused"), "{}", said.stdout);
}

#[test]
fn an_answer_that_does_not_come_is_not_waited_for() {
    let stub = Stub::new(|_| Reply::Never);
    let said = on("github", &stub, &["--no-probe"], &[classic(1)]);
    assert!(said.code == Some(1) && said.stdout.contains("did not answer within 10 seconds"), "{}", said.stdout);
}

/// A proxy is asked for a tunnel, and told nothing that goes through it.
#[test]
fn a_proxy_gets_no_token() {
    let proxy = Stub::new(|_| reply("502 Bad Gateway"));
    let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
    command.args(["revoke-tokens", "github", "--no-probe", "--from", "-"]).env("HTTPS_PROXY", &proxy.base);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(classic(1).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.code() == Some(1) && said.contains("https://api.github.com cannot be reached"), "{said}");
    let asked: Vec<_> = proxy.seen().iter().map(|request| format!("{} {}", request.method, request.target)).collect();
    assert_eq!(asked, ["CONNECT api.github.com:443"]);
    assert!(!format!("{:?}", proxy.seen()).contains(PLANTED) && !said.contains(PLANTED));
}

#[test]
fn a_refused_thousand_stops_the_rest_only_if_it_is_about_all() {
    for (status, requests) in [("422 Unprocessable Entity", 2), ("429 Too Many Requests", 1)] {
        let stub = Stub::new(move |_| reply(status));
        let said = on("github", &stub, &["--no-probe"], &(0..1001).map(classic).collect::<Vec<_>>());
        assert_eq!((said.code, stub.seen().len()), (Some(1), requests), "{status}");
    }
}

#[test]
fn a_list_that_is_no_list_is_refused_before_anything_is_done() {
    let stub = github(&[]);
    let aws = ["AKIA", "IOSFODNN7EXAMPLE"].concat();
    let hex = Sha256::of(b"x").prefix(20);
    let large = format!("{}\n", classic(1)).repeat(300_000);
    let cases: Vec<(&[&str], Vec<u8>, &str)> = vec![
        (&[], Vec::new(), "it has no token of GitHub"),
        (&[], b" \n\r\n".to_vec(), "it has no token of GitHub"),
        (&[], format!("{}\nTOKEN={}\n", classic(1), classic(2)).into_bytes(), "line 2 is of no kind of token that GitHub has"),
        (&[], format!("{PLANTED}\nx\n{PLANTED}").into_bytes(), "lines 1, 2 and 3 are of no kind"),
        (&[], format!("{}\n{aws}", classic(1)).into_bytes(), "line 2 has an AWS access key's id: that is for `cordon revoke`"),
        (&[], bot(1).into_bytes(), "line 1 is a token of Slack: that is for `cordon revoke-tokens slack`"),
        (&[], hex.into_bytes(), "if it is a token of GitHub, give --classic"),
        (&[], large.into_bytes(), "is longer than 1 MB"),
        (&[], format!("{}\0", classic(1)).into_bytes(), "is not text"),
        (&[], [classic(1).as_bytes(), &[0xff, 0xfe]].concat(), "is not text"),
        (&["--trufflehog"], classic(1).into_bytes(), "line 1 is no JSON object of TruffleHog's"),
        (&["--trufflehog"], br#"{"DetectorName":"AWS","Raw":"AKIA"}"#.to_vec(), "it has no token of GitHub"),
    ];
    for (more, input, sentence) in cases {
        let said = cordon(&[&["github", "--api", &stub.base, "--from", "-"], more].concat(), &input);
        assert_eq!((said.code, said.stdout.as_str()), (Some(1), ""), "{sentence}: {}", said.stderr);
        assert!(said.stderr.lines().count() == 1 && said.stderr.contains(sentence), "{sentence}: {}", said.stderr);
    }
    for path in ["/nowhere/tokens.txt", "/"] {
        let said = cordon(&["github", "--api", &stub.base, "--from", path], b"");
        assert!(said.code == Some(1) && said.stderr.contains(&format!("could not read `{path}`")), "{}", said.stderr);
    }
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn a_token_that_was_typed_is_not_repeated() {
    let token = classic(1);
    let named = format!("TOKEN={token}");
    let stub = github(&[]);
    let cases: &[&[&str]] = &[
        &[&token],
        &["github", &token],
        &["github", "--from", &token],
        &["github", "--from", "-", &token],
        &["github", "--token", &token],
        &["github", "--from", &named],
        &["github", "--from", "-", "--api", &token],
        &["github", "--from", "-", "--api", "http://api.github.com"],
        &["slack", "--from", "-", "--api", "https://me@slack.com/api"],
    ];
    for arguments in cases {
        let said = cordon(arguments, b"");
        assert_eq!((said.code, said.stdout.as_str()), (Some(2), ""), "{arguments:?}: {}", said.stderr);
    }
    assert_eq!(stub.seen().len(), 0);
}

#[test]
fn truffle_hogs_findings_of_github_are_taken_and_no_others() {
    let stub = github(&[]);
    let line = |detector: &str, raw: &str| json!({ "DetectorName": detector, "Raw": raw, "RawV2": raw }).to_string();
    let odd = format!("odd-{PLANTED}");
    let mut lines = vec![line("AWS", &["AKIA", "IOSFODNN7EXAMPLE"].concat()), line("Github", &classic(1)), line("Slack", &bot(2))];
    let said = on("github", &stub, &["--trufflehog", "--json"], &lines);
    assert_eq!((said.code, said.outcomes()), (Some(0), vec!["Ended".to_owned()]), "{}", said.stderr);
    // What is not known stops nothing, and is told.
    lines.extend([line("Github", &odd), line("Github", &classic(3))]);
    let said = on("github", &stub, &["--trufflehog"], &lines);
    assert_eq!(said.code, Some(1));
    assert!(said.stdout.contains("line 4 is of GitHub's that are of no kind known here: left alone"), "{}", said.stdout);
    assert!(said.stdout.contains("GitHub: 1 AlreadyEnded, 1 Ended"), "{}", said.stdout);
}

#[test]
fn hex_is_a_token_only_on_request() {
    let stub = github(&[]);
    let hex = Sha256::of(b"x").prefix(20);
    let said = on("github", &stub, &["--classic", "--json"], std::slice::from_ref(&hex));
    assert_eq!((said.code, said.outcomes()), (Some(0), vec!["Ended".to_owned()]));
    assert!(said.stdout.contains("\"hex:") && !said.stdout.contains(&hex[..8]), "{}", said.stdout);
}

/// Slack: each token revokes itself, unless it is one of these.
fn slack(errors: &[(String, &'static str)]) -> Stub {
    let said: Mutex<BTreeMap<String, &'static str>> = Mutex::new(errors.iter().cloned().collect());
    Stub::new(move |request| {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        let body = match (said.get(request.bearer()), request.target.as_str()) {
            (Some(&"not_revoked"), "/auth.revoke") => json!({ "ok": true, "revoked": false }),
            (Some(&"echo"), "/auth.revoke") => json!({ "ok": false, "error": request.bearer() }),
            (Some(&"busy"), "/auth.revoke") => {
                return Reply::Now("429 Too Many Requests", vec![("retry-after", "30".to_owned())], String::new());
            }
            (None | Some(&("not_revoked" | "echo" | "busy")), "/auth.test") => json!({ "ok": true, "user": request.bearer() }),
            (None, "/auth.revoke") => {
                said.insert(request.bearer().to_owned(), "invalid_auth");
                json!({ "ok": true, "revoked": true })
            }
            (Some(error), _) => json!({ "ok": false, "error": error }),
            _ => return reply("404 Not Found"),
        };
        Reply::Now("200 OK", Vec::new(), body.to_string())
    })
}

#[test]
fn slacks_tokens_revoke_themselves() {
    let prefixes: [&[&str]; 5] = [&["xo", "xb-"], &["xo", "xp-"], &["xo", "xe.xo", "xb-"], &["xo", "xa-2-"], &["xa", "pp-1-A0-"]];
    let tokens: Vec<_> = prefixes.iter().enumerate().map(|(number, prefix)| token(prefix, number)).collect();
    let stub = slack(&[(tokens[3].clone(), "token_revoked")]);
    let said = on("slack", &stub, &["--json"], &tokens);
    assert_eq!(
        (said.code, said.outcomes()),
        (Some(0), ["Ended", "Ended", "Ended", "AlreadyEnded", "Ended"].map(ToOwned::to_owned).to_vec())
    );
    assert!(stub.seen().iter().all(|request| request.method == "POST" && request.body.is_empty()));
    assert_eq!(stub.revocations().len(), 4);
}

#[test]
fn what_slack_does_not_revoke_is_told() {
    let (odd, echo, unknown, busy, after) = (bot(1), bot(2), bot(3), bot(4), bot(5));
    let stub =
        slack(&[(odd.clone(), "not_revoked"), (echo.clone(), "echo"), (unknown.clone(), "invalid_auth"), (busy.clone(), "busy")]);
    let said = on("slack", &stub, &["--json"], &[odd, echo, unknown, busy, after]);
    assert_eq!((said.code, said.outcomes()), (Some(1), vec!["Failed".to_owned(); 5]), "{}", said.stdout);
    let report = said.json();
    let why: Vec<_> = report["leaked"].as_array().unwrap().iter().map(|told| told["why"].as_str().unwrap()).collect();
    let pace = "Slack takes no more requests from here (429): try again in 30 seconds";
    assert_eq!(
        why,
        [
            "Slack says that it did not revoke it",
            "Slack said something that is no word of its",
            "Slack does not know it, or does not answer this address (invalid_auth): it may still work elsewhere",
            pace,
            pace,
        ]
    );
    let stub = Stub::new(|_| Reply::Now("200 OK", Vec::new(), "<html>".to_owned()));
    let said = on("slack", &stub, &["--no-probe"], &[bot(1)]);
    assert!(said.code == Some(1) && said.stdout.contains("Slack's answer is none of its: is --api right?"), "{}", said.stdout);
}

/// Every byte of a folder, and of what is in it in base64.
fn everything(folder: &Path) -> String {
    let mut all = String::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all += &everything(&path);
            continue;
        }
        let text = String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned();
        let payload = serde_json::from_str::<Value>(&text)
            .ok()
            .and_then(|bundle| Some(bundle.pointer("/dsseEnvelope/payload")?.as_str()?.to_owned()));
        all += &payload.map(|payload| String::from_utf8(STANDARD.decode(payload).unwrap()).unwrap()).unwrap_or_default();
        all += &text;
    }
    all
}

#[test]
fn as_evidence_it_says_what_ended_and_has_no_token() {
    let place = TempDir::new().unwrap();
    let stub = github(&[]);
    fs::write(place.path().join("tokens.txt"), format!("{}\n{}\n", classic(1), token(&["gh", "r_"], 2))).unwrap();
    for (more, shown) in [("--json", "\"outcome\": \"Ended\""), ("--wait=20", "Ended: ")] {
        let store = format!("evidence{more}");
        let binary = env!("CARGO_BIN_EXE_cordon");
        let mut command = Command::new(binary);
        command.current_dir(place.path()).args(["evidence", "run", "--redact-output", "--store", &store, "--", binary]);
        command.args(["revoke-tokens", "github", "--from", "tokens.txt", "--api", &stub.base, more]);
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        let all = everything(&place.path().join(&store));
        assert!(!all.contains(&PLANTED[..8]), "a token is in the evidence");
        let shown = if more == "--json" { shown.to_owned() } else { shown.replace("Ended", "AlreadyEnded") };
        for part in [&fingerprint(&classic(1)), &shown, "revoke-tokens", "Accepted"] {
            assert!(all.contains(part), "no `{part}` in {all}");
        }
    }
}
