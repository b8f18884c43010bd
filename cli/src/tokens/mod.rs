//! Tokens that other platforms revoke. Each platform is one file, which says what its tokens are and how it is asked.

pub(crate) mod github;
pub(crate) mod http;
pub(crate) mod input;
pub(crate) mod slack;

use std::cell::RefCell;
use std::time::{Duration, Instant};

use evidence::Secret;
use futures_util::StreamExt as _;
use futures_util::stream;
use ids::Sha256;
use zeroize::Zeroizing;

use http::{Client, Trouble};

/// So many questions are under way at once: soon done, and nothing that a platform calls abuse.
const AT_ONCE: usize = 8;

/// A kind of token. The texts are those of docs/credentials.md.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) id: &'static str,
    /// What it begins with. Nothing stands for 40 hex digits, which are believed only on request.
    pub(crate) prefixes: &'static [&'static str],
    /// What may follow, besides letters and digits.
    pub(crate) also: &'static str,
    pub(crate) recognised: &'static str,
    pub(crate) done: &'static str,
    pub(crate) shown: &'static str,
    pub(crate) survives: &'static str,
    /// Whether the platform ends it for whoever has it. If not, `done` says what to do.
    pub(crate) revocable: bool,
    /// What answers differently while it works.
    pub(crate) probe: Option<&'static str>,
}

impl Kind {
    fn has(&self, text: &str) -> bool {
        if self.prefixes.is_empty() {
            return text.len() == 40 && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte));
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || self.also.contains(c);
        // GitHub says up to 255 and has longer ones since 2026.
        let whole = |rest: &str| (10..=2048).contains(&rest.len()) && rest.chars().all(fits);
        self.prefixes.iter().filter_map(|prefix| text.strip_prefix(prefix)).any(whole)
    }
}

/// What is to be known of a platform before it is asked.
#[derive(Debug)]
pub(crate) struct About {
    pub(crate) id: &'static str,
    pub(crate) name: &'static str,
    pub(crate) base: &'static str,
    /// What TruffleHog calls it.
    pub(crate) detector: &'static str,
    /// So many tokens go into one request.
    pub(crate) at_once: usize,
    pub(crate) kinds: &'static [Kind],
}

/// Every platform, so that a token in the wrong list is told whose it is.
pub(crate) const PLATFORMS: &[&About] = &[&github::ABOUT, &slack::ABOUT];

/// How a platform is asked.
pub(crate) trait Platform {
    fn about(&self) -> &'static About;
    /// Whether the token works now.
    async fn probe(&self, client: &Client, token: &Token) -> Result<State, Trouble>;
    /// Asks that these tokens end. It is done with that when the platform has accepted it.
    async fn revoke(&self, client: &Client, tokens: &[&Token]) -> Result<(), Trouble>;
}

/// A token. It cannot be printed: what stands for it everywhere is its fingerprint.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) kind: &'static Kind,
    pub(crate) line: usize,
    /// Four characters that all tokens of the kind begin with, and 48 bits of the token's SHA-256.
    pub(crate) fingerprint: String,
    secret: Secret<Zeroizing<String>>,
}

impl Token {
    fn new(kind: &'static Kind, line: usize, digest: &Sha256, secret: Zeroizing<String>) -> Self {
        let prefix = kind.prefixes.iter().find(|prefix| secret.starts_with(**prefix)).unwrap_or(&"hex");
        let fingerprint = format!("{}:{}", prefix.chars().take(4).collect::<String>(), digest.prefix(6));
        Self { kind, line, fingerprint, secret: Secret::new(secret) }
    }
}

/// Whether there is a token in `text`: then it is not repeated.
pub(crate) fn has_token(text: &str) -> bool {
    let is_token = |text, classic| PLATFORMS.iter().any(|about| input::kind(text, about, classic).is_some());
    // Git names its objects by 40 hex digits, so as part of a path they are no token.
    is_token(text, true) || text.split(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c)).any(|word| is_token(word, false))
}

/// Whether a token works.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum State {
    Works,
    /// The platform knows it no longer.
    Ended,
    /// It is refused, for a reason that need not be the token's own.
    Refused(String),
    /// It could not be asked.
    Unknown(String),
    /// Nobody asked.
    NotAsked,
}

