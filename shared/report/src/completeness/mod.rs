//! Whether every change that a responder's role made is in the evidence, and everything in the evidence happened: by CloudTrail's account.

mod claims;
mod coverage;
mod finding;
mod text;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use evidence::log::copy_key;
use evidence::{RecordKey, Standing};
use ids::{FunctionName, Hasher, Sha256, Timestamp};
use serde::Serialize;
use thiserror::Error;
use trail::Event;

use claims::{Claim, Claims, Why, is_ec2};
pub use coverage::{Coverage, Left, Seen, Span, TrailReader};
pub use finding::{Called, Finding, FindingKind};

use crate::clean::clean;
use crate::entry::Entry;
use crate::period::Period;
use crate::worth::Worth;

/// AWS refuses a request whose clock is further off than this (Signature Version 4), so a record and an event of one call are not.
const SKEW: Duration = Duration::from_secs(15 * 60);
/// So many findings are told one by one; the rest is counted.
const TOLD: usize = 10_000;
/// So many of what could not be read are told one by one.
pub(crate) const REFUSALS_TOLD: usize = 20;

/// A role whose calls are to be found in the evidence, and the function whose role it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Responder {
    /// The function; none if the role may be any function's.
    pub function: Option<FunctionName>,
    /// The role's ARN, with its path.
    pub role: String,
}

/// Text that names no role.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("expected a role's ARN (arn:aws:iam::123456789012:role/NAME), or FUNCTION=ARN")]
pub struct ParseResponderError;

impl FromStr for Responder {
    type Err = ParseResponderError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        // A role's name may have an equals sign in it, too.
        let (function, role) = match text.split_once('=').filter(|_| !text.starts_with("arn:")) {
            Some((function, role)) => (Some(function.parse().map_err(|_| ParseResponderError)?), role),
            None => (None, text),
        };
        let fields: Vec<&str> = role.splitn(6, ':').collect();
        let ["arn", partition, "iam", "", account, name] = fields.as_slice() else { return Err(ParseResponderError) };
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+=,.@_-/".contains(&b));
        let named = name.strip_prefix("role/").is_some_and(|name| !name.is_empty() && !name.ends_with('/') && plain(name));
        let account = account.len() == 12 && account.bytes().all(|b| b.is_ascii_digit());
        if !(named && account && partition.starts_with("aws") && plain(partition)) {
            return Err(ParseResponderError);
        }
        Ok(Self { function, role: role.to_owned() })
    }
}

impl fmt::Display for Responder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.function {
            Some(function) => write!(f, "{function} ({})", self.role),
            None => f.write_str(&self.role),
        }
    }
}

impl Responder {
    pub(crate) fn is_of(&self, function: &FunctionName) -> bool {
        self.function.as_ref().is_none_or(|own| own == function)
    }

    /// Whether this may be the sealer's role.
    fn may_seal(&self) -> bool {
        self.function.as_ref().is_none_or(|function| function.as_str() == "seal")
    }

    fn account(&self) -> &str {
        self.role.split(':').nth(4).unwrap_or_default()
    }
}

/// What is asked.
#[derive(Debug, Clone)]
pub struct Question {
    /// The roles whose calls the evidence should have.
    pub responders: Vec<Responder>,
    /// From when until when; everything, if not given.
    pub period: Option<Period>,
    /// How long CloudTrail may take to deliver an event: in the last moments of a trail nothing is missed.
    pub delay: Duration,
    /// When it is asked.
    pub now: Timestamp,
    /// When each signed checkpoint of the log was made, as far as it is there.
    pub checkpoints: Vec<Timestamp>,
    /// Where the evidence is kept.
    pub places: Places,
}

/// The buckets that a responder writes to in order to keep evidence. Whoever asks says which they are: a name in the evidence is the word of
/// those whose writes are being judged.
#[derive(Debug, Clone, Default)]
pub struct Places {
    /// The evidence bucket. If it is not known any bucket will do, and the answer says so.
    pub evidence: Option<String>,
    /// The tile bucket; the same.
    pub tiles: Option<String>,
    /// The buckets of other accounts that the sealer copies checkpoints into.
    pub copies: BTreeSet<String>,
    /// What the copies of the checkpoints in the evidence are called: [`copy_key`].
    pub copy_keys: BTreeSet<String>,
}

