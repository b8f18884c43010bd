//! Leaks that are reported by others than AWS, over a webhook.

use ids::{AccountId, Hasher, IncidentId, Sha256, SignalId, Timestamp};

use super::{Credential, Leak, LeakSource, TECHNIQUE, Trust};
use crate::{Excerpt, Refusal, Remote, Severity};

impl LeakSource {
    /// How far a report of this source can be believed that came in over a webhook; none if it does not come that way.
    #[must_use]
    pub fn webhook(self) -> Option<Trust> {
        match self {
            Self::GitHub | Self::GitGuardian | Self::Falco => Some(Trust::Signed),
            Self::Canary => Some(Trust::Unsigned),
            Self::GuardDuty | Self::Health | Self::Hand | Self::Drill => None,
        }
    }
}

/// What a webhook says, apart from which credential it is about. It was checked, and it holds none of the body's own text beyond
/// excerpts.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Who says so: one that has a [`LeakSource::webhook`].
    pub source: LeakSource,
    /// What tells it from the source's other reports, and stays the same when it is updated.
    pub about: String,
    /// What the source calls it, for people.
    pub name: Excerpt,
    /// What the source itself is unsure of.
    pub suspected: bool,
    /// The source says that it is over.
    pub closed: bool,
    /// How bad the source says it is.
    pub rated: Option<Severity>,
    /// When the source said so.
    pub at: Timestamp,
    /// From where it was used.
    pub remote: Vec<Remote>,
    /// The digest of the body, as it came.
    pub sha256: Sha256,
}

impl Report {
    /// The leak of one credential of `account` that this reports.
    #[must_use]
    pub fn of(&self, credential: Credential, account: AccountId) -> Leak {
        let source = self.source.as_str();
        let target = credential.target(&account);
        let thread = Hasher::new("cordon/leak/webhook/v1").part(source).part(&self.about).part(&target).finish();
        let signal = Hasher::new("cordon/leak/webhook/v1").part(&self.sha256.to_string()).part(&target).finish();
        Leak {
            id: SignalId::of_bytes(&signal),
            incident: IncidentId::derive(&target, TECHNIQUE),
            source: self.source,
            trust: self.source.webhook().unwrap_or(Trust::Unsigned),
            suspected: self.suspected,
            rated: self.rated,
            closed: self.closed,
            event_id: Excerpt::of(&self.sha256.prefix(16)),
            report: self.name.clone(),
            thread: format!("{source}/{}", thread.prefix(16)),
            account,
            credential,
            finding: None,
            at: self.at,
            since: None,
            remote: self.remote.clone(),
            sha256: self.sha256,
        }
    }
}

impl Leak {
    /// A leak that another function read from a webhook and passes on. It can claim no more than a webhook can: neither a person's word
    /// nor AWS's, no finding, and no other incident than its credential's.
    ///
    /// # Errors
    /// If its source is none that comes over a webhook, or it claims more.
    pub fn relayed(self) -> Result<Self, Refusal> {
        let source = self.source.as_str();
        let problem = |what| Err(Refusal::bad_field("leaks[]", what));
        if self.source.webhook() != Some(self.trust) {
            return problem(format_args!("`{source}` with this trust is nothing that comes over a webhook"));
        }
        // What each sender can name at all (`webhook`): Falco and texts only mention keys, and canaries name none of ours.
        let can_name = match (self.source, &self.credential) {
            (_, Credential::Unnamed { .. }) => true,
            (LeakSource::GitHub, Credential::UserKey { user: None, .. }) => true,
            (LeakSource::GitGuardian | LeakSource::Falco, Credential::UserKey { user: None, .. }) => self.suspected,
            _ => false,
        };
        if !can_name || self.since.is_some() {
            return problem(format_args!("`{source}` names no such credential in this way"));
        }
        if self.finding.is_some() || self.incident != IncidentId::derive(&self.target(), TECHNIQUE) {
            return problem(format_args!("a report of `{source}` has no finding, and the incident of its credential"));
        }
        if !self.thread.starts_with(&format!("{source}/")) {
            return problem(format_args!("the thread is not one of `{source}`"));
        }
        Ok(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(source: LeakSource) -> Report {
        Report {
            source,
            about: "acme/payments/42".to_owned(),
            name: Excerpt::of("alert 42 of acme/payments"),
            suspected: false,
            closed: false,
            rated: None,
            at: "2026-11-24T20:00:00Z".parse().unwrap(),
            remote: Vec::new(),
            sha256: Sha256::of(b"body"),
        }
    }

    fn key() -> Credential {
        Credential::UserKey { key: "AKIARZPUZDIKFJNBPQ4Z".parse().unwrap(), user: None }
    }

    #[test]
    fn a_relayed_leak_survives_the_way_and_keeps_its_incident() {
        let account: AccountId = "123456789012".parse().unwrap();
        let unnamed = Credential::Unnamed { what: Excerpt::of("AWS Keys"), place: Excerpt::of("alert 42 of acme/payments") };
        for (source, suspected, credential) in [
            (LeakSource::GitHub, false, key()),
            (LeakSource::GitHub, true, key()),
            (LeakSource::GitGuardian, true, key()),
            (LeakSource::Falco, true, key()),
            (LeakSource::Canary, false, unnamed.clone()),
            (LeakSource::Falco, false, unnamed),
        ] {
            let leak = Report { suspected, ..report(source) }.of(credential, account.clone());
            let way: Leak = serde_json::from_str(&serde_json::to_string(&leak).unwrap()).unwrap();
            assert_eq!(way.relayed(), Ok(leak));
        }
    }

    #[test]
    fn whoever_relays_can_claim_no_more_than_a_webhook_can() {
        let leak = report(LeakSource::GitHub).of(key(), "123456789012".parse().unwrap());
        let other = IncidentId::derive("iam:key:123456789012:AKIAOTHER", TECHNIQUE);
        let account: AccountId = "123456789012".parse().unwrap();
        let of = |source, credential| report(source).of(credential, account.clone());
        let session = Credential::UserSession { user: "alice".parse().unwrap(), key: None };
        for forged in [
            of(LeakSource::Falco, key()),
            of(LeakSource::GitGuardian, key()),
            Leak { suspected: true, ..of(LeakSource::Canary, key()) },
            of(LeakSource::GitHub, session),
            of(
                LeakSource::GitHub,
                Credential::UserKey { key: "AKIARZPUZDIKFJNBPQ4Z".parse().unwrap(), user: "alice".parse().ok() },
            ),
            of(LeakSource::GitHub, Credential::WholeRole { role: "web".parse().unwrap() }),
            Leak { since: Some(leak.at), ..leak.clone() },
            Leak { trust: Trust::Platform, ..leak.clone() },
            Leak { trust: Trust::Person, source: LeakSource::Hand, ..leak.clone() },
            Leak { trust: Trust::Platform, source: LeakSource::GuardDuty, ..leak.clone() },
            Leak { trust: Trust::Signed, source: LeakSource::Canary, ..leak.clone() },
            Leak { incident: other, ..leak.clone() },
            Leak { thread: "hand/0".to_owned(), ..leak.clone() },
            Leak { account: "999988887777".parse().unwrap(), ..leak },
        ] {
            assert!(forged.clone().relayed().is_err(), "{forged:?}");
        }
    }
}
