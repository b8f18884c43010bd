//! What holds whoever asks for whatever, and whatever else is permitted.

use std::sync::LazyLock;

use playbook::{AccessAct, AccessActor, AccessAsked, AccessContext, AccessPlaybook, Verdict};
use proptest::prelude::*;

use super::{ACCESS, at_noon, decide, with};

/// The shipped playbook and somebody's permits for everything.
static GENEROUS: LazyLock<AccessPlaybook> = LazyLock::new(|| {
    with(
        r#"@id("all-acts") @reason("Everything.")
           permit (principal, action in [Cordon::Action::"show", Cordon::Action::"approve", Cordon::Action::"deny", Cordon::Action::"return",
               Cordon::Action::"revoke", Cordon::Action::"fetch", Cordon::Action::"review"], resource);
           @id("all-requests") @reason("Everything.") @quorum("1") @longest("43200")
           permit (principal, action in [Cordon::Action::"request", Cordon::Action::"mint", Cordon::Action::"renew"], resource);
           @id("all-glass") @reason("Everything.") @longest("3600")
           permit (principal, action in [Cordon::Action::"breakGlass", Cordon::Action::"mint", Cordon::Action::"renew"], resource);"#,
    )
});

/// What opens something, for whoever does it or for somebody else.
const OPENS: [AccessAct; 7] = [
    AccessAct::Request,
    AccessAct::BreakGlass,
    AccessAct::Approve,
    AccessAct::Mint,
    AccessAct::Renew,
    AccessAct::Fetch,
    AccessAct::Review,
];

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec![
        "person/alice@example.com",
        "person/Alice@Example.com",
        "person/bob@example.com",
        "role/123456789012/ci",
        "role/123456789012/CI",
        "user/123456789012/bob",
        "subject/https://idp.example/00u1aB",
        "subject/https://idp.example/00u1AB",
        "",
    ])
    .prop_map(ToOwned::to_owned)
}

fn sets() -> impl Strategy<Value = Option<String>> {
    prop::option::of(prop::sample::select(vec!["Developer", "Security", "OnCall", "developer", "role/123456789012/ci", ""]))
        .prop_map(|set| set.map(ToOwned::to_owned))
}

prop_compose! {
    fn actors()(
        name in names(), person: bool, permission_set in sets(), group in prop::option::of("[a-z/]{0,8}"),
        calls_itself in prop::option::of(names()), barred: bool,
    ) -> AccessActor {
        AccessActor { name, person, permission_set, groups: group.into_iter().collect(), calls_itself, barred }
    }
}

prop_compose! {
    fn asked()(
        entitlement in prop::sample::select(vec!["prod-read", "prod-deploy", "break-glass"]), requester in names(),
        requester_calls_itself in prop::option::of(names()), seconds in prop_oneof![Just(900), Just(3600), Just(7200), any::<u32>()], ticket: bool,
    ) -> AccessAsked {
        AccessAsked {
            entitlement: entitlement.parse().unwrap(), requester, requester_calls_itself, seconds,
            ticket: ticket.then(|| "OPS-7".parse().unwrap()),
        }
    }
}

prop_compose! {
    fn contexts()(millis in any::<i64>(), source in prop::option::of(any::<std::net::IpAddr>()), mfa_age in prop::option::of(any::<u32>())) -> AccessContext {
        AccessContext { now: ids::Timestamp::saturating(millis), source, mfa_age }
    }
}

fn acts() -> impl Strategy<Value = AccessAct> {
    prop::sample::select(AccessAct::ALL.to_vec())
}