/// What is counted of the calls in the evidence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Compared {
    /// Changes that records tell of, with their request ids.
    pub claimed: u64,
    /// Those that the trail has.
    pub in_both: u64,
    /// Those that the trail does not reach: before its first event, or too soon before its last.
    pub not_covered: u64,
    /// Those of a function whose role was not given.
    pub of_no_given_role: u64,
    /// Those outside the period.
    pub outside_the_period: u64,
    /// Changes that got no answer, so no record has their request ids.
    pub unanswered: u64,
    /// Calls in both whose resource could not be compared: the event or the record does not say it.
    pub resource_not_compared: u64,
    /// Events that are earlier attempts of a call whose last attempt the record names.
    pub earlier_attempts: u64,
    /// Events that a plan announced whose outcome lists no calls.
    pub by_plan: u64,
    /// Events of a run that left no outcome, where a later run's outcome says that there was one.
    pub by_an_earlier_run: u64,
    /// Events that an intent announced whose outcome is not due yet.
    pub under_way: u64,
}

/// What a role did to keep evidence: counted, because no record can name the call that stored it.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct OwnWrites {
    /// Signatures that KMS made for it.
    pub signed: u64,
    /// Signatures that KMS refused it.
    pub signing_refused: u64,
    /// The ids of the KMS keys that it signed with.
    pub keys: BTreeSet<String>,
    /// Signatures that the evidence accounts for: endorsements in records, and the log's checkpoints.
    pub accounted_for: u64,
    /// Objects that it wrote, by S3's data events.
    pub put: u64,
    /// Those of them that are records, and here.
    pub put_and_here: u64,
    /// Those of them that are copies of checkpoints which are here, in another account's bucket.
    pub copies: u64,
    /// How many objects it wrote into which bucket.
    pub buckets: BTreeMap<String, u64>,
    /// Writes that S3 refused, such as those to a place that was taken.
    pub put_refused: u64,
    /// Calls on its table, queues, topics and log streams.
    pub bookkeeping: u64,
}

impl OwnWrites {
    fn note_put(&mut self, event: &Event) {
        add(&mut self.put);
        // As many names as an attacker likes are not kept.
        if let Some(bucket) = event.bucket.as_deref().map(clean)
            && (self.buckets.contains_key(&bucket) || self.buckets.len() < REFUSALS_TOLD)
        {
            add(self.buckets.entry(bucket).or_default());
        }
    }
}

/// A trail that is being compared with the evidence, event by event. What it holds grows with the evidence and with what its roles did,
/// not with the trail.
#[derive(Debug)]
pub struct Reconciliation {
    question: Question,
    claims: Claims,
    seen: BTreeSet<Sha256>,
    coverage: Coverage,
    compared: Compared,
    own: BTreeMap<String, OwnWrites>,
    findings: Vec<Finding>,
    totals: BTreeMap<FindingKind, u64>,
}

/// What the comparison came to.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Completeness {
    /// What the evidence is worth.
    pub evidence: Worth,
    /// Whether everything was compared, and agrees.
    pub complete: bool,
    /// That in a sentence.
    pub verdict: String,
    /// The period that was asked for.
    pub period: Option<Period>,
    /// What does not agree, by kind.
    pub totals: BTreeMap<FindingKind, u64>,
    /// The same, one by one; no more than 10,000.
    pub findings: Vec<Finding>,
    /// What a person should know, and what alone proves nothing.
    pub notices: Vec<String>,
    /// Counts of what was compared.
    pub compared: Compared,
    /// By role: what it did to keep evidence.
    pub own_writes: BTreeMap<String, OwnWrites>,
    /// What the answer rests on.
    pub coverage: Coverage,
}

/// What a responder does to keep evidence and its own books.
enum Own {
    Sign,
    Put,
    /// A checkpoint's copy, and over how many leaves the checkpoint is.
    Copy(u64),
    Books,
}

