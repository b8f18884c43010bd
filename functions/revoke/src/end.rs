//! The end of one credential.

use std::collections::BTreeMap;
use std::time::Duration;

use calls::Mark;
use docket::{Cause, Docket};
use evidence::{Kind, Link, RecordKey};
use evidence_store::{Found, Late, Recorded, Worm};
use hold::{Claim, Claimed, Conclusion, Row};
use ids::{AccountId, IncidentId, Region, Timestamp};
use plan::revoke::{
    Denies, Principal, Revocation, RevocationOutcome, RevocationState, Revoke, Role, Rule, judge_revocation, pattern_of, revoke,
};
use plan::{Case, Trouble, TroubleKind};
use playbook::{Decision, LeakFacts, Verdict};
use responder::{Attention, Invocation, Transient};
use revocation::Holder;
use signal::{Credential, Leak};

use crate::answer::{Said, Told};
use crate::environment::Environment;
use crate::record::{self, DecisionBody, OutcomeBody, RoundTrips, Timings, stripped};

/// So many times IAM is looked at, half a second apart, until it shows what it accepted: it is eventually consistent (IAM user guide,
/// "Changes that I make are not always immediately visible").
const LOOKS: u32 = 12;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// Another invocation's lease on the same principal is waited for so long: its work takes a second or two.
const PATIENCE: Duration = Duration::from_secs(8);
const BETWEEN_CLAIMS: Duration = Duration::from_millis(400);
/// So many plans that earlier runs recorded may have been overtaken before a person has to look.
const ATTEMPTS: u32 = 8;
/// A plan that has to be made again because a step showed something that could not be seen is made again so often.
const PASSES: u32 = 2;

fn decide<S: Worm>(environment: &Environment<S>, leak: &Leak) -> Decision {
    let procedure = pattern_of(&leak.credential).is_some_and(|pattern| pattern.procedure.is_some());
    let facts = LeakFacts { protected: environment.protects(leak), procedure };
    environment.playbook.decide(leak, facts, &environment.settings.posture(&leak.account))
}

/// Whether the function can reach the account of the credential at all. IAM is the same in every Region.
fn is_home(leak: &Leak, invocation: &Invocation) -> bool {
    invocation.home.as_ref().is_none_or(|(account, _): &(AccountId, Region)| *account == leak.account)
}

fn elsewhere(leak: &Leak) -> (Said, Attention, String) {
    let reason = format!("{} is of account {}, where this function has no role", leak.credential, leak.account);
    (Said::NeedsHuman, Attention::Page, reason)
}

fn gone(leak: &Leak) -> (Said, Attention, String) {
    let reason = format!("IAM does not know {} in account {}: there is nothing to end", leak.credential, leak.account);
    (Said::NothingToRevoke, Attention::Notify, reason)
}

/// What it amounts to that IAM does not know the principal. A user may have been renamed, and its sessions live on.
fn missing(leak: &Leak) -> (Said, Attention, String) {
    match &leak.credential {
        Credential::UserSession { user, .. } => {
            let reason = format!("IAM knows no user {user} in account {}: it may have another name now, or be gone", leak.account);
            (Said::NeedsHuman, Attention::Page, reason)
        }
        _ => gone(leak),
    }
}

fn by_hand(leak: &Leak) -> Vec<String> {
    pattern_of(&leak.credential).map(|pattern| pattern.by_hand.iter().map(|&step| step.to_owned()).collect()).unwrap_or_default()
}

/// What a decision that changes nothing amounts to.
fn verdict(decision: &Decision) -> (Said, Attention, String) {
    match decision.verdict {
        Verdict::AskHuman => (Said::AskHuman, Attention::Page, decision.to_string()),
        Verdict::Do | Verdict::NotifyOnly => (Said::NotifyOnly, Attention::Notify, decision.to_string()),
    }
}

/// The leak with the name of its key's user, which IAM is asked for where the report has none. None: IAM does not know the key.
async fn named<S: Worm>(leak: Leak, environment: &Environment<S>) -> Result<Option<Leak>, Trouble> {
    match &leak.credential {
        Credential::UserKey { key, user: None } => match environment.iam.holder(key).await? {
            Holder::Unknown => Ok(None),
            holder => Ok(Some(held_by(leak, holder))),
        },
        _ => Ok(Some(leak)),
    }
}

