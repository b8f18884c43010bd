//! The playbook for access: who may be granted what, who lets it be, and who ends it.

mod check;
mod limits;
mod offers;
mod question;
mod session;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU8;

use cedar_policy::PrincipalConstraint;
use grant::{Ask, Class, Entitlement, SHORTEST_SESSION, Terms};
use ids::{AccountId, EntitlementName, Hasher, RuleName, Sha256, Ticket, Timestamp};
use people::Who;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::error::explain;
use crate::policies::{Held, Policies, own};
use crate::question::Questions;
use crate::{Control, Decision, ENTITLEMENT_GONE, Mitigation, OTHER_CLASS, PlaybookError, TOO_LONG, TOO_SHORT, Verdict};

pub use check::{Checked, Explained, PolicyEffect, PolicyState};
use limits::{Limits, Strictest};
pub use offers::{Offer, OfferClass};
use question::Names;
pub use session::session_policy_digest;

const POLICIES: &str = include_str!("../../../../infra/policies/access/access.cedar");
const SCHEMA: &str = include_str!("../../../../infra/policies/access/access.cedarschema");
const CONTROLS: &str = include_str!("../../../../infra/policies/access/controls.json");
const ENTITLEMENTS: &str = include_str!("../../../../infra/policies/access/entitlements.json");
/// Each by its name. A test sees to it that every file is here.
const SESSIONS: [(&str, &str); 3] = [
    ("break-glass", include_str!("../../../../infra/policies/access/session/break-glass.json")),
    ("prod-deploy", include_str!("../../../../infra/policies/access/session/prod-deploy.json")),
    ("prod-read", include_str!("../../../../infra/policies/access/session/prod-read.json")),
];

/// What somebody wants to do about a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AccessAct {
    /// Ask for it.
    Request,
    /// Have it at once.
    BreakGlass,
    /// See it.
    Show,
    /// Let it be.
    Approve,
    /// Refuse it, or take it back before it begins.
    Deny,
    /// Get its first session: asked about the requester again.
    Mint,
    /// Get another session: asked about the requester again.
    Renew,
    /// Give it back.
    Return,
    /// End it for somebody else.
    Revoke,
    /// Fetch its credentials.
    Fetch,
    /// Look at a use of break-glass afterwards.
    Review,
}

impl AccessAct {
    /// All of them.
    pub const ALL: [Self; 11] = [
        Self::Request,
        Self::BreakGlass,
        Self::Show,
        Self::Approve,
        Self::Deny,
        Self::Mint,
        Self::Renew,
        Self::Return,
        Self::Revoke,
        Self::Fetch,
        Self::Review,
    ];

    /// The act, as people and records spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BreakGlass => "break-glass",
            other => other.action(),
        }
    }

    fn action(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::BreakGlass => "breakGlass",
            Self::Show => "show",
            Self::Approve => "approve",
            Self::Deny => "deny",
            Self::Mint => "mint",
            Self::Renew => "renew",
            Self::Return => "return",
            Self::Revoke => "revoke",
            Self::Fetch => "fetch",
            Self::Review => "review",
        }
    }

    /// Its permits say how long, and by how many.
    fn is_limited(self) -> bool {
        matches!(self, Self::Request | Self::BreakGlass | Self::Mint | Self::Renew)
    }

    /// All that it can do is close something.
    fn closes(self) -> bool {
        matches!(self, Self::Deny | Self::Return | Self::Revoke)
    }
}

impl fmt::Display for AccessAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who acts; at [`AccessAct::Mint`] and [`AccessAct::Renew`], whom it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessActor {
    /// The one name by which people and roles are compared: [`Who::id`].
    pub name: String,
    /// They are a person. What has no person behind it for certain is a caller.
    pub person: bool,
    /// The permission set of a person.
    pub permission_set: Option<String>,
    /// The groups of a person, by their bare names.
    pub groups: BTreeSet<String>,
    /// What a token or a role's session calls them, as a person's name. It counts against them only.
    pub calls_itself: Option<String>,
    /// A finding is about them.
    pub barred: bool,
}

