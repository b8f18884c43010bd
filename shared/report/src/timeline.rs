//! One incident, moment by moment.

use std::collections::BTreeSet;
use std::fmt;

use evidence::{Kind, RecordKey};
use ids::{FunctionName, IncidentId, RuleName, SessionId, Sha256, Timestamp};
use serde::Serialize;

use crate::body::{self, Body, Did, Established, joined};
use crate::clean::{Words, clean};
use crate::entry::{Entry, Sealed};
use crate::incident::{self, Incident, Moment, Nature};
use crate::words::{count, duration};
use crate::worth::Worth;

/// Whose clock a time is from. Times of two clocks differ by what the clocks do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Clock {
    /// GuardDuty's, as the finding states it.
    #[serde(rename = "guardduty")]
    GuardDuty,
    /// AWS Health's.
    Health,
    /// That of whoever raised a drill or another signal.
    Source,
    /// EventBridge's.
    #[serde(rename = "eventbridge")]
    EventBridge,
    /// That of the function that wrote the record.
    Function,
    /// The store's own, such as S3's `LastModified`.
    Store,
    /// The sealer's.
    Log,
}

impl Clock {
    /// The clock as reports print it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::GuardDuty => "GuardDuty",
            Self::Health => "AWS Health",
            Self::Source => "source",
            Self::EventBridge => "EventBridge",
            Self::Function => "function",
            Self::Store => "store",
            Self::Log => "log",
        }
    }
}

impl fmt::Display for Clock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Row {
    /// When.
    pub time: Timestamp,
    /// By whose clock.
    pub clock: Clock,
    /// What, as a word that stays the same: `finding_first_seen`, `received`, `change_answered`.
    pub event: &'static str,
    /// What, in plain words.
    pub what: String,
    /// The record that says so.
    pub record: RecordKey,
    /// SHA-256 of that record's object.
    pub sha256: Sha256,
    /// The function that wrote it.
    pub function: FunctionName,
    /// The session that signed it.
    pub session: SessionId,
    /// The rule of the playbook that it names.
    pub rule: Option<RuleName>,
    /// The request id that AWS gave the call.
    pub request_id: Option<String>,
    /// Whether it went as it should, where that can be said.
    pub good: Option<bool>,
}

/// What an incident is about.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Subject {
    /// Production, drill or preparation.
    pub nature: Nature,
    /// The machine, its account and its Region; or the credential and its account.
    pub target: Option<String>,
    /// The credential alone, if it is about one.
    pub credential: Option<String>,
    /// The finding's type.
    pub finding_type: Option<String>,
    /// Its severity, such as `8.00`.
    pub severity: Option<String>,
    /// Whom the machine talked to.
    pub talked_to: Vec<String>,
    /// From where the credential was used.
    pub used_from: Vec<String>,
}

/// One thing that a leaked credential lets its thief use, as it was read back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Credential {
    /// Which: `user ci-deployer`, `key AKIA…`, `role web`.
    pub id: String,
    /// `ended`, `alive` or `unknown`.
    pub state: String,
    /// What its step ran into.
    pub trouble: Option<String>,
}

/// One interface, before and after.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Interface {
    /// Which one.
    pub id: String,
    /// Its groups before anyone sealed it.
    pub before: String,
    /// Its groups as they were read back.
    pub after: String,
    /// `sealed`, `open`, `detached` or `unknown`.
    pub state: String,
    /// What its swap ran into.
    pub trouble: Option<String>,
}

/// How long something took.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Duration {
    /// From what to what.
    pub what: &'static str,
    /// Milliseconds; negative if the two clocks disagree by more than it took.
    pub millis: i64,
    /// Whose clock gave the beginning.
    pub from: Clock,
    /// Whose clock gave the end.
    pub to: Clock,
}

/// A call to AWS, from the function's side.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Call {
    /// Service and operation.
    pub name: String,
    /// When it began.
    pub started: Timestamp,
    /// When it was answered.
    pub ended: Timestamp,
    /// Whether it could change something of the customer's.
    pub changes: bool,
    /// The HTTP status, if an answer came.
    pub status: Option<u16>,
}

