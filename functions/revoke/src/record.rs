//! What goes into evidence.

use calls::{Call, CallLog, Mark, depth};
use docket::Cause;
use evidence::Subject;
use evidence_store::Worm;
use ids::Timestamp;
use plan::revoke::RevocationOutcome;
use playbook::Decision;
use redact::Redactor;
use serde::{Deserialize, Serialize};
use signal::{Leak, Strip, Stripped};

use crate::Environment;

/// The cause of a report's records.
pub(crate) fn cause<S: Worm>(environment: &Environment<S>, first_claimed: Timestamp, leak: &Leak) -> Cause {
    let subject = Subject::new(format!("leak/{}", leak.thread), leak.sha256);
    let function = environment.docket.function();
    Cause::new(function, first_claimed, Some(leak.incident.clone()), leak.id.clone(), vec![subject])
}

/// The body of an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeBody {
    /// What was read back.
    pub outcome: RevocationOutcome,
    /// What caused it.
    pub signal: Leak,
    /// What allowed it.
    pub decision: Decision,
    /// Milliseconds between named moments.
    pub timings: Timings,
    /// How deep the chain of calls was.
    pub round_trips: RoundTrips,
    /// Every call, reads included.
    pub calls: Vec<Call>,
    /// `durable` if the intent was before the first change; else where it was kept meanwhile, and whether it has been filed since.
    pub evidence: String,
    /// Whether the table of holds could be used.
    pub hold: String,
    /// What was taken out of it before it was recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Stripped>,
}

/// Milliseconds from the moment the report reached the function, by this function's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// When the report reached the function.
    pub received: Timestamp,
    /// Until principal and hold were read.
    pub received_to_observed: i64,
    /// Until the intent was durable, or its deadline had passed.
    pub received_to_intent: i64,
    /// Until the last step was answered.
    pub received_to_denied: i64,
    /// Until IAM showed the end state, or was given up on.
    pub received_to_read_back: i64,
}

/// How often something had to wait for AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrips {
    /// Evidence round trips between the report and the first change.
    pub evidence_before_first_change: usize,
    /// The longest chain of calls up to the last step.
    pub depth_to_denied: usize,
}

/// IAM's calls that change something, of those this function makes.
const CHANGES: [&str; 4] = ["AttachUserPolicy", "PutRolePolicy", "PutUserPermissionsBoundary", "UpdateAccessKey"];

impl RoundTrips {
    pub(crate) fn count(log: &CallLog, mark: Mark) -> Self {
        let calls = log.since(mark);
        let is_change = |call: &Call| CHANGES.contains(&call.operation.as_str());
        let first_change = calls.iter().filter(|call| is_change(call)).map(|call| call.started).min();
        let before = |call: &&Call| call.service == "S3" && first_change.is_some_and(|first| call.started < first);
        Self { evidence_before_first_change: calls.iter().filter(before).count(), depth_to_denied: depth(&calls, is_change) }
    }
}

/// The report as it is recorded: without credentials and configured personal data. Decided is on the report as it came.
pub(crate) fn stripped(redactor: &Redactor, leak: &Leak) -> (Leak, Vec<Stripped>) {
    let mut leak = leak.clone();
    let mut strip = Strip::new(redactor);
    strip.leak(&mut leak);
    (leak, strip.done())
}
