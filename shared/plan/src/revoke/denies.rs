//! The one document that Cordon writes: statements that deny, on a role, and nothing else.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ids::{IncidentId, Region, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use thiserror::Error;

/// The name of the inline policy on a role that holds its denies. Each Region has its own, because each has its own table of holds: two
/// that wrote one document would lose each other's.
#[must_use]
pub fn denies_policy(region: &Region) -> String {
    format!("cordon-revoked-{region}")
}

/// No session of a role lives longer (IAM user guide, "Update the maximum session duration for a role").
const LONGEST_SESSION: Duration = Duration::from_secs(12 * 3600);

/// What is denied on a role, for one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Denied {
    /// Sessions of one name, if they are from before a moment: `aws:userid` and `aws:TokenIssueTime`.
    Session {
        /// `AROA…:session`.
        userid: String,
        /// Sessions that were made later go on. To the second.
        before: Timestamp,
    },
    /// What one instance gets from its profile, whenever: the metadata service goes on handing out the same credentials for hours.
    Instance {
        /// `AROA…:i-…`.
        userid: String,
        /// The instance's ARN, for `ec2:SourceInstanceARN`.
        arn: String,
    },
    /// Every session from before a moment.
    Older {
        /// Sessions that were made later go on. To the second.
        before: Timestamp,
    },
}

impl Denied {
    /// Sessions called `userid` from before `moment`, which is rounded up: IAM knows whole seconds.
    #[must_use]
    pub fn session(userid: String, moment: Timestamp) -> Self {
        Self::Session { userid, before: whole(moment) }
    }

    /// Every session from before `moment`, rounded up.
    #[must_use]
    pub fn older(moment: Timestamp) -> Self {
        Self::Older { before: whole(moment) }
    }

    /// Whether it reaches sessions that were used at `moment`, of the same name.
    pub(crate) fn covers(&self, other: &Self, moment: Timestamp) -> bool {
        match (self, other) {
            (Self::Session { userid, before }, Self::Session { userid: wanted, .. }) => userid == wanted && *before > moment,
            (Self::Older { before }, Self::Older { .. }) => *before > moment,
            (Self::Instance { .. }, Self::Instance { .. }) => self == other,
            _ => false,
        }
    }

    /// When the last session that it is about has ended by itself; none if it is about an instance.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        match self {
            Self::Session { before, .. } | Self::Older { before } => Some(before.plus(LONGEST_SESSION)),
            Self::Instance { .. } => None,
        }
    }

    /// Its statements. Each denies everything, under a condition.
    fn statements(&self, sid: &str) -> Vec<Value> {
        let deny = |suffix: &str, condition: Value| json!({"Sid": format!("{sid}{suffix}"), "Effect": "Deny", "Action": "*", "Resource": "*", "Condition": condition});
        match self {
            Self::Session { userid, before } => vec![deny(
                "",
                json!({"StringEquals": {"aws:userid": userid}, "DateLessThan": {"aws:TokenIssueTime": seconds(*before)}}),
            )],
            // Two, because one key alone is enough: AWS sets both for an instance's sessions, other clouds' copies may not.
            Self::Instance { userid, arn } => vec![
                deny("u", json!({"StringEquals": {"aws:userid": userid}})),
                deny("a", json!({"ArnEquals": {"ec2:SourceInstanceARN": arn}})),
            ],
            Self::Older { before } => vec![deny("", json!({"DateLessThan": {"aws:TokenIssueTime": seconds(*before)}}))],
        }
    }
}

/// The next whole second.
fn whole(time: Timestamp) -> Timestamp {
    Timestamp::saturating(time.millis().saturating_add(999).div_euclid(1000).saturating_mul(1000))
}

/// IAM's time format, to the second.
fn seconds(time: Timestamp) -> String {
    let text = time.to_string();
    text.split('.').next().map_or_else(|| text.clone(), |whole| format!("{}Z", whole.trim_end_matches('Z')))
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Session { userid, before } => write!(f, "{userid} from before {}", seconds(*before)),
            Self::Instance { userid, .. } => write!(f, "{userid}, whenever it began"),
            Self::Older { before } => write!(f, "every session from before {}", seconds(*before)),
        }
    }
}

