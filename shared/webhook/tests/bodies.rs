//! Every sample body is a test: what its door makes of it is a snapshot, and no secret is in it. A body is named `DOOR-WHAT.json`.

use std::collections::BTreeMap;
use std::path::Path;

use insta::assert_json_snapshot;
use redact::{Config, Redactor};
use serde::Serialize;
use signal::Leak;
use webhook::{Admitted, Request, Surroundings, admit};

mod senders;

/// What stands in the bodies and must stand nowhere else: a secret key, a canary's token and its management's.
const SECRETS: [&str; 3] = ["wJalrXUtnFEMIK7MDENG", "q1w2e3r4t5y6u7i8", "9f8e7d6c5b4a3928"];

#[derive(Serialize)]
#[serde(rename_all = "snake_case")]
enum Outcome {
    Nothing(&'static str),
    Leaks {
        leaks: Vec<Leak>,
        #[serde(skip_serializing_if = "Option::is_none")]
        ask_github_at: Option<String>,
    },
    Refused(String),
}

fn bodies(path: &Path) -> datatest_stable::Result<()> {
    let body = std::fs::read(path)?;
    let name = path.file_stem().and_then(|stem| stem.to_str()).ok_or("the file has no name")?;
    let door = name.split('-').next().ok_or("the file names no door")?;
    let now = "2026-11-24T20:00:01Z".parse()?;
    let (headers, ticket): (BTreeMap<String, String>, _) = senders::proof(door, &body, now);
    let request = Request { door, ticket: ticket.as_deref(), query: false, headers: &headers, body: &body };
    let (keys, wrong) = senders::keys();
    assert!(wrong.is_empty());
    let redactor = Redactor::new(&Config::default())?;
    let home = "123456789012".parse()?;
    let outcome = match admit(&request, &Surroundings { keys: &keys, redactor: &redactor, home: &home, now }) {
        Ok(Admitted::Nothing { reason }) => Outcome::Nothing(reason),
        Ok(Admitted::Leaks { leaks, alert, .. }) => {
            // What is passed on is what the other side takes.
            let passed: Vec<Leak> = serde_json::from_str(&serde_json::to_string(&leaks)?)?;
            let taken: Result<Vec<_>, _> = passed.into_iter().map(Leak::relayed).collect();
            assert_eq!(taken?, leaks);
            Outcome::Leaks { leaks, ask_github_at: alert.map(|(alert, _)| alert.path()) }
        }
        Err(refusal) => Outcome::Refused(format!("{} {refusal}", refusal.status())),
    };
    let text = serde_json::to_string(&outcome)?;
    for secret in SECRETS {
        assert!(!text.contains(secret), "{text}");
    }
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true, snapshot_path => "snapshots" }, {
        assert_json_snapshot!(name, outcome);
    });
    Ok(())
}

datatest_stable::harness! {
    { test = bodies, root = "../../events/webhooks", pattern = r"\.json$" },
}
