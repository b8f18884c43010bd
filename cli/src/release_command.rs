//! `cordon release`.

use std::fmt::Write as _;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use clap::{Args, Subcommand};
use ids::{IncidentId, Sha256};
use outside::{Address, Http, HttpRequest, SdkBody};
use plan::release::Proposal;
use serde_json::{Value, json};

use crate::aws;

/// No answer of the API is longer.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// API Gateway waits half a minute for the function.
const PATIENCE: Duration = Duration::from_secs(35);

/// Undo a revocation, with a second person: ask, look, approve, deny.
///
/// The deployed function derives what would be lifted and what stays, a second person approves exactly that by its digest, and the function
/// lifts it, with evidence. A leaked key stays inactive for good. Requests are signed with your own AWS credentials: you are the person that
/// your Identity Center role names.
#[derive(Debug, Subcommand)]
#[command(after_long_help = "\
Exit codes:
  0  it is as you asked
  1  it is refused, or could not be asked
  2  wrong arguments

Examples:
  cordon release ask inc-0123456789abcdef0123 --reason 'the key was a decoy' --api https://API.execute-api.eu-central-1.amazonaws.com
  cordon release show inc-0123456789abcdef0123
  cordon release approve inc-0123456789abcdef0123 --digest FINGERPRINT
  cordon release deny inc-0123456789abcdef0123 --reason 'the bucket is not looked through yet'")]
pub(crate) enum Release {
    /// Ask that an incident's revocation is undone. Nothing is changed by asking.
    Ask(Ask),
    /// Show what was asked, what would be lifted and what stays, and what became of it.
    Show(Show),
    /// Approve what a digest stands for, as a second person, and have it carried out.
    Approve(Approve),
    /// Refuse what was asked, or take back what you have asked yourself.
    Deny(Deny),
}

