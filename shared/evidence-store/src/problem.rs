//! What an API says when the store fails.

use api::Problem;

use crate::{RecordFailure, StoreError};

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        if error.passes { Self::unavailable(&error.to_string()) } else { Self::new(409, error.to_string()) }
    }
}

impl From<RecordFailure> for Problem {
    /// Nothing is durable, so nothing was done.
    fn from(error: RecordFailure) -> Self {
        Self::unavailable(&error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_to_be_tried_again() {
        let error = |passes| StoreError { doing: "read a record", cause: "x".to_owned(), passes };
        assert_eq!(Problem::from(error(true)).status, 503);
        assert_eq!(Problem::from(error(false)).status, 409);
        assert_eq!(Problem::from(RecordFailure::Store(error(false))).status, 503);
    }
}
