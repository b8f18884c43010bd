#![doc = include_str!("../README.md")]

mod bodies;
mod lease;
mod office;
mod places;
mod read;
mod row;
mod table;

use thiserror::Error;

pub use bodies::{
    ApprovalBody, DenialBody, DeniedBody, EndBody, MintBody, MintedBody, Refused, RenewalBody, RequestBody, ReviewBody,
};
pub use lease::{LEASE, RoleLease};
pub use office::{Colleague, Look, NoBasis, Office, Probed};
pub use places::{ACCESS, MINT, Name, Place, RECONCILE};
pub use read::{Authors, MOST, Read, entitled};
pub use row::{Barred, Row, Sealed};
pub use table::Register;

/// The table could not be asked, or would not say.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("the register of grants did not answer {doing}: {cause}")]
pub struct RegisterError {
    pub(crate) doing: &'static str,
    pub(crate) cause: String,
}
