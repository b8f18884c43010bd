//! Everybody at once, in every order: approvers, an impostor, a denier, two workers, a clock, and somebody who can write the table.
//!
//! A worker reads the row and the records, works out a step, records what has to be, writes under the step's condition, and calls STS if the step
//! says so. Each of these is a move of its own; between any two of them anyone else may move, and the worker may die. A message that is lost
//! is a job that nobody starts, one that comes twice is started twice, and late is whenever. So there are no messages.

use std::hash::Hash;
use std::sync::Arc;

use stateright::{Checker, Model, Property};

use super::*;
use crate::{Closed, Denial, Ending, Mint, Reason, Step};

/// The moments that there are, in minutes: on both sides of each deadline. Approvals until 240; what is approved at 0 is minted until 30, and
/// what is minted at 0 ends at 46 and is denied until 51.
const ALL: &[u64] = &[0, 20, 31, 76, 241];
/// Fewer, where there is more to do in each.
const FEW: &[u64] = &[0, 20, 76];

/// One who writes an approval record. The record is genuine: what it is worth is for the grant to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trick {
    /// Alice, with another permission set.
    Herself,
    /// Bob again, in another spelling and with another permission set.
    Twice,
    /// A role's session in Dave's name.
    Role,
    /// Somebody whom policy does not let.
    Stranger,
    /// Dave, who saw another key.
    OtherTerms,
    /// Dave, of another grant.
    OtherGrant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Job {
    Decide,
    Mint,
    Renew,
    Deny,
    Revoke,
    Expire,
    /// What reconcile does of a denial or an end that is on record and not in the row.
    Follow,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Worker {
    Idle,
    /// It has read, and knows its step.
    Ready(Job, Arc<Step>),
    /// It has recorded what has to be recorded first.
    Recorded(Job, Arc<Step>),
    /// Its write has won, and it may call STS once.
    Won(Mint),
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Session {
    serial: u32,
    /// Minutes.
    until: u64,
    /// How many of those who count had approved in time, by the model's own reckoning.
    quorum: usize,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    moment: usize,
    row: Arc<Grant>,
    records: Arc<Records>,
    /// Bob's approval, Carol's, and the trick.
    approved: [bool; 3],
    /// When the second of the first two came.
    quorum_at: Option<u64>,
    workers: [Worker; 2],
    sessions: Vec<Session>,
    /// Writes that made it active.
    begun: u8,
    /// The end that the first of them set, in minutes.
    ends: Option<u64>,
    /// A write that closes has won.
    closed: bool,
    /// A write that opens has won after that.
    revived: bool,
    forged: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Move {
    Tick,
    Approve(usize),
    Start(usize, Job),
    Record(usize),
    Write(usize),
    Call(usize),
    Die(usize),
    /// The row is as it was at first.
    SetBack,
    /// The row is as if all were over.
    SetOver,
}

struct Life {
    trick: Option<Trick>,
    jobs: Vec<Job>,
    forger: bool,
    moments: &'static [u64],
    opened: Grant,
    terms: Terms,
    reason: Reason,
}

impl Life {
    fn new(trick: Option<Trick>, jobs: &[Job], forger: bool, moments: &'static [u64]) -> Self {
        let opened = requested(two());
        Self { trick, jobs: jobs.to_vec(), forger, moments, terms: opened.terms.clone(), opened, reason: "no".parse().unwrap() }
    }

    fn now(&self, world: &World) -> Timestamp {
        at(self.moments[world.moment])
    }

    fn basis(&self, records: &Records) -> Basis {
        Basis {
            records: records.clone(),
            eligible: eligible(),
            derived: self.terms.clone(),
            unreviewed: BTreeSet::new(),
            reserved: Denies::default(),
            other_policies: 0,
        }
    }

    fn work_out(&self, world: &World, job: Job) -> Option<Step> {
        let (row, records) = (&world.row, &world.records);
        let dave = person("dave@example.com", "Approver");
        let eligible = eligible();
        let denying = Event::Deny { by: &dave, reason: &self.reason, eligible: &eligible, records };
        let revoked = Ending::Revoked { by: bob(), reason: self.reason.clone() };
        let basis = self.basis(records);
        let event = match job {
            Job::Decide => Event::Decide(&basis),
            Job::Mint => Event::Mint(&basis),
            Job::Renew => Event::Renew { by: &self.opened.terms.requester, basis: &basis },
            Job::Deny => denying,
            Job::Revoke => Event::End { how: &revoked, records },
            Job::Expire => Event::Expire,
            Job::Follow if !records.closed.is_empty() => Event::End { how: &revoked, records },
            Job::Follow if records.denials.is_empty() => return None,
            Job::Follow if !records.minted.is_empty() => Event::End { how: &revoked, records },
            Job::Follow => denying,
        };
        row.step(event, self.now(world)).ok()
    }

    fn approval(&self, which: usize, minutes: u64) -> Approval {
        let dave = person("dave@example.com", "Approver");
        let mut approval = approval(&self.opened, bob(), minutes);
        match (which, self.trick) {
            (0, _) => {}
            (1, _) => approval.by = carol(),
            (_, None) => {}
            (_, Some(Trick::Herself)) => approval.by = person("Alice@example.com", "Approver"),
            (_, Some(Trick::Twice)) => approval.by = person("BOB@example.com", "Developer"),
            (_, Some(Trick::Role)) => {
                approval.by = Who::Role { id: "role/123456789012/ci".to_owned(), session: Some("dave@example.com".to_owned()) };
            }
            (_, Some(Trick::Stranger)) => approval.by = person("mallory@example.com", "Approver"),
            (_, Some(Trick::OtherTerms)) => (approval.by, approval.terms) = (dave, Sha256::of(b"other")),
            (_, Some(Trick::OtherGrant)) => (approval.by, approval.grant) = (dave, ids::GrantId::derive("other", "")),
        }
        approval
    }

    fn minutes(time: Timestamp) -> u64 {
        u64::try_from(time.millis_since(at(0))).unwrap().div_ceil(60_000)
    }

    /// Whether there is a quorum in time, by the model's own reckoning.
    fn quorum(world: &World) -> usize {
        world.approved.iter().take(2).filter(|approved| **approved).count()
    }
}

impl Model for Life {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        let records = Records { opened: Some(self.opened.request_record()), ..Records::default() };
        vec![World {
            moment: 0,
            row: Arc::new(self.opened.clone()),
            records: Arc::new(records),
            approved: [false; 3],
            quorum_at: None,
            workers: [Worker::Idle, Worker::Idle],
            sessions: Vec::new(),
            begun: 0,
            ends: None,
            closed: false,
            revived: false,
            forged: false,
        }]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        if world.moment + 1 < self.moments.len() {
            moves.push(Move::Tick);
        }
        // One approver at a time in a fixed order of the two good ones: which of them comes first makes no difference.
        for which in 0..if self.trick.is_some() { 3 } else { 2 } {
            let early = [0, 20].contains(&self.moments[world.moment]);
            if !world.approved[which] && early && (which != 1 || world.approved[0]) {
                moves.push(Move::Approve(which));
            }
        }
        // The workers are alike: the second begins when the first is at it.
        for n in 0..2 {
            match &world.workers[n] {
                Worker::Idle if n == 0 || world.workers[0] != Worker::Idle => {
                    moves.extend(self.jobs.iter().map(|job| Move::Start(n, *job)));
                }
                Worker::Idle => {}
                Worker::Ready(..) => moves.extend([Move::Record(n), Move::Die(n)]),
                Worker::Recorded(..) => moves.extend([Move::Write(n), Move::Die(n)]),
                Worker::Won(_) => moves.extend([Move::Call(n), Move::Die(n)]),
            }
        }
        if self.forger && !world.forged && world.row.revision > 0 {
            moves.extend([Move::SetBack, Move::SetOver]);
        }
    }

    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        let mut world = last.clone();
        let now = self.now(last);
        match action {
            Move::Tick => world.moment += 1,
            Move::Approve(which) => {
                world.approved[which] = true;
                Arc::make_mut(&mut world.records).approvals.push(self.approval(which, self.moments[last.moment]));
                // The order of records means nothing.
                Arc::make_mut(&mut world.records).approvals.sort_by_key(|approval| approval.by.id());
                if which < 2 && Self::quorum(&world) == 2 {
                    world.quorum_at = Some(self.moments[last.moment]);
                }
            }
            Move::Start(n, job) => {
                // Bounds on what is explored: one renewal, two tries to begin that died.
                if (job == Job::Renew && last.row.sessions >= 2) || (last.records.minted.len() >= 3) {
                    return None;
                }
                world.workers[n] = Worker::Ready(job, Arc::new(self.work_out(last, job)?));
            }
            Move::Record(n) => {
                let Worker::Ready(job, step) = &last.workers[n] else { return None };
                let records = Arc::make_mut(&mut world.records);
                // Created once, by whoever is first.
                if let Some(mint) = &step.mint
                    && records.minted.iter().any(|minted| minted.serial == mint.record.serial)
                {
                    world.workers[n] = Worker::Idle;
                    return Some(world);
                }
                records.minted.extend(step.mint.iter().map(|mint| mint.record.clone()));
                if records.denials.is_empty() {
                    records.denials.extend(step.grant.denial_record().map(|denial| Denial { at: at(0), ..denial }));
                }
                if let Some(closed) = step.grant.closed()
                    && !records.closed.contains(&closed)
                {
                    records.closed.push(closed);
                }
                world.workers[n] = Worker::Recorded(*job, step.clone());
            }
            Move::Write(n) => {
                let Worker::Recorded(_, step) = &last.workers[n] else { return None };
                world.workers[n] = Worker::Idle;
                if step.when.row_is(Some(&last.row)) {
                    let opens = step.mint.is_some() || matches!(step.grant.state, State::Approved { .. });
                    world.revived |= opens && last.closed;
                    world.closed |= step.grant.state.is_final();
                    if let State::Active { ends, .. } = &step.grant.state
                        && !matches!(last.row.state, State::Active { .. })
                    {
                        world.begun += 1;
                        world.ends = world.ends.or(Some(Self::minutes(*ends)));
                    }
                    world.row = Arc::new(step.grant.clone());
                    if let Some(mint) = &step.mint {
                        world.workers[n] = Worker::Won(mint.clone());
                    }
                }
            }
            Move::Call(n) => {
                let Worker::Won(mint) = &last.workers[n] else { return None };
                if now < mint.call_before {
                    // At the last moment that it may.
                    let until = Self::minutes(mint.call_before.plus(Duration::from_secs(mint.seconds.into())));
                    world.sessions.push(Session { serial: mint.record.serial, until, quorum: Self::quorum(last) });
                }
                world.workers[n] = Worker::Idle;
            }
            Move::Die(n) => world.workers[n] = Worker::Idle,
            Move::SetBack => {
                world.forged = true;
                world.row = Arc::new(self.opened.clone());
            }
            Move::SetOver => {
                world.forged = true;
                Arc::make_mut(&mut world.row).state = State::Ended { at: now, how: Ending::RanOut, deny_until: None };
            }
        }
        if world.workers[0] == Worker::Idle {
            world.workers.swap(0, 1);
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("no session without a quorum of different people who may", |_, world| {
                world.sessions.iter().all(|session| session.quorum >= 2)
            }),
            Property::<Self>::always("no session outlives the end that the first write set", |_, world| {
                world.sessions.iter().all(|session| world.ends.is_some_and(|ends| session.until <= ends))
            }),
            Property::<Self>::always("one session for each number", |_, world| {
                let serials: BTreeSet<u32> = world.sessions.iter().map(|session| session.serial).collect();
                serials.len() == world.sessions.len()
            }),
            Property::<Self>::always("one mint for a decision", |_, world| world.begun <= 1 || world.forged),
            Property::<Self>::always("what is denied, expired or ended never opens again", |_, world| {
                !world.revived || world.forged
            }),
            // Whatever the row says.
            Property::<Self>::always("nothing opens once a denial or an end is on record", |model, world| {
                let over = !world.records.closed.is_empty() || !world.records.denials.is_empty();
                !over || [Job::Decide, Job::Mint, Job::Renew].iter().all(|job| model.work_out(world, *job).is_none())
            }),
            // The sessions that may be alive after an early end are denied until the last of them is over, and no longer. Whoever sets the row back to
            // a revision that it had lets an end win that was worked out before there was a session: the next property is for that.
            Property::<Self>::always("what ended is denied until it has run out", |model, world| {
                let closed: Vec<_> = world.records.closed.iter().cloned().chain(world.row.closed()).collect();
                let alive = world.sessions.iter().any(|session| at(session.until) > model.now(world));
                let ended_early = world.closed && !world.records.closed.is_empty() && world.row.state.name() == "ended";
                let denied = Denies::derive(&model.opened.terms.role, &closed, model.now(world)).has(&model.opened.id);
                // A run that died after its record may have made a session, as far as anyone can tell: that is denied too.
                let ends = world.ends.or(world.records.minted.first().map(|minted| Self::minutes(minted.ends)));
                let over = ends.is_none_or(|ends| at(ends + 5) <= model.now(world));
                (!ended_early || !alive || denied || world.forged) && (!over || !denied)
            }),
            // Whatever the row says.
            Property::<Self>::always("a session that is alive and not denied can be ended, and then is denied", |model, world| {
                let now = model.now(world);
                let alive = world.sessions.iter().any(|session| at(session.until) > now);
                let denied = |ends: &[Closed]| Denies::derive(&model.opened.terms.role, ends, now).has(&model.opened.id);
                let ended = || model.work_out(world, Job::Revoke).and_then(|step| step.grant.closed());
                !alive || denied(&world.records.closed) || ended().is_some_and(|closed| denied(&[closed]))
            }),
            // What is on record and not in the row can always be followed up, so a death between the two loses nothing.
            Property::<Self>::always("a recorded end or denial can always reach the row", |model, world| {
                let recorded = !world.records.closed.is_empty() || !world.records.denials.is_empty();
                !recorded || world.row.state.is_final() || model.work_out(world, Job::Follow).is_some()
            }),
            Property::<Self>::always("what has a quorum in time can be decided", |model, world| {
                let now = model.moments[world.moment];
                let in_time = world.quorum_at.is_some_and(|quorum| now < quorum + 30 && now < 240);
                let open = world.records.denials.is_empty() && world.records.closed.is_empty();
                let waits = in_time && open && world.row.state == State::Requested;
                !waits || model.work_out(world, Job::Decide).is_some()
            }),
            Property::<Self>::always("what is approved can become active", |model, world| {
                let now = model.moments[world.moment];
                let in_time = world.quorum_at.is_some_and(|quorum| now < quorum + 30);
                let open = world.records.denials.is_empty() && world.records.closed.is_empty();
                // A try that died may have left less than the shortest session.
                let fresh =
                    world.records.minted.iter().all(|minted| minted.at.plus(Duration::from_secs(28 * 60)) >= model.now(world));
                let waits = in_time && open && fresh && matches!(world.row.state, State::Approved { .. });
                !waits || model.work_out(world, Job::Mint).is_some()
            }),
            Property::<Self>::always("what is over its time can be closed", |model, world| {
                let now = model.moments[world.moment];
                let over = match &world.row.state {
                    State::Requested => now >= 240,
                    State::Approved { .. } => world.quorum_at.is_none_or(|quorum| now >= quorum + 30),
                    State::Active { .. } => world.ends.is_some_and(|ends| now >= ends),
                    _ => false,
                };
                !over || world.forged || model.work_out(world, Job::Expire).is_some()
            }),
        ];
        // Not vacuous: all of this is reached.
        type Reached = (&'static str, Job, fn(&Life, &World) -> bool);
        let reached: [Reached; 8] = [
            ("approved", Job::Decide, |_, world| world.row.state.name() == "approved"),
            ("a session", Job::Mint, |_, world| !world.sessions.is_empty()),
            ("a renewed session", Job::Renew, |_, world| world.sessions.len() == 2),
            ("denied", Job::Deny, |_, world| world.row.state.name() == "denied"),
            ("expired", Job::Expire, |_, world| world.row.state.name() == "expired"),
            ("ran out", Job::Expire, |_, world| matches!(world.row.state, State::Ended { how: Ending::RanOut, .. })),
            ("ended with a session alive", Job::Revoke, |model, world| {
                world.closed && world.sessions.iter().any(|session| at(session.until) > model.now(world))
            }),
            ("a death that another finishes", Job::Mint, |_, world| {
                world.sessions.iter().any(|session| session.serial == 2) && world.sessions.iter().all(|session| session.serial != 1)
            }),
        ];
        properties.extend(
            reached
                .into_iter()
                .filter(|(_, job, _)| self.jobs.contains(job))
                .map(|(name, _, found)| Property::sometimes(name, found)),
        );
        properties
    }
}

fn explore(name: &str, life: Life) {
    let started = std::time::Instant::now();
    let checker = life.checker().threads(2).spawn_bfs().join();
    println!(
        "{name}: {} states, {} transitions, depth {}, {:?}",
        checker.unique_state_count(),
        checker.state_count(),
        checker.max_depth(),
        started.elapsed()
    );
    checker.assert_properties();
}

#[test]
fn approvers_and_a_denier() {
    explore("denier", Life::new(None, &[Job::Decide, Job::Mint, Job::Deny, Job::Follow], false, ALL));
}

#[test]
fn sessions_and_their_ends() {
    explore("ends", Life::new(None, &[Job::Decide, Job::Mint, Job::Renew, Job::Revoke, Job::Follow], false, FEW));
}

#[test]
fn sessions_and_the_clock() {
    explore("clock", Life::new(None, &[Job::Decide, Job::Mint, Job::Renew, Job::Expire], false, ALL));
}

#[test]
fn somebody_who_writes_the_table_and_an_end() {
    explore("table, end", Life::new(None, &[Job::Decide, Job::Mint, Job::Revoke], true, FEW));
}

#[test]
fn somebody_who_writes_the_table_and_a_denier() {
    explore("table, denier", Life::new(None, &[Job::Decide, Job::Mint, Job::Deny], true, FEW));
}

#[test]
fn every_trick() {
    for trick in [Trick::Herself, Trick::Twice, Trick::Role, Trick::Stranger, Trick::OtherTerms, Trick::OtherGrant] {
        explore(&format!("{trick:?}"), Life::new(Some(trick), &[Job::Decide, Job::Mint], false, FEW));
    }
}
