//! `cordon evidence proof`: a receipt for one record.

use std::convert::Infallible;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use evidence::log::{Batch, Checkpoint, Entry, Receipt, batch_number, inclusion, leaf_hash, node_hash, proves};
use evidence::{RecordKey, Standing, Verifier};
use ids::Sha256;

use crate::evidence_command::now;
use crate::report_command::record_key;
use crate::source::{Reading, read_each};

/// Make a receipt for one record: that it is in the log, under a signed checkpoint, to be checked offline by others' tools.
///
/// The receipt is a C2SP `.tlog-proof`. Its extra data is the log's leaf, which holds the record's key and SHA-256. Everything is verified
/// before a receipt is made of it; where something does not hold, there is none.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  here is the receipt
  1  there is none: the record is not in the log, is under no checkpoint yet, or something does not hold
  2  wrong arguments

Examples:
  cordon evidence proof rec/quarantine/2026/11/23/02/13/66c9a00821b4aa9e84d0197b52721204.1-outcome.json archive/ \\
      --root seal=FINGERPRINT --root quarantine=FINGERPRINT -o receipt.tlog-proof")]
pub(crate) struct Proof {
    /// The record's key, rec/FUNCTION/YYYY/MM/DD/HH/mm/ID.ATTEMPT-KIND.json, or the path of its file.
    #[arg(value_parser = record_key)]
    record: RecordKey,
    #[command(flatten)]
    reading: Reading,
    /// Write to this file instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

pub(crate) fn run(arguments: &Proof) -> anyhow::Result<ExitCode> {
    let now = now()?;
    let mut verifier = Verifier::new(arguments.reading.root.clone());
    let (mut leaves, mut found, mut newest) = (Vec::new(), None, None);
    read_each(&arguments.reading.store, &mut verifier, now, &mut |key, bytes, _| {
        if batch_number(key).is_some()
            && let Ok(batch) = Batch::parse(bytes)
        {
            let at =
                batch.entries.iter().position(|entry| matches!(entry, Entry::Record(record) if record.key == arguments.record));
            let before = leaves.len();
            leaves.extend(batch.leaves().unwrap_or_default());
            found = found.or(at.map(|at| before + 1 + at));
        } else if key.starts_with("log/cp/")
            && let Ok(note) = String::from_utf8(bytes.to_vec())
            && let Ok(checkpoint) = Checkpoint::read(&note)
        {
            // In the order of their sizes: the last is the newest.
            newest = Some((checkpoint, note));
        }
    })?;
    let report = verifier.finish(now);
    if matches!(report.standing, Standing::Failed | Standing::Empty) {
        for fault in &report.faults {
            eprintln!("{fault}");
        }
        bail!("something does not hold, so there is no receipt: see `cordon evidence verify`");
    }
    let index = found.ok_or_else(|| anyhow!("{} is not in the log", arguments.record))?;
    let leaf = leaves.get(index).cloned().unwrap_or_default();
    let (checkpoint, note) = newest.ok_or_else(|| anyhow!("the log has no checkpoint yet"))?;
    let index = index as u64;
    if index >= checkpoint.size {
        bail!("{} is in the log at index {index}, and under no checkpoint yet: try again in a minute", arguments.record);
    }
    let levels = levels(leaves.iter().map(|leaf| leaf_hash(leaf)).collect());
    let node = |height: u8, number: u64| {
        let found = levels.get(usize::from(height)).zip(usize::try_from(number).ok()).and_then(|(level, at)| level.get(at));
        Ok::<_, Infallible>(found.copied().unwrap_or_else(|| Sha256::of(b"")))
    };
    let Ok(path) = inclusion(index, checkpoint.size, node);
    if !proves(leaf_hash(&leaf), index, checkpoint.size, &path, &checkpoint.root) {
        bail!("the proof does not lead to the checkpoint's root: do not rely on this log");
    }
    let receipt = Receipt { leaf, index, path, checkpoint: note }.to_string();
    match &arguments.output {
        Some(file) => std::fs::write(file, receipt).with_context(|| format!("could not write `{}`", file.display()))?,
        None => std::io::stdout().write_all(receipt.as_bytes()).context("could not write the receipt")?,
    }
    Ok(ExitCode::SUCCESS)
}

/// The roots of all complete subtrees, by height.
fn levels(leaves: Vec<Sha256>) -> Vec<Vec<Sha256>> {
    let mut levels = vec![leaves];
    while let Some(below) = levels.last().filter(|below| below.len() > 1) {
        let pair = |pair: &[Sha256]| if let [left, right] = pair { Some(node_hash(left, right)) } else { None };
        let above = below.chunks_exact(2).filter_map(pair).collect();
        levels.push(above);
    }
    levels
}
