//! `cordon release`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use ids::{IncidentId, Sha256};
use plan::release::Proposal;
use serde_json::{Value, json};

use crate::signed::{Asked, open, printable};

/// Undo a revocation, with a second person: ask, look, approve, deny.
///
/// The deployed function derives what would be lifted and what stays, a second person approves exactly that by its digest, and the function
/// lifts it, with evidence. A leaked key stays inactive for good. Requests are signed with your own AWS credentials: you are the person that
/// your Identity Center role names.
#[derive(Debug, Subcommand)]
#[command(after_long_help = "\
Exit codes:
  0  it is as you asked
  1  it is refused, or could not be asked
  2  wrong arguments

Examples:
  cordon release ask inc-0123456789abcdef0123 --reason 'the key was a decoy' --api https://API.execute-api.eu-central-1.amazonaws.com
  cordon release show inc-0123456789abcdef0123
  cordon release approve inc-0123456789abcdef0123 --digest FINGERPRINT
  cordon release deny inc-0123456789abcdef0123 --reason 'the bucket is not looked through yet'")]
pub(crate) enum Release {
    /// Ask that an incident's revocation is undone. Nothing is changed by asking.
    Ask(Ask),
    /// Show what was asked, what would be lifted and what stays, and what became of it.
    Show(Show),
    /// Approve what a digest stands for, as a second person, and have it carried out.
    Approve(Approve),
    /// Refuse what was asked, or take back what you have asked yourself.
    Deny(Deny),
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The incident, as the revocation's answer and records name it.
    incident: IncidentId,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Ask although sessions that were stolen may not have run out yet: they would work again until then.
    #[arg(long)]
    early: bool,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The incident.
    incident: IncidentId,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The incident.
    incident: IncidentId,
    /// The digest that `cordon release show` printed: that, and nothing else, is approved.
    #[arg(long, value_name = "DIGEST")]
    digest: Sha256,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// The incident.
    incident: IncidentId,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
struct Api {
    /// The API's address (the stack's output `ReleaseApi`).
    #[arg(long = "api", value_name = "URL", env = "CORDON_RELEASE_API")]
    address: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Release) -> anyhow::Result<ExitCode> {
    let path = |incident: &IncidentId, rest: &str| format!("/releases/{incident}{rest}");
    let (api, method, path, body) = match command {
        Release::Ask(Ask { incident, reason, early, api }) => {
            let body = json!({ "incident": incident, "reason": reason, "early": early });
            (api, "POST", "/releases".to_owned(), Some(body))
        }
        Release::Show(Show { incident, api }) => (api, "GET", path(incident, ""), None),
        Release::Approve(Approve { incident, digest, api }) => {
            (api, "POST", path(incident, "/approval"), Some(json!({ "digest": digest })))
        }
        Release::Deny(Deny { incident, reason, api }) => {
            (api, "POST", path(incident, "/denial"), Some(json!({ "reason": reason })))
        }
    };
    let (runtime, service) = open(api.address.as_deref(), "ReleaseApi")?;
    let asked = Asked { method, path: &path, idempotency_key: None, body: body.as_ref() };
    let answer = runtime.block_on(service.ask(asked))?;
    checked(&answer)?;
    let text = if api.json { serde_json::to_string_pretty(&answer)? + "\n" } else { words(&answer) };
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")?;
    let state = answer.get("state").and_then(Value::as_str).unwrap_or_default();
    let good = match command {
        Release::Approve(_) => ["Released", "Kept"].contains(&state),
        Release::Deny(_) => state == "Denied",
        Release::Ask(_) | Release::Show(_) => true,
    };
    Ok(ExitCode::from(u8::from(!good)))
}

/// What is shown has to be what the digest stands for: it is computed again here.
fn checked(answer: &Value) -> anyhow::Result<()> {
    let proposal = answer.get("proposal").cloned().context("the answer proposes nothing")?;
    let proposal: Proposal = serde_json::from_value(proposal).context("the proposal is of another version than this program")?;
    let digest = proposal.digest()?.to_string();
    if answer.get("digest").and_then(Value::as_str) != Some(&digest) {
        bail!("the digest in the answer is not that of what it proposes: approve nothing, and look at the function");
    }
    Ok(())
}

/// An answer for people.
fn words(answer: &Value) -> String {
    let line = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(printable).unwrap_or_default();
    let mut said = String::new();
    // Writing to a string cannot fail.
    let _infallible = writeln!(said, "{} (until {})", line(answer, "state"), line(answer, "expires"));
    if let Some(Ok(proposal)) = answer.get("proposal").cloned().map(serde_json::from_value::<Proposal>) {
        let text = proposal.to_string();
        let _infallible = writeln!(said, "{}", text.lines().map(printable).collect::<Vec<_>>().join("\n"));
    }
    if let Some(verdict) = answer.get("verdict") {
        let _infallible = writeln!(said, "  {}: {}", line(verdict, "word"), line(verdict, "reason"));
    }
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    for open in list(answer.get("outcome").and_then(|outcome| outcome.get("left_open"))) {
        let _infallible = writeln!(said, "  open: {}", printable(open.as_str().unwrap_or_default()));
    }
    for record in list(answer.get("records")) {
        let _infallible = writeln!(said, "  record: {}", printable(record.as_str().unwrap_or_default()));
    }
    let _infallible = writeln!(said, "digest {}", line(answer, "digest"));
    if line(answer, "state") == "Open" {
        let incident = line(answer, "incident");
        let _infallible = writeln!(said, "A second person: cordon release approve {incident} --digest {}", line(answer, "digest"));
    }
    said
}
