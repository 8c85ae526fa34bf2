//! The letters in a file: an mbox, a raw mail, or a page of a patchwork, as text or as HTML.

use std::sync::LazyLock;

use mail_parser::mailbox::mbox::MessageIterator;
use mail_parser::{Message, MessageParser, MimeHeaders, PartType};
use regex::Regex;

use crate::found::{Line, begins};
use crate::page;

/// The most bytes that are read: a series of hundreds of patches has a few megabytes.
pub const LIMIT: usize = 32 << 20;

/// The most letters in one file.
const LETTERS: usize = 2000;

/// What a file turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Mails one after the other, with `From ` lines between them; `git format-patch` writes one.
    Mbox,
    /// One mail.
    Mail,
    /// A page that a patchwork shows, saved as text.
    Page,
    /// The same, saved as HTML.
    Html,
    /// A diff with nothing around it but prose.
    Diff,
}

/// One letter of a thread.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Letter {
    /// Who wrote it, by name.
    pub name: String,
    /// The writer's address, where it is told.
    pub address: Option<String>,
    /// When: as the mail's header has it, or as the page does.
    pub date: String,
    /// The subject, unfolded.
    pub subject: String,
    /// The message id, without brackets.
    pub id: Option<String>,
    /// The text, line by line.
    pub lines: Vec<Line>,
    /// What reading it had to undo.
    pub undone: Vec<String>,
}

/// Why a file is not read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unreadable {
    /// It is longer than any posting.
    #[error("it has {0} bytes, more than the {LIMIT} that a posting may have")]
    TooLong(usize),
    /// It has more letters than any thread.
    #[error("it has more than {LETTERS} letters")]
    TooMany,
    /// There is no letter in it, and no diff.
    #[error("there is no mail, no patchwork page and no diff in it")]
    Nothing,
}

/// The letters in `bytes`, in their order.
///
/// # Errors
/// Where there is none, or too much.
pub fn read(bytes: &[u8]) -> Result<(Kind, Vec<Letter>), Unreadable> {
    if bytes.len() > LIMIT {
        return Err(Unreadable::TooLong(bytes.len()));
    }
    let kind = kind(bytes).ok_or(Unreadable::Nothing)?;
    let letters = match kind {
        Kind::Mbox => mbox(bytes)?,
        Kind::Mail => vec![mail(bytes, None)],
        Kind::Page => page::read(&text_lines(bytes)),
        Kind::Html => page::read(&text_lines(page::text_of_html(&lossy(bytes)).as_bytes())),
        Kind::Diff => vec![Letter { lines: text_lines(bytes), ..Letter::default() }],
    };
    if letters.is_empty() { Err(Unreadable::Nothing) } else { Ok((kind, letters)) }
}

fn kind(bytes: &[u8]) -> Option<Kind> {
    static HEADER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"(?i)^(from|date|subject|message-id|received|return-path|to|mime-version|delivered-to|x-[a-z0-9-]+):").expect("is one")
    });
    let start = bytes.trim_ascii_start();
    let head = lossy(&start[..start.len().min(4096)]);
    let first = head.lines().next().unwrap_or_default();
    if first.starts_with("From ") && head.lines().nth(1).is_some_and(|line| line.contains(':')) {
        return Some(Kind::Mbox);
    }
    let lower = head.to_lowercase();
    if lower.starts_with("<!doctype html") || lower.contains("<html") {
        return Some(Kind::Html);
    }
    if HEADER.is_match(first) {
        return Some(Kind::Mail);
    }
    let lines = text_lines(bytes);
    if page::is_one(&lines) {
        return Some(Kind::Page);
    }
    (0..lines.len()).any(|at| begins(&lines, at)).then_some(Kind::Diff)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A text's lines, numbered from 1, without their ends, be they LF or CRLF.
pub fn text_lines(text: &[u8]) -> Vec<Line> {
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    let lines = text.split(|&byte| byte == b'\n').enumerate();
    lines
        .map(|(at, line)| Line {
            number: at + 1,
            text: line.strip_suffix(b"\r").unwrap_or(line).to_vec(),
        })
        .collect()
}

