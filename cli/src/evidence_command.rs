//! `cordon evidence …`.

use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use evidence::log::Witness;
use evidence::{LogReport, Release, Report, Standing, Verifier};
use ids::Timestamp;

use crate::source::{Reading, read};
use crate::{archive_command, datakey_command, proof_command, report_command, run_command, trust_command};

#[derive(Debug, Subcommand)]
pub(crate) enum Evidence {
    Verify(Verify),
    Archive(archive_command::Archive),
    Proof(proof_command::Proof),
    Run(Box<run_command::Run>),
    Show(run_command::Show),
    Output(run_command::Output),
    Keygen(run_command::Keygen),
    Trust(trust_command::Trust),
    Datakey(datakey_command::Datakey),
    #[command(flatten)]
    Report(report_command::Report),
}

/// Verify evidence: every signature, sequence, link and version, and the log that orders them.
///
/// The evidence is an archive (it has a `versions.json`), the folder of a local store, or a bucket. Nothing is written.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  verified, or self-consistent if no --root was given
  1  something does not hold, or there is nothing to verify
  2  wrong arguments
  3  everything holds, but some records carry no endorsement (degraded)

Examples:
  cordon evidence verify target/drill/evidence
  cordon evidence verify --root FINGERPRINT archive/       # of the keyring's root (cordon evidence trust)
  cordon evidence verify --root quarantine=FINGERPRINT --root seal=FINGERPRINT archive/       # key by key
  cordon evidence verify --root FINGERPRINT --release release.sha256 archive/
  cordon evidence verify s3://my-evidence --checkpoint last-quarter.note
  cordon evidence verify archive/ --root FINGERPRINT --witness 'witness.example/w1+ID+KEY'
  openssl pkey -pubin -in evidence.pub -outform DER | sha256sum    # a key's fingerprint")]
pub(crate) struct Verify {
    #[command(flatten)]
    reading: Reading,
    /// Compare the log with this checkpoint, which was kept elsewhere: a log that was cut off or forked since does not fit it. Repeatable.
    #[arg(long, value_name = "FILE")]
    checkpoint: Vec<PathBuf>,
    /// Compare the code that wrote the records with this release: lines as `sha256sum` prints them, `HEX  FUNCTION/bootstrap`. Repeatable.
    #[arg(long, value_name = "FILE")]
    release: Vec<PathBuf>,
    /// Demand that this witness cosigned the log: its newest checkpoint, or one that leaves out no more than the last 65 minutes of it. By
    /// verifier key, NAME+ID+KEY. Repeatable: each must have.
    #[arg(long, value_name = "VKEY")]
    witness: Vec<Witness>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Evidence) -> anyhow::Result<ExitCode> {
    match command {
        Evidence::Verify(verify) => verify_folder(verify),
        Evidence::Archive(archive) => archive_command::run(archive),
        Evidence::Proof(proof) => proof_command::run(proof),
        Evidence::Run(run) => Ok(run_command::run(run)),
        Evidence::Show(show) => run_command::show(show),
        Evidence::Output(output) => run_command::output(output),
        Evidence::Keygen(keygen) => run_command::keygen(keygen),
        Evidence::Trust(trust) => trust_command::run(trust),
        Evidence::Datakey(datakey) => datakey_command::run(datakey),
        Evidence::Report(report) => report_command::run(report),
    }
}

fn verify_folder(arguments: &Verify) -> anyhow::Result<ExitCode> {
    let now = now()?;
    let mut verifier = Verifier::new(arguments.reading.root.clone()).witnessed_by(arguments.witness.clone());
    for file in &arguments.release {
        let text = std::fs::read_to_string(file).with_context(|| format!("could not read `{}`", file.display()))?;
        verifier.expect_release(Release::parse(&text).with_context(|| format!("`{}`", file.display()))?);
    }
    for file in &arguments.checkpoint {
        let note = std::fs::read(file).with_context(|| format!("could not read `{}`", file.display()))?;
        verifier = verifier.against(file.display(), note);
    }
    let listed = read(&arguments.reading.store, &mut verifier, now)?;
    let report = verifier.finish(now);
    let text = if arguments.json { serde_json::to_string_pretty(&report)? + "\n" } else { for_people(&report, listed) };
    // Not `print!`: `cordon … | head` must not end in a panic.
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")?;
    Ok(exit_code(report.standing))
}

