//! The steps of a grant's life. Each is a pure function of the grant, what happens and the time, and says under which condition its write may win.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use ids::{GrantId, RecipientKey, RoleArn, Sha256, SourceIdentity, Timestamp};
use people::Who;

use crate::grant::SKEW;
use crate::records::{key, may_be_one};
use crate::{
    Ask, Class, Count, Denies, Eligible, Ending, Entitlement, Grant, GrantFormat, Minted, Reason, Records, Refused, Review,
    SHORTEST_SESSION, State, Terms,
};

/// The session tag that names a grant. It is transitive: it goes on into every role that the session assumes.
pub const SESSION_TAG: &str = "cordon:grant";

/// How long a request can be approved.
const APPROVE_WITHIN: Duration = Duration::from_secs(4 * 3600);
/// How long an approved grant waits for its first session: minutes, because mint acts by itself; beyond that something is wrong.
const MINT_WITHIN: Duration = Duration::from_secs(30 * 60);
/// After a step that allows a session, STS has to be called within this: longer than the function that does it may run.
const CALL_WITHIN: Duration = Duration::from_secs(60);
/// How long a review of break-glass may take.
const REVIEW_WITHIN: Duration = Duration::from_secs(24 * 3600);

/// What a step that opens goes by, beside the grant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// What the records say, each with its signature checked.
    pub records: Records,
    /// The people whom policy lets approve, now.
    pub eligible: Eligible,
    /// The terms as they are derived now, from the recorded request and the entitlement that is deployed.
    pub derived: Terms,
    /// The requester's uses of break-glass that have no review on record.
    pub unreviewed: BTreeSet<GrantId>,
    /// What is denied on the role, or would be if every active grant of it ended.
    pub reserved: Denies,
    /// Characters of the role's other inline policies.
    pub other_policies: usize,
}

/// What happens to a grant.
#[derive(Debug, Clone, Copy)]
pub enum Event<'a> {
    /// Enough approvals may be on record.
    Decide(&'a Basis),
    /// Somebody is against it, or the requester no longer for it.
    Deny {
        /// Who.
        by: &'a Who,
        /// Why.
        reason: &'a Reason,
        /// The people whom policy lets deny.
        eligible: &'a Eligible,
        /// What the records say: a grant that may have a session is not denied but ended.
        records: &'a Records,
    },
    /// It is to become active, and have its first session.
    Mint(&'a Basis),
    /// The requester wants another session.
    Renew {
        /// Who wants it.
        by: &'a Who,
        /// What it goes by.
        basis: &'a Basis,
    },
    /// It is to end before its time.
    End {
        /// How.
        how: &'a Ending,
        /// What the records say: sessions that the row no longer knows of have to be denied too.
        records: &'a Records,
    },
    /// Time has passed.
    Expire,
    /// A use of break-glass was looked at.
    Review {
        /// By whom.
        by: &'a Who,
        /// What they found.
        note: &'a Reason,
        /// The people whom policy lets review.
        eligible: &'a Eligible,
    },
}

/// What the row has to be for a write to win.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expected {
    /// There is none.
    Absent,
    /// It is at this revision.
    Revision(u32),
}

/// A row of its own that is written together with the grant's, so that a person has at most one use of break-glass without a review.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Lock {
    /// Only if nobody has it, or this grant has: `break-glass#person/alice@example.com`.
    Take(String),
    /// It is given back, if it is this grant's.
    Free(String),
}

/// The condition under which the write of a step may win. Of several steps from one revision, one wins; the others look again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Condition {
    /// The grant's row.
    pub row: Expected,
    /// What is written with it or not at all.
    pub lock: Option<Lock>,
}

impl Condition {
    /// Whether the grant's row is as it has to be.
    #[must_use]
    pub fn row_is(&self, row: Option<&Grant>) -> bool {
        match self.row {
            Expected::Absent => row.is_none(),
            Expected::Revision(revision) => row.is_some_and(|row| row.revision == revision),
        }
    }
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.row {
            Expected::Absent => f.write_str("only if there is no such grant")?,
            Expected::Revision(revision) => write!(f, "only if the grant is at revision {revision}")?,
        }
        match &self.lock {
            Some(Lock::Take(name)) => write!(f, ", and nobody else has {name}"),
            Some(Lock::Free(name)) => write!(f, ", and {name} is given back"),
            None => Ok(()),
        }
    }
}

