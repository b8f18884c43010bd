#![doc = include_str!("../README.md")]

mod settings;

use std::fmt;
use std::time::Duration;

use aws_config::BehaviorVersion;
pub use aws_config::SdkConfig;
use aws_config::timeout::TimeoutConfig;
use ids::{AccountId, Region};
use lambda_runtime::{LambdaEvent, service_fn};
use serde::Serialize;
use serde_json::value::RawValue;
use thiserror::Error;

pub use settings::{Settings, SettingsError};

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

/// The SDK configuration of a function: slim timeouts, because a responder's caller is a clock.
pub async fn sdk_config() -> SdkConfig {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(2))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(10))
        .build();
    aws_config::defaults(BehaviorVersion::v2026_01_12()).timeout_config(timeouts).load().await
}

/// What Lambda says of one invocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invocation {
    /// Its request id.
    pub id: String,
    /// The account and Region that the function runs in; none if Lambda names the function in a way we do not know.
    pub home: Option<(AccountId, Region)>,
}

impl Invocation {
    /// The invocation `id` of the function at `arn` (`arn:PARTITION:lambda:REGION:ACCOUNT:function:NAME`).
    #[must_use]
    pub fn read(id: &str, arn: &str) -> Self {
        let mut parts = arn.split(':').skip(3);
        let region = parts.next().and_then(|region| region.parse().ok());
        let account = parts.next().and_then(|account| account.parse().ok());
        Self { id: id.to_owned(), home: account.zip(region) }
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
        let answer = handle(event.payload.get().as_bytes(), &invocation).await;
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
