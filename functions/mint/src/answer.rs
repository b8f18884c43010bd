//! What the function says.

use ids::{GrantId, Timestamp};
use register::Probed;
use responder::Attention;
use serde::Serialize;

/// What became of it, in a word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Outcome {
    /// A session was made and sealed.
    Minted,
    /// There is nothing to make.
    AlreadyDone,
    /// The records, or policy, do not allow it.
    Refused,
    /// A person has to look: trying again does not help.
    NeedsHuman,
    /// A probe was made; whether it was refused is in the answer.
    Probed,
}

/// The function's answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Answer {
    /// In a word.
    pub outcome: Outcome,
    /// Which grant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grant: Option<GrantId>,
    /// In a sentence.
    pub reason: String,
    /// Whom it concerns.
    pub attention: Attention,
    /// The session's number.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub serial: Option<u32>,
    /// When the session runs out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
    /// The outcome's record.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub record: Option<String>,
    /// What a probe saw.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub probed: Option<Probed>,
}

impl Answer {
    fn new(outcome: Outcome, grant: Option<&GrantId>, reason: &str, attention: Attention) -> Self {
        let (grant, reason) = (grant.cloned(), reason.to_owned());
        Self { outcome, grant, reason, attention, serial: None, expires: None, record: None, probed: None }
    }

    pub(crate) fn refused(grant: Option<&GrantId>, reason: &str) -> Self {
        Self::new(Outcome::Refused, grant, reason, Attention::Notify)
    }

    pub(crate) fn already(grant: &GrantId, reason: &str) -> Self {
        Self::new(Outcome::AlreadyDone, Some(grant), reason, Attention::None)
    }

    pub(crate) fn needs_human(grant: &GrantId, reason: &str) -> Self {
        Self::new(Outcome::NeedsHuman, Some(grant), reason, Attention::Page)
    }

    pub(crate) fn minted(grant: &GrantId, serial: u32, expires: Timestamp, record: String) -> Self {
        let answer = Self::new(Outcome::Minted, Some(grant), "a session was made, and sealed to whoever asked", Attention::None);
        Self { serial: Some(serial), expires: Some(expires), record: Some(record), ..answer }
    }

    pub(crate) fn probed(grant: &GrantId, probed: Probed) -> Self {
        let reason = match (&probed.refused, &probed.why) {
            (Some(_), _) => "a session of it is refused".to_owned(),
            (None, Some(why)) => why.clone(),
            (None, None) => "a session of it is not refused yet".to_owned(),
        };
        Self { probed: Some(probed), ..Self::new(Outcome::Probed, Some(grant), &reason, Attention::None) }
    }

    pub(crate) fn metric(&self) -> &'static str {
        match self.outcome {
            Outcome::Minted => "Minted",
            Outcome::AlreadyDone => "AlreadyDone",
            Outcome::Refused => "Refused",
            Outcome::NeedsHuman => "NeedsHuman",
            Outcome::Probed => "Probed",
        }
    }
}
