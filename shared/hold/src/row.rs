//! A hold's row, and the names of its attributes.
//!
//! Every fact has an attribute of its own (`claim#…`, `done#…`, `holder#…`, `eni#…`, `deny#…`, `records#…`, `parked#…`), so that one update expression can add it
//! without reading the row first, and two writers never overwrite each other's.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use ids::{EniId, IncidentId, SgId, Timestamp};

/// A hold's row as it was read. What cannot be read in it is left out: the row is an index, and the evidence is the truth.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// When the current lease runs out.
    pub lease_until: Option<Timestamp>,
    /// The incidents that hold the resource.
    pub holders: BTreeSet<IncidentId>,
    /// Each interface's groups from before the first seal.
    pub originals: BTreeMap<EniId, Vec<SgId>>,
    /// What is denied on the resource, by incident.
    pub denies: BTreeMap<IncidentId, String>,
    /// Outcomes that say what was changed, by incident: they stay when the incident has let go, because a later release may go by them.
    pub records: BTreeMap<IncidentId, BTreeSet<String>>,
    /// Signed intents that wait to be filed, by record key.
    pub parked: BTreeMap<String, Vec<u8>>,
    claims: BTreeMap<String, (Timestamp, String)>,
    outcomes: BTreeMap<String, (Timestamp, String)>,
}

impl Row {
    pub(crate) fn parse(item: HashMap<String, AttributeValue>) -> Self {
        let mut row = Self::default();
        for (name, value) in item {
            row.read(&name, value);
        }
        row
    }

    fn read(&mut self, name: &str, value: AttributeValue) -> Option<()> {
        if name == "lease_until" {
            self.lease_until = Some(moment(&value)?);
            return Some(());
        }
        let (kind, rest) = name.split_once('#')?;
        match kind {
            "claim" => {
                let map = value.as_m().ok()?;
                self.claims.insert(name.to_owned(), (moment(map.get("at")?)?, map.get("intent")?.as_s().ok()?.clone()));
            }
            "holder" => {
                self.holders.insert(rest.parse().ok()?);
            }
            "eni" => {
                let groups = value.as_l().ok()?.iter().filter_map(|group| group.as_s().ok()?.parse().ok()).collect();
                self.originals.insert(rest.parse().ok()?, groups);
            }
            "deny" => {
                self.denies.insert(rest.parse().ok()?, value.as_s().ok()?.clone());
            }
            "records" => {
                self.records.insert(rest.parse().ok()?, value.as_ss().ok()?.iter().cloned().collect());
            }
            "parked" => {
                let AttributeValue::B(bytes) = value else { return None };
                self.parked.insert(rest.to_owned(), bytes.into_inner());
            }
            "done" => {
                let map = value.as_m().ok()?;
                let outcome = map.get("outcome")?.as_s().ok()?.clone();
                self.outcomes.insert(name.to_owned(), (moment(map.get("updated_at")?)?, outcome));
            }
            _ => {}
        }
        Some(())
    }

    /// When this update of a finding was first claimed, if it was before: it decides where its records are.
    #[must_use]
    pub fn first_claimed(&self, finding: &str, updated_at: Timestamp) -> Option<Timestamp> {
        self.claims.get(&claim(finding, updated_at)).map(|(at, _)| *at)
    }

    /// Where claims that came to no conclusion would have put their intents.
    pub fn unconcluded(&self) -> impl Iterator<Item = &str> {
        self.claims.values().map(|(_, intent)| intent.as_str())
    }

    /// The outcome of this update of a finding, or of a later one.
    #[must_use]
    pub fn outcome(&self, finding: &str, updated_at: Timestamp) -> Option<&str> {
        let (done_at, outcome) = self.outcomes.get(&done(finding))?;
        (*done_at >= updated_at).then_some(outcome)
    }
}

pub(crate) fn moment(value: &AttributeValue) -> Option<Timestamp> {
    Timestamp::from_millis(value.as_n().ok()?.parse().ok()?).ok()
}

pub(crate) fn claim(finding: &str, updated_at: Timestamp) -> String {
    format!("claim#{finding}#{}", updated_at.millis())
}

pub(crate) fn done(finding: &str) -> String {
    format!("done#{finding}")
}

pub(crate) fn holder(incident: &IncidentId) -> String {
    format!("holder#{incident}")
}

pub(crate) fn original(eni: &EniId) -> String {
    format!("eni#{eni}")
}

pub(crate) fn deny(incident: &IncidentId) -> String {
    format!("deny#{incident}")
}

pub(crate) fn records(incident: &IncidentId) -> String {
    format!("records#{incident}")
}

pub(crate) fn parked(key: &str) -> String {
    format!("parked#{key}")
}
