//! Two grants of one role end at once, and neither deny is lost.
//!
//! The document on the role is written as a whole, and IAM has no condition on that. Each of two workers marks its grant as ended, takes the role's
//! lease, reads all ends, writes the document, and gives the lease back; it may die anywhere, and then its lease runs out and reconcile
//! does what is left. The same with the lease taken after the ends were read loses a deny, which shows that the model would see it.

use ids::RoleArn;
use stateright::{Checker, Model, Property};

use super::*;
use crate::{Closed, Ending};

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    Start,
    Ended,
    Leased,
    Read,
    Written,
    Done,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    ended: [bool; 2],
    workers: [At; 3],
    /// What each has read.
    seen: [Denies; 3],
    lease: Option<usize>,
    document: Denies,
    deaths: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Move {
    Go(usize),
    Die(usize),
}

struct Role {
    grants: [Closed; 2],
    name: RoleArn,
    reads_first: bool,
}

impl Role {
    fn new(reads_first: bool) -> Self {
        let (grant, _) = active(two());
        let other = Ask { key: "key-2".to_owned(), ..ask(bob()) };
        let other = Grant::request(&other, &entitlement(two()), at(0), &BTreeSet::new()).unwrap().grant;
        let other = Grant { state: State::Active { since: at(2), ends: at(48) }, ..other };
        let end = |grant: &Grant| {
            let how = Ending::Returned { by: grant.terms.requester.clone() };
            grant.step(end(&how), at(3)).unwrap().grant.closed().unwrap()
        };
        Self { grants: [end(&grant), end(&other)], name: grant.terms.role, reads_first }
    }

    fn derive(&self, world: &World) -> Denies {
        let ends = self.grants.iter().zip(world.ended).filter(|(_, ended)| *ended).map(|(grant, _)| grant);
        Denies::derive(&self.name, ends, at(4))
    }
}

impl Model for Role {
    type State = World;
    type Action = Move;

    fn init_states(&self) -> Vec<World> {
        vec![World {
            ended: [false; 2],
            workers: [At::Start; 3],
            seen: Default::default(),
            lease: None,
            document: Denies::default(),
            deaths: 0,
        }]
    }

    fn actions(&self, world: &World, moves: &mut Vec<Move>) {
        for n in 0..3 {
            if world.workers[n] != At::Done {
                moves.push(Move::Go(n));
                // The third is reconcile: when it dies, the next minute has another.
                if n < 2 && world.workers[n] != At::Start && world.deaths < 2 {
                    moves.push(Move::Die(n));
                }
            }
        }
    }

    fn next_state(&self, last: &World, action: Move) -> Option<World> {
        let mut world = last.clone();
        match action {
            Move::Die(n) => {
                world.deaths += 1;
                world.workers[n] = At::Done;
                // It runs out: nobody takes it over while its owner could still write, because the owner's time ends first.
                if world.lease == Some(n) {
                    world.lease = None;
                }
            }
            Move::Go(n) => {
                let take = |world: &mut World| world.lease.is_none() && world.lease.replace(n).is_none();
                world.workers[n] = match (last.workers[n], self.reads_first) {
                    (At::Start, _) => {
                        if n < 2 {
                            world.ended[n] = true;
                        }
                        At::Ended
                    }
                    (At::Ended, false) => {
                        if take(&mut world) {
                            At::Leased
                        } else {
                            return None;
                        }
                    }
                    (At::Leased, false) | (At::Ended, true) => {
                        world.seen[n] = self.derive(last);
                        At::Read
                    }
                    (At::Read, true) => {
                        if take(&mut world) {
                            At::Leased
                        } else {
                            return None;
                        }
                    }
                    (At::Read, false) | (At::Leased, true) => {
                        world.document = last.seen[n].clone();
                        At::Written
                    }
                    (At::Written, _) => {
                        world.lease = None;
                        // Reconcile goes on for as long as somebody is not done.
                        if n < 2 || last.workers[..2].iter().all(|at| *at == At::Done) && last.document == self.derive(last) {
                            At::Done
                        } else {
                            At::Start
                        }
                    }
                    (At::Done, _) => return None,
                };
            }
        }
        Some(world)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("what was written on the role stays on it", |model, world| {
                let written = |n: usize| world.workers[n] == At::Done && world.deaths == 0 && world.ended[n];
                (0..2).filter(|n| written(*n)).all(|n| world.document.has(&model.grants[n].grant))
            }),
            Property::<Self>::always("when all is done, every end is denied", |model, world| {
                world.workers.iter().any(|at| *at != At::Done) || world.document == model.derive(world)
            }),
            Property::<Self>::sometimes("all is done after two deaths", |_, world| {
                world.deaths == 2 && world.workers.iter().all(|at| *at == At::Done)
            }),
        ]
    }
}

#[test]
fn two_ends_at_once_lose_nothing() {
    let checker = Role::new(false).checker().spawn_bfs().join();
    println!("two ends: {} states", checker.unique_state_count());
    checker.assert_properties();
}

#[test]
fn the_model_sees_the_loss_if_the_ends_are_read_before_the_lease() {
    let checker = Role::new(true).checker().spawn_bfs().join();
    assert!(checker.discovery("what was written on the role stays on it").is_some());
}
