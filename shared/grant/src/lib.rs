#![doc = include_str!("../README.md")]

mod closing;
mod denies;
mod grant;
mod records;
mod refused;
mod step;
mod terms;

pub use closing::Closing;
pub use denies::{Denies, NotOurs, ROLE_POLICIES};
pub use grant::{Ending, Grant, GrantFormat, Review, State};
pub use records::{Approval, Closed, Count, Denial, Eligible, Minted, NotCounted, Opened, Records, key};
pub use refused::Refused;
pub use step::{Basis, Condition, Event, Expected, Lock, Mint, SESSION_TAG, Step, break_glass_lock};
pub use terms::{
    Ask, BREAK_GLASS_LONGEST, Class, Entitlement, LONGEST_SESSION, NotAReason, Reason, SHORTEST_SESSION, Terms, TermsFormat,
};

#[cfg(test)]
mod tests;
