//! What the evidence says was called, and what it announced.

use std::collections::{BTreeMap, BTreeSet};

use evidence::{Kind, RecordKey};
use ids::{FunctionName, SessionId, Timestamp};
use trail::Event;

use crate::body::{Did, GroupId, On, Step};
use crate::clean::Words;
use crate::entry::Entry;

/// What one call acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Touch {
    named: BTreeSet<String>,
    /// The group that was made, where the record knows it.
    made: Option<String>,
    /// Whether the call also names a group that the record does not know, because the step that makes it has no answer in it.
    and_a_group: bool,
}

impl Touch {
    /// Whether an event is about exactly this; none if the event does not say what it is about.
    pub(super) fn fits(&self, event: &Event) -> Option<bool> {
        if !event.has_parameters {
            return None;
        }
        let named = if self.and_a_group {
            let more: Vec<_> = event.named.difference(&self.named).collect();
            self.named.is_subset(&event.named) && matches!(more[..], [group] if group.starts_with("sg-"))
        } else {
            self.named == event.named
        };
        let made = self.made.as_ref().zip(event.made.as_ref()).is_none_or(|(ours, theirs)| ours == theirs);
        Some(named && made)
    }

    pub(super) fn words(&self) -> String {
        let mut words: Vec<&str> = self.named.iter().map(String::as_str).collect();
        if self.and_a_group {
            words.push("the new group");
        }
        let made = self.made.as_ref().map_or_else(String::new, |made| format!(", which made {made}"));
        words.join(" and ") + &made
    }
}

/// A step of a plan: the calls that carry it out, and what each acts on.
#[derive(Debug, Clone)]
pub(super) struct Announced {
    /// The service, as the SDK names it.
    service: &'static str,
    pub(super) operations: &'static [&'static str],
    pub(super) touch: Touch,
}

impl Announced {
    /// The step as planned, with the groups that earlier steps are known to have made.
    fn of(on: &On, made: &BTreeMap<String, String>) -> Self {
        let mut touch = Touch { named: BTreeSet::new(), made: None, and_a_group: false };
        let group = |touch: &mut Touch, group: &GroupId| {
            let known = match group {
                GroupId::Known(id) => Some(id),
                GroupId::Created(vpc) => made.get(vpc),
            };
            match known {
                Some(id) => drop(touch.named.insert(id.clone())),
                None => touch.and_a_group = true,
            }
        };
        // As `trail` names what a call of IAM acts on.
        let iam = |touch: &mut Touch, named: &[(&str, &str)]| {
            touch.named.extend(named.iter().map(|(kind, name)| format!("{kind} {name}")));
        };
        let (service, operations): (_, &[&str]) = match on {
            On::NewGroup(vpc) => {
                touch.named.insert(vpc.clone());
                touch.made = made.get(vpc).cloned();
                ("EC2", &["CreateSecurityGroup"])
            }
            On::Rules(of) => {
                group(&mut touch, of);
                ("EC2", &["RevokeSecurityGroupIngress", "RevokeSecurityGroupEgress"])
            }
            On::Interface(interface, to) => {
                touch.named.insert(interface.clone());
                group(&mut touch, to);
                ("EC2", &["ModifyNetworkInterfaceAttribute"])
            }
            On::Tags(instance) => {
                touch.named.insert(instance.clone());
                ("EC2", &["CreateTags"])
            }
            On::Attachment(user, policy) => {
                iam(&mut touch, &[("user", user), ("policy", policy)]);
                ("IAM", &["AttachUserPolicy"])
            }
            On::Boundary(user, policy) => {
                iam(&mut touch, &[("user", user), ("boundary", policy)]);
                ("IAM", &["PutUserPermissionsBoundary"])
            }
            On::Key(user, key) => {
                iam(&mut touch, &[("user", user), ("key", key), ("status", "Inactive")]);
                ("IAM", &["UpdateAccessKey"])
            }
            On::Denies(role, policy) => {
                iam(&mut touch, &[("role", role), ("inline policy", policy)]);
                ("IAM", &["PutRolePolicy"])
            }
            On::Detachment(user, policy) => {
                iam(&mut touch, &[("user", user), ("policy", policy)]);
                ("IAM", &["DetachUserPolicy"])
            }
            On::NoBoundary(user) => {
                iam(&mut touch, &[("user", user)]);
                ("IAM", &["DeleteUserPermissionsBoundary"])
            }
            On::NoDenies(role, policy) => {
                iam(&mut touch, &[("role", role), ("inline policy", policy)]);
                ("IAM", &["DeleteRolePolicy"])
            }
        };
        Self { service, operations, touch }
    }

