//! Plans that undo a revocation, and what always holds.
#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may stop at the first surprise")]

use std::collections::{BTreeMap, BTreeSet};

use ids::{IncidentId, Sha256, Timestamp};
use plan::release::{Basis, Lift, NoRelease, Past, Proposal, ReleaseState, Wish, judge_release, propose};
use plan::revoke::{Denied, Denies, Key, LastUsed, Principal, Revocation, RevocationOutcome, RevocationState, Revoke, Role, User};
use plan::{Case, Did, Done, Step};
use proptest::prelude::*;

const DENY: &str = "arn:aws:iam::123456789012:policy/cordon-deny-all";
const READ: &str = "arn:aws:iam::aws:policy/ReadOnlyAccess";
const LEAKED: &str = "AKIARZPUZDIKFJNBPQ4Z";

fn at(minute: u32) -> Timestamp {
    format!("2026-11-21T02:{minute:02}:00Z").parse().unwrap()
}

fn incident(n: u8) -> IncidentId {
    IncidentId::derive(&format!("target {n}"), "LeakedCredential")
}

fn key(id: &str, active: bool) -> Key {
    Key { id: id.parse().unwrap(), active, created: Some(at(0)) }
}

fn user() -> User {
    User {
        name: "ci-deployer".parse().unwrap(),
        arn: "arn:aws:iam::123456789012:user/ci/ci-deployer".to_owned(),
        attached: BTreeSet::from([READ.to_owned()]),
        boundary: None,
        keys: vec![key(LEAKED, true), key("AKIARZPUZDIKFJNBOLD2", true)],
    }
}

fn role(denies: Denies) -> Role {
    Role {
        name: "storefront".parse().unwrap(),
        id: "AROAEXAMPLEROLEID1234".parse().unwrap(),
        arn: "arn:aws:iam::123456789012:role/storefront".to_owned(),
        denies,
        foreign: None,
        services: BTreeSet::new(),
        longest_session: None,
        last_used: None,
    }
}

/// A revocation whose steps were all accepted.
fn past(n: u8, minute: u32, before: Principal, steps: Vec<Revoke>) -> Past {
    let record = format!("rec/revoke/2026/11/21/02/{minute:02}/{n:032}.1-outcome.json");
    let done = |step| Done { step, did: Did::Accepted, request_id: None };
    let outcome = RevocationOutcome {
        state: RevocationState::Revoked,
        credentials: vec![],
        survives: vec![],
        steps: (0..steps.len()).map(done).collect(),
        left_open: vec![],
    };
    let plan = Revocation {
        case: case(n, minute),
        pattern: "user-key".to_owned(),
        key: matches!(before, Principal::User(_)).then(|| LEAKED.parse().unwrap()),
        before,
        users: None,
        already: vec![],
        steps: steps.into_iter().map(|action| Step { wave: 0, action }).collect(),
        survives: vec![],
        by_hand: vec![],
        remarks: vec![],
    };
    Past { record, plan, outcome }
}

fn case(n: u8, minute: u32) -> Case {
    Case {
        incident: incident(n),
        signal: format!("{n:032}").parse().unwrap(),
        account: "123456789012".parse().unwrap(),
        rule: "high-leak-revokes".parse().unwrap(),
        playbook: Sha256::of(b"playbook"),
        intent: "rec/revoke/…".to_owned(),
        now: at(minute),
    }
}

fn basis(n: u8, pasts: Vec<Past>) -> Basis {
    Basis {
        incident: incident(n),
        account: "123456789012".parse().unwrap(),
        region: "eu-central-1".parse().unwrap(),
        pasts,
        held_by: BTreeSet::new(),
        denies: Denies::default(),
        deny_policy: DENY.to_owned(),
        playbook: Sha256::of(b"releases"),
        now: at(30),
    }
}

fn wish() -> Wish {
    Wish { by: "person/alice@example.com".to_owned(), reason: "the key was a decoy".to_owned(), early: true }
}

fn attach() -> Vec<Revoke> {
    let user = || "ci-deployer".parse().unwrap();
    vec![
        Revoke::AttachDeny { user: user(), policy: DENY.to_owned() },
        Revoke::DisableKey { user: user(), key: LEAKED.parse().unwrap() },
    ]
}

/// The user as the revocation leaves it.
fn denied() -> User {
    let mut left = user();
    left.attached.insert(DENY.to_owned());
    left.keys = vec![key(LEAKED, false), key("AKIARZPUZDIKFJNBOLD2", true)];
    left
}

