//! What the deployment says, read once.

use std::collections::BTreeSet;
use std::time::Duration;

use ids::{AccountId, FunctionName};
use playbook::{Mode, Posture};
use redact::{Config, ConfigError};
use signal::{Door, Signal};
use thiserror::Error;

/// The deployed configuration, from environment variables that the template sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// `CORDON_FUNCTION`.
    pub function: FunctionName,
    /// `CORDON_TABLE`: the table of holds.
    pub table: String,
    /// `CORDON_EVIDENCE_BUCKET`.
    pub bucket: String,
    /// `CORDON_SIGNING_KEY`: the ARN of the function's own KMS key.
    pub signing_key: String,
    /// `CORDON_ACT_ACCOUNTS`: accounts in which to act although the mode is to observe.
    pub act_accounts: BTreeSet<AccountId>,
    /// `CORDON_MODE`: `observe` until someone says `act`.
    pub mode: Mode,
    /// `CORDON_STOP`: nothing is contained while it is `true`. What is contained stays so.
    pub stop: bool,
    /// `CORDON_DRILL`: whether drills are admitted and samples acted on.
    pub drill: bool,
    /// `CORDON_ADMINISTRATOR`: the account that may deliver other accounts' findings.
    pub administrator: Option<AccountId>,
    /// `CORDON_PROTECTED`: instance ids and instance-profile ARNs that are never contained.
    pub protected: BTreeSet<String>,
    /// `CORDON_REDACT`: what is taken out of records, answers and log lines besides credentials.
    pub redact: Config,
    /// `CORDON_EVIDENCE_DEADLINE_MS`: how long containment waits for its intent to be durable.
    pub evidence_deadline: Duration,
}

