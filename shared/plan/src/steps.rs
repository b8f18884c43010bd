//! Plans and the steps they are made of.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use ids::{AccountId, EniId, IncidentId, InstanceId, RuleName, SgId, Sha256, SignalId, Timestamp, VpcId};
use serde::{Deserialize, Serialize};

use crate::observed::{Group, Interface, Observed, Pins};
use crate::{CONTAINED_TAG, INCIDENT_TAG, INTENT_TAG, SEALED_NAME};

/// What a plan is for, and who allowed it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Case {
    /// The incident.
    pub incident: IncidentId,
    /// The signal that caused it.
    pub signal: SignalId,
    /// The account in which it acts.
    pub account: AccountId,
    /// The rule that allows it.
    pub rule: RuleName,
    /// Digest of the playbook that the rule is from.
    pub playbook: Sha256,
    /// Where the intent will be kept: what the instance's tag points to.
    pub intent: String,
    /// When the plan is made.
    pub now: Timestamp,
}

/// An ordered list of steps. Steps of one wave run at the same time; a wave begins when the one before it has ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan<A> {
    /// What it is for.
    pub case: Case,
    /// The instance's interfaces as they were: what a release restores. Sealed is never a "before".
    pub before: Vec<Interface>,
    /// Interfaces that were sealed already, and so need no step.
    pub sealed_already: Vec<EniId>,
    /// What to do.
    pub steps: Vec<Step<A>>,
    /// What was seen on the way that a person should know.
    pub remarks: Vec<String>,
}

/// One action and its place in the plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step<A> {
    /// 0 and up.
    pub wave: u8,
    /// What is done.
    pub action: A,
}

/// Actions that only ever close: they may go ahead, marked degraded, when evidence cannot be written in time.
///
/// What opens (a release, a grant) must not implement this. It then has only the way that fails when the evidence does.
pub trait Closes {}

impl<A: Closes> Closes for Plan<A> {}

/// A sealed group that a step refers to.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Sealed {
    /// It exists.
    Known(SgId),
    /// An earlier step of the same plan creates it, in this VPC.
    Created(VpcId),
}

impl fmt::Display for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Known(id) => write!(f, "{id}"),
            Self::Created(vpc) => write!(f, "the new sealed group of {vpc}"),
        }
    }
}

/// The actions that isolate an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolate {
    /// Create a sealed group, tagged from its first moment.
    CreateGroup {
        /// Where.
        vpc: VpcId,
        /// Under which name.
        name: String,
    },
    /// Take every rule off a sealed group.
    EmptyGroup {
        /// Which one.
        group: Sealed,
    },
    /// Replace an interface's groups by the sealed one, in one call.
    SwapGroups {
        /// Which interface.
        interface: EniId,
        /// The groups it had.
        from: Vec<SgId>,
        /// The sealed group of its VPC.
        to: Sealed,
    },
    /// Tag the instance.
    Tag {
        /// Which one.
        instance: InstanceId,
        /// With what.
        tags: BTreeMap<String, String>,
    },
}

impl Closes for Isolate {}

impl fmt::Display for Isolate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CreateGroup { vpc, name } => write!(f, "create the sealed group `{name}` in {vpc}"),
            Self::EmptyGroup { group } => write!(f, "take every rule off {group}"),
            Self::SwapGroups { interface, from, to } => {
                let from: Vec<_> = from.iter().map(ToString::to_string).collect();
                write!(f, "move {interface} from {} to {to}", if from.is_empty() { "no group".to_owned() } else { from.join(", ") })
            }
            Self::Tag { instance, tags } => {
                let tags: Vec<_> = tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
                write!(f, "tag {instance} with {}", tags.join(", "))
            }
        }
    }
}

