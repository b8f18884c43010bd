#![doc = include_str!("../README.md")]

mod blob;
pub mod dsse;
mod endorsement;
pub mod log;
mod record;
mod secret;
mod session;
mod verify;

pub use blob::{BLOB_LIST_TYPE, BlobKey, BlobList, LARGEST_BLOB, LARGEST_RECORD, ParseBlobKeyError, largest_object};
pub use endorsement::{ENDORSEMENT_TYPE, Endorsement, EndorsementError, Endorser, PublicKey, PublicKeyError};
pub use record::{
    Anomaly, Control, Header, Kind, Link, ParseKeyError, Predicate, Record, RecordError, RecordId, RecordKey, SessionPart,
    Statement, Subject, open,
};
pub use secret::Secret;
pub use session::{Draft, Session, SignError, Signed};
pub use verify::{
    AnchorReport, Cosigned, Examined, Fault, FaultKind, LogReport, Report, Root, RootError, Standing, Verifier, Version,
};
