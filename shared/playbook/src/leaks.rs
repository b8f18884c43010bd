//! The playbook for leaked credentials.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt;

use cedar_policy::{Context, Entities, Entity, EntityTypeName, ParseErrors, RestrictedExpression as Value, Schema};
use ids::{Hasher, Sha256};
use serde::Deserialize;
use signal::{Credential, Leak, LeakSource, Severity, Trust};

use crate::error::explain;
use crate::opinion::Opinion;
use crate::policies::{Answers, Policies};
use crate::question::{Case, Questions, uid};
use crate::{Control, Decision, Mitigation, PlaybookError, Posture, Verdict};

const POLICIES: &str = include_str!("../../../infra/policies/revoke.cedar");
const SCHEMA: &str = include_str!("../../../infra/policies/revoke.cedarschema");
const CONTROLS: &str = include_str!("../../../infra/policies/revocation.json");

/// What a report without a severity of its own counts as, in hundredths: High.
const REPORTED: u16 = 800;
/// What a suspicion without a severity of its own counts as: Medium.
const SUSPECTED: u16 = 500;

/// What is known of a credential beside the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct LeakFacts {
    /// The deployed configuration names its principal: Cordon's own, break-glass.
    pub protected: bool,
    /// There is a procedure that ends credentials of this kind.
    pub procedure: bool,
    /// Who is hit, where it is every session of a role.
    pub users: RoleUsers,
}

/// How many users a role has, and how many may be hit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RoleUsers {
    /// So many are seen.
    pub count: u32,
    /// Whether that is all of them.
    pub known: bool,
    /// So many may be hit without asking.
    pub cap: u32,
    /// The number that a person has given with the request.
    pub repeated: Option<u32>,
}

/// What is pre-approved about leaked credentials: Cedar policies, read and checked.
#[derive(Clone)]
pub struct LeakPlaybook {
    policies: Policies,
    names: Names,
    controls: Controls,
    digest: Sha256,
}

/// The file beside the policies.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Controls {
    /// What every decision is evidence for, whatever it says.
    every_decision: Vec<Control>,
    /// What revoking is evidence for, beyond that.
    revocation: Vec<Control>,
}

impl LeakPlaybook {
    /// The playbook in `infra/policies`, as it was when this was built.
    ///
    /// # Errors
    /// If it is not a playbook, which a test rules out.
    pub fn shipped() -> Result<Self, PlaybookError> {
        Self::parse(POLICIES, SCHEMA, CONTROLS)
    }

    /// Reads a playbook, and refuses what it is not sure of.
    ///
    /// # Errors
    /// With what is wrong, and what to do about it.
    pub fn parse(policies: &str, schema: &str, controls: &str) -> Result<Self, PlaybookError> {
        let other = |error: Box<_>| PlaybookError::OtherSchema { what: explain(&*error, "") };
        let questions = Questions::new("revoke", ["revoke", "proposeRevocation", "notifyOfLeak"]).map_err(other)?;
        let playbook = Self {
            policies: Policies::parse(policies, schema, questions)?,
            names: Names::new().map_err(other)?,
            controls: serde_json::from_str(controls).map_err(|error| PlaybookError::Table { what: error.to_string() })?,
            digest: Hasher::new("cordon/leak-playbook/v1").part(policies).part(schema).part(controls).finish(),
        };
        playbook.ask(&Circumstances::example()).map_err(|error| PlaybookError::OtherSchema { what: error.to_string() })?;
        Ok(playbook)
    }

    /// The digest of the texts, to the byte. It goes into every record.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// What any decision is evidence for, whatever comes of it.
    #[must_use]
    pub fn deciding(&self) -> &[Control] {
        &self.controls.every_decision
    }

