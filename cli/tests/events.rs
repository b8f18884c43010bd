//! One test for each sample event: what `cordon plan` says about it, parse, decision and plan.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::path::Path;
use std::process::Command;

fn finding(path: &Path) -> datatest_stable::Result<()> {
    planned(path, "snapshots")
}

fn leak(path: &Path) -> datatest_stable::Result<()> {
    planned(path, "snapshots/leaks")
}

fn planned(path: &Path, snapshots: &str) -> datatest_stable::Result<()> {
    let output = Command::new(env!("CARGO_BIN_EXE_cordon")).args(["plan", "--drill", "--event"]).arg(path).output()?;
    let text = String::from_utf8(output.stdout)? + &String::from_utf8(output.stderr)?;
    let name = path.file_stem().unwrap().to_str().unwrap();
    insta::with_settings!({ snapshot_path => snapshots, prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(name, format!("exit code {}\n{text}", output.status.code().unwrap()));
    });
    Ok(())
}

datatest_stable::harness! {
    { test = finding, root = "../events/guardduty", pattern = r"\.json$" },
    { test = leak, root = "../events/leaks", pattern = r"\.json$" },
}
