//! The playbook for releases: who may ask, look, approve and deny.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::error::Error;
use std::fmt;

use cedar_policy::{Context, Entities, Entity, EntityTypeName, EntityUid, ParseErrors, Request, RestrictedExpression as Value};
use ids::{AccountId, Hasher, IncidentId, RuleName, Sha256};
use serde::Deserialize;

use crate::error::explain;
use crate::policies::Policies;
use crate::question::{Questions, uid};
use crate::{Control, Decision, Mitigation, PlaybookError, Verdict};

const POLICIES: &str = include_str!("../../../infra/policies/release.cedar");
const SCHEMA: &str = include_str!("../../../infra/policies/release.cedarschema");
const CONTROLS: &str = include_str!("../../../infra/policies/release.json");

/// What somebody wants to do about a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReleaseAct {
    /// Ask for it.
    Ask,
    /// See what was asked.
    Show,
    /// Let it be done.
    Approve,
    /// Refuse it, or take it back.
    Deny,
}

impl ReleaseAct {
    const ALL: [Self; 4] = [Self::Ask, Self::Show, Self::Approve, Self::Deny];

    fn action(self) -> &'static str {
        match self {
            Self::Ask => "askRelease",
            Self::Show => "showRelease",
            Self::Approve => "approveRelease",
            Self::Deny => "denyRelease",
        }
    }
}

/// Who acts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The one name by which people and roles are compared.
    pub name: String,
    /// The permission set of a person; none for everyone else.
    pub permission_set: Option<String>,
    /// The deployed configuration names that permission set.
    pub approver: bool,
}

/// What they act on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The incident.
    pub incident: IncidentId,
    /// Its account.
    pub account: AccountId,
    /// Who asks, by the same kind of name.
    pub asker: String,
    /// What a role's session called itself when it asked, as a person's name.
    pub asker_calls_itself: Option<String>,
    /// Stolen sessions may still be alive.
    pub early: bool,
    /// Who asks has said that they know.
    pub early_said: bool,
}

/// Who may ask, look, approve and deny: Cedar policies, read and checked.
#[derive(Clone)]
pub struct ReleasePlaybook {
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
    /// What an approved release is evidence for, beyond that.
    release: Vec<Control>,
}

