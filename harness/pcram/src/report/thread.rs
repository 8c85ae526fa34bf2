//! What came of a thread's claims, as one table: Markdown, and an HTML page that needs no other file.

use super::word;
use crate::event::{Figure, Row};
use crate::posting::claims::{Came, Tried};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde::Serialize;

/// A thread, and what came of its claims.
#[derive(Clone, Debug, Serialize)]
pub struct Thread {
    /// The posting's subject.
    pub title: String,
    /// Who posted it, and when.
    pub posted: String,
    /// Its message id.
    pub message_id: String,
    /// What it was read from, how it was mended, what it was applied to, what was built.
    pub facts: Vec<Figure>,
    /// The claims.
    pub claims: Vec<Tried>,
}

const STYLE: &str = "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em;color:#222}\
table{border-collapse:collapse;width:100%}td,th{text-align:left;vertical-align:top;padding:.4em .6em;\
border-bottom:1px solid #ccc}blockquote{margin:0;font-style:italic}code,pre{font:14px monospace}\
pre{background:#f4f4f4;padding:.5em;overflow-x:auto;white-space:pre-wrap}.came{font-weight:bold;white-space:nowrap}\
.holds{color:#06600c}.does-not-hold{color:#a00000}.holds-only-if{color:#8a5a00}.not-tried{color:#555}\
@media(prefers-color-scheme:dark){body{background:#181818;color:#ddd}pre{background:#262626}\
.holds{color:#7fd488}.does-not-hold{color:#ff8b84}.holds-only-if{color:#e5b567}.not-tried{color:#aaa}\
td,th{border-color:#444}a{color:#8ab4f8}}";

impl Came {
    /// The name of its class in the page's style.
    fn class(self) -> &'static str {
        match self {
            Came::Holds => "holds",
            Came::HoldsOnlyIf => "holds-only-if",
            Came::DoesNotHold => "does-not-hold",
            Came::NotTried => "not-tried",
        }
    }
}

/// One line for each claim, and then each claim with its evidence.
pub fn markdown(thread: &Thread) -> String {
    let mut text =
        format!("# {}\n\n{}, message id {}\n\n", thread.title, thread.posted, thread.message_id);
    for fact in &thread.facts {
        text += &format!("- {}: {}\n", fact.name, fact.value);
    }
    text += "\n| claim | said by | came of it |\n|---|---|---|\n";
    for claim in &thread.claims {
        let said = if claim.said.is_empty() { "(asked here)" } else { &claim.said };
        let cells = [&claim.words, said, &claim.came.to_string()].map(cell);
        text += &format!("| {} |\n", cells.join(" | "));
    }
    for claim in &thread.claims {
        text += &format!("\n## {}: {}\n\n> {}\n\n", claim.id, claim.came, claim.words);
        text += &format!("Tried: {}\n\n", claim.how);
        for row in &claim.rows {
            text += &format!("- {}, {}: {}\n", row.id, word(row.verdict), row.summary);
            for figure in &row.evidence {
                text += &format!("  - {}: {}\n", figure.name, figure.value);
            }
        }
        if let Some(why) = why(claim) {
            text += &format!("\nWhy: {why}\n");
        }
        text += &format!("\nAlone: `{}`\n", claim.repeat);
    }
    text
}

/// What a cell of a table can hold.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The explanation, where there is something to explain.
fn why(claim: &Tried) -> Option<&str> {
    let explains = matches!(claim.came, Came::DoesNotHold | Came::HoldsOnlyIf);
    claim.why.as_deref().filter(|_| explains)
}

/// The same as a page.
pub fn page(thread: &Thread) -> String {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                title { (thread.title) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                h1 { (thread.title) }
                p { (thread.posted) ", message id " code { (thread.message_id) } }
                ul { @for fact in &thread.facts { li { (fact.name) ": " (fact.value) } } }
                table {
                    thead { tr { th { "claim" } th { "said by" } th { "came of it" } } }
                    tbody {
                        @for claim in &thread.claims {
                            tr {
                                td { a href={ "#" (claim.id) } { (claim.words) } }
                                td { (if claim.said.is_empty() { "(asked here)" } else { &claim.said }) }
                                td class={ "came " (claim.came.class()) } { (claim.came) }
                            }
                        }
                    }
                }
                @for claim in &thread.claims { (section(claim)) }
            }
        }
    };
    page.into_string()
}

fn section(claim: &Tried) -> Markup {
    html! {
        section id=(claim.id) {
            h2 { (claim.id) ": " span class={ "came " (claim.came.class()) } { (claim.came) } }
            blockquote { (claim.words) }
            @if !claim.said.is_empty() { p { "— " (claim.said) } }
            p { "Tried: " (claim.how) }
            table { tbody { @for row in &claim.rows { (line(row)) } } }
            @if let Some(why) = why(claim) { p { "Why: " (why) } }
            p { "Alone:" }
            pre { (claim.repeat) }
        }
    }
}

fn line(row: &Row) -> Markup {
    html! {
        tr {
            td { code { (row.id) } }
            td { (word(row.verdict)) }
            td {
                (row.summary)
                @if !row.evidence.is_empty() {
                    details {
                        summary { "figures" }
                        ul { @for figure in &row.evidence { li { (figure) } } }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Event, Verdict};
    use crate::report::example::row;

    fn thread() -> Thread {
        let rows = [("a", Verdict::Held, "0 pages"), ("b", Verdict::Failed, "3 < 4 | pages")];
        let rows = rows.map(|(id, verdict, summary)| match row(id, verdict, summary) {
            Event::Row(row) => row,
            _ => unreachable!(),
        });
        let claim = |id: &str, came| Tried {
            id: id.into(),
            words: "RAM <is> not | saved".into(),
            said: "A B, Nov. 25, 2011, noon".into(),
            how: "counted".into(),
            came,
            rows: rows.to_vec(),
            why: Some("The loop goes on.".into()),
            repeat: format!("pcram reproduce x --claim {id}"),
        };
        Thread {
            title: "pc: map".into(),
            posted: "A B".into(),
            message_id: "1@example.org".into(),
            facts: vec![Figure::new("base", "v1.0-rc3")],
            claims: vec![claim("saved", Came::HoldsOnlyIf), claim("fast", Came::Holds)],
        }
    }

    #[test]
    fn the_table_names_each_claim_what_came_of_it_and_how_to_repeat_it() {
        insta::assert_snapshot!(markdown(&thread()));
    }

    #[test]
    fn the_page_stands_alone_and_escapes_what_it_is_told() {
        let page = page(&thread());
        assert!(page.contains("RAM &lt;is&gt; not | saved"), "{page}");
        for other in ["<link", "<script", "src=", "http"] {
            assert!(!page.contains(other), "{other} in {page}");
        }
        assert_eq!(page.matches("The loop goes on.").count(), 1);
        assert!(page.contains("pcram reproduce x --claim fast"));
    }
}
