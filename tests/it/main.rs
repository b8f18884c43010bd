//! Rules about the workspace, what strangers' tools make of what it writes, and scenarios on the local AWS.
//!
//! Scenarios are ignored unless they are asked for: `make test` starts a local AWS, deploys the template on it and runs them all.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop at the first surprise"
)]

mod access;
mod anchors;
mod blast_radius;
mod completeness;
mod containment;
mod crash;
mod datakeys;
mod degraded;
mod deployed;
mod members;
mod outsiders;
mod privilege;
mod release;
mod revocation;
mod sealing;
mod stage;
mod strangers;
mod troubles;
mod webhooks;
mod workspace;