/// The right to call STS once. It is worth something only after [`Mint::record`] was created where only one can be, and the step's write has won.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Mint {
    /// What is recorded before the write.
    pub record: Minted,
    /// The role to assume.
    pub role: RoleArn,
    /// `SourceIdentity`, and the session's name as well.
    pub source: SourceIdentity,
    /// Digest of the session policy to pass.
    pub session_policy: Sha256,
    /// Whom to seal the credentials to.
    pub recipient: RecipientKey,
    /// `DurationSeconds`.
    pub seconds: u32,
    /// STS must not be called from then on: the session would outlive the grant.
    pub call_before: Timestamp,
}

impl Mint {
    /// The session tag, key and value; its key is to be transitive.
    #[must_use]
    pub fn tag(&self) -> (&'static str, &str) {
        (SESSION_TAG, self.record.grant.as_str())
    }
}

/// A step that may be taken.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Step {
    /// The grant after it.
    pub grant: Grant,
    /// When its write may win.
    pub when: Condition,
    /// What the winner may do then. Nobody else may.
    pub mint: Option<Mint>,
    /// People have to be told at once: break-glass.
    pub loud: bool,
}

impl Grant {
    /// A new grant. The same request again is the same grant, and its write loses to the one that is there.
    ///
    /// # Errors
    /// If the entitlement does not allow it, or an earlier use of break-glass has to be reviewed first.
    pub fn request(ask: &Ask, entitlement: &Entitlement, now: Timestamp, unreviewed: &BTreeSet<GrantId>) -> Result<Step, Refused> {
        let terms = Terms::derive(ask, entitlement)?;
        let id = ask.grant();
        reviewed(&terms, &id, unreviewed)?;
        let loud = terms.class == Class::BreakGlass;
        let grant = Self {
            format: GrantFormat::V1,
            id,
            terms,
            opened: now,
            approve_by: now.plus(APPROVE_WITHIN),
            revision: 0,
            changed: now,
            sessions: 0,
            state: State::Requested,
            review: None,
        };
        Ok(Step { grant, when: Condition { row: Expected::Absent, lock: None }, mint: None, loud })
    }

    /// What comes of `event` at `now`.
    ///
    /// # Errors
    /// If the step must not be taken; the grant stays as it is.
    pub fn step(&self, event: Event<'_>, now: Timestamp) -> Result<Step, Refused> {
        match event {
            Event::Decide(basis) => self.decide(basis, now),
            Event::Deny { by, reason, eligible, records } => self.deny(by, reason, (eligible, records), now),
            Event::Mint(basis) => self.mint(basis, now),
            Event::Renew { by, basis } => self.renew(by, basis, now),
            Event::End { how, records } => self.end(how, records, now),
            Event::Expire => self.expire(now),
            Event::Review { by, note, eligible } => self.reviewed_by(by, note, eligible, now),
        }
    }

    fn decide(&self, basis: &Basis, now: Timestamp) -> Result<Step, Refused> {
        let State::Requested = &self.state else { return Err(self.wrong("requested")) };
        if self.terms.class == Class::BreakGlass {
            return Err(Refused::NoSuchStep);
        }
        if now >= self.approve_by {
            return Err(Refused::TooLate(self.approve_by));
        }
        let allowed = self.allowed(basis, now)?;
        let mint_by = allowed.mint_by;
        if now >= mint_by {
            return Err(Refused::TooLate(mint_by));
        }
        self.next(State::Approved { by: allowed.people, at: now, mint_by }, now)
    }

    fn deny(&self, by: &Who, reason: &Reason, (eligible, records): (&Eligible, &Records), now: Timestamp) -> Result<Step, Refused> {
        if !matches!(self.state, State::Requested | State::Approved { .. }) {
            return Err(self.wrong("requested or approved"));
        }
        if self.is_of(by).is_err() && !eligible.has(by) {
            return Err(Refused::NotEligible);
        }
        if records.sessions(&self.id).is_some() {
            return Err(Refused::MayHaveSessions);
        }
        self.next(State::Denied { by: by.clone(), at: now, reason: reason.clone() }, now)
    }

