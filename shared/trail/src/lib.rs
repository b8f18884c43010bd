#![doc = include_str!("../README.md")]

mod event;
mod read;
mod refused;
mod resources;

pub use event::{Caller, Event, Kind};
pub use read::{LARGEST_EVENT, Sum, read};
pub use refused::{Refusal, Refused};
