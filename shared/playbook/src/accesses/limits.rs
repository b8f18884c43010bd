//! How long, and by how many: what permits say beside yes.

use std::collections::BTreeMap;
use std::num::NonZeroU8;

use cedar_policy::{ActionConstraint, Effect, Policy};
use grant::{BREAK_GLASS_LONGEST, SHORTEST_SESSION};
use ids::RuleName;

use super::{AccessAct, OfferClass};
use crate::PlaybookError;
use crate::policies::{Policies, Rule};

/// No permit allows more seconds than this: what is needed for longer is no just-in-time access.
const LONGEST: u32 = 12 * 3600;

/// What one permit says.
#[derive(Debug, Clone, Copy)]
struct Limit {
    quorum: Option<NonZeroU8>,
    longest: u32,
}

/// What each permit for an act that opens says.
#[derive(Debug, Clone)]
pub(super) struct Limits(BTreeMap<RuleName, Limit>);

/// The strictest of several permits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Strictest {
    pub(super) needed: Option<NonZeroU8>,
    pub(super) longest: u32,
}

impl Limits {
    /// Reads the annotations, and refuses a permit that opens and does not say how far.
    pub(super) fn read(policies: &Policies) -> Result<Self, PlaybookError> {
        let mut limits = BTreeMap::new();
        for (rule, policy) in policies.each() {
            let refuse = |what: String| PlaybookError::Limits { id: rule.name.to_string(), what };
            let acts = acts(policy).map_err(refuse)?;
            if let Some(limit) = limit(policy, &acts).map_err(refuse)? {
                limits.insert(rule.name.clone(), limit);
            }
        }
        Ok(Self(limits))
    }

    /// The strictest that these permits say of a grant of this class: the most approvals, the fewest seconds. None if they do not say.
    pub(super) fn strictest(&self, class: OfferClass, permits: &[&Rule]) -> Option<Strictest> {
        let said = || permits.iter().filter_map(|rule| self.0.get(&rule.name));
        let longest = said().map(|limit| limit.longest).min()?;
        match class {
            OfferClass::Approved => Some(Strictest { needed: Some(said().filter_map(|limit| limit.quorum).max()?), longest }),
            OfferClass::BreakGlass => Some(Strictest { needed: None, longest: longest.min(BREAK_GLASS_LONGEST) }),
        }
    }
}

/// The acts that a policy is about.
pub(super) fn acts(policy: &Policy) -> Result<Vec<AccessAct>, String> {
    let named = match policy.action_constraint() {
        ActionConstraint::Any => return Ok(AccessAct::ALL.into()),
        ActionConstraint::Eq(action) => vec![action],
        ActionConstraint::In(actions) => actions,
    };
    let act = |action: &cedar_policy::EntityUid| {
        let known = AccessAct::ALL.into_iter().find(|act| act.action() == action.id().unescaped());
        known.ok_or_else(|| format!("it names `{action}`: name the acts themselves"))
    };
    named.iter().map(act).collect()
}

fn limit(policy: &Policy, acts: &[AccessAct]) -> Result<Option<Limit>, String> {
    let (quorum, longest) = (policy.annotation("quorum"), policy.annotation("longest"));
    let has = |act| acts.contains(&act);
    let (asks, breaks) = (has(AccessAct::Request), has(AccessAct::BreakGlass));
    if policy.effect() == Effect::Forbid || !acts.iter().any(|act| act.is_limited()) {
        return match (quorum, longest) {
            (None, None) => Ok(None),
            _ => Err("@quorum and @longest are for permits of `request` and `breakGlass`: nobody would read them here".to_owned()),
        };
    }
    match (asks, breaks) {
        (true, true) => {
            Err("it permits `request` and `breakGlass`: write one for each, as only one of them is approved".to_owned())
        }
        (false, false) => Err("it permits `mint` or `renew` alone: add them to the permit for `request` or `breakGlass`, \
            so that what was approved is what is minted"
            .to_owned()),
        (true, false) => {
            let quorum = quorum.ok_or("it permits `request` and does not say how many approve: add @quorum(\"2\")")?;
            let quorum = quorum.parse().map_err(|_| format!("@quorum(\"{quorum}\") is no number from 1 to 255"))?;
            Ok(Some(Limit { quorum: Some(quorum), longest: seconds(longest, LONGEST)? }))
        }
        (false, true) if quorum.is_some() => Err("it permits `breakGlass`, which nobody approves: remove @quorum".to_owned()),
        (false, true) => Ok(Some(Limit { quorum: None, longest: seconds(longest, BREAK_GLASS_LONGEST)? })),
    }
}

fn seconds(longest: Option<&str>, most: u32) -> Result<u32, String> {
    let longest = longest.ok_or("it does not say how many seconds it allows: add @longest(\"3600\")")?;
    let seconds = longest.parse().ok().filter(|seconds| (SHORTEST_SESSION..=most).contains(seconds));
    seconds.ok_or_else(|| format!("@longest(\"{longest}\") is no number of seconds from {SHORTEST_SESSION} to {most}"))
}
