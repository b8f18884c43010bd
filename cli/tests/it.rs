//! The program as a user runs it, on an archive that is checked in and on what an attacker would make of it.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

fn v1() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../events/records/v1")
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// A copy of the archive, and its record files in order of their names.
fn archive() -> (TempDir, Vec<PathBuf>) {
    let folder = TempDir::new().unwrap();
    copy(&v1().join("archive"), folder.path());
    let mut records = Vec::new();
    let mut folders = vec![folder.path().join("rec")];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { records.push(path) }
        }
    }
    records.sort();
    (folder, records)
}

fn cordon(arguments: &[&str]) -> (Option<i32>, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_cordon")).args(arguments).output().unwrap();
    (output.status.code(), String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap())
}

fn verify(folder: &TempDir) -> (Option<i32>, String) {
    cordon(&["evidence", "verify", folder.path().to_str().unwrap()])
}

fn name(path: &Path) -> String {
    path.file_name().unwrap().to_str().unwrap().to_owned()
}

#[track_caller]
fn fails_naming((code, text): (Option<i32>, String), what: &str) {
    assert_eq!(code, Some(1), "{text}");
    let named = text.lines().any(|line| line.starts_with("FAILED: ") && line.contains(what));
    assert!(named, "no line names `{what}`:\n{text}");
}

#[test]
fn an_archive_is_self_consistent_and_with_its_root_verified() {
    let (folder, _) = archive();
    let (code, text) = verify(&folder);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("SELF-CONSISTENT: 4 records of 1 session, 2 incidents"), "{text}");

    let fingerprint = text.split("endorsed by key ").nth(1).unwrap().split(' ').next().unwrap().to_owned();
    let (code, text) = cordon(&["evidence", "verify", "--root", &fingerprint, folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("VERIFIED: 4 records"), "{text}");

    let (code, text) = cordon(&["evidence", "verify", "--json", "--root", &"0".repeat(64), folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("\"standing\": \"failed\""), "{text}");
}

#[test]
fn one_flipped_byte_is_named_wherever_it_is() {
    let (folder, records) = archive();
    for record in &records {
        let good = fs::read(record).unwrap();
        for place in [0, good.len() / 3, good.len() / 2, good.len() - 1] {
            let mut bad = good.clone();
            bad[place] ^= 1;
            fs::write(record, bad).unwrap();
            fails_naming(verify(&folder), &name(record));
        }
        fs::write(record, good).unwrap();
    }
    // The same without a list of versions to compare with.
    fs::remove_file(folder.path().join("versions.json")).unwrap();
    let mut bad = fs::read(&records[0]).unwrap();
    bad[40] ^= 1;
    fs::write(&records[0], bad).unwrap();
    fails_naming(verify(&folder), &name(&records[0]));
}

#[test]
fn a_dropped_intent_is_named_with_and_without_the_list() {
    let (folder, records) = archive();
    let intent = records.iter().find(|path| name(path).contains("intent")).unwrap();
    fs::remove_file(intent).unwrap();
    fails_naming(verify(&folder), &name(intent));
    fs::remove_file(folder.path().join("versions.json")).unwrap();
    fails_naming(verify(&folder), &name(intent));
}

#[test]
fn a_second_version_is_named_listed_or_not() {
    let (folder, records) = archive();
    let second = records[0].with_file_name(format!("{}@v2", name(&records[0])));
    fs::copy(&records[0], &second).unwrap();
    fails_naming(verify(&folder), &name(&second));

    let list = folder.path().join("versions.json");
    let mut versions: serde_json::Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    let objects = versions["objects"].as_array_mut().unwrap();
    let mut copy = objects[0].clone();
    copy["version_id"] = "v2".into();
    copy["path"] = format!("{}@v2", copy["path"].as_str().unwrap()).into();
    let key = copy["key"].as_str().unwrap().to_owned();
    objects.insert(1, copy);
    fs::write(&list, serde_json::to_vec(&versions).unwrap()).unwrap();
    fails_naming(verify(&folder), &format!("{key}: 2 versions"));
}

#[test]
fn a_delete_marker_is_named() {
    let (folder, _) = archive();
    let list = folder.path().join("versions.json");
    let mut versions: serde_json::Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    let mut marker = versions["objects"][0].clone();
    marker["delete_marker"] = true.into();
    marker["version_id"] = "marker".into();
    marker["path"] = serde_json::Value::Null;
    let key = marker["key"].as_str().unwrap().to_owned();
    versions["objects"].as_array_mut().unwrap().insert(1, marker);
    fs::write(&list, serde_json::to_vec(&versions).unwrap()).unwrap();
    fails_naming(verify(&folder), &format!("{key}: hidden under delete marker"));
}

#[test]
fn a_path_that_leaves_the_archive_is_not_followed() {
    let (folder, _) = archive();
    let list = folder.path().join("versions.json");
    let mut versions: serde_json::Value = serde_json::from_slice(&fs::read(&list).unwrap()).unwrap();
    versions["objects"][0]["path"] = "../../etc/passwd".into();
    fs::write(&list, serde_json::to_vec(&versions).unwrap()).unwrap();
    fails_naming(verify(&folder), "does not say which file");
}

#[test]
fn an_archives_list_is_read_as_it_was_written_or_not_at_all() {
    let (folder, records) = archive();
    let list = folder.path().join("versions.json");
    let text = fs::read_to_string(&list).unwrap();
    let versions: serde_json::Value = serde_json::from_str(&text).unwrap();
    let edited = |edit: &dyn Fn(&mut Vec<serde_json::Value>)| {
        let mut versions = versions.clone();
        edit(versions["objects"].as_array_mut().unwrap());
        fs::write(&list, serde_json::to_vec(&versions).unwrap()).unwrap();
        verify(&folder)
    };
    let (code, said) = edited(&|objects| objects.swap(0, 1));
    assert!(code == Some(1) && said.contains("not in the order of its keys"), "{said}");
    // Two versions of one key cannot have one file, and a file that stands twice in the list hides that another is missing from it.
    let twice = edited(&|objects| {
        objects[1] = objects[0].clone();
        objects[1]["version_id"] = "v2".into();
    });
    fails_naming(twice.clone(), "twice, for two versions");
    fails_naming(twice, &format!("{}: not in versions.json", name(&records[1])));
    for wrong in [
        text.replace("cordon-archive/v1", "cordon-archive/v9"),
        text.replacen("\"format\"", "\"form\"", 1),
        text.replacen("\"objects\"", "\"things\"", 1),
        text.get(..text.len() / 2).unwrap().to_owned(),
        format!("{text}{text}"),
        "[]".to_owned(),
        String::new(),
    ] {
        fs::write(&list, &wrong).unwrap();
        let (code, said) = verify(&folder);
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains("versions.json"), "{said}");
        assert!(!said.contains("SELF-CONSISTENT"), "{said}");
    }
}