/// A record that the timeline was made from.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RecordRow {
    /// Where it lives.
    pub key: RecordKey,
    /// SHA-256 of its object.
    pub sha256: Sha256,
    /// When it was made, by the function's clock.
    pub made: Timestamp,
    /// When it was stored, by the store's.
    pub stored: Option<Timestamp>,
    /// Its place in the sealed log.
    pub sealed: Option<Sealed>,
    /// Whether it carries an endorsement.
    pub endorsed: bool,
}

/// One incident, moment by moment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Timeline {
    /// What the evidence is worth.
    pub evidence: Worth,
    /// The incident.
    pub incident: IncidentId,
    /// One or two sentences for those who read no further.
    pub summary: String,
    /// The end state in a word, as it was read back last.
    pub end_state: String,
    /// What it is about.
    pub subject: Subject,
    /// The interfaces, as the last outcome read them back: those that are not sealed first.
    pub interfaces: Vec<Interface>,
    /// What the leaked credential gave access to, as the last outcome read it back: what can still be used first.
    pub credentials: Vec<Credential>,
    /// What an operator must still know: connections and sessions that may go on, what failed, what was found in the store.
    pub open: Vec<String>,
    /// What a sealed machine can still reach.
    pub still_reachable: Vec<String>,
    /// What people have to do.
    pub by_hand: Vec<String>,
    /// How long things took.
    pub durations: Vec<Duration>,
    /// What happened, in order of time.
    pub rows: Vec<Row>,
    /// The calls to AWS of the outcome that decided.
    pub calls: Vec<Call>,
    /// The records behind it, oldest first.
    pub records: Vec<RecordRow>,
}

/// The timeline of `incident`, or none if no record is about it.
#[must_use]
pub fn timeline(entries: &[Entry], incident: &IncidentId, worth: &Worth) -> Option<Timeline> {
    let incident = Incident::of(entries, incident)?;
    let decisive = incident.contained().map(|moment| moment.entry).or(incident.last_outcome().map(|(entry, _)| entry));
    let remotes = |of_credential: bool| {
        let mut named: Vec<String> = Vec::new();
        let signals = incident.signals().filter(|(_, signal)| signal.credential.is_some() == of_credential);
        for remote in signals.flat_map(|(_, signal)| &signal.remote).filter_map(body::Remote::words) {
            if !named.contains(&remote) {
                named.push(remote);
            }
        }
        named
    };
    Some(Timeline {
        evidence: worth.clone(),
        incident: incident.id.clone(),
        summary: summary(&incident),
        end_state: incident.end(),
        subject: Subject {
            nature: incident.nature(),
            target: incident.target(),
            credential: incident.credential(),
            finding_type: incident.finding_type().map(ToString::to_string),
            severity: incident.severity().map(|severity| format!("{severity} ({})", severity.level())),
            talked_to: remotes(false),
            used_from: remotes(true),
        },
        interfaces: incident.last_outcome().map(|(_, outcome)| interfaces(outcome)).unwrap_or_default(),
        credentials: incident.last_outcome().map(|(_, outcome)| credentials(outcome)).unwrap_or_default(),
        open: open(&incident),
        still_reachable: incident
            .last_outcome()
            .map(|(_, outcome)| outcome.still_reachable.iter().map(ToString::to_string).collect())
            .unwrap_or_default(),
        by_hand: incident.by_hand(),
        durations: durations(&incident, decisive),
        rows: rows(&incident),
        calls: decisive.map(|entry| calls(&entry.body)).unwrap_or_default(),
        records: incident.entries.iter().map(|entry| record(entry)).collect(),
    })
}

fn record(entry: &Entry) -> RecordRow {
    RecordRow {
        key: entry.key().clone(),
        sha256: entry.sha256,
        made: entry.header.time,
        stored: entry.stored,
        sealed: entry.sealed,
        endorsed: entry.vouched.is_some(),
    }
}

fn calls(body: &Body) -> Vec<Call> {
    let call = |call: &body::Call| {
        Some(Call { name: call.name(), started: call.started?, ended: call.ended?, changes: call.changes(), status: call.status })
    };
    let mut calls: Vec<_> = body.calls.iter().filter_map(call).collect();
    calls.sort_by_key(|call| (call.started, call.ended));
    calls
}

