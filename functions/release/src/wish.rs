//! Asking for a release.

use api::{Problem, Response};
use evidence::Kind;
use evidence_store::Worm;
use hold::Asked as Row;
use ids::AccountId;
use people::Who;
use plan::release::Wish;
use playbook::{Asked, ReleaseAct, Verdict};
use serde_json::json;

use crate::http::Ask;
use crate::record::{RequestBody, request_cause};
use crate::{Environment, decide, look};

/// Derives what would be lifted, and records that it is asked for. The same wish again answers the same.
pub(crate) async fn ask<S: Worm>(
    body: &Ask,
    who: &Who,
    home: &AccountId,
    environment: &Environment<S>,
) -> Result<Response, Problem> {
    let (now, incident) = (calls::now(), &body.incident);
    let target = environment.holds.target_of(incident).await?;
    let unknown = format!("no revocation of {incident} is known here: its number is in the revocation's answer and records");
    let target = target.ok_or_else(|| Problem::new(404, unknown))?;
    // Somebody's own words: they are kept for good, so without what must not be.
    let reason = environment.docket.redactor().text(body.reason.trim()).0;
    let wish = Wish { by: who.id(), reason, early: body.early };

    let row = environment.holds.asked(incident).await?;
    let serial = row.as_ref().map_or(0, |row| row.serial).saturating_add(1);
    if let Some(row) = row.filter(|row| !row.ended && row.expires > now) {
        let current = look::read(incident, row, environment).await?;
        if !current.is_over(now) {
            return answer_open(&current, &wish);
        }
        // What ended it could not be noted then.
        environment.holds.end(incident, &current.row.request, now).await?;
    }

    let hold = environment.holds.look(&target).await?;
    let proposal = look::derive((incident, home, &target), &hold, wish.clone(), environment).await?;
    let facts = Asked {
        incident: incident.clone(),
        account: home.clone(),
        asker: who.id(),
        asker_calls_itself: who.calls_itself(),
        early: proposal.is_early(now),
        early_said: wish.early,
    };
    let decision = decide(ReleaseAct::Ask, who, &facts, environment);
    if decision.verdict == Verdict::NotifyOnly {
        let revives = json!(proposal.revives);
        return Err(Problem::forbidden(&decision).with("revives", revives));
    }
    let digest = proposal.digest()?;
    let cause = request_cause(environment, now, incident, (who, serial), &digest).decided(&decision);
    let expires = now.plus(environment.valid);
    let reason = format!("{who} asks for the release of {}: {}", proposal.principal, wish.reason);
    let request = RequestBody { decision, reason, asker: who.clone(), asked: now, expires, target, digest, proposal };
    let draft = cause.draft(Kind::Decision, 1, environment.playbook.digest(), request);
    let recorded = environment.docket.recorder().await.intent(draft).await?;

    let (key, expires) = (recorded.link().key.to_string(), recorded.value().expires);
    let row = Row { request: key.clone(), expires, serial, ended: false };
    let won = environment.holds.ask(incident, &row, now).await?;
    let current = look::current(incident, environment).await?;
    if !won && current.row.request != key {
        return answer_open(&current, &wish);
    }
    environment.count("Asked");
    Ok(Response::json(201, &current.view(now)))
}

/// An open request is the answer to the same wish, and stands in the way of any other.
fn answer_open(current: &look::Current, wish: &Wish) -> Result<Response, Problem> {
    let now = calls::now();
    let open = current.request.value();
    if open.proposal.wish == *wish {
        return Ok(Response::json(200, &current.view(now)));
    }
    let said = format!("{} has asked already, until {}: approve or deny that first", open.asker, open.expires);
    Err(Problem::new(409, said).with("request", current.view(now)))
}
