//! What may be granted, as deployed configuration has it: which role, narrowed how, to whom, and who lets it be.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use grant::{LONGEST_SESSION, SHORTEST_SESSION};
use ids::{AccountId, EntitlementName, RoleArn, Sha256};
use serde::de::{Error as _, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::{AccessAct, session};
use crate::PlaybookError;

/// How an entitlement comes to be granted. How many have to approve is for the policies to say.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OfferClass {
    /// People approve it first.
    Approved,
    /// At once and loudly, and reviewed afterwards.
    BreakGlass,
}

impl OfferClass {
    /// The class, as policies spell it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Approved => "approved",
            Self::BreakGlass => "break_glass",
        }
    }
}

/// One entitlement: everything about it but what the policies say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// What it is called.
    pub name: EntitlementName,
    /// The role that is assumed.
    pub role: RoleArn,
    /// The role's account.
    pub account: AccountId,
    /// How it comes to be granted.
    pub class: OfferClass,
    /// Seconds that each session lasts at most.
    pub session_seconds: u32,
    /// The session policy as it goes to STS: canonical JSON on one line, with what every session policy says.
    pub session_policy: String,
    /// Its digest.
    pub session_policy_digest: Sha256,
    /// Who may be granted it: permission sets, `group/…`, `role/ACCOUNT/NAME`, `user/ACCOUNT/NAME`.
    pub requesters: BTreeSet<String>,
    /// Who may approve it and review it: permission sets and `group/…`.
    pub approvers: BTreeSet<String>,
    /// It is granted for a ticket only.
    pub ticket: bool,
    /// Its sessions may assume other roles.
    pub chaining: bool,
    /// The network that its approvers approve from, if only from there: `203.0.113.0/24`.
    pub approve_from: Option<String>,
}

impl Offer {
    /// What somebody does who wants it.
    #[must_use]
    pub fn asked_by(&self) -> AccessAct {
        match self.class {
            OfferClass::Approved => AccessAct::Request,
            OfferClass::BreakGlass => AccessAct::BreakGlass,
        }
    }
}

/// One entry of the file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    role: String,
    #[serde(default)]
    account: Option<AccountId>,
    class: OfferClass,
    session_seconds: u32,
    session_policy: String,
    requesters: Vec<String>,
    approvers: Vec<String>,
    ticket: bool,
    #[serde(default)]
    chaining: bool,
    #[serde(default)]
    approve_from: Option<String>,
}

/// The file: a map in which nothing stands twice. Serde's own maps let the last one win.
struct File(BTreeMap<EntitlementName, Written>);

impl<'de> Deserialize<'de> for File {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = File;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of entitlements")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<File, A::Error> {
                let mut entries = BTreeMap::new();
                while let Some((name, written)) = map.next_entry::<EntitlementName, Written>()? {
                    if entries.contains_key(&name) {
                        return Err(A::Error::custom(format!("`{name}` stands there twice")));
                    }
                    entries.insert(name, written);
                }
                Ok(File(entries))
            }
        }
        deserializer.deserialize_map(Entries)
    }
}

/// Reads the entitlements, with the session policies that they name.
pub(super) fn read(
    text: &str,
    sessions: &BTreeMap<&str, &str>,
    partition: &str,
    home: &AccountId,
) -> Result<BTreeMap<EntitlementName, Offer>, PlaybookError> {
    let File(entries) = serde_json::from_str(text).map_err(|error| PlaybookError::Entitlements { what: error.to_string() })?;
    let used: BTreeSet<&str> = entries.values().map(|written| written.session_policy.as_str()).collect();
    if let Some(unused) = sessions.keys().find(|name| !used.contains(**name)) {
        let what = format!("no entitlement uses the session policy `{unused}`: remove it, or name it in one");
        return Err(PlaybookError::Entitlements { what });
    }
    let offer = |(name, written): (EntitlementName, Written)| match written.offer(&name, sessions, partition, home) {
        Ok(offer) => Ok((name, offer)),
        Err(what) => Err(PlaybookError::Entitlement { name: name.to_string(), what }),
    };
    entries.into_iter().map(offer).collect()
}

impl Written {
    fn offer(
        self,
        name: &EntitlementName,
        sessions: &BTreeMap<&str, &str>,
        partition: &str,
        home: &AccountId,
    ) -> Result<Offer, String> {
        let account = self.account.unwrap_or_else(|| home.clone());
        let role: RoleArn = format!("arn:{partition}:iam::{account}:role/{}", self.role)
            .parse()
            .map_err(|_| format!("`{}` is no role: write its path and name, such as cordon-jit/prod-read", self.role))?;
        if !(SHORTEST_SESSION..=LONGEST_SESSION).contains(&self.session_seconds) {
            return Err(format!("its sessions would last {} seconds: STS takes 900 to 3600 of a function", self.session_seconds));
        }
        let policy = sessions.get(self.session_policy.as_str());
        let policy = policy.ok_or_else(|| format!("there is no session policy `{}`", self.session_policy))?;
        let policy = session::read(policy, partition, &account, self.chaining)
            .map_err(|what| format!("session policy `{}`: {what}", self.session_policy))?;
        if let Some(network) = self.approve_from.as_deref().filter(|network| !is_network(network)) {
            return Err(format!("`{network}` is no network such as 203.0.113.0/24"));
        }
        Ok(Offer {
            name: name.clone(),
            role,
            account,
            class: self.class,
            session_seconds: self.session_seconds,
            session_policy: policy.text,
            session_policy_digest: policy.digest,
            requesters: names("requesters", &self.requesters, home, true)?,
            approvers: names("approvers", &self.approvers, home, false)?,
            ticket: self.ticket,
            chaining: self.chaining,
            approve_from: self.approve_from,
        })
    }
}

fn is_network(text: &str) -> bool {
    let Some((address, bits)) = text.split_once('/') else { return false };
    let most = match address.parse() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return false,
    };
    bits.parse::<u8>().is_ok_and(|bits| bits <= most)
}

/// A list of who: never empty, for nobody could then ask, or approve what somebody has asked for.
fn names(field: &str, written: &[String], home: &AccountId, roles: bool) -> Result<BTreeSet<String>, String> {
    if written.is_empty() {
        return Err(format!("`{field}` is empty: then nobody could"));
    }
    written.iter().map(|name| one_name(field, &name.replace("${home}", home.as_str()), roles)).collect()
}

fn one_name(field: &str, name: &str, roles: bool) -> Result<String, String> {
    let plain = |part: &str| {
        (1..=64).contains(&part.len())
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'=' | b',' | b'.' | b'@' | b'_' | b'-'))
    };
    // Identity providers call their groups as they like: `/staff/oncall`.
    if name
        .strip_prefix("group/")
        .is_some_and(|group| (1..=255).contains(&group.len()) && group.bytes().all(|b| b.is_ascii_graphic()))
    {
        return Ok(name.to_owned());
    }
    match name.split('/').collect::<Vec<_>>().as_slice() {
        [set] if plain(set) => Ok(name.to_owned()),
        ["role" | "user", account, role] if account.parse::<AccountId>().is_ok() && plain(role) => {
            // As people and roles are compared: IAM has no two names that differ in case only.
            if roles { Ok(name.to_ascii_lowercase()) } else { Err(format!("`{name}` in `{field}`: a role never approves")) }
        }
        _ => Err(format!("`{name}` in `{field}` is no permission set, group/NAME or role/ACCOUNT/NAME")),
    }
}
