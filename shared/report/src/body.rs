//! Bodies, read with forbearance: each field may be missing, new or of another shape, in records of any age and of any function.

use std::collections::BTreeMap;

use ids::Timestamp;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use signal::Severity;

use crate::clean::{Words, clean};
use crate::ran::Ran;

/// Everything that a body of any kind has been known to hold.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Body {
    /// A run's.
    #[serde(skip)]
    pub(crate) ran: Ran,
    /// A plan's: the interfaces as they were.
    #[serde(deserialize_with = "list")]
    pub(crate) before: Vec<Before>,
    /// A plan's, or what came of them in a preparation.
    #[serde(deserialize_with = "list")]
    pub(crate) steps: Vec<Step>,
    #[serde(deserialize_with = "list")]
    pub(crate) sealed_already: Vec<Words>,
    #[serde(deserialize_with = "list")]
    pub(crate) remarks: Vec<Words>,
    /// A revocation's, or a decision's to leave it to people: what they have to do.
    #[serde(deserialize_with = "list")]
    pub(crate) by_hand: Vec<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) outcome: Option<Outcome>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) signal: Option<Signal>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) decision: Option<Decision>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) timings: Option<Timings>,
    #[serde(deserialize_with = "list")]
    pub(crate) calls: Vec<Call>,
    /// Whether the intent was durable: `durable`, `durable, …` or `degraded: …`.
    #[serde(deserialize_with = "maybe")]
    pub(crate) evidence: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) hold: Option<Words>,
    /// A decision's reason.
    #[serde(deserialize_with = "maybe")]
    pub(crate) reason: Option<Words>,
    /// A preparation's.
    #[serde(deserialize_with = "maybe")]
    pub(crate) ready: Option<Vec<Words>>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) not_ready: Option<Vec<Words>>,
}

impl Body {
    pub(crate) fn of(value: &Value) -> Self {
        let ran = Ran::deserialize(value).unwrap_or_default();
        Self { ran, ..Self::deserialize(value).unwrap_or_default() }
    }
}

/// A value, or none if it is not of the shape that we know.
pub(crate) fn maybe<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(deserializer)?).ok())
}

/// Those of a list's elements that are of the shape we know.
pub(crate) fn list<'de, D: Deserializer<'de>, T: DeserializeOwned>(deserializer: D) -> Result<Vec<T>, D::Error> {
    let Value::Array(elements) = Value::deserialize(deserializer)? else { return Ok(Vec::new()) };
    Ok(elements.into_iter().filter_map(|element| serde_json::from_value(element).ok()).collect())
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Before {
    #[serde(deserialize_with = "maybe")]
    pub(crate) id: Option<Words>,
    #[serde(deserialize_with = "list")]
    pub(crate) groups: Vec<Words>,
}

/// A step: as planned it has an action; as done, its number and how it ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Step {
    #[serde(deserialize_with = "maybe")]
    pub(crate) action: Option<Action>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) step: Option<usize>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) did: Option<Did>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) request_id: Option<Words>,
}

/// An action in words, and what it acts on. One that is not known is named as it is spelled.
#[derive(Debug, Clone)]
pub(crate) struct Action {
    pub(crate) words: String,
    pub(crate) on: Option<On>,
}

/// What an action acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum On {
    /// A new group is made in this VPC.
    NewGroup(String),
    /// A group's rules are taken off.
    Rules(GroupId),
    /// An interface gets this group and no other.
    Interface(String, GroupId),
    /// A resource is tagged.
    Tags(String),
    /// A user gets this policy.
    Attachment(String, String),
    /// A user gets this policy for its boundary.
    Boundary(String, String),
    /// A user's key is made inactive.
    Key(String, String),
    /// A role gets the document of what is denied.
    Denies(String, String),
    /// A policy is taken off a user.
    Detachment(String, String),
    /// A user's boundary is taken off.
    NoBoundary(String),
    /// The document of what is denied on a role is deleted.
    NoDenies(String, String),
}

/// A group: known, or the one that an earlier step of the plan makes in this VPC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum GroupId {
    Known(String),
    Created(String),
}

