//! Why a step is not taken.

use ids::{EntitlementName, GrantId, Timestamp};
use thiserror::Error;

/// Why a step is not taken: one sentence each, for the person who asked for it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refused {
    /// The entitlement that was looked up is not the one that was asked for.
    #[error("{asked} was asked for, and {given} was looked up")]
    OtherEntitlement {
        /// What was asked for.
        asked: EntitlementName,
        /// What it was checked against.
        given: EntitlementName,
    },
    /// Too long or too short for this entitlement.
    #[error("{asked} seconds were asked for, and this entitlement gives {shortest} to {longest}")]
    Duration {
        /// What was asked for, in seconds.
        asked: u32,
        /// The least, in seconds.
        shortest: u32,
        /// The most, in seconds.
        longest: u32,
    },
    /// The entitlement's sessions are longer or shorter than STS makes them.
    #[error("the entitlement's sessions last {seconds} seconds, and STS makes them of 900 to 3600")]
    SessionLength {
        /// What the entitlement says, in seconds.
        seconds: u32,
    },
    /// Only a person may do this.
    #[error("only a person may do this, and whoever may assume a role could be anyone")]
    NotAPerson,
    /// Policy does not let them.
    #[error("policy does not let this person approve, deny or review here")]
    NotEligible,
    /// The requester reviews their own use.
    #[error("nobody reviews their own use of break-glass")]
    OwnReview,
    /// Somebody else's grant.
    #[error("the grant is another requester's")]
    NotYours,
    /// It has come too far for this, or not far enough.
    #[error("the grant is {state}, and this is for one that is {wanted}")]
    WrongState {
        /// What it is.
        state: &'static str,
        /// What it would have to be.
        wanted: &'static str,
    },
    /// A deadline has passed.
    #[error("it was too late for this at {0}")]
    TooLate(Timestamp),
    /// A deadline has not passed.
    #[error("it does not run out before {0}")]
    TooEarly(Timestamp),
    /// Less is left of the grant than the shortest session.
    #[error("{left} seconds are left of the grant, and the shortest session lasts 900")]
    LittleLeft {
        /// Whole seconds.
        left: u32,
    },
    /// The clock is behind the grant's last change by more than clocks may differ.
    #[error("the clock is more than five minutes behind the grant's last change at {0}")]
    ClockBehind(Timestamp),
    /// Too few approvals count.
    #[error("{have} of {needed} approvals count")]
    NoQuorum {
        /// How many people's count.
        have: usize,
        /// How many are needed.
        needed: u8,
    },
    /// What would be granted now is not what was asked for, or the row is not.
    #[error("what would be granted now is not what was asked for and approved")]
    Changed,
    /// The records do not bear out what the table says.
    #[error("the records do not say what the table does: {0}")]
    NotOnRecord(&'static str),
    /// A denial is on record, whatever the table says.
    #[error("it was denied, by the records")]
    DeniedOnRecord,
    /// An end is on record, whatever the table says.
    #[error("it has ended, by the records")]
    EndedOnRecord,
    /// This person's last use of break-glass has not been reviewed.
    #[error("the use of break-glass by {0} has to be reviewed first")]
    ReviewPending(GrantId),
    /// Nobody has to approve or review this class.
    #[error("this class of grant has no such step")]
    NoSuchStep,
    /// The role's inline policies could not hold the deny that would end it.
    #[error("ending it would take {size} characters of inline policy on the role, and IAM has room for {limit}")]
    NoRoomToEnd {
        /// Characters that would be needed.
        size: usize,
        /// Characters that there are.
        limit: usize,
    },
    /// A session is on record, so denying comes too late.
    #[error("a session may have been made: revoke it instead")]
    MayHaveSessions,
    /// A counter is at its end.
    #[error("the grant has been changed too often")]
    WornOut,
}
