//! What the records say of a grant, and what follows from it now.

use std::time::Duration;

use evidence::RecordKey;
use evidence_store::{Recorder, StoreError, Worm};
use futures_util::future::{join_all, try_join};
use grant::{Basis, Denies, Eligible, Entitlement, Records, Terms};
use ids::{FunctionName, GrantId, Sha256, Timestamp};
use people::Who;
use playbook::{AccessAct, AccessActor, AccessAsked, AccessContext, AccessDecision, AccessPlaybook, Decision, Verdict};
use serde::de::DeserializeOwned;

use crate::places::{Name, Place};
use crate::{ApprovalBody, DenialBody, EndBody, MintBody, RenewalBody, RequestBody, ReviewBody, Row};

/// So many sessions, and so many ends of each function, are looked for: a grant has no more.
pub const MOST: u32 = 64;
/// How far clocks may be apart, as `grant` has it for denies.
const CLOCKS: Duration = Duration::from_secs(5 * 60);

/// Who may write which record: the functions' names, and the fingerprints of their KMS keys.
#[derive(Debug, Clone)]
pub struct Authors {
    /// Requests, approvals, denials, renewals, ends, reviews.
    pub access: (FunctionName, Sha256),
    /// Sessions.
    pub mint: (FunctionName, Sha256),
    /// Ends that nobody asked for: findings.
    pub reconcile: (FunctionName, Sha256),
}

/// One grant's records, each found where it has to be, with a signature that its function's key vouches for.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Read {
    /// The request.
    pub request: Option<RequestBody>,
    /// Approvals, with where they are.
    pub approvals: Vec<(RecordKey, ApprovalBody)>,
    /// The denial.
    pub denial: Option<DenialBody>,
    /// Sessions that were meant to be made, in their order.
    pub sessions: Vec<MintBody>,
    /// Ends, each function's in its order.
    pub ends: Vec<EndBody>,
    /// How many of the ends are access's, and how many reconcile's.
    pub counts: (u32, u32),
    /// The wish for the session after the last one.
    pub renewal: Option<RenewalBody>,
    /// The review.
    pub review: Option<ReviewBody>,
    /// Keys of all of them that exist.
    pub keys: Vec<String>,
}

impl Read {
    /// Reads all records of a row's grant, at once as far as that goes.
    ///
    /// # Errors
    /// If the store does not answer, or something at a record's place is not that function's. Nothing is opened then.
    pub async fn gather<S: Worm>(row: &Row, recorder: &Recorder<S>, authors: &Authors) -> Result<Self, StoreError> {
        let place = Place::of(&row.grant);
        let (access, mint, reconcile) = (&authors.access, &authors.mint, &authors.reconcile);
        let alone = try_join(
            one::<RequestBody, S>(recorder, &place, access, Name::Request),
            try_join(
                one::<DenialBody, S>(recorder, &place, access, Name::Denial),
                one::<ReviewBody, S>(recorder, &place, access, Name::Review),
            ),
        );
        let ends = try_join(
            all::<EndBody, S>(recorder, &place, access, Name::End),
            all::<EndBody, S>(recorder, &place, reconcile, Name::End),
        );
        let sessions = async {
            let sessions = all::<MintBody, S>(recorder, &place, mint, Name::Session).await?;
            let next = u32::try_from(sessions.len()).unwrap_or(u32::MAX).saturating_add(1);
            let renewal = one::<RenewalBody, S>(recorder, &place, access, Name::Renewal(next)).await?;
            Ok((sessions, renewal))
        };
        let approvals = async { Ok(join_all(row.approvals.iter().map(|key| approval(recorder, &place, key, access))).await) };
        let ((found, approvals), (ends, (sessions, renewal))) =
            try_join(try_join(alone, approvals), try_join(ends, sessions)).await?;
        let (request, (denial, review)) = found;
        let (by_access, by_reconcile) = ends;
        let count = |ends: &Vec<(RecordKey, EndBody)>| u32::try_from(ends.len()).unwrap_or(u32::MAX);
        let counts = (count(&by_access), count(&by_reconcile));

        let mut keys: Vec<String> = Vec::new();
        let mut note = |key: &RecordKey| keys.push(key.to_string());
        let request = request.map(|(key, body)| (note(&key), body).1);
        let approvals: Vec<_> = approvals.into_iter().flatten().collect();
        approvals.iter().for_each(|(key, _)| note(key));
        let denial = denial.map(|(key, body)| (note(&key), body).1);
        let sessions = sessions.into_iter().map(|(key, body)| (note(&key), body).1).collect();
        let ends = by_access.into_iter().chain(by_reconcile).map(|(key, body)| (note(&key), body).1).collect();
        let renewal = renewal.map(|(key, body)| (note(&key), body).1);
        let review = review.map(|(key, body)| (note(&key), body).1);
        Ok(Self { request, approvals, denial, sessions, ends, counts, renewal, review, keys })
    }

    /// Until when a session of it may be alive, by its records; none if they know of none.
    #[must_use]
    pub fn alive_until(&self) -> Option<Timestamp> {
        self.sessions.first().map(|first| first.minted.ends.plus(CLOCKS))
    }

