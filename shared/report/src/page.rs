//! One HTML file: no script, nothing fetched, light and dark, telephone and desktop.

use evidence::Standing;
use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::worth::Worth;

/// Forbids scripts and every request, should an escape ever fail.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'";

const STYLE: &str = include_str!("page.css");

/// A whole page about evidence of this worth.
pub(crate) fn page(title: &str, subtitle: &str, worth: &Worth, content: &Markup) -> String {
    let markup = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="color-scheme" content="light dark";
                meta name="referrer" content="no-referrer";
                title { (title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                main {
                    header {
                        p.brand { "Cordon" }
                        h1 { (title) }
                        p.sub { (prose(subtitle)) }
                    }
                    (banner(worth))
                    (content)
                    (verify(worth))
                }
            }
        }
    };
    markup.into_string()
}

fn banner(worth: &Worth) -> Markup {
    let class = match worth.standing {
        Standing::Verified => "good",
        Standing::SelfConsistent => "plain",
        Standing::Degraded => "warn",
        Standing::Failed | Standing::Empty => "bad",
    };
    html! {
        section class={ "banner " (class) } aria-label="standing of the evidence" {
            p { strong { (worth.word()) } " — " (worth.meaning) "." }
            @if !worth.faults.is_empty() {
                ul { @for fault in worth.shown() { li { (prose(&fault.to_string())) } } }
            }
            @if worth.unshown() > 0 {
                p { "And " (worth.unshown()) " more; " code { "cordon evidence verify" } " lists them all." }
            }
        }
    }
}

fn verify(worth: &Worth) -> Markup {
    html! {
        section {
            h2 { "Verify it yourself" }
            p { "This page is a convenience: it proves nothing. The records do, and they can be checked without Cordon's help." }
            pre { code { @for line in worth.how_to_verify() { (line) "\n" } } }
            (table(&["key that endorsed", "for"], worth.endorsers.iter().map(|(key, functions)| {
                let functions: Vec<_> = functions.iter().map(ToString::to_string).collect();
                vec![html! { code { (key) } }, html! { (functions.join(", ")) }]
            })))
            @if !worth.code.is_empty() {
                p { "Code that claims to have written them: " @for code in &worth.code { code { (code) } " " } }
            }
            @match &worth.tree {
                Some(tree) => p { "Sealed log: " (tree.size) " leaves, root " code { (tree.root) } },
                None => p { "No sealed log was given: nothing here shows that no record is missing at the end." },
            }
            p.sub { (worth.records) " records, checked at " time datetime=(worth.checked) { (worth.checked) } "." }
        }
    }
}

/// Text for people, broken over lines where it reads well: an id or a time stays whole, a long name or path breaks behind its parts.
pub(crate) fn prose(text: &str) -> Markup {
    const WHOLE: usize = 30;
    html! {
        @for (n, word) in text.split(' ').enumerate() {
            @if n > 0 { " " }
            @if word.len() > 20 && word.contains(['/', ':']) {
                @for part in word.split_inclusive(['/', ':']) { (part) wbr; }
            } @else if word.contains('-') && word.len() <= WHOLE {
                span.whole { (word) }
            } @else {
                (word)
            }
        }
    }
}

/// A table. One of more than three columns becomes a list of cards on a narrow screen.
pub(crate) fn table(heads: &[&str], rows: impl Iterator<Item = Vec<Markup>>) -> Markup {
    let rows: Vec<_> = rows.collect();
    html! {
        @if !rows.is_empty() {
            table.cards[heads.len() > 3] {
                thead { tr { @for head in heads { th scope="col" { (head) } } } }
                tbody {
                    @for row in rows {
                        tr { @for (head, cell) in heads.iter().zip(row) { td data-label=(head) { div { (cell) } } } }
                    }
                }
            }
        }
    }
}

/// Names and values, side by side.
pub(crate) fn facts(facts: impl Iterator<Item = (&'static str, Markup)>) -> Markup {
    html! { dl.facts { @for (name, value) in facts { div { dt { (name) } dd { (value) } } } } }
}
