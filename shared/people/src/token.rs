//! A person by a token of an identity provider, once somebody has checked the token.

use ids::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use thiserror::Error;

use crate::Who;

/// No issuer, subject, name or group that is kept is longer.
const LONGEST: usize = 255;

/// An identity provider whose tokens are believed, as the deployed configuration has it. API Gateway's JWT authorizer checks signature, issuer, audience
/// and time; what is read here is what it passes on (`requestContext.authorizer.jwt.claims`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Provider {
    /// The issuer, as its tokens spell it.
    pub issuer: String,
    /// The claim with the name that people have in Identity Center, if they can come both ways: `email`, `preferred_username`. It proves nothing and
    /// can only count against someone, so that nobody is two people by two ways in.
    pub name_claim: String,
    /// The claim with the groups. None: tokens of this issuer give no groups. API Gateway joins lists with spaces, so a name with a space in it
    /// comes apart, and whoever may call a group `x Security` would be in `Security`: it has to be a claim of ids, or of names that administrators
    /// alone can give.
    pub groups_claim: Option<String>,
}

/// A person of an identity provider.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Subject {
    /// Who vouches for them.
    pub issuer: String,
    /// What they are called there, for good. Small and capital letters differ (OpenID Connect Core, section 2).
    pub subject: String,
    /// What they call themselves, in small letters. It proves nothing, and can only count against someone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their groups, by their provider's word.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// When they showed more than one factor, if the token says both that and when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mfa_at: Option<Timestamp>,
}

impl Subject {
    /// `ISSUER/SUBJECT`, in which the last slash is the one between them.
    pub(crate) fn id(&self) -> String {
        format!("{}/{}", self.issuer, self.subject.replace('%', "%25").replace('/', "%2F"))
    }
}

/// Why a token is no person's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum NotASubject {
    /// Another issuer than the configured one, or none.
    #[error("the token is not of the identity provider that is configured")]
    Issuer,
    /// No subject that can be kept.
    #[error("the token names nobody: its subject is missing, too long, or no plain text")]
    Subject,
    /// The token was given to a program in its own name.
    #[error("the token is a program's, and not a person's")]
    Program,
}

impl Provider {
    /// The person whom a checked token names.
    ///
    /// # Errors
    /// If it is of another issuer, names nobody, or is a program's.
    pub fn who(&self, claims: &Map<String, Value>) -> Result<Who, NotASubject> {
        let said = |name: &str| claims.get(name).and_then(Value::as_str);
        if said("iss") != Some(self.issuer.as_str()) || !plain(&self.issuer) {
            return Err(NotASubject::Issuer);
        }
        let subject = said("sub").filter(|text| plain(text)).ok_or(NotASubject::Subject)?;
        // A program that asks in its own name is its token's subject (RFC 9068, section 5; Okta: `cid`); some providers say it in words.
        let client = ["client_id", "azp", "cid", "appid"].iter().any(|claim| said(claim) == Some(subject));
        if client || said("gty") == Some("client-credentials") || said("idtyp") == Some("app") {
            return Err(NotASubject::Program);
        }
        let name = said(&self.name_claim).filter(|text| plain(text)).map(str::to_ascii_lowercase);
        let mut groups = self.groups_claim.as_ref().map_or_else(Vec::new, |claim| words(claims.get(claim)));
        groups.retain(|group| plain(group));
        groups.sort();
        groups.dedup();
        // "Multiple-factor authentication" is its own word there; a single method, however good, is not it (RFC 8176, section 2).
        let factors = words(claims.get("amr")).iter().any(|method| method == "mfa");
        let mfa_at = if factors { claims.get("auth_time").and_then(seconds) } else { None };
        Ok(Who::Subject(Subject { issuer: self.issuer.clone(), subject: subject.to_owned(), name, groups, mfa_at }))
    }
}

/// Whether it can be kept and compared: some text, without spaces, control characters and what is invisible.
fn plain(text: &str) -> bool {
    !text.is_empty() && text.len() <= LONGEST && text.bytes().all(|byte| byte.is_ascii_graphic())
}