    /// What is to happen about `leak`. As with findings, a policy that cannot be evaluated leaves the matter to a person.
    #[must_use]
    pub fn decide(&self, leak: &Leak, facts: LeakFacts, posture: &Posture) -> Decision {
        let answers = self.ask(&Circumstances::of(leak, facts, *posture)).unwrap_or_else(|_| Answers::none());
        let Opinion { verdict, rule, reason, would } = self.policies.weigh(true, &answers);
        let doing = if verdict == Verdict::Do { &self.controls.revocation[..] } else { &[] };
        let controls = Control::together(self.deciding(), doing);
        Decision {
            verdict,
            mitigation: if verdict == Verdict::NotifyOnly { Mitigation::None } else { Mitigation::RevokeCredential },
            rule,
            reason,
            controls,
            would,
        }
    }

    fn ask(&self, it: &Circumstances) -> Result<Answers<'_>, Box<dyn Error>> {
        self.policies.ask(|schema| self.names.case(it, schema))
    }
}

impl fmt::Debug for LeakPlaybook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeakPlaybook").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// All that a policy may look at.
#[derive(Debug, Clone)]
struct Circumstances {
    target: String,
    account: String,
    source: LeakSource,
    trust: Trust,
    suspected: bool,
    credential: &'static str,
    finding_type: String,
    severity: u16,
    exercise: bool,
    archived: bool,
    facts: LeakFacts,
    posture: Posture,
}

impl Circumstances {
    fn of(leak: &Leak, facts: LeakFacts, posture: Posture) -> Self {
        let finding = leak.finding.as_ref();
        let unrated = if leak.suspected { SUSPECTED } else { REPORTED };
        Self {
            target: leak.target(),
            account: leak.account.to_string(),
            source: leak.source,
            trust: leak.trust,
            suspected: leak.suspected,
            credential: word(&leak.credential),
            finding_type: finding.map(|finding| finding.kind.to_string()).unwrap_or_default(),
            severity: finding.map(|finding| finding.severity).or(leak.rated).map_or(unrated, Severity::hundredths),
            exercise: leak.is_exercise(),
            archived: leak.closed || finding.is_some_and(|finding| finding.archived),
            facts,
            posture,
        }
    }

    /// Nothing in particular: to find out whether a schema fits.
    fn example() -> Self {
        Self {
            target: "iam:key:123456789012:AKIAIOSFODNN7EXAMPLE".into(),
            account: "123456789012".into(),
            source: LeakSource::GuardDuty,
            trust: Trust::Platform,
            suspected: false,
            credential: "user-key",
            finding_type: String::new(),
            severity: REPORTED,
            exercise: false,
            archived: false,
            facts: LeakFacts::default(),
            posture: Posture::default(),
        }
    }
}

/// The kind of credential, as the schema spells it.
fn word(credential: &Credential) -> &'static str {
    match credential {
        Credential::UserKey { .. } => "user-key",
        Credential::UserSession { .. } => "user-session",
        Credential::Federated { .. } => "federated",
        Credential::RoleSession { .. } => "role-session",
        Credential::InstanceSession { .. } => "instance-session",
        Credential::WholeRole { .. } => "whole-role",
        Credential::Root { .. } => "root",
        Credential::Unnamed { .. } => "unnamed",
    }
}

/// The schema's names, read once.
#[derive(Debug, Clone)]
struct Names {
    resource: EntityTypeName,
    credential: EntityTypeName,
    source: EntityTypeName,
    trust: EntityTypeName,
    mode: EntityTypeName,
}

impl Names {
    fn new() -> Result<Self, Box<ParseErrors>> {
        Ok(Self {
            resource: "Cordon::Credential".parse()?,
            credential: "Cordon::CredentialKind".parse()?,
            source: "Cordon::LeakSource".parse()?,
            trust: "Cordon::Trust".parse()?,
            mode: "Cordon::Mode".parse()?,
        })
    }

