//! read again → ask policy again → record the intent → win the row → call STS → seal → record the outcome.

use std::collections::BTreeMap;

use calls::Mark;
use docket::Cause;
use evidence::Kind;
use evidence_store::{Found, Recorded, Worm};
use grant::{Basis, Class, Closed, Count, Denies, Event, Mint, State, Step};
use ids::{GrantId, Sha256, Timestamp};
use plan::{Trouble, TroubleKind};
use playbook::{AccessAct, Decision};
use register::{MintBody, MintedBody, Name, NoBasis, Place, Read, Row, Sealed};
use responder::{Invocation, Transient};
use revocation::ended_policy;

use crate::sessions::{Session, Wanted};
use crate::{Answer, Environment, row, unanswered, unread};

/// Another run's step may win first; then the grant is looked at again, so often.
const TRIES: u32 = 3;

/// Characters of a role's policies that are kept free for grants that the index does not show yet: about ten.
const RESERVE: usize = 1000;

/// What a grant calls for.
enum Wish {
    /// Its first session.
    First,
    /// Another one, because the requester asked for it, or because the last one never reached them.
    Another,
}

/// A session that may be made, and what it goes by.
struct Ready {
    decision: Decision,
    basis: Basis,
    step: Step,
    mint: Mint,
    /// The session policy, whose digest was approved.
    policy: String,
}

