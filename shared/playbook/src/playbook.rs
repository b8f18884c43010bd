//! The playbook: three texts, one answer for each signal.

use std::collections::BTreeSet;
use std::fmt;

use ids::{Hasher, RuleName, Sha256};
use signal::{FindingType, Signal};

use crate::circumstances::Circumstances;
use crate::policies::{Answer, Answers, Policies, Rule, name};
use crate::table::Table;
use crate::{Control, Decision, Facts, Mitigation, NO_RULE, POLICY_ERROR, PlaybookError, Posture, Row, Verdict};

const POLICIES: &str = include_str!("../../../infra/policies/quarantine.cedar");
const SCHEMA: &str = include_str!("../../../infra/policies/cordon.cedarschema");
const MITIGATIONS: &str = include_str!("../../../infra/policies/mitigations.json");

/// What is pre-approved: the mitigation table and the Cedar policies, read and checked.
#[derive(Clone)]
pub struct Playbook {
    policies: Policies,
    table: Table,
    digest: Sha256,
    no_rule: RuleName,
    policy_error: RuleName,
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
        Ok(Self {
            policies: Policies::parse(policies, schema)?,
            table: Table::parse(mitigations)?,
            digest: Hasher::new("cordon/playbook/v1").part(policies).part(schema).part(mitigations).finish(),
            no_rule: name(0, NO_RULE)?,
            policy_error: name(0, POLICY_ERROR)?,
        })
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
        let answers = self.policies.ask(&Circumstances::of(signal, mitigation, *facts, *posture));
        let answers = answers.unwrap_or_else(|_| Answers { broken: Some("The playbook".into()), ..Answers::default() });
        let Opinion { verdict, rule, reason, would } = self.weigh(mitigation, &answers);

        let row = row.filter(|_| verdict != Verdict::NotifyOnly);
        // A row's controls are what doing it is evidence for: a person who is asked has not done it.
        let doing = row.filter(|_| verdict == Verdict::Do).map_or(&[][..], |row| &row.controls);
        let controls: BTreeSet<_> = self.deciding().iter().chain(doing).collect();
        Decision {
            verdict,
            mitigation: row.map_or(Mitigation::None, |row| row.mitigation),
            rule,
            reason,
            controls: controls.into_iter().cloned().collect(),
            would,
        }
    }

    fn weigh(&self, mitigation: Mitigation, answers: &Answers<'_>) -> Opinion {
        // Without a mitigation there is nothing to do or to propose, whatever a policy says.
        let (isolate, propose) = match mitigation {
            Mitigation::None => (Answer::default(), Answer::default()),
            Mitigation::IsolateInstance => (answers.isolate, answers.propose),
        };
        let would = isolate.permit.or(propose.permit);

        if let Some(broken) = &answers.broken {
            let (verdict, then) = match (mitigation, propose.forbid) {
                (Mitigation::IsolateInstance, None) => (Verdict::AskHuman, "a person decides".to_owned()),
                (_, Some(forbid)) => (Verdict::NotifyOnly, format!("nothing is done, as `{}` holds", forbid.name)),
                (Mitigation::None, None) => (Verdict::NotifyOnly, "a person looks at it".to_owned()),
            };
            let reason = format!("{broken} could not be evaluated: {then}.");
            return Opinion { verdict, rule: self.policy_error.clone(), reason, would: would.map(|rule| rule.name.clone()) };
        }
        if let Some(permit) = isolate.allowed() {
            return Opinion::of(Verdict::Do, permit, None);
        }
        if let Some(permit) = propose.allowed() {
            return match isolate.overruled() {
                Some((forbid, _)) => Opinion::of(Verdict::AskHuman, forbid, would),
                None => Opinion::of(Verdict::AskHuman, permit, None),
            };
        }
        if let Some((forbid, _)) = propose.overruled().or(isolate.overruled()) {
            return Opinion::of(Verdict::NotifyOnly, forbid, would);
        }
        match answers.notify.allowed() {
            Some(permit) => Opinion::of(Verdict::NotifyOnly, permit, None),
            None => Opinion {
                verdict: Verdict::NotifyOnly,
                rule: self.no_rule.clone(),
                reason: "No policy answers for this: a person looks at it.".into(),
                would: None,
            },
        }
    }
}

impl fmt::Debug for Playbook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playbook").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// A decision, before the mitigation table adds its part.
struct Opinion {
    verdict: Verdict,
    rule: RuleName,
    reason: String,
    would: Option<RuleName>,
}

impl Opinion {
    fn of(verdict: Verdict, rule: &Rule, would: Option<&Rule>) -> Self {
        Self { verdict, rule: rule.name.clone(), reason: rule.reason.clone(), would: would.map(|rule| rule.name.clone()) }
    }
}
