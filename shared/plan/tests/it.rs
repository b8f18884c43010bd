//! Plans for the situations that responders meet, and what always holds.
#![expect(clippy::unwrap_used, reason = "a test may stop at the first surprise")]

use std::collections::BTreeMap;

use ids::{EniId, IncidentId, SgId, Sha256, SignalId, Timestamp, VpcId};
use plan::{
    After, Case, Did, Done, EndState, Group, Instance, Interface, InterfaceState, Isolate, Lint, Observed, Plan, SEALED_NAME,
    Sealed, Trouble, TroubleKind, isolate, judge, lint,
};
use proptest::prelude::*;

fn eni(n: usize) -> EniId {
    format!("eni-{n:017x}").parse().unwrap()
}

fn sg(n: usize) -> SgId {
    format!("sg-{n:017x}").parse().unwrap()
}

fn vpc(n: usize) -> VpcId {
    format!("vpc-{n:017x}").parse().unwrap()
}

fn case() -> Case {
    Case {
        incident: IncidentId::derive("ec2:instance:x", "CryptoCurrency/BitcoinTool"),
        signal: SignalId::of_bytes(&Sha256::of(b"signal")),
        account: "123456789012".parse().unwrap(),
        rule: "high-actor-isolates".parse().unwrap(),
        playbook: Sha256::of(b"playbook"),
        intent: "rec/quarantine/2026/11/23/02/00/0.1-intent.json".to_owned(),
        now: Timestamp::from_millis(1_795_400_000_000).unwrap(),
    }
}

fn group(id: usize, name: &str, rules: usize) -> Group {
    Group { id: sg(id), name: name.to_owned(), vpc: vpc(1), owner: case().account, tagged: true, rules }
}

/// An instance with `n` interfaces in one VPC, each with a group of its own.
fn machine(n: usize) -> Observed {
    let interfaces = (1..=n).map(|n| Interface { id: eni(n), vpc: vpc(1), groups: vec![sg(100 + n)] }).collect();
    let instance =
        Instance { id: "i-0123456789abcdef0".parse().unwrap(), state: "running".to_owned(), interfaces, tags: BTreeMap::new() };
    Observed { instance, groups: vec![group(1, SEALED_NAME, 0)], pins: BTreeMap::new() }
}

fn plan(seen: &Observed) -> Plan<Isolate> {
    let plan = isolate(case(), seen, &BTreeMap::new());
    assert_eq!(lint(&plan, seen), [], "{plan}");
    plan
}

#[test]
fn every_interface_goes_straight_to_the_sealed_group() {
    insta::assert_snapshot!(plan(&machine(2)));
}

#[test]
fn a_vpc_without_a_sealed_group_gets_one_first() {
    let mut seen = machine(1);
    seen.groups.clear();
    insta::assert_snapshot!(plan(&seen));
}

#[test]
fn a_squatted_name_is_left_alone() {
    let mut seen = machine(1);
    seen.groups = vec![Group { tagged: false, ..group(1, SEALED_NAME, 0) }];
    insta::assert_snapshot!(plan(&seen));
}

#[test]
fn a_rule_on_the_sealed_group_is_taken_off_before_anyone_moves_in() {
    let mut seen = machine(1);
    seen.groups = vec![group(1, SEALED_NAME, 3)];
    insta::assert_snapshot!(plan(&seen));
}

#[test]
fn the_pinned_group_wins_and_a_foreign_owner_never_does() {
    let mut seen = machine(1);
    seen.groups = vec![group(1, SEALED_NAME, 0), group(2, "cordon-sealed-2", 0)];
    seen.pins.insert(vpc(1), sg(2));
    let to = |plan: Plan<Isolate>| {
        plan.steps.into_iter().find_map(|s| if let Isolate::SwapGroups { to, .. } = s.action { Some(to) } else { None })
    };
    assert_eq!(to(plan(&seen)), Some(Sealed::Known(sg(2))));
    seen.groups[1].owner = "999988887777".parse().unwrap();
    assert_eq!(to(plan(&seen)), Some(Sealed::Known(sg(1))));
}

#[test]
fn interfaces_in_two_vpcs_get_two_groups() {
    let mut seen = machine(2);
    seen.instance.interfaces[1].vpc = vpc(2);
    let plan = plan(&seen);
    assert!(plan.steps.iter().any(|s| s.action == Isolate::CreateGroup { vpc: vpc(2), name: SEALED_NAME.to_owned() }), "{plan}");
}

#[test]
fn sealed_is_never_a_before() {
    let mut seen = machine(1);
    seen.instance.interfaces[0].groups = vec![sg(1)];
    let unknown = plan(&seen);
    assert!(unknown.before[0].groups.is_empty() && unknown.sealed_already == [eni(1)], "{unknown}");
    let known = isolate(case(), &seen, &BTreeMap::from([(eni(1), vec![sg(101)])]));
    assert_eq!(known.before[0].groups, [sg(101)]);
}

