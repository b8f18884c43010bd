//! What is no playbook for access, and what its author is told.

use playbook::{AccessPlaybook, AccessTexts};

use super::home;

fn refused(texts: AccessTexts<'_>) -> String {
    AccessPlaybook::parse(texts, "aws", &home()).unwrap_err().to_string()
}

/// What the author of `policy` is told, if it is put below the shipped ones.
fn told(policy: &str) -> String {
    let policies = format!("{}\n{policy}", AccessTexts::shipped().policies);
    refused(AccessTexts { policies: &policies, ..AccessTexts::shipped() })
}

/// The shipped entitlements with a mistake.
fn mistake(right: &str, wrong: &str) -> String {
    let entitlements = AccessTexts::shipped().entitlements;
    assert!(entitlements.contains(right), "{right}");
    refused(AccessTexts { entitlements: &entitlements.replacen(right, wrong, 1), ..AccessTexts::shipped() })
}

#[test]
fn a_permit_that_opens_says_how_far() {
    let permit = |annotations: &str, acts: &str| {
        told(&format!(r#"@id("one-more") @reason("Because.") {annotations} permit (principal, action{acts}, resource);"#))
    };
    let (request, glass) = (r#" == Cordon::Action::"request""#, r#" == Cordon::Action::"breakGlass""#);
    let text = [
        permit("", request),
        permit(r#"@quorum("2")"#, request),
        permit(r#"@longest("3600")"#, request),
        permit(r#"@quorum("0") @longest("3600")"#, request),
        permit(r#"@quorum("256") @longest("3600")"#, request),
        permit(r#"@quorum("two") @longest("3600")"#, request),
        permit(r#"@quorum("2") @longest("899")"#, request),
        permit(r#"@quorum("2") @longest("43201")"#, request),
        permit(r#"@quorum("2") @longest("1h")"#, request),
        permit(r#"@quorum @longest("3600")"#, request),
        permit("", glass),
        permit(r#"@longest("3601")"#, glass),
        permit(r#"@quorum("1") @longest("3600")"#, glass),
        permit(r#"@quorum("1") @longest("3600")"#, r#" in [Cordon::Action::"request", Cordon::Action::"breakGlass"]"#),
        permit(r#"@quorum("1") @longest("3600")"#, ""),
        permit(r#"@quorum("1") @longest("3600")"#, r#" in [Cordon::Action::"mint", Cordon::Action::"show"]"#),
        permit(r#"@quorum("1")"#, r#" == Cordon::Action::"approve""#),
        told(r#"@id("one-more") @reason("Because.") @longest("900") forbid (principal, action, resource) when { principal.barred };"#),
        told(r#"@id("too-long") @reason("Because.") forbid (principal, action, resource) when { principal.barred };"#),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

#[test]
fn a_policy_about_what_is_not_there() {
    let forbid = |when: &str| {
        told(&format!(
            r#"@id("one-more") @reason("Because.") forbid (principal, action == Cordon::Action::"request", resource) when {{ {when} }};"#
        ))
    };
    let text = [
        forbid(r#"resource.entitlement == Cordon::Entitlement::"prod-raed""#),
        forbid(r#"resource.entitlement == "prod-read""#),
        forbid(r#"resource.class == Cordon::Class::"break-glass""#),
        forbid("context.ticket == \"OPS-7\""),
        forbid("context.mfaAge > 900"),
        forbid("context.source.isInRange(ip(\"203.0.113.0/33\"))"),
        forbid("principal.permissionSet == \"Developer\""),
        told(r#"@id("one-more") @reason("Because.") permit (principal, action == Cordon::Action::"aprove", resource);"#),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

/// A group of actions would hide which acts a permit opens.
#[test]
fn a_policy_names_the_acts_themselves() {
    let shipped = AccessTexts::shipped();
    let schema = shipped
        .schema
        .replace("review appliesTo", "review in [opening] appliesTo")
        .replace("    action request", "    action opening;\n    action request");
    assert_ne!(schema, shipped.schema);
    let policies = format!(
        "{}\n{}",
        shipped.policies,
        r#"@id("one-more") @reason("Because.") @quorum("1") @longest("3600") permit (principal, action in Cordon::Action::"opening", resource);"#
    );
    let said = refused(AccessTexts { policies: &policies, schema: &schema, ..shipped });
    insta::assert_snapshot!(said);
}

#[test]
fn entitlements_with_a_mistake() {
    let deploy = r#""requesters": ["Developer", "role/${home}/ci"]"#;
    let text = [
        mistake("\"prod-deploy\": {", "\"prod-read\": {"),
        mistake("\"prod-deploy\": {", "\"Prod Deploy\": {"),
        mistake("\"prod-deploy\": {", "\"shop-deploy\": {"),
        mistake("\"ticket\": true", "\"tickets\": true"),
        mistake(",\n    \"ticket\": true", ""),
        mistake("\"ticket\": true", "\"ticket\": true, \"ticket\": false"),
        mistake("\"class\": \"approved\"", "\"class\": \"trusted\""),
        mistake("cordon-jit/prod-read", "role/"),
        mistake("cordon-jit/prod-read", "*"),
        mistake("\"role\": \"cordon-jit/prod-read\"", "\"role\": \"prod-read\", \"account\": \"12\""),
        mistake("1800", "3601"),
        mistake("1800", "899"),
        mistake("\"session_policy\": \"prod-read\"", "\"session_policy\": \"prod-write\""),
        mistake("\"session_policy\": \"prod-read\"", "\"session_policy\": \"prod-deploy\""),
        mistake(deploy, "\"requesters\": []"),
        mistake("\"approvers\": [\"Security\"]", "\"approvers\": []"),
        mistake("\"approvers\": [\"Security\"]", "\"approvers\": [\"role/123456789012/admin\"]"),
        mistake("role/${home}/ci", "role/${account}/ci"),
        mistake("role/${home}/ci", "arn:aws:iam::123456789012:role/ci"),
        mistake("role/${home}/ci", "role/123456789012/*"),
        mistake("\"ticket\": true", "\"ticket\": true, \"approve_from\": \"203.0.113.9\""),
        mistake("\"ticket\": true", "\"ticket\": true, \"approve_from\": \"203.0.113.0/33\""),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

/// A command that said "submitted" for a request that nobody could approve.
#[test]
fn an_entitlement_that_nobody_could_ask_for_or_approve_is_refused() {
    for field in ["requesters", "approvers"] {
        let (before, rest) = AccessTexts::shipped().entitlements.split_once(&format!("\"{field}\": [")).unwrap();
        let (_, after) = rest.split_once(']').unwrap();
        let entitlements = format!("{before}\"{field}\": []{after}");
        let said = refused(AccessTexts { entitlements: &entitlements, ..AccessTexts::shipped() });
        assert_eq!(said, format!("entitlement `prod-read`: `{field}` is empty: then nobody could"));
    }
}

#[test]
fn a_session_policy_with_a_mistake_names_the_entitlement() {
    let with = |name: &str, text: &str| {
        let mut sessions = AccessTexts::shipped().sessions.to_vec();
        sessions.retain(|(there, _)| *there != name);
        sessions.push((name, text));
        refused(AccessTexts { sessions: &sessions, ..AccessTexts::shipped() })
    };
    let long = AccessTexts::shipped().sessions[2].1.replace("prod-orders", &"o".repeat(600));
    let text = [
        with("prod-read", r#"{"Version": "2012-10-17", "Statement": []}"#),
        with("prod-read", r#"{"Version": "2008-10-17", "Statement": []}"#),
        with("prod-read", "{"),
        with("prod-read", &long),
        with("prod-write", AccessTexts::shipped().sessions[2].1),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

#[test]
fn a_partition_or_a_file_that_is_none() {
    let shipped = AccessTexts::shipped();
    assert!(AccessPlaybook::shipped("aws-us-gov", &home()).is_ok());
    assert!(AccessPlaybook::shipped("x", &home()).is_err());
    for texts in [
        AccessTexts { policies: "permit", ..shipped },
        AccessTexts { schema: "", ..shipped },
        AccessTexts { controls: "{}", ..shipped },
        AccessTexts { entitlements: "[]", ..shipped },
        AccessTexts { sessions: &[], ..shipped },
    ] {
        assert!(AccessPlaybook::parse(texts, "aws", &home()).is_err());
    }
}
