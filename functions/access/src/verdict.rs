//! Approving and denying.

use api::{Problem, Response};
use evidence_store::Worm;
use grant::{Approval, Eligible, Event, Reason, Refused, State};
use ids::GrantId;
use playbook::AccessAct;
use register::{ApprovalBody, DenialBody, Name, NoBasis, Place};

use crate::ask::wake_mint;
use crate::life::degraded;
use crate::route::Approve;
use crate::{Caller, Environment, asking, consent, record, refuse, refused, row, unanswered, view};

/// Somebody else's step may win first; then the grant is looked at again, so often.
pub(crate) const TRIES: u32 = 4;

/// Records an approval of what the digest stands for, and lets the grant be approved if enough are on record.
pub(crate) async fn approve<S: Worm>(
    id: &GrantId,
    body: &Approve,
    caller: &Caller<'_>,
    environment: &Environment<S>,
) -> Result<Response, Problem> {
    let (office, now) = (&environment.office, caller.context.now);
    let before = row(id, environment).await?;
    let decision = consent(AccessAct::Approve, caller, &before, environment).await?;
    let grant = &before.grant;
    if !matches!(grant.state, State::Requested | State::Approved { .. }) {
        return Err(Problem::new(409, format!("{id} is {}: there is nothing to approve", grant.state)));
    }
    if now >= grant.approve_by {
        return Err(Problem::new(410, format!("{id} could be approved until {}: it has to be asked for again", grant.approve_by)));
    }
    let terms = grant.terms.digest();
    if terms != body.digest {
        let problem = Problem::new(409, "this is not the digest of what is asked for: look at it again");
        return Err(refuse(caller, &before, decision, problem, environment).await);
    }
    // What the row says is compared with what was recorded, before anybody's approval is.
    let read = office.read(&before).await?;
    let request = read.request.as_ref().ok_or_else(|| not_on_record(id))?;
    if request.terms != grant.terms || request.opened != grant.request_record() {
        let problem = Problem::new(409, "the table says something else than the record of the request: approve nothing");
        return Err(refuse(caller, &before, decision, problem, environment).await);
    }

    let approval = Approval { grant: id.clone(), terms, by: caller.who.clone(), at: now };
    let reason = format!("{} approves what {} asks for", caller.who, grant.terms.requester);
    let said = ApprovalBody {
        decision: decision.clone(),
        reason,
        approval,
        source: caller.context.source,
        mfa_age: caller.context.mfa_age,
    };
    let recorded = record(environment, &Place::of(grant), Name::Approval(&caller.who), &decision, said).await?;
    office.register.note_approval(id, &recorded.link().key.to_string()).await.map_err(unanswered)?;

    for _ in 0..TRIES {
        let current = row(id, environment).await?;
        if !matches!(current.grant.state, State::Requested) {
            return view::answer(200, &current, environment).await;
        }
        let read = office.read(&current).await?;
        let basis = match office.basis(asking(&current.grant.terms.entitlement, environment), &current, &read, now).await {
            Ok((_, basis)) => basis,
            Err(NoBasis::Register(error)) => return Err(unanswered(error)),
            Err(NoBasis::NotOnRecord(why)) => return Err(Problem::new(409, why)),
            // The approval is on record, and may count again tomorrow; today nothing comes of it.
            Err(NoBasis::Forbidden(no)) => return Err(Problem::forbidden(&no)),
        };
        match current.grant.step(Event::Decide(&basis), calls::now()) {
            Ok(step) => {
                if office.register.write(&step).await.map_err(unanswered)? {
                    office.count("Approved");
                    wake_mint(environment, &current).await;
                    return view::answer(200, &row(id, environment).await?, environment).await;
                }
            }
            Err(Refused::NoQuorum { .. }) => return view::answer(200, &current, environment).await,
            Err(why) => return Err(refused(&why)),
        }
    }
    Err(Problem::unavailable("others are at work on this grant"))
}

/// Records a denial, and closes the grant. A requester takes back their own with it.
pub(crate) async fn deny<S: Worm>(
    id: &GrantId,
    reason: &Reason,
    caller: &Caller<'_>,
    environment: &Environment<S>,
) -> Result<Response, Problem> {
    let office = &environment.office;
    let before = row(id, environment).await?;
    let decision = consent(AccessAct::Deny, caller, &before, environment).await?;
    // Policy has just said that they may; the grant's own rule is that a person does, or who asked.
    let eligible: Eligible = [caller.who.clone()].into_iter().collect();
    let reason = office.docket.redactor().text(reason.as_str()).0.parse().unwrap_or_else(|_| reason.clone());
    for _ in 0..TRIES {
        let current = row(id, environment).await?;
        if let State::Denied { .. } = current.grant.state {
            return view::answer(200, &current, environment).await;
        }
        // Closing goes by what there is.
        let records = office.read(&current).await.map(|read| read.records());
        let records =
            records.inspect_err(|error| degraded(environment, &format!("{id} is denied by its row: {error}"))).unwrap_or_default();
        let event = Event::Deny { by: &caller.who, reason: &reason, eligible: &eligible, records: &records };
        let step = current.grant.step(event, calls::now()).map_err(|why| match why {
            Refused::MayHaveSessions | Refused::WrongState { state: "active", .. } => {
                Problem::new(409, format!("{id} may have a session already: revoke it"))
            }
            why => refused(&why),
        })?;
        let denial = step.grant.denial_record().ok_or_else(|| not_on_record(id))?;
        let words = format!("{} denies what {} asks for: {reason}", caller.who, current.grant.terms.requester);
        let said = DenialBody { decision: decision.clone(), reason: words, denial };
        // Recorded first: a row that somebody sets back is then still denied.
        if let Err(problem) = record(environment, &Place::of(&current.grant), Name::Denial, &decision, said).await {
            degraded(environment, &format!("the denial of {id} is not on record: {}", problem.detail));
        }
        if office.register.write(&step).await.map_err(unanswered)? {
            office.count("Denied");
            return Ok(view::closed(&row(id, environment).await?, environment).await);
        }
    }
    Err(Problem::unavailable("others are at work on this grant"))
}

pub(crate) fn not_on_record(id: &GrantId) -> Problem {
    Problem::new(409, format!("the request of {id} is not on record where the table says: it has to be asked for again"))
}
