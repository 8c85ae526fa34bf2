//! A unified diff in git's form, as values that print themselves as git prints them.

use std::fmt;

/// What is done to one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileDiff {
    /// The lines from `diff --git` to `+++`, each whole.
    pub header: Vec<String>,
    /// The path before; `None` for a file that is new.
    pub old: Option<String>,
    /// The path after; `None` for a file that is removed.
    pub new: Option<String>,
    /// The blob before, as far as the line `index` tells its id; in hex.
    pub old_id: Option<String>,
    /// The blob after, likewise.
    pub new_id: Option<String>,
    /// What changes in it.
    pub hunks: Vec<Hunk>,
}

/// What stands in a hunk's header.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The first line, from 1; the line before, where there are none.
    pub start: usize,
    /// How many lines.
    pub count: usize,
}

/// One hunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hunk {
    /// Its lines before.
    pub old: Span,
    /// Its lines after.
    pub new: Span,
    /// What stands behind the second `@@`, without the blank before it.
    pub heading: Vec<u8>,
    /// Its lines.
    pub lines: Vec<HunkLine>,
}

/// Whether a line stays, goes, or comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sign {
    /// ` `
    Context,
    /// `-`
    Removed,
    /// `+`
    Added,
}

/// One line of a hunk.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HunkLine {
    /// Its sign.
    pub sign: Sign,
    /// Its text, without the sign and without the newline.
    pub text: Vec<u8>,
    /// Whether the file ends with it, and without a newline.
    pub unfinished: bool,
}

impl Sign {
    /// The character that it is written as.
    pub fn byte(self) -> u8 {
        match self {
            Sign::Context => b' ',
            Sign::Removed => b'-',
            Sign::Added => b'+',
        }
    }
}

impl FileDiff {
    /// The path that people know the file by.
    pub fn path(&self) -> &str {
        self.new.as_deref().or(self.old.as_deref()).unwrap_or_default()
    }

    /// How many lines come, and how many go.
    pub fn counts(&self) -> (usize, usize) {
        let lines = || self.hunks.iter().flat_map(|hunk| &hunk.lines);
        let of = |sign| lines().filter(|line| line.sign == sign).count();
        (of(Sign::Added), of(Sign::Removed))
    }

    /// As git prints it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        for line in &self.header {
            bytes.extend_from_slice(line.as_bytes());
            bytes.push(b'\n');
        }
        for hunk in &self.hunks {
            bytes.extend_from_slice(&hunk.to_bytes());
        }
        bytes
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.count {
            1 => write!(f, "{}", self.start),
            count => write!(f, "{},{count}", self.start),
        }
    }
}

impl Hunk {
    /// As git prints it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = format!("@@ -{} +{} @@", self.old, self.new).into_bytes();
        if !self.heading.is_empty() {
            bytes.push(b' ');
            bytes.extend_from_slice(&self.heading);
        }
        bytes.push(b'\n');
        for line in &self.lines {
            bytes.push(line.sign.byte());
            bytes.extend_from_slice(&line.text);
            bytes.push(b'\n');
            if line.unfinished {
                bytes.extend_from_slice(b"\\ No newline at end of file\n");
            }
        }
        bytes
    }
}

/// A file's text as lines, and whether the last of them has no newline.
pub fn lines_of(text: &[u8]) -> (Vec<&[u8]>, bool) {
    if text.is_empty() {
        return (Vec::new(), false);
    }
    let unfinished = !text.ends_with(b"\n");
    let body = text.strip_suffix(b"\n").unwrap_or(text);
    (body.split(|&byte| byte == b'\n').collect(), unfinished)
}

/// Lines as a file's text.
pub fn text_of<'a>(lines: impl IntoIterator<Item = (&'a [u8], bool)>) -> Vec<u8> {
    let mut text = Vec::new();
    for (line, unfinished) in lines {
        text.extend_from_slice(line);
        if !unfinished {
            text.push(b'\n');
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hunk_prints_as_git_does() {
        let line = |sign, text: &str, unfinished| HunkLine { sign, text: text.into(), unfinished };
        let hunk = Hunk {
            old: Span { start: 3, count: 1 },
            new: Span { start: 3, count: 2 },
            heading: b"int main(void)".to_vec(),
            lines: vec![
                line(Sign::Context, "", false),
                line(Sign::Removed, "\tx", true),
                line(Sign::Added, "y", false),
            ],
        };
        let text = "@@ -3 +3,2 @@ int main(void)\n \n-\tx\n\\ No newline at end of file\n+y\n";
        assert_eq!(String::from_utf8(hunk.to_bytes()).unwrap(), text);
        let bare = Hunk { old: Span { start: 0, count: 0 }, ..Hunk::default() };
        assert_eq!(bare.to_bytes(), b"@@ -0,0 +0,0 @@\n");
    }

    #[test]
    fn a_text_is_its_lines() {
        for (text, count, unfinished) in
            [("", 0, false), ("\n", 1, false), ("a", 1, true), ("a\nb\n", 2, false)]
        {
            let (lines, open) = lines_of(text.as_bytes());
            assert_eq!((lines.len(), open), (count, unfinished), "{text:?}");
            let last = lines.len().saturating_sub(1);
            let again = lines.iter().enumerate().map(|(at, line)| (*line, open && at == last));
            assert_eq!(text_of(again), text.as_bytes());
        }
    }
}
