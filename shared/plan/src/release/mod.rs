//! Plans that undo one incident's revocation. They open, so they do not implement [`crate::Closes`]: without a durable intent nothing is lifted.

mod judge;
mod proposal;
mod steps;

pub use judge::{Left, ReleaseOutcome, ReleaseState, judge_release};
pub use proposal::{Basis, Difference, NoRelease, Past, Proposal, Revives, Wish, propose};
pub use steps::{Lift, Release};
