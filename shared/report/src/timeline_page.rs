//! A timeline as a page: what a responder pastes into a post-mortem.

use maud::{Markup, html};

use crate::chart::{Lane, Tone, Track, lanes, moments};
use crate::page::{facts, page, prose, table};
use crate::timeline::{Call, Timeline};
use crate::timeline_export::CLOCKS;
use crate::words::duration;

/// So many calls are drawn; the records have all.
const DRAWN: usize = 40;

impl Timeline {
    /// One HTML file, with everything in it.
    #[must_use]
    pub fn html(&self) -> String {
        let title = format!("{}: {}", self.incident, self.end_state);
        let subtitle = format!("Incident timeline, {}. All times are UTC.", self.subject.nature.as_str());
        let content = html! {
            p.lead { (prose(&self.summary)) }
            (self.facts())
            @if !self.open.is_empty() {
                section { h2 { "Still open" } ul { @for said in &self.open { li { (prose(said)) } } } }
            }
            (self.drawings())
            @if self.subject.credential.is_some() || !self.credentials.is_empty() {
                section {
                    h2 { "Credentials, as they were read back" }
                    @if self.credentials.is_empty() { p.sub { "No record states the end of a credential." } }
                    (table(&["credential", "state"], self.credentials.iter().map(|end| vec![
                        html! { code { (end.id) } },
                        html! { span class={ "tag " (if end.state == "ended" { "good-text" } else { "bad-text" }) } { (end.state) } @if let Some(trouble) = &end.trouble { " " (trouble) } },
                    ])))
                }
            } @else { (self.interfaces()) }
            @if !self.by_hand.is_empty() {
                section { h2 { "To be done by hand" } ul { @for step in &self.by_hand { li { (prose(step)) } } } }
            }
            section {
                h2 { "Durations" }
                (table(&["from → to", "took", "clocks"], self.durations.iter().map(|took| vec![
                    html! { (took.what) },
                    html! { span.num { (duration(took.millis)) } },
                    html! { (took.from) @if took.from != took.to { " and " (took.to) } },
                ])))
                p.sub { (CLOCKS) }
            }
            section {
                h2 { "What happened" }
                (table(&["time (UTC)", "clock", "what", "record"], self.rows.iter().map(|row| vec![
                    html! { time.num datetime=(row.time) { (row.time) } },
                    html! { span.num { (row.clock) } },
                    html! {
                        @if row.good == Some(false) { span.bad-text { "✗ " } }
                        span.any { (prose(&row.what)) }
                        @if let Some(request) = &row.request_id { " " code.soft-text { "request " (request) } }
                    },
                    html! { @let n = self.number(&row.record); a href={ "#record-" (n) } { "[" (n) "]" } },
                ])))
            }
            section {
                h2 { "Records" }
                (table(&["#", "record and SHA-256", "made", "stored", "sealed"], self.records.iter().enumerate().map(|(n, record)| vec![
                    html! { span id={ "record-" (n + 1) } { "[" (n + 1) "]" } },
                    html! { code { (prose(&record.key.to_string())) } br; code.soft-text { (record.sha256) } @if !record.endorsed { " " span.warn-text { "nobody vouches for its signer" } } },
                    html! { time.num datetime=(record.made) { (record.made) } },
                    html! { @match record.stored { Some(time) => time.num datetime=(time) { (time) }, None => "–" } },
                    html! { @match record.sealed { Some(sealed) => { "leaf " (sealed.index) ", " time.num datetime=(sealed.time) { (sealed.time) } }, None => "–" } },
                ])))
            }
        };
        page(&title, &subtitle, &self.evidence, &content)
    }