    /// Whether an event carries out this step; an event that does not say what it is about may.
    pub(super) fn fits(&self, event: &Event) -> bool {
        event.source == source_of(self.service)
            && self.operations.contains(&event.name.as_str())
            && self.touch.fits(event) != Some(false)
    }
}

pub(super) fn is_ec2(event: &Event) -> bool {
    event.source == "ec2.amazonaws.com"
}

/// A call that a record tells of.
#[derive(Debug, Clone)]
pub(super) struct Claim {
    pub(super) record: RecordKey,
    pub(super) service: String,
    /// The call; where a step has no call of its own in the record, those that may have carried it out.
    pub(super) operations: Vec<String>,
    pub(super) request_id: Option<String>,
    /// Whether it was carried out; none if no answer came.
    pub(super) succeeded: Option<bool>,
    pub(super) started: Timestamp,
    pub(super) ended: Timestamp,
    /// Whether it changed something of the customer's.
    pub(super) changes: bool,
    /// What it may have acted on: any of these. Empty where the record does not say.
    pub(super) touches: Vec<Touch>,
    /// Whether `touches` is what a step with this very request id says.
    exact: bool,
    /// So many requests were sent for it whose ids nobody noted: earlier attempts, and a last one that got no answer.
    pub(super) unnoted: u32,
    /// Where the record says it was.
    pub(super) place: (Option<String>, Option<String>),
    /// Whether the trail has it.
    pub(super) seen: bool,
}

impl Claim {
    /// The call in words: `EC2 CreateTags`.
    pub(super) fn words(&self) -> String {
        format!("{} {}", self.service, self.operations.join(" or "))
    }

    /// Where CloudTrail has it, for a role with this ARN; none if that is not known.
    ///
    /// IAM is one for all Regions of a partition, and its events are of the partition's first, whichever Region asked (CloudTrail user
    /// guide, "Global service events"; IAM's endpoints in the AWS General Reference).
    pub(super) fn region(&self, role: &str) -> Option<&str> {
        if self.service != "IAM" {
            return self.place.1.as_deref();
        }
        match role.split(':').nth(1)? {
            "aws" => Some("us-east-1"),
            "aws-us-gov" => Some("us-gov-west-1"),
            "aws-cn" => Some("cn-north-1"),
            _ => None,
        }
    }

    /// Whether an event is of this call's kind.
    pub(super) fn is_of(&self, event: &Event) -> bool {
        event.source == source_of(&self.service) && self.operations.iter().any(|operation| is_called(operation, &event.name))
    }

    fn is_the_call_of(&self, other: &Self) -> bool {
        self.service == other.service && self.operations == other.operations && self.record.function == other.record.function
    }
}

/// The event source of a service as the SDK names it (CloudTrail record contents, `eventSource`).
fn source_of(service: &str) -> String {
    let short = match service {
        "CloudWatch Logs" => "logs",
        "CloudWatch" => "monitoring",
        "Elastic Load Balancing" | "Elastic Load Balancing v2" => "elasticloadbalancing",
        "EventBridge" => "events",
        "SFN" => "states",
        "SSO" | "SSO Admin" => "sso",
        other => {
            return other.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase() + ".amazonaws.com";
        }
    };
    format!("{short}.amazonaws.com")
}

/// Whether an event's name is that of an operation. Lambda's carry the version of the interface (`GetFunction20150331v2`), and S3 names
/// both ways to list a bucket alike.
fn is_called(operation: &str, name: &str) -> bool {
    let version = name.strip_prefix(operation);
    version.is_some_and(|rest| rest.is_empty() || rest.starts_with(|c: char| c.is_ascii_digit()))
        || (operation == "ListObjectsV2" && name == "ListObjects")
}

/// An intent without an outcome.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) intent: RecordKey,
    pub(super) from: Timestamp,
    pub(super) due: Timestamp,
    pub(super) steps: Vec<Announced>,
}

/// An intent whose outcome cannot name every call that it announced.
#[derive(Debug, Clone)]
pub(super) struct Loose {
    pub(super) intent: RecordKey,
    pub(super) from: Timestamp,
    pub(super) to: Timestamp,
    pub(super) steps: Vec<Announced>,
    pub(super) why: Why,
}