fn mbox(bytes: &[u8]) -> Result<Vec<Letter>, Unreadable> {
    let mut letters = Vec::new();
    let mut searched = 0;
    for message in MessageIterator::new(bytes) {
        let Ok(message) = message else { continue };
        if letters.len() == LETTERS {
            return Err(Unreadable::TooMany);
        }
        let contents = message.unwrap_contents();
        // Where it begins in the file: at its own first line, behind the letter before it.
        let first = contents.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let at = find(&bytes[searched..], first).map(|at| at + searched);
        let before = at.map(|at| bytes[..at].iter().filter(|&&byte| byte == b'\n').count());
        searched = at.map_or(searched, |at| (at + contents.len()).min(bytes.len()));
        letters.push(mail(&contents, before));
    }
    Ok(letters)
}

fn find(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes.windows(wanted.len().max(1)).position(|window| window == wanted)
}

/// A mail's letter. `before` is how many lines of the file stand before the mail.
fn mail(bytes: &[u8], before: Option<usize>) -> Letter {
    let Some(message) = MessageParser::default().parse(bytes) else {
        return Letter { lines: text_lines(bytes), ..Letter::default() };
    };
    let from = message.from().and_then(|from| from.first());
    let mut undone = Vec::new();
    let lines = body(&message, bytes, before.unwrap_or(0), &mut undone);
    Letter {
        name: from.and_then(|from| from.name().or(from.address())).unwrap_or_default().to_owned(),
        address: from.and_then(|from| Some(from.address()?.to_owned())),
        date: message.date().map(|date| date.to_rfc822()).unwrap_or_default(),
        subject: message.subject().unwrap_or_default().to_owned(),
        id: message.message_id().map(str::to_owned),
        lines,
        undone,
    }
}

/// The lines of the part that has the diff, or of the first text.
fn body(message: &Message, raw: &[u8], before: usize, undone: &mut Vec<String>) -> Vec<Line> {
    let texts = || {
        message
            .parts
            .iter()
            .filter(|part| matches!(part.body, PartType::Text(_) | PartType::Binary(_)))
    };
    let has_diff = |part: &&mail_parser::MessagePart| {
        let lines = text_lines(part.contents());
        (0..lines.len()).any(|at| begins(&lines, at))
    };
    let Some(part) = texts().find(has_diff).or_else(|| texts().next()) else { return Vec::new() };
    let encoding = part.content_transfer_encoding().unwrap_or("7bit").to_lowercase();
    let encoded = matches!(encoding.as_str(), "quoted-printable" | "base64");
    if encoded {
        undone.push(format!("the text was sent as {encoding}"));
    }
    let contents = part.contents().to_vec();
    let mut lines = text_lines(&contents);
    if contents.windows(2).any(|pair| pair == b"\r\n") {
        undone.push("the lines ended with CR and LF".to_owned());
    }
    if !encoded {
        // Numbered as in the file.
        let start = part.offset_body as usize;
        let above = raw[..start.min(raw.len())].iter().filter(|&&byte| byte == b'\n').count();
        for line in &mut lines {
            line.number += above + before;
        }
    }
    let flowed = part.content_type().is_some_and(|kind| {
        kind.attribute("format").is_some_and(|format| format.eq_ignore_ascii_case("flowed"))
    });
    if flowed {
        let delsp = part.content_type().and_then(|kind| kind.attribute("delsp"));
        let delsp = delsp.is_some_and(|value| value.eq_ignore_ascii_case("yes"));
        unstuff(&mut lines, delsp);
        undone.push("the text was sent as format=flowed (RFC 3676)".to_owned());
    }
    lines
}

