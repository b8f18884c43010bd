//! A folder as a store: for laptops and tests. Write-once among those who play by the rules; the file system locks nothing.

use std::ffi::OsStr;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use evidence::largest_object;

use crate::worm::{Created, StoreError, Worm};

const PART_PREFIX: &str = ".cordon-";
const PART_SUFFIX: &str = ".part";

/// A store in a folder: keys are paths. What it writes, its owner alone can read.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The store in `folder`, which is made when it is first needed.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
    }

    /// Whether a file of this name is a write that was cut off by a crash: never evidence, and safe to delete.
    #[must_use]
    pub fn is_unfinished(name: &OsStr) -> bool {
        let name = name.to_string_lossy();
        name.starts_with(PART_PREFIX) && name.ends_with(PART_SUFFIX)
    }

    fn path(&self, key: &str) -> Result<PathBuf, StoreError> {
        let plain = |part: &str| !part.is_empty() && part != "." && part != ".." && !part.contains('\\');
        if key.split('/').all(plain) {
            Ok(self.0.join(key))
        } else {
            Err(StoreError { doing: "use this key", cause: "it is not a plain path".to_owned(), passes: false })
        }
    }
}

fn failed(doing: &'static str, error: &std::io::Error) -> StoreError {
    StoreError { doing, cause: error.to_string(), passes: error.kind() == ErrorKind::Interrupted }
}

/// Whole or not at all: the bytes are written and synced under another name, then renamed to theirs, which fails if it is taken.
///
/// That other name is new each time: a name that an earlier process left behind could still be a second link to a finished record.
fn create_whole(top: &Path, path: &Path, bytes: &[u8]) -> std::io::Result<Created> {
    let folder = path.parent().unwrap_or(top);
    create_folders(folder)?;
    let mut part = tempfile::Builder::new().prefix(PART_PREFIX).suffix(PART_SUFFIX).tempfile_in(folder)?;
    part.write_all(bytes)?;
    part.as_file().sync_all()?;
    match part.persist_noclobber(path) {
        Ok(_) => sync_folder(folder).map(|()| Created::New),
        // Whoever made it may not have come to sync the folder: the promise is that it is durable.
        Err(failed) if failed.error.kind() == ErrorKind::AlreadyExists => sync_folder(folder).map(|()| Created::Existed),
        Err(failed) => Err(failed.error),
    }
}

/// Makes `folder` and what is missing above it. A new folder is only as durable as its entry in the one above, so that is synced too.
fn create_folders(folder: &Path) -> std::io::Result<()> {
    let Some(above) = folder.parent() else { return Ok(()) };
    if folder.as_os_str().is_empty() || folder.is_dir() {
        return Ok(());
    }
    create_folders(above)?;
    match fs::create_dir(folder) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
        Ok(()) | Err(_) => sync_folder(if above.as_os_str().is_empty() { Path::new(".") } else { above }),
    }
}

fn sync_folder(folder: &Path) -> std::io::Result<()> {
    fs::File::open(folder)?.sync_all()
}

impl Worm for Folder {
    async fn create(&self, key: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        create_whole(&self.0, &self.path(key)?, bytes).map_err(|error| failed("write the record", &error))
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        let doing = "read the record";
        let path = self.path(key)?;
        match fs::metadata(&path) {
            Ok(found) if found.len() > u64::try_from(largest_object(key)).unwrap_or(u64::MAX) => {
                return Err(StoreError { doing, cause: "it is larger than any record or blob".to_owned(), passes: false });
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(doing, &error)),
        }
        fs::read(&path).map(Some).map_err(|error| failed(doing, &error))
    }
}
