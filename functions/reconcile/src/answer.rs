//! What the function says.

use std::collections::BTreeSet;

use evidence_store::Worm;
use ids::GrantId;
use register::Office;
use serde::Serialize;

/// What was found and done.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Answer {
    /// Grants whose sessions are refused, as a probe has shown.
    pub refused: BTreeSet<GrantId>,
    /// Grants that are denied on their role, which no probe has shown yet.
    pub unproved: BTreeSet<GrantId>,
    /// Grants that ran out, or that nobody approved in time.
    pub over: BTreeSet<GrantId>,
    /// Grants that were ended here: a finding, or an end on record that the table did not know of.
    pub ended: BTreeSet<GrantId>,
    /// Grants that wait for a session, of which mint was told again.
    pub woken: BTreeSet<GrantId>,
    /// Records that were written.
    pub records: Vec<String>,
    /// What there is to say beside that.
    pub said: Vec<String>,
    /// What a person has to look at.
    pub by_hand: Vec<String>,
    /// Break-glass whose review is late.
    pub review_is_late: BTreeSet<GrantId>,
    #[serde(skip)]
    pub(crate) again: Option<String>,
}

impl Answer {
    pub(crate) fn say(&mut self, what: String) {
        self.said.push(what);
    }

    /// Counts what there is to tell: alarms go by it.
    pub(crate) fn count<S: Worm>(&self, office: &Office<S>) {
        let counted = [
            ("SessionsRefused", self.refused.len()),
            ("Unproved", self.unproved.len()),
            ("NeedsHuman", self.by_hand.len()),
            ("ReviewLate", self.review_is_late.len()),
        ];
        for (metric, number) in counted {
            (0..number).for_each(|_| office.count(metric));
        }
    }
}