fn interfaces(outcome: &body::Outcome) -> Vec<Interface> {
    let unknown = || "(unknown)".to_owned();
    let interface = |end: &body::InterfaceEnd| Interface {
        id: end.id.as_ref().map_or_else(unknown, ToString::to_string),
        before: joined(&end.before),
        after: joined(&end.after),
        state: end.state.as_ref().map_or_else(unknown, ToString::to_string),
        trouble: end.trouble.as_ref().map(ToString::to_string),
    };
    let mut interfaces: Vec<_> = outcome.interfaces.iter().map(interface).collect();
    // Of forty, the one that is not sealed is the one to be seen.
    interfaces.sort_by_key(|end| end.state == "sealed");
    interfaces
}

fn credentials(outcome: &body::Outcome) -> Vec<Credential> {
    let unknown = || "(unknown)".to_owned();
    let credential = |end: &body::InterfaceEnd| Credential {
        id: end.id.as_ref().map_or_else(unknown, ToString::to_string),
        state: end.state.as_ref().map_or_else(unknown, ToString::to_string),
        trouble: end.trouble.as_ref().map(ToString::to_string),
    };
    let mut credentials: Vec<_> = outcome.credentials.iter().map(credential).collect();
    credentials.sort_by_key(|end| end.state == "ended");
    credentials
}

/// Who says so, at the beginning of a sentence.
fn reporter(signal: &body::Signal) -> &'static str {
    match signal.source.as_ref().map(Words::as_str) {
        Some("guardduty") => "GuardDuty",
        Some("health") => "AWS Health",
        Some("hand") => "A person",
        _ => "The signal's source",
    }
}

/// Whose clock says when a signal was raised.
fn clock(signal: &body::Signal) -> Clock {
    match signal.source.as_ref().map(Words::as_str) {
        Some("guardduty") => Clock::GuardDuty,
        Some("health") => Clock::Health,
        // A person asks the function, which looks at its own clock.
        Some("hand") => Clock::Function,
        _ => Clock::Source,
    }
}