impl ReleasePlaybook {
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
        let questions = Questions::new("release", ["askRelease", "approveRelease", "denyRelease"]).map_err(other)?;
        let playbook = Self {
            policies: Policies::parse(policies, schema, questions)?,
            names: Names::new().map_err(other)?,
            controls: serde_json::from_str(controls).map_err(|error| PlaybookError::Table { what: error.to_string() })?,
            digest: Hasher::new("cordon/release-playbook/v1").part(policies).part(schema).part(controls).finish(),
        };
        for act in ReleaseAct::ALL {
            for permission_set in [None, Some("Set".to_owned())] {
                let actor = Actor { name: "x".to_owned(), permission_set, approver: false };
                let asked = Asked::example().map_err(|error| PlaybookError::OtherSchema { what: error.to_string() })?;
                playbook.ask(act, &actor, &asked).map_err(|error| PlaybookError::OtherSchema { what: error.to_string() })?;
            }
        }
        Ok(playbook)
    }

    /// The digest of the texts, to the byte. It goes into every record and every proposal.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        self.digest
    }

    /// What any decision is evidence for, whatever comes of it.
    #[must_use]
    pub fn deciding(&self) -> &[Control] {
        &self.controls.every_decision
    }

    /// Whether they may. [`Verdict::Do`] means yes, and [`Verdict::NotifyOnly`] no: what no policy answers for, or one that cannot be
    /// evaluated, means no. Asking is answered with [`Verdict::AskHuman`]: somebody else is asked.
    #[must_use]
    pub fn decide(&self, act: ReleaseAct, actor: &Actor, asked: &Asked) -> Decision {
        let (verdict, rule, reason, would) = match self.ask(act, actor, asked) {
            Ok(Ruling { broken: Some(policy), .. }) => {
                let reason = format!("The policy `{policy}` could not be evaluated: nothing is opened.");
                (Verdict::NotifyOnly, self.policies.policy_error.clone(), reason, None)
            }
            Ok(Ruling { allowed: Some((rule, reason)), .. }) => {
                (if act == ReleaseAct::Ask { Verdict::AskHuman } else { Verdict::Do }, rule, reason, None)
            }
            Ok(Ruling { forbidden: Some((rule, reason)), would, .. }) => (Verdict::NotifyOnly, rule, reason, would),
            Ok(Ruling { .. }) => {
                (Verdict::NotifyOnly, self.policies.no_rule.clone(), "No policy allows this to this caller.".to_owned(), None)
            }
            Err(_) => {
                let reason = "The playbook could not be evaluated: nothing is opened.".to_owned();
                (Verdict::NotifyOnly, self.policies.policy_error.clone(), reason, None)
            }
        };
        let doing = if verdict == Verdict::Do && act == ReleaseAct::Approve { &self.controls.release[..] } else { &[] };
        let controls = Control::together(self.deciding(), doing);
        let mitigation = if verdict == Verdict::NotifyOnly { Mitigation::None } else { Mitigation::ReleaseRevocation };
        Decision { verdict, mitigation, rule, reason, controls, would }
    }

    fn ask(&self, act: ReleaseAct, actor: &Actor, asked: &Asked) -> Result<Ruling, Box<dyn Error>> {
        let text = |text: &str| Value::new_string(text.to_owned());
        let name = ("name".to_owned(), text(&actor.name));
        let (kind, attributes) = match &actor.permission_set {
            Some(set) => {
                let approver = Value::new_bool(actor.approver);
                (
                    &self.names.person,
                    HashMap::from([name, ("permissionSet".to_owned(), text(set)), ("approver".to_owned(), approver)]),
                )
            }
            None => (&self.names.caller, HashMap::from([name])),
        };
        let principal = uid(kind, &actor.name);
        let resource = uid(&self.names.release, asked.incident.as_str());
        let about = HashMap::from([
            ("account".to_owned(), text(asked.account.as_str())),
            ("asker".to_owned(), text(&asked.asker)),
            ("askerCallsItself".to_owned(), text(asked.asker_calls_itself.as_deref().unwrap_or_default())),
        ]);
        let context = Context::from_pairs([
            ("early".to_owned(), Value::new_bool(asked.early)),
            ("earlySaid".to_owned(), Value::new_bool(asked.early_said)),
        ])?;
        let action: EntityUid = format!("Cordon::Action::\"{}\"", act.action()).parse()?;
        let entities =
            [Entity::new(principal.clone(), attributes, HashSet::new())?, Entity::new(resource.clone(), about, HashSet::new())?];
        let schema = self.policies.schema();
        let request = Request::new(principal, action, resource, context, Some(schema))?;
        let entities = Entities::from_entities(entities, Some(schema))?;
        let mut broken = BTreeSet::new();
        let answer = self.policies.rule(&request, &entities, &mut broken);
        let words = |rule: &crate::policies::Rule| (rule.name.clone(), rule.reason.clone());
        Ok(Ruling {
            allowed: answer.allowed().map(words),
            forbidden: answer.forbid.map(words),
            would: answer.permit.map(|rule| rule.name.clone()),
            broken: broken.first().map(ToString::to_string),
        })
    }
}

/// What the policies say to one question.
struct Ruling {
    allowed: Option<(RuleName, String)>,
    forbidden: Option<(RuleName, String)>,
    would: Option<RuleName>,
    broken: Option<String>,
}

impl Asked {
    /// Nothing in particular: to find out whether a schema fits.
    fn example() -> Result<Self, ids::ParseIdError> {
        Ok(Self {
            incident: IncidentId::derive("example", "example"),
            account: "123456789012".parse()?,
            asker: String::new(),
            asker_calls_itself: None,
            early: false,
            early_said: false,
        })
    }
}

impl fmt::Debug for ReleasePlaybook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReleasePlaybook").field("digest", &self.digest).finish_non_exhaustive()
    }
}

/// The schema's names, read once.
#[derive(Debug, Clone)]
struct Names {
    person: EntityTypeName,
    caller: EntityTypeName,
    release: EntityTypeName,
}

