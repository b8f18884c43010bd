//! Requests to Cordon's own APIs: signed with the caller's AWS credentials, for one address, and sent there and nowhere else.

use std::cell::RefCell;
use std::fmt;
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use anyhow::{Context as _, anyhow, bail};
use aws_config::SdkConfig;
use aws_credential_types::Credentials;
use aws_credential_types::provider::ProvideCredentials as _;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use ids::Timestamp;
use outside::{Address, Http, HttpRequest, SdkBody};
use serde::Deserialize;
use serde_json::Value;
use zeroize::Zeroizing;

use crate::aws;

/// No answer of an API is longer.
const LARGEST_ANSWER: usize = 1024 * 1024;
/// API Gateway waits half a minute for the function.
const PATIENCE: Duration = Duration::from_secs(35);
/// Credentials that run out sooner are looked for again before they are used.
const ALMOST_OVER: Duration = Duration::from_secs(60);

/// Where an API is, as it was given or as the environment has it.
///
/// # Errors
/// If it is nowhere, or no address that is asked over TLS. `output` is the stack's output that has it.
pub(crate) fn address(given: Option<&str>, output: &str) -> anyhow::Result<Address> {
    let Some(address) = given else { bail!("which API? Give --api URL (the stack's output `{output}`)") };
    address.parse().map_err(|()| anyhow!("`{}` is no https:// address", printable(address)))
}

/// One API, and who asks it.
pub(crate) struct Api {
    address: Address,
    output: &'static str,
    config: SdkConfig,
    region: String,
    profile: Option<String>,
    http: Http,
    credentials: RefCell<Option<Credentials>>,
}

/// What is asked.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// `/releases/inc-…`. Of ids and words of ours only: it is signed as it is.
    pub(crate) path: &'a str,
    /// The same request again has the same one.
    pub(crate) idempotency_key: Option<&'a str>,
    pub(crate) body: Option<&'a Value>,
}

impl<'a> Asked<'a> {
    pub(crate) fn get(path: &'a str) -> Self {
        Self { method: "GET", path, idempotency_key: None, body: None }
    }

    pub(crate) fn post(path: &'a str, body: &'a Value) -> Self {
        Self { method: "POST", path, idempotency_key: None, body: Some(body) }
    }
}

/// Why there is no answer that is one.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Nobody was heard. The request may have arrived all the same.
    Unheard(String),
    /// It was heard, and refused: RFC 9457's `detail`, or what API Gateway says itself.
    Refused { status: u16, detail: String },
}

impl Failure {
    /// What `error` is, if it is one of these.
    pub(crate) fn of(error: &anyhow::Error) -> Option<&Self> {
        error.downcast_ref()
    }

    /// Whether the same request may be answered in a moment.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unheard(_) => true,
            Self::Refused { status, .. } => *status == 429 || *status >= 500,
        }
    }

    /// Whether it is not the time for this yet, or not any more.
    pub(crate) fn is_conflict(&self) -> bool {
        matches!(self, Self::Refused { status: 409, .. })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unheard(what) => f.write_str(what),
            Self::Refused { status, detail } => write!(f, "{detail} ({status})"),
        }
    }
}

impl std::error::Error for Failure {}

impl fmt::Debug for Api {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Api").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Api {
    /// The API at `address`, asked with the credentials of `config`.
    ///
    /// # Errors
    /// If `config` has no Region.
    fn new(address: Address, output: &'static str, config: SdkConfig, profile: Option<&str>) -> anyhow::Result<Self> {
        let region = config.region().map(ToString::to_string).context("which Region?")?;
        let http = Http::by_environment(address.is_tls());
        let profile = profile.map(ToOwned::to_owned);
        Ok(Self { address, output, config, region, profile, http, credentials: RefCell::new(None) })
    }

