//! Where evidence is read from: a bucket, an archive of one, or the folder of a local store.
//!
//! An *archive* is a folder with a `versions.json` at its top that lists every version the bucket held. A key's first version lies at its
//! own path, another at `<key>@<version id>`, and a delete marker has no file. What the list and the folder do not agree on is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use aws_config::BehaviorVersion;
use calls::CallLog;
use clap::Args;
use evidence::{Examined, FaultKind, Root, Verifier, Version, largest_object};
use evidence_store::{Folder, S3};
use ids::{Sha256, Timestamp};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

/// The list's name.
pub(crate) const LIST: &str = "versions.json";
/// What a download that was cut off leaves behind.
pub(crate) const UNFINISHED: &str = ".cordon-archive-unfinished";
pub(crate) const FORMAT: &str = "cordon-archive/v1";
/// So many bytes are read before they are judged. A single blob may be 8 MiB.
const AT_ONCE: u64 = 32 << 20;
/// So many requests at once to a bucket.
const ABREAST: usize = 16;
/// From so many objects on a progress bar is worth its lines.
const LONG: usize = 1000;

/// Where evidence is kept: a folder, or a bucket as `s3://BUCKET`.
#[derive(Debug, Clone)]
pub(crate) enum Store {
    Folder(PathBuf),
    Bucket(String),
}

impl std::str::FromStr for Store {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.strip_prefix("s3://") {
            None if text.is_empty() => Err("expected a folder or s3://BUCKET"),
            None => Ok(Self::Folder(text.into())),
            Some(bucket) if bucket.is_empty() || bucket.contains('/') => Err("expected s3://BUCKET: evidence has its own bucket"),
            Some(bucket) => Ok(Self::Bucket(bucket.to_owned())),
        }
    }
}

/// What is read, and whom the reader trusts.
#[derive(Debug, Args)]
pub(crate) struct Reading {
    /// Where the evidence is: an archive (it has a `versions.json`), the folder of a local store, or s3://BUCKET.
    #[arg(value_name = "FOLDER|s3://BUCKET")]
    pub(crate) store: Store,
    /// Trust this key, by the SHA-256 of its public DER form: the root of the keyring, which names all others, or a function's own KMS
    /// key; with FUNCTION= only for that function. Repeatable.
    #[arg(long, value_name = "[FUNCTION=]FINGERPRINT")]
    pub(crate) root: Vec<Root>,
}

/// The list of an archive.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct List {
    pub(crate) format: String,
    pub(crate) bucket: String,
    pub(crate) taken_at: Timestamp,
    pub(crate) objects: Vec<Listed>,
}

/// One version in that list.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Listed {
    pub(crate) key: String,
    pub(crate) version_id: String,
    pub(crate) latest: bool,
    pub(crate) delete_marker: bool,
    pub(crate) last_modified: Timestamp,
    pub(crate) size: Option<u64>,
    pub(crate) sha256: Option<Sha256>,
    pub(crate) retain_until: Option<Timestamp>,
    pub(crate) mode: Option<String>,
    pub(crate) path: Option<PathBuf>,
}

/// An object to be read.
struct Object {
    key: String,
    version: Option<Version>,
    marker: bool,
    size: u64,
    /// The digest that the store computed, where an archive says so.
    sha256: Option<Sha256>,
    /// Where its bytes are, in a folder.
    path: PathBuf,
}

/// The objects of a store, in the order of their keys, and whether every version of them is listed.
struct Found {
    objects: Vec<Object>,
    versions: bool,
    bucket: Option<(Runtime, S3)>,
}

/// Is handed each object that the verifier is: its key, its bytes, and what the store says of it.
pub(crate) type Each<'a> = dyn FnMut(&str, &[u8], Option<&Version>) + 'a;

/// Puts everything in a store before the verifier. True if every version is listed there.
pub(crate) fn read(store: &Store, verifier: &mut Verifier, now: Timestamp) -> anyhow::Result<bool> {
    read_each(store, verifier, now, &mut |_, _, _| {})
}

/// Like [`read`], and hands each object to `each` as well.
pub(crate) fn read_each(store: &Store, verifier: &mut Verifier, now: Timestamp, each: &mut Each<'_>) -> anyhow::Result<bool> {
    let found = match store {
        Store::Folder(folder) => list_folder(folder, verifier)?,
        Store::Bucket(name) => list_bucket(name)?,
    };
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    let mut previous = "";
    for object in &found.objects {
        if object.key == previous {
            *versions.entry(&object.key).or_insert(1) += 1;
        }
        previous = &object.key;
    }
    for (key, count) in versions {
        verifier.fault(FaultKind::Failure, key, format_args!("{count} versions, where evidence has one"));
    }
    let bar = progress(found.objects.len(), "objects");
    let mut rest = found.objects.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = |object: &&Object| {
            let room = bytes < AT_ONCE;
            bytes = bytes.saturating_add(object.size);
            room
        };
        let count = rest.iter().take_while(fits).count();
        let (these, later) = rest.split_at(count.clamp(1, 512).min(rest.len()));
        for (object, loaded) in these.iter().zip(load_all(these, store, found.bucket.as_ref())) {
            admit(object, loaded?, verifier, now, each);
            bar.inc(1);
        }
        rest = later;
    }
    bar.finish_and_clear();
    Ok(found.versions)
}