fn bound(from: Option<&str>) -> (Past, User) {
    let step = Revoke::BoundByDeny { user: "ci-deployer".parse().unwrap(), policy: DENY.to_owned(), from: from.map(str::to_owned) };
    let before = User { boundary: from.map(str::to_owned), ..user() };
    let left = User { boundary: Some(DENY.to_owned()), keys: denied().keys, ..before.clone() };
    (past(1, 1, Principal::User(before), vec![step]), left)
}

fn drift(result: Result<Proposal, NoRelease>) -> String {
    match result {
        Err(error @ NoRelease::Drift(_)) => error.to_string(),
        other => panic!("no drift: {other:?}"),
    }
}

/// Fields in the order of their names, whoever else is built with `serde_json`.
fn sorted(value: serde_json::Value) -> serde_json::Value {
    match value {
        serde_json::Value::Object(fields) => {
            let fields: BTreeMap<_, _> = fields.into_iter().map(|(name, value)| (name, sorted(value))).collect();
            fields.into_iter().collect()
        }
        serde_json::Value::Array(items) => items.into_iter().map(sorted).collect(),
        other => other,
    }
}

#[test]
fn a_users_deny_comes_off_and_its_leaked_key_stays_inactive() {
    let basis = basis(1, vec![past(1, 1, Principal::User(user()), attach())]);
    let proposal = propose(&basis, wish(), Principal::User(denied())).unwrap();
    insta::assert_snapshot!(proposal);
    insta::assert_json_snapshot!("the_proposal_in_json", sorted(serde_json::to_value(&proposal).unwrap()));
    // Read back: lifted. A key that somebody makes active meanwhile is told.
    let mut after = User { attached: user().attached, ..denied() };
    let outcome = judge_release(&proposal, vec![], Some(&Principal::User(after.clone())));
    assert_eq!((outcome.state, outcome.left_open.len()), (ReleaseState::Released, 0));
    after.keys = user().keys;
    let outcome = judge_release(&proposal, vec![], Some(&Principal::User(after)));
    assert!(outcome.left_open.iter().any(|said| said.contains("make it inactive")), "{outcome:?}");
    let still = judge_release(&proposal, vec![], Some(&Principal::User(denied())));
    assert_eq!(still.state, ReleaseState::NotReleased);
    assert_eq!(judge_release(&proposal, vec![], None).state, ReleaseState::Unverifiable);
}

#[test]
fn the_boundary_from_before_is_put_back() {
    for from in [None, Some("arn:aws:iam::123456789012:policy/developers")] {
        let (past, left) = bound(from);
        let proposal = propose(&basis(1, vec![past]), wish(), Principal::User(left)).unwrap();
        let [Lift::RestoreBoundary { to, .. }] = proposal.lifts.as_slice() else { panic!("{proposal}") };
        assert_eq!(to.as_deref(), from);
    }
    // Another incident came later and found it so: it knows from the first one's record what to put back.
    let (first, left) = bound(Some(READ));
    let second = past_of_second(&left);
    let proposal = propose(&basis(2, vec![first, second]), wish(), Principal::User(left)).unwrap();
    assert!(matches!(proposal.lifts.as_slice(), [Lift::RestoreBoundary { to: Some(to), .. }] if to == READ), "{proposal}");
}

fn past_of_second(left: &User) -> Past {
    past(2, 5, Principal::User(left.clone()), vec![])
}

#[test]
fn while_another_incident_holds_the_user_nothing_is_lifted() {
    let pasts = vec![past(1, 1, Principal::User(user()), attach()), past_of_second(&denied())];
    let held = Basis { held_by: BTreeSet::from([incident(2)]), ..basis(1, pasts) };
    let proposal = propose(&held, wish(), Principal::User(denied())).unwrap();
    assert_eq!((proposal.lifts.len(), proposal.works.len()), (0, 0), "{proposal}");
    assert!(!proposal.is_early(at(2)), "nothing is given back");
    assert_eq!(judge_release(&proposal, vec![], Some(&Principal::User(denied()))).state, ReleaseState::Kept);
}

