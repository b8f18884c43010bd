//! What is proposed: all that an approver has to see, derived from what revoke recorded and what IAM shows.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use ids::{AccessKeyId, AccountId, Hasher, IncidentId, Region, Sha256, Timestamp};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::steps::Lift;
use crate::Did;
use crate::revoke::{Denied, Denies, Principal, Revocation, RevocationOutcome, Revoke, Role, User, denies_policy, is_denied};

/// A session that a user makes for itself lives so long at most (STS API Reference, `GetSessionToken`).
const SESSION_OF_A_USER: Duration = Duration::from_secs(36 * 3600);
/// A session of a role lives so long at most (IAM user guide, "Update the maximum session duration for a role").
const SESSION_OF_A_ROLE: Duration = Duration::from_secs(12 * 3600);

/// A revocation of the past, as its records have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Past {
    /// The key of its outcome.
    pub record: String,
    /// What was planned.
    pub plan: Revocation,
    /// What came of it.
    pub outcome: RevocationOutcome,
}

impl Past {
    /// The steps that AWS accepted.
    fn accepted(&self) -> impl Iterator<Item = &Revoke> {
        let accepted = self.outcome.steps.iter().filter(|done| done.did == Did::Accepted);
        accepted.filter_map(|done| self.plan.steps.get(done.step)).map(|step| &step.action)
    }

    /// Keys that this revocation was about or made inactive.
    fn keys(&self) -> impl Iterator<Item = &AccessKeyId> {
        let disabled = self.plan.steps.iter().filter_map(|step| match &step.action {
            Revoke::DisableKey { key, .. } => Some(key),
            _ => None,
        });
        disabled.chain(&self.plan.key)
    }
}

/// What a proposal goes by, beside what IAM shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Basis {
    /// The incident that is to let go.
    pub incident: IncidentId,
    /// The account.
    pub account: AccountId,
    /// The Region of the function: its document is the one that is written.
    pub region: Region,
    /// Every revocation on record of this principal, other incidents' too.
    pub pasts: Vec<Past>,
    /// The other incidents that hold the principal.
    pub held_by: BTreeSet<IncidentId>,
    /// What other incidents deny on the role, by the table.
    pub denies: Denies,
    /// The deployed policy that denies everything.
    pub deny_policy: String,
    /// Digest of the policies that decide about releases.
    pub playbook: Sha256,
    /// When this is looked at.
    pub now: Timestamp,
}

/// What somebody wishes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// Who: a name by which persons and roles are compared.
    pub by: String,
    /// Why.
    pub reason: String,
    /// They know that stolen sessions may not have run out yet.
    pub early: bool,
}

/// What a release gives back to a thief, for as long as it is too early.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revives {
    /// Which sessions.
    pub what: String,
    /// When the last of them has ended by itself.
    pub until: Timestamp,
}

/// All that an approver has to see. Its digest is what an approval binds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proposal {
    /// The incident that is to let go.
    pub incident: IncidentId,
    /// The account.
    pub account: AccountId,
    /// The principal's ARN.
    pub principal: String,
    /// Who asks, and why.
    pub wish: Wish,
    /// What is lifted. Nothing, where other incidents hold the user.
    pub lifts: Vec<Lift>,
    /// The other incidents that go on holding the principal.
    pub held_by: BTreeSet<IncidentId>,
    /// What stays as it is: keys that stay inactive, others' denies.
    pub stays: Vec<String>,
    /// What works again.
    pub works: Vec<String>,
    /// What to issue instead of what has leaked.
    pub instead: Vec<String>,
    /// What a thief gets back if it is lifted before then.
    pub revives: Revives,
    /// The principal as it is now: whatever changes in it changes the digest.
    pub before: Principal,
    /// The records of the revocations that this goes by.
    pub basis: Vec<String>,
    /// Digest of the policies that decide about releases.
    pub playbook: Sha256,
}