/// The leak of a key, as whose IAM says the key is. A report's name may be old: users can be renamed.
fn held_by(mut leak: Leak, holder: Holder) -> Leak {
    let Some(key) = leak.credential.key().cloned() else { return leak };
    match holder {
        Holder::User(user) => leak.credential = Credential::UserKey { key, user: Some(user) },
        Holder::Nobody => leak.credential = Credential::Root { key: Some(key) },
        Holder::Unknown => {}
    }
    leak
}

/// Whose the key of a leak is, beside looking at whom the report names. Unknown where it is not about a key, or IAM does not say.
async fn holder<S: Worm>(leak: &Leak, environment: &Environment<S>) -> Holder {
    match &leak.credential {
        Credential::UserKey { key, .. } => environment.iam.holder(key).await.unwrap_or(Holder::Unknown),
        _ => Holder::Unknown,
    }
}

/// The principal, as IAM shows it.
async fn look<S: Worm>(leak: &Leak, environment: &Environment<S>) -> Result<Option<Principal>, Trouble> {
    match &leak.credential {
        Credential::UserKey { user: Some(user), .. } | Credential::UserSession { user, .. } => environment.iam.user(user).await,
        Credential::RoleSession { role, .. } | Credential::InstanceSession { role, .. } | Credential::WholeRole { role } => {
            environment.iam.role(role).await
        }
        Credential::UserKey { user: None, .. } | Credential::Federated { .. } | Credential::Root { .. } => Ok(None),
    }
}

/// What is held: the principal, because two incidents may be about credentials of one.
fn held(leak: &Leak) -> String {
    let account = &leak.account;
    match &leak.credential {
        Credential::UserKey { user: Some(user), .. } | Credential::UserSession { user, .. } => format!("iam:user:{account}:{user}"),
        Credential::RoleSession { role, .. } | Credential::InstanceSession { role, .. } | Credential::WholeRole { role } => {
            format!("iam:role:{account}:{role}")
        }
        Credential::UserKey { user: None, .. } | Credential::Federated { .. } | Credential::Root { .. } => leak.target(),
    }
}

fn told(leak: &Leak, (said, attention, reason): (Said, Attention, String)) -> Told {
    let mut told = Told::new(said, attention, reason);
    told.credential = Some(leak.credential.to_string());
    told.incident = Some(leak.incident.clone());
    told.signal = Some(leak.id.clone());
    told
}