impl Names {
    fn new() -> Result<Self, Box<ParseErrors>> {
        Ok(Self { person: "Cordon::Person".parse()?, caller: "Cordon::Caller".parse()?, release: "Cordon::Release".parse()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALICE: &str = "person/alice@example.com";
    const BOB: &str = "person/bob@example.com";
    const CI: &str = "role/123456789012/ci";

    fn person(name: &str, approver: bool) -> Actor {
        Actor { name: name.to_owned(), permission_set: Some("Security".to_owned()), approver }
    }

    fn role(name: &str) -> Actor {
        // Whatever somebody passes along: a role is no approver.
        Actor { name: name.to_owned(), permission_set: None, approver: true }
    }

    fn by(asker: &str) -> Asked {
        Asked { asker: asker.to_owned(), ..Asked::example().unwrap() }
    }

    fn says(act: ReleaseAct, actor: &Actor, asked: &Asked) -> (Verdict, String) {
        let decision = ReleasePlaybook::shipped().unwrap().decide(act, actor, asked);
        (decision.verdict, decision.rule.to_string())
    }

    fn no(rule: &str) -> (Verdict, String) {
        (Verdict::NotifyOnly, rule.to_owned())
    }

    #[test]
    fn who_asks_never_approves_on_whatever_path() {
        use ReleaseAct::Approve;
        assert_eq!(says(Approve, &person(BOB, true), &by(ALICE)), (Verdict::Do, "second-person-approves".to_owned()));
        for early in [false, true] {
            for calls_itself in [None, Some(ALICE.to_owned()), Some(BOB.to_owned())] {
                let own = Asked { early, early_said: early, asker_calls_itself: calls_itself.clone(), ..by(ALICE) };
                assert_eq!(says(Approve, &person(ALICE, true), &own).0, Verdict::NotifyOnly, "{own:?}");
                assert_eq!(says(Approve, &person(ALICE, false), &own).0, Verdict::NotifyOnly, "{own:?}");
            }
        }
        assert_eq!(says(Approve, &person(ALICE, true), &by(ALICE)), no("nobody-approves-their-own"));
        // By a role that she has assumed, and that calls itself like her.
        let through = Asked { asker_calls_itself: Some(ALICE.to_owned()), ..by(CI) };
        assert_eq!(says(Approve, &person(ALICE, true), &through), no("nobody-approves-through-a-role"));
        assert_eq!(says(Approve, &person(BOB, true), &through).0, Verdict::Do);
    }

    #[test]
    fn nobody_but_an_approvers_person_approves() {
        use ReleaseAct::Approve;
        for asker in [ALICE, CI] {
            assert_eq!(says(Approve, &person(BOB, false), &by(asker)), no("no-rule"));
            assert_eq!(says(Approve, &role("role/123456789012/admin"), &by(asker)), no("only-persons-approve"));
        }
        assert_eq!(says(Approve, &role(CI), &by(CI)).0, Verdict::NotifyOnly);
    }

    #[test]
    fn anyone_may_ask_and_look_and_who_asked_may_take_it_back() {
        for actor in [person(ALICE, false), role(CI)] {
            assert_eq!(says(ReleaseAct::Ask, &actor, &by(&actor.name)), (Verdict::AskHuman, "anyone-may-ask".to_owned()));
            assert_eq!(says(ReleaseAct::Show, &actor, &by(BOB)).0, Verdict::Do);
            assert_eq!(says(ReleaseAct::Deny, &actor, &by(&actor.name)), (Verdict::Do, "asker-takes-back".to_owned()));
            assert_eq!(says(ReleaseAct::Deny, &actor, &by(BOB)), no("no-rule"));
        }
        assert_eq!(says(ReleaseAct::Deny, &person(BOB, true), &by(ALICE)), (Verdict::Do, "approver-denies".to_owned()));
    }

    #[test]
    fn what_is_early_has_to_be_said() {
        let early = Asked { early: true, ..by(ALICE) };
        assert_eq!(says(ReleaseAct::Ask, &person(ALICE, false), &early), no("early-must-be-said"));
        assert_eq!(says(ReleaseAct::Approve, &person(BOB, true), &early), no("early-must-be-said"));
        assert_eq!(says(ReleaseAct::Approve, &person(BOB, true), &Asked { early_said: true, ..early }).0, Verdict::Do);
    }

    /// A policy that cannot be evaluated is as good as absent to Cedar, which would turn a broken forbid into a permit.
    #[test]
    fn a_broken_policy_opens_nothing() {
        let broken = format!(
            "{POLICIES}\n@id(\"broken\") @reason(\"x\") forbid (principal, action, resource) when {{ resource.account.contains(\"x\") }};"
        );
        assert!(ReleasePlaybook::parse(&broken, SCHEMA, CONTROLS).is_err());
        let overflow = format!(
            "{POLICIES}\n@id(\"broken\") @reason(\"x\") forbid (principal, action, resource) when {{ 9223372036854775807 + 1 == 0 }};"
        );
        let playbook = ReleasePlaybook::parse(&overflow, SCHEMA, CONTROLS).unwrap();
        let decision = playbook.decide(ReleaseAct::Approve, &person(BOB, true), &by(ALICE));
        assert_eq!((decision.verdict, decision.rule.as_str()), (Verdict::NotifyOnly, crate::POLICY_ERROR));
    }
}
