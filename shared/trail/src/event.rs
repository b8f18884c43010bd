//! One event.

use std::collections::BTreeSet;

use ids::{AccountId, Timestamp};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::refused::Refusal;
use crate::resources::{is_id, named, named_in_iam};

/// One call, as CloudTrail tells of it. All text is as it came.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Event {
    /// CloudTrail's own id for it (`eventID`).
    pub id: String,
    /// The id that copies of it in other accounts share.
    pub shared_id: Option<String>,
    /// When the request was completed, by AWS's clock, in whole seconds.
    pub time: Timestamp,
    /// The service: `ec2.amazonaws.com`.
    pub source: String,
    /// The call: `ModifyNetworkInterfaceAttribute`.
    pub name: String,
    /// The Region that was asked.
    pub region: String,
    /// The account that the event was delivered to.
    pub account: Option<AccountId>,
    /// The id that the service gave the request, which the caller got as well.
    pub request_id: Option<String>,
    /// The error that was answered; none if the call was carried out.
    pub error: Option<String>,
    /// Whether the call only reads, as CloudTrail says; none in events before version 1.06.
    pub read_only: Option<bool>,
    /// What kind of event it is.
    pub kind: Kind,
    /// Who called.
    pub caller: Caller,
    /// From where: an address, or the name of an AWS service.
    pub address: Option<String>,
    /// With what.
    pub agent: Option<String>,
    /// Whether the event says what was asked for.
    pub has_parameters: bool,
    /// The resources of EC2 and of IAM that the request acts on: an id of EC2's as it is, a name of IAM's with what it is the name of.
    pub named: BTreeSet<String>,
    /// The security group that was made.
    pub made: Option<String>,
    /// The bucket that was asked for.
    pub bucket: Option<String>,
    /// The object that was asked for.
    pub key: Option<String>,
    /// The version of that object that was asked for.
    pub version: Option<String>,
    /// Of a listing: what the keys that were asked for begin with.
    pub prefix: Option<String>,
    /// Of a copy: `BUCKET/KEY` of what is copied, percent-encoded as it was sent.
    pub copied: Option<String>,
    /// The KMS key that was used, by its ARN where the event has it.
    pub used_key: Option<String>,
}

/// What kind of event it is (`eventCategory`; before version 1.07, `managementEvent` says it).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A call on a resource's configuration: on in every trail.
    Management,
    /// A call on what is in a resource, such as an object: recorded where it was asked for.
    Data,
    /// A call through a VPC endpoint, recorded by the endpoint.
    Network,
    /// The event does not say.
    Unknown,
}

/// Who called (`userIdentity`).
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Caller {
    /// `AssumedRole`, `IAMUser`, `Root`, `AWSService`, `AWSAccount` and so on.
    pub kind: Option<String>,
    /// The caller's own ARN; of a role: that of its session.
    pub arn: Option<String>,
    /// The caller's account.
    pub account: Option<String>,
    /// The role whose session it is (`sessionContext.sessionIssuer.arn`), with its path.
    pub role: Option<String>,
    /// The access key that signed.
    pub access_key: Option<String>,
    /// The AWS service that made the call in the caller's name.
    pub through: Option<String>,
    /// The service itself, where `kind` is `AWSService`; the principal's id, where nothing better is known.
    pub name: Option<String>,
}

impl Caller {
    /// Whether the caller is a session of the role `arn`.
    ///
    /// An event without a session's issuer is matched by account and by the role's name, which is all that a session's ARN has
    /// (`arn:aws:sts::ACCOUNT:assumed-role/NAME/SESSION`).
    #[must_use]
    pub fn is_role(&self, arn: &str) -> bool {
        if let Some(role) = &self.role {
            return role == arn;
        }
        let parts = |arn: &str| {
            let mut fields = arn.splitn(6, ':').skip(1);
            let (partition, service, _, account) = (fields.next()?, fields.next()?, fields.next()?, fields.next()?);
            Some((partition.to_owned(), service.to_owned(), account.to_owned(), fields.next()?.to_owned()))
        };
        let (Some(role), Some(session)) = (parts(arn), self.arn.as_deref().and_then(parts)) else { return false };
        let name = role.3.rsplit('/').next().unwrap_or_default();
        let of_session = session.3.strip_prefix("assumed-role/").and_then(|rest| rest.split('/').next());
        role.1 == "iam" && session.1 == "sts" && role.0 == session.0 && role.2 == session.2 && of_session == Some(name)
    }

