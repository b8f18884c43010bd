//! A value that cannot end in a record, a log or an error.

use std::fmt;

/// Something that must never be written down. It has no `Display`, no `Serialize`, and its `Debug` says nothing.
///
/// ```compile_fail
/// // A secret cannot be put into a record: it does not serialise.
/// let secret = evidence::Secret::new("AKIA…");
/// serde_json::to_string(&secret).unwrap();
/// ```
///
/// ```compile_fail
/// // Nor into a message.
/// let secret = evidence::Secret::new("AKIA…");
/// format!("{secret}");
/// ```
pub struct Secret<T>(T);

impl<T> Secret<T> {
    /// Takes the value in.
    pub fn new(value: T) -> Self {
        Self(value)
    }

    /// Lends the value to the one call that needs it.
    pub fn with<R>(&self, use_it: impl FnOnce(&T) -> R) -> R {
        use_it(&self.0)
    }
}

impl<T> fmt::Debug for Secret<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}
