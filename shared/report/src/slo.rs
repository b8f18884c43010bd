//! How soon, and how often soon enough.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::str::FromStr;

use evidence::RecordKey;
use ids::IncidentId;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::body::{Established, Outcome};
use crate::entry::Entry;
use crate::incident::{Incident, Moment, Nature, incidents, is_of_credential};
use crate::period::Period;
use crate::words::{count, duration};
use crate::worth::Worth;

/// Severity from which an incident counts as most severe, in hundredths (AWS, "Severity levels of GuardDuty findings": High begins at 7.0).
const MOST_SEVERE: u16 = 700;
/// S3's `LastModified` has whole seconds: an object seems stored up to this much before it was sent.
const STORE_STEP: i64 = 1000;
/// So many names are shown to people after a reason; programs get all.
pub(crate) const NAMED: usize = 12;

/// How the reason begins why an incident of another period does not count.
const EARLIER: &str = "it began before the period";
/// Why an incident has no time to revoke, and why none to recover.
const NOT_REVOKED: &str = "it is about no credential";
const NOT_CLOSED: &str = "no record closes it";

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Measure {
    /// First seen → reached Cordon.
    Detection,
    /// Published → last interface sealed, of the most severe incidents.
    Containment,
    /// Reported → credential shown to be dead.
    Revocation,
    /// First seen → closed.
    Recovery,
    /// Record made → stored.
    EvidenceLag,
    /// Stored → sealed in the log.
    SealLag,
}

const MEASURES: [Measure; 6] =
    [Measure::Detection, Measure::Containment, Measure::Revocation, Measure::Recovery, Measure::EvidenceLag, Measure::SealLag];

impl Measure {
    /// The measure as targets and reports spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Detection => "detection",
            Self::Containment => "containment",
            Self::Revocation => "revocation",
            Self::Recovery => "recovery",
            Self::EvidenceLag => "evidence-lag",
            Self::SealLag => "seal-lag",
        }
    }

    /// Exactly what is subtracted from what, and what counts.
    #[must_use]
    pub fn definition(self) -> &'static str {
        match self {
            Self::Detection => {
                "per incident: when the finding first reached Cordon, less when its activity was first seen. Where no record states the \
                 arrival, when the first record was made, which was no earlier"
            }
            Self::Containment => {
                "per incident of severity 7.0 and above in which something was to be contained: when the last interface's swap was answered \
                 in the first outcome that was read back as Contained, less the finding's first updatedAt. One that was never read back as \
                 Contained is a miss"
            }
            Self::Revocation => {
                "per incident in which a credential was to be ended: when it was first read back as Revoked, less when it was first reported: \
                 the finding's first updatedAt, or, of a report without a finding (AWS Health, by hand), its signal.at. One that was never \
                 read back as Revoked is a miss; one that is left to people is left out"
            }
            Self::Recovery => {
                "per incident: when it was closed by a release that was read back, less when its activity was first seen (MTTR)"
            }
            Self::EvidenceLag => {
                "per record: when the store says it was stored, less when it was made. The store may count in whole seconds: down to -1 s is 0"
            }
            Self::SealLag => "per record: when it was sealed in the log, less when the store says it was stored",
        }
    }

    /// Whose clocks give the two times.
    #[must_use]
    pub fn clocks(self) -> &'static str {
        match self {
            Self::Detection | Self::Containment | Self::Recovery => "finding's source; function",
            Self::Revocation => "report's source; function",
            Self::EvidenceLag => "function; store",
            Self::SealLag => "store; sealer",
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A share, in hundredths of a percent: from 0.01 % to 100 %.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Percent(u32);

impl Percent {
    /// Hundredths of a percent: 9550 for 95.5 %.
    #[must_use]
    pub fn basis_points(self) -> u32 {
        self.0
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / 100, self.0 % 100);
        match part {
            0 => write!(f, "{whole}"),
            _ if part % 10 == 0 => write!(f, "{whole}.{}", part / 10),
            _ => write!(f, "{whole}.{part:02}"),
        }
    }
}

impl FromStr for Percent {
    type Err = ParseTargetError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| (1..=3).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(part) || part.len() > 2 {
            return Err(ParseTargetError);
        }
        let part = if part.len() == 1 { format!("{part}0") } else { part.to_owned() };
        let parsed = |text: &str| text.parse::<u32>().map_err(|_| ParseTargetError);
        let points = parsed(whole)? * 100 + parsed(&part)?;
        if (1..=10_000).contains(&points) { Ok(Self(points)) } else { Err(ParseTargetError) }
    }
}

