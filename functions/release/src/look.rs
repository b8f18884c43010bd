//! What there is: a request with what became of it, and a principal with what revoke recorded of it.

use std::collections::BTreeMap;

use api::Problem;
use evidence::{Kind, RecordKey};
use evidence_store::{Recorded, Worm};
use hold::{Asked as Row, Row as Hold};
use ids::{AccountId, IncidentId, RoleName, Sha256, Timestamp, UserName};
use plan::Trouble;
use plan::release::{Basis, Difference, NoRelease, Past, Proposal, Wish, propose};
use plan::revoke::{Denies, Principal, Revocation, RevocationOutcome};
use playbook::Asked;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::Environment;
use crate::record::{OutcomeBody, RequestBody, VerdictBody, Word, run_cause, verdict_cause};
use crate::verdict::FINISH;

/// The newest request about an incident, read from its records.
#[derive(Debug)]
pub(crate) struct Current {
    pub(crate) row: Row,
    pub(crate) request: Recorded<RequestBody>,
    pub(crate) verdict: Option<(Recorded<VerdictBody>, Timestamp)>,
    pub(crate) outcome: Option<Recorded<OutcomeBody>>,
}

/// The newest request about an incident.
pub(crate) async fn current<S: Worm>(incident: &IncidentId, environment: &Environment<S>) -> Result<Current, Problem> {
    let row = environment.holds.asked(incident).await?;
    let row = row.ok_or_else(|| Problem::new(404, format!("nobody has asked for a release of {incident}")))?;
    read(incident, row, environment).await
}

/// The request that a row names. What counts is in the records: a row that leads elsewhere leads nowhere.
pub(crate) async fn read<S: Worm>(incident: &IncidentId, row: Row, environment: &Environment<S>) -> Result<Current, Problem> {
    let lost = || Problem::new(409, format!("the record of the request about {incident} is not where the table says: ask again"));
    let key: RecordKey = row.request.parse().map_err(|_| lost())?;
    let recorder = environment.docket.recorder().await;
    let (request, _) = recorder.recall::<RequestBody>(&key).await?.ok_or_else(lost)?;
    if request.value().proposal.incident != *incident || request.value().proposal.digest()? != request.value().digest {
        return Err(lost());
    }
    let verdict = recorder.recall(&verdict_cause(environment, incident, &key).key.sibling(1, Kind::Decision)).await?;
    let outcome = recorder.recall(&run_cause(environment, incident, &key).key.sibling(1, Kind::Outcome)).await?;
    Ok(Current { row, request, verdict, outcome: outcome.map(|(outcome, _)| outcome) })
}

impl Current {
    /// The request, as the playbook asks about it.
    pub(crate) fn asked(&self, now: Timestamp) -> Asked {
        let RequestBody { proposal, asker, .. } = self.request.value();
        Asked {
            incident: proposal.incident.clone(),
            account: proposal.account.clone(),
            asker: asker.id(),
            asker_calls_itself: asker.calls_itself(),
            early: proposal.is_early(now),
            early_said: proposal.wish.early,
        }
    }

    /// Whether it can no longer be approved.
    pub(crate) fn has_expired(&self, now: Timestamp) -> bool {
        now >= self.request.value().expires
    }

    /// Whether nothing more can come of it.
    pub(crate) fn is_over(&self, now: Timestamp) -> bool {
        let ended = |verdict: &VerdictBody, at: Timestamp| verdict.word == Word::Denied || now >= at.plus(FINISH);
        let ended = self.verdict.as_ref().is_some_and(|(verdict, at)| ended(verdict.value(), *at));
        ended || self.outcome.is_some() || self.has_expired(now)
    }

    fn state(&self, now: Timestamp) -> String {
        match (&self.verdict, &self.outcome) {
            (_, Some(outcome)) => outcome.value().outcome.state.to_string(),
            (Some((verdict, _)), None) if verdict.value().word == Word::Denied => "Denied".to_owned(),
            (Some(_), None) => "Approved".to_owned(),
            (None, None) if self.has_expired(now) => "Expired".to_owned(),
            (None, None) => "Open".to_owned(),
        }
    }

