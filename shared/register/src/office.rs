//! What the three functions of just-in-time access share: the register, their records, the playbook, and each other.

use std::collections::BTreeSet;
use std::time::Duration;

use aws_sdk_lambda::Client as Lambda;
use aws_sdk_lambda::primitives::Blob;
use aws_sdk_lambda::types::InvocationType;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use calls::CallLog;
use docket::Docket;
use evidence_store::{KmsKey, StoreError, Worm};
use futures_util::future::try_join_all;
use grant::Basis;
use ids::{AccountId, FunctionName, GrantId, ParseIdError, Sha256, Timestamp};
use people::Who;
use playbook::{AccessAct, AccessPlaybook, Decision, PlaybookError, Verdict};
use redact::Redactor;
use responder::{Settings, SettingsError, Variables};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use thiserror::Error;
use tokio::sync::OnceCell;

use crate::places::{ACCESS, MINT, RECONCILE};
use crate::{Authors, Read, Register, RegisterError, Row};

/// The register, this function's own records, the others' keys, and the playbook.
#[derive(Debug)]
pub struct Office<S> {
    /// The table.
    pub register: Register,
    /// This function's records.
    pub docket: Docket<S>,
    /// The policies, in this account.
    pub playbook: AccessPlaybook,
    /// Every call to AWS.
    pub calls: CallLog,
    keys: [(FunctionName, KmsKey); 3],
    authors: OnceCell<Authors>,
}

/// Why nothing is opened.
#[derive(Debug, Clone, PartialEq, Error)]
pub enum NoBasis {
    /// The table did not answer: trying again can help.
    #[error(transparent)]
    Register(#[from] RegisterError),
    /// The request is not where the row says, or names nothing that there is.
    #[error("{0}")]
    NotOnRecord(&'static str),
    /// Policy says no, now.
    #[error("{} [{}]", .0.reason, .0.rule)]
    Forbidden(Box<Decision>),
}

impl<S: Worm> Office<S> {
    /// The office of the function that `settings` name, in `partition` and the account `home`. Nothing is asked yet.
    ///
    /// # Errors
    /// If the configuration or the shipped playbook is wrong, or the system has no randomness.
    pub fn new(
        settings: &Settings,
        get: impl Fn(&'static str) -> Option<String>,
        config: &SdkConfig,
        calls: CallLog,
        store: S,
        code: fn() -> Option<Sha256>,
    ) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        let variables = Variables::new(&get);
        let home = variables.required("CORDON_ACCOUNT")?;
        let home: AccountId =
            home.parse().map_err(|_| SettingsError::Wrong { name: "CORDON_ACCOUNT", expected: "a 12-digit account id" })?;
        let partition = variables.optional("CORDON_PARTITION").unwrap_or_else(|| "aws".to_owned());
        let key = |name: &'static str| Ok::<_, SettingsError>(KmsKey::new(config, calls.clone(), variables.required(name)?));
        let function = |name: &str| name.parse::<FunctionName>().map_err(|error: ParseIdError| error);
        let signs = (settings.function.clone(), settings.signing_key.clone());
        Ok(Self {
            register: Register::new(config, calls.clone(), settings.table.clone()),
            docket: Docket::new(config, calls.clone(), store, signs, Redactor::new(&settings.redact)?, code)?,
            playbook: playbook(&partition, &home)?,
            keys: [
                (function(ACCESS)?, key("CORDON_ACCESS_SIGNING_KEY")?),
                (function(MINT)?, key("CORDON_MINT_SIGNING_KEY")?),
                (function(RECONCILE)?, key("CORDON_RECONCILE_SIGNING_KEY")?),
            ],
            authors: OnceCell::new(),
            calls,
        })
    }

    /// Who may write which record. KMS is asked once.
    ///
    /// # Errors
    /// If KMS does not answer.
    pub async fn authors(&self) -> Result<&Authors, StoreError> {
        let ask = async || {
            let keys = self.keys.iter().map(async |(name, key)| Ok((name.clone(), key.public_key().await?.fingerprint())));
            let [access, mint, reconcile] = <[_; 3]>::try_from(try_join_all(keys).await?).map_err(|_| StoreError {
                doing: "read whose key is whose",
                cause: "there are three".to_owned(),
                passes: false,
            })?;
            Ok(Authors { access, mint, reconcile })
        };
        self.authors.get_or_try_init(ask).await
    }

    /// What the records say of a row's grant.
    ///
    /// # Errors
    /// If a store does not answer, or what is at a record's place is not that function's.
    pub async fn read(&self, row: &Row) -> Result<Read, StoreError> {
        let authors = self.authors().await?;
        let recorder = self.docket.recorder().await;
        Read::gather(row, &recorder, authors).await
    }

    /// What a step that opens goes by, and what policy says of the request now: as of a request, or of a session to be made.
    ///
    /// # Errors
    /// If policy says no now, the request is not on record, or the table does not answer.
    pub async fn basis(&self, act: AccessAct, row: &Row, read: &Read, now: Timestamp) -> Result<(Decision, Basis), NoBasis> {
        let requester = &row.grant.terms.requester;
        let people = read.approvals.iter().map(|(_, body)| &body.approval.by).chain([requester]);
        let named: BTreeSet<String> = people.flat_map(names).collect();
        let barred = named.into_iter().map(async |name| Ok((self.register.barred(&name, now).await?.is_some()).then_some(name)));
        let barred: BTreeSet<String> =
            try_join_all(barred).await.map_err(|error: RegisterError| error)?.into_iter().flatten().collect();
        let is_barred = |who: &Who| names(who).any(|name| barred.contains(&name));
        let unreviewed = self.register.unreviewed(requester).await?.filter(|other| *other != row.grant.id);
        let (decision, entitlement) =
            read.entitled(act, &self.playbook, now, is_barred(requester)).map_err(NoBasis::NotOnRecord)?;
        let Some(entitlement) = entitlement.filter(|_| decision.verdict != Verdict::NotifyOnly) else {
            return Err(NoBasis::Forbidden(Box::new(decision)));
        };
        let eligible = read.eligible(row, &self.playbook, now, &is_barred);
        let basis = read.basis(eligible, &entitlement, unreviewed);
        let basis = basis.ok_or(NoBasis::NotOnRecord("what was asked for is not what the entitlement allows now"))?;
        Ok((decision, basis))
    }

    /// Whether an incident is about somebody now: about them, or about whom a role's session says it is.
    ///
    /// # Errors
    /// If the table does not answer.
    pub async fn is_barred(&self, who: &Who, now: Timestamp) -> Result<bool, RegisterError> {
        let asked = names(who).map(async |name| Ok(self.register.barred(&name, now).await?.is_some()));
        Ok(try_join_all(asked).await?.into_iter().any(|barred| barred))
    }

    /// Counts one thing: alarms go by it.
    pub fn count(&self, metric: &str) {
        responder::count(self.docket.function().as_str(), metric, 1, calls::now());
    }
}

/// The names by which somebody can be barred. A session that calls itself like somebody is barred with them: that can only count against it.
fn names(who: &Who) -> impl Iterator<Item = String> {
    [Some(who.id()), who.calls_itself()].into_iter().flatten()
}

fn playbook(partition: &str, home: &AccountId) -> Result<AccessPlaybook, PlaybookError> {
    AccessPlaybook::shipped(partition, home)
}

/// What one function of access has to say to another: which grant to look at. It says nothing of what is to be found there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Look {
    /// This grant may need a session, or an end.
    Grant(GrantId),
    /// Show that this ended grant's sessions are refused. Only `mint` can.
    Probe(GrantId),
}

/// What a probe saw.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probed {
    /// When a session of the grant was first refused; none if it was not, for as long as it was looked at.
    pub refused: Option<Timestamp>,
    /// How often it was tried.
    pub tries: u32,
    /// Why it could not be shown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Longer than a probe takes, shorter than whoever waits for it may run.
const PROBE_TAKES: Duration = Duration::from_secs(18);

/// Another function.
#[derive(Debug, Clone)]
pub struct Colleague {
    lambda: Lambda,
    function: String,
}

impl Colleague {
    /// The function with this ARN.
    #[must_use]
    pub fn new(config: &SdkConfig, calls: CallLog, function: String) -> Self {
        // A probe takes its time, and a second one beside it would show nothing more.
        let patient = TimeoutConfig::builder()
            .connect_timeout(Duration::from_secs(2))
            .operation_attempt_timeout(PROBE_TAKES)
            .operation_timeout(PROBE_TAKES)
            .build();
        let config = aws_sdk_lambda::config::Builder::from(config).timeout_config(patient).interceptor(calls).build();
        Self { lambda: Lambda::from_conf(config), function }
    }

