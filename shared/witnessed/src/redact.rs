//! Credentials, taken out of a command's arguments before they are recorded.
//!
//! What is recorded is locked for years, so a doubt is decided against the text. What no rule can know (a bare password as a word of its
//! own) stays: `--redact` is for that.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use regex::bytes::{Captures, Regex, RegexBuilder};

use crate::body::{Redaction, Text};

/// Names whose value is a secret: `--db-password`, `GITHUB_TOKEN`, `aws_secret_access_key`, `apiKey`.
const NAMES: &str = r"(?:pass(?:word|wd|phrase|code)?|pwd|secret|token|credentials?|api[-_]?key|access[-_]?key|private[-_]?key|secret[-_]?key|signing[-_]?key|client[-_]?secret|session[-_]?token|authorization|bearer)";

/// One kind of credential. Group 1 of the expression, or all of it where it has none, is what goes.
#[derive(Debug, Clone)]
struct Rule {
    why: String,
    find: Regex,
}

/// Takes credentials out of arguments.
#[derive(Debug, Clone)]
pub struct Redactor {
    rules: Vec<Rule>,
    flag: Option<Regex>,
    aws_id: Regex,
    aws_run: Regex,
}

impl Redactor {
    /// The rules that come with this program, and `asked`, the responder's own.
    ///
    /// # Errors
    /// None that is known: the rules are fixed, and tests compile them.
    pub fn new(asked: &[Regex]) -> Result<Self, regex::Error> {
        let shipped = [
            ("private key", r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY-----|\z)".to_owned()),
            ("GitHub token", r"\bgh[pousr]_[A-Za-z0-9]{20,}|\bgithub_pat_[A-Za-z0-9_]{20,}".to_owned()),
            ("GitLab token", r"\bgl(?:pat|oas|dt|rt|cbt|ptt|ft|imt|agent|soat|ffct)-[A-Za-z0-9_.-]{16,}".to_owned()),
            ("Slack token", r"\bxox[a-z](?:\.xox[a-z])?-[A-Za-z0-9-]{10,}|\bxapp-[A-Za-z0-9-]{10,}".to_owned()),
            ("Slack webhook", r"\bhooks\.slack\.com/(?:services|workflows|triggers)/([A-Za-z0-9_/+-]+)".to_owned()),
            ("JSON web token", r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*".to_owned()),
            ("authorization header", r#"(?i)\bauthorization\s*:\s*(?:[a-z0-9-]+\s+)?([^\s"']+)"#.to_owned()),
            ("password in a URL", r"(?i)\b[a-z][a-z0-9+.-]*://[^\s/:@?#]*:([^\s/@]+)@".to_owned()),
            // The whole argument is name and value: the value is the rest, spaces and quotes and all.
            ("value of a secret's name", format!(r"(?is)\A-{{0,2}}(?:[a-z0-9]+[-_.])*[a-z0-9]*{NAMES}s?=(.+)\z")),
            // The same within a longer text: a script, a query string, JSON, a header.
            (
                "value of a secret's name",
                format!(r#"(?i)[a-z0-9_.-]*{NAMES}["']?\s*[=:]\s*("[^"]*"|'[^']*'|\\"[^"]*|[^\s&;,"'}}]+)"#),
            ),
            (
                "value of a secret's option",
                format!(r#"(?i)(?:\A|\s)--?(?:[a-z0-9]+-)*{NAMES}\s+("[^"]*"|'[^']*'|[^\s"'-][^\s"']*)"#),
            ),
        ];
        let mut rules = Vec::new();
        for (n, find) in asked.iter().enumerate() {
            rules.push(Rule { why: format!("--redact, number {}", n.saturating_add(1)), find: find.clone() });
        }
        for (why, find) in shipped {
            rules.push(Rule { why: why.to_owned(), find: bytewise(&find)? });
        }
        Ok(Self {
            rules,
            flag: Some(bytewise(&format!(r"(?i)\A--?(?:[a-z0-9]+[-_])*{NAMES}\z"))?),
            aws_id: bytewise(r"\b(?:AKIA|ASIA)[A-Z2-7]{16}\b")?,
            aws_run: bytewise("[A-Za-z0-9/+]+")?,
        })
    }

    /// A redactor that takes nothing out.
    ///
    /// # Errors
    /// As [`Redactor::new`].
    pub fn off() -> Result<Self, regex::Error> {
        Ok(Self { rules: Vec::new(), flag: None, ..Self::new(&[])? })
    }

    /// Whether it takes anything out.
    #[must_use]
    pub fn on(&self) -> bool {
        self.flag.is_some()
    }

    /// The arguments without their credentials, and what was taken out where.
    #[must_use]
    pub fn argv(&self, argv: &[OsString]) -> (Vec<Text>, Vec<Redaction>) {
        let Some(flag) = &self.flag else { return (argv.iter().map(|word| word.as_os_str().into()).collect(), Vec::new()) };
        let with_aws_id = argv.iter().any(|word| self.aws_id.is_match(word.as_bytes()));
        let curl = argv.first().is_some_and(|command| Path::new(command).file_name().is_some_and(|name| name == "curl"));
        let mut texts = Vec::new();
        let mut redactions = Vec::new();
        let mut before: &[u8] = b"";
        for (argument, word) in argv.iter().enumerate() {
            let mut text = word.as_bytes().to_vec();
            let mut note = |why: &str| {
                if !redactions.iter().any(|known: &Redaction| known.argument == argument && known.why == why) {
                    redactions.push(Redaction { argument, why: why.to_owned() });
                }
            };
            // Another option is no value: `--password --verbose` asks for the password.
            let value = !text.starts_with(b"-") || before.starts_with(b"--") && !text.starts_with(b"--");
            if flag.is_match(before) && value && !text.is_empty() {
                let why = "value of a secret's option";
                note(why);
                text = label(why);
            } else if curl && matches!(before, b"-u" | b"--user" | b"-U" | b"--proxy-user") {
                let why = "curl's user and password";
                note(why);
                text = label(why);
            }
            for rule in &self.rules {
                text = take_out(rule, &text, &mut note);
            }
            if with_aws_id {
                text = self.take_out_aws_secrets(&text, &mut note);
            }
            texts.push(text.as_slice().into());
            before = word.as_bytes();
        }
        (texts, redactions)
    }

    /// A secret access key is 40 characters of base64: so is a great deal else, but not where a key's id is about. The id itself
    /// stays: it is no secret, and says which key was used.
    fn take_out_aws_secrets(&self, text: &[u8], note: &mut impl FnMut(&str)) -> Vec<u8> {
        let why = "AWS secret access key";
        let replace = |found: &Captures<'_>| {
            let run = found.get(0).map_or(&b""[..], |found| found.as_bytes());
            let hex = run.iter().all(u8::is_ascii_hexdigit);
            if run.len() == 40 && !hex {
                note(why);
                label(why)
            } else {
                run.to_vec()
            }
        };
        self.aws_run.replace_all(text, replace).into_owned()
    }
}

/// An argument need not be UTF-8, and `.` has to mean any byte of it.
fn bytewise(find: &str) -> Result<Regex, regex::Error> {
    RegexBuilder::new(find).unicode(false).build()
}

fn label(why: &str) -> Vec<u8> {
    format!("[redacted: {why}]").into_bytes()
}

fn take_out(rule: &Rule, text: &[u8], note: &mut impl FnMut(&str)) -> Vec<u8> {
    let mut kept = Vec::with_capacity(text.len());
    let mut end = 0;
    for found in rule.find.captures_iter(text) {
        let Some(secret) = found.get(1).or_else(|| found.get(0)) else { continue };
        // What an earlier rule took out is not taken out again.
        if secret.is_empty() || secret.as_bytes().starts_with(b"[redacted:") {
            continue;
        }
        note(&rule.why);
        kept.extend_from_slice(text.get(end..secret.start()).unwrap_or_default());
        kept.extend_from_slice(&label(&rule.why));
        end = secret.end();
    }
    kept.extend_from_slice(text.get(end..).unwrap_or_default());
    kept
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
        hides(&["curl", "-u", "alice:hunter2", "https://example.com"], "hunter2", "curl's user and password");
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
        let (texts, redactions) = Redactor::off().unwrap().argv(&argv);
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
