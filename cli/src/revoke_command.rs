//! `cordon revoke`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::{BufRead, BufReader, Read, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{ArgGroup, Args};
use ids::{AccessKeyId, AccountId, InstanceId, RoleName, SessionName, Timestamp, UserName};
use serde::Deserialize;
use serde_json::{Value, json};

use crate::function::{Function, invoke};

/// End a leaked credential, by the procedure of its kind.
///
/// The deployed function does it, under its own role and with evidence: it denies and disables, and deletes nothing. What can be revoked, what
/// is done and what survives it is in docs/credentials.md. Only ids are sent, never a secret.
///
/// A person's request is carried out in observe mode too; the global stop and protected principals hold for it as for any other.
#[derive(Debug, Args)]
#[command(group(ArgGroup::new("what").required(true).multiple(false).args(["key", "user", "role", "trufflehog"])))]
#[command(after_long_help = "\
Exit codes:
  0  it is ended, or there is nothing to end, or (with --dry-run) this is what would be done
  1  it is not ended: a person is needed, the function could not be asked, or its report is refused
  2  wrong arguments

Examples:
  cordon revoke AKIAIOSFODNN7EXAMPLE --dry-run
  cordon revoke AKIAIOSFODNN7EXAMPLE --since 2026-11-21T02:00:00Z
  cordon revoke --user ci-deployer
  cordon revoke --role storefront-deploy --session mallory
  cordon revoke --role storefront-deploy --every-session --dry-run
  cordon revoke --role storefront-deploy --every-session --users 3
  cordon revoke --role storefront-web --instance i-0447a53385d345b29
  trufflehog git file://. --json | cordon revoke --trufflehog -")]
pub(crate) struct Revoke {
    /// A long-lived key's id. A session's key (ASIA…) does not say whose it is: give the role and the session.
    #[arg(value_name = "KEY-ID")]
    key: Option<AccessKeyId>,
    /// A user, with all that it has.
    #[arg(long, value_name = "NAME")]
    user: Option<UserName>,
    /// A role, with --session, --instance or --every-session.
    #[arg(long, value_name = "NAME")]
    role: Option<RoleName>,
    /// One session of the role, by its name.
    #[arg(long, value_name = "NAME", requires = "role", conflicts_with = "instance")]
    session: Option<SessionName>,
    /// One instance that has the role. Others that have it go on.
    #[arg(long, value_name = "ID", requires = "role")]
    instance: Option<InstanceId>,
    /// Every session of the role from before now. Whatever has the role must be able to begin a new one, or it stops.
    #[arg(long, requires = "role", conflicts_with_all = ["session", "instance"])]
    every_session: bool,
    /// So many users of the role are to be hit, as --dry-run or the last answer counted them. Asked for where they are more than the stack's
    /// WholeRoleUsers, or not all known; refused if they have become more since.
    #[arg(long, value_name = "N", requires = "every_session")]
    users: Option<u32>,
    /// What TruffleHog found (its --json output), as a file, or - for standard input. Each AWS key in it is revoked.
    #[arg(long, value_name = "FILE")]
    trufflehog: Option<PathBuf>,
    /// The account. Without it, the key's own or the function's.
    #[arg(long, value_name = "ID")]
    account: Option<AccountId>,
    /// Since when it may have been in the wrong hands: keys that were made since are ended too.
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// Show what would be done. Nothing is changed, claimed or recorded.
    #[arg(long)]
    dry_run: bool,
    /// The deployed revoke function's name or ARN (the stack's output `RevokeFunctionName`).
    #[arg(long = "function", value_name = "NAME", env = "CORDON_REVOKE_FUNCTION_NAME")]
    function: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Revoke) -> anyhow::Result<ExitCode> {
    let one = [arguments.session.is_some(), arguments.instance.is_some(), arguments.every_session];
    if arguments.role.is_some() && !one.contains(&true) {
        bail!("a role has many sessions: give --session NAME, --instance ID or --every-session");
    }
    let Some(name) = &arguments.function else {
        bail!("which function? Give --function NAME (the stack's output `RevokeFunctionName`)");
    };
    let function = Function { name: Some(name.clone()) };
    let keys = match &arguments.trufflehog {
        Some(path) => found_in(path)?,
        None => arguments.key.iter().cloned().collect(),
    };
    let requests: Vec<Value> = if keys.is_empty() {
        vec![credential(arguments, None)]
    } else {
        keys.iter().map(|key| credential(arguments, Some(key))).collect()
    };
    let verb = if arguments.dry_run { "plan" } else { "revoke" };
    let mut ended = true;
    let several = requests.len() > 1;
    for credential in requests {
        let answer = match invoke(&function, &json!({ "cordon": verb, "credential": credential })) {
            Ok(answer) => answer,
            // One that could not be asked for keeps none of the others alive.
            Err(error) if several => {
                ended = false;
                let _unheard = writeln!(std::io::stderr(), "error: {}: {error:#}", text(&credential, "key"));
                continue;
            }
            Err(error) => return Err(error),
        };
        ended &= ["Revoked", "NothingToRevoke", "AlreadyDone", "Planned"].contains(&text(&answer, "outcome"));
        let shown = if arguments.json { serde_json::to_string_pretty(&answer)? + "\n" } else { words(&answer) };
        std::io::stdout().write_all(shown.as_bytes()).context("could not write the answer")?;
    }
    Ok(ExitCode::from(u8::from(!ended)))
}

