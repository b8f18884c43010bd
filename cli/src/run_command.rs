//! `cordon evidence run`, and what reads a run back: `keygen`, `show`, `output`.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use crate::aws;
use crate::datakey_command::{identities, recipients_of};
use crate::source::Store;
use crate::trust_command::EVERY_SIGNER;
use anyhow::{Context as _, anyhow, bail};
use aws_config::SdkConfig;
use calls::CallLog;
use clap::{Args, ValueEnum};
use evidence::{RecordKey, Session};
use evidence_store::{Folder, KmsEndorser, LocalEndorser, Recorder, S3, Worm};
use ids::{IncidentId, SessionId};
use p256::ecdsa::SigningKey;
use redact::Config;
use regex::bytes::Regex;
use witnessed::{Ending, Endorser, Live, NOT_STARTED, Recipients, Redactor, Run as Asked, Which, Witnessed, digest_of, witness};

/// Run any command as evidence: recorded before it starts, its output byte for byte, and how it ended.
///
/// The command does not start before its intent is durable in the store. Then it runs as it would without `cordon`: it has your standard
/// input, its output appears at once and unchanged, signals reach it, and its exit code is yours.
///
/// SECRETS: what the command prints is stored EXACTLY as it printed it, secrets included. Its arguments are stored too, but what looks like
/// a credential is taken out first, and the record says where. Environment variables are recorded by name only; what the command reads
/// from standard input is not recorded.
///
/// With --redact-output, credentials are taken out of what is stored of the output too, and personal data that --redact-config names; with
/// --seal-to, it is encrypted. What you see stays as the command printed it.
///
/// The command's output is a pipe, not a terminal: programs that look leave out colours and may hold back output until they end.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Exit codes:
  the command's own, or 128 + n if signal n ended it
  1    the command succeeded, and its output could not be written (a full disk): standard error says so
  123  the command ran, but its evidence is not whole: standard error says what is missing
  125  the command was not started: its intent could not be recorded
  126  the command could not be executed (recorded)
  127  there is no such command (recorded)

Examples:
  cordon evidence run -- tcpdump -c 100 -w - host 10.0.0.7 >capture.pcap
  cordon evidence run --key ~/.cordon/key.pem --purpose 'who is logged in' -- ssh bastion w
  cordon evidence run --redact-output --seal-to age1… -- cat /etc/app/config.yaml
  cordon evidence run --store s3://my-evidence --kms-key arn:aws:kms:…:key/… --incident inc-582222c0ebe0c78fc33d -- ./collect.sh")]
pub(crate) struct Run {
    /// Where to keep the evidence: a folder or s3://BUCKET.
    #[arg(long, value_name = "FOLDER|s3://BUCKET", default_value = "evidence", env = "CORDON_EVIDENCE_STORE")]
    store: Store,
    /// The incident it belongs to.
    #[arg(long, value_name = "ID")]
    incident: Option<IncidentId>,
    /// Why you run it, in your own words.
    #[arg(long, value_name = "TEXT")]
    purpose: Option<String>,
    /// Vouch for the record with your own key file (see `cordon evidence keygen`).
    #[arg(long, value_name = "FILE", conflicts_with = "kms_key", env = "CORDON_KEY")]
    key: Option<PathBuf>,
    /// Vouch for the record with your own KMS key (ECC_NIST_P256, sign and verify).
    #[arg(long, value_name = "ARN")]
    kms_key: Option<String>,
    /// When the outcome is due: past that, a run without one is an orphan to the verifier.
    #[arg(long, value_name = "DURATION", default_value = "24h", value_parser = duration)]
    due: Duration,
    /// Take what matches out of the recorded arguments too: group 1, or all of it. Repeatable.
    #[arg(long, value_name = "REGEX", conflicts_with = "no_redact")]
    redact: Vec<Regex>,
    /// Record the arguments as they are, credentials and all.
    #[arg(long)]
    no_redact: bool,
    /// Take credentials out of the output before it is stored, and what --redact-config names.
    #[arg(long)]
    redact_output: bool,
    /// What else to take out: lines of kinds (email, phone, iban, payment-card, ip-address) and of NAME = REGEX. The variable
    /// CORDON_REDACT may hold such lines too.
    #[arg(long, value_name = "FILE")]
    redact_config: Option<PathBuf>,
    /// Encrypt the output before it is stored, to this age recipient (age1…). Repeatable.
    #[arg(long, value_name = "RECIPIENT")]
    seal_to: Vec<String>,
    /// Where data keys are: if it has INCIDENT.pub, the output is sealed to it (see `cordon evidence datakey new`).
    #[arg(long, value_name = "FOLDER", env = "CORDON_DATAKEYS")]
    datakeys: Option<PathBuf>,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let span: jiff::SignedDuration = text.parse().map_err(|_| "expected a duration such as 90s, 30m or 24h".to_owned())?;
    Duration::try_from(span).map_err(|_| "expected a duration that is not negative".to_owned())
}

