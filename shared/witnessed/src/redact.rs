//! Credentials and configured personal data, taken out of what is recorded of a command.
//!
//! What is recorded is locked for years, so a doubt is decided against the text. What no rule can know (a bare password as a word of its
//! own) stays: `--redact` is for that.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt as _;

use redact::{Config, ConfigError, Stream};
use regex::bytes::Regex;

use crate::body::{Elsewhere, Redaction, Text};

/// Takes credentials and configured personal data out of what is recorded of a command.
#[derive(Debug, Clone)]
pub struct Redactor(Option<redact::Redactor>);

impl Redactor {
    /// The rules that come with this program, and `asked`, the responder's own.
    ///
    /// # Errors
    /// None that is known: the rules are fixed, and tests compile them.
    pub fn new(asked: &[Regex]) -> Result<Self, ConfigError> {
        Self::configured(asked, &Config::default())
    }

    /// The same, and what a configuration says.
    ///
    /// # Errors
    /// As [`Redactor::new`], for a configuration that was parsed.
    pub fn configured(asked: &[Regex], config: &Config) -> Result<Self, ConfigError> {
        let asked: Vec<_> = asked.iter().zip(1..).map(|(find, n)| (format!("--redact, number {n}"), find.clone())).collect();
        redact::Redactor::asked(&asked, config).map(|redactor| Self(Some(redactor)))
    }

    /// A redactor that takes nothing out.
    #[must_use]
    pub fn off() -> Self {
        Self(None)
    }

    /// Whether it takes anything out.
    #[must_use]
    pub fn on(&self) -> bool {
        self.0.is_some()
    }

    /// The arguments without what is to be taken out, and what that was where.
    #[must_use]
    pub fn argv(&self, argv: &[OsString]) -> (Vec<Text>, Vec<Redaction>) {
        let Some(redactor) = &self.0 else { return (argv.iter().map(|word| word.as_os_str().into()).collect(), Vec::new()) };
        let words: Vec<&[u8]> = argv.iter().map(|word| word.as_bytes()).collect();
        let (words, removed) = redactor.argv(&words);
        let redactions = removed.into_iter().map(|(argument, why)| Redaction { argument, why }).collect();
        (words.iter().map(|word| word.as_slice().into()).collect(), redactions)
    }

    /// Something else that is recorded, called `place`. What was taken out of it is noted in `removed`, each kind once.
    pub(crate) fn other(&self, place: &str, text: &OsStr, removed: &mut Vec<Elsewhere>) -> Text {
        let Some(redactor) = &self.0 else { return text.into() };
        let (bytes, found) = redactor.bytes(text.as_bytes());
        for found in found {
            let note = Elsewhere { place: place.to_owned(), why: found.kind };
            if !removed.contains(&note) {
                removed.push(note);
            }
        }
        bytes.as_slice().into()
    }

