//! `cordon evidence archive`: a bucket as a folder that needs nobody any more.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use evidence::largest_object;
use evidence_store::{Held, Listed as Version, S3};
use tokio::runtime::Runtime;

use crate::evidence_command::now;
use crate::source::{FORMAT, LIST, List, Listed, Store, UNFINISHED, open_bucket, progress};

/// So many objects are fetched at once.
const ABREAST: usize = 16;

/// Download an evidence bucket, with every version of every object, into a folder that can be verified anywhere.
///
/// Nothing is judged on the way: second versions and delete markers are part of it, and `verify` names them.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  0  everything that is in the bucket is in the folder
  1  it is not: the folder then says of itself that it is unfinished
  2  wrong arguments

Examples:
  cordon evidence archive s3://my-evidence 2026-q4
  cordon evidence verify 2026-q4 --root quarantine=<fingerprint> --root seal=<fingerprint>")]
pub(crate) struct Archive {
    /// The bucket.
    #[arg(value_name = "s3://BUCKET")]
    store: Store,
    /// The folder. It must not exist yet, or be empty.
    folder: PathBuf,
}

pub(crate) fn run(arguments: &Archive) -> anyhow::Result<ExitCode> {
    let Store::Bucket(bucket) = &arguments.store else { bail!("give the bucket as s3://BUCKET: a folder is an archive already") };
    let folder = arguments.folder.as_path();
    fs::create_dir_all(folder).with_context(|| format!("could not make `{}`", folder.display()))?;
    if fs::read_dir(folder).with_context(|| format!("could not list `{}`", folder.display()))?.next().is_some() {
        bail!("`{}` is not empty: an archive is made once, in a folder of its own", folder.display());
    }
    let mark = folder.join(UNFINISHED);
    fs::write(&mark, "The download into this folder is going on, or was cut off.\n").context("could not begin the archive")?;

    let (runtime, s3) = open_bucket(bucket)?;
    let mut versions = runtime.block_on(s3.versions("", None)).with_context(|| format!("could not list `{bucket}`"))?;
    // Oldest first. S3 lists the newest version of a key first, and that decides between two in one second.
    versions.reverse();
    versions.sort_by(|a, b| (&a.key, a.stored).cmp(&(&b.key, b.stored)));
    let mut seen = BTreeSet::new();
    let places: Vec<(Version, PathBuf)> = versions
        .into_iter()
        .map(|version| {
            let first = !version.marker && seen.insert(version.key.clone());
            let place = if first { version.key.clone() } else { format!("{}@{}", version.key, version.version) };
            (version, PathBuf::from(place))
        })
        .collect();
    let bar = progress(places.len(), "objects");
    let mut list = List { format: FORMAT.to_owned(), bucket: bucket.clone(), taken_at: now()?, objects: Vec::new() };
    for some in places.chunks(ABREAST) {
        for listed in fetch_all(some, folder, &runtime, &s3) {
            list.objects.push(listed?);
            bar.inc(1);
        }
    }
    mark_latest(&mut list.objects);
    bar.finish_and_clear();
    let text = serde_json::to_string_pretty(&list)? + "\n";
    fs::write(folder.join(LIST), text).with_context(|| format!("could not write `{LIST}`"))?;
    fs::remove_file(&mark).context("could not finish the archive")?;
    let count = list.objects.iter().filter(|object| !object.delete_marker).count();
    let said = format!("{count} objects of `{bucket}`, every version, in {}\n", folder.display());
    std::io::stdout().write_all(said.as_bytes()).context("could not write the answer")?;
    Ok(ExitCode::SUCCESS)
}

fn fetch_all(some: &[(Version, PathBuf)], folder: &Path, runtime: &Runtime, s3: &S3) -> Vec<anyhow::Result<Listed>> {
    std::thread::scope(|scope| {
        let running: Vec<_> =
            some.iter().map(|(version, path)| scope.spawn(|| fetch(version, path, folder, runtime, s3))).collect();
        running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow::anyhow!("a download failed")))).collect()
    })
}

fn fetch(version: &Version, path: &Path, folder: &Path, runtime: &Runtime, s3: &S3) -> anyhow::Result<Listed> {
    let mut listed = Listed {
        key: version.key.clone(),
        version_id: version.version.clone(),
        latest: false,
        delete_marker: version.marker,
        last_modified: version.stored,
        size: None,
        sha256: None,
        retain_until: None,
        mode: None,
        path: None,
    };
    if version.marker {
        return Ok(listed);
    }
    // A key comes from a bucket: it must not lead out of the folder.
    if !path.components().all(|part| matches!(part, Component::Normal(_))) || path.to_string_lossy().contains('\\') {
        bail!("the key `{}` would lead out of the archive", version.key.escape_debug());
    }
    let largest = u64::try_from(largest_object(&version.key)).unwrap_or(u64::MAX).max(version.size);
    let read = runtime.block_on(s3.held(&version.key, &version.version, largest));
    let Held { bytes, sha256, retain_until, mode } = read.with_context(|| format!("could not fetch `{}`", version.key))?;
    let target = folder.join(path);
    let write = || {
        target.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(&target, &bytes)
    };
    write().with_context(|| format!("could not write `{}`", target.display()))?;
    (listed.size, listed.sha256) = (Some(bytes.len() as u64), sha256);
    (listed.retain_until, listed.mode, listed.path) = (retain_until, mode, Some(path.to_owned()));
    Ok(listed)
}

/// The newest version of each key is what a reader without versions sees.
fn mark_latest(objects: &mut [Listed]) {
    for at in 0..objects.len() {
        let key = objects.get(at).map(|object| object.key.clone());
        let next = objects.get(at + 1).map(|object| object.key.clone());
        if let Some(object) = objects.get_mut(at) {
            object.latest = key != next;
        }
    }
}