impl TryFrom<String> for Percent {
    type Error = ParseTargetError;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Percent> for String {
    fn from(percent: Percent) -> Self {
        percent.to_string()
    }
}

/// So many percent within so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// The share that must be in time.
    pub percent: Percent,
    /// What in time means.
    pub seconds: u32,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} % within {}", self.percent, duration(i64::from(self.seconds) * 1000))
    }
}

/// Text that is not a target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error(
    "expected NAME=PERCENT%@SECONDS such as detection=95%@300, where NAME is detection, containment, revocation, recovery, \
     evidence-lag or seal-lag and PERCENT is up to 100 with up to two decimals"
)]
pub struct ParseTargetError;

/// What is aimed at. A measure without a target is reported and not judged.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Targets(BTreeMap<Measure, Target>);

impl Default for Targets {
    /// 95 % detected within 5 minutes; 90 % of the most severe contained within 30.
    fn default() -> Self {
        Self(BTreeMap::from([
            (Measure::Detection, Target { percent: Percent(9500), seconds: 300 }),
            (Measure::Containment, Target { percent: Percent(9000), seconds: 1800 }),
        ]))
    }
}

impl Targets {
    /// The target of one measure.
    #[must_use]
    pub fn get(&self, measure: Measure) -> Option<Target> {
        self.0.get(&measure).copied()
    }

    /// Sets a target from text: `detection=95%@300`.
    ///
    /// # Errors
    /// If the text is not a target.
    pub fn set(&mut self, text: &str) -> Result<(), ParseTargetError> {
        let (measure, target) = parse_target(text)?;
        self.0.insert(measure, target);
        Ok(())
    }
}

fn parse_target(text: &str) -> Result<(Measure, Target), ParseTargetError> {
    let (name, rest) = text.split_once('=').ok_or(ParseTargetError)?;
    let (percent, seconds) = rest.split_once("%@").ok_or(ParseTargetError)?;
    let measure = MEASURES.into_iter().find(|measure| measure.as_str() == name).ok_or(ParseTargetError)?;
    let seconds = Some(seconds).filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
    let seconds = seconds.and_then(|text| text.parse().ok()).filter(|seconds| *seconds > 0).ok_or(ParseTargetError)?;
    Ok((measure, Target { percent: percent.parse()?, seconds }))
}

/// Whether a target was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was.
    Met,
    /// It was not.
    Missed,
    /// Nothing was measured, so nothing is known.
    NoData,
    /// Nothing is aimed at.
    NoTarget,
}

impl Verdict {
    /// The verdict as reports print it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Met => "met",
            Self::Missed => "MISSED",
            Self::NoData => "no data",
            Self::NoTarget => "no target",
        }
    }
}

/// One thing measured.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Sample {
    /// The incident; none where a record without one was measured.
    pub incident: Option<IncidentId>,
    /// How long it took; none if it never came to its end, which is a miss.
    pub millis: Option<i64>,
    /// Whether it was in time; none without a target.
    pub in_time: Option<bool>,
    /// The records that the times are from.
    pub records: Vec<RecordKey>,
}

/// What could not be measured, or was not to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Excluded {
    /// The incident, where there is one.
    pub incident: Option<IncidentId>,
    /// A record of it.
    pub record: Option<RecordKey>,
    /// Why.
    pub reason: String,
}

/// Percentiles by nearest rank: each is a value that was measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Figures {
    /// Half took at most so many milliseconds.
    pub p50: i64,
    /// Nineteen of twenty took at most so many.
    pub p95: i64,
    /// The longest.
    pub max: i64,
}

/// One measure over one period.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Metric {
    /// What is measured.
    pub measure: Measure,
    /// How, exactly.
    pub definition: &'static str,
    /// By whose clocks.
    pub clocks: &'static str,
    /// What is aimed at.
    pub target: Option<Target>,
    /// Whether it was reached.
    pub verdict: Verdict,
    /// Why there is no data, where there is none.
    pub no_data: Option<String>,
    /// How many count.
    pub count: usize,
    /// How many of them were in time; none without a target.
    pub in_time: Option<usize>,
    /// The share that was in time, such as `97.5`; none without a target or without data.
    pub percent_in_time: Option<String>,
    /// Percentiles of those that came to their end.
    pub figures: Option<Figures>,
    /// Each that counts.
    pub samples: Vec<Sample>,
    /// Each that does not, with its reason.
    pub excluded: Vec<Excluded>,
}

