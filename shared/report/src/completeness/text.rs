//! The comparison, for a terminal.

use std::fmt::Write as _;

use super::{Compared, Completeness, many};

/// So many findings are shown to people; programs get more.
const SHOWN: usize = 200;
/// So many accounts and Regions.
const PLACES: usize = 20;

impl Completeness {
    /// For a terminal.
    #[must_use]
    pub fn text(&self) -> String {
        let mut out = self.evidence.text();
        let mut line = |text: &str| {
            let _infallible = writeln!(out, "{}", text.trim_end());
        };
        line("");
        line(&self.verdict);
        for finding in self.findings.iter().take(SHOWN) {
            line("");
            line(&format!("{}: {}", finding.kind.to_string().to_uppercase(), finding.what));
            if let Some(call) = &finding.call {
                line(&format!("  call     {call}"));
            }
            for (name, value) in [
                ("request", finding.request_id.clone()),
                ("record", finding.record.as_ref().map(ToString::to_string)),
                ("intent", finding.intent.as_ref().map(ToString::to_string)),
            ] {
                if let Some(value) = value {
                    line(&format!("  {name:<8} {value}"));
                }
            }
        }
        let total: u64 = self.totals.values().sum();
        let unshown = total.saturating_sub(super::as_u64(self.findings.len().min(SHOWN)));
        if unshown > 0 {
            line(&format!("and {unshown} more findings; `--format json` has more of them"));
        }
        if !self.notices.is_empty() {
            line("");
        }
        for notice in &self.notices {
            line(&format!("notice: {notice}"));
        }
        self.tell_what_was_compared(&mut line);
        self.tell_what_it_rests_on(&mut line);
        out
    }

    fn tell_what_was_compared(&self, line: &mut impl FnMut(&str)) {
        line("");
        line("compared");
        let Compared {
            claimed,
            in_both,
            not_covered,
            of_no_given_role,
            outside_the_period,
            unanswered,
            resource_not_compared,
            earlier_attempts,
            by_plan,
            by_an_earlier_run,
            under_way,
        } = self.compared;
        line(&format!("{claimed:>8}  changes in the evidence that have a request id"));
        for (count, what) in [
            (in_both, "of them are in the trail"),
            (not_covered, "of them are where the trail does not reach"),
            (of_no_given_role, "of them are of a function whose role was not given"),
            (outside_the_period, "of them are outside the period"),
            (unanswered, "changes in the evidence got no answer, and so no request id"),
            (resource_not_compared, "calls in both do not say which resource they acted on"),
            (earlier_attempts, "calls in the trail are earlier attempts of one in the evidence"),
            (by_plan, "calls in the trail were announced by a plan whose outcome lists no calls"),
            (by_an_earlier_run, "calls in the trail are of a run that left no outcome"),
            (under_way, "calls in the trail were announced, and their outcome is not due yet"),
        ] {
            if count > 0 {
                line(&format!("{count:>8}  {what}"));
            }
        }
        for (role, own) in &self.own_writes {
            line(&format!(
                "          {role}: {} by KMS ({} accounted for), {} written ({} of them records that are here), {} refused, {} on its own tables, queues and logs",
                many(own.signed, "signature"),
                own.accounted_for,
                many(own.put, "object"),
                own.put_and_here,
                many(own.put_refused, "write"),
                many(own.bookkeeping, "call")
            ));
            for (bucket, count) in &own.buckets {
                line(&format!("          written to {bucket}: {count}"));
            }
        }
    }

    fn tell_what_it_rests_on(&self, line: &mut impl FnMut(&str)) {
        let coverage = &self.coverage;
        line("");
        line("rests on");
        match coverage.events {
            Some(span) => {
                line(&format!(
                    "  {} in {}, from {} to {}",
                    many(span.events, "event"),
                    many(coverage.files, "file"),
                    span.first,
                    span.last
                ));
            }
            None => line(&format!("  no event in {}", many(coverage.files, "file"))),
        }
        for (place, span) in coverage.places.iter().take(PLACES) {
            line(&format!("  {place}: {}, from {} to {}", many(span.events, "event"), span.first, span.last));
        }
        if coverage.places.len() > PLACES {
            line(&format!("  and {} more accounts and Regions", coverage.places.len().saturating_sub(PLACES)));
        }
        for (role, seen) in &coverage.roles {
            match (seen.first, seen.last) {
                (Some(first), Some(last)) => {
                    let data = if seen.data_events { ", data events among them" } else { "" };
                    line(&format!("  {role}: {}, from {first} to {last}{data}", many(seen.events, "event")));
                }
                _ => line(&format!("  {role}: no event")),
            }
        }
        if let Some(period) = self.period {
            line(&format!("  what counts: {period}"));
        }
        for (why, count) in &coverage.left_out {
            line(&format!("  left out, {why}: {count}"));
        }
        for refusal in &coverage.refusals {
            line(&format!("  not read: {refusal}"));
        }
        let more = coverage.refused.saturating_sub(super::as_u64(coverage.refusals.len()));
        if more > 0 {
            line(&format!("  not read: {more} more"));
        }
        line("");
        line("not shown by this");
        for text in &coverage.cannot_see {
            line(&format!("  {text}"));
        }
    }
}
