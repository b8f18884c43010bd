//! `cordon evidence datakey`: the key that an incident's output is sealed to, and how it is read.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use calls::CallLog;
use clap::{Args, Subcommand};
use evidence::Secret;
use evidence_store::KmsWrap;
use ids::IncidentId;
use serde::{Deserialize, Serialize};
use witnessed::{Identities, Recipients, new_identity};

use crate::aws;

/// Make the key that one incident's output is sealed to.
#[derive(Debug, Args)]
pub(crate) struct Datakey {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    New(New),
}

/// Make an age identity for one incident, and print its recipient.
///
/// Who has the identity reads what is sealed to it; evidence is never deleted, but without the identity nobody reads it any more. So
/// destroying the identity, with every copy, is how an incident's output is erased. It belongs in no bucket with Object Lock.
///
/// Beside FILE, INCIDENT.pub gets the recipient: `cordon evidence run --datakeys FOLDER` finds it there.
#[derive(Debug, Args)]
#[command(after_long_help = "\
Examples:
  cordon evidence datakey new inc-582222c0ebe0c78fc33d --out keys/inc-582222c0ebe0c78fc33d.key
  cordon evidence datakey new inc-582222c0ebe0c78fc33d --out keys/inc.json --wrap-with arn:aws:kms:…:key/…
  age --decrypt --identity keys/inc-582222c0ebe0c78fc33d.key evidence/blob/ab/ab…   # without Cordon, if it is not wrapped")]
struct New {
    /// The incident.
    incident: IncidentId,
    /// The file to make, for you alone. One that exists is left alone.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Wrap the identity with this KMS key (symmetric): FILE is then of no use without kms:Decrypt.
    #[arg(long, value_name = "ARN")]
    wrap_with: Option<String>,
}

/// An identity that KMS has wrapped, as a file.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Wrapped {
    format: String,
    incident: IncidentId,
    recipient: String,
    kms_key: String,
    /// What KMS gave, in base64.
    wrapped: String,
}

const FORMAT: &str = "cordon-datakey/v1";

pub(crate) fn run(arguments: &Datakey) -> anyhow::Result<ExitCode> {
    let Command::New(arguments) = &arguments.command;
    let New { incident, out, wrap_with } = arguments;
    let (identity, recipient) = new_identity();
    let text = match wrap_with {
        None => {
            identity.with(|identity| Secret::new(format!("# the data key of {incident}\n# public key: {recipient}\n{identity}\n")))
        }
        Some(key) => {
            let wrapped = aws::runtime()?.block_on(async {
                let config = aws::config().await?;
                Ok::<_, anyhow::Error>(KmsWrap::new(&config, CallLog::default()).wrap(key, incident, &identity).await?)
            })?;
            let wrapped = Wrapped {
                format: FORMAT.to_owned(),
                incident: incident.clone(),
                recipient: recipient.clone(),
                kms_key: key.clone(),
                wrapped: STANDARD.encode(wrapped),
            };
            Secret::new(serde_json::to_string_pretty(&wrapped)? + "\n")
        }
    };
    let public = out.with_file_name(format!("{incident}.pub"));
    if public == *out {
        bail!("`{}` is the file for the recipient: give the identity another name", out.display());
    }
    make(&public, &Secret::new(format!("{recipient}\n")))?;
    if let Err(error) = make(out, &text) {
        // Or output would be sealed to a key that nobody has.
        std::fs::remove_file(&public).with_context(|| format!("{error:#}; and could not take away `{}`", public.display()))?;
        return Err(error);
    }
    let kept = if wrap_with.is_some() { "wrapped by KMS" } else { "a SECRET" };
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let answer = format!(
        "recipient  {recipient}\nidentity   {}, {kept}\nto seal    cordon evidence run --incident {incident} --datakeys {} -- COMMAND\nto read    cordon evidence output --identity {} RECORD\nto erase   destroy {0} and every copy of it: nobody can read what is sealed to it then\n",
        out.display(),
        folder.display(),
        out.display()
    );
    std::io::stdout().write_all(answer.as_bytes()).context("could not write the answer")?;
    Ok(ExitCode::SUCCESS)
}

/// Makes a file that its owner alone can read.
fn make(file: &Path, text: &Secret<String>) -> anyhow::Result<()> {
    let failed = || format!("could not make `{}`", file.display());
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(file).with_context(failed)?;
    text.with(|text| opened.write_all(text.as_bytes())).and_then(|()| opened.sync_all()).with_context(failed)
}

/// Reads identities from a file: one that age knows, or one that KMS has to unwrap.
pub(crate) fn identities(file: &Path) -> anyhow::Result<Identities> {
    let unreadable = || format!("could not read the identity `{}`", file.display());
    let mode = std::fs::metadata(file).with_context(unreadable)?.permissions().mode();
    if mode & 0o077 != 0 {
        bail!("others can read the identity `{0}` too: chmod 600 {0}", file.display());
    }
    let text = Secret::new(std::fs::read_to_string(file).with_context(unreadable)?);
    let named = || format!("`{}`", file.display());
    if !text.with(|text| text.trim_start().starts_with('{')) {
        return text.with(|text| Identities::parse(text)).with_context(named);
    }
    let wrapped: Wrapped =
        text.with(|text| serde_json::from_str(text)).with_context(|| format!("`{}` is no data key", file.display()))?;
    if wrapped.format != FORMAT {
        bail!("`{}` is a data key of another format, `{}`", file.display(), wrapped.format.escape_debug());
    }
    let bytes = STANDARD.decode(&wrapped.wrapped).with_context(|| format!("`{}` is no data key", file.display()))?;
    let identity = aws::runtime()?.block_on(async {
        let config = aws::config().await?;
        let wrap = KmsWrap::new(&config, CallLog::default());
        Ok::<_, anyhow::Error>(wrap.unwrap(&wrapped.kms_key, &wrapped.incident, bytes).await?)
    });
    let identities = identity.with_context(named)?.with(|text| Identities::parse(text)).with_context(named)?;
    if identities.recipients() != [wrapped.recipient.clone()] {
        bail!("`{}` does not hold the identity of {}", file.display(), wrapped.recipient.escape_debug());
    }
    Ok(identities)
}

/// The recipients that `folder` has for `incident`; none if it has none.
pub(crate) fn recipients_of(folder: &Path, incident: &IncidentId) -> anyhow::Result<Option<Recipients>> {
    let file = folder.join(format!("{incident}.pub"));
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("could not read `{}`", file.display())),
    };
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    Recipients::parse(&lines).map(Some).with_context(|| format!("`{}`", file.display()))
}
