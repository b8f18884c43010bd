//! What three answers amount to.

use ids::RuleName;

use crate::Verdict;
use crate::policies::{Answer, Answers, Policies, Rule};

/// A decision, before the mitigation table adds its part.
pub(crate) struct Opinion {
    pub(crate) verdict: Verdict,
    pub(crate) rule: RuleName,
    pub(crate) reason: String,
    pub(crate) would: Option<RuleName>,
}

impl Opinion {
    fn of(verdict: Verdict, rule: &Rule, would: Option<&Rule>) -> Self {
        Self { verdict, rule: rule.name.clone(), reason: rule.reason.clone(), would: would.map(|rule| rule.name.clone()) }
    }
}

impl Policies {
    /// Do it if that is allowed; else ask a person if proposing is; else only tell people. `possible` is whether there is anything to do.
    pub(crate) fn weigh(&self, possible: bool, answers: &Answers<'_>) -> Opinion {
        let (act, propose) = if possible { (answers.act, answers.propose) } else { (Answer::default(), Answer::default()) };
        let would = act.permit.or(propose.permit);

        if let Some(broken) = &answers.broken {
            let (verdict, then) = match (possible, propose.forbid) {
                (true, None) => (Verdict::AskHuman, "a person decides".to_owned()),
                (_, Some(forbid)) => (Verdict::NotifyOnly, format!("nothing is done, as `{}` holds", forbid.name)),
                (false, None) => (Verdict::NotifyOnly, "a person looks at it".to_owned()),
            };
            let reason = format!("{broken} could not be evaluated: {then}.");
            return Opinion { verdict, rule: self.policy_error.clone(), reason, would: would.map(|rule| rule.name.clone()) };
        }
        if let Some(permit) = act.allowed() {
            return Opinion::of(Verdict::Do, permit, None);
        }
        if let Some(permit) = propose.allowed() {
            return match act.overruled() {
                Some((forbid, _)) => Opinion::of(Verdict::AskHuman, forbid, would),
                None => Opinion::of(Verdict::AskHuman, permit, None),
            };
        }
        if let Some((forbid, _)) = propose.overruled().or(act.overruled()) {
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
