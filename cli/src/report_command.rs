//! `cordon evidence timeline`, `slo`, `population`, `controls`, `custody`, `completeness`, `export`: what one gets out of evidence.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::{Args, Subcommand, ValueEnum};
use evidence::log::{Batch, Checkpoint, Entry as LogEntry, batch_number, checkpoint_size, copy_key};
use evidence::{ParseKeyError, RecordKey, Verifier, open_by};
use ids::{IncidentId, Timestamp};
use report::{Entry, Period, Sealed, Targets, Tree, Watch, Worth, to_json, to_json_lines};
use serde_json::Value;

use crate::completeness_command::{self, PerhapsTrail};
use crate::evidence_command::{exit_code, now};
use crate::listing::LIST;
use crate::source::{Reading, Store, read_each, signed};

/// The end of a report's help: what its exit codes are, and examples of that report.
macro_rules! after_help {
    ($examples:literal) => {
        concat!(
            "\
Exit codes:
  0  verified, or self-consistent if no --root was given
  1  something does not hold (the report is written all the same, and says so first), or there is nothing to report
  2  wrong arguments
  3  everything holds, but some records carry no endorsement (degraded)

Examples:
",
            $examples
        )
    };
}

#[derive(Debug, Subcommand)]
pub(crate) enum Report {
    #[command(after_long_help = after_help!("\
  cordon evidence timeline inc-582222c0ebe0c78fc33d archive/
  cordon evidence timeline inc-582222c0ebe0c78fc33d archive/ --root FINGERPRINT --format html -o timeline.html
  cordon evidence timeline inc-582222c0ebe0c78fc33d s3://my-evidence --format timesketch -o timeline.jsonl"))]
    Timeline(TimelineOf),
    #[command(after_long_help = after_help!("\
  cordon evidence slo archive/ --from 2026-11-01 --to 2026-12-01
  cordon evidence slo archive/ --root FINGERPRINT --target detection=95%@300 --target seal-lag=99%@70
  cordon evidence slo s3://my-evidence --from 2026-10-01 --to 2027-01-01 --format html -o quarter.html"))]
    Slo(SloOf),
    /// List every incident of a period, and say whether the count is proved.
    ///
    /// It is if every record that the sealed log names was read, and a signed checkpoint is over them. The answer names that checkpoint and its
    /// root; without a log it says `NOT PROVED`. The leaves beside an incident are those that name its records: `cordon evidence proof` makes
    /// a receipt for any of them.
    #[command(after_long_help = after_help!("\
  cordon evidence population archive/ --root FINGERPRINT
  cordon evidence population s3://my-evidence --from 2026-10-01 --to 2027-01-01 --root seal=FINGERPRINT --root quarantine=FINGERPRINT
  cordon evidence population archive/ --format csv -o incidents.csv"))]
    Population(ListOf),
    /// Show which controls have evidence (NIST SP 800-53, SOC 2), and which have none.
    ///
    /// Each with its statement, how many records claim it and some of them. That is coverage: whether a control is effective, an assessor judges.
    #[command(after_long_help = after_help!("\
  cordon evidence controls archive/ --root FINGERPRINT
  cordon evidence controls archive/ --from 2026-01-01 --to 2027-01-01 --format csv -o controls.csv"))]
    Controls(ListOf),
    #[command(after_long_help = after_help!("\
  cordon evidence custody rec/quarantine/2026/11/23/02/13/66c9a00821b4aa9e84d0197b52721204.1-outcome.json archive/ --root FINGERPRINT
  cordon evidence custody archive/rec/quarantine/2026/11/23/02/13/66c9a00821b4aa9e84d0197b52721204.1-outcome.json archive/ \\
      --trail trail/ --role quarantine=arn:aws:iam::123456789012:role/QuarantineRole"))]
    Custody(CustodyOf),
    Completeness(completeness_command::CompletenessOf),
    #[command(after_long_help = after_help!("\
  cordon evidence export archive/ --root FINGERPRINT --format ocsf -o events.jsonl
  cordon evidence export archive/ --format ocsf --profile record_integrity
  cordon evidence export archive/ --from 2026-10-01 --to 2027-01-01 --format oscal -o results.json"))]
    Export(ExportOf),
}