    /// The Region that requests are signed for.
    pub(crate) fn region(&self) -> &str {
        &self.region
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    /// Sends a request and waits for its answer, a JSON object. A redirection is not followed.
    ///
    /// # Errors
    /// A [`Failure`], if it is none; or what keeps the request from being made.
    pub(crate) async fn ask(&self, asked: Asked<'_>) -> anyhow::Result<Value> {
        let request = self.signed(asked).await?;
        let (address, output) = (&self.address, self.output);
        let unheard = |what: String| anyhow!(Failure::Unheard(what));
        let answer = tokio::time::timeout(PATIENCE, self.http.ask(request, LARGEST_ANSWER)).await;
        let answer = answer.map_err(|_| unheard(format!("`{address}` did not answer in time")))?;
        let answer = answer.map_err(|failure| match failure {
            outside::Failure::Broken(_) => {
                unheard(format!("`{address}` could not be reached: is it the output `{output}`, and is there a way to it?"))
            }
            outside::Failure::TooLong => anyhow!("`{address}` answers more than this API does"),
        })?;
        let status = answer.status;
        let said: Value = serde_json::from_slice(&answer.body).unwrap_or(Value::Null);
        match status {
            200..=299 if said.is_object() => Ok(said),
            200..=299 => bail!("`{address}` does not answer as this API does"),
            300..=399 => bail!("`{address}` answers with a redirection ({status}), and a signed request goes nowhere else"),
            _ => {
                let detail = said.get("detail").or(said.get("message")).and_then(Value::as_str).map(printable);
                let detail = detail.unwrap_or_else(|| "refused without a reason".to_owned());
                Err(anyhow!(Failure::Refused { status, detail }))
            }
        }
    }

    /// The caller's credentials. They are looked for once: whoever waits asks many times.
    async fn credentials(&self) -> anyhow::Result<Credentials> {
        if let Some(known) = self.credentials.borrow().clone()
            && known.expiry().is_none_or(|end| end > SystemTime::now() + ALMOST_OVER)
        {
            return Ok(known);
        }
        // The SDK's own words are about its parts: what to do is the same whichever failed.
        let none = || anyhow!("no AWS credentials were found: set AWS_PROFILE, or sign in with `aws sso login`");
        let provider = self.config.credentials_provider().ok_or_else(none)?;
        let found = match provider.provide_credentials().await {
            Ok(found) => found,
            Err(_) => from_aws_cli(self.profile.as_deref()).ok_or_else(none)?,
        };
        self.credentials.replace(Some(found.clone()));
        Ok(found)
    }

    async fn signed(&self, asked: Asked<'_>) -> anyhow::Result<HttpRequest> {
        let identity = self.credentials().await?.into();
        let uri = format!("{}{}", self.address, asked.path);
        let bytes = asked.body.map(Value::to_string).unwrap_or_default().into_bytes();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(&self.region)
            .name("execute-api")
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .context("the request cannot be signed")?;
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(asked.idempotency_key.map(|key| ("idempotency-key", key)));
        let signable = SignableRequest::new(asked.method, &uri, headers.iter().copied(), SignableBody::Bytes(&bytes));
        let (instructions, _) = sign(signable.context("the request cannot be signed")?, &parameters.into())
            .context("the request cannot be signed")?
            .into_parts();
        let mut request = HttpRequest::new(SdkBody::from(bytes));
        request.set_method(asked.method).map_err(|error| anyhow!("the request cannot be made: {error}"))?;
        request.set_uri(uri.as_str()).map_err(|error| anyhow!("the request cannot be made: {error}"))?;
        for (name, value) in headers.into_iter().chain(instructions.headers()) {
            request.headers_mut().insert(name.to_owned(), value.to_owned());
        }
        Ok(request)
    }
}

/// The API at `given`, as this machine's own configuration has it, and a runtime to ask it on.
///
/// # Errors
/// If there is no such address, no Region, or no thread.
pub(crate) fn open(given: Option<&str>, output: &'static str) -> anyhow::Result<(tokio::runtime::Runtime, Api)> {
    open_as(given, output, None, None)
}

/// The same, with the profile and the Region that are known from an earlier time.
pub(crate) fn open_as(
    given: Option<&str>,
    output: &'static str,
    profile: Option<&str>,
    region: Option<&str>,
) -> anyhow::Result<(tokio::runtime::Runtime, Api)> {
    let address = address(given, output)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("could not start")?;
    let config = runtime.block_on(aws::config_of(profile, region))?;
    Ok((runtime, Api::new(address, output, config, profile)?))
}

/// Set for the AWS CLI that is asked, so that a profile whose `credential_process` is this program does not ask it again, and so on.
const ASKING: &str = "CORDON_ASKS_AWS_CLI";

/// What `aws configure export-credentials` prints: the same as a `credential_process`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<Timestamp>,
}

/// The credentials that the AWS CLI has for a profile, in whichever way: the SDK's ways to Identity Center are not built in, since every function
/// would carry them.
fn from_aws_cli(profile: Option<&str>) -> Option<Credentials> {
    if std::env::var_os(ASKING).is_some() {
        return None;
    }
    let mut aws = Command::new("aws");
    aws.args(["configure", "export-credentials", "--format", "process"]).env(ASKING, "1");
    aws.args(profile.map(|profile| format!("--profile={profile}")));
    // What it says on standard error is for the person: that they have to sign in again, and how.
    let asked = aws.stdin(Stdio::null()).stderr(Stdio::inherit()).output().ok().filter(|asked| asked.status.success())?;
    let text = Zeroizing::new(asked.stdout);
    let Exported { access_key_id, secret_access_key, session_token, expiration } = serde_json::from_slice(&text).ok()?;
    let expiry = expiration
        .and_then(|end| u64::try_from(end.millis()).ok())
        .map(|millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis));
    Some(Credentials::new(access_key_id, secret_access_key, session_token, expiry, "aws configure export-credentials"))
}

/// What somebody else wrote, fit for a terminal: on one line, and nothing in it that moves the cursor, hides, or turns the writing around
/// (Unicode Standard Annex #9; Trojan Source, CVE-2021-42574).
pub(crate) fn printable(text: &str) -> String {
    let hides = |c: char| {
        matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
            | '\u{e0000}'..='\u{e007f}')
    };
    text.chars().map(|c| if c.is_control() || hides(c) { ' ' } else { c }).collect()
}