impl AccessActor {
    /// Somebody whom the door has recognised.
    #[must_use]
    pub fn of(who: &Who, barred: bool) -> Self {
        Self {
            name: who.id(),
            person: who.is_person(),
            permission_set: who.person().map(|person| person.permission_set.clone()),
            groups: match who {
                Who::Subject(subject) => subject.groups.iter().cloned().collect(),
                Who::Person(_) | Who::Role { .. } => BTreeSet::new(),
            },
            calls_itself: who.calls_itself(),
            barred,
        }
    }
}

/// What they act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessAsked {
    /// What for.
    pub entitlement: EntitlementName,
    /// For whom, by the same kind of name.
    pub requester: String,
    /// What a token or a role's session called them when they asked, as a person's name.
    pub requester_calls_itself: Option<String>,
    /// For how long.
    pub seconds: u32,
    /// The case it belongs to.
    pub ticket: Option<Ticket>,
}

impl From<&Ask> for AccessAsked {
    fn from(ask: &Ask) -> Self {
        Self {
            entitlement: ask.entitlement.clone(),
            requester: ask.requester.id(),
            requester_calls_itself: ask.requester.calls_itself(),
            seconds: ask.seconds,
            ticket: ask.ticket.clone(),
        }
    }
}

impl From<&Terms> for AccessAsked {
    fn from(terms: &Terms) -> Self {
        Self {
            entitlement: terms.entitlement.clone(),
            requester: terms.requester.id(),
            requester_calls_itself: terms.requester.calls_itself(),
            seconds: terms.seconds,
            ticket: terms.ticket.clone(),
        }
    }
}

/// When, and from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AccessContext {
    /// When.
    pub now: Timestamp,
    /// Where from, if that is known.
    pub source: Option<IpAddr>,
    /// Seconds since the second factor was given, only where the caller's token says so.
    pub mfa_age: Option<u32>,
}

/// What the playbook says to one act.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessDecision {
    /// What was asked.
    pub act: AccessAct,
    /// About which entitlement: what follows is of this one and of no other.
    pub entitlement: EntitlementName,
    /// [`Verdict::Do`] is yes, [`Verdict::AskHuman`] is yes once it is approved, [`Verdict::NotifyOnly`] is no.
    pub decision: Decision,
    /// How many have to approve: the most that any of the permits says that hold. None for break-glass, and for acts that open nothing.
    pub needed: Option<NonZeroU8>,
    /// For how many seconds at most: the fewest that any of the permits says that hold. Also where what is asked is too long.
    pub longest_seconds: Option<u32>,
}

/// No entitlement has this name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("there is no entitlement `{0}`")]
pub struct UnknownEntitlement(pub EntitlementName);

/// All texts of a playbook for access.
#[derive(Debug, Clone, Copy)]
pub struct AccessTexts<'a> {
    /// The Cedar policies.
    pub policies: &'a str,
    /// Their schema.
    pub schema: &'a str,
    /// What decisions are evidence for.
    pub controls: &'a str,
    /// The entitlements.
    pub entitlements: &'a str,
    /// The session policies, by their names.
    pub sessions: &'a [(&'a str, &'a str)],
}

impl AccessTexts<'static> {
    /// Those in `infra/policies/access`, as they were when this was built.
    #[must_use]
    pub fn shipped() -> Self {
        Self { policies: POLICIES, schema: SCHEMA, controls: CONTROLS, entitlements: ENTITLEMENTS, sessions: &SESSIONS }
    }
}

/// Who may be granted what: Cedar policies and entitlements, read and checked.
#[derive(Clone)]
pub struct AccessPlaybook {
    policies: Policies,
    names: Names,
    limits: Limits,
    offers: BTreeMap<EntitlementName, Offer>,
    controls: Controls,
    rules: Rules,
    digest: Sha256,
}

