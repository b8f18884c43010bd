#![doc = include_str!("../README.md")]

mod body;
mod circumstances;
mod cut;
mod endorser;
mod execute;
mod keep;
mod pump;
mod read;
mod redact;
mod run;
mod seal;
mod signals;

use ids::{FunctionName, ParseIdError, Sha256};

pub use body::{
    Elsewhere, Ending, Handling, Intent, Outcome, Piece, Pieces, Program, Received, Redaction, Stream, Text, Texts, User,
};
pub use circumstances::digest_of;
pub use cut::{Cut, Cutter, Spares, Whole};
pub use endorser::Endorser;
pub use execute::Live;
pub use pump::Which;
pub use read::{ReadError, Shown, output, show};
pub use redact::Redactor;
pub use run::{Refused, Run, Witnessed, witness};
pub use seal::{Identities, KeyError, OpenError, Recipients, new_identity};

/// The exit code for a command that was not started, because its intent could not be recorded (env(1) and timeout(1) use it so).
pub const NOT_STARTED: u8 = 125;
/// The exit code for a command that ran, and whose evidence is not whole.
pub const INCOMPLETE: u8 = 123;
/// The exit code for a command that knows of no trouble, and whose output could not be written (as cat(1) and others have it).
pub const UNWRITTEN: u8 = 1;

/// The function that the records of runs belong to: `run`.
///
/// # Errors
/// None that is known; the parser has the type.
pub fn function() -> Result<FunctionName, ParseIdError> {
    "run".parse()
}

/// What stands for the playbook in a run's records, since none decides about it: the digest of nothing.
#[must_use]
pub fn no_playbook() -> Sha256 {
    Sha256::of(b"")
}