#[test]
fn a_deny_that_was_there_before_cordon_stays() {
    let basis = basis(1, vec![past(1, 1, Principal::User(denied()), vec![])]);
    let proposal = propose(&basis, wish(), Principal::User(denied())).unwrap();
    assert!(proposal.lifts.is_empty() && proposal.works.is_empty(), "{proposal}");
    assert!(proposal.to_string().contains("it was before Cordon came"), "{proposal}");
}

#[test]
fn any_change_of_the_user_is_drift_and_told() {
    let basis = basis(1, vec![past(1, 1, Principal::User(user()), attach())]);
    let seen = |change: &dyn Fn(&mut User)| {
        let mut user = denied();
        change(&mut user);
        drift(propose(&basis, wish(), Principal::User(user)))
    };
    let told = [
        seen(&|user| user.attached.retain(|policy| policy != DENY)),
        seen(&|user| user.attached.extend(["arn:aws:iam::aws:policy/AdministratorAccess".to_owned()])),
        seen(&|user| user.attached.retain(|policy| policy != READ)),
        seen(&|user| user.boundary = Some(READ.to_owned())),
        seen(&|user| user.keys = vec![key(LEAKED, true)]),
        seen(&|user| user.arn = "arn:aws:iam::123456789012:user/ci-deployer".to_owned()),
    ];
    insta::assert_snapshot!(told.join("\n"));
    // A key that was made to replace the leaked one, or the leaked one deleted, is none; an approver sees it.
    let mut replaced = denied();
    replaced.keys = vec![key("AKIARZPUZDIKFJNBNEW2", true)];
    let proposal = propose(&basis, wish(), Principal::User(replaced)).unwrap();
    assert!(proposal.to_string().contains("works again: the key AKIARZPUZDIKFJNBNEW2"), "{proposal}");
}

#[test]
fn without_a_record_nothing_is_proposed() {
    let nothing = |result: Result<Proposal, NoRelease>| assert!(matches!(result, Err(NoRelease::NothingOnRecord(_))), "{result:?}");
    nothing(propose(&basis(1, vec![]), wish(), Principal::User(denied())));
    nothing(propose(&basis(1, vec![past_of_second(&denied())]), wish(), Principal::User(denied())));
    nothing(propose(&basis(1, vec![]), wish(), Principal::Role(role(Denies::default()))));
    // A deny that AWS did not accept was never there.
    let mut refused = past(1, 1, Principal::Role(role(Denies::default())), vec![write(&all(&[1]))]);
    refused.outcome.steps.clear();
    nothing(propose(&basis(1, vec![refused]), wish(), Principal::Role(role(Denies::default()))));
}

fn session(n: u8) -> Denied {
    Denied::session(format!("AROAEXAMPLEROLEID1234:thief-{n}"), at(u32::from(n)))
}

fn all(incidents: &[u8]) -> Denies {
    Denies(incidents.iter().map(|n| (incident(*n), session(*n))).collect())
}

fn write(denies: &Denies) -> Revoke {
    let (role, policy) = ("storefront".parse().unwrap(), "cordon-revoked-eu-central-1".to_owned());
    Revoke::WriteDenies { role, policy, denies: denies.clone() }
}

fn role_basis(n: u8, others: &[u8]) -> Basis {
    let own = past(n, u32::from(n), Principal::Role(role(Denies::default())), vec![write(&all(&[n]))]);
    Basis { denies: all(others), held_by: others.iter().map(|n| incident(*n)).collect(), ..basis(n, vec![own]) }
}

#[test]
fn a_roles_document_loses_one_incident_and_is_deleted_with_the_last() {
    let proposal = propose(&role_basis(1, &[2]), wish(), Principal::Role(role(all(&[1, 2])))).unwrap();
    insta::assert_snapshot!(proposal);
    let after = |incidents: &[u8]| judge_release(&proposal, vec![], Some(&Principal::Role(role(all(incidents))))).state;
    assert_eq!((after(&[2]), after(&[1, 2])), (ReleaseState::Released, ReleaseState::NotReleased));
    assert_eq!(after(&[]), ReleaseState::NotReleased, "the other incident's deny is gone too");
    let last = propose(&role_basis(1, &[]), wish(), Principal::Role(role(all(&[1])))).unwrap();
    assert!(matches!(last.lifts.as_slice(), [Lift::DeleteDenies { .. }]), "{last}");
}