impl<A: fmt::Display> fmt::Display for Plan<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "incident {}, by rule {}", self.case.incident, self.case.rule)?;
        let mut wave = None;
        for step in &self.steps {
            let before = wave.replace(step.wave);
            if before != Some(step.wave) {
                writeln!(f, "  {}, at the same time:", if before.is_none() { "first" } else { "then" })?;
            }
            writeln!(f, "    - {}", step.action)?;
        }
        for eni in &self.sealed_already {
            writeln!(f, "  {eni} is sealed already")?;
        }
        for remark in &self.remarks {
            writeln!(f, "  note: {remark}")?;
        }
        Ok(())
    }
}

/// What came of a step.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Done {
    /// The step's place in the plan's list.
    pub step: usize,
    /// How it ended.
    pub did: Did,
    /// The request id that AWS gave the deciding call.
    pub request_id: Option<String>,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Did {
    /// AWS accepted it.
    Accepted,
    /// AWS made, or already had, this group.
    Group(SgId),
    /// It was refused, or nobody knows.
    Failed(Trouble),
}

/// Why a call did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What sort of trouble.
    pub kind: TroubleKind,
    /// AWS's error code, or our word where there is none.
    pub code: String,
}

/// Sorts of trouble: they decide whether to try again or to fetch a human.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// The role may not.
    Denied,
    /// Too many calls.
    Throttled,
    /// No answer in time, or the connection broke: it may have happened all the same.
    NoAnswer,
    /// AWS failed.
    Server,
    /// The thing is not there.
    NotFound,
    /// The name or the object is taken by someone else.
    Taken,
    /// AWS will not do this to this thing, whoever asks.
    Refused,
    /// An earlier step that this one needs failed.
    Prerequisite,
}

impl TroubleKind {
    /// Whether trying again can help.
    #[must_use]
    pub fn passes(self) -> bool {
        matches!(self, Self::Throttled | Self::NoAnswer | Self::Server | Self::Taken)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TroubleKind::Denied => "the role may not",
            TroubleKind::Throttled => "throttled",
            TroubleKind::NoAnswer => "no answer",
            TroubleKind::Server => "AWS failed",
            TroubleKind::NotFound => "not there",
            TroubleKind::Taken => "taken by someone else",
            TroubleKind::Refused => "refused",
            TroubleKind::Prerequisite => "an earlier step failed",
        };
        write!(f, "{kind} ({})", self.code)
    }
}

/// The plan that seals an instance.
///
/// `original` is what the instance's interfaces had before anyone sealed them, where that is known from an earlier intent.
#[must_use]
pub fn isolate(case: Case, seen: &Observed, original: &BTreeMap<EniId, Vec<SgId>>) -> Plan<Isolate> {
    let vpcs: BTreeSet<&VpcId> = seen.instance.interfaces.iter().map(|interface| &interface.vpc).collect();
    let mut steps = Vec::new();
    let mut remarks = Vec::new();
    let mut sealed = BTreeMap::new();
    for vpc in vpcs {
        sealed.insert(vpc, sealed_group(vpc, &case.account, &seen.groups, &seen.pins, &mut steps, &mut remarks));
    }
    let last = steps.iter().map(|step: &Step<Isolate>| step.wave + 1).max().unwrap_or(0);

    let mut before = Vec::new();
    let mut sealed_already = Vec::new();
    for interface in &seen.instance.interfaces {
        let Some(to) = sealed.get(&interface.vpc) else { continue };
        let is_sealed = interface.groups.iter().all(|group| is_sealed_group(group, &case.account, &seen.groups))
            && !interface.groups.is_empty();
        let groups = match original.get(&interface.id) {
            Some(groups) => groups.clone(),
            None if is_sealed => {
                remarks.push(format!("{} is sealed, and no intent says what it had before", interface.id));
                Vec::new()
            }
            None => interface.groups.clone(),
        };
        before.push(Interface { groups, ..interface.clone() });
        if matches!(to, Sealed::Known(id) if interface.groups.as_slice() == std::slice::from_ref(id)) {
            sealed_already.push(interface.id.clone());
        } else {
            let action = Isolate::SwapGroups { interface: interface.id.clone(), from: interface.groups.clone(), to: to.clone() };
            steps.push(Step { wave: last, action });
        }
    }
    let tags = BTreeMap::from([
        (INCIDENT_TAG.to_owned(), case.incident.to_string()),
        (CONTAINED_TAG.to_owned(), case.now.to_string()),
        (INTENT_TAG.to_owned(), case.intent.clone()),
    ]);
    if !seen.instance.interfaces.is_empty() {
        steps.push(Step { wave: last, action: Isolate::Tag { instance: seen.instance.id.clone(), tags } });
    }
    Plan { case, before, sealed_already, steps, remarks }
}

