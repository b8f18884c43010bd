//! Identifiers: a private string, one door in (`FromStr`, which serde uses too), `Display` out.

use thiserror::Error;

use crate::digest::{Hasher, Sha256};

/// A string that is not the identifier it was taken for.
///
/// The offending text is kept short and printable: it comes from outside and may end in a log.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{text}` is not {expected}")]
pub struct ParseIdError {
    /// What was given, cut to 64 characters, unprintable ones replaced.
    text: String,
    /// What was wanted, with its article: "an EC2 instance id (i- and 8 or 17 hex digits)".
    expected: &'static str,
}

impl ParseIdError {
    pub(crate) fn new(text: &str, expected: &'static str) -> Self {
        let text = text.chars().take(64).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect();
        Self { text, expected }
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident, $expected:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The identifier as AWS writes it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::ParseIdError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err($crate::ParseIdError::new(text, $expected)) }
            }
        }

        impl TryFrom<String> for $name {
            type Error = $crate::ParseIdError;

            fn try_from(text: String) -> Result<Self, Self::Error> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> Self {
                id.0
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(&self.0)
            }
        }

        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

pub(crate) use id;

/// EC2's resource ids: a prefix and 8 hex digits (before 2016) or 17 (AWS, "Resource IDs" in the EC2 user guide).
fn ec2_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix)
        .is_some_and(|hex| (hex.len() == 8 || hex.len() == 17) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')))
}

fn lower_hex(text: &str, len: usize) -> bool {
    text.len() == len && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// Words that become part of an object key or a metric: letters, digits, dashes, dots.
fn slug(text: &str, longest: usize) -> bool {
    !text.is_empty()
        && text.len() <= longest
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
        && !text.starts_with('.')
}

id!(
    /// An AWS account: twelve digits.
    AccountId, "an AWS account id (12 digits)", |t| t.len() == 12 && t.bytes().all(|b| b.is_ascii_digit())
);
id!(
    /// An AWS Region code, such as `eu-central-1` or `us-gov-west-1`.
    Region, "an AWS Region (such as eu-central-1)", |t| {
        (5..=32).contains(&t.len())
            && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && t.starts_with(|c: char| c.is_ascii_lowercase())
            && t.ends_with(|c: char| c.is_ascii_digit())
            && t.contains('-')
    }
);
id!(
    /// An EC2 instance.
    InstanceId, "an EC2 instance id (i- and 8 or 17 hex digits)", |t| ec2_id(t, "i-")
);
id!(
    /// An elastic network interface.
    EniId, "a network interface id (eni- and 8 or 17 hex digits)", |t| ec2_id(t, "eni-")
);
id!(
    /// A security group.
    SgId, "a security group id (sg- and 8 or 17 hex digits)", |t| ec2_id(t, "sg-")
);
id!(
    /// A virtual private cloud.
    VpcId, "a VPC id (vpc- and 8 or 17 hex digits)", |t| ec2_id(t, "vpc-")
);
id!(
    /// A subnet.
    SubnetId, "a subnet id (subnet- and 8 or 17 hex digits)", |t| ec2_id(t, "subnet-")
);
id!(
    /// A GuardDuty finding: today 32 hex digits; anything short and plain is taken, because AWS does not promise the form.
    FindingId, "a finding id (up to 128 letters, digits, dashes, dots)", |t| slug(t, 128)
);
id!(
    /// A Cordon function, by the verb it is named for: `quarantine`.
    FunctionName, "a function name (up to 32 lower-case letters and dashes)", |t| {
        !t.is_empty() && t.len() <= 32 && t.bytes().all(|b| b.is_ascii_lowercase() || b == b'-')
    }
);
id!(
    /// A rule of the playbook, as its policy's `@id` names it.
    RuleName, "a rule name (up to 64 letters, digits, dashes, dots)", |t| slug(t, 64)
);
id!(
    /// One run of a function's process: a signing key lives exactly as long. 32 hex digits.
    SessionId, "a session id (32 hex digits)", |t| lower_hex(t, 32)
);
id!(
    /// A target and a technique: what responders call the case. `inc-` and 20 hex digits, derived, never drawn.
    IncidentId, "an incident id (inc- and 20 hex digits)", |t| t.strip_prefix("inc-").is_some_and(|h| lower_hex(h, 20))
);
id!(
    /// One delivery-independent cause: a finding at one of its updates. 32 hex digits, derived.
    SignalId, "a signal id (32 hex digits)", |t| lower_hex(t, 32)
);

impl SessionId {
    /// A session from 16 random bytes; the caller owns the randomness.
    #[must_use]
    pub fn from_random(bytes: [u8; 16]) -> Self {
        Self(hex::encode(bytes))
    }
}

impl IncidentId {
    /// The incident that `technique` against `target` belongs to.
    ///
    /// `target` names the resource wherever it is (`ec2:instance:ACCOUNT:REGION:ID`), so two accounts never share an incident.
    #[must_use]
    pub fn derive(target: &str, technique: &str) -> Self {
        let digest = Hasher::new("cordon/incident/v1").part(target).part(technique).finish();
        Self(format!("inc-{}", digest.prefix(10)))
    }
}

impl SignalId {
    /// The signal that is `finding` as of `updated_at`: the same for every delivery, retry and organisation copy of it.
    /// `source` keeps a drill that borrows a real finding's id from taking the place of the real one.
    #[must_use]
    pub fn derive(source: &str, finding: &FindingId, updated_at: crate::Timestamp) -> Self {
        let digest = Hasher::new("cordon/signal/v1").part(source).part(finding.as_str()).part(&updated_at.to_string()).finish();
        Self(digest.prefix(16))
    }

    /// The signal of something that is no finding, such as a request by hand or an event that could not be read.
    #[must_use]
    pub fn of_bytes(digest: &Sha256) -> Self {
        Self(digest.prefix(16))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_parsed_not_trusted() {
        assert!("i-0123456789abcdef0".parse::<InstanceId>().is_ok());
        assert!("i-99999999".parse::<InstanceId>().is_ok());
        for bad in ["", "i-", "i-0123", "i-0123456789ABCDEF0", "i-0123456789abcdef0 ", "eni-0123456789abcdef0", "i-99999999\n"] {
            assert!(bad.parse::<InstanceId>().is_err(), "{bad:?}");
        }
        assert!("eu-central-1".parse::<Region>().is_ok());
        for bad in ["", "EU-central-1", "eu central 1", "../../etc", "global"] {
            assert!(bad.parse::<Region>().is_err(), "{bad:?}");
        }
        assert!("../x".parse::<FindingId>().is_err());
    }

    #[test]
    fn an_error_shows_the_text_without_its_control_characters() {
        let error = "i-\u{1b}[31m".parse::<InstanceId>().unwrap_err();
        assert_eq!(error.to_string(), "`i-?[31m` is not an EC2 instance id (i- and 8 or 17 hex digits)");
    }

    #[test]
    fn derived_ids_separate_their_parts() {
        assert_ne!(IncidentId::derive("ab", "c"), IncidentId::derive("a", "bc"));
        let id = IncidentId::derive("ec2:instance:1", "CryptoCurrency/BitcoinTool");
        assert_eq!(id.as_str().parse(), Ok(id));
    }
}
