//! `cordon access request`: a key, a request, and waiting for what becomes of it.

use std::cell::RefCell;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, anyhow, bail};
use grant::{Class, Reason};
use ids::{EntitlementName, GrantId, Ticket};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use serde_json::{Value, json};

use super::credentials::{Pause, fetched, say, tidied};
use super::keys::{For, Keep, Kept, Keys, PASSPHRASE};
use super::shown::{Shown, approvers, checked};
use crate::signed::{Api, Asked, Failure};

/// So often the same request is sent until it is answered.
const TRIES: u32 = 3;
/// So many polls in a row may fail before waiting is given up.
const FAILURES: u32 = 8;
/// How long the first session may take once the grant is active.
const FIRST_SESSION: Duration = Duration::from_secs(60);
/// What a shell reports of a program that Ctrl-C ended: 128 + 2.
const INTERRUPTED: u8 = 130;

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) entitlement: EntitlementName,
    pub(crate) seconds: u32,
    pub(crate) reason: Reason,
    pub(crate) ticket: Option<Ticket>,
    pub(crate) keep: Keep,
    pub(crate) wait: bool,
    pub(crate) json: bool,
    /// The profile that signs this request.
    pub(crate) profile: String,
}

/// How far it has come: what Ctrl-C leaves behind.
#[derive(Debug, Default)]
struct Reached {
    kept: Option<Kept>,
    grant: Option<GrantId>,
}

/// Asks, and waits.
///
/// # Errors
/// If it is refused, denied, or cannot be asked. Nothing is asked if the key cannot be kept.
pub(crate) async fn run(api: &Api, keys: &Keys, wish: &Wish) -> anyhow::Result<ExitCode> {
    let reached = RefCell::new(Reached::default());
    tokio::select! {
        biased;
        interrupted = tokio::signal::ctrl_c() => {
            interrupted.context("signals cannot be heard")?;
            say(&go_on(&reached.borrow()));
            Ok(ExitCode::from(INTERRUPTED))
        }
        done = asked_and_waited(api, keys, wish, &reached) => done,
    }
}

/// How to go on after this program has stopped.
fn go_on(reached: &Reached) -> String {
    match reached {
        Reached { grant: Some(grant), .. } => format!(
            "no longer waiting; the request stands, and its key is kept. Go on with `cordon access show {grant}`, then `cordon access credentials {grant}`; or take it back with `cordon access return {grant}`"
        ),
        Reached { kept: Some(_), .. } => {
            "no longer waiting; the request may have arrived, and its key is kept. `cordon access list` shows whether it has"
                .to_owned()
        }
        Reached { kept: None, .. } => "nothing was asked for".to_owned(),
    }
}

async fn asked_and_waited(api: &Api, keys: &Keys, wish: &Wish, reached: &RefCell<Reached>) -> anyhow::Result<ExitCode> {
    let purpose = For {
        api: api.address().to_string(),
        entitlement: wish.entitlement.clone(),
        profile: wish.profile.clone(),
        region: api.region().to_owned(),
        lasts: Duration::from_secs(wish.seconds.into()),
    };
    let kept = keys.make(wish.keep, purpose, calls::now())?;
    reached.borrow_mut().kept = Some(kept.clone());
    let answer = match sent(api, wish, &kept).await {
        Ok(answer) => answer,
        Err(error) => return Err(unsent(keys, &kept, error)),
    };
    let shown = checked(&answer, None)?;
    let kept = keys.name(&kept, &shown.grant)?;
    reached.borrow_mut().grant = Some(shown.grant.clone());
    fits(&shown, wish, &kept)?;
    if matches!(shown.terms.class, Class::Approved { .. }) && shown.state() == "requested" && approvers(&answer).is_none() {
        let taken_back = api.ask(Asked::post(&format!("/grants/{}/end", shown.grant), &json!({}))).await;
        let taken_back = taken_back.is_ok_and(|answer| tidied(keys, &answer).is_ok());
        let grant = &shown.grant;
        let more = if taken_back { "It is taken back".to_owned() } else { format!("Take it back: cordon access return {grant}") };
        bail!("nobody can approve {grant}: policy names no one who could. {more}");
    }
    tell(wish.json, &introduced(&shown, api));
    if !wish.wait {
        tell(wish.json, &format!("To go on: cordon access show {0}, then cordon access credentials {0}\n", shown.grant));
        return finish(wish, &answer, 0);
    }
    let answer = waited(api, &shown.grant, answer.clone()).await?;
    let shown = checked(&answer, Some(&shown.grant))?;
    if shown.state() != "active" {
        tell(wish.json, &shown.words());
        keys.forget(&kept)?;
        return finish(wish, &answer, 1);
    }
    // Granted is what works, not what is said to be granted.
    begun(api, keys, &kept, &shown.grant).await?;
    tell(wish.json, &ready(&shown.grant, &kept)?);
    finish(wish, &answer, 0)
}

