#![doc = include_str!("../README.md")]

mod environment;
mod http;
mod look;
mod record;
mod verdict;
mod wish;

use api::Problem;
use evidence_store::Worm;
use ids::IncidentId;
use people::{Caller, Shown, Who};
use playbook::{Actor, Asked, Decision, ReleaseAct, Verdict};
use responder::Invocation;

pub use api::Response;
pub use environment::Environment;
use http::{Request, Route};
pub use record::{OutcomeBody, RefusedBody, RequestBody, VerdictBody, Word};

/// Answers one request of the API. A failure is an answer too: whoever asks is waiting, and Lambda tries none of this again.
pub async fn handle<S: Worm>(event: &[u8], invocation: &Invocation, environment: &Environment<S>) -> Response {
    let answer = match Request::parse(event, &environment.api) {
        // Boxed: a whole story's future is large, and policies are evaluated at the bottom of it, where Cedar minds how much stack is left.
        Ok(request) => Box::pin(act(&request, invocation, environment)).await,
        Err(problem) => Err(problem),
    };
    match answer {
        Ok(response) => response,
        Err(problem) => {
            environment.count(if problem.status >= 500 { "Failed" } else { "Refused" });
            problem.into_response()
        }
    }
}

/// authorize → (derive → record) → answer, for each of the four routes.
async fn act<S: Worm>(request: &Request, invocation: &Invocation, environment: &Environment<S>) -> Result<Response, Problem> {
    let Some((home, _)) = &invocation.home else { return Err(Problem::unavailable("Lambda does not say whose function this is")) };
    let (who, ()) = tokio::join!(who(&request.caller, home, environment), environment.docket.vouch());
    let who = who?;
    // Nothing is opened by a process that nobody vouches for: its records would prove nothing, and earlier ones cannot be believed.
    if !environment.docket.recorder().await.endorsed() {
        return Err(Problem::unavailable("KMS does not vouch for this function's records now, so nothing can be opened"));
    }
    match &request.route {
        Route::Ask(body) => Box::pin(wish::ask(body, &who, home, environment)).await,
        Route::Show(incident) => {
            let current = look::current(incident, environment).await?;
            demand(ReleaseAct::Show, &who, &current.asked(calls::now()), environment)?;
            Ok(Response::json(200, &current.view(calls::now())))
        }
        Route::Approve(incident, body) => Box::pin(verdict::approve(incident, body, (&who, home), invocation, environment)).await,
        Route::Deny(incident, body) => verdict::deny(incident, body, &who, invocation, environment).await,
    }
}

/// Who calls. A role that is called like Identity Center's is looked at: it proves nothing by its name.
async fn who<S: Worm>(caller: &Caller, home: &ids::AccountId, environment: &Environment<S>) -> Result<Who, Problem> {
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

/// Somebody, as the playbook knows them.
fn actor<S>(who: &Who, environment: &Environment<S>) -> Actor {
    let permission_set = who.person().map(|person| person.permission_set.clone());
    let approver = permission_set.as_ref().is_some_and(|set| environment.approvers.contains(set));
    Actor { name: who.id(), permission_set, approver }
}

/// The playbook's word on what somebody wants to do.
fn decide<S>(act: ReleaseAct, who: &Who, asked: &Asked, environment: &Environment<S>) -> Decision {
    environment.playbook.decide(act, &actor(who, environment), asked)
}

/// The playbook's consent, or a refusal that is not recorded.
fn demand<S>(act: ReleaseAct, who: &Who, asked: &Asked, environment: &Environment<S>) -> Result<Decision, Problem> {
    let decision = decide(act, who, asked, environment);
    if decision.verdict == Verdict::NotifyOnly { Err(Problem::forbidden(&decision)) } else { Ok(decision) }
}

/// Records that somebody wanted what they may not have, and refuses it.
async fn refuse<S: Worm>(
    (incident, invocation): (&IncidentId, &Invocation),
    who: &Who,
    decision: Decision,
    problem: Problem,
    environment: &Environment<S>,
) -> Problem {
    environment.count("ReleaseDenied");
    match record::refused(environment, incident, invocation, who, decision, &problem.detail).await {
        Ok(key) => problem.with_record(&key),
        // It is refused all the same.
        Err(error) => {
            environment.docket.log(&format!("a refusal is not on record: {error}"));
            problem
        }
    }
}
