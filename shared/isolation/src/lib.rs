#![doc = include_str!("../README.md")]

mod apply;
mod observe;

use aws_sdk_ec2::Client;
use aws_types::SdkConfig;
use calls::CallLog;

/// EC2 in one account and Region.
#[derive(Debug, Clone)]
pub struct Ec2 {
    client: Client,
}

impl Ec2 {
    /// EC2 as `config` reaches it.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog) -> Self {
        Self { client: Client::from_conf(aws_sdk_ec2::config::Builder::from(config).interceptor(calls).build()) }
    }
}
