//! What is shown: what the server derived and recorded, never what a client typed beside it.

use api::{Problem, Response};
use evidence_store::Worm;
use grant::{Class, Count, Eligible, State};
use playbook::{AccessAct, AccessActor, AccessDecision, Offer, Verdict};
use register::{NoBasis, Row};
use serde_json::{Map, Value, json};

use crate::{Caller, Environment, asking, decide, unanswered};

/// The playbook's consent to something that is not worth a record.
pub(crate) fn demand<S: Worm>(act: AccessAct, caller: &Caller<'_>, row: &Row, environment: &Environment<S>) -> Result<(), Problem> {
    let decision = decide(act, caller, row, environment)?.decision;
    if decision.verdict == Verdict::NotifyOnly { Err(Problem::forbidden(&decision)) } else { Ok(()) }
}

/// What this caller may ask for.
pub(crate) fn entitlements<S: Worm>(caller: &Caller<'_>, environment: &Environment<S>) -> Response {
    let playbook = &environment.office.playbook;
    let offers = playbook.may_ask(&AccessActor::of(&caller.who, caller.barred), &caller.context);
    let show = |(offer, decided): (&Offer, AccessDecision)| {
        let entitlement = playbook.entitlement(&decided, &offer.name)?;
        let policy: Value = serde_json::from_str(&offer.session_policy).ok()?;
        Some(json!({
            "name": offer.name, "role": entitlement.role, "class": entitlement.class, "longest_seconds": entitlement.longest_seconds,
            "session_seconds": entitlement.session_seconds, "ticket": offer.ticket, "approvers": offer.approvers, "session_policy": policy,
            "rule": decided.decision.rule, "reason": decided.decision.reason,
        }))
    };
    let offers: Vec<Value> = offers.into_iter().filter_map(show).collect();
    Response::json(200, &json!({ "entitlements": offers }))
}

/// The live grants that the caller may see, in short: each by itself says more.
pub(crate) async fn list<S: Worm>(caller: &Caller<'_>, environment: &Environment<S>) -> Result<Response, Problem> {
    let rows = environment.office.register.live().await.map_err(unanswered)?;
    let seen: Vec<Value> = rows
        .iter()
        .filter(|row| is_own(caller, row) || demand(AccessAct::Show, caller, row, environment).is_ok())
        .map(|row| Value::Object(brief(row)))
        .collect();
    Ok(Response::json(200, &json!({ "grants": seen })))
}

/// Whoever asked for it may see it, whatever became of the policies.
pub(crate) fn is_own(caller: &Caller<'_>, row: &Row) -> bool {
    row.grant.terms.requester.id() == caller.who.id()
}

/// One grant, with all that is on record about it.
pub(crate) async fn answer<S: Worm>(status: u16, row: &Row, environment: &Environment<S>) -> Result<Response, Problem> {
    let office = &environment.office;
    let read = office.read(row).await?;
    let mut shown = brief(row);
    let offer = office.playbook.offer(&row.grant.terms.entitlement);
    // As it was recorded; a policy that is deployed since is another one, and its digest is too.
    let policy = read.request.as_ref().and_then(|request| serde_json::from_str::<Value>(&request.session_policy).ok());
    shown.insert("session_policy".to_owned(), policy.unwrap_or(Value::Null));
    shown.insert("approvers".to_owned(), json!(offer.map(|offer| &offer.approvers)));
    let eligible = match office.basis(asking(&row.grant.terms.entitlement, environment), row, &read, calls::now()).await {
        Ok((_, basis)) => basis.eligible,
        Err(NoBasis::Register(error)) => return Err(unanswered(error)),
        Err(NoBasis::NotOnRecord(_) | NoBasis::Forbidden(_)) => Eligible::default(),
    };
    let approvals: Vec<_> = read.approvals.iter().map(|(_, body)| body.approval.clone()).collect();
    let count = Count::of(&row.grant, &approvals, &eligible);
    let by = |approval: &grant::Approval| json!({ "by": approval.by, "at": approval.at });
    shown.insert("approvals".to_owned(), approvals.iter().map(by).collect());
    let not: Vec<Value> = count.not.iter().map(|(by, why)| json!({ "by": by, "why": why })).collect();
    shown.insert("not_counted".to_owned(), Value::Array(not));
    shown.insert("records".to_owned(), json!(read.keys));
    Ok(Response::json(status, &Value::Object(shown)))
}

/// A grant that was closed just now. What closes does not fail for want of the records: then it is shown in short.
pub(crate) async fn closed<S: Worm>(row: &Row, environment: &Environment<S>) -> Response {
    match answer(200, row, environment).await {
        Ok(response) => response,
        Err(problem) => {
            environment.office.docket.log(&format!("{} is shown in short: {}", row.grant.id, problem.detail));
            Response::json(200, &Value::Object(brief(row)))
        }
    }
}

fn brief(row: &Row) -> Map<String, Value> {
    let grant = &row.grant;
    let mut shown = Map::new();
    let mut put = |name: &str, value: Value| {
        shown.insert(name.to_owned(), value);
    };
    put("grant", json!(grant.id));
    put("state", json!(grant.state.name()));
    put("terms", json!(grant.terms));
    put("digest", json!(grant.terms.digest()));
    put("text", json!(grant.terms.to_string()));
    put("opened", json!(grant.opened));
    put("approve_by", json!(grant.approve_by));
    put("changed", json!(grant.changed));
    put("revision", json!(grant.revision));
    put("sessions", json!(grant.sessions));
    let needed = match grant.terms.class {
        Class::Approved { needed } => needed.get(),
        Class::BreakGlass => 0,
    };
    put("needed", json!(needed));
    match &grant.state {
        State::Active { since, ends } => {
            put("since", json!(since));
            put("ends", json!(ends));
        }
        State::Denied { by, at, reason } => put("denied", json!({ "by": by, "at": at, "reason": reason })),
        State::Ended { at, how, deny_until } => {
            put("ended", json!({ "at": at, "how": how, "deny_until": deny_until, "refused_at": row.refused_at }));
        }
        State::Requested | State::Approved { .. } | State::Expired { .. } => {}
    }
    if let Some(review) = &grant.review {
        put("review", json!(review));
    }
    if let Some(trouble) = &row.trouble {
        put("trouble", json!(trouble));
    }
    if let Some(sealed) = &row.sealed {
        put("credentials", json!({ "serial": sealed.serial, "expires": sealed.expires }));
    }
    shown
}
