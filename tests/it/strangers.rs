//! `openssl` checks a record by the commands of the README, word for word.

use std::process::Command;

use tempfile::TempDir;

/// The README's block of commands, with its example paths replaced.
fn commands(record: &str, key: &str) -> String {
    let readme = std::fs::read_to_string(scenarios::repository().join("README.md")).unwrap();
    let after = readme.split("<!-- openssl -->").nth(1).unwrap();
    let block = after.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    assert!(block.contains("RECORD=") && block.contains("KEY="), "{block}");
    let fixed: Vec<_> = block.lines().filter(|line| !line.starts_with("RECORD=") && !line.starts_with("KEY=")).collect();
    format!("set -e\nRECORD={record}\nKEY={key}\n{}\n", fixed.join("\n"))
}

fn records() -> Vec<std::path::PathBuf> {
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
    let output = Command::new("sh").args(["-c", &commands(record, key.to_str().unwrap())]).current_dir(&work).output();
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
