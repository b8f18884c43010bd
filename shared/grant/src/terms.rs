//! What is asked for, what the server makes of it, and the digest that an approval binds.

use std::fmt;
use std::num::NonZeroU8;
use std::str::FromStr;

use ids::{EntitlementName, GrantId, Hasher, RecipientKey, RoleArn, Sha256, Ticket};
use people::{Subject, Who};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::Refused;

/// Seconds that a session lasts at least (STS API Reference, `AssumeRole`: `DurationSeconds`).
pub const SHORTEST_SESSION: u32 = 900;
/// Seconds that a session lasts at most: a function that assumes a role is chaining (IAM user guide, "Roles terms and concepts").
pub const LONGEST_SESSION: u32 = 3600;
/// Seconds that break-glass lasts at most: nobody has approved it.
pub const BREAK_GLASS_LONGEST: u32 = 3600;

/// So many characters of a reason are kept. More is refused and not cut: what an approver reads is all there is.
const LONGEST_REASON: usize = 1000;

/// Why somebody does something, in their words: colons, quotes and new lines as they typed them.
///
/// No other control characters, and nothing that is invisible or turns the writing around: an approver must see what is there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reason(String);

/// Text that is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("a reason has 1 to 1000 characters, is not blank, and has no control or invisible characters but new lines")]
pub struct NotAReason;

impl Reason {
    /// The reason as it was typed.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Characters that show nothing, or show what follows in another order (Unicode Standard Annex #9; Trojan Source, CVE-2021-42574).
fn hides(c: char) -> bool {
    let invisible = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}');
    invisible || (c.is_control() && c != '\n')
}

impl FromStr for Reason {
    type Err = NotAReason;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let text = text.trim();
        let fits = !text.is_empty() && text.chars().count() <= LONGEST_REASON && !text.chars().any(hides);
        if fits { Ok(Self(text.to_owned())) } else { Err(NotAReason) }
    }
}

impl TryFrom<String> for Reason {
    type Error = NotAReason;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        text.parse()
    }
}

impl From<Reason> for String {
    fn from(reason: Reason) -> Self {
        reason.0
    }
}

impl fmt::Display for Reason {
    /// On one line.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.replace('\n', "\\n"))
    }
}

/// How a grant comes to be allowed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Class {
    /// So many different people approve.
    Approved {
        /// At least one, and never the requester.
        needed: NonZeroU8,
    },
    /// At once and loudly, for a person, and reviewed afterwards; until then that person's next use is refused.
    BreakGlass,
}

/// What somebody may be granted, as deployed configuration and policy have it. None of it comes from who asks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entitlement {
    /// What it is called.
    pub name: EntitlementName,
    /// The role that is assumed.
    pub role: RoleArn,
    /// Digest of the session policy that narrows it.
    pub session_policy: Sha256,
    /// How allowed.
    pub class: Class,
    /// Seconds that a grant of it may last, this one and no other.
    pub longest_seconds: u32,
    /// Seconds that each session of it lasts, 900 to 3600.
    pub session_seconds: u32,
    /// Digest of the policies in force.
    pub policies: Sha256,
}

/// What a client sends, and who the server found to have sent it. It names an entitlement; it has no say in what that stands for, so
/// there is no field for a role, a label or a policy, and an unknown field is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Who asks, as the server derived it.
    pub requester: Who,
    /// What for.
    pub entitlement: EntitlementName,
    /// For how many seconds.
    pub seconds: u32,
    /// Why.
    pub reason: Reason,
    /// The case it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// Whom the credentials are sealed to: a key made for this request.
    pub recipient: RecipientKey,
    /// The request's idempotency key: the same one again is the same grant.
    pub key: String,
}

impl Ask {
    /// The grant that this is about.
    #[must_use]
    pub fn grant(&self) -> GrantId {
        GrantId::derive(&self.requester.id(), &self.key)
    }
}

/// The form of [`Terms`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum TermsFormat {
    /// The first.
    #[serde(rename = "cordon/grant/terms/v1")]
    V1,
}

/// What is approved: all of it, as the server derived it. Its digest is what an approval binds.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Terms {
    /// The form of what follows.
    pub format: TermsFormat,
    /// For whom.
    pub requester: Who,
    /// What was asked for.
    pub entitlement: EntitlementName,
    /// How allowed, and by how many.
    pub class: Class,
    /// The role that is assumed.
    pub role: RoleArn,
    /// Digest of the session policy.
    pub session_policy: Sha256,
    /// Seconds that the grant lasts once it is active.
    pub seconds: u32,
    /// Seconds that each session lasts at most.
    pub session_seconds: u32,
    /// Why.
    pub reason: Reason,
    /// The case it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ticket: Option<Ticket>,
    /// Whom the credentials are sealed to.
    pub recipient: RecipientKey,
    /// Digest of the policies that decided.
    pub policies: Sha256,
}