    fn mint(&self, basis: &Basis, now: Timestamp) -> Result<Step, Refused> {
        match (&self.state, self.terms.class) {
            (State::Approved { .. }, Class::Approved { .. }) | (State::Requested, Class::BreakGlass) => {}
            _ => return Err(self.wrong("approved")),
        }
        // The row's own deadline could be anything: what counts is when the records show the quorum.
        let Allowed { mint_by, .. } = self.allowed(basis, now)?;
        if now >= mint_by {
            return Err(Refused::TooLate(mint_by));
        }
        reviewed(&self.terms, &self.id, &basis.unreviewed)?;
        // A run that died between its record and its write has fixed the end: whoever takes over cannot make it later.
        let longest = now.plus(CALL_WITHIN).plus(Duration::from_secs(self.terms.seconds.into()));
        let ends = basis.records.sessions(&self.id).map_or(longest, |(first, _)| first.ends.min(longest));
        let mint = self.session(basis, ends, now)?;
        let active = State::Active { since: now, ends };
        let mut step = self.next(active, now)?;
        room(&step.grant, basis)?;
        step.grant.sessions = mint.record.serial;
        step.mint = Some(mint);
        if self.terms.class == Class::BreakGlass {
            step.grant.review = Some(Review::Due { by: now.plus(REVIEW_WITHIN) });
            step.when.lock = Some(Lock::Take(self.lock()));
            step.loud = true;
        }
        Ok(step)
    }

    fn renew(&self, by: &Who, basis: &Basis, now: Timestamp) -> Result<Step, Refused> {
        let State::Active { ends, .. } = &self.state else { return Err(self.wrong("active")) };
        self.is_of(by)?;
        if now >= *ends {
            return Err(Refused::TooLate(*ends));
        }
        self.allowed(basis, now)?;
        let Some((first, _)) = basis.records.sessions(&self.id) else { return Err(Refused::NotOnRecord("it was never active")) };
        if *ends != first.ends {
            return Err(Refused::NotOnRecord("it ends at another time"));
        }
        let mint = self.session(basis, *ends, now)?;
        let mut step = self.next(self.state.clone(), now)?;
        step.grant.sessions = mint.record.serial;
        step.mint = Some(mint);
        step.loud = self.terms.class == Class::BreakGlass;
        Ok(step)
    }

    fn end(&self, how: &Ending, records: &Records, now: Timestamp) -> Result<Step, Refused> {
        match how {
            Ending::Returned { by } => self.is_of(by)?,
            Ending::RanOut => return self.expire(now),
            Ending::Revoked { .. } | Ending::Finding { .. } => {}
        }
        let by_row = match &self.state {
            State::Active { ends, .. } => Some(*ends),
            _ => None,
        };
        // A row that was set back, or to its end, would hide sessions from what ends them: the records know of each.
        let by_record = records.sessions(&self.id).map(|(first, _)| first.ends);
        // Not until the last session's own end: one may be on its way from STS.
        let deny_until = by_row.max(by_record).map(|ends| ends.plus(SKEW));
        let alive = by_record.is_some_and(|ends| now < ends) && !records.denies_until(&self.id, deny_until);
        if self.state.is_final() && !alive {
            return Err(self.wrong("not over"));
        }
        self.next(State::Ended { at: now, how: how.clone(), deny_until }, now)
    }

    fn expire(&self, now: Timestamp) -> Result<Step, Refused> {
        let (deadline, then) = match &self.state {
            State::Requested => (self.approve_by, State::Expired { at: now }),
            State::Approved { mint_by, .. } => (*mint_by, State::Expired { at: now }),
            State::Active { ends, .. } => (*ends, State::Ended { at: now, how: Ending::RanOut, deny_until: None }),
            State::Denied { .. } | State::Expired { .. } | State::Ended { .. } => return Err(self.wrong("not over")),
        };
        if now < deadline {
            return Err(Refused::TooEarly(deadline));
        }
        self.next(then, now)
    }

    fn reviewed_by(&self, by: &Who, note: &Reason, eligible: &Eligible, now: Timestamp) -> Result<Step, Refused> {
        let State::Ended { .. } = &self.state else { return Err(self.wrong("ended")) };
        let Some(Review::Due { .. }) = &self.review else { return Err(Refused::NoSuchStep) };
        if !by.is_person() {
            return Err(Refused::NotAPerson);
        }
        if may_be_one(by, &self.terms.requester) {
            return Err(Refused::OwnReview);
        }
        if !eligible.has(by) {
            return Err(Refused::NotEligible);
        }
        let mut step = self.next(self.state.clone(), now)?;
        step.grant.review = Some(Review::Done { by: key(by), at: now, note: note.clone() });
        step.when.lock = Some(Lock::Free(self.lock()));
        Ok(step)
    }