    /// The most telling name there is for the caller.
    #[must_use]
    pub fn words(&self) -> &str {
        let best = [&self.arn, &self.role, &self.name, &self.through, &self.account, &self.kind];
        best.into_iter().flatten().next().map_or("(unknown)", String::as_str)
    }
}

/// The first words of operations that only look, for events that do not say it themselves.
const LOOKS: [&str; 7] = ["BatchGet", "Describe", "Get", "Head", "List", "Lookup", "Select"];
/// CloudTrail calls these read-only; whoever makes one has another's credentials afterwards.
const CREDENTIALS: [&str; 6] =
    ["AssumeRole", "AssumeRoleWithSAML", "AssumeRoleWithWebIdentity", "AssumeRoot", "GetFederationToken", "GetSessionToken"];

impl Event {
    /// The event that `record` is.
    ///
    /// # Errors
    /// If a field that every event has is missing or not of its form.
    pub fn of(record: &Map<String, Value>) -> Result<Self, Refusal> {
        if record.get("eventCategory").and_then(Value::as_str) == Some("Insight") {
            return Err(Refusal::Insight);
        }
        let version = required(record, "eventVersion")?;
        if version.split('.').next() != Some("1") {
            return Err(Refusal::Version(version.chars().take(16).collect()));
        }
        let null = Value::Null;
        let parameters = record.get("requestParameters").unwrap_or(&null);
        let answered = record.get("responseElements").unwrap_or(&null);
        let source = required(record, "eventSource")?;
        let parameter = |name: &str| parameters.get(name).and_then(text_or_first);
        let is_ec2 = source == "ec2.amazonaws.com";
        let is_s3 = source == "s3.amazonaws.com";
        Ok(Self {
            id: required(record, "eventID")?,
            shared_id: optional(record, "sharedEventID")?,
            time: required(record, "eventTime")?.parse().map_err(|_| Refusal::Malformed("eventTime"))?,
            name: required(record, "eventName")?,
            region: required(record, "awsRegion")?,
            account: optional(record, "recipientAccountId")?
                .map(|account| account.parse().map_err(|_| Refusal::Malformed("recipientAccountId")))
                .transpose()?,
            request_id: optional(record, "requestID")?,
            error: optional(record, "errorCode")?,
            read_only: truth(record, "readOnly")?,
            kind: kind(record)?,
            caller: caller(record.get("userIdentity"))?,
            address: optional(record, "sourceIPAddress")?,
            agent: optional(record, "userAgent")?,
            has_parameters: parameters.as_object().is_some_and(|fields| !fields.is_empty()),
            named: match source.as_str() {
                "ec2.amazonaws.com" => named(parameters),
                "iam.amazonaws.com" => named_in_iam(parameters),
                _ => BTreeSet::new(),
            },
            made: answered.get("groupId").and_then(Value::as_str).filter(|id| is_ec2 && is_id(id)).map(str::to_owned),
            bucket: parameter("bucketName").filter(|_| is_s3),
            key: parameter("key").filter(|_| is_s3),
            version: parameter("versionId").filter(|_| is_s3),
            prefix: parameter("prefix").filter(|_| is_s3),
            copied: parameter("x-amz-copy-source").filter(|_| is_s3),
            used_key: used_key(record, parameters),
            source,
        })
    }

    /// Whether the call changes something, or gives its caller another's credentials. By CloudTrail's own word, else by the call's name.
    #[must_use]
    pub fn acts(&self) -> bool {
        let credentials = self.source == "sts.amazonaws.com" && CREDENTIALS.contains(&self.name.as_str());
        let looks = || LOOKS.iter().any(|verb| self.name.starts_with(verb));
        credentials || !self.read_only.unwrap_or_else(looks)
    }
}

fn required(record: &Map<String, Value>, field: &'static str) -> Result<String, Refusal> {
    optional(record, field)?.ok_or(Refusal::Missing(field))
}

/// A text; none if it is not there, null or empty.
fn optional(record: &Map<String, Value>, field: &'static str) -> Result<Option<String>, Refusal> {
    match record.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone()).filter(|text| !text.is_empty())),
        Some(_) => Err(Refusal::Malformed(field)),
    }
}

