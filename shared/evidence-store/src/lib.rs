#![doc = include_str!("../README.md")]

mod bucket;
mod endorser;
mod folder;
mod kms;
mod problem;
mod recorder;
mod s3;
mod worm;
mod wrap;

pub use bucket::{Held, Listed, Marker, Page};
pub use endorser::{Endorse, KmsEndorser, LocalEndorser, LocalKeyError};
pub use folder::Folder;
pub use kms::KmsKey;
pub use recorder::{Found, Kept, Late, RecordFailure, Recorded, Recorder};
pub use s3::S3;
pub use worm::{Created, StoreError, Worm};
pub use wrap::KmsWrap;
