//! The door for reports of leaked credentials.

use ids::{
    AccessKeyId, AccountId, Hasher, IncidentId, InstanceId, PrincipalId, RoleName, SessionName, Sha256, SignalId, Timestamp,
    UserName,
};
use serde::Deserialize;

use super::{Credential, Leak, LeakSource, TECHNIQUE, Trust};
use crate::door;
use crate::finding_type::Resource;
use crate::loose::{Part, Scalar};
use crate::wire;
use crate::{Door, Excerpt, Refusal, Refused};

/// Codes of Health events that name leaked keys (AWS Health user guide; AWS's own samples), and whether AWS is sure.
const RISKS: [(&str, bool); 4] = [
    ("AWS_RISK_CREDENTIALS_COMPROMISED", true),
    ("AWS_RISK_CREDENTIALS_COMPROMISE_SUSPECTED", false),
    ("AWS_RISK_CREDENTIALS_EXPOSED", true),
    ("AWS_RISK_CREDENTIALS_EXPOSURE_SUSPECTED", false),
];

/// Reads one EventBridge event that reports leaked credentials: a GuardDuty finding about an access key, or an AWS Health event, which
/// may name many.
///
/// # Errors
/// With the reason, and with what could be read, if the event is neither, is malformed, or is delivered by somebody who may not.
pub fn parse_leaks(bytes: &[u8], door: &Door) -> Result<Vec<Leak>, Box<Refused>> {
    door::through(bytes, |event, sha256| admit(event, door, sha256))
}

fn admit(event: &wire::Event, door: &Door, sha256: Sha256) -> Result<Vec<Leak>, Refusal> {
    let (source, trust) = match event.source.text() {
        Some("aws.guardduty") => (LeakSource::GuardDuty, Trust::Platform),
        Some("aws.health") => (LeakSource::Health, Trust::Platform),
        Some("cordon.drill") if door.drill => (LeakSource::Drill, Trust::Platform),
        Some("cordon.drill") => return Err(Refusal::DrillsAreOff),
        other => {
            let found = Excerpt::of(other.unwrap_or_default());
            return Err(Refusal::bad_field("source", format_args!("expected `aws.guardduty` or `aws.health`, found `{found}`")));
        }
    };
    let detail = event.detail.require("detail")?;
    match (event.detail_type.text(), source) {
        (Some("GuardDuty Finding"), LeakSource::GuardDuty | LeakSource::Drill) => {
            finding(event, detail, door, source, trust, sha256).map(|leak| vec![leak])
        }
        (Some("AWS Health Event"), LeakSource::Health | LeakSource::Drill) => health(event, detail, door, source, trust, sha256),
        (other, _) => {
            let (found, from) = (Excerpt::of(other.unwrap_or_default()), source.as_str());
            Err(Refusal::bad_field("detail-type", format_args!("`{found}` from {from} is no report of a leak")))
        }
    }
}

/// A GuardDuty finding about an access key.
fn finding(
    event: &wire::Event,
    detail: &wire::Detail,
    door: &Door,
    source: LeakSource,
    trust: Trust,
    sha256: Sha256,
) -> Result<Leak, Refusal> {
    let account = door::account(event, detail, door)?;
    let finding = door::finding(detail, sha256)?;
    let resource = detail.resource.require("detail.resource")?;
    let text: String = resource.resource_type.require("detail.resource.resourceType")?;
    match Resource::from_wire(&text) {
        None => return Err(Refusal::UnknownResourceType { found: Excerpt::of(&text) }),
        Some(Resource::AccessKey) => {}
        Some(resource) => return Err(Refusal::NotForCredentials { kind: finding.kind, resource }),
    }
    door::region(event, detail)?;
    let credential = credential(resource.access_key_details.require("detail.resource.accessKeyDetails")?)?;
    let action = detail.service.get().and_then(|service| service.action.get());
    Ok(Leak {
        id: SignalId::derive(source.as_str(), &finding.id, finding.updated_at),
        incident: IncidentId::derive(&credential.target(&account), TECHNIQUE),
        source,
        trust,
        suspected: false,
        rated: None,
        closed: false,
        event_id: Excerpt::of(event.id.text().unwrap_or_default()),
        report: Excerpt::of(finding.id.as_str()),
        thread: format!("{}/{}", source.as_str(), finding.id),
        account,
        credential,
        at: finding.updated_at,
        since: finding.first_seen,
        remote: action.map(door::remotes).unwrap_or_default(),
        finding: Some(finding),
        sha256,
    })
}

