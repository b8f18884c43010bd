//! AWS as this machine's own configuration has it, and the threads that ask it.

use anyhow::{Context as _, bail};
use aws_config::{BehaviorVersion, Region, SdkConfig};
use tokio::runtime::Runtime;

/// Profile, Region, endpoint and credentials, as the AWS CLI finds them.
///
/// # Errors
/// If no Region is among it: nothing on AWS can be asked then.
pub(crate) async fn config() -> anyhow::Result<SdkConfig> {
    config_of(None, None).await
}

/// The same, of a profile and in a Region that are known already. Credentials in the environment go before any profile's.
///
/// # Errors
/// If no Region is among it.
pub(crate) async fn config_of(profile: Option<&str>, region: Option<&str>) -> anyhow::Result<SdkConfig> {
    let mut loader = aws_config::defaults(BehaviorVersion::v2026_01_12());
    if let Some(profile) = profile {
        loader = loader.profile_name(profile);
    }
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    let config = loader.load().await;
    if config.region().is_none() {
        bail!("which Region? Set AWS_REGION, or AWS_PROFILE to a profile that has one");
    }
    Ok(config)
}

/// Two threads: one may be writing a piece to disk while the other listens for signals and passes output on.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("could not start")
}