/// Neighbours go on using the role while somebody is asked: what the approver saw is the same proposal.
#[test]
fn a_role_that_is_used_meanwhile_is_the_same_proposal() {
    let used = |second| {
        let at = format!("2026-11-21T03:00:{second:02}Z").parse().unwrap();
        let role = Role { last_used: Some(LastUsed { at, region: None }), ..role(all(&[1, 2])) };
        propose(&role_basis(1, &[2]), wish(), Principal::Role(role)).unwrap().digest().unwrap()
    };
    assert_eq!(used(1), used(2));
}

#[test]
fn any_change_of_the_role_or_its_document_is_drift_and_told() {
    let basis = role_basis(1, &[2]);
    let seen = |change: &dyn Fn(&mut Role)| {
        let mut role = role(all(&[1, 2]));
        change(&mut role);
        drift(propose(&basis, wish(), Principal::Role(role)))
    };
    let told = [
        seen(&|role| role.denies = all(&[2])),
        seen(&|role| role.denies = all(&[1])),
        seen(&|role| role.denies = all(&[1, 2, 3])),
        seen(&|role| drop(role.denies.0.insert(incident(1), session(9)))),
        seen(&|role| role.foreign = Some(r#"{"Statement":[]}"#.to_owned())),
        seen(&|role| role.id = "AROAANOTHERROLEID9999".parse().unwrap()),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

/// Statements about sessions that have ended by themselves are pruned by whoever writes the document next, or not yet.
#[test]
fn what_has_run_out_by_itself_is_no_drift() {
    let later = "2026-11-22T02:00:00Z".parse().unwrap();
    let basis = Basis { now: later, ..role_basis(1, &[2]) };
    for left in [&[1, 2][..], &[1], &[2], &[]] {
        let proposal = propose(&basis, wish(), Principal::Role(role(all(left)))).unwrap();
        assert_eq!(proposal.lifts.len(), usize::from(left.contains(&1)), "{proposal}");
        assert!(!proposal.is_early(later));
    }
}

#[test]
fn what_was_stolen_and_has_not_run_out_makes_it_early() {
    let of_user =
        propose(&basis(1, vec![past(1, 1, Principal::User(user()), attach())]), wish(), Principal::User(denied())).unwrap();
    let of_role = propose(&role_basis(1, &[]), wish(), Principal::Role(role(all(&[1])))).unwrap();
    for (proposal, hours) in [(of_user, 36), (of_role, 12)] {
        let end = at(1).plus(std::time::Duration::from_secs(hours * 3600));
        assert_eq!(proposal.revives.until, end);
        assert!(proposal.is_early(Timestamp::saturating(end.millis() - 1)) && !proposal.is_early(end));
    }
}

proptest! {
    /// However many incidents a role has: one goes, and no other statement changes.
    #[test]
    fn a_release_lifts_its_own_incident_and_no_other(others in prop::collection::btree_set(2u8..20, 0..6)) {
        let others: Vec<u8> = others.into_iter().collect();
        let here: Vec<u8> = std::iter::once(1).chain(others.iter().copied()).collect();
        let proposal = propose(&role_basis(1, &others), wish(), Principal::Role(role(all(&here)))).unwrap();
        match proposal.lifts.as_slice() {
            [Lift::DeleteDenies { .. }] => prop_assert!(others.is_empty()),
            [Lift::RewriteDenies { denies, .. }] => prop_assert_eq!(denies, &all(&others)),
            other => prop_assert!(false, "{:?}", other),
        }
        prop_assert!(!proposal.is_lifted(&Principal::Role(role(all(&here)))));
    }

    /// An approval binds all that its approver saw.
    #[test]
    fn whatever_changes_in_a_proposal_changes_its_digest(reason in "[a-z ]{1,20}", early in any::<bool>(), by in "[a-z]{1,8}", new_key in any::<bool>()) {
        let basis = basis(1, vec![past(1, 1, Principal::User(user()), attach())]);
        let first = propose(&basis, wish(), Principal::User(denied())).unwrap();
        let mut seen = denied();
        if new_key {
            seen.keys.push(key("AKIARZPUZDIKFJNBNEW2", true));
        }
        let second = propose(&basis, Wish { by, reason, early }, Principal::User(seen)).unwrap();
        prop_assert_eq!(first == second, first.digest().unwrap() == second.digest().unwrap());
        let read: Proposal = serde_json::from_str(&serde_json::to_string(&second).unwrap()).unwrap();
        prop_assert_eq!(read.digest().unwrap(), second.digest().unwrap());
    }
}
