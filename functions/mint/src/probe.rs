//! That a grant's end is effective, shown by a session that can do nothing else.

use std::time::Duration;

use evidence_store::Worm;
use grant::{SHORTEST_SESSION, State};
use ids::{GrantId, SourceIdentity};
use plan::Trouble;
use register::Probed;
use responder::Transient;

use crate::sessions::Wanted;
use crate::{Answer, Environment, row, unread};

/// All that a probe may do: one call that changes nothing and says nothing that matters. Whatever the role may do beside it is cut off.
const POLICY: &str =
    r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"iam:ListAccountAliases","Resource":"*"}]}"#;
/// A session of no grant: it has to be let through, or else a refusal would show nothing.
const NOBODY: &str = "cordon-probe";
/// IAM takes some seconds until everyone has heard of a change.
const PATIENCE: Duration = Duration::from_secs(12);
const BETWEEN: Duration = Duration::from_millis(200);

/// Makes a session with the tag and the source identity of an ended grant, and tries until it is refused.
///
/// # Errors
/// If a store does not answer.
pub(crate) async fn probe<S: Worm>(grant: &GrantId, environment: &Environment<S>) -> Result<Answer, Transient> {
    let Some(current) = row(grant, environment).await? else {
        return Ok(Answer::refused(Some(grant), "there is no such grant"));
    };
    let read = match environment.office.read(&current).await {
        Ok(read) => read,
        Err(error) => return unread(grant, error),
    };
    // Only of what has ended: a probe of a live grant would be a session of it that nobody approved.
    if read.ends.is_empty() && !matches!(current.grant.state, State::Ended { .. }) {
        return Ok(Answer::refused(Some(grant), "it has not ended: there is nothing to show"));
    }
    let role = &current.grant.terms.role;
    if role.account().as_ref() != Some(&environment.home) {
        return Ok(Answer::refused(Some(grant), "the role is in another account"));
    }
    let source = current.grant.source();
    let probed = match look(&current.grant.id, &source, role, environment).await {
        Ok(probed) => probed,
        Err(why) => Probed { refused: None, tries: 0, why: Some(why) },
    };
    Ok(Answer::probed(grant, probed))
}

async fn look<S: Worm>(
    grant: &GrantId,
    source: &SourceIdentity,
    role: &ids::RoleArn,
    environment: &Environment<S>,
) -> Result<Probed, String> {
    let sessions = &environment.sessions;
    let nobody: SourceIdentity = NOBODY.parse().map_err(|_| "the probe has no name".to_owned())?;
    let wanted = |source, tag| Wanted { role, source, tag, policy: POLICY, seconds: SHORTEST_SESSION };
    let (ended, control) = (wanted(source, grant.as_str()), wanted(&nobody, NOBODY));
    let made = tokio::try_join!(sessions.make(&ended), sessions.make(&control));
    let (ended, control) = made.map_err(|trouble| format!("no probe could be made: {trouble}"))?;
    match sessions.may_call(&control).await {
        Ok(true) => {}
        Ok(false) => return Err(format!("{role} does not let anybody call iam:ListAccountAliases: a refusal shows nothing")),
        Err(trouble) => return Err(format!("the control could not be made: {trouble}")),
    }
    let started = calls::now();
    let mut tries = 0;
    let mut last: Option<Trouble> = None;
    while calls::now() < started.plus(PATIENCE) {
        tries += 1;
        match sessions.may_call(&ended).await {
            Ok(false) => return Ok(Probed { refused: Some(calls::now()), tries, why: None }),
            Ok(true) => last = None,
            Err(trouble) => last = Some(trouble),
        }
        tokio::time::sleep(BETWEEN).await;
    }
    let why =
        last.map_or_else(|| "a session of it is still let through".to_owned(), |trouble| format!("the probe failed: {trouble}"));
    Ok(Probed { refused: None, tries, why: Some(why) })
}