/// The beginning of a sentence.
fn capital(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

/// ` 2.1 s after the finding reached Cordon and 9 s after it was published`, as far as that is known.
fn since(incident: &Incident<'_>, end: &Moment<'_>, told: Option<Timestamp>, [what, was]: [&str; 2]) -> String {
    let after = |begin: Timestamp| duration(end.time.millis_since(begin));
    let received = incident.received().filter(|received| received.exact && end.exact);
    let received = received.map(|received| format!("{} after the {what} reached Cordon", after(received.time)));
    let told = told.map(|told| format!("{} after it was {was}", after(told)));
    let known: Vec<_> = received.into_iter().chain(told).collect();
    if known.is_empty() { String::new() } else { format!(" {}", known.join(" and ")) }
}

/// What became of a leaked credential.
fn summary_of_credential(incident: &Incident<'_>) -> String {
    let target = incident.target().unwrap_or_else(|| "a credential, which no readable record names,".to_owned());
    let reported = incident.reported();
    let mut text = match (incident.nature(), incident.finding_type(), reported) {
        (Nature::Drill, Some(kind), _) => format!("This was a drill or a sample finding ({kind}). "),
        (Nature::Drill, None, _) => "This was a drill. ".to_owned(),
        (_, Some(kind), _) => format!("GuardDuty reported {kind}. "),
        (_, None, Some((_, signal))) if signal.source.as_ref().is_some_and(|source| source.as_str() == "hand") => {
            "A person asked for it. ".to_owned()
        }
        (_, None, Some((_, signal))) => format!("{} reported a leak. ", reporter(signal)),
        (_, None, None) => String::new(),
    };
    let ends = incident.last_outcome().map(|(_, outcome)| outcome.credentials.as_slice()).unwrap_or_default();
    let ended = ends.iter().filter(|end| end.state.as_ref().is_some_and(|state| state.as_str() == "ended")).count();
    match (incident.revoked(), incident.end().as_str()) {
        (Some(revoked), "Revoked") => {
            text += &format!("The end of {target} was read back");
            text += &since(incident, &revoked, reported.map(|(reported, _)| reported.time), ["report", "made"]);
            text += ": IAM denies it.";
        }
        (_, "Partial") => {
            let of = ends.len();
            text += &format!(
                "The end of {target} came only in part: {ended} of {of} read back as ended. What still works is listed below."
            );
        }
        (_, "Released") => text += &format!("The end of {target} was undone since: a second person approved it."),
        (_, "Kept") => text += &format!("The incident has let go of {target}, which other incidents hold: IAM denies it still."),
        (_, "NotReleased") => {
            text += &format!("The end of {target} was to be undone, as a second person approved, and IAM denies it still.");
        }
        (_, "NotRevoked") => text += &format!("IAM still accepts {target}: nothing of it is ended."),
        (_, "Unverifiable") => text += &format!("Whether IAM still accepts {target} could not be read back."),
        (_, "NoOutcome") => text += &format!("The end of {target} was planned; no record here says what became of it."),
        (_, end) => text += &format!("{}: {end}.", capital(&target)),
    }
    text
}

fn summary(incident: &Incident<'_>) -> String {
    if incident.entries.iter().all(|entry| incident::is_run(entry)) {
        let runs = incident.entries.iter().filter(|entry| entry.is(Kind::Intent)).count();
        let were = if runs == 1 { "was" } else { "were" };
        return format!("{} {were} run by hand and recorded; no finding is among these records.", count(runs, "command"));
    }
    let with_rule = |text: String| match incident.rule() {
        Some(rule) => format!("{text} The playbook's rule {rule} decided."),
        None => text,
    };
    if incident.is_of_credential() {
        return with_rule(summary_of_credential(incident));
    }
    let target = incident.target().unwrap_or_else(|| "The target, which no readable record names,".to_owned());
    let mut text = String::new();
    match (incident.nature(), incident.finding_type()) {
        (Nature::Preparation, _) => return format!("Sealed groups were prepared ahead of any incident: {}.", incident.end()),
        (Nature::Drill, kind) => {
            text += &format!("This was a drill or a sample finding ({}). ", kind.map_or("of unknown type", Words::as_str));
        }
        (Nature::Production, Some(kind)) => text += &format!("GuardDuty reported {kind}. "),
        (Nature::Production, None) => {}
    }
    let ends = incident.last_outcome().map(|(_, outcome)| outcome.interfaces.as_slice()).unwrap_or_default();
    let sealed = ends.iter().filter(|end| end.state.as_ref().is_some_and(|state| state.as_str() == "sealed")).count();
    let gone = ends.iter().filter(|end| end.state.as_ref().is_some_and(|state| state.as_str() == "detached")).count();
    let attached = ends.len().saturating_sub(gone);
    match (incident.contained(), incident.end().as_str()) {
        (Some(contained), "Contained") => {
            text += &format!("{target} was contained");
            let published = incident.published().map(|published| published.time);
            text += &since(incident, &contained, published, ["finding", "published"]);
            text += &format!(": {sealed} of {} read back in a sealed security group without rules.", count(attached, "interface"));
        }
        (_, end @ ("Partial" | "NotContained")) => {
            let of = count(attached, "interface");
            text += &format!("{target} is not contained ({end}): {sealed} of {of} read back in a sealed security group.");
        }
        (_, "Unverifiable") => text += &format!("Whether {target} is contained could not be read back."),
        (_, "NoOutcome") => text += &format!("{target} was to be contained; no record here says what became of it."),
        (_, end) => text += &format!("{target}: {end}."),
    }
    with_rule(text)
}

/// What is not over, or not as it should be.
fn open(incident: &Incident<'_>) -> Vec<String> {
    let mut said = Vec::new();
    if let Some((_, outcome)) = incident.last_outcome() {
        for (group, rules) in outcome.rules_on_sealed_groups.iter().flatten() {
            said.push(format!("The sealed group {} has {rules} rules, and should have none.", clean(group)));
        }
        said.extend(outcome.left_open.iter().map(ToString::to_string));
        let closed =
            |end: &&body::InterfaceEnd| end.state.as_ref().is_some_and(|state| ["sealed", "detached"].contains(&state.as_str()));
        for end in outcome.interfaces.iter().filter(|end| !closed(end)) {
            let id = end.id.as_ref().map_or("(unknown)", Words::as_str);
            // An outcome may have said so in its own words.
            if !outcome.left_open.iter().any(|open| open.as_str().contains(id)) {
                let state = end.state.as_ref().map_or("in an unknown state", Words::as_str);
                let trouble = end.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
                said.push(format!("The interface {id} is {state}{trouble}."));
            }
        }
        for end in credentials(outcome).iter().filter(|end| end.state != "ended") {
            let trouble = end.trouble.as_ref().map(|trouble| format!(": {trouble}")).unwrap_or_default();
            said.push(match end.state.as_str() {
                "alive" => format!("The {} is not ended{trouble}.", end.id),
                _ => format!("Whether the {} is ended could not be read back{trouble}.", end.id),
            });
        }
        for survivor in &outcome.survives {
            let what = survivor.what.as_ref().map_or("something that the record does not name", Words::as_str);
            let until = survivor.until.map_or_else(|| "no end is known".to_owned(), |until| format!("until {until} at the latest"));
            said.push(format!("Goes on all the same: {what} ({until})."));
        }
        match outcome.established {
            Some(Established::MayPersist(idle)) => said.push(match idle {
                Some(seconds) => {
                    let millis = i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000);
                    format!("Connections that were open before may go on until they are idle for {}.", duration(millis))
                }
                None => "Connections that were open before may go on.".to_owned(),
            }),
            Some(Established::Unchanged) => said.push("Nothing changed for connections that were open before.".to_owned()),
            None if incident.is_of_credential() => {}
            None => said.push("No record says what became of connections that were open before.".to_owned()),
        }
    }
    for entry in incident.unanswered() {
        let due = entry.header.due.map(|due| format!(", which was due by {due}")).unwrap_or_default();
        said.push(format!("The intent {} has no outcome here{due}.", entry.key()));
    }
    for entry in &incident.entries {
        if let Some(evidence) = entry.body.evidence.as_ref().filter(|words| words.as_str().starts_with("degraded")) {
            said.push(format!("The intent's evidence was {evidence}."));
        }
        if entry.body.hold.as_ref().is_some_and(|hold| hold.as_str() == "not available") {
            let what = if incident::is_of_credential(entry) { "principal" } else { "machine" };
            said.push(format!("The table of holds did not answer: nothing holds the {what}."));
        }
        if entry.vouched.is_none() {
            said.push(format!("Nobody vouches for who signed {}.", entry.key()));
        }
    }
    said
}