/// What a command that read evidence of this standing exits with.
pub(crate) fn exit_code(standing: Standing) -> ExitCode {
    ExitCode::from(match standing {
        Standing::Verified | Standing::SelfConsistent => 0,
        Standing::Failed | Standing::Empty => 1,
        Standing::Degraded => 3,
    })
}

pub(crate) fn now() -> anyhow::Result<Timestamp> {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).context("this machine's clock is before 1970")?;
    Timestamp::from_millis(i64::try_from(since.as_millis())?).context("this machine's clock is past the year 9999")
}

fn for_people(report: &Report, listed: bool) -> String {
    let mut lines: Vec<String> = report.faults.iter().map(ToString::to_string).collect();
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let what = format!(
        "{} of {}, {}",
        count(report.records, "record"),
        count(report.sessions, "session"),
        count(report.incidents, "incident")
    );
    let what = if report.blobs > 0 { format!("{what}, {}", count(report.blobs, "blob")) } else { what };
    for (key, functions) in &report.endorsers {
        let functions: Vec<_> = functions.iter().map(ToString::to_string).collect();
        lines.push(format!("endorsed by key {key} for {}", functions.join(", ")));
    }
    for code in &report.code {
        lines.push(format!("written by code {code}, as it claims"));
    }
    if !report.released.is_empty() {
        let functions: Vec<_> = report.released.iter().map(ToString::to_string).collect();
        lines.push(format!("compared with the release: the code of {}", functions.join(", ")));
    }
    lines.extend(report.keyring.iter().map(ToString::to_string));
    match &report.log {
        Some(log) => {
            lines.push(format!(
                "log {}: {} leaves in {}, the newest of {}, {} of them under a signed checkpoint; root {}",
                log.name,
                log.size,
                count(usize::try_from(log.batches).unwrap_or(usize::MAX), "batch").replace("batchs", "batches"),
                log.newest,
                log.signed,
                log.root
            ));
            lines.extend(anchors(log));
        }
        None if report.records > 0 => lines.push("no log here: sessions that were dropped whole would not be missed".to_owned()),
        None => {}
    }
    if report.records == 0 && report.standing == Standing::Failed {
        lines.push("no record at all was found here: is this the folder that holds `rec/`?".to_owned());
    }
    if !listed && report.records > 0 {
        lines.push("no versions.json here: second versions and delete markers were not looked for".to_owned());
    }
    lines.push(match report.standing {
        Standing::Verified => format!("VERIFIED: {what}"),
        Standing::SelfConsistent => format!(
            "SELF-CONSISTENT: {what}. Whose key this is was not asked: compare the fingerprint above with one you trust, or give it as --root"
        ),
        Standing::Degraded => format!("DEGRADED: {what}. It holds together, but nobody vouches for the records named above"),
        Standing::Failed => format!("FAILED: {what}. Do not rely on the objects named above"),
        Standing::Empty => "NOTHING TO VERIFY: no record was found here. Is this the folder that holds `rec/`?".to_owned(),
    });
    lines.join("\n") + "\n"
}

/// What others say of the log, a line each.
fn anchors(log: &LogReport) -> Vec<String> {
    let mut lines = Vec::new();
    for vkey in &log.anchors.vkeys {
        lines.push(format!("its checkpoints are signed with Ed25519 too, by {vkey}"));
    }
    for (witness, cosigned) in &log.anchors.cosigned {
        lines.push(format!("cosigned at {}: {} of {} leaves, by {witness}", cosigned.time, cosigned.size, log.size));
    }
    if let Some(newest) = log.anchors.newest_timestamp {
        let (count, all) = (log.anchors.timestamped, log.checkpoints);
        lines.push(format!(
            "{count} of {all} checkpoints have a timestamp over them, the newest of {newest}; by whom, `openssl ts -verify` says"
        ));
    }
    lines
}
