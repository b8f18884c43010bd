//! Who gets which answer.

use playbook::{Decision, Facts, Mitigation, Mode, Playbook, Posture, Verdict};
use signal::{Role, Source};

use crate::{ACT, MINING, MITIGATIONS, PLAIN, SCHEMA, SHIPPED, event, finding, shipped_and};

const ROLES: [Role; 3] = [Role::Actor, Role::Target, Role::Unstated];

fn short(decision: &Decision) -> String {
    let would = decision.would.as_ref().map(|would| format!(" ({would})")).unwrap_or_default();
    format!("{} {}{would}", decision.verdict, decision.rule)
}

/// Severity × role × what was seen, in an account that acts, and with nothing against it.
#[test]
fn by_finding() {
    let mut text = String::new();
    for (kind, seen) in [
        ("Backdoor:EC2/C&CActivity.B", "network"),
        ("Execution:Runtime/ReverseShell", "inside"),
        ("Recon:EC2/PortProbeUnprotectedPort", "no mitigation"),
        ("Execution:EC2/MaliciousFile!AMI", "inside, no mitigation"),
    ] {
        text += &format!("{kind} ({seen})\n");
        for role in ROLES {
            for severity in [0, 399, 400, 699, 700, 899, 900, 1000] {
                let signal = finding(kind, severity, role);
                let decision = SHIPPED.decide(&signal, &PLAIN, &ACT);
                let (role, severity) = (format!("{role:?}"), signal.finding.severity.to_string());
                text += &format!("    {role:8} {severity:>5}  {}\n", short(&decision));
            }
        }
    }
    insta::assert_snapshot!(text);
}

/// Everything that may be against it, in every combination, for a finding that isolates and for one that asks.
#[test]
fn by_circumstance() {
    let mut text = format!("{:44}  {:62}  {}\n", "", "HIGH ACTOR", "MEDIUM ACTOR");
    for bits in 0..128u8 {
        let [observe, stop, protected, exempt_tag, sample, drill, archived] = [64, 32, 16, 8, 4, 2, 1].map(|bit| bits & bit != 0);
        let posture = Posture { mode: if observe { Mode::Observe } else { Mode::Act }, stop, drill };
        let facts = Facts { exempt_tag, protected };
        let names = ["observe", "stop", "protected", "exempt", "sample", "drill", "archived"];
        let here = [observe, stop, protected, exempt_tag, sample, drill, archived];
        let names: Vec<_> = names.into_iter().zip(here).filter_map(|(name, here)| here.then_some(name)).collect();
        let [high, medium] = [800, 500].map(|severity| {
            let mut signal = finding("Backdoor:EC2/C&CActivity.B", severity, Role::Actor);
            signal.finding.sample = sample;
            signal.finding.archived = archived;
            short(&SHIPPED.decide(&signal, &facts, &posture))
        });
        text += &format!("{:44}  {high:62}  {medium}\n", names.join(" "));
    }
    insta::assert_snapshot!(text);
}

#[test]
fn the_sample_events() {
    macro_rules! decide {
        ($name:literal, $facts:expr, $posture:expr) => {
            SHIPPED.decide(&event(include_str!(concat!("../../../../events/guardduty/", $name, ".json"))), &$facts, &$posture)
        };
    }
    let exempt = Facts { exempt_tag: true, ..PLAIN };
    let protected = Facts { protected: true, ..PLAIN };
    let drill = Posture { drill: true, ..ACT };
    for (decision, verdict, rule) in [
        (decide!("crypto-mining-actor-two-interfaces", PLAIN, ACT), Verdict::Do, "high-actor-isolates"),
        (decide!("critical-runtime-c2", PLAIN, ACT), Verdict::Do, "high-actor-isolates"),
        (decide!("exempt-tag", exempt, ACT), Verdict::AskHuman, "exempt-tag-asks"),
        (decide!("cordon-own", protected, ACT), Verdict::NotifyOnly, "protected-never-contained"),
        (decide!("medium-actor-portscan", PLAIN, ACT), Verdict::AskHuman, "medium-actor-asks"),
        (decide!("runtime-reverse-shell", PLAIN, ACT), Verdict::AskHuman, "inside-target-asks"),
        (decide!("ssh-brute-force-target", PLAIN, ACT), Verdict::NotifyOnly, "target-notifies"),
        (decide!("port-probe-target", PLAIN, ACT), Verdict::NotifyOnly, "target-notifies"),
        (decide!("low-severity", PLAIN, ACT), Verdict::NotifyOnly, "low-notifies"),
        (decide!("sample-flag-bool", PLAIN, ACT), Verdict::NotifyOnly, "samples-only-in-drills"),
        (decide!("drill", PLAIN, ACT), Verdict::NotifyOnly, "samples-only-in-drills"),
        (decide!("drill", PLAIN, drill), Verdict::Do, "high-actor-isolates"),
    ] {
        assert_eq!((decision.verdict, decision.rule.as_str()), (verdict, rule), "{decision}");
    }
}

