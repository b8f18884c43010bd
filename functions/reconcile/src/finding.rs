//! A finding about somebody who has access: it ends, and they get none for a while.

use std::time::Duration;

use evidence_store::Worm;
use ids::{GrantId, SourceIdentity};
use people::{Caller, Session, Shown, Who};
use register::{Barred, Row};
use responder::Transient;
use signal::{Credential, Leak, Trust};

use crate::{Answer, Environment, tend, unanswered};

/// Nobody is granted anything for so long after an incident about them. Whoever clears it sooner takes the row out of the table.
const BARRED: Duration = Duration::from_secs(24 * 3600);

/// Whom a leak is about, as requesters are named.
#[derive(Debug, Clone, PartialEq, Eq)]
enum About {
    /// One grant: it is a session of it.
    Grant(GrantId),
    /// A person or a user, whatever they have.
    Somebody(String),
    /// A role's sessions of one name. A name that anybody may choose bars nobody.
    Session(String, String),
}

/// Ends the grants of those whom a finding is about. Gives back their rows, for their roles.
pub(crate) async fn read<S: Worm>(event: &[u8], answer: &mut Answer, environment: &Environment<S>) -> Result<Vec<Row>, Transient> {
    let leaks = match signal::parse_leaks(event, &environment.settings.door()) {
        Ok(leaks) => leaks,
        // The same finding goes to `revoke`, which records what it does not understand.
        Err(refused) => {
            answer.say(environment.office.docket.redactor().text(&refused.to_string()).0);
            return Ok(Vec::new());
        }
    };
    let mut rows = Vec::new();
    for leak in &leaks {
        if let Some(about) = about(leak, environment).await? {
            rows.extend(end(leak, &about, answer, environment).await?);
        }
    }
    Ok(rows)
}

async fn end<S: Worm>(
    leak: &Leak,
    about: &About,
    answer: &mut Answer,
    environment: &Environment<S>,
) -> Result<Vec<Row>, Transient> {
    let (register, settings) = (&environment.office.register, &environment.settings);
    let posture = settings.posture(&leak.account);
    if leak.trust == Trust::Unsigned || leak.closed || (leak.is_exercise() && !settings.drill) {
        answer.say(format!("{} is not enough to end anybody's access by itself", leak.incident));
        return Ok(Vec::new());
    }
    if posture.stop || posture.mode == playbook::Mode::Observe {
        answer.say(format!("{} would end access: nothing is changed while Cordon observes or is stopped", leak.incident));
        return Ok(Vec::new());
    }
    let now = calls::now();
    if let About::Somebody(who) = about {
        let barred = Barred { incident: leak.incident.clone(), until: now.plus(BARRED) };
        register.bar(who, &barred).await.map_err(unanswered)?;
    }
    let theirs = |row: &Row| match about {
        About::Grant(grant) => row.grant.id == *grant,
        About::Somebody(who) => row.grant.terms.requester.id().eq_ignore_ascii_case(who),
        About::Session(role, session) => {
            let requester = &row.grant.terms.requester;
            requester.id() == *role && requester.calls_itself() == Some(format!("person/{session}"))
        }
    };
    let mut rows = Vec::new();
    let how = grant::Ending::Finding { incident: leak.incident.clone() };
    for row in register.live().await.map_err(unanswered)?.into_iter().filter(theirs) {
        // The index may be behind. What fails for one keeps nothing of the others waiting.
        let ended = async {
            let Some(row) = register.look(&row.grant.id).await.map_err(unanswered)? else { return Ok(None) };
            if row.grant.state.is_final() {
                return Ok(Some(row));
            }
            let read = tend::known(&row, environment).await;
            tend::end(&row, &read, &how, answer, environment).await
        };
        match ended.await {
            Ok(row) => rows.extend(row),
            Err(Transient(cause)) => answer.again = Some(cause),
        }
    }
    Ok(rows)
}

/// Whom a leak is about. Only a role that IAM shows to be Identity Center's says who somebody is.
async fn about<S: Worm>(leak: &Leak, environment: &Environment<S>) -> Result<Option<About>, Transient> {
    let account = &leak.account;
    Ok(match &leak.credential {
        Credential::RoleSession { role, role_id, session, .. } => {
            let source: Option<SourceIdentity> = session.as_str().parse().ok();
            if let Some(grant) = source.and_then(|source| source.grant()) {
                return Ok(Some(About::Grant(grant)));
            }
            let caller = role_id.clone().map(|role_id| {
                Caller::Session(Session { account: account.clone(), role: role.clone(), role_id, name: session.clone() })
            });
            let claimed = caller.as_ref().and_then(Caller::claims_a_person);
            let shown = match claimed.filter(|session| session.account == environment.home) {
                Some(session) => {
                    let shown = environment.iam.shown(&session.role).await.map_err(|trouble| Transient(trouble.to_string()))?;
                    shown.map(|(arn, id)| Shown { arn, id })
                }
                None => None,
            };
            match caller.map(|caller| caller.who(&environment.person_accounts, &environment.home, shown.as_ref())) {
                Some(Who::Person(person)) => Some(About::Somebody(format!("person/{}", person.name))),
                _ => Some(About::Session(format!("role/{account}/{role}"), session.as_str().to_ascii_lowercase())),
            }
        }
        Credential::UserKey { user: Some(user), .. } | Credential::UserSession { user, .. } => {
            Some(About::Somebody(format!("user/{account}/{user}")))
        }
        _ => None,
    })
}
