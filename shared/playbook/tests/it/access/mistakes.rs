//! Mistakes that other systems made, where it is the policies that have to prevent them. Each happened somewhere, or nearly did.

use playbook::{AccessAct, AccessActor, AccessAsked, POLICY_ERROR, TOO_LONG, TOO_SHORT, Verdict};

use super::{ACCESS, ALICE, BOB, CI, asked, at_noon, barred, changed, decide, no, person, role, says, with};

const CAROL: &str = "person/carol@example.com";

/// Somebody's idea of less friction.
const EVERYBODY_APPROVES: &str = r#"@id("a-broader-rule") @reason("Everybody approves.")
    permit (principal, action in [Cordon::Action::"approve", Cordon::Action::"review", Cordon::Action::"revoke"], resource);"#;

/// A narrow "no self-approval" was not evaluated on the approve path, because a broader rule allowed it.
#[test]
fn a_broader_permit_does_not_let_anyone_approve_their_own() {
    for playbook in [&*ACCESS, &with(EVERYBODY_APPROVES)] {
        for entitlement in ["prod-read", "prod-deploy", "break-glass"] {
            for act in [AccessAct::Approve, AccessAct::Review] {
                for set in ["Security", "Developer", "OnCall"] {
                    let said = decide(playbook, act, &person(ALICE, set), &asked(entitlement, ALICE)).decision;
                    assert_eq!((said.verdict, said.rule.as_str()), (Verdict::NotifyOnly, "nobody-approves-their-own"));
                }
                let through = AccessAsked { requester_calls_itself: Some(CAROL.to_owned()), ..asked(entitlement, CI) };
                let said = decide(playbook, act, &person(CAROL, "Security"), &through).decision;
                assert_eq!((said.verdict, said.rule.as_str()), (Verdict::NotifyOnly, "nobody-approves-for-a-namesake"));
                // A role that she has assumed, for her own; and the role itself.
                let said = decide(playbook, act, &role("role/123456789012/admin", ALICE), &asked(entitlement, ALICE)).decision;
                assert_eq!((said.verdict, said.rule.as_str()), (Verdict::NotifyOnly, "nobody-approves-as-a-namesake"));
                assert_eq!(decide(playbook, act, &role(CI, CAROL), &through).decision.verdict, Verdict::NotifyOnly);
            }
        }
    }
}

/// People were compared as they were typed.
#[test]
fn the_same_person_in_capital_letters_is_no_second_person() {
    let own = AccessAsked { requester: "person/Alice@Example.com".to_owned(), ..asked("prod-read", ALICE) };
    assert_eq!(says(AccessAct::Approve, &person(ALICE, "Security"), &own), no("nobody-approves-their-own"));
    let shouted = person("PERSON/ALICE@EXAMPLE.COM", "Security");
    assert_eq!(says(AccessAct::Approve, &shouted, &asked("prod-read", ALICE)), no("nobody-approves-their-own"));
    let through = AccessAsked { requester_calls_itself: Some("person/Carol@Example.com".to_owned()), ..asked("prod-deploy", CI) };
    assert_eq!(says(AccessAct::Approve, &person(CAROL, "Security"), &through), no("nobody-approves-for-a-namesake"));
    // A role in capital letters is the role that is on the list, and no other.
    assert_eq!(says(AccessAct::Request, &role("role/123456789012/CI", BOB), &asked("prod-deploy", CI)).0, Verdict::AskHuman);
}

/// A session's name was taken for the person.
#[test]
fn a_session_name_makes_nobody_an_approver() {
    for playbook in [&*ACCESS, &with(EVERYBODY_APPROVES)] {
        for act in [AccessAct::Approve, AccessAct::Review, AccessAct::Revoke] {
            for name in [CI, "role/123456789012/admin", "user/123456789012/security"] {
                let said = decide(playbook, act, &role(name, CAROL), &asked("prod-read", ALICE)).decision;
                assert_eq!((said.verdict, said.rule.as_str()), (Verdict::NotifyOnly, "only-persons"), "{act} {name}");
            }
        }
    }
    let mut namesake = role(CI, CAROL);
    namesake.name = CAROL.to_owned();
    assert_eq!(says(AccessAct::Approve, &namesake, &asked("prod-read", ALICE)), no("only-persons"));
}

