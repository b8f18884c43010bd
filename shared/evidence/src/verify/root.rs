//! Whom the reader trusts.

use std::str::FromStr;

use ids::{FunctionName, Sha256};
use thiserror::Error;

/// A key that the reader trusts: the fingerprint of a function's KMS key, with or without the function it speaks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Root {
    /// The only function this key may speak for; any one function if absent.
    pub function: Option<FunctionName>,
    /// SHA-256 of the key's DER `SubjectPublicKeyInfo`.
    pub fingerprint: Sha256,
}

/// A string that is not a root.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected FINGERPRINT or FUNCTION=FINGERPRINT, the SHA-256 (64 hex digits) of the KMS public key in DER")]
pub struct RootError;

impl FromStr for Root {
    type Err = RootError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (function, digest) = match text.split_once('=') {
            Some((function, digest)) => (Some(function.parse().map_err(|_| RootError)?), digest),
            None => (None, text),
        };
        let fingerprint = digest.to_ascii_lowercase().parse().map_err(|_| RootError)?;
        Ok(Self { function, fingerprint })
    }
}