/// A truth value, which some tools write as text.
fn truth(record: &Map<String, Value>, field: &'static str) -> Result<Option<bool>, Refusal> {
    match record.get(field) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(truth)) => Ok(Some(*truth)),
        Some(Value::String(text)) => text.to_ascii_lowercase().parse().map(Some).map_err(|_| Refusal::Malformed(field)),
        Some(_) => Err(Refusal::Malformed(field)),
    }
}

fn kind(record: &Map<String, Value>) -> Result<Kind, Refusal> {
    Ok(match optional(record, "eventCategory")?.as_deref() {
        Some("Management") => Kind::Management,
        Some("Data") => Kind::Data,
        Some("NetworkActivity") => Kind::Network,
        Some(_) => Kind::Unknown,
        None => match truth(record, "managementEvent")? {
            Some(true) => Kind::Management,
            Some(false) => Kind::Data,
            None => Kind::Unknown,
        },
    })
}

fn caller(identity: Option<&Value>) -> Result<Caller, Refusal> {
    let fields = match identity {
        None | Some(Value::Null) => return Ok(Caller::default()),
        Some(Value::Object(fields)) => fields,
        Some(_) => return Err(Refusal::Malformed("userIdentity")),
    };
    let text = |field: &str| fields.get(field).and_then(Value::as_str).filter(|text| !text.is_empty()).map(str::to_owned);
    let issuer = fields.get("sessionContext").and_then(|context| context.get("sessionIssuer"));
    let kind = text("type");
    let service = kind.as_deref() == Some("AWSService");
    Ok(Caller {
        arn: text("arn"),
        account: text("accountId"),
        // A federated user's issuer may be a user; a role's session says so.
        role: issuer
            .filter(|issuer| issuer.get("type").and_then(Value::as_str) == Some("Role"))
            .and_then(|issuer| issuer.get("arn"))
            .and_then(Value::as_str)
            .map(str::to_owned),
        access_key: text("accessKeyId"),
        through: text("invokedBy").filter(|_| !service),
        name: if service { text("invokedBy") } else { text("principalId") },
        kind,
    })
}

/// A text, or the first of a list: S3's parameters are lists where they come from a query.
fn text_or_first(value: &Value) -> Option<String> {
    match value {
        Value::Array(values) => values.first()?.as_str(),
        other => other.as_str(),
    }
    .map(str::to_owned)
}

fn used_key(record: &Map<String, Value>, parameters: &Value) -> Option<String> {
    if record.get("eventSource").and_then(Value::as_str) != Some("kms.amazonaws.com") {
        return None;
    }
    let resources = record.get("resources").and_then(Value::as_array).into_iter().flatten();
    let mut keys = resources.filter(|resource| resource.get("type").and_then(Value::as_str) == Some("AWS::KMS::Key"));
    let arn = keys.next().and_then(|resource| resource.get("ARN")).and_then(Value::as_str);
    arn.or_else(|| parameters.get("keyId").and_then(Value::as_str)).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_its_roles_with_or_without_its_issuer() {
        let role = "arn:aws:iam::123456789012:role/cordon/QuarantineRole";
        let session = "arn:aws:sts::123456789012:assumed-role/QuarantineRole/cordon-quarantine";
        let with = |arn: &str, role: Option<&str>| Caller {
            arn: Some(arn.to_owned()),
            role: role.map(str::to_owned),
            ..Caller::default()
        };
        assert!(with(session, Some(role)).is_role(role));
        assert!(with(session, None).is_role(role));
        // The issuer decides where there is one: a role of the same name at another path is another role.
        assert!(!with(session, Some("arn:aws:iam::123456789012:role/QuarantineRole")).is_role(role));
        for other in [
            "arn:aws:sts::999988887777:assumed-role/QuarantineRole/x",
            "arn:aws-cn:sts::123456789012:assumed-role/QuarantineRole/x",
            "arn:aws:sts::123456789012:assumed-role/QuarantineRole2/x",
            "arn:aws:iam::123456789012:user/QuarantineRole",
            "QuarantineRole",
            "",
        ] {
            assert!(!with(other, None).is_role(role), "{other}");
        }
        assert!(!with(session, None).is_role("QuarantineRole"));
    }
}
