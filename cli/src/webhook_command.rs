//! `cordon webhook`: the keys of the doors that reports from outside AWS come in by.

use std::fmt::Write as _;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, anyhow, bail};
use aws_sdk_secretsmanager::Client;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Map, Value};
use webhook::{DOORS, Keys, SHORTEST};
use zeroize::Zeroizing;

use crate::aws;

/// Open and close the doors that reports from outside AWS come in by.
#[derive(Debug, Subcommand)]
pub(crate) enum Webhook {
    List(List),
    Open(Open),
    Close(Close),
}

/// Where the keys are.
#[derive(Debug, Args)]
struct Store {
    /// The secret with the doors' keys (the stack's output `DoorKeysArn`).
    #[arg(long, value_name = "ARN", env = "CORDON_DOOR_KEYS")]
    keys: Option<String>,
}

/// Which door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Door {
    /// GitHub's secret scanning alerts.
    Github,
    /// GitGuardian's custom webhook.
    Gitguardian,
    /// Falco, through Falcosidekick.
    Falco,
    /// Canary tokens. Its key is the last part of its path.
    Canary,
    /// No door: a token to ask GitHub which key an alert is about (fine-grained, "Secret scanning alerts: read-only").
    GithubToken,
}

impl Door {
    fn name(self) -> &'static str {
        match self {
            Self::Github => "github",
            Self::Gitguardian => "gitguardian",
            Self::Falco => "falco",
            Self::Canary => "canary",
            Self::GithubToken => "github_token",
        }
    }
}

/// Show which doors are open, and what to enter where. No key is shown.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  cordon webhook list --keys arn:aws:secretsmanager:…:secret:… --url https://….execute-api.eu-central-1.amazonaws.com")]
pub(crate) struct List {
    #[command(flatten)]
    store: Store,
    /// The doors' URL (the stack's output `DoorsUrl`).
    #[arg(long, value_name = "URL", env = "CORDON_DOORS_URL")]
    url: Option<String>,
}

/// Give a door a key. The one that it had holds on beside it, until the next one or --only.
///
/// Without --from a key is made, and printed once, alone on standard output. The door takes it within a minute.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  cordon webhook open github --keys arn:aws:secretsmanager:…:secret:…
  cordon webhook open gitguardian --from token.txt --keys arn:aws:secretsmanager:…:secret:…
  cordon webhook open canary --only --keys arn:aws:secretsmanager:…:secret:…")]
pub(crate) struct Open {
    /// The door.
    door: Door,
    /// A file with the key that the sender has made, or - for standard input.
    #[arg(long, value_name = "FILE")]
    from: Option<PathBuf>,
    /// The former key holds no more.
    #[arg(long)]
    only: bool,
    #[command(flatten)]
    store: Store,
}

/// Take a door's keys away. Within a minute it looks as if it were not there.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  cordon webhook close falco --keys arn:aws:secretsmanager:…:secret:…")]
pub(crate) struct Close {
    /// The door.
    door: Door,
    #[command(flatten)]
    store: Store,
}

pub(crate) fn run(command: &Webhook) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start")?;
    runtime.block_on(async {
        match command {
            Webhook::List(list) => {
                let (keys, wrong) = Keys::read(Vault::open(&list.store).await?.read().await?.as_bytes());
                let mut text = words(&keys, list.url.as_deref());
                wrong.iter().for_each(|wrong| text.push_str(&format!("note: {wrong}\n")));
                say(&text)
            }
            Webhook::Open(open) => {
                let vault = Vault::open(&open.store).await?;
                let (key, made) = match &open.from {
                    Some(path) => (given(path)?, false),
                    None if open.door == Door::GithubToken => bail!("GitHub makes its tokens: give it with --from FILE"),
                    None => (made()?, true),
                };
                let mut keys = read_all(&vault.read().await?)?;
                put(&mut keys, open.door, &key, open.only);
                vault.write(&keys).await?;
                let held = if open.only { "; no other key of it holds" } else { "" };
                writeln!(std::io::stderr(), "{} has a new key, within a minute{held}", open.door.name())?;
                if made { say(&format!("{}\n", key.as_str())) } else { Ok(()) }
            }
            Webhook::Close(close) => {
                let vault = Vault::open(&close.store).await?;
                let mut keys = read_all(&vault.read().await?)?;
                if keys.remove(close.door.name()).is_none() {
                    bail!("{} has no key: it is closed", close.door.name());
                }
                vault.write(&keys).await?;
                say(&format!("{} is closed, within a minute\n", close.door.name()))
            }
        }
    })?;
    Ok(ExitCode::SUCCESS)
}

fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")
}

/// The secret that the keys are in.
struct Vault {
    client: Client,
    id: String,
}

impl Vault {
    async fn open(store: &Store) -> anyhow::Result<Self> {
        let id = store.keys.clone().ok_or_else(|| anyhow!("which keys? Give --keys ARN (the stack's output `DoorKeysArn`)"))?;
        Ok(Self { client: Client::new(&aws::config().await?), id })
    }

    async fn read(&self) -> anyhow::Result<Zeroizing<String>> {
        let answer = self.client.get_secret_value().secret_id(&self.id).send().await;
        let answer = answer.map_err(|error| anyhow!("could not read the doors' keys: {}", calls::cause(&error)))?;
        Ok(Zeroizing::new(answer.secret_string.unwrap_or_default()))
    }

