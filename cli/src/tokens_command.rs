//! `cordon revoke-tokens`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::aws::runtime;
use crate::tokens::github::GitHub;
use crate::tokens::http::{Base, Client};
use crate::tokens::input::{Input, numbered, read};
use crate::tokens::slack::Slack;
use crate::tokens::{About, Outcome, Platform, State, Token, Told, end, has_token};

macro_rules! exit_codes {
    () => {
        "Exit codes:
  0  all of them have ended, or had before; of those whose end cannot be seen (with --no-probe all), the platform has accepted it
  1  at least one has not, or is not shown to have; or the list is not used
  2  wrong arguments"
    };
}

/// End leaked tokens of other platforms than AWS, and look whether they have ended.
///
/// It asks the platform from this machine; Cordon's functions are not in it. To make it evidence, run it with `cordon evidence run
/// --redact-output`. What can be revoked, how it shows and what survives it is in docs/credentials.md.
///
/// Tokens are read from a file or from standard input, never from arguments or variables, which others can see. What is printed has
/// fingerprints only: the first 12 hex digits of a token's SHA-256.
#[derive(Debug, Args)]
pub(crate) struct RevokeTokens {
    #[command(subcommand)]
    platform: On,
}

#[derive(Debug, Subcommand)]
enum On {
    /// Have GitHub end tokens, whoever's they are. Nobody can bring them back, and their owners are e-mailed.
    ///
    /// They are sent to github.com, 1000 to a request, 60 requests an hour; nobody has to sign in. Before and after, each is used once or more to
    /// see whether it works.
    #[command(after_long_help = concat!("\
Examples:
  cordon revoke-tokens github --from tokens.txt --dry-run
  cordon revoke-tokens github --from tokens.txt
  trufflehog git file://. --json | cordon revoke-tokens github --trufflehog --from -
  cordon evidence run --redact-output -- cordon revoke-tokens github --from tokens.txt

", exit_codes!()))]
    Github(GithubArguments),
    /// Have Slack end tokens: each is used to revoke itself.
    #[command(after_long_help = concat!("\
Examples:
  cordon revoke-tokens slack --from tokens.txt --dry-run
  cordon revoke-tokens slack --from -

", exit_codes!()))]
    Slack(Arguments),
    /// Whatever else was typed, which is not repeated: it may be a token.
    #[command(external_subcommand)]
    #[expect(dead_code, reason = "it is there to be taken, not to be read")]
    Other(Vec<OsString>),
}

#[derive(Debug, Args)]
struct GithubArguments {
    #[command(flatten)]
    common: Arguments,
    /// Take 40 hex digits for a token too: GitHub's were that until April 2021, and so is every commit's id.
    #[arg(long)]
    classic: bool,
}

#[derive(Debug, Args)]
struct Arguments {
    /// The tokens, one to a line, in a file, or - for standard input.
    #[arg(long, value_name = "FILE")]
    from: PathBuf,
    /// The file is what TruffleHog found (its --json output). Other detectors' findings in it are left alone.
    #[arg(long)]
    trufflehog: bool,
    /// Where the platform is asked. Only over https, except on this machine.
    #[arg(long, value_name = "URL")]
    api: Option<String>,
    /// Show which tokens it would be about. Nobody is asked anything.
    #[arg(long)]
    dry_run: bool,
    /// Do not use the tokens to see whether they work: then only the platform's word is known.
    #[arg(long)]
    no_probe: bool,
    /// How many seconds to look whether a token has ended.
    #[arg(long, value_name = "SECONDS", default_value_t = 20, value_parser = clap::value_parser!(u64).range(0..=600))]
    wait: u64,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
    /// A token that was typed, so that no message repeats it.
    #[arg(hide = true)]
    typed: Vec<OsString>,
}

/// What clap says of arguments that it refuses.
const WRONG: u8 = 2;

pub(crate) fn run(arguments: &RevokeTokens) -> anyhow::Result<ExitCode> {
    match &arguments.platform {
        On::Github(GithubArguments { common, classic }) => on(&GitHub, common, *classic),
        On::Slack(common) => on(&Slack, common, false),
        On::Other(_) => wrong("which platform? `cordon revoke-tokens github` or `slack`; the tokens go into a file"),
    }
}

fn wrong(reason: &str) -> anyhow::Result<ExitCode> {
    writeln!(std::io::stderr(), "error: {reason}")?;
    Ok(ExitCode::from(WRONG))
}