fn durations(incident: &Incident<'_>, decisive: Option<&Entry>) -> Vec<Duration> {
    let mut durations = Vec::new();
    let mut add = |what, from: Option<(Timestamp, Clock)>, to: Option<(Timestamp, Clock)>| {
        if let (Some((start, from)), Some((end, to))) = (from, to) {
            durations.push(Duration { what, millis: end.millis_since(start), from, to });
        }
    };
    let source = if incident.nature() == Nature::Drill { Clock::Source } else { Clock::GuardDuty };
    let exact = |moment: Option<Moment<'_>>| moment.filter(|moment| moment.exact).map(|moment| moment.time);
    let first_seen = incident.first_seen().map(|moment| (moment.time, source));
    let published = incident.published().map(|moment| (moment.time, source));
    let received = exact(incident.received()).map(|time| (time, Clock::Function));
    let contained = exact(incident.contained()).map(|time| (time, Clock::Function));
    let timings = decisive.and_then(|entry| entry.body.timings).unwrap_or_default();
    let ours = |time: Option<Timestamp>| time.map(|time| (time, Clock::Function));
    let stored = decisive.and_then(|entry| entry.stored).map(|time| (time, Clock::Store));
    let sealed = decisive.and_then(|entry| entry.sealed).map(|sealed| (sealed.time, Clock::Log));
    if incident.is_of_credential() {
        let reported = incident.reported().map(|(moment, signal)| (moment.time, clock(signal)));
        let revoked = exact(incident.revoked()).map(|time| (time, Clock::Function));
        add("first seen → reported", first_seen, reported);
        add("reported → reached Cordon", reported, received);
        add("reached Cordon → intent durable", ours(timings.received), ours(timings.intended()));
        add("reached Cordon → steps answered", ours(timings.received), ours(timings.sealed()));
        add("steps answered → read back", ours(timings.sealed()), ours(timings.read_back()));
        add("reached Cordon → revoked", received, revoked);
        add("first seen → revoked", first_seen, revoked);
        add("reported → revoked", reported, revoked);
    } else {
        add("first seen → published", first_seen, published);
        add("published → reached Cordon", published, received);
        add("reached Cordon → intent durable", ours(timings.received), ours(timings.intended()));
        add("reached Cordon → contained", received, contained);
        add("first seen → contained", first_seen, contained);
        add("published → contained", published, contained);
        add("contained → read back", contained, ours(timings.read_back()));
    }
    add("outcome made → stored", ours(decisive.map(|entry| entry.header.time)), stored);
    add("outcome stored → sealed in the log", stored, sealed);
    add("first seen → closed", first_seen, ours(incident.closed().map(|moment| moment.time)));
    durations
}