/// How it ended for one token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It worked, or might have, and is refused since.
    Ended,
    /// It was refused already.
    AlreadyEnded,
    /// The platform has accepted to end it, and whether it did was not asked or does not show.
    Accepted,
    /// The platform has accepted to end it, and it is not shown to have ended.
    NotShown(String),
    /// The platform did not accept.
    Failed(String),
    /// No platform ends this kind for whoever has it.
    NotRevocable,
    /// Nothing was done, because nothing was to be.
    Planned,
}

impl Outcome {
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Ended => "Ended",
            Self::AlreadyEnded => "AlreadyEnded",
            Self::Accepted => "Accepted",
            Self::NotShown(_) => "NotShown",
            Self::Failed(_) => "Failed",
            Self::NotRevocable => "NotRevocable",
            Self::Planned => "Planned",
        }
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_good(&self) -> bool {
        matches!(self, Self::Ended | Self::AlreadyEnded | Self::Accepted | Self::Planned)
    }
}

/// What became of one token.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) before: State,
    pub(crate) after: State,
    /// From the platform's acceptance until the token was seen refused.
    pub(crate) took: Option<Duration>,
    pub(crate) outcome: Outcome,
}

/// Ends these tokens and looks whether they have ended, for as long as `wait`. Without `wait`, no token is ever used.
pub(crate) async fn end(platform: &impl Platform, client: &Client, tokens: &[Token], wait: Option<Duration>) -> Vec<Told> {
    let everyone: Vec<&Token> = tokens.iter().collect();
    let before = match wait {
        Some(_) => look(platform, client, &everyone).await.0,
        None => everyone.iter().map(|_| State::NotAsked).collect(),
    };
    let mut entries: Vec<Entry> = everyone
        .into_iter()
        .zip(before)
        .map(|(token, before)| Entry { token, before, after: State::NotAsked, asked: Asked::No, took: None })
        .collect();

    // What did not answer before is asked to end all the same: the probe is for people, the end is for the thief.
    let mut stopped = None::<Trouble>;
    let mut open: Vec<&mut Entry> =
        entries.iter_mut().filter(|entry| entry.token.kind.revocable && entry.before != State::Ended).collect();
    for some in open.chunks_mut(platform.about().at_once) {
        let done = match &stopped {
            Some(trouble) => Err(trouble.clone()),
            None => platform.revoke(client, &some.iter().map(|entry| entry.token).collect::<Vec<_>>()).await,
        };
        stopped = stopped.or_else(|| done.as_ref().err().filter(|trouble| trouble.about != http::About::This).cloned());
        for entry in some {
            entry.asked = match &done {
                Ok(()) => Asked::Accepted(Instant::now()),
                Err(trouble) => Asked::Failed(trouble.reason.clone()),
            };
        }
    }
    if let Some(wait) = wait {
        watch(platform, client, &mut entries, wait).await;
    }
    entries.into_iter().map(|entry| entry.told(wait)).collect()
}

/// A token under way.
struct Entry<'a> {
    token: &'a Token,
    before: State,
    after: State,
    asked: Asked,
    took: Option<Duration>,
}

enum Asked {
    No,
    Accepted(Instant),
    Failed(String),
}

impl Entry<'_> {
    /// Since the platform accepted. Only such tokens are looked at again, and only those that show.
    fn since(&self) -> Option<Instant> {
        match self.asked {
            Asked::Accepted(at) if self.token.kind.probe.is_some() => Some(at),
            _ => None,
        }
    }

    /// Refused for whatever reason is enough for a token that worked from this very place a moment ago.
    fn has_ended(&self) -> bool {
        self.after == State::Ended || (self.before == State::Works && matches!(self.after, State::Refused(_)))
    }

    fn told(self, wait: Option<Duration>) -> Told {
        let outcome = if self.before == State::Ended {
            Outcome::AlreadyEnded
        } else {
            match &self.asked {
                Asked::No => Outcome::NotRevocable,
                Asked::Failed(reason) => Outcome::Failed(reason.clone()),
                Asked::Accepted(_) if self.has_ended() => Outcome::Ended,
                Asked::Accepted(_) if wait.is_none() || self.token.kind.probe.is_none() => Outcome::Accepted,
                Asked::Accepted(_) => Outcome::NotShown(match &self.after {
                    State::Refused(reason) | State::Unknown(reason) => reason.clone(),
                    _ => format!("it still worked {} s later", wait.unwrap_or_default().as_secs()),
                }),
            }
        };
        Told { before: self.before, after: self.after, took: self.took, outcome }
    }
}