#[test]
fn lint_sees_what_was_forgotten() {
    let seen = machine(2);
    let mut plan = plan(&seen);
    plan.steps.remove(0);
    assert_eq!(lint(&plan, &seen), [Lint::Forgotten(eni(1))]);
    let mut seen = machine(1);
    let plan = isolate(case(), &seen, &BTreeMap::new());
    seen.groups[0].rules = 1;
    assert_eq!(lint(&plan, &seen), [Lint::NotSealed(eni(1))]);
}

fn accepted(plan: &Plan<Isolate>) -> Vec<Done> {
    (0..plan.steps.len()).map(|step| Done { step, did: Did::Accepted, request_id: None }).collect()
}

fn sealed_after(seen: &Observed) -> After {
    let interfaces = seen.instance.interfaces.iter().map(|i| Interface { groups: vec![sg(1)], ..i.clone() }).collect();
    After { interfaces, groups: seen.groups.clone() }
}

#[test]
fn only_what_is_read_back_counts() {
    let seen = machine(2);
    let plan = plan(&seen);
    let end = |after: Option<&After>| judge(&plan, accepted(&plan), after);
    assert_eq!(end(Some(&sealed_after(&seen))).state, EndState::Contained);
    // AWS accepted every call, and yet:
    assert_eq!(end(None).state, EndState::Unverifiable);
    let unchanged = After { interfaces: seen.instance.interfaces.clone(), groups: seen.groups.clone() };
    assert_eq!(end(Some(&unchanged)).state, EndState::NotContained);
    let mut half = sealed_after(&seen);
    half.interfaces[0].groups = vec![sg(1), sg(101)];
    assert_eq!(end(Some(&half)).state, EndState::Partial);
    let mut ruled = sealed_after(&seen);
    ruled.groups[0].rules = 1;
    let ruled = end(Some(&ruled));
    assert_eq!((ruled.state, ruled.rules_on_sealed_groups.len()), (EndState::NotContained, 1));
}

#[test]
fn an_interface_attached_meanwhile_is_open_and_worth_another_try() {
    let seen = machine(1);
    let plan = plan(&seen);
    let mut after = sealed_after(&seen);
    after.interfaces.push(Interface { id: eni(9), vpc: vpc(1), groups: vec![sg(109)] });
    let outcome = judge(&plan, accepted(&plan), Some(&after));
    assert_eq!(outcome.state, EndState::Partial);
    assert!(outcome.worth_another_try());
}

#[test]
fn one_refusal_among_fifteen_is_partial_and_for_a_human() {
    let seen = machine(15);
    let plan = plan(&seen);
    let mut done = accepted(&plan);
    done[6].did = Did::Failed(Trouble { kind: TroubleKind::Refused, code: "OperationNotPermitted".to_owned() });
    let mut after = sealed_after(&seen);
    after.interfaces[6].groups = vec![sg(107)];
    let outcome = judge(&plan, done, Some(&after));
    assert_eq!(outcome.state, EndState::Partial);
    assert!(!outcome.worth_another_try());
    let open: Vec<_> = outcome.interfaces.iter().filter(|end| end.state != InterfaceState::Sealed).collect();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0].trouble.as_ref().unwrap().code, "OperationNotPermitted");
}

proptest! {
    /// Whatever is there, a plan leaves no interface out, never uses a group that has rules or is not ours, and keeps the originals.
    #[test]
    fn plans_are_sound(
        interfaces in prop::collection::vec((1usize..4, prop::collection::vec(1usize..9, 0..4)), 0..16),
        groups in prop::collection::vec((1usize..9, 1usize..4, 0usize..3, any::<bool>(), any::<bool>(), 0usize..3), 0..8),
        pins in prop::collection::btree_map(1usize..4, 1usize..9, 0..3),
    ) {
        let mut seen = machine(0);
        seen.instance.interfaces = interfaces.into_iter().enumerate()
            .map(|(n, (v, groups))| Interface { id: eni(n), vpc: vpc(v), groups: groups.into_iter().map(sg).collect() }).collect();
        let names = [SEALED_NAME, "cordon-sealed-2", "web"];
        let owners = ["123456789012", "999988887777"];
        let mut unique = BTreeMap::new();
        for (id, v, rules, tagged, own, name) in groups {
            let owner = owners[usize::from(own)].parse().unwrap();
            unique.insert(id, Group { id: sg(id), name: names[name].to_owned(), vpc: vpc(v), owner, tagged, rules });
        }
        seen.groups = unique.into_values().collect();
        seen.pins = pins.into_iter().map(|(v, g)| (vpc(v), sg(g))).collect();

        let plan = isolate(case(), &seen, &BTreeMap::new());
        prop_assert_eq!(lint(&plan, &seen), []);
        prop_assert_eq!(plan.before.len(), seen.instance.interfaces.len());
        for step in &plan.steps {
            if let Isolate::SwapGroups { interface, to: Sealed::Known(to), .. } = &step.action {
                let group = seen.groups.iter().find(|group| group.id == *to).unwrap();
                let place = seen.instance.interfaces.iter().find(|i| i.id == *interface).unwrap();
                prop_assert!(group.tagged && group.owner == case().account && group.vpc == place.vpc);
            }
        }
        let text = serde_json::to_string(&plan).unwrap();
        prop_assert_eq!(serde_json::from_str::<Plan<Isolate>>(&text).unwrap(), plan);
    }
}
