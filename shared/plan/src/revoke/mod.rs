//! Plans that end a leaked credential.

mod denies;
mod judge;
mod observed;
mod pattern;
mod patterns;
mod steps;
mod users;

pub use denies::{Denied, Denies, NotOurs, denies_everything, denies_policy};
pub(crate) use judge::is_denied;
pub use judge::{CredentialEnd, CredentialState, DENY_CHANGED, Deny, RevocationOutcome, RevocationState, judge_revocation};
pub use observed::{Key, LastUsed, Principal, Role, User, trusted_services};
pub use pattern::{Pattern, Procedure, Survivor, pattern_of, pattern_seen, patterns};
pub use steps::{Revocation, Revoke, Rule, revoke};
pub use users::{RoleUser, Sightings, Users};
