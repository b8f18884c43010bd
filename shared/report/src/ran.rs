//! What a record says of a command that a responder ran, in words.

use serde::Deserialize;
use serde_json::Value;

use crate::body::{list, maybe, variant};
use crate::clean::{Words, clean};
use crate::words::{count, duration};

/// So much of a command is told; the record has all of it.
const TOLD: usize = 200;

/// The fields of a run's intent and outcome that reports use (`witnessed` writes them).
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Ran {
    #[serde(deserialize_with = "list")]
    argv: Vec<Words>,
    #[serde(deserialize_with = "maybe")]
    host: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    purpose: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    user: Option<User>,
    #[serde(deserialize_with = "maybe")]
    ending: Option<Value>,
    #[serde(deserialize_with = "maybe")]
    duration_ms: Option<i64>,
    #[serde(deserialize_with = "maybe")]
    stdout: Option<Stream>,
    #[serde(deserialize_with = "maybe")]
    stderr: Option<Stream>,
}

#[derive(Debug, Clone, Deserialize)]
struct User {
    id: Words,
    name: Option<Words>,
}

#[derive(Debug, Clone, Deserialize)]
struct Stream {
    bytes: Words,
}

impl Ran {
    /// What was about to be run.
    pub(crate) fn intent(&self) -> String {
        let mut command = self.argv.iter().map(Words::as_str).collect::<Vec<_>>().join(" ");
        if let Some((end, _)) = command.char_indices().nth(TOLD) {
            command.truncate(end);
            command.push('…');
        }
        let command =
            if command.is_empty() { "a command that is too long for a record".to_owned() } else { format!("`{command}`") };
        let user = self.user.as_ref().map_or_else(
            || "Somebody".to_owned(),
            |user| user.name.as_ref().map_or_else(|| format!("User {}", user.id), ToString::to_string),
        );
        let host = self.host.as_ref().map(|host| format!(" on {host}")).unwrap_or_default();
        let purpose = self.purpose.as_ref().map(|purpose| format!(" ({purpose})")).unwrap_or_default();
        format!("{user}{host} was about to run: {command}{purpose}")
    }

    /// What came of it; none if the record does not say so in a form that is known.
    pub(crate) fn outcome(&self) -> Option<String> {
        let (kind, of) = variant(self.ending.as_ref()?)?;
        let number = |field: &str| of.get(field).and_then(Value::as_i64).map_or_else(|| "(unknown)".to_owned(), |n| n.to_string());
        let cause = || of.get("cause").and_then(Value::as_str).map_or_else(|| "(unknown)".to_owned(), clean);
        let started = match kind {
            "exited" => format!("exited with {}", number("code")),
            "killed" => format!("was killed by signal {}", number("signal")),
            "unknown" => format!("ended, and the system did not say how: {}", cause()),
            "not_found" => return Some("The command never started: command not found".to_owned()),
            "not_executable" => return Some(format!("The command never started: {}", cause())),
            "stopped" => return Some(format!("The command never started: stopped by signal {} before", number("signal"))),
            _ => return None,
        };
        let after = self.duration_ms.map(|millis| format!(" after {}", duration(millis))).unwrap_or_default();
        let bytes = |stream: &Option<Stream>| stream.as_ref().and_then(|stream| stream.bytes.as_str().parse::<usize>().ok());
        let printed = match (bytes(&self.stdout), bytes(&self.stderr)) {
            (Some(out), Some(err)) => format!("; it printed {} and {err} on standard error", count(out, "byte")),
            _ => String::new(),
        };
        Some(format!("The command {started}{after}{printed}"))
    }
}
