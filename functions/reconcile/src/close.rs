//! One role: everything that ended on it, denied in one document, under its lease.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use calls::Mark;
use docket::Cause;
use evidence::{Kind, Subject};
use evidence_store::{Recorded, Worm};
use futures_util::future::join_all;
use grant::{Closed as End, Closing, Denies, State};
use ids::{GrantId, Hasher, RoleArn, RoleName, SignalId, Timestamp};
use plan::{Did, Trouble};
use register::{DeniedBody, Probed, Row};
use responder::{Invocation, Transient};
use revocation::{Inline, ended_policy};

use crate::{Answer, Environment, tend, unanswered};

/// How often IAM is looked at until it shows what it accepted, and how long between two looks.
const LOOKS: u32 = 12;
const BETWEEN: Duration = Duration::from_millis(250);
/// So many probes are made at a time.
const PROBES: usize = 6;
/// What is denied and belongs to no grant that is known stays denied: nobody knows when its sessions run out.
const UNKNOWN: Duration = Duration::from_secs(86_400);

/// What was written on a role, until it is shown to be effective.
pub(crate) struct Closed {
    role: RoleArn,
    written: Written,
    mark: Mark,
}

/// Writes what is to be denied on a role. `known` are rows that the index may not show yet. None: there is nothing to write on.
pub(crate) async fn close<S: Worm>(
    role: &RoleArn,
    known: &[Row],
    invocation: &Invocation,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<Option<Closed>, Transient> {
    let register = &environment.office.register;
    let mark = environment.office.calls.mark();
    let lease = register.lease(role, &invocation.id);
    if !lease.take().await.map_err(unanswered)? {
        return Err(Transient(format!("another run is at work on {role}")));
    }
    let written = write(role, known, invocation, answer, environment).await;
    if let Err(error) = lease.give_back().await {
        environment.office.docket.log(&format!("the lease on {role} runs out by itself: {error}"));
    }
    Ok(written?.map(|written| Closed { role: role.clone(), written, mark }))
}

/// Shows that what was written is effective, on all roles at the same time, and records what became of it.
pub(crate) async fn prove<S: Worm>(
    closed: Vec<Closed>,
    invocation: &Invocation,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<(), Transient> {
    let now = calls::now();
    let unproved = |written: &Written| -> Vec<Row> {
        let denied = written.after.clone().unwrap_or_default();
        let ended = |row: &&Row| matches!(row.grant.state, State::Ended { deny_until: Some(until), .. } if now < until);
        let waits = |row: &&Row| row.refused_at.is_none() && denied.has(&row.grant.id);
        written.rows.iter().filter(ended).filter(waits).take(PROBES).cloned().collect()
    };
    let probes = closed.iter().map(async |closed| {
        let rows = unproved(&closed.written);
        let probes = rows.into_iter().map(async |row| {
            let probed = environment.mint.probe(&row.grant.id).await;
            (row, probed)
        });
        join_all(probes).await
    });
    let probed = join_all(probes).await;
    for (Closed { role, written, mark }, probed) in closed.into_iter().zip(probed) {
        let Written { rows, closing, after, trouble } = written;
        let denied = after.clone().unwrap_or_default();
        let proofs = settle(probed, answer, environment).await?;
        if closing.is_some() || !proofs.refused.is_empty() {
            record(&role, closing.as_ref(), (after, trouble), proofs, (invocation, mark), answer, environment).await;
        }
        forget(&rows, &denied, answer, environment).await?;
    }
    Ok(())
}

struct Written {
    /// All rows of the role, as they were under its lease.
    rows: Vec<Row>,
    /// The plan, if something had to be written.
    closing: Option<Recorded<Closing>>,
    /// What IAM shows; none if it does not.
    after: Option<Denies>,
    trouble: Option<Trouble>,
}

/// Under the lease: the ends are read, and what follows from them is recorded, written and read back.
async fn write<S: Worm>(
    role: &RoleArn,
    known: &[Row],
    invocation: &Invocation,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<Option<Written>, Transient> {
    let Some(name) = role.name() else {
        answer.by_hand.push(format!("{role} has no name: its sessions cannot be denied"));
        return Ok(None);
    };
    let policy = ended_policy(&environment.region);
    let inline = match environment.iam.inline(&name, &policy).await {
        Ok(Some(inline)) => inline,
        Ok(None) => {
            answer.say(format!("there is no role {role} any more: it has no sessions either"));
            return Ok(None);
        }
        Err(trouble) if trouble.kind.passes() => return Err(Transient(trouble.to_string())),
        Err(trouble) => {
            answer.by_hand.push(format!("IAM does not show the policies of {role}: {trouble}"));
            return Ok(None);
        }
    };
    let before = before(&inline, role, answer);
    let rows = rows(role, known, &before, environment).await?;
    let now = calls::now();
    let mut ends: Vec<End> = Vec::new();
    let mut lapse: BTreeMap<GrantId, Timestamp> = BTreeMap::new();
    // Whatever state a row says, because somebody may have set it back.
    for row in &rows {
        let read = tend::known(row, environment).await;
        ends.extend(row.grant.closed());
        ends.extend(read.records().closed);
        if let Some(until) = read.alive_until() {
            lapse.insert(row.grant.id.clone(), until);
        }
    }
    // What is denied stays so until the records of its sessions say that they have run out, or for good: a table that was emptied or
    // rewritten re-opens nothing.
    ends.extend(before.sources().filter_map(|source| {
        let grant = source.grant()?;
        let until = lapse.get(&grant).copied().unwrap_or_else(|| now.plus(UNKNOWN));
        Some(End { grant, role: role.clone(), source: source.clone(), deny_until: Some(until) })
    }));
    let Some(closing) = Closing::plan(role, &policy, before.clone(), &ends, now) else {
        return Ok(Some(Written { rows, closing: None, after: Some(before), trouble: None }));
    };
    if !closing.denies.fits_beside(inline.others) {
        answer
            .by_hand
            .push(format!("what is to be denied on {role} does not fit beside its other policies: take some of those away"));
    }
    let recorded = intend(closing, (role, invocation, now), answer, environment).await?;
    let done = environment.iam.close(&recorded).await;
    let trouble = match done.did {
        Did::Failed(trouble) => Some(trouble),
        Did::Accepted | Did::Group(_) => None,
    };
    let after = read_back(&name, &policy, &recorded.value().denies, trouble.is_some(), environment).await;
    if let Some(trouble) = &trouble {
        let said = format!("the denies on {role} could not be written: {trouble}");
        if trouble.kind.passes() {
            answer.again = Some(said);
        } else {
            answer.by_hand.push(said);
        }
    }
    Ok(Some(Written { rows, closing: Some(recorded), after, trouble }))
}

/// What is denied now. A document under our name that is not ours is replaced: it hides what is to be denied.
fn before(inline: &Inline, role: &RoleArn, answer: &mut Answer) -> Denies {
    match inline.ended.as_deref().map(Denies::parse) {
        None => Denies::default(),
        Some(Ok(denies)) => denies,
        Some(Err(not_ours)) => {
            answer.by_hand.push(format!("{role}: {not_ours}; it is replaced: find out who wrote it"));
            Denies::default()
        }
    }
}

/// All rows of a role: what the index shows, what is known beside it, and whatever is denied now, each read again.
async fn rows<S: Worm>(
    role: &RoleArn,
    known: &[Row],
    before: &Denies,
    environment: &Environment<S>,
) -> Result<Vec<Row>, Transient> {
    let register = &environment.office.register;
    let live = register.live().await.map_err(unanswered)?;
    let of_role = live.iter().chain(known).filter(|row| row.grant.terms.role == *role).map(|row| row.grant.id.clone());
    let ids: BTreeSet<GrantId> = of_role.chain(before.sources().filter_map(ids::SourceIdentity::grant)).collect();
    // Again, one by one: the index may be behind, and the lease was taken since.
    let mut rows = Vec::new();
    for looked in join_all(ids.iter().map(|id| register.look(id))).await {
        rows.extend(looked.map_err(unanswered)?.filter(|row| row.grant.terms.role == *role));
    }
    Ok(rows)
}

/// The intent. It closes: past its deadline it goes on, and is waited for afterwards.
async fn intend<S: Worm>(
    closing: Closing,
    (role, invocation, now): (&RoleArn, &Invocation, Timestamp),
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<Recorded<Closing>, Transient> {
    let office = &environment.office;
    let draft = cause(role, invocation, now, environment).draft(Kind::Intent, 1, office.playbook.digest(), closing);
    let deadline = tokio::time::sleep(environment.settings.evidence_deadline);
    let mut recorder = office.docket.recorder().await;
    let (recorded, late) = recorder.intent_or_degraded(draft, deadline).await.map_err(Transient::of)?;
    if let Some(late) = late {
        office.count("Degraded");
        if recorder.settle(late).await != evidence_store::Kept::Durable {
            // The document on the role says the same, and so do the ends: the next run records what it finds.
            office.docket.log(&format!("the intent to deny sessions of {role} is not on record: it is done all the same"));
        }
    }
    answer.records.push(recorded.link().key.to_string());
    Ok(recorded)
}

fn cause<S: Worm>(role: &RoleArn, invocation: &Invocation, now: Timestamp, environment: &Environment<S>) -> Cause {
    let digest = Hasher::new("cordon/closing-record/v1").part(role.as_str()).part(&invocation.id).finish();
    let subject = Subject::new(format!("role/{role}"), digest);
    Cause::new(environment.office.docket.function(), now, None, SignalId::of_bytes(&digest), vec![subject])
}

/// Looks until IAM shows what it accepted, or long enough.
async fn read_back<S: Worm>(
    name: &RoleName,
    policy: &str,
    wanted: &Denies,
    failed: bool,
    environment: &Environment<S>,
) -> Option<Denies> {
    let mut seen = None;
    for look in 0..LOOKS {
        if look > 0 {
            tokio::time::sleep(BETWEEN).await;
        }
        let inline = environment.iam.inline(name, policy).await.ok().flatten();
        seen = inline.map(|inline| inline.ended.as_deref().and_then(|text| Denies::parse(text).ok()).unwrap_or_default());
        if failed || seen.as_ref() == Some(wanted) {
            break;
        }
    }
    seen
}

#[derive(Default)]
struct Proofs {
    refused: BTreeMap<GrantId, i64>,
    unproved: BTreeMap<GrantId, String>,
}

async fn settle<S: Worm>(
    probed: Vec<(Row, Result<Probed, String>)>,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<Proofs, Transient> {
    let mut proofs = Proofs::default();
    for (row, probed) in probed {
        let (id, State::Ended { at, .. }) = (row.grant.id.clone(), &row.grant.state) else { continue };
        match probed {
            Ok(Probed { refused: Some(refused), .. }) => {
                environment.office.register.note_refused(&id, refused).await.map_err(unanswered)?;
                proofs.refused.insert(id.clone(), refused.millis_since(*at));
                answer.refused.insert(id);
            }
            Ok(Probed { why, .. }) => {
                answer.unproved.insert(id.clone());
                proofs.unproved.insert(id, why.unwrap_or_else(|| "it is not refused yet".to_owned()));
            }
            Err(why) => {
                answer.unproved.insert(id.clone());
                proofs.unproved.insert(id, why);
            }
        }
    }
    Ok(proofs)
}

/// The outcome: of the plan, if there was one, or of a look that found everything written.
async fn record<S: Worm>(
    role: &RoleArn,
    closing: Option<&Recorded<Closing>>,
    (after, trouble): (Option<Denies>, Option<Trouble>),
    proofs: Proofs,
    (invocation, mark): (&Invocation, Mark),
    answer: &mut Answer,
    environment: &Environment<S>,
) {
    let office = &environment.office;
    let state = match (&after, closing.map(|closing| &closing.value().denies)) {
        (None, _) => "Unverifiable",
        (Some(after), Some(wanted)) if after != wanted => "NotDenied",
        _ => "Denied",
    };
    let body = DeniedBody {
        reason: format!(
            "Sessions of {} ended grants are denied on {role}; {} were shown to be refused just now",
            after.as_ref().map_or(0, Denies::len),
            proofs.refused.len()
        ),
        state: state.to_owned(),
        after,
        trouble,
        ended_to_refused: proofs.refused,
        unproved: proofs.unproved,
        calls: office.calls.since(mark),
    };
    let mut recorder = office.docket.recorder().await;
    let recorded = match closing {
        Some(closing) => {
            let now = closing.link().key.first_claimed().unwrap_or_else(calls::now);
            let draft = cause(role, invocation, now, environment).outcome(closing.link(), office.playbook.digest(), body);
            recorder.outcome(draft).await
        }
        None => {
            let draft = cause(role, invocation, calls::now(), environment).draft(Kind::Decision, 1, office.playbook.digest(), body);
            recorder.outcome(draft).await
        }
    };
    match recorded {
        Ok(recorded) => answer.records.push(recorded.link().key.to_string()),
        Err(error) => {
            office.count("Degraded");
            office.docket.log(&format!("what became of the denies on {role} is not on record: {error}"));
        }
    }
}

/// Takes what is over and no longer denied out of the index.
async fn forget<S: Worm>(
    rows: &[Row],
    denied: &Denies,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<(), Transient> {
    let now = calls::now();
    let over = |row: &&Row| match &row.grant.state {
        State::Ended { deny_until, .. } => deny_until.is_none_or(|until| now >= until),
        _ => false,
    };
    let reviewed = |row: &&Row| !matches!(row.grant.review, Some(grant::Review::Due { .. }));
    for row in rows.iter().filter(over).filter(reviewed).filter(|row| !denied.has(&row.grant.id)) {
        environment.office.register.retire(&row.grant.id, now).await.map_err(unanswered)?;
        answer.over.insert(row.grant.id.clone());
    }
    Ok(())
}
