//! What really became of it.

use std::collections::BTreeMap;
use std::fmt;

use ids::{EniId, SgId};
use serde::{Deserialize, Serialize};

use crate::observed::{After, Interface};
use crate::steps::{Did, Done, Isolate, Plan, Trouble};

/// What security groups never filter, so what a sealed machine can still reach (EC2 user guide, "Security groups": traffic to and
/// from the Amazon DNS server, the instance metadata service, Time Sync, DHCP and Windows licence activation is not filtered).
pub const STILL_REACHABLE: [&str; 4] = [
    "the VPC's DNS resolver (DNS tunnelling is possible)",
    "instance metadata",
    "Amazon Time Sync",
    "DHCP and Windows licence activation",
];

/// The end state of a containment, from what was read back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum EndState {
    /// Every interface is in a sealed group without rules, and in no other.
    Contained,
    /// Some are.
    Partial,
    /// None is.
    NotContained,
    /// It could not be read back.
    Unverifiable,
}

impl fmt::Display for EndState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// The state of one interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InterfaceState {
    /// Only in the sealed group, which has no rule.
    Sealed,
    /// In other groups, or in a sealed group that has rules.
    Open,
    /// No longer attached to the instance.
    Detached,
    /// It could not be read back.
    Unknown,
}

/// What became of one interface.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceEnd {
    /// Which one.
    pub id: EniId,
    /// The groups it had before anyone sealed it.
    pub before: Vec<SgId>,
    /// The groups it has now.
    pub after: Vec<SgId>,
    /// What that amounts to.
    pub state: InterfaceState,
    /// Whether the plan knew it; one attached since did not.
    pub planned: bool,
    /// What its swap ran into.
    pub trouble: Option<Trouble>,
}

/// What holds for connections that were open when the groups were swapped.
///
/// EC2 keeps tracked connections alive when rules change until they are idle for long enough (EC2 user guide, "Security group
/// connection tracking"); only untracked ones stop at once. Which a flow was cannot be seen from outside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Established {
    /// Connections tracked before the swap may go on.
    MayPersist {
        /// The longest idle time after which a tracked TCP connection is dropped: 432,000 s unless the interface says otherwise.
        until_idle_for_seconds: u32,
    },
    /// Nothing was swapped, so nothing changed for them.
    Unchanged,
}

/// What is recorded in the end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Outcome {
    /// The answer in a word. It speaks of new connections.
    pub state: EndState,
    /// Interface by interface.
    pub interfaces: Vec<InterfaceEnd>,
    /// Sealed groups that have rules, with their number.
    pub rules_on_sealed_groups: BTreeMap<SgId, usize>,
    /// What is true of connections that were open already.
    pub established: Established,
    /// What a sealed machine can still reach.
    pub still_reachable: Vec<String>,
    /// Step by step.
    pub steps: Vec<Done>,
    /// Steps other than swaps that failed.
    pub left_open: Vec<String>,
}

impl Outcome {
    /// Whether trying again can help: something failed that passes, or something turned up that the plan did not know.
    #[must_use]
    pub fn worth_another_try(&self) -> bool {
        let passing = |done: &Done| matches!(&done.did, Did::Failed(trouble) if trouble.kind.passes());
        self.state != EndState::Contained
            && (self.state == EndState::Unverifiable
                || self.steps.iter().any(passing)
                || self.interfaces.iter().any(|end| end.state == InterfaceState::Open && !end.planned))
    }
}

/// Compares what was read back with the plan. `after` is none if it could not be read.
#[must_use]
pub fn judge(plan: &Plan<Isolate>, steps: Vec<Done>, after: Option<&After>) -> Outcome {
    let trouble = |eni: &EniId| {
        steps.iter().find_map(|done| match (plan.steps.get(done.step).map(|step| &step.action), &done.did) {
            (Some(Isolate::SwapGroups { interface, .. }), Did::Failed(trouble)) if interface == eni => Some(trouble.clone()),
            _ => None,
        })
    };
    let before = |eni: &EniId| plan.before.iter().find(|interface| interface.id == *eni);

    let mut interfaces = Vec::new();
    let mut rules_on_sealed_groups = BTreeMap::new();
    if let Some(after) = after {
        for group in after.groups.iter().filter(|group| group.rules > 0) {
            let used = after.interfaces.iter().any(|interface| interface.groups.contains(&group.id));
            if used {
                rules_on_sealed_groups.insert(group.id.clone(), group.rules);
            }
        }
        for now in &after.interfaces {
            interfaces.push(InterfaceEnd {
                id: now.id.clone(),
                before: before(&now.id).map(|interface| interface.groups.clone()).unwrap_or_default(),
                after: now.groups.clone(),
                state: state(now, after),
                planned: before(&now.id).is_some(),
                trouble: trouble(&now.id),
            });
        }
    }
    for gone in &plan.before {
        if !interfaces.iter().any(|end| end.id == gone.id) {
            interfaces.push(InterfaceEnd {
                id: gone.id.clone(),
                before: gone.groups.clone(),
                after: Vec::new(),
                state: if after.is_some() { InterfaceState::Detached } else { InterfaceState::Unknown },
                planned: true,
                trouble: trouble(&gone.id),
            });
        }
    }

    let attached = || interfaces.iter().filter(|end| end.state != InterfaceState::Detached);
    let sealed = attached().filter(|end| end.state == InterfaceState::Sealed).count();
    let state = match (after.is_some(), sealed, attached().count()) {
        (false, ..) => EndState::Unverifiable,
        (true, sealed, all) if sealed == all => EndState::Contained,
        (true, 0, _) => EndState::NotContained,
        (true, ..) => EndState::Partial,
    };
    let swapped = steps.iter().any(|done| {
        let swap = matches!(plan.steps.get(done.step).map(|step| &step.action), Some(Isolate::SwapGroups { .. }));
        swap && !matches!(done.did, Did::Failed(_))
    });
    let left_open = steps
        .iter()
        .filter_map(|done| match (plan.steps.get(done.step).map(|step| &step.action), &done.did) {
            (Some(Isolate::SwapGroups { .. }), _) => None,
            (Some(action), Did::Failed(trouble)) => Some(format!("did not {action}: {trouble}")),
            _ => None,
        })
        .collect();
    Outcome {
        state,
        interfaces,
        rules_on_sealed_groups,
        established: if swapped { Established::MayPersist { until_idle_for_seconds: 432_000 } } else { Established::Unchanged },
        still_reachable: STILL_REACHABLE.map(str::to_owned).to_vec(),
        steps,
        left_open,
    }
}

fn state(interface: &Interface, after: &After) -> InterfaceState {
    let [only] = interface.groups.as_slice() else { return InterfaceState::Open };
    let sealed =
        after.groups.iter().any(|group| group.id == *only && group.tagged && group.rules == 0 && group.vpc == interface.vpc);
    if sealed { InterfaceState::Sealed } else { InterfaceState::Open }
}