#[test]
fn nothing_is_done_by_default() {
    let decision = SHIPPED.decide(&MINING, &Facts::default(), &Posture::default());
    assert_eq!(short(&decision), "notify-only observe-mode (high-actor-isolates)");
}

#[test]
fn a_decision_reads_well() {
    let read = |facts: Facts, posture: Posture| SHIPPED.decide(&MINING, &facts, &posture).to_string();
    let text = [
        read(PLAIN, ACT),
        read(Facts { exempt_tag: true, ..PLAIN }, ACT),
        read(PLAIN, Posture { mode: Mode::Observe, ..ACT }),
        SHIPPED.decide(&finding("Recon:EC2/PortProbeUnprotectedPort", 200, Role::Target), &PLAIN, &ACT).to_string(),
    ]
    .join("\n");
    insta::assert_snapshot!(text);
}

/// The form goes into evidence: it has to stay readable.
#[test]
fn a_decision_has_one_json_form() {
    let decision = SHIPPED.decide(&MINING, &Facts { exempt_tag: true, ..PLAIN }, &ACT);
    insta::assert_json_snapshot!(decision);
    let json = serde_json::to_string(&decision).unwrap();
    assert_eq!(serde_json::from_str::<Decision>(&json).unwrap(), decision);
}

#[test]
fn controls_are_claimed_only_where_there_is_something_to_show() {
    let ids = |facts| -> Vec<_> { SHIPPED.decide(&MINING, &facts, &ACT).controls.into_iter().map(|control| control.id).collect() };
    assert_eq!(ids(PLAIN), ["IR-4", "IR-4(1)", "IR-5", "SC-7", "SI-4(7)", "CC7.3", "CC7.4"]);
    // A person is asked: nobody has isolated anything.
    assert_eq!(ids(Facts { exempt_tag: true, ..PLAIN }), ["IR-5", "CC7.3"]);
    assert_eq!(ids(Facts { protected: true, ..PLAIN }), ["IR-5", "CC7.3"]);
    assert_eq!(SHIPPED.deciding().len(), 2);
}

#[test]
fn a_drill_signal_outside_a_drill_is_only_told() {
    let mut signal = MINING.clone();
    signal.source = Source::Drill;
    assert_eq!(SHIPPED.decide(&signal, &PLAIN, &ACT).rule.as_str(), "samples-only-in-drills");
}

#[test]
fn a_type_without_a_row_reaches_a_person() {
    let decision = SHIPPED.decide(&finding("Impact:EC2/TimeTravel.Paradox", 900, Role::Actor), &PLAIN, &ACT);
    assert_eq!(short(&decision), "notify-only no-mitigation-notifies");
}

#[test]
fn no_policy_no_action() {
    let decision = Playbook::parse("", SCHEMA, MITIGATIONS).unwrap().decide(&MINING, &PLAIN, &ACT);
    assert_eq!(short(&decision), "notify-only no-rule");
}

/// The permit would apply, but there is nothing that it could permit.
#[test]
fn a_policy_cannot_do_what_the_table_does_not_have() {
    let all = r#"@id("all") @reason("All.") permit (principal, action, resource);"#;
    let playbook = Playbook::parse(all, SCHEMA, MITIGATIONS).unwrap();
    let decision = playbook.decide(&finding("Recon:EC2/PortProbeUnprotectedPort", 900, Role::Actor), &PLAIN, &ACT);
    assert_eq!(decision.verdict, Verdict::NotifyOnly);
    assert_eq!(short(&playbook.decide(&MINING, &PLAIN, &ACT)), "do all");
}

#[test]
fn of_several_policies_the_first_name_counts() {
    for name in ["a-first", "z-last"] {
        let playbook = shipped_and(&format!(r#"@id("{name}") @reason("Again.") permit (principal, action, resource);"#));
        let decision = playbook.decide(&MINING, &PLAIN, &ACT);
        assert_eq!(short(&decision), format!("do {}", name.min("high-actor-isolates")));
    }
}

/// Cedar skips a policy that fails, so a broken forbid would let everything through.
#[test]
fn a_policy_that_cannot_be_evaluated_leaves_it_to_a_person() {
    for effect in ["forbid", "permit"] {
        for action in ["isolate", "propose", "notify"] {
            let playbook = shipped_and(&format!(
                r#"@id("too-big") @reason("Overflows.") {effect} (principal, action == Cordon::Action::"{action}", resource)
                   when {{ context.severity * 9223372036854775807 > 0 }};"#
            ));
            let decision = playbook.decide(&MINING, &PLAIN, &ACT);
            assert_eq!(short(&decision), "ask-human policy-error (high-actor-isolates)", "{effect} {action}");
            assert_eq!(decision.reason, "The policy `too-big` could not be evaluated: a person decides.");
            assert_eq!(decision.mitigation, Mitigation::IsolateInstance);

            let stopped = playbook.decide(&MINING, &PLAIN, &Posture { stop: true, ..ACT });
            assert_eq!(short(&stopped), "notify-only policy-error (high-actor-isolates)", "{effect} {action}");
            assert_eq!(stopped.reason, "The policy `too-big` could not be evaluated: nothing is done, as `global-stop` holds.");
        }
    }
}
