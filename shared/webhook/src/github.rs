//! GitHub's secret scanning, event `secret_scanning_alert` (GitHub docs, "Webhook events and payloads").
//!
//! The event says which alert it is and of which type, and not which key: GitHub is asked for that, where a token for it is configured.

use ids::{AccessKeyId, Timestamp};
use serde::Deserialize;
use serde::de::IgnoredAny;
use signal::{Excerpt, LeakSource};
use zeroize::Zeroizing;

use crate::Request;
use crate::door::Door;
use crate::keys::Key;
use crate::mentions;
use crate::proof::signed;
use crate::read::{Read, Refusal, Said, problem, rated};

pub(crate) static DOOR: Door = Door {
    id: "github",
    source: LeakSource::GitHub,
    ticket: false,
    set_up: "Settings, Webhooks of the organisation or repository: content type application/json, the key as secret, and of the \
             events only \"Secret scanning alerts\"",
    prove,
    read,
};

/// An alert of GitHub's that can be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    owner: String,
    repository: String,
    number: u64,
}

impl Alert {
    /// Its path in GitHub's REST API ("Get a secret scanning alert"). It is made of checked parts: a URL in the body is not followed.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/repos/{}/{}/secret-scanning/alerts/{}", self.owner, self.repository, self.number)
    }
}

/// GitHub docs, "Validating webhook deliveries".
fn prove(request: &Request<'_>, keys: &[Key], _now: Timestamp) -> Result<(), Refusal> {
    let header = request.header("x-hub-signature-256").ok_or(Refusal::NoProof("X-Hub-Signature-256 is missing"))?;
    let given = header.strip_prefix("sha256=").ok_or(Refusal::NoProof("X-Hub-Signature-256 does not begin with sha256="))?;
    signed(given, keys, "", request.body)
}

#[derive(Deserialize)]
struct Event {
    action: Option<String>,
    alert: Option<Detail>,
    location: Option<IgnoredAny>,
    repository: Option<Repository>,
    zen: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Detail {
    number: u64,
    secret_type: Option<String>,
    secret_type_display_name: Option<String>,
    validity: Option<String>,
    created_at: Option<String>,
    updated_at: Option<String>,
}

#[derive(Deserialize)]
struct Repository {
    full_name: String,
}

fn read(body: &[u8], clean: &dyn Fn(&str) -> String, now: Timestamp) -> Result<Read, String> {
    let event: Event = serde_json::from_slice(body).map_err(|error| problem(&error))?;
    let Some(alert) = event.alert else {
        return Ok(Read::Nothing(match event.zen {
            Some(_) => "a ping: the door is open",
            None => "no secret scanning alert: of the events, choose only \"Secret scanning alerts\"",
        }));
    };
    if event.location.is_some() {
        return Ok(Read::Nothing("another place of an alert that has its own event"));
    }
    let repository = event.repository.ok_or_else(|| "it names no repository".to_owned())?.full_name;
    let kind = alert.secret_type.unwrap_or_default();
    let shown = alert.secret_type_display_name.filter(|name| !name.is_empty()).unwrap_or_else(|| kind.clone());
    let name = Excerpt::of(&format!("alert {} of {}", alert.number, clean(&repository)));
    let at = [alert.updated_at, alert.created_at].into_iter().flatten().find_map(|text| text.parse().ok()).unwrap_or(now);

    let mut said = Said::new(format!("{repository}/{}", alert.number), name, at);
    said.what = Excerpt::of(&clean(&shown));
    let action = event.action.unwrap_or_default();
    said.closed = matches!(action.as_str(), "resolved" | "revoked");
    let opens = matches!(action.as_str(), "created" | "reopened" | "publicly_leaked" | "validated");
    // GitHub asked the issuer, and it works no longer; or somebody was assigned to it: good to know.
    if alert.validity.as_deref() == Some("inactive") || !(opens || said.closed) {
        said.rated = rated(200);
    }
    if kind.starts_with("aws_") && opens {
        said.alert = asked_for(&repository, alert.number);
    }
    // Whoever may push can put a colleague's id beside an invented secret. That the pair works is what GitHub finds out by asking AWS.
    said.suspected = alert.validity.as_deref() != Some("active");
    Ok(Read::Said(Box::new(said)))
}

/// What GitHub's names may be made of; then they need no escaping, and lead nowhere else.
fn asked_for(repository: &str, number: u64) -> Option<Alert> {
    let (owner, name) = repository.split_once('/')?;
    let plain = |text: &str| {
        !text.is_empty()
            && text.len() <= 100
            && !text.starts_with('.')
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
    };
    (plain(owner) && plain(name)).then(|| Alert { owner: owner.to_owned(), repository: name.to_owned(), number })
}

#[derive(Deserialize)]
struct Found {
    secret: Zeroizing<String>,
    validity: Option<String>,
}

/// What GitHub says of an alert when it is asked.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Named {
    /// The ids of the access keys that it is about.
    pub keys: Vec<AccessKeyId>,
    /// Whether GitHub has found that they work.
    pub active: bool,
}

/// The ids of the access keys in GitHub's answer about an alert. The secret beside them goes no further.
#[must_use]
pub fn keys_of_alert(answer: &[u8]) -> Named {
    let Ok(found) = serde_json::from_slice::<Found>(answer) else { return Named::default() };
    let keys = mentions::words(&found.secret).collect();
    Named { keys, active: found.validity.as_deref() == Some("active") }
}
