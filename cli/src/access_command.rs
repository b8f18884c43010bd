//! `cordon access`.

use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{Args, Subcommand};
use grant::Reason;
use ids::{EntitlementName, GrantId, Sha256, Ticket};
use serde_json::{Value, json};

use crate::access::keys::{Keep, Kept, Keys};
use crate::access::request::Wish;
use crate::access::shown::{checked, entitlements, read};
use crate::access::{check, console, credentials, request};
use crate::run_command::duration;
use crate::signed::{Api as Service, Asked, Failure, open, open_as};

/// Get access for minutes: ask, have others approve, use it, give it back.
///
/// You name what you need and why. The deployed function derives what that stands for, others approve exactly that by its digest, and you get
/// sessions of minutes, sealed to a key that was made for this one request and never leaves this machine. Requests are signed with your own AWS
/// credentials: you are the person that your Identity Center role names.
///
/// The key is kept in the system's keyring (the kernel's on Linux, the login keychain on macOS); where there is none, as in a container, in a
/// file under the state folder, encrypted with the passphrase in CORDON_ACCESS_PASSPHRASE. It is removed when its grant is over.
#[derive(Debug, Subcommand)]
#[command(after_long_help = "\
Exit codes:
  0    it is as you asked
  1    it is refused, denied or over, or could not be asked
  2    wrong arguments
  130  `request` was interrupted while it waited: the request stands, and its key is kept
  `exec` ends as its command does; 126 and 127 if there is no such command that runs

Examples:
  cordon access entitlements --api https://API.execute-api.eu-central-1.amazonaws.com
  cordon access request prod-read --for 30m --reason 'OPS-7: orders are stuck' --ticket OPS-7
  cordon access show gr-0123456789abcdef0123
  cordon access approve gr-0123456789abcdef0123 --digest FINGERPRINT
  cordon access exec gr-0123456789abcdef0123 -- aws s3 ls
  cordon access return gr-0123456789abcdef0123")]
pub(crate) enum Access {
    /// Explain what the policies say that this program was built with: which hold, which do not, and why. Nobody is asked.
    #[command(after_long_help = "\
Exit codes:
  0  they allow it, perhaps once it is approved
  1  they do not, or there is no such entitlement
  2  wrong arguments

Examples:
  cordon access check prod-read --as person/alice@example.com --permission-set Developer --act request --for 30m
  cordon access check prod-read --as person/bob@example.com --permission-set Security --act approve --requester person/alice@example.com")]
    Check(check::Check),
    /// Show what you may ask for, and who can approve it.
    Entitlements(ApiAlone),
    /// Ask for access, and wait until it is there.
    #[command(after_long_help = "\
Exit codes:
  0    it is active and its credentials open with the key; with --no-wait: it is asked for, and somebody can approve it
  1    it is refused, denied or expired, or nobody could approve it, or the key could not be kept
  2    wrong arguments
  130  interrupted while it waited: the request stands, and its key is kept

Examples:
  cordon access request prod-read --for 30m --reason 'OPS-7: orders are stuck'
  cordon access request break-glass-admin --for 15m --reason 'the deploy role is locked out' --no-wait
  cordon access request prod-read --for 1h --reason 'OPS-7: orders are stuck' --keep file   # with CORDON_ACCESS_PASSPHRASE set")]
    Request(Request),
    /// List the grants that are alive and that you may see.
    List(ApiAlone),
    /// Show a grant: what it gives, who has approved, what became of it, and its digest.
    Show(One),
    /// Approve what a digest stands for, as another person.
    Approve(Approve),
    /// Refuse a request, or take back your own.
    Deny(Reasoned),
    /// Give a grant back: its sessions are refused from then on, and its key is removed.
    Return(One),
    /// Take somebody's grant away: its sessions are refused from then on.
    Revoke(Reasoned),
    /// Have one more session made under a grant that goes on.
    Renew(One),
    /// Record the review of a use of break-glass, as another person.
    Review(Review),
    /// Print a grant's credentials, as the AWS CLI and the SDKs take them from a `credential_process`.
    ///
    /// Standard output has the JSON and nothing else. Credentials that end within five minutes are replaced first, as long as the grant goes on.
    #[command(after_long_help = "\
Exit codes:
  0  the credentials are on standard output
  1  there are none, or they cannot be opened; standard error says why

Examples:
  cordon access credentials gr-0123456789abcdef0123

In ~/.aws/config:
  [profile prod-read]
  credential_process = /usr/local/bin/cordon access credentials gr-0123456789abcdef0123")]
    Credentials(OneAlone),
    /// Run a command with a grant's credentials in its environment, and nothing else of AWS's in their way.
    Exec(Exec),
    /// Print an address that signs a browser in to the AWS console. It is a secret.
    Console(Console),
}

