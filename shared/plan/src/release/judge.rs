//! Whether it is really lifted, and nothing more.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::proposal::Proposal;
use crate::Done;
use crate::revoke::Principal;

/// The end state of a release, from what was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReleaseState {
    /// What was to be lifted is lifted.
    Released,
    /// Nothing was to be lifted, because other incidents hold the principal: this one has let go.
    Kept,
    /// It is not lifted, or not all of it.
    NotReleased,
    /// It could not be read back.
    Unverifiable,
}

impl fmt::Display for ReleaseState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// Something that stays closed, as it was read back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Left {
    /// Which: `key AKIA…`.
    pub id: String,
    /// Whether it is still closed.
    pub closed: bool,
}

/// What is recorded in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReleaseOutcome {
    /// The answer in a word.
    pub state: ReleaseState,
    /// Keys that were inactive before, as they are now.
    pub left: Vec<Left>,
    /// Step by step.
    pub steps: Vec<Done>,
    /// What a person should see to.
    pub left_open: Vec<String>,
}

/// Compares what was read back with what was approved. `after` is none if it could not be read.
#[must_use]
pub fn judge_release(proposal: &Proposal, steps: Vec<Done>, after: Option<&Principal>) -> ReleaseOutcome {
    let state = match after {
        None => ReleaseState::Unverifiable,
        Some(_) if proposal.lifts.is_empty() && !proposal.held_by.is_empty() => ReleaseState::Kept,
        Some(after) if proposal.is_lifted(after) => ReleaseState::Released,
        Some(_) => ReleaseState::NotReleased,
    };
    let (mut left, mut left_open) = (Vec::new(), Vec::new());
    if let (Principal::User(before), Some(Principal::User(after))) = (&proposal.before, after) {
        for key in before.keys.iter().filter(|key| !key.active) {
            let closed = !after.keys.iter().any(|other| other.id == key.id && other.active);
            if !closed {
                left_open.push(format!("somebody has made the key {} active meanwhile: make it inactive, it has leaked", key.id));
            }
            left.push(Left { id: format!("key {}", key.id), closed });
        }
    }
    if state == ReleaseState::NotReleased {
        left_open.push("the deny is still there: ask again once what kept it is gone".to_owned());
    }
    ReleaseOutcome { state, left, steps, left_open }
}