/// Something for people on standard output: not where the answer is JSON.
fn tell(json: bool, what: &str) {
    if !json {
        let _unheard = std::io::stdout().write_all(what.as_bytes());
    }
}

fn finish(wish: &Wish, answer: &Value, code: u8) -> anyhow::Result<ExitCode> {
    if wish.json {
        let text = serde_json::to_string_pretty(answer)? + "\n";
        std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")?;
    }
    Ok(ExitCode::from(code))
}

/// Sends the request until it is answered. The key is made for it alone, so its public half is the idempotency key as well: sent again, it is
/// the same request.
async fn sent(api: &Api, wish: &Wish, kept: &Kept) -> anyhow::Result<Value> {
    let mut body =
        json!({ "entitlement": wish.entitlement, "seconds": wish.seconds, "reason": wish.reason, "recipient": kept.recipient });
    if let (Some(fields), Some(ticket)) = (body.as_object_mut(), &wish.ticket) {
        fields.insert("ticket".to_owned(), json!(ticket));
    }
    let asked = Asked { idempotency_key: Some(kept.recipient.as_str()), ..Asked::post("/grants", &body) };
    let mut pause = Pause::short();
    let mut tries = 1;
    loop {
        match api.ask(asked).await {
            Err(error) if tries < TRIES && Failure::of(&error).is_some_and(Failure::may_pass) => {
                tries += 1;
                pause.wait().await;
            }
            answered => return answered,
        }
    }
}

/// What an unanswered or refused request leaves behind: the key, if there may be something to open with it.
fn unsent(keys: &Keys, kept: &Kept, error: anyhow::Error) -> anyhow::Error {
    let heard = matches!(Failure::of(&error), Some(Failure::Refused { status: 400..=499, .. }));
    if heard {
        return match keys.forget(kept) {
            Ok(()) => error,
            Err(left) => error.context(format!("{left:#}")),
        };
    }
    error.context("the request may have arrived all the same (its key is kept, and `cordon access list` shows whether it has)")
}

/// That the server made of it what was asked for, sealed to our key. The reason may be kept without what must not be kept for good, and is shown as
/// it is kept.
fn fits(shown: &Shown<'_>, wish: &Wish, kept: &Kept) -> anyhow::Result<()> {
    let terms = &shown.terms;
    let same = terms.entitlement == wish.entitlement && terms.seconds == wish.seconds && terms.ticket == wish.ticket;
    if !same || terms.recipient != kept.recipient {
        bail!("{} is not what was asked for: return it, and look at the function\n{}", shown.grant, shown.terms_and_policy());
    }
    Ok(())
}

/// What the server made of the request.
fn introduced(shown: &Shown<'_>, api: &Api) -> String {
    let mut said = format!("{}\n{}  {}\n", shown.summary(), shown.terms_and_policy(), shown.approval());
    if shown.state() == "requested" && matches!(shown.terms.class, Class::Approved { .. }) {
        said += &format!("An approver: {} --api {}\n", shown.approve_command(), api.address());
    }
    said
}

