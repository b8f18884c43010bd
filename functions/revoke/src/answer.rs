//! What goes back to Lambda, and from there to the topic that people subscribe to.

use ids::{IncidentId, RuleName, SignalId};
use plan::revoke::{CredentialEnd, RevocationState, Survivor, Users};
use responder::Attention;
use serde::Serialize;

/// What became of a report, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Said {
    /// The credential is ended.
    Revoked,
    /// It could not all be done, and trying again cannot help.
    NeedsHuman,
    /// The playbook asks a human first.
    AskHuman,
    /// The playbook says to tell only.
    NotifyOnly,
    /// IAM knows no such credential here: there is nothing to end.
    NothingToRevoke,
    /// This report has its outcome already.
    AlreadyDone,
    /// The report was not understood or not admitted.
    Refused,
    /// A plan that was asked for; nothing was changed.
    Planned,
}

/// What became of one credential.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Told {
    /// In a word.
    pub outcome: Said,
    /// In a sentence.
    pub reason: String,
    /// Whom it concerns.
    pub attention: Attention,
    /// Which credential, in words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credential: Option<String>,
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
    pub state: Option<RevocationState>,
    /// One by one.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub credentials: Vec<CredentialEnd>,
    /// Who has sessions of the role, where all of them are to end.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub users: Option<Users>,
    /// What goes on all the same.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub survives: Vec<Survivor>,
    /// What people have to do.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by_hand: Vec<String>,
    /// The plan, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub plan: Option<String>,
    /// What is not as it should be although the answer holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub degraded: Vec<String>,
    /// Keys of the records that say so.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<String>,
}

impl Told {
    pub(crate) fn new(outcome: Said, attention: Attention, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            attention,
            credential: None,
            incident: None,
            signal: None,
            rule: None,
            state: None,
            credentials: Vec::new(),
            users: None,
            survives: Vec::new(),
            by_hand: Vec::new(),
            plan: None,
            degraded: Vec::new(),
            records: Vec::new(),
        }
    }

    fn map_texts(mut self, change: &impl Fn(String) -> String) -> Self {
        self.reason = change(self.reason);
        self.credential = self.credential.map(change);
        self.plan = self.plan.map(change);
        for end in &mut self.credentials {
            end.id = change(std::mem::take(&mut end.id));
        }
        self.users = self.users.map(|users| users.map_texts(change));
        for survivor in &mut self.survives {
            survivor.what = change(std::mem::take(&mut survivor.what));
        }
        self.by_hand = self.by_hand.into_iter().map(change).collect();
        self.degraded = self.degraded.into_iter().map(change).collect();
        self
    }
}

/// The function's answer: the worst of what it has to tell, and all of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// In a word.
    pub outcome: Said,
    /// In a sentence.
    pub reason: String,
    /// Whom it concerns.
    pub attention: Attention,
    /// One for each credential that was reported.
    pub credentials: Vec<Told>,
}

impl Answer {
    /// The answer about `told`, which is about as many credentials as were reported: one at least.
    pub(crate) fn of(told: Vec<Told>) -> Self {
        let worst = told.iter().max_by_key(|told| told.attention);
        let (outcome, reason, attention) = match worst {
            Some(told) => (told.outcome, told.reason.clone(), told.attention),
            None => (Said::Refused, "nothing was reported".to_owned(), Attention::None),
        };
        Self { outcome, reason, attention, credentials: told }
    }

    /// The answer with what it says in sentences changed.
    pub(crate) fn map_texts(mut self, change: impl Fn(String) -> String) -> Self {
        self.reason = change(self.reason);
        self.credentials = self.credentials.into_iter().map(|told| told.map_texts(&change)).collect();
        self
    }
}
