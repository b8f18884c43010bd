//! The Cedar policies: read, checked, asked.

use std::collections::{BTreeMap, BTreeSet};
use std::error::Error;

use cedar_policy::{
    AuthorizationError, Authorizer, Decision as Ruling, Effect, Entities, Policy, PolicyId, PolicySet, Request, Schema,
    ValidationMode, Validator,
};
use ids::RuleName;

use crate::error::explain;
use crate::question::{Case, Question, Questions};
use crate::table::is_kebab;
use crate::{ENTITLEMENT_GONE, NO_RULE, OTHER_CLASS, POLICY_ERROR, PlaybookError, TOO_LONG, TOO_SHORT};

/// A policy's name and its words for a responder.
#[derive(Debug, Clone)]
pub(crate) struct Rule {
    pub(crate) name: RuleName,
    pub(crate) reason: String,
}

/// Policies that have passed the schema, and the schema.
#[derive(Debug, Clone)]
pub(crate) struct Policies {
    /// What decides.
    all: PolicySet,
    /// What would decide if nothing were forbidden.
    permits: PolicySet,
    rules: BTreeMap<PolicyId, Rule>,
    schema: Schema,
    questions: Questions,
    pub(crate) no_rule: RuleName,
    pub(crate) policy_error: RuleName,
}

/// What the policies say to one question. Of several policies, the one whose name comes first.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Answer<'a> {
    /// The permit that holds, be it overruled or not.
    pub(crate) permit: Option<&'a Rule>,
    /// The forbid that holds.
    pub(crate) forbid: Option<&'a Rule>,
}

/// What they say to all three.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answers<'a> {
    pub(crate) act: Answer<'a>,
    pub(crate) propose: Answer<'a>,
    pub(crate) notify: Answer<'a>,
    /// What could not be evaluated.
    pub(crate) broken: Option<String>,
}

impl Answers<'_> {
    /// The schema did not describe what was asked.
    pub(crate) fn none() -> Self {
        Self { broken: Some("The playbook".into()), ..Self::default() }
    }
}

impl<'a> Answer<'a> {
    /// The permit, if nothing forbids it: exactly when Cedar says `Allow`.
    pub(crate) fn allowed(&self) -> Option<&'a Rule> {
        if self.forbid.is_none() { self.permit } else { None }
    }

    /// The forbid, and the permit that it overrules.
    pub(crate) fn overruled(&self) -> Option<(&'a Rule, &'a Rule)> {
        self.forbid.zip(self.permit)
    }
}

/// Everything that holds of one question, in the order of names.
#[derive(Debug)]
pub(crate) struct Held<'a> {
    /// The permits, be they overruled or not.
    pub(crate) permits: Vec<&'a Rule>,
    /// The forbids.
    pub(crate) forbids: Vec<&'a Rule>,
    /// What could not be evaluated.
    pub(crate) broken: BTreeSet<RuleName>,
}

impl Policies {
    pub(crate) fn parse(text: &str, schema: &str, questions: Questions) -> Result<Self, PlaybookError> {
        let schema = read_schema(schema)?;
        let (mut all, mut permits, mut rules) = (PolicySet::new(), PolicySet::new(), BTreeMap::new());
        for (number, policy) in read(text)? {
            let rule = rule(number, &policy)?;
            let id = PolicyId::new(rule.name.as_str());
            let policy = policy.new_id(id.clone());
            let taken = |_| PlaybookError::DuplicateId { number, id: rule.name.to_string() };
            if policy.effect() == Effect::Permit {
                permits.add(policy.clone()).map_err(taken)?;
            }
            all.add(policy).map_err(taken)?;
            rules.insert(id, rule);
        }
        validate(&all, &schema, text)?;
        Ok(Self { all, permits, rules, schema, questions, no_rule: own(NO_RULE)?, policy_error: own(POLICY_ERROR)? })
    }

    /// Asks all three questions about a case that `of` makes by the schema.
    ///
    /// # Errors
    /// If the schema does not describe it. Who reads a playbook tries an example, so this does not happen afterwards.
    pub(crate) fn ask(&self, of: impl FnOnce(&Schema) -> Result<Case, Box<dyn Error>>) -> Result<Answers<'_>, Box<dyn Error>> {
        let case = of(&self.schema)?;
        let mut broken = BTreeSet::new();
        let mut answer = |question| self.answer(question, &case, &mut broken);
        let (act, propose, notify) = (answer(Question::Act)?, answer(Question::Propose)?, answer(Question::Notify)?);
        Ok(Answers { act, propose, notify, broken: broken.first().map(|id| format!("The policy `{id}`")) })
    }

    fn answer(&self, question: Question, case: &Case, broken: &mut BTreeSet<PolicyId>) -> Result<Answer<'_>, Box<dyn Error>> {
        let request = self.questions.request(question, case, &self.schema)?;
        Ok(self.rule(&request, &case.entities, broken))
    }

    /// What the policies say to one request; policies that could not be evaluated are added to `broken`.
    pub(crate) fn rule(&self, request: &Request, entities: &Entities, broken: &mut BTreeSet<PolicyId>) -> Answer<'_> {
        let response = Authorizer::new().is_authorized(request, &self.all, entities);
        broken.extend(
            response.diagnostics().errors().map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id().clone()),
        );
        let reason = self.first(response.diagnostics().reason());
        match response.decision() {
            Ruling::Allow => Answer { permit: reason, forbid: None },
            // With no forbid among the reasons this finds nothing: then no permit held.
            Ruling::Deny => {
                let permitted = Authorizer::new().is_authorized(request, &self.permits, entities);
                Answer { permit: self.first(permitted.diagnostics().reason()), forbid: reason }
            }
        }
    }

    /// All policies that hold of one request.
    pub(crate) fn held(&self, request: &Request, entities: &Entities) -> Held<'_> {
        let all = Authorizer::new().is_authorized(request, &self.all, entities);
        let permitted = Authorizer::new().is_authorized(request, &self.permits, entities);
        let broken = all.diagnostics().errors().map(|AuthorizationError::PolicyEvaluationError(error)| error.policy_id());
        Held {
            permits: self.those(permitted.diagnostics().reason()),
            // Cedar's reasons for a yes are permits.
            forbids: if all.decision() == Ruling::Deny { self.those(all.diagnostics().reason()) } else { Vec::new() },
            broken: self.those(broken).into_iter().map(|rule| rule.name.clone()).collect(),
        }
    }

    fn those<'p>(&self, ids: impl Iterator<Item = &'p PolicyId>) -> Vec<&Rule> {
        let mut rules: Vec<_> = ids.filter_map(|id| self.rules.get(id)).collect();
        rules.sort_by(|one, other| one.name.cmp(&other.name));
        rules
    }

    /// What they are all called.
    pub(crate) fn all_names(&self) -> BTreeSet<RuleName> {
        self.rules.values().map(|rule| rule.name.clone()).collect()
    }

    /// Each policy, with its name, in the order of names.
    pub(crate) fn each(&self) -> impl Iterator<Item = (&Rule, &Policy)> {
        self.rules.iter().filter_map(|(id, rule)| Some((rule, self.all.policy(id)?)))
    }

    /// What requests are made by.
    pub(crate) fn schema(&self) -> &Schema {
        &self.schema
    }

    fn first<'p>(&self, ids: impl Iterator<Item = &'p PolicyId>) -> Option<&Rule> {
        ids.min().and_then(|id| self.rules.get(id))
    }
}

