//! What is in a store: every object and version, sorted out by what it is, each kind in the order of its keys.
//!
//! An *archive* is a folder with a `versions.json` at its top that lists every version the bucket held. A key's first version lies at its
//! own path, another at `<key>@<version id>`, what has no key of ours at `odd/<digest of the key>@<version id>`, and a delete marker has no file. What the list and the folder do not agree on is a fault.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::fmt;
use std::fs;
use std::io::BufReader;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use evidence::{FaultKind, Verifier, Version};
use evidence_store::{Folder, Marker, S3};
use ids::{Sha256, Timestamp};
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use tokio::runtime::Runtime;

use crate::spool::{Object, Spool};

/// The list's name.
pub(crate) const LIST: &str = "versions.json";
/// What a download that was cut off leaves behind.
pub(crate) const UNFINISHED: &str = ".cordon-archive-unfinished";
pub(crate) const FORMAT: &str = "cordon-archive/v1";
/// So many functions have a list of their own: each is an open file.
const FUNCTIONS: usize = 64;

/// One version in an archive's list.
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

/// Everything in a store, by what it is.
#[derive(Debug)]
pub(crate) struct Listing {
    pub(crate) keys: Spool,
    pub(crate) batches: Spool,
    pub(crate) checkpoints: Spool,
    /// Blobs, and whatever should not be there.
    pub(crate) others: Spool,
    /// By function.
    pub(crate) records: BTreeMap<String, Spool>,
    /// Whether every version is listed.
    pub(crate) versions: bool,
    pub(crate) count: usize,
}

impl Listing {
    fn new(versions: bool) -> anyhow::Result<Self> {
        let (keys, batches, checkpoints, others) = (Spool::new()?, Spool::new()?, Spool::new()?, Spool::new()?);
        Ok(Self { keys, batches, checkpoints, others, records: BTreeMap::new(), versions, count: 0 })
    }

    fn push(&mut self, object: Object) -> anyhow::Result<()> {
        self.count += 1;
        let kind = kind(&object.key);
        let spool = match (kind, object.key.strip_prefix(kind).and_then(|below| below.split_once('/'))) {
            ("rec/", Some((function, _))) => {
                let known = self.records.contains_key(function);
                // Past so many, they share one: then the order of their times is lost, and only memory pays for it.
                let name = if known || self.records.len() < FUNCTIONS { function } else { "" };
                match self.records.entry(name.to_owned()) {
                    Entry::Occupied(found) => found.into_mut(),
                    Entry::Vacant(free) => free.insert(Spool::new()?),
                }
            }
            ("keys/", _) => &mut self.keys,
            ("log/batch/", _) => &mut self.batches,
            ("log/cp/", _) => &mut self.checkpoints,
            _ => &mut self.others,
        };
        spool.push(object)
    }

    /// Adds all versions of one key, the first of them first.
    fn push_versions(&mut self, versions: Vec<Object>, verifier: &mut Verifier) -> anyhow::Result<()> {
        if let [first, _, ..] = versions.as_slice() {
            let reason = format!("{} versions, where evidence has one", versions.len());
            verifier.fault(FaultKind::Failure, &first.key, reason);
        }
        versions.into_iter().try_for_each(|object| self.push(object))
    }
}

/// The versions of a key as they come in a listing, page by page: handed on together, the first of them first.
#[derive(Debug, Default)]
struct SameKey(Vec<evidence_store::Listed>);

impl SameKey {
    /// Takes in the next version of a listing; gives those of the key before, once it is another key's.
    fn next(&mut self, listed: evidence_store::Listed) -> Option<Vec<evidence_store::Listed>> {
        let other = self.0.first().is_some_and(|first| first.key != listed.key);
        let done = if other { Some(self.rest()) } else { None };
        self.0.push(listed);
        done
    }

    /// The versions of the last key. S3 lists the newest first, and that decides between two of one second.
    fn rest(&mut self) -> Vec<evidence_store::Listed> {
        let mut versions = std::mem::take(&mut self.0);
        versions.reverse();
        versions.sort_by_key(|version| (version.stored, version.marker));
        versions
    }
}

/// The kinds of objects, in the order in which a bucket that is in use must be listed: what names others before what it names. Whatever is
/// written meanwhile is then at worst something that nobody names yet, and nothing seems to be missing.
const KINDS: [&str; 5] = ["log/cp/", "log/batch/", "rec/", "blob/", "keys/"];