impl Own {
    fn of(event: &Event, by: &Responder, places: &Places) -> Option<Self> {
        match (event.source.as_str(), event.name.as_str()) {
            ("kms.amazonaws.com", "Sign") => Some(Self::Sign),
            ("s3.amazonaws.com", "PutObject") => Self::object(event.bucket.as_deref(), event.key.as_deref()?, by, places),
            ("dynamodb.amazonaws.com", "PutItem" | "UpdateItem")
            | ("sqs.amazonaws.com", "SendMessage")
            | ("sns.amazonaws.com", "Publish")
            // Lambda makes its log streams under the function's role.
            | ("logs.amazonaws.com", "CreateLogGroup" | "CreateLogStream" | "PutLogEvents") => Some(Self::Books),
            _ => None,
        }
    }

    /// Its own objects, by bucket and key: anything else that it writes is a change like any other.
    fn object(bucket: Option<&str>, key: &str, by: &Responder, places: &Places) -> Option<Self> {
        let within = |known: &Option<String>| known.as_deref().is_none_or(|known| bucket == Some(known));
        if bucket.is_some_and(|bucket| places.copies.contains(bucket)) {
            return places.copied(key).filter(|_| by.may_seal()).map(Self::Copy);
        }
        let known = if is_evidence(key) { &places.evidence } else { &places.tiles };
        ((is_evidence(key) || is_tiles(key)) && within(known)).then_some(Self::Put)
    }
}

fn is_evidence(key: &str) -> bool {
    ["rec/", "blob/", "log/", "keys/"].iter().any(|own| key.starts_with(own))
}

fn is_tiles(key: &str) -> bool {
    key.starts_with("tile/") || ["checkpoint", "tip.json"].contains(&key)
}

impl Places {
    /// Over how many leaves the checkpoint of this log is whose copy has this name. Without a log here, any log's may be meant.
    fn copied(&self, key: &str) -> Option<u64> {
        let (origin, note) = key.rsplit_once('/')?;
        let size = note.strip_suffix(".note")?.parse().ok()?;
        let of_it = |name: &String| name.rsplit_once('/').is_some_and(|(own, _)| own == origin);
        (key == copy_key(origin, size) && (self.copy_keys.is_empty() || self.copy_keys.iter().any(of_it))).then_some(size)
    }

    /// What may explain a write that is a finding.
    fn hint(&self, event: &Event) -> Option<String> {
        let (bucket, key) = event.bucket.as_ref().zip(event.key.as_ref())?;
        let copy = event.name == "PutObject" && self.copy_keys.contains(key) && !self.copies.contains(bucket);
        copy.then(|| {
            let bucket = clean(bucket);
            format!("; it has the name of a checkpoint's copy: if `{bucket}` is where they go, give --copy-bucket {bucket}")
        })
    }
}

fn is_near(moment: Timestamp, from: Timestamp, to: Timestamp) -> bool {
    let skew = i64::try_from(SKEW.as_millis()).unwrap_or(i64::MAX);
    from.millis_since(moment) <= skew && moment.millis_since(to) <= skew
}

impl Reconciliation {
    /// Begins with what the evidence says.
    #[must_use]
    pub fn new(entries: &[Entry], question: Question) -> Self {
        let claims = Claims::of(entries);
        let mut own: BTreeMap<String, OwnWrites> = BTreeMap::new();
        let counts = |moment: Timestamp| question.period.is_none_or(|period| period.contains(moment));
        for responder in &question.responders {
            let writes = own.entry(responder.role.clone()).or_default();
            let of_it = claims.endorsed.iter().filter(|(function, _)| responder.is_of(function));
            let endorsed = of_it.flat_map(|(_, sessions)| sessions).filter(|(_, moment)| counts(*moment)).count();
            let signed = question.checkpoints.iter().filter(|moment| responder.may_seal() && counts(**moment)).count();
            writes.accounted_for = as_u64(endorsed.saturating_add(signed));
        }
        let coverage = Coverage::new(question.responders.iter().map(|responder| responder.role.clone()));
        let (compared, findings, totals) = Default::default();
        Self { question, claims, seen: BTreeSet::new(), coverage, compared, own, findings, totals }
    }

