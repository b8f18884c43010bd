//! The playbook: three texts, one answer for each signal.

use std::fmt;

use ids::{Hasher, Sha256};
use signal::{FindingType, Signal};

use crate::circumstances::{Circumstances, Names};
use crate::error::explain;
use crate::opinion::Opinion;
use crate::policies::{Answers, Policies};
use crate::question::Questions;
use crate::table::Table;
use crate::{Control, Decision, Facts, Mitigation, PlaybookError, Posture, Row, Verdict};

const POLICIES: &str = include_str!("../../../infra/policies/quarantine.cedar");
const SCHEMA: &str = include_str!("../../../infra/policies/cordon.cedarschema");
const MITIGATIONS: &str = include_str!("../../../infra/policies/mitigations.json");

/// What is pre-approved: the mitigation table and the Cedar policies, read and checked.
#[derive(Clone)]
pub struct Playbook {
    policies: Policies,
    names: Names,
    table: Table,
    digest: Sha256,
}

impl Playbook {
    /// The playbook in `infra/policies`, as it was when this was built.
    ///
    /// # Errors
    /// If it is not a playbook, which a test rules out.
    pub fn shipped() -> Result<Self, PlaybookError> {
        Self::parse(POLICIES, SCHEMA, MITIGATIONS)
    }

    /// Reads a playbook, and refuses what it is not sure of: a policy without `@id` or `@reason`, a typo in an attribute or a word,
    /// a policy that can never apply, a finding type with two answers.
    ///
    /// # Errors
    /// With the policy or the row that is wrong, and what to do about it.
    pub fn parse(policies: &str, schema: &str, mitigations: &str) -> Result<Self, PlaybookError> {
        let other = |error: Box<_>| PlaybookError::OtherSchema { what: explain(&*error, "") };
        let questions = Questions::new("quarantine", ["isolate", "propose", "notify"]).map_err(other)?;
        let playbook = Self {
            policies: Policies::parse(policies, schema, questions)?,
            names: Names::new().map_err(other)?,
            table: Table::parse(mitigations)?,
            digest: Hasher::new("cordon/playbook/v1").part(policies).part(schema).part(mitigations).finish(),
        };
        playbook.ask(&Circumstances::example()).map_err(|error| PlaybookError::OtherSchema { what: error.to_string() })?;
        Ok(playbook)
    }

    /// The digest of the three texts, to the byte. It goes into every record.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// The mitigation table.
    #[must_use]
    pub fn rows(&self) -> &[Row] {
        &self.table.rows
    }

    /// What any decision is evidence for, whatever comes of it.
    #[must_use]
    pub fn deciding(&self) -> &[Control] {
        &self.table.every_decision
    }

    /// The row that answers findings of this type.
    #[must_use]
    pub fn row(&self, kind: &FindingType) -> Option<&Row> {
        self.table.row(kind)
    }

    /// What is to happen about `signal`.
    ///
    /// Do it if isolating is allowed; else ask a person if proposing is; else only tell people. The README has the details.
    ///
    /// A policy that cannot be evaluated is as good as absent to Cedar, which would turn a broken forbid into a permit. So any error
    /// leaves the matter to a person, unless a sound forbid keeps it from being proposed at all.
    #[must_use]
    pub fn decide(&self, signal: &Signal, facts: &Facts, posture: &Posture) -> Decision {
        let row = self.row(&signal.finding.kind);
        let mitigation = row.map_or(Mitigation::None, |row| row.mitigation);
        let answers = self.ask(&Circumstances::of(signal, mitigation, *facts, *posture)).unwrap_or_else(|_| Answers::none());
        // Without a mitigation there is nothing to do or to propose, whatever a policy says.
        let Opinion { verdict, rule, reason, would } = self.policies.weigh(mitigation == Mitigation::IsolateInstance, &answers);

        let row = row.filter(|_| verdict != Verdict::NotifyOnly);
        // A row's controls are what doing it is evidence for: a person who is asked has not done it.
        let doing = row.filter(|_| verdict == Verdict::Do).map_or(&[][..], |row| &row.controls);
        let controls = Control::together(self.deciding(), doing);
        Decision { verdict, mitigation: row.map_or(Mitigation::None, |row| row.mitigation), rule, reason, controls, would }
    }
}

impl Playbook {
    fn ask(&self, it: &Circumstances) -> Result<Answers<'_>, Box<dyn std::error::Error>> {
        self.policies.ask(|schema| self.names.case(it, schema))
    }
}

impl fmt::Debug for Playbook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playbook").field("digest", &self.digest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use signal::Role;

    use super::*;
    use crate::Mode;

    /// So the shipped permits never disagree, and the one that answers is not chosen by its name.
    #[test]
    fn before_the_forbids_exactly_one_permit_answers() {
        let playbook = Playbook::shipped().unwrap();
        for severity in [0, 399, 400, 699, 700, 899, 900, 1000] {
            for role in [Role::Actor, Role::Target, Role::Unstated] {
                for mitigation in [Mitigation::IsolateInstance, Mitigation::None] {
                    for inside in [true, false] {
                        let posture = Posture { mode: Mode::Act, ..Posture::default() };
                        let it = Circumstances { severity, role, mitigation, inside, posture, ..Circumstances::example() };
                        let permits = playbook.policies.permits(|schema| playbook.names.case(&it, schema));
                        assert_eq!(permits.len(), 1, "{it:?}: {permits:?}");
                    }
                }
            }
        }
    }
}