fn credential(arguments: &Revoke, key: Option<&AccessKeyId>) -> Value {
    let Revoke { user, role, session, instance, every_session, users, account, since, .. } = arguments;
    let mut asked = json!({
        "key": key, "user": user, "role": role, "session": session, "instance": instance, "account": account, "since": since,
        "every_session": every_session.then_some(true), "users": users,
    });
    if let Some(asked) = asked.as_object_mut() {
        asked.retain(|_, value| !value.is_null());
    }
    asked
}

fn text<'a>(answer: &'a Value, name: &str) -> &'a str {
    answer.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// An answer for people: one part for each credential.
pub(crate) fn words(answer: &Value) -> String {
    let mut said = String::new();
    for told in answer.get("credentials").and_then(Value::as_array).into_iter().flatten() {
        // Writing to a string cannot fail.
        let _infallible = writeln!(said, "{}: {}", text(told, "outcome"), text(told, "reason"));
        said.push_str(text(told, "plan"));
        let list = |name: &str| told.get(name).and_then(Value::as_array).cloned().unwrap_or_default();
        for survivor in list("survives") {
            let until = text(&survivor, "until");
            let until = if until.is_empty() { String::new() } else { format!(" (until {until} at the latest)") };
            let _infallible = writeln!(said, "  goes on: {}{until}", text(&survivor, "what"));
        }
        for (name, word) in [("by_hand", "by hand"), ("degraded", "degraded"), ("records", "record")] {
            for line in list(name) {
                let _infallible = writeln!(said, "  {word}: {}", line.as_str().unwrap_or_default());
            }
        }
    }
    said
}

/// One line of TruffleHog's output. What it found is in there too, and is not read.
#[derive(Deserialize)]
struct Found {
    #[serde(rename = "DetectorName")]
    detector: Option<String>,
    #[serde(rename = "ExtraData")]
    extra: Option<Extra>,
    #[serde(rename = "SecretParts")]
    parts: Option<Parts>,
    /// For AWS the key's id.
    #[serde(rename = "Raw")]
    raw: Option<String>,
}

#[derive(Deserialize)]
struct Extra {
    is_canary: Option<String>,
}

#[derive(Deserialize)]
struct Parts {
    access_key_id: Option<String>,
}

impl Found {
    /// The key that it is about, unless it is a canary: revoking one would tell whoever planted it, and end its use.
    fn key(&self) -> Option<AccessKeyId> {
        let canary = self.extra.as_ref().and_then(|extra| extra.is_canary.as_deref()) == Some("true");
        if self.detector.as_deref() != Some("AWS") || canary {
            return None;
        }
        let id = self.parts.as_ref().and_then(|parts| parts.access_key_id.as_deref()).or(self.raw.as_deref())?;
        id.parse::<AccessKeyId>().ok().filter(AccessKeyId::is_long_lived)
    }
}

/// The long-lived keys in TruffleHog's output, each once.
fn found_in(path: &Path) -> anyhow::Result<BTreeSet<AccessKeyId>> {
    let reader: Box<dyn Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        Box::new(std::fs::File::open(path).with_context(|| format!("could not read `{}`", path.display()))?)
    };
    keys_in(BufReader::new(reader)).with_context(|| format!("`{}` is not TruffleHog's --json output", path.display()))
}

fn keys_in(lines: impl BufRead) -> anyhow::Result<BTreeSet<AccessKeyId>> {
    let mut keys = BTreeSet::new();
    for (number, line) in lines.lines().enumerate() {
        let line = line?;
        if line.trim().is_empty() {
            continue;
        }
        // serde_json's own message may quote what it read, which may be the secret: only the place is told.
        let Ok(found) = serde_json::from_str::<Found>(&line) else { bail!("line {} is no JSON object of that kind", number + 1) };
        keys.extend(found.key());
    }
    if keys.is_empty() {
        bail!("it names no long-lived AWS key (canaries are left alone)");
    }
    Ok(keys)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn truffle_hogs_output_gives_ids_and_nothing_else() {
        let line = |id: &str, detector: &str, canary: &str| {
            json!({
                "DetectorName": detector, "Raw": id, "RawV2": format!("{id}:planted-secret"),
                "ExtraData": { "is_canary": canary, "account": "123456789012" },
                "SecretParts": { "access_key_id": id, "secret_access_key": "planted-secret" },
            })
            .to_string()
        };
        let lines = [
            line("AKIARZPUZDIKFJNBPQ4Z", "AWS", "false"),
            line("AKIARZPUZDIKFJNBPQ4Z", "AWS", "false"),
            line("AKIARZPUZDIKFJNBCNRY", "AWS", "true"),
            line("ASIARZPUZDIKFJNBPQ4Z", "AWS", "false"),
            line("AKIARZPUZDIKFJNBGTHB", "Github", "false"),
            String::new(),
            r#"{"DetectorName":"AWS","Raw":"AKIARZPUZDIKFJNBPQ4D"}"#.to_owned(),
        ];
        let keys = keys_in(lines.join("\n").as_bytes()).unwrap();
        let ids: Vec<_> = keys.iter().map(AccessKeyId::as_str).collect();
        assert_eq!(ids, ["AKIARZPUZDIKFJNBPQ4D", "AKIARZPUZDIKFJNBPQ4Z"]);

        let error = keys_in(r#"{"DetectorName": 7, "Raw": "planted-secret"}"#.as_bytes()).unwrap_err();
        assert_eq!(format!("{error:#}"), "line 1 is no JSON object of that kind");
        assert!(keys_in(line("AKIARZPUZDIKFJNBCNRY", "AWS", "true").as_bytes()).is_err());
    }
}