impl GroupId {
    fn of(value: &Value) -> Option<Self> {
        match variant(value)? {
            ("known", Value::String(id)) => Some(Self::Known(clean(id))),
            ("created", Value::String(vpc)) => Some(Self::Created(clean(vpc))),
            _ => None,
        }
    }
}

impl On {
    fn of(name: &str, of: &Value) -> Option<Self> {
        let text = |field: &str| of.get(field).and_then(Value::as_str).map(clean);
        let group = |field: &str| of.get(field).and_then(GroupId::of);
        match name {
            "create_group" => Some(Self::NewGroup(text("vpc")?)),
            "empty_group" => Some(Self::Rules(group("group")?)),
            "swap_groups" => Some(Self::Interface(text("interface")?, group("to")?)),
            "tag" => Some(Self::Tags(text("instance")?)),
            "attach_deny" => Some(Self::Attachment(text("user")?, text("policy")?)),
            "bound_by_deny" => Some(Self::Boundary(text("user")?, text("policy")?)),
            "disable_key" => Some(Self::Key(text("user")?, text("key")?)),
            "write_denies" | "rewrite_denies" => Some(Self::Denies(text("role")?, text("policy")?)),
            "detach_deny" => Some(Self::Detachment(text("user")?, text("policy")?)),
            "restore_boundary" => Some(match text("to") {
                Some(to) => Self::Boundary(text("user")?, to),
                None => Self::NoBoundary(text("user")?),
            }),
            "delete_denies" => Some(Self::NoDenies(text("role")?, text("policy")?)),
            _ => None,
        }
    }
}

impl<'de> Deserialize<'de> for Action {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        let (name, of) = variant(&value).ok_or_else(|| serde::de::Error::custom("not an action"))?;
        let text = |field: &str| of.get(field).and_then(Value::as_str).map_or_else(|| "(unknown)".to_owned(), clean);
        let group = |field: &str| of.get(field).map_or_else(|| "(unknown)".to_owned(), group_words);
        let words = match name {
            "create_group" => format!("create the sealed group `{}` in {}", text("name"), text("vpc")),
            "empty_group" => format!("take every rule off {}", group("group")),
            "swap_groups" => {
                let from: Vec<Words> =
                    of.get("from").cloned().and_then(|from| serde_json::from_value(from).ok()).unwrap_or_default();
                format!("move {} from {} to {}", text("interface"), joined(&from), group("to"))
            }
            "tag" => format!("tag {}", text("instance")),
            "attach_deny" => format!("deny everything to user {}", text("user")),
            "bound_by_deny" => format!("deny everything to user {}, by its boundary", text("user")),
            "disable_key" => format!("make the key {} of user {} inactive", text("key"), text("user")),
            "write_denies" => format!("write what is denied on role {}", text("role")),
            "detach_deny" => format!("take the deny of everything off user {}", text("user")),
            "restore_boundary" => format!("put back the boundary of user {}", text("user")),
            "rewrite_denies" => format!("take the denies of {} off role {}", text("without"), text("role")),
            "delete_denies" => format!("take the last denies, of {}, off role {}", text("without"), text("role")),
            other => format!("`{}`", clean(other)),
        };
        Ok(Self { words, on: On::of(name, of) })
    }
}

/// serde's outer tag: `"name"`, or an object with this one key.
pub(crate) fn variant(value: &Value) -> Option<(&str, &Value)> {
    match value {
        Value::String(name) => Some((name, &Value::Null)),
        Value::Object(fields) if fields.len() == 1 => fields.iter().next().map(|(name, of)| (name.as_str(), of)),
        _ => None,
    }
}

fn group_words(value: &Value) -> String {
    match variant(value) {
        Some(("known", Value::String(id))) => clean(id),
        Some(("created", Value::String(vpc))) => format!("the new sealed group of {}", clean(vpc)),
        _ => "(unknown)".to_owned(),
    }
}

/// Security groups, for people.
pub(crate) fn joined(groups: &[Words]) -> String {
    if groups.is_empty() { "no group".to_owned() } else { groups.iter().map(Words::as_str).collect::<Vec<_>>().join(", ") }
}

/// How a step ended.
#[derive(Debug, Clone)]
pub(crate) enum Did {
    Accepted,
    Group(String),
    Failed(String),
    Unknown(String),
}

