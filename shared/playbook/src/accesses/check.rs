//! Why: every policy that bears on a question, and what it says to it.

use std::fmt;
use std::num::NonZeroU8;

use ids::{EntitlementName, RuleName, Sha256};
use serde::Serialize;

use super::{AccessAct, AccessDecision};
use crate::{Control, Verdict};

/// What a policy does if it holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum PolicyEffect {
    /// It allows.
    Permit,
    /// It forbids, whatever allows.
    Forbid,
}

/// What came of a policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PolicyState {
    /// It holds.
    Held,
    /// It does not.
    NotHeld,
    /// It could not be evaluated, which opens nothing.
    Broken,
}

/// One policy that bears on a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Explained {
    /// Its name; of a rule that no policy can change, that rule's.
    pub policy: RuleName,
    /// What it does if it holds.
    pub effect: PolicyEffect,
    /// Whether it does.
    pub state: PolicyState,
    /// Its words.
    pub reason: String,
    /// The policy as it was written; none for a rule of Cordon's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
}

/// A decision with everything that bears on it, for whoever asks why. It prints for a human, and serialises for a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// What was asked.
    pub act: AccessAct,
    /// About which entitlement.
    pub entitlement: EntitlementName,
    /// The answer.
    pub allowed: bool,
    /// The answer, as functions have it.
    pub verdict: Verdict,
    /// The policy that settled it.
    pub rule: RuleName,
    /// Its words.
    pub reason: String,
    /// How many have to approve.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub needed: Option<NonZeroU8>,
    /// For how long at most.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub longest_seconds: Option<u32>,
    /// What the decision is evidence for.
    pub controls: Vec<Control>,
    /// Every policy that bears on it: forbids first, and of each what holds first.
    pub policies: Vec<Explained>,
    /// Digest of all texts of the playbook.
    pub playbook: Sha256,
}

impl Checked {
    pub(super) fn new(act: AccessAct, decided: AccessDecision, policies: Vec<Explained>, playbook: Sha256) -> Self {
        Self {
            act,
            entitlement: decided.entitlement,
            allowed: decided.decision.verdict != Verdict::NotifyOnly,
            verdict: decided.decision.verdict,
            rule: decided.decision.rule,
            reason: decided.decision.reason,
            needed: decided.needed,
            longest_seconds: decided.longest_seconds,
            controls: decided.decision.controls,
            policies,
            playbook,
        }
    }
}

impl fmt::Display for Checked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match self.verdict {
            Verdict::Do => "yes",
            Verdict::AskHuman => "yes, once it is approved",
            Verdict::NotifyOnly => "no",
        };
        writeln!(f, "{} {}: {answer}", self.act, self.entitlement)?;
        writeln!(f, "  {} [{}]", self.reason, self.rule)?;
        if let Some(longest) = self.longest_seconds {
            write!(f, "  at most {} minutes", longest / 60)?;
            match self.needed {
                Some(needed) if needed.get() == 1 => writeln!(f, ", and one person approves")?,
                Some(needed) => writeln!(f, ", and {needed} people approve")?,
                None => writeln!(f)?,
            }
        }
        for policy in &self.policies {
            let (mark, state) = match (policy.state, policy.effect) {
                (PolicyState::Held, PolicyEffect::Permit) => ("+", "permits"),
                (PolicyState::Held, PolicyEffect::Forbid) => ("-", "forbids"),
                (PolicyState::NotHeld, PolicyEffect::Permit) => (" ", "would permit, does not hold"),
                (PolicyState::NotHeld, PolicyEffect::Forbid) => (" ", "would forbid, does not hold"),
                (PolicyState::Broken, _) => ("!", "could not be evaluated"),
            };
            writeln!(f, "{mark} {} {state}: {}", policy.policy, policy.reason)?;
        }
        writeln!(f, "  playbook {}", self.playbook)
    }
}
