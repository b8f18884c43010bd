//! A folder as a store: for laptops and tests. Write-once among those who play by the rules; the file system locks nothing.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use crate::worm::{Created, StoreError, Worm};

/// A store in a folder: keys are paths.
#[derive(Debug, Clone)]
pub struct Folder(PathBuf);

impl Folder {
    /// The store in `folder`, which is made when it is first needed.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self(folder.into())
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

/// Whole or not at all: the bytes are written and synced under another name, then linked to theirs, which fails if it is taken.
fn create_whole(path: &Path, bytes: &[u8]) -> std::io::Result<Created> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let part = folder.join(format!(".{name}.{}.part", std::process::id()));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&part)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let linked = fs::hard_link(&part, path);
    fs::remove_file(&part)?;
    match linked {
        Ok(()) => fs::File::open(folder)?.sync_all().map(|()| Created::New),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Created::Existed),
        Err(error) => Err(error),
    }
}

impl Worm for Folder {
    async fn create(&self, key: &str, bytes: &[u8]) -> Result<Created, StoreError> {
        create_whole(&self.path(key)?, bytes).map_err(|error| failed("write the record", &error))
    }

    async fn read(&self, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
        match fs::read(self.path(key)?) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed("read the record", &error)),
        }
    }
}