    fn case(&self, it: &Circumstances, schema: &Schema) -> Result<Case, Box<dyn Error>> {
        let text = |text: &str| Value::new_string(text.to_owned());
        let word = |kind: &EntityTypeName, word: &str| Value::new_entity_uid(uid(kind, word));
        let resource = uid(&self.resource, &it.target);
        let attributes = HashMap::from([("account".into(), text(&it.account))]);
        let entity = Entity::new(resource.clone(), attributes, HashSet::new())?;
        let context = Context::from_pairs([
            ("source".into(), word(&self.source, it.source.as_str())),
            ("trust".into(), word(&self.trust, it.trust.as_str())),
            ("suspected".into(), Value::new_bool(it.suspected)),
            ("credential".into(), word(&self.credential, it.credential)),
            ("findingType".into(), text(&it.finding_type)),
            ("severity".into(), Value::new_long(it.severity.into())),
            ("exercise".into(), Value::new_bool(it.exercise)),
            ("archived".into(), Value::new_bool(it.archived)),
            ("procedure".into(), Value::new_bool(it.facts.procedure)),
            ("users".into(), Value::new_long(it.facts.users.count.into())),
            ("usersKnown".into(), Value::new_bool(it.facts.users.known)),
            ("usersCap".into(), Value::new_long(it.facts.users.cap.into())),
            ("usersRepeated".into(), Value::new_long(it.facts.users.repeated.map_or(-1, i64::from))),
            ("protected".into(), Value::new_bool(it.facts.protected)),
            ("mode".into(), word(&self.mode, it.posture.mode.as_str())),
            ("stop".into(), Value::new_bool(it.posture.stop)),
            ("drill".into(), Value::new_bool(it.posture.drill)),
        ])?;
        Ok(Case { resource, context, entities: Entities::from_entities([entity], Some(schema))? })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    const KINDS: [&str; 8] =
        ["user-key", "user-session", "federated", "role-session", "instance-session", "whole-role", "root", "unnamed"];
    const SOURCES: [LeakSource; 8] = [
        LeakSource::GuardDuty,
        LeakSource::Health,
        LeakSource::GitHub,
        LeakSource::GitGuardian,
        LeakSource::Canary,
        LeakSource::Falco,
        LeakSource::Hand,
        LeakSource::Drill,
    ];
    const TRUSTS: [Trust; 4] = [Trust::Unsigned, Trust::Signed, Trust::Person, Trust::Platform];

    const USERS: [RoleUsers; 7] = [
        RoleUsers { count: 0, known: false, cap: 1, repeated: None },
        RoleUsers { count: 0, known: true, cap: 1, repeated: None },
        RoleUsers { count: 1, known: true, cap: 1, repeated: None },
        RoleUsers { count: 2, known: true, cap: 1, repeated: None },
        RoleUsers { count: 2, known: true, cap: 1, repeated: Some(1) },
        RoleUsers { count: 2, known: false, cap: 1, repeated: Some(2) },
        RoleUsers { count: 0, known: false, cap: 0, repeated: Some(0) },
    ];

    /// So the shipped permits never disagree, and the one that answers is not chosen by its name.
    ///
    /// Asked one by one, all circumstances take minutes. Policies tell words apart only by naming them, so one word that none names stands
    /// for all of those: `words_that_no_policy_names_are_answered_alike`.
    #[test]
    fn before_the_forbids_exactly_one_permit_answers() {
        let playbook = LeakPlaybook::shipped().unwrap();
        for severity in [0, 399, 400, 699, 700, 1000] {
            for (credential, source, trust) in kinds_of_words(&playbook) {
                for (procedure, suspected) in [(true, true), (true, false), (false, true), (false, false)] {
                    for users in USERS {
                        let facts = LeakFacts { procedure, protected: false, users };
                        let it =
                            Circumstances { severity, credential, source, trust, facts, suspected, ..Circumstances::example() };
                        let permits = permits(&playbook, &it);
                        assert_eq!(permits.len(), 1, "{it:?}: {permits:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn words_that_no_policy_names_are_answered_alike() {
        let playbook = LeakPlaybook::shipped().unwrap();
        let named = named(&playbook);
        let facts = LeakFacts { procedure: true, ..LeakFacts::default() };
        let mut alike = BTreeMap::new();
        for (credential, source, trust) in words(&KINDS, &SOURCES, &TRUSTS) {
            let it = Circumstances { credential, source, trust, facts, ..Circumstances::example() };
            let permits = permits(&playbook, &it);
            assert_eq!(permits.len(), 1, "{it:?}: {permits:?}");
            let sort = [credential, source.as_str(), trust.as_str()].map(|word| named.contains(word).then_some(word));
            assert_eq!(*alike.entry(sort).or_insert_with(|| permits.clone()), permits, "{it:?}");
        }
        // One of each is asked by the test above.
        assert_eq!(kinds_of_words(&playbook).len(), alike.len());
    }

    fn permits(playbook: &LeakPlaybook, it: &Circumstances) -> BTreeSet<String> {
        playbook.policies.permits(|schema| playbook.names.case(it, schema))
    }

    /// The words that policies name, such as `hand`.
    fn named(playbook: &LeakPlaybook) -> BTreeSet<String> {
        let literals = playbook.policies.each().flat_map(|(_, policy)| policy.entity_literals());
        literals.map(|literal| literal.id().unescaped().to_owned()).collect()
    }

    type Words = (&'static str, LeakSource, Trust);

    fn words(kinds: &[&'static str], sources: &[LeakSource], trusts: &[Trust]) -> impl Iterator<Item = Words> {
        kinds
            .iter()
            .flat_map(move |kind| sources.iter().flat_map(move |source| trusts.iter().map(move |trust| (*kind, *source, *trust))))
    }

    /// Of words that no policy names, only the first of its type.
    fn kinds_of_words(playbook: &LeakPlaybook) -> Vec<Words> {
        fn distinct<T: Copy>(all: &[T], word: impl Fn(T) -> &'static str, named: &BTreeSet<String>) -> Vec<T> {
            let (mut distinct, others): (Vec<T>, Vec<T>) = all.iter().partition(|one| named.contains(word(**one)));
            distinct.extend(others.first());
            distinct
        }
        let named = named(playbook);
        let kinds = distinct(&KINDS, |kind| kind, &named);
        let sources = distinct(&SOURCES, LeakSource::as_str, &named);
        let trusts = distinct(&TRUSTS, Trust::as_str, &named);
        words(&kinds, &sources, &trusts).collect()
    }

    #[test]
    fn only_what_is_believed_and_can_be_ended_exactly_is_ended_without_a_person() {
        let playbook = LeakPlaybook::shipped().unwrap();
        let act = Posture { mode: crate::Mode::Act, ..Posture::default() };
        let can = LeakFacts { procedure: true, ..LeakFacts::default() };
        let whole = |count, known, repeated| LeakFacts { users: RoleUsers { count, known, cap: 1, repeated }, ..can };
        let base = Circumstances { posture: act, facts: can, ..Circumstances::example() };
        let hand = Circumstances { source: LeakSource::Hand, trust: Trust::Person, ..base.clone() };
        let verdict = |it: &Circumstances| {
            let opinion = playbook.policies.weigh(true, &playbook.ask(it).unwrap());
            (opinion.verdict, opinion.rule.to_string())
        };
        let rule = |verdict, rule: &str| (verdict, rule.to_owned());
        for kind in ["user-key", "user-session", "role-session", "instance-session"] {
            assert_eq!(verdict(&Circumstances { credential: kind, ..base.clone() }), rule(Verdict::Do, "high-leak-revokes"));
        }
        for (it, expected) in [
            (Circumstances { credential: "whole-role", ..base.clone() }, rule(Verdict::AskHuman, "whole-role-asks")),
            (
                Circumstances { credential: "whole-role", facts: whole(2, true, None), ..base.clone() },
                rule(Verdict::AskHuman, "whole-role-asks"),
            ),
            (
                Circumstances { credential: "whole-role", facts: whole(1, false, None), ..base.clone() },
                rule(Verdict::AskHuman, "whole-role-asks"),
            ),
            // One that nobody has: the finding says otherwise, so something is not seen.
            (
                Circumstances { credential: "whole-role", facts: whole(0, true, None), ..base.clone() },
                rule(Verdict::AskHuman, "whole-role-asks"),
            ),
            (
                Circumstances { credential: "whole-role", facts: whole(1, true, None), ..base.clone() },
                rule(Verdict::Do, "whole-role-of-few-revokes"),
            ),
            // Somebody who knows a secret, or nobody knows who, is not AWS.
            (
                Circumstances { credential: "whole-role", facts: whole(1, true, None), trust: Trust::Signed, ..base.clone() },
                rule(Verdict::AskHuman, "whole-role-asks"),
            ),
            (
                Circumstances { credential: "whole-role", facts: whole(1, true, None), ..hand.clone() },
                rule(Verdict::Do, "whole-role-by-hand-revokes"),
            ),
            (
                Circumstances { credential: "whole-role", facts: whole(2, true, None), ..hand.clone() },
                rule(Verdict::AskHuman, "whole-role-by-hand-asks-again"),
            ),
            (
                Circumstances { credential: "whole-role", facts: whole(2, true, Some(1)), ..hand.clone() },
                rule(Verdict::AskHuman, "whole-role-by-hand-asks-again"),
            ),
            (
                Circumstances { credential: "whole-role", facts: whole(2, true, Some(2)), ..hand.clone() },
                rule(Verdict::Do, "whole-role-by-hand-revokes"),
            ),
            (
                Circumstances { credential: "whole-role", facts: whole(2, false, None), ..hand.clone() },
                rule(Verdict::AskHuman, "whole-role-by-hand-asks-again"),
            ),
            (
                Circumstances { credential: "whole-role", facts: whole(2, false, Some(2)), ..hand },
                rule(Verdict::Do, "whole-role-by-hand-revokes"),
            ),
            (Circumstances { trust: Trust::Unsigned, ..base.clone() }, rule(Verdict::AskHuman, "unsigned-report-asks")),
            (Circumstances { severity: 500, ..base.clone() }, rule(Verdict::AskHuman, "medium-leak-asks")),
            (Circumstances { severity: 200, ..base.clone() }, rule(Verdict::NotifyOnly, "low-leak-notifies")),
            (
                Circumstances { source: LeakSource::GitHub, trust: Trust::Signed, ..base.clone() },
                rule(Verdict::Do, "high-leak-revokes"),
            ),
            (
                Circumstances {
                    credential: "unnamed",
                    source: LeakSource::Canary,
                    trust: Trust::Unsigned,
                    facts: LeakFacts::default(),
                    ..base.clone()
                },
                rule(Verdict::AskHuman, "no-procedure-asks"),
            ),
            (
                Circumstances { credential: "root", facts: LeakFacts::default(), ..base.clone() },
                rule(Verdict::AskHuman, "no-procedure-asks"),
            ),
            (
                Circumstances { facts: LeakFacts { protected: true, ..can }, ..base.clone() },
                rule(Verdict::AskHuman, "protected-never-revoked"),
            ),
            (
                Circumstances { posture: Posture { stop: true, ..act }, source: LeakSource::Hand, ..base.clone() },
                rule(Verdict::NotifyOnly, "leak-global-stop"),
            ),
            (Circumstances { posture: Posture::default(), ..base.clone() }, rule(Verdict::NotifyOnly, "leak-observe-mode")),
            (
                Circumstances { posture: Posture::default(), source: LeakSource::Hand, ..base.clone() },
                rule(Verdict::Do, "high-leak-revokes"),
            ),
            (Circumstances { exercise: true, ..base.clone() }, rule(Verdict::NotifyOnly, "leak-exercises-only-in-drills")),
            (Circumstances { archived: true, ..base }, rule(Verdict::NotifyOnly, "archived-leak-notifies")),
        ] {
            assert_eq!(verdict(&it), expected, "{it:?}");
        }
    }
}