/// The plan that makes sealed groups ahead of any incident, so that containment need not.
#[must_use]
pub fn prepare(case: Case, vpcs: &BTreeSet<VpcId>, groups: &[Group], pins: &Pins) -> Plan<Isolate> {
    let (mut steps, mut remarks) = (Vec::new(), Vec::new());
    for vpc in vpcs {
        sealed_group(vpc, &case.account, groups, pins, &mut steps, &mut remarks);
    }
    Plan { case, before: Vec::new(), sealed_already: Vec::new(), steps, remarks }
}

fn is_ours(group: &Group, account: &AccountId) -> bool {
    group.tagged && group.owner == *account && group.name.starts_with(SEALED_NAME)
}

fn is_sealed_group(id: &SgId, account: &AccountId, groups: &[Group]) -> bool {
    groups.iter().any(|group| group.id == *id && is_ours(group, account))
}

/// Which group seals `vpc`, with the steps that it needs first.
///
/// The pinned one if it is still there; else, so that two responders choose alike, the oldest-looking of ours: without rules before
/// with rules, then the smallest id. A group that bears our name but not our tag is a squatter: it is left alone and named.
fn sealed_group(
    vpc: &VpcId,
    account: &AccountId,
    groups: &[Group],
    pins: &Pins,
    steps: &mut Vec<Step<Isolate>>,
    remarks: &mut Vec<String>,
) -> Sealed {
    let here: Vec<&Group> = groups.iter().filter(|group| group.vpc == *vpc).collect();
    let ours = || here.iter().filter(|group| is_ours(group, account));
    for squatter in here.iter().filter(|group| group.name.starts_with(SEALED_NAME) && !is_ours(group, account)) {
        remarks.push(format!("{} is named `{}` but is not ours: left alone", squatter.id, squatter.name));
    }
    let pinned = pins.get(vpc);
    let chosen = ours().find(|group| Some(&group.id) == pinned).or_else(|| ours().min_by_key(|group| (group.rules > 0, &group.id)));
    let Some(group) = chosen else {
        if let Some(pinned) = pinned {
            remarks.push(format!("the pinned sealed group {pinned} of {vpc} is gone"));
        }
        let taken: BTreeSet<&str> = here.iter().map(|group| group.name.as_str()).collect();
        let name = std::iter::once(SEALED_NAME.to_owned())
            .chain((2..=u32::MAX).map(|n| format!("{SEALED_NAME}-{n}")))
            .find(|name| !taken.contains(name.as_str()))
            .unwrap_or_else(|| SEALED_NAME.to_owned());
        steps.push(Step { wave: 0, action: Isolate::CreateGroup { vpc: vpc.clone(), name } });
        steps.push(Step { wave: 1, action: Isolate::EmptyGroup { group: Sealed::Created(vpc.clone()) } });
        return Sealed::Created(vpc.clone());
    };
    let sealed = Sealed::Known(group.id.clone());
    if group.rules > 0 {
        remarks.push(format!("{} had {} rules, and a sealed group has none: someone added them", group.id, group.rules));
        steps.push(Step { wave: 1, action: Isolate::EmptyGroup { group: sealed.clone() } });
    }
    sealed
}
