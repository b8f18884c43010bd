//! `cordon access credentials` and `exec`: a grant's session, fetched and opened.

use std::ffi::OsString;
use std::io::{ErrorKind, Write as _};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::time::Duration;

use age::x25519::Identity;
use anyhow::{Context as _, bail};
use ids::{GrantId, Timestamp};
use serde_json::{Value, json};

use super::keys::{Kept, Keys, PASSPHRASE};
use super::session::{Session, open};
use super::shown::read;
use crate::signed::{Api, Asked, Failure, printable};

/// Seconds before its end from which a session is replaced. SDKs ask again 5 to 15 minutes before.
const SOON: i64 = 5 * 60;
/// How long a newer session is waited for. A program that uses the credentials waits as long.
const RENEWAL: Duration = Duration::from_secs(30);

/// A session of the grant that `kept` is the key of: a newer one, if this one ends soon and the grant has one more.
///
/// # Errors
/// If there is none, or it cannot be opened. A key whose grant is over is removed on the way.
pub(crate) async fn usable(api: &Api, keys: &Keys, kept: &Kept, grant: &GrantId) -> anyhow::Result<Session> {
    let identity = keys.identity(kept)?;
    let (serial, session) = match fetched(api, grant, &identity).await {
        Ok((serial, session)) => (serial, Some(session)),
        // The newest has ended, and is not given any more.
        Err(error) => (ended(api, keys, kept, grant, error).await?, None),
    };
    let lasts = |session: &Session, seconds| session.left(calls::now()) >= seconds;
    let session = match session {
        Some(session) if lasts(&session, SOON) => return Ok(session),
        soon => soon.filter(|session| lasts(session, 1)),
    };
    let why = match renewed(api, grant, serial, &identity).await {
        Ok(Some(newer)) => return Ok(newer),
        Ok(None) => format!("a newer session of {grant} did not come in time"),
        Err(error) => format!("{grant} was not renewed: {error:#}"),
    };
    match session {
        Some(session) => {
            say(&why);
            Ok(session)
        }
        None => bail!("the newest session of {grant} has ended, and {why}"),
    }
}

/// The newest session of `grant`, opened.
pub(crate) async fn fetched(api: &Api, grant: &GrantId, identity: &Identity) -> anyhow::Result<(u64, Session)> {
    let answer = api.ask(Asked::get(&format!("/grants/{grant}/credentials"))).await?;
    open(&answer, grant, identity)
}

/// Asks for one more session, and waits for one that is newer than `serial`; none if it does not come.
async fn renewed(api: &Api, grant: &GrantId, serial: u64, identity: &Identity) -> anyhow::Result<Option<Session>> {
    api.ask(Asked::post(&format!("/grants/{grant}/renewal"), &json!({}))).await?;
    let waiting = async {
        let mut pause = Pause::short();
        loop {
            pause.wait().await;
            // What keeps one poll from being answered may have passed at the next.
            match fetched(api, grant, identity).await {
                Ok((newer, session)) if newer > serial => return Ok(session),
                Ok(_) => {}
                Err(error) if Failure::of(&error).is_some_and(|failure| failure.may_pass() || failure.is_conflict()) => {}
                Err(error) => return Err(error),
            }
        }
    };
    match tokio::time::timeout(RENEWAL, waiting).await {
        Ok(found) => found.map(Some),
        Err(_) => Ok(None),
    }
}

/// What it means that there are no credentials, in terms of the grant: the number of the session that has ended, where one has and the grant goes on.
///
/// # Errors
/// With `error`, which is what the server said, and what the grant is.
async fn ended(api: &Api, keys: &Keys, kept: &Kept, grant: &GrantId, error: anyhow::Error) -> anyhow::Result<u64> {
    if !matches!(Failure::of(&error), Some(Failure::Refused { status: 400..=499, .. })) {
        return Err(error);
    }
    let Ok(answer) = api.ask(Asked::get(&format!("/grants/{grant}"))).await else { return Err(error) };
    let Ok(shown) = read(&answer, Some(grant)) else { return Err(error) };
    if shown.is_over() {
        let left = keys.forget(kept).err().map(|error| format!("; {error:#}")).unwrap_or_default();
        return Err(error.context(format!("{grant} is over ({}), and its key is removed{left}", shown.state())));
    }
    match (shown.state(), shown.serial(), Failure::of(&error).is_some_and(Failure::is_conflict)) {
        ("active", Some(serial), true) => Ok(serial),
        (state, _, true) => Err(error.context(format!("{grant} is {}: there are no credentials of it yet", printable(state)))),
        _ => Err(error),
    }
}

/// Becomes `command`, with the session in its environment: its signals and its exit code are its own.
///
/// # Errors
/// If there is no such program, or it cannot be run. On success it does not return.
pub(crate) fn exec(session: &Session, command: &[OsString]) -> anyhow::Result<u8> {
    let (program, arguments) = command.split_first().context("which command?")?;
    let error = Command::new(program)
        .args(arguments)
        // What would go before these credentials, or lead the program to others; and what opens the key.
        .env_remove("AWS_PROFILE")
        .env_remove("AWS_DEFAULT_PROFILE")
        .env_remove("AWS_SECURITY_TOKEN")
        .env_remove(PASSPHRASE)
        .env("AWS_ACCESS_KEY_ID", &session.access_key_id)
        .env("AWS_SECRET_ACCESS_KEY", &session.secret_access_key)
        .env("AWS_SESSION_TOKEN", &session.session_token)
        .env("AWS_CREDENTIAL_EXPIRATION", session.expiration.to_string())
        .exec();
    let (code, why) = match error.kind() {
        ErrorKind::NotFound => (127, "is not found".to_owned()),
        _ => (126, format!("cannot be run: {error}")),
    };
    say(&format!("`{}` {why}", program.display()));
    Ok(code)
}

/// Says something on standard error, whoever listens.
pub(crate) fn say(what: &str) {
    let _unheard = writeln!(std::io::stderr(), "cordon: {what}");
}

/// Waiting between two polls: a little longer each time, up to some seconds.
#[derive(Debug)]
pub(crate) struct Pause(Duration);

impl Pause {
    pub(crate) fn short() -> Self {
        Self(Duration::from_millis(250))
    }

    pub(crate) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 3 / 2).min(Duration::from_secs(4));
    }
}

/// Removes the key of a grant that is over, if there is one here; and gives a key that waits for its grant's name its name.
///
/// # Errors
/// If a key that is of no use any more is left.
pub(crate) fn tidied(keys: &Keys, answer: &Value) -> anyhow::Result<()> {
    let Ok(shown) = read(answer, None) else { return Ok(()) };
    let kept = match keys.of(&shown.grant)? {
        Some(kept) => Some(kept),
        None => match keys.all().into_iter().find(|kept| kept.grant.is_none() && kept.recipient == shown.terms.recipient) {
            Some(unnamed) => Some(keys.name(&unnamed, &shown.grant)?),
            None => None,
        },
    };
    match kept {
        Some(kept) if shown.is_over() => keys.forget(&kept),
        _ => Ok(()),
    }
}

/// Keys whose request nobody has heard of are of no use after this: a request can be approved for four hours.
const FORGOTTEN: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a key has waited for its grant's name in vain.
pub(crate) fn is_stale(kept: &Kept, now: Timestamp) -> bool {
    kept.grant.is_none() && kept.made.plus(FORGOTTEN) < now
}