/// Make a key of your own to vouch for what you run.
///
/// Writes a P-256 private key (PKCS#8 PEM) that you alone can read, and prints what others need in order to trust it.
#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// The file to make. One that exists is left alone.
    file: PathBuf,
}

/// Show what a record says, in plain words.
#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The record's key (`rec/…`), or its file in the store.
    record: String,
    /// Where it is kept: a folder or s3://BUCKET.
    #[arg(long, value_name = "FOLDER|s3://BUCKET", default_value = "evidence", env = "CORDON_EVIDENCE_STORE")]
    store: Store,
    /// The whole statement, in JSON.
    #[arg(long)]
    json: bool,
}

/// Write a recorded command's output again, byte for byte as it was stored, each piece checked against its digest.
#[derive(Debug, Args)]
pub(crate) struct Output {
    /// The run's outcome or intent: its key (`rec/run/…`), or its file in the store.
    record: String,
    /// Where it is kept: a folder or s3://BUCKET.
    #[arg(long, value_name = "FOLDER|s3://BUCKET", default_value = "evidence", env = "CORDON_EVIDENCE_STORE")]
    store: Store,
    /// Which of the two outputs.
    #[arg(long, default_value = "stdout")]
    stream: StreamName,
    /// What opens it, if it is sealed: an age identity file, or one that `cordon evidence datakey new --wrap-with` made.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum StreamName {
    Stdout,
    Stderr,
}

/// Runs the command. The exit code is its own, as far as there is one.
pub(crate) fn run(arguments: &Run) -> ExitCode {
    let witnessed = match start(arguments) {
        Ok(witnessed) => witnessed,
        Err(error) => {
            say(format_args!("not started: {error:#}"));
            return ExitCode::from(NOT_STARTED);
        }
    };
    let Witnessed { ending, intent, outcome, lacks, unwritten } = &witnessed;
    match outcome {
        // For a person; whoever redirects standard error gets the command's and nothing else.
        Ok(link) if std::io::stderr().is_terminal() => say(format_args!("recorded: {}", link.key)),
        Ok(_) => {}
        Err(error) => {
            say(format_args!(
                "the command {ending}, but its outcome is not recorded: {}. Its intent is {}",
                chain(error),
                intent.key
            ));
        }
    }
    // As a shell would say: the exit code alone may be any program's own.
    if matches!(ending, Ending::NotFound | Ending::NotExecutable { .. }) {
        say(format_args!("the command {ending}"));
    }
    for what in unwritten {
        say(format_args!("the command's {what}"));
    }
    for lack in lacks {
        say(format_args!("the command {ending}, but its evidence is not whole: {lack}"));
    }
    ExitCode::from(witnessed.exit_code())
}

/// Says something on standard error. Not `eprintln!`, which panics if nobody listens any more: the exit code is the command's.
fn say(what: std::fmt::Arguments<'_>) {
    let _ = writeln!(std::io::stderr(), "cordon: {what}");
}

/// An error and what caused it, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn start(arguments: &Run) -> anyhow::Result<Witnessed> {
    let config = redact_config(arguments.redact_config.as_deref())?;
    let redactor = Redactor::configured(&arguments.redact, &config).context("the redaction rules do not compile")?;
    if arguments.redact_config.is_some() && !arguments.redact_output {
        say(format_args!(
            "what --redact-config names is taken out of the arguments alone: --redact-output takes it out of the output as well"
        ));
    }
    let seal_to = seal_to(arguments)?;
    let key = arguments.key.as_deref().map(read_key).transpose()?;
    if key.is_none() && arguments.kms_key.is_none() {
        say(format_args!("nobody vouches for this record (degraded): give --key FILE or --kms-key ARN"));
    }
    // The digest goes into the endorsement; without one nobody asks for it.
    let vouched = key.is_some() || arguments.kms_key.is_some();
    let code_sha256 = if vouched { std::env::current_exe().ok().and_then(|program| digest_of(&program).ok()) } else { None };
    let asked = Asked {
        argv: arguments.command.clone(),
        incident: arguments.incident.clone(),
        purpose: arguments.purpose.clone(),
        redactor: if arguments.no_redact { Redactor::off() } else { redactor.clone() },
        output_redactor: if arguments.redact_output { redactor } else { Redactor::off() },
        seal_to,
        due_in: arguments.due,
        code_sha256,
    };
    aws::runtime()?.block_on(async {
        let calls = CallLog::default();
        let config = match (&arguments.store, &arguments.kms_key) {
            (Store::Folder(_), None) => None,
            _ => Some(aws::config().await?),
        };
        let endorser = match (key, &arguments.kms_key, &config) {
            (Some(key), _, _) => Endorser::Key(Box::new(key)),
            (None, Some(arn), Some(config)) => Endorser::Kms(KmsEndorser::new(config, calls.clone(), arn.clone())),
            (None, _, _) => Endorser::Nobody,
        };
        match open(&arguments.store, config.as_ref(), calls)? {
            Opened::Folder(store) => execute(&asked, store, &endorser).await,
            Opened::Bucket(store) => execute(&asked, store, &endorser).await,
        }
    })
}