    /// For an output; none if nothing is taken out.
    pub(crate) fn stream(&self) -> Option<Stream> {
        self.0.clone().map(Stream::new)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt as _;

    use super::*;

    fn redacted(argv: &[&str]) -> (Vec<String>, Vec<(usize, String)>) {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        let (texts, redactions) = Redactor::new(&[]).unwrap().argv(&argv);
        let texts = texts.into_iter().map(|text| if let Text::Utf8(text) = text { text } else { panic!("{text:?}") });
        (texts.collect(), redactions.into_iter().map(|found| (found.argument, found.why)).collect())
    }

    #[track_caller]
    fn hides(argv: &[&str], secret: &str, why: &str) {
        let (texts, redactions) = redacted(argv);
        assert!(!texts.iter().any(|text| text.contains(secret)), "`{secret}` is in {texts:?}");
        assert!(redactions.iter().any(|(_, found)| found == why), "no `{why}` in {redactions:?}");
    }

    #[track_caller]
    fn keeps(argv: &[&str]) {
        let (texts, redactions) = redacted(argv);
        assert_eq!((texts, redactions), (argv.iter().map(|word| (*word).to_owned()).collect(), Vec::new()));
    }

    #[test]
    fn credentials_are_taken_out() {
        let name = "value of a secret's name";
        let option = "value of a secret's option";
        hides(&["mysql", "--password=hunter2 and more"], "hunter2", name);
        hides(&["mysql", "--password=hunter2 and more"], "more", name);
        hides(&["mysql", "--password", "hunter2"], "hunter2", option);
        hides(&["tool", "--password", "-starts-with-a-dash"], "starts", option);
        hides(&["tool", "--client-secret", "hunter2"], "hunter2", option);
        hides(&["env", "DB_PASSWORD=hunter2", "run"], "hunter2", name);
        hides(&["env", "AWS_SECRET_ACCESS_KEY=abc/def", "aws"], "abc/def", name);
        hides(&["curl", "https://api.example.com/x?token=hunter2&b=1"], "hunter2", name);
        hides(&["curl", "-H", "Authorization: Bearer hunter2"], "hunter2", "authorization header");
        hides(&["curl", "-H", "X-Api-Key: hunter2"], "hunter2", name);
        let curl = "curl's user and password";
        hides(&["curl", "-u", "alice:hunter2", "https://example.com"], "hunter2", curl);
        hides(&["curl", "-ualice:hunter2", "https://example.com"], "hunter2", curl);
        hides(&["curl", "-sSu", "alice:hunter2", "https://example.com"], "hunter2", curl);
        hides(&["curl", "-sualice:hunter2", "https://example.com"], "hunter2", curl);
        hides(&["curl", "--user=alice:hunter2", "https://example.com"], "hunter2", curl);
        hides(&["curl", "--proxy-user", "alice:hunter2", "https://example.com"], "hunter2", curl);
        hides(&["sudo", "-n", "/usr/bin/curl", "-u", "alice:hunter2", "https://example.com"], "hunter2", curl);
        keeps(&["curl", "--user-agent", "x", "-sS", "https://example.com"]);
        hides(&["sh", "-c", "curl -u alice:hunter2 https://example.com"], "hunter2", curl);
        hides(&["curl", "-d", r#"{"password": "hunter 2", "user": "alice"}"#], "hunter", name);
        hides(&["psql", "postgres://alice:hunter2@db.example.com/x"], "hunter2", "password in a URL");
        hides(&["sh", "-c", "mysql --password hunter2 -e 'select 1'"], "hunter2", option);
        hides(&["sh", "-c", "PGPASSWORD='hunter 2' psql"], "hunter", name);
        hides(&["gh", "auth", "ghp_abcdefghijklmnopqrstuvwxyz0123456789"], "ghp_", "GitHub token");
        hides(&["gh", "github_pat_11ABCDEFG0abcdefghijkl_mnopqrstuvwxyz"], "github_pat", "GitHub token");
        hides(&["glab", "glpat-abcdefghij0123456789"], "glpat", "GitLab token");
        hides(&["slack", "xoxb-123456789012-abcdefghijkl"], "xoxb", "Slack token");
        hides(&["curl", "https://hooks.slack.com/services/T000/B000/XXXX"], "XXXX", "Slack webhook");
        hides(&["x", "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"], "c2lnbmF0", "JSON web token");
        hides(&["x", "-----BEGIN EC PRIVATE KEY-----\nMHcCAQEE\n-----END EC PRIVATE KEY-----"], "MHcCAQEE", "private key");
        hides(&["x", "-----BEGIN PRIVATE KEY-----\nMHcCAQEE"], "MHcCAQEE", "private key");
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        hides(&["x", "AKIAIOSFODNN7EXAMPLE", secret], secret, "AWS secret access key");
        hides(&["x", &format!("AKIAIOSFODNN7EXAMPLE:{secret}")], secret, "AWS secret access key");
    }

    #[test]
    fn the_id_of_an_access_key_stays_and_everything_else_too() {
        let (texts, _) = redacted(&["aws", "AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"]);
        assert_eq!(texts[1], "AKIAIOSFODNN7EXAMPLE");
        keeps(&["aws", "iam", "list-access-keys", "--user-name", "alice"]);
        keeps(&["git", "show", "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"]);
        keeps(&["AKIAIOSFODNN7EXAMPLE", "3b18e512dba79e4c8300dd08aeb37f8e728b8dad"]);
        keeps(&["docker", "run", "-u", "1000:1000", "image"]);
        keeps(&["tool", "--password", "--verbose"]);
        keeps(&["ls", "-la", "/etc/passwd", "passport=1", "https://example.com:8443/a@b"]);
    }

    #[test]
    fn the_record_says_which_argument_and_why() {
        let (texts, redactions) = redacted(&["mysql", "--host=db", "--password=x"]);
        assert_eq!(texts, ["mysql", "--host=db", "--password=[redacted: value of a secret's name]"]);
        assert_eq!(redactions, [(2, "value of a secret's name".to_owned())]);
    }

    #[test]
    fn a_responder_adds_rules_or_turns_all_off() {
        let argv = ["tool", "case-4711", "--password=x"].map(OsString::from);
        let asked = [Regex::new("case-([0-9]+)").unwrap()];
        let (texts, redactions) = Redactor::new(&asked).unwrap().argv(&argv);
        assert_eq!(texts[1], Text::Utf8("case-[redacted: --redact, number 1]".to_owned()));
        assert_eq!(redactions[0], Redaction { argument: 1, why: "--redact, number 1".to_owned() });
        let (texts, redactions) = Redactor::off().argv(&argv);
        assert_eq!((texts[2].clone(), redactions), (Text::Utf8("--password=x".to_owned()), vec![]));
    }

    #[test]
    fn what_is_not_utf_8_is_looked_at_and_kept() {
        let argv = [OsString::from_vec(b"--token=\xff\xfe".to_vec()), OsString::from_vec(b"\xff".to_vec())];
        let (texts, redactions) = Redactor::new(&[]).unwrap().argv(&argv);
        assert_eq!(texts[0], Text::Utf8("--token=[redacted: value of a secret's name]".to_owned()));
        assert_eq!(texts[1], Text::Bytes { base64: "/w==".to_owned() });
        assert_eq!(redactions.len(), 1);
    }
}
