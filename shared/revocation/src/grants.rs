//! Ended grants on the roles that are granted: the second and last document that is written, from a type that can only deny.

use aws_sdk_iam::operation::RequestId as _;
use calls::trouble;
use evidence_store::Recorded;
use futures_util::future::try_join_all;
use grant::Closing;
use ids::{Region, RoleName};
use percent_encoding::percent_decode_str;
use plan::{Did, Done, Trouble, TroubleKind};

use crate::Iam;

/// What the document is called on each role, by the Region of who writes it: two deployments do not overwrite each other's.
#[must_use]
pub fn ended_policy(region: &Region) -> String {
    format!("cordon-ended-{region}")
}

/// A role's inline policies, as far as they matter for the denies of ended grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inline {
    /// The document of ended grants; none if there is none.
    pub ended: Option<String>,
    /// Characters of all others, white space not counted, as IAM counts them.
    pub others: usize,
}

impl Iam {
    /// A role's inline policies; none if IAM does not know the role. `policy` is the name of the one of ended grants.
    ///
    /// # Errors
    /// If IAM does not answer, or not in full.
    pub async fn inline(&self, role: &RoleName, policy: &str) -> Result<Option<Inline>, Trouble> {
        let mut pages = self.client.list_role_policies().role_name(role.as_str()).into_paginator().items().send();
        let mut names = Vec::new();
        while let Some(name) = pages.next().await {
            match name.map_err(|error| trouble(&error)) {
                Ok(name) => names.push(name),
                Err(Trouble { kind: TroubleKind::NotFound, .. }) => return Ok(None),
                Err(other) => return Err(other),
            }
        }
        let read = names.iter().map(async |name| {
            let call = self.client.get_role_policy().role_name(role.as_str()).policy_name(name);
            match call.send().await.map_err(|error| trouble(&error)) {
                Ok(answer) => Ok(Some((name, percent_decode_str(answer.policy_document()).decode_utf8_lossy().into_owned()))),
                // Deleted since it was listed.
                Err(Trouble { kind: TroubleKind::NotFound, .. }) => Ok(None),
                Err(other) => Err(other),
            }
        });
        let mut inline = Inline { ended: None, others: 0 };
        for (name, document) in try_join_all(read).await?.into_iter().flatten() {
            if name == policy {
                inline.ended = Some(document);
            } else {
                inline.others += document.chars().filter(|c| !c.is_whitespace()).count();
            }
        }
        Ok(Some(inline))
    }

    /// Writes what a recorded plan denies, or deletes the document if nothing is to be denied any more.
    pub async fn close(&self, recorded: &Recorded<Closing>) -> Done {
        let closing = recorded.value();
        let run = async {
            let role = closing.role.name().ok_or_else(|| calls::incomplete("RoleName"))?;
            match closing.denies.document() {
                Some(document) => {
                    let call = self.client.put_role_policy().role_name(role.as_str()).policy_name(&closing.policy);
                    let answer = call.policy_document(document).send().await.map_err(|error| trouble(&error))?;
                    Ok(answer.request_id().map(str::to_owned))
                }
                None => {
                    let call = self.client.delete_role_policy().role_name(role.as_str()).policy_name(&closing.policy);
                    match call.send().await.map_err(|error| trouble(&error)) {
                        Ok(answer) => Ok(answer.request_id().map(str::to_owned)),
                        Err(Trouble { kind: TroubleKind::NotFound, .. }) => Ok(None),
                        Err(other) => Err(other),
                    }
                }
            }
        };
        match run.await {
            Ok(request_id) => Done { step: 0, did: Did::Accepted, request_id },
            Err(trouble) => Done { step: 0, did: Did::Failed(trouble), request_id: None },
        }
    }

    /// One harmless call: does IAM still let this session make it? It is what every session policy of a grant allows.
    ///
    /// # Errors
    /// `Denied` if it does not; anything else says nothing about that.
    pub async fn try_harmless(&self) -> Result<(), Trouble> {
        self.client.list_account_aliases().max_items(1).send().await.map(drop).map_err(|error| trouble(&error))
    }
}
