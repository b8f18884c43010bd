//! What is shipped: complete, without contradictions, and what the documents say.

use std::collections::{BTreeMap, BTreeSet};

use playbook::{Control, Decision, Mitigation, Playbook, Verdict};
use signal::FindingType;

use crate::{MITIGATIONS, POLICIES, SCHEMA, SHIPPED};

fn instances() -> impl Iterator<Item = FindingType> {
    FindingType::all().filter(|kind| matches!(kind.resource(), "EC2" | "Runtime"))
}

#[test]
fn the_shipped_files_pass_their_own_schema() {
    let read = Playbook::parse(POLICIES, SCHEMA, MITIGATIONS).unwrap();
    assert_eq!(read.digest(), SHIPPED.digest());
}

#[test]
fn a_changed_byte_is_another_playbook() {
    let other = |policies: &str, mitigations: &str| Playbook::parse(policies, SCHEMA, mitigations).unwrap().digest();
    let digests = BTreeSet::from([
        SHIPPED.digest(),
        other(&format!("{POLICIES} "), MITIGATIONS),
        other(POLICIES, &format!("{MITIGATIONS} ")),
        other(&POLICIES.replace("// ----", "//-----"), MITIGATIONS),
    ]);
    assert_eq!(digests.len(), 4);
}

#[test]
fn every_finding_about_an_instance_has_exactly_one_row() {
    for kind in instances() {
        let rows: Vec<_> = SHIPPED.rows().iter().filter(|row| row.covers(&kind)).map(|row| &row.id).collect();
        assert_eq!(rows.len(), 1, "{kind}: {rows:?}");
    }
}

#[test]
fn nothing_but_findings_about_instances_has_a_row() {
    for kind in FindingType::all().filter(|kind| !matches!(kind.resource(), "EC2" | "Runtime")) {
        assert_eq!(SHIPPED.row(&kind), None, "{kind}");
    }
}

#[test]
fn what_no_security_group_stops_has_no_mitigation() {
    for kind in instances() {
        let none = match (kind.purpose(), kind.resource()) {
            ("AttackSequence" | "CredentialAccess" | "DefenseImpairment" | "Exfiltration" | "LateralMovement", "EC2") => true,
            ("Persistence", "EC2") => true,
            ("Execution", "EC2") => kind.artifact().is_some(),
            ("Recon", "EC2") => kind.family().starts_with("PortProbe"),
            _ => false,
        };
        assert_eq!(SHIPPED.row(&kind).unwrap().mitigation == Mitigation::None, none, "{kind}");
    }
}

#[test]
fn a_row_claims_only_what_doing_something_is_evidence_for() {
    let known: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("NIST SP 800-53 Rev. 5", &["AC-4", "IR-4", "IR-4(1)", "SC-7", "SI-4(7)"][..]),
        ("SOC 2 (TSC 2017)", &["CC7.4"]),
    ]);
    for row in SHIPPED.rows() {
        assert_eq!(row.controls.is_empty(), row.mitigation == Mitigation::None, "{}", row.id);
        for Control { framework, id } in &row.controls {
            assert!(known[framework.as_str()].contains(&id.as_str()), "{}: {framework} {id}", row.id);
        }
        // Whoever reports on either framework finds it in every row that does something.
        let frameworks: BTreeSet<_> = row.controls.iter().map(|control| control.framework.as_str()).collect();
        assert!(row.controls.is_empty() || frameworks.len() == known.len(), "{}: {frameworks:?}", row.id);
    }
}

/// The table in short, so that a change to it is read as one.
#[test]
fn the_table() {
    let mut kinds: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for kind in instances() {
        kinds.entry(SHIPPED.row(&kind).unwrap().id.as_str()).or_default().push(kind.to_string());
    }
    let mut text = String::new();
    for row in SHIPPED.rows() {
        let controls: Vec<_> = row.controls.iter().map(|control| control.id.as_str()).collect();
        text += &format!("{} → {} {}\n", row.id, row.mitigation, controls.join(" "));
        text += &kinds[row.id.as_str()].iter().map(|kind| format!("    {kind}\n")).collect::<String>();
    }
    insta::assert_snapshot!(text);
}

/// Decisions go through the redactor on their way into records and answers: our own words must come out as they went in.
#[test]
fn no_reason_looks_like_a_secret() {
    let redactor = redact::Redactor::new(&redact::Config::default()).unwrap();
    let files = [
        include_str!("../../../../infra/policies/quarantine.cedar"),
        include_str!("../../../../infra/policies/revoke.cedar"),
        include_str!("../../../../infra/policies/release.cedar"),
        include_str!("../../../../infra/policies/access/access.cedar"),
    ];
    let reasons = files.into_iter().flat_map(|file| file.split("@reason(\"").skip(1));
    let mut seen = 0;
    for reason in reasons.map(|rest| rest.split("\")").next().unwrap()) {
        for mitigation in [
            Mitigation::IsolateInstance,
            Mitigation::RevokeCredential,
            Mitigation::ReleaseRevocation,
            Mitigation::GrantAccess,
            Mitigation::EndAccess,
            Mitigation::None,
        ] {
            for verdict in [Verdict::Do, Verdict::AskHuman, Verdict::NotifyOnly] {
                let rule: ids::RuleName = "a-rule".parse().unwrap();
                let reason = reason.to_owned();
                let said = Decision { verdict, mitigation, rule, reason, controls: Vec::new(), would: None }.to_string();
                assert_eq!(redactor.text(&said).0, said);
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "{seen}");
}
