//! Rules about the workspace, and what strangers' tools make of what it writes.
#![expect(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod strangers;
mod workspace;
