//! What holds for any signal, in any circumstances.

use std::sync::LazyLock;

use playbook::{Facts, Mode, Playbook, Posture, Verdict};
use proptest::prelude::*;
use signal::{FindingType, Role, Severity, Signal, Source};

use crate::{MINING, SHIPPED, shipped_and};

/// The shipped policies, each time with one more that permits what it can.
static GENEROUS: LazyLock<Vec<Playbook>> = LazyLock::new(|| {
    ["principal, action, resource", r#"principal, action == Cordon::Action::"isolate", resource"#]
        .into_iter()
        .flat_map(|scope| {
            ["", "when { context.severity >= 0 }", "when { context.exemptTag || context.protected || context.stop }"]
                .map(|when| shipped_and(&format!(r#"@id("aaa-generous") @reason("Anything goes.") permit ({scope}) {when};"#)))
        })
        .collect()
});

fn signals() -> impl Strategy<Value = Signal> {
    let kinds = prop::sample::select(FindingType::all().collect::<Vec<_>>());
    let roles = prop::sample::select(vec![Role::Actor, Role::Target, Role::Unstated]);
    let sources = prop::sample::select(vec![Source::GuardDuty, Source::Drill]);
    (kinds, 0u16..=1000, roles, sources, any::<bool>(), any::<bool>()).prop_map(
        |(kind, severity, role, source, sample, archived)| {
            let mut signal = MINING.clone();
            signal.source = source;
            signal.finding.kind = kind;
            signal.finding.severity = Severity::from_hundredths(severity).unwrap();
            signal.finding.role = role;
            signal.finding.sample = sample;
            signal.finding.archived = archived;
            signal
        },
    )
}

fn facts() -> impl Strategy<Value = Facts> {
    any::<[bool; 2]>().prop_map(|[exempt_tag, protected]| Facts { exempt_tag, protected })
}

fn postures() -> impl Strategy<Value = Posture> {
    any::<[bool; 3]>().prop_map(|[act, stop, drill]| Posture { mode: if act { Mode::Act } else { Mode::Observe }, stop, drill })
}

/// What no permit may open.
fn closed(signal: &Signal, facts: &Facts, posture: &Posture) -> bool {
    let for_show = signal.finding.sample || signal.source == Source::Drill;
    posture.stop || posture.mode == Mode::Observe || facts.protected || signal.finding.archived || (for_show && !posture.drill)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn a_forbid_wins(signal in signals(), facts in facts(), posture in postures()) {
        let decision = SHIPPED.decide(&signal, &facts, &posture);
        if closed(&signal, &facts, &posture) {
            prop_assert_eq!(decision.verdict, Verdict::NotifyOnly);
        }
        if facts.exempt_tag {
            prop_assert_ne!(decision.verdict, Verdict::Do);
        }
    }

    #[test]
    fn another_permit_opens_nothing(
        signal in signals(), facts in facts(), posture in postures(), generous in prop::sample::select((0..6usize).collect::<Vec<_>>()),
    ) {
        let decision = GENEROUS[generous].decide(&signal, &facts, &posture);
        if closed(&signal, &facts, &posture) {
            prop_assert_eq!(decision.verdict, Verdict::NotifyOnly);
        }
        if facts.exempt_tag {
            prop_assert_ne!(decision.verdict, Verdict::Do);
        }
    }

    #[test]
    fn only_a_severe_actor_is_isolated_unasked(signal in signals(), facts in facts(), posture in postures()) {
        if SHIPPED.decide(&signal, &facts, &posture).verdict == Verdict::Do {
            prop_assert!(signal.finding.severity.hundredths() >= 700);
            prop_assert_eq!(signal.finding.role, Role::Actor);
        }
    }

    /// A decision names a rule of the playbook, and `would` is there exactly when that rule overruled one.
    #[test]
    fn every_decision_has_its_rule(signal in signals(), facts in facts(), posture in postures()) {
        let decision = SHIPPED.decide(&signal, &facts, &posture);
        prop_assert!(!["no-rule", "policy-error"].contains(&decision.rule.as_str()), "{}", decision);
        let forbids = ["exempt-tag-asks", "protected-never-contained", "samples-only-in-drills", "observe-mode", "global-stop", "archived-notifies"];
        prop_assert_eq!(decision.would.is_some(), forbids.contains(&decision.rule.as_str()), "{}", decision);
    }

    /// Whatever is against it takes away, and never adds.
    #[test]
    fn nothing_against_it_makes_it_harsher(signal in signals(), facts in facts(), posture in postures()) {
        let harshness = |verdict| match verdict {
            Verdict::NotifyOnly => 0,
            Verdict::AskHuman => 1,
            Verdict::Do => 2,
        };
        let decision = SHIPPED.decide(&signal, &facts, &posture);
        let free = SHIPPED.decide(&signal, &Facts::default(), &Posture { mode: Mode::Act, stop: false, drill: true });
        prop_assert!(harshness(decision.verdict) <= harshness(free.verdict));
    }

    #[test]
    fn the_same_again_is_the_same(signal in signals(), facts in facts(), posture in postures()) {
        let again = Playbook::clone(&SHIPPED);
        prop_assert_eq!(SHIPPED.decide(&signal, &facts, &posture), again.decide(&signal, &facts, &posture));
    }
}
