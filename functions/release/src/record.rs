//! What goes into evidence, and where.

use calls::Call;
use docket::Cause;
use evidence::{Kind, Link, RecordKey, Subject};
use evidence_store::{RecordFailure, Worm};
use ids::{Hasher, IncidentId, Sha256, SignalId, Timestamp};
use people::Who;
use plan::release::{Proposal, ReleaseOutcome};
use playbook::{Decision, Verdict};
use responder::Invocation;
use serde::{Deserialize, Serialize};

use crate::Environment;

/// The body of a request: somebody else is asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RequestBody {
    /// What the playbook says.
    pub decision: Decision,
    /// What was asked, in a sentence.
    pub reason: String,
    /// Who asks.
    pub asker: Who,
    /// When.
    pub asked: Timestamp,
    /// Until when it can be approved.
    pub expires: Timestamp,
    /// What holds are kept under: `iam:user:ACCOUNT:NAME`.
    pub target: String,
    /// What an approval binds.
    pub digest: Sha256,
    /// What is proposed.
    pub proposal: Proposal,
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    /// A second person lets it be done.
    Approved,
    /// It is refused, or taken back.
    Denied,
}

/// The body of a verdict on a request. There is one at most: approvals and denials have one key.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct VerdictBody {
    /// What the playbook says.
    pub decision: Decision,
    /// What was said, in a sentence.
    pub reason: String,
    /// In a word.
    pub word: Word,
    /// Who says so.
    pub by: Who,
    /// On which request.
    pub request: Link,
    /// What is approved or denied.
    pub digest: Sha256,
}

/// The body of a refused attempt.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RefusedBody {
    /// What the playbook says.
    pub decision: Decision,
    /// Why it was refused, in a sentence.
    pub reason: String,
    /// Who tried.
    pub by: Who,
}

/// The body of an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeBody {
    /// What was read back.
    pub outcome: ReleaseOutcome,
    /// What allowed it.
    pub decision: Decision,
    /// The request.
    pub request: Link,
    /// The approval.
    pub approval: Link,
    /// Milliseconds between named moments.
    pub timings: Timings,
    /// Every call, reads included.
    pub calls: Vec<Call>,
    /// Always `durable`: nothing is lifted otherwise.
    pub evidence: String,
}

/// Milliseconds from the moment the approval reached the function, by this function's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// When the approval reached the function.
    pub received: Timestamp,
    /// Until the principal and its records were read.
    pub received_to_observed: i64,
    /// Until the intent was durable.
    pub received_to_intent: i64,
    /// Until the last step was answered.
    pub received_to_lifted: i64,
    /// Until IAM showed the end state, or was given up on.
    pub received_to_read_back: i64,
}

fn cause<S: Worm>(environment: &Environment<S>, at: Timestamp, incident: &IncidentId, parts: &[&str]) -> Cause {
    let digest = parts.iter().fold(Hasher::new("cordon/release-record/v1"), |hasher, part| hasher.part(part)).finish();
    let subject = Subject::new(format!("release/{incident}"), digest);
    let signal = SignalId::of_bytes(&digest);
    Cause::new(environment.docket.function(), at, Some(incident.clone()), signal, vec![subject])
}

/// The cause of a request's record: the same wish, asked again within the minute, finds its own.
pub(crate) fn request_cause<S: Worm>(
    environment: &Environment<S>,
    asked: Timestamp,
    incident: &IncidentId,
    (who, serial): (&Who, i64),
    digest: &Sha256,
) -> Cause {
    cause(environment, asked, incident, &["request", &who.id(), &serial.to_string(), &digest.to_string()])
}

/// The cause of the one verdict on a request: whoever says it, it is said here.
pub(crate) fn verdict_cause<S: Worm>(environment: &Environment<S>, incident: &IncidentId, request: &RecordKey) -> Cause {
    let at = request.first_claimed().unwrap_or_else(calls::now);
    cause(environment, at, incident, &["verdict", &request.to_string()])
}

/// The cause of carrying out an approved request.
pub(crate) fn run_cause<S: Worm>(environment: &Environment<S>, incident: &IncidentId, request: &RecordKey) -> Cause {
    let at = request.first_claimed().unwrap_or_else(calls::now);
    cause(environment, at, incident, &["run", &request.to_string()])
}

/// Records that somebody wanted what they may not have. Gives back where.
pub(crate) async fn refused<S: Worm>(
    environment: &Environment<S>,
    incident: &IncidentId,
    invocation: &Invocation,
    by: &Who,
    decision: Decision,
    reason: &str,
) -> Result<String, RecordFailure> {
    let cause = cause(environment, calls::now(), incident, &["refused", &invocation.id]);
    let decision = Decision { verdict: Verdict::NotifyOnly, ..decision };
    let body = RefusedBody { reason: format!("{by} was refused: {reason}"), by: by.clone(), decision };
    let cause = cause.decided(&body.decision).claiming(environment.playbook.deciding());
    let draft = cause.draft(Kind::Decision, 1, environment.playbook.digest(), body);
    let recorded = environment.docket.recorder().await.intent(draft).await?;
    Ok(recorded.link().key.to_string())
}
