//! The end of one credential.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use calls::Mark;
use docket::{Cause, DecisionBody, Held, claim_in_turn};
use evidence::{Kind, Link};
use evidence_store::{Found, Late, Recorded, Worm};
use hold::{Claim, Claimed, Conclusion};
use ids::{IncidentId, Region, Timestamp};
use plan::revoke::{
    Denies, Deny, Principal, Revocation, RevocationOutcome, RevocationState, Revoke, Role, Rule, Users, judge_revocation,
    pattern_of, revoke,
};
use plan::{Case, Trouble, TroubleKind};
use playbook::{Decision, LeakFacts, RoleUsers, Verdict};
use responder::{Attention, Invocation, Transient};
use revocation::{Holder, Iam, has_lapsed, no_entry};
use signal::{Credential, Leak, LeakSource};

use crate::answer::{Said, Told};
use crate::environment::Environment;
use crate::record::{self, OutcomeBody, RoundTrips, Timings, stripped};

/// So many times IAM is looked at, half a second apart, until it shows what it accepted: it is eventually consistent (IAM user guide,
/// "Changes that I make are not always immediately visible").
const LOOKS: u32 = 12;
const BETWEEN_LOOKS: Duration = Duration::from_millis(500);
/// So many plans that earlier runs recorded may have been overtaken before a person has to look.
const ATTEMPTS: u32 = 8;
/// A plan that has to be made again because a step showed something that could not be seen is made again so often.
const PASSES: u32 = 2;

fn decide<S: Worm>(environment: &Environment<S>, leak: &Leak, users: RoleUsers) -> Decision {
    let procedure = pattern_of(&leak.credential).is_some_and(|pattern| pattern.procedure.is_some());
    let facts = LeakFacts { protected: environment.protects(leak), procedure, users };
    environment.playbook.decide(leak, facts, &environment.settings.posture(&leak.account))
}

/// What the playbook is told of a role's users; nothing, where they are not counted.
fn role_users<S>(environment: &Environment<S>, users: Option<&Users>, repeated: Option<u32>) -> RoleUsers {
    let (count, known) = users.map_or((0, false), |users| (users.count, users.known()));
    RoleUsers { count, known, cap: environment.role_users, repeated }
}

/// As if a role had few enough users: whether counting them can change anything.
const FEW: RoleUsers = RoleUsers { count: 1, known: true, cap: 1, repeated: None };

/// The decision before anything is looked at. What would be done instead of nothing is told as if nobody had counted, which is so.
fn decide_at_once<S: Worm>(environment: &Environment<S>, leak: &Leak, repeated: Option<u32>) -> Decision {
    let decision = decide(environment, leak, FEW);
    match decision.verdict {
        Verdict::Do | Verdict::AskHuman => decision,
        Verdict::NotifyOnly => decide(environment, leak, role_users(environment, None, repeated)),
    }
}

/// Who has sessions of the role, if all of them are to end.
async fn users<S: Worm>(
    leak: &Leak,
    seen: &Result<Option<Principal>, Trouble>,
    region: &Region,
    environment: &Environment<S>,
) -> Option<Users> {
    match (&leak.credential, seen) {
        (Credential::WholeRole { .. }, Ok(Some(Principal::Role(role)))) => {
            // It has just been looked at: the way there is open.
            let iam = environment.iam(leak).await.ok()?;
            let sightings = iam.sightings(role, Users::since(role, calls::now())).await;
            Some(
                Users::count(role, &sightings, region, calls::now()).map_texts(&|text| environment.docket.redactor().text(&text).0),
            )
        }
        _ => None,
    }
}

/// The function's Region, if it works in the account of the credential at all. IAM is the same in every Region; instances are in the
/// function's, which GuardDuty's findings come to.
fn region<'a, S: Worm>(leak: &Leak, invocation: &'a Invocation, environment: &Environment<S>) -> Option<&'a Region> {
    invocation.home.as_ref().filter(|_| environment.reaches(&leak.account)).map(|(_, region)| region)
}

fn elsewhere(leak: &Leak) -> (Said, Attention, String) {
    let reason = format!(
        "{} is of account {}, where this function has no role: deploy infra/member.yaml there, and set MemberRoleName and OrganizationId here",
        leak.credential, leak.account
    );
    (Said::NeedsHuman, Attention::Page, reason)
}