/// Looks again and again at what was accepted, until all of it is refused.
async fn watch(platform: &impl Platform, client: &Client, entries: &mut [Entry<'_>], wait: Duration) {
    let (until, mut pause) = (Instant::now() + wait, Duration::from_millis(250));
    loop {
        let mut open: Vec<_> = entries.iter_mut().filter(|entry| entry.since().is_some() && !entry.has_ended()).collect();
        let tokens: Vec<_> = open.iter().map(|entry| entry.token).collect();
        let (states, pace) = look(platform, client, &tokens).await;
        for (entry, state) in open.iter_mut().zip(states) {
            entry.after = state;
            entry.took = entry.since().filter(|_| entry.has_ended()).map(|at| at.elapsed());
        }
        let left = until.saturating_duration_since(Instant::now());
        // Whoever asks on after being told to stop is locked out for longer.
        if pace || left.is_zero() || open.iter().all(|entry| entry.has_ended()) {
            return;
        }
        tokio::time::sleep(pause.min(left)).await;
        pause = (pause * 2).min(Duration::from_secs(2));
    }
}

/// Each token's state, and whether the platform wants no more questions. After a failure that is not one token's, nobody else is asked.
async fn look(platform: &impl Platform, client: &Client, tokens: &[&Token]) -> (Vec<State>, bool) {
    let stopped = RefCell::new(None::<Trouble>);
    let asking: Vec<_> = tokens.iter().map(|token| one(platform, client, token, &stopped)).collect();
    let states = stream::iter(asking).buffered(AT_ONCE).collect().await;
    let pace = stopped.into_inner().is_some_and(|trouble| trouble.about == http::About::Pace);
    (states, pace)
}

async fn one(platform: &impl Platform, client: &Client, token: &Token, stopped: &RefCell<Option<Trouble>>) -> State {
    if token.kind.probe.is_none() {
        return State::NotAsked;
    }
    let before = stopped.borrow().clone();
    let trouble = match before {
        Some(trouble) => trouble,
        None => match platform.probe(client, token).await {
            Ok(state) => return state,
            Err(trouble) => trouble,
        },
    };
    if trouble.about != http::About::This {
        stopped.borrow_mut().get_or_insert_with(|| trouble.clone());
    }
    State::Unknown(trouble.reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page is the registry, in words for people.
    #[test]
    fn the_page_about_tokens_is_the_registry() {
        let page = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/credentials.md")).unwrap();
        for kind in PLATFORMS.iter().flat_map(|about| about.kinds) {
            let Kind { id, recognised, done, shown, survives, .. } = kind;
            let row = format!("| `{id}` | {recognised} | {done} | {shown} | {survives} |");
            assert!(page.contains(&row), "docs/credentials.md lacks this row:\n{row}");
            assert!(kind.prefixes.iter().all(|prefix| recognised.contains(prefix)), "{id}");
        }
    }

    #[test]
    fn each_kind_has_its_form_and_no_two_share_one() {
        let some = "a7Bq9ZkR3mXw5TfY1nLc8VhJ2pGd4SuE6a7B";
        for kind in PLATFORMS.iter().flat_map(|about| about.kinds) {
            for prefix in kind.prefixes {
                let text = format!("{prefix}{some}");
                let have: Vec<_> =
                    PLATFORMS.iter().flat_map(|about| about.kinds).filter(|kind| kind.has(&text)).map(|kind| kind.id).collect();
                assert_eq!(have, [kind.id], "{prefix}");
                for wrong in [format!("{prefix}short"), format!(" {text}"), format!("{text}\"x"), format!("{text}\u{e9}")] {
                    assert!(!kind.has(&wrong), "{wrong}");
                }
                assert!(has_token(&format!("/home/TOKEN={text}")) && !has_token(prefix));
            }
        }
        let hex = &"01234567".repeat(5);
        assert!(has_token(hex) && !has_token(&format!("objects/{hex}")));
    }
}
