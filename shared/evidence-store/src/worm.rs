//! What Cordon asks of a store.

use thiserror::Error;

/// What came of a create.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    /// The object is durable, by this call.
    New,
    /// There was one at this key before. It may be our own, from a call whose answer was lost: read it.
    Existed,
}

/// The store did not do what it should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("could not {doing}: {cause}")]
pub struct StoreError {
    /// What we were doing.
    pub doing: &'static str,
    /// What the store said: a code where there is one.
    pub cause: String,
    /// Whether trying again can help.
    pub passes: bool,
}

/// A write-once store.
///
/// - **Durability**: when `create` answers [`Created::New`], the object survives whatever happens to this process, and cannot be changed
///   or deleted until its retention ends.
/// - **Once**: of any number of concurrent creates of one key at most one answers `New`; the others answer [`Created::Existed`].
/// - **An error says nothing**: the object may be durable all the same. Whoever needs to know reads it, or creates it again with the
///   same bytes and takes `Existed` for an answer after reading.
/// - **Consistency**: a read that begins after a create was answered sees it.
/// - **Who retries**: the store retries what passes quickly (the SDK's own retries); a caller that wants more tries again itself.
pub trait Worm: Clone + Send + Sync + 'static {
    /// Creates the object at `key`.
    ///
    /// # Errors
    /// If the store did not say that the object is there; see the contract.
    fn create(&self, key: &str, bytes: &[u8]) -> impl Future<Output = Result<Created, StoreError>> + Send;

    /// The object at `key`, or none.
    ///
    /// # Errors
    /// If the store could not be asked, or the object is larger than one at this key can be ([`evidence::largest_object`]).
    fn read(&self, key: &str) -> impl Future<Output = Result<Option<Vec<u8>>, StoreError>> + Send;
}
