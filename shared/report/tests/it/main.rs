//! Reports over records as functions write them, over old ones, and over what an attacker would put into them.
#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test may stop at the first surprise")]

mod audit;
mod export;
mod hostile;
mod leaked;
mod levels;
mod moments;
mod reconciled;
mod revocations;
mod story;
