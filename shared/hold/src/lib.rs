#![doc = include_str!("../README.md")]

mod asked;
mod row;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use api::Problem;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata as _};
use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure};
use aws_types::SdkConfig;
use calls::CallLog;
use futures_util::future::try_join_all;
use ids::{AccountId, EniId, IncidentId, Region, SgId, Timestamp, VpcId};
use thiserror::Error;

pub use asked::Asked;
pub use row::Row;

/// How long a claim is exclusive. Longer than a function may run (30 s), shorter than Lambda's first retry (about a minute later), so
/// that whoever retries finds either an outcome or a lease that has run out.
pub const LEASE: Duration = Duration::from_secs(40);

/// The table could not be asked, or would not say.
#[derive(Debug, Error)]
#[error("the holds table did not answer {doing}: {cause}")]
pub struct HoldError {
    doing: &'static str,
    cause: String,
}

impl From<HoldError> for Problem {
    fn from(error: HoldError) -> Self {
        Self::unavailable(&error.to_string())
    }
}

/// Who claims what, and why.
#[derive(Debug, Clone)]
pub struct Claim {
    /// The resource: `ec2:instance:ACCOUNT:REGION:ID`.
    pub target: String,
    /// The invocation that claims.
    pub owner: String,
    /// The incident it works for.
    pub incident: IncidentId,
    /// The finding's id, or another name for what is updated over time.
    pub finding: String,
    /// Which update of it.
    pub updated_at: Timestamp,
    /// When the claim is made.
    pub now: Timestamp,
    /// Where the intent will be, if this is the first claim: how whoever takes over finds what a dead claim may have begun.
    pub intent: String,
}

/// What became of a claim.
#[derive(Debug, Clone, PartialEq)]
pub enum Claimed {
    /// It is ours. The row is as it was before; [`Row::first_claimed`] is when this signal was first claimed.
    Ours(Row),
    /// Someone else is at work, at the latest until then.
    Busy {
        /// When the lease runs out.
        until: Timestamp,
    },
    /// This signal, or a later update of the finding, has its outcome.
    Done {
        /// The outcome record's key.
        outcome: String,
    },
}

/// What is written when a claim has served its purpose.
#[derive(Debug, Clone, Default)]
pub struct Conclusion {
    /// The durable outcome record.
    pub outcome: String,
    /// Groups from before the first seal, for interfaces of which the row knows none.
    pub originals: BTreeMap<EniId, Vec<SgId>>,
    /// What is denied on the resource, by incident, as the plan spells it.
    pub denies: BTreeMap<IncidentId, String>,
    /// Outcomes that say what was changed on the resource, for a later release.
    pub records: BTreeSet<String>,
    /// Whether the incident now holds the resource.
    pub holds: bool,
    /// Whether the incident has let go of it: it is no holder any more, and denies nothing. Others' holds and denies stay.
    pub lets_go: bool,
}

/// The table of holds.
#[derive(Debug, Clone)]
pub struct Holds {
    client: Client,
    table: String,
}

