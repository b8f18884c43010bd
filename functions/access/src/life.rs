//! An active grant: its credentials, another session, its end, and the review of break-glass.

use std::time::Duration;

use api::{Problem, Response};
use evidence_store::Worm;
use grant::{Eligible, Ending, Event, Reason, Refused, State};
use ids::GrantId;
use playbook::AccessAct;
use register::{EndBody, MOST, Name, Place, RenewalBody, ReviewBody};
use serde_json::json;

use crate::ask::wake_mint;
use crate::verdict::TRIES;
use crate::{Caller, Environment, consent, record, refused, row, unanswered, view};

/// A session can be replaced when it has no more left than this.
const RENEW_WITHIN: Duration = Duration::from_secs(10 * 60);

/// Hands out the newest session's sealed credentials, to the requester.
pub(crate) async fn fetch<S: Worm>(id: &GrantId, caller: &Caller<'_>, environment: &Environment<S>) -> Result<Response, Problem> {
    let row = row(id, environment).await?;
    consent(AccessAct::Fetch, caller, &row, environment).await?;
    match row.grant.may_fetch(&caller.who, caller.context.now) {
        Ok(()) => {}
        Err(Refused::WrongState { state: state @ ("requested" | "approved"), .. }) => {
            return Err(Problem::new(409, format!("{id} is {state}: there are no credentials yet")));
        }
        Err(why) => return Err(refused(&why)),
    }
    match (&row.sealed, &row.trouble) {
        (Some(sealed), _) if sealed.expires > caller.context.now => {
            let body = json!({ "grant": id, "serial": sealed.serial, "expires": sealed.expires, "sealed": sealed.text });
            Ok(Response::json(200, &body))
        }
        (Some(sealed), _) => {
            let said = format!("session {} of {id} ran out at {}: renew it", sealed.serial, sealed.expires);
            Err(Problem::new(409, said))
        }
        (None, Some(trouble)) => Err(Problem::new(409, format!("{id} has no credentials: {trouble}"))),
        (None, None) => Err(Problem::new(409, format!("{id} has no credentials yet: they are being made"))),
    }
}

/// Records the wish for another session, and wakes who makes it.
pub(crate) async fn renew<S: Worm>(id: &GrantId, caller: &Caller<'_>, environment: &Environment<S>) -> Result<Response, Problem> {
    let (office, now) = (&environment.office, caller.context.now);
    let row = row(id, environment).await?;
    let decision = consent(AccessAct::Renew, caller, &row, environment).await?;
    row.grant.may_fetch(&caller.who, now).map_err(|why| refused(&why))?;
    if let Some(sealed) = row.sealed.as_ref().filter(|sealed| sealed.expires > now.plus(RENEW_WITHIN)) {
        let said =
            format!("session {} of {id} lasts until {}: it can be renewed in its last ten minutes", sealed.serial, sealed.expires);
        return Err(Problem::new(409, said));
    }
    let read = office.read(&row).await?;
    let serial = u32::try_from(read.sessions.len()).unwrap_or(u32::MAX).saturating_add(1);
    if serial > MOST {
        return Err(Problem::new(409, format!("{id} has had {MOST} sessions: ask for another grant")));
    }
    if read.renewal.is_none() {
        let reason = format!("{} asks for session {serial} of {id}", caller.who);
        let wish = RenewalBody { decision: decision.clone(), reason, grant: id.clone(), serial, by: caller.who.clone() };
        record(environment, &Place::of(&row.grant), Name::Renewal(serial), &decision, wish).await?;
    }
    wake_mint(environment, &row).await;
    view::answer(202, &row, environment).await
}

