//! What goes back to Lambda, and from there to the topic that people subscribe to.

use ids::{IncidentId, RuleName, SignalId};
use plan::{EndState, InterfaceEnd};
use responder::Attention;
use serde::Serialize;

/// What became of an event, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Said {
    /// Every interface is sealed.
    Contained,
    /// It could not all be done, and trying again cannot help.
    NeedsHuman,
    /// The playbook asks a human first.
    AskHuman,
    /// The playbook says to tell only.
    NotifyOnly,
    /// The instance is gone: there is nothing to contain.
    NothingToContain,
    /// This signal has its outcome already.
    AlreadyDone,
    /// The event was not understood or not admitted.
    Refused,
    /// A plan that was asked for; nothing was changed.
    Planned,
    /// The sealed groups are there.
    Prepared,
}

/// The function's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// In a word.
    pub outcome: Said,
    /// In a sentence.
    pub reason: String,
    /// Whom it concerns.
    pub attention: Attention,
    /// The incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub incident: Option<IncidentId>,
    /// The signal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signal: Option<SignalId>,
    /// The rule that decided.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<RuleName>,
    /// The end state that was read back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<EndState>,
    /// Interface by interface.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<InterfaceEnd>,
    /// The plan, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What is not as it should be although the answer holds: late evidence, a table that did not answer, a session nobody vouches for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// Keys of the records that say so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
}

impl Answer {
    pub(crate) fn new(outcome: Said, attention: Attention, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            attention,
            incident: None,
            signal: None,
            rule: None,
            state: None,
            interfaces: Vec::new(),
            plan: None,
            degraded: Vec::new(),
            records: Vec::new(),
        }
    }

    /// The answer with what it says in sentences changed.
    pub(crate) fn map_texts(mut self, change: impl Fn(String) -> String) -> Self {
        self.reason = change(self.reason);
        self.plan = self.plan.map(&change);
        self.degraded = self.degraded.into_iter().map(&change).collect();
        self
    }
}
