//! Requests to let go of a hold: where the newest of each incident is on record. An index, as all of the table: what was asked, approved
//! and denied is read from the records.

use std::collections::HashMap;

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::AttributeValue;
use ids::{IncidentId, Timestamp};

use crate::row::moment;
use crate::{HoldError, Holds, failed, number, text};

/// The newest request about an incident.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The key of its record.
    pub request: String,
    /// When it runs out.
    pub expires: Timestamp,
    /// 1 for the first request about an incident, then one more each.
    pub serial: i64,
    /// Whether it has come to an end.
    pub ended: bool,
}

impl Asked {
    fn parse(item: &HashMap<String, AttributeValue>) -> Option<Self> {
        Some(Self {
            request: item.get("request")?.as_s().ok()?.clone(),
            expires: moment(item.get("expires")?)?,
            serial: item.get("serial")?.as_n().ok()?.parse().ok()?,
            ended: item.contains_key("ended"),
        })
    }
}

impl Holds {
    /// The newest request about an incident.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn asked(&self, incident: &IncidentId) -> Result<Option<Asked>, HoldError> {
        Ok(Asked::parse(&self.item("a request", &key(incident)).await?))
    }

    /// Notes a request that is on record, unless another one is open. True if it is the one that counts now.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn ask(&self, incident: &IncidentId, asked: &Asked, now: Timestamp) -> Result<bool, HoldError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key(incident)))
            .update_expression("SET #request = :request, expires = :expires, serial = :serial REMOVE ended")
            .condition_expression(
                "attribute_not_exists(#request) OR #request = :request OR expires < :now OR attribute_exists(ended)",
            )
            .expression_attribute_names("#request", "request")
            .expression_attribute_values(":request", text(&asked.request))
            .expression_attribute_values(":expires", number(asked.expires.millis()))
            .expression_attribute_values(":serial", number(asked.serial))
            .expression_attribute_values(":now", number(now.millis()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(failed("a request", &error)),
        }
    }

    /// Notes that a request has come to an end, so that another can be made. One that is no longer the newest is left alone.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn end(&self, incident: &IncidentId, request: &str, now: Timestamp) -> Result<(), HoldError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&key(incident)))
            .update_expression("SET ended = :now")
            .condition_expression("#request = :request")
            .expression_attribute_names("#request", "request")
            .expression_attribute_values(":request", text(request))
            .expression_attribute_values(":now", number(now.millis()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(failed("the end of a request", &error)),
        }
    }
}

fn key(incident: &IncidentId) -> String {
    format!("release#{incident}")
}