    /// Why an event that is nobody's here says nothing.
    fn why_not(&self, event: &Event) -> Left {
        let account = event.account.as_ref().map(ids::AccountId::as_str);
        if event.caller.kind.as_deref() == Some("AWSService") {
            Left::AwsService
        } else if account.is_some_and(|account| self.question.responders.iter().all(|responder| responder.account() != account)) {
            Left::AnotherAccount
        } else {
            Left::AnotherPrincipal
        }
    }

    /// An event whose request id a record has.
    fn compare(&mut self, event: &Event, by: Option<usize>, at: usize) {
        let Some(claim) = self.claims.all.get_mut(at) else { return };
        let mut wrong = Vec::new();
        let responder = by.and_then(|by| self.question.responders.get(by));
        match responder {
            None if self.question.responders.iter().any(|responder| responder.is_of(&claim.record.function)) => {
                wrong.push(format!("it was made by {}, which is no responder's role", clean(event.caller.words())));
            }
            Some(responder) if !responder.is_of(&claim.record.function) => {
                wrong.push(format!("it was made by the role of {responder}"));
            }
            _ => {}
        }
        let only_looked = !claim.changes && !event.acts();
        if !claim.is_of(event) && !only_looked {
            wrong.push(format!("it was {} {}, where the record says {}", service(event), clean(&event.name), claim.words()));
        }
        match (claim.succeeded, &event.error) {
            (Some(true), Some(error)) => {
                wrong.push(format!("it was refused ({}), where the record says it was carried out", clean(error)));
            }
            (Some(false), None) => wrong.push("it was carried out, where the record says it was not".to_owned()),
            _ => {}
        }
        if claim.changes && wrong.is_empty() {
            let fits: Vec<Option<bool>> = claim.touches.iter().map(|touch| touch.fits(event)).collect();
            if fits.is_empty() || fits.contains(&None) {
                self.compared.resource_not_compared = self.compared.resource_not_compared.saturating_add(1);
            } else if !fits.contains(&Some(true)) {
                let said: Vec<_> = claim.touches.iter().map(claims::Touch::words).collect();
                wrong.push(format!("it acted on {}, where the record says {}", acted_on(event), said.join(", or ")));
            }
            if let (true, Some(region)) = (is_ec2(event), claim.place.1.as_ref().filter(|region| **region != event.region)) {
                wrong.push(format!("it was in {}, where the record says {region}", clean(&event.region)));
            }
        }
        if !is_near(event.time, claim.started, claim.ended) {
            wrong.push(format!("it was at {}, where the record says {}", event.time, claim.started));
        }
        claim.seen = true;
        if !wrong.is_empty() {
            let finding = Finding {
                record: Some(claim.record.clone()),
                request_id: claim.request_id.clone(),
                ..Finding::about(
                    event,
                    FindingKind::Contradicted,
                    format!("CloudTrail contradicts the record: {}", wrong.join("; ")),
                )
            };
            self.find(finding);
        }
    }