/// What would be done about a leak. Nothing is changed, claimed or recorded.
pub(crate) async fn preview<S: Worm>(
    leak: &Leak,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Told, Transient> {
    let planned = |leak: &Leak, reason: String| told(leak, (Said::Planned, Attention::None, reason));
    if !is_home(leak, invocation) {
        return Ok(planned(leak, elsewhere(leak).2));
    }
    let decision = decide(environment, leak);
    if pattern_of(&leak.credential).is_none_or(|pattern| pattern.procedure.is_none()) {
        return Ok(Told { rule: Some(decision.rule.clone()), by_hand: by_hand(leak), ..planned(leak, decision.to_string()) });
    }
    let Some(leak) = named(leak.clone(), environment).await.map_err(Transient::of)? else {
        return Ok(planned(leak, gone(leak).2));
    };
    let decision = decide(environment, &leak);
    let Some(seen) = look(&leak, environment).await.map_err(Transient::of)? else { return Ok(planned(&leak, gone(&leak).2)) };
    let cause = record::cause(environment, calls::now(), &leak);
    let rule = rule(environment, &leak, &decision, &cause, invocation, (1, Denies::default(), false));
    let plan = rule.and_then(|rule| revoke(rule, &leak, seen));
    Ok(Told { rule: Some(decision.rule.clone()), plan: plan.map(|plan| plan.to_string()), ..planned(&leak, decision.to_string()) })
}

fn rule<S: Worm>(
    environment: &Environment<S>,
    leak: &Leak,
    decision: &Decision,
    cause: &Cause,
    invocation: &Invocation,
    (attempt, standing, attachments_full): (u32, Denies, bool),
) -> Option<Rule> {
    let region = leak_region(invocation)?;
    let seen = leak.finding.as_ref().and_then(|finding| finding.last_seen);
    Some(Rule {
        case: Case {
            incident: leak.incident.clone(),
            signal: leak.id.clone(),
            account: leak.account.clone(),
            rule: decision.rule.clone(),
            playbook: environment.playbook.digest(),
            intent: cause.key.sibling(attempt, Kind::Intent).to_string(),
            now: calls::now(),
        },
        region,
        deny_policy: environment.deny_policy.clone(),
        standing,
        reported: seen.unwrap_or(leak.at),
        since: leak.since,
        attachments_full,
    })
}

/// Instances are in the Region of the function, which GuardDuty's findings come to.
fn leak_region(invocation: &Invocation) -> Option<Region> {
    invocation.home.as_ref().map(|(_, region)| region.clone())
}

/// Ends the credential of a leak, if the playbook says so.
pub(crate) async fn end<S: Worm>(leak: Leak, invocation: &Invocation, environment: &Environment<S>) -> Result<Told, Transient> {
    let (received, mark) = (calls::now(), environment.calls.mark());
    let decision = decide(environment, &leak);
    let early = if decision.verdict != Verdict::Do {
        Some(verdict(&decision))
    } else if !is_home(&leak, invocation) || leak_region(invocation).is_none() {
        Some(elsewhere(&leak))
    } else {
        None
    };
    if let Some(said) = early {
        environment.docket.vouch().await;
        let cause = record::cause(environment, received, &leak);
        return decline(environment, &cause, &leak, decision, said).await;
    }

    // Only a bare key costs this round trip: every other report says whose it is.
    let mut leak = match named(leak.clone(), environment).await {
        Ok(Some(leak)) => leak,
        Ok(None) => {
            environment.docket.vouch().await;
            let cause = record::cause(environment, received, &leak);
            return decline(environment, &cause, &leak, decision, gone(&leak)).await;
        }
        Err(trouble) => {
            environment.docket.vouch().await;
            let cause = record::cause(environment, received, &leak);
            return unobserved(environment, &cause, &leak, decision, &trouble).await;
        }
    };
    let decision = if matches!(leak.credential, Credential::Root { .. }) { decide(environment, &leak) } else { decision };
    if decision.verdict != Verdict::Do {
        environment.docket.vouch().await;
        let cause = record::cause(environment, received, &leak);
        return decline(environment, &cause, &leak, decision.clone(), verdict(&decision)).await;
    }
    // Whom the report names is looked at at once; if the key is somebody else's by now, that one is, once more.
    let named = leak.clone();
    let (seen, claimed, held_now, ()) = {
        let claim = claim_of(&leak, invocation, received, environment);
        tokio::join!(
            look(&named, environment),
            claimed(&claim, environment),
            holder(&named, environment),
            environment.docket.vouch()
        )
    };
    let moved = held_now != Holder::Unknown && held_by(leak.clone(), held_now.clone()).credential != leak.credential;
    let (claim, seen, claimed) = if moved {
        if matches!(claimed, Ok((Claimed::Ours(_), _))) {
            let _runs_out_by_itself = environment.holds.let_go(&claim_of(&leak, invocation, received, environment)).await;
        }
        leak = held_by(leak, held_now);
        if matches!(leak.credential, Credential::Root { .. }) {
            let decision = decide(environment, &leak);
            let cause = record::cause(environment, received, &leak);
            return decline(environment, &cause, &leak, decision.clone(), verdict(&decision)).await;
        }
        let claim = claim_of(&leak, invocation, received, environment);
        let (seen, claimed) = tokio::join!(look(&leak, environment), self::claimed(&claim, environment));
        (claim, seen, claimed)
    } else {
        (claim_of(&leak, invocation, received, environment), seen, claimed)
    };
    let (row, seen) = match claimed {
        Ok((Claimed::Ours(row), at_once)) => {
            // Whoever had the lease may have changed what was seen meanwhile.
            let seen = if at_once { seen } else { look(&leak, environment).await };
            (Some(row), seen)
        }
        Ok((Claimed::Busy { until }, _)) => return Err(Transient(format!("another invocation works on it until {until}"))),
        Ok((Claimed::Done { outcome }, _)) => {
            let mut told = told(&leak, (Said::AlreadyDone, Attention::None, "this report has its outcome".to_owned()));
            told.records.push(outcome);
            return Ok(told);
        }
        Err(error) => {
            environment.docket.log(&format!("going on without a hold: {error}"));
            (None, seen)
        }
    };
    // The minute in a record's key is that of the first claim: a retry computes the same key.
    let first = row.as_ref().and_then(|row| row.first_claimed(&claim.finding, claim.updated_at)).unwrap_or(received);
    let cause = record::cause(environment, first, &leak);
    let observed = calls::now();
    let work = Work { environment, leak, cause, claim, row, mark, received, observed };
    let answer = work.decide_and_act(seen, decision, invocation).await;
    if answer.is_err() {
        work.let_go().await;
    }
    answer
}

fn claim_of<S: Worm>(leak: &Leak, invocation: &Invocation, received: Timestamp, environment: &Environment<S>) -> Claim {
    Claim {
        target: held(leak),
        owner: format!("{}/{}", invocation.id, leak.id),
        incident: leak.incident.clone(),
        finding: leak.thread.clone(),
        updated_at: leak.at,
        now: received,
        intent: record::cause(environment, received, leak).key.to_string(),
    }
}

/// Claims, and waits a little for somebody else's lease. True if nobody had to be waited for.
async fn claimed<S: Worm>(claim: &Claim, environment: &Environment<S>) -> Result<(Claimed, bool), hold::HoldError> {
    let mut at_once = true;
    let mut claim = claim.clone();
    let started = claim.now;
    loop {
        match environment.holds.claim(&claim).await? {
            Claimed::Busy { .. } if calls::now() < started.plus(PATIENCE) => {
                at_once = false;
                tokio::time::sleep(BETWEEN_CLAIMS).await;
                claim.now = calls::now();
            }
            other => return Ok((other, at_once)),
        }
    }
}

/// Records that nothing is changed, and why.
async fn decline<S: Worm>(
    environment: &Environment<S>,
    cause: &Cause,
    leak: &Leak,
    decision: Decision,
    (said, attention, reason): (Said, Attention, String),
) -> Result<Told, Transient> {
    // Nothing is done here, whatever the playbook would have had done.
    let cause = cause.clone().decided(&decision).claiming(environment.playbook.deciding());
    let rule = decision.rule.clone();
    let (signal, redacted) = stripped(environment.docket.redactor(), leak);
    let reason = environment.docket.redactor().text(&reason).0;
    let steps = if matches!(said, Said::AskHuman | Said::NeedsHuman) { by_hand(leak) } else { Vec::new() };
    let body = DecisionBody { decision, signal, reason: reason.clone(), by_hand: steps.clone(), redacted };
    let draft = cause.draft(Kind::Decision, 1, environment.playbook.digest(), body);
    let recorded = environment.docket.recorder().await.intent(draft).await.map_err(Transient::of)?;
    let mut told = told(leak, (said, attention, reason));
    (told.rule, told.by_hand) = (Some(rule), steps);
    told.records.push(recorded.link().key.to_string());
    Ok(told)
}

async fn unobserved<S: Worm>(
    environment: &Environment<S>,
    cause: &Cause,
    leak: &Leak,
    decision: Decision,
    trouble: &Trouble,
) -> Result<Told, Transient> {
    let reason = format!("could not observe {}: {trouble}", leak.credential);
    if trouble.kind.passes() {
        return Err(Transient(reason));
    }
    decline(environment, cause, leak, decision, (Said::NeedsHuman, Attention::Page, reason)).await
}

/// What one pass came to.
struct Passed {
    recorded: Recorded<Revocation>,
    outcome: RevocationOutcome,
    /// The key of the outcome's record.
    key: String,
    /// What is not as it should be with the intent, if anything.
    degraded: Option<String>,
}

/// A plan on record.
struct Intended {
    recorded: Recorded<Revocation>,
    late: Option<Late>,
    /// Plans of earlier runs that are not run again.
    superseded: Vec<Link>,
}

/// What a plan denies on a role for its own incident, as the table keeps it.
fn own_deny(plan: &Revocation) -> BTreeMap<IncidentId, String> {
    let own = plan.steps.iter().find_map(|step| match &step.action {
        Revoke::WriteDenies { denies, .. } => denies.0.get(&plan.case.incident),
        _ => None,
    });
    let text = own.and_then(|denied| serde_json::to_string(denied).ok());
    text.map(|text| (plan.case.incident.clone(), text)).into_iter().collect()
}

/// One revocation under way.
struct Work<'a, S> {
    environment: &'a Environment<S>,
    leak: Leak,
    cause: Cause,
    claim: Claim,
    row: Option<Row>,
    mark: Mark,
    received: Timestamp,
    observed: Timestamp,
}

