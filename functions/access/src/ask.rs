//! Asking for a grant.

use api::{Problem, Response};
use evidence_store::Worm;
use grant::{Ask, Class, Grant};
use playbook::Verdict;
use register::{Name, Place, RequestBody, Row};

use crate::route::Asking;
use crate::{Caller, Environment, asking, record, refused, unanswered, view};

/// Derives what is asked for, records it, and opens a row. The same request again is answered with the same grant.
pub(crate) async fn ask<S: Worm>(
    key: &str,
    body: &Asking,
    caller: &Caller<'_>,
    environment: &Environment<S>,
) -> Result<Response, Problem> {
    let office = &environment.office;
    let now = caller.context.now;
    let ask = Ask {
        requester: caller.who.clone(),
        entitlement: body.entitlement.clone(),
        seconds: body.seconds,
        // Somebody's own words: they are kept for good, so without what must not be.
        reason: office.docket.redactor().text(body.reason.as_str()).0.parse().unwrap_or_else(|_| body.reason.clone()),
        ticket: body.ticket.clone(),
        recipient: body.recipient.clone(),
        key: key.to_owned(),
    };
    if let Some(row) = office.register.look(&ask.grant()).await.map_err(unanswered)? {
        return again(&ask, &row, environment).await;
    }

    let facts = (caller.context.source, caller.context.mfa_age, caller.barred);
    let (decision, entitlement) = register::entitled(asking(&ask.entitlement, environment), &ask, &office.playbook, facts, now);
    let unknown =
        || Problem::new(404, format!("there is no entitlement {}: GET /entitlements says what there is", ask.entitlement));
    let decision = decision.ok_or_else(unknown)?.decision;
    if decision.verdict == Verdict::NotifyOnly {
        return Err(Problem::forbidden(&decision));
    }
    let offer = office.playbook.offer(&ask.entitlement).ok_or_else(unknown)?;
    let entitlement = entitlement.ok_or_else(|| Problem::forbidden(&decision))?;
    if matches!(entitlement.class, Class::Approved { .. }) && offer.approvers.is_empty() {
        return Err(Problem::new(409, format!("nobody may approve {}: its policies name no approver", ask.entitlement)));
    }
    let own = |row: &&Row| row.grant.terms.requester.id() == caller.who.id() && !row.grant.state.is_final();
    let live = office.register.live().await.map_err(unanswered)?.iter().filter(own).count();
    if live >= environment.live_grants && entitlement.class != Class::BreakGlass {
        return Err(Problem::new(429, format!("you have {live} grants that are not over: return or withdraw one first")));
    }
    let unreviewed = office.register.unreviewed(&caller.who).await.map_err(unanswered)?;
    let unreviewed = unreviewed.into_iter().collect();
    let step = Grant::request(&ask, &entitlement, now, &unreviewed).map_err(|why| refused(&why))?;

    let reason = format!("{} asks for {}: {}", caller.who, ask.entitlement, ask.reason);
    let request = RequestBody {
        decision: decision.clone(),
        reason,
        ask,
        terms: step.grant.terms.clone(),
        session_policy: offer.session_policy.clone(),
        opened: step.grant.request_record(),
        source: caller.context.source,
        mfa_age: caller.context.mfa_age,
    };
    let recorded = record(environment, &Place::of(&step.grant), Name::Request, &decision, request).await?;
    let request = recorded.value();
    // An earlier run of the same request has recorded it, and may not have lived to write the row: it is that request.
    let step = match request.opened == step.grant.request_record() {
        true => step,
        false => {
            let same = Grant::request(&request.ask, &entitlement, request.opened.at, &unreviewed).map_err(|why| refused(&why))?;
            if same.grant.terms != step.grant.terms || same.grant.request_record() != request.opened {
                return Err(Problem::new(409, "this idempotency key is that of another request: use a new one"));
            }
            same
        }
    };
    let won = office.register.write(&step).await.map_err(unanswered)?;
    let row = crate::row(&step.grant.id, environment).await?;
    if !won {
        return again(&request.ask, &row, environment).await;
    }
    if step.loud {
        office.count("BreakGlass");
        wake_mint(environment, &row).await;
    }
    office.count("Asked");
    view::answer(201, &row, environment).await
}

/// Another run, or an earlier one, has opened it.
async fn again<S: Worm>(ask: &Ask, row: &Row, environment: &Environment<S>) -> Result<Response, Problem> {
    let terms = &row.grant.terms;
    let same = (&terms.entitlement, terms.seconds, &terms.reason, &terms.ticket, &terms.recipient)
        == (&ask.entitlement, ask.seconds, &ask.reason, &ask.ticket, &ask.recipient);
    if !same {
        let said = format!("this idempotency key is that of {}, which asks for something else: use a new one", row.grant.id);
        return Err(Problem::new(409, said));
    }
    if matches!(terms.class, Class::BreakGlass) && !row.grant.state.is_final() && row.sealed.is_none() {
        wake_mint(environment, row).await;
    }
    view::answer(200, row, environment).await
}

/// What mint does not hear now, reconcile tells it within a minute.
pub(crate) async fn wake_mint<S: Worm>(environment: &Environment<S>, row: &Row) {
    if let Err(cause) = environment.mint.wake(&row.grant.id).await {
        environment.office.count("Degraded");
        environment.office.docket.log(&format!("mint is not told of {}: {cause}", row.grant.id));
    }
}