/// The measures of one sort of incidents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    /// Incidents whose first record lies in the period.
    pub incidents: usize,
    /// The measures.
    pub metrics: Vec<Metric>,
    /// Of the incidents with an interface sealed, those whose record says that connections open before may go on.
    pub established_may_persist: Vec<IncidentId>,
}

/// Service levels over a period.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Slo {
    /// What the evidence is worth.
    pub evidence: Worth,
    /// The period.
    pub period: Period,
    /// What really happened.
    pub production: Group,
    /// Drills and samples, which are never counted with the rest.
    pub drills: Group,
}

/// Service levels over `period`. An incident belongs to the period in which its first record was made; a record to that in which it was.
#[must_use]
pub fn slo(entries: &[Entry], period: Period, targets: &Targets, worth: &Worth) -> Slo {
    let all = incidents(entries);
    let natures: BTreeMap<&IncidentId, Nature> = all.iter().map(|incident| (incident.id, incident.nature())).collect();
    let group = |nature: Nature| {
        let of_nature: Vec<&Incident<'_>> = all.iter().filter(|incident| incident.nature() == nature).collect();
        let records = entries.iter().filter(|entry| period.contains(entry.header.time)).filter(|entry| {
            let of = entry.incident().and_then(|id| natures.get(id)).copied().unwrap_or(Nature::Production);
            // Records of preparations are evidence like any other, though no incident.
            of == nature || (of == Nature::Preparation && nature == Nature::Production)
        });
        measure(&of_nature, &records.collect::<Vec<_>>(), period, targets)
    };
    Slo { evidence: worth.clone(), period, production: group(Nature::Production), drills: group(Nature::Drill) }
}

fn measure(all: &[&Incident<'_>], records: &[&Entry], period: Period, targets: &Targets) -> Group {
    let begins = |incident: &&&Incident<'_>| incident.first().is_some_and(|first| period.contains(first));
    let mine: Vec<&Incident<'_>> = all.iter().filter(begins).copied().collect();
    let earlier: Vec<Excluded> = all
        .iter()
        .filter(|incident| incident.first().is_some_and(|first| first < period.from))
        .filter(|incident| incident.entries.iter().any(|entry| period.contains(entry.header.time)))
        .map(|incident| {
            let first = incident.first().map(|first| first.to_string()).unwrap_or_default();
            excluded(incident, format!("{EARLIER}, with a record of {first}"))
        })
        .collect();
    let metrics = MEASURES.into_iter().map(|measure| {
        let mut tally = Tally::new(measure, targets.get(measure));
        match measure {
            Measure::EvidenceLag => records.iter().for_each(|entry| evidence_lag(&mut tally, entry)),
            Measure::SealLag => records.iter().for_each(|entry| seal_lag(&mut tally, entry)),
            Measure::Detection => mine.iter().for_each(|incident| detection(&mut tally, incident)),
            Measure::Containment => mine.iter().for_each(|incident| containment(&mut tally, incident)),
            Measure::Revocation => mine.iter().for_each(|incident| revocation(&mut tally, incident)),
            Measure::Recovery => mine.iter().for_each(|incident| recovery(&mut tally, incident)),
        }
        if !matches!(measure, Measure::EvidenceLag | Measure::SealLag) {
            tally.excluded.extend(earlier.iter().cloned());
        }
        tally.finish()
    });
    let persists = |incident: &&&Incident<'_>| {
        let may = |outcome: &Outcome| matches!(outcome.established, Some(Established::MayPersist(_)));
        incident.outcomes().any(|(_, outcome)| may(outcome))
    };
    Group {
        incidents: mine.len(),
        metrics: metrics.collect(),
        established_may_persist: mine.iter().filter(persists).map(|incident| incident.id.clone()).collect(),
    }
}

fn excluded(incident: &Incident<'_>, reason: String) -> Excluded {
    Excluded { incident: Some(incident.id.clone()), record: incident.entries.first().map(|entry| entry.key().clone()), reason }
}

/// Counts one measure.
struct Tally {
    measure: Measure,
    target: Option<Target>,
    samples: Vec<Sample>,
    excluded: Vec<Excluded>,
}

impl Tally {
    fn new(measure: Measure, target: Option<Target>) -> Self {
        Self { measure, target, samples: Vec::new(), excluded: Vec::new() }
    }