/// The evidence, and where the report goes.
#[derive(Debug, Args)]
pub(crate) struct Source {
    #[command(flatten)]
    pub(crate) reading: Reading,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// From when until when; all that is there, if not given.
#[derive(Debug, Args)]
pub(crate) struct When {
    /// The first moment that counts: a day such as 2026-11-01 (UTC), or RFC 3339. Without it and `--to`, all that is there counts.
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "to")]
    from: Option<Timestamp>,
    /// The first moment that counts no more.
    #[arg(long, value_name = "TIME", value_parser = moment, requires = "from")]
    to: Option<Timestamp>,
}

/// Tell one incident moment by moment, each with its clock and its record.
#[derive(Debug, Args)]
pub(crate) struct TimelineOf {
    /// The incident, such as inc-582222c0ebe0c78fc33d.
    incident: IncidentId,
    #[command(flatten)]
    source: Source,
    /// `timesketch` is JSON lines, `iris` the CSV of DFIR-IRIS, `html` one file with everything in it.
    #[arg(long, value_enum, default_value_t = TimelineForm::Text)]
    format: TimelineForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum TimelineForm {
    Text,
    Json,
    Timesketch,
    Iris,
    Html,
}

/// Measure how soon incidents were detected, contained and closed, and how soon that was evidence.
///
/// Six measures: detection, containment (of severity 7.0 and above), revocation (time to revoke), recovery (MTTR), evidence-lag and seal-lag; each
/// with its count, p50, p95 and longest, the records it is from, and what was left out, with the reason. Drills are counted apart.
#[derive(Debug, Args)]
pub(crate) struct SloOf {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    when: When,
    /// Set a measure's target: so many percent within so many seconds. Repeatable. Those set already: detection=95%@300,
    /// containment=90%@1800.
    #[arg(long, value_name = "NAME=PERCENT%@SECONDS", value_parser = target)]
    target: Vec<String>,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = SloForm::Text)]
    format: SloForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum SloForm {
    Text,
    Json,
    Html,
}

/// A report over a period, as a list.
#[derive(Debug, Args)]
pub(crate) struct ListOf {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    when: When,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = ListForm::Text)]
    format: ListForm,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ListForm {
    Text,
    Json,
    Csv,
}

