//! A second pair of eyes on a plan.

use std::collections::BTreeSet;
use std::fmt;

use ids::EniId;

use crate::observed::Observed;
use crate::steps::{Isolate, Plan, Sealed};

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Lint {
    /// An interface of the instance has no step and is not sealed.
    Forgotten(EniId),
    /// An interface is named that the instance does not have.
    Foreign(EniId),
    /// A step uses a group before it is made or emptied.
    TooEarly(Sealed),
    /// An interface would go to a group that is not, and will not be, empty.
    NotSealed(EniId),
}

impl fmt::Display for Lint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forgotten(eni) => write!(f, "{eni} would stay as it is"),
            Self::Foreign(eni) => write!(f, "{eni} is not an interface of this instance"),
            Self::TooEarly(group) => write!(f, "{group} is used before it is ready"),
            Self::NotSealed(eni) => write!(f, "{eni} would go to a group that has rules"),
        }
    }
}

/// Checks `plan` against what was observed, by other means than it was made.
#[must_use]
pub fn lint(plan: &Plan<Isolate>, seen: &Observed) -> Vec<Lint> {
    let mut faults = Vec::new();
    let mut covered: BTreeSet<&EniId> = plan.sealed_already.iter().collect();
    for step in &plan.steps {
        let Isolate::SwapGroups { interface, to, .. } = &step.action else { continue };
        covered.insert(interface);
        let emptied = plan.steps.iter().find(|other| matches!(&other.action, Isolate::EmptyGroup { group } if group == to));
        match emptied {
            Some(other) if other.wave >= step.wave => faults.push(Lint::TooEarly(to.clone())),
            Some(_) => {}
            None if seen.groups.iter().any(|group| Sealed::Known(group.id.clone()) == *to && group.rules == 0 && group.tagged) => {}
            None => faults.push(Lint::NotSealed(interface.clone())),
        }
    }
    let present: BTreeSet<&EniId> = seen.instance.interfaces.iter().map(|interface| &interface.id).collect();
    faults.extend(present.difference(&covered).map(|eni| Lint::Forgotten((*eni).clone())));
    faults.extend(covered.difference(&present).map(|eni| Lint::Foreign((*eni).clone())));
    faults
}