/// A progress bar on standard error, if that is a terminal and it will take a while.
pub(crate) fn progress(count: usize, what: &str) -> ProgressBar {
    let target = if count < LONG { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let style = ProgressStyle::with_template(&format!("{{bar:30}} {{pos}}/{{len}} {what} ({{eta}} left)"));
    let bar = ProgressBar::with_draw_target(Some(count as u64), target);
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// What reading one object came to.
enum Loaded {
    Marker,
    TooLarge,
    Bytes { bytes: Vec<u8>, examined: Box<Examined>, as_listed: bool },
}

/// Reads objects and looks at each, on all cores (or many requests at once), in order.
fn load_all(objects: &[Object], store: &Store, bucket: Option<&(Runtime, S3)>) -> Vec<anyhow::Result<Loaded>> {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let threads = if bucket.is_some() { ABREAST } else { cores };
    let share = objects.len().div_ceil(threads).max(1);
    std::thread::scope(|scope| {
        let running: Vec<_> = objects
            .chunks(share)
            .map(|part| scope.spawn(move || part.iter().map(|object| load(object, store, bucket)).collect::<Vec<_>>()))
            .collect();
        running.into_iter().flat_map(|thread| thread.join().unwrap_or_else(|_| vec![Err(anyhow!("a reader failed"))])).collect()
    })
}

fn load(object: &Object, store: &Store, bucket: Option<&(Runtime, S3)>) -> anyhow::Result<Loaded> {
    if object.marker {
        return Ok(Loaded::Marker);
    }
    let largest = u64::try_from(largest_object(&object.key)).unwrap_or(u64::MAX);
    if object.size > largest {
        return Ok(Loaded::TooLarge);
    }
    let bytes = match (store, bucket) {
        (Store::Folder(folder), _) => {
            let file = folder.join(&object.path);
            fs::read(&file).with_context(|| format!("could not read `{}`", file.display()))?
        }
        (Store::Bucket(_), Some((runtime, s3))) => {
            let version = object.version.as_ref().map(|version| version.id.as_str());
            let read = runtime.block_on(s3.content(&object.key, version, largest));
            let read = read.with_context(|| format!("could not read `{}`", object.key))?;
            read.ok_or_else(|| anyhow!("`{}` was listed, and is not there", object.key))?
        }
        (Store::Bucket(_), None) => bail!("the bucket is not open"),
    };
    let as_listed = object.sha256.is_none_or(|digest| digest == Sha256::of(&bytes));
    let examined = Box::new(Examined::look(&object.key, &bytes));
    Ok(Loaded::Bytes { bytes, examined, as_listed })
}

fn admit(object: &Object, loaded: Loaded, verifier: &mut Verifier, now: Timestamp, each: &mut Each<'_>) {
    let version = object.version.as_ref();
    match (loaded, version) {
        (Loaded::Marker, Some(version)) => verifier.hidden(&object.key, version),
        (Loaded::Marker, None) => {}
        (Loaded::TooLarge, _) => {
            verifier.fault(FaultKind::Failure, &object.key, "larger than any record or blob can be");
        }
        (Loaded::Bytes { bytes, examined, as_listed }, _) => {
            if !as_listed {
                verifier.fault(FaultKind::Failure, &object.key, "its bytes are not those that S3 computed the SHA-256 of");
            }
            verifier.admit(*examined, version, now);
            each(&object.key, &bytes, version);
        }
    }
}

/// A client of the bucket, by the environment's own configuration.
pub(crate) fn open_bucket(name: &str) -> anyhow::Result<(Runtime, S3)> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("could not start")?;
    let config = runtime.block_on(aws_config::load_defaults(BehaviorVersion::v2026_01_12()));
    if config.region().is_none() {
        bail!("which Region is `{name}` in? Set AWS_REGION, or AWS_PROFILE to a profile that has one");
    }
    let s3 = S3::new(&config, CallLog::default(), name.to_owned());
    Ok((runtime, s3))
}

fn list_bucket(name: &str) -> anyhow::Result<Found> {
    let (runtime, s3) = open_bucket(name)?;
    let mut listed = runtime.block_on(s3.versions("", None)).with_context(|| format!("could not list `{name}`"))?;
    // The first version of a key first: it is the one that counts. S3 lists it last, and that decides between two in one second.
    listed.reverse();
    listed.sort_by(|a, b| (&a.key, a.stored, a.marker).cmp(&(&b.key, b.stored, b.marker)));
    let object = |listed: evidence_store::Listed| Object {
        version: Some(Version { id: listed.version, stored: listed.stored }),
        key: listed.key,
        marker: listed.marker,
        size: listed.size,
        sha256: None,
        path: PathBuf::new(),
    };
    Ok(Found { objects: listed.into_iter().map(object).collect(), versions: true, bucket: Some((runtime, s3)) })
}

fn list_folder(folder: &Path, verifier: &mut Verifier) -> anyhow::Result<Found> {
    if !folder.is_dir() {
        bail!("`{}` is not a folder. Give the folder that holds `rec/`, or s3://BUCKET", folder.display());
    }
    let mut files = BTreeMap::new();
    walk(folder, &mut PathBuf::new(), &mut files, verifier)?;
    if files.contains_key(Path::new(UNFINISHED)) {
        bail!("`{}` is half an archive: its download was cut off. Take it again, into another folder", folder.display());
    }
    if files.remove(Path::new(LIST)).is_none() {
        let plain = |(path, size): (PathBuf, u64)| {
            let key = slashed(&path);
            Object { key, version: None, marker: false, size, sha256: None, path }
        };
        let mut objects: Vec<Object> = files.into_iter().map(plain).collect();
        objects.sort_by(|a, b| a.key.cmp(&b.key));
        return Ok(Found { objects, versions: false, bucket: None });
    }
    let list = fs::File::open(folder.join(LIST)).with_context(|| format!("could not read {LIST}"))?;
    let list: List = serde_json::from_reader(BufReader::new(list)).with_context(|| format!("{LIST} is not a list of versions"))?;
    if list.format != FORMAT {
        bail!("{LIST} says its format is `{}`; this program reads `{FORMAT}`", list.format.escape_debug());
    }
    let objects = list.objects.into_iter().filter_map(|listed| listed_object(listed, &mut files, verifier)).collect();
    for path in files.into_keys() {
        verifier.fault(FaultKind::Failure, slashed(&path), format_args!("not in {LIST}: a second version, or put here later"));
    }
    let mut found = Found { objects, versions: true, bucket: None };
    found.objects.sort_by(|a, b| {
        let time = |object: &Object| object.version.as_ref().map(|version| version.stored);
        (&a.key, time(a), a.marker).cmp(&(&b.key, time(b), b.marker))
    });
    Ok(found)
}

fn listed_object(listed: Listed, files: &mut BTreeMap<PathBuf, u64>, verifier: &mut Verifier) -> Option<Object> {
    let Listed { key, version_id, .. } = &listed;
    let version = Some(Version { id: version_id.clone(), stored: listed.last_modified });
    if listed.delete_marker {
        return Some(Object { key: listed.key, version, marker: true, size: 0, sha256: None, path: PathBuf::new() });
    }
    if listed.mode.as_deref() != Some("COMPLIANCE") {
        verifier.fault(FaultKind::Notice, key, "its version was not locked in COMPLIANCE mode when the archive was made");
    }
    let Some(path) = listed.path.clone().filter(|path| path.components().all(|part| matches!(part, Component::Normal(_)))) else {
        verifier.fault(FaultKind::Failure, key, format_args!("{LIST} does not say which file holds version {version_id}"));
        return None;
    };
    let Some(size) = files.remove(&path) else {
        verifier.fault(FaultKind::Failure, key, format_args!("missing: {LIST} names `{}`, which is not here", path.display()));
        return None;
    };
    Some(Object { key: listed.key, version, marker: false, size, sha256: listed.sha256, path })
}

fn walk(top: &Path, below: &mut PathBuf, files: &mut BTreeMap<PathBuf, u64>, verifier: &mut Verifier) -> anyhow::Result<()> {
    let folder = top.join(&below);
    let mut entries = BTreeSet::new();
    for entry in fs::read_dir(&folder).with_context(|| format!("could not list `{}`", folder.display()))? {
        entries.insert(entry.with_context(|| format!("could not list `{}`", folder.display()))?.file_name());
    }
    for name in entries {
        below.push(&name);
        let path = top.join(&below);
        // Not followed: a link would put something else before the verifier than what lies here.
        let kind = fs::symlink_metadata(&path).with_context(|| format!("could not look at `{}`", path.display()))?;
        if kind.is_dir() {
            walk(top, below, files, verifier)?;
        } else if kind.is_file() && Folder::is_unfinished(&name) {
            verifier.fault(FaultKind::Notice, slashed(below), "a write that was cut off: no evidence, and not read");
        } else if kind.is_file() {
            files.insert(below.clone(), kind.len());
        } else {
            verifier.fault(FaultKind::Failure, slashed(below), "neither a file nor a folder: it is not followed");
        }
        below.pop();
    }
    Ok(())
}

/// A path as a key, whatever the system's separator.
fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