/// Show where one record comes from, and what leans on it; with --trail also who read, wrote or tried to delete it.
///
/// Only CloudTrail's S3 data events for the evidence bucket know that. Check them first: `aws cloudtrail validate-logs` shows that the
/// files are as CloudTrail wrote them. Someone else's write, a second one, or a deletion is a finding, and the exit code is then 1.
#[derive(Debug, Args)]
pub(crate) struct CustodyOf {
    /// The record's key, rec/FUNCTION/YYYY/MM/DD/HH/mm/ID.ATTEMPT-KIND.json, or the path of its file.
    #[arg(value_parser = record_key)]
    record: RecordKey,
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    trail: PerhapsTrail,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// Write events (OCSF 1.6) or assessment results (OSCAL 1.2) for other tools.
///
/// OCSF is Remediation Activity (7001) for what was read back, and Incident Finding (2005) for the incident's life, one event a line. OSCAL
/// results import an assessment plan: a stub of one, `assessment-plan.json`, is written beside them.
#[derive(Debug, Args)]
pub(crate) struct ExportOf {
    #[command(flatten)]
    source: Source,
    #[command(flatten)]
    when: When,
    /// `ocsf` is JSON lines; `oscal` needs --output.
    #[arg(long, value_enum)]
    format: ExportForm,
    /// Add this to every OCSF event, which then says OCSF 1.9. `record_integrity` chains the events of a session by their fingerprints.
    #[arg(long, value_enum, value_name = "PROFILE")]
    profile: Vec<OcsfProfile>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum ExportForm {
    Ocsf,
    Oscal,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum OcsfProfile {
    #[value(name = "record_integrity")]
    RecordIntegrity,
}

/// A time as people type it: a whole day, or RFC 3339.
fn moment(text: &str) -> Result<Timestamp, ids::ParseTimestampError> {
    let day = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    if day { format!("{text}T00:00:00Z").parse() } else { text.parse() }
}

/// A target, found to be one.
fn target(text: &str) -> Result<String, report::ParseTargetError> {
    Targets::default().set(text).map(|()| text.to_owned())
}

pub(crate) fn run(report: &Report) -> anyhow::Result<ExitCode> {
    // What is wrong with the arguments is said before a bucket is read for minutes.
    let (when, source) = match report {
        Report::Timeline(of) => (None, &of.source),
        Report::Slo(of) => (Some(&of.when), &of.source),
        Report::Population(of) | Report::Controls(of) => (Some(&of.when), &of.source),
        Report::Custody(of) => (None, &of.source),
        Report::Completeness(of) => (Some(&of.when), &of.source),
        Report::Export(of) => (Some(&of.when), &of.source),
    };
    let checked =
        when.map_or(Ok(None), When::given).and(source.output.as_ref().map_or(Ok(()), |file| place(&source.reading.store, file)));
    if let Err(error) = checked {
        eprintln!("error: {error:#}");
        return Ok(ExitCode::from(2));
    }
    match report {
        Report::Timeline(of) => timeline(of),
        Report::Slo(of) => slo(of),
        Report::Population(of) => population(of),
        Report::Controls(of) => controls(of),
        Report::Custody(of) => custody(of),
        Report::Completeness(of) => completeness_command::run(of),
        Report::Export(of) => export(of),
    }
}

fn timeline(of: &TimelineOf) -> anyhow::Result<ExitCode> {
    let read = Read::from(&of.source)?;
    let Some(timeline) = report::timeline(&read.entries, &of.incident, &read.worth) else {
        return read
            .nothing(&format!("no readable record is about {}; `cordon evidence population` lists what there is", of.incident));
    };
    let text = match of.format {
        TimelineForm::Text => timeline.text(),
        TimelineForm::Json => to_json(&timeline)?,
        TimelineForm::Timesketch => to_json_lines(&timeline.timesketch())?,
        TimelineForm::Iris => timeline.iris()?,
        TimelineForm::Html => timeline.html(),
    };
    read.write(&of.source, &text, of.format == TimelineForm::Text)
}

fn slo(of: &SloOf) -> anyhow::Result<ExitCode> {
    let mut targets = Targets::default();
    for target in &of.target {
        targets.set(target)?;
    }
    let read = Read::from(&of.source)?;
    let Some(period) = of.when.period(&read.entries)? else { return read.nothing("there is no readable record") };
    let slo = report::slo(&read.entries, period, &targets, &read.worth);
    let text = match of.format {
        SloForm::Text => slo.text(),
        SloForm::Json => to_json(&slo)?,
        SloForm::Html => slo.html(),
    };
    read.write(&of.source, &text, of.format == SloForm::Text)
}

fn population(of: &ListOf) -> anyhow::Result<ExitCode> {
    let read = Read::from(&of.source)?;
    let Some(period) = of.when.period(&read.entries)? else { return read.nothing("there is no readable record") };
    let population = report::population(&read.entries, period, &read.worth);
    let text = match of.format {
        ListForm::Text => population.text(),
        ListForm::Json => to_json(&population)?,
        ListForm::Csv => population.csv()?,
    };
    read.write(&of.source, &text, of.format == ListForm::Text)
}

fn controls(of: &ListOf) -> anyhow::Result<ExitCode> {
    let read = Read::from(&of.source)?;
    let period = of.when.given()?;
    let coverage = report::controls(&read.entries, period, &read.worth);
    let text = match of.format {
        ListForm::Text => coverage.text(),
        ListForm::Json => to_json(&coverage)?,
        ListForm::Csv => coverage.csv()?,
    };
    read.write(&of.source, &text, of.format == ListForm::Text)
}

fn custody(of: &CustodyOf) -> anyhow::Result<ExitCode> {
    let files = completeness_command::list(&of.trail.files)?;
    let read = Read::from(&of.source)?;
    let Some(mut custody) = report::custody(&read.entries, &of.record, &read.worth) else {
        return read.nothing(&format!("{} is not here, or cannot be read", of.record));
    };
    if !of.trail.files.is_empty() {
        let mut watch = Watch::new(of.record.clone(), bucket(&of.source.reading.store), of.trail.roles.clone());
        files.read(&mut watch)?;
        custody = custody.with(watch.finish());
    }
    let text = if of.json { to_json(&custody)? } else { custody.text() };
    let worth = read.write(&of.source, &text, !of.json)?;
    Ok(if custody.has_findings() { ExitCode::from(1) } else { worth })
}

/// The bucket that the evidence is in, or was taken from.
pub(crate) fn bucket(store: &Store) -> Option<String> {
    match store {
        Store::Bucket(name) => Some(name.clone()),
        Store::Folder(folder) => {
            let list: Value = serde_json::from_slice(&fs::read(folder.join(LIST)).ok()?).ok()?;
            Some(list.get("bucket")?.as_str()?.to_owned())
        }
    }
}

fn export(of: &ExportOf) -> anyhow::Result<ExitCode> {
    if of.format == ExportForm::Oscal && of.source.output.is_none() {
        eprintln!("error: OSCAL is two documents: give --output FILE, and `{}` is written beside it", report::PLAN_FILE);
        return Ok(ExitCode::from(2));
    }
    if of.format == ExportForm::Oscal && !of.profile.is_empty() {
        eprintln!("error: --profile is for OCSF events: OSCAL results have none");
        return Ok(ExitCode::from(2));
    }
    let read = Read::from(&of.source)?;
    let Some(period) = of.when.period(&read.entries)? else { return read.nothing("there is no readable record") };
    let text = match of.format {
        ExportForm::Ocsf => {
            let attested = of.profile.contains(&OcsfProfile::RecordIntegrity);
            to_json_lines(&report::ocsf(&read.entries, period, env!("CARGO_PKG_VERSION"), &read.worth, attested))?
        }
        ExportForm::Oscal => {
            let documents = report::oscal(&read.entries, period, &read.worth);
            let results = of.source.output.as_deref().unwrap_or(Path::new(""));
            let plan = results.with_file_name(report::PLAN_FILE);
            if plan == results {
                bail!("`{}` is where the plan goes: give the results another name", plan.display());
            }
            write_plan(&of.source.reading.store, &plan, &documents.plan)?;
            to_json(&documents.results)?
        }
    };
    read.write(&of.source, &text, false)
}

impl When {
    /// The period that was asked for.
    pub(crate) fn given(&self) -> anyhow::Result<Option<Period>> {
        Ok(self.from.zip(self.to).map(|(from, to)| Period::new(from, to)).transpose()?)
    }

    /// That, or the one that all of the records lie in.
    fn period(&self, entries: &[Entry]) -> anyhow::Result<Option<Period>> {
        Ok(self.given()?.or_else(|| Period::of(entries)))
    }
}

/// Everything readable in a folder, and what it is worth: found in one pass.
pub(crate) struct Read {
    pub(crate) entries: Vec<Entry>,
    pub(crate) worth: Worth,
    /// When each signed checkpoint that is here was made, by the sealer's clock.
    pub(crate) checkpoints: Vec<Timestamp>,
    /// What the copies of the checkpoints that are here are called in another account's bucket.
    pub(crate) copy_keys: BTreeSet<String>,
}

impl Read {
    pub(crate) fn from(source: &Source) -> anyhow::Result<Self> {
        let now = now()?;
        let mut verifier = Verifier::new(source.reading.root.clone());
        let (mut entries, mut sealed, mut named) = (Vec::new(), BTreeMap::new(), 0);
        let (mut times, mut checkpoints, mut copy_keys) = (BTreeMap::new(), BTreeSet::new(), BTreeSet::new());
        read_each(&source.reading.store, &mut verifier, now, &mut |key, bytes, version| {
            // Output of a command may look like a batch: only one in its place is one.
            if batch_number(key).is_some()
                && let Ok(batch) = Batch::parse(bytes)
            {
                let (number, time) = (batch.seal.batch, batch.seal.time);
                times.insert(batch.size, time);
                for (index, entry) in (batch.before.saturating_add(1)..).zip(batch.entries) {
                    if let LogEntry::Record(record) = entry {
                        named += 1;
                        sealed.insert(record.key, Sealed { index, batch: number, time });
                    }
                }
            }
            if checkpoint_size(key).is_some()
                && key.ends_with(".note")
                && let Some(checkpoint) = std::str::from_utf8(bytes).ok().and_then(|note| Checkpoint::read(note).ok())
            {
                checkpoints.insert(checkpoint.size);
                copy_keys.insert(copy_key(&checkpoint.origin, checkpoint.size));
            }
            // What cannot be opened is no record: the verifier names it, and no report is made of it.
            let Ok(key) = key.parse::<RecordKey>() else { return };
            let Ok((statement, sha256)) = open_by::<Value>(&key, bytes, signed) else { return };
            entries.push(Entry::new(sha256, version.map(|version| version.stored), None, &statement));
        })?;
        // A record may be met before the batch that names it.
        for entry in &mut entries {
            entry.seal(sealed.remove(entry.key()));
        }
        // In the order of their keys, as ever.
        entries.sort_by(|a: &Entry, b| a.key().cmp(b.key()));
        let report = verifier.finish(now);
        let tree = report.log.as_ref().map(|log| Tree::of(log, named));
        let checkpoints = checkpoints.iter().filter_map(|size| times.get(size).copied()).collect();
        Ok(Self { entries, worth: Worth::of(&report, now, tree), checkpoints, copy_keys })
    }

    /// There is nothing to report; what the evidence is worth is said all the same.
    fn nothing(&self, why: &str) -> anyhow::Result<ExitCode> {
        std::io::stderr().write_all(self.worth.text().as_bytes()).context("could not write the answer")?;
        Err(anyhow!("{why}"))
    }

    /// Writes a report. What the evidence is worth is in it, and said to the user as well unless the user is about to read it.
    fn write(&self, source: &Source, text: &str, read_at_once: bool) -> anyhow::Result<ExitCode> {
        self.put(source, text, read_at_once)?;
        Ok(exit_code(self.worth.standing))
    }

    /// The same, for those who know an exit code of their own.
    pub(crate) fn put(&self, source: &Source, text: &str, read_at_once: bool) -> anyhow::Result<()> {
        match &source.output {
            Some(file) => write_file(&source.reading.store, file, text)?,
            // Not `print!`: `cordon … | head` must not end in a panic.
            None => std::io::stdout().write_all(text.as_bytes()).context("could not write the report")?,
        }
        if source.output.is_some() || !read_at_once {
            std::io::stderr().write_all(self.worth.text().as_bytes()).context("could not write the answer")?;
        }
        Ok(())
    }
}

/// Writes the plan beside the results, unless someone has put their own in its place.
fn write_plan(evidence: &Store, file: &Path, plan: &Value) -> anyhow::Result<()> {
    let title = |document: &Value| document.pointer("/assessment-plan/metadata/title").cloned();
    let there = fs::read(file).ok();
    let ours = |bytes: &Vec<u8>| serde_json::from_slice(bytes).is_ok_and(|there: Value| title(&there) == title(plan));
    if there.is_some_and(|bytes| !ours(&bytes)) {
        eprintln!("`{}` is not the stub that this program writes: it is left as it is, and the results import it", file.display());
        return Ok(());
    }
    write_file(evidence, file, &to_json(plan)?)
}

fn write_file(evidence: &Store, file: &Path, text: &str) -> anyhow::Result<()> {
    place(evidence, file)?;
    fs::write(file, text).with_context(|| format!("could not write `{}`", file.display()))
}

/// Whether a report may be written to `file`: not among the evidence, where it would be a foreign object and fail the next verification.
fn place(evidence: &Store, file: &Path) -> anyhow::Result<()> {
    if file.is_dir() {
        bail!("`{}` is a folder: name a file", file.display());
    }
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let real = |path: &Path| fs::canonicalize(path).with_context(|| format!("there is no folder `{}`", path.display()));
    if let Store::Folder(evidence) = evidence
        && real(folder)?.starts_with(real(evidence)?)
    {
        bail!("`{}` lies among the evidence, where only records may be: choose another folder", file.display());
    }
    Ok(())
}

/// A record's key, or the path of its file.
pub(crate) fn record_key(text: &str) -> Result<RecordKey, ParseKeyError> {
    let within = text.rfind("/rec/").and_then(|at| text.get(at.saturating_add(1)..));
    text.parse().or_else(|error| within.ok_or(error)?.parse())
}
