//! `cordon evidence archive`: a bucket as a folder that needs nobody any more.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use evidence::log::batch_number;
use evidence::{BlobKey, RecordKey, largest_object};
use evidence_store::{Held, Listed as Version, S3};
use ids::Sha256;
use tokio::runtime::Runtime;

use crate::evidence_command::now;
use crate::listing::{FORMAT, LIST, Listed, UNFINISHED, each_key};
use crate::source::{Store, open_bucket, spinner};

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
  cordon evidence verify 2026-q4 --root quarantine=FINGERPRINT --root seal=FINGERPRINT")]
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
    let list = folder.join(LIST);
    let file = fs::File::create_new(&list).with_context(|| format!("could not write `{LIST}`"))?;
    let list = Writer { file: BufWriter::new(file), count: 0, objects: 0 };
    let mut download = Download { bucket, folder, runtime: &runtime, s3: &s3, list, waiting: Vec::new() };
    let (count, size) = download.all()?;
    fs::remove_file(&mark).context("could not finish the archive")?;
    let said = format!("{count} objects of `{bucket}`, every version, in {} ({size} versions and markers)\n", folder.display());
    std::io::stdout().write_all(said.as_bytes()).context("could not write the answer")?;
    Ok(ExitCode::SUCCESS)
}

/// A bucket on its way into a folder, a page of its listing at a time.
struct Download<'a> {
    bucket: &'a str,
    folder: &'a Path,
    runtime: &'a Runtime,
    s3: &'a S3,
    list: Writer,
    /// Versions that were listed and not fetched yet, each with its place in the folder and whether it is its key's newest.
    waiting: Vec<(Version, PathBuf, bool)>,
}

impl Download<'_> {
    /// How many objects that were, and how many versions and delete markers.
    fn all(&mut self) -> anyhow::Result<(usize, usize)> {
        self.list.begin(self.bucket)?;
        let bar = spinner("objects");
        let (bucket, runtime, s3) = (self.bucket, self.runtime, self.s3);
        each_key(bucket, (runtime, s3), &mut |versions| {
            self.add(versions)?;
            bar.set_position(self.list.count as u64);
            Ok(())
        })?;
        self.fetch_waiting()?;
        bar.finish_and_clear();
        self.list.end()
    }

    /// Takes in all versions of one key, the first of them first.
    fn add(&mut self, versions: Vec<Version>) -> anyhow::Result<()> {
        let count = versions.len();
        let mut first = true;
        for (n, version) in (1..).zip(versions) {
            let plain = !version.marker && std::mem::take(&mut first);
            let place = place(&version, plain);
            self.waiting.push((version, place.into(), n == count));
            if self.waiting.len() >= ABREAST {
                self.fetch_waiting()?;
            }
        }
        Ok(())
    }

    fn fetch_waiting(&mut self) -> anyhow::Result<()> {
        let waiting = std::mem::take(&mut self.waiting);
        let fetched: Vec<anyhow::Result<Listed>> = std::thread::scope(|scope| {
            let running: Vec<_> = waiting
                .iter()
                .map(|(version, path, latest)| {
                    scope.spawn(|| {
                        let listed = fetch(version, path, self.folder, self.runtime, self.s3)?;
                        Ok(Listed { latest: *latest, ..listed })
                    })
                })
                .collect();
            running.into_iter().map(|thread| thread.join().unwrap_or_else(|_| Err(anyhow!("a download failed")))).collect()
        });
        fetched.into_iter().try_for_each(|listed| self.list.push(&listed?))
    }
}

/// The list, written as it grows: the archive says that it is unfinished until it is.
struct Writer {
    file: BufWriter<fs::File>,
    count: usize,
    objects: usize,
}

impl Writer {
    const DOING: &'static str = "could not write the list of versions";

    fn begin(&mut self, bucket: &str) -> anyhow::Result<()> {
        let (format, bucket) = (serde_json::to_string(FORMAT)?, serde_json::to_string(bucket)?);
        let taken_at = serde_json::to_string(&now()?)?;
        let head = format!("{{\n  \"format\": {format},\n  \"bucket\": {bucket},\n  \"taken_at\": {taken_at},\n  \"objects\": [");
        self.file.write_all(head.as_bytes()).context(Self::DOING)
    }

    fn push(&mut self, listed: &Listed) -> anyhow::Result<()> {
        let comma = if self.count > 0 { "," } else { "" };
        self.count += 1;
        self.objects += usize::from(!listed.delete_marker);
        write!(self.file, "{comma}\n    {}", serde_json::to_string(listed)?).context(Self::DOING)
    }

    /// How many objects it lists, and how many versions and delete markers.
    fn end(&mut self) -> anyhow::Result<(usize, usize)> {
        self.file.write_all(b"\n  ]\n}\n").context(Self::DOING)?;
        self.file.flush().context(Self::DOING)?;
        self.file.get_ref().sync_all().context(Self::DOING)?;
        Ok((self.objects, self.count))
    }
}

/// Where a version lies in the archive. A key that is none of ours, which anyone who may write can choose, must neither lead out of the
/// folder nor stand in the way of another: it lies under its digest, and the list says whose that is.
fn place(version: &Version, first: bool) -> String {
    let Version { key, version, .. } = version;
    let ours = key.parse::<RecordKey>().is_ok()
        || key.parse::<BlobKey>().is_ok()
        || batch_number(key).is_some()
        || ["log/cp/", "keys/ring/", "keys/seal/"].into_iter().filter_map(|folder| key.strip_prefix(folder)).any(|name| {
            (1..200).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        });
    match (ours, first) {
        (true, true) => key.clone(),
        (true, false) => format!("{key}@{version}"),
        (false, _) => format!("odd/{}@{version}", Sha256::of(key.as_bytes())),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_key_of_ours_lies_there_and_nothing_else_stands_in_its_way() {
        let version = |key: &str| Version {
            key: key.to_owned(),
            version: "v1".to_owned(),
            stored: ids::Timestamp::saturating(0),
            marker: false,
            size: 1,
        };
        let record = "rec/quarantine/2026/11/23/02/13/66c9a00821b4aa9e84d0197b52721204.1-intent.json";
        let blob = format!("blob/{}/{}", Sha256::of(b"x").prefix(1), Sha256::of(b"x"));
        for ours in
            [record, &blob, "log/batch/000000000001.json", "log/cp/000000000003.note", "keys/ring/000001.json", "keys/seal/ab.der"]
        {
            assert_eq!(place(&version(ours), true), ours);
            assert_eq!(place(&version(ours), false), format!("{ours}@v1"));
        }
        let long = format!("log/cp/{}", "a".repeat(300));
        for odd in [
            "rec/run/../x",
            "rec/run/2026",
            "blob/",
            "a\\b",
            "/etc/passwd",
            "keys/seal/",
            "keys/seal/..",
            "log/cp/a/b",
            &long,
            "versions.json",
            "",
        ] {
            assert_eq!(place(&version(odd), true), format!("odd/{}@v1", Sha256::of(odd.as_bytes())), "{odd}");
        }
    }
}
