//! The writes that open: none without a recorded release, which only a durable intent makes. No call here makes a key active.

use aws_sdk_iam::operation::RequestId as _;
use calls::trouble;
use evidence_store::Recorded;
use futures_util::future::join_all;
use plan::release::{Lift, Release};
use plan::{Did, Done, Trouble};

use crate::Iam;

impl Iam {
    /// Runs a recorded release, all of it at the same time. What fails is reported and stops nothing.
    pub async fn lift(&self, recorded: &Recorded<Release>) -> Vec<Done> {
        let steps = recorded.value().steps.iter().enumerate();
        let run = steps.map(|(step, planned)| async move {
            match self.undo(&planned.action).await {
                Ok(request_id) => Done { step, did: Did::Accepted, request_id },
                Err(trouble) => Done { step, did: Did::Failed(trouble), request_id: None },
            }
        });
        join_all(run).await
    }

    async fn undo(&self, lift: &Lift) -> Result<Option<String>, Trouble> {
        match lift {
            Lift::DetachDeny { user, policy } => {
                let call = self.client.detach_user_policy().user_name(user.as_str()).policy_arn(policy);
                let answer = call.send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
            Lift::RestoreBoundary { user, to: Some(to), .. } => {
                let call = self.client.put_user_permissions_boundary().user_name(user.as_str()).permissions_boundary(to);
                let answer = call.send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
            Lift::RestoreBoundary { user, to: None, .. } => {
                let call = self.client.delete_user_permissions_boundary().user_name(user.as_str());
                let answer = call.send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
            Lift::RewriteDenies { role, policy, denies, .. } => {
                let call = self.client.put_role_policy().role_name(role.as_str()).policy_name(policy);
                let answer = call.policy_document(denies.document()).send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
            Lift::DeleteDenies { role, policy, .. } => {
                let call = self.client.delete_role_policy().role_name(role.as_str()).policy_name(policy);
                let answer = call.send().await.map_err(|error| trouble(&error))?;
                Ok(answer.request_id().map(str::to_owned))
            }
        }
    }
}
