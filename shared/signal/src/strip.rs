//! What an event says that must not be kept.

use redact::Redactor;
use serde::{Deserialize, Serialize};

use crate::{Credential, Excerpt, Leak, Refusal, Refused, Remote, Signal};

/// Something that was taken out of a record's text. Where a text stays, a mark stands there: `[redacted: email]`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Stripped {
    /// The field, as the record has it: `signal.instance.tags`.
    pub field: String,
    /// What it looked like: `GitHub token`.
    pub kind: String,
    /// How often.
    pub count: u64,
}

/// Strips texts, and counts what of.
#[derive(Debug)]
pub struct Strip<'a> {
    redactor: &'a Redactor,
    stripped: Vec<Stripped>,
}

impl<'a> Strip<'a> {
    /// Nothing is stripped yet.
    #[must_use]
    pub fn new(redactor: &'a Redactor) -> Self {
        Self { redactor, stripped: Vec::new() }
    }

    /// What was stripped, in the order of its fields.
    #[must_use]
    pub fn done(mut self) -> Vec<Stripped> {
        self.stripped.sort();
        self.stripped
    }

    /// Strips a text of the field.
    pub fn text(&mut self, field: &str, text: &mut String) {
        let (kept, removed) = self.redactor.text(text);
        self.note(field, removed.iter().map(|removed| removed.kind.as_str()));
        *text = kept;
    }

    /// Strips a text that is called `name`, which may say that it is a secret.
    fn named(&mut self, field: &str, name: &str, text: &mut String) {
        let (kept, removed) = self.redactor.named(name, text);
        self.note(field, removed.iter().map(|removed| removed.kind.as_str()));
        *text = kept;
    }

    fn excerpt(&mut self, field: &str, excerpt: &mut Excerpt) {
        let (kept, removed) = self.redactor.text(excerpt.as_str());
        if !removed.is_empty() {
            self.note(field, removed.iter().map(|removed| removed.kind.as_str()));
            *excerpt = Excerpt::of(&kept);
        }
    }

    /// Whether something that has no place for a mark may stay.
    fn may_stay(&mut self, field: &str, value: &impl ToString) -> bool {
        let (_, removed) = self.redactor.text(&value.to_string());
        self.note(field, removed.iter().map(|removed| removed.kind.as_str()));
        removed.is_empty()
    }

    fn note<'k>(&mut self, field: &str, kinds: impl Iterator<Item = &'k str>) {
        for kind in kinds {
            match self.stripped.iter_mut().find(|known| known.field == field && known.kind == kind) {
                Some(known) => known.count = known.count.saturating_add(1),
                None => self.stripped.push(Stripped { field: field.to_owned(), kind: kind.to_owned(), count: 1 }),
            }
        }
    }

    /// Strips a signal of what others could write into it: tags and other texts, and addresses and names that have no place for a mark.
    ///
    /// Ids, accounts and times stay: they say what it is about, and AWS makes them. Decide first: a stripped tag is another tag.
    pub fn signal(&mut self, signal: &mut Signal) {
        self.excerpt("signal.event_id", &mut signal.event_id);
        for (key, value) in &mut signal.instance.tags {
            self.named("signal.instance.tags", key, value);
            self.text("signal.instance.tags", key);
        }
        for (field, text) in [
            ("signal.instance.profile_arn", &mut signal.instance.profile_arn),
            ("signal.instance.state", &mut signal.instance.state),
        ] {
            if let Some(text) = text {
                self.text(field, text);
            }
        }
        let field = "signal.instance.interfaces";
        for interface in &mut signal.instance.interfaces {
            interface.private_ips.retain(|address| self.may_stay(field, address));
            interface.ipv6.retain(|address| self.may_stay(field, address));
            interface.public_ip = interface.public_ip.filter(|address| self.may_stay(field, address));
        }
        signal.remote.retain(|remote| self.may_stay("signal.remote", &Remote { port: None, ..remote.clone() }));
    }

    /// Strips a report of a leak of what others could write into it. Names of principals and keys stay: they say what it is about.
    pub fn leak(&mut self, leak: &mut Leak) {
        self.excerpt("signal.event_id", &mut leak.event_id);
        self.excerpt("signal.report", &mut leak.report);
        if let Credential::Federated { name, .. } = &mut leak.credential {
            self.excerpt("signal.credential.name", name);
        }
        if let Credential::Unnamed { what, place } = &mut leak.credential {
            self.excerpt("signal.credential.what", what);
            self.excerpt("signal.credential.place", place);
        }
        leak.remote.retain(|remote| self.may_stay("signal.remote", &Remote { port: None, ..remote.clone() }));
    }

    /// Strips a refusal of what it quotes of the event.
    pub fn refused(&mut self, refused: &mut Refused) {
        let field = "refused.refusal";
        let unmarked = match &mut refused.refusal {
            Refusal::WrongSource { found }
            | Refusal::WrongDetailType { found }
            | Refusal::UnknownResourceType { found }
            | Refusal::NoCredentialReport { found } => {
                self.excerpt(field, found);
                None
            }
            Refusal::BadField { problem, .. } => {
                self.text(field, problem);
                None
            }
            Refusal::UnknownFindingType { kind } => {
                (!self.may_stay(field, kind)).then_some("an unknown type, not quoted: it holds a secret")
            }
            Refusal::Malformed { .. }
            | Refusal::TooLarge { .. }
            | Refusal::DrillsAreOff
            | Refusal::AccountMismatch { .. }
            | Refusal::RegionMismatch { .. }
            | Refusal::NotForInstances { .. }
            | Refusal::NotForCredentials { .. }
            | Refusal::NoInstance
            | Refusal::NotRelayed => None,
        };
        if let Some(problem) = unmarked {
            refused.refusal = Refusal::BadField { path: "detail.type".into(), problem: problem.to_owned() };
        }
        refused.finding = refused.finding.take().filter(|id| self.may_stay("refused.finding", id));
    }
}
