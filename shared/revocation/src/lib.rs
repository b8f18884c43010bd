#![doc = include_str!("../README.md")]

mod apply;
mod grants;
mod lift;
mod members;
mod observe;
mod users;

use aws_sdk_iam::Client;
use aws_types::SdkConfig;
use calls::CallLog;
use ids::{Region, UserName};
use plan::revoke::denies_policy;

pub use grants::{Inline, ended_policy};
pub use members::{Members, has_lapsed, no_entry};

/// IAM in one account, and who used its roles.
#[derive(Debug, Clone)]
pub struct Iam {
    client: Client,
    /// What the document on a role is called, in this Region.
    denies_policy: String,
    /// How AWS is reached with the same credentials, and where its answers are noted.
    config: SdkConfig,
    calls: CallLog,
}

/// Whose a long-lived key is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Holder {
    /// A user's.
    User(UserName),
    /// IAM knows the key, and gives no user: it is root's.
    Nobody,
    /// IAM does not know it in this account.
    Unknown,
}

impl Iam {
    /// IAM as `config` reaches it, for the function in `region`.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, region: &Region) -> Self {
        let client = Client::from_conf(aws_sdk_iam::config::Builder::from(config).interceptor(calls.clone()).build());
        Self { client, denies_policy: denies_policy(region), config: config.clone(), calls }
    }
}
