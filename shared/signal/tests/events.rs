//! Every sample event is a test: what the door makes of it is a snapshot.

use std::path::Path;

use insta::assert_json_snapshot;
use serde::Serialize;
use signal::{Door, Refused, Signal, parse};

/// Where the door is open as far as it goes and, if that makes a difference, where it is as closed as it goes.
#[derive(Serialize)]
struct Outcome {
    open: Result<Signal, Box<Refused>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    open_message: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed: Option<Result<Signal, Box<Refused>>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_message: Option<String>,
}

fn message(outcome: &Result<Signal, Box<Refused>>) -> Option<String> {
    outcome.as_ref().err().map(ToString::to_string)
}

fn event(path: &Path) -> datatest_stable::Result<()> {
    let bytes = std::fs::read(path)?;
    let open = parse(&bytes, &Door { administrator: Some("999988887777".parse()?), drill: true });
    let closed = Some(parse(&bytes, &Door::default())).filter(|closed| *closed != open);

    // What goes into evidence can be read back from it.
    let text = serde_json::to_string(&open)?;
    assert_eq!(serde_json::from_str::<Result<Signal, Box<Refused>>>(&text)?, open);

    let outcome = Outcome { open_message: message(&open), closed_message: closed.as_ref().and_then(message), open, closed };
    let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("the file has no name")?;
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        assert_json_snapshot!(name, outcome);
    });
    Ok(())
}

datatest_stable::harness! {
    { test = event, root = "../../events/guardduty", pattern = r"\.json$" },
}