    /// Everything that each step that opens asks anew, whatever the row says: the table could have been written by anyone.
    fn allowed(&self, basis: &Basis, now: Timestamp) -> Result<Allowed, Refused> {
        if now.plus(SKEW) < self.changed {
            return Err(Refused::ClockBehind(self.changed));
        }
        let records = &basis.records;
        let opened = records.opened.as_ref().ok_or(Refused::NotOnRecord("it was never asked for"))?;
        if opened.grant != self.id || opened.approve_by != self.approve_by {
            return Err(Refused::NotOnRecord("it was asked for otherwise"));
        }
        let digest = self.terms.digest();
        if opened.terms != digest || basis.derived != self.terms {
            return Err(Refused::Changed);
        }
        if records.denied(&self.id) {
            return Err(Refused::DeniedOnRecord);
        }
        if records.ended(&self.id) {
            return Err(Refused::EndedOnRecord);
        }
        let count = Count::of_terms(self, digest, &records.approvals, &basis.eligible);
        let mint_by = match self.terms.class {
            Class::Approved { needed } => match count.reached(needed) {
                Some(reached) => reached.plus(MINT_WITHIN),
                None => return Err(Refused::NoQuorum { have: count.people.len(), needed: needed.get() }),
            },
            Class::BreakGlass => self.approve_by,
        };
        Ok(Allowed { people: count.people.into_keys().collect(), mint_by })
    }

    /// The next session, which ends before `ends` even if STS is called at the last moment.
    fn session(&self, basis: &Basis, ends: Timestamp, now: Timestamp) -> Result<Mint, Refused> {
        let call_before = now.plus(CALL_WITHIN);
        let left = u32::try_from(ends.millis_since(call_before).max(0) / 1000).unwrap_or(u32::MAX);
        if left < SHORTEST_SESSION {
            return Err(Refused::LittleLeft { left });
        }
        let recorded = basis.records.sessions(&self.id).map_or(0, |(_, last)| last);
        let serial = self.sessions.max(recorded).checked_add(1).ok_or(Refused::WornOut)?;
        Ok(Mint {
            record: Minted { grant: self.id.clone(), serial, at: now, ends },
            role: self.terms.role.clone(),
            source: self.source(),
            session_policy: self.terms.session_policy,
            recipient: self.terms.recipient.clone(),
            seconds: self.terms.session_seconds.min(left),
            call_before,
        })
    }

    fn next(&self, state: State, now: Timestamp) -> Result<Step, Refused> {
        let mut grant = self.clone();
        grant.state = state;
        grant.revision = self.revision.checked_add(1).ok_or(Refused::WornOut)?;
        // Never back: another's clock may have been ahead.
        grant.changed = now.max(self.changed);
        Ok(Step { grant, when: Condition { row: Expected::Revision(self.revision), lock: None }, mint: None, loud: false })
    }

    fn lock(&self) -> String {
        break_glass_lock(&self.terms.requester)
    }

    fn wrong(&self, wanted: &'static str) -> Refused {
        Refused::WrongState { state: self.state.name(), wanted }
    }
}

/// The row that somebody's one use of break-glass without a review is in.
#[must_use]
pub fn break_glass_lock(who: &Who) -> String {
    format!("break-glass#{}", key(who))
}

/// Who allowed it, and until when it can become active.
struct Allowed {
    people: BTreeSet<String>,
    mint_by: Timestamp,
}

/// That no other use of break-glass by the same person waits for its review.
fn reviewed(terms: &Terms, own: &GrantId, unreviewed: &BTreeSet<GrantId>) -> Result<(), Refused> {
    match (terms.class, unreviewed.iter().find(|grant| *grant != own)) {
        (Class::BreakGlass, Some(grant)) => Err(Refused::ReviewPending(grant.clone())),
        _ => Ok(()),
    }
}

/// That it could be ended: what cannot be denied must not begin.
fn room(active: &Grant, basis: &Basis) -> Result<(), Refused> {
    let mut reserved = basis.reserved.clone();
    reserved.extend(active.closable().map(|closed| closed.source));
    let size = reserved.size().saturating_add(basis.other_policies);
    if size > crate::ROLE_POLICIES { Err(Refused::NoRoomToEnd { size, limit: crate::ROLE_POLICIES }) } else { Ok(()) }
}