/// Collects rows that name one record.
struct Rows<'a> {
    rows: Vec<Row>,
    entry: &'a Entry,
}

impl Rows<'_> {
    fn add(&mut self, time: Option<Timestamp>, clock: Clock, event: &'static str, what: String) -> Option<&mut Row> {
        let entry = self.entry;
        self.rows.push(Row {
            time: time?,
            clock,
            event,
            what,
            record: entry.key().clone(),
            sha256: entry.sha256,
            function: entry.key().function.clone(),
            session: entry.header.session.id.clone(),
            rule: entry.header.rule.clone(),
            request_id: None,
            good: None,
        });
        self.rows.last_mut()
    }

    fn judged(&mut self, good: bool, time: Option<Timestamp>, clock: Clock, event: &'static str, what: String) {
        if let Some(row) = self.add(time, clock, event, what) {
            row.good = Some(good);
        }
    }
}

fn rows(incident: &Incident<'_>) -> Vec<Row> {
    let mut all: Vec<Row> = Vec::new();
    for entry in &incident.entries {
        let mut rows = Rows { rows: Vec::new(), entry };
        about_finding(&mut rows, entry);
        about_work(&mut rows, entry, incident);
        about_record(&mut rows, entry);
        all.extend(rows.rows);
    }
    for entry in incident.unanswered() {
        let mut rows = Rows { rows: Vec::new(), entry };
        rows.judged(false, entry.header.due, Clock::Function, "outcome_due", "An outcome was due by now; none is here".to_owned());
        all.extend(rows.rows);
    }
    // Every record of a signal repeats what the finding said: once is enough.
    let mut said = BTreeSet::new();
    all.retain(|row| {
        let by_source = matches!(row.clock, Clock::GuardDuty | Clock::Health | Clock::Source | Clock::EventBridge);
        !(by_source || matches!(row.event, "reported" | "exposed_since")) || said.insert((row.time, row.what.clone()))
    });
    all.sort_by_key(|row| (row.time, row.clock));
    all
}

fn about_finding(rows: &mut Rows<'_>, entry: &Entry) {
    let Some(signal) = &entry.body.signal else { return };
    let (clock, who) = (clock(signal), reporter(signal));
    if let Some(finding) = &signal.finding {
        let kind = finding.kind.as_ref().map_or("activity of unknown type", Words::as_str);
        let about = signal.about().unwrap_or_else(|| "(unknown)".to_owned());
        let at = if signal.credential.is_some() { "with" } else { "at" };
        let severity = finding.severity.map(|severity| format!(", severity {severity} ({})", severity.level())).unwrap_or_default();
        let id = finding.id.as_ref().map_or("(unknown)", Words::as_str);
        let times = finding
            .count
            .map(|n| format!(", seen {}", count(usize::try_from(n).unwrap_or(usize::MAX), "time")))
            .unwrap_or_default();
        rows.add(finding.first_seen, clock, "finding_first_seen", format!("{who} first saw {kind} {at} {about}{severity}"));
        rows.add(finding.created_at, clock, "finding_created", format!("{who} created finding {id}"));
        rows.add(finding.last_seen, clock, "finding_last_seen", format!("{who} last saw it{times}"));
        rows.add(finding.updated_at, clock, "finding_published", format!("{who} published finding {id}"));
    }
    if let (None, Some(credential)) = (&signal.finding, &signal.credential) {
        let credential = credential.words();
        let since = format!("By that report, {credential} may have been in the wrong hands since then");
        rows.add(signal.since, clock, "exposed_since", since);
        let hand = signal.source.as_ref().is_some_and(|source| source.as_str() == "hand");
        let what = if hand {
            format!("A person asked for the end of {credential}")
        } else {
            format!("{who} reported {credential} as leaked")
        };
        rows.add(signal.at, clock, "reported", what);
    }
    rows.add(signal.event_time, Clock::EventBridge, "event", "EventBridge took the event".to_owned());
}