/// A maximum duration was checked against any entitlement of the user instead of the one being requested.
#[test]
fn the_longest_time_is_of_this_entitlement_and_not_of_another_that_the_caller_has() {
    let alice = person(ALICE, "Developer");
    let ask =
        |entitlement, seconds| decide(&ACCESS, AccessAct::Request, &alice, &AccessAsked { seconds, ..asked(entitlement, ALICE) });
    // She may read for two hours, and deploy for one.
    assert_eq!(ask("prod-read", 7200).decision.verdict, Verdict::AskHuman);
    let deploy = ask("prod-deploy", 3601);
    assert_eq!((deploy.decision.verdict, deploy.decision.rule.as_str()), (Verdict::NotifyOnly, TOO_LONG));
    assert_eq!(deploy.decision.would.as_ref().map(|rule| rule.as_str()), Some("prod-deploy-by-one"));
    assert_eq!(deploy.longest_seconds, Some(3600), "it says what would be allowed");
    assert_eq!(ask("prod-read", 7201).decision.rule.as_str(), TOO_LONG);
    assert_eq!(ask("prod-read", 899).decision.rule.as_str(), TOO_SHORT);
    assert_eq!(ask("prod-read", 0).decision.rule.as_str(), TOO_SHORT);
    assert_eq!(ask("prod-read", u32::MAX).decision.rule.as_str(), TOO_LONG);
    // A decision about one is none about the other.
    let (read, deploy) = ("prod-read".parse().unwrap(), "prod-deploy".parse().unwrap());
    assert!(ACCESS.entitlement(&ask("prod-read", 7200), &deploy).is_none());
    assert_eq!(ACCESS.entitlement(&ask("prod-read", 7200), &read).unwrap().longest_seconds, 7200);
    // And none that says no is one.
    assert!(ACCESS.entitlement(&ask("prod-read", 7201), &read).is_none());
    assert!(ACCESS.entitlement(&decide(&ACCESS, AccessAct::Show, &alice, &asked("prod-read", ALICE)), &read).is_none());
    // Nor is break-glass longer than its class allows.
    let glass = AccessAsked { seconds: 3601, ..asked("break-glass", BOB) };
    assert_eq!(says(AccessAct::BreakGlass, &person(BOB, "OnCall"), &glass), no(TOO_LONG));
}

/// What was approved was minted hours later for somebody who had left the team meanwhile.
#[test]
fn a_requester_who_has_lost_the_permission_set_or_is_barred_gets_no_session() {
    for act in [AccessAct::Mint, AccessAct::Renew] {
        assert_eq!(says(act, &person(ALICE, "Developer"), &asked("prod-read", ALICE)).0, Verdict::Do);
        assert_eq!(says(act, &person(ALICE, "ReadOnly"), &asked("prod-read", ALICE)), no("not-a-requester"));
        assert_eq!(says(act, &barred(person(ALICE, "Developer")), &asked("prod-read", ALICE)), no("barred-opens-nothing"));
        assert_eq!(says(act, &person(BOB, "Developer"), &asked("prod-read", ALICE)), no("only-for-oneself"));
        assert_eq!(
            says(act, &person(ALICE, "Developer"), &AccessAsked { seconds: 7201, ..asked("prod-read", ALICE) }),
            no(TOO_LONG)
        );
    }
}