/// Why it cannot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Why {
    /// Its form lists no calls.
    NoCalls,
    /// An earlier run began the plan and left no outcome; the outcome says so.
    EarlierRun,
}

/// All that a trail is compared with.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    pub(super) all: Vec<Claim>,
    pub(super) by_id: BTreeMap<String, Vec<usize>>,
    /// Those of `all` with requests whose ids nobody noted.
    pub(super) unnoted: Vec<usize>,
    pub(super) open: Vec<Open>,
    pub(super) loose: Vec<Loose>,
    pub(super) records: BTreeSet<RecordKey>,
    /// When a KMS key endorsed a session, as the endorsements in the records say.
    pub(super) endorsed: BTreeMap<FunctionName, BTreeSet<(SessionId, Timestamp)>>,
    /// When the newest record was made.
    pub(super) newest: Option<Timestamp>,
}

impl Claims {
    pub(super) fn of(entries: &[Entry]) -> Self {
        let mut claims = Self::default();
        let intents: BTreeMap<&RecordKey, &Entry> =
            entries.iter().filter(|entry| entry.is(Kind::Intent)).map(|entry| (entry.key(), entry)).collect();
        let mut answered = BTreeSet::new();
        for entry in entries {
            claims.records.insert(entry.key().clone());
            claims.newest = claims.newest.max(Some(entry.header.time));
            if let Some(vouched) = &entry.vouched {
                let session = (entry.header.session.id.clone(), vouched.not_before);
                claims.endorsed.entry(entry.key().function.clone()).or_default().insert(session);
            }
            if entry.is(Kind::Outcome) {
                let intent = entry.header.answers.as_ref().and_then(|link| intents.get(&link.key).copied());
                answered.extend(intent.map(Entry::key));
                claims.outcome(entry, intent);
            }
        }
        for (key, intent) in intents {
            if !answered.contains(key) {
                let steps = steps(intent, &BTreeMap::new()).into_iter().map(|(_, step)| step).collect();
                let due = intent.header.due.unwrap_or(intent.header.time);
                claims.open.push(Open { intent: key.clone(), from: intent.header.time, due, steps });
            }
        }
        claims.unnoted = (0..).zip(&claims.all).filter(|(_, claim)| claim.unnoted > 0).map(|(at, _)| at).collect();
        claims
    }

    fn outcome(&mut self, outcome: &Entry, intent: Option<&Entry>) {
        let body = &outcome.body;
        let done: &[Step] = body.outcome.as_ref().map_or(&body.steps, |outcome| &outcome.steps);
        let made = made(intent, done);
        let planned = intent.map_or_else(Vec::new, |intent| steps(intent, &made));
        let from = intent.map_or(outcome.header.time, |intent| intent.header.time);
        let text = |words: Option<&Words>| words.map(|words| words.as_str().to_owned());
        let signal = body.signal.as_ref();
        let place =
            (text(signal.and_then(|signal| signal.account.as_ref())), text(signal.and_then(|signal| signal.region.as_ref())));
        let answer = |step: &Step| text(step.request_id.as_ref());
        for call in &body.calls {
            let (Some(service), Some(operation), Some(started)) =
                (text(call.service.as_ref()), text(call.operation.as_ref()), call.started)
            else {
                continue;
            };
            let request_id = text(call.request_id.as_ref());
            // A plan's steps are carried out after its intent: an earlier call of the same invocation belongs to another plan.
            let own = planned
                .iter()
                .filter(|(_, step)| started >= from && step.service == service && step.operations.contains(&operation.as_str()));
            let answer_of = |at: usize| done.iter().find(|done| done.step == Some(at)).and_then(answer);
            let of_a_call = |id: &String| {
                let same = |other: &&crate::body::Call| text(other.operation.as_ref()).as_ref() == Some(&operation);
                body.calls.iter().filter(same).any(|other| text(other.request_id.as_ref()).as_ref() == Some(id))
            };
            let own: Vec<_> = own.map(|(at, step)| (answer_of(*at), step.touch.clone())).collect();
            let its_own = |(id, touch): &(Option<String>, Touch)| (id.is_some() && *id == request_id).then(|| touch.clone());
            let exact: Vec<Touch> = own.iter().filter_map(its_own).collect();
            let is_exact = !exact.is_empty();
            let free = own.into_iter().filter(|(id, _)| !id.as_ref().is_some_and(of_a_call)).map(|(_, touch)| touch);
            let attempts = call.attempts.unwrap_or(1);
            self.add(Claim {
                record: outcome.key().clone(),
                succeeded: call.status.map(|status| (200..300).contains(&status)),
                started,
                ended: call.ended.unwrap_or(outcome.header.time).max(started),
                changes: call.changes(),
                touches: if is_exact { exact } else { free.collect() },
                exact: is_exact,
                unnoted: attempts.saturating_sub(u32::from(request_id.is_some())),
                place: place.clone(),
                seen: false,
                operations: vec![operation],
                service,
                request_id,
            });
        }
        for step in done {
            let (Some(id), Some(at)) = (answer(step), step.step) else { continue };
            let Some((_, planned)) = planned.iter().find(|(other, _)| *other == at) else { continue };
            if body.calls.iter().any(|call| text(call.request_id.as_ref()).as_ref() == Some(&id)) {
                continue;
            }
            self.add(Claim {
                record: outcome.key().clone(),
                service: planned.service.to_owned(),
                operations: planned.operations.iter().map(|&operation| operation.to_owned()).collect(),
                request_id: Some(id),
                succeeded: Some(!matches!(step.did, Some(Did::Failed(_)))),
                started: from,
                ended: outcome.header.time.max(from),
                changes: true,
                touches: vec![planned.touch.clone()],
                exact: true,
                unnoted: 0,
                place: place.clone(),
                seen: false,
            });
        }
        let earlier = body.evidence.as_ref().is_some_and(|words| words.as_str().contains("by an earlier run"));
        let why = if earlier { Some(Why::EarlierRun) } else { body.calls.is_empty().then_some(Why::NoCalls) };
        if let (Some(intent), Some(why)) = (intent, why) {
            let steps = planned.into_iter().map(|(_, step)| step).collect();
            self.loose.push(Loose { intent: intent.key().clone(), from, to: outcome.header.time, steps, why });
        }
    }

