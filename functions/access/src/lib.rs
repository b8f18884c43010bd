#![doc = include_str!("../README.md")]

mod ask;
mod environment;
mod life;
mod route;
mod verdict;
mod view;

use api::{Event, Problem, Response};
use evidence::Kind;
use evidence_store::{Recorded, Worm};
use ids::{EntitlementName, GrantId};
use people::{Shown, Who};
use playbook::{AccessAct, AccessActor, AccessAsked, AccessContext, AccessDecision, Decision, Verdict};
use register::{Name, Place, Row};
use responder::Invocation;
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use environment::Environment;
use route::{Door, Route};

/// Somebody who calls, and how.
#[derive(Debug)]
struct Caller<'a> {
    who: Who,
    /// When, from where, and by which second factor.
    context: AccessContext,
    /// An incident is about them.
    barred: bool,
    invocation: &'a Invocation,
}

/// Answers one request of the API. A failure is an answer too: whoever asks is waiting, and Lambda tries none of this again.
pub async fn handle<S: Worm>(event: &[u8], invocation: &Invocation, environment: &Environment<S>) -> Response {
    let answer = match Event::parse(event, &environment.api) {
        // Boxed: a whole story's future is large, and policies are evaluated at the bottom of it, where Cedar minds how much stack is left.
        Ok(event) => Box::pin(act(&event, invocation, environment)).await,
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(response) => response,
        Err(problem) => {
            environment.office.count(if problem.status >= 500 { "Failed" } else { "Refused" });
            problem.into_response()
        }
    }
}

/// authorize → record → row → wake whoever has to act on it → answer, for each of the routes.
async fn act<S: Worm>(event: &Event, invocation: &Invocation, environment: &Environment<S>) -> Result<Response, Problem> {
    let (door, route) = Route::of(event)?;
    let Some((home, _)) = &invocation.home else { return Err(Problem::unavailable("Lambda does not say whose function this is")) };
    let (who, ()) = tokio::join!(who(event, door, home, environment), environment.office.docket.vouch());
    let who = who?;
    // Nothing is opened by a process that nobody vouches for: its records would prove nothing, and earlier ones cannot be believed. What closes goes on.
    if !matches!(route, Route::End(..) | Route::Deny(..)) {
        vouched(environment).await?;
    }
    let now = calls::now();
    let barred = environment.office.is_barred(&who, now).await.map_err(unanswered)?;
    let mfa_age = who.mfa_seconds(now).map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
    let context = AccessContext { now, source: event.source_ip(), mfa_age };
    let caller = Caller { who, context, barred, invocation };
    match &route {
        Route::Entitlements => Ok(view::entitlements(&caller, environment)),
        Route::Ask { key, body } => Box::pin(ask::ask(key, body, &caller, environment)).await,
        Route::List => view::list(&caller, environment).await,
        Route::Show(id) => {
            let row = row(id, environment).await?;
            if !view::is_own(&caller, &row) {
                view::demand(AccessAct::Show, &caller, &row, environment)?;
            }
            view::answer(200, &row, environment).await
        }
        Route::Approve(id, body) => Box::pin(verdict::approve(id, body, &caller, environment)).await,
        Route::Deny(id, body) => Box::pin(verdict::deny(id, &body.reason, &caller, environment)).await,
        Route::End(id, body) => Box::pin(life::end(id, body.reason.as_ref(), &caller, environment)).await,
        Route::Renew(id) => Box::pin(life::renew(id, &caller, environment)).await,
        Route::Fetch(id) => life::fetch(id, &caller, environment).await,
        Route::Review(id, body) => Box::pin(life::review(id, &body.note, &caller, environment)).await,
    }
}

/// Who calls, by IAM's word or by that of the identity provider: each has routes of its own, and neither is believed on the other's.
async fn who<S: Worm>(event: &Event, door: Door, home: &ids::AccountId, environment: &Environment<S>) -> Result<Who, Problem> {
    if door == Door::Token {
        let claims = event.claims().ok_or_else(|| Problem::new(401, "the request has no token that was checked"))?;
        let provider = environment.provider.as_ref();
        let provider = provider.ok_or_else(|| Problem::new(401, "no identity provider is configured here"))?;
        let who = provider.who(claims).map_err(|error| Problem::new(403, error.to_string()))?;
        // Without it nobody could tell that somebody comes by two ways, and counts as two.
        if who.calls_itself().is_none() {
            let said = format!("the token does not say what you are called in Identity Center (claim `{}`)", provider.name_claim);
            return Err(Problem::new(403, said));
        }
        return Ok(who);
    }
    let caller = event.caller()?;
    // A role that is called like Identity Center's is looked at: it proves nothing by its name.
    let shown = match caller.claims_a_person().filter(|session| session.account == *home) {
        Some(session) => {
            let shown = environment.iam.shown(&session.role).await;
            let shown =
                shown.map_err(|trouble| Problem::unavailable(&format!("IAM does not say whose role this is: {trouble}")))?;
            shown.map(|(arn, id)| Shown { arn, id })
        }
        None => None,
    };
    let own = std::collections::BTreeSet::from([home.clone()]);
    let accounts = if environment.person_accounts.is_empty() { &own } else { &environment.person_accounts };
    Ok(caller.who(accounts, home, shown.as_ref()))
}

