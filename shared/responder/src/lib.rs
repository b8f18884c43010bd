#![doc = include_str!("../README.md")]

mod settings;

use std::fmt;
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_smithy_runtime_api::client::behavior_version::BehaviorVersion;
use aws_smithy_types::timeout::TimeoutConfig;
pub use aws_types::SdkConfig;
use aws_types::region::Region as SdkRegion;
use ids::{AccountId, Region};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

pub use settings::{Settings, SettingsError, Variables};

/// Trying again can help: Lambda should.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}: trying again can help")]
pub struct Transient(pub String);

impl Transient {
    /// Trying again may get past `cause`.
    pub fn of(cause: impl fmt::Display) -> Self {
        Self(cause.to_string())
    }
}

/// Whom an answer concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// Nobody.
    None,
    /// Someone, in working hours.
    Notify,
    /// Someone, now.
    Page,
}

/// The SDK configuration of a function: what Lambda sets, and nothing else, with slim timeouts, because a responder's caller is a clock.
///
/// Lambda gives every sandbox its Region and its role's credentials as environment variables (Lambda developer guide, "Using Lambda
/// environment variables"). A lookup of profiles, of files and of metadata services would find nothing more, and would make the
/// program larger and its start slower. `AWS_ENDPOINT_URL` points all clients at another AWS, `AWS_USE_FIPS_ENDPOINT` at FIPS endpoints.
///
/// # Errors
/// If the Region or the credentials are missing.
pub fn sdk_config(get: impl Fn(&'static str) -> Option<String>) -> Result<SdkConfig, SettingsError> {
    let optional = |name| get(name).filter(|value| !value.is_empty());
    let required = |name| optional(name).ok_or(SettingsError::NoLambda(name));
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(10))
        .build();
    let (id, secret) = (required("AWS_ACCESS_KEY_ID")?, required("AWS_SECRET_ACCESS_KEY")?);
    let credentials = Credentials::new(id, secret, optional("AWS_SESSION_TOKEN"), None, "Lambda");
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(SdkRegion::new(required("AWS_REGION")?))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .timeout_config(timeouts);
    config.set_endpoint_url(optional("AWS_ENDPOINT_URL"));
    config.set_use_fips(optional("AWS_USE_FIPS_ENDPOINT").map(|value| value == "true"));
    Ok(config.build())
}

/// Sends what the runtime has to say to the function's log: warnings, and information if `AWS_LAMBDA_LOG_LEVEL` asks for
/// it. No finer level: the runtime's own would print events.
pub fn log_to_stdout(get: impl Fn(&'static str) -> Option<String>) {
    use tracing_subscriber::filter::LevelFilter;
    let level = match get("AWS_LAMBDA_LOG_LEVEL").as_deref() {
        Some("TRACE" | "DEBUG" | "INFO") => LevelFilter::INFO,
        Some("ERROR" | "FATAL") => LevelFilter::ERROR,
        _ => LevelFilter::WARN,
    };
    // Lambda puts a time on every line by itself.
    tracing_subscriber::fmt().with_max_level(level).without_time().with_target(false).init();
}

/// What Lambda says of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its request id.
    pub id: String,
    /// The account and Region that the function runs in; none if Lambda names the function in a way we do not know.
    pub home: Option<(AccountId, Region)>,
    /// The alias or the version that it was invoked through; none if it was invoked by its name.
    pub qualifier: Option<String>,
}

impl Invocation {
    /// The invocation `id` of the function at `arn` (`arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME[:QUALIFIER]`).
    #[must_use]
    pub fn read(id: &str, arn: &str) -> Self {
        let mut parts = arn.split(':').skip(3);
        let region = parts.next().and_then(|region| region.parse().ok());
        let account = parts.next().and_then(|account| account.parse().ok());
        let qualifier = parts.nth(2).map(str::to_owned);
        Self { id: id.to_owned(), home: account.zip(region), qualifier }
    }
}

/// Hands every event to `handle` as the bytes that came, and its answer back.
///
/// The bytes are what Lambda was given: a bad shape is then a refusal by the function, and no error that Lambda would retry.
///
/// # Errors
/// If the runtime's own endpoint fails.
pub async fn serve<A: Serialize>(
    handle: impl AsyncFn(&[u8], &Invocation) -> Result<A, Transient>,
) -> Result<(), lambda_runtime::Error> {
    let handle = &handle;
    lambda_runtime::run(service_fn(move |event: LambdaEvent<Box<RawValue>>| async move {
        let invocation = Invocation::read(&event.context.request_id, &event.context.invoked_function_arn);
        // Boxed: a whole story's future, inside the runtime's own layers, nests deeper than the compiler looks.
        let answer = Box::pin(handle(event.payload.get().as_bytes(), &invocation)).await;
        answer.map_err(lambda_runtime::Error::from)
    }))
    .await
}

/// Counts one thing for CloudWatch, in its embedded metric format (CloudWatch user guide, "Specification: Embedded metric format").
pub fn count(function: &str, metric: &str, value: u32, at: ids::Timestamp) {
    let line = serde_json::json!({
        "_aws": {
            "Timestamp": at.millis(),
            "CloudWatchMetrics": [{ "Namespace": "Cordon", "Dimensions": [["Function"]], "Metrics": [{ "Name": metric, "Unit": "Count" }] }],
        },
        "Function": function,
        metric: value,
    });
    println!("{line}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_invocation_knows_where_it_is_and_what_it_came_through() {
        let by_name = Invocation::read("r-1", "arn:aws:lambda:eu-central-1:123456789012:function:cordon-Revoke-1");
        assert_eq!(by_name.home, Some(("123456789012".parse().unwrap(), "eu-central-1".parse().unwrap())));
        assert_eq!(by_name.qualifier, None);
        let by_alias = Invocation::read("r-1", "arn:aws:lambda:eu-central-1:123456789012:function:cordon-Revoke-1:relay");
        assert_eq!((by_alias.home, by_alias.qualifier.as_deref()), (by_name.home, Some("relay")));
        assert_eq!(Invocation::read("r-1", "cordon-Revoke-1").home, None);
    }
}
