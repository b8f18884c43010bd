//! What `cordon access` is made of.

pub(crate) mod check;
pub(crate) mod console;
pub(crate) mod credentials;
pub(crate) mod keyring;
pub(crate) mod keys;
pub(crate) mod request;
pub(crate) mod session;
pub(crate) mod shown;