/// The file beside the policies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Controls {
    /// What every decision is evidence for, whatever it says.
    every_decision: Vec<Control>,
    /// What an approval is evidence for, beyond that.
    approval: Vec<Control>,
    /// What opening something is.
    opening: Vec<Control>,
    /// What closing something is.
    ending: Vec<Control>,
    /// What a review is.
    review: Vec<Control>,
}

impl Controls {
    fn of(&self, act: AccessAct) -> &[Control] {
        match act {
            AccessAct::Request | AccessAct::Show => &[],
            AccessAct::Approve => &self.approval,
            AccessAct::BreakGlass | AccessAct::Mint | AccessAct::Renew | AccessAct::Fetch => &self.opening,
            AccessAct::Deny | AccessAct::Return | AccessAct::Revoke => &self.ending,
            AccessAct::Review => &self.review,
        }
    }
}

/// What holds whatever policies say.
#[derive(Debug, Clone)]
struct Rules {
    other_class: RuleName,
    too_long: RuleName,
    too_short: RuleName,
    gone: RuleName,
}

impl AccessPlaybook {
    /// The playbook in `infra/policies/access`, as it was when this was built, for roles of `home` where an entitlement names no account.
    ///
    /// # Errors
    /// If it is not a playbook, which a test rules out for partitions and accounts that are such.
    pub fn shipped(partition: &str, home: &AccountId) -> Result<Self, PlaybookError> {
        Self::parse(AccessTexts::shipped(), partition, home)
    }

    /// Reads a playbook, and refuses what it is not sure of: what any playbook refuses, a permit that opens and does not say how far, a policy
    /// about an entitlement that there is not, an entitlement that nobody could ask for or approve, a session policy that STS would refuse.
    ///
    /// # Errors
    /// With what is wrong, and what to do about it.
    pub fn parse(texts: AccessTexts<'_>, partition: &str, home: &AccountId) -> Result<Self, PlaybookError> {
        let other = |error: Box<_>| PlaybookError::OtherSchema { what: explain(&*error, "") };
        let questions = Questions::new("access", ["request", "approve", "deny"]).map_err(other)?;
        let policies = Policies::parse(texts.policies, texts.schema, questions)?;
        let sessions: BTreeMap<_, _> = texts.sessions.iter().copied().collect();
        let playbook = Self {
            limits: Limits::read(&policies)?,
            names: Names::new().map_err(other)?,
            offers: offers::read(texts.entitlements, &sessions, partition, home)?,
            controls: serde_json::from_str(texts.controls).map_err(|error| PlaybookError::Table { what: error.to_string() })?,
            rules: Rules {
                other_class: own(OTHER_CLASS)?,
                too_long: own(TOO_LONG)?,
                too_short: own(TOO_SHORT)?,
                gone: own(ENTITLEMENT_GONE)?,
            },
            digest: digest(&texts, &sessions),
            policies,
        };
        playbook.check_names()?;
        playbook.try_out()?;
        Ok(playbook)
    }

    /// Policies name only entitlements that there are: a misspelt one would never hold.
    fn check_names(&self) -> Result<(), PlaybookError> {
        for (rule, policy) in self.policies.each() {
            for literal in policy.entity_literals() {
                let name = literal.id().unescaped();
                if *literal.type_name() == self.names.entitlement && !self.offers.keys().any(|offer| offer.as_str() == name) {
                    let what = format!("it names the entitlement `{name}`, and entitlements.json has none of that name");
                    return Err(PlaybookError::Refused {
                        id: rule.name.to_string(),
                        what: format!("policy `{}`: {what}", rule.name),
                    });
                }
            }
        }
        Ok(())
    }

