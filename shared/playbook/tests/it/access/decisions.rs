//! Every act by every kind of actor.

use playbook::{AccessAct, AccessActor, AccessAsked, AccessContext, PolicyState, Verdict};

use super::{ACCESS, ALICE, BOB, CI, asked, at_noon, barred, changed, no, person, role, says, with};

const CAROL: &str = "person/carol@example.com";

fn in_group(actor: AccessActor, group: &str) -> AccessActor {
    AccessActor { groups: [group.to_owned()].into(), ..actor }
}

/// Those who come up, and what is asked about them.
fn actors() -> Vec<(&'static str, AccessActor)> {
    vec![
        ("the requester", person(ALICE, "Developer")),
        ("the requester as Security", person(ALICE, "Security")),
        ("the requester, barred", barred(person(ALICE, "Developer"))),
        ("another Developer", person(BOB, "Developer")),
        ("an approver", person(CAROL, "Security")),
        ("an approver, barred", barred(person(CAROL, "Security"))),
        ("somebody on call", person(BOB, "OnCall")),
        ("somebody without a set", AccessActor { permission_set: None, ..person(BOB, "") }),
        ("ci", role(CI, "person/build@example.com")),
        ("ci, called like an approver", role(CI, CAROL)),
        ("another role", role("role/123456789012/admin", CAROL)),
    ]
}

/// One line for each act: who may, and for everyone else the rule.
fn table(asked: &AccessAsked) -> String {
    let mut text = format!("{} for {}\n", asked.entitlement, asked.requester);
    for act in AccessAct::ALL {
        text += &format!("\n{act}\n");
        for (who, actor) in actors() {
            let decided = ACCESS.decide(act, &actor, asked, &at_noon()).unwrap().decision;
            let verdict = match decided.verdict {
                Verdict::Do => "yes",
                Verdict::AskHuman => "ask",
                Verdict::NotifyOnly => "no ",
            };
            text += &format!("  {verdict} {who}: {}\n", decided.rule);
        }
    }
    text
}

#[test]
fn reading_production() {
    insta::assert_snapshot!(table(&asked("prod-read", ALICE)));
}

#[test]
fn deploying_by_a_role_that_calls_itself_like_an_approver() {
    insta::assert_snapshot!(table(&AccessAsked { requester_calls_itself: Some(CAROL.to_owned()), ..asked("prod-deploy", CI) }));
}

#[test]
fn breaking_the_glass() {
    insta::assert_snapshot!(table(&asked("break-glass", BOB)));
}

#[test]
fn a_ticket_is_needed_where_the_entitlement_says_so() {
    let alice = person(ALICE, "Developer");
    let without = |entitlement| AccessAsked { ticket: None, ..asked(entitlement, ALICE) };
    assert_eq!(says(AccessAct::Request, &alice, &without("prod-read")).0, Verdict::AskHuman);
    for act in [AccessAct::Request, AccessAct::Mint, AccessAct::Renew] {
        assert_eq!(says(act, &alice, &without("prod-deploy")), no("ticket-needed"), "{act}");
        assert_ne!(says(act, &alice, &asked("prod-deploy", ALICE)).0, Verdict::NotifyOnly, "{act}");
    }
}

/// Where the token says how old the second factor is, it counts; where it does not, IAM and the identity provider have the say.
#[test]
fn an_approvers_second_factor_is_fresh_where_the_token_says_so() {
    let carol = person(CAROL, "Security");
    let approves = |act, mfa_age| {
        let decided = ACCESS.decide(act, &carol, &asked("prod-read", ALICE), &AccessContext { mfa_age, ..at_noon() }).unwrap();
        (decided.decision.verdict, decided.decision.rule.to_string())
    };
    for act in [AccessAct::Approve, AccessAct::Review] {
        for age in [None, Some(0), Some(900)] {
            assert_eq!(approves(act, age).0, Verdict::Do, "{age:?}");
        }
        for age in [901, u32::MAX] {
            assert_eq!(approves(act, Some(age)), no("approver-mfa-is-stale"));
        }
    }
    // To close something it is not asked for.
    assert_eq!(approves(AccessAct::Revoke, Some(u32::MAX)).0, Verdict::Do);
    assert_eq!(approves(AccessAct::Deny, Some(u32::MAX)).0, Verdict::Do);
}

#[test]
fn an_entitlement_can_be_approved_from_its_network_only() {
    for (network, inside, outside) in [
        ("203.0.113.0/24", ["203.0.113.9", "::ffff:203.0.113.9"], ["198.51.100.1", "2001:db8::1"]),
        ("2001:db8::/32", ["2001:db8::1", "2001:db8:ffff::"], ["2001:db9::1", "203.0.113.9"]),
    ] {
        let playbook = changed("\"ticket\": false", &format!("\"ticket\": false, \"approve_from\": \"{network}\""));
        let approves = |source: Option<&str>| {
            let context = AccessContext { source: source.map(|source| source.parse().unwrap()), ..at_noon() };
            let said = playbook.decide(AccessAct::Approve, &person(CAROL, "Security"), &asked("prod-read", ALICE), &context);
            let said = said.unwrap().decision;
            (said.verdict, said.rule.to_string())
        };
        for source in inside {
            assert_eq!(approves(Some(source)).0, Verdict::Do, "{source}");
        }
        for source in outside {
            assert_eq!(approves(Some(source)), no("approver-elsewhere"), "{source}");
        }
        assert_eq!(approves(None), no("approver-elsewhere"));
    }
}