/// As names are compared: a provider's subjects by their letters' case too.
fn same(one: &str, other: &str) -> bool {
    if one.starts_with("subject/") { one == other } else { one.eq_ignore_ascii_case(other) }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn nobody_approves_their_own_on_any_path(actor in actors(), asked in asked(), context in contexts()) {
        for playbook in [&*ACCESS, &*GENEROUS] {
            for act in [AccessAct::Approve, AccessAct::Review] {
                let said = playbook.decide(act, &actor, &asked, &context).unwrap().decision;
                if said.verdict != Verdict::NotifyOnly {
                    prop_assert!(actor.person && !actor.barred);
                    // Nothing that either is called is what the other is called.
                    let theirs = [Some(&asked.requester), asked.requester_calls_itself.as_ref()].into_iter().flatten();
                    for name in theirs.filter(|name| !name.is_empty()) {
                        prop_assert!(!same(&actor.name, name), "{} {}", actor.name, name);
                        prop_assert!(!actor.calls_itself.as_ref().is_some_and(|own| same(own, name)));
                    }
                    prop_assert_eq!(actor.permission_set.as_deref(), Some("Security"));
                }
            }
        }
    }

    #[test]
    fn who_is_barred_opens_nothing(actor in actors(), asked in asked(), context in contexts()) {
        let actor = AccessActor { barred: true, ..actor };
        for playbook in [&*ACCESS, &*GENEROUS] {
            for act in OPENS {
                let said = playbook.decide(act, &actor, &asked, &context).unwrap();
                prop_assert_eq!(said.decision.verdict, Verdict::NotifyOnly);
                prop_assert!(playbook.entitlement(&said, &asked.entitlement).is_none());
            }
        }
    }

    /// Whatever else is permitted: access is asked for, minted and fetched by the one whom it is for.
    #[test]
    fn nothing_is_opened_in_somebody_elses_name(actor in actors(), asked in asked(), act in acts()) {
        let own = matches!(
            act,
            AccessAct::Request | AccessAct::BreakGlass | AccessAct::Mint | AccessAct::Renew | AccessAct::Fetch | AccessAct::Return
        );
        if own && decide(&GENEROUS, act, &actor, &asked).decision.verdict != Verdict::NotifyOnly {
            prop_assert!(same(&actor.name, &asked.requester));
        }
    }

    /// An entitlement comes of a yes only, and a yes is never for longer than the entitlement is.
    #[test]
    fn an_entitlement_is_a_yes_within_its_limits(actor in actors(), asked in asked(), context in contexts(), act in acts()) {
        for (playbook, most) in [(&*ACCESS, 7200), (&*GENEROUS, 7200)] {
            let said = playbook.decide(act, &actor, &asked, &context).unwrap();
            let granted = playbook.entitlement(&said, &asked.entitlement);
            let opens = matches!(act, AccessAct::Request | AccessAct::BreakGlass | AccessAct::Mint | AccessAct::Renew);
            prop_assert_eq!(granted.is_some(), opens && said.decision.verdict != Verdict::NotifyOnly);
            if let Some(granted) = granted {
                prop_assert!((900..=granted.longest_seconds).contains(&asked.seconds) && granted.longest_seconds <= most);
            }
            prop_assert_eq!(said.decision.verdict == Verdict::AskHuman, act == AccessAct::Request && said.decision.verdict != Verdict::NotifyOnly);
        }
    }
}

proptest! {
    // Each reads a playbook.
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn the_strictest_of_several_permits_counts(limits in prop::collection::vec((1..=255u8, 900..=43_200u32, any::<bool>()), 0..6)) {
        let permit = |(n, (quorum, longest, holds)): (usize, &(u8, u32, bool))| format!(
            r#"@id("permit-{n}") @reason("One of several.") @quorum("{quorum}") @longest("{longest}")
               permit (principal, action == Cordon::Action::"request", resource) when {{ (context.seconds == 900) == {holds} }};"#,
        );
        let playbook = with(&limits.iter().enumerate().map(permit).collect::<String>());
        let alice = super::person(super::ALICE, "Developer");
        let said = playbook.decide(AccessAct::Request, &alice, &super::asked("prod-read", super::ALICE), &at_noon()).unwrap();
        let holding = || limits.iter().filter(|(_, _, holds)| *holds);
        prop_assert_eq!(said.needed.map(u8::from), holding().map(|(quorum, _, _)| *quorum).chain([2]).max());
        prop_assert_eq!(said.longest_seconds, holding().map(|(_, longest, _)| *longest).chain([7200]).min());
    }
}
