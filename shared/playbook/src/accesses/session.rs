//! The policy that narrows an entitlement's sessions: what its author wrote, and what every one of them has to say.

use std::collections::{BTreeMap, BTreeSet};

use ids::{AccountId, Sha256};
use serde::{Deserialize, Serialize};

/// What STS takes as a session policy (STS API Reference, `AssumeRole`: `Policy`).
const LONGEST: usize = 2048;
/// The one version with policy variables (IAM user guide, "IAM JSON policy elements: Version").
const VERSION: &str = "2012-10-17";
/// The harmless call by which the end of a grant is proved: allowed until the role denies it.
const PROBE: &str = "iam:ListAccountAliases";
/// What makes other credentials of a session's own, which would outlive its grant.
const CHAINING: [&str; 2] = ["sts:AssumeRole", "sts:AssumeRoot"];
/// What the playbook's own statements are called.
const OURS: &str = "Cordon";

/// One string or several, as IAM takes them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum Several {
    One(String),
    Many(Vec<String>),
}

impl Several {
    fn each(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
enum Effect {
    Allow,
    Deny,
}

/// Typed, so that its canonical form depends on nothing but its content.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Document {
    version: String,
    statement: Vec<Statement>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
struct Statement {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
    effect: Effect,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    action: Option<Several>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_action: Option<Several>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<Several>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    not_resource: Option<Several>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    condition: Option<BTreeMap<String, BTreeMap<String, Several>>>,
}

impl Statement {
    /// One of the playbook's own.
    fn ours(name: &str, effect: Effect, action: Several) -> Self {
        Self {
            sid: Some(format!("{OURS}{name}")),
            effect,
            action: Some(action),
            not_action: None,
            resource: Some(Several::One("*".to_owned())),
            not_resource: None,
            condition: None,
        }
    }

    /// Whether it is about the probe's call, which has no resource of its own: IAM compares `*`.
    fn is_about_the_probe(&self) -> bool {
        let any = |several: &Option<Several>, text: &str| {
            several.as_ref().map(|several| several.each().iter().any(|pattern| fits(pattern.as_bytes(), text.as_bytes())))
        };
        let action = any(&self.action, PROBE).unwrap_or_else(|| any(&self.not_action, PROBE) == Some(false));
        let resource = any(&self.resource, "*").unwrap_or_else(|| any(&self.not_resource, "*") == Some(false));
        action && resource
    }

    fn check(&self) -> Result<(), String> {
        let name = self.sid.as_deref().unwrap_or_default();
        if !name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
            return Err(format!("the Sid `{name}` has more than letters and digits"));
        }
        if name.starts_with(OURS) {
            return Err(format!("the Sid `{name}` starts like Cordon's own statements: choose another"));
        }
        let one_of = |one: &Option<Several>, other: &Option<Several>| match (one, other) {
            (Some(several), None) | (None, Some(several)) => !several.each().is_empty(),
            (None, None) | (Some(_), Some(_)) => false,
        };
        if !one_of(&self.action, &self.not_action) || !one_of(&self.resource, &self.not_resource) {
            return Err(format!("statement `{name}` needs one of Action and NotAction, and one of Resource and NotResource"));
        }
        // A probe that the session policy refuses would be taken for the end of a grant whose sessions live on.
        if self.effect == Effect::Deny && self.is_about_the_probe() {
            return Err(format!("statement `{name}` denies {PROBE}, the call by which the end of a grant is proved: leave it out"));
        }
        Ok(())
    }
}

/// IAM's wildcards: `*` for any characters, `?` for one; the case of letters does not count.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|n| text.get(n..).is_some_and(|text| fits(rest, text))),
        Some((byte, rest)) => {
            text.split_first().is_some_and(|(first, text)| (*byte == b'?' || byte.eq_ignore_ascii_case(first)) && fits(rest, text))
        }
    }
}

/// The canonical form of a session policy, and its digest.
pub(super) struct SessionPolicy {
    pub(super) text: String,
    pub(super) digest: Sha256,
}

