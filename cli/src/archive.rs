//! Evidence in a folder: keys are paths.
//!
//! An *archive* also has a `versions.json` at its top that lists every version the bucket held. A key's first version lies at its own
//! path, another at `<key>@<version id>`, and a delete marker has no file. What the list and the folder do not agree on is a fault.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context as _, bail};
use evidence::{FaultKind, Verifier, Version, largest_object};
use evidence_store::Folder;
use ids::{Sha256, Timestamp};
use serde::Deserialize;

/// The list's name.
const LIST: &str = "versions.json";

#[derive(Debug, Deserialize)]
struct List {
    format: String,
    objects: Vec<Listed>,
}

#[derive(Debug, Deserialize)]
struct Listed {
    key: String,
    version_id: String,
    delete_marker: bool,
    last_modified: Timestamp,
    sha256: Option<Sha256>,
    mode: Option<String>,
    path: Option<PathBuf>,
}

/// Is handed each object that the verifier is: its key, its bytes, and what the store says of it.
pub(crate) type Each<'a> = dyn FnMut(&str, &[u8], Option<&Version>) + 'a;

/// Puts everything below `folder` before the verifier. True if the folder is an archive with a list of versions.
pub(crate) fn read(folder: &Path, verifier: &mut Verifier, now: Timestamp) -> anyhow::Result<bool> {
    read_each(folder, verifier, now, &mut |_, _, _| {})
}

/// Like [`read`], and hands each object to `each` as well.
pub(crate) fn read_each(folder: &Path, verifier: &mut Verifier, now: Timestamp, each: &mut Each<'_>) -> anyhow::Result<bool> {
    if !folder.is_dir() {
        bail!("`{}` is not a folder. Give the folder that holds `rec/`", folder.display());
    }
    let mut files = BTreeSet::new();
    walk(folder, &mut PathBuf::new(), &mut files, verifier)?;
    if !files.remove(Path::new(LIST)) {
        for path in files {
            if let Some(bytes) = load(folder, &path, verifier)? {
                verifier.add(&slashed(&path), &bytes, None, now);
                each(&slashed(&path), &bytes, None);
            }
        }
        return Ok(false);
    }

    let list = fs::read(folder.join(LIST)).with_context(|| format!("could not read {LIST}"))?;
    let list: List = serde_json::from_slice(&list).with_context(|| format!("{LIST} is not a list of versions"))?;
    if list.format != "cordon-archive/v1" {
        bail!("{LIST} says its format is `{}`; this program reads `cordon-archive/v1`", list.format.escape_debug());
    }
    let mut versions: BTreeMap<&str, usize> = BTreeMap::new();
    for object in &list.objects {
        *versions.entry(&object.key).or_default() += 1;
        read_listed(folder, object, &mut files, verifier, now, each)?;
    }
    for (key, count) in versions {
        if count > 1 {
            verifier.fault(FaultKind::Failure, key, format_args!("{count} versions, where evidence has one"));
        }
    }
    for path in files {
        verifier.fault(FaultKind::Failure, slashed(&path), format_args!("not in {LIST}: a second version, or put here later"));
    }
    Ok(true)
}

fn read_listed(
    folder: &Path,
    object: &Listed,
    files: &mut BTreeSet<PathBuf>,
    verifier: &mut Verifier,
    now: Timestamp,
    each: &mut Each<'_>,
) -> anyhow::Result<()> {
    let Listed { key, version_id, .. } = object;
    let version = Version { id: version_id.clone(), stored: object.last_modified };
    if object.delete_marker {
        verifier.hidden(key, &version);
        return Ok(());
    }
    if object.mode.as_deref() != Some("COMPLIANCE") {
        verifier.fault(FaultKind::Notice, key, "its version was not locked in COMPLIANCE mode when the archive was made");
    }
    let Some(path) = object.path.as_ref().filter(|path| path.components().all(|part| matches!(part, Component::Normal(_)))) else {
        verifier.fault(FaultKind::Failure, key, format_args!("{LIST} does not say which file holds version {version_id}"));
        return Ok(());
    };
    if !files.remove(path) {
        verifier.fault(FaultKind::Failure, key, format_args!("missing: {LIST} names `{}`, which is not here", path.display()));
        return Ok(());
    }
    let Some(bytes) = load(folder, path, verifier)? else { return Ok(()) };
    if object.sha256.is_some_and(|digest| digest != Sha256::of(&bytes)) {
        verifier.fault(FaultKind::Failure, key, "its bytes are not those that S3 computed the SHA-256 of");
    }
    verifier.add(key, &bytes, Some(&version), now);
    each(key, &bytes, Some(&version));
    Ok(())
}

fn walk(top: &Path, below: &mut PathBuf, files: &mut BTreeSet<PathBuf>, verifier: &mut Verifier) -> anyhow::Result<()> {
    let folder = top.join(&below);
    for entry in fs::read_dir(&folder).with_context(|| format!("could not list `{}`", folder.display()))? {
        let entry = entry.with_context(|| format!("could not list `{}`", folder.display()))?;
        let kind = entry.file_type().with_context(|| format!("could not look at `{}`", entry.path().display()))?;
        below.push(entry.file_name());
        if kind.is_dir() {
            walk(top, below, files, verifier)?;
        } else if kind.is_file() && Folder::is_unfinished(&entry.file_name()) {
            verifier.fault(FaultKind::Notice, slashed(below), "a write that was cut off: no evidence, and not read");
        } else if kind.is_file() {
            files.insert(below.clone());
        } else {
            verifier.fault(FaultKind::Failure, slashed(below), "neither a file nor a folder: it is not followed");
        }
        below.pop();
    }
    Ok(())
}

fn load(folder: &Path, path: &Path, verifier: &mut Verifier) -> anyhow::Result<Option<Vec<u8>>> {
    let file = folder.join(path);
    let unreadable = || format!("could not read `{}`", file.display());
    let key = slashed(path);
    let largest = u64::try_from(largest_object(&key)).unwrap_or(u64::MAX);
    if fs::metadata(&file).with_context(unreadable)?.len() > largest {
        verifier.fault(FaultKind::Failure, key, "larger than any record or blob can be");
        return Ok(None);
    }
    fs::read(&file).with_context(unreadable).map(Some)
}

/// A path as a key, whatever the system's separator.
fn slashed(path: &Path) -> String {
    path.components().map(|part| part.as_os_str().to_string_lossy()).collect::<Vec<_>>().join("/")
}