impl<'de> Deserialize<'de> for Did {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        Ok(match variant(&value) {
            Some(("accepted", _)) => Self::Accepted,
            Some(("group", Value::String(id))) => Self::Group(clean(id)),
            Some(("failed", trouble)) => {
                Self::Failed(serde_json::from_value::<Trouble>(trouble.clone()).unwrap_or_default().to_string())
            }
            Some((other, _)) => Self::Unknown(clean(other)),
            None => return Err(serde::de::Error::custom("not an ending")),
        })
    }
}

/// Why a call did not do what it should.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Trouble {
    #[serde(deserialize_with = "maybe")]
    kind: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    code: Option<Words>,
}

impl std::fmt::Display for Trouble {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let kind = match self.kind.as_ref().map(Words::as_str) {
            Some("denied") => "the role may not",
            Some("throttled") => "throttled",
            Some("no_answer") => "no answer",
            Some("server") => "AWS failed",
            Some("not_found") => "not there",
            Some("taken") => "taken by someone else",
            Some("refused") => "refused",
            Some("prerequisite") => "an earlier step failed",
            Some(other) => other,
            None => "unknown trouble",
        };
        match &self.code {
            Some(code) => write!(f, "{kind} ({code})"),
            None => f.write_str(kind),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    #[serde(deserialize_with = "maybe")]
    pub(crate) state: Option<Words>,
    #[serde(deserialize_with = "list")]
    pub(crate) interfaces: Vec<InterfaceEnd>,
    /// A revocation's: what could be used, and whether it still can be.
    #[serde(deserialize_with = "list")]
    pub(crate) credentials: Vec<InterfaceEnd>,
    /// A revocation's: what goes on all the same.
    #[serde(deserialize_with = "list")]
    pub(crate) survives: Vec<Survivor>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) rules_on_sealed_groups: Option<BTreeMap<String, u64>>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) established: Option<Established>,
    #[serde(deserialize_with = "list")]
    pub(crate) still_reachable: Vec<Words>,
    #[serde(deserialize_with = "list")]
    pub(crate) steps: Vec<Step>,
    #[serde(deserialize_with = "list")]
    pub(crate) left_open: Vec<Words>,
}

impl Outcome {
    pub(crate) fn is(&self, state: &str) -> bool {
        self.state.as_ref().is_some_and(|words| words.as_str() == state)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct InterfaceEnd {
    #[serde(deserialize_with = "maybe")]
    pub(crate) id: Option<Words>,
    #[serde(deserialize_with = "list")]
    pub(crate) before: Vec<Words>,
    #[serde(deserialize_with = "list")]
    pub(crate) after: Vec<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) state: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) planned: Option<bool>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) trouble: Option<Trouble>,
}

/// Something that goes on although a credential is ended.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Survivor {
    #[serde(deserialize_with = "maybe")]
    pub(crate) what: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) until: Option<Timestamp>,
}

/// What holds for connections that were open before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Established {
    MayPersist(Option<u64>),
    Unchanged,
}

impl<'de> Deserialize<'de> for Established {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = Value::deserialize(deserializer)?;
        match variant(&value) {
            Some(("may_persist", of)) => Ok(Self::MayPersist(of.get("until_idle_for_seconds").and_then(Value::as_u64))),
            Some(("unchanged", _)) => Ok(Self::Unchanged),
            _ => Err(serde::de::Error::custom("not known")),
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Decision {
    #[serde(deserialize_with = "maybe")]
    pub(crate) verdict: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) rule: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) reason: Option<Words>,
}

/// Milliseconds from the moment the event reached the function, by the function's clock.
#[derive(Debug, Clone, Copy, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Timings {
    #[serde(deserialize_with = "maybe")]
    pub(crate) received: Option<Timestamp>,
    #[serde(deserialize_with = "maybe")]
    received_to_observed: Option<u64>,
    #[serde(deserialize_with = "maybe")]
    received_to_intent: Option<u64>,
    #[serde(deserialize_with = "maybe", alias = "received_to_denied", alias = "received_to_lifted")]
    received_to_sealed: Option<u64>,
    #[serde(deserialize_with = "maybe")]
    received_to_read_back: Option<u64>,
}