    fn in_time(&self, millis: Option<i64>) -> Option<bool> {
        let target = self.target?;
        Some(millis.is_some_and(|millis| millis <= i64::from(target.seconds) * 1000))
    }

    /// Counts the time between two moments, unless the clocks make it negative.
    fn between(&mut self, incident: &Incident<'_>, from: Moment<'_>, to: Moment<'_>) {
        let millis = to.time.millis_since(from.time);
        if millis < 0 {
            let reason = format!("its end lies {} before its beginning: the clocks disagree", duration(-millis));
            return self.excluded.push(excluded(incident, reason));
        }
        self.push(Some(incident.id.clone()), Some(millis), vec![from.key().clone(), to.key().clone()]);
    }

    fn push(&mut self, incident: Option<IncidentId>, millis: Option<i64>, mut records: Vec<RecordKey>) {
        // One record may state both times.
        records.dedup();
        let in_time = self.in_time(millis);
        self.samples.push(Sample { incident, millis, in_time, records });
    }

    fn leave_out(&mut self, incident: &Incident<'_>, reason: &str) {
        self.excluded.push(excluded(incident, reason.to_owned()));
    }

    /// Why nothing was measured.
    fn why_nothing(&self) -> String {
        let all =
            |reason: &str| self.excluded.iter().all(|left_out| left_out.reason == reason || left_out.reason.starts_with(EARLIER));
        match self.measure {
            Measure::Revocation if all(NOT_REVOKED) => {
                "no outcome of the function `revoke` is here, and only those say that a credential is dead".to_owned()
            }
            Measure::Recovery if all(NOT_CLOSED) => {
                "no outcome of the function `release` is here, and only those close an incident".to_owned()
            }
            _ if self.excluded.is_empty() => "there was nothing to measure in the period".to_owned(),
            _ => format!("all {} were left out, for the reasons given", self.excluded.len()),
        }
    }

    fn finish(self) -> Metric {
        let mut values: Vec<i64> = self.samples.iter().filter_map(|sample| sample.millis).collect();
        values.sort_unstable();
        let count = self.samples.len();
        let in_time = self.target.map(|_| self.samples.iter().filter(|sample| sample.in_time == Some(true)).count());
        let verdict = match (self.target, in_time) {
            _ if count == 0 => Verdict::NoData,
            (Some(target), Some(in_time)) => {
                // In whole numbers, as 94.999 % is not 95 %.
                let reached =
                    in_time.saturating_mul(10_000) >= count.saturating_mul(usize::try_from(target.percent.0).unwrap_or(usize::MAX));
                if reached { Verdict::Met } else { Verdict::Missed }
            }
            _ => Verdict::NoTarget,
        };
        Metric {
            no_data: (count == 0).then(|| self.why_nothing()),
            measure: self.measure,
            definition: self.measure.definition(),
            clocks: self.measure.clocks(),
            target: self.target,
            verdict,
            count,
            in_time,
            percent_in_time: in_time.and_then(|in_time| share(in_time, count)),
            figures: figures(&values),
            samples: self.samples,
            excluded: self.excluded,
        }
    }
}

/// `part` of `whole` in percent with one decimal, rounded down so that 100 means all.
fn share(part: usize, whole: usize) -> Option<String> {
    let permille = part.saturating_mul(1000).checked_div(whole)?;
    Some(format!("{}.{}", permille / 10, permille % 10))
}

fn figures(sorted: &[i64]) -> Option<Figures> {
    let rank = |percent: usize| {
        let rank = sorted.len().saturating_mul(percent).div_ceil(100);
        sorted.get(rank.saturating_sub(1)).copied()
    };
    Some(Figures { p50: rank(50)?, p95: rank(95)?, max: *sorted.last()? })
}

fn detection(tally: &mut Tally, incident: &Incident<'_>) {
    match (incident.first_seen(), incident.received()) {
        (Some(seen), Some(received)) => tally.between(incident, seen, received),
        _ => tally.leave_out(incident, "no readable record says when its activity was first seen"),
    }
}