    /// An event of a responder's role whose request id no record has.
    fn unnamed(&mut self, event: &Event, by: usize) {
        let Some(responder) = self.question.responders.get(by).cloned() else { return };
        if self.question.period.is_some_and(|period| !period.contains(event.time)) {
            return self.coverage.leave_out(Left::OutsideThePeriod);
        }
        if let Some(own) = Own::of(event, &responder, &self.question.places) {
            return self.own_write(event, &responder, &own);
        }
        if !event.acts() {
            return self.coverage.leave_out(Left::OnlyReads);
        }
        let is_attempt = |claim: &Claim| {
            claim.unnoted > 0
                && responder.is_of(&claim.record.function)
                && claim.is_of(event)
                && is_near(event.time, claim.started, claim.ended)
                && (claim.touches.is_empty() || claim.touches.iter().any(|touch| touch.fits(event) != Some(false)))
        };
        let Claims { all, unnoted, .. } = &mut self.claims;
        let attempt = unnoted.iter().copied().find(|at| all.get(*at).is_some_and(is_attempt));
        if let Some(claim) = attempt.and_then(|at| all.get_mut(at)) {
            claim.unnoted = claim.unnoted.saturating_sub(1);
            return add(&mut self.compared.earlier_attempts);
        }
        let loose = self.claims.loose.iter().find(|loose| {
            responder.is_of(&loose.intent.function)
                && is_near(event.time, loose.from, loose.to)
                && loose.steps.iter().any(|step| step.fits(event))
        });
        match loose.map(|loose| loose.why) {
            Some(Why::NoCalls) => return add(&mut self.compared.by_plan),
            Some(Why::EarlierRun) => return add(&mut self.compared.by_an_earlier_run),
            None => {}
        }
        let open = self.claims.open.iter().find(|open| {
            responder.is_of(&open.intent.function)
                && is_near(event.time, open.from, open.due)
                && open.steps.iter().any(|step| step.fits(event))
        });
        let finding = match open {
            Some(open) if self.question.now < open.due => return add(&mut self.compared.under_way),
            Some(open) => {
                let what = format!("an intent announced this change, and its outcome, due at {}, is not in the evidence", open.due);
                Finding { intent: Some(open.intent.clone()), ..Finding::about(event, FindingKind::Unconcluded, what) }
            }
            None => {
                let after = self.claims.newest.is_none_or(|newest| newest < event.time);
                let after = if after { "; it is later than every record here: was the evidence taken before it?" } else { "" };
                let hint = self.question.places.hint(event).unwrap_or(after.to_owned());
                let what = format!("no record names this call, and no open intent announced it{hint}");
                Finding::about(event, FindingKind::Unannounced, what)
            }
        };
        self.find(finding);
    }

    fn own_write(&mut self, event: &Event, responder: &Responder, own: &Own) {
        let writes = self.own.entry(responder.role.clone()).or_default();
        match own {
            Own::Sign if event.error.is_some() => add(&mut writes.signing_refused),
            Own::Sign => {
                add(&mut writes.signed);
                if writes.keys.len() < REFUSALS_TOLD {
                    // By its id: one event has the key's ARN, another only what was asked for.
                    writes.keys.extend(event.used_key.as_deref().and_then(|key| key.rsplit('/').next()).map(clean));
                }
            }
            Own::Put | Own::Copy(_) if event.error.is_some() => add(&mut writes.put_refused),
            Own::Copy(size) => {
                writes.note_put(event);
                if event.key.as_ref().is_some_and(|key| self.question.places.copy_keys.contains(key)) {
                    return add(&mut writes.copies);
                }
                let what = format!("the checkpoint over {size} leaves was copied, and is not in the evidence");
                self.find(Finding::about(event, FindingKind::Missing, what));
            }
            Own::Put => {
                writes.note_put(event);
                let Some(key) = event.key.as_ref().and_then(|key| key.parse::<RecordKey>().ok()) else { return };
                if self.claims.records.contains(&key) {
                    return add(&mut writes.put_and_here);
                }
                let what = "this record was written, and is not in the evidence".to_owned();
                self.find(Finding { record: Some(key), ..Finding::about(event, FindingKind::Missing, what) });
            }
            Own::Books => add(&mut writes.bookkeeping),
        }
    }

    fn find(&mut self, finding: Finding) {
        add(self.totals.entry(finding.kind).or_default());
        if self.findings.len() < TOLD {
            self.findings.push(finding);
        }
    }

