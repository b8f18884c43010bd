//! Reads.

use std::collections::BTreeSet;

use aws_sdk_iam::types::StatusType;
use calls::{incomplete, trouble};
use ids::{AccessKeyId, PrincipalId, RoleName, Timestamp, UserName};
use percent_encoding::percent_decode_str;
use plan::revoke::{Denies, Deny, Key, LastUsed, Principal, Role, User, denies_everything, trusted_services};
use plan::{Trouble, TroubleKind};

use crate::{Holder, Iam};

impl Iam {
    /// Whose long-lived key it is.
    ///
    /// # Errors
    /// If IAM does not answer, or not in full.
    pub async fn holder(&self, key: &AccessKeyId) -> Result<Holder, Trouble> {
        let answer = self.client.get_access_key_last_used().access_key_id(key.as_str()).send().await;
        match answer.map_err(|error| trouble(&error)) {
            // A name that is none of ours to act on is a person's matter, as root is.
            Ok(answer) => Ok(answer.user_name().and_then(|name| name.parse().ok()).map_or(Holder::Nobody, Holder::User)),
            // For a key of another account IAM says that access is denied, not that there is nothing: that is an error here.
            Err(Trouble { kind: TroubleKind::NotFound, .. }) => Ok(Holder::Unknown),
            Err(other) => Err(other),
        }
    }

    /// Whether the policy that denies everything still says so, and nothing else.
    pub async fn deny(&self, policy: &str) -> Deny {
        let document = async {
            let answer = self.client.get_policy().policy_arn(policy).send().await.ok()?;
            let version = answer.policy()?.default_version_id()?.to_owned();
            let answer = self.client.get_policy_version().policy_arn(policy).version_id(version).send().await.ok()?;
            answer.policy_version()?.document().map(decoded)
        };
        match document.await {
            Some(document) if denies_everything(&document) => Deny::Holds(policy.to_owned()),
            Some(_) => Deny::Changed,
            None => Deny::Unread,
        }
    }

    /// The user, with its keys and policies; none if IAM does not know it.
    ///
    /// # Errors
    /// If IAM does not answer, or not in full.
    pub async fn user(&self, name: &UserName) -> Result<Option<Principal>, Trouble> {
        let user = async { self.client.get_user().user_name(name.as_str()).send().await.map_err(|error| trouble(&error)) };
        let attached = async {
            let mut pages = self.client.list_attached_user_policies().user_name(name.as_str()).into_paginator().items().send();
            let mut found = BTreeSet::new();
            while let Some(policy) = pages.next().await {
                let policy = policy.map_err(|error| trouble(&error))?;
                found.insert(policy.policy_arn().ok_or_else(|| incomplete("PolicyArn"))?.to_owned());
            }
            Ok(found)
        };
        let keys = async {
            let mut pages = self.client.list_access_keys().user_name(name.as_str()).into_paginator().items().send();
            let mut found = Vec::new();
            while let Some(key) = pages.next().await {
                let key = key.map_err(|error| trouble(&error))?;
                found.push(Key {
                    id: key.access_key_id().and_then(|id| id.parse().ok()).ok_or_else(|| incomplete("AccessKeyId"))?,
                    // Whatever else IAM may say one day: unless it is inactive, it may work.
                    active: key.status() != Some(&StatusType::Inactive),
                    created: key.create_date().and_then(|date| date.to_millis().ok()).map(Timestamp::saturating),
                });
            }
            Ok(found)
        };
        let (user, attached, keys) = match tokio::try_join!(user, attached, keys) {
            Ok(seen) => seen,
            Err(Trouble { kind: TroubleKind::NotFound, .. }) => return Ok(None),
            Err(other) => return Err(other),
        };
        let user = user.user().ok_or_else(|| incomplete("User"))?;
        let boundary = user.permissions_boundary().and_then(|boundary| boundary.permissions_boundary_arn()).map(str::to_owned);
        Ok(Some(Principal::User(User { name: name.clone(), arn: user.arn().to_owned(), attached, boundary, keys })))
    }

    /// A role's ARN, path included, and its unique id; none if IAM does not know it.
    ///
    /// # Errors
    /// If IAM does not answer, or not in full.
    pub async fn shown(&self, name: &RoleName) -> Result<Option<(String, PrincipalId)>, Trouble> {
        let answer = match self.client.get_role().role_name(name.as_str()).send().await.map_err(|error| trouble(&error)) {
            Ok(answer) => answer,
            Err(Trouble { kind: TroubleKind::NotFound, .. }) => return Ok(None),
            Err(other) => return Err(other),
        };
        let role = answer.role().ok_or_else(|| incomplete("Role"))?;
        Ok(Some((role.arn().to_owned(), role.role_id().parse().map_err(|_| incomplete("RoleId"))?)))
    }

    /// The role, with what Cordon denies on it; none if IAM does not know it.
    ///
    /// # Errors
    /// If IAM does not answer, or not in full.
    pub async fn role(&self, name: &RoleName) -> Result<Option<Principal>, Trouble> {
        let role = async { self.client.get_role().role_name(name.as_str()).send().await.map_err(|error| trouble(&error)) };
        let document = async {
            let call = self.client.get_role_policy().role_name(name.as_str()).policy_name(&self.denies_policy);
            match call.send().await.map_err(|error| trouble(&error)) {
                Ok(answer) => Ok(Some(decoded(answer.policy_document()))),
                Err(Trouble { kind: TroubleKind::NotFound, .. }) => Ok(None),
                Err(other) => Err(other),
            }
        };
        let (role, document) = match tokio::try_join!(role, document) {
            Ok(seen) => seen,
            Err(Trouble { kind: TroubleKind::NotFound, .. }) => return Ok(None),
            Err(other) => return Err(other),
        };
        let role = role.role().ok_or_else(|| incomplete("Role"))?;
        let (denies, foreign) = match document {
            None => (Denies::default(), None),
            Some(document) => match Denies::parse(&document) {
                Ok(denies) => (denies, None),
                Err(_) => (Denies::default(), Some(document)),
            },
        };
        let id = role.role_id().parse().map_err(|_| incomplete("RoleId"))?;
        let used = role.role_last_used().and_then(|used| {
            let at = used.last_used_date().and_then(|date| date.to_millis().ok()).map(Timestamp::saturating)?;
            Some(LastUsed { at, region: used.region().and_then(|region| region.parse().ok()) })
        });
        Ok(Some(Principal::Role(Role {
            name: name.clone(),
            id,
            arn: role.arn().to_owned(),
            denies,
            foreign,
            services: role.assume_role_policy_document().map(|document| trusted_services(&decoded(document))).unwrap_or_default(),
            longest_session: role.max_session_duration().and_then(|seconds| u32::try_from(seconds).ok()),
            last_used: used,
        })))
    }
}

/// IAM sends documents percent-encoded (IAM API Reference, `GetRolePolicy`).
fn decoded(document: &str) -> String {
    percent_decode_str(document).decode_utf8_lossy().into_owned()
}