/// What is to be taken out besides credentials: the file's lines, and the variable's.
fn redact_config(file: Option<&Path>) -> anyhow::Result<Config> {
    let variable = std::env::var("CORDON_REDACT").unwrap_or_default();
    let config: Config = variable.parse().context("the variable CORDON_REDACT")?;
    let Some(file) = file else { return Ok(config) };
    let text = std::fs::read_to_string(file).with_context(|| format!("could not read `{}`", file.display()))?;
    let more = text.parse::<Config>().with_context(|| format!("`{}`", file.display()))?;
    Ok(config.and(more))
}

/// To whom the output is sealed: whoever was named, and the incident's data key where there is one.
fn seal_to(arguments: &Run) -> anyhow::Result<Option<Recipients>> {
    let mut names = arguments.seal_to.clone();
    if let (Some(folder), Some(incident)) = (&arguments.datakeys, &arguments.incident) {
        // A name that is mistyped must not mean that output is stored in plain.
        if !folder.is_dir() {
            bail!("there is no folder of data keys at `{}`", folder.display());
        }
        match recipients_of(folder, incident)? {
            Some(recipients) => names.extend(recipients.names()),
            None if names.is_empty() => {
                say(format_args!("`{}` has no data key for {incident}: the output is stored in plain", folder.display()));
            }
            None => {}
        }
    }
    if names.is_empty() { Ok(None) } else { Recipients::parse(&names).map(Some).context("--seal-to") }
}

async fn execute<S: Worm>(asked: &Asked, store: S, endorser: &Endorser) -> anyhow::Result<Witnessed> {
    let mut recorder = Recorder::new(store, session()?);
    // Not Rust's own handles: they hold lines back.
    let duplicate = |handle: std::os::fd::BorrowedFd<'_>| handle.try_clone_to_owned().map(File::from);
    let live = Live { stdout: duplicate(std::io::stdout().as_fd())?, stderr: duplicate(std::io::stderr().as_fd())? };
    Ok(witness(asked, &mut recorder, endorser, live, calls::now).await?)
}

enum Opened {
    Folder(Folder),
    Bucket(S3),
}

fn open(store: &Store, config: Option<&SdkConfig>, calls: CallLog) -> anyhow::Result<Opened> {
    match (store, config) {
        (Store::Folder(folder), _) => Ok(Opened::Folder(Folder::new(folder))),
        (Store::Bucket(bucket), Some(config)) => Ok(Opened::Bucket(S3::new(config, calls, bucket.clone()))),
        (Store::Bucket(_), None) => Err(anyhow!("there is no AWS configuration")),
    }
}

fn session() -> anyhow::Result<Session> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).context("the system has no randomness")?;
    Ok(Session::new(SessionId::from_random(id), fresh_key()?)?)
}

fn fresh_key() -> anyhow::Result<SigningKey> {
    // A draw outside the curve's order is refused and repeated; it has a chance of 2^-32.
    loop {
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).context("the system has no randomness")?;
        if let Ok(key) = SigningKey::from_slice(&secret) {
            return Ok(key);
        }
    }
}

pub(crate) fn read_key(file: &Path) -> anyhow::Result<LocalEndorser> {
    let unreadable = || format!("could not read the key `{}`", file.display());
    let mode = std::fs::metadata(file).with_context(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("others can read the key `{0}` too, so it vouches for nobody: chmod 600 {0}", file.display());
    }
    let pem = std::fs::read_to_string(file).with_context(unreadable)?;
    LocalEndorser::from_pem(&pem).with_context(|| format!("`{}` does not hold a key", file.display()))
}