/// Ends a grant: its requester gives it back, anyone else whom policy lets takes it away and says why.
pub(crate) async fn end<S: Worm>(
    id: &GrantId,
    reason: Option<&Reason>,
    caller: &Caller<'_>,
    environment: &Environment<S>,
) -> Result<Response, Problem> {
    let office = &environment.office;
    let before = row(id, environment).await?;
    let own = before.grant.terms.requester.id() == caller.who.id();
    let act = if own { AccessAct::Return } else { AccessAct::Revoke };
    let decision = match consent(act, caller, &before, environment).await {
        Ok(decision) => decision,
        // An entitlement that was taken out is no reason to keep what it gave; reconcile ends it too.
        Err(problem) if own && environment.office.playbook.offer(&before.grant.terms.entitlement).is_none() => {
            environment.office.docket.log(&problem.detail);
            environment.office.playbook.gone("The entitlement was taken out: whoever has it may give it back.")
        }
        Err(problem) => return Err(problem),
    };
    let how = match reason {
        _ if own => Ending::Returned { by: caller.who.clone() },
        Some(reason) => {
            let kept = office.docket.redactor().text(reason.as_str()).0.parse().unwrap_or_else(|_| reason.clone());
            Ending::Revoked { by: caller.who.clone(), reason: kept }
        }
        None => return Err(Problem::new(400, "whoever takes somebody else's access away says why: give a reason")),
    };
    let words = match &how {
        Ending::Revoked { reason, .. } => format!("{} takes {id} away: {reason}", caller.who),
        _ => format!("{} gives {id} back", caller.who),
    };
    for _ in 0..TRIES {
        let current = row(id, environment).await?;
        // Closing does not wait for the evidence store: what the row knows of is denied at least, and reconcile looks at the records again.
        let read = office
            .read(&current)
            .await
            .inspect_err(|error| degraded(environment, &format!("{id} is ended by its row: {error}")))
            .ok();
        let records = read.as_ref().map(register::Read::records).unwrap_or_default();
        let now = calls::now();
        let step = match current.grant.step(Event::End { how: &how, records: &records }, now) {
            Ok(step) => step,
            // It is over: an end again says so, and has whoever closes look once more.
            Err(Refused::WrongState { .. }) if matches!(current.grant.state, State::Ended { .. }) => {
                wake_reconcile(environment, id).await;
                return Ok(view::closed(&current, environment).await);
            }
            Err(why) => return Err(refused(&why)),
        };
        let closed = step.grant.closed().ok_or_else(|| Problem::new(500, "an end without anything to close"))?;
        let number = read.map_or(0, |read| read.counts.0).saturating_add(1);
        let body = EndBody { decision: decision.clone(), reason: words.clone(), how: how.clone(), at: now, closed };
        if let Err(problem) = record(environment, &Place::of(&current.grant), Name::End(number), &decision, body).await {
            degraded(environment, &format!("the end of {id} is not on record: {}", problem.detail));
        }
        if office.register.write(&step).await.map_err(unanswered)? {
            office.count("Ended");
            wake_reconcile(environment, id).await;
            return Ok(view::closed(&row(id, environment).await?, environment).await);
        }
    }
    Err(Problem::unavailable("others are at work on this grant"))
}

/// Records what a review of break-glass found, and lets its user use it again.
pub(crate) async fn review<S: Worm>(
    id: &GrantId,
    note: &Reason,
    caller: &Caller<'_>,
    environment: &Environment<S>,
) -> Result<Response, Problem> {
    let office = &environment.office;
    let before = row(id, environment).await?;
    let decision = consent(AccessAct::Review, caller, &before, environment).await?;
    let eligible: Eligible = [caller.who.clone()].into_iter().collect();
    let note = office.docket.redactor().text(note.as_str()).0.parse().unwrap_or_else(|_| note.clone());
    for _ in 0..TRIES {
        let current = row(id, environment).await?;
        let event = Event::Review { by: &caller.who, note: &note, eligible: &eligible };
        let step = current.grant.step(event, calls::now()).map_err(|why| refused(&why))?;
        let reason = format!(
            "{} reviewed the use of {} by {}: {note}",
            caller.who, current.grant.terms.entitlement, current.grant.terms.requester
        );
        let body = ReviewBody { decision: decision.clone(), reason, grant: id.clone(), by: caller.who.clone(), note: note.clone() };
        record(environment, &Place::of(&current.grant), Name::Review, &decision, body).await?;
        if office.register.write(&step).await.map_err(unanswered)? {
            office.count("Reviewed");
            return view::answer(200, &row(id, environment).await?, environment).await;
        }
    }
    Err(Problem::unavailable("others are at work on this grant"))
}

/// Goes on, and says what is not as it should be.
pub(crate) fn degraded<S: Worm>(environment: &Environment<S>, what: &str) {
    environment.office.count("Degraded");
    environment.office.docket.log(what);
}

/// What reconcile does not hear now, it finds within a minute.
async fn wake_reconcile<S: Worm>(environment: &Environment<S>, id: &GrantId) {
    if let Err(cause) = environment.reconcile.wake(id).await {
        degraded(environment, &format!("reconcile is not told of {id}: {cause}"));
    }
}