fn containment(tally: &mut Tally, incident: &Incident<'_>) {
    if incident.is_of_credential() {
        return tally.leave_out(incident, "it is about a credential: revocation measures it");
    }
    let Some(severity) = incident.severity() else {
        return tally.leave_out(incident, "no readable record says how severe it was");
    };
    if severity.hundredths() < MOST_SEVERE {
        return tally.leave_out(incident, &format!("severity {severity} is below 7.0"));
    }
    let Some(published) = incident.published() else {
        return tally.leave_out(incident, "no readable record says when its finding was published");
    };
    if let Some(contained) = incident.contained() {
        return tally.between(incident, published, contained);
    }
    if let Some((entry, _)) = incident.last_outcome() {
        return tally.push(Some(incident.id.clone()), None, vec![published.key().clone(), entry.key().clone()]);
    }
    if let Some(intent) = incident.unanswered().first() {
        return tally.push(Some(incident.id.clone()), None, vec![published.key().clone(), intent.key().clone()]);
    }
    tally.leave_out(incident, &format!("nothing was to be contained by Cordon ({})", incident.end()));
}

fn revocation(tally: &mut Tally, incident: &Incident<'_>) {
    let reported = incident.reported().map(|(moment, _)| moment);
    match (reported, incident.revoked()) {
        (Some(reported), Some(revoked)) => return tally.between(incident, reported, revoked),
        (None, Some(_)) => return tally.leave_out(incident, "no readable record says when it was reported"),
        (_, None) => {}
    }
    // What was begun and never came to its end is a miss, whether or not a record says when it was reported: an intent does not.
    let outcome = incident.outcomes().map(|(entry, _)| entry).filter(|entry| is_of_credential(entry)).last();
    let intent = incident.unanswered().into_iter().find(|entry| is_of_credential(entry));
    if let Some(never) = outcome.or(intent) {
        let records = reported.map(|reported| reported.key().clone()).into_iter().chain([never.key().clone()]);
        return tally.push(Some(incident.id.clone()), None, records.collect());
    }
    if incident.is_of_credential() {
        return tally.leave_out(incident, &format!("nothing was to be ended by Cordon ({})", incident.end()));
    }
    tally.leave_out(incident, NOT_REVOKED);
}

fn recovery(tally: &mut Tally, incident: &Incident<'_>) {
    match (incident.first_seen(), incident.closed()) {
        (Some(seen), Some(closed)) => tally.between(incident, seen, closed),
        (None, Some(_)) => tally.leave_out(incident, "no readable record says when its activity was first seen"),
        (_, None) => tally.leave_out(incident, NOT_CLOSED),
    }
}

fn evidence_lag(tally: &mut Tally, entry: &Entry) {
    let lag = entry.stored.map(|stored| stored.millis_since(entry.header.time));
    lag_of(tally, entry, lag, "the store's time for it is not known");
}

fn seal_lag(tally: &mut Tally, entry: &Entry) {
    let lag = entry.stored.zip(entry.sealed).map(|(stored, sealed)| sealed.time.millis_since(stored));
    let why = if entry.sealed.is_none() { "it is not sealed in a log" } else { "the store's time for it is not known" };
    lag_of(tally, entry, lag, why);
}

fn lag_of(tally: &mut Tally, entry: &Entry, lag: Option<i64>, unknown: &str) {
    let (incident, key) = (entry.incident().cloned(), entry.key().clone());
    match lag {
        Some(lag) if lag >= -STORE_STEP => tally.push(incident, Some(lag.max(0)), vec![key]),
        Some(lag) => {
            let reason = format!("its end lies {} before its beginning: the clocks disagree", duration(lag.saturating_neg()));
            tally.excluded.push(Excluded { incident, record: Some(key), reason });
        }
        None => tally.excluded.push(Excluded { incident, record: Some(key), reason: unknown.to_owned() }),
    }
}

impl Slo {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.evidence.text();
        let _infallible = writeln!(out, "\nservice levels {}", self.period);
        write_group(&mut out, "production", &self.production);
        write_group(&mut out, "drills and samples, never counted with the rest", &self.drills);
        let _infallible = writeln!(out, "\ndefinitions");
        for measure in MEASURES {
            let _infallible = writeln!(out, "  {measure}: {}. Clocks: {}.", measure.definition(), measure.clocks());
        }
        out
    }
}

