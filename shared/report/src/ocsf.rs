//! Events of the Open Cybersecurity Schema Framework, for a SIEM or a security lake.

use evidence::{Kind, Standing};
use ids::Sha256;
use serde_json::{Map, Value, json};
use signal::Level;

use crate::body::{Credential, Signal};
use crate::entry::Entry;
use crate::incident::{Incident, Nature, incidents, is_of_credential};
use crate::period::Period;
use crate::worth::Worth;

/// The schema that these events are written for.
const SCHEMA: &str = "1.6.0";
/// The schema that has the profile `record_integrity`.
const ATTESTED_SCHEMA: &str = "1.9.0";
/// Remediation Activity, category Remediation.
const REMEDIATION: (u64, u64) = (7, 7001);
/// Incident Finding, category Findings.
const INCIDENT: (u64, u64) = (2, 2005);

/// What the records of `period` tell of incidents' lives and of remediations, oldest first. `product_version` is this program's.
///
/// A Remediation Activity (7001) tells what an outcome read back. It has no room for the finding: that is under `unmapped`, and in the
/// Incident Finding (2005) of the same `metadata.correlation_uid`. Preparations are neither and are left out. Every event carries the
/// evidence's standing under `unmapped`.
///
/// With `attested`, each also carries the profile `record_integrity` of OCSF 1.9.0: its own fingerprint, and that of the event before it in
/// the same session, so that an event that is changed or taken out later is missed. Its chain is made over all of `entries`, and `period`
/// cuts a piece out of it. The fingerprints are of the *events*, as the profile wants it, and nobody signs an export: what is signed is the
/// record, whose digest, session, number and predecessor are under `unmapped`, and so under the fingerprint.
#[must_use]
pub fn ocsf(entries: &[Entry], period: Period, product_version: &str, worth: &Worth, attested: bool) -> Vec<Value> {
    let mut events = Vec::new();
    for incident in incidents(entries).iter().filter(|incident| incident.nature() != Nature::Preparation) {
        for (n, entry) in incident.entries.iter().enumerate() {
            let event = Event { incident, entry, version: product_version, standing: worth.standing };
            let made = event.lifecycle(n == 0).into_iter().chain(event.remediation());
            events.extend(made.map(|event| (*entry, event)));
        }
    }
    if attested {
        attest(&mut events);
    }
    let mut events: Vec<_> =
        events.into_iter().filter(|(entry, _)| period.contains(entry.header.time)).map(|(_, event)| event).collect();
    events.sort_by_key(|event| event.get("time").and_then(Value::as_i64));
    events
}

/// Adds the profile `record_integrity`: one chain for each session, in the order of its numbers.
fn attest(events: &mut [(&Entry, Value)]) {
    events.sort_by(|(a, _), (b, _)| {
        let place = |entry: &Entry| (entry.header.session.id.clone(), entry.header.session.seq);
        // An incident's own event comes before what was done, as it is written.
        place(a).cmp(&place(b))
    });
    let mut previous: Option<(&Entry, Value)> = None;
    for (entry, event) in events {
        let session = &entry.header.session.id;
        let mut attestation = object(json!({ "chain_uid": session }));
        if let Some((_, before)) = previous.take().filter(|(before, _)| before.header.session.id == *session) {
            attestation.insert("prev_event".to_owned(), before);
        }
        let fingerprint = put_attestation(event, attestation);
        let uid = event.get("metadata").and_then(|metadata| metadata.get("uid")).cloned().unwrap_or_default();
        previous = Some((*entry, json!({ "uid": uid, "type_uid": event.get("type_uid"), "fingerprint": fingerprint })));
    }
}

/// Puts `attestation` into `event`, with the fingerprint of the whole: SHA-256 over its form of RFC 8785, in which the fingerprint is not.
fn put_attestation(event: &mut Value, mut attestation: Map<String, Value>) -> Value {
    let Value::Object(fields) = event else { return Value::Null };
    if let Some(Value::Object(metadata)) = fields.get_mut("metadata") {
        metadata.insert("version".to_owned(), json!(ATTESTED_SCHEMA));
        if let Some(Value::Array(profiles)) = metadata.get_mut("profiles") {
            profiles.push(json!("record_integrity"));
        }
    }
    fields.insert("attestation_list".to_owned(), json!([attestation]));
    let fingerprint = json!({
        "algorithm_id": 3,
        "algorithm": "SHA-256",
        "encoding_id": 1,
        "encoding": "Hex",
        "serialization_id": 2,
        "serialization": "JCS",
        "value": Sha256::of(canonical(&Value::Object(fields.clone())).as_bytes()),
    });
    attestation.insert("fingerprint".to_owned(), fingerprint.clone());
    fields.insert("attestation_list".to_owned(), json!([attestation]));
    fingerprint
}

