//! What is shipped: complete, and what the documents say.

use std::collections::BTreeSet;
use std::path::Path;

use ids::Sha256;
use playbook::{AccessAct, AccessPlaybook, AccessTexts, Offer, OfferClass};

use super::{ACCESS, ALICE, CI, asked, at_noon, decide, home, person, role};

fn folder() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/policies/access")
}

#[test]
fn every_file_of_the_folder_is_built_in() {
    let names = |folder: &Path| -> BTreeSet<String> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    let sessions: BTreeSet<_> = AccessTexts::shipped().sessions.iter().map(|(name, _)| format!("{name}.json")).collect();
    assert_eq!(names(&folder().join("session")), sessions);
    let files = ["access.cedar", "access.cedarschema", "controls.json", "entitlements.json", "session"];
    assert_eq!(names(&folder()), files.map(ToOwned::to_owned).into());
}

#[test]
fn a_changed_byte_is_another_playbook() {
    let shipped = AccessTexts::shipped();
    let more = |text: &str| format!("{text}\n");
    let (policies, schema, controls, entitlements) =
        (more(shipped.policies), more(shipped.schema), more(shipped.controls), more(shipped.entitlements));
    let session = more(shipped.sessions[0].1);
    let mut sessions = shipped.sessions.to_vec();
    sessions[0].1 = &session;
    let digests: BTreeSet<Sha256> = [
        shipped,
        AccessTexts { policies: &policies, ..shipped },
        AccessTexts { schema: &schema, ..shipped },
        AccessTexts { controls: &controls, ..shipped },
        AccessTexts { entitlements: &entitlements, ..shipped },
        AccessTexts { sessions: &sessions, ..shipped },
    ]
    .into_iter()
    .map(|texts| AccessPlaybook::parse(texts, "aws", &home()).unwrap().digest())
    .collect();
    assert_eq!(digests.len(), 6);
    assert!(digests.contains(&ACCESS.digest()));
}

#[test]
fn what_is_offered() {
    let line = |offer: &Offer| {
        format!(
            "{} = {} {} {}s for {:?} by {:?} ticket {} chaining {}\n{}\n",
            offer.name,
            offer.role,
            offer.class.as_str(),
            offer.session_seconds,
            offer.requesters,
            offer.approvers,
            offer.ticket,
            offer.chaining,
            offer.session_policy
        )
    };
    insta::assert_snapshot!(ACCESS.entitlements().map(line).collect::<String>());
}

/// An entitlement that no policy grants would be asked for in vain.
#[test]
fn every_entitlement_can_be_asked_for_approved_and_minted() {
    for offer in ACCESS.entitlements() {
        let set = offer.requesters.iter().find(|name| !name.contains('/')).unwrap();
        let (who, asked) = (person(ALICE, set), asked(offer.name.as_str(), ALICE));
        let opened = decide(&ACCESS, offer.asked_by(), &who, &asked);
        let entitlement = ACCESS.entitlement(&opened, &offer.name).unwrap();
        assert_eq!(entitlement.policies, ACCESS.digest());
        assert_eq!(entitlement.session_policy, Sha256::of(offer.session_policy.as_bytes()));
        assert_eq!(entitlement.role, offer.role);
        // What is minted and renewed is what was approved.
        for act in [AccessAct::Mint, AccessAct::Renew] {
            assert_eq!(ACCESS.entitlement(&decide(&ACCESS, act, &who, &asked), &offer.name).as_ref(), Some(&entitlement));
        }
        for set in &offer.approvers {
            let act = if offer.class == OfferClass::Approved { AccessAct::Approve } else { AccessAct::Review };
            let approves = decide(&ACCESS, act, &person("person/carol@example.com", set), &asked);
            assert_eq!(approves.decision.rule.as_str(), "approver-approves");
        }
    }
}

#[test]
fn a_caller_sees_what_it_may_ask_for_and_nothing_else() {
    let may = |actor| {
        let all = ACCESS.may_ask(&actor, &at_noon());
        all.iter().map(|(offer, said)| format!("{} {:?} {:?}", offer.name, said.needed, said.longest_seconds)).collect::<Vec<_>>()
    };
    assert_eq!(may(person(ALICE, "Developer")), ["prod-deploy Some(1) Some(3600)", "prod-read Some(2) Some(7200)"]);
    assert_eq!(may(person(ALICE, "OnCall")), ["break-glass None Some(3600)"]);
    assert_eq!(may(role(CI, ALICE)), ["prod-deploy Some(1) Some(3600)"]);
    assert_eq!(may(person(ALICE, "Security")), [""; 0]);
    assert_eq!(may(super::barred(person(ALICE, "Developer"))), [""; 0]);
}
