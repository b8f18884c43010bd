//! A grant as the server shows it: believed only where its digest fits, and put into words.

use std::fmt::Write as _;

use anyhow::{Context as _, bail};
use grant::{Class, Terms};
use ids::{GrantId, Sha256};
use serde_json::Value;

use crate::signed::printable;

/// A grant whose terms are what its digest stands for.
#[derive(Debug)]
pub(crate) struct Shown<'a> {
    pub(crate) grant: GrantId,
    pub(crate) terms: Terms,
    pub(crate) digest: Sha256,
    answer: &'a Value,
}

/// Reads a grant as lists have it: its digest is computed again from the terms that are shown.
///
/// # Errors
/// If something does not fit, or it is another grant than `asked`.
pub(crate) fn read<'a>(answer: &'a Value, asked: Option<&GrantId>) -> anyhow::Result<Shown<'a>> {
    let grant: GrantId = text(answer, "grant").parse().context("the answer is about no grant")?;
    if let Some(asked) = asked.filter(|asked| **asked != grant) {
        bail!("the answer is about {grant}, and {asked} was asked for");
    }
    let terms = answer.get("terms").cloned().with_context(|| format!("the answer has no terms of {grant}"))?;
    // serde_json's words would be about its types.
    let terms: Result<Terms, _> = serde_json::from_value(terms);
    let terms = terms.ok().with_context(|| format!("the terms of {grant} are of another version than this program"))?;
    let digest = terms.digest();
    if text(answer, "digest") != digest.to_string() {
        bail!(
            "the digest in the answer is not that of the terms of {grant} that it shows: approve nothing, and look at the function"
        );
    }
    Ok(Shown { grant, terms, digest, answer })
}

/// Reads a grant as it is shown by itself: the session policy's digest is computed again as well, from the document that is shown.
///
/// # Errors
/// If something does not fit, or it is another grant than `asked`.
pub(crate) fn checked<'a>(answer: &'a Value, asked: Option<&GrantId>) -> anyhow::Result<Shown<'a>> {
    let shown = read(answer, asked)?;
    let policy = answer.get("session_policy").with_context(|| format!("the answer has no session policy of {}", shown.grant))?;
    if playbook::session_policy_digest(policy) != Some(shown.terms.session_policy) {
        bail!(
            "the session policy that is shown for {} is not the one in its terms: approve nothing, and look at the function",
            shown.grant
        );
    }
    Ok(shown)
}

/// A field's text, as it came. Empty if there is none.
pub(crate) fn text<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A field's text, fit to be shown.
fn line(value: &Value, name: &str) -> String {
    printable(text(value, name))
}

fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

/// Somebody, as a record has them: `alice@example.com (Developer)`.
fn who(value: Option<&Value>) -> String {
    let known = value.and_then(|value| serde_json::from_value::<people::Who>(value.clone()).ok());
    printable(&known.map_or_else(|| "somebody".to_owned(), |who| who.to_string()))
}

/// Who can approve, in words: `Security, OnCall`; none if nobody can.
pub(crate) fn approvers(answer: &Value) -> Option<String> {
    let names: Vec<_> = list(answer, "approvers").filter_map(Value::as_str).map(printable).collect();
    if names.is_empty() { None } else { Some(names.join(", ")) }
}

