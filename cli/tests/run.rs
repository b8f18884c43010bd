//! `cordon evidence run` as a responder uses it: a real process, real signals, real folders.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
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

    /// `cordon evidence …`, not yet started, in this folder.
    fn evidence(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        command.current_dir(self.0.path()).arg("evidence").args(arguments);
        // A group of its own: it is in no terminal's foreground, wherever the tests run.
        command.process_group(0);
        command
    }

    fn output(&self, arguments: &[&str]) -> Output {
        self.evidence(arguments).output().unwrap()
    }

    /// `cordon evidence run -- sh -c SCRIPT`, started, with pipes on all sides.
    fn start(&self, script: &str) -> Child {
        let mut command = self.evidence(&["run", "--", "sh", "-c", script]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }

    fn files(&self) -> Vec<PathBuf> {
        walk(self.path("evidence"))
    }

    /// The one file whose path has this in it.
    fn file(&self, part: &str) -> PathBuf {
        let mut found: Vec<_> = self.files().into_iter().filter(|path| path.to_str().unwrap().contains(part)).collect();
        assert_eq!(found.len(), 1, "one file with `{part}`: {found:?}");
        found.remove(0)
    }

    /// What the one outcome says.
    fn outcome(&self) -> Value {
        let shown = self.output(&["show", "--json", self.file("outcome").to_str().unwrap()]);
        let statement: Value = serde_json::from_slice(&shown.stdout).unwrap();
        statement.pointer("/predicate/body").unwrap().clone()
    }

    fn verify(&self) -> (Option<i32>, String) {
        let output = self.output(&["verify", "evidence"]);
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    }
}

/// Every file below a folder.
fn walk(folder: PathBuf) -> Vec<PathBuf> {
    let (mut found, mut folders) = (Vec::new(), vec![folder]);
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { found.push(path) }
        }
    }
    found.sort();
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn signal(child: &Child, name: &str) {
    assert!(Command::new("kill").args([&format!("-{name}"), &child.id().to_string()]).status().unwrap().success());
}

/// Reads the child's first line, which says that it is under way.
fn first_line(child: &mut Child) -> String {
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    line
}

#[test]
fn a_run_is_seen_as_it_is_and_verified_with_its_root() {
    let place = Place::new();
    let made = place.output(&["keygen", "key.pem"]);
    assert_eq!(fs::metadata(place.path("key.pem")).unwrap().permissions().mode() & 0o777, 0o600);
    let printed = text(&made.stdout);
    let root = printed.split_whitespace().find(|word| word.starts_with("run=")).unwrap().to_owned();

    let script = r"cat; printf '\377\000\376'; echo trouble >&2; exit 3";
    let mut command = place.evidence(&["run", "--key", "key.pem", "--purpose", "a test", "--", "sh", "-c", script]);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(b"from outside\n").unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(3), &b"from outside\n\xff\x00\xfe"[..]));
    assert_eq!(text(&output.stderr), "trouble\n", "nothing is added to what the command says");

    let verified = place.output(&["verify", "--root", &root, "evidence"]);
    let report = text(&verified.stdout);
    assert!(verified.status.success() && report.contains("VERIFIED: 2 records of 1 session, 0 incidents, 2 blobs"), "{report}");
    let intent = place.file("intent");
    let shown = text(&place.output(&["show", intent.to_str().unwrap()]).stdout);
    assert!(shown.contains("purpose   a test") && shown.contains("command   sh -c "), "{shown}");
    let again = place.output(&["output", place.file("outcome").to_str().unwrap()]);
    assert_eq!(again.stdout, b"from outside\n\xff\x00\xfe");
    let again = place.output(&["output", "--stream", "stderr", place.file("outcome").to_str().unwrap()]);
    assert_eq!(again.stdout, b"trouble\n");
}

#[test]
fn without_a_key_it_is_degraded_and_says_so_once() {
    let place = Place::new();
    let output = place.output(&["run", "--", "true"]);
    assert_eq!((output.status.code(), text(&output.stderr).matches("degraded").count()), (Some(0), 1));
    let (code, report) = place.verify();
    assert!(code == Some(3) && report.contains("DEGRADED: 2 records"), "{report}");
}

