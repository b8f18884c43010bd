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
use super::shown::{checked, text};
use crate::signed::{Api, Asked, Failure};

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
        Ok(found) => found,
        Err(error) => return Err(without(api, keys, kept, grant, error).await),
    };
    if session.left(calls::now()) >= SOON {
        return Ok(session);
    }
    match renewed(api, grant, serial, &identity).await {
        Ok(Some(newer)) => return Ok(newer),
        Ok(None) => say(&format!("a newer session of {grant} did not come in time")),
        Err(error) => say(&format!("{grant} was not renewed: {error:#}")),
    }
    if session.left(calls::now()) <= 0 {
        bail!("the session of {grant} ended at {}, and there is no newer one", session.expiration);
    }
    Ok(session)
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
                Err(error) if Failure::of(&error).is_some_and(Failure::may_pass) => {}
                Err(error) => return Err(error),
            }
        }
    };
    match tokio::time::timeout(RENEWAL, waiting).await {
        Ok(found) => found.map(Some),
        Err(_) => Ok(None),
    }
}

/// Why there are no credentials, in terms of the grant: `error` is what the server said.
async fn without(api: &Api, keys: &Keys, kept: &Kept, grant: &GrantId, error: anyhow::Error) -> anyhow::Error {
    if !matches!(Failure::of(&error), Some(Failure::Refused { status: 400..=499, .. })) {
        return error;
    }
    let Ok(answer) = api.ask(Asked::get(&format!("/grants/{grant}"))).await else { return error };
    let Ok(shown) = checked(&answer, Some(grant)) else { return error };
    if shown.is_over() {
        let left = keys.forget(kept).err().map(|error| format!("; {error:#}")).unwrap_or_default();
        return error.context(format!("{grant} is over ({}), and its key is removed{left}", shown.state()));
    }
    match Failure::of(&error) {
        Some(Failure::Refused { status: 409, .. }) => {
            error.context(format!("{grant} is {}: there are no credentials of it yet", text(&answer, "state")))
        }
        _ => error,
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
    let Ok(shown) = checked(answer, None) else { return Ok(()) };
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