/// Makes a key file.
pub(crate) fn keygen(arguments: &Keygen) -> anyhow::Result<ExitCode> {
    let endorser = LocalEndorser::new(fresh_key()?)?;
    let file = &arguments.file;
    let mut opened = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)
        .with_context(|| format!("could not make `{}`", file.display()))?;
    endorser
        .to_pem()?
        .with(|pem| opened.write_all(pem.as_bytes()))
        .and_then(|()| opened.sync_all())
        .context("could not write the key")?;
    let fingerprint = endorser.public_key().fingerprint();
    let (key, public) = (file.display(), file.with_extension("pub"));
    let public = public.display();
    // The same kind of key does either; what comes next depends on which it is to be.
    let text = format!(
        "\
key          {key}
fingerprint  {fingerprint}

To vouch for what you run:
  to use it    cordon evidence run --key {key} -- COMMAND
  to trust it  cordon evidence verify --root run={fingerprint} FOLDER
  in a keyring openssl pkey -in {key} -pubout -out {public}   # its public half, for whoever keeps the root:
               cordon evidence trust add --key ROOT.pem --store s3://BUCKET run={public}

As the root of a keyring, which names everybody's keys (keep it offline, and write the fingerprint down):
  to use it    cordon evidence trust new --key {key} --store s3://BUCKET {EVERY_SIGNER}
  to trust it  cordon evidence verify --root {fingerprint} s3://BUCKET
"
    );
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")?;
    Ok(ExitCode::SUCCESS)
}

/// The key in `text`, which may be a path in `store` that ends in one.
fn record_key(text: &str, store: &Store) -> anyhow::Result<RecordKey> {
    let (place, key) = text.split_at(text.rfind("rec/").unwrap_or_default());
    let parsed = key.parse().with_context(|| format!("`{}`", text.escape_debug()))?;
    let place = if place == "/" { place } else { place.trim_end_matches('/') };
    let here = match store {
        _ if place.is_empty() => true,
        Store::Bucket(_) => place == store.to_string(),
        Store::Folder(folder) => {
            std::fs::canonicalize(folder).ok().is_some_and(|folder| std::fs::canonicalize(place).ok() == Some(folder))
        }
    };
    if !here {
        // The same key may well be in both, with something else behind it.
        bail!(
            "`{0}` is a record in `{1}`, and `{store}` is where it would be looked for: give --store {1}",
            text.escape_debug(),
            place.escape_debug()
        );
    }
    Ok(parsed)
}

/// Shows a record.
pub(crate) fn show(arguments: &Show) -> anyhow::Result<ExitCode> {
    let key = record_key(&arguments.record, &arguments.store)?;
    let place = || format!("`{}`", arguments.store);
    let shown = aws::runtime()?.block_on(async {
        Ok::<_, anyhow::Error>(match open(&arguments.store, config_for(&arguments.store).await?.as_ref(), CallLog::default())? {
            Opened::Folder(store) => witnessed::show(&store, &key).await.with_context(place)?,
            Opened::Bucket(store) => witnessed::show(&store, &key).await.with_context(place)?,
        })
    })?;
    let text = if arguments.json { serde_json::to_string_pretty(&shown.statement)? + "\n" } else { shown.to_string() };
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")?;
    Ok(ExitCode::SUCCESS)
}

/// Writes a run's output.
pub(crate) fn output(arguments: &Output) -> anyhow::Result<ExitCode> {
    let key = record_key(&arguments.record, &arguments.store)?;
    let place = || format!("`{}`", arguments.store);
    let which = match arguments.stream {
        StreamName::Stdout => Which::Stdout,
        StreamName::Stderr => Which::Stderr,
    };
    let identities = arguments.identity.as_deref().map(identities).transpose()?;
    let identities = identities.as_ref();
    let mut stdout = File::from(std::io::stdout().as_fd().try_clone_to_owned().context("could not write the output")?);
    aws::runtime()?.block_on(async {
        match open(&arguments.store, config_for(&arguments.store).await?.as_ref(), CallLog::default())? {
            Opened::Folder(store) => witnessed::output(&store, &key, which, identities, &mut stdout).await.with_context(place)?,
            Opened::Bucket(store) => witnessed::output(&store, &key, which, identities, &mut stdout).await.with_context(place)?,
        };
        Ok(ExitCode::SUCCESS)
    })
}

async fn config_for(store: &Store) -> anyhow::Result<Option<SdkConfig>> {
    Ok(match store {
        Store::Folder(_) => None,
        Store::Bucket(_) => Some(aws::config().await?),
    })
}
