//! What is no playbook, and what its author is told.

use playbook::{Playbook, PlaybookError};

use crate::{MITIGATIONS, POLICIES, SCHEMA};

fn refused(policies: &str, schema: &str, mitigations: &str) -> PlaybookError {
    Playbook::parse(policies, schema, mitigations).unwrap_err()
}

/// What the author of `policy` is told, if it is put below the shipped ones.
fn told(policy: &str) -> String {
    refused(&format!("{POLICIES}\n{policy}"), SCHEMA, MITIGATIONS).to_string()
}

/// The shipped policies with a typo.
fn typo(right: &str, wrong: &str) -> String {
    assert!(POLICIES.contains(right), "{right}");
    refused(&POLICIES.replacen(right, wrong, 1), SCHEMA, MITIGATIONS).to_string()
}

#[test]
fn a_policy_with_a_typo() {
    let text = [
        typo("context.role == Cordon", "context.roll == Cordon"),
        typo("context.severity >= 700", "context.severity >= \"700\""),
        typo("Cordon::Role::\"ACTOR\"", "Cordon::Role::\"ACTR\""),
        typo("Cordon::Mode::\"observe\"", "Cordon::Mode::\"obseve\""),
        typo("Cordon::Mode::\"observe\"", "\"observe\""),
        typo("Cordon::Action::\"isolate\", Cordon", "Cordon::Action::\"insulate\", Cordon"),
        typo("Cordon::Function::\"quarantine\"", "Cordon::Function::\"quarentine\""),
        typo("context.severity >= 700\n};", "context.severity >= 700\n}"),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

#[test]
fn a_policy_that_does_not_say_enough() {
    let text = [
        told(r#"@reason("Because.") forbid (principal, action, resource);"#),
        told(r#"@id("") @reason("Because.") forbid (principal, action, resource);"#),
        told(r#"@id("Not Kebab") @reason("Because.") forbid (principal, action, resource);"#),
        told(r#"@id("observe-mode") @reason("Because.") forbid (principal, action, resource);"#),
        told(r#"@id("policy-error") @reason("Because.") forbid (principal, action, resource);"#),
        told(r#"@id("silent") forbid (principal, action, resource);"#),
        told(r#"@id("blank") @reason(" ") forbid (principal, action, resource);"#),
        told("@id(\"two-lines\") @reason(\"One.\\nTwo.\") forbid (principal, action, resource);"),
        told(r#"@id("slot") @reason("Because.") forbid (principal == ?principal, action, resource);"#),
        told(r#"@id("twice") @id("twice") @reason("Because.") forbid (principal, action, resource);"#),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

#[test]
fn a_policy_that_can_never_apply() {
    let text = told(r#"@id("never") @reason("Because.") forbid (principal, action, resource) when { context.stop && false };"#);
    insta::assert_snapshot!(text);
}

#[test]
fn a_schema_for_other_questions() {
    let other = |right: &str, wrong: &str| {
        assert!(SCHEMA.contains(right), "{right}");
        refused("", &SCHEMA.replacen(right, wrong, 1), MITIGATIONS).to_string()
    };
    let text = [
        other("            stop: Bool,\n", ""),
        other("stop: Bool,", "stop: Bool,\n            mood: String,"),
        other("severity: Long", "severity: String"),
        other("\"quarantine\"", "\"release\""),
        other("\"none\"", "\"nothing\""),
        other("namespace Cordon", "namespace Fence"),
        other("entity Role enum", "entity Role enmu"),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

#[test]
fn a_table_with_a_mistake() {
    let other = |right: &str, wrong: &str| {
        assert!(MITIGATIONS.contains(right), "{right}");
        refused(POLICIES, SCHEMA, &MITIGATIONS.replacen(right, wrong, 1)).to_string()
    };
    let text = [
        other("\"id\": \"crypto-mining\"", "\"id\": \"command-and-control\""),
        other("\"id\": \"crypto-mining\"", "\"id\": \"Crypto Mining\""),
        other("\"owner\": \"incident response\"", "\"owner\": \"\""),
        other("\"owner\"", "\"ownr\""),
        other("\"isolate-instance\"", "\"isolate\""),
        other("Trojan:EC2/DropPoint*", "Trojan:EC2/DorpPoint*"),
        other("Trojan:EC2/DropPoint*", "Trojan:EC2/Drop*Point"),
        other("Trojan:EC2/DropPoint*", "Trojan"),
        other("Trojan:EC2/DropPoint*", "Trojan:*/D*"),
        other("}", ""),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}