/// Who holds the key, by `userType` and `principalId` (Amazon GuardDuty User Guide, "Finding details": access key).
fn credential(key: &wire::AccessKey) -> Result<Credential, Refusal> {
    let path = "detail.resource.accessKeyDetails";
    // A console session has no key, and GuardDuty then leaves the field out or empty.
    let id: Option<AccessKeyId> = key.access_key_id.get();
    let kind: String = key.user_type.require("detail.resource.accessKeyDetails.userType")?;
    let name = "detail.resource.accessKeyDetails.userName";
    match kind.as_str() {
        "IAMUser" => {
            let user: UserName = key.user_name.require(name)?;
            Ok(match id {
                Some(key) if key.is_long_lived() => Credential::UserKey { key, user: Some(user) },
                key => Credential::UserSession { user, key },
            })
        }
        // The session's name follows the role's id: `AROA…:session`.
        "AssumedRole" | "Role" => {
            let role: RoleName = key.user_name.require(name)?;
            let principal = key.principal_id.text().unwrap_or_default();
            let (role_id, session) = principal.split_once(':').unwrap_or((principal, ""));
            let role_id: Option<PrincipalId> = role_id.parse().ok();
            Ok(match session.parse::<SessionName>() {
                Ok(session) => Credential::of_session(role, role_id, session, id),
                Err(_) => Credential::WholeRole { role },
            })
        }
        "Root" => Ok(Credential::Root { key: id }),
        "FederatedUser" => {
            let called: String = key.user_name.require(name)?;
            Ok(Credential::Federated { name: Excerpt::of(&called), key: id })
        }
        other => Err(Refusal::bad_field(path, format_args!("no procedure for the user type `{}`", Excerpt::of(other)))),
    }
}

/// A Health event names as many keys as it likes: each is a leak of its own.
fn health(
    event: &wire::Event,
    detail: &wire::Detail,
    door: &Door,
    source: LeakSource,
    trust: Trust,
    sha256: Sha256,
) -> Result<Vec<Leak>, Refusal> {
    let code: String = detail.event_type_code.require("detail.eventTypeCode")?;
    let Some((_, sure)) = RISKS.iter().find(|(known, _)| *known == code) else {
        return Err(Refusal::NoCredentialReport { found: Excerpt::of(&code) });
    };
    let envelope: AccountId = event.account.require("account")?;
    let account = detail.affected_account.get().unwrap_or_else(|| envelope.clone());
    if account != envelope && door.administrator.as_ref() != Some(&envelope) {
        return Err(Refusal::AccountMismatch { envelope, finding: account });
    }
    let arn: String = detail.event_arn.require("detail.eventArn")?;
    let report = Excerpt::of(&arn);
    let at = event.time.time().ok_or_else(|| Refusal::bad_field("time", "missing, or not a time"))?;
    // An event goes on being updated after the key is dealt with: that must not end the next one too.
    let closed = detail.status_code.text() == Some("closed");
    let entities = "detail.affectedEntities[].entityValue";
    let mut leaks = Vec::new();
    for entity in detail.affected_entities.objects() {
        // One that is no key must not let the others live.
        let Some(key) = entity.entity_value.get::<AccessKeyId>() else { continue };
        let credential = Credential::UserKey { key: key.clone(), user: None };
        let digest = Hasher::new("cordon/leak/health/v1").part(source.as_str()).part(&arn).part(key.as_str()).finish();
        leaks.push(Leak {
            id: SignalId::of_bytes(&digest),
            incident: IncidentId::derive(&credential.target(&account), TECHNIQUE),
            source,
            trust,
            suspected: !sure,
            rated: None,
            closed,
            event_id: Excerpt::of(event.id.text().unwrap_or_default()),
            report: report.clone(),
            thread: format!("{}/{}", source.as_str(), digest.prefix(16)),
            account: account.clone(),
            credential,
            finding: None,
            at,
            since: None,
            remote: Vec::new(),
            sha256,
        });
    }
    if leaks.is_empty() { Err(Refusal::bad_field(entities, "names no access key")) } else { Ok(leaks) }
}

