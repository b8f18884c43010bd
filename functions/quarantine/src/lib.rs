#![doc = include_str!("../README.md")]

mod answer;
mod contain;
mod environment;
mod prepare;
mod record;
mod request;

use docket::{Cause, DecisionBody};
use evidence_store::Worm;
use playbook::{Decision, EXEMPT_TAG, Facts, Verdict};
use responder::{Attention, Invocation, Transient};
use signal::{Refused, Signal};

pub use answer::{Answer, Said};
pub use environment::Environment;
pub use record::{OutcomeBody, PreparedBody, RoundTrips, Timings};
use request::Request;

/// Answers one event: parse → observe → plan → record → apply → read back → record.
///
/// # Errors
/// When, and only when, running the same event again can help.
pub async fn handle<S: Worm>(event: &[u8], invocation: &Invocation, environment: &Environment<S>) -> Result<Answer, Transient> {
    let answer = match Request::sort(event) {
        Request::Prepare(vpcs) => prepare::prepare(vpcs, invocation, environment).await,
        Request::Plan(event) => match signal::parse(event, &environment.settings.door()) {
            Ok(signal) => contain::preview(&signal, invocation, environment).await,
            Err(refused) => Ok(Answer::new(Said::Refused, Attention::None, refused.to_string())),
        },
        Request::Event(event) => match signal::parse(event, &environment.settings.door()) {
            Ok(signal) => contain::contain(signal, invocation, environment).await,
            Err(refused) => refuse(*refused, environment).await,
        },
    };
    // Whatever an answer or an error quotes, it goes to logs and subscribers from here.
    let clean = |text: String| environment.docket.redactor().text(&text).0;
    let answer = match answer {
        Ok(answer) => Ok(answer.map_texts(clean)),
        Err(Transient(cause)) => Err(Transient(clean(cause))),
    };
    if let Ok(Answer { outcome, attention, degraded, .. }) = &answer {
        let function = environment.settings.function.as_str();
        responder::count(function, &format!("{outcome:?}"), 1, calls::now());
        if *attention == Attention::Page && *outcome != Said::NeedsHuman {
            responder::count(function, "NeedsHuman", 1, calls::now());
        }
        if !degraded.is_empty() {
            responder::count(function, "Degraded", 1, calls::now());
        }
    }
    answer
}

/// What the playbook says about a signal, with what is known of the instance's tags.
fn decide<'a, S>(environment: &Environment<S>, signal: &'a Signal, tags: impl Iterator<Item = &'a str>) -> Decision {
    let mut tags = tags.chain(signal.instance.tags.iter().map(|(key, _)| key.as_str()));
    let facts = Facts { exempt_tag: tags.any(|key| key == EXEMPT_TAG), protected: environment.settings.protects(signal) };
    environment.playbook.decide(signal, &facts, &environment.settings.posture(&signal.account))
}

/// Records an event that was not understood. Trying again would not make it clearer.
async fn refuse<S: Worm>(refused: Refused, environment: &Environment<S>) -> Result<Answer, Transient> {
    let (reason, link) = environment.docket.refuse(refused, environment.playbook.digest()).await.map_err(Transient::of)?;
    let mut answer = Answer::new(Said::Refused, Attention::Notify, reason);
    answer.records.push(link.key.to_string());
    Ok(answer)
}

/// Records that nothing is changed, and why.
async fn decline<S: Worm>(
    environment: &Environment<S>,
    cause: &Cause,
    signal: &Signal,
    decision: Decision,
    (said, attention, reason): (Said, Attention, String),
) -> Result<Answer, Transient> {
    let Environment { docket, playbook, .. } = environment;
    let rule = decision.rule.clone();
    let (kept, redacted) = record::stripped(docket.redactor(), signal);
    let reason = docket.redactor().text(&reason).0;
    let body = DecisionBody { decision, signal: kept, reason: reason.clone(), by_hand: Vec::new(), redacted };
    let link = docket.decline(cause, body, playbook.deciding(), playbook.digest()).await.map_err(Transient::of)?;
    let mut answer = Answer::new(said, attention, reason);
    answer.incident = Some(signal.incident.clone());
    answer.signal = Some(signal.id.clone());
    answer.rule = Some(rule);
    answer.records.push(link.key.to_string());
    Ok(answer)
}

/// What a decision that changes nothing amounts to.
fn verdict(decision: &Decision) -> (Said, Attention, String) {
    match decision.verdict {
        Verdict::AskHuman => (Said::AskHuman, Attention::Page, decision.to_string()),
        Verdict::Do | Verdict::NotifyOnly => (Said::NotifyOnly, Attention::Notify, decision.to_string()),
    }
}
