//! Why a playbook is refused, in words for whoever wrote it.

use cedar_policy::ffi::DetailedError;
use thiserror::Error;

/// A playbook that is not used, because something in it is wrong. Each says where, and what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum PlaybookError {
    /// The policies are not Cedar.
    #[error("the policies do not parse: {what}")]
    Policies {
        /// What Cedar says, with the line.
        what: String,
    },
    /// The schema is not a Cedar schema.
    #[error("the schema does not parse: {what}")]
    Schema {
        /// What Cedar says, with the line.
        what: String,
    },
    /// The schema describes other questions than the ones that are asked.
    #[error("the schema does not fit what Cordon asks: {what}; start from the cordon.cedarschema that is shipped")]
    OtherSchema {
        /// What Cedar says.
        what: String,
    },
    /// A policy without a name.
    #[error("policy {number} has no @id: write @id(\"some-rule\") above it, for records to name")]
    NoId {
        /// Its place in the text, from 1.
        number: usize,
    },
    /// A name that is not in kebab case, or too long for a record.
    #[error("policy {number}: the @id `{id}` is no rule name: use up to 64 lower-case letters, digits and single dashes")]
    BadId {
        /// Its place in the text, from 1.
        number: usize,
        /// The name.
        id: String,
    },
    /// A name that Cordon gives itself.
    #[error("policy {number}: Cordon itself uses the name `{id}`: choose another @id")]
    ReservedId {
        /// Its place in the text, from 1.
        number: usize,
        /// The name.
        id: String,
    },
    /// Two policies of one name.
    #[error("policy {number}: the @id `{id}` is taken by a policy before it: a record must name exactly one")]
    DuplicateId {
        /// The place of the second one in the text, from 1.
        number: usize,
        /// The name.
        id: String,
    },
    /// A policy that does not say why.
    #[error("policy `{id}` needs a @reason for responders to read: one line of at most 200 characters")]
    NoReason {
        /// The policy.
        id: String,
    },
    /// A policy with a slot to be filled in, which nobody would fill in.
    #[error("policy {number} is a template: name the {slot} instead of `?{slot}`")]
    Template {
        /// Its place in the text, from 1.
        number: usize,
        /// `principal` or `resource`.
        slot: String,
    },
    /// A policy that the schema refuses, or that can never apply.
    #[error("{what}")]
    Refused {
        /// The policy.
        id: String,
        /// What Cedar says, naming the policy.
        what: String,
    },
    /// The mitigation table is not what it should be.
    #[error("the mitigation table does not parse: {what}")]
    Table {
        /// What is wrong, with the line.
        what: String,
    },
    /// A row of the mitigation table that cannot be used.
    #[error("row `{row}` of the mitigation table: {what}")]
    Row {
        /// The row.
        row: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// A permit that opens and does not say how far, or a policy that says it where nobody reads it.
    #[error("policy `{id}`: {what}")]
    Limits {
        /// The policy.
        id: String,
        /// What is wrong, and what to do.
        what: String,
    },
    /// The entitlements are not what they should be.
    #[error("entitlements.json: {what}")]
    Entitlements {
        /// What is wrong, with the line.
        what: String,
    },
    /// An entitlement that cannot be used.
    #[error("entitlement `{name}`: {what}")]
    Entitlement {
        /// The entitlement.
        name: String,
        /// What is wrong, and what to do.
        what: String,
    },
}

/// Cedar's error as one line: the message, the line of `text` that it is about, and Cedar's help.
pub(crate) fn explain<'a, E>(error: &'a E, text: &str) -> String
where
    DetailedError: From<&'a E>,
{
    let error = DetailedError::from(error);
    let place = error.source_locations.first().and_then(|label| text.get(..label.loc.start));
    let place = place.map(|before| format!(" (line {})", before.matches('\n').count() + 1)).unwrap_or_default();
    let help = error.help.map(|help| format!("; {help}")).unwrap_or_default();
    format!("{}{place}{help}", error.message)
}