fn on(platform: &impl Platform, arguments: &Arguments, classic: bool) -> anyhow::Result<ExitCode> {
    let about = platform.about();
    let named = arguments.from.to_str().is_some_and(has_token);
    if named || !arguments.typed.is_empty() {
        return wrong(
            "tokens are not taken from the command line, which the shell and every process list keep: give --from FILE, or -",
        );
    }
    let api = arguments.api.as_deref().unwrap_or(about.base);
    let Some(base) = Base::parse(api) else {
        return wrong("--api is no https:// address (http:// is for this machine only)");
    };
    let input = read(&arguments.from, about, arguments.trufflehog, classic)?;
    let told = if arguments.dry_run {
        let planned = |token: &Token| if token.kind.revocable { Outcome::Planned } else { Outcome::NotRevocable };
        let nothing = |token| Told { before: State::NotAsked, after: State::NotAsked, took: None, outcome: planned(token) };
        input.tokens.iter().map(nothing).collect()
    } else {
        let wait = (!arguments.no_probe).then_some(Duration::from_secs(arguments.wait));
        runtime()?.block_on(end(platform, &Client::new(base.clone()), &input.tokens, wait))
    };
    let shown = if arguments.json {
        serde_json::to_string_pretty(&report(about, &base, &input, &told))? + "\n"
    } else {
        words(about, &input, &told)
    };
    std::io::stdout().write_all(shown.as_bytes()).context("could not write the answer")?;
    let good = arguments.dry_run || (input.left.is_empty() && told.iter().all(|told| told.outcome.is_good()));
    Ok(ExitCode::from(u8::from(!good)))
}

fn word(state: &State) -> &'static str {
    match state {
        State::Works => "works",
        State::Ended => "ended",
        State::Refused(_) => "refused",
        State::Unknown(_) => "unknown",
        State::NotAsked => "not asked",
    }
}

/// Why it is as it is, where that is not said by the outcome alone.
fn why(token: &Token, told: &Told) -> Option<String> {
    let unknown = match &told.before {
        State::Unknown(reason) => Some(format!("whether it worked before is not known: {reason}")),
        _ => None,
    };
    match &told.outcome {
        Outcome::NotShown(reason) | Outcome::Failed(reason) => Some(reason.clone()),
        Outcome::NotRevocable | Outcome::Planned => Some(token.kind.done.to_owned()),
        Outcome::Accepted if token.kind.probe.is_none() => Some(token.kind.shown.to_owned()),
        _ => unknown,
    }
}

fn report(about: &About, base: &Base, input: &Input, told: &[Told]) -> Value {
    // Not called `tokens` or `credentials`: a redactor takes such a list for what it says, and hides it whole.
    let leaked: Vec<Value> = input
        .tokens
        .iter()
        .zip(told)
        .map(|(token, told)| {
            json!({
                "line": token.line, "fingerprint": token.fingerprint, "kind": token.kind.id, "recognised": token.kind.recognised, "outcome": told.outcome.name(),
                "before": word(&told.before), "after": word(&told.after),
                "millis": told.took.map(|took| u64::try_from(took.as_millis()).unwrap_or(u64::MAX)),
                "why": why(token, told), "survives": token.kind.survives,
            })
        })
        .collect();
    json!({ "platform": about.id, "api": base.to_string(), "leaked": leaked, "lines_left_alone": input.left })
}

/// An answer for people: a line for each token, then what is the same for all of a kind.
fn words(about: &About, input: &Input, told: &[Told]) -> String {
    let (mut said, mut counts, mut survivors) = (String::new(), BTreeMap::<&str, usize>::new(), BTreeMap::new());
    for (token, told) in input.tokens.iter().zip(told) {
        *counts.entry(told.outcome.name()).or_default() += 1;
        survivors.insert(token.kind.id, token.kind.survives);
        let Told { before, after, took, outcome } = told;
        // Writing to a string cannot fail.
        let _infallible = write!(said, "{}: {} (line {}, {})", outcome.name(), token.fingerprint, token.line, token.kind.id);
        let seen = *before != State::NotAsked || *after != State::NotAsked;
        let _infallible = if seen { write!(said, ": before {}, after {}", word(before), word(after)) } else { Ok(()) };
        let _infallible = took.map(|took| write!(said, " within {:.1} s", took.as_secs_f64()));
        let _infallible = why(token, told).map(|why| write!(said, "\n  {why}"));
        said.push('\n');
    }
    if !input.left.is_empty() {
        let _infallible =
            writeln!(said, "{} of {}'s that are of no kind known here: left alone", numbered(&input.left), about.name);
    }
    for (kind, survives) in survivors {
        let _infallible = writeln!(said, "goes on after {kind}: {survives}");
    }
    let counts: Vec<_> = counts.iter().map(|(name, count)| format!("{count} {name}")).collect();
    let _infallible = writeln!(said, "{}: {}", about.name, counts.join(", "));
    said
}