/// What a person asks for, as `cordon revoke` sends it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ByHand {
    /// A long-lived key.
    key: Option<AccessKeyId>,
    /// A user: all that it has.
    user: Option<UserName>,
    /// A role, with one of its sessions, or an instance, or with `every_session`.
    role: Option<RoleName>,
    /// One session of the role.
    session: Option<SessionName>,
    /// One instance that has the role.
    instance: Option<InstanceId>,
    /// Every session of the role from before now: whoever has it must begin a new one.
    #[serde(default)]
    every_session: bool,
    /// So many users of the role are to be hit: the number that the person was shown.
    users: Option<u32>,
    /// The account; where it is not given, the key's own or the function's.
    account: Option<AccountId>,
    /// Since when it may have been in the wrong hands.
    since: Option<Timestamp>,
}

impl ByHand {
    /// So many users the person says are to be hit, where it is every session of a role.
    #[must_use]
    pub fn users(&self) -> Option<u32> {
        self.users
    }

    /// The leak that it asks to be ended. `home` is the function's account, `delivery` tells this request from the next.
    ///
    /// # Errors
    /// If it names no credential, or more than one.
    pub fn leak(self, bytes: &[u8], delivery: &str, home: Option<&AccountId>, now: Timestamp) -> Result<Leak, Box<Refused>> {
        let sha256 = Sha256::of(bytes);
        let Self { key, user, role, session, instance, every_session, users: _, account, since } = self;
        let refused = |problem: &str, account| {
            Box::new(Refused { refusal: Refusal::bad_field("request", problem), sha256, finding: None, account })
        };
        let of_key = key.as_ref().and_then(AccessKeyId::account);
        let credential = match (key, user, role, session, instance) {
            (Some(key), None, None, None, None) if key.is_long_lived() => Credential::UserKey { key, user: None },
            (Some(_), None, None, None, None) => {
                return Err(refused("a session's key (ASIA…) does not say whose it is: give the role and the session", account));
            }
            (None, Some(user), None, None, None) => Credential::UserSession { user, key: None },
            (None, None, Some(role), Some(session), None) => Credential::of_session(role, None, session, None),
            (None, None, Some(role), None, Some(instance)) => Credential::InstanceSession { role, role_id: None, instance },
            (None, None, Some(role), None, None) if every_session => Credential::WholeRole { role },
            _ => {
                return Err(refused("give a key, or a user, or a role with a session, an instance or every session", account));
            }
        };
        if let (Some(given), Some(of_key)) = (&account, &of_key)
            && given != of_key
        {
            return Err(refused("the key belongs to another account than the one that is given", of_key.clone().into()));
        }
        let Some(account) = account.or(of_key).or_else(|| home.cloned()) else {
            return Err(refused("give the account: neither the key nor the function says which one it is", None));
        };
        let digest = Hasher::new("cordon/leak/hand/v1").part(delivery).part(&sha256.to_string()).finish();
        Ok(Leak {
            id: SignalId::of_bytes(&digest),
            incident: IncidentId::derive(&credential.target(&account), TECHNIQUE),
            source: LeakSource::Hand,
            trust: Trust::Person,
            suspected: false,
            rated: None,
            closed: false,
            event_id: Excerpt::of(delivery),
            report: Excerpt::of("by hand"),
            // Each request is a thread of its own: a later one about the same principal must not pass for this one's outcome.
            thread: format!("hand/{}", digest.prefix(16)),
            account,
            credential,
            finding: None,
            at: now,
            since,
            remote: Vec::new(),
            sha256,
        })
    }
}

/// Whether ids say that GuardDuty made the finding up; see `door::sample`.
pub(crate) fn generated(resource: &wire::Resource) -> bool {
    let generated = |id: &Scalar| id.text().is_some_and(|id| id.starts_with("GeneratedFinding"));
    match &resource.access_key_details {
        Part::Here(key) => generated(&key.access_key_id) || generated(&key.principal_id),
        Part::Missing | Part::Wrong => false,
    }
}
