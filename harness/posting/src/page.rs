//! A patchwork's page: what it says of the posting, the comments, and the patch.

use std::cell::{Cell, RefCell};
use std::sync::LazyLock;

use html5ever::tokenizer::{
    BufferQueue, Tag, TagKind, Token, TokenSink, TokenSinkResult, Tokenizer, TokenizerOpts,
};
use regex::Regex;

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
    let tokenizer = Tokenizer::new(Text::default(), TokenizerOpts::default());
    let input = BufferQueue::default();
    input.push_back(html.into());
    // No script is run that could ask for a pause.
    let _ = tokenizer.feed(&input);
    tokenizer.end();
    tokenizer.sink.out.take()
}

/// Elements whose text nobody sees.
const UNSEEN: [&str; 6] = ["script", "style", "head", "button", "svg", "title"];

/// Elements that stand on lines of their own.
const BLOCKS: [&str; 13] =
    ["p", "div", "pre", "tr", "table", "ul", "li", "h1", "h2", "h3", "br", "form", "body"];

/// The text of the tags that went by.
#[derive(Default)]
struct Text {
    out: RefCell<String>,
    /// How many unseen elements are open.
    unseen: Cell<usize>,
    /// How many elements are open whose text stands as it is.
    preformatted: Cell<usize>,
    /// Whether what comes next stands apart from what is there; an entity does not.
    apart: Cell<bool>,
}

impl Text {
    fn fresh_line(&self) {
        let mut out = self.out.borrow_mut();
        if !out.is_empty() && !out.ends_with('\n') {
            out.push('\n');
        }
    }

    fn write(&self, text: &str) {
        let mut out = self.out.borrow_mut();
        match (self.unseen.get(), self.preformatted.get()) {
            (0, 0) => {
                for each in text.chars() {
                    if each.is_whitespace() {
                        self.apart.set(true);
                        continue;
                    }
                    if self.apart.take() && !out.is_empty() && !out.ends_with([' ', '\n']) {
                        out.push(' ');
                    }
                    out.push(each);
                }
            }
            (0, _) => out.push_str(text),
            _ => {}
        }
    }

    fn tag(&self, tag: &Tag) {
        let name = &*tag.name;
        self.apart.set(true);
        let counted = |count: &Cell<usize>| match tag.kind {
            TagKind::StartTag => count.set(count.get() + 1),
            TagKind::EndTag => count.set(count.get().saturating_sub(1)),
        };
        if UNSEEN.contains(&name) {
            counted(&self.unseen);
        }
        if name == "pre" {
            counted(&self.preformatted);
        }
        if BLOCKS.contains(&name) {
            self.fresh_line();
        }
    }
}

impl TokenSink for Text {
    type Handle = ();

    fn process_token(&self, token: Token, _line: u64) -> TokenSinkResult<()> {
        match token {
            Token::CharacterTokens(text) => self.write(&text),
            Token::TagToken(tag) => self.tag(&tag),
            _ => {}
        }
        TokenSinkResult::Continue
    }
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