    /// Every act by every kind of actor on every offer fits the schema, so that asking does not fail afterwards.
    fn try_out(&self) -> Result<(), PlaybookError> {
        let refuse = |what: String| PlaybookError::OtherSchema { what };
        for offer in self.offers.values() {
            for (person, full) in [(true, true), (true, false), (false, true), (false, false)] {
                let name = || full.then(|| "x".to_owned());
                let actor = AccessActor {
                    name: "x".to_owned(),
                    person,
                    permission_set: name(),
                    groups: name().into_iter().collect(),
                    calls_itself: name(),
                    barred: full,
                };
                let asked = AccessAsked {
                    entitlement: offer.name.clone(),
                    requester: "x".to_owned(),
                    requester_calls_itself: name(),
                    seconds: SHORTEST_SESSION,
                    ticket: if full { "x".parse().ok() } else { None },
                };
                let context = AccessContext {
                    now: Timestamp::saturating(0),
                    source: full.then_some(IpAddr::from([203, 0, 113, 9])),
                    mfa_age: full.then_some(0),
                };
                for act in AccessAct::ALL {
                    let schema = self.policies.schema();
                    self.names.ask(act, &actor, offer, &asked, &context, schema).map_err(|error| refuse(error.to_string()))?;
                }
            }
        }
        Ok(())
    }

    /// The digest of every text, to the byte. It goes into every record, and into what an approval binds.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// What any decision is evidence for, whatever comes of it.
    #[must_use]
    pub fn deciding(&self) -> &[Control] {
        &self.controls.every_decision
    }

    /// The decision to end a grant whose entitlement was taken out: no policy can be asked about it any more.
    #[must_use]
    pub fn gone(&self, reason: &str) -> Decision {
        Decision {
            verdict: Verdict::Do,
            mitigation: Mitigation::EndAccess,
            rule: self.rules.gone.clone(),
            reason: reason.to_owned(),
            controls: self.deciding().to_vec(),
            would: None,
        }
    }

    /// What may be granted to somebody, by name.
    pub fn entitlements(&self) -> impl Iterator<Item = &Offer> {
        self.offers.values()
    }

    /// One entitlement.
    #[must_use]
    pub fn offer(&self, name: &EntitlementName) -> Option<&Offer> {
        self.offers.get(name)
    }

    /// Whether they may. What no policy answers for means no. A policy that cannot be evaluated opens nothing; what only closes goes by those
    /// that can.
    ///
    /// # Errors
    /// If there is no such entitlement.
    pub fn decide(
        &self,
        act: AccessAct,
        actor: &AccessActor,
        asked: &AccessAsked,
        context: &AccessContext,
    ) -> Result<AccessDecision, UnknownEntitlement> {
        let offer = self.offer(&asked.entitlement).ok_or_else(|| UnknownEntitlement(asked.entitlement.clone()))?;
        let held = self.held(act, actor, offer, asked, context);
        Ok(self.settle(act, offer, asked, &held))
    }

    /// What this caller may ask for, if they asked for the shortest time and with a ticket where one is needed.
    #[must_use]
    pub fn may_ask(&self, actor: &AccessActor, context: &AccessContext) -> Vec<(&Offer, AccessDecision)> {
        let decide = |offer: &Offer| {
            let asked = AccessAsked {
                entitlement: offer.name.clone(),
                requester: actor.name.clone(),
                requester_calls_itself: actor.calls_itself.clone(),
                seconds: SHORTEST_SESSION,
                ticket: if offer.ticket { "ticket".parse().ok() } else { None },
            };
            self.decide(offer.asked_by(), actor, &asked, context).ok()
        };
        let all = self.offers.values().filter_map(|offer| Some((offer, decide(offer)?)));
        all.filter(|(_, decided)| decided.decision.verdict != Verdict::NotifyOnly).collect()
    }

    /// What a grant of this entitlement comes to, by a decision that lets it be asked for or minted: with the quorum and the longest time of
    /// the permits that hold. None by a decision that says no, is about another act or about another entitlement.
    #[must_use]
    pub fn entitlement(&self, decided: &AccessDecision, name: &EntitlementName) -> Option<Entitlement> {
        if decided.entitlement != *name || decided.decision.verdict == Verdict::NotifyOnly || !decided.act.is_limited() {
            return None;
        }
        let offer = self.offer(name)?;
        Some(Entitlement {
            name: name.clone(),
            role: offer.role.clone(),
            session_policy: offer.session_policy_digest,
            class: match offer.class {
                OfferClass::Approved => Class::Approved { needed: decided.needed? },
                OfferClass::BreakGlass => Class::BreakGlass,
            },
            longest_seconds: decided.longest_seconds?,
            session_seconds: offer.session_seconds,
            policies: self.digest,
        })
    }

