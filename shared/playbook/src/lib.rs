#![doc = include_str!("../README.md")]

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

pub use decision::{Control, Decision, EXEMPT_TAG, Facts, Mitigation, Mode, NO_RULE, POLICY_ERROR, Posture, Verdict};
pub use error::PlaybookError;
pub use leaks::{LeakFacts, LeakPlaybook, RoleUsers};
pub use playbook::Playbook;
pub use releases::{Actor, Asked, ReleaseAct, ReleasePlaybook};
pub use table::{ParsePatternError, Pattern, Row};
