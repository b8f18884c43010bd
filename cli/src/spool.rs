//! A list of objects that lies on disk: so that a store of a million objects needs no more memory than one of ten.

use std::ffi::OsString;
use std::fs::File;
use std::io::{BufRead as _, BufReader, BufWriter, Seek as _, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use evidence::Version;
use ids::{Sha256, Timestamp};
use serde::{Deserialize, Serialize};

/// An object to be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    pub(crate) key: String,
    pub(crate) version: Option<Version>,
    /// A delete marker: there is nothing to read.
    pub(crate) marker: bool,
    pub(crate) size: u64,
    /// The digest that the store computed, where an archive says so.
    pub(crate) sha256: Option<Sha256>,
    /// Where its bytes are, in a folder.
    pub(crate) path: PathBuf,
}

/// An object as it is spooled: one line of JSON.
#[derive(Serialize, Deserialize)]
struct Line {
    key: String,
    version: Option<(String, Timestamp)>,
    marker: bool,
    size: u64,
    sha256: Option<Sha256>,
    /// The bytes of the path, where it is not the key. A file's name need not be UTF-8.
    path: Option<Vec<u8>>,
}

/// A list that is being written.
#[derive(Debug)]
pub(crate) struct Spool {
    file: BufWriter<File>,
    left: usize,
}

impl Spool {
    /// An empty list, in a temporary file that nobody else sees and that goes away with this process.
    pub(crate) fn new() -> anyhow::Result<Self> {
        let file = tempfile::tempfile().with_context(|| {
            format!("could not make a temporary file in `{}` (TMPDIR names another folder)", std::env::temp_dir().display())
        })?;
        Ok(Self { file: BufWriter::new(file), left: 0 })
    }

    /// Adds an object to the end.
    pub(crate) fn push(&mut self, object: Object) -> anyhow::Result<()> {
        let Object { key, version, marker, size, sha256, path } = object;
        let path = (path != Path::new(&key)).then(|| path.as_os_str().as_bytes().to_vec());
        let line = Line { key, version: version.map(|version| (version.id, version.stored)), marker, size, sha256, path };
        let doing = "could not keep the list of objects in a temporary file";
        serde_json::to_writer(&mut self.file, &line).context(doing)?;
        self.file.write_all(b"\n").context(doing)?;
        self.left += 1;
        Ok(())
    }

    /// The objects, in the order in which they were added.
    pub(crate) fn read(self) -> anyhow::Result<Objects> {
        let doing = "could not read the list of objects again";
        let mut file = self.file.into_inner().map_err(std::io::IntoInnerError::into_error).context(doing)?;
        file.rewind().context(doing)?;
        let mut objects = Objects { file: BufReader::new(file), next: None };
        objects.advance()?;
        Ok(objects)
    }
}

/// A list that is being read.
#[derive(Debug)]
pub(crate) struct Objects {
    file: BufReader<File>,
    next: Option<Object>,
}

impl Objects {
    /// The next object, which stays the next.
    pub(crate) fn peek(&self) -> Option<&Object> {
        self.next.as_ref()
    }

    /// The next object.
    pub(crate) fn take(&mut self) -> anyhow::Result<Option<Object>> {
        let taken = self.next.take();
        self.advance()?;
        Ok(taken)
    }

    fn advance(&mut self) -> anyhow::Result<()> {
        let doing = "could not read the list of objects again";
        let mut text = String::new();
        if self.file.read_line(&mut text).context(doing)? == 0 {
            self.next = None;
            return Ok(());
        }
        let Line { key, version, marker, size, sha256, path } = serde_json::from_str(&text).context(doing)?;
        let path = path.map_or_else(|| PathBuf::from(&key), |bytes| OsString::from_vec(bytes).into());
        let version = version.map(|(id, stored)| Version { id, stored });
        self.next = Some(Object { key, version, marker, size, sha256, path });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_put_in_comes_out_in_order_whatever_its_name() {
        let stored = Timestamp::from_millis(1_795_400_000_000).unwrap();
        let object = |key: &str, path: &[u8]| Object {
            key: key.to_owned(),
            version: Some(Version { id: "v1".to_owned(), stored }),
            marker: false,
            size: 7,
            sha256: Some(Sha256::of(b"x")),
            path: OsString::from_vec(path.to_vec()).into(),
        };
        let all = [
            object("rec/a", b"rec/a"),
            object("rec/\u{fffd}", b"rec/\xff"),
            object("two\nlines \"quoted\"", b"two\nlines \"quoted\""),
            Object { version: None, marker: true, sha256: None, ..object("", b"") },
        ];
        let mut spool = Spool::new().unwrap();
        all.iter().for_each(|object| spool.push(object.clone()).unwrap());
        let mut objects = spool.read().unwrap();
        for object in &all {
            assert_eq!(objects.peek(), Some(object));
            assert_eq!(objects.take().unwrap().as_ref(), Some(object));
        }
        assert_eq!(objects.take().unwrap(), None);
    }
}
