//! `cordon access check`: what the policies say that this program was built with, with nobody asked.

use std::collections::BTreeSet;
use std::io::Write as _;
use std::net::IpAddr;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use ids::{AccountId, EntitlementName, Ticket, Timestamp};
use playbook::{AccessAct, AccessActor, AccessAsked, AccessContext, AccessPlaybook};

use crate::access_command::seconds;
use crate::signed::printable;

#[derive(Debug, Args)]
pub(crate) struct Check {
    /// The entitlement.
    entitlement: EntitlementName,
    /// Who acts: person/NAME of Identity Center, subject/ISSUER#SUBJECT of an identity provider, or role/ACCOUNT/NAME.
    #[arg(long = "as", value_name = "WHO", value_parser = who)]
    who: String,
    /// The permission set that a person comes with.
    #[arg(long, value_name = "NAME")]
    permission_set: Option<String>,
    /// A group that an identity provider names. Repeatable.
    #[arg(long, value_name = "NAME")]
    group: Vec<String>,
    /// What they do: request, break-glass, show, approve, deny, mint, renew, return, revoke, fetch or review.
    #[arg(long, value_name = "ACT", value_parser = act)]
    act: AccessAct,
    /// Whose grant it is. Without it their own, where nobody else's makes sense.
    #[arg(long, value_name = "WHO", value_parser = who)]
    requester: Option<String>,
    /// For how long it is asked for.
    #[arg(long = "for", value_name = "DURATION", default_value = "15m", value_parser = seconds)]
    seconds: u32,
    /// The case it belongs to.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<Ticket>,
    /// When. Without it, now.
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Where from.
    #[arg(long, value_name = "IP")]
    source: Option<IpAddr>,
    /// Seconds since they showed a second factor, as a token says it.
    #[arg(long, value_name = "SECONDS")]
    mfa_age: Option<u32>,
    /// A finding is about them.
    #[arg(long)]
    barred: bool,
    /// The account that Cordon is deployed in.
    #[arg(long, value_name = "ID", default_value = "123456789012")]
    account: AccountId,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

fn act(text: &str) -> Result<AccessAct, String> {
    let known = AccessAct::ALL.into_iter().find(|act| act.as_str() == text);
    known.ok_or_else(|| format!("expected one of {}", AccessAct::ALL.map(AccessAct::as_str).join(", ")))
}

fn who(text: &str) -> Result<String, String> {
    let known =
        ["person/", "subject/", "role/", "user/"].iter().any(|kind| text.strip_prefix(kind).is_some_and(|name| !name.is_empty()));
    // As they are compared: in small letters.
    if known {
        Ok(if text.starts_with("person/") { text.to_ascii_lowercase() } else { text.to_owned() })
    } else {
        Err("expected person/NAME, subject/…, role/ACCOUNT/NAME or user/ACCOUNT/NAME".to_owned())
    }
}

pub(crate) fn run(arguments: &Check) -> anyhow::Result<ExitCode> {
    let Check { entitlement, who, act, .. } = arguments;
    let playbook =
        AccessPlaybook::shipped("aws", &arguments.account).context("the policies that this program was built with are damaged")?;
    let of_another = matches!(act, AccessAct::Approve | AccessAct::Deny | AccessAct::Revoke | AccessAct::Review | AccessAct::Show);
    let requester = match &arguments.requester {
        Some(requester) => requester.clone(),
        None if of_another => bail!("whose grant? Give --requester person/NAME: {act} depends on it"),
        None => who.clone(),
    };
    let actor = AccessActor {
        name: who.clone(),
        person: who.starts_with("person/") || who.starts_with("subject/"),
        permission_set: arguments.permission_set.clone(),
        groups: arguments.group.iter().cloned().collect::<BTreeSet<_>>(),
        calls_itself: None,
        barred: arguments.barred,
    };
    let asked = AccessAsked {
        entitlement: entitlement.clone(),
        requester,
        requester_calls_itself: None,
        seconds: arguments.seconds,
        ticket: arguments.ticket.clone(),
    };
    let context =
        AccessContext { now: arguments.at.unwrap_or_else(calls::now), source: arguments.source, mfa_age: arguments.mfa_age };
    let checked = playbook.check(*act, &actor, &asked, &context)?;
    let text = if arguments.json {
        serde_json::to_string_pretty(&checked)? + "\n"
    } else {
        checked.to_string().lines().map(|line| printable(line) + "\n").collect()
    };
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")?;
    Ok(ExitCode::from(u8::from(!checked.allowed)))
}
