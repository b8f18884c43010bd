//! Assessment results of the Open Security Controls Assessment Language, and the plan that they import.

use std::collections::BTreeMap;

use evidence::RecordKey;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::catalogue::known;
use crate::controls::by_control;
use crate::entry::Entry;
use crate::incident::incidents;
use crate::period::Period;
use crate::worth::Worth;

/// The version these documents are written for: the newest that compliance-trestle reads.
const OSCAL: &str = "1.2.1";
/// The name under which the results expect the plan: beside them.
pub const PLAN_FILE: &str = "assessment-plan.json";
/// The name space of every UUID here: UUIDv5 of `urn:cordon:oscal` under RFC 9562's name space for URLs.
const SPACE: &[u8] = b"urn:cordon:oscal";

/// Two documents that belong together.
#[derive(Debug, Clone, PartialEq)]
pub struct Oscal {
    /// `assessment-results`, which imports the plan.
    pub results: Value,
    /// `assessment-plan`: the least that results may import. To be kept as [`PLAN_FILE`] beside them.
    pub plan: Value,
}

/// A UUID that the same evidence gives again.
fn uuid(parts: &[&str]) -> String {
    let space = Uuid::new_v5(&Uuid::NAMESPACE_URL, SPACE);
    Uuid::new_v5(&space, parts.join("\n").as_bytes()).to_string()
}

/// A control's id as OSCAL's catalogues spell it: `IR-4(1)` is `ir-4.1`. What no token may hold becomes `_`.
fn control_id(id: &str) -> String {
    let id = id.to_lowercase().replace('(', ".").replace(')', "");
    let token: String = id.chars().map(|c| if c.is_alphanumeric() || matches!(c, '.' | '-' | '_') { c } else { '_' }).collect();
    if token.starts_with(|c: char| c.is_alphabetic() || c == '_') { token } else { format!("_{token}") }
}

/// The statement that records bear on. Where no catalogue in OSCAL is known, its name is made as NIST makes them.
fn statement_id(framework: &str, id: &str) -> String {
    let statement = known(framework, id).and_then(|known| known.statement);
    statement.map_or_else(|| format!("{}_smt", control_id(id)), ToOwned::to_owned)
}