    /// What steps go by.
    #[must_use]
    pub fn records(&self) -> Records {
        Records {
            opened: self.request.as_ref().map(|request| request.opened.clone()),
            approvals: self.approvals.iter().map(|(_, body)| body.approval.clone()).collect(),
            denials: self.denial.iter().map(|body| body.denial.clone()).collect(),
            minted: self.sessions.iter().map(|body| body.minted.clone()).collect(),
            closed: self.ends.iter().map(|body| body.closed.clone()).collect(),
        }
    }

    /// The people whom policy lets approve now, of those who have.
    #[must_use]
    pub fn eligible(&self, row: &Row, playbook: &AccessPlaybook, now: Timestamp, barred: &dyn Fn(&Who) -> bool) -> Eligible {
        let asked = AccessAsked::from(&row.grant.terms);
        let people = self.approvals.iter().filter(|(_, body)| {
            let by = &body.approval.by;
            let context = AccessContext { now, source: body.source, mfa_age: body.mfa_age };
            let decision = playbook.decide(AccessAct::Approve, &AccessActor::of(by, barred(by)), &asked, &context);
            decision.is_ok_and(|decision| decision.decision.verdict == Verdict::Do)
        });
        people.map(|(_, body)| body.approval.by.clone()).collect()
    }

    /// What policy says of the request now, and the entitlement that it comes to. No entitlement: it says no.
    ///
    /// # Errors
    /// If the request is not on record, or names nothing that there is.
    pub fn entitled(
        &self,
        act: AccessAct,
        playbook: &AccessPlaybook,
        now: Timestamp,
        barred: bool,
    ) -> Result<(Decision, Option<Entitlement>), &'static str> {
        let request = self.request.as_ref().ok_or("the request is not on record")?;
        let (decision, entitlement) = entitled(act, &request.ask, playbook, (request.source, request.mfa_age, barred), now);
        let decision = decision.ok_or("there is no such entitlement any more")?;
        Ok((decision.decision, entitlement))
    }

    /// What a step that opens goes by.
    #[must_use]
    pub fn basis(&self, eligible: Eligible, entitlement: &Entitlement, unreviewed: Option<GrantId>) -> Option<Basis> {
        let derived = Terms::derive(&self.request.as_ref()?.ask, entitlement).ok()?;
        Some(Basis {
            records: self.records(),
            eligible,
            derived,
            unreviewed: unreviewed.into_iter().collect(),
            reserved: Denies::default(),
            other_policies: 0,
        })
    }
}

/// What policy says of a request, and the entitlement that it comes to.
#[must_use]
pub fn entitled(
    act: AccessAct,
    ask: &grant::Ask,
    playbook: &AccessPlaybook,
    (source, mfa_age, barred): (Option<std::net::IpAddr>, Option<u32>, bool),
    now: Timestamp,
) -> (Option<AccessDecision>, Option<Entitlement>) {
    let context = AccessContext { now, source, mfa_age };
    match playbook.decide(act, &AccessActor::of(&ask.requester, barred), &ask.into(), &context) {
        Ok(decision) => {
            let entitlement = playbook.entitlement(&decision, &ask.entitlement);
            (Some(decision), entitlement)
        }
        Err(_) => (None, None),
    }
}

async fn one<B: DeserializeOwned, S: Worm>(
    recorder: &Recorder<S>,
    place: &Place,
    (function, fingerprint): &(FunctionName, Sha256),
    name: Name<'_>,
) -> Result<Option<(RecordKey, B)>, StoreError> {
    let key = place.key(function, name);
    let found = recorder.testimony::<B>(&key, *fingerprint).await?;
    Ok(found.map(|(predicate, _)| (key, predicate.body)))
}

/// The first, the second, and so on, as long as there are any.
async fn all<B: DeserializeOwned, S: Worm>(
    recorder: &Recorder<S>,
    place: &Place,
    author: &(FunctionName, Sha256),
    name: impl Fn(u32) -> Name<'static>,
) -> Result<Vec<(RecordKey, B)>, StoreError> {
    let mut found = Vec::new();
    for number in 1..=MOST {
        match one::<B, S>(recorder, place, author, name(number)).await? {
            Some(record) => found.push(record),
            None => break,
        }
    }
    Ok(found)
}

/// An approval that the row names, where this very request has it. One that cannot be believed, or is of an earlier request of the same
/// grant, does not count and stops no other.
async fn approval<S: Worm>(
    recorder: &Recorder<S>,
    place: &Place,
    key: &str,
    (function, fingerprint): &(FunctionName, Sha256),
) -> Option<(RecordKey, ApprovalBody)> {
    let key: RecordKey = key.parse().ok().filter(|key: &RecordKey| key.function == *function)?;
    let (predicate, _) = recorder.testimony::<ApprovalBody>(&key, *fingerprint).await.ok()??;
    let by = predicate.body.approval.by.clone();
    (key == place.key(function, Name::Approval(&by))).then_some((key, predicate.body))
}
