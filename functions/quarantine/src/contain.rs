//! The containment of one instance.

use std::collections::{BTreeMap, BTreeSet};

use calls::Mark;
use docket::{Cause, Held};
use evidence::Kind;
use evidence_store::{Recorded, Worm};
use hold::{Claim, Claimed, Conclusion};
use ids::{AccountId, EniId, Region, SgId, Timestamp, VpcId};
use plan::{EndState, Group, Instance, InterfaceState, Isolate, Observed, Outcome, Pins, Plan, Trouble, judge, lint};
use playbook::{Decision, Verdict};
use responder::{Attention, Invocation, Transient};
use signal::Signal;

use crate::answer::{Answer, Said};
use crate::environment::Environment;
use crate::record::{self, OutcomeBody, RoundTrips, Timings, left_behind, strip_remarks, stripped};
use crate::{decide, decline, verdict};

/// So many times an interface that turned up meanwhile gets an intent of its own.
const PASSES: u32 = 3;

/// What the first round trip brings.
struct Seen {
    instance: Result<Option<Instance>, Trouble>,
    groups: Result<Vec<Group>, Trouble>,
    pins: Pins,
    vpcs: BTreeSet<VpcId>,
}

async fn observe<S: Worm>(signal: &Signal, environment: &Environment<S>) -> Seen {
    let vpcs = signal.vpcs();
    let (instance, groups, pins) = tokio::join!(
        environment.ec2.instance(&signal.instance.id),
        environment.ec2.sealed_groups(&vpcs),
        environment.holds.pins(&signal.account, &signal.region, &vpcs),
    );
    // Without pins the choice among our own groups is the same for everyone; only a squatter's chance is better.
    Seen { instance, groups, pins: pins.unwrap_or_default(), vpcs }
}

impl Seen {
    /// The instance with every group that may matter; the finding's VPCs were only a hint.
    async fn complete<S: Worm>(
        self,
        instance: Instance,
        signal: &Signal,
        environment: &Environment<S>,
    ) -> Result<Observed, Trouble> {
        let (mut groups, mut pins) = (self.groups?, self.pins);
        let own: BTreeSet<VpcId> = instance.interfaces.iter().map(|interface| interface.vpc.clone()).collect();
        let unseen: BTreeSet<VpcId> = own.difference(&self.vpcs).cloned().collect();
        if !unseen.is_empty() {
            let (more, more_pins) = tokio::join!(
                environment.ec2.sealed_groups(&unseen),
                environment.holds.pins(&signal.account, &signal.region, &unseen)
            );
            groups.extend(more?);
            pins.extend(more_pins.unwrap_or_default());
        }
        Ok(Observed { instance, groups, pins })
    }
}

/// Whether the function can reach the account and Region of the signal at all.
fn is_home(signal: &Signal, invocation: &Invocation) -> bool {
    invocation
        .home
        .as_ref()
        .is_none_or(|(account, region): &(AccountId, Region)| *account == signal.account && *region == signal.region)
}

fn elsewhere(signal: &Signal) -> (Said, Attention, String) {
    let reason = format!("the instance is in {} {}, where this function has no role", signal.account, signal.region);
    (Said::NeedsHuman, Attention::Page, reason)
}

/// What would be done about a signal. Nothing is changed, claimed or recorded.
pub(crate) async fn preview<S: Worm>(
    signal: &Signal,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Answer, Transient> {
    let mut answer = Answer::new(Said::Planned, Attention::None, "nothing was changed");
    answer.incident = Some(signal.incident.clone());
    answer.signal = Some(signal.id.clone());
    if !is_home(signal, invocation) {
        answer.reason = elsewhere(signal).2;
        return Ok(answer);
    }
    let seen = observe(signal, environment).await;
    let Some(instance) = seen.instance.clone().map_err(Transient::of)?.filter(|instance| !instance.is_gone()) else {
        answer.reason = format!("{} is gone: there would be nothing to contain", signal.instance.id);
        return Ok(answer);
    };
    let observed = seen.complete(instance, signal, environment).await.map_err(Transient::of)?;
    let decision = decide(environment, signal, observed.instance.tags.keys().map(String::as_str));
    answer.rule = Some(decision.rule.clone());
    answer.reason = decision.to_string();
    let cause = record::cause(environment, calls::now(), signal);
    let case = cause.case(&signal.incident, &signal.account, &decision, environment.playbook.digest(), 1);
    answer.plan = Some(plan::isolate(case, &observed, &BTreeMap::new()).to_string());
    Ok(answer)
}

/// What one pass came to.
struct Passed {
    recorded: Recorded<Plan<Isolate>>,
    outcome: Outcome,
    /// The key of the outcome's record.
    key: String,
    /// What is not as it should be with the intent, if anything.
    degraded: Option<String>,
}

/// One containment under way.
struct Work<'a, S> {
    environment: &'a Environment<S>,
    signal: Signal,
    cause: Cause,
    held: Held<'a, S>,
    mark: Mark,
    received: Timestamp,
    observed: Timestamp,
}