/// Makes the session that a grant's records call for.
pub(crate) async fn make<S: Worm>(
    grant: &GrantId,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Answer, Transient> {
    let office = &environment.office;
    let mark = office.calls.mark();
    // No evidence, no access.
    if !office.docket.recorder().await.endorsed() {
        return Err(Transient("KMS does not vouch for this function's records now, so nothing can be opened".to_owned()));
    }
    for _ in 0..TRIES {
        let Some(current) = row(grant, environment).await? else {
            return Ok(Answer::refused(Some(grant), "there is no such grant"));
        };
        let read = match office.read(&current).await {
            Ok(read) => read,
            Err(error) => return unread(grant, error),
        };
        let wish = match wish(&current, &read, calls::now()) {
            Ok(wish) => wish,
            Err(answer) => return *answer,
        };
        let role = &current.grant.terms.role;
        if role.account().as_ref() != Some(&environment.home) {
            return trouble(&current, "the role is in another account, where its sessions could not be ended", environment).await;
        }
        let lease = office.register.lease(role, &invocation.id);
        if !lease.take().await.map_err(unanswered)? {
            return Err(Transient(format!("another run is at work on {role}")));
        }
        let begun = begin(&current, &read, &wish, environment).await;
        // What it protects is written: from here on this grant is counted among those that could be ended.
        if let Err(error) = lease.give_back().await {
            office.docket.log(&format!("the lease on {role} runs out by itself: {error}"));
        }
        match begun? {
            Begun::Won(begun) => return finish(&current, &begun.0, &begun.1, mark, environment).await,
            Begun::Lost => {}
            Begun::Over(answer) => return Ok(*answer),
        }
    }
    Err(Transient(format!("others are at work on {grant}")))
}

/// What the records call for; or what there is to say instead.
fn wish(row: &Row, read: &Read, now: Timestamp) -> Result<Wish, Box<Result<Answer, Transient>>> {
    let (grant, over) = (&row.grant, |answer| Err(Box::new(Ok(answer))));
    match (&grant.state, grant.terms.class) {
        (State::Approved { .. }, Class::Approved { .. }) | (State::Requested, Class::BreakGlass) => Ok(Wish::First),
        (State::Requested, Class::Approved { .. }) => over(Answer::refused(Some(&grant.id), "it is not approved")),
        (State::Active { .. }, _) => {
            if read.renewal.is_some() {
                return Ok(Wish::Another);
            }
            let Some(last) = read.sessions.last() else {
                return over(Answer::needs_human(&grant.id, "the table says that it is active, and no session is on record"));
            };
            let reached = row.sealed.as_ref().is_some_and(|sealed| sealed.serial >= last.minted.serial);
            match reached {
                true => over(Answer::already(&grant.id, "its newest session is sealed")),
                // A run that is still at it has until then.
                false if now < last.call_before => {
                    Err(Box::new(Err(Transient(format!("session {} of {} may still be on its way", last.minted.serial, grant.id)))))
                }
                false => Ok(Wish::Another),
            }
        }
        (state, _) => over(Answer::already(&grant.id, &format!("it is {state}"))),
    }
}

enum Begun {
    Won(Box<(Ready, Recorded<MintBody>)>),
    Lost,
    Over(Box<Answer>),
}

/// Under the role's lease: policy, the step, its record, and the row.
async fn begin<S: Worm>(current: &Row, read: &Read, wish: &Wish, environment: &Environment<S>) -> Result<Begun, Transient> {
    let (office, grant) = (&environment.office, &current.grant);
    let now = calls::now();
    let act = match wish {
        Wish::First => AccessAct::Mint,
        Wish::Another => AccessAct::Renew,
    };
    let (decision, mut basis) = match office.basis(act, current, read, now).await {
        Ok(basis) => basis,
        Err(NoBasis::Register(error)) => return Err(unanswered(error)),
        Err(no @ (NoBasis::NotOnRecord(_) | NoBasis::Forbidden(_))) => {
            return Ok(Begun::Over(Box::new(refusal(current, &no.to_string(), environment).await)));
        }
    };
    match room(current, environment).await? {
        Ok((reserved, others)) => (basis.reserved, basis.other_policies) = (reserved, others),
        Err(why) => return Ok(Begun::Over(Box::new(trouble(current, &why, environment).await?))),
    }
    let requester = &grant.terms.requester;
    let event = match wish {
        Wish::First => Event::Mint(&basis),
        Wish::Another => Event::Renew { by: read.renewal.as_ref().map_or(requester, |wish| &wish.by), basis: &basis },
    };
    let step = match grant.step(event, now) {
        Ok(step) => step,
        Err(why) => return Ok(Begun::Over(Box::new(refusal(current, &why.to_string(), environment).await))),
    };
    let Some(mint) = step.mint.clone() else {
        return Ok(Begun::Over(Box::new(Answer::already(&grant.id, "there is no session to make"))));
    };
    let offer = office.playbook.offer(&grant.terms.entitlement);
    let policy = offer.map(|offer| &offer.session_policy);
    let Some(policy) = policy.filter(|policy| Sha256::of(policy.as_bytes()) == mint.session_policy) else {
        return Ok(Begun::Over(Box::new(
            refusal(current, "its session policy is not the one that was approved", environment).await,
        )));
    };
    // Numbers without a gap are how every session is found again: a row that pretends to more sessions would hide some.
    if usize::try_from(mint.record.serial).ok() != read.sessions.len().checked_add(1) {
        let why = "the table counts other sessions than the records do";
        return Ok(Begun::Over(Box::new(trouble(current, why, environment).await?)));
    }
    let recorded = match office.docket.recorder().await.intent(draft(current, read, &mint, &decision, environment)).await {
        Ok(recorded) => recorded,
        // No evidence, no access.
        Err(error) if error.passes() => return Err(Transient::of(error)),
        Err(error) => return Ok(Begun::Over(Box::new(trouble(current, &error.to_string(), environment).await?))),
    };
    if recorded.found() == Found::Earlier {
        return Ok(Begun::Lost);
    }
    if !office.register.write(&step).await.map_err(unanswered)? {
        lost(current, &mint, &decision, &recorded, environment).await;
        return Ok(Begun::Lost);
    }
    let policy = policy.clone();
    Ok(Begun::Won(Box::new((Ready { decision, basis, step, mint, policy }, recorded))))
}

/// Another step came first: the intent has its outcome, and STS was not called.
async fn lost<S: Worm>(
    current: &Row,
    mint: &Mint,
    decision: &Decision,
    recorded: &Recorded<MintBody>,
    environment: &Environment<S>,
) {
    let office = &environment.office;
    let body = MintedBody {
        decision: decision.clone(),
        reason: "another step of the grant came first: no session was made".to_owned(),
        state: "NotMinted".to_owned(),
        access_key: None,
        expires: None,
        trouble: None,
        approved_to_usable: None,
        calls: Vec::new(),
    };
    let cause = cause(current, mint.record.serial, decision, environment);
    let outcome = office.docket.recorder().await.outcome(cause.outcome(recorded.link(), office.playbook.digest(), body)).await;
    if let Err(error) = outcome {
        office
            .docket
            .log(&format!("that session {} of {} was not made is not on record: {error}", mint.record.serial, current.grant.id));
    }
}

fn cause<S: Worm>(current: &Row, serial: u32, decision: &Decision, environment: &Environment<S>) -> Cause {
    Place::of(&current.grant).cause(environment.office.docket.function(), Name::Session(serial)).decided(decision)
}

fn draft<S: Worm>(
    current: &Row,
    read: &Read,
    mint: &Mint,
    decision: &Decision,
    environment: &Environment<S>,
) -> evidence::Draft<MintBody> {
    let grant = &current.grant;
    let (tag, value) = mint.tag();
    let body = MintBody {
        decision: decision.clone(),
        reason: format!("Session {} of {} for {}", mint.record.serial, grant.id, grant.terms.requester),
        minted: mint.record.clone(),
        terms: grant.terms.digest(),
        role: mint.role.clone(),
        source_identity: mint.source.clone(),
        tags: BTreeMap::from([(tag.to_owned(), value.to_owned())]),
        session_policy: mint.session_policy,
        seconds: mint.seconds,
        call_before: mint.call_before,
        recipient: mint.recipient.to_string(),
        approvals: read.approvals.iter().map(|(key, _)| key.to_string()).collect(),
    };
    let cause = cause(current, mint.record.serial, decision, environment);
    cause.draft(Kind::Intent, 1, environment.office.playbook.digest(), body)
}

/// What would be denied on the role if every live grant of it ended now, and how large its other policies are. Why not, in a sentence, if
/// its sessions could not be ended.
async fn room<S: Worm>(current: &Row, environment: &Environment<S>) -> Result<Result<(Denies, usize), String>, Transient> {
    let role = &current.grant.terms.role;
    let Some(name) = role.name() else { return Ok(Err(format!("{role} has no name"))) };
    let policy = ended_policy(&environment.region);
    let (rows, inline) = tokio::join!(environment.office.register.live(), environment.iam.inline(&name, &policy));
    let rows = rows.map_err(unanswered)?;
    let inline = match inline {
        Ok(Some(inline)) => inline,
        Ok(None) => return Ok(Err(format!("there is no role {role}"))),
        Err(trouble) if trouble.kind.passes() => return Err(Transient(trouble.to_string())),
        Err(trouble) => return Ok(Err(format!("IAM does not show the policies of {role}: {trouble}"))),
    };
    let closable: Vec<Closed> = rows.iter().filter_map(|row| row.grant.closable()).collect();
    // What is denied already counts too, whoever's it is; and the index may not show yet what others have just begun.
    let denied = inline.ended.as_deref().and_then(|text| Denies::parse(text).ok()).unwrap_or_default();
    Ok(Ok((Denies::derive(role, &closable, calls::now()).and(&denied), inline.others.saturating_add(RESERVE))))
}

/// After a won write: the call, the seal, the outcome.
async fn finish<S: Worm>(
    current: &Row,
    ready: &Ready,
    recorded: &Recorded<MintBody>,
    mark: Mark,
    environment: &Environment<S>,
) -> Result<Answer, Transient> {
    let (office, grant, mint) = (&environment.office, &current.grant, &ready.mint);
    let wanted =
        Wanted { role: &mint.role, source: &mint.source, tag: grant.id.as_str(), policy: &ready.policy, seconds: mint.seconds };
    let made = if calls::now() < mint.call_before {
        environment.sessions.make(&wanted).await
    } else {
        Err(Trouble { kind: TroubleKind::Refused, code: "TooLateToCall".to_owned() })
    };
    let kept = match &made {
        Ok(session) => keep(session, current, mint, environment).await,
        Err(trouble) => Err(format!("STS did not make a session: {trouble}")),
    };
    if ready.step.loud {
        office.count("BreakGlass");
    }
    let usable = calls::now();
    let since = Count::of(grant, &ready.basis.records.approvals, &ready.basis.eligible);
    let since = match grant.terms.class {
        Class::Approved { needed } if mint.record.serial == 1 => since.reached(needed),
        Class::BreakGlass if mint.record.serial == 1 => Some(grant.opened),
        _ => None,
    };
    let state = match (&made, &kept) {
        (Ok(_), Ok(())) => "Minted",
        (Ok(_), Err(_)) => "Lost",
        (Err(Trouble { kind: TroubleKind::NoAnswer, .. }), _) => "Unverifiable",
        (Err(_), _) => "NotMinted",
    };
    let body = MintedBody {
        decision: ready.decision.clone(),
        reason: match &kept {
            Ok(()) => format!("Session {} of {} is sealed to its requester", mint.record.serial, grant.id),
            Err(why) => why.clone(),
        },
        state: state.to_owned(),
        access_key: made.as_ref().ok().map(|session| session.key.clone()),
        expires: made.as_ref().ok().map(|session| session.expires),
        trouble: made.as_ref().err().cloned(),
        approved_to_usable: since.filter(|_| kept.is_ok()).map(|since| usable.millis_since(since)),
        calls: office.calls.since(mark),
    };
    let cause = cause(current, mint.record.serial, &ready.decision, environment);
    let outcome = office.docket.recorder().await.outcome(cause.outcome(recorded.link(), office.playbook.digest(), body)).await;
    let record = match outcome {
        Ok(outcome) => outcome.link().key.to_string(),
        // The session is there, and its intent is on record: the sealer finds that its outcome is not.
        Err(error) => {
            office.count("Degraded");
            office.docket.log(&format!("the outcome of session {} of {} is not on record: {error}", mint.record.serial, grant.id));
            String::new()
        }
    };
    let passes = made.as_ref().map_or_else(|trouble| trouble.kind.passes(), |_| true);
    match (made, kept) {
        (Ok(session), Ok(())) => Ok(Answer::minted(&grant.id, mint.record.serial, session.expires, record)),
        (_, Err(why)) if passes => Err(Transient(why)),
        (_, Err(why)) => trouble(current, &why, environment).await,
        (Err(trouble), Ok(())) => Err(Transient(trouble.to_string())),
    }
}

/// Seals a session to its requester, where the API hands it out. The session that is not kept ends by itself, and nobody has it.
async fn keep<S: Worm>(session: &Session, current: &Row, mint: &Mint, environment: &Environment<S>) -> Result<(), String> {
    let text = session.seal(&mint.recipient)?;
    let sealed = Sealed { serial: mint.record.serial, expires: session.expires, text };
    match environment.office.register.seal(&current.grant.id, &sealed).await {
        Ok(true) => Ok(()),
        Ok(false) => Err("a later session is sealed already".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

/// It is not allowed: the requester is told why.
async fn refusal<S: Worm>(current: &Row, why: &str, environment: &Environment<S>) -> Answer {
    tell(current, why, environment).await;
    Answer::refused(Some(&current.grant.id), why)
}

/// It cannot be done, and trying again does not help: the requester is told why, and a person has to look.
async fn trouble<S: Worm>(current: &Row, why: &str, environment: &Environment<S>) -> Result<Answer, Transient> {
    tell(current, why, environment).await;
    Ok(Answer::needs_human(&current.grant.id, why))
}

async fn tell<S: Worm>(current: &Row, why: &str, environment: &Environment<S>) {
    let office = &environment.office;
    let why = office.docket.redactor().text(why).0;
    if let Err(error) = office.register.note_trouble(&current.grant.id, &why).await {
        office.docket.log(&format!("why {} has no credentials is not noted: {error}", current.grant.id));
    }
}