/// Takes off what format=flowed puts before lines, and, with DelSp, behind them. Lines stay as they
/// came: which of them are one is told by the hunk and its base, and not by a blank at the end.
fn unstuff(lines: &mut [Line], delsp: bool) {
    for line in lines {
        if line.text.first() == Some(&b' ') {
            line.text.remove(0);
        }
        if delsp && line.text.len() > 1 && line.text.last() == Some(&b' ') {
            line.text.pop();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIFF: &str = "diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n";

    fn texts(letter: &Letter) -> Vec<String> {
        letter.lines.iter().map(|line| lossy(&line.text)).collect()
    }

    #[test]
    fn a_mail_is_read_with_the_numbers_of_its_lines() {
        let mail = format!(
            "From: A B <a@example.org>\nDate: Fri, 25 Nov 2011 14:02:00 -0500\nSubject: [PATCH]\n \
             pc: x\nMessage-ID: <1@example.org>\n\nHello\n\n{DIFF}"
        );
        let (kind, letters) = read(mail.as_bytes()).unwrap();
        assert_eq!(kind, Kind::Mail);
        let letter = &letters[0];
        assert_eq!((&*letter.name, letter.address.as_deref()), ("A B", Some("a@example.org")));
        assert_eq!(
            (&*letter.subject, letter.id.as_deref()),
            ("[PATCH] pc: x", Some("1@example.org"))
        );
        assert_eq!(letter.date, "Fri, 25 Nov 2011 14:02:00 -0500");
        assert_eq!((letter.lines[0].number, &*texts(letter)[0]), (7, "Hello"));
        assert_eq!(texts(letter)[2], "diff --git a/x b/x");
        assert!(letter.undone.is_empty());
    }

    #[test]
    fn encodings_and_line_ends_are_undone_and_told() {
        let mail = "From: a@example.org\r\nContent-Type: text/plain; charset=utf-8\r\n\
                    Content-Transfer-Encoding: quoted-printable\r\n\r\n\
                    diff --git a/x b/x\r\n--- a/x\r\n+++ b/x\r\n@@ -1 +1 @@\r\n-a\r\n+b=3D=\r\nc\r\n";
        let (_, letters) = read(mail.as_bytes()).unwrap();
        assert_eq!(texts(&letters[0])[5], "+b=c");
        assert_eq!(letters[0].undone.len(), 2, "{:?}", letters[0].undone);
        let flowed = format!(
            "From: a@example.org\nContent-Type: text/plain; charset=utf-8; format=flowed\n\n{}",
            DIFF.replace("-a\n", "  c\n-a\n")
        );
        let (_, letters) = read(flowed.as_bytes()).unwrap();
        assert_eq!(texts(&letters[0])[4], " c");
        assert!(letters[0].undone[0].contains("flowed"));
    }

    #[test]
    fn an_mbox_is_its_mails() {
        let one = |n| {
            format!(
                "From x Mon Sep 17 00:00:00 2001\nFrom: a@example.org\nSubject: {n}\n\nText {n}\n>From here\n\n{DIFF}\n"
            )
        };
        let (kind, letters) = read(format!("{}{}", one(1), one(2)).as_bytes()).unwrap();
        assert_eq!((kind, letters.len()), (Kind::Mbox, 2));
        assert_eq!(letters[1].subject, "2");
        assert_eq!(texts(&letters[1])[..2], ["Text 2", "From here"]);
        let file = format!("{}{}", one(1), one(2));
        let number = letters[1].lines[0].number;
        assert_eq!(file.lines().nth(number - 1), Some("Text 2"));
    }

    #[test]
    fn an_attached_patch_is_found() {
        let mail = format!(
            "From: a@example.org\nContent-Type: multipart/mixed; boundary=B\n\n--B\n\
             Content-Type: text/plain\n\nsee there\n--B\nContent-Type: text/x-patch; name=x.patch\n\
             Content-Disposition: attachment; filename=x.patch\n\n{DIFF}--B--\n"
        );
        let (_, letters) = read(mail.as_bytes()).unwrap();
        assert_eq!(texts(&letters[0])[0], "diff --git a/x b/x");
    }

    #[test]
    fn what_is_none_of_these_is_refused() {
        assert_eq!(read(b"nothing\n"), Err(Unreadable::Nothing));
        assert_eq!(read(b""), Err(Unreadable::Nothing));
        let long = vec![b'x'; LIMIT + 1];
        assert_eq!(read(&long), Err(Unreadable::TooLong(LIMIT + 1)));
        let many = "From x y\nSubject: a\n\nb\n\n".repeat(LETTERS + 1);
        assert_eq!(read(many.as_bytes()), Err(Unreadable::TooMany));
        assert_eq!(read(DIFF.as_bytes()).unwrap().0, Kind::Diff);
    }
}
