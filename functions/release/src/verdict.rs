//! Approving a release and carrying it out, or denying it.

use std::time::Duration;

use api::{Problem, Response};
use docket::{Cause, Held, claim_in_turn};
use evidence::{Kind, Link};
use evidence_store::{Found, Recorded, Worm};
use hold::{Claim, Claimed, Conclusion};
use ids::{AccountId, IncidentId, Sha256, Timestamp};
use people::Who;
use plan::Done;
use plan::release::{Proposal, Release, ReleaseOutcome, ReleaseState, judge_release};
use playbook::{Decision, ReleaseAct, Verdict};
use responder::Invocation;
use serde_json::Value;

use crate::http::{Approve, Deny};
use crate::look::{self, Current};
use crate::record::{OutcomeBody, Timings, VerdictBody, Word, run_cause, verdict_cause};
use crate::{Environment, decide, refuse};

/// So many times IAM is looked at, half a second apart, until it shows what it accepted.
const LOOKS: u32 = 12;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// What was approved and came to no outcome can be taken up again for so long.
pub(crate) const FINISH: Duration = Duration::from_secs(15 * 60);

/// Approves what the digest stands for, and carries it out. A repeat answers the same, and finishes what was left.
pub(crate) async fn approve<S: Worm>(
    incident: &IncidentId,
    body: &Approve,
    (who, home): (&Who, &AccountId),
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Response, Problem> {
    let (received, mark) = (calls::now(), environment.calls.mark());
    let current = look::current(incident, environment).await?;
    let decision = decide(ReleaseAct::Approve, who, &current.asked(received), environment);
    let about = (incident, invocation);
    if decision.verdict == Verdict::NotifyOnly {
        let problem = Problem::forbidden(&decision);
        return Err(refuse(about, who, decision, problem, environment).await);
    }
    if body.digest != current.request.value().digest {
        let problem = Problem::new(409, "the digest is not that of the open request: look at it again");
        return Err(refuse(about, who, decision, problem, environment).await);
    }
    if current.outcome.is_some() {
        finish(&current, invocation, received, environment).await;
        return Ok(Response::json(200, &current.view(received)));
    }
    match &current.verdict {
        Some((verdict, _)) if verdict.value().word == Word::Denied => return Err(taken(verdict.value())),
        Some((_, at)) if received >= at.plus(FINISH) => {
            return Err(Problem::new(410, "it was approved and not carried out in time: ask again"));
        }
        None if current.has_expired(received) => {
            let problem = Problem::new(410, format!("the request ran out at {}: ask again", current.request.value().expires));
            return Err(refuse(about, who, decision, problem, environment).await);
        }
        Some(_) | None => {}
    }

    let cause = run_cause(environment, incident, &current.request.link().key).decided(&decision);
    let claim = claim_of(&current, invocation, received, environment);
    let (claimed, _) = claim_in_turn(&environment.holds, &claim).await?;
    let row = match claimed {
        Claimed::Ours(row) => row,
        Claimed::Busy { until } => {
            return Err(Problem::unavailable(&format!("another function works on the principal until {until}")));
        }
        Claimed::Done { .. } => {
            return Ok(Response::json(200, &look::current(incident, environment).await?.view(calls::now())));
        }
    };
    let held = Held::new(&environment.docket, &environment.holds, claim, Some(row.clone()));
    let run = Run { environment, incident, home, who, invocation, decision, cause, received, mark };
    let answer = run.carry_out(&current, &row, &held).await;
    if answer.is_err() {
        held.let_go().await;
    }
    answer
}

fn claim_of<S: Worm>(current: &Current, invocation: &Invocation, received: Timestamp, environment: &Environment<S>) -> Claim {
    let (request, key) = (current.request.value(), &current.request.link().key);
    let incident = request.proposal.incident.clone();
    Claim {
        target: request.target.clone(),
        owner: invocation.id.clone(),
        finding: format!("release-{}", key.id),
        updated_at: request.asked,
        now: received,
        intent: run_cause(environment, &incident, key).key.to_string(),
        incident,
    }
}

/// Takes the incident off the hold, where a run recorded its outcome and died before it could. Nothing is changed but the table: a
/// revocation that came since keeps its hold, and what cannot be noted now is noted by the next repeat.
async fn finish<S: Worm>(current: &Current, invocation: &Invocation, received: Timestamp, environment: &Environment<S>) {
    let (Some(outcome), Some((_, approved)), false) = (&current.outcome, &current.verdict, current.row.ended) else { return };
    let proposal = &current.request.value().proposal;
    if received >= approved.plus(FINISH) {
        return;
    }
    let claim = claim_of(current, invocation, received, environment);
    if let Ok(Claimed::Ours(row)) = environment.holds.claim(&claim).await {
        let since = row.records.get(&proposal.incident).into_iter().flatten().any(|key| !proposal.basis.contains(key));
        let lets_go = !since && lets_go(outcome.value().outcome.state);
        let held = Held::new(&environment.docket, &environment.holds, claim, Some(row));
        held.conclude(&Conclusion { outcome: outcome.link().key.to_string(), lets_go, ..Conclusion::default() }).await;
    }
    if let Err(error) = environment.holds.end(&proposal.incident, &current.row.request, received).await {
        environment.docket.log(&format!("that the request has come to an end is not noted: {error}"));
    }
}

fn lets_go(state: ReleaseState) -> bool {
    matches!(state, ReleaseState::Released | ReleaseState::Kept)
}

/// What the first verdict says to whoever comes with another.
fn taken(verdict: &VerdictBody) -> Problem {
    let word = match verdict.word {
        Word::Approved => "approved",
        Word::Denied => "denied",
    };
    Problem::new(409, format!("{} has {word} it already", verdict.by))
}

/// One approved release under way.
struct Run<'a, S> {
    environment: &'a Environment<S>,
    incident: &'a IncidentId,
    home: &'a AccountId,
    who: &'a Who,
    invocation: &'a Invocation,
    decision: Decision,
    cause: Cause,
    received: Timestamp,
    mark: calls::Mark,
}