/// Asks from time to time what the grant is, until nobody has to be waited for.
async fn waited(api: &Api, grant: &GrantId, mut answer: Value) -> anyhow::Result<Value> {
    let spinner = spinner();
    let (mut pause, mut failures) = (Pause::short(), 0);
    loop {
        let shown = checked(&answer, Some(grant))?;
        if shown.state() == "active" || shown.is_over() {
            return Ok(answer);
        }
        let waits =
            if shown.state() == "approved" { "approved; waiting for its first session".to_owned() } else { shown.approval() };
        let trouble = shown.trouble().map(|trouble| format!(" (in trouble: {trouble})")).unwrap_or_default();
        spinner.set_message(format!("{grant}: {waits}{trouble}"));
        drop(shown);
        pause.wait().await;
        match api.ask(Asked::get(&format!("/grants/{grant}"))).await {
            Ok(newer) => (answer, failures) = (newer, 0),
            Err(error) if failures < FAILURES && Failure::of(&error).is_some_and(Failure::may_pass) => failures += 1,
            Err(error) => {
                return Err(error
                    .context(format!("no longer waiting for {grant} (its key is kept: go on with `cordon access show {grant}`)")));
            }
        }
    }
}

/// Sees that the first session is there and opens with the key.
async fn begun(api: &Api, keys: &Keys, kept: &Kept, grant: &GrantId) -> anyhow::Result<()> {
    let identity = keys.identity(kept)?;
    let (spinner, mut pause, started) = (spinner(), Pause::short(), Instant::now());
    spinner.set_message(format!("{grant}: active; fetching its first session"));
    loop {
        match fetched(api, grant, &identity).await {
            Ok(_) => return Ok(()),
            Err(error) => {
                let soon = matches!(Failure::of(&error), Some(failure) if failure.may_pass() || failure.is_conflict());
                if !soon || started.elapsed() > FIRST_SESSION {
                    return Err(error.context(format!(
                        "{grant} is active, and has no session that can be used (try `cordon access credentials {grant}`)"
                    )));
                }
            }
        }
        pause.wait().await;
    }
}

/// Turns on standard error while somebody is waited for, if that is a terminal.
fn spinner() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = ProgressStyle::with_template("{spinner} {msg} ({elapsed})");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()));
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

/// A path as the AWS CLI and the SDKs read a `credential_process`: in double quotes, if it has a space.
fn quoted(program: &Path) -> anyhow::Result<String> {
    let text = program.to_str().ok_or_else(|| anyhow!("the path of this program is not text"))?;
    if text.contains(['"', '\n']) {
        bail!("the path of this program cannot stand in ~/.aws/config: {}", text.escape_debug());
    }
    Ok(if text.contains(char::is_whitespace) { format!("\"{text}\"") } else { text.to_owned() })
}

/// How the grant is used, ready to be copied.
pub(crate) fn ready(grant: &GrantId, kept: &Kept) -> anyhow::Result<String> {
    let program = quoted(&std::env::current_exe().context("where is this program?")?)?;
    let passphrase =
        if kept.in_file() { format!("Its key is in a file: {PASSPHRASE} has to be set for both.\n") } else { String::new() };
    Ok(format!(
        "\nReady. For ~/.aws/config:\n\n[profile {grant}]\ncredential_process = {program} access credentials {grant}\n\nOr: cordon access exec {grant} -- COMMAND\n{passphrase}"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_with_a_space_is_quoted() {
        assert_eq!(quoted(Path::new("/usr/bin/cordon")).unwrap(), "/usr/bin/cordon");
        assert_eq!(quoted(Path::new("/opt/my tools/cordon")).unwrap(), "\"/opt/my tools/cordon\"");
        assert!(quoted(Path::new("/opt/\"/cordon")).is_err());
    }
}
