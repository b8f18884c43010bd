//! The table: conditional writes, and what is live.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{AttributeValue, TransactWriteItem, Update};
use aws_types::SdkConfig;
use calls::CallLog;
use grant::{Condition, Expected, Grant, Lock, State, Step, break_glass_lock};
use ids::{GrantId, RoleArn, Timestamp};
use people::Who;

use crate::row::{Barred, Row, Sealed, number, text};
use crate::{RegisterError, RoleLease};

/// The sparse index of live grants.
const LIVE: &str = "live";
/// How long a row outlives its grant: the records are what is kept.
const FORGET: Duration = Duration::from_secs(30 * 86_400);

/// The table of grants.
#[derive(Debug, Clone)]
pub struct Register {
    pub(crate) client: Client,
    pub(crate) table: String,
}

impl Register {
    /// The grants in `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, table: String) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(calls).build();
        Self { client: Client::from_conf(config), table }
    }

    /// A grant's row as it is now.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn look(&self, grant: &GrantId) -> Result<Option<Row>, RegisterError> {
        Ok(Row::parse(&self.item("about a grant", &grant_key(grant)).await?))
    }

    /// Writes a step, if its condition holds. True if it won; false if the row is not as the step supposed: look again.
    ///
    /// # Errors
    /// If the table does not answer: the write may have won or not. Looking again tells.
    pub async fn write(&self, step: &Step) -> Result<bool, RegisterError> {
        let doing = "a grant's step";
        let unmade = |error: Box<dyn std::error::Error>| RegisterError { doing, cause: error.to_string() };
        let mut writes = vec![TransactWriteItem::builder().update(self.row_update(step).map_err(unmade)?).build()];
        if let Some(lock) = &step.when.lock {
            let lock = self.lock_update(lock, &step.grant.id).map_err(unmade)?;
            writes.push(TransactWriteItem::builder().update(lock).build());
        }
        let answer = self.client.transact_write_items().set_transact_items(Some(writes)).send().await;
        let Err(error) = answer else { return Ok(true) };
        // One that meets another one, or is throttled, is cancelled too: nobody knows then whose turn it is.
        let lost = match error.as_service_error() {
            Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
                cancelled.cancellation_reasons().iter().any(|reason| reason.code() == Some("ConditionalCheckFailed"))
            }
            _ => false,
        };
        if lost { Ok(false) } else { Err(failed(doing, &error)) }
    }

    fn row_update(&self, step: &Step) -> Result<Update, Box<dyn std::error::Error>> {
        let Step { grant, when: Condition { row, .. }, .. } = step;
        let live = is_live(grant);
        let mut update =
            "SET body = :body, revision = :revision, requester = :requester, #role = :role, opened = :opened".to_owned();
        update.push_str(if live { ", live = :live REMOVE forget" } else { ", forget = :forget REMOVE live" });
        let call = Update::builder()
            .table_name(&self.table)
            .key("pk", text(&grant_key(&grant.id)))
            .update_expression(update)
            .expression_attribute_names("#role", "role")
            .expression_attribute_values(":body", text(&serde_json::to_string(grant)?))
            .expression_attribute_values(":revision", number(grant.revision.into()))
            .expression_attribute_values(":requester", text(&grant.terms.requester.id()))
            .expression_attribute_values(":role", text(grant.terms.role.as_str()))
            .expression_attribute_values(":opened", number(grant.opened.millis()));
        let call = if live {
            call.expression_attribute_values(":live", text(LIVE))
        } else {
            // DynamoDB wants seconds.
            call.expression_attribute_values(":forget", number(grant.changed.plus(FORGET).millis() / 1000))
        };
        let call = match row {
            Expected::Absent => call.condition_expression("attribute_not_exists(pk)"),
            Expected::Revision(was) => {
                call.condition_expression("revision = :was").expression_attribute_values(":was", number(i64::from(*was)))
            }
        };
        Ok(call.build()?)
    }

    fn lock_update(&self, lock: &Lock, grant: &GrantId) -> Result<Update, Box<dyn std::error::Error>> {
        let (Lock::Take(name) | Lock::Free(name)) = lock;
        let call = Update::builder().table_name(&self.table).key("pk", text(name)).expression_attribute_names("#grant", "grant");
        let call = match lock {
            Lock::Take(_) => call
                .update_expression("SET #grant = :grant")
                .condition_expression("attribute_not_exists(#grant) OR #grant = :grant")
                .expression_attribute_values(":grant", text(grant.as_str())),
            // Another's lock is not ours to give back: then the row is not written either.
            Lock::Free(_) => call
                .update_expression("REMOVE #grant")
                .condition_expression("attribute_not_exists(#grant) OR #grant = :grant")
                .expression_attribute_values(":grant", text(grant.as_str())),
        };
        Ok(call.build()?)
    }

    /// Who uses break-glass without a review yet: the grant that the lock names.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn unreviewed(&self, requester: &Who) -> Result<Option<GrantId>, RegisterError> {
        let item = self.item("about break-glass", &break_glass_lock(requester)).await?;
        Ok(item.get("grant").and_then(|value| value.as_s().ok()).and_then(|id| id.parse().ok()))
    }

    /// Notes where an approval is on record.
    ///
    /// # Errors
    /// If the table does not answer. The record is there: approving again notes it.
    pub async fn note_approval(&self, grant: &GrantId, record: &str) -> Result<(), RegisterError> {
        let values = HashMap::from([(":record".to_owned(), AttributeValue::Ss(vec![record.to_owned()]))]);
        self.update("an approval", grant, "ADD approvals :record", values).await
    }

    /// Keeps a session's sealed credentials, unless a later session's are there. True if they are the newest.
    ///
    /// # Errors
    /// If the table does not answer: the session is lost to the requester, and ends by itself.
    pub async fn seal(&self, grant: &GrantId, sealed: &Sealed) -> Result<bool, RegisterError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&grant_key(grant)))
            .update_expression("SET sealed = :sealed REMOVE trouble")
            // Its own, whose answer was lost, is as good as written now.
            .condition_expression(
                "attribute_exists(pk) AND (attribute_not_exists(sealed) OR sealed.serial < :serial OR sealed = :sealed)",
            )
            .expression_attribute_values(":sealed", sealed.value())
            .expression_attribute_values(":serial", number(sealed.serial.into()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(failed("sealed credentials", &error)),
        }
    }

    /// Notes why a grant has no credentials, for its requester.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn note_trouble(&self, grant: &GrantId, trouble: &str) -> Result<(), RegisterError> {
        let values = HashMap::from([(":trouble".to_owned(), text(trouble))]);
        self.update("why there are no credentials", grant, "SET trouble = :trouble", values).await
    }

    /// Notes when a session of an ended grant was first seen to be refused, and drops its sealed credentials, which are worth nothing now.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn note_refused(&self, grant: &GrantId, at: Timestamp) -> Result<(), RegisterError> {
        let values = HashMap::from([(":at".to_owned(), number(at.millis()))]);
        self.update("that sessions are refused", grant, "SET refused_at = if_not_exists(refused_at, :at) REMOVE sealed", values)
            .await
    }

    /// Takes a grant that is over and pruned out of the index of live ones.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn retire(&self, grant: &GrantId, now: Timestamp) -> Result<(), RegisterError> {
        let values = HashMap::from([(":forget".to_owned(), number(now.plus(FORGET).millis() / 1000))]);
        self.update("that a grant is over", grant, "SET forget = :forget REMOVE live, sealed", values).await
    }

    /// All live grants, the oldest first. What the index does not show yet is read by whoever has its id.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn live(&self) -> Result<Vec<Row>, RegisterError> {
        let mut pages = self
            .client
            .query()
            .table_name(&self.table)
            .index_name(LIVE)
            .key_condition_expression("live = :live")
            .expression_attribute_values(":live", text(LIVE))
            .into_paginator()
            .items()
            .send();
        let mut rows = Vec::new();
        while let Some(item) = pages.next().await {
            let item = item.map_err(|error| failed("which grants are live", &error))?;
            rows.extend(Row::parse(&item));
        }
        Ok(rows)
    }

    /// Whether an incident is about this person or role now.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn barred(&self, who: &str, now: Timestamp) -> Result<Option<Barred>, RegisterError> {
        let item = self.item("whether somebody is barred", &barred_key(who)).await?;
        Ok(Barred::parse(&item).filter(|barred| now < barred.until))
    }

    /// Bars a person or role for a while. A longer time that is there already stays.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn bar(&self, who: &str, barred: &Barred) -> Result<(), RegisterError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&barred_key(who)))
            .update_expression("SET incident = :incident, #until = :until, forget = :forget")
            .condition_expression("attribute_not_exists(#until) OR #until < :until")
            .expression_attribute_names("#until", "until")
            .expression_attribute_values(":incident", text(barred.incident.as_str()))
            .expression_attribute_values(":until", number(barred.until.millis()))
            .expression_attribute_values(":forget", number(barred.until.plus(FORGET).millis() / 1000))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(failed("that somebody is barred", &error)),
        }
    }

    pub(crate) async fn item(&self, doing: &'static str, key: &str) -> Result<HashMap<String, AttributeValue>, RegisterError> {
        let call = self.client.get_item().table_name(&self.table).key("pk", text(key)).consistent_read(true);
        Ok(call.send().await.map_err(|error| failed(doing, &error))?.item.unwrap_or_default())
    }

    async fn update(
        &self,
        doing: &'static str,
        grant: &GrantId,
        update: &str,
        values: HashMap<String, AttributeValue>,
    ) -> Result<(), RegisterError> {
        let call = self.client.update_item().table_name(&self.table).key("pk", text(&grant_key(grant)));
        // A row that somebody deleted does not come back as a stub that nothing can read.
        let call = call.update_expression(update).condition_expression("attribute_exists(pk)");
        let answer = call.set_expression_attribute_values(Some(values)).send().await;
        answer.map(drop).map_err(|error| failed(doing, &error))
    }

    /// A lease on a target role, to be taken with [`RoleLease::take`].
    #[must_use]
    pub fn lease<'a>(&'a self, role: &'a RoleArn, owner: &'a str) -> RoleLease<'a> {
        RoleLease { register: self, role, owner }
    }
}

/// Whether something can still come of a grant, or has to be denied or reviewed.
fn is_live(grant: &Grant) -> bool {
    let reviewed = !matches!(grant.review, Some(grant::Review::Due { .. }));
    match &grant.state {
        State::Requested | State::Approved { .. } | State::Active { .. } => true,
        // What is denied is live until it is pruned: `retire` says so.
        State::Ended { deny_until, .. } => deny_until.is_some() || !reviewed,
        State::Denied { .. } | State::Expired { .. } => !reviewed,
    }
}

pub(crate) fn failed<E>(doing: &'static str, error: &E) -> RegisterError
where
    E: std::error::Error + ProvideErrorMetadata,
{
    RegisterError { doing, cause: error.code().map_or_else(|| DisplayErrorContext(error).to_string(), str::to_owned) }
}

/// A role may touch no keys but its own kinds of these: `dynamodb:LeadingKeys` in the template.
fn grant_key(grant: &GrantId) -> String {
    format!("grant#{grant}")
}

fn barred_key(who: &str) -> String {
    format!("barred#{}", who.to_ascii_lowercase())
}