impl Proposal {
    /// The digest that an approval binds: of everything in it.
    ///
    /// # Errors
    /// None that is known: its types can be put into JSON.
    pub fn digest(&self) -> Result<Sha256, serde_json::Error> {
        Ok(Hasher::new("cordon/release/v1").part(&serde_json::to_string(self)?).finish())
    }

    /// Whether stolen sessions may still be alive at `now`.
    #[must_use]
    pub fn is_early(&self, now: Timestamp) -> bool {
        !self.lifts.is_empty() && now < self.revives.until
    }

    /// Whether IAM shows all that is to be lifted as lifted.
    #[must_use]
    pub fn is_lifted(&self, after: &Principal) -> bool {
        self.lifts.iter().all(|lift| match (lift, after) {
            (Lift::DetachDeny { policy, .. }, Principal::User(user)) => !user.attached.contains(policy),
            (Lift::RestoreBoundary { to, .. }, Principal::User(user)) => user.boundary == *to,
            (Lift::RewriteDenies { denies, .. }, Principal::Role(role)) => role.foreign.is_none() && role.denies == *denies,
            (Lift::DeleteDenies { .. }, Principal::Role(role)) => role.foreign.is_none() && role.denies.0.is_empty(),
            (_, _) => false,
        })
    }
}

/// Something that is not as the revocation left it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    /// What it is about.
    pub what: String,
    /// How it was left.
    pub left: String,
    /// How it is found.
    pub found: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: left as {}, found as {}", self.what, self.left, self.found)
    }
}

/// Why nothing can be proposed.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum NoRelease {
    /// No record says what this incident's revocation did.
    #[error("no record says what the revocation of {0} did to this principal")]
    NothingOnRecord(IncidentId),
    /// Somebody has changed the principal since.
    #[error("the principal is not as the revocation left it: {}", differences(.0))]
    Drift(Vec<Difference>),
}