impl<S: Worm> Run<'_, S> {
    /// Derive again and compare → record the approval → record the intent → lift → read back → record the outcome.
    async fn carry_out(&self, current: &Current, row: &hold::Row, held: &Held<'_, S>) -> Result<Response, Problem> {
        let Self { environment, incident, .. } = *self;
        let request = current.request.value();
        let (recorded, approval) = match self.unfinished(current).await? {
            Some(begun) => begun,
            None => {
                let proposal =
                    look::derive((incident, self.home, &request.target), row, request.proposal.wish.clone(), environment).await;
                let proposal = match proposal {
                    Ok(proposal) if proposal.digest()? == request.digest => proposal,
                    Ok(proposal) => return Err(self.refuse(changed(&request.proposal, &proposal)?).await),
                    Err(problem) if problem.status == 503 => return Err(problem),
                    Err(problem) => return Err(self.refuse(problem).await),
                };
                let approval = self.approve(current).await?;
                (self.intend(current, proposal, &approval).await?, approval)
            }
        };
        let observed = calls::now();

        // One that IAM shows already was lifted by a run that died before it could say so.
        let seen = look::principal(self.home, &request.target, environment).await?;
        let proposal = &recorded.value().proposal;
        let lifted_before = recorded.found() == Found::Earlier && seen.is_some_and(|seen| proposal.is_lifted(&seen));
        let intended = calls::now();
        let done = if lifted_before { Vec::new() } else { environment.iam.lift(&recorded).await };
        let lifted = calls::now();
        let outcome = self.read_back(proposal, &done, &request.target).await;
        if outcome.state == ReleaseState::Unverifiable {
            return Err(Problem::unavailable("IAM does not show what it is now: approve it again to have it looked at"));
        }
        let read_back = calls::now();

        let state = outcome.state;
        let timings = Timings {
            received: self.received,
            received_to_observed: observed.millis_since(self.received),
            received_to_intent: intended.millis_since(self.received),
            received_to_lifted: lifted.millis_since(self.received),
            received_to_read_back: read_back.millis_since(self.received),
        };
        let body = OutcomeBody {
            outcome,
            decision: self.decision.clone(),
            request: current.request.link().clone(),
            approval,
            timings,
            calls: environment.calls.since(self.mark),
            evidence: "durable".to_owned(),
        };
        let draft = self.cause.outcome(recorded.link(), environment.playbook.digest(), body);
        let said = environment.docket.recorder().await.outcome(draft).await?;
        let lets_go = lets_go(state);
        held.conclude(&Conclusion { outcome: said.link().key.to_string(), lets_go, ..Conclusion::default() }).await;
        let now = calls::now();
        if let Err(error) = environment.holds.end(incident, &current.row.request, now).await {
            environment.docket.log(&format!("that the request has come to an end is not noted: {error}"));
        }
        environment.count(if lets_go { "Released" } else { "NeedsHuman" });
        Ok(Response::json(200, &look::current(incident, environment).await?.view(now)))
    }

    /// What an earlier run of the same approval has begun, if IAM shows it as lifted. What is not lifted is derived and compared anew.
    async fn unfinished(&self, current: &Current) -> Result<Option<(Recorded<Release>, Link)>, Problem> {
        let Some((verdict, _)) = &current.verdict else { return Ok(None) };
        let key = self.cause.key.sibling(1, Kind::Intent);
        let begun = self.environment.docket.recorder().await.recall::<Release>(&key).await?;
        let Some((recorded, _)) = begun.filter(|(recorded, _)| recorded.value().digest == current.request.value().digest) else {
            return Ok(None);
        };
        let seen = look::principal(self.home, &current.request.value().target, self.environment).await?;
        let lifted = seen.is_some_and(|seen| recorded.value().proposal.is_lifted(&seen));
        Ok(lifted.then(|| (recorded, verdict.link().clone())))
    }

    /// Records the approval, unless somebody has approved or denied before. Whoever came first counts.
    async fn approve(&self, current: &Current) -> Result<Link, Problem> {
        let request = current.request.value();
        let reason = format!("{} approves what {} asked for", self.who, request.asker);
        let verdict = verdict(self.environment, current, self.who, &self.decision, (Word::Approved, reason)).await?;
        if verdict.value().word == Word::Denied || verdict.value().digest != request.digest {
            return Err(taken(verdict.value()));
        }
        Ok(verdict.link().clone())
    }

    async fn intend(&self, current: &Current, proposal: Proposal, approval: &Link) -> Result<Recorded<Release>, Problem> {
        let Self { environment, cause, .. } = self;
        let digest = current.request.value().digest;
        let case = cause.case(self.incident, self.home, &self.decision, environment.playbook.digest(), 1);
        let (request, approval) = (current.request.link().key.to_string(), approval.key.to_string());
        let release = Release::of(case, proposal, digest, request, approval);
        let draft = cause.draft(Kind::Intent, 1, environment.playbook.digest(), release);
        let recorded = environment.docket.recorder().await.intent(draft).await?;
        if recorded.value().digest != digest {
            return Err(Problem::new(409, "another plan is on record for this approval: ask again"));
        }
        Ok(recorded)
    }

    async fn refuse(&self, problem: Problem) -> Problem {
        refuse((self.incident, self.invocation), self.who, self.decision.clone(), problem, self.environment).await
    }

    /// Looks until IAM shows what it accepted, or long enough.
    async fn read_back(&self, proposal: &Proposal, done: &[Done], target: &str) -> ReleaseOutcome {
        let refused = done.iter().any(|done| matches!(&done.did, plan::Did::Failed(trouble) if !trouble.kind.passes()));
        let mut looks = 1;
        loop {
            let after = look::principal(self.home, target, self.environment).await.ok().flatten();
            let outcome = judge_release(proposal, done.to_vec(), after.as_ref());
            let seen = outcome.state != ReleaseState::Unverifiable;
            if lets_go(outcome.state) || looks >= LOOKS || (refused && seen) {
                return outcome;
            }
            looks += 1;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }
}

