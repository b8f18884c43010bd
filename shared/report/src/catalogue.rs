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

/// In the order of the catalogues. Names and statements: usnistgov/oscal-content, `NIST_SP-800-53_rev5_catalog.json`; the criteria: AICPA,
/// TSP Section 100 (2017, revised points of focus 2022).
pub(crate) const KNOWN: [Known; 22] = [
    nist("AC-2(6)", "Dynamic Privilege Management", "ac-2.6_smt"),
    nist("AC-2(13)", "Disable Accounts for High-risk Individuals", "ac-2.13_smt"),
    nist("AC-3", "Access Enforcement", "ac-3_smt"),
    nist("AC-3(2)", "Dual Authorization", "ac-3.2_smt"),
    nist("AC-3(8)", "Revocation of Access Authorizations", "ac-3.8_smt"),
    nist("AC-4", "Information Flow Enforcement", "ac-4_smt"),
    nist("AC-5", "Separation of Duties", "ac-5_smt.b"),
    nist("AC-6", "Least Privilege", "ac-6_smt"),
    nist("AC-6(7)", "Review of User Privileges", "ac-6.7_smt.a"),
    nist("AU-3", "Content of Audit Records", "au-3_smt"),
    nist("IA-5", "Authenticator Management", "ia-5_smt.d"),
    nist("IR-4", "Incident Handling", "ir-4_smt.a"),
    nist("IR-4(1)", "Automated Incident Handling Processes", "ir-4.1_smt"),
    nist("IR-5", "Incident Monitoring", "ir-5_smt"),
    nist("SC-7", "Boundary Protection", "sc-7_smt.a"),
    nist("SI-4(7)", "Automated Response to Suspicious Events", "si-4.7_smt"),
    criterion("CC6.1", "logical access to what is protected is restricted"),
    criterion("CC6.2", "credentials are issued to who is authorised, and removed when access is no longer authorised"),
    criterion("CC6.3", "access is given, changed and removed by roles, with least privilege and segregation of duties"),
    criterion("CC7.3", "security events are evaluated, and acted on if they are incidents"),
    criterion("CC7.4", "incidents are responded to by a defined programme: understood, contained, remediated, communicated"),
    criterion("CC7.5", "what it takes to recover from incidents is worked out and done"),
];

/// The control called `id` in `framework`, if it is known here.
pub(crate) fn known(framework: &str, id: &str) -> Option<&'static Known> {
    KNOWN.iter().find(|known| known.framework == framework && known.id == id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    use serde_json::Value;

    use super::*;

    type Claims = BTreeSet<(String, String)>;

    /// Every control that a shipped playbook can make a record claim is known by its name, and none is known that no record can claim.
    #[test]
    fn what_is_claimed_is_known() {
        let mut claimed = Claims::new();
        // All of them, so that a playbook that comes later is read too.
        claims_in_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/policies"), &mut claimed);
        let known: Claims = KNOWN.iter().map(|known| (known.framework.to_owned(), known.id.to_owned())).collect();
        let none = Vec::<&(String, String)>::new();
        assert_eq!(claimed.difference(&known).collect::<Vec<_>>(), none);
        // AU-3 is what `cordon evidence run` claims.
        assert_eq!(known.difference(&claimed).collect::<Vec<_>>(), [&(NIST.to_owned(), "AU-3".to_owned())]);
    }

    fn claims_in_folder(folder: &Path, claimed: &mut Claims) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                claims_in_folder(&path, claimed);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                claims(&serde_json::from_slice(&fs::read(&path).unwrap()).unwrap(), claimed);
            }
        }
    }

    /// A control, wherever it is written in a file.
    fn claims(value: &Value, claimed: &mut Claims) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| claims(item, claimed)),
            Value::Object(fields) => {
                if let Some((framework, id)) = fields.get("framework").zip(fields.get("id")) {
                    claimed.insert((framework.as_str().unwrap().to_owned(), id.as_str().unwrap().to_owned()));
                }
                fields.values().for_each(|field| claims(field, claimed));
            }
            _ => {}
        }
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
