//! Records as `revoke` writes them: real reports, real plans, real judgements, and what CloudTrail has to tell of them.

use std::collections::BTreeSet;
use std::time::Duration;

use evidence::{Kind, Link};
use ids::{Sha256, Timestamp};
use plan::revoke::{
    Denies, Deny, Key, Principal, Revocation, RevocationOutcome, Revoke, Role, Rule, User, judge_revocation, pattern_of, revoke,
};
use plan::{Case, Did, Done, Trouble, TroubleKind};
use serde_json::{Value, json};
use signal::{Credential, Door, Leak, parse_leaks};

use crate::reconciled::{event, refused};
use crate::story::{Story, at, incident};

pub(crate) const ROLE: &str = "arn:aws:iam::123456789012:role/cordon/RevokeRole";
const DENY: &str = "arn:aws:iam::123456789012:policy/cordon-deny-all";

/// How the end of a credential goes.
#[derive(Clone)]
pub(crate) struct Course {
    /// Tells incidents apart.
    pub(crate) name: &'static str,
    /// Who reports it: a sample of `events/leaks`, or `hand`.
    pub(crate) report: &'static str,
    /// When it reaches the function.
    pub(crate) received: i64,
    /// So long before was it reported.
    pub(crate) reported_before: i64,
    /// So long before was it first seen, where the source says so.
    pub(crate) seen_before: i64,
    /// So long after is the last step answered.
    pub(crate) denied_after: i64,
    /// The steps that IAM refuses, and with which code.
    pub(crate) refused: &'static [(usize, &'static str)],
    /// The user has no room for one more policy.
    pub(crate) full: bool,
}

pub(crate) const KEY: Course = Course {
    name: "key",
    report: "user-key-malicious-ip",
    received: 0,
    reported_before: 61_000,
    seen_before: 252_000,
    denied_after: 420,
    refused: &[],
    full: false,
};
pub(crate) const SESSION: Course = Course { name: "session", report: "role-session", ..KEY };
/// AWS Health knows the key alone, and not since when.
pub(crate) const EXPOSED: Course = Course { name: "exposed", report: "health-exposed", reported_before: 95_000, ..KEY };

impl Course {
    fn time(&self, before: i64) -> Timestamp {
        at(self.received - before)
    }

    /// The report, at the times of the course. A bare key has its user: IAM was asked.
    pub(crate) fn leak(&self) -> Leak {
        let leak = if self.report == "hand" {
            let asked = json!({"user": "ci-deployer"});
            let asked: signal::ByHand = serde_json::from_value(asked).unwrap();
            asked.leak(b"{}", "delivery", Some(&"123456789012".parse().unwrap()), at(0)).unwrap()
        } else {
            let path = format!("{}/../../events/leaks/{}.json", env!("CARGO_MANIFEST_DIR"), self.report);
            parse_leaks(&std::fs::read(path).unwrap(), &Door { administrator: None, drill: true }).unwrap().remove(0)
        };
        let mut leak = Leak { incident: incident(self.name), at: self.time(self.reported_before), ..leak };
        leak.since = leak.since.map(|_| self.time(self.seen_before));
        if let Some(finding) = &mut leak.finding {
            finding.first_seen = Some(self.time(self.seen_before));
            finding.created_at = Some(self.time(self.reported_before));
            finding.updated_at = self.time(self.reported_before);
            finding.last_seen = Some(self.time(self.reported_before + 5000));
        }
        if let Credential::UserKey { user, .. } = &mut leak.credential {
            user.get_or_insert_with(|| "ci-deployer".parse().unwrap());
        }
        leak
    }

