//! Who has begun sessions of a role, by CloudTrail.

use std::time::Duration;

use aws_sdk_cloudtrail::Client;
use aws_sdk_cloudtrail::primitives::DateTime;
use aws_sdk_cloudtrail::types::{LookupAttribute, LookupAttributeKey};
use calls::trouble;
use ids::Timestamp;
use plan::revoke::{Role, Sightings};
use tokio::time::{Instant, timeout_at};

use crate::Iam;

/// So long CloudTrail is asked: it answers two questions a second at most, and a thief is at work.
const LIMIT: Duration = Duration::from_secs(4);
/// So many pages of 50 events are read.
const PAGES: usize = 10;

impl Iam {
    /// What CloudTrail in this Region shows of sessions of `role` that began since `since`. What it does not show is said, not failed on:
    /// whoever decides goes by it.
    pub async fn sightings(&self, role: &Role, since: Timestamp) -> Sightings {
        // Made when it is needed, which is seldom: no other credential waits for it.
        let client =
            Client::from_conf(aws_sdk_cloudtrail::config::Builder::from(&self.config).interceptor(self.calls.clone()).build());
        let deadline = Instant::now() + LIMIT;
        let mut seen = Sightings::default();
        let attribute =
            LookupAttribute::builder().attribute_key(LookupAttributeKey::ResourceName).attribute_value(&role.arn).build();
        let Ok(attribute) = attribute else {
            seen.cut = Some("CloudTrail could not be asked".to_owned());
            return seen;
        };
        let mut token = None;
        for _ in 0..PAGES {
            let call =
                client.lookup_events().lookup_attributes(attribute.clone()).start_time(DateTime::from_millis(since.millis()));
            match timeout_at(deadline, call.set_next_token(token.take()).send()).await {
                Err(_) => {
                    seen.cut = Some(format!("CloudTrail was given up on after {} seconds", LIMIT.as_secs()));
                    return seen;
                }
                Ok(Err(error)) => {
                    seen.cut = Some(format!("CloudTrail could not be asked: {}", trouble(&error)));
                    return seen;
                }
                Ok(Ok(page)) => {
                    let text = |event: &aws_sdk_cloudtrail::types::Event| event.cloud_trail_event().unwrap_or_default().to_owned();
                    seen.events.extend(page.events().iter().map(text));
                    token = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
                }
            }
            if token.is_none() {
                return seen;
            }
        }
        seen.cut = Some(format!("CloudTrail has more than {} events about the role", PAGES * 50));
        seen
    }
}