    /// All of it, for whoever asks.
    pub(crate) fn view(&self, now: Timestamp) -> Value {
        let RequestBody { asker, asked, expires, digest, proposal, .. } = self.request.value();
        let mut records = vec![self.request.link().key.to_string()];
        let mut view = json!({
            "incident": proposal.incident, "state": self.state(now), "asked_by": asker, "asked": asked, "expires": expires,
            "digest": digest, "proposal": proposal, "text": proposal.to_string(),
        });
        let mut put = |name: &str, value: Value| {
            if let Some(fields) = view.as_object_mut() {
                fields.insert(name.to_owned(), value);
            }
        };
        if let Some((verdict, at)) = &self.verdict {
            let VerdictBody { word, by, reason, .. } = verdict.value();
            put("verdict", json!({ "word": word, "by": by, "reason": reason, "at": at }));
            records.push(verdict.link().key.to_string());
        }
        if let Some(outcome) = &self.outcome {
            put("outcome", json!(outcome.value().outcome));
            records.push(outcome.link().key.to_string());
        }
        put("records", json!(records));
        view
    }
}

/// What is to be lifted, derived from what revoke recorded and what IAM shows now.
pub(crate) async fn derive<S: Worm>(
    (incident, home, target): (&IncidentId, &AccountId, &str),
    hold: &Hold,
    wish: Wish,
    environment: &Environment<S>,
) -> Result<Proposal, Problem> {
    if !hold.holders.contains(incident) {
        let said = format!("{incident} does not hold {target}: it has let go already, or its revocation came to nothing");
        return Err(Problem::new(409, said));
    }
    let (seen, pasts) = tokio::join!(principal(home, target, environment), pasts(hold, environment));
    let seen = seen?.ok_or_else(|| Problem::new(409, format!("IAM does not know {target} any more: there is nothing to lift")))?;
    let others = |map: &BTreeMap<IncidentId, String>| {
        let others = map.iter().filter(|(other, _)| *other != incident);
        Denies(others.filter_map(|(other, text)| Some((other.clone(), serde_json::from_str(text).ok()?))).collect())
    };
    let basis = Basis {
        incident: incident.clone(),
        account: home.clone(),
        region: environment.region.clone(),
        pasts: pasts?,
        held_by: hold.holders.iter().filter(|other| *other != incident).cloned().collect(),
        denies: others(&hold.denies),
        deny_policy: environment.deny_policy.clone(),
        playbook: environment.playbook.digest(),
        now: calls::now(),
    };
    propose(&basis, wish, seen).map_err(|error| problem(error, environment))
}

/// Somebody else's document may be among the differences: it is quoted without what must not be.
fn problem<S: Worm>(error: NoRelease, environment: &Environment<S>) -> Problem {
    let clean = |text: String| environment.docket.redactor().text(&text).0;
    match error {
        NoRelease::NothingOnRecord(_) => Problem::new(409, format!("{error}: lift it by hand (docs/runbooks/revoke.md)")),
        NoRelease::Drift(differences) => {
            let clean = |Difference { what, left, found }| Difference { what: clean(what), left: clean(left), found: clean(found) };
            let differences: Vec<_> = differences.into_iter().map(clean).collect();
            let said = NoRelease::Drift(differences.clone()).to_string();
            Problem::new(409, said).with("differences", json!(differences))
        }
    }
}

/// What a hold is on, in the function's own account.
#[derive(Debug, PartialEq, Eq)]
enum Target {
    User(UserName),
    Role(RoleName),
}

impl Target {
    /// The user or role of `home` that is held as `iam:user:ACCOUNT:NAME` or `iam:role:ACCOUNT:NAME`.
    fn read(target: &str, home: &AccountId) -> Result<Self, Problem> {
        let odd = || Problem::new(409, format!("{target} is no user or role that this function can look at"));
        let parts: Vec<&str> = target.splitn(4, ':').collect();
        let ["iam", kind @ ("user" | "role"), account, name] = parts.as_slice() else { return Err(odd()) };
        if *account != home.as_str() {
            let said = format!(
                "{target} is in account {account}, where this function may lift nothing: it is undone there by hand, with the steps of \
                 docs/runbooks/revoke.md, \"Undoing a revocation in another account\""
            );
            return Err(Problem::new(409, said));
        }
        match *kind {
            "user" => name.parse().map(Self::User).map_err(|_| odd()),
            _ => name.parse().map(Self::Role).map_err(|_| odd()),
        }
    }
}

