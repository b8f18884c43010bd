//! Identifiers of just-in-time access.

use crate::credentials::RoleName;
use crate::digest::Hasher;
use crate::names::{AccountId, id};

/// So many hex digits make a grant unique: 80 bits, derived from who asks and the key of their request.
const HEX: usize = 20;
/// STS takes so many characters (STS API Reference, `AssumeRole`: `SourceIdentity`, 2 to 64 of `[\w+=,.@-]`).
const LONGEST_SOURCE: usize = 64;

fn lower_hex(text: &str) -> bool {
    text.len() == HEX && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

/// `[\w+=,.@-]` as STS means it: ASCII.
fn is_source(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'+' | b'=' | b',' | b'.' | b'@' | b'-')
}

/// `arn:PARTITION:iam::ACCOUNT:role/PATH/NAME`, in its parts.
fn role_arn(text: &str) -> Option<(AccountId, RoleName)> {
    let parts: Vec<&str> = text.splitn(6, ':').collect();
    let ["arn", partition, "iam", "", account, resource] = parts.as_slice() else { return None };
    if !partition.starts_with("aws") || !partition.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
        return None;
    }
    let path = resource.strip_prefix("role/")?;
    let plain = path.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'*' | b'?' | b'$' | b'"' | b'\\'));
    if text.len() > 700 || !plain || path.contains("//") || path.starts_with('/') {
        return None;
    }
    Some((account.parse().ok()?, path.rsplit('/').next()?.parse().ok()?))
}

id!(
    /// One grant of access, from its request to its end: `gr-` and 20 hex digits, derived, never drawn.
    GrantId, "a grant id (gr- and 20 hex digits)", |t| t.strip_prefix("gr-").is_some_and(lower_hex)
);
id!(
    /// A role's ARN, path included. No wildcard and no variable: it names one role.
    RoleArn, "a role's ARN (arn:aws:iam::123456789012:role/NAME)", |t| role_arn(t).is_some()
);
id!(
    /// What STS writes on a grant's sessions for good: 2 to 64 characters of `[\w+=,.@-]` (STS API Reference, `AssumeRole`).
    SourceIdentity, "a source identity (2 to 64 letters, digits and _+=,.@-)", |t| {
        (2..=LONGEST_SOURCE).contains(&t.len()) && t.bytes().all(is_source)
    }
);
id!(
    /// A key that credentials are sealed to: an age X25519 recipient, `age1` and 58 characters of Bech32 (age specification, C2SP).
    /// Its shape only: whoever seals checks its checksum.
    RecipientKey, "an age recipient (age1 and 58 small letters and digits)", |t| {
        t.strip_prefix("age1").is_some_and(|rest| {
            rest.len() == 58 && rest.bytes().all(|b| b"qpzry9x8gf2tvdw0s3jn54khce6mua7l".contains(&b))
        })
    }
);
id!(
    /// The name of a case in somebody's tracker: `OPS-1234`, `acme/infra#7`.
    Ticket, "a ticket (up to 64 letters, digits and ._/#-)", |t| {
        (1..=64).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'/' | b'#' | b'-'))
    }
);
id!(
    /// What somebody may be granted, as deployed configuration calls it: `prod-read`.
    EntitlementName, "an entitlement's name (up to 64 small letters, digits and dashes)", |t| {
        (1..=64).contains(&t.len()) && t.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
);

impl GrantId {
    /// The grant that `requester` asks for under an idempotency key: a replayed request finds the grant that is there already.
    #[must_use]
    pub fn derive(requester: &str, idempotency_key: &str) -> Self {
        let digest = Hasher::new("cordon/grant/v1").part(requester).part(idempotency_key).finish();
        Self(format!("gr-{}", digest.prefix(HEX / 2)))
    }

    fn hex(&self) -> &str {
        self.0.strip_prefix("gr-").unwrap_or(&self.0)
    }
}

impl RoleArn {
    /// The role's account.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        role_arn(&self.0).map(|(account, _)| account)
    }

    /// The role's name, without its path.
    #[must_use]
    pub fn name(&self) -> Option<RoleName> {
        role_arn(&self.0).map(|(_, name)| name)
    }
}

impl SourceIdentity {
    /// The one of a grant: whom it is for, as far as there is room, and the grant's digits, which make it unique.
    #[must_use]
    pub fn of(requester: &str, grant: &GrantId) -> Self {
        let name: String =
            requester.bytes().map(|b| if is_source(b) { char::from(b) } else { '-' }).take(LONGEST_SOURCE - HEX - 1).collect();
        Self(format!("{name}+{}", grant.hex()))
    }

    /// The grant that it is of; none if no grant has such a one.
    #[must_use]
    pub fn grant(&self) -> Option<GrantId> {
        format!("gr-{}", self.0.rsplit_once('+')?.1).parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_identity_fits_sts_and_leads_back_to_its_grant() {
        let grant = GrantId::derive("person/alice@example.com", "key");
        for name in ["", "alice@example.com", "a+b@example.com", "häß lich/\n", &"x".repeat(300)] {
            let identity = SourceIdentity::of(name, &grant);
            assert_eq!(identity.as_str().parse(), Ok(identity.clone()), "{name:?}");
            assert_eq!(identity.grant(), Some(grant.clone()), "{name:?}");
        }
        assert_ne!(SourceIdentity::of("a", &grant), SourceIdentity::of("a", &GrantId::derive("person/alice@example.com", "other")));
        assert_eq!("alice".parse::<SourceIdentity>().unwrap().grant(), None);
    }

    #[test]
    fn a_role_arn_names_one_role() {
        let arn: RoleArn = "arn:aws:iam::123456789012:role/jit/prod-read".parse().unwrap();
        assert_eq!(arn.account().unwrap().as_str(), "123456789012");
        assert_eq!(arn.name().unwrap().as_str(), "prod-read");
        for bad in [
            "",
            "arn:aws:iam::123456789012:role/",
            "arn:aws:iam::123456789012:role/*",
            "arn:aws:iam::*:role/x",
            "arn:aws:iam::123456789012:user/x",
            "arn:aws:sts::123456789012:assumed-role/x/y",
            "arn:aws:iam::123456789012:role/a//b",
            "arn:aws:iam::123456789012:role/${aws:username}",
            "arn:x:iam::123456789012:role/x",
        ] {
            assert!(bad.parse::<RoleArn>().is_err(), "{bad}");
        }
    }

    #[test]
    fn keys_and_tickets_are_parsed_not_trusted() {
        let key = "age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p";
        assert!(key.parse::<RecipientKey>().is_ok());
        for bad in ["", "age1", &key.to_ascii_uppercase(), &format!("{key} "), &key.replace("age1", "AGE-SECRET-KEY-1")] {
            assert!(bad.parse::<RecipientKey>().is_err(), "{bad}");
        }
        assert!("OPS-1234".parse::<Ticket>().is_ok());
        for bad in ["", "a b", "a\nb", "a:b"] {
            assert!(bad.parse::<Ticket>().is_err(), "{bad:?}");
        }
    }
}