    /// What it came to, once every event was seen.
    #[must_use]
    pub fn finish(mut self, worth: &Worth) -> Completeness {
        let counts = |moment: Timestamp| self.question.period.is_none_or(|period| period.contains(moment));
        let (mut compared, mut unseen) = (self.compared, Vec::new());
        for claim in self.claims.all.iter().filter(|claim| claim.changes) {
            let Some(id) = &claim.request_id else {
                add(&mut compared.unanswered);
                continue;
            };
            add(&mut compared.claimed);
            let of_its_function = |responder: &&Responder| responder.is_of(&claim.record.function);
            if claim.seen {
                add(&mut compared.in_both);
            } else if !counts(claim.started) {
                add(&mut compared.outside_the_period);
            } else if let Some(responder) = self.question.responders.iter().find(of_its_function) {
                let account = claim.place.0.as_deref().unwrap_or(responder.account());
                if self.coverage.reaches(account, claim.region(&responder.role), claim.ended, self.question.delay) {
                    unseen.push(Finding {
                        kind: FindingKind::Unseen,
                        what: format!(
                            "the record tells of {} at {}, and the trail, which covers that time, does not",
                            claim.words(),
                            claim.started
                        ),
                        call: None,
                        record: Some(claim.record.clone()),
                        intent: None,
                        request_id: Some(id.clone()),
                    });
                } else {
                    add(&mut compared.not_covered);
                }
            } else {
                add(&mut compared.of_no_given_role);
            }
        }
        self.compared = compared;
        unseen.into_iter().for_each(|finding| self.find(finding));
        self.findings.sort_by_key(|finding| (finding.kind, finding.call.as_ref().map(|call| call.time), finding.record.clone()));
        let notices = self.notices();
        let (complete, verdict) = self.verdict(worth);
        self.coverage.say_what_it_cannot_see(&self.own, &self.question.places);
        Completeness {
            evidence: worth.clone(),
            complete,
            verdict,
            period: self.question.period,
            totals: self.totals,
            findings: self.findings,
            notices,
            compared: self.compared,
            own_writes: self.own,
            coverage: self.coverage,
        }
    }

    fn notices(&self) -> Vec<String> {
        let mut notices = Vec::new();
        for (role, writes) in &self.own {
            let more = writes.signed.saturating_sub(writes.accounted_for);
            if more > 0 {
                notices.push(format!(
                    "KMS signed {} for {role}, {more} more than the {} that this evidence accounts for: a session that recorded nothing, or a signature that is kept elsewhere",
                    times(writes.signed),
                    writes.accounted_for,
                ));
            }
            if writes.signing_refused > 0 {
                notices.push(format!("KMS refused {role} {}", times(writes.signing_refused)));
            }
            if writes.keys.len() > 1 {
                let keys: Vec<&str> = writes.keys.iter().map(String::as_str).collect();
                notices.push(format!("{role} signed with more than one key: {}", keys.join(", ")));
            }
        }
        let functions: BTreeSet<&FunctionName> = self.claims.records.iter().map(|key| &key.function).collect();
        for responder in &self.question.responders {
            // The sealer's trace is the log, not a record.
            let traced = |function: &FunctionName| {
                functions.contains(function) || (function.as_str() == "seal" && !self.question.checkpoints.is_empty())
            };
            if let Some(function) = responder.function.as_ref().filter(|function| !traced(function)) {
                notices.push(format!("no record of `{function}` is in this evidence"));
            }
        }
        if self.compared.by_an_earlier_run > 0 {
            notices.push(format!(
                "{} made by a run that left no outcome; the outcome of the run that finished it says so",
                changes_were(self.compared.by_an_earlier_run)
            ));
        }
        if self.compared.by_plan > 0 {
            notices.push(format!(
                "{} announced by a plan, and no record has their request ids: the outcome lists no calls",
                changes_were(self.compared.by_plan)
            ));
        }
        notices
    }

