//! The steps that lift a deny, and the plan they make.

use std::fmt;

use ids::{IncidentId, RoleName, Sha256, UserName};
use serde::{Deserialize, Serialize};

use super::proposal::Proposal;
use crate::revoke::Denies;
use crate::{Case, Step};

/// The actions that lift a deny. None makes a key active: there is no word for it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Lift {
    /// Detach the policy that denies everything.
    DetachDeny {
        /// From whom.
        user: UserName,
        /// The policy.
        policy: String,
    },
    /// Put back the boundary that the policy took the place of.
    RestoreBoundary {
        /// Whose.
        user: UserName,
        /// The policy that is the boundary now.
        policy: String,
        /// The boundary from before; none if there was none.
        to: Option<String>,
    },
    /// Write the document on a role without one incident's statements.
    RewriteDenies {
        /// The role.
        role: RoleName,
        /// The inline policy's name.
        policy: String,
        /// Whose statements go.
        without: IncidentId,
        /// All that stays denied. The document follows from it.
        denies: Denies,
    },
    /// Delete the document: nothing else is denied in it.
    DeleteDenies {
        /// The role.
        role: RoleName,
        /// The inline policy's name.
        policy: String,
        /// Whose statements go.
        without: IncidentId,
    },
}

impl fmt::Display for Lift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DetachDeny { user, policy } => write!(f, "detach {policy}, which denies everything, from user {user}"),
            Self::RestoreBoundary { user, policy, to: Some(to) } => {
                write!(f, "make {to} the boundary of user {user} again, instead of {policy}")
            }
            Self::RestoreBoundary { user, policy, to: None } => {
                write!(f, "take the boundary {policy} off user {user}, who had none")
            }
            Self::RewriteDenies { role, without, denies, .. } => {
                let denied: Vec<_> = denies.0.values().map(ToString::to_string).collect();
                write!(f, "write the denies on role {role} without those of {without}; denied stays: {}", denied.join("; "))
            }
            Self::DeleteDenies { role, without, .. } => {
                write!(f, "delete the denies on role {role}: those of {without} are the only ones")
            }
        }
    }
}

/// The plan that undoes a revocation, as a second person approved it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Release {
    /// What it is for.
    pub case: Case,
    /// The digest that was approved: of `proposal`.
    pub digest: Sha256,
    /// The record of the request.
    pub request: String,
    /// The record of the approval.
    pub approval: String,
    /// What was asked for and approved.
    pub proposal: Proposal,
    /// What to do, all of it at the same time.
    pub steps: Vec<Step<Lift>>,
}

impl Release {
    /// The plan of an approved proposal, whose digest is `digest`.
    #[must_use]
    pub fn of(case: Case, proposal: Proposal, digest: Sha256, request: String, approval: String) -> Self {
        let steps = proposal.lifts.iter().map(|action| Step { wave: 0, action: action.clone() }).collect();
        Self { case, digest, request, approval, proposal, steps }
    }
}