/// Which parts of a proposal are not what they were.
fn changed(was: &Proposal, is: &Proposal) -> Result<Problem, Problem> {
    let (was, is) = (serde_json::to_value(was)?, serde_json::to_value(is)?);
    let parts: Vec<&String> = was
        .as_object()
        .into_iter()
        .flatten()
        .filter(|(name, value)| is.get(name.as_str()) != Some(*value))
        .map(|(name, _)| name)
        .collect();
    let said = format!("what would be lifted is not what was asked for any more ({}): ask again", words(&parts));
    Ok(Problem::new(409, said).with("changed", Value::from(parts.into_iter().cloned().collect::<Vec<_>>())))
}

fn words(parts: &[&String]) -> String {
    parts.iter().map(|part| part.replace('_', " ")).collect::<Vec<_>>().join(", ")
}

/// The one verdict on a request: this one, or whichever was recorded before. The store takes one only, however many race.
async fn verdict<S: Worm>(
    environment: &Environment<S>,
    current: &Current,
    by: &Who,
    decision: &Decision,
    (word, reason): (Word, String),
) -> Result<Recorded<VerdictBody>, Problem> {
    let digest: Sha256 = current.request.value().digest;
    let request = current.request.link().clone();
    let cause = verdict_cause(environment, &current.request.value().proposal.incident, &request.key).decided(decision);
    let body = VerdictBody { decision: decision.clone(), reason, word, by: by.clone(), request, digest };
    let draft = cause.draft(Kind::Decision, 1, environment.playbook.digest(), body);
    Ok(environment.docket.recorder().await.intent(draft).await?)
}

/// Refuses a request, or takes it back. A repeat answers the same.
pub(crate) async fn deny<S: Worm>(
    incident: &IncidentId,
    body: &Deny,
    who: &Who,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Response, Problem> {
    let now = calls::now();
    let current = look::current(incident, environment).await?;
    let decision = decide(ReleaseAct::Deny, who, &current.asked(now), environment);
    if decision.verdict == Verdict::NotifyOnly {
        let problem = Problem::forbidden(&decision);
        return Err(refuse((incident, invocation), who, decision, problem, environment).await);
    }
    if current.verdict.is_none() {
        if current.has_expired(now) {
            return Err(Problem::new(410, format!("the request ran out at {} by itself", current.request.value().expires)));
        }
        let reason = environment.docket.redactor().text(body.reason.trim()).0;
        let reason = format!("{who} denies what {} asked for: {reason}", current.request.value().asker);
        verdict(environment, &current, who, &decision, (Word::Denied, reason)).await?;
    }
    let current = look::current(incident, environment).await?;
    match &current.verdict {
        Some((verdict, _)) if verdict.value().word == Word::Denied => {
            environment.holds.end(incident, &current.row.request, now).await?;
            Ok(Response::json(200, &current.view(now)))
        }
        Some((verdict, _)) => Err(taken(verdict.value())),
        None => Err(Problem::unavailable("the verdict is not to be seen yet")),
    }
}