/// A variable that is missing or makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SettingsError {
    /// It is not set.
    #[error("`{0}` is not set: the template sets it")]
    Missing(&'static str),
    /// It is not set, and Lambda sets it.
    #[error("`{0}` is not set: Lambda sets it, and so must whoever runs the function elsewhere")]
    NoLambda(&'static str),
    /// It is set to something else than it may be.
    #[error("`{name}` must be {expected}")]
    Wrong {
        /// Which one.
        name: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// What is to be taken out cannot be understood.
    #[error("`CORDON_REDACT` makes no sense: {0}")]
    Redact(#[from] ConfigError),
}

/// A function's environment variables. What is set to nothing is not set: so a template says that something is not given.
#[derive(Debug, Clone)]
pub struct Variables<G>(G);

impl<G: Fn(&'static str) -> Option<String>> Variables<G> {
    /// The variables that `get` knows, which is `std::env::var` in `main`.
    #[must_use]
    pub fn new(get: G) -> Self {
        Self(get)
    }

    /// One that need not be set, without space around it.
    pub fn optional(&self, name: &'static str) -> Option<String> {
        (self.0)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// One that must be set.
    ///
    /// # Errors
    /// If it is not.
    pub fn required(&self, name: &'static str) -> Result<String, SettingsError> {
        self.optional(name).ok_or(SettingsError::Missing(name))
    }

    /// One with items between commas.
    pub fn list(&self, name: &'static str) -> Vec<String> {
        let text = self.optional(name).unwrap_or_default();
        text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect()
    }
}

impl Settings {
    /// Reads the settings with `get`, which is `std::env::var` in `main`.
    ///
    /// # Errors
    /// If one is missing or makes no sense. A function that guesses its configuration must not start.
    pub fn read(get: impl Fn(&'static str) -> Option<String>) -> Result<Self, SettingsError> {
        let variables = Variables::new(get);
        let (optional, required) = (|name| variables.optional(name), |name| variables.required(name));
        let switch = |name| match optional(name).as_deref() {
            None | Some("false") => Ok(false),
            Some("true") => Ok(true),
            Some(_) => Err(SettingsError::Wrong { name, expected: "`true` or `false`" }),
        };
        let account = |name, text: &str| {
            text.parse::<AccountId>().map_err(|_| SettingsError::Wrong { name, expected: "12-digit account ids" })
        };
        let (name, expected) = ("CORDON_EVIDENCE_DEADLINE_MS", "a number of milliseconds from 1 to 20000");
        let deadline = match optional(name) {
            None => 1500,
            Some(text) => text.parse().ok().filter(|n| (1..=20_000).contains(n)).ok_or(SettingsError::Wrong { name, expected })?,
        };
        Ok(Self {
            function: required("CORDON_FUNCTION")?
                .parse()
                .map_err(|_| SettingsError::Wrong { name: "CORDON_FUNCTION", expected: "a function's name" })?,
            table: required("CORDON_TABLE")?,
            bucket: required("CORDON_EVIDENCE_BUCKET")?,
            signing_key: required("CORDON_SIGNING_KEY")?,
            act_accounts: variables
                .list("CORDON_ACT_ACCOUNTS")
                .iter()
                .map(|text| account("CORDON_ACT_ACCOUNTS", text))
                .collect::<Result<_, _>>()?,
            mode: match optional("CORDON_MODE").as_deref() {
                None | Some("observe") => Mode::Observe,
                Some("act") => Mode::Act,
                Some(_) => return Err(SettingsError::Wrong { name: "CORDON_MODE", expected: "`observe` or `act`" }),
            },
            stop: switch("CORDON_STOP")?,
            drill: switch("CORDON_DRILL")?,
            administrator: optional("CORDON_ADMINISTRATOR").map(|text| account("CORDON_ADMINISTRATOR", &text)).transpose()?,
            protected: variables.list("CORDON_PROTECTED").into_iter().collect(),
            redact: optional("CORDON_REDACT").unwrap_or_default().parse()?,
            evidence_deadline: Duration::from_millis(deadline),
        })
    }

    /// Who may knock.
    #[must_use]
    pub fn door(&self) -> Door {
        Door { administrator: self.administrator.clone(), drill: self.drill }
    }

    /// The posture towards an account.
    #[must_use]
    pub fn posture(&self, account: &AccountId) -> Posture {
        let mode = if self.act_accounts.contains(account) { Mode::Act } else { self.mode };
        Posture { mode, stop: self.stop, drill: self.drill }
    }

    /// Whether the signal names something that is never contained.
    #[must_use]
    pub fn protects(&self, signal: &Signal) -> bool {
        let profile = signal.instance.profile_arn.as_ref();
        self.protected.contains(signal.instance.id.as_str()) || profile.is_some_and(|arn| self.protected.contains(arn))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(change: &[(&'static str, &str)]) -> Result<Settings, SettingsError> {
        Settings::read(|name| {
            if let Some((_, value)) = change.iter().find(|(other, _)| *other == name) {
                return Some((*value).to_owned());
            }
            match name {
                "CORDON_FUNCTION" => Some("quarantine".to_owned()),
                "CORDON_TABLE" | "CORDON_EVIDENCE_BUCKET" | "CORDON_SIGNING_KEY" => Some("x".to_owned()),
                _ => None,
            }
        })
    }

    #[test]
    fn what_nobody_set_is_the_careful_choice() {
        let settings = read(&[]).unwrap();
        assert_eq!((settings.mode, settings.stop, settings.drill), (Mode::Observe, false, false));
    }

    #[test]
    fn a_typo_stops_the_start_instead_of_meaning_something() {
        for (name, value) in [
            ("CORDON_MODE", "Act"),
            ("CORDON_STOP", "yes"),
            ("CORDON_DRILL", "1"),
            ("CORDON_ACT_ACCOUNTS", "123456789012,12"),
            ("CORDON_EVIDENCE_DEADLINE_MS", "0"),
            ("CORDON_TABLE", " "),
            ("CORDON_REDACT", "emails"),
            ("CORDON_REDACT", "case = ("),
        ] {
            assert!(read(&[(name, value)]).is_err(), "{name}={value}");
        }
    }

    #[test]
    fn one_account_can_be_set_to_act_alone() {
        let settings = read(&[("CORDON_ACT_ACCOUNTS", "123456789012, 210987654321")]).unwrap();
        assert_eq!(settings.posture(&"210987654321".parse().unwrap()).mode, Mode::Act);
        assert_eq!(settings.posture(&"999988887777".parse().unwrap()).mode, Mode::Observe);
    }
}