fn differences(all: &[Difference]) -> String {
    all.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

/// What is to be lifted for `basis.incident`, from a principal that is seen as `seen`.
///
/// # Errors
/// If no record says what was done, or the principal is not as that left it.
pub fn propose(basis: &Basis, wish: Wish, mut seen: Principal) -> Result<Proposal, NoRelease> {
    // When the role was last used is no state of it: its neighbours use it on, and the approver's digest must hold meanwhile.
    if let Principal::Role(role) = &mut seen {
        role.last_used = None;
    }
    let mut found = Found::default();
    match &seen {
        Principal::User(user) => found.user(basis, user)?,
        Principal::Role(role) => found.role(basis, role)?,
    }
    if !found.differences.is_empty() {
        return Err(NoRelease::Drift(found.differences));
    }
    let Some(revives) = found.revives else { return Err(NoRelease::NothingOnRecord(basis.incident.clone())) };
    Ok(Proposal {
        incident: basis.incident.clone(),
        account: basis.account.clone(),
        principal: seen.arn().to_owned(),
        wish,
        lifts: found.lifts,
        held_by: basis.held_by.clone(),
        stays: found.stays,
        works: found.works,
        instead: found.instead,
        revives,
        before: seen,
        basis: basis.pasts.iter().map(|past| past.record.clone()).collect(),
        playbook: basis.playbook,
    })
}

/// What a look at the principal comes to.
#[derive(Debug, Default)]
struct Found {
    differences: Vec<Difference>,
    lifts: Vec<Lift>,
    stays: Vec<String>,
    works: Vec<String>,
    instead: Vec<String>,
    revives: Option<Revives>,
}

impl Found {
    fn differs(&mut self, what: impl Into<String>, left: impl Into<String>, found: impl Into<String>) {
        self.differences.push(Difference { what: what.into(), left: left.into(), found: found.into() });
    }

    fn user(&mut self, basis: &Basis, seen: &User) -> Result<(), NoRelease> {
        let nothing = || NoRelease::NothingOnRecord(basis.incident.clone());
        let policy = &basis.deny_policy;
        let own: Vec<&Past> = basis.pasts.iter().filter(|past| past.plan.case.incident == basis.incident).collect();
        // The last time that it was closed for this incident: what was stolen before is as old as that at least.
        let closing = own.iter().filter(|past| !past.plan.steps.is_empty()).map(|past| past.plan.case.now).max();
        let closed = closing.or(own.iter().map(|past| past.plan.case.now).min()).ok_or_else(nothing)?;
        // Whoever looked last, for whatever incident, knows best how it was left.
        let newest = basis.pasts.iter().max_by_key(|past| past.plan.case.now).ok_or_else(nothing)?;
        let Principal::User(before) = &newest.plan.before else { return Err(nothing()) };

        let attached_by_us = |past: &Past| past.accepted().any(|step| matches!(step, Revoke::AttachDeny { .. }));
        let bound_by_us = |past: &Past| past.accepted().any(|step| matches!(step, Revoke::BoundByDeny { .. }));
        let mut attached = before.attached.clone();
        if attached_by_us(newest) {
            attached.insert(policy.clone());
        }
        let boundary = if bound_by_us(newest) { Some(policy.clone()) } else { before.boundary.clone() };

        if seen.arn != before.arn {
            self.differs("the user", &before.arn, &seen.arn);
        }
        for gone in attached.difference(&seen.attached) {
            self.differs(format!("the policy {gone}"), "attached", "not attached");
        }
        for new in seen.attached.difference(&attached) {
            self.differs(format!("the policy {new}"), "not attached", "attached");
        }
        if seen.boundary != boundary {
            let words = |boundary: &Option<String>| boundary.clone().unwrap_or_else(|| "none".to_owned());
            self.differs("the permissions boundary", words(&boundary), words(&seen.boundary));
        }
        let leaked: BTreeSet<&AccessKeyId> = basis.pasts.iter().flat_map(Past::keys).collect();
        for key in &seen.keys {
            match (leaked.contains(&key.id), key.active) {
                (true, true) => self.differs(format!("the key {}", key.id), "inactive", "active"),
                (true, false) => {
                    self.stays.push(format!("the key {} stays inactive: a leaked key is never made active again", key.id));
                }
                (false, false) => self.stays.push(format!("the key {} stays inactive", key.id)),
                (false, true) => self.works.push(format!("the key {} of user {}", key.id, seen.name)),
            }
        }

        if !basis.held_by.is_empty() {
            self.stays.push(format!("everything stays denied to user {}: other incidents hold it", seen.name));
            self.works.clear();
        } else {
            if seen.attached.contains(policy) {
                if basis.pasts.iter().any(attached_by_us) {
                    self.lifts.push(Lift::DetachDeny { user: seen.name.clone(), policy: policy.clone() });
                } else {
                    self.stays.push(format!("{policy} stays attached: it was before Cordon came"));
                }
            }
            if seen.boundary.as_deref() == Some(policy) {
                let bounded = basis.pasts.iter().filter(|past| bound_by_us(past)).max_by_key(|past| past.plan.case.now);
                let from = bounded.and_then(|past| {
                    past.accepted().find_map(|step| match step {
                        Revoke::BoundByDeny { from, .. } => Some(from.clone()),
                        _ => None,
                    })
                });
                match from {
                    Some(to) => self.lifts.push(Lift::RestoreBoundary { user: seen.name.clone(), policy: policy.clone(), to }),
                    None => self.stays.push(format!("{policy} stays the boundary: it was before Cordon came")),
                }
            }
            if self.lifts.is_empty() && is_denied(seen, policy) {
                self.works.clear();
            } else {
                self.works.push(format!("the password of user {}, if it has one", seen.name));
            }
        }
        self.instead.push(format!("a new key for user {}, or rather a role instead of a key", seen.name));
        self.revives = Some(Revives {
            what: format!("sessions that the leaked key or password of user {} made before", seen.name),
            until: closed.plus(SESSION_OF_A_USER),
        });
        Ok(())
    }

    fn role(&mut self, basis: &Basis, seen: &Role) -> Result<(), NoRelease> {
        let nothing = || NoRelease::NothingOnRecord(basis.incident.clone());
        let own = basis.pasts.iter().filter(|past| past.plan.case.incident == basis.incident);
        let (at, was, denied) = own
            .filter_map(|past| {
                let Principal::Role(before) = &past.plan.before else { return None };
                let written = past.accepted().find_map(|step| match step {
                    Revoke::WriteDenies { denies, .. } => denies.0.get(&basis.incident),
                    _ => None,
                });
                Some((past.plan.case.now, before, written.or_else(|| before.denies.0.get(&basis.incident))?))
            })
            .max_by_key(|(at, _, _)| *at)
            .ok_or_else(nothing)?;

        if seen.id != was.id {
            self.differs("the role's unique id", was.id.as_str(), seen.id.as_str());
        }
        if seen.arn != was.arn {
            self.differs("the role", &was.arn, &seen.arn);
        }
        let policy = denies_policy(&basis.region);
        if let Some(foreign) = &seen.foreign {
            self.differs(format!("the document {policy}"), "Cordon's denies", foreign);
            return Ok(());
        }
        // What has run out by itself may have been pruned by whoever wrote the document next, or not.
        let mut wanted = basis.denies.clone();
        wanted.0.insert(basis.incident.clone(), denied.clone());
        for incident in wanted.0.keys().chain(seen.denies.0.keys()).collect::<BTreeSet<_>>() {
            let (left, found) = (wanted.0.get(incident), seen.denies.0.get(incident));
            let over = |denied: &Denied| denied.until().is_some_and(|until| until <= basis.now);
            let pruned = found.is_none() && left.is_some_and(over);
            let unknown = left.is_none() && found.is_some_and(over);
            if left != found && !pruned && !unknown {
                let words = |denied: Option<&Denied>| denied.map_or_else(|| "absent".to_owned(), ToString::to_string);
                self.differs(format!("the deny of {incident}"), words(left), words(found));
            }
        }

        let mut rest = seen.denies.clone();
        if rest.0.remove(&basis.incident).is_some() {
            let (role, without) = (seen.name.clone(), basis.incident.clone());
            self.lifts.push(if rest.0.is_empty() {
                Lift::DeleteDenies { role, policy, without }
            } else {
                Lift::RewriteDenies { role, policy, without, denies: rest.clone() }
            });
        }
        self.stays.extend(rest.0.iter().map(|(incident, denied)| format!("{denied} stays denied, for {incident}")));
        self.works.push(format!("{denied}, of role {}", seen.name));
        self.instead.push(format!("a new session of role {}, by whoever may assume it", seen.name));
        self.revives = Some(Revives {
            what: format!("{denied}: stolen credentials too, until they run out"),
            until: denied.until().unwrap_or_else(|| at.plus(SESSION_OF_A_ROLE)),
        });
        Ok(())
    }
}

impl fmt::Display for Proposal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "incident {}, {} of account {}", self.incident, self.principal, self.account)?;
        writeln!(f, "  asked by {}: {}", self.wish.by, self.wish.reason)?;
        for lift in &self.lifts {
            writeln!(f, "  lifted: {lift}")?;
        }
        if self.lifts.is_empty() {
            writeln!(f, "  lifted: nothing; the incident only lets go of it")?;
        }
        for incident in &self.held_by {
            writeln!(f, "  held on by: {incident}")?;
        }
        for (word, lines) in [("works again", &self.works), ("stays", &self.stays), ("issue instead", &self.instead)] {
            for line in lines {
                writeln!(f, "  {word}: {line}")?;
            }
        }
        let Revives { what, until } = &self.revives;
        writeln!(f, "  before {until} also: {what}{}", if self.wish.early { " (it was asked for all the same)" } else { "" })
    }
}