#[test]
fn a_key_that_others_can_read_or_that_is_none_vouches_for_nothing() {
    let place = Place::new();
    place.output(&["keygen", "key.pem"]);
    fs::set_permissions(place.path("key.pem"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::write(place.path("none.pem"), "not a key").unwrap();
    fs::set_permissions(place.path("none.pem"), fs::Permissions::from_mode(0o600)).unwrap();
    for (key, says) in
        [("key.pem", "chmod 600"), ("none.pem", "not a P-256 private key"), ("missing.pem", "could not read the key")]
    {
        let output = place.output(&["run", "--key", key, "--", "touch", "marker"]);
        assert_eq!(output.status.code(), Some(125), "{key}");
        assert!(text(&output.stderr).contains(says), "{key}: {}", text(&output.stderr));
    }
    assert!(!place.path("marker").exists() && place.files().is_empty());
    let again = place.output(&["keygen", "key.pem"]);
    assert!(!again.status.success(), "a key that exists is never overwritten");
}

#[test]
fn a_store_that_refuses_means_the_command_never_starts() {
    let place = Place::new();
    fs::write(place.path("file"), "in the way").unwrap();
    let run = |store: &str| place.output(&["run", "--store", store, "--", "touch", "marker"]);
    let output = run("file/evidence");
    assert_eq!(output.status.code(), Some(125));
    assert!(text(&output.stderr).contains("cordon: not started: the intent is not durable"), "{}", text(&output.stderr));
    assert!(!place.path("marker").exists(), "the command was started");

    // The same for a folder that may not be written, for all whom permissions bind.
    fs::create_dir(place.path("sealed")).unwrap();
    fs::set_permissions(place.path("sealed"), fs::Permissions::from_mode(0o500)).unwrap();
    if fs::write(place.path("sealed/probe"), "").is_err() {
        assert_eq!(run("sealed").status.code(), Some(125));
        assert!(!place.path("marker").exists(), "the command was started");
    }
    assert_eq!(run("evidence").status.code(), Some(0));
    assert!(place.path("marker").exists(), "the marker shows what it should");
}

#[test]
fn a_small_output_appears_at_once() {
    let place = Place::new();
    let mut child = place.start("echo ready; read line; echo $line");
    let asked = Instant::now();
    assert_eq!(first_line(&mut child), "ready\n");
    assert!(asked.elapsed() < Duration::from_secs(20));
    // It is still waiting for its input: the line did not come because it ended.
    assert!(child.try_wait().unwrap().is_none());
    child.stdin.take().unwrap().write_all(b"done\n").unwrap();
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("done\n", Some(0)));
}

#[test]
fn signals_reach_the_command_and_its_end_is_recorded() {
    for (name, number) in [("TERM", 15), ("INT", 2), ("HUP", 1), ("QUIT", 3)] {
        let place = Place::new();
        // It tidies up and says how it ends; without the signal it would go on for a minute.
        let mut child = place.start(&format!("trap 'echo tidy; exit 9' {name}; sleep 60 & echo ready; wait"));
        assert_eq!(first_line(&mut child), "ready\n");
        signal(&child, name);
        let mut rest = String::new();
        // The sleeping process still holds the output: a second signal ends the recording.
        let deadline = Instant::now() + Duration::from_secs(30);
        while child.try_wait().unwrap().is_none() && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(200));
            let _ = Command::new("kill").args(["-TERM", &child.id().to_string()]).stderr(Stdio::null()).status();
        }
        child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
        assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("tidy\n", Some(9)), "{name}");
        let outcome = place.outcome();
        assert_eq!(outcome["signals"][0]["signal"], format!("SIG{name}"));
        assert_eq!((&outcome["signals"][0]["forwarded"], &outcome["left_open"]), (&true.into(), &true.into()));
        assert_eq!(outcome["ending"]["exited"]["code"], 9);

        let place = Place::new();
        let mut child = place.start("echo ready; exec sleep 60");
        assert_eq!(first_line(&mut child), "ready\n");
        signal(&child, name);
        assert_eq!(child.wait().unwrap().code(), Some(128 + number), "{name}");
        assert_eq!(place.outcome()["ending"]["killed"]["signal"], number);
    }
}