    fn interfaces(&self) -> Markup {
        html! {
            section {
                h2 { "Interfaces, before and after" }
                @if self.interfaces.is_empty() { p.sub { "No record states the end of an interface." } }
                (table(&["interface", "state", "before", "after"], self.interfaces.iter().map(|end| vec![
                    html! { code { (end.id) } },
                    html! { span class={ "tag " (if end.state == "sealed" { "good-text" } else { "bad-text" }) } { (end.state) } @if let Some(trouble) = &end.trouble { " " (trouble) } },
                    html! { code { (prose(&end.before)) } },
                    html! { code { (prose(&end.after)) } },
                ])))
                @if !self.still_reachable.is_empty() {
                    p.sub { "What security groups never filter, so what a sealed machine still reaches: " (self.still_reachable.join(", ")) "." }
                }
            }
        }
    }

    fn number(&self, key: &evidence::RecordKey) -> usize {
        self.records.iter().position(|record| record.key == *key).map_or(0, |n| n + 1)
    }

    fn facts(&self) -> Markup {
        let text = |text: &Option<String>| prose(text.as_deref().unwrap_or("not recorded"));
        let rule = self.rows.iter().rev().find_map(|row| row.rule.as_ref());
        let (remotes, said) = match &self.subject.credential {
            Some(_) => (&self.subject.used_from, "it was used from"),
            None => (&self.subject.talked_to, "it talked to"),
        };
        let remotes = if remotes.is_empty() { "not recorded".to_owned() } else { remotes.join(", ") };
        let all = [
            ("end state, as read back", html! { strong { (self.end_state) } }),
            ("target", text(&self.subject.target)),
            ("finding", text(&self.subject.finding_type)),
            ("severity", text(&self.subject.severity)),
            (said, html! { code { (remotes) } }),
            ("allowed by rule", html! { @match rule { Some(rule) => code { (rule) }, None => "not recorded" } }),
        ];
        facts(all.into_iter())
    }

    fn drawings(&self) -> Markup {
        let mut overview: Vec<Track> = Vec::new();
        for row in &self.rows {
            let label = match row.event {
                "finding_first_seen" => "first seen",
                "finding_published" => "finding published",
                "reported" => "leak reported",
                "received" => "reached Cordon",
                "changes_answered" => "last change answered",
                "decision" => "decided to change nothing",
                "outcome" => "outcome recorded",
                "sealed" if row.record.kind == evidence::Kind::Outcome => "outcome sealed in the log",
                _ => continue,
            };
            let tone = match row.good {
                Some(false) => Tone::Bad,
                Some(true) => Tone::Good,
                None => Tone::Plain,
            };
            // A finding that is published again and again is one track, however often it comes.
            let (label, mark) = (format!("{label} · {}", row.clock), (row.time.millis(), tone));
            match overview.iter_mut().find(|track| track.label == label) {
                Some(track) => track.marks.push(mark),
                None => overview.push(Track { label, marks: vec![mark] }),
            }
        }
        let calls: Vec<Lane> = self.calls.iter().take(DRAWN).map(lane).collect();
        html! {
            @if overview.len() > 1 {
                section {
                    h2 { "The whole of it" }
                    div.figure { p.sub { "Each moment on one line of time, and how long after the first." } (moments("moments of the incident", &overview)) }
                }
            }
            @if !calls.is_empty() {
                section {
                    h2 { "Inside Cordon" }
                    div.figure {
                        p.sub { "Calls to AWS of the deciding run, by the function's clock; what changed something is in colour." }
                        (lanes("calls to AWS", &calls))
                        @if self.calls.len() > DRAWN { p.sub { "And " (self.calls.len() - DRAWN) " more." } }
                    }
                }
            }
        }
    }
}

fn lane(call: &Call) -> Lane {
    let tone = match (call.changes, call.status) {
        (_, None | Some(400..)) => Tone::Bad,
        (true, Some(_)) => Tone::Good,
        (false, Some(_)) => Tone::Minor,
    };
    let to = call.ended.max(call.started).millis();
    // A call of under a millisecond is a bar all the same, not a moment.
    Lane { label: call.name.clone(), from: call.started.millis(), to: to.max(call.started.millis().saturating_add(1)), tone }
}
