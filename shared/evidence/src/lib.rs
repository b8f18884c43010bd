#![doc = include_str!("../README.md")]

mod blob;
pub mod dsse;
mod endorsement;
mod keyring;
pub mod log;
mod record;
mod release;
mod secret;
mod session;
mod verify;

pub use blob::{BLOB_LIST_TYPE, BlobKey, BlobList, LARGEST_BATCH, LARGEST_BLOB, LARGEST_RECORD, ParseBlobKeyError, largest_object};
pub use endorsement::{Check, ENDORSEMENT_TYPE, Endorsement, EndorsementError, Endorser, PublicKey, PublicKeyError};
pub use keyring::{KEYRING_TYPE, Keyring, RINGS, RingError, RingKey, Rings, UnsignedRing, ring_key, ring_number};
pub use record::{
    Anomaly, Control, Header, Kind, Link, ParseKeyError, Predicate, Record, RecordError, RecordId, RecordKey, SessionPart,
    Statement, Subject, open, open_by,
};
pub use release::{Release, ReleaseError};
pub use secret::Secret;
pub use session::{Draft, Session, SignError, Signed};
pub use verify::{
    AnchorReport, Cosigned, Examined, Fault, FaultKind, KeyReport, LogReport, Report, RingReport, RingTrust, Root, RootError,
    Standing, Verifier, Version, key_named,
};