/// Whether a policy's document denies everything, always, and allows nothing.
#[must_use]
pub fn denies_everything(document: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(document) else { return false };
    let statements = match value.get("Statement") {
        Some(Value::Array(statements)) => statements.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    let is = |statement: &Value, field: &str, text: &str| statement.get(field).and_then(Value::as_str) == Some(text);
    let all =
        |statement: &&Value| is(statement, "Action", "*") && is(statement, "Resource", "*") && statement.get("Condition").is_none();
    statements.iter().all(|statement| is(statement, "Effect", "Deny")) && statements.iter().any(all)
}

/// What is denied on a role, by incident.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Denies(pub BTreeMap<IncidentId, Denied>);

/// A document under our name that is not ours.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the document under Cordon's name is not Cordon's: {0}")]
pub struct NotOurs(String);

impl Denies {
    /// The policy document. A function of the denies alone, so that it can be derived again and compared.
    #[must_use]
    pub fn document(&self) -> String {
        let statements: Vec<Value> = self.0.iter().flat_map(|(incident, denied)| denied.statements(&sid(incident))).collect();
        json!({"Version": "2012-10-17", "Statement": statements}).to_string()
    }

    /// Reads a document that [`Denies::document`] made. Anything else in it is somebody else's work.
    ///
    /// # Errors
    /// If it is not exactly what these denies would make.
    pub fn parse(document: &str) -> Result<Self, NotOurs> {
        let wrong = |what: &str| NotOurs(what.to_owned());
        let value: Value = serde_json::from_str(document).map_err(|_| wrong("it is not JSON"))?;
        let statements = value.get("Statement").and_then(Value::as_array).ok_or_else(|| wrong("it has no list of statements"))?;
        let mut denies = BTreeMap::new();
        for statement in statements {
            let sid = statement.get("Sid").and_then(Value::as_str).unwrap_or_default();
            let incident = sid.get(..23).and_then(incident).ok_or_else(|| wrong("a statement names no incident"))?;
            let condition =
                statement.get("Condition").and_then(Value::as_object).ok_or_else(|| wrong("a deny has no condition"))?;
            let found = denied(condition, denies.remove(&incident)).ok_or_else(|| wrong("a deny has another condition"))?;
            denies.insert(incident, found);
        }
        let denies = Self(denies);
        // Whatever was overlooked above shows here: order, effects, actions, resources, other fields.
        let same = serde_json::from_str::<Value>(&denies.document()).is_ok_and(|ours| ours == value);
        if same { Ok(denies) } else { Err(wrong("it says something else than these denies")) }
    }

    /// Without what is about sessions that have ended by themselves.
    #[must_use]
    pub fn live(&self, now: Timestamp) -> Self {
        let live = |denied: &Denied| denied.until().is_none_or(|until| until > now);
        Self(
            self.0.iter().filter(|(_, denied)| live(denied)).map(|(incident, denied)| (incident.clone(), denied.clone())).collect(),
        )
    }

    /// These and others. What this document has already stays: a later report of the same incident reaches further.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        for (incident, denied) in others.0 {
            match self.0.get(&incident) {
                Some(known) if known.until() >= denied.until() => {}
                Some(_) | None => {
                    self.0.insert(incident, denied);
                }
            }
        }
        self
    }
}

/// `inc-0123…` as a statement's id, which takes letters and digits only: `Inc0123…`.
fn sid(incident: &IncidentId) -> String {
    format!("Inc{}", incident.as_str().trim_start_matches("inc-"))
}

fn incident(sid: &str) -> Option<IncidentId> {
    format!("inc-{}", sid.strip_prefix("Inc")?).parse().ok()
}

/// What a condition is about. An instance has two statements, so the second one is read beside the first.
fn denied(condition: &Map<String, Value>, first: Option<Denied>) -> Option<Denied> {
    let text = |operator: &str, key: &str| Some(condition.get(operator)?.get(key)?.as_str()?.to_owned());
    let (userid, arn) = (text("StringEquals", "aws:userid"), text("ArnEquals", "ec2:SourceInstanceARN"));
    let before = text("DateLessThan", "aws:TokenIssueTime").and_then(|time| time.parse::<Timestamp>().ok());
    match (first, userid, arn, before) {
        (None, Some(userid), None, Some(before)) => Some(Denied::Session { userid, before }),
        (None, Some(userid), None, None) => Some(Denied::Instance { userid, arn: String::new() }),
        (Some(Denied::Instance { userid, .. }), None, Some(arn), None) => Some(Denied::Instance { userid, arn }),
        (None, None, None, Some(before)) => Some(Denied::Older { before }),
        _ => None,
    }
}
