//! What goes into evidence.

use calls::{Call, CallLog, Mark, depth};
use docket::Cause;
use evidence::{RecordKey, Subject};
use evidence_store::Worm;
use hold::Row;
use ids::{Timestamp, VpcId};
use plan::{Group, Isolate, Outcome, Plan};
use playbook::Decision;
use redact::Redactor;
use serde::{Deserialize, Serialize};
use signal::{Signal, Strip, Stripped};

use crate::Environment;

/// The cause of a finding's records.
pub(crate) fn cause<S: Worm>(environment: &Environment<S>, first_claimed: Timestamp, signal: &Signal) -> Cause {
    let subject = Subject::new(format!("finding/{}", signal.finding.id), signal.finding.sha256);
    let function = environment.docket.function();
    Cause::new(function, first_claimed, Some(signal.incident.clone()), signal.id.clone(), vec![subject])
}

/// The body of an outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct OutcomeBody {
    /// What was read back.
    pub outcome: Outcome,
    /// What caused it.
    pub signal: Signal,
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

/// Milliseconds from the moment the event reached the function, by this function's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// When the event reached the function.
    pub received: Timestamp,
    /// Until instance, groups and hold were read.
    pub received_to_observed: i64,
    /// Until the intent was durable, or its deadline had passed.
    pub received_to_intent: i64,
    /// Until the last interface's swap was answered.
    pub received_to_sealed: i64,
    /// Until the end state was read back.
    pub received_to_read_back: i64,
}

/// How often something had to wait for AWS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoundTrips {
    /// Evidence round trips between the event and the first change.
    pub evidence_before_first_change: usize,
    /// The longest chain of calls up to the last interface's swap.
    pub depth_to_sealed: usize,
    /// Whether a sealed group had to be made or emptied first.
    pub cold_vpc: bool,
}

impl RoundTrips {
    pub(crate) fn count(log: &CallLog, mark: Mark) -> Self {
        let calls = log.since(mark);
        let is_swap = |call: &Call| call.operation == "ModifyNetworkInterfaceAttribute";
        let first_change = calls
            .iter()
            .filter(|call| call.service == "EC2" && !call.operation.starts_with("Describe"))
            .map(|call| call.started)
            .min();
        let before = |call: &&Call| call.service == "S3" && first_change.is_some_and(|first| call.started < first);
        Self {
            evidence_before_first_change: calls.iter().filter(before).count(),
            depth_to_sealed: depth(&calls, is_swap),
            cold_vpc: calls
                .iter()
                .any(|call| call.operation == "CreateSecurityGroup" || call.operation.starts_with("RevokeSecurityGroup")),
        }
    }
}

/// The body of a preparation's outcome.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PreparedBody {
    /// VPCs that have a sealed group without rules now.
    pub ready: Vec<VpcId>,
    /// VPCs that have none.
    pub not_ready: Vec<VpcId>,
    /// The groups as they were read back.
    pub groups: Vec<Group>,
    /// Step by step.
    pub steps: Vec<plan::Done>,
    /// Every call, reads included. Records that were made before this was kept have none.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// What was taken out of it before it was recorded.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub redacted: Vec<Stripped>,
}

/// The signal as it is recorded: without credentials and configured personal data. Decided is on the signal as it came.
pub(crate) fn stripped(redactor: &Redactor, signal: &Signal) -> (Signal, Vec<Stripped>) {
    let mut signal = signal.clone();
    let mut strip = Strip::new(redactor);
    strip.signal(&mut signal);
    (signal, strip.done())
}

/// A plan's remarks quote names that others gave. Nothing is done by them; what was taken out has its mark in place.
pub(crate) fn strip_remarks(redactor: &Redactor, plan: &mut Plan<Isolate>) {
    for remark in &mut plan.remarks {
        *remark = redactor.text(remark).0;
    }
}

/// The intents that claims without a conclusion may have left.
pub(crate) fn left_behind(row: &Row) -> Vec<RecordKey> {
    row.unconcluded().filter_map(|key| key.parse().ok()).collect()
}
