#![doc = include_str!("../README.md")]

mod accesses;
mod circumstances;
mod decision;
mod error;
mod leaks;
mod opinion;
mod playbook;
mod policies;
mod question;
mod releases;
mod table;

pub use accesses::{
    AccessAct, AccessActor, AccessAsked, AccessContext, AccessDecision, AccessPlaybook, AccessTexts, Checked, Explained, Offer,
    OfferClass, PolicyEffect, PolicyState, UnknownEntitlement, session_policy_digest,
};
pub use decision::{
    Control, Decision, ENTITLEMENT_GONE, EXEMPT_TAG, Facts, Mitigation, Mode, NO_RULE, OTHER_CLASS, POLICY_ERROR, Posture,
    TOO_LONG, TOO_SHORT, Verdict,
};
pub use error::PlaybookError;
pub use leaks::{LeakFacts, LeakPlaybook, RoleUsers};
pub use playbook::Playbook;
pub use releases::{Actor, Asked, ReleaseAct, ReleasePlaybook};
pub use table::{ParsePatternError, Pattern, Row};
