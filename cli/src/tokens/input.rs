//! A file of tokens: one to a line, or as TruffleHog reports them.

use std::collections::BTreeSet;
use std::io::Read;
use std::path::Path;

use anyhow::{Context as _, bail};
use ids::{AccessKeyId, Sha256};
use serde::Deserialize;
use zeroize::Zeroizing;

use super::{About, Kind, PLATFORMS, Token};

/// A hundred thousand tokens are more than anybody reads about.
const LARGEST: usize = 1 << 20;

/// What a file has.
#[derive(Debug, Default)]
pub(crate) struct Input {
    pub(crate) tokens: Vec<Token>,
    /// Lines that TruffleHog calls this platform's, and whose token is of no kind that is known here.
    pub(crate) left: Vec<usize>,
}

/// One line of TruffleHog's output.
#[derive(Deserialize)]
struct Found {
    #[serde(rename = "DetectorName")]
    detector: Option<String>,
    #[serde(rename = "Raw")]
    raw: Option<String>,
}

/// Reads `path`, or standard input for `-`.
pub(crate) fn read(path: &Path, about: &About, trufflehog: bool, classic: bool) -> anyhow::Result<Input> {
    let (name, reader): (String, Box<dyn Read>) = if path == Path::new("-") {
        ("standard input".to_owned(), Box::new(std::io::stdin()))
    } else {
        let name = format!("`{}`", path.display());
        let file = std::fs::File::open(path).with_context(|| format!("could not read {name}"))?;
        (name, Box::new(file))
    };
    // As large as it may get from the start: a buffer that grows leaves copies behind.
    let mut bytes = Zeroizing::new(Vec::with_capacity(LARGEST + 1));
    reader.take(LARGEST as u64 + 1).read_to_end(&mut bytes).with_context(|| format!("could not read {name}"))?;
    if bytes.len() > LARGEST {
        bail!("{name} is longer than 1 MB, and so no list of tokens");
    }
    let text = std::str::from_utf8(&bytes).ok().filter(|text| !text.contains('\0'));
    let Some(text) = text else { bail!("{name} is not text") };
    parse(text.trim_start_matches('\u{feff}'), about, trufflehog, classic).with_context(|| format!("{name} is not used"))
}

/// No message quotes a line: it may be a token.
fn parse(text: &str, about: &About, trufflehog: bool, classic: bool) -> anyhow::Result<Input> {
    let (mut input, mut seen, mut unknown) = (Input::default(), BTreeSet::new(), Vec::new());
    for (number, line) in (1..).zip(text.lines()).filter(|(_, line)| !line.trim().is_empty()) {
        let line = Zeroizing::new(line.trim().to_owned());
        let text = if trufflehog {
            let Ok(found) = serde_json::from_str::<Found>(&line) else {
                bail!("line {number} is no JSON object of TruffleHog's (its --json output)");
            };
            let raw = Zeroizing::new(found.raw.unwrap_or_default());
            if found.detector.is_none_or(|name| !name.eq_ignore_ascii_case(about.detector)) {
                continue;
            }
            raw
        } else {
            line
        };
        let Some(known) = kind(&text, about, classic) else {
            if trufflehog {
                input.left.push(number);
                continue;
            }
            if text.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word.parse::<AccessKeyId>().is_ok()) {
                bail!("line {number} has an AWS access key's id: that is for `cordon revoke`, which needs the id alone");
            }
            if let Some(other) = PLATFORMS.iter().find(|other| kind(&text, other, false).is_some()) {
                bail!("line {number} is a token of {}: that is for `cordon revoke-tokens {}`", other.name, other.id);
            }
            if kind(&text, about, true).is_some() {
                bail!("line {number} is 40 hex digits, which can be anything: if it is a token of {}, give --classic", about.name);
            }
            unknown.push(number);
            continue;
        };
        let digest = Sha256::of(text.as_bytes());
        if seen.insert(*digest.as_bytes()) {
            input.tokens.push(Token::new(known, number, &digest, text));
        }
    }
    if !unknown.is_empty() {
        let (name, lines) = (about.name, numbered(&unknown));
        bail!("{lines} of no kind of token that {name} has (a line is one token and nothing else), so nothing was done");
    }
    if input.tokens.is_empty() && input.left.is_empty() {
        bail!("it has no token of {}", about.name);
    }
    Ok(input)
}

pub(super) fn kind(text: &str, about: &About, classic: bool) -> Option<&'static Kind> {
    about.kinds.iter().find(|kind| (classic || !kind.prefixes.is_empty()) && kind.has(text))
}

/// `line 3 is` or `lines 3, 5 and 9 are`.
pub(crate) fn numbered(lines: &[usize]) -> String {
    const MOST: usize = 10;
    let numbers: Vec<_> = lines.iter().take(MOST).map(ToString::to_string).collect();
    match numbers.split_last() {
        Some((only, [])) => format!("line {only} is"),
        Some((last, first)) if lines.len() <= MOST => format!("lines {} and {last} are", first.join(", ")),
        _ => format!("lines {} and {} more are", numbers.join(", "), lines.len() - numbers.len()),
    }
}
