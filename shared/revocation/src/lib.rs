#![doc = include_str!("../README.md")]

mod apply;
mod observe;

use aws_sdk_iam::Client;
use aws_types::SdkConfig;
use calls::CallLog;

/// IAM in one account.
#[derive(Debug, Clone)]
pub struct Iam {
    client: Client,
}

impl Iam {
    /// IAM as `config` reaches it.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog) -> Self {
        Self { client: Client::from_conf(aws_sdk_iam::config::Builder::from(config).interceptor(calls).build()) }
    }

    /// IAM as a client reaches it: for tests.
    #[must_use]
    pub fn of(client: Client) -> Self {
        Self { client }
    }
}