/// The kind of the object at `key`; none of them is the empty one.
fn kind(key: &str) -> &'static str {
    KINDS.into_iter().find(|kind| key.starts_with(kind)).unwrap_or_default()
}

/// Hands all versions of each key in a bucket to `take`, kind by kind, the first version of a key first. Asks for a thousand versions at a
/// time, which is what S3 gives.
pub(crate) fn each_key(
    name: &str,
    (runtime, s3): (&Runtime, &S3),
    take: &mut dyn FnMut(Vec<evidence_store::Listed>) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let doing = || format!("could not list `{name}`");
    for kind in KINDS {
        let (mut same, mut at) = (SameKey::default(), None);
        loop {
            let page = runtime.block_on(s3.versions_page(kind, at)).with_context(doing)?;
            page.versions.into_iter().filter_map(|listed| same.next(listed)).try_for_each(&mut *take)?;
            at = page.next;
            if at.is_none() {
                break;
            }
        }
        take(same.rest())?;
    }
    // What is in none of these places should not be there at all: it lies before, between and after them.
    let mut gaps = KINDS;
    gaps.sort_unstable();
    let mut at = None;
    for kind in gaps.into_iter().map(Some).chain([None]) {
        let mut same = SameKey::default();
        loop {
            let page = runtime.block_on(s3.versions_page("", at)).with_context(doing)?;
            let ends = |listed: &evidence_store::Listed| kind.is_some_and(|kind| listed.key.as_str() >= kind);
            let over = page.versions.iter().any(ends);
            let here = page.versions.into_iter().take_while(|listed| !ends(listed));
            here.filter_map(|listed| same.next(listed)).try_for_each(&mut *take)?;
            at = page.next;
            if over || at.is_none() {
                break;
            }
        }
        take(same.rest())?;
        at = kind.map(Marker::after);
    }
    Ok(())
}

/// Lists a bucket.
pub(crate) fn list_bucket(name: &str, (runtime, s3): &(Runtime, S3), verifier: &mut Verifier) -> anyhow::Result<Listing> {
    let mut listing = Listing::new(true)?;
    let object = |listed: evidence_store::Listed| Object {
        version: Some(Version { id: listed.version, stored: listed.stored }),
        path: PathBuf::from(&listed.key),
        key: listed.key,
        marker: listed.marker,
        size: listed.size,
        sha256: None,
    };
    each_key(name, (runtime, s3), &mut |versions| listing.push_versions(versions.into_iter().map(object).collect(), verifier))?;
    Ok(listing)
}

/// Lists a folder: an archive if it has a list, else the folder of a local store.
pub(crate) fn list_folder(folder: &Path, verifier: &mut Verifier) -> anyhow::Result<Listing> {
    if !folder.is_dir() {
        bail!("`{}` is not a folder. Give the folder that holds `rec/`, or s3://BUCKET", folder.display());
    }
    if folder.join(UNFINISHED).symlink_metadata().is_ok() {
        bail!("`{}` is half an archive: its download was cut off. Take it again, into another folder", folder.display());
    }
    let list = folder.join(LIST);
    if list.symlink_metadata().is_ok_and(|kind| kind.is_file()) {
        return list_archive(folder, &list, verifier);
    }
    let mut listing = Listing::new(false)?;
    walk(folder, &mut PathBuf::new(), &mut Some(verifier), &mut |path, size| {
        let key = slashed(path);
        listing.push(Object { key, version: None, marker: false, size, sha256: None, path: path.to_owned() })
    })?;
    Ok(listing)
}

