//! What goes into a decision besides the signal, and what comes out.

use std::collections::BTreeSet;
use std::fmt;

use ids::RuleName;
use serde::{Deserialize, Serialize};

/// The key of the tag that leaves an instance's containment to a person, whatever its value.
pub const EXEMPT_TAG: &str = "cordon:exempt";

/// The rule of a decision that no policy answers for.
pub const NO_RULE: &str = "no-rule";

/// The rule of a decision for which a policy could not be evaluated.
pub const POLICY_ERROR: &str = "policy-error";

/// The rule that break-glass is not asked for, and what is approved is not had at once.
pub const OTHER_CLASS: &str = "other-class";

/// The rule of a decision on access for longer than the policies say that permit it.
pub const TOO_LONG: &str = "too-long";
/// The rule of an end because the entitlement is not there any more.
pub const ENTITLEMENT_GONE: &str = "entitlement-gone";

/// The rule of a decision on access for less than a session lasts.
pub const TOO_SHORT: &str = "too-short";

/// What is known of the instance beside the signal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Facts {
    /// It carries the tag [`EXEMPT_TAG`]. An intruder may have written that, so it can only leave the matter to a person.
    pub exempt_tag: bool,
    /// The deployed configuration names it: Cordon's own, the log archive, break-glass.
    pub protected: bool,
}

/// What the deployed configuration says about this account.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Posture {
    /// Whether anything may be changed here.
    pub mode: Mode,
    /// The global stop is pulled.
    pub stop: bool,
    /// A drill is on: samples and drills are acted on.
    pub drill: bool,
}

/// Whether anything may be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mode {
    /// Decide and record; change nothing. The default until someone says otherwise.
    #[default]
    Observe,
    /// Do what is decided.
    Act,
}

/// What can be done about a finding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Mitigation {
    /// Seal every network interface of the instance.
    IsolateInstance,
    /// End a leaked credential by the procedure of its kind.
    RevokeCredential,
    /// Undo a revocation.
    ReleaseRevocation,
    /// Give somebody access for a while.
    GrantAccess,
    /// End it.
    EndAccess,
    /// Nothing.
    None,
}

/// What is to happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// It is pre-approved: do it now.
    Do,
    /// Ask a person first.
    AskHuman,
    /// Tell people, change nothing.
    NotifyOnly,
}

/// A control of a compliance framework: `SI-4(7)` of `NIST SP 800-53 Rev. 5`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Control {
    /// The framework, with its edition.
    pub framework: String,
    /// The control, as the framework numbers it.
    pub id: String,
}

/// What the playbook says about one signal, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What is to happen.
    pub verdict: Verdict,
    /// What is to be done or asked for; [`Mitigation::None`] where people are only told.
    pub mitigation: Mitigation,
    /// The policy that settled it, by its `@id`.
    pub rule: RuleName,
    /// That policy's `@reason`. Never text from outside.
    pub reason: String,
    /// What carrying it out is evidence for; where people are only told, what any decision is evidence for.
    pub controls: Vec<Control>,
    /// The permit that `rule` overruled: what would have happened without it.
    pub would: Option<RuleName>,
}

impl Mitigation {
    /// The mitigation, as policies and the table spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::IsolateInstance => "isolate-instance",
            Self::RevokeCredential => "revoke-credential",
            Self::ReleaseRevocation => "release-revocation",
            Self::GrantAccess => "grant-access",
            Self::EndAccess => "end-access",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Mitigation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Mode {
    /// The mode, as policies and the configuration spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Act => "act",
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Verdict {
    /// The verdict, as records spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Do => "do",
            Self::AskHuman => "ask-human",
            Self::NotifyOnly => "notify-only",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Control {
    /// What a decision is evidence for: for deciding, and for doing it if it is done. Each once, in order.
    pub(crate) fn together(deciding: &[Self], doing: &[Self]) -> Vec<Self> {
        let all: BTreeSet<_> = deciding.iter().chain(doing).collect();
        all.into_iter().cloned().collect()
    }
}

impl fmt::Display for Control {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.framework, self.id)
    }
}

impl fmt::Display for Decision {
    /// `ask a person about isolate-instance first: The instance is tagged … [exempt-tag-asks, instead of high-actor-isolates]`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.verdict {
            // To look at something, or to say something about it.
            Verdict::Do if self.mitigation == Mitigation::None => f.write_str("allowed")?,
            Verdict::Do => write!(f, "{} now", self.mitigation)?,
            // A word between the name and the colon: after `revoke-credential:` a redactor takes the next word for a credential.
            Verdict::AskHuman => write!(f, "ask a person about {} first", self.mitigation)?,
            Verdict::NotifyOnly => f.write_str("notify only")?,
        }
        write!(f, ": {} [{}", self.reason, self.rule)?;
        match &self.would {
            Some(would) => write!(f, ", instead of {would}]"),
            None => f.write_str("]"),
        }
    }
}