    fn verdict(&self, worth: &Worth) -> (bool, String) {
        let total: u64 = self.totals.values().sum();
        if total > 0 {
            let parts: Vec<_> = self.totals.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
            return (
                false,
                format!("{}: {}", if total == 1 { "1 FINDING".to_owned() } else { format!("{total} FINDINGS") }, parts.join(", ")),
            );
        }
        let Compared { claimed, in_both, not_covered, of_no_given_role, under_way, outside_the_period, .. } = self.compared;
        let quiet = self.coverage.roles.iter().find(|(_, seen)| seen.events == 0).map(|(role, _)| role);
        let why = if matches!(worth.standing, Standing::Failed | Standing::Empty) {
            Some("the evidence does not hold".to_owned())
        } else if self.coverage.unread > 0 {
            Some("part of the trail could not be read".to_owned())
        } else if let Some(role) = quiet {
            Some(format!("the trail has no event of {role}"))
        } else if not_covered > 0 {
            Some(format!("the trail does not reach {not_covered} of the {claimed} changes in the evidence"))
        } else if of_no_given_role > 0 {
            Some(format!("the roles that made {of_no_given_role} of the {claimed} changes in the evidence were not given"))
        } else if under_way > 0 {
            Some(format!("the outcome of {under_way} changes is not due yet"))
        } else if in_both == 0 {
            Some("there was no change to compare".to_owned())
        } else {
            None
        };
        match why {
            Some(why) => (false, format!("NOT SHOWN TO BE COMPLETE: nothing contradicts the evidence, but {why}")),
            None => {
                let all = claimed.saturating_sub(outside_the_period);
                let all = if all == 1 { "the one change".to_owned() } else { format!("all {all} changes") };
                (true, format!("COMPLETE as far as this trail goes: it has {all} in the evidence, and no other by the roles given"))
            }
        }
    }
}

impl TrailReader for Reconciliation {
    fn coverage(&mut self) -> &mut Coverage {
        &mut self.coverage
    }

    /// Compares one event with the evidence. The order of events does not matter.
    fn see(&mut self, event: &Event) {
        self.coverage.note(event);
        let by = self.question.responders.iter().position(|responder| event.caller.is_role(&responder.role));
        let claimed: Vec<usize> =
            event.request_id.as_ref().and_then(|id| self.claims.by_id.get(&clean(id))).cloned().unwrap_or_default();
        if by.is_none() && claimed.is_empty() {
            return self.coverage.leave_out(self.why_not(event));
        }
        if !self.seen.insert(identity(event)) {
            return self.coverage.leave_out(Left::SeenBefore);
        }
        if let Some(responder) = by.and_then(|by| self.question.responders.get(by)) {
            self.coverage.note_role(&responder.role, event);
        }
        if claimed.is_empty() {
            if let Some(by) = by {
                self.unnamed(event, by);
            }
        } else {
            for at in claimed {
                self.compare(event, by, at);
            }
        }
    }
}

impl Completeness {
    /// Whether anything does not agree.
    #[must_use]
    pub fn has_findings(&self) -> bool {
        !self.totals.is_empty()
    }
}

/// What makes two copies of an event one: in two files, in two trails, or in two accounts.
fn identity(event: &Event) -> Sha256 {
    let part = |text: &Option<String>| text.clone().unwrap_or_default();
    let id = event.shared_id.as_ref().unwrap_or(&event.id);
    let hasher = Hasher::new("cordon/cloudtrail-event/v1").part(id).part(&part(&event.request_id)).part(&event.source);
    hasher.part(&event.name).part(&part(&event.error)).part(&event.time.to_string()).finish()
}

fn service(event: &Event) -> String {
    let source = clean(&event.source);
    source.strip_suffix(".amazonaws.com").unwrap_or(&source).to_owned()
}

fn acted_on(event: &Event) -> String {
    let mut named: Vec<String> = event.named.iter().map(|id| clean(id)).collect();
    named.extend(event.made.iter().map(|made| format!("{}, which it made", clean(made))));
    if named.is_empty() { "nothing it names".to_owned() } else { named.join(" and ") }
}

fn as_u64(count: usize) -> u64 {
    u64::try_from(count).unwrap_or(u64::MAX)
}

fn add(count: &mut u64) {
    *count = count.saturating_add(1);
}

fn many(count: u64, one: &str) -> String {
    crate::words::count(usize::try_from(count).unwrap_or(usize::MAX), one)
}

fn times(count: u64) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn changes_were(count: u64) -> String {
    if count == 1 { "1 change was".to_owned() } else { format!("{count} changes were") }
}
