//! Rows, as DynamoDB has them.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::types::AttributeValue;
use grant::Grant;
use ids::{IncidentId, Timestamp};

/// A grant's row. Everything in it is a hint until the records say the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The grant, as its last step left it.
    pub grant: Grant,
    /// The keys of its approvals' records.
    pub approvals: BTreeSet<String>,
    /// Its newest session's credentials.
    pub sealed: Option<Sealed>,
    /// When a session of it was first seen to be refused, after its end.
    pub refused_at: Option<Timestamp>,
    /// Why it has no credentials although it should, in a sentence.
    pub trouble: Option<String>,
}

/// Credentials that only the requester can open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sealed {
    /// Which session of the grant: 1 for the first.
    pub serial: u32,
    /// When they run out.
    pub expires: Timestamp,
    /// An age file, armored.
    pub text: String,
}

/// That a person is in trouble: an incident is about them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Barred {
    /// Which.
    pub incident: IncidentId,
    /// Until when.
    pub until: Timestamp,
}

impl Row {
    /// The row in an item; none if it is not one that this version wrote.
    pub(crate) fn parse(item: &HashMap<String, AttributeValue>) -> Option<Self> {
        let grant: Grant = serde_json::from_str(item.get("body")?.as_s().ok()?).ok()?;
        let approvals = item.get("approvals").and_then(|value| value.as_ss().ok());
        let words = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).cloned();
        Some(Self {
            approvals: approvals.map(|keys| keys.iter().cloned().collect()).unwrap_or_default(),
            sealed: item.get("sealed").and_then(|value| Sealed::parse(value.as_m().ok()?)),
            refused_at: item.get("refused_at").and_then(moment),
            trouble: words("trouble"),
            grant,
        })
    }
}

impl Sealed {
    fn parse(map: &HashMap<String, AttributeValue>) -> Option<Self> {
        Some(Self {
            serial: map.get("serial")?.as_n().ok()?.parse().ok()?,
            expires: moment(map.get("expires")?)?,
            text: map.get("text")?.as_s().ok()?.clone(),
        })
    }

    pub(crate) fn value(&self) -> AttributeValue {
        AttributeValue::M(HashMap::from([
            ("serial".to_owned(), number(self.serial.into())),
            ("expires".to_owned(), number(self.expires.millis())),
            ("text".to_owned(), text(&self.text)),
        ]))
    }
}

impl Barred {
    pub(crate) fn parse(item: &HashMap<String, AttributeValue>) -> Option<Self> {
        Some(Self { incident: item.get("incident")?.as_s().ok()?.parse().ok()?, until: moment(item.get("until")?)? })
    }
}

pub(crate) fn moment(value: &AttributeValue) -> Option<Timestamp> {
    Timestamp::from_millis(value.as_n().ok()?.parse().ok()?).ok()
}

pub(crate) fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

pub(crate) fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}
