//! Where each record of a grant is.

use docket::Cause;
use evidence::{Kind, RecordKey, Subject};
use grant::Grant;
use ids::{FunctionName, GrantId, Hasher, Sha256, SignalId, Timestamp};
use people::Who;

/// The function that people speak to.
pub const ACCESS: &str = "access";
/// The function that makes sessions.
pub const MINT: &str = "mint";
/// The function that ends them.
pub const RECONCILE: &str = "reconcile";

/// What a record says, within its grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Name<'a> {
    /// What was asked for.
    Request,
    /// Somebody's approval.
    Approval(&'a Who),
    /// That it is denied: whoever says so first.
    Denial,
    /// The wish for session number so and so.
    Renewal(u32),
    /// Session number so and so: the intent, and its outcome.
    Session(u32),
    /// That it is over. There may be several; only the first has to be.
    End(u32),
    /// What a review of break-glass found.
    Review,
    /// A try that was refused: by the invocation's id.
    Refused(&'a str),
}

/// One grant's records: all in the minute of its request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    grant: GrantId,
    opened: Timestamp,
    terms: Sha256,
}

impl Place {
    /// Where the records of a grant are.
    #[must_use]
    pub fn of(grant: &Grant) -> Self {
        Self { grant: grant.id.clone(), opened: grant.opened, terms: grant.terms.digest() }
    }

    /// What `function` writes of it under this name.
    #[must_use]
    pub fn cause(&self, function: &FunctionName, name: Name<'_>) -> Cause {
        let hasher = Hasher::new("cordon/grant-record/v1").part(self.grant.as_str());
        let hasher = match name {
            Name::Request => hasher.part("request"),
            // As people are compared: one place for each, whatever letters they type their name in.
            Name::Approval(who) => hasher.part("approval").part(&grant::key(who)),
            Name::Denial => hasher.part("denial"),
            Name::Renewal(serial) => hasher.part("renewal").part(&serial.to_string()),
            Name::Session(serial) => hasher.part("session").part(&serial.to_string()),
            Name::End(number) => hasher.part("end").part(&number.to_string()),
            Name::Review => hasher.part("review"),
            Name::Refused(invocation) => hasher.part("refused").part(invocation),
        };
        let signal = SignalId::of_bytes(&hasher.finish());
        let subject = Subject::new(format!("grant/{}", self.grant), self.terms);
        Cause::new(function, self.opened, None, signal, vec![subject])
    }

    /// The key of the record that `function` writes under this name.
    #[must_use]
    pub fn key(&self, function: &FunctionName, name: Name<'_>) -> RecordKey {
        let kind = if matches!(name, Name::Session(_)) { Kind::Intent } else { Kind::Decision };
        self.cause(function, name).key.sibling(1, kind)
    }
}
