//! A release: which code may have written the records of which function.
//!
//! The file is what `sha256sum` prints and `sha256sum -c` reads: a digest and a path on each line, `#` begins a comment.

use std::collections::{BTreeMap, BTreeSet};

use ids::{FunctionName, Sha256};
use thiserror::Error;

/// The hashes of the code that was released, by function.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Release(BTreeMap<FunctionName, BTreeSet<Sha256>>);

/// Text that is not a release.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum ReleaseError {
    /// Not a line as `sha256sum` prints it.
    #[error("line {0} is not a SHA-256 (64 hex digits), two spaces and a path")]
    Line(usize),
    /// A path that names no function.
    #[error("line {line}: `{path}` names no function; expected FUNCTION, FUNCTION/bootstrap, or a path that ends so")]
    Path {
        /// Which line, from 1.
        line: usize,
        /// The path on it.
        path: String,
    },
    /// Nothing to compare with.
    #[error("it names no function")]
    Empty,
}

/// The function whose program is at `path`: the last part that is not `bootstrap`, as `sam build` (`Quarantine/bootstrap`) and
/// cargo-lambda (`quarantine/bootstrap`) lay it out. `cordon` itself writes the records of `run`.
fn function_at(path: &str) -> Option<FunctionName> {
    let mut parts = path.rsplit('/').map(str::trim).filter(|part| !part.is_empty());
    let name = parts.find(|part| *part != "bootstrap")?;
    // A logical id of the template: `RevokeKeys` is the function `revoke-keys`.
    let mut plain = String::new();
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && !plain.is_empty() {
            plain.push('-');
        }
        plain.push(letter.to_ascii_lowercase());
    }
    let plain = if plain == "cordon" { "run" } else { &plain };
    plain.parse().ok()
}

impl Release {
    /// Reads a manifest.
    ///
    /// # Errors
    /// [`ReleaseError`], which names the line.
    pub fn parse(text: &str) -> Result<Self, ReleaseError> {
        let mut release = Self::default();
        for (line, content) in (1..).zip(text.lines()) {
            if content.trim().is_empty() || content.starts_with('#') {
                continue;
            }
            // `*` marks a file that was read as binary, which is the same thing here.
            let parts = content.split_once(' ').and_then(|(digest, rest)| Some((digest, rest.strip_prefix([' ', '*'])?)));
            let (digest, path) = parts.ok_or(ReleaseError::Line(line))?;
            let digest = digest.to_ascii_lowercase().parse().map_err(|_| ReleaseError::Line(line))?;
            let unnamed = || ReleaseError::Path { line, path: path.escape_debug().to_string() };
            release.0.entry(function_at(path).ok_or_else(unnamed)?).or_default().insert(digest);
        }
        if release.0.is_empty() { Err(ReleaseError::Empty) } else { Ok(release) }
    }

    /// Adds what another manifest allows: another version, or another architecture.
    pub fn merge(&mut self, other: Self) {
        for (function, hashes) in other.0 {
            self.0.entry(function).or_default().extend(hashes);
        }
    }

    /// The hashes for `function`; none if the release does not name it.
    #[must_use]
    pub fn of(&self, function: &FunctionName) -> Option<&BTreeSet<Sha256>> {
        self.0.get(function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

    #[test]
    fn a_path_names_its_function_wherever_it_is_built() {
        for (path, function) in [
            ("quarantine", "quarantine"),
            ("quarantine/bootstrap", "quarantine"),
            ("./Quarantine/bootstrap", "quarantine"),
            (".aws-sam/build/Seal/bootstrap", "seal"),
            ("RevokeKeys/bootstrap", "revoke-keys"),
            ("target/release/cordon", "run"),
            ("target/lambda/cordon/bootstrap", "run"),
        ] {
            assert_eq!(function_at(path).unwrap().as_str(), function, "{path}");
        }
        for path in ["bootstrap", "", "/", "notes.txt", "a b"] {
            assert_eq!(function_at(path), None, "{path}");
        }
    }

    #[test]
    fn a_manifest_is_what_sha256sum_prints() {
        let release = Release::parse(&format!("# v1\n\n{A}  Quarantine/bootstrap\n{B} *quarantine\n{A}  seal\n")).unwrap();
        let of = |function: &str| release.of(&function.parse().unwrap()).map_or(0, BTreeSet::len);
        assert_eq!((of("quarantine"), of("seal"), of("run")), (2, 1, 0));
        let mut both = Release::parse(&format!("{A}  quarantine")).unwrap();
        both.merge(Release::parse(&format!("{B}  quarantine\n{B}  run")).unwrap());
        assert_eq!(both.of(&"quarantine".parse().unwrap()).unwrap().len(), 2);
        for (text, error) in [
            (String::new(), ReleaseError::Empty),
            ("# nothing\n".to_owned(), ReleaseError::Empty),
            (format!("{A}  seal\n{A} seal"), ReleaseError::Line(2)),
            (A.to_owned(), ReleaseError::Line(1)),
            (format!("a{A}  seal"), ReleaseError::Line(1)),
            (format!("\n{A}  bootstrap"), ReleaseError::Path { line: 2, path: "bootstrap".to_owned() }),
        ] {
            assert_eq!(Release::parse(&text), Err(error), "{text}");
        }
    }
}