/// A claim's words: a list, or what API Gateway makes of one, `[a b]`.
fn words(claim: Option<&Value>) -> Vec<String> {
    match claim {
        Some(Value::Array(list)) => list.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        Some(Value::String(text)) => {
            let inner = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
            inner.split_whitespace().map(str::to_owned).collect()
        }
        _ => Vec::new(),
    }
}

/// A claim's time: seconds since the epoch, which API Gateway makes text of.
fn seconds(claim: &Value) -> Option<Timestamp> {
    let seconds = claim.as_i64().or_else(|| claim.as_str()?.parse().ok())?;
    Timestamp::from_millis(seconds.checked_mul(1000)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://idp.example/realms/corp";

    fn provider() -> Provider {
        Provider { issuer: ISSUER.to_owned(), name_claim: "email".to_owned(), groups_claim: Some("groups".to_owned()) }
    }

    /// As API Gateway passes it on: everything is text.
    fn claims() -> Value {
        json!({
            "iss": ISSUER, "sub": "00u1aB", "aud": "cordon", "azp": "cordon-cli", "exp": "1798675200", "iat": "1798671600",
            "email": "Alice@Example.com", "groups": "[sg-7f3 sg-001]", "amr": "[pwd mfa]", "auth_time": "1798671000",
        })
    }

    fn read(claim: &str, value: Value) -> Result<Who, NotASubject> {
        let mut changed = claims();
        changed[claim] = value;
        provider().who(changed.as_object().unwrap())
    }

    fn subject(claim: &str, value: Value) -> Subject {
        match read(claim, value) {
            Ok(Who::Subject(subject)) => subject,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_person_is_the_issuer_and_the_subject_whatever_else_the_token_says() {
        let alice = read("scope", json!("openid")).unwrap();
        assert_eq!(alice.id(), format!("subject/{ISSUER}/00u1aB"));
        assert!(alice.is_person() && alice.person().is_none());
        assert_eq!(alice.calls_itself().as_deref(), Some("person/alice@example.com"));
        assert_eq!(alice.to_string(), format!("alice@example.com (00u1aB of {ISSUER})"));
        assert_eq!(read("email", json!("bob@example.com")).unwrap().id(), alice.id());
        // Providers tell subjects apart by capital letters.
        assert_ne!(read("sub", json!("00u1AB")).unwrap().id(), alice.id());
        let unnamed = read("email", Value::Null).unwrap();
        assert_eq!((unnamed.calls_itself(), unnamed.id()), (None, alice.id()));
        assert_eq!(unnamed.to_string(), format!("00u1aB of {ISSUER}"));
        assert_eq!(subject("x", json!(1)).groups, ["sg-001", "sg-7f3"]);
        assert_eq!(subject("groups", json!(["sg-2", "sg-1", "sg-2", 7])).groups, ["sg-1", "sg-2"]);
        assert!(subject("groups", Value::Null).groups.is_empty());
        let no_groups = Provider { groups_claim: None, ..provider() }.who(claims().as_object().unwrap());
        assert!(matches!(no_groups, Ok(Who::Subject(subject)) if subject.groups.is_empty()));
    }

    #[test]
    fn where_one_issuer_ends_and_a_subject_begins_is_never_in_doubt() {
        let id = |issuer: &str, sub: &str| {
            let claims = json!({ "iss": issuer, "sub": sub });
            Provider { issuer: issuer.to_owned(), ..provider() }.who(claims.as_object().unwrap()).unwrap().id()
        };
        assert_ne!(id("https://idp.example", "corp/alice"), id("https://idp.example/corp", "alice"));
        assert_ne!(id("https://idp.example", "corp%2Falice"), id("https://idp.example", "corp/alice"));
        assert_eq!(id("https://idp.example", "auth0|7"), "subject/https://idp.example/auth0|7");
    }

    #[test]
    fn a_token_of_another_issuer_of_nobody_or_of_a_program_is_no_person() {
        for (claim, value, expected) in [
            ("iss", json!("https://idp.example"), NotASubject::Issuer),
            ("iss", json!(format!("{ISSUER}/")), NotASubject::Issuer),
            ("iss", Value::Null, NotASubject::Issuer),
            ("sub", Value::Null, NotASubject::Subject),
            ("sub", json!(""), NotASubject::Subject),
            ("sub", json!("alice bob"), NotASubject::Subject),
            ("sub", json!("a\u{202e}b"), NotASubject::Subject),
            ("sub", json!("x".repeat(256)), NotASubject::Subject),
            ("sub", json!("cordon-cli"), NotASubject::Program),
            ("client_id", json!("00u1aB"), NotASubject::Program),
            ("gty", json!("client-credentials"), NotASubject::Program),
            ("idtyp", json!("app"), NotASubject::Program),
        ] {
            assert_eq!(read(claim, value.clone()), Err(expected), "{claim} {value}");
        }
    }

    #[test]
    fn a_second_factor_is_known_only_where_the_token_says_that_and_when() {
        let at = |claim: &str, value: Value| subject(claim, value).mfa_at.map(Timestamp::millis);
        assert_eq!(at("x", json!(1)), Some(1_798_671_000_000));
        assert_eq!(at("auth_time", json!(1_798_671_001)), Some(1_798_671_001_000));
        assert_eq!(at("amr", json!(["mfa"])), Some(1_798_671_000_000));
        for (claim, value) in [
            ("amr", Value::Null),
            ("amr", json!("[pwd otp]")),
            ("amr", json!("[pwd mfa-later]")),
            ("auth_time", Value::Null),
            ("auth_time", json!("soon")),
            ("auth_time", json!(i64::MAX)),
        ] {
            assert_eq!(at(claim, value.clone()), None, "{claim} {value}");
        }
        let now = Timestamp::from_millis(1_798_671_060_000).unwrap();
        assert_eq!(read("x", json!(1)).unwrap().mfa_seconds(now), Some(60));
        assert_eq!(read("auth_time", json!(1_798_671_099)).unwrap().mfa_seconds(now), Some(0), "clocks differ a little");
        assert_eq!(read("amr", Value::Null).unwrap().mfa_seconds(now), None);
    }

    #[test]
    fn records_keep_a_subject_as_it_was_and_older_ones_are_read_as_before() {
        let alice = read("x", json!(1)).unwrap();
        let kept = serde_json::to_value(&alice).unwrap();
        assert_eq!(
            kept,
            json!({
                "kind": "subject", "issuer": ISSUER, "subject": "00u1aB", "name": "alice@example.com", "groups": ["sg-001", "sg-7f3"],
                "mfa_at": "2026-12-30T22:50:00.000Z",
            })
        );
        assert_eq!(serde_json::from_value::<Who>(kept).unwrap(), alice);
        let person = json!({ "kind": "person", "name": "alice", "permission_set": "Read", "account": "123456789012" });
        assert!(serde_json::from_value::<Who>(person).unwrap().is_person());
        let role = json!({ "kind": "role", "id": "role/123456789012/ci" });
        assert!(!serde_json::from_value::<Who>(role).unwrap().is_person());
    }

    proptest! {
        /// Whatever a token says: nothing panics, and nobody is anybody else's subject.
        #[test]
        fn whatever_a_token_says_two_ids_are_two_subjects(one in ".{0,12}", other in ".{0,12}", amr in ".{0,12}", groups in ".{0,12}") {
            let id = |sub: &str| {
                let claims = json!({ "iss": ISSUER, "sub": sub, "amr": amr, "auth_time": amr, "groups": groups, "email": groups });
                provider().who(claims.as_object().unwrap()).ok().map(|who| who.id())
            };
            if let (Some(a), Some(b)) = (id(&one), id(&other)) {
                prop_assert_eq!(a == b, one == other);
            }
        }
    }
}
