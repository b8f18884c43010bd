//! Sealed groups, made ahead of any incident.

use std::collections::BTreeSet;

use docket::Cause;
use evidence::{Kind, Subject};
use evidence_store::Worm;
use ids::{IncidentId, RuleName, Sha256, SignalId, VpcId};
use plan::Case;
use responder::{Attention, Invocation, Transient};
use signal::Strip;

use crate::answer::{Answer, Said};
use crate::environment::Environment;
use crate::record::{PreparedBody, strip_remarks};

/// Makes and empties the sealed groups of `vpcs`, or of all, by the same story as a containment.
pub(crate) async fn prepare<S: Worm>(
    vpcs: BTreeSet<VpcId>,
    invocation: &Invocation,
    environment: &Environment<S>,
) -> Result<Answer, Transient> {
    let mark = environment.calls.mark();
    let Some((account, region)) = invocation.home.clone() else {
        return Ok(Answer::new(
            Said::Refused,
            Attention::None,
            "Lambda did not say in which account and Region this function runs",
        ));
    };
    let vpcs = if vpcs.is_empty() { environment.ec2.vpcs().await.map_err(Transient::of)? } else { vpcs };
    let (groups, pins, ()) = tokio::join!(
        environment.ec2.sealed_groups(&vpcs),
        environment.holds.pins(&account, &region, &vpcs),
        environment.docket.vouch()
    );
    let (groups, pins) = (groups.map_err(Transient::of)?, pins.unwrap_or_default());

    // A preparation is asked for by hand: each request is a cause of its own.
    let request = Sha256::of(invocation.id.as_bytes());
    let (incident, signal) =
        (IncidentId::derive(&format!("ec2:region:{account}:{region}"), "prepare"), SignalId::of_bytes(&request));
    let rule: RuleName = "prepared-by-hand".parse().map_err(Transient::of)?;
    let mut cause = Cause::new(
        environment.docket.function(),
        calls::now(),
        Some(incident.clone()),
        signal.clone(),
        vec![Subject::new("request", request)],
    );
    cause.rule = Some(rule.clone());
    let case = Case {
        incident,
        signal,
        account: account.clone(),
        rule,
        playbook: environment.playbook.digest(),
        intent: cause.key.to_string(),
        now: calls::now(),
    };
    let mut plan = plan::prepare(case, &vpcs, &groups, &pins);
    strip_remarks(environment.docket.redactor(), &mut plan);
    let text = plan.to_string();
    let mut answer = Answer::new(Said::Prepared, Attention::None, format!("{} VPCs have a sealed group without rules", vpcs.len()));
    answer.plan = Some(text);
    let (groups, steps) = if plan.steps.is_empty() {
        (groups, Vec::new())
    } else {
        let mut recorder = environment.docket.recorder().await;
        let draft = cause.draft(Kind::Intent, 1, environment.playbook.digest(), plan);
        let recorded = recorder.intent(draft).await.map_err(Transient::of)?;
        let steps = environment.ec2.apply(&recorded).await;
        let groups = environment.ec2.sealed_groups(&vpcs).await.map_err(Transient::of)?;
        let (ready, not_ready) =
            vpcs.iter().cloned().partition(|vpc| groups.iter().any(|g| g.vpc == *vpc && g.tagged && g.rules == 0));
        let calls = environment.calls.since(mark);
        // Whoever makes a group names it.
        let mut named = groups.clone();
        let mut strip = Strip::new(environment.docket.redactor());
        for group in &mut named {
            strip.text("groups", &mut group.name);
        }
        let body = PreparedBody { ready, not_ready, groups: named, steps: steps.clone(), calls, redacted: strip.done() };
        let said =
            recorder.outcome(cause.outcome(recorded.link(), environment.playbook.digest(), body)).await.map_err(Transient::of)?;
        answer.records = vec![recorded.link().key.to_string(), said.link().key.to_string()];
        (groups, steps)
    };
    let mut missing = Vec::new();
    for vpc in &vpcs {
        let ours = groups.iter().filter(|group| group.vpc == *vpc && group.tagged && group.owner == account && group.rules == 0);
        match ours.min_by_key(|group| (Some(&group.id) != pins.get(vpc), &group.id)) {
            // The groups are there, pinned or not: without a pin the plans choose alike all the same.
            Some(group) => {
                if let Err(error) = environment.holds.pin(&account, &region, vpc, &group.id, pins.get(vpc)).await {
                    answer.degraded.push(error.to_string());
                }
            }
            None => missing.push(vpc.to_string()),
        }
    }
    if !missing.is_empty() {
        let trouble =
            steps.iter().find_map(|done| if let plan::Did::Failed(trouble) = &done.did { Some(trouble.to_string()) } else { None });
        answer.outcome = Said::NeedsHuman;
        answer.reason =
            format!("no sealed group in {}: {}", missing.join(", "), trouble.unwrap_or_else(|| "no step failed".to_owned()));
    }
    Ok(answer)
}