#[test]
fn what_is_ignored_from_the_start_stays_ignored() {
    let place = Place::new();
    let script =
        format!("trap '' HUP; exec {} evidence run -- sh -c 'echo ready; read line; echo still'", env!("CARGO_BIN_EXE_cordon"));
    let mut command = Command::new("sh");
    command.current_dir(place.0.path()).args(["-c", &script]).process_group(0);
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    assert_eq!(first_line(&mut child), "ready\n");
    signal(&child, "HUP");
    child.stdin.take().unwrap().write_all(b"\n").unwrap();
    let mut rest = String::new();
    child.stdout.take().unwrap().read_to_string(&mut rest).unwrap();
    assert_eq!((rest.as_str(), child.wait().unwrap().code()), ("still\n", Some(0)));
}

#[test]
fn a_killed_recording_leaves_its_intent() {
    for (due, kind) in [("24h", "note: "), ("0s", "FAILED: ")] {
        let place = Place::new();
        let script = "head -c 9000000 /dev/zero; echo; echo ready; sleep 60";
        let mut command = place.evidence(&["run", "--due", due, "--", "sh", "-c", script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let mut lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        assert!(lines.any(|line| line.unwrap() == "ready"));
        let deadline = Instant::now() + Duration::from_secs(20);
        // A blob's name is its digest; one that is being written has another.
        let blob = |path: &PathBuf| path.to_str().unwrap().contains("/blob/") && path.extension().is_none();
        while !place.files().iter().any(blob) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        assert_eq!(child.wait().unwrap().signal(), Some(9));

        let intent = place.file("intent");
        let name = intent.file_name().unwrap().to_str().unwrap();
        // What a write that was cut off leaves is no evidence, and does not spoil it.
        fs::write(intent.with_file_name(".cordon-x.part"), "half a record").unwrap();
        let (code, report) = place.verify();
        let line = |start: &str, part: &str| report.lines().any(|line| line.starts_with(start) && line.contains(part));
        assert!(line(kind, name) && line("note: blob/", "no record names it"), "{report}");
        assert!(line("note: ", ".cordon-x.part: a write that was cut off"), "{report}");
        assert_eq!(code, Some(if due == "0s" { 1 } else { 3 }), "{report}");
        assert_eq!(report.matches("FAILED: ").count(), if due == "0s" { 2 } else { 0 }, "{report}");
        assert!(!place.files().iter().any(|path| path.to_str().unwrap().contains("outcome")));
    }
}

#[test]
fn a_reader_that_leaves_ends_the_command_and_not_the_record() {
    let place = Place::new();
    let mut child = place.start("yes; echo $? >&2");
    assert_eq!(first_line(&mut child), "y\n");
    drop(child.stdout.take());
    let mut errors = String::new();
    child.stderr.take().unwrap().read_to_string(&mut errors).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{errors}");
    assert!(errors.ends_with("141\n"), "`yes` saw a broken pipe: {errors}");
    let outcome = place.outcome();
    assert!(outcome["stdout"]["cut_off"].as_str().unwrap().contains("Broken pipe"), "{outcome}");
    assert!(outcome["stdout"]["bytes"].as_u64() >= outcome["stdout"]["passed_on"].as_u64());
    assert_eq!(outcome["stderr"]["cut_off"], Value::Null);
    assert_eq!(place.verify().0, Some(3));
}

/// A full disk is not a reader that has enough: nobody would know that the file is cut off.
#[test]
fn output_that_cannot_be_written_is_told_of_and_recorded() {
    for (script, code) in [("echo hello", 1), ("echo hello; exit 3", 3), ("exec yes", 1)] {
        let place = Place::new();
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let mut command = place.evidence(&["run", "--", "sh", "-c", script]);
        let output = command.stdout(full).stderr(Stdio::piped()).output().unwrap();
        let said = text(&output.stderr);
        let lines: Vec<_> = said.lines().filter(|line| line.contains("could not be written")).collect();
        assert_eq!(lines.len(), 1, "{said}");
        let line = "cordon: the command's standard output could not be written: No space left on device";
        assert!(lines[0].starts_with(line), "{said}");
        assert_eq!(output.status.code(), Some(code), "{script}");
        let outcome = place.outcome();
        assert!(outcome["stdout"]["cut_off"].as_str().unwrap().contains("No space left"), "{outcome}");
        assert_eq!(outcome["stdout"]["passed_on"], 0);
        assert_eq!(outcome["stderr"]["cut_off"], Value::Null);
        let again = place.output(&["output", place.file("outcome").to_str().unwrap()]);
        assert!(again.stdout.starts_with(if script == "exec yes" { b"y\ny\n" } else { b"hello\n" }));
        assert_eq!(place.verify().0, Some(3));
    }
    // Where standard error is the one, nobody can be told; the exit code says it.
    let place = Place::new();
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = place.evidence(&["run", "--", "sh", "-c", "echo trouble >&2"]);
    assert_eq!(command.stderr(full).status().unwrap().code(), Some(1));
    assert!(place.outcome()["stderr"]["cut_off"].as_str().unwrap().contains("No space left"));
    let help = text(&place.output(&["run", "--help"]).stdout);
    assert!(help.contains("1    the command succeeded, and its output could not be written"), "{help}");
}

/// The command looks at the peak memory of the process that records it.
#[test]
fn memory_stays_flat_however_much_is_printed() {
    let peak = |bytes: u64| {
        let place = Place::new();
        let script = format!("head -c {bytes} /dev/urandom; head -c {bytes} /dev/urandom >&2; grep VmHWM /proc/$PPID/status >peak");
        let mut command = place.evidence(&["run", "--", "sh", "-c", &script]);
        assert!(command.stdout(Stdio::null()).stderr(Stdio::null()).status().unwrap().success());
        let outcome = place.outcome();
        assert_eq!((outcome["stdout"]["bytes"].as_u64(), outcome["stderr"]["bytes"].as_u64()), (Some(bytes), Some(bytes)));
        let line = fs::read_to_string(place.path("peak")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    if !Path::new("/proc/self/status").exists() {
        return;
    }
    let (small, large) = (peak(1_000), peak(100_000_000));
    eprintln!("peak memory: {small} kB for 2 kB of output, {large} kB for 200 MB");
    // Two pieces being filled, one on its way, one being stored: 32 MiB, and half as much again for luck.
    assert!(large < small + 48 * 1024, "{large} kB");
}

#[test]
fn altered_and_missing_blobs_are_named() {
    let place = Place::new();
    place.output(&["run", "--", "sh", "-c", "printf abc; printf def >&2"]);
    let blobs: Vec<_> = place.files().into_iter().filter(|path| path.to_str().unwrap().contains("/blob/")).collect();
    assert_eq!(blobs.len(), 2);
    for blob in blobs {
        let name = blob.file_name().unwrap().to_str().unwrap().to_owned();
        let fails = || {
            let (code, report) = place.verify();
            let named = report.lines().any(|line| line.starts_with("FAILED: blob/") && line.contains(&name));
            assert!(code == Some(1) && named, "{report}");
        };
        let good = fs::read(&blob).unwrap();
        fs::write(&blob, b"abd").unwrap();
        fails();
        fs::write(&blob, vec![0; (8 << 20) + 1]).unwrap();
        fails();
        fs::remove_file(&blob).unwrap();
        fails();
        let outcome = place.file("outcome");
        let stream = if good == b"abc" { "stdout" } else { "stderr" };
        let output = place.output(&["output", "--stream", stream, outcome.to_str().unwrap()]);
        assert!(output.status.code() == Some(1) && text(&output.stderr).contains(&name), "{}", text(&output.stderr));
        fs::write(&blob, good).unwrap();
    }
    assert_eq!(place.verify().0, Some(3));
}

/// A record of one store must not be looked for in another, which may have one of the same name.
#[test]
fn a_record_of_another_store_is_not_taken_for_one_of_this() {
    let place = Place::new();
    place.output(&["run", "--store", "others", "--", "echo", "theirs"]);
    place.output(&["run", "--", "echo", "ours"]);
    let ours = place.file("outcome");
    let key = ours.strip_prefix(place.path("evidence")).unwrap().to_str().unwrap();
    let found = walk(place.path("others"));
    let theirs = found.iter().find(|path| path.to_str().unwrap().contains("outcome")).unwrap();
    let their_key = theirs.strip_prefix(place.path("others")).unwrap().to_str().unwrap();
    for verb in ["show", "output"] {
        for path in
            [theirs.to_str().unwrap(), &format!("others/{their_key}"), &format!("s3://bucket/{key}"), &format!("nowhere/{key}")]
        {
            let output = place.output(&[verb, path]);
            let said = text(&output.stderr);
            assert!(output.status.code() == Some(1) && output.stdout.is_empty(), "{verb} {path}: {said}");
            let store = path.split("/rec/").next().unwrap();
            assert!(said.contains(&format!("and `evidence` is where it would be looked for: give --store {store}")), "{said}");
        }
        // The folder by any of its names, or the key alone.
        for path in [key, &format!("evidence/{key}"), &format!("./others/../evidence/{key}"), ours.to_str().unwrap()] {
            assert_eq!(place.output(&[verb, path]).status.code(), Some(0), "{verb} {path}");
        }
        assert_eq!(place.output(&[verb, theirs.to_str().unwrap(), "--store", "others"]).status.code(), Some(0));
        // A key alone is looked for, and where is said.
        let said = text(&place.output(&[verb, their_key]).stderr);
        assert!(said.contains("`evidence`: `rec/run/") && said.contains("is not in the store"), "{said}");
    }
}

/// Every function that the template gives a key to sign with, in its order; the sealer comes last.
fn every_signer() -> Vec<String> {
    let template = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../template.yaml")).unwrap();
    let mut function = None;
    let mut signers = Vec::new();
    for line in template.lines().map(str::trim) {
        function = line.strip_prefix("CodeUri: functions/").map(str::to_owned).or(function);
        if line.starts_with("CORDON_SIGNING_KEY: ") {
            signers.extend(function.take());
        }
    }
    assert!(signers.len() > 3, "{signers:?}");
    signers.sort_by_key(|function| function == "seal");
    signers
}

/// A key may be somebody's own, or a keyring's root: what comes next is said of both.
#[test]
fn a_new_key_says_what_to_do_with_it() {
    let place = Place::new();
    let said = text(&place.output(&["keygen", "key.pem"]).stdout);
    let fingerprint = said.split("fingerprint  ").nth(1).unwrap().lines().next().unwrap();
    // What is printed can be done: its public half, a keyring with it, and the one root.
    let pipe = "openssl pkey -in key.pem -pubout -out key.pub";
    assert!(said.contains(pipe), "{said}");
    assert!(Command::new("sh").current_dir(place.0.path()).args(["-c", pipe]).status().unwrap().success());
    place.output(&["keygen", "root.pem"]);
    place.output(&["run", "--key", "key.pem", "--", "true"]);
    let root = text(&place.output(&["trust", "new", "--key", "root.pem", "--store", "evidence", "run=key.pub"]).stdout);
    assert!(said.contains("run=key.pub") && root.contains(fingerprint), "{said}{root}");
    // A keyring that leaves a function out calls all of that one's records nobody's.
    let every = every_signer().iter().map(|function| format!("{function}=KEY_ARN")).collect::<Vec<_>>().join(" ");
    assert!(said.contains(&format!("cordon evidence trust new --key key.pem --store s3://BUCKET {every}\n")), "{said}");
    let help = text(&place.output(&["trust", "--help"]).stdout);
    assert!(
        help.split_whitespace().collect::<Vec<_>>().join(" ").contains(&format!("--store s3://my-evidence \\ {every} ")),
        "{help}"
    );
    let readme = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../README.md")).unwrap();
    assert!(readme.contains(&format!("cordon evidence trust new --key root.pem --store s3://BUCKET {every}\n")));
    assert!(said.contains(&format!("cordon evidence verify --root {fingerprint} s3://BUCKET")), "{said}");
    assert!(said.contains(&format!("cordon evidence verify --root run={fingerprint} FOLDER")), "{said}");
}

#[test]
fn arguments_are_redacted_as_asked() {
    for (options, command, kept, gone) in [
        (vec![], "--token=hunter2", "[redacted: value of a secret's name]", "hunter2"),
        (vec!["--no-redact"], "--token=hunter2", "hunter2", "[redacted"),
        (vec!["--redact", "case-([0-9]+)"], "case-4711", "case-[redacted: --redact, number 1]", "4711"),
    ] {
        let place = Place::new();
        let arguments: Vec<_> = ["run"].into_iter().chain(options).chain(["--", "echo", command]).collect();
        let output = place.output(&arguments);
        assert_eq!(text(&output.stdout), format!("{command}\n"), "the command gets what was typed");
        let shown = text(&place.output(&["show", place.file("intent").to_str().unwrap()]).stdout);
        let line = shown.lines().find(|line| line.starts_with("command")).unwrap();
        // The shown word is quoted as a shell would want it.
        let line = line.replace(r"'\''", "'");
        assert!(line.contains(kept) && !line.contains(gone), "{shown}");
    }
}

#[test]
fn wrong_arguments_run_nothing() {
    let place = Place::new();
    for arguments in [
        &["run", "touch", "marker"][..],
        &["run"],
        &["run", "--due", "soon", "--", "touch", "marker"],
        &["run", "--store", "s3://bucket/prefix", "--", "touch", "marker"],
        &["run", "--redact", "(", "--", "touch", "marker"],
    ] {
        assert_eq!(place.output(arguments).status.code(), Some(2), "{arguments:?}");
    }
    assert!(!place.path("marker").exists());
    let help = text(&place.output(&["run", "--help"]).stdout);
    assert!(help.contains("stored EXACTLY") && help.contains("125") && help.contains("Examples:"), "{help}");
}

/// What a responder did by hand stands in the incident's timeline in words, like what a function did.
#[test]
fn runs_are_told_in_the_timeline_of_their_incident() {
    let (place, incident) = (Place::new(), "inc-0123456789abcdef0123");
    let run = |more: &[&str], command: &[&str]| {
        place.output(&[&["run", "--incident", incident], more, &["--"], command].concat());
    };
    run(&["--purpose", "who is logged in"], &["sh", "-c", "printf 12345; printf 12 >&2; exit 3"]);
    run(&[], &["no-such-command-anywhere"]);
    let output = place.output(&["timeline", incident, "evidence"]);
    let said = text(&output.stdout);
    for part in [
        "2 commands were run by hand and recorded; no finding is among these records.",
        "run: `sh -c printf 12345; printf 12 >&2; exit 3` (who is logged in)",
        "The command exited with 3 after ",
        "; it printed 5 bytes and 2 on standard error",
        "The command never started: command not found",
    ] {
        assert!(said.contains(part), "no `{part}` in {said}");
    }
    assert!(!said.contains("does not know") && !said.contains("0 steps"), "{said}");
    // A key file, or nobody, is not said to be KMS.
    let record = place.files().into_iter().find(|path| path.to_str().unwrap().contains("-intent.json")).unwrap();
    let output = place.output(&["custody", record.strip_prefix(place.path("evidence")).unwrap().to_str().unwrap(), "evidence"]);
    let said = text(&output.stdout);
    let vouched = said.lines().find(|line| line.starts_with("vouched for by")).unwrap();
    assert!(vouched.contains("nobody") && !vouched.contains("KMS"), "{said}");
}

#[test]
fn a_command_that_never_started_is_told_of() {
    let place = Place::new();
    for (command, code, cause) in [("no-such-command-anywhere", 127, "command not found"), ("/etc/passwd", 126, "")] {
        let output = place.output(&["run", "--", command]);
        assert_eq!(output.status.code(), Some(code));
        let said = text(&output.stderr);
        assert!(said.contains(&format!("cordon: the command never started: {cause}")), "{said}");
    }
}