fn about_work(rows: &mut Rows<'_>, entry: &Entry, incident: &Incident<'_>) {
    let function = entry.key().function.clone();
    let body = &entry.body;
    if let Some(timings) = &body.timings {
        let (came, read) = if incident::is_release(entry) {
            ("approval", "The principal, its hold and what revoke recorded were read")
        } else if incident::is_of_credential(entry) {
            ("report", "The principal and its hold were read")
        } else {
            ("finding", "The machine, its groups and its hold were read")
        };
        rows.add(timings.received, Clock::Function, "received", format!("The {came} reached {function}"));
        rows.add(timings.observed(), Clock::Function, "observed", read.to_owned());
        let durable = body.evidence.as_ref().is_none_or(|words| words.as_str().starts_with("durable"));
        let what = if durable {
            "The intent was durable: only now could anything be changed".to_owned()
        } else {
            let said = body.evidence.as_ref().map_or("(unknown)", Words::as_str);
            format!("The intent's deadline passed, and the work went on: {said}")
        };
        rows.judged(durable, timings.intended(), Clock::Function, "intent_durable", what);
    }
    if entry.is(Kind::Outcome) {
        changes(rows, entry, incident);
    }
    let Some(outcome) = &body.outcome else { return };
    if let Some(timings) = &body.timings {
        rows.add(timings.sealed(), Clock::Function, "changes_answered", "The last planned change was answered".to_owned());
        let mut ends: Vec<_> =
            interfaces(outcome).iter().map(|end| format!("{} {}: {} → {}", end.id, end.state, end.before, end.after)).collect();
        ends.extend(credentials(outcome).iter().map(|end| format!("{} {}", end.id, end.state)));
        let nothing = match &outcome.state {
            Some(state) if incident::is_release(entry) => state.to_string(),
            _ if incident::is_of_credential(entry) => "no credential".to_owned(),
            _ => "no interface".to_owned(),
        };
        let what = format!("Read back: {}", if ends.is_empty() { nothing } else { ends.join("; ") });
        let sealed = |end: &body::InterfaceEnd| end.state.as_ref().is_some_and(|s| matches!(s.as_str(), "sealed" | "detached"));
        let ended = |end: &body::InterfaceEnd| end.state.as_ref().is_some_and(|state| state.as_str() == "ended");
        let good = outcome.interfaces.iter().all(sealed) && outcome.credentials.iter().all(ended);
        rows.judged(good, timings.read_back(), Clock::Function, "read_back", what);
    }
}

