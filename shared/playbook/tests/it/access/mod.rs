//! The playbook for access, from outside.

mod decisions;
mod mistakes;
mod properties;
mod refusals;
mod shipped;

use std::collections::BTreeSet;
use std::sync::LazyLock;

use ids::AccountId;
use playbook::{AccessAct, AccessActor, AccessAsked, AccessContext, AccessDecision, AccessPlaybook, AccessTexts, Verdict};

static ACCESS: LazyLock<AccessPlaybook> = LazyLock::new(|| AccessPlaybook::shipped("aws", &home()).unwrap());

const ALICE: &str = "person/alice@example.com";
const BOB: &str = "person/bob@example.com";
const CI: &str = "role/123456789012/ci";

fn home() -> AccountId {
    "123456789012".parse().unwrap()
}

/// The shipped texts, and one more policy.
fn with(policy: &str) -> AccessPlaybook {
    let policies = format!("{}\n{policy}", AccessTexts::shipped().policies);
    AccessPlaybook::parse(AccessTexts { policies: &policies, ..AccessTexts::shipped() }, "aws", &home()).unwrap()
}

/// The shipped texts with other entitlements: `right` is exchanged for `wrong` wherever it stands.
fn changed(right: &str, wrong: &str) -> AccessPlaybook {
    let entitlements = AccessTexts::shipped().entitlements;
    assert!(entitlements.contains(right), "{right}");
    let entitlements = entitlements.replace(right, wrong);
    AccessPlaybook::parse(AccessTexts { entitlements: &entitlements, ..AccessTexts::shipped() }, "aws", &home()).unwrap()
}

fn person(name: &str, set: &str) -> AccessActor {
    AccessActor {
        name: name.to_owned(),
        person: true,
        permission_set: Some(set.to_owned()),
        groups: BTreeSet::new(),
        calls_itself: None,
        barred: false,
    }
}

fn role(name: &str, calls_itself: &str) -> AccessActor {
    // Whatever somebody passes along: a role has no permission set and no groups.
    AccessActor {
        name: name.to_owned(),
        person: false,
        permission_set: Some("Security".to_owned()),
        groups: BTreeSet::from(["security".to_owned()]),
        calls_itself: Some(calls_itself.to_owned()),
        barred: false,
    }
}

fn barred(actor: AccessActor) -> AccessActor {
    AccessActor { barred: true, ..actor }
}

/// A quarter of an hour of `entitlement`, with a ticket.
fn asked(entitlement: &str, requester: &str) -> AccessAsked {
    AccessAsked {
        entitlement: entitlement.parse().unwrap(),
        requester: requester.to_owned(),
        requester_calls_itself: None,
        seconds: 900,
        ticket: Some("OPS-7".parse().unwrap()),
    }
}

/// A Monday.
fn at_noon() -> AccessContext {
    AccessContext { now: "2026-11-23T12:00:00Z".parse().unwrap(), source: None, mfa_age: None }
}

fn decide(playbook: &AccessPlaybook, act: AccessAct, actor: &AccessActor, asked: &AccessAsked) -> AccessDecision {
    playbook.decide(act, actor, asked, &at_noon()).unwrap()
}

fn says(act: AccessAct, actor: &AccessActor, asked: &AccessAsked) -> (Verdict, String) {
    let decided = decide(&ACCESS, act, actor, asked).decision;
    (decided.verdict, decided.rule.to_string())
}

fn no(rule: &str) -> (Verdict, String) {
    (Verdict::NotifyOnly, rule.to_owned())
}