#[test]
fn groups_may_be_named_where_permission_sets_are() {
    let playbook = changed("\"approvers\": [\"Security\"]", "\"approvers\": [\"group/oncall\"]");
    let approves = |actor: &AccessActor| {
        let said = playbook.decide(AccessAct::Approve, actor, &asked("prod-read", ALICE), &at_noon()).unwrap().decision;
        said.rule.to_string()
    };
    assert_eq!(approves(&in_group(person(CAROL, "Developer"), "oncall")), "approver-approves");
    assert_eq!(approves(&in_group(person(CAROL, "Developer"), "others")), "not-an-approver");
    assert_eq!(approves(&person(CAROL, "Security")), "not-an-approver");
    // A set that is called like the group is not the group.
    assert_eq!(approves(&person(CAROL, "group/oncall")), "not-an-approver");
    assert_eq!(approves(&person(CAROL, "oncall")), "not-an-approver");
    assert_eq!(approves(&in_group(role("role/123456789012/oncall", CAROL), "oncall")), "only-persons");
}

#[test]
fn policies_can_tell_the_hour_and_the_day_whatever_year_it_is() {
    let playbook = with(
        r#"@id("no-deployments-at-weekends") @reason("Nobody is there at weekends, and before six.")
           forbid (principal, action == Cordon::Action::"request", resource)
           when { resource.entitlement == Cordon::Entitlement::"prod-deploy" && (context.weekday > 5 || context.hour < 6) };"#,
    );
    for (now, allowed) in [
        ("2026-12-31T23:59:59.999Z", true), // A Thursday.
        ("2027-01-01T00:00:00Z", false),    // Too early.
        ("2027-01-01T06:00:00Z", true),
        ("2027-01-02T12:00:00Z", false), // A Saturday.
        ("2027-01-04T05:59:59Z", false),
    ] {
        let context = AccessContext { now: now.parse().unwrap(), ..at_noon() };
        let said =
            playbook.decide(AccessAct::Request, &person(ALICE, "Developer"), &asked("prod-deploy", ALICE), &context).unwrap();
        assert_eq!(said.decision.verdict == Verdict::AskHuman, allowed, "{now}");
    }
}

#[test]
fn what_is_asked_about_an_entitlement_that_is_not_there_is_an_error() {
    let unknown = ACCESS.decide(AccessAct::Show, &person(ALICE, "Developer"), &asked("root", ALICE), &at_noon()).unwrap_err();
    assert_eq!(unknown.to_string(), "there is no entitlement `root`");
}

#[test]
fn a_check_says_which_policies_bear_on_it_and_why() {
    let check = |act, actor: &AccessActor, asked: &AccessAsked| ACCESS.check(act, actor, asked, &at_noon()).unwrap();
    let checks = [
        check(AccessAct::Request, &person(ALICE, "Developer"), &asked("prod-read", ALICE)),
        check(AccessAct::Request, &person(ALICE, "Developer"), &AccessAsked { seconds: 7201, ..asked("prod-read", ALICE) }),
        check(AccessAct::Approve, &person(ALICE, "Security"), &asked("prod-read", ALICE)),
        check(AccessAct::Approve, &role(CI, ALICE), &asked("prod-read", ALICE)),
        check(AccessAct::Request, &person(BOB, "OnCall"), &asked("break-glass", BOB)),
        check(AccessAct::BreakGlass, &person(BOB, "OnCall"), &asked("break-glass", BOB)),
    ];
    let digest = ACCESS.digest().to_string();
    insta::assert_snapshot!(checks.map(|check| check.to_string()).join("\n").replace(&digest, "DIGEST"));
}

#[test]
fn a_check_has_one_json_form_with_the_text_of_each_policy() {
    let check = ACCESS.check(AccessAct::Deny, &person(CAROL, "Security"), &asked("prod-read", ALICE), &at_noon()).unwrap();
    let mut check = serde_json::to_value(check).unwrap();
    assert_eq!(check["playbook"], ACCESS.digest().to_string());
    check["playbook"] = "DIGEST".into();
    insta::assert_json_snapshot!(check);
}

/// What is explained is what was decided: there is no second opinion.
#[test]
fn an_explanation_agrees_with_the_decision() {
    for entitlement in ["prod-read", "prod-deploy", "break-glass"] {
        for seconds in [900, 100_000] {
            let asked = AccessAsked { seconds, ..asked(entitlement, ALICE) };
            for (who, actor) in actors() {
                for act in AccessAct::ALL {
                    let check = ACCESS.check(act, &actor, &asked, &at_noon()).unwrap();
                    let held = |effect| check.policies.iter().any(move |it| it.effect == effect && it.state == PolicyState::Held);
                    let allowed = held(playbook::PolicyEffect::Permit) && !held(playbook::PolicyEffect::Forbid);
                    assert_eq!(check.allowed, allowed, "{act} {entitlement} by {who}: {check}");
                    let named = check.policies.iter().any(|it| it.policy == check.rule && it.state == PolicyState::Held);
                    assert!(named || check.rule.as_str() == playbook::NO_RULE, "{act} {entitlement} by {who}: {check}");
                }
            }
        }
    }
}
