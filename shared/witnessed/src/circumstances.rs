//! What is so before the command starts: who, where, and which program.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};

use ids::Sha256;
use nix::unistd::{AccessFlags, Uid, access, gethostname};
use sha2::Digest as _;

use crate::body::User;

/// Whom this process runs as.
pub(crate) fn user() -> User {
    let id = Uid::effective();
    let name = nix::unistd::User::from_uid(id).ok().flatten().map(|user| user.name);
    User { id: id.as_raw(), name }
}

/// The machine's own name; empty if it has none.
pub(crate) fn host() -> String {
    gethostname().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

/// The names of the environment's variables, sorted.
pub(crate) fn variables() -> Vec<OsString> {
    let mut names: Vec<_> = std::env::vars_os().map(|(name, _)| name).collect();
    names.sort();
    names
}

/// The program that `command` means, by the rules of `execvp` (POSIX): with a slash in it a path, else the first in `search`, which is
/// the value of `PATH`, that may be executed, else the first that is there at all.
pub(crate) fn find(command: &OsStr, search: Option<&OsStr>) -> Option<PathBuf> {
    if command.as_bytes().contains(&b'/') {
        let path = PathBuf::from(command);
        return path.exists().then_some(path);
    }
    if command.is_empty() {
        return None;
    }
    let folders = std::env::split_paths(search.unwrap_or(OsStr::new("/bin:/usr/bin")));
    let there: Vec<PathBuf> = folders.map(|folder| folder.join(command)).filter(|path| path.is_file()).collect();
    let executable = there.iter().find(|path| access(path.as_path(), AccessFlags::X_OK).is_ok());
    executable.or(there.first()).map(|path| absolute(path))
}

/// A relative entry in `PATH` is relative to the working directory.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// The digest of the file at `path`, without holding it in memory.
///
/// # Errors
/// If it cannot be read.
pub fn digest_of(path: &Path) -> io::Result<Sha256> {
    let mut file = File::open(path)?;
    let mut digest = sha2::Sha256::new();
    let mut buffer = vec![0; 1 << 16];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(Sha256::from_bytes(digest.finalize().into())),
            Ok(read) => digest.update(buffer.get(..read).unwrap_or_default()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
