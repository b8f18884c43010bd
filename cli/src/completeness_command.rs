//! `cordon evidence completeness`, and the trail that it and `cordon evidence custody` read.

use std::fs::{self, File};
use std::io::{BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::{Args, ValueEnum};
use evidence::Standing;
use flate2::bufread::MultiGzDecoder;
use report::{Completeness, Left, Places, Question, Reconciliation, Responder, TrailReader, to_json};
use trail::{Event, Refused};

use crate::evidence_command::now;
use crate::report_command::{Read, Source, When, bucket};
use crate::source::progress;

/// Compare the evidence with CloudTrail: a change that no record announced, a record that CloudTrail contradicts.
///
/// Give the roles that Cordon's functions run under, and CloudTrail's own files: a copy of its bucket (`aws s3 sync`), or what
/// `aws cloudtrail lookup-events` prints. Check the files first: `aws cloudtrail validate-logs` shows that they are as CloudTrail wrote them.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Findings:
  unannounced   a role of yours changed something, or tried to, and no record names the call
  contradicted  CloudTrail names another caller, call, result, resource, place or time than the record
  missing       CloudTrail saw a record being written, or a checkpoint being copied, that is not here (S3 data events)
  unseen        a record tells of a call that the trail, which covers its time, does not have
  unconcluded   an intent announced the change, and its outcome never came

Exit codes:
  0  complete as far as this trail goes: each change in the evidence is in it, and no other by these roles
  1  there is a finding, or the evidence does not hold, or a file could not be opened
  2  wrong arguments
  3  no finding, but not everything could be compared, or records carry no endorsement (the answer says which)

Examples:
  aws cloudtrail validate-logs --trail-arn ARN --start-time 2026-11-01T00:00:00Z
  aws s3 sync s3://TRAIL-BUCKET/AWSLogs trail/
  cordon evidence completeness archive/ --trail trail/ --role quarantine=ROLE-ARN --role seal=ROLE-ARN
  aws cloudtrail lookup-events --start-time 2026-11-23T00:00:00Z > events.json
  cordon evidence completeness s3://my-evidence --trail events.json --role quarantine=ROLE-ARN --from 2026-11-23 --to 2026-11-24")]
pub(crate) struct CompletenessOf {
    #[command(flatten)]
    pub(crate) source: Source,
    #[command(flatten)]
    trail: Trail,
    #[command(flatten)]
    pub(crate) when: When,
    /// The bucket that the evidence is in. Known of s3://BUCKET, and of an archive by its own word.
    #[arg(long, value_name = "BUCKET")]
    evidence_bucket: Option<String>,
    /// The log's tile bucket (the stack's output `TileBucket`).
    #[arg(long, value_name = "BUCKET")]
    tile_bucket: Option<String>,
    /// The bucket of another account that checkpoints are copied into (the parameter `CheckpointCopyBucket`), as its owner names it. A copy
    /// whose checkpoint is not here is a finding. Repeatable.
    #[arg(long, value_name = "BUCKET")]
    copy_bucket: Vec<String>,
    /// How many minutes CloudTrail may take to deliver an event: so long before the trail's last event nothing is missed.
    #[arg(long, value_name = "MINUTES", default_value_t = 15, value_parser = clap::value_parser!(u64).range(..=10_080))]
    delay: u64,
    /// How to write it.
    #[arg(long, value_enum, default_value_t = Form::Text)]
    format: Form,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

/// What CloudTrail wrote, and whose calls are ours.
#[derive(Debug, Args)]
pub(crate) struct Trail {
    /// CloudTrail's events: a file (log file, `lookup-events` or JSON lines, gzipped or not), or a folder of them. Repeatable.
    #[arg(long = "trail", value_name = "FILE|FOLDER", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// A role that a function of Cordon's runs under; with FUNCTION= only that function's. Repeatable.
    #[arg(long = "role", value_name = "[FUNCTION=]ARN", required = true)]
    pub(crate) roles: Vec<Responder>,
}

/// The same where a trail is not needed.
#[derive(Debug, Args)]
pub(crate) struct PerhapsTrail {
    /// CloudTrail's S3 data events: a file (log file, `lookup-events` or JSON lines, gzipped or not), or a folder of them. Repeatable.
    #[arg(long = "trail", value_name = "FILE|FOLDER")]
    pub(crate) files: Vec<PathBuf>,
    /// The role that may write the record; with FUNCTION= only that function's records. Repeatable.
    #[arg(long = "role", value_name = "[FUNCTION=]ARN", requires = "files")]
    pub(crate) roles: Vec<Responder>,
}

pub(crate) fn run(of: &CompletenessOf) -> anyhow::Result<ExitCode> {
    let period = of.when.given()?;
    // Before the evidence, which may take a while: a path that is not there is said at once.
    let files = list(&of.trail.files)?;
    let read = Read::from(&of.source)?;
    let question = Question {
        responders: of.trail.roles.clone(),
        period,
        delay: Duration::from_secs(of.delay.saturating_mul(60)),
        now: now()?,
        checkpoints: read.checkpoints.clone(),
        places: Places {
            evidence: of.evidence_bucket.clone().or_else(|| bucket(&of.source.reading.store)),
            tiles: of.tile_bucket.clone(),
            copies: of.copy_bucket.iter().cloned().collect(),
            copy_keys: read.copy_keys.clone(),
        },
    };
    let mut reconciliation = Reconciliation::new(&read.entries, question);
    files.read(&mut reconciliation)?;
    let found = reconciliation.finish(&read.worth);
    let text = match of.format {
        Form::Text => found.text(),
        Form::Json => to_json(&found)?,
    };
    read.put(&of.source, &text, of.format == Form::Text)?;
    Ok(exit_code(&found))
}

fn exit_code(found: &Completeness) -> ExitCode {
    let holds = !matches!(found.evidence.standing, Standing::Failed | Standing::Empty);
    ExitCode::from(match (holds && !found.has_findings(), found.complete && found.evidence.standing != Standing::Degraded) {
        (false, _) => 1,
        (true, true) => 0,
        (true, false) => 3,
    })
}

/// The files of a trail, found before any is read.
pub(crate) struct Files {
    files: Vec<PathBuf>,
    left_out: Vec<Left>,
}

/// Finds the files of a trail. A file that is named is read whatever its name; of a folder, those whose names are those of events.
pub(crate) fn list(paths: &[PathBuf]) -> anyhow::Result<Files> {
    let mut found = Files { files: Vec::new(), left_out: Vec::new() };
    for path in paths {
        let kind = fs::metadata(path).with_context(|| format!("there is no trail at `{}`", path.display()))?;
        if kind.is_dir() {
            let before = found.files.len();
            found.walk(path)?;
            if found.files.len() == before {
                bail!("`{}` holds no file of events (.json or .jsonl, or either with .gz)", path.display());
            }
        } else {
            found.files.push(path.clone());
        }
    }
    // The same file twice would be the same events twice.
    found.files.sort();
    found.files.dedup();
    Ok(found)
}

impl Files {
    fn walk(&mut self, folder: &Path) -> anyhow::Result<()> {
        let context = || format!("could not read the folder `{}`", folder.display());
        for entry in fs::read_dir(folder).with_context(context)? {
            let entry = entry.with_context(context)?;
            let path = entry.path();
            // A link to a folder is not followed: it may lead back here.
            if entry.file_type().with_context(context)?.is_dir() {
                self.walk(&path)?;
            } else if !path.is_dir() {
                match leave_out(&path) {
                    Some(why) => self.left_out.push(why),
                    None => self.files.push(path),
                }
            }
        }
        Ok(())
    }

    /// Reads one file after the other, each as a stream.
    pub(crate) fn read(self, reader: &mut impl TrailReader) -> anyhow::Result<()> {
        self.left_out.into_iter().for_each(|why| reader.left_out(why));
        let bar = progress(self.files.len(), "files");
        for path in self.files {
            let context = || format!("could not read `{}`", path.display());
            let mut file = BufReader::with_capacity(1 << 16, File::open(&path).with_context(context)?);
            let mut begins = [0; 2];
            let length = file.by_ref().take(2).read(&mut begins).with_context(context)?;
            let begins = begins.get(..length).unwrap_or_default();
            let name = path.display().to_string();
            reader.file();
            let whole = begins.chain(file);
            let mut each = |event: Result<Event, Refused>| match event {
                Ok(event) => reader.see(&event),
                Err(refused) => reader.refused(&name, &refused),
            };
            // By what it holds: whoever unpacked a file may have left its name.
            if begins == [0x1f, 0x8b] {
                trail::read(MultiGzDecoder::new(BufReader::new(whole)), &mut each);
            } else {
                trail::read(whole, &mut each);
            }
            bar.inc(1);
        }
        bar.finish_and_clear();
        Ok(())
    }
}

/// Why a file in a folder is no file of events, if it is none. The names are those of CloudTrail's own folders ("Finding your CloudTrail log
/// files", CloudTrail user guide).
fn leave_out(path: &Path) -> Option<Left> {
    let within = |folder: &str| path.components().any(|part| part.as_os_str() == folder);
    let name = path.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    if within("CloudTrail-Digest") {
        Some(Left::DigestFile)
    } else if within("CloudTrail-Insight") {
        Some(Left::InsightFile)
    } else if [".json", ".jsonl", ".ndjson"].iter().any(|end| name.ends_with(end)) {
        None
    } else {
        Some(Left::OtherFile)
    }
}