impl Timings {
    fn after(&self, millis: Option<u64>) -> Option<Timestamp> {
        Some(self.received?.plus(std::time::Duration::from_millis(millis?)))
    }

    pub(crate) fn observed(&self) -> Option<Timestamp> {
        self.after(self.received_to_observed)
    }

    pub(crate) fn intended(&self) -> Option<Timestamp> {
        self.after(self.received_to_intent)
    }

    pub(crate) fn sealed(&self) -> Option<Timestamp> {
        self.after(self.received_to_sealed)
    }

    pub(crate) fn read_back(&self) -> Option<Timestamp> {
        self.after(self.received_to_read_back)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Call {
    #[serde(deserialize_with = "maybe")]
    pub(crate) service: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) operation: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) request_id: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) status: Option<u16>,
    /// How often it was sent; the request id is the last answer's.
    #[serde(deserialize_with = "maybe")]
    pub(crate) attempts: Option<u32>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) started: Option<Timestamp>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) ended: Option<Timestamp>,
}

impl Call {
    pub(crate) fn name(&self) -> String {
        let word = |words: &Option<Words>| words.as_ref().map_or("(unknown)", Words::as_str).to_owned();
        format!("{} {}", word(&self.service), word(&self.operation))
    }

    /// Whether it changed something of the customer's: neither a reading call nor Cordon's own bookkeeping.
    pub(crate) fn changes(&self) -> bool {
        let service = self.service.as_ref().map_or("", Words::as_str);
        let operation = self.operation.as_ref().map_or("", Words::as_str);
        let reads = ["Describe", "Get", "List", "Head"].iter().any(|verb| operation.starts_with(verb));
        !operation.is_empty() && !reads && !["S3", "DynamoDB", "KMS", "SQS", "SNS"].contains(&service)
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Signal {
    #[serde(deserialize_with = "maybe")]
    pub(crate) source: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) event_time: Option<Timestamp>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) account: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) region: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) finding: Option<Finding>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) instance: Option<Instance>,
    /// A leak's: which credential, when it was reported, and since when it may have been in the wrong hands.
    #[serde(deserialize_with = "maybe")]
    pub(crate) credential: Option<Credential>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) at: Option<Timestamp>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) since: Option<Timestamp>,
    #[serde(deserialize_with = "list")]
    pub(crate) remote: Vec<Remote>,
}

impl Signal {
    /// What it is about, in words: a machine's id, or a credential's name.
    pub(crate) fn about(&self) -> Option<String> {
        let machine = self.instance.as_ref().and_then(|instance| instance.id.as_ref()).map(ToString::to_string);
        machine.or_else(|| self.credential.as_ref().map(Credential::words))
    }
}

/// A credential, by whatever of it is named.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Credential {
    #[serde(deserialize_with = "maybe")]
    pub(crate) kind: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) key: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) user: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) role: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) session: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) instance: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) name: Option<Words>,
}

impl Credential {
    /// As `signal` says it, as far as the record has the names.
    pub(crate) fn words(&self) -> String {
        let kind = self.kind.as_ref().map_or("", Words::as_str);
        match (kind, &self.key, &self.user, &self.role) {
            ("user_key", Some(key), Some(user), _) => format!("the key {key} of user {user}"),
            ("user_key", Some(key), None, _) => format!("the key {key}"),
            ("user_session", _, Some(user), _) => format!("the sessions of user {user}"),
            ("whole_role", _, _, Some(role)) => format!("every session of role {role}"),
            ("root", ..) => "the account's root user".to_owned(),
            (_, key, user, role) => match (&self.session, &self.instance, &self.name, role) {
                (Some(session), _, _, Some(role)) => format!("the session {session} of role {role}"),
                (_, Some(instance), _, Some(role)) => format!("the credentials of role {role} on {instance}"),
                (_, _, Some(name), _) => format!("the federated session {name}"),
                _ => {
                    let named = [("key", key), ("of user", user), ("of role", role)];
                    let named: Vec<_> =
                        named.iter().filter_map(|(word, name)| Some(format!("{word} {}", name.as_ref()?))).collect();
                    if named.is_empty() {
                        "a credential of unknown kind".to_owned()
                    } else {
                        format!("a credential: {}", named.join(" "))
                    }
                }
            },
        }
    }
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Finding {
    #[serde(deserialize_with = "maybe")]
    pub(crate) id: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) kind: Option<Words>,
    #[serde(deserialize_with = "severity")]
    pub(crate) severity: Option<Severity>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) sample: Option<bool>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) count: Option<u64>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) first_seen: Option<Timestamp>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) last_seen: Option<Timestamp>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) created_at: Option<Timestamp>,
    #[serde(deserialize_with = "maybe")]
    pub(crate) updated_at: Option<Timestamp>,
}