    /// Every policy that bears on the question, and what came of it: forbids first, and of each what holds first.
    ///
    /// # Errors
    /// If there is no such entitlement.
    pub fn explain(
        &self,
        act: AccessAct,
        actor: &AccessActor,
        asked: &AccessAsked,
        context: &AccessContext,
    ) -> Result<Vec<Explained>, UnknownEntitlement> {
        let offer = self.offer(&asked.entitlement).ok_or_else(|| UnknownEntitlement(asked.entitlement.clone()))?;
        let held = self.held(act, actor, offer, asked, context);
        let kind = if actor.person { &self.names.person } else { &self.names.caller };
        let bears = |policy: &cedar_policy::Policy| {
            let of_kind = match policy.principal_constraint() {
                PrincipalConstraint::Is(only) | PrincipalConstraint::IsIn(only, _) => only == *kind,
                PrincipalConstraint::Any | PrincipalConstraint::In(_) | PrincipalConstraint::Eq(_) => true,
            };
            of_kind && limits::acts(policy).is_ok_and(|acts| acts.contains(&act))
        };
        let mut explained: Vec<_> = self
            .policies
            .each()
            .filter(|(_, policy)| bears(policy))
            .map(|(rule, policy)| {
                let (effect, holding) = match policy.effect() {
                    cedar_policy::Effect::Permit => (PolicyEffect::Permit, &held.permits),
                    cedar_policy::Effect::Forbid => (PolicyEffect::Forbid, &held.forbids),
                };
                let state = if held.broken.contains(&rule.name) {
                    PolicyState::Broken
                } else if holding.iter().any(|holding| holding.name == rule.name) {
                    PolicyState::Held
                } else {
                    PolicyState::NotHeld
                };
                let text = Some(policy.to_string());
                Explained { policy: rule.name.clone(), effect, state, reason: rule.reason.clone(), text }
            })
            .collect();
        let strictest = self.limits.strictest(offer.class, &held.permits);
        if let Some((policy, reason)) =
            self.other_class(act, offer).or_else(|| self.outside(asked, strictest.filter(|_| act.is_limited())))
        {
            explained.push(Explained { policy, effect: PolicyEffect::Forbid, state: PolicyState::Held, reason, text: None });
        }
        explained.sort_by_key(|it| (it.effect == PolicyEffect::Permit, it.state == PolicyState::NotHeld, it.policy.clone()));
        Ok(explained)
    }

    /// The decision with everything that bears on it: what `cordon access check` shows.
    ///
    /// # Errors
    /// If there is no such entitlement.
    pub fn check(
        &self,
        act: AccessAct,
        actor: &AccessActor,
        asked: &AccessAsked,
        context: &AccessContext,
    ) -> Result<Checked, UnknownEntitlement> {
        let decided = self.decide(act, actor, asked, context)?;
        Ok(Checked::new(act, decided, self.explain(act, actor, asked, context)?, self.digest))
    }