    /// A later outcome of one invocation repeats the calls of the earlier ones: what knows more of a call stays.
    fn add(&mut self, claim: Claim) {
        let known = claim.request_id.as_ref().and_then(|id| {
            let at = *self.by_id.get(id)?.iter().find(|at| self.all.get(**at).is_some_and(|other| other.is_the_call_of(&claim)))?;
            self.all.get_mut(at)
        });
        match known {
            Some(known) if claim.exact && !known.exact => *known = claim,
            Some(known) if !claim.exact && !known.exact => known.touches.extend(claim.touches),
            Some(_) => {}
            None => {
                if let Some(id) = &claim.request_id {
                    self.by_id.entry(id.clone()).or_default().push(self.all.len());
                }
                self.all.push(claim);
            }
        }
    }
}

/// The groups that a plan's steps are known to have made, by their VPC.
fn made(intent: Option<&Entry>, done: &[Step]) -> BTreeMap<String, String> {
    let plan = intent.map_or(&[][..], |intent| &intent.body.steps);
    let group = |done: &Step| {
        let Some(Did::Group(id)) = &done.did else { return None };
        match plan.get(done.step?)?.action.as_ref()?.on.as_ref()? {
            On::NewGroup(vpc) => Some((vpc.clone(), id.clone())),
            _ => None,
        }
    };
    done.iter().filter_map(group).collect()
}

/// What an intent announced, each with its place in the plan.
fn steps(intent: &Entry, made: &BTreeMap<String, String>) -> Vec<(usize, Announced)> {
    let step = |(at, step): (usize, &Step)| Some((at, Announced::of(step.action.as_ref()?.on.as_ref()?, made)));
    intent.body.steps.iter().enumerate().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_and_calls_are_known_by_both_names() {
        for (service, source) in
            [("EC2", "ec2"), ("DynamoDB", "dynamodb"), ("Secrets Manager", "secretsmanager"), ("CloudWatch Logs", "logs")]
        {
            assert_eq!(source_of(service), format!("{source}.amazonaws.com"));
        }
        assert!(is_called("CreateTags", "CreateTags"));
        assert!(is_called("GetFunction", "GetFunction20150331v2"));
        assert!(is_called("ListObjectsV2", "ListObjects"));
        assert!(!is_called("CreateTag", "CreateTags"));
        assert!(!is_called("CreateTags", "DeleteTags"));
    }
}