    /// The principal before: a user has the leaked key, an old one, and one that somebody made after the leak.
    fn seen(&self, leak: &Leak) -> Principal {
        let key = |id: &str, before: i64| Key { id: id.parse().unwrap(), active: true, created: Some(self.time(before)) };
        match &leak.credential {
            Credential::RoleSession { role, .. } | Credential::InstanceSession { role, .. } | Credential::WholeRole { role } => {
                Principal::Role(Role {
                    name: role.clone(),
                    id: "AROAEXAMPLEROLEID1234".parse().unwrap(),
                    arn: format!("arn:aws:iam::123456789012:role/{role}"),
                    denies: Denies::default(),
                    foreign: None,
                    services: BTreeSet::new(),
                    longest_session: None,
                    last_used: None,
                })
            }
            _ => Principal::User(User {
                name: "ci-deployer".parse().unwrap(),
                arn: "arn:aws:iam::123456789012:user/ci/ci-deployer".to_owned(),
                attached: (0..if self.full { 10 } else { 1 })
                    .map(|n| format!("arn:aws:iam::aws:policy/P{n}"))
                    .collect::<BTreeSet<_>>(),
                boundary: None,
                keys: vec![
                    key("AKIARZPUZDIKFJNBPQ4Z", 9_000_000_000),
                    key("AKIARZPUZDIKFJNBOLD2", 9_900_000_000),
                    key("AKIARZPUZDIKFJNBNEW2", 120_000),
                ],
            }),
        }
    }

    fn plan(&self) -> Revocation {
        let leak = self.leak();
        let case = Case {
            incident: leak.incident.clone(),
            signal: leak.id.clone(),
            account: leak.account.clone(),
            rule: "high-leak-revokes".parse().unwrap(),
            playbook: Sha256::of(b"playbook"),
            intent: "rec/…".to_owned(),
            now: at(self.received + 80),
        };
        let rule = Rule {
            case,
            region: "eu-central-1".parse().unwrap(),
            deny_policy: DENY.to_owned(),
            standing: Denies::default(),
            reported: leak.at,
            since: leak.since,
            attachments_full: self.full,
            users: None,
        };
        revoke(rule, &leak, self.seen(&leak)).unwrap()
    }

    fn fails(&self, step: usize) -> Option<&'static str> {
        self.refused.iter().find(|(refused, _)| *refused == step).map(|(_, code)| *code)
    }

    fn id(&self, n: usize) -> String {
        format!("{}-{n}", self.name)
    }

    fn outcome(&self, plan: &Revocation) -> RevocationOutcome {
        let mut after = plan.before.clone();
        let mut done = Vec::new();
        for (step, planned) in plan.steps.iter().enumerate() {
            if let Some(code) = self.fails(step) {
                let trouble = Trouble { kind: TroubleKind::Denied, code: code.to_owned() };
                // As `revocation` has it: a call that failed has no request id in its step.
                done.push(Done { step, did: Did::Failed(trouble), request_id: None });
                continue;
            }
            done.push(Done { step, did: Did::Accepted, request_id: Some(self.id(step)) });
            match (&mut after, &planned.action) {
                (Principal::User(user), Revoke::AttachDeny { policy, .. }) => drop(user.attached.insert(policy.clone())),
                (Principal::User(user), Revoke::BoundByDeny { policy, .. }) => user.boundary = Some(policy.clone()),
                (Principal::User(user), Revoke::DisableKey { key, .. }) => {
                    user.keys.iter_mut().filter(|other| other.id == *key).for_each(|key| key.active = false);
                }
                (Principal::Role(role), Revoke::WriteDenies { denies, .. }) => role.denies = denies.clone(),
                // No plan has a step of another principal's.
                _ => {}
            }
        }
        judge_revocation(plan, done, Some(&after), &Deny::Holds(DENY.to_owned()))
    }

    /// What CloudTrail has of the steps, in their order.
    pub(crate) fn events(&self) -> Vec<Value> {
        let of = |(step, planned): (usize, &plan::Step<Revoke>)| {
            let (operation, parameters) = call(&planned.action);
            let mut told = event(&self.id(step), self.received + self.denied_after, "iam", operation, parameters);
            told["userIdentity"] = json!({
                "type": "AssumedRole", "arn": "arn:aws:sts::123456789012:assumed-role/RevokeRole/cordon", "accountId": "123456789012",
                "sessionContext": {"sessionIssuer": {"type": "Role", "arn": ROLE, "accountId": "123456789012"}},
            });
            let Some(code) = self.fails(step) else { return told };
            if code == "AccessDenied" {
                // IAM tells nothing of what was asked for where it was not allowed.
                told["requestParameters"] = Value::Null;
            }
            refused(told, code)
        };
        self.plan().steps.iter().enumerate().map(of).collect()
    }
}

