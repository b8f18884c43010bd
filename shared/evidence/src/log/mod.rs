//! The log that orders records: a Merkle tree over small leaves, in C2SP's tlog formats.
//!
//! What is in the log is decided by *batches*, each an object that is created once. Everything else here (tiles, roots, checkpoints,
//! proofs) is a function of the batches, so whatever was lost or half written can be derived again.

mod batch;
mod checkpoint;
mod ed25519;
mod proof;
mod tile;
mod timestamp;
mod tree;

pub use batch::{Batch, BatchError, Entry, Kept, Odd, Orphan, Seal, Sealed, batch_key, batch_number};
pub use checkpoint::{
    Checkpoint, CheckpointError, LogKey, LogKeys, Opened, bundle_key, checkpoint_key, checkpoint_size, copy_key, cosigned_key,
    sealing_key,
};
pub use ed25519::{Ed25519Key, Ed25519KeyError, Witness, WitnessError};
pub use proof::{Receipt, consistency, inclusion, leads_to, proves};
pub use tile::{Grown, Tile, TilePath, entry_bundle, read_bundle, root_over, tile_over};
pub use timestamp::{TIMESTAMP_QUERY, TimestampRequest, Token, TokenError, timestamp_key, timestamp_size};
pub use tree::{Edge, WIDTH, leaf_hash, node_hash};