fn read_schema(text: &str) -> Result<Schema, PlaybookError> {
    let refuse = |what| PlaybookError::Schema { what };
    let (schema, mut warnings) = Schema::from_cedarschema_str(text).map_err(|error| refuse(explain(&error, text)))?;
    match warnings.next() {
        None => Ok(schema),
        Some(warning) => Err(refuse(explain(&warning, text))),
    }
}

/// The policies in the order of the text, counted from 1.
fn read(text: &str) -> Result<Vec<(usize, Policy)>, PlaybookError> {
    let set: PolicySet = text.parse().map_err(|error| PlaybookError::Policies { what: explain(&error, text) })?;
    // Cedar calls the first one `policy0`, and so on.
    let number = |id: &PolicyId| -> usize {
        let id: &str = id.as_ref();
        id.trim_start_matches("policy").parse().map_or(0, |n: usize| n + 1)
    };
    if let Some(template) = set.templates().next() {
        let slot = if template.to_string().contains("?principal") { "principal" } else { "resource" };
        return Err(PlaybookError::Template { number: number(template.id()), slot: slot.into() });
    }
    let mut policies: Vec<_> = set.policies().map(|policy| (number(policy.id()), policy.clone())).collect();
    policies.sort_by_key(|(number, _)| *number);
    Ok(policies)
}

/// Every policy says what it is called and why it is there.
fn rule(number: usize, policy: &Policy) -> Result<Rule, PlaybookError> {
    let id = policy.annotation("id").ok_or(PlaybookError::NoId { number })?;
    let name = name(number, id)?;
    if [NO_RULE, POLICY_ERROR, OTHER_CLASS, TOO_LONG, TOO_SHORT, ENTITLEMENT_GONE].contains(&id) {
        return Err(PlaybookError::ReservedId { number, id: id.to_owned() });
    }
    let reason = policy.annotation("reason").unwrap_or_default();
    if reason.trim().is_empty() || reason.chars().count() > 200 || reason.contains(char::is_control) {
        return Err(PlaybookError::NoReason { id: id.to_owned() });
    }
    Ok(Rule { name, reason: reason.to_owned() })
}

/// A rule of Cordon's own.
pub(crate) fn own(id: &str) -> Result<RuleName, PlaybookError> {
    name(0, id)
}

fn name(number: usize, id: &str) -> Result<RuleName, PlaybookError> {
    let name = if is_kebab(id) { id.parse().ok() } else { None };
    name.ok_or_else(|| PlaybookError::BadId { number, id: id.to_owned() })
}

/// Strictly: a warning, such as that a policy can never apply, is a mistake too.
fn validate(policies: &PolicySet, schema: &Schema, text: &str) -> Result<(), PlaybookError> {
    let result = Validator::new(schema.clone()).validate(policies, ValidationMode::Strict);
    let errors = result.validation_errors().map(|error| (error.policy_id(), explain(error, text)));
    let warnings = result.validation_warnings().map(|warning| (warning.policy_id(), explain(warning, text)));
    match errors.chain(warnings).min() {
        None => Ok(()),
        Some((id, what)) => Err(PlaybookError::Refused { id: id.to_string(), what }),
    }
}

#[cfg(test)]
impl Policies {
    /// The permits that answer a case, whatever forbids it.
    pub(crate) fn permits(&self, of: impl FnOnce(&Schema) -> Result<Case, Box<dyn Error>>) -> BTreeSet<String> {
        let Ok(case) = of(&self.schema) else { return BTreeSet::new() };
        let asked = [Question::Act, Question::Propose, Question::Notify].into_iter().flat_map(|question| {
            let request = self.questions.request(question, &case, &self.schema).ok()?;
            let response = Authorizer::new().is_authorized(&request, &self.permits, &case.entities);
            Some(response.diagnostics().reason().map(ToString::to_string).collect::<Vec<_>>())
        });
        asked.flatten().collect()
    }
}
