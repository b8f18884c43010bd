//! AWS as this machine's own configuration has it, and the threads that ask it.

use anyhow::{Context as _, bail};
use aws_config::{BehaviorVersion, SdkConfig};
use tokio::runtime::Runtime;

/// Profile, Region, endpoint and credentials, as the AWS CLI finds them.
///
/// # Errors
/// If no Region is among it: nothing on AWS can be asked then.
pub(crate) async fn config() -> anyhow::Result<SdkConfig> {
    let config = aws_config::load_defaults(BehaviorVersion::v2026_01_12()).await;
    if config.region().is_none() {
        bail!("which Region? Set AWS_REGION, or AWS_PROFILE to a profile that has one");
    }
    Ok(config)
}

/// Two threads: one may be writing a piece to disk while the other listens for signals and passes output on.
pub(crate) fn runtime() -> anyhow::Result<Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().context("could not start")
}