/// A severity as text or as a number.
fn severity<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Severity>, D::Error> {
    Ok(maybe::<D, Words>(deserializer)?.and_then(|words| words.as_str().parse().ok()))
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Instance {
    #[serde(deserialize_with = "maybe")]
    pub(crate) id: Option<Words>,
}

#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Remote {
    #[serde(deserialize_with = "maybe")]
    host: Option<Words>,
    #[serde(deserialize_with = "maybe")]
    port: Option<u16>,
}

impl Remote {
    /// `pool.example:3333`, `[2001:db8::7]:22`.
    pub(crate) fn words(&self) -> Option<String> {
        let host = self.host.as_ref()?.as_str();
        Some(match self.port {
            Some(port) if host.contains(':') => format!("[{host}]:{port}"),
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_known_is_unknown() {
        let body = Body::of(&json!({
            "outcome": {"state": "Dissolved", "interfaces": [{"id": 7}, "?", {"state": null}], "established": {"gone": {}}},
            "timings": {"received": "soon", "received_to_sealed": -5},
            "steps": [{"action": {"evaporate": {}}}, {"action": 3}, {"did": "vanished"}, {"did": {"failed": null}}],
            "signal": {"finding": {"severity": 8, "updated_at": 1}},
            "calls": "none",
        }));
        let outcome = body.outcome.unwrap();
        assert_eq!(outcome.state.unwrap().as_str(), "Dissolved");
        assert_eq!((outcome.interfaces.len(), outcome.established), (2, None));
        assert_eq!(body.timings.unwrap().sealed(), None);
        assert_eq!(body.steps[0].action.as_ref().unwrap().words, "`evaporate`");
        assert!(matches!(&body.steps[2].did, Some(Did::Unknown(word)) if word == "vanished"));
        assert!(matches!(&body.steps[3].did, Some(Did::Failed(word)) if word == "unknown trouble"));
        let finding = body.signal.unwrap().finding.unwrap();
        assert_eq!((finding.severity.unwrap().to_string().as_str(), finding.updated_at), ("8.00", None));
        assert!(body.calls.is_empty());
    }

    #[test]
    fn an_action_reads_like_the_plan() {
        let swap = json!({"swap_groups": {"interface": "eni-1", "from": ["sg-1", "sg-2"], "to": {"created": "vpc-1"}}});
        let action: Action = serde_json::from_value(swap).unwrap();
        assert_eq!(action.words, "move eni-1 from sg-1, sg-2 to the new sealed group of vpc-1");
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            ".*".prop_map(Value::from),
            Just(Value::from("2026-11-23T02:00:00Z")),
        ];
        let names = prop::sample::select(vec![
            "outcome",
            "signal",
            "finding",
            "steps",
            "action",
            "did",
            "failed",
            "timings",
            "received",
            "received_to_sealed",
            "interfaces",
            "established",
            "may_persist",
            "calls",
            "severity",
            "state",
            "remote",
            "ready",
            "before",
            "swap_groups",
            "to",
            "credential",
            "credentials",
            "survives",
            "until",
            "by_hand",
        ]);
        leaf.prop_recursive(6, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(names.clone().prop_map(str::to_owned), inner, 0..6)
                    .prop_map(|fields| Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn any_body_is_read_and_holds_no_control_character(value in any_json()) {
            let body = Body::of(&value);
            let state = body.outcome.and_then(|outcome| outcome.state).unwrap_or_default();
            prop_assert!(!state.as_str().chars().any(char::is_control));
        }
    }
}