async fn vouched<S: Worm>(environment: &Environment<S>) -> Result<(), Problem> {
    if environment.office.docket.recorder().await.endorsed() {
        return Ok(());
    }
    Err(Problem::unavailable("KMS does not vouch for this function's records now, so nothing can be opened"))
}

async fn row<S: Worm>(id: &GrantId, environment: &Environment<S>) -> Result<Row, Problem> {
    let row = environment.office.register.look(id).await.map_err(unanswered)?;
    row.ok_or_else(|| Problem::new(404, format!("there is no grant {id}")))
}

/// What a request for an entitlement is, to the playbook.
fn asking<S>(entitlement: &EntitlementName, environment: &Environment<S>) -> AccessAct {
    environment.office.playbook.offer(entitlement).map_or(AccessAct::Request, playbook::Offer::asked_by)
}

/// The playbook's word on what somebody wants to do with a grant.
fn decide<S: Worm>(
    act: AccessAct,
    caller: &Caller<'_>,
    row: &Row,
    environment: &Environment<S>,
) -> Result<AccessDecision, Problem> {
    let actor = AccessActor::of(&caller.who, caller.barred);
    let decision = environment.office.playbook.decide(act, &actor, &AccessAsked::from(&row.grant.terms), &caller.context);
    decision.map_err(|_| Problem::new(409, format!("there is no entitlement {} any more", row.grant.terms.entitlement)))
}

/// The playbook's consent; otherwise that somebody wanted what they may not have is recorded, and refused.
async fn consent<S: Worm>(
    act: AccessAct,
    caller: &Caller<'_>,
    row: &Row,
    environment: &Environment<S>,
) -> Result<Decision, Problem> {
    let AccessDecision { decision, .. } = decide(act, caller, row, environment)?;
    if decision.verdict == Verdict::NotifyOnly {
        let problem = Problem::forbidden(&decision);
        return Err(refuse(caller, row, decision, problem, environment).await);
    }
    Ok(decision)
}

/// Records that somebody wanted what they may not have, and refuses it.
async fn refuse<S: Worm>(
    caller: &Caller<'_>,
    row: &Row,
    decision: Decision,
    problem: Problem,
    environment: &Environment<S>,
) -> Problem {
    let office = &environment.office;
    office.count("AccessDenied");
    let cause = Place::of(&row.grant).cause(office.docket.function(), Name::Refused(&caller.invocation.id));
    let decision = Decision { verdict: Verdict::NotifyOnly, ..decision };
    let reason = format!("{} was refused: {}", caller.who, problem.detail);
    let cause = cause.decided(&decision).claiming(office.playbook.deciding());
    let body = register::Refused { decision, reason, by: caller.who.clone() };
    let draft = cause.draft(Kind::Decision, 1, office.playbook.digest(), body);
    // One that nobody vouches for would stand in the place of one that counts.
    if vouched(environment).await.is_err() {
        return problem;
    }
    match office.docket.recorder().await.intent(draft).await {
        Ok(recorded) => problem.with_record(&recorded.link().key.to_string()),
        // It is refused all the same.
        Err(error) => {
            office.docket.log(&format!("a refusal is not on record: {error}"));
            problem
        }
    }
}

/// Records something about a grant in the one place that it has. What is there already is handed out instead.
async fn record<S: Worm, B: Serialize + DeserializeOwned + Clone>(
    environment: &Environment<S>,
    place: &Place,
    name: Name<'_>,
    decision: &Decision,
    body: B,
) -> Result<Recorded<B>, Problem> {
    vouched(environment).await?;
    let office = &environment.office;
    let cause = place.cause(office.docket.function(), name).decided(decision);
    let draft = cause.draft(Kind::Decision, 1, office.playbook.digest(), body);
    Ok(office.docket.recorder().await.intent(draft).await?)
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map_err` hands on")]
fn unanswered(error: register::RegisterError) -> Problem {
    Problem::unavailable(&error.to_string())
}

/// Why a step must not be taken, as an answer.
fn refused(why: &grant::Refused) -> Problem {
    use grant::Refused::{NotAPerson, NotEligible, NotYours, TooLate};
    let status = match why {
        NotYours | NotEligible | NotAPerson => 403,
        TooLate(_) => 410,
        _ => 409,
    };
    Problem::new(status, why.to_string())
}