#[derive(Debug, Args)]
struct Api {
    /// The API's address (the stack's output `AccessApi`). Not needed for a grant whose key is kept here: it was asked for there.
    #[arg(long = "api", value_name = "URL", env = "CORDON_ACCESS_API")]
    address: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct ApiAlone {
    #[command(flatten)]
    api: Api,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct OneAlone {
    /// The grant.
    grant: GrantId,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct One {
    /// The grant.
    grant: GrantId,
    #[command(flatten)]
    api: Api,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Request {
    /// What you need, as `cordon access entitlements` names it.
    entitlement: EntitlementName,
    /// For how long, from when it is active: 30m, 1h.
    #[arg(long = "for", value_name = "DURATION", value_parser = seconds)]
    seconds: u32,
    /// Why, in your words. Approvers read all of it.
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    /// The case it belongs to, where one is needed.
    #[arg(long, value_name = "TICKET")]
    ticket: Option<Ticket>,
    /// Do not wait until it is active.
    #[arg(long)]
    no_wait: bool,
    /// Where the key of this request is kept: in the system's keyring, in a file that CORDON_ACCESS_PASSPHRASE opens, or in whichever there is.
    #[arg(long, value_name = "WHERE", default_value = "any", env = "CORDON_ACCESS_KEEP")]
    keep: Keep,
    #[command(flatten)]
    api: Api,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The grant.
    grant: GrantId,
    /// The digest that `cordon access show` printed: that, and nothing else, is approved.
    #[arg(long, value_name = "DIGEST")]
    digest: Sha256,
    #[command(flatten)]
    api: Api,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Reasoned {
    /// The grant.
    grant: GrantId,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: Reason,
    #[command(flatten)]
    api: Api,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Review {
    /// The grant.
    grant: GrantId,
    /// What you found.
    #[arg(long, value_name = "TEXT")]
    note: Reason,
    #[command(flatten)]
    api: Api,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Args)]
pub(crate) struct Exec {
    /// The grant.
    grant: GrantId,
    #[command(flatten)]
    api: Api,
    /// The command and its arguments.
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
pub(crate) struct Console {
    /// The grant.
    grant: GrantId,
    /// The page to open. Without it, the console's first.
    #[arg(long, value_name = "URL")]
    destination: Option<String>,
    /// The federation endpoint, for other partitions: `https://signin.amazonaws-us-gov.com/federation`.
    #[arg(long, value_name = "URL", default_value = console::FEDERATION)]
    federation: String,
    #[command(flatten)]
    api: Api,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

/// The stack's output that has the API's address.
const OUTPUT: &str = "AccessApi";

pub(crate) fn seconds(text: &str) -> Result<u32, String> {
    let whole = duration(text)?;
    let seconds = u32::try_from(whole.as_secs()).ok().filter(|seconds| *seconds > 0 && whole.subsec_nanos() == 0);
    seconds.ok_or_else(|| "expected whole seconds, such as 30m or 1h".to_owned())
}

pub(crate) fn run(command: &Access) -> anyhow::Result<ExitCode> {
    match command {
        Access::Check(arguments) => check::run(arguments),
        Access::Entitlements(ApiAlone { api, json }) => {
            let (runtime, service) = open(api.address.as_deref(), OUTPUT)?;
            let answer = runtime.block_on(service.ask(Asked::get("/entitlements")))?;
            print(&if *json { pretty(&answer)? } else { entitlements(&answer) })?;
            Ok(ExitCode::SUCCESS)
        }
        Access::Request(arguments) => ask(arguments),
        Access::List(ApiAlone { api, json }) => list(api, *json),
        Access::Show(One { grant, api, json }) => told(grant, api, *json, None, &[]),
        Access::Approve(arguments) => approve(arguments),
        Access::Deny(Reasoned { grant, reason, api, json }) => {
            told(grant, api, *json, Some(("denial", &json!({ "reason": reason }))), &["denied"])
        }
        Access::Return(One { grant, api, json }) => told(grant, api, *json, Some(("end", &json!({}))), &["ended"]),
        Access::Revoke(Reasoned { grant, reason, api, json }) => {
            told(grant, api, *json, Some(("end", &json!({ "reason": reason }))), &["ended"])
        }
        Access::Renew(One { grant, api, json }) => told(grant, api, *json, Some(("renewal", &json!({}))), &["active"]),
        Access::Review(Review { grant, note, api, json }) => {
            told(grant, api, *json, Some(("review", &json!({ "note": note }))), &[])
        }
        Access::Credentials(OneAlone { grant, api }) => {
            let with = Opened::of(grant, api)?;
            let text = with.session(grant)?.to_json()?;
            std::io::stdout().write_all(&text).context("could not write the credentials")?;
            Ok(ExitCode::SUCCESS)
        }
        Access::Exec(Exec { grant, api, command }) => {
            let session = Opened::of(grant, api)?.session(grant)?;
            credentials::exec(&session, command).map(ExitCode::from)
        }
        Access::Console(arguments) => sign_in(arguments),
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")
}

fn pretty(answer: &Value) -> anyhow::Result<String> {
    Ok(serde_json::to_string_pretty(answer)? + "\n")
}

fn ask(arguments: &Request) -> anyhow::Result<ExitCode> {
    let Request { entitlement, seconds, reason, ticket, no_wait, keep, api, json } = arguments;
    let (runtime, service) = open(api.address.as_deref(), OUTPUT)?;
    let wish = Wish {
        entitlement: entitlement.clone(),
        seconds: *seconds,
        reason: reason.clone(),
        ticket: ticket.clone(),
        keep: *keep,
        wait: !no_wait,
        json: *json,
        profile: std::env::var("AWS_PROFILE").ok().filter(|name| !name.is_empty()).unwrap_or_else(|| "default".to_owned()),
    };
    runtime.block_on(request::run(&service, &Keys::of_user()?, &wish))
}

/// Asks about one grant, or for something to be done about it, and shows it. The exit code says whether it is one of `good` then, if there are any.
fn told(grant: &GrantId, api: &Api, json: bool, what: Option<(&str, &Value)>, good: &[&str]) -> anyhow::Result<ExitCode> {
    let keys = Keys::of_user();
    let known = keys.as_ref().ok().and_then(|keys| keys.of(grant).ok().flatten());
    let address = api.address.as_deref().or(known.as_ref().map(|kept| kept.api.as_str()));
    let (runtime, service) = open(address, OUTPUT)?;
    let answer = runtime.block_on(match what {
        None => ask_one(&service, format!("/grants/{grant}"), None),
        Some((what, body)) => ask_one(&service, format!("/grants/{grant}/{what}"), Some(body)),
    })?;
    let shown = checked(&answer, Some(grant))?;
    // What nobody has kept a key for needs no folder.
    if let Ok(keys) = &keys {
        credentials::tidied(keys, &answer)?;
    }
    print(&if json { pretty(&answer)? } else { shown.words() })?;
    Ok(ExitCode::from(u8::from(!good.is_empty() && !good.contains(&shown.state()))))
}

async fn ask_one(service: &Service, path: String, body: Option<&Value>) -> anyhow::Result<Value> {
    service.ask(body.map_or_else(|| Asked::get(&path), |body| Asked::post(&path, body))).await
}

fn approve(arguments: &Approve) -> anyhow::Result<ExitCode> {
    let Approve { grant, digest, api, json } = arguments;
    let (runtime, service) = open(api.address.as_deref(), OUTPUT)?;
    let answer = runtime.block_on(async {
        let answer = service.ask(Asked::get(&format!("/grants/{grant}"))).await?;
        let shown = checked(&answer, Some(grant))?;
        if shown.digest != *digest {
            bail!("that is not the digest of {grant} as it is now, so nothing is approved: look at it again with `cordon access show {grant}`");
        }
        service.ask(Asked::post(&format!("/grants/{grant}/approval"), &json!({ "digest": digest }))).await
    })?;
    let shown = checked(&answer, Some(grant))?;
    print(&if *json { pretty(&answer)? } else { shown.words() })?;
    Ok(ExitCode::from(u8::from(shown.is_over())))
}

fn list(api: &Api, json: bool) -> anyhow::Result<ExitCode> {
    let (runtime, service) = open(api.address.as_deref(), OUTPUT)?;
    let answer = runtime.block_on(service.ask(Asked::get("/grants")))?;
    let grants = answer.get("grants").and_then(Value::as_array).context("the answer is no list of grants")?;
    let mut text = String::new();
    let mut good = true;
    for grant in grants {
        match read(grant, None) {
            Ok(shown) => text += &(shown.summary() + "\n"),
            Err(error) => {
                good = false;
                credentials::say(&format!("{error:#}"));
            }
        }
    }
    if grants.is_empty() {
        text += "No grant is alive that you may see.\n";
    }
    if let Ok(keys) = Keys::of_user() {
        runtime.block_on(tidy(&service, &keys, grants))?;
    }
    print(&if json { pretty(&answer)? } else { text })?;
    Ok(ExitCode::from(u8::from(!good)))
}

/// Removes the keys of grants that are over. Those that are listed are alive; about the others the server is asked.
async fn tidy(service: &Service, keys: &Keys, grants: &[Value]) -> anyhow::Result<()> {
    grants.iter().try_for_each(|grant| credentials::tidied(keys, grant))?;
    let listed = |grant: &GrantId| grants.iter().any(|one| one.get("grant").and_then(Value::as_str) == Some(grant.as_str()));
    for kept in keys.all().into_iter().filter(|kept| kept.api == service.address().to_string()) {
        match &kept.grant {
            None if credentials::is_stale(&kept, calls::now()) => keys.forget(&kept)?,
            Some(grant) if !listed(grant) => match service.ask(Asked::get(&format!("/grants/{grant}"))).await {
                Ok(answer) => credentials::tidied(keys, &answer)?,
                // Another person's, or not to be asked about now: its key stays.
                Err(error) if Failure::of(&error).is_some() => {}
                Err(error) => return Err(error),
            },
            _ => {}
        }
    }
    Ok(())
}

/// What a grant's own credentials need: its key, and its API as it was when it was asked for.
struct Opened {
    keys: Keys,
    kept: Kept,
    runtime: tokio::runtime::Runtime,
    service: Service,
}

impl Opened {
    fn of(grant: &GrantId, api: &Api) -> anyhow::Result<Self> {
        let keys = Keys::of_user()?;
        let kept = match keys.of(grant)? {
            Some(kept) => kept,
            None => named(&keys, grant, api)?.with_context(|| {
                format!("the key of {grant} is not kept here: it was asked for elsewhere, by somebody else, or it is over")
            })?,
        };
        let address = api.address.as_deref().unwrap_or(&kept.api);
        // AWS_PROFILE may be the very profile that this is the credential_process of.
        let (runtime, service) = open_as(Some(address), OUTPUT, Some(&kept.profile), Some(&kept.region))?;
        Ok(Self { keys, kept, runtime, service })
    }

    fn session(&self, grant: &GrantId) -> anyhow::Result<crate::access::session::Session> {
        self.runtime.block_on(credentials::usable(&self.service, &self.keys, &self.kept, grant))
    }
}

/// The key of a request whose answer was lost, now that its grant is known.
fn named(keys: &Keys, grant: &GrantId, api: &Api) -> anyhow::Result<Option<Kept>> {
    for waiting in keys.all().into_iter().filter(|kept| kept.grant.is_none()) {
        let address = api.address.as_deref().unwrap_or(&waiting.api);
        let (runtime, service) = open_as(Some(address), OUTPUT, Some(&waiting.profile), Some(&waiting.region))?;
        let answer = runtime.block_on(service.ask(Asked::get(&format!("/grants/{grant}"))))?;
        credentials::tidied(keys, &answer)?;
        if let Some(kept) = keys.of(grant)? {
            return Ok(Some(kept));
        }
    }
    Ok(None)
}

fn sign_in(arguments: &Console) -> anyhow::Result<ExitCode> {
    let Console { grant, destination, federation, api, json } = arguments;
    let with = Opened::of(grant, api)?;
    let session = with.session(grant)?;
    let url = with.runtime.block_on(console::address(&session, federation, destination.as_deref()))?;
    credentials::say(
        "this address is a SECRET: whoever opens it within 15 minutes is signed in as this grant, until its session ends",
    );
    print(&if *json { pretty(&json!({ "url": url.as_str() }))? } else { format!("{}\n", url.as_str()) })?;
    Ok(ExitCode::SUCCESS)
}
