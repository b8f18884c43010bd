//! One grant: what time, its records and its people make of it.

use std::time::Duration;

use evidence::Kind;
use evidence_store::Worm;
use grant::{Class, Ending, Event, Refused, State};
use ids::Timestamp;
use people::Who;
use playbook::{AccessAct, AccessActor, AccessAsked, AccessContext, Offer};
use register::{EndBody, Name, NoBasis, Place, Read, Row};
use responder::Transient;

use crate::{Answer, Environment, unanswered};

/// Whoever was woken for a grant has so long before it is woken again.
const ON_THE_WAY: Duration = Duration::from_secs(30);

/// Does what is due for a grant. Gives back the row if its role may have something to deny or to forget.
pub(crate) async fn tend<S: Worm>(row: Row, answer: &mut Answer, environment: &Environment<S>) -> Result<Option<Row>, Transient> {
    let now = calls::now();
    if row.grant.review_is_late(now) {
        answer.review_is_late.insert(row.grant.id.clone());
    }
    match (&row.grant.state, row.grant.terms.class) {
        (State::Requested, _) if now >= row.grant.approve_by => expire(&row, answer, environment).await,
        (State::Requested, Class::Approved { needed }) if row.approvals.len() >= usize::from(needed.get()) => {
            decide(&row, now, answer, environment).await
        }
        (State::Requested, Class::BreakGlass) if waits(&row, now) => wake(&row, answer, environment).await,
        (State::Approved { mint_by, .. }, _) if now >= *mint_by => expire(&row, answer, environment).await,
        (State::Approved { .. }, _) if waits(&row, now) => wake(&row, answer, environment).await,
        (State::Requested | State::Approved { .. }, _) => Ok(None),
        (State::Active { ends, .. }, _) if now >= *ends => {
            expire(&row, answer, environment).await?;
            // What ran out needs no deny: but what was denied before may be forgotten.
            look(&row, environment).await
        }
        (State::Active { .. }, _) => active(row, now, answer, environment).await,
        (State::Ended { how, .. }, _) => {
            let (read, how) = (known(&row, environment).await, how.clone());
            // Its records may ask for more than the row says: sessions that were made while it ended.
            end(&row, &read, &how, answer, environment).await
        }
        (State::Denied { .. } | State::Expired { .. }, _) => Ok(None),
    }
}

fn waits(row: &Row, now: Timestamp) -> bool {
    now >= row.grant.changed.plus(ON_THE_WAY)
}

/// What the records say, as far as they can be read: what closes goes by what there is.
pub(crate) async fn known<S: Worm>(row: &Row, environment: &Environment<S>) -> Read {
    environment.office.read(row).await.unwrap_or_else(|error| {
        environment.office.count("Degraded");
        environment.office.docket.log(&format!("{} is taken as its row says: {error}", row.grant.id));
        Read::default()
    })
}