/// What the author's `text` comes to for a role of `account`.
///
/// # Errors
/// With what STS or IAM would refuse, or what could not be proved to have ended.
pub(super) fn read(text: &str, partition: &str, account: &AccountId, chaining: bool) -> Result<SessionPolicy, String> {
    let text = text.replace("${partition}", partition).replace("${account}", account.as_str());
    if let Some(name) = misspelt(&text) {
        return Err(format!("`${{{name}}}` stands for nothing: use ${{partition}}, ${{account}} or one of IAM's own variables"));
    }
    let mut document: Document = serde_json::from_str(&text).map_err(|error| error.to_string())?;
    if document.version != VERSION {
        return Err(format!("its Version is `{}`: write {VERSION}", document.version));
    }
    if !document.statement.iter().any(|statement| statement.effect == Effect::Allow) {
        return Err("no Statement allows anything".to_owned());
    }
    let mut names = BTreeSet::new();
    for statement in &document.statement {
        statement.check()?;
        if let Some(name) = statement.sid.as_ref().filter(|name| !names.insert(name.as_str())) {
            return Err(format!("two statements have the Sid `{name}`"));
        }
    }
    document.statement.push(Statement::ours("Probe", Effect::Allow, Several::One(PROBE.to_owned())));
    if !chaining {
        let chaining = Several::Many(CHAINING.map(ToOwned::to_owned).into());
        document.statement.push(Statement::ours("NoChaining", Effect::Deny, chaining));
    }
    let text = serde_json::to_string(&document).map_err(|error| error.to_string())?;
    let length = text.chars().count();
    if length > LONGEST {
        return Err(format!("with what Cordon adds it has {length} characters, and STS takes {LONGEST}: say less"));
    }
    if text.chars().any(|c| !('\u{20}'..='\u{ff}').contains(&c)) {
        return Err("it has characters that STS does not take".to_owned());
    }
    let digest = Sha256::of(text.as_bytes());
    Ok(SessionPolicy { text, digest })
}

/// The digest of a session policy that somebody shows, by its canonical form: whatever order JSON has brought its fields into. None if it is none
/// that a playbook could have.
#[must_use]
pub fn session_policy_digest(shown: &serde_json::Value) -> Option<Sha256> {
    let document = Document::deserialize(shown).ok()?;
    Some(Sha256::of(serde_json::to_string(&document).ok()?.as_bytes()))
}

