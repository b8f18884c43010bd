//! Where records go.

use std::time::Duration;

use evidence::{Control, Draft, Kind, Link, RecordId, RecordKey, Subject};
use ids::{AccountId, FunctionName, IncidentId, RuleName, Sha256, SignalId, Timestamp};
use plan::Case;
use playbook::Decision;

/// Where this function's records of one cause go, and what they share.
#[derive(Debug, Clone)]
pub struct Cause {
    /// Where the first intent is; the others are beside it.
    pub key: RecordKey,
    /// The incident, if the cause belongs to one.
    pub incident: Option<IncidentId>,
    /// The signal.
    pub signal: SignalId,
    /// What the records are about.
    pub subject: Vec<Subject>,
    /// The rule that decided.
    pub rule: Option<RuleName>,
    /// What the records are evidence for.
    pub controls: Vec<Control>,
}

impl Cause {
    /// The cause `signal` of `function`, which first claimed it at `first_claimed`: a retry computes the same place.
    #[must_use]
    pub fn new(
        function: &FunctionName,
        first_claimed: Timestamp,
        incident: Option<IncidentId>,
        signal: SignalId,
        subject: Vec<Subject>,
    ) -> Self {
        let id = RecordId::derive(function, incident.as_ref(), &signal);
        let key = RecordKey::new(function.clone(), first_claimed, id, 1, Kind::Intent);
        Self { key, incident, signal, subject, rule: None, controls: Vec::new() }
    }

    /// The same cause under the decision of the playbook.
    #[must_use]
    pub fn decided(mut self, decision: &Decision) -> Self {
        self.rule = Some(decision.rule.clone());
        self.claiming(&decision.controls)
    }

    /// The same cause, with records that are evidence for these controls only.
    #[must_use]
    pub fn claiming(mut self, controls: &[playbook::Control]) -> Self {
        let control = |control: &playbook::Control| Control { framework: control.framework.clone(), id: control.id.clone() };
        self.controls = controls.iter().map(control).collect();
        self
    }

    /// What a plan of this cause is for, under the decision that allows it. `attempt` is the intent's.
    #[must_use]
    pub fn case(&self, incident: &IncidentId, account: &AccountId, decision: &Decision, playbook: Sha256, attempt: u32) -> Case {
        Case {
            incident: incident.clone(),
            signal: self.signal.clone(),
            account: account.clone(),
            rule: decision.rule.clone(),
            playbook,
            intent: self.key.sibling(attempt, Kind::Intent).to_string(),
            now: calls::now(),
        }
    }

    /// A record of this cause, to be signed.
    #[must_use]
    pub fn draft<B>(&self, kind: Kind, attempt: u32, playbook: Sha256, body: B) -> Draft<B> {
        let time = calls::now();
        Draft {
            key: self.key.sibling(attempt, kind),
            subject: self.subject.clone(),
            incident: self.incident.clone(),
            signal: self.signal.clone(),
            time,
            answers: None,
            due: (kind == Kind::Intent).then(|| time.plus(DUE)),
            playbook,
            rule: self.rule.clone(),
            controls: self.controls.clone(),
            anomalies: Vec::new(),
            body,
        }
    }

    /// The record that answers an intent.
    #[must_use]
    pub fn outcome<B>(&self, answers: &Link, playbook: Sha256, body: B) -> Draft<B> {
        Draft { answers: Some(answers.clone()), ..self.draft(Kind::Outcome, answers.key.attempt, playbook, body) }
    }
}

/// An intent's outcome is due once Lambda has run out of retries (two, about three minutes after the first) and time to spare.
const DUE: Duration = Duration::from_secs(15 * 60);