    async fn write(&self, keys: &Map<String, Value>) -> anyhow::Result<()> {
        let text = serde_json::to_string(keys)?;
        let answer = self.client.put_secret_value().secret_id(&self.id).secret_string(text).send().await;
        answer.map(drop).map_err(|error| anyhow!("could not change the doors' keys: {}", calls::cause(&error)))
    }
}

/// All keys, those that this version does not know included: they are not lost.
fn read_all(text: &str) -> anyhow::Result<Map<String, Value>> {
    if text.trim().is_empty() {
        return Ok(Map::new());
    }
    serde_json::from_str(text)
        .map_err(|_| anyhow!("the secret is no JSON object of doors and keys: is it the stack's `DoorKeysArn`?"))
}

/// The new key first, the newest of the former ones after it.
fn put(keys: &mut Map<String, Value>, door: Door, key: &str, only: bool) {
    let former = match keys.get(door.name()) {
        Some(Value::Array(list)) => list.first().cloned(),
        one => one.cloned(),
    };
    // A token is one: the first is used.
    let former = former.filter(|former| !only && door != Door::GithubToken && former.as_str() != Some(key));
    let list: Vec<Value> = [Value::from(key)].into_iter().chain(former).collect();
    keys.insert(door.name().to_owned(), list.into());
}

/// 256 bits, in characters that a path takes.
fn made() -> anyhow::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(&mut *bytes).map_err(|error| anyhow!("the system has no randomness: {error}"))?;
    Ok(Zeroizing::new(URL_SAFE_NO_PAD.encode(*bytes)))
}

fn given(path: &Path) -> anyhow::Result<Zeroizing<String>> {
    let mut text = Zeroizing::new(String::new());
    if path == Path::new("-") {
        std::io::stdin().read_to_string(&mut text).context("could not read the key from standard input")?;
    } else {
        let mut file = std::fs::File::open(path).with_context(|| format!("could not read {}", path.display()))?;
        file.read_to_string(&mut text).with_context(|| format!("could not read {}", path.display()))?;
    }
    let key = Zeroizing::new(text.trim().to_owned());
    if key.len() < SHORTEST || !key.bytes().all(|byte| byte.is_ascii_graphic()) {
        bail!("a key has {SHORTEST} characters at least, and no spaces: anything shorter can be guessed");
    }
    Ok(key)
}

fn words(keys: &Keys, url: Option<&str>) -> String {
    let base = url.map_or("URL", |url| url.trim_end_matches('/'));
    let mut text = String::new();
    for door in DOORS {
        let state = if keys.opens(door.id) { "open" } else { "closed" };
        let ticket = if door.ticket { "/KEY" } else { "" };
        let _infallible = writeln!(text, "{:<12} {state:<7} {base}/{}{ticket}\n{:20} {}", door.id, door.id, "", door.set_up);
    }
    let asked = if keys.github_token().is_some() {
        "is asked which key an alert is about"
    } else {
        "is not asked: cordon webhook open github-token"
    };
    let _infallible = writeln!(text, "\nGitHub {asked}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(keys: &Map<String, Value>, door: &str) -> Vec<String> {
        let list = keys.get(door).and_then(Value::as_array).unwrap();
        list.iter().map(|key| key.as_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn the_former_key_holds_until_the_next_one() {
        let mut keys = read_all(r#"{"canary": "first", "another versions": {"x": 1}}"#).unwrap();
        put(&mut keys, Door::Canary, "second", false);
        assert_eq!(list(&keys, "canary"), ["second", "first"]);
        put(&mut keys, Door::Canary, "third", false);
        assert_eq!(list(&keys, "canary"), ["third", "second"]);
        put(&mut keys, Door::Canary, "third", false);
        assert_eq!(list(&keys, "canary"), ["third"], "the same once more is no other");
        put(&mut keys, Door::Canary, "fourth", true);
        assert_eq!(list(&keys, "canary"), ["fourth"]);
        put(&mut keys, Door::GithubToken, "token", false);
        put(&mut keys, Door::GithubToken, "another", false);
        assert_eq!(list(&keys, "github_token"), ["another"]);
        assert!(keys.contains_key("another versions"), "what this version does not know stays");
    }

    /// A door that the list shows and nobody can open would be no door.
    #[test]
    fn every_door_can_be_opened() {
        for door in DOORS {
            assert!(Door::value_variants().iter().any(|variant| variant.name() == door.id), "{}", door.id);
        }
        let mut keys = Map::new();
        for door in Door::value_variants() {
            put(&mut keys, *door, &made().unwrap(), false);
        }
        let (read, wrong) = Keys::read(serde_json::to_string(&keys).unwrap().as_bytes());
        assert!(wrong.is_empty(), "{wrong:?}");
        let shown = words(&read, Some("https://doors.example/"));
        assert!(DOORS.iter().all(|door| read.opens(door.id) && shown.contains(&format!("https://doors.example/{}", door.id))));
        assert!(!shown.contains(keys["canary"][0].as_str().unwrap()), "{shown}");
    }
}