#[test]
fn nobody_fetches_what_is_sealed_to_somebody_else() {
    let generous =
        with(r#"@id("helpful") @reason("Everybody fetches.") permit (principal, action == Cordon::Action::"fetch", resource);"#);
    for playbook in [&*ACCESS, &generous] {
        for actor in [person(BOB, "Developer"), person(CAROL, "Security"), role(CI, ALICE), barred(person(ALICE, "Developer"))] {
            let said = decide(playbook, AccessAct::Fetch, &actor, &asked("prod-read", ALICE)).decision;
            assert_eq!(said.verdict, Verdict::NotifyOnly, "{actor:?}");
        }
        let said = decide(playbook, AccessAct::Fetch, &person(ALICE, "Developer"), &asked("prod-read", ALICE)).decision;
        assert_eq!(said.verdict, Verdict::Do);
    }
}

/// Break-glass was a way to have anything at once, and an ordinary request a way around its review.
#[test]
fn break_glass_is_not_a_way_into_other_entitlements_whatever_is_permitted() {
    let generous = with(
        r#"@id("all-at-once") @reason("Everything at once.") @longest("3600") permit (principal, action == Cordon::Action::"breakGlass", resource);
           @id("all-by-one") @reason("Everything by one.") @quorum("1") @longest("3600") permit (principal, action == Cordon::Action::"request", resource);"#,
    );
    for playbook in [&*ACCESS, &generous] {
        for (act, entitlement, set) in
            [(AccessAct::BreakGlass, "prod-read", "Developer"), (AccessAct::Request, "break-glass", "OnCall")]
        {
            let said = decide(playbook, act, &person(ALICE, set), &asked(entitlement, ALICE));
            assert_eq!((said.decision.verdict, said.decision.rule.as_str()), (Verdict::NotifyOnly, playbook::OTHER_CLASS));
            assert!(playbook.entitlement(&said, &said.entitlement).is_none());
        }
    }
    let by_a_role = changed("\"requesters\": [\"OnCall\"]", "\"requesters\": [\"OnCall\", \"role/123456789012/ci\"]");
    let said = decide(&by_a_role, AccessAct::BreakGlass, &role(CI, BOB), &asked("break-glass", CI)).decision;
    assert_eq!((said.verdict, said.rule.as_str()), (Verdict::NotifyOnly, "only-persons"));
}

/// Several rules applied, and the most generous won.
#[test]
fn of_several_permits_the_strictest_of_each_counts() {
    let playbook = with(
        r#"@id("a-longer-one") @reason("Longer.") @quorum("1") @longest("43200")
           permit (principal, action in [Cordon::Action::"request", Cordon::Action::"mint"], resource);
           @id("three-at-night") @reason("At night three approve.") @quorum("3") @longest("1800")
           permit (principal, action == Cordon::Action::"request", resource) when { context.hour < 6 };"#,
    );
    let alice = person(ALICE, "Developer");
    let noon = decide(&playbook, AccessAct::Request, &alice, &asked("prod-read", ALICE));
    assert_eq!((noon.needed.map(u8::from), noon.longest_seconds), (Some(2), Some(7200)));
    assert_eq!(noon.decision.rule.as_str(), "a-longer-one", "of several the one whose name comes first is named");
    let night = playbook::AccessContext { now: "2026-11-23T03:00:00Z".parse().unwrap(), ..at_noon() };
    let night = playbook.decide(AccessAct::Request, &alice, &asked("prod-read", ALICE), &night).unwrap();
    assert_eq!((night.needed.map(u8::from), night.longest_seconds), (Some(3), Some(1800)));
}

/// Cedar skips what it cannot evaluate, and a skipped forbid lets everything through.
#[test]
fn a_broken_policy_opens_nothing_and_closes_all_the_same() {
    let playbook =
        with(r#"@id("broken") @reason("x") forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };"#);
    let alice = person(ALICE, "Developer");
    let carol = person(CAROL, "Security");
    for act in AccessAct::ALL {
        let closes = matches!(act, AccessAct::Deny | AccessAct::Return | AccessAct::Revoke);
        for (actor, asked) in [(&alice, asked("prod-read", ALICE)), (&carol, asked("prod-read", ALICE))] {
            let (sound, said) = (decide(&ACCESS, act, actor, &asked), decide(&playbook, act, actor, &asked));
            if closes && sound.decision.verdict == Verdict::Do {
                assert_eq!(said.decision, sound.decision, "{act}");
            } else {
                assert_eq!(said.decision.verdict, Verdict::NotifyOnly, "{act}");
                assert_eq!(said.decision.rule.as_str(), POLICY_ERROR, "{act}");
                assert_eq!((said.needed, said.longest_seconds), (None, None));
            }
        }
    }
    // A sound forbid holds there too.
    let said = decide(&playbook, AccessAct::Revoke, &role(CI, CAROL), &asked("prod-read", ALICE)).decision;
    assert_eq!(said.verdict, Verdict::NotifyOnly);
    let check = playbook.check(AccessAct::Request, &alice, &asked("prod-read", ALICE), &at_noon()).unwrap();
    assert!(check.to_string().contains("! broken could not be evaluated: x\n"), "{check}");
}

/// What an approver was shown was what the client had sent.
#[test]
fn what_is_granted_is_what_is_deployed_and_nothing_that_was_asked() {
    let alice = person(ALICE, "Developer");
    let (one, other) = (asked("prod-read", ALICE), AccessAsked { seconds: 7200, ticket: None, ..asked("prod-read", ALICE) });
    let of = |asked: &AccessAsked| ACCESS.entitlement(&decide(&ACCESS, AccessAct::Request, &alice, asked), &asked.entitlement);
    assert_eq!(of(&one), of(&other));
    assert_eq!(of(&one).unwrap().role.as_str(), "arn:aws:iam::123456789012:role/cordon-jit/prod-read");
}

#[test]
fn an_actor_is_made_of_what_the_door_has_recognised() {
    let session = |role: &str| people::Iam {
        account_id: "210987654321".to_owned(),
        user_arn: format!("arn:aws:sts::210987654321:assumed-role/{role}/Alice@example.com"),
        user_id: "AROAEXAMPLEROLEID1234:Alice@example.com".to_owned(),
    };
    let of = |role: &str| {
        let caller = people::Caller::parse(&session(role)).unwrap();
        AccessActor::of(&caller.who(&["210987654321".parse().unwrap()].into(), &super::home(), None), false)
    };
    assert_eq!(of("AWSReservedSSO_Developer_0123456789abcdef"), person(ALICE, "Developer"));
    let expected = AccessActor { permission_set: None, groups: [].into(), ..role("role/210987654321/ci", ALICE) };
    assert_eq!(of("ci"), expected);
    let who = by_token("00u1aB", Some("Alice@Example.com"), &["sg-1"]);
    let actor = AccessActor::of(&who, true);
    let expected = AccessActor {
        name: "subject/https://idp.example/00u1aB".to_owned(),
        permission_set: None,
        groups: ["sg-1".to_owned()].into(),
        calls_itself: Some(ALICE.to_owned()),
        barred: true,
        ..person("", "")
    };
    assert_eq!(actor, expected);
}

/// Somebody whom an identity provider's token names.
fn by_token(subject: &str, email: Option<&str>, groups: &[&str]) -> people::Who {
    let provider = people::Provider {
        issuer: "https://idp.example".to_owned(),
        name_claim: "email".to_owned(),
        groups_claim: Some("groups".to_owned()),
    };
    let claims = serde_json::json!({"iss": "https://idp.example", "sub": subject, "email": email, "groups": groups});
    provider.who(claims.as_object().unwrap()).unwrap()
}

/// One person came by two ways in, and was two.
#[test]
fn nobody_is_a_second_person_by_another_way_in() {
    let playbook = changed("\"approvers\": [\"Security\"]", "\"approvers\": [\"Security\", \"group//staff/security\"]");
    let alice = AccessActor::of(&by_token("00u1aB", Some("Alice@Example.com"), &["/staff/security"]), false);
    let carol = AccessActor::of(&by_token("00u9xY", Some("carol@example.com"), &["/staff/security"]), false);
    let nobody = AccessActor::of(&by_token("00u5nN", None, &["/staff/security"]), false);
    let by =
        |actor: &AccessActor| AccessAsked { requester_calls_itself: actor.calls_itself.clone(), ..asked("prod-read", &actor.name) };
    let approves = |actor: &AccessActor, asked: &AccessAsked| {
        let said = decide(&playbook, AccessAct::Approve, actor, asked).decision;
        assert_eq!(decide(&playbook, AccessAct::Review, actor, asked).decision.verdict, said.verdict);
        said.rule.to_string()
    };
    // By the token what was asked for by Identity Center, the other way round, through a role, and by a second token.
    assert_eq!(approves(&alice, &by(&person(ALICE, "Developer"))), "nobody-approves-as-a-namesake");
    assert_eq!(approves(&person(ALICE, "Security"), &by(&alice)), "nobody-approves-for-a-namesake");
    assert_eq!(approves(&alice, &by(&role(CI, ALICE))), "nobody-approves-as-a-namesake");
    let again = AccessActor { name: "subject/https://other.example/7".to_owned(), ..alice.clone() };
    assert_eq!(approves(&again, &by(&alice)), "nobody-approves-as-a-namesake");
    for own in [&alice, &nobody] {
        assert!(approves(own, &by(own)).starts_with("nobody-approves-"), "{own:?}");
    }
    // Who has no name is nobody's namesake.
    for (actor, asked) in [(&carol, by(&alice)), (&nobody, by(&alice)), (&carol, by(&nobody)), (&alice, by(&nobody))] {
        assert_eq!(approves(actor, &asked), "approver-approves", "{actor:?}");
    }
}

/// A provider's subjects differ in the case of their letters: one of them was taken for the other.
#[test]
fn two_subjects_that_differ_in_their_letters_case_are_two_people() {
    let one = AccessActor::of(&by_token("00u1aB", None, &[]), false);
    let other = AccessActor::of(&by_token("00u1AB", None, &[]), false);
    let own = asked("prod-read", &one.name);
    assert_eq!(says(AccessAct::Fetch, &one, &own).0, Verdict::Do);
    assert_eq!(says(AccessAct::Fetch, &other, &own), no("only-for-oneself"));
    assert_eq!(says(AccessAct::Show, &other, &own), no("no-rule"));
}
