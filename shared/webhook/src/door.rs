//! What there is to know of a sender.

use ids::Timestamp;
use signal::LeakSource;

use crate::keys::Key;
use crate::read::{Read, Refusal};
use crate::{Request, canary, falco, gitguardian, github};

/// Every door. A new sender is a file, and a line here.
pub static DOORS: [&Door; 4] = [&github::DOOR, &gitguardian::DOOR, &falco::DOOR, &canary::DOOR];

/// Reads a body with what cleans its texts, and the time.
type Reader = fn(&[u8], &dyn Fn(&str) -> String, Timestamp) -> Result<Read, String>;

/// A door: one sender's way in.
#[derive(Debug)]
pub struct Door {
    /// What its path is called, and its key: `github`.
    pub id: &'static str,
    /// Who knocks there.
    pub source: LeakSource,
    /// Whether the path goes on with a secret.
    pub ticket: bool,
    /// What to enter where, at the sender: for people.
    pub set_up: &'static str,
    /// Whether the sender knows one of the keys.
    pub(crate) prove: fn(&Request<'_>, &[Key], Timestamp) -> Result<(), Refusal>,
    /// What the body says; or what is wrong with it, without quoting it.
    pub(crate) read: Reader,
}