/// A live grant: is it over by its records, is something about its requester, does it wait for a session?
async fn active<S: Worm>(
    row: Row,
    now: Timestamp,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<Option<Row>, Transient> {
    let office = &environment.office;
    let read = known(&row, environment).await;
    // An end, or a denial, that was recorded and lost its write to a session's.
    if let Some(how) = read.ends.last().map(|end| end.how.clone()) {
        return end(&row, &read, &how, answer, environment).await;
    }
    if let Some(denial) = &read.denial {
        let how = revoked(denial.denial.by.clone(), "it was denied, and had a session by then");
        return end(&row, &read, &how, answer, environment).await;
    }
    for who in [Some(row.grant.terms.requester.id()), row.grant.terms.requester.calls_itself()].into_iter().flatten() {
        if let Some(barred) = office.register.barred(&who, now).await.map_err(unanswered)? {
            return end(&row, &read, &Ending::Finding { incident: barred.incident }, answer, environment).await;
        }
    }
    if office.playbook.offer(&row.grant.terms.entitlement).is_none() {
        let policy = Who::Role { id: "policy".to_owned(), session: None };
        return end(&row, &read, &revoked(policy, "the entitlement was taken out"), answer, environment).await;
    }
    let last = read.sessions.last();
    let reached = row.sealed.as_ref().map(|sealed| sealed.serial) >= last.map(|last| last.minted.serial);
    let late = last.is_some_and(|last| now >= last.call_before);
    if read.renewal.is_some() && waits(&row, now) || (!reached && late && row.trouble.is_none()) {
        wake(&row, answer, environment).await?;
    }
    Ok(None)
}

fn revoked(by: Who, why: &str) -> Ending {
    // INVARIANT: both are reasons; a test reads them.
    match why.parse() {
        Ok(reason) => Ending::Revoked { by, reason },
        Err(_) => Ending::RanOut,
    }
}

/// Ends a grant that nobody asks to end here: what is recorded comes first.
pub(crate) async fn end<S: Worm>(
    row: &Row,
    read: &Read,
    how: &Ending,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<Option<Row>, Transient> {
    let (office, now) = (&environment.office, calls::now());
    let step = match row.grant.step(Event::End { how, records: &read.records() }, now) {
        Ok(step) => step,
        Err(Refused::WrongState { .. }) => return look(row, environment).await,
        Err(why) => {
            answer.say(format!("{} is not ended: {why}", row.grant.id));
            return Ok(None);
        }
    };
    let Some(closed) = step.grant.closed() else { return Ok(None) };
    let (requester, id) = (&row.grant.terms.requester, &row.grant.id);
    let reason = match how {
        Ending::Finding { incident } => format!("{incident} is about {requester}: {id} ends"),
        Ending::Revoked { by, reason } => format!("{id} ends, by {by}: {reason}"),
        _ => format!("{id} has ended before, and its records ask for more than the table knew"),
    };
    // What policy says of a requester whom an incident is about, so that the record names the rule.
    let context = AccessContext { now, source: None, mfa_age: None };
    let decided =
        office.playbook.decide(AccessAct::Renew, &AccessActor::of(requester, true), &AccessAsked::from(&row.grant.terms), &context);
    let decision = decided.map_or_else(|gone| office.playbook.gone(&gone.to_string()), |decided| decided.decision);
    let body = EndBody { decision: decision.clone(), reason, how: how.clone(), at: now, closed };
    let name = Name::End(read.counts.1.saturating_add(1));
    let draft = Place::of(&row.grant).cause(office.docket.function(), name).decided(&decision);
    let draft = draft.draft(Kind::Decision, 1, office.playbook.digest(), body);
    let mut recorder = office.docket.recorder().await;
    // One that nobody vouches for would stand in the place of one that counts.
    let recorded = if recorder.endorsed() {
        recorder.intent(draft).await.map_err(|error| error.to_string())
    } else {
        Err("KMS does not vouch for it".to_owned())
    };
    drop(recorder);
    match recorded {
        Ok(recorded) => answer.records.push(recorded.link().key.to_string()),
        // It closes: it goes on without.
        Err(why) => {
            office.count("Degraded");
            office.docket.log(&format!("the end of {id} is not on record: {why}"));
        }
    }
    if office.register.write(&step).await.map_err(unanswered)? {
        answer.ended.insert(row.grant.id.clone());
        return look(row, environment).await;
    }
    // Somebody else's step came first: they, or the next minute, see to it.
    look(row, environment).await
}

/// An approval came in, and whoever recorded it did not live to count it.
async fn decide<S: Worm>(
    row: &Row,
    now: Timestamp,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<Option<Row>, Transient> {
    let office = &environment.office;
    let read = office.read(row).await.map_err(Transient::of)?;
    let asking = office.playbook.offer(&row.grant.terms.entitlement).map_or(AccessAct::Request, Offer::asked_by);
    let basis = match office.basis(asking, row, &read, now).await {
        Ok((_, basis)) => basis,
        Err(NoBasis::Register(error)) => return Err(unanswered(error)),
        Err(NoBasis::NotOnRecord(_) | NoBasis::Forbidden(_)) => return Ok(None),
    };
    if let Ok(step) = row.grant.step(Event::Decide(&basis), now)
        && office.register.write(&step).await.map_err(unanswered)?
    {
        return wake(row, answer, environment).await;
    }
    Ok(None)
}

async fn expire<S: Worm>(row: &Row, answer: &mut Answer, environment: &Environment<S>) -> Result<Option<Row>, Transient> {
    if let Ok(step) = row.grant.step(Event::Expire, calls::now())
        && environment.office.register.write(&step).await.map_err(unanswered)?
    {
        answer.over.insert(row.grant.id.clone());
    }
    Ok(None)
}

async fn wake<S: Worm>(row: &Row, answer: &mut Answer, environment: &Environment<S>) -> Result<Option<Row>, Transient> {
    environment.mint.wake(&row.grant.id).await.map_err(Transient)?;
    answer.woken.insert(row.grant.id.clone());
    Ok(None)
}

async fn look<S: Worm>(row: &Row, environment: &Environment<S>) -> Result<Option<Row>, Transient> {
    environment.office.register.look(&row.grant.id).await.map_err(unanswered)
}