fn write_group(out: &mut String, name: &str, group: &Group) {
    let mut line = |text: String| {
        let _infallible = writeln!(out, "{text}");
    };
    line(format!("\n{name}: {}", count(group.incidents, "incident")));
    if group.is_empty() {
        return line("no data: nothing of this sort began in the period".to_owned());
    }
    line(format!(
        "{:<13} {:<9} {:>6} {:>9} {:>13} {:>13} {:>13}   target",
        "measure", "verdict", "count", "in time", "p50", "p95", "max"
    ));
    for metric in &group.metrics {
        let figure =
            |of: fn(&Figures) -> i64| metric.figures.as_ref().map_or_else(|| "–".to_owned(), |figures| duration(of(figures)));
        let share = metric.percent_in_time.as_ref().map_or_else(|| "–".to_owned(), |percent| format!("{percent} %"));
        let target = metric.target.map_or_else(|| "none".to_owned(), |target| target.to_string());
        line(format!(
            "{:<13} {:<9} {:>6} {share:>9} {:>13} {:>13} {:>13}   {target}",
            metric.measure,
            metric.verdict.as_str(),
            metric.count,
            figure(|f| f.p50),
            figure(|f| f.p95),
            figure(|f| f.max),
        ));
    }
    line(format!("connections open before may have gone on in {}", count(group.established_may_persist.len(), "incident")));
    for metric in &group.metrics {
        if let Some(why) = &metric.no_data {
            line(format!("{} has no data: {why}", metric.measure));
        }
        for sample in metric.samples.iter().filter(|sample| sample.in_time == Some(false)) {
            let took = sample.millis.map_or_else(|| "never".to_owned(), duration);
            let incident = sample.incident.as_ref().map_or("no incident", IncidentId::as_str);
            let records: Vec<_> = sample.records.iter().map(ToString::to_string).collect();
            line(format!("{} missed: {incident}, {took}: {}", metric.measure, records.join(", ")));
        }
        for (reason, members) in reasons(metric) {
            let named = members.get(..NAMED.min(members.len())).unwrap_or_default().join(", ");
            let more = members.len().saturating_sub(NAMED);
            let more = if more > 0 { format!(" and {more} more, which the JSON names") } else { String::new() };
            line(format!("{} left out, {reason}: {named}{more}", metric.measure));
        }
    }
}

impl Group {
    /// Whether there is nothing in it at all, be it measured or left out.
    pub(crate) fn is_empty(&self) -> bool {
        self.incidents == 0 && self.metrics.iter().all(|metric| metric.count == 0 && metric.excluded.is_empty())
    }
}

/// What was left out, by reason.
pub(crate) fn reasons(metric: &Metric) -> BTreeMap<&str, Vec<String>> {
    let mut reasons: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let of_records = matches!(metric.measure, Measure::EvidenceLag | Measure::SealLag);
    for left_out in &metric.excluded {
        let record = left_out.record.as_ref().map(ToString::to_string);
        let incident = left_out.incident.as_ref().map(ToString::to_string);
        let name = if of_records { record.or(incident) } else { incident.or(record) };
        reasons.entry(&left_out.reason).or_default().push(name.unwrap_or_default());
    }
    reasons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_parsed_and_printed() {
        let mut targets = Targets::default();
        targets.set("detection=99.5%@60").unwrap();
        targets.set("seal-lag=99%@70").unwrap();
        assert_eq!(targets.get(Measure::Detection).unwrap().to_string(), "99.5 % within 1 min");
        assert_eq!(targets.get(Measure::SealLag).unwrap().to_string(), "99 % within 1 min 10 s");
        assert_eq!(targets.get(Measure::Recovery), None);
        for bad in [
            "",
            "detection",
            "detection=95%",
            "detection=95@300",
            "speed=95%@300",
            "detection=0%@300",
            "detection=100.01%@300",
            "detection=95%@0",
            "detection=95%@-1",
            "detection=9.999%@1",
            "detection=+95%@1",
            "detection=95%@+1",
            "detection=.5%@1",
        ] {
            assert_eq!(targets.set(bad), Err(ParseTargetError), "{bad}");
        }
        let json = serde_json::to_string(&targets).unwrap();
        assert_eq!(serde_json::from_str::<Targets>(&json).unwrap(), targets);
    }

    #[test]
    fn a_percentile_is_a_value_that_was_measured() {
        let values: Vec<i64> = (1..=20).collect();
        assert_eq!(figures(&values), Some(Figures { p50: 10, p95: 19, max: 20 }));
        assert_eq!(figures(&[7]), Some(Figures { p50: 7, p95: 7, max: 7 }));
        assert_eq!(figures(&[]), None);
        assert_eq!(share(999, 1000).unwrap(), "99.9");
        assert_eq!(share(0, 0), None);
    }
}