#[derive(Debug, Args)]
pub(crate) struct Ask {
    /// The incident, as the revocation's answer and records name it.
    incident: IncidentId,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Ask although sessions that were stolen may not have run out yet: they would work again until then.
    #[arg(long)]
    early: bool,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Show {
    /// The incident.
    incident: IncidentId,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Approve {
    /// The incident.
    incident: IncidentId,
    /// The digest that `cordon release show` printed: that, and nothing else, is approved.
    #[arg(long, value_name = "DIGEST")]
    digest: Sha256,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
pub(crate) struct Deny {
    /// The incident.
    incident: IncidentId,
    /// Why.
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    api: Api,
}

#[derive(Debug, Args)]
struct Api {
    /// The API's address (the stack's output `ReleaseApi`).
    #[arg(long = "api", value_name = "URL", env = "CORDON_RELEASE_API")]
    address: Option<String>,
    /// Answer in JSON.
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Release) -> anyhow::Result<ExitCode> {
    let path = |incident: &IncidentId, rest: &str| format!("/releases/{incident}{rest}");
    let (api, method, path, body) = match command {
        Release::Ask(Ask { incident, reason, early, api }) => {
            let body = json!({ "incident": incident, "reason": reason, "early": early });
            (api, "POST", "/releases".to_owned(), Some(body))
        }
        Release::Show(Show { incident, api }) => (api, "GET", path(incident, ""), None),
        Release::Approve(Approve { incident, digest, api }) => {
            (api, "POST", path(incident, "/approval"), Some(json!({ "digest": digest })))
        }
        Release::Deny(Deny { incident, reason, api }) => {
            (api, "POST", path(incident, "/denial"), Some(json!({ "reason": reason })))
        }
    };
    let answer = call(api, method, &path, body.as_ref())?;
    checked(&answer)?;
    let text = if api.json { serde_json::to_string_pretty(&answer)? + "\n" } else { words(&answer) };
    std::io::stdout().write_all(text.as_bytes()).context("could not write the answer")?;
    let state = answer.get("state").and_then(Value::as_str).unwrap_or_default();
    let good = match command {
        Release::Approve(_) => ["Released", "Kept"].contains(&state),
        Release::Deny(_) => state == "Denied",
        Release::Ask(_) | Release::Show(_) => true,
    };
    Ok(ExitCode::from(u8::from(!good)))
}

/// A request that is signed for this address and sent there, and nowhere else: no answer is followed.
fn call(api: &Api, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<Value> {
    let Some(address) = &api.address else { bail!("which API? Give --api URL (the stack's output `ReleaseApi`)") };
    let address: Address = address.parse().map_err(|()| anyhow!("`{address}` is no https:// address"))?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start")?;
    let answer = runtime.block_on(async {
        let request = signed(&address, method, path, body).await?;
        let http = Http::by_environment(address.is_tls());
        let answer = tokio::time::timeout(PATIENCE, http.ask(request, LARGEST_ANSWER)).await;
        let answer = answer.map_err(|_| anyhow!("`{address}` did not answer in time"))?;
        answer.map_err(|failure| match failure {
            outside::Failure::Broken(_) => {
                anyhow!("`{address}` could not be reached: is it the output `ReleaseApi`, and is there a way to it?")
            }
            outside::Failure::TooLong => anyhow!("`{address}` answers more than this API does"),
        })
    })?;
    let status = answer.status;
    let said: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
    match status {
        200..=299 if said.is_object() => Ok(said),
        200..=299 => bail!("`{address}` does not answer as this API does"),
        300..=399 => bail!("`{address}` answers with a redirection ({status}), and a signed request goes nowhere else"),
        _ => {
            let detail = said.get("detail").or(said.get("message")).and_then(Value::as_str).map(printable);
            bail!("{} ({status})", detail.unwrap_or_else(|| "refused without a reason".to_owned()))
        }
    }
}

async fn signed(address: &Address, method: &str, path: &str, body: Option<&Value>) -> anyhow::Result<HttpRequest> {
    let config = aws::config().await?;
    let region = config.region().map(ToString::to_string).unwrap_or_default();
    // The SDK's own words are about its parts: what to do is the same whichever failed.
    let none = || anyhow!("no AWS credentials were found: set AWS_PROFILE, or sign in with `aws sso login`");
    let provider = config.credentials_provider().ok_or_else(none)?;
    let credentials = provider.provide_credentials().await.map_err(|_| none())?;
    let (uri, bytes) = (format!("{address}{path}"), body.map(Value::to_string).unwrap_or_default().into_bytes());
    let identity = credentials.into();
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(&region)
        .name("execute-api")
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()
        .context("the request cannot be signed")?;
    let headers = [("content-type", "application/json")];
    let signable = SignableRequest::new(method, &uri, headers.iter().copied(), SignableBody::Bytes(&bytes));
    let (instructions, _) = sign(signable.context("the request cannot be signed")?, &parameters.into())
        .context("the request cannot be signed")?
        .into_parts();
    let mut request = HttpRequest::new(SdkBody::from(bytes));
    request.set_method(method).map_err(|error| anyhow!("the request cannot be made: {error}"))?;
    request.set_uri(uri.as_str()).map_err(|error| anyhow!("the request cannot be made: {error}"))?;
    for (name, value) in headers.iter().copied().chain(instructions.headers()) {
        request.headers_mut().insert(name.to_owned(), value.to_owned());
    }
    Ok(request)
}

/// What is shown has to be what the digest stands for: it is computed again here.
fn checked(answer: &Value) -> anyhow::Result<()> {
    let proposal = answer.get("proposal").cloned().context("the answer proposes nothing")?;
    let proposal: Proposal = serde_json::from_value(proposal).context("the proposal is of another version than this program")?;
    let digest = proposal.digest()?.to_string();
    if answer.get("digest").and_then(Value::as_str) != Some(&digest) {
        bail!("the digest in the answer is not that of what it proposes: approve nothing, and look at the function");
    }
    Ok(())
}

fn printable(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// An answer for people.
fn words(answer: &Value) -> String {
    let line = |value: &Value, name: &str| value.get(name).and_then(Value::as_str).map(printable).unwrap_or_default();
    let mut said = String::new();
    // Writing to a string cannot fail.
    let _infallible = writeln!(said, "{} (until {})", line(answer, "state"), line(answer, "expires"));
    if let Some(Ok(proposal)) = answer.get("proposal").cloned().map(serde_json::from_value::<Proposal>) {
        let text = proposal.to_string();
        let _infallible = writeln!(said, "{}", text.lines().map(printable).collect::<Vec<_>>().join("\n"));
    }
    if let Some(verdict) = answer.get("verdict") {
        let _infallible = writeln!(said, "  {}: {}", line(verdict, "word"), line(verdict, "reason"));
    }
    let list = |value: Option<&Value>| value.and_then(Value::as_array).cloned().unwrap_or_default();
    for open in list(answer.get("outcome").and_then(|outcome| outcome.get("left_open"))) {
        let _infallible = writeln!(said, "  open: {}", printable(open.as_str().unwrap_or_default()));
    }
    for record in list(answer.get("records")) {
        let _infallible = writeln!(said, "  record: {}", printable(record.as_str().unwrap_or_default()));
    }
    let _infallible = writeln!(said, "digest {}", line(answer, "digest"));
    if line(answer, "state") == "Open" {
        let incident = line(answer, "incident");
        let _infallible = writeln!(said, "A second person: cordon release approve {incident} --digest {}", line(answer, "digest"));
    }
    said
}
