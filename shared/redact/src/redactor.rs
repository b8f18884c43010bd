//! Texts, words and arguments without what the rules find.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, MatchKind};
use regex::bytes::Regex;
use thiserror::Error;

use crate::config::{Config, ConfigError};
use crate::credentials::{CURL_LONG, CURL_SHORT, NAMES, is_name, rules};
use crate::rule::{Lazy, Rule, Scope};

/// So close to the id of an access key, 40 characters of base64 are taken for its secret.
pub(crate) const NEAR: usize = 4 << 10;
/// What every mark begins with.
const MARK: &[u8] = b"[redacted:";

/// How many of each kind were taken out.
pub type Counts = BTreeMap<String, u64>;

/// Something that was taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Removed {
    /// What it looked like: `GitHub token`, `email`, or the name that a configuration gave it.
    pub kind: String,
    /// Where its mark begins in the text as it is now.
    pub at: usize,
}

/// The rules could not be made ready. Nothing that a user says leads here.
#[derive(Debug, Error)]
#[error("the redaction rules cannot be used: {0}")]
pub struct RulesError(String);

impl From<RulesError> for ConfigError {
    fn from(error: RulesError) -> Self {
        Self { line: 0, problem: error.to_string() }
    }
}

/// Takes credentials and configured personal data out of text, and leaves a mark, `[redacted: GitHub token]`, where it was.
///
/// It costs little to copy, and little to make: an expression is compiled when something that it could find turns up.
#[derive(Clone)]
pub struct Redactor(Arc<Rules>);

struct Rules {
    rules: Vec<Rule>,
    anchors: AhoCorasick,
    /// Which rules each anchor is of.
    owners: Vec<Vec<usize>>,
    /// Which rule finds the ids of AWS access keys: its matches stay, and what is near them may go.
    aws: usize,
    option: Lazy,
    /// An option of curl's whose value is the next argument, and one that has it with it.
    curl: Lazy,
    curl_with: Lazy,
    name: Lazy,
    aws_run: Lazy,
}

impl fmt::Debug for Redactor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redactor").field("rules", &self.0.rules.len()).finish_non_exhaustive()
    }
}

/// A match: what goes, and all that had to be there for it.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    pub(crate) secret: Range<usize>,
    pub(crate) whole: Range<usize>,
    rule: usize,
}

/// The kind that is no rule, because it takes two to tell.
const AWS_SECRET: &str = "AWS secret access key";

/// Where the id of an access key was seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AwsId {
    /// Somewhere else, and it belongs to this text.
    Elsewhere,
    /// If it is in this text, then it counts for what is so many bytes away.
    Within(usize),
}

impl Redactor {
    /// Takes out credentials, and what `config` says.
    ///
    /// # Errors
    /// If an expression of `config` cannot be used. A configuration that was parsed has none.
    pub fn new(config: &Config) -> Result<Self, ConfigError> {
        let mut own = Vec::new();
        for (pattern, number) in config.patterns.iter().zip(1..) {
            let find = pattern.compile().map_err(|problem| ConfigError { line: number, problem })?;
            own.push((pattern.name.clone(), find));
        }
        Ok(Self::build(own, config)?)
    }

    /// The same, and `asked` before all others: expressions that have no name but the one given with each.
    ///
    /// # Errors
    /// As [`Redactor::new`].
    pub fn asked(asked: &[(String, Regex)], config: &Config) -> Result<Self, ConfigError> {
        let mut own = asked.to_vec();
        for (pattern, number) in config.patterns.iter().zip(1..) {
            own.push((pattern.name.clone(), pattern.compile().map_err(|problem| ConfigError { line: number, problem })?));
        }
        Ok(Self::build(own, config)?)
    }

