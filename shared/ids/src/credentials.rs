//! Identifiers of credentials and of those who hold them.

use crate::names::{AccountId, InstanceId, id};

/// IAM's names of users and roles: letters, digits and `+=,.@_-` (IAM user guide, "IAM and AWS STS quotas").
fn iam_name(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'=' | b',' | b'.' | b'@' | b'_' | b'-'))
}

/// IAM's unique ids: a prefix of four letters and more of them and digits (IAM user guide, "IAM identifiers").
fn unique_id(text: &str) -> bool {
    (16..=128).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

id!(
    /// An access key's id, which is no secret: `AKIA…` of an IAM user or of root, `ASIA…` of a session.
    AccessKeyId, "an access key id (AKIA or ASIA and 12 or more capital letters and digits)", |t| {
        unique_id(t) && (t.starts_with("AKIA") || t.starts_with("ASIA"))
    }
);
id!(
    /// A principal's unique id: `AIDA…` of a user, `AROA…` of a role. A name may be given again, this never is.
    PrincipalId, "a principal's unique id (AIDA or AROA and 12 or more capital letters and digits)", |t| {
        unique_id(t) && (t.starts_with("AIDA") || t.starts_with("AROA"))
    }
);
id!(
    /// An IAM user's name, without its path.
    UserName, "a user's name (up to 64 letters, digits and +=,.@_-)", |t| iam_name(t, 64)
);
id!(
    /// A role's name, without its path.
    RoleName, "a role's name (up to 64 letters, digits and +=,.@_-)", |t| iam_name(t, 64)
);
id!(
    /// What a session of a role is called by whoever assumed it; an instance's sessions have the instance's id.
    SessionName, "a session's name (up to 64 letters, digits and +=,.@_-)", |t| iam_name(t, 64)
);

impl AccessKeyId {
    /// Whether it belongs to an IAM user or to root, and so lives until someone ends it.
    #[must_use]
    pub fn is_long_lived(&self) -> bool {
        self.as_str().starts_with("AKIA")
    }

    /// The account that the key belongs to, which its id says without any call.
    ///
    /// The first 48 bits of what follows the prefix, in base 32, hold it (found by Aidan Steele in 2020 and used by several
    /// scanners since). Ids from before 2019, which go on with `I` or `J`, hold none; so an answer that is no account's is none.
    #[must_use]
    pub fn account(&self) -> Option<AccountId> {
        let coded = self.as_str().get(4..)?;
        if coded.starts_with(['I', 'J']) {
            return None;
        }
        let mut bits: u64 = 0;
        for byte in coded.bytes().take(10) {
            let five = match byte {
                b'A'..=b'Z' => byte - b'A',
                b'2'..=b'7' => byte - b'2' + 26,
                _ => return None,
            };
            bits = (bits << 5) | u64::from(five);
        }
        // Ten digits are 50 bits; of the first 48 the first is not the account's, and neither are the last seven.
        let first48 = bits >> 2;
        format!("{:012}", (first48 & 0x7fff_ffff_ff80) >> 7).parse().ok()
    }
}

impl SessionName {
    /// The instance whose profile the session is from. Whoever assumes a role may choose such a name too, and then is what it says.
    #[must_use]
    pub fn instance(&self) -> Option<InstanceId> {
        self.as_str().parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_says_whose_it_is() {
        // The examples of the people who found it out, and AWS's own documentation keys, which are too old to say.
        for (key, account) in [
            ("ASIAQNZGKIQY56JQ7WML", Some("029608264753")),
            ("AKIASP2TPHJSQH3FJRUX", Some("171436882533")),
            ("AKIAIOSFODNN7EXAMPLE", None),
            ("AKIAJ234567ABCDEFGHI", None),
        ] {
            let key: AccessKeyId = key.parse().unwrap();
            assert_eq!(key.account().map(|account| account.to_string()).as_deref(), account, "{key}");
        }
    }

    #[test]
    fn names_and_ids_are_parsed_not_trusted() {
        for bad in ["", "AKIA", "akiaiosfodnn7example", "AGPAIOSFODNN7EXAMPLE", "AKIAIOSFODNN7EXAMPLE\n", "AKIA/OSFODNN7EXAMPLE"] {
            assert!(bad.parse::<AccessKeyId>().is_err(), "{bad:?}");
        }
        for bad in ["", "a b", "a/b", "a*", "ü", &"x".repeat(65)] {
            assert!(bad.parse::<UserName>().is_err(), "{bad:?}");
            assert!(bad.parse::<RoleName>().is_err(), "{bad:?}");
        }
        assert!("AROAEXAMPLEROLEID1234".parse::<PrincipalId>().is_ok());
        assert!("AROAEXAMPLEROLEID1234:i-0447a53385d345b29".parse::<PrincipalId>().is_err());
        let session = |text: &str| text.parse::<SessionName>().unwrap().instance();
        assert!(session("i-0447a53385d345b29").is_some());
        assert!(session("deploy@example.com").is_none());
    }
}