/// Assessment results from the records of `period`: an observation for each record that names a control, a finding for each control.
///
/// A finding says only what the records say: *satisfied* if the evidence does not fail and no incident that the control's records belong to
/// ended otherwise than it should. Whether a control is effective is an assessor's judgement.
#[must_use]
pub fn oscal(entries: &[Entry], period: Period, worth: &Worth) -> Oscal {
    let mut mine: Vec<&Entry> = entries.iter().filter(|entry| period.contains(entry.header.time)).collect();
    mine.sort_by_key(|entry| (entry.header.time, entry.key()));
    let by_control = by_control(&mine);
    let mut digests: Vec<String> = mine.iter().map(|entry| entry.sha256.to_string()).collect();
    digests.extend([period.from.to_string(), period.to.to_string(), worth.word().to_owned()]);
    let seed: Vec<&str> = digests.iter().map(String::as_str).collect();
    let id = |what: &str| uuid(&[&[what], seed.as_slice()].concat());

    let observation_ids: BTreeMap<&RecordKey, String> =
        mine.iter().map(|entry| (entry.key(), uuid(&["observation", &entry.sha256.to_string()]))).collect();
    let observations: Vec<Value> = mine
        .iter()
        .filter(|entry| !entry.header.controls.is_empty())
        .map(|entry| observation(entry, observation_ids.get(entry.key())))
        .collect();
    let ends: BTreeMap<_, _> = incidents(entries).iter().map(|incident| (incident.id.clone(), incident.end())).collect();

    let findings: Vec<Value> = by_control
        .iter()
        .map(|((framework, control), records)| {
            let bad: Vec<String> = records
                .iter()
                .filter_map(|entry| Some((entry.incident()?, ends.get(entry.incident()?)?)))
                .filter(|(_, end)| {
                    matches!(
                        end.as_str(),
                        "Partial" | "NotContained" | "NotRevoked" | "Unverifiable" | "NoOutcome" | "NotPrepared" | "(unknown)"
                    )
                })
                .map(|(incident, end)| format!("{incident}: {end}"))
                .collect();
            let satisfied = bad.is_empty() && !worth.failed();
            let mut remarks = format!("{} records of the period name this control. {}", records.len(), worth.headline());
            if let Some(first) = bad.first() {
                remarks += &format!(". Not as it should be: {} records, such as of {first}", bad.len());
            }
            let related: Vec<Value> =
                records.iter().filter_map(|entry| Some(json!({ "observation-uuid": observation_ids.get(entry.key())? }))).collect();
            json!({
                "uuid": id(&format!("finding {framework} {control}")),
                "title": format!("{framework} {control}"),
                "description": format!("What Cordon's records show for {framework} {control}."),
                "target": {
                    "type": "statement-id",
                    "target-id": statement_id(framework, control),
                    "status": { "state": if satisfied { "satisfied" } else { "not-satisfied" }, "remarks": remarks },
                },
                "related-observations": related,
            })
        })
        .collect();

    let reviewed = reviewed(&by_control);
    let checked = worth.checked;
    let mut result = object(json!({
        "uuid": id("result"),
        "title": "Cordon evidence",
        "description": format!("Incident response records made {period}. {}.", worth.headline()),
        "start": period.from,
        "end": period.to,
        "props": [{ "name": "evidence-standing", "ns": "urn:cordon:oscal", "value": worth.word().to_lowercase().replace(' ', "-") }],
        "reviewed-controls": reviewed,
    }));
    if !observations.is_empty() {
        result.insert("observations".to_owned(), Value::from(observations));
        result.insert("findings".to_owned(), Value::from(findings));
    }
    let faults: Vec<String> = worth.shown().map(ToString::to_string).collect();
    let remarks = if faults.is_empty() { worth.headline() } else { format!("{}\n\n{}", worth.headline(), faults.join("\n\n")) };
    let results = json!({
        "assessment-results": {
            "uuid": id("results"),
            "metadata": {
                "title": "Cordon: assessment results from evidence records",
                "last-modified": checked,
                "version": env!("CARGO_PKG_VERSION"),
                "oscal-version": OSCAL,
                "remarks": remarks,
            },
            "import-ap": { "href": PLAN_FILE },
            "results": [result],
        }
    });
    let resource = id("system");
    let plan = json!({
        "assessment-plan": {
            "uuid": id("plan"),
            "metadata": {
                "title": "Cordon: what is assessed",
                "last-modified": checked,
                "version": env!("CARGO_PKG_VERSION"),
                "oscal-version": OSCAL,
                "remarks": "The least that assessment results may import. Put your own plan in its place.",
            },
            "import-ssp": { "href": format!("#{resource}") },
            "reviewed-controls": reviewed,
            "back-matter": {
                "resources": [{
                    "uuid": resource,
                    "title": "System security plan",
                    "description": "The plan of the system that Cordon responds for: the reader's own, not part of this export.",
                }],
            },
        }
    });
    Oscal { results, plan }
}

fn observation(entry: &Entry, uuid: Option<&String>) -> Value {
    let key = entry.key();
    let about = entry.incident().map(|incident| format!(" about {incident}")).unwrap_or_default();
    json!({
        "uuid": uuid,
        "title": format!("{} {}", key.function, key.kind.as_str()),
        "description": format!("The function `{}` recorded its {}{about} at {}.", key.function, key.kind.as_str(), entry.header.time),
        "methods": ["EXAMINE"],
        "collected": entry.header.time,
        "relevant-evidence": [{
            "href": key,
            "description": format!("The signed record; SHA-256 {}.", entry.sha256),
        }],
    })
}

/// The controls that the records name, a selection for each framework; all of them where there is none, as a selection may not be empty.
fn reviewed(by_control: &BTreeMap<(String, String), Vec<&Entry>>) -> Value {
    let mut by_framework: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (framework, control) in by_control.keys() {
        let controls = by_framework.entry(framework).or_default();
        let control = json!({ "control-id": control_id(control) });
        if !controls.contains(&control) {
            controls.push(control);
        }
    }
    let mut selections: Vec<Value> = by_framework
        .into_iter()
        .map(|(framework, controls)| json!({ "description": framework, "include-controls": controls }))
        .collect();
    if selections.is_empty() {
        selections.push(json!({ "description": "No record of the period names a control.", "include-all": {} }));
    }
    json!({ "control-selections": selections })
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn controls_are_named_as_catalogues_name_them() {
        for (id, oscal) in
            [("IR-4(1)", "ir-4.1"), ("SI-4(7)", "si-4.7"), ("CC7.3", "cc7.3"), ("10.5.1", "_10.5.1"), ("A b", "a_b"), ("", "_")]
        {
            assert_eq!(control_id(id), oscal);
        }
    }

    #[test]
    fn a_uuid_is_of_version_5_and_stays_the_same() {
        assert_eq!(uuid(&["a", "b"]), uuid(&["a", "b"]));
        assert_ne!(uuid(&["a", "b"]), uuid(&["ab"]));
        assert_eq!(Uuid::parse_str(&uuid(&["a"])).unwrap().get_version_num(), 5);
    }
}