#[test]
fn nothing_is_not_success() {
    let (code, text) = verify(&TempDir::new().unwrap());
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("NOTHING TO VERIFY"), "{text}");
    let (code, text) = cordon(&["evidence", "verify", "no/such/folder"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is not a folder. Give the folder that holds `rec/`"), "{text}");
}

#[test]
fn a_wrong_argument_says_what_to_do() {
    let (code, text) = cordon(&["evidence", "verify", "--root", "abc", "."]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("expected FINGERPRINT or FUNCTION=FINGERPRINT"), "{text}");
    let (code, text) = cordon(&["evidence", "verify", "--help"]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("Exit codes:") && text.contains("Examples:"), "{text}");
}

#[test]
fn a_plan_that_cannot_be_made_says_what_is_missing() {
    let (code, text) = cordon(&["plan", "--event", "no-such-file.json"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("could not read `no-such-file.json`"), "{text}");
    let event = v1().join("../../guardduty/drill.json");
    let (code, text) = cordon(&["plan", "--event", event.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.starts_with("Refused: "), "{text}");
    let (code, text) = cordon(&["plan", "--live", "--event", event.to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("which function? Give --function NAME"), "{text}");
}

#[test]
fn every_report_is_made_and_says_what_its_evidence_is_worth() {
    let (folder, records) = archive();
    let path = folder.path().to_str().unwrap();
    let incident = "inc-582222c0ebe0c78fc33d";
    let record = records[0].strip_prefix(folder.path()).unwrap().to_str().unwrap();
    let reports: [&[&str]; 11] = [
        &["timeline", incident, path],
        &["timeline", incident, path, "--format", "json"],
        &["timeline", incident, path, "--format", "timesketch"],
        &["timeline", incident, path, "--format", "iris"],
        &["timeline", incident, path, "--format", "html"],
        &["slo", path, "--from", "2026-11-01", "--to", "2026-12-01", "--target", "seal-lag=99%@70"],
        &["slo", path, "--format", "html"],
        &["population", path],
        &["controls", path],
        &["custody", record, path],
        &["export", path, "--format", "ocsf"],
    ];
    for report in reports {
        let (code, text) = cordon(&[&["evidence"], report].concat());
        assert_eq!(code, Some(0), "{report:?}: {text}");
        assert!(text.contains("SELF-CONSISTENT"), "{report:?}: {text}");
    }
    // With one byte flipped every one is still made; the failure is said first, and is the exit code.
    let mut bad = fs::read(&records[3]).unwrap();
    bad[40] ^= 1;
    fs::write(&records[3], bad).unwrap();
    for report in reports {
        let (code, text) = cordon(&[&["evidence"], report].concat());
        assert_eq!(code, Some(1), "{report:?}: {text}");
        let stands_first = text.starts_with("FAILED: ") || text.contains("\nFAILED: ") || text.contains(">FAILED<");
        assert!(stands_first && text.contains(&name(&records[3])), "{report:?}: {text}");
    }
}

#[test]
fn the_slo_of_records_that_tell_no_times_is_no_data() {
    let (folder, _) = archive();
    let (code, text) = cordon(&["evidence", "slo", folder.path().to_str().unwrap(), "--format", "json"]);
    assert_eq!(code, Some(0), "{text}");
    let (json, _) = text.split_once("\nSELF-CONSISTENT").unwrap();
    let slo: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!(slo["production"]["metrics"][0]["verdict"], "no_data", "{json}");
    assert_eq!(slo["production"]["metrics"][0]["excluded"].as_array().unwrap().len(), 2);
    // The store's times are in the list of versions, so this one has data.
    assert_eq!(slo["production"]["metrics"][4]["count"], 4);
}

#[test]
fn oscal_goes_beside_its_plan_and_never_among_the_evidence() {
    let (folder, _) = archive();
    let path = folder.path().to_str().unwrap();
    let (code, text) = cordon(&["evidence", "export", path, "--format", "oscal"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("give --output FILE"), "{text}");

    let among = folder.path().join("results.json");
    let (code, text) = cordon(&["evidence", "export", path, "--format", "oscal", "--output", among.to_str().unwrap()]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("lies among the evidence") && !among.exists(), "{text}");

    let out = TempDir::new().unwrap();
    let results = out.path().join("results.json");
    let (code, text) = cordon(&["evidence", "export", path, "--format", "oscal", "--output", results.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}");
    let results: serde_json::Value = serde_json::from_slice(&fs::read(results).unwrap()).unwrap();
    let plan = results["assessment-results"]["import-ap"]["href"].as_str().unwrap();
    let plan = out.path().join(plan);
    // The stub is written again; a plan of the reader's own is not written over.
    fs::write(&plan, fs::read_to_string(&plan).unwrap().replace("reviewed-controls", "stale")).unwrap();
    let export = || {
        cordon(&["evidence", "export", path, "--format", "oscal", "--output", out.path().join("results.json").to_str().unwrap()])
    };
    assert_eq!(export().0, Some(0));
    let stub = fs::read_to_string(&plan).unwrap();
    assert!(stub.contains("reviewed-controls"));
    let own = stub.replace("Cordon: what is assessed", "Our plan for 2026");
    fs::write(&plan, &own).unwrap();
    let (code, text) = export();
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains("left as it is") && fs::read_to_string(&plan).unwrap() == own, "{text}");
}

/// Wrong arguments are told as such, and before evidence is read: it may be a bucket, and take minutes.
#[test]
fn what_is_wrong_with_the_arguments_is_said_first() {
    let (folder, records) = archive();
    let path = folder.path().to_str().unwrap();
    let missing = folder.path().join("no/such/report.json");
    let out = TempDir::new().unwrap();
    for (arguments, said) in [
        (&["slo", path, "--from", "2026-12-01", "--to", "2026-11-01"][..], "the period ends at 2026-11-01T00:00:00.000Z"),
        (&["population", "no/such/folder", "--from", "2026-12-01", "--to", "2026-11-01"], "the period ends at"),
        (&["population", path, "--from", "2026-13-01", "--to", "2027-01-01"], "2026-13-01"),
        (&["controls", path, "--output", missing.to_str().unwrap()], "there is no folder"),
        (&["controls", path, "--output", out.path().to_str().unwrap()], "is a folder: name a file"),
        (&["export", path, "--format", "oscal", "--profile", "record_integrity", "-o", "x.json"], "--profile is for OCSF events"),
        (&["export", path, "--format", "ocsf", "--profile", "datetime"], "record_integrity"),
        (&["timeline", "inc-1", path], "inc-1"),
        (&["custody", "rec/x.json", path], "not a record's key"),
    ] {
        let (code, text) = cordon(&[&["evidence"], arguments].concat());
        assert_eq!(code, Some(2), "{arguments:?}: {text}");
        assert!(text.contains(said) && !text.contains("SELF-CONSISTENT"), "{arguments:?}: {text}");
    }
    // A record may be named by the path that the shell completes.
    let (code, text) = cordon(&["evidence", "custody", records[0].to_str().unwrap(), path]);
    assert_eq!(code, Some(0), "{text}");
    assert!(text.contains(&name(&records[0])), "{text}");
}

#[test]
fn a_folder_that_holds_something_else_is_asked_about() {
    let folder = TempDir::new().unwrap();
    fs::write(folder.path().join("notes.txt"), "not evidence").unwrap();
    let (code, text) = verify(&folder);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("notes.txt") && text.contains("is this the folder that holds `rec/`?"), "{text}");
    let (code, text) = cordon(&["evidence", "population", folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("there is no readable record"), "{text}");
}

#[test]
fn a_reader_who_leaves_is_told_nothing() {
    let (folder, _) = archive();
    let path = folder.path().to_str().unwrap();
    for arguments in [&["verify", path][..], &["timeline", "inc-582222c0ebe0c78fc33d", path, "--format", "html"], &["slo", path]] {
        // It left before the first word: one who leaves later may have read it all.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let mut command = Command::new(env!("CARGO_BIN_EXE_cordon"));
        let output = command.arg("evidence").args(arguments).stdout(writer).stderr(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(141), "{arguments:?}");
        assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
    }
}

/// What a newcomer reads: every command says what it is for, and every option what it does.
#[test]
fn every_command_explains_itself() {
    let (_, list) = cordon(&["evidence", "--help"]);
    let commands = list.split("Commands:").nth(1).unwrap().split("Options:").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")).filter(|line| !line.starts_with(' '));
    let commands: Vec<_> = names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help").collect();
    assert!(commands.len() >= 13, "{commands:?}");
    for command in commands {
        let (code, help) = cordon(&["evidence", command, "--help"]);
        assert_eq!(code, Some(0), "{help}");
        let about = help.split("Usage:").next().unwrap().trim();
        assert!(about.len() > 30 && !about.starts_with("A report over"), "{command}: {about}");
        let blocks = help.split("\n\n").filter(|block| block.trim_start().starts_with('-') || block.trim_start().starts_with('<'));
        for block in blocks {
            // The name on one line, what it does below or beside it.
            assert!(block.trim().lines().count() > 1 || block.trim().contains("  "), "{command}: {block}");
        }
    }
}

#[test]
fn a_report_of_nothing_says_why() {
    let (folder, _) = archive();
    let path = folder.path().to_str().unwrap();
    let (code, text) = cordon(&["evidence", "timeline", "inc-00000000000000000000", path]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("no readable record is about inc-00000000000000000000"), "{text}");
    let (code, text) = cordon(&["evidence", "slo", path, "--target", "speed=95%@300"]);
    assert_eq!(code, Some(2), "{text}");
    assert!(text.contains("expected NAME=PERCENT%@SECONDS"), "{text}");
    let (code, text) = cordon(&["evidence", "population", path, "--from", "2026-11-01"]);
    assert_eq!(code, Some(2), "{text}");
    let (code, text) = cordon(&["evidence", "population", TempDir::new().unwrap().path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("NOTHING TO VERIFY") && text.contains("there is no readable record"), "{text}");
}

#[test]
fn half_an_archive_is_not_read() {
    let (folder, _) = archive();
    fs::write(folder.path().join(".cordon-archive-unfinished"), "").unwrap();
    let (code, text) = verify(&folder);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("half an archive: its download was cut off"), "{text}");
}

#[test]
fn an_archive_is_made_in_a_folder_of_its_own() {
    let (folder, _) = archive();
    let path = folder.path().to_str().unwrap();
    let (code, text) = cordon(&["evidence", "archive", "s3://evidence", path]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is not empty"), "{text}");
    let (code, text) = cordon(&["evidence", "archive", path, "elsewhere"]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("give the bucket as s3://BUCKET"), "{text}");
}

#[test]
fn a_record_without_a_log_has_no_receipt() {
    let (folder, records) = archive();
    let key = records[0].strip_prefix(folder.path()).unwrap().to_str().unwrap();
    let (code, text) = cordon(&["evidence", "proof", key, folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("is not in the log"), "{text}");
    fs::remove_file(&records[0]).unwrap();
    let (code, text) = cordon(&["evidence", "proof", key, folder.path().to_str().unwrap()]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("something does not hold, so there is no receipt"), "{text}");
}