impl Holds {
    /// The holds in `table`.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, table: String) -> Self {
        let config = aws_sdk_dynamodb::config::Builder::from(config).interceptor(calls).build();
        Self { client: Client::from_conf(config), table }
    }

    /// Claims `claim.target` for one invocation, in one round trip.
    ///
    /// # Errors
    /// If the table does not answer; containment then goes on without it.
    pub async fn claim(&self, claim: &Claim) -> Result<Claimed, HoldError> {
        let until = claim.now.plus(LEASE);
        let done = "attribute_not_exists(#done) OR #done.updated_at < :updated";
        let free = "attribute_not_exists(lease_until) OR lease_until < :now OR lease_owner = :owner";
        let begun = HashMap::from([("at".to_owned(), number(claim.now.millis())), ("intent".to_owned(), text(&claim.intent))]);
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&hold_key(&claim.target)))
            .update_expression("SET lease_owner = :owner, lease_until = :until, #claim = if_not_exists(#claim, :claim)")
            .condition_expression(format!("({free}) AND ({done})"))
            .expression_attribute_names("#done", row::done(&claim.finding))
            .expression_attribute_names("#claim", row::claim(&claim.finding, claim.updated_at))
            .expression_attribute_values(":owner", text(&claim.owner))
            .expression_attribute_values(":until", number(until.millis()))
            .expression_attribute_values(":now", number(claim.now.millis()))
            .expression_attribute_values(":claim", AttributeValue::M(begun))
            .expression_attribute_values(":updated", number(claim.updated_at.millis()))
            .return_values(ReturnValue::AllOld)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match answer {
            Ok(answer) => Ok(Claimed::Ours(Row::parse(answer.attributes.unwrap_or_default()))),
            Err(error) => {
                let error = error.into_service_error();
                match error {
                    aws_sdk_dynamodb::operation::update_item::UpdateItemError::ConditionalCheckFailedException(failed) => {
                        Ok(refused(claim, &Row::parse(failed.item.unwrap_or_default())))
                    }
                    other => Err(HoldError {
                        doing: "a claim",
                        cause: other.code().map_or_else(|| DisplayErrorContext(&other).to_string(), str::to_owned),
                    }),
                }
            }
        }
    }

    /// Writes what the claim led to, and ends its lease if it is still ours.
    ///
    /// # Errors
    /// If the table does not answer. The outcome is durable elsewhere; a later claim repeats idempotent work.
    pub async fn conclude(&self, claim: &Claim, conclusion: &Conclusion) -> Result<(), HoldError> {
        let mut update = "SET #done = :done".to_owned();
        let mut names = HashMap::from([
            ("#done".to_owned(), row::done(&claim.finding)),
            ("#claim".to_owned(), row::claim(&claim.finding, claim.updated_at)),
        ]);
        let done = HashMap::from([
            ("updated_at".to_owned(), number(claim.updated_at.millis())),
            ("outcome".to_owned(), text(&conclusion.outcome)),
        ]);
        let mut values = HashMap::from([(":done".to_owned(), AttributeValue::M(done))]);
        if conclusion.holds {
            update.push_str(", #holder = if_not_exists(#holder, :now)");
            names.insert("#holder".to_owned(), row::holder(&claim.incident));
            values.insert(":now".to_owned(), number(claim.now.millis()));
        }
        for (n, (eni, groups)) in conclusion.originals.iter().enumerate() {
            update.push_str(&format!(", #e{n} = if_not_exists(#e{n}, :e{n})"));
            names.insert(format!("#e{n}"), row::original(eni));
            values.insert(format!(":e{n}"), AttributeValue::L(groups.iter().map(|group| text(group.as_str())).collect()));
        }
        for set in set_denies(&conclusion.denies, &mut names, &mut values) {
            update.push_str(", ");
            update.push_str(&set);
        }
        update.push_str(" REMOVE #claim");
        if conclusion.lets_go {
            update.push_str(", #gone, #undenied");
            names.insert("#gone".to_owned(), row::holder(&claim.incident));
            names.insert("#undenied".to_owned(), row::deny(&claim.incident));
        }
        if !conclusion.records.is_empty() {
            update.push_str(" ADD #records :records");
            names.insert("#records".to_owned(), row::records(&claim.incident));
            values.insert(":records".to_owned(), AttributeValue::Ss(conclusion.records.iter().cloned().collect()));
        }
        self.update("a conclusion", &claim.target, update, names, values).await?;
        self.let_go(claim).await
    }

    /// Ends the lease, if it is still ours, and keeps the claim: the next delivery need not wait.
    ///
    /// # Errors
    /// If the table does not answer; the lease then runs out by itself.
    pub async fn let_go(&self, claim: &Claim) -> Result<(), HoldError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&hold_key(&claim.target)))
            .update_expression("REMOVE lease_owner, lease_until")
            .condition_expression("lease_owner = :owner")
            .expression_attribute_values(":owner", text(&claim.owner))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(failed("the end of a lease", &error)),
        }
    }

    /// Keeps a signed intent that the evidence store would not take, so that it can be filed late. One that waits under this key already
    /// stays: it is the plan that was run first.
    ///
    /// # Errors
    /// If the table does not answer either.
    pub async fn park(&self, target: &str, key: &str, bytes: &[u8]) -> Result<(), HoldError> {
        let names = HashMap::from([("#parked".to_owned(), row::parked(key))]);
        let values = HashMap::from([(":bytes".to_owned(), AttributeValue::B(Blob::new(bytes)))]);
        self.update("a parked intent", target, "SET #parked = if_not_exists(#parked, :bytes)".to_owned(), names, values).await
    }

    /// Forgets a parked intent that has been filed.
    ///
    /// # Errors
    /// If the table does not answer; it is then filed again, which the store's create-once makes harmless.
    pub async fn unpark(&self, target: &str, key: &str) -> Result<(), HoldError> {
        let names = HashMap::from([("#parked".to_owned(), row::parked(key))]);
        self.update("a filed intent", target, "REMOVE #parked".to_owned(), names, HashMap::new()).await
    }

    /// Notes what is to be denied on a resource, before it is: whoever works on it next writes it too.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn note(&self, target: &str, denies: &BTreeMap<IncidentId, String>) -> Result<(), HoldError> {
        if denies.is_empty() {
            return Ok(());
        }
        let (mut names, mut values) = (HashMap::new(), HashMap::new());
        let sets = set_denies(denies, &mut names, &mut values);
        self.update("what is to be denied", target, format!("SET {}", sets.join(", ")), names, values).await
    }

    /// Notes which resource an incident is about: whoever knows only the incident finds the hold by it.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn point(&self, incident: &IncidentId, target: &str) -> Result<(), HoldError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&pointer_key(incident)))
            .update_expression("SET target = :target")
            .expression_attribute_values(":target", text(target))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed("which resource an incident is about", &error))
    }

    /// The resource that an incident is about, if that was ever noted.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn target_of(&self, incident: &IncidentId) -> Result<Option<String>, HoldError> {
        let item = self.item("which resource an incident is about", &pointer_key(incident)).await?;
        Ok(item.get("target").and_then(|value| value.as_s().ok()).cloned())
    }

    /// A hold's row as it is now, without a claim on it.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn look(&self, target: &str) -> Result<Row, HoldError> {
        Ok(Row::parse(self.item("a hold", &hold_key(target)).await?))
    }

    async fn item(&self, doing: &'static str, key: &str) -> Result<HashMap<String, AttributeValue>, HoldError> {
        let call = self.client.get_item().table_name(&self.table).key("pk", text(key)).consistent_read(true);
        Ok(call.send().await.map_err(|error| failed(doing, &error))?.item.unwrap_or_default())
    }

    /// The sealed groups that the table remembers for `vpcs`.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn pins(
        &self,
        account: &AccountId,
        region: &Region,
        vpcs: &BTreeSet<VpcId>,
    ) -> Result<BTreeMap<VpcId, SgId>, HoldError> {
        let looks = vpcs.iter().map(async |vpc| {
            let answer =
                self.client.get_item().table_name(&self.table).key("pk", text(&pin_key(account, region, vpc))).send().await;
            let item = answer.map_err(|error| failed("a pin", &error))?.item.unwrap_or_default();
            let group = item.get("group").and_then(|value| value.as_s().ok()).and_then(|id| id.parse().ok());
            Ok(group.map(|group| (vpc.clone(), group)))
        });
        Ok(try_join_all(looks).await?.into_iter().flatten().collect())
    }

    /// Remembers the sealed group of a VPC, in place of `instead_of` only.
    ///
    /// # Errors
    /// If the table does not answer. A race that another group won is no error: the next plan uses that one.
    pub async fn pin(
        &self,
        account: &AccountId,
        region: &Region,
        vpc: &VpcId,
        group: &SgId,
        instead_of: Option<&SgId>,
    ) -> Result<(), HoldError> {
        let answer = self
            .client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&pin_key(account, region, vpc)))
            .update_expression("SET #group = :group")
            .condition_expression("attribute_not_exists(#group) OR #group = :old")
            .expression_attribute_names("#group", "group")
            .expression_attribute_values(":group", text(group.as_str()))
            .expression_attribute_values(":old", text(instead_of.unwrap_or(group).as_str()))
            .send()
            .await;
        match answer {
            Ok(_) => Ok(()),
            Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(()),
            Err(error) => Err(failed("a pin", &error)),
        }
    }

    async fn update(
        &self,
        doing: &'static str,
        target: &str,
        update: String,
        names: HashMap<String, String>,
        values: HashMap<String, AttributeValue>,
    ) -> Result<(), HoldError> {
        self.client
            .update_item()
            .table_name(&self.table)
            .key("pk", text(&hold_key(target)))
            .update_expression(update)
            .set_expression_attribute_names(Some(names))
            .set_expression_attribute_values((!values.is_empty()).then_some(values))
            .send()
            .await
            .map(drop)
            .map_err(|error| failed(doing, &error))
    }
}

