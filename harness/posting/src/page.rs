//! A patchwork's page: what it says of the posting, the comments, and the patch.

use std::sync::LazyLock;

use regex::Regex;
use scraper::{ElementRef, Html, Node};

use crate::found::{Line, begins};
use crate::letter::Letter;

/// `Name - Nov. 25, 2011, 7:02 p.m.`, and the like of later patchworks.
static HEAD: LazyLock<Regex> = LazyLock::new(|| {
    let date = r"[A-Z][a-z]{2,8}\.? \d{1,2}, \d{4}, (?:\d{1,2}(?::\d\d)? [ap]\.m\.|noon|midnight)(?: UTC)?";
    Regex::new(&format!(r"^(.{{1,80}}?)(?: -)? ({date})(?: \| #\d+)?$")).expect("is one")
});

/// Whether these are the lines of such a page.
pub(crate) fn is_one(lines: &[Line]) -> bool {
    let has = |word: &str| lines.iter().take(60).any(|line| text(line).starts_with(word));
    has("Submitter") && has("Message ID") && lines.iter().any(|line| text(line).trim() == "Patch")
}

fn text(line: &Line) -> String {
    String::from_utf8_lossy(&line.text).into_owned()
}

/// The letters on a page: the posting, with its patch, and then the comments.
pub(crate) fn read(lines: &[Line]) -> Vec<Letter> {
    let value = |word: &str| {
        let mut lines = lines.iter().take(60).map(text);
        let found = lines.find_map(|line| Some(line.strip_prefix(word)?.trim().to_owned()));
        found.unwrap_or_default()
    };
    let patch = lines.iter().rposition(|line| text(line).trim() == "Patch").unwrap_or(lines.len());
    let patch = (patch..lines.len()).find(|&at| begins(lines, at)).unwrap_or(lines.len());
    // Among what the page tells of the posting is its date, too.
    let is_head = |line: &str| HEAD.is_match(line) && !line.starts_with("Date");
    let heads: Vec<usize> = (0..patch).filter(|&at| is_head(&text(&lines[at]))).collect();
    let mut letters = Vec::new();
    for (at, &head) in heads.iter().enumerate() {
        let end = heads.get(at + 1).copied().unwrap_or(patch);
        let line = text(&lines[head]);
        let Some(parts) = HEAD.captures(&line) else { continue };
        letters.push(Letter {
            name: parts[1].to_owned(),
            date: parts[2].to_owned(),
            lines: without_heading(&lines[head + 1..end]).to_vec(),
            ..Letter::default()
        });
    }
    if letters.is_empty() {
        letters.push(Letter { name: value("Submitter"), date: value("Date"), ..Letter::default() });
    }
    let id = value("Message ID");
    let id = id.split(['<', '>']).nth(1).unwrap_or(id.as_str());
    letters[0].id = Some(id.to_owned()).filter(|id| !id.is_empty());
    letters[0].subject = title(lines);
    letters[0].lines.extend_from_slice(&lines[patch..]);
    letters
}

/// The comment, without the page's own heading `Patch` behind the last one.
fn without_heading(lines: &[Line]) -> &[Line] {
    let end = lines.iter().rposition(|line| !line.text.trim_ascii().is_empty());
    match end {
        Some(end) if text(&lines[end]).trim() == "Patch" => &lines[..end],
        _ => lines,
    }
}

/// The page's first line, which is the site's name and the patch's subject.
fn title(lines: &[Line]) -> String {
    let first = lines.iter().map(text).find(|line| !line.trim().is_empty()).unwrap_or_default();
    first.trim().trim_start_matches("Patchwork ").trim().to_owned()
}

/// An HTML page's text, with the lines that its blocks make.
pub(crate) fn text_of_html(html: &str) -> String {
    let mut out = String::new();
    write(Html::parse_document(html).root_element(), false, &mut out);
    out
}

fn write(element: ElementRef, preformatted: bool, out: &mut String) {
    let name = element.value().name();
    if matches!(name, "script" | "style" | "head" | "button" | "svg") {
        return;
    }
    let block = matches!(
        name,
        "p" | "div"
            | "pre"
            | "tr"
            | "table"
            | "ul"
            | "li"
            | "h1"
            | "h2"
            | "h3"
            | "h4"
            | "br"
            | "form"
            | "body"
    );
    let preformatted = preformatted || name == "pre";
    let fresh = |out: &mut String| {
        if block && !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
    };
    fresh(out);
    for child in element.children() {
        match child.value() {
            Node::Text(text) if preformatted => out.push_str(text),
            Node::Text(text) => {
                for word in text.split_whitespace() {
                    if !out.is_empty() && !out.ends_with([' ', '\n']) {
                        out.push(' ');
                    }
                    out.push_str(word);
                }
            }
            _ => {
                if let Some(child) = ElementRef::wrap(child) {
                    write(child, preformatted, out);
                }
            }
        }
    }
    fresh(out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::letter::{Kind, read};

    const PAGE: &str = "Patchwork pc: x\n\nlogin\nSubmitter A B\nDate Nov. 25, 2011, 7:02 p.m.\n\
        Message ID <1@example.org>\nState New\n\nComments\n\nA B - Nov. 25, 2011, 7:02 p.m.\nText.\n\n\
        C D - Nov. 27, 2011, noon\n> Text.\n\nNo.\n\nPatch\n\ndiff --git a/x b/x\n--- a/x\n+++ b/x\n\
        @@ -1 +1 @@\n-a\n+b\n";

    fn check(page: &str, expected: Kind) {
        let (kind, letters) = read(page.as_bytes()).unwrap();
        assert_eq!((kind, letters.len()), (expected, 2));
        assert_eq!((&*letters[0].name, &*letters[1].name), ("A B", "C D"));
        assert_eq!(letters[1].date, "Nov. 27, 2011, noon");
        assert_eq!(letters[0].id.as_deref(), Some("1@example.org"));
        assert_eq!(letters[0].subject, "pc: x");
        let lines: Vec<_> = letters[0].lines.iter().map(text).collect();
        assert_eq!((&*lines[0], lines.last().unwrap().as_str()), ("Text.", "+b"));
        assert!(lines.contains(&"diff --git a/x b/x".to_owned()));
        assert!(!letters[1].lines.iter().any(|line| text(line) == "Patch"));
    }

    #[test]
    fn a_page_saved_as_text_has_its_posting_and_comments() {
        check(PAGE, Kind::Page);
    }

    #[test]
    fn a_page_saved_as_html_has_the_same() {
        let html = "<!DOCTYPE html><html><head><title>x</title></head><body><h1>Patchwork pc: x</h1>\
            <table><tr><th>Submitter</th><td>A B</td></tr><tr><th>Date</th><td>Nov. 25, 2011, 7:02 p.m.\
            </td></tr><tr><th>Message ID</th><td>&lt;1@example.org&gt;</td></tr></table><h2>Comments</h2>\
            <div class=meta>A B - Nov. 25, 2011, 7:02 p.m.</div><pre class=content>Text.\n</pre>\
            <div class=meta>C D - Nov. 27, 2011, noon</div><pre>No.</pre><h2>Patch</h2>\
            <div><pre class=content><span>diff --git a/x b/x</span>\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n\
            <span>-a</span>\n+b</pre></div></body></html>";
        check(html, Kind::Html);
    }
}