fn list_archive(folder: &Path, list: &Path, verifier: &mut Verifier) -> anyhow::Result<Listing> {
    let mut listing = Listing::new(true)?;
    let (mut same, mut previous): (Vec<Object>, Option<String>) = (Vec::new(), None);
    let mut newest: BTreeMap<&str, String> = BTreeMap::new();
    let (mut there, mut distinct) = (0_usize, true);
    let mut take = |listed: Listed| -> anyhow::Result<()> {
        if previous.as_ref() != Some(&listed.key) {
            if newest.insert(kind(&listed.key), listed.key.clone()).is_some_and(|before| before >= listed.key) {
                let key = listed.key.escape_debug();
                bail!("{LIST} is not in the order of its keys (at `{key}`): it is not as `cordon evidence archive` writes it");
            }
            distinct &= push_archived(&mut listing, std::mem::take(&mut same), verifier)?;
        }
        previous = Some(listed.key.clone());
        if let Some(object) = archived(folder, listed, verifier) {
            there += usize::from(!object.marker);
            same.push(object);
        }
        Ok(())
    };
    read_list(list, &mut take)?;
    distinct &= push_archived(&mut listing, same, verifier)?;
    let mut files = 0_usize;
    walk(folder, &mut PathBuf::new(), &mut Some(&mut *verifier), &mut |_, _| {
        files += 1;
        Ok(())
    })?;
    // The list itself is the one file more. Unless so many files are named, each once, it is worth the memory to find out which are not.
    if !distinct || files != there + 1 {
        name_unlisted(folder, list, verifier)?;
    }
    Ok(listing)
}

/// Takes in the versions of one key. True if no two of an archive can have one file, as far as this key goes.
fn push_archived(listing: &mut Listing, mut versions: Vec<Object>, verifier: &mut Verifier) -> anyhow::Result<bool> {
    versions.sort_by_key(|object| (object.version.as_ref().map(|version| version.stored), object.marker));
    let mut paths = BTreeSet::new();
    let distinct = versions.iter().filter(|object| !object.marker).all(|object| {
        let Object { key, version, path, .. } = object;
        let own = |id: &str| path.to_str().and_then(|path| path.strip_prefix(key)?.strip_prefix('@')) == Some(id);
        let usual = path == Path::new(key) || version.as_ref().is_some_and(|version| own(&version.id));
        // With an `@` in it, a key could be another key's second version.
        usual && !key.contains('@') && paths.insert(path.clone())
    });
    listing.push_versions(versions, verifier)?;
    Ok(distinct)
}

fn name_unlisted(folder: &Path, list: &Path, verifier: &mut Verifier) -> anyhow::Result<()> {
    let mut listed = HashSet::from([PathBuf::from(LIST)]);
    read_list(list, &mut |entry| {
        if let Some(path) = entry.path.filter(|_| !entry.delete_marker)
            && !listed.insert(path.clone())
        {
            let reason = format!("{LIST} names `{}` twice, for two versions", path.display());
            verifier.fault(FaultKind::Failure, &entry.key, reason);
        }
        Ok(())
    })?;
    walk(folder, &mut PathBuf::new(), &mut None, &mut |path, _| {
        if !listed.contains(path) {
            verifier.fault(FaultKind::Failure, slashed(path), format_args!("not in {LIST}: a second version, or put here later"));
        }
        Ok(())
    })
}

/// What an archive's list says of one version, and its file.
fn archived(folder: &Path, listed: Listed, verifier: &mut Verifier) -> Option<Object> {
    let Listed { key, version_id, .. } = &listed;
    let version = Some(Version { id: version_id.clone(), stored: listed.last_modified });
    if listed.delete_marker {
        return Some(Object { path: PathBuf::from(key), key: listed.key, version, marker: true, size: 0, sha256: None });
    }
    if listed.mode.as_deref() != Some("COMPLIANCE") {
        verifier.fault(FaultKind::Notice, key, "its version was not locked in COMPLIANCE mode when the archive was made");
    }
    let Some(path) = listed.path.clone().filter(|path| path.components().all(|part| matches!(part, Component::Normal(_)))) else {
        verifier.fault(FaultKind::Failure, key, format_args!("{LIST} does not say which file holds version {version_id}"));
        return None;
    };
    // Whatever lies on the way is a folder, and at its end a file: no link leads elsewhere.
    let mut way = folder.to_owned();
    let mut size = None;
    for part in path.components() {
        way.push(part);
        size = fs::symlink_metadata(&way).ok().filter(|found| found.is_dir() || found.is_file());
        if size.is_none() {
            break;
        }
    }
    let Some(size) = size.filter(fs::Metadata::is_file).map(|found| found.len()) else {
        verifier.fault(FaultKind::Failure, key, format_args!("missing: {LIST} names `{}`, which is not here", path.display()));
        return None;
    };
    Some(Object { key: listed.key, version, marker: false, size, sha256: listed.sha256, path })
}

