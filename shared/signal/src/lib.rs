#![doc = include_str!("../README.md")]

mod door;
mod excerpt;
mod finding_type;
mod known;
mod leak;
mod loose;
mod refusal;
mod severity;
mod signal;
mod strip;
mod wire;

pub use door::{Door, MAX_EVENT_BYTES, parse};
pub use excerpt::Excerpt;
pub use finding_type::{FindingType, ParseFindingTypeError, Resource};
pub use leak::{ByHand, Credential, Leak, LeakSource, Report, Trust, parse_leaks};
pub use refusal::{Refusal, Refused};
pub use severity::{Level, ParseSeverityError, Severity};
pub use signal::{Domain, Finding, Host, ParseDomainError, Remote, Role, Signal, Source, Suspect, SuspectInterface};
pub use strip::{Strip, Stripped};