/// What a step asks of IAM.
fn call(action: &Revoke) -> (&'static str, Value) {
    match action {
        Revoke::AttachDeny { user, policy } => ("AttachUserPolicy", json!({"userName": user, "policyArn": policy})),
        Revoke::BoundByDeny { user, policy, .. } => {
            ("PutUserPermissionsBoundary", json!({"userName": user, "permissionsBoundary": policy}))
        }
        Revoke::DisableKey { user, key } => {
            ("UpdateAccessKey", json!({"userName": user, "accessKeyId": key, "status": "Inactive"}))
        }
        Revoke::WriteDenies { role, policy, denies } => {
            let document = denies.document();
            ("PutRolePolicy", json!({"roleName": role, "policyName": policy, "policyDocument": document}))
        }
    }
}

fn decision(verdict: &str, rule: &str, reason: &str) -> Value {
    json!({"verdict": verdict, "mitigation": "revoke-credential", "rule": rule, "reason": reason, "controls": [], "would": null})
}

impl Story {
    /// A credential's end, from its report to its outcome.
    pub(crate) fn ends(&mut self, course: &Course) -> (Link, Link) {
        let received = at(course.received);
        let after = |millis: i64| received.plus(Duration::from_millis(millis.try_into().unwrap()));
        let (plan, last) = (course.plan(), course.denied_after);
        let intent = self.write_as("revoke", course.name, Kind::Intent, after(90), None, serde_json::to_value(&plan).unwrap());
        let call_of = |service: &str, operation: &str, id: Option<&str>, status: u16, from: i64, to: i64| {
            json!({"service": service, "operation": operation, "request_id": id, "status": status, "attempts": 1,
                "started": after(from), "ended": after(to)})
        };
        let mut calls = vec![
            call_of("IAM", "GetUser", None, 200, 2, 70),
            call_of("DynamoDB", "UpdateItem", None, 200, 3, 20),
            call_of("S3", "PutObject", None, 200, 92, 180),
        ];
        for (step, planned) in plan.steps.iter().enumerate() {
            let status = if course.fails(step).is_some() { 403 } else { 200 };
            // The last step is the last to be answered.
            let to = last - 40 * i64::try_from(plan.steps.len() - 1 - step).unwrap();
            calls.push(call_of("IAM", call(&planned.action).0, Some(&course.id(step)), status, 181, to));
        }
        let body = json!({
            "outcome": course.outcome(&plan),
            "signal": course.leak(),
            "decision": decision("do", "high-leak-revokes", "It is known to be in the wrong hands."),
            "timings": {"received": received, "received_to_observed": 80, "received_to_intent": 180, "received_to_denied": last,
                "received_to_read_back": last + 600},
            "round_trips": {"evidence_before_first_change": 1, "depth_to_denied": 3},
            "calls": calls,
            "evidence": "durable",
            "hold": "claimed",
        });
        let outcome = self.write_as("revoke", course.name, Kind::Outcome, after(last + 605), Some(intent.clone()), body);
        (intent, outcome)
    }

    /// A report about which only a person is asked, with what that person has to do.
    pub(crate) fn asks(&mut self, course: &Course) -> Link {
        let leak = course.leak();
        let by_hand: Vec<_> = pattern_of(&leak.credential).unwrap().by_hand.to_vec();
        let reason = "A person has to end it.";
        let body =
            json!({"decision": decision("ask-human", "leak-asks", reason), "signal": leak, "reason": reason, "by_hand": by_hand});
        self.write_as("revoke", course.name, Kind::Decision, at(course.received + 90), None, body)
    }
}
