//! An archive as large as one likes, verified by the program as it is built.
//!
//! `CORDON_SCALE` is the number of records (3,000 if not given), `CORDON_BIN` another build of the program. A second archive of a fifth of
//! that shows that memory does not grow with it. By hand, for the figures in
//! `docs/architecture.md`: `CORDON_SCALE=100000 CORDON_BIN=… cargo nextest run --workspace --no-capture -E 'test(an_archive_of_any_size)'`.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ids::Timestamp;
use tempfile::TempDir;

mod sealed;

/// As many as in the figures. The times are of no matter.
fn make(count: usize) -> (TempDir, Vec<String>) {
    sealed::make(count, Timestamp::from_millis(1_790_000_000_000).unwrap(), 60)
}

/// The program's answer, its time, and its peak memory in MiB where the kernel tells.
fn verify(folder: &Path, roots: &[String]) -> (String, f64, Option<f64>) {
    let program = std::env::var_os("CORDON_BIN").map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_cordon")), PathBuf::from);
    let began = Instant::now();
    let mut command = Command::new(program);
    command.args(["evidence", "verify"]).arg(folder).args(roots).stdout(std::process::Stdio::piped());
    let child = command.spawn().unwrap();
    let status = PathBuf::from(format!("/proc/{}/status", child.id()));
    let watch = std::thread::spawn(move || {
        let mut peak = None;
        while let Ok(text) = std::fs::read_to_string(&status) {
            let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let Some(kib) = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok()) else { break };
            peak = Some(kib / 1024.0);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        peak
    });
    let output = child.wait_with_output().unwrap();
    let seconds = began.elapsed().as_secs_f64();
    (String::from_utf8(output.stdout).unwrap(), seconds, watch.join().unwrap())
}

#[test]
fn an_archive_of_any_size_is_verified_whole() {
    let count: usize = std::env::var("CORDON_SCALE").map_or(3000, |text| text.parse().unwrap());
    let (folder, roots) = make(count);
    let (said, seconds, peak) = verify(folder.path(), &roots);
    println!("{count} records: {seconds:.1} s, {peak:?} MiB at most\n{said}");
    let (smaller, roots_of_smaller) = make(count / 5);
    let (_, seconds, less) = verify(smaller.path(), &roots_of_smaller);
    println!("{} records: {seconds:.1} s, {less:?} MiB at most", count / 5);
    if let Some((more, less)) = peak.zip(less) {
        assert!(more < less + 8.0, "memory grows with the records: {less} MiB for a fifth of them, {more} MiB for all");
    }
    assert!(said.contains(&format!("VERIFIED: {count} records")), "{said}");
    // And one of them, from the middle, is missed.
    let mut records: Vec<PathBuf> = Vec::new();
    let mut folders = vec![folder.path().join("rec")];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { folders.push(path) } else { records.push(path) }
        }
    }
    records.sort();
    let gone = records.swap_remove(count / 2);
    std::fs::remove_file(&gone).unwrap();
    let (said, ..) = verify(folder.path(), &roots);
    let name = gone.file_name().unwrap().to_str().unwrap();
    assert!(said.lines().any(|line| line.starts_with("FAILED: ") && line.contains(name)), "{said}");
}
