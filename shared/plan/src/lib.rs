#![doc = include_str!("../README.md")]

mod judge;
mod lint;
mod observed;
pub mod release;
pub mod revoke;
mod steps;

pub use judge::{EndState, Established, InterfaceEnd, InterfaceState, Outcome, STILL_REACHABLE, judge};
pub use lint::{Lint, lint};
pub use observed::{After, Group, Instance, Interface, Observed, Pins};
pub use steps::{Case, Closes, Did, Done, Isolate, Plan, Sealed, Step, Trouble, TroubleKind, isolate, prepare};

/// The tag that marks a sealed group. The function's role may swap interfaces only to groups that bear it.
pub const SEALED_TAG: &str = "cordon:sealed";
/// What a sealed group's name begins with.
pub const SEALED_NAME: &str = "cordon-sealed";
/// The tag that says which incident holds an instance.
pub const INCIDENT_TAG: &str = "cordon:incident";
/// The tag that says since when.
pub const CONTAINED_TAG: &str = "cordon:contained-at";
/// The tag that points to the intent: the original groups are there, because 256 characters hold no 15 interfaces.
pub const INTENT_TAG: &str = "cordon:intent";