    fn build(own: Vec<(String, Regex)>, config: &Config) -> Result<Self, RulesError> {
        let mut all: Vec<Rule> = own.into_iter().map(|(kind, find)| Rule::own(kind, find)).collect();
        all.extend(rules());
        let aws = all.len();
        all.push(Rule::shipped(AWS_SECRET, &["akia", "asia"], r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b".to_owned()));
        all.extend(config.personal.iter().flat_map(|kind| kind.rules()));
        let mut anchors: BTreeMap<&'static str, Vec<usize>> = BTreeMap::new();
        for (number, rule) in all.iter().enumerate() {
            for anchor in rule.anchors {
                anchors.entry(anchor).or_default().push(number);
            }
        }
        let automaton = AhoCorasick::builder()
            .ascii_case_insensitive(true)
            .match_kind(MatchKind::Standard)
            .build(anchors.keys())
            .map_err(|error| RulesError(error.to_string()))?;
        Ok(Self(Arc::new(Rules {
            rules: all,
            anchors: automaton,
            owners: anchors.into_values().collect(),
            aws,
            option: Lazy::new(format!(r"(?i)\A--?(?:[a-z0-9]+[-_])*{NAMES}\z")),
            curl: Lazy::new(format!(r"\A(?:{CURL_SHORT}|{CURL_LONG})\z")),
            curl_with: Lazy::new(format!(r"(?s)\A(?:{CURL_SHORT}.+|{CURL_LONG}=.+)\z")),
            name: Lazy::new(format!(r"(?i){NAMES}s?\z")),
            aws_run: Lazy::new("[A-Za-z0-9/+]+".to_owned()),
        })))
    }

    /// `text` without what the rules find, and what that was.
    #[must_use]
    pub fn text(&self, text: &str) -> (String, Vec<Removed>) {
        let (bytes, removed) = self.bytes(text.as_bytes());
        if removed.is_empty() {
            return (text.to_owned(), removed);
        }
        // What goes begins and ends beside ASCII characters, unless an expression of the user's has its own mind.
        let text = String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        (text, removed)
    }

    /// `bytes` without what the rules find, and what that was.
    #[must_use]
    pub fn bytes(&self, bytes: &[u8]) -> (Vec<u8>, Vec<Removed>) {
        self.clean(bytes, Scope::Text, AwsId::Within(NEAR))
    }

    /// `value` as the value of something called `name`: all of it goes if the name is a secret's.
    #[must_use]
    pub fn named(&self, name: &str, value: &str) -> (String, Vec<Removed>) {
        if is_name(name) && self.0.name.is_match(name.as_bytes()) && !value.is_empty() && !value.as_bytes().starts_with(MARK) {
            let kind = "value of a secret's name";
            return (String::from_utf8_lossy(&mark(kind)).into_owned(), vec![Removed { kind: kind.to_owned(), at: 0 }]);
        }
        self.text(value)
    }

    /// The arguments of a command without what the rules find, and of each argument what that was, each kind once.
    ///
    /// An option says what the next argument is, curl's `-u` among them, and the id of an access key anywhere what 40 characters of
    /// base64 are.
    #[must_use]
    pub fn argv<A: AsRef<[u8]>>(&self, argv: &[A]) -> (Vec<Vec<u8>>, Vec<(usize, String)>) {
        let rules = &self.0;
        let id = rules.rules.get(rules.aws);
        let aws = if argv.iter().any(|word| id.is_some_and(|id| id.is_match(word.as_ref()))) {
            AwsId::Elsewhere
        } else {
            AwsId::Within(0)
        };
        let is_curl =
            |word: &[u8]| str::from_utf8(word).is_ok_and(|word| Path::new(word).file_name().is_some_and(|name| name == "curl"));
        // Not the first word only: `sudo` and the like run it too.
        let mut curl = false;
        let mut words = Vec::new();
        let mut removed: Vec<(usize, String)> = Vec::new();
        let mut before: &[u8] = b"";
        for (argument, word) in argv.iter().enumerate() {
            let word = word.as_ref();
            let mut note = |kind: &str| {
                if !removed.iter().any(|(at, known)| *at == argument && known == kind) {
                    removed.push((argument, kind.to_owned()));
                }
            };
            // Another option is no value: `--password --verbose` asks for the password.
            let value = !word.starts_with(b"-") || before.starts_with(b"--") && !word.starts_with(b"--");
            let whole = if rules.option.is_match(before) && value && !word.is_empty() {
                Some("value of a secret's option")
            } else if curl && (rules.curl.is_match(before) || rules.curl_with.is_match(word)) {
                Some("curl's user and password")
            } else {
                None
            };
            if let Some(kind) = whole {
                note(kind);
                words.push(mark(kind));
            } else {
                let (text, found) = self.clean(word, Scope::Word, aws);
                for found in &found {
                    note(&found.kind);
                }
                words.push(text);
            }
            before = word;
            curl |= is_curl(word);
        }
        (words, removed)
    }

    fn clean(&self, text: &[u8], scope: Scope, aws: AwsId) -> (Vec<u8>, Vec<Removed>) {
        let found = self.find(text, 0, scope, aws);
        let mut kept = Vec::with_capacity(text.len());
        let mut removed = Vec::new();
        self.write(text, 0..text.len(), &found, &mut kept, |kind, at| removed.push(Removed { kind: kind.to_owned(), at }));
        (kept, removed)
    }

    /// Writes `text` in `range` without what was found there, and says what that was and where its mark is.
    pub(crate) fn write(
        &self,
        text: &[u8],
        range: Range<usize>,
        found: &[Found],
        kept: &mut Vec<u8>,
        mut note: impl FnMut(&str, usize),
    ) {
        let mut at = range.start;
        for found in found.iter().filter(|found| found.secret.end > range.start && found.secret.start < range.end) {
            let kind = self.kind(found);
            kept.extend_from_slice(text.get(at..found.secret.start).unwrap_or_default());
            note(kind, kept.len());
            kept.extend_from_slice(&mark(kind));
            at = found.secret.end;
        }
        kept.extend_from_slice(text.get(at..range.end).unwrap_or_default());
    }

    fn kind(&self, found: &Found) -> &str {
        self.0.rules.get(found.rule).map_or("secret", |rule| &rule.kind)
    }

    /// What the rules find in `text` from `from` on, in order; what overlaps is one, called by the rule that comes first. What stands
    /// before `from` is looked back at, and nothing in it is found.
    pub(crate) fn find(&self, text: &[u8], from: usize, scope: Scope, aws: AwsId) -> Vec<Found> {
        let mut found = Vec::new();
        for (number, rule) in self.worth_trying(text, aws) {
            if rule.word && scope != Scope::Word {
                continue;
            }
            match rule.find() {
                Some(find) if number == self.0.aws => self.find_aws_secrets(find, text, from, aws, &mut found),
                Some(find) => each(rule, number, find, text, from, &mut found),
                None => found.push(Found { secret: from..text.len(), whole: from..text.len(), rule: number }),
            }
        }
        merge(found)
    }

    fn worth_trying(&self, text: &[u8], aws: AwsId) -> impl Iterator<Item = (usize, &Rule)> {
        let rules = &self.0.rules;
        let elsewhere = |number| number == self.0.aws && aws == AwsId::Elsewhere;
        let mut wanted: Vec<bool> =
            rules.iter().enumerate().map(|(number, rule)| rule.anchors.is_empty() || elsewhere(number)).collect();
        let mut left = wanted.iter().filter(|wanted| !**wanted).count();
        for anchor in self.0.anchors.find_overlapping_iter(text) {
            for owner in self.0.owners.get(anchor.pattern().as_usize()).into_iter().flatten() {
                if let Some(wanted) = wanted.get_mut(*owner).filter(|wanted| !**wanted) {
                    *wanted = true;
                    left = left.saturating_sub(1);
                }
            }
            if left == 0 {
                break;
            }
        }
        rules.iter().enumerate().zip(wanted).filter(|(_, wanted)| *wanted).map(|(rule, _)| rule)
    }

    /// A secret access key is 40 characters of base64: so is a great deal else, but not where a key's id is about. The id itself
    /// stays: it is no secret, and says which key was used.
    fn find_aws_secrets(&self, id: &Regex, text: &[u8], from: usize, aws: AwsId, found: &mut Vec<Found>) {
        let (ids, near) = match aws {
            AwsId::Elsewhere => (Vec::new(), None),
            AwsId::Within(near) => (id.find_iter(text).map(|id| id.range()).collect::<Vec<_>>(), Some(near)),
        };
        let Some(run) = self.0.aws_run.get() else { return };
        for run in run.find_iter(text).filter(|run| run.start() >= from && run.len() == 40) {
            let about = near.is_none_or(|near| {
                ids.iter().any(|id| run.start().saturating_sub(id.end) <= near && id.start.saturating_sub(run.end()) <= near)
            });
            if about && !run.as_bytes().iter().all(u8::is_ascii_hexdigit) {
                found.push(Found { secret: run.range(), whole: run.range(), rule: self.0.aws });
            }
        }
    }
}

/// Everything that one rule finds.
fn each(rule: &Rule, number: usize, find: &Regex, text: &[u8], from: usize, found: &mut Vec<Found>) {
    let mut at = from;
    while at <= text.len() {
        let Some(captures) = find.captures_at(text, at) else { return };
        let Some(whole) = captures.get(0) else { return };
        let secret = captures.get(1).unwrap_or(whole);
        // A match without a byte must not be found for ever.
        at = whole.end().max(whole.start().saturating_add(1));
        let mut range = secret.range();
        if let Some(check) = rule.check {
            let Some(length) = check(secret.as_bytes()) else {
                // What it looked like may begin a little later.
                at = whole.start().saturating_add(1);
                continue;
            };
            range.end = range.start.saturating_add(length);
            at = range.end;
        }
        // What was taken out before is not taken out again.
        if !range.is_empty() && !secret.as_bytes().starts_with(MARK) {
            found.push(Found { secret: range, whole: whole.range(), rule: number });
        }
    }
}

/// In order, and what overlaps made one.
fn merge(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|found| (found.secret.start, found.rule));
    let mut merged: Vec<Found> = Vec::with_capacity(found.len());
    for next in found {
        match merged.last_mut() {
            Some(last) if next.secret.start < last.secret.end => {
                last.secret.end = last.secret.end.max(next.secret.end);
                last.whole = last.whole.start.min(next.whole.start)..last.whole.end.max(next.whole.end);
                last.rule = last.rule.min(next.rule);
            }
            _ => merged.push(next),
        }
    }
    merged
}

fn mark(kind: &str) -> Vec<u8> {
    format!("[redacted: {kind}]").into_bytes()
}
