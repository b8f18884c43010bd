//! `cordon plan`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use ids::{RuleName, Sha256, Timestamp};
use plan::revoke::pattern_of;
use plan::{Case, Instance, Interface, Observed};
use playbook::{EXEMPT_TAG, Facts, LeakFacts, LeakPlaybook, Mode, Playbook, Posture, Verdict};
use redact::{Config, Redactor};
use serde_json::json;
use signal::{Door, Leak, Refusal, Refused, Resource, Signal};

use crate::function::{Function, invoke, is, show};

/// Show what would be done about a finding or a report of a leak, without doing anything.
///
/// Offline by default: from what the finding says, by the playbook this program was built with. With --live the deployed function looks
/// at the instance or the principal as it is now and plans by its own playbook; it changes, claims and records nothing. Findings about access
/// keys and AWS Health's events are for the revoke function: give its name with --live.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  there is a plan, or a decision to do nothing
  1  the event is refused, or the function could not be asked
  2  wrong arguments

Examples:
  cordon plan --event events/guardduty/crypto-mining-actor-two-interfaces.json
  cordon plan --event events/leaks/instance-session-outside.json
  cordon plan --event finding.json --live --function cordon-Quarantine-1ABC")]
pub(crate) struct Plan {
    /// The EventBridge event, as a file.
    #[arg(long, value_name = "FILE")]
    event: PathBuf,
    /// Ask the deployed function.
    #[arg(long)]
    live: bool,
    #[command(flatten)]
    function: Function,
    /// Plan as if this were a drill: samples and drill events are admitted.
    #[arg(long, conflicts_with = "live")]
    drill: bool,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(arguments: &Plan) -> anyhow::Result<ExitCode> {
    let bytes = std::fs::read(&arguments.event).with_context(|| format!("could not read `{}`", arguments.event.display()))?;
    let answer = if arguments.live {
        let event: serde_json::Value =
            serde_json::from_slice(&bytes).with_context(|| format!("`{}` is not JSON", arguments.event.display()))?;
        invoke(&arguments.function, &json!({ "cordon": "plan", "event": event }))?
    } else {
        let door = Door { administrator: None, drill: arguments.drill };
        match signal::parse(&bytes, &door) {
            Ok(signal) => offline(&signal, arguments.drill)?,
            Err(refused) if is_leak(&refused.refusal) => match signal::parse_leaks(&bytes, &door) {
                Ok(leaks) => offline_leaks(&leaks, arguments.drill)?,
                Err(refused) => refusal(&refused)?,
            },
            Err(refused) => refusal(&refused)?,
        }
    };
    show(&answer, arguments.json)?;
    Ok(ExitCode::from(u8::from(is(&answer, "Refused"))))
}

/// What it quotes of the event may end in a ticket.
fn refusal(refused: &Refused) -> anyhow::Result<serde_json::Value> {
    let redactor = Redactor::new(&Config::default())?;
    Ok(json!({ "outcome": "Refused", "reason": redactor.text(&refused.to_string()).0, "code": refused.refusal.code() }))
}

/// Whether what is no finding about an instance may be a report of a leak.
fn is_leak(refusal: &Refusal) -> bool {
    match refusal {
        Refusal::NotForInstances { resource, .. } => *resource == Resource::AccessKey,
        Refusal::WrongSource { found } => found.as_str() == "aws.health",
        Refusal::WrongDetailType { found } => found.as_str() == "AWS Health Event",
        _ => false,
    }
}

/// What would be done about leaked credentials: the decision, and the procedure of their kind. The steps depend on what IAM shows.
fn offline_leaks(leaks: &[Leak], drill: bool) -> anyhow::Result<serde_json::Value> {
    let playbook = LeakPlaybook::shipped().context("the shipped playbook does not load")?;
    let mut told = Vec::new();
    for leak in leaks {
        let pattern = pattern_of(&leak.credential);
        // Offline nobody counts a role's users: they are not known.
        let procedure = pattern.is_some_and(|pattern| pattern.procedure.is_some());
        let facts = LeakFacts { procedure, ..LeakFacts::default() };
        let decision = playbook.decide(leak, facts, &Posture { mode: Mode::Act, stop: false, drill });
        let mut text = String::new();
        if let Some(pattern) = pattern {
            writeln!(text, "  {} ({})", leak.credential, pattern.id)?;
            writeln!(text, "  what ends it: {}", pattern.done)?;
            writeln!(text, "  goes on: {}", pattern.survives)?;
        }
        text.push_str("  note: from the report alone, as if in act mode; the function looks at the principal as it is\n");
        told.push(json!({
            "outcome": "Planned",
            "reason": decision.to_string(),
            "incident": leak.incident,
            "signal": leak.id,
            "rule": decision.rule,
            "decision": decision,
            "plan": text,
            "by_hand": pattern.map(|pattern| pattern.by_hand),
        }));
    }
    Ok(json!({ "outcome": "Planned", "credentials": told }))
}

/// The plan from what the finding says.
fn offline(signal: &Signal, drill: bool) -> anyhow::Result<serde_json::Value> {
    let playbook = Playbook::shipped().context("the shipped playbook does not load")?;
    let facts = Facts { exempt_tag: signal.instance.tags.iter().any(|(key, _)| key == EXEMPT_TAG), protected: false };
    let decision = playbook.decide(signal, &facts, &Posture { mode: Mode::Act, stop: false, drill });
    let mut text = String::new();
    if decision.verdict == Verdict::Do {
        let plan = plan::isolate(case(signal, &decision.rule, &playbook.digest()), &as_found(signal), &BTreeMap::new());
        write!(text, "{plan}")?;
        let unnamed =
            signal.instance.interfaces.iter().filter(|interface| interface.id.is_none() || interface.vpc.is_none()).count();
        if unnamed > 0 {
            writeln!(text, "  note: the finding does not name {unnamed} of its interfaces; the function sees them")?;
        }
        text.push_str("  note: from the finding alone, as if in act mode; the function looks at the instance and its sealed groups as they are\n");
    }
    Ok(json!({
        "outcome": "Planned",
        "reason": decision.to_string(),
        "incident": signal.incident,
        "signal": signal.id,
        "rule": decision.rule,
        "decision": decision,
        "plan": text,
    }))
}

fn case(signal: &Signal, rule: &RuleName, playbook: &Sha256) -> Case {
    Case {
        incident: signal.incident.clone(),
        signal: signal.id.clone(),
        account: signal.account.clone(),
        rule: rule.clone(),
        playbook: *playbook,
        intent: "(the intent's key)".to_owned(),
        now: signal.event_time.unwrap_or(Timestamp::saturating(0)),
    }
}

/// The instance as the finding describes it: no sealed group is known from there.
fn as_found(signal: &Signal) -> Observed {
    let interface = |found: &signal::SuspectInterface| {
        Some(Interface { id: found.id.clone()?, vpc: found.vpc.clone()?, groups: found.groups.clone() })
    };
    let instance = Instance {
        id: signal.instance.id.clone(),
        state: "running".to_owned(),
        interfaces: signal.instance.interfaces.iter().filter_map(interface).collect(),
        tags: signal.instance.tags.iter().cloned().collect(),
    };
    Observed { instance, groups: Vec::new(), pins: BTreeMap::new() }
}