/// A value in the one form of RFC 8785, for values whose numbers are whole: no event here has another.
fn canonical(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_by(|(a, _), (b, _)| a.encode_utf16().cmp(b.encode_utf16()));
            let fields: Vec<_> =
                fields.into_iter().map(|(name, value)| format!("{}:{}", Value::from(name.as_str()), canonical(value))).collect();
            format!("{{{}}}", fields.join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(",")),
        // `serde_json` writes texts, whole numbers, truths and null as RFC 8785 does.
        other => other.to_string(),
    }
}

/// What names a credential, part by part, so that a SIEM can search for the user or the role. The class has no room for it.
fn named(credential: &Credential) -> Value {
    let Credential { kind, key, user, role, session, instance, name } = credential;
    let parts = [
        ("kind", kind),
        ("key", key),
        ("user", user),
        ("role", role),
        ("session", session),
        ("instance", instance),
        ("name", name),
    ];
    Value::Object(parts.into_iter().filter_map(|(part, name)| Some((part.to_owned(), json!(name.as_ref()?)))).collect())
}

struct Event<'a> {
    incident: &'a Incident<'a>,
    entry: &'a Entry,
    version: &'a str,
    standing: Standing,
}

impl Event<'_> {
    fn base(&self, (category, class): (u64, u64), activity: u64, names: [&str; 3], time: i64) -> Map<String, Value> {
        let entry = self.entry;
        let severity = self.incident.severity();
        let (severity_id, severity_name) = match severity.map(|severity| severity.level()) {
            None => (0, "Unknown"),
            Some(Level::Low) => (2, "Low"),
            Some(Level::Medium) => (3, "Medium"),
            Some(Level::High) => (4, "High"),
            Some(Level::Critical) => (5, "Critical"),
        };
        let [category_name, class_name, activity_name] = names;
        let signal = self.signal();
        // The class Incident Finding includes the profile `incident`, and wants it named (OCSF 1.5).
        let incident = ((category, class) == INCIDENT).then_some("incident");
        let cloud = signal.and_then(|signal| signal.account.as_ref()).map(|_| "cloud");
        let profiles: Vec<&str> = incident.into_iter().chain(cloud).collect();
        let mut event = object(json!({
            "category_uid": category,
            "category_name": category_name,
            "class_uid": class,
            "class_name": class_name,
            "activity_id": activity,
            "activity_name": activity_name,
            "type_uid": class * 100 + activity,
            "type_name": format!("{class_name}: {activity_name}"),
            "severity_id": severity_id,
            "severity": severity_name,
            "time": time,
            "metadata": {
                "version": SCHEMA,
                "product": { "name": "Cordon", "vendor_name": "Cordon", "version": self.version },
                "uid": format!("{}#{class}", entry.key()),
                "event_code": entry.key().kind.as_str(),
                "correlation_uid": self.incident.id,
                "original_time": entry.header.time,
                "profiles": profiles,
            },
            "unmapped": {
                "evidence_standing": self.standing,
                "record": entry.key(),
                "record_sha256": entry.sha256,
                "session": entry.header.session.id,
                "session_seq": entry.header.session.seq,
                "prev_sha256": entry.header.session.prev,
                "session_key": entry.header.session.key.fingerprint(),
                "endorsed_by": entry.vouched.as_ref().map(|vouched| vouched.endorser),
                "rule": entry.header.rule,
                "playbook_sha256": entry.header.playbook,
                "nature": self.incident.nature(),
            },
        }));
        if let (Some(stored), Some(Value::Object(metadata))) = (entry.stored, event.get_mut("metadata")) {
            metadata.insert("logged_time".to_owned(), json!(stored.millis()));
        }
        if let Some((signal, account)) = signal.and_then(|signal| Some((signal, signal.account.as_ref()?))) {
            let account = json!({ "uid": account, "type": "AWS Account", "type_id": 10 });
            let mut cloud = object(json!({ "provider": "AWS", "account": account }));
            if let Some(region) = &signal.region {
                cloud.insert("region".to_owned(), json!(region));
            }
            event.insert("cloud".to_owned(), Value::Object(cloud));
        }
        event
    }

    /// The signal that this record is about, else the incident's first.
    fn signal(&self) -> Option<&Signal> {
        self.entry.body.signal.as_ref().or_else(|| self.incident.signals().next().map(|(_, signal)| signal))
    }

    fn finding(&self) -> Value {
        let mut info = object(json!({ "uid": self.incident.id, "title": "Cordon incident" }));
        let Some(signal) = self.signal() else { return Value::Object(info) };
        let mut put = |name: &str, value: Option<Value>| {
            if let Some(value) = value {
                info.insert(name.to_owned(), value);
            }
        };
        let source = signal.source.as_ref().map(|source| source.as_str());
        let Some(finding) = &signal.finding else {
            // A report without a finding: of AWS Health, or of a person.
            put("title", signal.credential.as_ref().map(|_| json!("Leaked credential")));
            put("created_time", signal.at.map(|time| json!(time.millis())));
            if source == Some("health") {
                put("product", Some(json!({ "name": "Health", "vendor_name": "AWS" })));
            }
            return Value::Object(info);
        };
        put("uid", finding.id.as_ref().map(|id| json!(id)));
        put("title", finding.kind.as_ref().map(|kind| json!(kind)));
        put("types", finding.kind.as_ref().map(|kind| json!([kind])));
        put("created_time", finding.created_at.map(|time| json!(time.millis())));
        put("modified_time", finding.updated_at.map(|time| json!(time.millis())));
        put("first_seen_time", finding.first_seen.map(|time| json!(time.millis())));
        put("last_seen_time", finding.last_seen.map(|time| json!(time.millis())));
        if source == Some("guardduty") {
            put("product", Some(json!({ "name": "GuardDuty", "vendor_name": "AWS" })));
        }
        Value::Object(info)
    }

    /// The incident is created by its first record, updated by what is decided and done, closed by a release that was read back.
    fn lifecycle(&self, first: bool) -> Option<Value> {
        let closes = self.incident.closed().is_some_and(|closed| closed.key() == self.entry.key());
        let asked = self.entry.body.decision.as_ref().and_then(|decision| decision.verdict.as_ref());
        let asked = asked.is_some_and(|verdict| verdict.as_str() == "ask-human");
        let (activity, name) = match (first, closes, self.entry.key().kind) {
            (_, true, _) => (3, "Close"),
            (true, ..) => (1, "Create"),
            (_, _, Kind::Outcome | Kind::Decision) => (2, "Update"),
            _ => return None,
        };
        let (status_id, status) = if closes {
            (5, "Closed")
        } else if asked {
            (3, "On Hold")
        } else {
            (2, "In Progress")
        };
        let time = self.entry.header.time.millis();
        let mut event = self.base(INCIDENT, activity, ["Findings", "Incident Finding", name], time);
        event.insert("status_id".to_owned(), json!(status_id));
        event.insert("status".to_owned(), json!(status));
        // One of assignee and assignee_group is demanded: nobody but the function has the case, as far as records say.
        event.insert(
            "assignee".to_owned(),
            json!({ "name": format!("cordon {}", self.entry.key().function), "type": "System", "type_id": 3 }),
        );
        event.insert("finding_info_list".to_owned(), json!([self.finding()]));
        event.insert("message".to_owned(), json!(format!("incident {}: {}", self.incident.id, self.said())));
        if let Some(first) = self.incident.first() {
            event.insert("start_time".to_owned(), json!(first.millis()));
        }
        Some(Value::Object(event))
    }

    /// What this record says, and not what became of the incident later.
    fn said(&self) -> String {
        let body = &self.entry.body;
        let state = body.outcome.as_ref().and_then(|outcome| outcome.state.as_ref()).map(|state| format!("read back as {state}"));
        let verdict = body.decision.as_ref().and_then(|decision| decision.verdict.as_ref());
        let declined = verdict.filter(|_| self.entry.is(Kind::Decision)).map(|verdict| format!("nothing was changed ({verdict})"));
        state.or(declined).unwrap_or_else(|| format!("{} recorded", self.entry.key().kind.as_str()))
    }

    /// What an outcome read back.
    fn remediation(&self) -> Option<Value> {
        let entry = self.entry;
        let outcome = entry.body.outcome.as_ref().filter(|_| entry.is(Kind::Outcome))?;
        let state = outcome.state.as_ref().map_or("(unknown)", |state| state.as_str());
        let (activity, name) = match (entry.key().function.as_str(), state) {
            ("release", _) => (3, "Restore"),
            ("revoke", _) => (2, "Evict"),
            ("quarantine", _) | (_, "Contained" | "Partial" | "NotContained" | "Unverifiable") => (1, "Isolate"),
            _ => return None,
        };
        let (status_id, status) = match state {
            "Contained" | "Released" | "Revoked" => (1, "Success"),
            "NotContained" | "NotRevoked" | "NotReleased" => (2, "Failure"),
            "Partial" => (4, "Partial"),
            _ => (0, "Unknown"),
        };
        let timings = entry.body.timings.unwrap_or_default();
        let done = timings.sealed().unwrap_or(entry.header.time);
        let mut event = self.base(REMEDIATION, activity, ["Remediation", "Remediation Activity", name], done.millis());
        let mut put = |name: &str, value: Value| event.insert(name.to_owned(), value);
        put("command_uid", json!(entry.key()));
        put("status_id", json!(status_id));
        put("status", json!(status));
        put("status_code", json!(state));
        let target = self.incident.target().unwrap_or_else(|| "a target that no readable record names".to_owned());
        put("message", json!(format!("{name} {target}: read back as {state}")));
        if let (Some(start), Some(end)) = (timings.received, timings.read_back()) {
            put("start_time", json!(start.millis()));
            put("end_time", json!(end.millis()));
            put("duration", json!(end.millis_since(start)));
        }
        if activity == 1 {
            put("remediation", json!({ "desc": "Every network interface is moved to a security group without rules." }));
            put(
                "countermeasures",
                json!([{
                    "d3f_tactic": { "uid": "d3f:Isolate", "name": "Isolate" },
                    "d3f_technique": { "uid": "D3-NI", "name": "Network Isolation" },
                }]),
            );
        }
        let of_credential = is_of_credential(entry);
        if of_credential {
            put(
                "remediation",
                json!({ "desc": "Everything is denied to the credential's principal or session, and its keys are made inactive." }),
            );
            put(
                "countermeasures",
                json!([{
                    "d3f_tactic": { "uid": "d3f:Evict", "name": "Evict" },
                    "d3f_technique": { "uid": "D3-CE", "name": "Credential Eviction" },
                }]),
            );
        }
        let finding = self.finding();
        let credential = self.signal().and_then(|signal| signal.credential.as_ref()).map(named);
        if let Some(Value::Object(unmapped)) = event.get_mut("unmapped") {
            unmapped.insert("finding_info".to_owned(), finding);
            if of_credential {
                let ends = outcome.credentials.iter().map(|end| json!({ "id": end.id, "state": end.state }));
                unmapped.insert("credentials".to_owned(), ends.collect());
                let survivors = outcome.survives.iter().map(|survivor| json!({ "what": survivor.what, "until": survivor.until }));
                unmapped.insert("survives".to_owned(), survivors.collect());
                unmapped.insert("credential".to_owned(), json!(credential));
                return Some(Value::Object(event));
            }
            let ends: Vec<Value> = outcome
                .interfaces
                .iter()
                .map(|end| json!({ "id": end.id, "state": end.state, "before": end.before, "after": end.after }))
                .collect();
            unmapped.insert("interfaces".to_owned(), Value::from(ends));
        }
        Some(Value::Object(event))
    }
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

    /// The example of RFC 8785, 3.2.3, without its numbers that are not whole.
    #[test]
    fn there_is_one_form() {
        let value: Value = serde_json::from_str(
            r#"{"numbers": [333333333, 4, 0, -7], "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/",
                "literals": [null, true, false], "\u20ac": "Euro", "\r": "CR", "\ufb33": "Dalet", "1": "One", "\ud83d\ude00": "Smiley",
                "\u0080": "Control", "\u00f6": "o"}"#,
        )
        .unwrap();
        let wanted = "{\"\\r\":\"CR\",\"1\":\"One\",\"literals\":[null,true,false],\"numbers\":[333333333,4,0,-7],\
            \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\",\"\u{80}\":\"Control\",\"ö\":\"o\",\"€\":\"Euro\",\"😀\":\"Smiley\",\
            \"\u{fb33}\":\"Dalet\"}";
        assert_eq!(canonical(&value), wanted);
    }
}
