//! Every sample report of a leak is a test: what the door makes of it is a snapshot.

use std::path::Path;

use insta::assert_json_snapshot;
use serde::Serialize;
use signal::{Door, Leak, Refused, parse_leaks};

type Said = Result<Vec<Leak>, Box<Refused>>;

/// Where the door is open as far as it goes and, if that makes a difference, where it is as closed as it goes.
#[derive(Serialize)]
struct Outcome {
    open: Said,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_message: Option<String>,
}

fn message(outcome: &Said) -> Option<String> {
    outcome.as_ref().err().map(ToString::to_string)
}

fn leaks(path: &Path) -> datatest_stable::Result<()> {
    let bytes = std::fs::read(path)?;
    let open = parse_leaks(&bytes, &Door { administrator: Some("999988887777".parse()?), drill: true });
    let closed = parse_leaks(&bytes, &Door::default());

    // What goes into evidence can be read back from it.
    let text = serde_json::to_string(&open)?;
    assert_eq!(serde_json::from_str::<Said>(&text)?, open);

    let outcome = Outcome { open_message: message(&open), closed_message: message(&closed).filter(|_| closed != open), open };
    let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("the file has no name")?;
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots/leaks" }, {
        assert_json_snapshot!(name, outcome);
    });
    Ok(())
}

datatest_stable::harness! {
    { test = leaks, root = "../../events/leaks", pattern = r"\.json$" },
}