    /// Which policies hold. If the schema does not describe the question, which trying it out has ruled out, everything is broken.
    fn held(&self, act: AccessAct, actor: &AccessActor, offer: &Offer, asked: &AccessAsked, context: &AccessContext) -> Held<'_> {
        match self.names.ask(act, actor, offer, asked, context, self.policies.schema()) {
            Ok((request, entities)) => self.policies.held(&request, &entities),
            Err(_) => Held { permits: Vec::new(), forbids: Vec::new(), broken: self.policies.all_names() },
        }
    }

    fn settle(&self, act: AccessAct, offer: &Offer, asked: &AccessAsked, held: &Held<'_>) -> AccessDecision {
        let no = |rule: RuleName, reason: String| (Verdict::NotifyOnly, rule, reason);
        let would = held.permits.first().map(|rule| rule.name.clone());
        let broken = if act.closes() && !held.permits.is_empty() { None } else { held.broken.first() };
        let mut limits = None;
        let (verdict, rule, reason) = if let Some(policy) = broken {
            no(self.policies.policy_error.clone(), format!("The policy `{policy}` could not be evaluated: nothing is opened."))
        } else if let Some(forbid) = held.forbids.first() {
            no(forbid.name.clone(), forbid.reason.clone())
        } else if let Some((rule, reason)) = self.other_class(act, offer) {
            no(rule, reason)
        } else if let Some(permit) = held.permits.first() {
            limits = self.limits.strictest(offer.class, &held.permits).filter(|_| act.is_limited());
            match self.outside(asked, limits) {
                Some((rule, reason)) => no(rule, reason),
                None if act.is_limited() && limits.is_none() => {
                    let reason = "The policies that allow this do not say for how long, or by how many: nothing is opened.";
                    no(self.policies.policy_error.clone(), reason.to_owned())
                }
                None => {
                    let verdict = if act == AccessAct::Request { Verdict::AskHuman } else { Verdict::Do };
                    (verdict, permit.name.clone(), permit.reason.clone())
                }
            }
        } else {
            no(self.policies.no_rule.clone(), "No policy allows this to this caller.".to_owned())
        };
        let allowed = verdict != Verdict::NotifyOnly;
        let doing = if verdict == Verdict::Do { self.controls.of(act) } else { &[] };
        let decision = Decision {
            verdict,
            mitigation: if allowed { mitigation(act) } else { Mitigation::None },
            rule,
            reason,
            controls: Control::together(self.deciding(), doing),
            would: if allowed { None } else { would },
        };
        let needed = limits.and_then(|limits| limits.needed);
        let longest_seconds = limits.map(|limits| limits.longest);
        AccessDecision { act, entitlement: offer.name.clone(), decision, needed, longest_seconds }
    }

    /// Break-glass is not asked for, and what is asked for is not had at once, whatever a policy permits.
    fn other_class(&self, act: AccessAct, offer: &Offer) -> Option<(RuleName, String)> {
        let reason = match (act, offer.class) {
            (AccessAct::Request, OfferClass::BreakGlass) => {
                "This entitlement is break-glass: it is had at once, and not asked for."
            }
            (AccessAct::BreakGlass, OfferClass::Approved) => "This entitlement is approved first: it is asked for.",
            _ => return None,
        };
        Some((self.rules.other_class.clone(), reason.to_owned()))
    }

    /// A duration outside of what this entitlement allows: this one, not any other that the caller has.
    fn outside(&self, asked: &AccessAsked, limits: Option<Strictest>) -> Option<(RuleName, String)> {
        let longest = limits?.longest;
        if asked.seconds > longest {
            return Some((self.rules.too_long.clone(), format!("This is granted for {longest} seconds at most.")));
        }
        if asked.seconds < SHORTEST_SESSION {
            return Some((self.rules.too_short.clone(), format!("A session lasts {SHORTEST_SESSION} seconds at least.")));
        }
        None
    }
}

fn mitigation(act: AccessAct) -> Mitigation {
    match act {
        AccessAct::Show | AccessAct::Review => Mitigation::None,
        AccessAct::Deny | AccessAct::Return | AccessAct::Revoke => Mitigation::EndAccess,
        AccessAct::Request | AccessAct::BreakGlass | AccessAct::Approve | AccessAct::Mint | AccessAct::Renew | AccessAct::Fetch => {
            Mitigation::GrantAccess
        }
    }
}

fn digest(texts: &AccessTexts<'_>, sessions: &BTreeMap<&str, &str>) -> Sha256 {
    let AccessTexts { policies, schema, controls, entitlements, sessions: _ } = texts;
    let hasher = Hasher::new("cordon/access-playbook/v1").part(policies).part(schema).part(controls).part(entitlements);
    sessions.iter().fold(hasher, |hasher, (name, text)| hasher.part(name).part(text)).finish()
}

impl fmt::Debug for AccessPlaybook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessPlaybook").field("digest", &self.digest).finish_non_exhaustive()
    }
}
