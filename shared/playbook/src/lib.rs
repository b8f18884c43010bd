#![doc = include_str!("../README.md")]

mod circumstances;
mod decision;
mod error;
mod playbook;
mod policies;
mod table;

pub use decision::{Control, Decision, EXEMPT_TAG, Facts, Mitigation, Mode, NO_RULE, POLICY_ERROR, Posture, Verdict};
pub use error::PlaybookError;
pub use playbook::Playbook;
pub use table::{ParsePatternError, Pattern, Row};