/// Each change's answer: the steps by their request ids, then calls that no step names, then steps that no call answered.
fn changes(rows: &mut Rows<'_>, entry: &Entry, incident: &Incident<'_>) {
    let body = &entry.body;
    let done = body.outcome.as_ref().map_or(&body.steps, |outcome| &outcome.steps);
    let intent = entry.header.answers.as_ref().and_then(|link| {
        incident.entries.iter().find(|intent| intent.header.key == link.key && intent.sha256 == link.sha256).copied()
    });
    let planned = |step: &body::Step| {
        let action = step.step.and_then(|n| intent?.body.steps.get(n)?.action.as_ref());
        action.map_or_else(|| "carry out a step whose plan is not here".to_owned(), |action| action.words.clone())
    };
    let ended = |step: &body::Step| match &step.did {
        Some(Did::Accepted) => (true, "AWS accepted it".to_owned()),
        Some(Did::Group(id)) => (true, format!("AWS has it as {id}")),
        Some(Did::Failed(trouble)) => (false, format!("it failed: {trouble}")),
        Some(Did::Unknown(word)) => (false, format!("it ended as `{word}`")),
        None => (false, "how it ended is not known".to_owned()),
    };
    let mut told = BTreeSet::new();
    for call in body.calls.iter().filter(|call| call.changes()) {
        let step = done.iter().position(|step| step.request_id.is_some() && step.request_id == call.request_id);
        let (good, what) = match step.and_then(|n| done.get(n)) {
            Some(step) => {
                let (good, ending) = ended(step);
                (good, format!("To {}: {ending}", planned(step)))
            }
            None => {
                let good = call.status.is_some_and(|status| status < 400);
                let status = call.status.map_or_else(|| "no answer".to_owned(), |status| format!("answered {status}"));
                (good, format!("{}: {status}", call.name()))
            }
        };
        told.extend(step);
        if let Some(row) = rows.add(call.ended.or(call.started), Clock::Function, "change_answered", what) {
            row.good = Some(good);
            row.request_id = call.request_id.as_ref().map(ToString::to_string);
        }
    }
    for (_, step) in done.iter().enumerate().filter(|(n, _)| !told.contains(n)) {
        let (good, ending) = ended(step);
        let time = body.timings.as_ref().and_then(body::Timings::sealed).unwrap_or(entry.header.time);
        let what = format!("To {}: {ending} (by now; no call with its request id is recorded)", planned(step));
        if let Some(row) = rows.add(Some(time), Clock::Function, "change_answered", what) {
            row.good = Some(good);
            row.request_id = step.request_id.as_ref().map(ToString::to_string);
        }
    }
}

fn about_record(rows: &mut Rows<'_>, entry: &Entry) {
    let body = &entry.body;
    let time = Some(entry.header.time);
    match entry.key().kind {
        Kind::Intent => {
            let what = if incident::is_run(entry) {
                body.ran.intent()
            } else {
                format!("The plan was made and signed: {}", count(body.steps.len(), "step"))
            };
            rows.add(time, Clock::Function, "intent", what);
            for remark in &body.remarks {
                rows.add(time, Clock::Function, "remark", format!("The plan remarks: {remark}"));
            }
        }
        Kind::Outcome => {
            let state = body.outcome.as_ref().and_then(|outcome| outcome.state.as_ref());
            let prepared = body.ready.as_ref().map(|ready| format!("{} prepared", count(ready.len(), "VPC")));
            let signed = |said: String| format!("The outcome was made and signed: {said}");
            let said = state.map(ToString::to_string).or(prepared).map(signed);
            let ran = || body.ran.outcome().filter(|_| incident::is_run(entry));
            let said = said.or_else(ran).unwrap_or_else(|| signed("of a form that this program does not know".to_owned()));
            let good = state.is_none_or(|state| {
                !matches!(state.as_str(), "Partial" | "NotContained" | "NotRevoked" | "NotReleased" | "Unverifiable")
            });
            rows.judged(good, time, Clock::Function, "outcome", said);
        }
        Kind::Decision => {
            let reason = body.reason.as_ref().or(body.decision.as_ref().and_then(|decision| decision.reason.as_ref()));
            let rule = body
                .decision
                .as_ref()
                .and_then(|decision| decision.rule.as_ref())
                .map(|rule| format!(" [{rule}]"))
                .unwrap_or_default();
            let reason = reason.map_or("no reason is readable", Words::as_str);
            // A request, an approval and a denial say who said what.
            let said = if incident::is_release(entry) { String::new() } else { "Nothing was changed: ".to_owned() };
            rows.add(time, Clock::Function, "decision", format!("{said}{reason}{rule}"));
        }
        kind => {
            rows.add(time, Clock::Function, "record", format!("A record of kind `{}` was made and signed", kind.as_str()));
        }
    }
    for anomaly in &entry.header.anomalies {
        let what = format!("Found in the evidence store: {}: {}", clean(&anomaly.key), clean(&anomaly.reason));
        rows.judged(false, time, Clock::Function, "anomaly", what);
    }
    let kind = entry.key().kind.as_str();
    rows.add(entry.stored, Clock::Store, "stored", format!("The {kind} was stored"));
    if let Some(sealed) = entry.sealed {
        let Sealed { index, batch, time } = sealed;
        rows.add(Some(time), Clock::Log, "sealed", format!("The {kind} was sealed in the log, leaf {index}, batch {batch}"));
    }
}
