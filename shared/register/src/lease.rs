//! One at a time on a role's denies.

use std::time::Duration;

use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use ids::RoleArn;

use crate::row::{number, text};
use crate::table::failed;
use crate::{Register, RegisterError};

/// How long a lease is exclusive: longer than a function may run (29 s), shorter than Lambda's first retry.
pub const LEASE: Duration = Duration::from_secs(40);
/// Another's work takes a second or two.
const PATIENCE: Duration = Duration::from_secs(8);
const BETWEEN: Duration = Duration::from_millis(200);

/// The lease on a role. What it protects is read after it is taken: an end that was read before may be incomplete.
#[derive(Debug)]
pub struct RoleLease<'a> {
    pub(crate) register: &'a Register,
    pub(crate) role: &'a RoleArn,
    pub(crate) owner: &'a str,
}

impl RoleLease<'_> {
    /// Takes it, waiting a little for somebody else's. False if they still have it.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn take(&self) -> Result<bool, RegisterError> {
        let started = calls::now();
        loop {
            if self.try_take().await? {
                return Ok(true);
            }
            if calls::now() >= started.plus(PATIENCE) {
                return Ok(false);
            }
            tokio::time::sleep(BETWEEN).await;
        }
    }

    async fn try_take(&self) -> Result<bool, RegisterError> {
        let now = calls::now();
        let answer = self
            .register
            .client
            .update_item()
            .table_name(&self.register.table)
            .key("pk", text(&key(self.role)))
            .update_expression("SET lease_owner = :owner, lease_until = :until")
            .condition_expression("attribute_not_exists(lease_until) OR lease_until < :now OR lease_owner = :owner")
            .expression_attribute_values(":owner", text(self.owner))
            .expression_attribute_values(":until", number(now.plus(LEASE).millis()))
            .expression_attribute_values(":now", number(now.millis()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(true),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(false),
            Err(error) => Err(failed("a lease on a role", &error)),
        }
    }

    /// Gives it back, if it is still ours.
    ///
    /// # Errors
    /// If the table does not answer: it runs out by itself.
    pub async fn give_back(&self) -> Result<(), RegisterError> {
        let answer = self
            .register
            .client
            .update_item()
            .table_name(&self.register.table)
            .key("pk", text(&key(self.role)))
            .update_expression("REMOVE lease_owner, lease_until")
            .condition_expression("lease_owner = :owner")
            .expression_attribute_values(":owner", text(self.owner))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(failed("the end of a lease", &error)),
        }
    }
}

fn key(role: &RoleArn) -> String {
    format!("role#{role}")
}