/// A variable that is neither ours nor IAM's, which IAM would take for no value at all.
fn misspelt(text: &str) -> Option<&str> {
    let names = text.split("${").skip(1).map(|rest| rest.split('}').next().unwrap_or_default());
    names.into_iter().find(|name| !name.contains(':') && !matches!(*name, "*" | "?" | "$"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn good(statement: &str) -> String {
        format!(r#"{{"Version": "2012-10-17", "Statement": [{statement}]}}"#)
    }

    fn home() -> AccountId {
        "123456789012".parse().unwrap()
    }

    const READ: &str = r#"{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:${partition}:s3:::x-${account}/*"}"#;

    fn refused(text: &str) -> String {
        read(text, "aws", &home(), false).err().unwrap()
    }

    #[test]
    fn what_every_session_policy_says_is_added_to_what_its_author_wrote() {
        let policy = read(&good(READ), "aws-cn", &home(), false).unwrap();
        let expected = concat!(
            r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"arn:aws-cn:s3:::x-123456789012/*"},"#,
            r#"{"Sid":"CordonProbe","Effect":"Allow","Action":"iam:ListAccountAliases","Resource":"*"},"#,
            r#"{"Sid":"CordonNoChaining","Effect":"Deny","Action":["sts:AssumeRole","sts:AssumeRoot"],"Resource":"*"}]}"#
        );
        assert_eq!(policy.text, expected);
        assert_eq!(policy.digest, Sha256::of(expected.as_bytes()));
        // Whatever spaces its author likes.
        assert_eq!(read(&good(&READ.replace(' ', "\n  ")), "aws-cn", &home(), false).unwrap().text, expected);
    }

    /// As a program shows it that has taken it apart.
    #[test]
    fn a_session_policy_has_one_digest_whatever_the_order_of_its_fields() {
        let conditions = r#""Condition": {"StringLike": {"aws:b": "x"}, "StringEquals": {"aws:c": ["y", "z"], "aws:a": "x"}}"#;
        let statement = format!("{}, {conditions}}}", READ.strip_suffix('}').unwrap());
        let policy = read(&good(&statement), "aws", &home(), false).unwrap();
        let shown: serde_json::Value = serde_json::from_str(&policy.text).unwrap();
        assert_eq!(session_policy_digest(&shown), Some(policy.digest));
        for (path, value) in
            [("/Statement/0/Action", "s3:*"), ("/Version", "2008-10-17"), ("/Statement/0/Condition/StringLike/aws:b", "y")]
        {
            let mut other = shown.clone();
            *other.pointer_mut(path).unwrap() = value.into();
            assert_ne!(session_policy_digest(&other), Some(policy.digest), "{path}");
        }
        let mut more = shown;
        more["Note"] = "read only".into();
        assert_eq!(session_policy_digest(&more), None);
    }

    /// Whatever its author allows: an explicit deny wins.
    #[test]
    fn a_session_cannot_assume_another_role_unless_the_entitlement_says_so() {
        let all = good(r#"{"Effect": "Allow", "Action": "*", "Resource": "*"}"#);
        assert!(read(&all, "aws", &home(), false).unwrap().text.contains(r#""Effect":"Deny","Action":["sts:AssumeRole","#));
        assert!(!read(&all, "aws", &home(), true).unwrap().text.contains("Deny"));
    }

    #[test]
    fn a_session_policy_that_sts_would_refuse_is_refused_when_it_is_read() {
        let just = |n: usize| good(&READ.replace("GetObject", &"G".repeat(n)));
        let most = (1..LONGEST).rev().find(|n| read(&just(*n), "aws", &home(), false).is_ok()).unwrap();
        assert_eq!(read(&just(most), "aws", &home(), false).unwrap().text.len(), LONGEST);
        assert_eq!(refused(&just(most + 1)), "with what Cordon adds it has 2049 characters, and STS takes 2048: say less");
        assert_eq!(refused(&good(&READ.replace("s3:::x", "s3:::\u{2603}"))), "it has characters that STS does not take");
    }

    #[test]
    fn a_policy_with_a_mistake_says_which() {
        for (text, what) in [
            ("{", "EOF while parsing"),
            (&good(READ).replace("2012-10-17", "2008-10-17"), "its Version is `2008-10-17`"),
            (&good(READ).replace("\"Version\"", "\"version\""), "unknown field `version`"),
            (&good(""), "no Statement allows anything"),
            (&good(&READ.replace("Allow", "Deny")), "no Statement allows anything"),
            (&good(&READ.replace("Allow", "allow")), "unknown variant `allow`"),
            (&good(&READ.replace("\"Action\": \"s3:GetObject\", ", "")), "needs one of Action and NotAction"),
            (&good(&READ.replace("\"s3:GetObject\"", "[]")), "needs one of Action and NotAction"),
            (&good(&READ.replace("\"Effect\"", "\"NotResource\": \"x\", \"Effect\"")), "one of Resource and NotResource"),
            (&good(&READ.replace("\"Effect\"", "\"Principal\": \"*\", \"Effect\"")), "unknown field `Principal`"),
            (&good(&READ.replace("\"Effect\"", "\"Sid\": \"CordonProbe\", \"Effect\"")), "starts like Cordon's own"),
            (&good(&READ.replace("\"Effect\"", "\"Sid\": \"a b\", \"Effect\"")), "more than letters and digits"),
            (&good(&[READ, READ].map(|read| read.replace("\"Effect\"", "\"Sid\": \"A\", \"Effect\"")).join(",")), "two statements"),
            (&good(&READ.replace("${account}", "${acount}")), "`${acount}` stands for nothing"),
        ] {
            let said = refused(text);
            assert!(said.contains(what), "{text}: {said}");
        }
        let own = good(&READ.replace("x-${account}", "${aws:PrincipalTag/team}"));
        assert!(read(&own, "aws", &home(), false).is_ok(), "IAM's own variables are IAM's");
    }

    /// Else the first probe after a revocation is refused by the session policy, and the grant is taken for ended while its sessions live.
    #[test]
    fn a_session_policy_cannot_make_a_probe_look_like_an_end() {
        for denies in [
            r#""Action": "iam:ListAccountAliases", "Resource": "*""#,
            r#""Action": ["s3:*", "IAM:list*"], "Resource": "*""#,
            r#""Action": "*", "Resource": ["arn:aws:s3:::x", "*"]"#,
            r#""Action": "iam:List???????Aliases", "Resource": "*""#,
            r#""NotAction": "s3:*", "Resource": "*""#,
            r#""Action": "*", "NotResource": "arn:aws:s3:::x""#,
        ] {
            let said = refused(&good(&format!(r#"{READ}, {{"Effect": "Deny", {denies}}}"#)));
            assert!(said.contains("denies iam:ListAccountAliases"), "{denies}: {said}");
        }
        for other in [
            r#""Action": "iam:Create*", "Resource": "*""#,
            r#""Action": "*", "Resource": "arn:aws:s3:::secret/*""#,
            r#""NotAction": ["s3:*", "iam:*"], "Resource": "*""#,
        ] {
            assert!(read(&good(&format!(r#"{READ}, {{"Effect": "Deny", {other}}}"#)), "aws", &home(), false).is_ok(), "{other}");
        }
    }
}