    /// Has it look at a grant, in its own time: Lambda queues this, and tries three times.
    ///
    /// # Errors
    /// If Lambda does not take it. `reconcile` comes by within a minute.
    pub async fn wake(&self, grant: &GrantId) -> Result<(), String> {
        let call = self.lambda.invoke().function_name(&self.function).invocation_type(InvocationType::Event);
        let call = call.payload(Blob::new(json!(Look::Grant(grant.clone())).to_string()));
        call.send().await.map(drop).map_err(|error| calls::cause(&error))
    }

    /// Has it show that a grant's sessions are refused, and waits for that.
    ///
    /// # Errors
    /// If it does not say.
    pub async fn probe(&self, grant: &GrantId) -> Result<Probed, String> {
        let call = self.lambda.invoke().function_name(&self.function);
        let answer = call.payload(Blob::new(json!(Look::Probe(grant.clone())).to_string())).send().await;
        let answer = answer.map_err(|error| calls::cause(&error))?;
        if let Some(error) = answer.function_error() {
            return Err(format!("the probe failed ({error})"));
        }
        let said: Value = serde_json::from_slice(answer.payload().map(Blob::as_ref).unwrap_or_default()).unwrap_or_default();
        // Whatever keeps mint from making a probe, it says so.
        let why = said.get("reason").and_then(Value::as_str).unwrap_or("the probe's answer is not understood").to_owned();
        serde_json::from_value(said).map_err(|_| why)
    }
}