/// The parts of an update that set what is denied, one for each incident.
fn set_denies(
    denies: &BTreeMap<IncidentId, String>,
    names: &mut HashMap<String, String>,
    values: &mut HashMap<String, AttributeValue>,
) -> Vec<String> {
    let set = |(n, (incident, denied)): (usize, (&IncidentId, &String))| {
        names.insert(format!("#d{n}"), row::deny(incident));
        values.insert(format!(":d{n}"), text(denied));
        format!("#d{n} = :d{n}")
    };
    denies.iter().enumerate().map(set).collect()
}

/// Why a claim was refused, from the row as it is.
fn refused(claim: &Claim, row: &Row) -> Claimed {
    match row.outcome(&claim.finding, claim.updated_at) {
        Some(outcome) => Claimed::Done { outcome: outcome.to_owned() },
        None => Claimed::Busy { until: row.lease_until.unwrap_or(claim.now) },
    }
}

fn failed<E>(doing: &'static str, error: &E) -> HoldError
where
    E: std::error::Error + aws_sdk_dynamodb::error::ProvideErrorMetadata,
{
    HoldError { doing, cause: error.code().map_or_else(|| DisplayErrorContext(error).to_string(), str::to_owned) }
}

fn text(value: &str) -> AttributeValue {
    AttributeValue::S(value.to_owned())
}

fn number(value: i64) -> AttributeValue {
    AttributeValue::N(value.to_string())
}

/// A role may touch no keys but its own kinds of these: `dynamodb:LeadingKeys` in the template.
fn hold_key(target: &str) -> String {
    format!("hold#{target}")
}

fn pointer_key(incident: &IncidentId) -> String {
    format!("incident#{incident}")
}

fn pin_key(account: &AccountId, region: &Region, vpc: &VpcId) -> String {
    format!("sealed#{account}#{region}#{vpc}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_claim_knows_done_from_busy() {
        let at = |millis| Timestamp::saturating(millis);
        let claim = Claim {
            target: "t".to_owned(),
            owner: "me".to_owned(),
            incident: IncidentId::derive("t", "x"),
            finding: "f".to_owned(),
            updated_at: at(50),
            now: at(100),
            intent: "rec/…".to_owned(),
        };
        let done = |updated| HashMap::from([("updated_at".to_owned(), number(updated)), ("outcome".to_owned(), text("rec/…"))]);
        let row = |updated| {
            Row::parse(HashMap::from([(row::done("f"), AttributeValue::M(done(updated))), ("lease_until".to_owned(), number(140))]))
        };
        assert_eq!(refused(&claim, &row(50)), Claimed::Done { outcome: "rec/…".to_owned() });
        assert_eq!(refused(&claim, &row(60)), Claimed::Done { outcome: "rec/…".to_owned() }, "a later update was answered");
        assert_eq!(refused(&claim, &row(40)), Claimed::Busy { until: at(140) }, "an earlier update's outcome is not ours");
    }
}