/// What it amounts to that STS does not let us into the account: a retry does not change it, deploying does.
fn no_way_in<S: Worm>(leak: &Leak, code: &str, environment: &Environment<S>) -> (Said, Attention, String) {
    let (account, role) = (&leak.account, environment.member_role(&leak.account));
    let reason = format!(
        "{} is of account {account}, and {role} could not be assumed ({code}): deploy infra/member.yaml in account {account}, with this \
         function's role in RevokeRoleArns, then run this again. StackSets skip the organisation's management account: if it is that one, \
         deploy it there as a stack of its own",
        leak.credential
    );
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

fn by_hand(leak: &Leak, users: Option<&Users>) -> Vec<String> {
    let steps = pattern_of(&leak.credential).map(|pattern| pattern.by_hand).unwrap_or_default();
    let mut steps: Vec<_> = steps.iter().map(|&step| step.to_owned()).collect();
    if let (Credential::WholeRole { role }, Some(users)) = (&leak.credential, users) {
        let account = &leak.account;
        let command = format!("cordon revoke --role {role} --account {account} --every-session --users {}", users.count);
        steps.push(format!("if all of these are to be hit: {command}"));
    }
    steps
}

/// What a decision that changes nothing amounts to.
fn verdict(decision: &Decision, leak: &Leak, users: Option<&Users>) -> (Said, Attention, String) {
    match (decision.verdict, users) {
        // A person who has asked is told who would be hit, and nobody else is woken up.
        (Verdict::AskHuman, Some(users)) => {
            let attention = if leak.source == LeakSource::Hand { Attention::Notify } else { Attention::Page };
            (Said::AskHuman, attention, format!("{decision} It would hit {users}"))
        }
        (Verdict::AskHuman, None) => (Said::AskHuman, Attention::Page, decision.to_string()),
        (Verdict::Do | Verdict::NotifyOnly, _) => (Said::NotifyOnly, Attention::Notify, decision.to_string()),
    }
}

/// The leak with the name of its key's user, which IAM is asked for where the report has none. None: IAM does not know the key.
async fn named<S: Worm>(leak: Leak, environment: &Environment<S>) -> Result<Option<Leak>, Trouble> {
    match &leak.credential {
        Credential::UserKey { key, user: None } => match environment.iam(&leak).await?.holder(key).await? {
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
        // Where the account cannot be reached, looking at whom the report names says so.
        Credential::UserKey { key, .. } => match environment.iam(leak).await {
            Ok(iam) => iam.holder(key).await.unwrap_or(Holder::Unknown),
            Err(_) => Holder::Unknown,
        },
        _ => Holder::Unknown,
    }
}

/// The principal, as IAM shows it: by another session, if AWS says that ours in that account has lapsed.
async fn look<S: Worm>(leak: &Leak, environment: &Environment<S>) -> Result<Option<Principal>, Trouble> {
    let seen = look_once(leak, environment).await;
    match &seen {
        Err(trouble) if has_lapsed(trouble) && environment.forget(&leak.account).await => look_once(leak, environment).await,
        _ => seen,
    }
}

async fn look_once<S: Worm>(leak: &Leak, environment: &Environment<S>) -> Result<Option<Principal>, Trouble> {
    match &leak.credential {
        Credential::UserKey { user: Some(user), .. } | Credential::UserSession { user, .. } => {
            environment.iam(leak).await?.user(user).await
        }
        Credential::RoleSession { role, .. } | Credential::InstanceSession { role, .. } | Credential::WholeRole { role } => {
            environment.iam(leak).await?.role(role).await
        }
        Credential::UserKey { user: None, .. }
        | Credential::Federated { .. }
        | Credential::Root { .. }
        | Credential::Unnamed { .. } => Ok(None),
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
        Credential::UserKey { user: None, .. }
        | Credential::Federated { .. }
        | Credential::Root { .. }
        | Credential::Unnamed { .. } => leak.target(),
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
    repeated: Option<u32>,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Told, Transient> {
    let planned = |leak: &Leak, reason: String| told(leak, (Said::Planned, Attention::None, reason));
    let Some(region) = region(leak, invocation, environment) else { return Ok(planned(leak, elsewhere(leak).2)) };
    if pattern_of(&leak.credential).is_none_or(|pattern| pattern.procedure.is_none()) {
        let decision = decide_at_once(environment, leak, repeated);
        return Ok(Told { rule: Some(decision.rule.clone()), by_hand: by_hand(leak, None), ..planned(leak, decision.to_string()) });
    }
    let leak = match named(leak.clone(), environment).await {
        Ok(Some(leak)) => leak,
        Ok(None) => return Ok(planned(leak, gone(leak).2)),
        Err(trouble) => return Ok(planned(leak, unobserved(leak, &trouble, environment)?.2)),
    };
    let seen = look(&leak, environment).await;
    let users = users(&leak, &seen, region, environment).await;
    let decision = decide(environment, &leak, role_users(environment, users.as_ref(), repeated));
    let seen = match seen {
        Ok(Some(seen)) => seen,
        Ok(None) => return Ok(planned(&leak, gone(&leak).2)),
        Err(trouble) => return Ok(planned(&leak, unobserved(&leak, &trouble, environment)?.2)),
    };
    let cause = record::cause(environment, calls::now(), &leak);
    let case = cause.case(&leak.incident, &leak.account, &decision, environment.playbook.digest(), 1);
    let (rule_id, reason) = (Some(decision.rule.clone()), verdict_words(&decision, &leak, users.as_ref()));
    let rule = Rule { users: users.clone(), ..rule(environment, &leak, region, case, (Denies::default(), false)) };
    let plan = revoke(rule, &leak, seen);
    Ok(Told { rule: rule_id, users, plan: plan.map(|plan| plan.to_string()), ..planned(&leak, reason) })
}

/// The decision, and whom it would hit where that is why it asks.
fn verdict_words(decision: &Decision, leak: &Leak, users: Option<&Users>) -> String {
    if decision.verdict == Verdict::Do { decision.to_string() } else { verdict(decision, leak, users).2 }
}

fn rule<S: Worm>(
    environment: &Environment<S>,
    leak: &Leak,
    region: &Region,
    case: Case,
    (standing, attachments_full): (Denies, bool),
) -> Rule {
    let seen = leak.finding.as_ref().and_then(|finding| finding.last_seen);
    Rule {
        case,
        region: region.clone(),
        deny_policy: environment.deny_policy(&leak.account),
        standing,
        reported: seen.unwrap_or(leak.at),
        since: leak.since,
        attachments_full,
        users: None,
    }
}

/// Ends the credential of a leak, if the playbook says so. `repeated` is the number of users that a person has given with the request.
pub(crate) async fn end<S: Worm>(
    leak: Leak,
    repeated: Option<u32>,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Told, Transient> {
    let (received, mark) = (calls::now(), environment.calls.mark());
    let decision = decide_at_once(environment, &leak, repeated);
    if decision.verdict != Verdict::Do {
        let said = verdict(&decision, &leak, None);
        return decline_at_once(environment, received, &leak, decision, said).await;
    }
    let Some(region) = region(&leak, invocation, environment) else {
        return decline_at_once(environment, received, &leak, decision, elsewhere(&leak)).await;
    };

    // Only a bare key costs this round trip: every other report says whose it is.
    let told = leak.clone();
    let mut leak = match named(leak, environment).await {
        Ok(Some(leak)) => leak,
        Ok(None) => return decline_at_once(environment, received, &told, decision, gone(&told)).await,
        Err(trouble) => {
            let said = unobserved(&told, &trouble, environment)?;
            return decline_at_once(environment, received, &told, decision, said).await;
        }
    };
    // Whom the report names is looked at at once, and IAM asked beside it whether the key is still theirs. If not, whoever has it is
    // looked at instead, by IAM's own word this time.
    let mut asked = leak != told;
    let (claim, (seen, users), claimed) = loop {
        let claim = claim_of(&leak, invocation, received, environment);
        let holder = async { if asked { Holder::Unknown } else { holder(&leak, environment).await } };
        let looking = async {
            let seen = look(&leak, environment).await;
            let users = users(&leak, &seen, region, environment).await;
            (seen, users)
        };
        let (seen, claimed, holder, ()) =
            tokio::join!(looking, claim_in_turn(&environment.holds, &claim), holder, environment.docket.vouch());
        let now = held_by(leak.clone(), holder);
        if now == leak {
            break (claim, seen, claimed);
        }
        if let Ok((Claimed::Ours(row), _)) = claimed {
            Held::new(&environment.docket, &environment.holds, claim, Some(row)).let_go().await;
        }
        (leak, asked) = (now, true);
    };
    let (row, seen) = match claimed {
        Ok((Claimed::Ours(row), at_once)) => {
            // Whoever had the lease may have changed what was seen meanwhile.
            let seen = if at_once { seen } else { look(&leak, environment).await };
            (Some(row), seen)
        }
        Ok((Claimed::Busy { until }, _)) => return Err(Transient(format!("another invocation works on it until {until}"))),
        Ok((Claimed::Done { outcome }, _)) => {
            let mut told = self::told(&leak, (Said::AlreadyDone, Attention::None, "this report has its outcome".to_owned()));
            told.records.push(outcome);
            return Ok(told);
        }
        Err(error) => {
            environment.docket.log(&format!("going on without a hold: {error}"));
            (None, seen)
        }
    };
    let held = Held::new(&environment.docket, &environment.holds, claim, row);
    let cause = record::cause(environment, held.first_claimed(), &leak);
    let observed = calls::now();
    let work = Work { environment, leak, region, cause, held, mark, received, observed, users, repeated };
    let answer = work.decide_and_act(seen).await;
    if answer.is_err() {
        work.held.let_go().await;
    }
    answer
}

/// Records that nothing is changed where nothing is claimed either.
async fn decline_at_once<S: Worm>(
    environment: &Environment<S>,
    received: Timestamp,
    leak: &Leak,
    decision: Decision,
    said: (Said, Attention, String),
) -> Result<Told, Transient> {
    environment.docket.vouch().await;
    let cause = record::cause(environment, received, leak);
    decline(environment, &cause, leak, None, decision, said).await
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

/// Records that nothing is changed, and why.
async fn decline<S: Worm>(
    environment: &Environment<S>,
    cause: &Cause,
    leak: &Leak,
    users: Option<&Users>,
    decision: Decision,
    (said, attention, reason): (Said, Attention, String),
) -> Result<Told, Transient> {
    let Environment { docket, playbook, .. } = environment;
    let rule = decision.rule.clone();
    let (signal, redacted) = stripped(docket.redactor(), leak);
    let reason = docket.redactor().text(&reason).0;
    let steps = if matches!(said, Said::AskHuman | Said::NeedsHuman) { by_hand(leak, users) } else { Vec::new() };
    let body = DecisionBody { decision, signal, reason: reason.clone(), by_hand: steps.clone(), redacted };
    let link = docket.decline(cause, body, playbook.deciding(), playbook.digest()).await.map_err(Transient::of)?;
    let mut told = told(leak, (said, attention, reason));
    (told.rule, told.by_hand) = (Some(rule), steps);
    told.records.push(link.key.to_string());
    Ok(told)
}

/// What it amounts to that IAM could not be asked: it is tried again where that can help.
fn unobserved<S: Worm>(
    leak: &Leak,
    trouble: &Trouble,
    environment: &Environment<S>,
) -> Result<(Said, Attention, String), Transient> {
    if let Some(code) = no_entry(trouble) {
        return Ok(no_way_in(leak, code, environment));
    }
    let reason = format!("could not observe {}: {trouble}", leak.credential);
    if trouble.kind.passes() { Err(Transient(reason)) } else { Ok((Said::NeedsHuman, Attention::Page, reason)) }
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
    region: &'a Region,
    cause: Cause,
    held: Held<'a, S>,
    mark: Mark,
    received: Timestamp,
    observed: Timestamp,
    /// Who has sessions of the role, where all of them are to end.
    users: Option<Users>,
    repeated: Option<u32>,
}

impl<S: Worm> Work<'_, S> {
    async fn decide_and_act(&self, seen: Result<Option<Principal>, Trouble>) -> Result<Told, Transient> {
        // By the name that IAM gives: a bare key's user may be protected, and a key may be root's.
        let users = role_users(self.environment, self.users.as_ref(), self.repeated);
        let decision = decide(self.environment, &self.leak, users);
        // Nobody has counted because there is nothing to count, or no way to look: that is told instead.
        let whole = matches!(self.leak.credential, Credential::WholeRole { .. });
        let was_seen = !whole || matches!(seen, Ok(Some(_)));
        if decision.verdict != Verdict::Do && was_seen {
            let said = verdict(&decision, &self.leak, self.users.as_ref());
            return self.decline(decision, said).await;
        }
        match seen {
            Ok(Some(seen)) => self.act(seen, &decision).await,
            Ok(None) => self.decline(decision, missing(&self.leak)).await,
            Err(trouble) => self.decline(decision, unobserved(&self.leak, &trouble, self.environment)?).await,
        }
    }

    async fn decline(&self, decision: Decision, said: (Said, Attention, String)) -> Result<Told, Transient> {
        let mut told = decline(self.environment, &self.cause, &self.leak, self.users.as_ref(), decision, said).await?;
        told.users.clone_from(&self.users);
        let outcome = told.records.first().cloned().unwrap_or_default();
        self.held.conclude(&Conclusion { outcome, ..Conclusion::default() }).await;
        Ok(told)
    }

    /// What other incidents need on the same role, by the table.
    fn standing(&self) -> Denies {
        let rows = self.held.row().into_iter().flat_map(|row| &row.denies);
        let read = rows.filter_map(|(incident, text)| Some((incident.clone(), serde_json::from_str(text).ok()?)));
        Denies(read.collect())
    }

    /// Plan, record, apply, read back, record; once more if a step has shown that it has to be done another way.
    async fn act(&self, mut seen: Principal, decision: &Decision) -> Result<Told, Transient> {
        let (mut records, mut degraded) = (Vec::new(), Vec::new());
        let mut waiting = self.held.file_parked().await;
        let mut full = false;
        let mut pass = 1;
        loop {
            let key = self.cause.key.sibling(pass, Kind::Intent);
            let (incident, account) = (&self.leak.incident, &self.leak.account);
            let case = self.cause.case(incident, account, decision, self.environment.playbook.digest(), pass);
            let rule = rule(self.environment, &self.leak, self.region, case, (self.standing(), full));
            let rule = Rule { users: self.users.clone(), ..rule };
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
            told.degraded.extend(self.held.degraded("principal").await);
            return Ok(told);
        }
    }

    /// Records the plan, runs it, reads back and records what became of it. A plan that still waits to be filed is run in its place.
    async fn pass(
        &self,
        plan: Revocation,
        decision: &Decision,
        pass: u32,
        waiting: Option<Recorded<Revocation>>,
    ) -> Result<Passed, Transient> {
        let Environment { docket, playbook, .. } = self.environment;
        let cause = self.cause.clone().decided(decision);
        let noted = own_deny(&plan);
        let (intended, ()) = tokio::join!(self.intend(&cause, plan, pass, waiting), self.held.note(&noted));
        let Intended { recorded, late, superseded } = intended?;
        let intended = calls::now();

        // What was looked at with is at hand, unless its session has run out just now.
        let iam = self.environment.iam(&self.leak).await.map_err(Transient::of)?;
        let (done, parked) = tokio::join!(iam.apply(&recorded), self.held.park(late.as_ref()));
        let denied = calls::now();

        let mut outcome = self.read_back(&iam, &recorded, &done).await;
        let read_back = calls::now();

        let mut recorder = docket.recorder().await;
        let state = outcome.state;
        let standing = self.held.settle(&mut recorder, &recorded, (late, parked), &state).await;
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
            hold: self.held.words().to_owned(),
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
    async fn read_back(&self, iam: &Iam, recorded: &Recorded<Revocation>, done: &[plan::Done]) -> RevocationOutcome {
        // An attached policy denies what its text says: that is read before anything is called ended by it.
        let deny = match &recorded.value().before {
            Principal::User(_) => iam.deny(&self.environment.deny_policy(&self.leak.account)).await,
            Principal::Role(_) => Deny::Unread,
        };
        let refused = |done: &plan::Done| matches!(&done.did, plan::Did::Failed(trouble) if !trouble.kind.passes());
        let mut looks = 1;
        loop {
            let after = look(&self.leak, self.environment).await.ok().flatten();
            let outcome = judge_revocation(recorded.value(), done.to_vec(), after.as_ref(), &deny);
            let hopeless = deny == Deny::Changed || done.iter().any(refused);
            if outcome.state == RevocationState::Revoked || looks >= LOOKS || hopeless {
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
        // A release goes by what was changed; that nothing was is worth remembering where nothing else is.
        let known = self.held.row().is_some_and(|row| row.records.contains_key(&self.leak.incident));
        let records = if holds && (!plan.steps.is_empty() || !known) { BTreeSet::from([key.clone()]) } else { BTreeSet::new() };
        let conclusion = Conclusion { outcome: key, denies, holds, records, ..Conclusion::default() };
        tokio::join!(self.held.conclude(&conclusion), self.held.point());

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
        told.users.clone_from(&self.users);
        told.credentials = outcome.credentials;
        told.survives = outcome.survives;
        told.by_hand = plan.by_hand.clone();
        Ok(told)
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
        (_, plan::revoke::DENY_CHANGED) => ": somebody has changed what the deny-all policy says; put it back, then run this again",
        (TroubleKind::Denied, _) => ": an SCP, a boundary or the role's own policy keeps this function from it",
        _ => "",
    }
}