/// The principal that is held as `target`, as IAM shows it.
pub(crate) async fn principal<S: Worm>(
    home: &AccountId,
    target: &str,
    environment: &Environment<S>,
) -> Result<Option<Principal>, Problem> {
    let seen = match Target::read(target, home)? {
        Target::User(name) => environment.iam.user(&name).await,
        Target::Role(name) => environment.iam.role(&name).await,
    };
    seen.map_err(|trouble: Trouble| {
        let said = format!("IAM does not show {target}: {trouble}");
        if trouble.kind.passes() { Problem::unavailable(&said) } else { Problem::new(409, said) }
    })
}

/// What is read of revoke's outcomes.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Ended {
    outcome: RevocationOutcome,
}

/// Every revocation that the hold's row names, read from revoke's records. One that is not revoke's, or of another incident, refuses all.
async fn pasts<S: Worm>(hold: &Hold, environment: &Environment<S>) -> Result<Vec<Past>, Problem> {
    let by = environment.revoke_fingerprint().await?;
    let mut pasts = Vec::new();
    for (incident, keys) in &hold.records {
        for key in keys {
            pasts.push(past(incident, key, by, environment).await?);
        }
    }
    Ok(pasts)
}

async fn past<S: Worm>(incident: &IncidentId, key: &str, by: Sha256, environment: &Environment<S>) -> Result<Past, Problem> {
    let lost =
        || Problem::new(409, format!("{key} is no revocation of {incident} on record: lift it by hand (docs/runbooks/revoke.md)"));
    let key: RecordKey = key.parse().map_err(|_| lost())?;
    if key.function.as_str() != "revoke" {
        return Err(lost());
    }
    let recorder = environment.docket.recorder().await;
    let (outcome, _) = recorder.testimony::<Ended>(&key, by).await?.ok_or_else(lost)?;
    let link = outcome.record.answers.as_ref().ok_or_else(lost)?;
    let (intent, sha256) = recorder.testimony::<Revocation>(&link.key, by).await?.ok_or_else(lost)?;
    let own = |of: &Option<IncidentId>| of.as_ref() == Some(incident);
    if sha256 != link.sha256 || !own(&outcome.record.incident) || !own(&intent.record.incident) {
        return Err(lost());
    }
    Ok(Past { record: key.to_string(), plan: intent.body, outcome: outcome.body.outcome })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_account_holds_is_undone_by_hand_and_where_the_steps_are_is_said() {
        let home = "123456789012".parse().unwrap();
        let read = |target: &str| Target::read(target, &home).map_err(|problem| (problem.status, problem.detail));
        assert_eq!(read("iam:user:123456789012:ci"), Ok(Target::User("ci".parse().unwrap())));
        assert_eq!(read("iam:role:123456789012:app"), Ok(Target::Role("app".parse().unwrap())));
        for target in ["iam:user:210987654321:ci", "iam:role:210987654321:app"] {
            let (status, said) = read(target).unwrap_err();
            assert_eq!(status, 409);
            let (file, section) = said.split_once("steps of ").and_then(|(_, place)| place.split_once(", ")).unwrap();
            assert!(said.contains("account 210987654321") && said.contains("by hand"), "{said}");
            let runbook = std::fs::read_to_string(format!("{}/../../{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
            assert!(runbook.contains(&format!("**{}.**", section.trim_matches('"'))), "{section}");
        }
        for odd in [
            "ec2:instance:123456789012:eu-central-1:i-0123456789abcdef0",
            "iam:group:123456789012:ops",
            "iam:user:123456789012",
            "",
        ] {
            assert!(read(odd).is_err_and(|(status, said)| status == 409 && said.contains("can look at")), "{odd}");
        }
    }
}
