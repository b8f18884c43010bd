//! The controls that Cordon's records may name, as their catalogues have them.

/// NIST SP 800-53, Revision 5.
pub(crate) const NIST: &str = "NIST SP 800-53 Rev. 5";
/// The AICPA's Trust Services Criteria, which SOC 2 reports are made against.
pub(crate) const SOC2: &str = "SOC 2 (TSC 2017)";

/// A control that is known here.
pub(crate) struct Known {
    pub(crate) framework: &'static str,
    pub(crate) id: &'static str,
    /// Its name; for the criteria, which have none, what each is about.
    pub(crate) title: &'static str,
    /// The statement in OSCAL's catalogue that records bear on. No catalogue of the criteria is published in OSCAL.
    pub(crate) statement: Option<&'static str>,
}

const fn nist(id: &'static str, title: &'static str, statement: &'static str) -> Known {
    Known { framework: NIST, id, title, statement: Some(statement) }
}

const fn criterion(id: &'static str, title: &'static str) -> Known {
    Known { framework: SOC2, id, title, statement: None }
}

/// In order of framework and id. Names and statements: usnistgov/oscal-content, `NIST_SP-800-53_rev5_catalog.json`; the criteria: AICPA,
/// TSP Section 100 (2017, revised points of focus 2022).
pub(crate) const KNOWN: [Known; 14] = [
    nist("AC-2(13)", "Disable Accounts for High-risk Individuals", "ac-2.13_smt"),
    nist("AC-3(8)", "Revocation of Access Authorizations", "ac-3.8_smt"),
    nist("AC-4", "Information Flow Enforcement", "ac-4_smt"),
    nist("AU-3", "Content of Audit Records", "au-3_smt"),
    nist("IA-5", "Authenticator Management", "ia-5_smt.d"),
    nist("IR-4", "Incident Handling", "ir-4_smt.a"),
    nist("IR-4(1)", "Automated Incident Handling Processes", "ir-4.1_smt"),
    nist("IR-5", "Incident Monitoring", "ir-5_smt"),
    nist("SC-7", "Boundary Protection", "sc-7_smt.a"),
    nist("SI-4(7)", "Automated Response to Suspicious Events", "si-4.7_smt"),
    criterion("CC6.1", "logical access to what is protected is restricted"),
    criterion("CC6.2", "credentials are issued to who is authorised, and removed when access is no longer authorised"),
    criterion("CC7.3", "security events are evaluated, and acted on if they are incidents"),
    criterion("CC7.4", "incidents are responded to by a defined programme: understood, contained, remediated, communicated"),
];

/// The control called `id` in `framework`, if it is known here.
pub(crate) fn known(framework: &str, id: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.framework == framework && known.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// Every control that a shipped playbook can make a record claim is known by its name.
    #[test]
    fn what_is_claimed_is_known() {
        let table: serde_json::Value = serde_json::from_str(include_str!("../../../infra/policies/mitigations.json")).unwrap();
        let revocation: serde_json::Value = serde_json::from_str(include_str!("../../../infra/policies/revocation.json")).unwrap();
        let lists = table["rows"].as_array().unwrap().iter().map(|row| &row["controls"]).chain([&table["every_decision"]]);
        let lists = lists.chain([&revocation["revocation"], &revocation["every_decision"]]);
        let claimed: BTreeSet<_> = lists
            .flat_map(|list| list.as_array().unwrap())
            .map(|control| (control["framework"].as_str().unwrap(), control["id"].as_str().unwrap()))
            .collect();
        for (framework, id) in &claimed {
            assert!(known(framework, id).is_some(), "{framework} {id}");
        }
        // AU-3 is what `cordon evidence run` claims.
        let all: BTreeSet<_> = KNOWN.iter().map(|known| (known.framework, known.id)).collect();
        assert_eq!(all.difference(&claimed).collect::<Vec<_>>(), [&(NIST, "AU-3")]);
    }

    #[test]
    fn a_statement_belongs_to_its_control() {
        for known in &KNOWN {
            if let Some(statement) = known.statement {
                let oscal = known.id.to_lowercase().replace('(', ".").replace(')', "");
                assert!(statement.starts_with(&format!("{oscal}_smt")), "{}", known.id);
            }
        }
    }
}