/// Hands each version in the list at `file` to `take`, without holding them.
fn read_list(file: &Path, take: &mut Take<'_>) -> anyhow::Result<()> {
    let list = fs::File::open(file).with_context(|| format!("could not read {LIST}"))?;
    let mut failed = None;
    let mut deserializer = serde_json::Deserializer::from_reader(BufReader::new(list));
    let read = deserializer.deserialize_map(List { take, failed: &mut failed }).and_then(|()| deserializer.end());
    match failed {
        Some(error) => Err(error),
        None => read.with_context(|| format!("{LIST} is not a list of versions")),
    }
}

type Take<'a> = dyn FnMut(Listed) -> anyhow::Result<()> + 'a;

/// Reads the list piece by piece. `failed` is how an error of [`Take`] gets past `serde`.
struct List<'a, 'b> {
    take: &'a mut Take<'b>,
    failed: &'a mut Option<anyhow::Error>,
}

impl<'de> Visitor<'de> for List<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the list of an archive")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let Self { take, failed } = self;
        let mut seen = BTreeSet::new();
        while let Some(name) = map.next_key::<String>()? {
            match name.as_str() {
                "format" => {
                    let format: String = map.next_value()?;
                    if format != FORMAT {
                        let said = format.escape_debug();
                        *failed = Some(anyhow::anyhow!("{LIST} says its format is `{said}`; this program reads `{FORMAT}`"));
                        return Err(A::Error::custom("another format"));
                    }
                }
                "objects" if seen.contains("format") => map.next_value_seed(Versions { take, failed })?,
                "objects" => return Err(A::Error::custom("`format` must come before `objects`")),
                "bucket" => drop(map.next_value::<String>()?),
                "taken_at" => drop(map.next_value::<Timestamp>()?),
                _ => return Err(A::Error::unknown_field(&name, &["format", "bucket", "taken_at", "objects"])),
            }
            if !seen.insert(name) {
                return Err(A::Error::custom("a field is there twice"));
            }
        }
        if seen.contains("objects") { Ok(()) } else { Err(A::Error::missing_field("objects")) }
    }
}

struct Versions<'a, 'b> {
    take: &'a mut Take<'b>,
    failed: &'a mut Option<anyhow::Error>,
}

impl<'de> DeserializeSeed<'de> for Versions<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Versions<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of versions")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<(), A::Error> {
        while let Some(listed) = list.next_element::<Listed>()? {
            if let Err(error) = (self.take)(listed) {
                *self.failed = Some(error);
                return Err(A::Error::custom("not taken"));
            }
        }
        Ok(())
    }
}

/// Hands every file below `top` to `each`, in the order of the keys that their paths are. What is no file and no folder is a fault, if
/// there is a `verifier` to tell.
fn walk(
    top: &Path,
    below: &mut PathBuf,
    verifier: &mut Option<&mut Verifier>,
    each: &mut dyn FnMut(&Path, u64) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let folder = top.join(&below);
    let doing = || format!("could not list `{}`", folder.display());
    let mut entries = Vec::new();
    for entry in fs::read_dir(&folder).with_context(doing)? {
        let entry = entry.with_context(doing)?;
        // Not followed: a link would put something else before the verifier than what lies here.
        let kind = entry.file_type().with_context(|| format!("could not look at `{}`", entry.path().display()))?;
        // A folder sorts by its name with the slash, as its files' keys do.
        let mut order = entry.file_name();
        if kind.is_dir() {
            order.push("/");
        }
        entries.push((order, entry.file_name(), kind));
    }
    entries.sort_by(|(a, ..), (b, ..)| a.cmp(b));
    for (_, name, kind) in entries {
        below.push(&name);
        let mut tell = |kind, reason: &str| {
            if let Some(verifier) = verifier {
                verifier.fault(kind, slashed(below), reason);
            }
        };
        if kind.is_dir() {
            walk(top, below, verifier, each)?;
        } else if kind.is_file() && Folder::is_unfinished(&name) {
            tell(FaultKind::Notice, "a write that was cut off: no evidence, and not read");
        } else if kind.is_file() {
            let path = top.join(&below);
            let found = fs::symlink_metadata(&path).with_context(|| format!("could not look at `{}`", path.display()))?;
            each(below, found.len())?;
        } else {
            tell(FaultKind::Failure, "neither a file nor a folder: it is not followed");
        }
        below.pop();
    }
    Ok(())
}

/// A path as a key, whatever the system's separator.
pub(crate) fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