impl Shown<'_> {
    pub(crate) fn state(&self) -> &str {
        text(self.answer, "state")
    }

    /// Whether nothing comes after it.
    pub(crate) fn is_over(&self) -> bool {
        ["denied", "expired", "ended"].contains(&self.state())
    }

    /// The number of its newest session, if it has been given one.
    pub(crate) fn serial(&self) -> Option<u64> {
        self.answer.get("credentials")?.get("serial")?.as_u64()
    }

    /// What keeps it from going on, in the server's words.
    pub(crate) fn trouble(&self) -> Option<String> {
        Some(line(self.answer, "trouble")).filter(|trouble| !trouble.is_empty())
    }

    /// One line of a list.
    pub(crate) fn summary(&self) -> String {
        let Terms { entitlement, requester, seconds, .. } = &self.terms;
        let minutes = seconds / 60;
        let until = match self.state() {
            "requested" => format!(", can be approved until {}", line(self.answer, "approve_by")),
            "active" => format!(", until {}", line(self.answer, "ends")),
            _ => String::new(),
        };
        printable(&format!("{}  {}  {entitlement} for {requester}, {minutes} minutes{until}", self.grant, self.state()))
    }

    /// What it gives, as its digest binds it: the server's own text is not what is shown.
    pub(crate) fn terms_and_policy(&self) -> String {
        let mut said = String::new();
        for line in self.terms.to_string().lines() {
            let _infallible = writeln!(said, "{}", printable(line));
        }
        let policy = self.answer.get("session_policy").map(|policy| format!("{policy:#}")).unwrap_or_default();
        for line in policy.lines() {
            let _infallible = writeln!(said, "    {}", printable(line));
        }
        said
    }

    /// How many have to approve, and who can.
    pub(crate) fn approval(&self) -> String {
        match self.terms.class {
            Class::Approved { needed } => {
                let can = approvers(self.answer).unwrap_or_else(|| "nobody".to_owned());
                let have = list(self.answer, "approvals").count().saturating_sub(list(self.answer, "not_counted").count());
                format!("{have} of {needed} have approved; who can: {can}")
            }
            Class::BreakGlass => "nobody has to approve it first; it has to be reviewed within a day".to_owned(),
        }
    }

    /// What an approver types.
    pub(crate) fn approve_command(&self) -> String {
        format!("cordon access approve {} --digest {}", self.grant, self.digest)
    }

    /// All of it, for people.
    pub(crate) fn words(&self) -> String {
        let answer = self.answer;
        let mut said = String::new();
        // Writing to a string cannot fail.
        let _infallible = writeln!(said, "{}\n{}", self.summary(), self.terms_and_policy().trim_end());
        let _infallible = writeln!(said, "  {}", self.approval());
        for approval in list(answer, "approvals") {
            let _infallible = writeln!(said, "  approved by {} at {}", who(approval.get("by")), line(approval, "at"));
        }
        for refused in list(answer, "not_counted") {
            let why = line(refused, "why").replace('_', " ");
            let _infallible = writeln!(said, "  an approval by {} does not count: {why}", line(refused, "by"));
        }
        if let Some(session) = answer.get("credentials") {
            let serial = session.get("serial").and_then(Value::as_u64).unwrap_or_default();
            let _infallible = writeln!(said, "  its newest session is number {serial}, until {}", line(session, "expires"));
        }
        if let Some(trouble) = self.trouble() {
            let _infallible = writeln!(said, "  in trouble: {trouble}");
        }
        if let Some(denied) = answer.get("denied") {
            let (by, at) = (who(denied.get("by")), line(denied, "at"));
            let _infallible = writeln!(said, "  denied by {by} at {at}: {}", line(denied, "reason"));
        }
        if let Some(ended) = answer.get("ended") {
            let how = ended.get("how").map(ending).unwrap_or_default();
            let _infallible = writeln!(said, "  ended at {}: {how}", line(ended, "at"));
            match (text(ended, "refused_at"), text(ended, "deny_until")) {
                ("", "") => {}
                ("", until) => {
                    let _infallible =
                        writeln!(said, "  its sessions are denied until {}; not seen to be refused yet", printable(until));
                }
                (refused, _) => {
                    let _infallible = writeln!(said, "  its sessions were seen to be refused at {}", printable(refused));
                }
            }
        }
        if let Some(review) = answer.get("review") {
            let _infallible = match text(review, "kind") {
                "due" => writeln!(said, "  its review is due by {}", line(review, "by")),
                _ => writeln!(said, "  reviewed by {} at {}: {}", line(review, "by"), line(review, "at"), line(review, "note")),
            };
        }
        for record in list(answer, "records") {
            let _infallible = writeln!(said, "  record: {}", printable(record.as_str().unwrap_or_default()));
        }
        let _infallible = writeln!(said, "digest {}", self.digest);
        if self.state() == "requested" && matches!(self.terms.class, Class::Approved { .. }) {
            let _infallible = writeln!(said, "An approver: {}", self.approve_command());
        }
        said
    }
}

/// How it ended, in words.
fn ending(how: &Value) -> String {
    match text(how, "kind") {
        "returned" => format!("returned by {}", who(how.get("by"))),
        "revoked" => format!("revoked by {}: {}", who(how.get("by")), line(how, "reason")),
        "finding" => format!("{} is about the requester", line(how, "incident")),
        "ran_out" => "its time was over".to_owned(),
        other => printable(other),
    }
}

/// What the caller may ask for, for people.
pub(crate) fn entitlements(answer: &Value) -> String {
    let mut said = String::new();
    for entitlement in list(answer, "entitlements") {
        let minutes = |name: &str| entitlement.get(name).and_then(Value::as_u64).unwrap_or_default() / 60;
        let ticket = entitlement.get("ticket").and_then(Value::as_bool) == Some(true);
        let (name, role) = (line(entitlement, "name"), line(entitlement, "role"));
        let _infallible = writeln!(said, "{name}: {role}");
        let (longest, session) = (minutes("longest_seconds"), minutes("session_seconds"));
        let needs = if ticket { "; needs a ticket" } else { "" };
        let _infallible = writeln!(said, "  for up to {longest} minutes, in sessions of {session}{needs}");
        let class = entitlement.get("class").unwrap_or(&Value::Null);
        let _infallible = match (text(class, "kind"), approvers(entitlement)) {
            ("break_glass", _) => {
                writeln!(said, "  break-glass: nobody approves it first, everybody hears of it, and it has to be reviewed")
            }
            (_, Some(names)) => {
                let needed = class.get("needed").and_then(Value::as_u64).unwrap_or(1);
                writeln!(said, "  {needed} of these have to approve: {names}")
            }
            (_, None) => writeln!(said, "  nobody can approve it, so nobody gets it"),
        };
        if !text(entitlement, "reason").is_empty() {
            let _infallible = writeln!(said, "  {} [{}]", line(entitlement, "reason"), line(entitlement, "rule"));
        }
    }
    if said.is_empty() {
        said.push_str("There is nothing that you may ask for.\n");
    }
    said
}
