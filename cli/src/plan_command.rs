//! `cordon plan`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use ids::{RuleName, Sha256, Timestamp};
use plan::{Case, Instance, Interface, Observed};
use playbook::{EXEMPT_TAG, Facts, Mode, Playbook, Posture, Verdict};
use redact::{Config, Redactor};
use serde_json::json;
use signal::{Door, Signal};

use crate::function::{Function, invoke, is, show};

/// Show what would be done about a finding, without doing anything.
///
/// Offline by default: from what the finding says, by the playbook this program was built with. With --live the deployed function looks
/// at the instance as it is now and plans by its own playbook; it changes, claims and records nothing.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  there is a plan, or a decision to do nothing
  1  the event is refused, or the function could not be asked
  2  wrong arguments

Examples:
  cordon plan --event events/guardduty/crypto-mining-actor-two-interfaces.json
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
            Err(refused) => {
                // What it quotes of the event may end in a ticket.
                let redactor = Redactor::new(&Config::default())?;
                json!({ "outcome": "Refused", "reason": redactor.text(&refused.to_string()).0, "code": refused.refusal.code() })
            }
        }
    };
    show(&answer, arguments.json)?;
    Ok(ExitCode::from(u8::from(is(&answer, "Refused"))))
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