/// Contains the instance of a signal, if the playbook says so.
pub(crate) async fn contain<S: Worm>(
    signal: Signal,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Answer, Transient> {
    let (received, mark) = (calls::now(), environment.calls.mark());
    let cause = record::cause(environment, received, &signal);
    let decision = decide(environment, &signal, std::iter::empty());
    if decision.verdict != Verdict::Do {
        environment.docket.vouch().await;
        let said = verdict(&decision);
        return decline(environment, &cause, &signal, decision, said).await;
    }
    if !is_home(&signal, invocation) {
        environment.docket.vouch().await;
        let said = elsewhere(&signal);
        return decline(environment, &cause, &signal, decision, said).await;
    }

    let claim = Claim {
        target: signal.target(),
        owner: invocation.id.clone(),
        incident: signal.incident.clone(),
        finding: format!("{}/{}", signal.source.as_str(), signal.finding.id),
        updated_at: signal.finding.updated_at,
        now: received,
        intent: cause.key.to_string(),
    };
    let (seen, claimed, ()) =
        tokio::join!(observe(&signal, environment), environment.holds.claim(&claim), environment.docket.vouch());
    let row = match claimed {
        Ok(Claimed::Ours(row)) => Some(row),
        Ok(Claimed::Busy { until }) => return Err(Transient(format!("another invocation works on it until {until}"))),
        Ok(Claimed::Done { outcome }) => {
            let mut answer = Answer::new(Said::AlreadyDone, Attention::None, "this signal has its outcome");
            (answer.incident, answer.signal) = (Some(signal.incident), Some(signal.id));
            answer.records.push(outcome);
            return Ok(answer);
        }
        Err(error) => {
            environment.docket.log(&format!("going on without a hold: {error}"));
            None
        }
    };
    let held = Held::new(&environment.docket, &environment.holds, claim, row);
    let cause = record::cause(environment, held.first_claimed(), &signal);
    let observed = calls::now();
    let work = Work { environment, signal, cause, held, mark, received, observed };
    let answer = work.decide_and_act(seen, decision).await;
    if answer.is_err() {
        work.held.let_go().await;
    }
    answer
}

impl<S: Worm> Work<'_, S> {
    async fn decide_and_act(&self, seen: Seen, decision: Decision) -> Result<Answer, Transient> {
        let instance = match seen.instance.clone() {
            Ok(Some(instance)) if !instance.is_gone() => instance,
            Ok(_) => {
                let reason = format!("{} is gone: there is nothing to contain", self.signal.instance.id);
                return self.decline(decision, (Said::NothingToContain, Attention::Notify, reason)).await;
            }
            Err(trouble) => return self.unobserved(decision, trouble).await,
        };
        let observed = match seen.complete(instance, &self.signal, self.environment).await {
            Ok(observed) => observed,
            Err(trouble) => return self.unobserved(decision, trouble).await,
        };
        let decision = decide(self.environment, &self.signal, observed.instance.tags.keys().map(String::as_str));
        if decision.verdict != Verdict::Do {
            let said = verdict(&decision);
            return self.decline(decision, said).await;
        }
        self.act(observed, decision).await
    }

    async fn unobserved(&self, decision: Decision, trouble: Trouble) -> Result<Answer, Transient> {
        if trouble.kind.passes() {
            return Err(Transient(format!("could not observe {}: {trouble}", self.signal.instance.id)));
        }
        let reason = format!("could not observe {}: {trouble}", self.signal.instance.id);
        self.decline(decision, (Said::NeedsHuman, Attention::Page, reason)).await
    }

    async fn decline(&self, decision: Decision, said: (Said, Attention, String)) -> Result<Answer, Transient> {
        let answer = decline(self.environment, &self.cause, &self.signal, decision, said).await?;
        let outcome = answer.records.first().cloned().unwrap_or_default();
        self.held.conclude(&Conclusion { outcome, ..Conclusion::default() }).await;
        Ok(answer)
    }

    /// Plan, record, apply, read back, record; again for interfaces that turned up meanwhile.
    async fn act(&self, mut observed: Observed, decision: Decision) -> Result<Answer, Transient> {
        // First, or a retry would put another intent where the parked one belongs, and its outcome would answer a stranger.
        let mut waiting = self.held.file_parked().await;
        let mut originals = self.originals(&observed).await;
        let mut records = Vec::new();
        let mut degraded = Vec::new();
        let mut pass = 0;
        loop {
            pass += 1;
            let (incident, account) = (&self.signal.incident, &self.signal.account);
            let case = self.cause.case(incident, account, &decision, self.environment.playbook.digest(), pass);
            let mut plan = plan::isolate(case, &observed, &originals);
            strip_remarks(self.environment.docket.redactor(), &mut plan);
            if let Some(fault) = lint(&plan, &observed).first() {
                let reason = format!("the plan does not stand its check: {fault}");
                return self.decline(decision, (Said::NeedsHuman, Attention::Page, reason)).await;
            }
            let passed = self.pass(plan, &decision, pass, waiting.remove(&self.cause.key.sibling(pass, Kind::Intent))).await?;
            records.extend([passed.recorded.link().key.to_string(), passed.key.clone()]);
            degraded.extend(passed.degraded.clone());
            for before in passed.recorded.value().before.iter().filter(|before| !before.groups.is_empty()) {
                originals.entry(before.id.clone()).or_insert_with(|| before.groups.clone());
            }
            let unplanned = passed.outcome.interfaces.iter().any(|end| !end.planned && end.state == InterfaceState::Open);
            if unplanned && pass < PASSES {
                let seen = observe(&self.signal, self.environment).await;
                if let Ok(Some(instance)) = seen.instance.clone() {
                    observed = seen.complete(instance, &self.signal, self.environment).await.map_err(Transient::of)?;
                    continue;
                }
            }
            let mut answer = self.conclude_with(passed, &decision, originals, &observed).await?;
            (answer.records, answer.degraded) = (records, degraded);
            answer.degraded.extend(self.held.degraded("machine").await);
            return Ok(answer);
        }
    }

    /// Records the plan, runs it, reads back and records what became of it. A plan that still waits to be filed is run in its place.
    async fn pass(
        &self,
        plan: Plan<Isolate>,
        decision: &Decision,
        pass: u32,
        waiting: Option<Recorded<Plan<Isolate>>>,
    ) -> Result<Passed, Transient> {
        let Environment { ec2, docket, settings, playbook, .. } = self.environment;
        let cause = self.cause.clone().decided(decision);
        let (recorded, late) = if let Some(waiting) = waiting {
            (waiting, None)
        } else {
            let deadline = tokio::time::sleep(settings.evidence_deadline);
            let draft = cause.draft(Kind::Intent, pass, playbook.digest(), plan);
            docket.recorder().await.intent_or_degraded(draft, deadline).await.map_err(Transient::of)?
        };
        let intended = calls::now();

        let (done, parked) = tokio::join!(ec2.apply(&recorded), self.held.park(late.as_ref()));
        let sealed = calls::now();

        let vpcs = recorded.value().before.iter().map(|interface| interface.vpc.clone()).collect();
        let after = ec2.after(&self.signal.instance.id, &vpcs).await.ok();
        let mut outcome = judge(recorded.value(), done, after.as_ref());
        let read_back = calls::now();

        let mut recorder = docket.recorder().await;
        let state = outcome.state;
        let standing = self.held.settle(&mut recorder, &recorded, (late, parked), &state).await;
        if standing.lost {
            outcome.state = EndState::Unverifiable;
        }
        let (signal, redacted) = stripped(self.environment.docket.redactor(), &self.signal);
        let body = OutcomeBody {
            outcome: outcome.clone(),
            signal,
            redacted,
            decision: decision.clone(),
            timings: Timings {
                received: self.received,
                received_to_observed: self.observed.millis_since(self.received),
                received_to_intent: intended.millis_since(self.received),
                received_to_sealed: sealed.millis_since(self.received),
                received_to_read_back: read_back.millis_since(self.received),
            },
            round_trips: RoundTrips::count(&self.environment.calls, self.mark),
            calls: self.environment.calls.since(self.mark),
            evidence: standing.words,
            hold: self.held.words().to_owned(),
        };
        let draft = cause.outcome(recorded.link(), playbook.digest(), body);
        let said = recorder.outcome(draft).await.map_err(Transient::of)?;
        // Not done while the intent is missing: the retry files it, and finds the machine as it is.
        if let Some(unfiled) = standing.unfiled {
            return Err(Transient(unfiled));
        }
        Ok(Passed { recorded, outcome, key: said.link().key.to_string(), degraded: standing.degraded })
    }

    async fn conclude_with(
        &self,
        Passed { recorded, outcome, key, .. }: Passed,
        decision: &Decision,
        originals: BTreeMap<EniId, Vec<SgId>>,
        observed: &Observed,
    ) -> Result<Answer, Transient> {
        if outcome.worth_another_try() {
            return Err(Transient(format!("{}: {}", outcome.state, open(&outcome))));
        }
        let holds = outcome.interfaces.iter().any(|end| end.state == InterfaceState::Sealed);
        let conclusion = Conclusion { outcome: key, originals, holds, ..Conclusion::default() };
        tokio::join!(self.held.conclude(&conclusion), self.pin(&outcome, &recorded, observed));

        let contained = outcome.state == EndState::Contained;
        let said = if contained { Said::Contained } else { Said::NeedsHuman };
        let reason = if contained {
            format!("{} is sealed; connections that were open before may go on until they are idle", self.signal.instance.id)
        } else {
            format!("{}: {}", outcome.state, open(&outcome))
        };
        let mut answer = Answer::new(said, if contained { Attention::Notify } else { Attention::Page }, reason);
        answer.incident = Some(self.signal.incident.clone());
        answer.signal = Some(self.signal.id.clone());
        answer.rule = Some(decision.rule.clone());
        answer.state = Some(outcome.state);
        answer.interfaces = outcome.interfaces;
        Ok(answer)
    }

    /// What the interfaces had before anyone sealed them: from the row, and from intents whose claims came to no conclusion.
    async fn originals(&self, observed: &Observed) -> BTreeMap<EniId, Vec<SgId>> {
        let Some(row) = self.held.row() else { return BTreeMap::new() };
        let mut originals = row.originals.clone();
        let ours: BTreeSet<&SgId> = observed.groups.iter().filter(|group| group.tagged).map(|group| &group.id).collect();
        let unknown = |originals: &BTreeMap<EniId, Vec<SgId>>| {
            let interfaces = observed.instance.interfaces.iter();
            interfaces.filter(|i| i.groups.iter().any(|group| ours.contains(group))).any(|i| !originals.contains_key(&i.id))
        };
        for key in left_behind(row) {
            if !unknown(&originals) {
                break;
            }
            let Some(plan) = self.environment.docket.recorder().await.earlier::<Plan<Isolate>>(&key).await else { continue };
            for before in plan.before.into_iter().filter(|before| !before.groups.is_empty()) {
                originals.entry(before.id).or_insert(before.groups);
            }
        }
        originals
    }

    /// Pins the group that each VPC's interfaces are in now, in place of one that is there no more.
    async fn pin(&self, outcome: &Outcome, recorded: &Recorded<Plan<Isolate>>, observed: &Observed) {
        let mut used = BTreeMap::new();
        for end in outcome.interfaces.iter().filter(|end| end.state == InterfaceState::Sealed) {
            let vpc = recorded.value().before.iter().find(|before| before.id == end.id).map(|before| before.vpc.clone());
            used.extend(vpc.zip(end.after.first().cloned()));
        }
        for (vpc, group) in used {
            let gone = observed.pins.get(&vpc).filter(|pinned| !observed.groups.iter().any(|group| group.id == **pinned));
            let _the_next_plan_chooses_alike =
                self.environment.holds.pin(&self.signal.account, &self.signal.region, &vpc, &group, gone).await;
        }
    }
}

fn open(outcome: &Outcome) -> String {
    let mut said = Vec::new();
    for end in outcome.interfaces.iter().filter(|end| end.state != InterfaceState::Sealed) {
        let why = end.trouble.as_ref().map_or_else(String::new, |trouble| format!(", {trouble}"));
        said.push(format!("{} is {}{why}", end.id, format!("{:?}", end.state).to_lowercase()));
    }
    said.extend(outcome.left_open.iter().cloned());
    said.join("; ")
}