impl Terms {
    /// What `ask` comes to under the entitlement that it names.
    ///
    /// # Errors
    /// If that is another entitlement, the duration is outside of what this one allows, it is no sound entitlement, or a role asks for
    /// break-glass.
    pub fn derive(ask: &Ask, entitlement: &Entitlement) -> Result<Self, Refused> {
        if ask.entitlement != entitlement.name {
            return Err(Refused::OtherEntitlement { asked: ask.entitlement.clone(), given: entitlement.name.clone() });
        }
        let longest = match entitlement.class {
            Class::Approved { .. } => entitlement.longest_seconds,
            Class::BreakGlass => entitlement.longest_seconds.min(BREAK_GLASS_LONGEST),
        };
        if !(SHORTEST_SESSION..=longest).contains(&ask.seconds) {
            return Err(Refused::Duration { asked: ask.seconds, shortest: SHORTEST_SESSION, longest });
        }
        if !(SHORTEST_SESSION..=LONGEST_SESSION).contains(&entitlement.session_seconds) {
            return Err(Refused::SessionLength { seconds: entitlement.session_seconds });
        }
        if entitlement.class == Class::BreakGlass && !ask.requester.is_person() {
            return Err(Refused::NotAPerson);
        }
        Ok(Self {
            format: TermsFormat::V1,
            requester: ask.requester.clone(),
            entitlement: entitlement.name.clone(),
            class: entitlement.class,
            role: entitlement.role.clone(),
            session_policy: entitlement.session_policy,
            seconds: ask.seconds,
            session_seconds: entitlement.session_seconds,
            reason: ask.reason.clone(),
            ticket: ask.ticket.clone(),
            recipient: ask.recipient.clone(),
            policies: entitlement.policies,
        })
    }

    /// The digest that an approval binds: of every field, each by its length and bytes, whatever JSON does with them.
    #[must_use]
    pub fn digest(&self) -> Sha256 {
        // Taken apart by name, so that a field that is added and not hashed does not compile.
        let Self {
            format: TermsFormat::V1,
            requester,
            entitlement,
            class,
            role,
            session_policy,
            seconds,
            session_seconds,
            reason,
            ticket,
            recipient,
            policies,
        } = self;
        let hasher = Hasher::new("cordon/grant/terms/v1");
        let hasher = match requester {
            Who::Person(person) => {
                hasher.part("person").part(&person.name).part(&person.permission_set).part(person.account.as_str())
            }
            Who::Subject(Subject { issuer, subject, name, groups, mfa_at }) => {
                let hasher = hasher.part("subject").part(issuer).part(subject);
                let hasher = match name {
                    Some(name) => hasher.part("name").part(name),
                    None => hasher.part("no name"),
                };
                let hasher = groups.iter().fold(hasher.part(&groups.len().to_string()), |hasher, group| hasher.part(group));
                match mfa_at {
                    Some(at) => hasher.part("mfa").part(&at.millis().to_string()),
                    None => hasher.part("no mfa"),
                }
            }
            Who::Role { id, session: Some(session) } => hasher.part("session").part(id).part(session),
            Who::Role { id, session: None } => hasher.part("role").part(id),
        };
        let hasher = match class {
            Class::Approved { needed } => hasher.part("approved").part(&needed.to_string()),
            Class::BreakGlass => hasher.part("break_glass"),
        };
        let hasher = match ticket {
            Some(ticket) => hasher.part("ticket").part(ticket.as_str()),
            None => hasher.part("no ticket"),
        };
        hasher
            .part(entitlement.as_str())
            .part(role.as_str())
            .part(&session_policy.to_string())
            .part(&seconds.to_string())
            .part(&session_seconds.to_string())
            .part(reason.as_str())
            .part(recipient.as_str())
            .part(&policies.to_string())
            .finish()
    }
}

impl fmt::Display for Terms {
    /// What an approver reads.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} for {}", self.role, self.requester)?;
        writeln!(f, "  as {} for {} minutes, in sessions of {}", self.entitlement, self.seconds / 60, self.session_seconds / 60)?;
        writeln!(f, "  because: {}", self.reason)?;
        if let Some(ticket) = &self.ticket {
            writeln!(f, "  ticket {ticket}")?;
        }
        match self.class {
            Class::Approved { needed } => writeln!(f, "  needs {needed} to approve")?,
            Class::BreakGlass => writeln!(f, "  break-glass: nobody approves it first, and it has to be reviewed")?,
        }
        writeln!(f, "  session policy {}", self.session_policy)?;
        writeln!(f, "  sealed to {}", self.recipient)?;
        writeln!(f, "  policies {}", self.policies)
    }
}
