//! A grant, and what it can be.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use ids::{GrantId, IncidentId, SourceIdentity, Timestamp};
use people::Who;
use serde::{Deserialize, Serialize};

use crate::records::key;
use crate::{Closed, Denial, Opened, Reason, Refused, Terms};

/// How far the clocks of two functions, or of one and STS, may be apart. More than Lambda's ever are; small against any session.
pub(crate) const SKEW: Duration = Duration::from_secs(5 * 60);

/// The form of [`Grant`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GrantFormat {
    /// The first.
    #[serde(rename = "cordon/grant/v1")]
    V1,
}

/// One grant: its row in the table. The table is an index, so what opens is checked against the records as well.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// The form of what follows.
    pub format: GrantFormat,
    /// Which.
    pub id: GrantId,
    /// What was asked for.
    pub terms: Terms,
    /// When it was asked for.
    pub opened: Timestamp,
    /// From then on it cannot be approved.
    pub approve_by: Timestamp,
    /// One more with each step: what a conditional write compares.
    pub revision: u32,
    /// When the last step was taken.
    pub changed: Timestamp,
    /// How many sessions it has been given.
    pub sessions: u32,
    /// What it is.
    pub state: State,
    /// Of break-glass that was used: its review.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub review: Option<Review>,
}

/// What a grant is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case", deny_unknown_fields)]
pub enum State {
    /// Somebody asks.
    Requested,
    /// Enough others approve.
    Approved {
        /// Who.
        by: BTreeSet<String>,
        /// When that was noticed.
        at: Timestamp,
        /// From then on it cannot become active: so long after the last approval that was needed.
        mint_by: Timestamp,
    },
    /// Somebody was against it.
    Denied {
        /// Who.
        by: Who,
        /// When.
        at: Timestamp,
        /// Why.
        reason: Reason,
    },
    /// Nobody approved or used it in time.
    Expired {
        /// When that was noticed.
        at: Timestamp,
    },
    /// Sessions of it may be alive.
    Active {
        /// Since when.
        since: Timestamp,
        /// No session of it lives longer.
        ends: Timestamp,
    },
    /// It is over.
    Ended {
        /// When.
        at: Timestamp,
        /// How.
        how: Ending,
        /// Its sessions are denied until then; none if none can be alive.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deny_until: Option<Timestamp>,
    },
}

impl State {
    /// In a word.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Requested => "requested",
            Self::Approved { .. } => "approved",
            Self::Denied { .. } => "denied",
            Self::Expired { .. } => "expired",
            Self::Active { .. } => "active",
            Self::Ended { .. } => "ended",
        }
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Denied { .. } | Self::Expired { .. } | Self::Ended { .. })
    }
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How a grant comes to its end.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Ending {
    /// The requester is done with it.
    Returned {
        /// The requester.
        by: Who,
    },
    /// Somebody takes it away. That they may is for policy to say.
    Revoked {
        /// Who.
        by: Who,
        /// Why.
        reason: Reason,
    },
    /// An incident is about the requester.
    Finding {
        /// Which.
        incident: IncidentId,
    },
    /// Its time is over, and with it that of each of its sessions.
    RanOut,
}

/// The review of a use of break-glass.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Review {
    /// It is owed.
    Due {
        /// Until when.
        by: Timestamp,
    },
    /// It was done.
    Done {
        /// Who reviewed it.
        by: String,
        /// When.
        at: Timestamp,
        /// What they found.
        note: Reason,
    },
}

impl Grant {
    /// What STS writes on its sessions for good. No other grant has the same.
    #[must_use]
    pub fn source(&self) -> SourceIdentity {
        let name = match &self.terms.requester {
            Who::Person(person) => person.name.as_str(),
            Who::Subject(subject) => subject.name.as_deref().unwrap_or(&subject.subject),
            Who::Role { id, .. } => id.rsplit('/').next().unwrap_or(id),
        };
        SourceIdentity::of(name, &self.id)
    }

    /// What is recorded of its request.
    #[must_use]
    pub fn request_record(&self) -> Opened {
        Opened { grant: self.id.clone(), terms: self.terms.digest(), at: self.opened, approve_by: self.approve_by }
    }

    /// What is recorded of a denial, before its write: a row that is set back is then still denied.
    #[must_use]
    pub fn denial_record(&self) -> Option<Denial> {
        match &self.state {
            State::Denied { by, at, .. } => Some(Denial { grant: self.id.clone(), by: by.clone(), at: *at }),
            _ => None,
        }
    }

    /// What is recorded of an end, before its write, and what has to be denied then.
    #[must_use]
    pub fn closed(&self) -> Option<Closed> {
        match &self.state {
            State::Ended { deny_until, .. } => Some(self.denied_until(*deny_until)),
            _ => None,
        }
    }

    /// What would have to be denied if it ended now; what has ended, as it is; nothing of a grant that was never active.
    #[must_use]
    pub fn closable(&self) -> Option<Closed> {
        match &self.state {
            State::Active { ends, .. } => Some(self.denied_until(Some(ends.plus(SKEW)))),
            _ => self.closed(),
        }
    }

    fn denied_until(&self, deny_until: Option<Timestamp>) -> Closed {
        Closed { grant: self.id.clone(), role: self.terms.role.clone(), source: self.source(), deny_until }
    }

    /// Whether `who` may have the sealed credentials at `now`.
    ///
    /// # Errors
    /// If they are another's, or the grant is not active.
    pub fn may_fetch(&self, who: &Who, now: Timestamp) -> Result<(), Refused> {
        self.is_of(who)?;
        match &self.state {
            State::Active { ends, .. } if now < *ends => Ok(()),
            State::Active { ends, .. } => Err(Refused::TooLate(*ends)),
            state => Err(Refused::WrongState { state: state.name(), wanted: "active" }),
        }
    }

    pub(crate) fn is_of(&self, who: &Who) -> Result<(), Refused> {
        if key(who) == key(&self.terms.requester) { Ok(()) } else { Err(Refused::NotYours) }
    }

    /// Whether a review is owed and late: a person should hear of it.
    #[must_use]
    pub fn review_is_late(&self, now: Timestamp) -> bool {
        matches!(&self.review, Some(Review::Due { by }) if now >= *by)
    }
}
