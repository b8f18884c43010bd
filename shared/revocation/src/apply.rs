//! Writes: each idempotent, none without a recorded plan.

use aws_sdk_iam::operation::RequestId as _;
use aws_sdk_iam::types::StatusType;
use calls::trouble;
use evidence_store::Recorded;
use futures_util::future::join_all;
use plan::revoke::{Revocation, Revoke};
use plan::{Did, Done, Trouble};

use crate::Iam;

impl Iam {
    /// Runs a recorded plan, all of it at the same time. What fails is reported and stops nothing.
    pub async fn apply(&self, recorded: &Recorded<Revocation>) -> Vec<Done> {
        let steps = recorded.value().steps.iter().enumerate();
        let run = steps.map(|(step, planned)| async move {
            match self.act(&planned.action).await {
                Ok(request_id) => Done { step, did: Did::Accepted, request_id },
                Err(trouble) => Done { step, did: Did::Failed(trouble), request_id: None },
            }
        });
        join_all(run).await
    }

    async fn act(&self, action: &Revoke) -> Result<Option<String>, Trouble> {
        match action {
            Revoke::AttachDeny { user, policy } => {
                let call = self.client.attach_user_policy().user_name(user.as_str()).policy_arn(policy);
                let answer = call.send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
            Revoke::BoundByDeny { user, policy, .. } => {
                let call = self.client.put_user_permissions_boundary().user_name(user.as_str()).permissions_boundary(policy);
                let answer = call.send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
            Revoke::DisableKey { user, key } => {
                let call = self.client.update_access_key().user_name(user.as_str()).access_key_id(key.as_str());
                let answer = call.status(StatusType::Inactive).send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
            Revoke::WriteDenies { role, policy, denies } => {
                let call = self.client.put_role_policy().role_name(role.as_str()).policy_name(policy);
                let answer = call.policy_document(denies.document()).send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
        }
    }
}
