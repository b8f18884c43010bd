//! Who has live sessions of a role, as far as AWS says.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use ids::{Region, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use trail::Event;

use super::observed::Role;

/// A session that a service made lives so long at most, whatever the role's own maximum, which binds people (IAM user guide, "Update the
/// maximum session duration for a role").
const SESSION_OF_A_SERVICE: Duration = Duration::from_secs(12 * 3600);
/// A role's maximum where IAM does not say one.
const DEFAULT_SESSION: Duration = Duration::from_secs(3600);
/// So many users are named; all are counted.
const NAMED: usize = 20;
/// So much of a caller's name is kept.
const LONGEST: usize = 256;

/// Who has begun sessions of a role that may be alive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Users {
    /// How many: two sessions of one name that one caller began are one user.
    pub count: u32,
    /// Since when sessions were looked for.
    pub since: Timestamp,
    /// Who they are, the last one first: 20 at most.
    pub who: Vec<RoleUser>,
    /// Why there may be more. Empty: as far as AWS has told by now, that is all of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub unsure: Vec<String>,
}

/// One who has begun a session.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RoleUser {
    /// What the session is called.
    pub session: String,
    /// Who began it: a principal's ARN, or a service.
    pub by: String,
    /// When, for the last time.
    pub last: Timestamp,
}

/// What CloudTrail was asked, and what came of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sightings {
    /// Events about the role, as CloudTrail has them.
    pub events: Vec<String>,
    /// Why there may be more: there were too many, it took too long, it was refused.
    pub cut: Option<String>,
}

impl Users {
    /// Whether that is all of them, as far as AWS has told by now.
    #[must_use]
    pub fn known(&self) -> bool {
        self.unsure.is_empty()
    }

    /// With what it says in sentences and names changed.
    #[must_use]
    pub fn map_texts(mut self, change: &impl Fn(String) -> String) -> Self {
        for user in &mut self.who {
            user.session = change(std::mem::take(&mut user.session));
            user.by = change(std::mem::take(&mut user.by));
        }
        self.unsure = self.unsure.into_iter().map(change).collect();
        self
    }

    /// Since when a session of `role` may have begun that is alive at `now`.
    #[must_use]
    pub fn since(role: &Role, now: Timestamp) -> Timestamp {
        let longest = if role.services.is_empty() { maximum(role) } else { maximum(role).max(SESSION_OF_A_SERVICE) };
        Timestamp::saturating(now.millis().saturating_sub(i64::try_from(longest.as_millis()).unwrap_or(i64::MAX)))
    }

    /// Counts the users of `role` in what CloudTrail showed in `region`, and says what that may have missed.
    #[must_use]
    pub fn count(role: &Role, sightings: &Sightings, region: &Region, now: Timestamp) -> Self {
        let since = Self::since(role, now);
        let mut unsure: Vec<String> = sightings.cut.iter().cloned().collect();
        let mut users: BTreeMap<(String, String), Timestamp> = BTreeMap::new();
        for text in &sightings.events {
            match begun(text, role, now) {
                Ok(Some(RoleUser { session, by, last: at })) => {
                    let last = users.entry((by, session)).or_insert(at);
                    *last = at.max(*last);
                }
                Ok(None) => {}
                Err(NotRead) => unsure.push("an event of CloudTrail's could not be read".to_owned()),
            }
        }
        if let Some(used) = &role.last_used {
            if used.at >= since && users.is_empty() {
                unsure.push(format!("IAM says that the role was used at {}, and CloudTrail shows no session", used.at));
            }
            if used.region.as_ref().is_some_and(|other| other != region) {
                let other = used.region.as_ref().map(ToString::to_string).unwrap_or_default();
                unsure.push(format!("the role was last used in {other}, and only sessions that began in {region} are seen"));
            }
        }
        unsure.dedup();
        let count = u32::try_from(users.len()).unwrap_or(u32::MAX);
        let mut who: Vec<RoleUser> = users.into_iter().map(|((by, session), last)| RoleUser { session, by, last }).collect();
        who.sort_by_key(|user| std::cmp::Reverse(user.last));
        who.truncate(NAMED);
        Self { count, since, who, unsure }
    }
}

impl fmt::Display for Users {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (least, s) = (if self.known() { "" } else { "at least " }, if self.count == 1 { "" } else { "s" });
        write!(f, "{least}{} user{s} since {}", self.count, self.since)?;
        let named: Vec<_> =
            self.who.iter().map(|user| format!("{} (begun by {}, last at {})", user.session, user.by, user.last)).collect();
        if !named.is_empty() {
            write!(f, ": {}", named.join(", "))?;
        }
        let more = usize::try_from(self.count).unwrap_or(usize::MAX).saturating_sub(named.len());
        if more > 0 {
            write!(f, " and {more} more")?;
        }
        if self.unsure.is_empty() { Ok(()) } else { write!(f, "; there may be more: {}", self.unsure.join("; ")) }
    }
}

fn maximum(role: &Role) -> Duration {
    role.longest_session.map_or(DEFAULT_SESSION, |seconds| Duration::from_secs(seconds.into()))
}

struct NotRead;

/// Who began which session of `role`, if the event is about that and the session may be alive.
fn begun(text: &str, role: &Role, now: Timestamp) -> Result<Option<RoleUser>, NotRead> {
    let record: Map<String, Value> = serde_json::from_str(text).map_err(|_| NotRead)?;
    let event = Event::of(&record).map_err(|_| NotRead)?;
    let field = |outer: &str, inner: &str| record.get(outer)?.get(inner)?.as_str().map(str::to_owned);
    let begins = event.source == "sts.amazonaws.com" && event.name.starts_with("AssumeRole") && event.error.is_none();
    if !begins || field("requestParameters", "roleArn").as_deref() != Some(role.arn.as_str()) {
        return Ok(None);
    }
    let service = event.caller.kind.as_deref() == Some("AWSService");
    let longest = if service { SESSION_OF_A_SERVICE.max(maximum(role)) } else { maximum(role) };
    if event.time.plus(longest) < now {
        return Ok(None);
    }
    let by = event.caller.words().chars().take(LONGEST).collect();
    // A SAML response names the session, not the request: then the answer has it.
    let answered =
        || record.get("responseElements")?.get("assumedRoleUser")?.get("arn")?.as_str()?.rsplit('/').next().map(str::to_owned);
    let session = field("requestParameters", "roleSessionName").or_else(answered).ok_or(NotRead)?;
    Ok(Some(RoleUser { session: session.chars().take(LONGEST).collect(), by, last: event.time }))
}
