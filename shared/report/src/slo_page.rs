//! Service levels as a page.

use maud::{Markup, html};

use crate::chart::distribution;
use crate::page::{facts, page, prose, table};
use crate::slo::{Figures, Group, Metric, NAMED, Slo, Verdict, reasons};
use crate::words::{count, duration};

impl Slo {
    /// One HTML file, with everything in it.
    #[must_use]
    pub fn html(&self) -> String {
        let content = html! {
            (group("Production", &self.production))
            (group("Drills and samples, never counted with the rest", &self.drills))
        };
        let subtitle = format!("Computed from evidence records only, {}. All times are UTC.", self.period);
        page("Service levels", &subtitle, &self.evidence, &content)
    }
}

fn tone(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Met => "good-text",
        Verdict::Missed => "bad-text",
        Verdict::NoData | Verdict::NoTarget => "soft-text",
    }
}

fn group(name: &str, group: &Group) -> Markup {
    html! {
        section {
            h2 { (name) ": " (count(group.incidents, "incident")) }
            @if !group.is_empty() {
                (table(&["measure", "verdict", "count", "in time", "p50", "p95", "max", "target"], group.metrics.iter().map(row)))
                p.sub { "Connections that were open before may have gone on in " (count(group.established_may_persist.len(), "incident")) " of these." }
                @for metric in &group.metrics { (detail(metric)) }
            } @else {
                p { "No data: nothing of this sort began in the period." }
            }
        }
    }
}

fn row(metric: &Metric) -> Vec<Markup> {
    let figure = |of: fn(&Figures) -> i64| html! { span.num { (metric.figures.as_ref().map_or_else(|| "–".to_owned(), |f| duration(of(f)))) } };
    vec![
        html! { strong { (metric.measure) } },
        html! { span class={ "tag " (tone(metric.verdict)) } { (metric.verdict.as_str()) } },
        html! { (metric.count) },
        html! { @match &metric.percent_in_time { Some(percent) => span.num { (percent) " %" }, None => "–" } },
        figure(|f| f.p50),
        figure(|f| f.p95),
        figure(|f| f.max),
        html! { @match metric.target { Some(target) => (target), None => "none" } },
    ]
}

fn detail(metric: &Metric) -> Markup {
    let mut values: Vec<i64> = metric.samples.iter().filter_map(|sample| sample.millis).collect();
    values.sort_unstable();
    // What never came to its end counts, so the curve must not reach the top.
    let never = metric.samples.len().saturating_sub(values.len());
    let target = metric.target.map(|target| (i64::from(target.seconds) * 1000, target.percent.basis_points()));
    let reasons = reasons(metric);
    html! {
        div.figure {
            h3 { (metric.measure) }
            p.sub { (metric.definition) ". Clocks: " (metric.clocks) "." }
            @if let Some(why) = &metric.no_data {
                p { "No data: " (why) "." }
            } @else {
                p.sub { "Share that took no longer than so long, of " (metric.count) "." @if never > 0 { " " (never) " never came to an end." } }
                (distribution(metric.measure.as_str(), &values, metric.samples.len(), target))
                details {
                    summary { "What it is made of" }
                    (table(&["incident", "took", "in time", "records"], metric.samples.iter().map(|sample| vec![
                        html! { code { @match &sample.incident { Some(incident) => (incident), None => "–" } } },
                        html! { span.num { (sample.millis.map_or_else(|| "never".to_owned(), duration)) } },
                        html! { @match sample.in_time { Some(true) => span.good-text { "yes" }, Some(false) => span.bad-text { "no" }, None => "–" } },
                        html! { @for record in &sample.records { code { (prose(&record.to_string())) } " " } },
                    ])))
                }
            }
            @if !reasons.is_empty() {
                details {
                    summary { (metric.excluded.len()) " left out, and why" }
                    (facts([("left out", html! { ul {
                        @for (reason, members) in &reasons {
                            li { (reason) ": " (members.len()) " (" @for member in members.iter().take(NAMED) { code { (member) } " " } @if members.len() > NAMED { "…" } ")" }
                        }
                    } })].into_iter()))
                }
            }
        }
    }
}