impl<S: Worm> Work<'_, S> {
    async fn decide_and_act(
        &self,
        seen: Result<Option<Principal>, Trouble>,
        decision: Decision,
        invocation: &Invocation,
    ) -> Result<Told, Transient> {
        let seen = match seen {
            Ok(Some(seen)) => seen,
            Ok(None) => return self.decline(decision, missing(&self.leak)).await,
            Err(trouble) if trouble.kind.passes() => {
                return Err(Transient(format!("could not observe {}: {trouble}", self.leak.credential)));
            }
            Err(trouble) => {
                let reason = format!("could not observe {}: {trouble}", self.leak.credential);
                return self.decline(decision, (Said::NeedsHuman, Attention::Page, reason)).await;
            }
        };
        // A bare key has a user by now, who may be protected.
        let decision = if decide(self.environment, &self.leak).verdict == Verdict::Do {
            decision
        } else {
            let decision = decide(self.environment, &self.leak);
            let said = verdict(&decision);
            return self.decline(decision, said).await;
        };
        self.act(seen, &decision, invocation).await
    }

    async fn decline(&self, decision: Decision, said: (Said, Attention, String)) -> Result<Told, Transient> {
        let told = decline(self.environment, &self.cause, &self.leak, decision, said).await?;
        let outcome = told.records.first().cloned().unwrap_or_default();
        self.conclude(&Conclusion { outcome, ..Conclusion::default() }).await;
        Ok(told)
    }

    /// What other incidents need on the same role, by the table.
    fn standing(&self) -> Denies {
        let rows = self.row.iter().flat_map(|row| &row.denies);
        let read = rows.filter_map(|(incident, text)| Some((incident.clone(), serde_json::from_str(text).ok()?)));
        Denies(read.collect())
    }

    /// Plan, record, apply, read back, record; once more if a step has shown that it has to be done another way.
    async fn act(&self, mut seen: Principal, decision: &Decision, invocation: &Invocation) -> Result<Told, Transient> {
        let (mut records, mut degraded) = (Vec::new(), Vec::new());
        let mut waiting = self.file_parked().await;
        let mut full = false;
        let mut pass = 1;
        loop {
            let key = self.cause.key.sibling(pass, Kind::Intent);
            let Some(rule) = rule(self.environment, &self.leak, decision, &self.cause, invocation, (pass, self.standing(), full))
            else {
                return Err(Transient("Lambda did not say in which Region this function runs".to_owned()));
            };
            let Some(mut plan) = revoke(rule, &self.leak, seen.clone()) else {
                // The playbook has asked for a procedure: this does not happen.
                return self.decline(decision.clone(), elsewhere(&self.leak)).await;
            };
            let clean = |text: &mut String| *text = self.environment.docket.redactor().text(text).0;
            plan.remarks.iter_mut().for_each(clean);
            // Somebody else's words: they are kept for good, so without what must not be.
            if let Principal::Role(Role { foreign: Some(foreign), .. }) = &mut plan.before {
                clean(foreign);
            }
            let passed = self.pass(plan, decision, pass, waiting.remove(&key)).await?;
            records.extend([passed.recorded.link().key.to_string(), passed.key.clone()]);
            degraded.extend(passed.degraded.clone());
            if passed.outcome.attachments_full(passed.recorded.value()) && pass < PASSES {
                if let Ok(Some(again)) = look(&self.leak, self.environment).await {
                    seen = again;
                }
                (full, pass) = (true, pass + 1);
                continue;
            }
            let mut told = self.conclude_with(passed, decision).await?;
            (told.records, told.degraded) = (records, degraded);
            told.degraded.extend(self.degraded().await);
            return Ok(told);
        }
    }

    /// What else is not as it should be, and a person should know beside the end state.
    async fn degraded(&self) -> Vec<String> {
        let mut said = Vec::new();
        if !self.environment.docket.recorder().await.endorsed() {
            said.push("KMS did not vouch for this session: its records are signed, but nothing says by whom".to_owned());
        }
        if self.row.is_none() {
            said.push("the table of holds did not answer: nothing holds the principal".to_owned());
        }
        said
    }

    /// Records the plan, runs it, reads back and records what became of it. A plan that still waits to be filed is run in its place.
    async fn pass(
        &self,
        plan: Revocation,
        decision: &Decision,
        pass: u32,
        waiting: Option<Recorded<Revocation>>,
    ) -> Result<Passed, Transient> {
        let Environment { iam, holds, docket, playbook, deny_policy, .. } = self.environment;
        let cause = self.cause.clone().decided(decision);
        let noted = own_deny(&plan);
        let note = async {
            if self.row.is_some()
                && let Err(error) = holds.note(&self.claim.target, &noted).await
            {
                docket.log(&format!("what is to be denied is not noted before it is: {error}"));
            }
        };
        let (intended, ()) = tokio::join!(self.intend(&cause, plan, pass, waiting), note);
        let Intended { recorded, late, superseded } = intended?;
        let intended = calls::now();

        let park = docket.park(holds, &self.claim.target, late.as_ref());
        let (done, parked) = tokio::join!(iam.apply(&recorded), park);
        let denied = calls::now();

        let mut outcome = self.read_back(&recorded, &done, deny_policy).await;
        let read_back = calls::now();

        let mut recorder = docket.recorder().await;
        let (target, state) = (&self.claim.target, outcome.state);
        let standing = Docket::settle(&mut recorder, holds, target, &recorded, (late, parked), &state).await;
        if standing.lost {
            outcome.state = RevocationState::Unverifiable;
        }
        let (signal, redacted) = stripped(docket.redactor(), &self.leak);
        let body = OutcomeBody {
            outcome: outcome.clone(),
            signal,
            redacted,
            decision: decision.clone(),
            timings: Timings {
                received: self.received,
                received_to_observed: self.observed.millis_since(self.received),
                received_to_intent: intended.millis_since(self.received),
                received_to_denied: denied.millis_since(self.received),
                received_to_read_back: read_back.millis_since(self.received),
            },
            round_trips: RoundTrips::count(&self.environment.calls, self.mark),
            calls: self.environment.calls.since(self.mark),
            evidence: standing.words,
            hold: if self.row.is_some() { "claimed" } else { "not available" }.to_owned(),
        };
        // What an earlier run planned, and was no longer enough, has this outcome too: it is not left open.
        for old in &superseded {
            recorder.outcome(cause.outcome(old, playbook.digest(), body.clone())).await.map_err(Transient::of)?;
        }
        let draft = cause.outcome(recorded.link(), playbook.digest(), body);
        let said = recorder.outcome(draft).await.map_err(Transient::of)?;
        // Not done while the intent is missing: the retry files it, and finds the principal as it is.
        if let Some(unfiled) = standing.unfiled {
            return Err(Transient(unfiled));
        }
        Ok(Passed { recorded, outcome, key: said.link().key.to_string(), degraded: standing.degraded })
    }

    /// Records the plan, or finds it recorded by an earlier run. One that no longer does what is needed is not run: this one is recorded
    /// beside it.
    async fn intend(
        &self,
        cause: &Cause,
        plan: Revocation,
        pass: u32,
        waiting: Option<Recorded<Revocation>>,
    ) -> Result<Intended, Transient> {
        let Environment { docket, settings, playbook, .. } = self.environment;
        let mut superseded = Vec::new();
        if let Some(waiting) = waiting {
            if waiting.value().does(&plan) {
                return Ok(Intended { recorded: waiting, late: None, superseded });
            }
            superseded.push(waiting.link().clone());
        }
        let first = pass + u32::from(!superseded.is_empty());
        for attempt in first..first + ATTEMPTS {
            let deadline = tokio::time::sleep(settings.evidence_deadline);
            let draft = cause.draft(Kind::Intent, attempt, playbook.digest(), plan.clone());
            let (recorded, late) = docket.recorder().await.intent_or_degraded(draft, deadline).await.map_err(Transient::of)?;
            if recorded.found() == Found::New || recorded.value().does(&plan) {
                return Ok(Intended { recorded, late, superseded });
            }
            superseded.push(recorded.link().clone());
        }
        Err(Transient("earlier runs have left too many plans that no longer fit".to_owned()))
    }

    /// Looks until IAM shows what it accepted, or long enough.
    async fn read_back(&self, recorded: &Recorded<Revocation>, done: &[plan::Done], deny_policy: &str) -> RevocationOutcome {
        let mut looks = 1;
        // An attached policy denies what its text says: it is read before anything is called ended by it.
        let holds = match &recorded.value().before {
            Principal::User(_) => self.environment.iam.denies_everything(deny_policy).await,
            Principal::Role(_) => Some(true),
        };
        loop {
            let after = look(&self.leak, self.environment).await.ok().flatten();
            let policy = if holds == Some(true) { deny_policy } else { "" };
            let mut outcome = judge_revocation(recorded.value(), done.to_vec(), after.as_ref(), policy);
            if holds == Some(false) {
                outcome.left_open.push(format!("{deny_policy} does not deny everything: somebody has changed it"));
                return outcome;
            }
            let refused = |done: &plan::Done| matches!(&done.did, plan::Did::Failed(trouble) if !trouble.kind.passes());
            if outcome.state == RevocationState::Revoked || looks >= LOOKS || done.iter().any(refused) {
                return outcome;
            }
            looks += 1;
            tokio::time::sleep(BETWEEN_LOOKS).await;
        }
    }

    async fn conclude_with(&self, passed: Passed, decision: &Decision) -> Result<Told, Transient> {
        let Passed { recorded, outcome, key, .. } = passed;
        if outcome.worth_another_try() {
            return Err(Transient(format!("{}: {}", outcome.state, open(&outcome))));
        }
        let plan = recorded.value();
        let denies = own_deny(plan);
        let holds = outcome.state != RevocationState::NotRevoked;
        self.conclude(&Conclusion { outcome: key, denies, holds, ..Conclusion::default() }).await;

        let ended = outcome.state == RevocationState::Revoked;
        let open = open(&outcome);
        let said = match (ended, outcome.left_open.is_empty()) {
            (true, true) => (Said::Revoked, Attention::Notify, format!("{} is ended", self.leak.credential)),
            (true, false) => (Said::Revoked, Attention::Page, format!("{} is ended; {open}", self.leak.credential)),
            (false, _) => (Said::NeedsHuman, Attention::Page, format!("{}: {open}", outcome.state)),
        };
        let mut told = told(&self.leak, said);
        told.rule = Some(decision.rule.clone());
        told.state = Some(outcome.state);
        told.credentials = outcome.credentials;
        told.survives = outcome.survives;
        told.by_hand = plan.by_hand.clone();
        Ok(told)
    }

    /// Files what earlier runs could only park. Gives back the plans that must go on waiting.
    async fn file_parked(&self) -> BTreeMap<RecordKey, Recorded<Revocation>> {
        let mut waiting = BTreeMap::new();
        for (key, bytes) in self.row.iter().flat_map(|row| &row.parked) {
            let Ok(record) = key.parse::<RecordKey>() else { continue };
            let recorder = self.environment.docket.recorder().await;
            if recorder.file(&record, bytes).await {
                let _filed_again_next_time = self.environment.holds.unpark(&self.claim.target, key).await;
            } else if let Some(recorded) = recorder.parked(&record, bytes) {
                waiting.insert(record, recorded);
            }
        }
        waiting
    }

    async fn conclude(&self, conclusion: &Conclusion) {
        if self.row.is_some()
            && let Err(error) = self.environment.holds.conclude(&self.claim, conclusion).await
        {
            self.environment.docket.log(&format!("the hold is not concluded, a redelivery will look again: {error}"));
        }
    }

    async fn let_go(&self) {
        if self.row.is_some()
            && let Err(error) = self.environment.holds.let_go(&self.claim).await
        {
            self.environment.docket.log(&format!("the lease runs out by itself: {error}"));
        }
    }
}

fn open(outcome: &RevocationOutcome) -> String {
    let mut said = Vec::new();
    for end in outcome.credentials.iter().filter(|end| end.state != plan::revoke::CredentialState::Ended) {
        let why = end.trouble.as_ref().map_or_else(String::new, |trouble| format!(", {trouble}{}", advice(trouble)));
        said.push(format!("{} is {}{why}", end.id, format!("{:?}", end.state).to_lowercase()));
    }
    said.extend(outcome.left_open.iter().cloned());
    said.join("; ")
}

/// What a person can do about what a retry cannot change.
fn advice(trouble: &Trouble) -> &'static str {
    match (trouble.kind, trouble.code.as_str()) {
        (TroubleKind::Refused, "LimitExceeded") => {
            ": the principal's policies have reached IAM's size limit; remove an inline policy, then run this again"
        }
        (TroubleKind::Denied, _) => ": an SCP, a boundary or the role's own policy keeps this function from it",
        _ => "",
    }
}
