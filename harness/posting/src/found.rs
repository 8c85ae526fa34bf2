//! Where a diff stands in a text, with its lines as they came.
//!
//! What belongs to a hunk is not decided here: its lines are all that stand before the next header.

use std::sync::LazyLock;

use regex::Regex;

use crate::diff::Span;
use crate::repair::{Refusal, Repair, Why};

/// A line as it came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Its number in the text that it was read from, from 1.
    pub number: usize,
    /// The line, without its end.
    pub text: Vec<u8>,
}

/// A file's part of a diff, with its hunks as they came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// The lines from `diff --git` to `+++`, mended.
    pub header: Vec<String>,
    /// The number of the first of them.
    pub at: usize,
    /// As in [`crate::diff::FileDiff`].
    pub old: Option<String>,
    /// Likewise.
    pub new: Option<String>,
    /// Likewise.
    pub old_id: Option<String>,
    /// Likewise.
    pub new_id: Option<String>,
    /// The hunks.
    pub hunks: Vec<FoundHunk>,
    /// What had to be mended in the header.
    pub repairs: Vec<Repair>,
}

/// A hunk as it came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundHunk {
    /// The number of its header's line.
    pub at: usize,
    /// Its lines before.
    pub old: Span,
    /// Its lines after.
    pub new: Span,
    /// What stands behind the second `@@` in the header's line, as it came.
    pub heading: Vec<u8>,
    /// All lines up to the next header, or to the end.
    pub lines: Vec<Line>,
}

/// The most lines that a header which mail wrapped is put together of.
const WRAPPED: usize = 4;

static HUNK: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^@@ +-(\d{1,9})(?:,(\d{1,9}))? +\+(\d{1,9})(?:,(\d{1,9}))? +@@").expect("is one")
});
static GIT: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r"^diff --git +(\S+) +(\S+)\s*$").expect("is one"));
static INDEX: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"^index +([0-9a-f]{4,64})\.\.([0-9a-f]{4,64})( +[0-7]{6})?\s*$").expect("is one")
});

/// The extended header lines of git-diff(1) that may stand between `diff` and `---`.
const EXTENDED: [&str; 10] = [
    "old mode ",
    "new mode ",
    "deleted file mode ",
    "new file mode ",
    "copy from ",
    "copy to ",
    "rename from ",
    "rename to ",
    "similarity index ",
    "dissimilarity index ",
];

/// Whether a diff begins in `lines` at `at`.
pub fn begins(lines: &[Line], at: usize) -> bool {
    begins_as_git(lines, at) || begins_plainly(lines, at)
}

fn text(lines: &[Line], at: usize) -> &[u8] {
    lines.get(at).map(|line| line.text.as_slice()).unwrap_or_default()
}

fn begins_as_git(lines: &[Line], at: usize) -> bool {
    let text = text(lines, at);
    text.starts_with(b"diff --git ") || text.trim_ascii_end() == b"diff --git"
}

/// A diff without git's own line, which is told from lines that go and come by the hunk behind it.
fn begins_plainly(lines: &[Line], at: usize) -> bool {
    text(lines, at).starts_with(b"--- ")
        && text(lines, at + 1).starts_with(b"+++ ")
        && text(lines, at + 2).starts_with(b"@@ -")
}

/// All files' diffs in `lines`.
///
/// # Errors
/// A header that cannot be read, a binary patch, a path that leads out of the tree.
pub fn find(lines: &[Line]) -> Result<Vec<Found>, Refusal> {
    let mut scan = Scan { lines, at: 0 };
    let mut found = Vec::new();
    while scan.at < lines.len() {
        if begins(lines, scan.at) {
            found.push(scan.file()?);
        } else {
            scan.at += 1;
        }
    }
    Ok(found)
}

/// Whether a hunk's header begins here; it may be wrapped.
fn begins_hunk(text: &str) -> bool {
    static BEGINS: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^@@ +-\d{1,9}(,\d{1,9})?( +\+|\s*$)").expect("is one"));
    text == "@@" || BEGINS.is_match(text)
}

struct Scan<'a> {
    lines: &'a [Line],
    at: usize,
}

impl Scan<'_> {
    fn text(&self) -> String {
        let line = self.lines.get(self.at).map(|line| line.text.as_slice()).unwrap_or_default();
        String::from_utf8_lossy(line).into_owned()
    }

    fn number(&self) -> usize {
        self.lines.get(self.at.min(self.lines.len() - 1)).map_or(0, |line| line.number)
    }

    fn refuse(&self, why: Why) -> Refusal {
        Refusal { line: self.number(), why }
    }

    /// The line here, and, where it is not whole, those that follow and complete it.
    fn whole(&mut self, repairs: &mut Vec<Repair>, whole: impl Fn(&str) -> bool) -> Option<String> {
        let number = self.number();
        let mut text = self.text();
        for more in 0..WRAPPED {
            if whole(&text) {
                if more > 0 {
                    repairs
                        .push(Repair::new(number, "a header that was wrapped is one line again"));
                }
                self.at += more + 1;
                return Some(text);
            }
            let next = self.lines.get(self.at + more + 1)?;
            text = format!("{} {}", text.trim_end(), String::from_utf8_lossy(&next.text).trim());
        }
        None
    }

    fn file(&mut self) -> Result<Found, Refusal> {
        let mut found = Found { at: self.number(), ..Found::default() };
        let mut repairs = Vec::new();
        if begins_as_git(self.lines, self.at) {
            let line = self.whole(&mut repairs, |text| GIT.is_match(text));
            let line = line.ok_or_else(|| self.refuse(Why::Header(self.text())))?;
            let names =
                GIT.captures(&line).ok_or_else(|| self.refuse(Why::Header(line.clone())))?;
            found.old = Some(self.name(&names[1])?);
            found.new = Some(self.name(&names[2])?);
            found.header.push(format!("diff --git {} {}", &names[1], &names[2]));
        }
        self.extended(&mut found)?;
        if self.text().starts_with("--- ") || self.text().trim_end() == "---" {
            self.names(&mut found, &mut repairs)?;
        }
        found.repairs = repairs;
        let as_git = found.header.first().is_some_and(|line| line.starts_with("diff "));
        while let Some(hunk) = self.hunk(as_git, &mut found.repairs)? {
            found.hunks.push(hunk);
        }
        Ok(found)
    }

    fn extended(&mut self, found: &mut Found) -> Result<(), Refusal> {
        loop {
            let text = self.text();
            if text.starts_with("GIT binary patch") || text.starts_with("Binary files ") {
                return Err(self.refuse(Why::Binary));
            }
            if let Some(ids) = INDEX.captures(&text) {
                found.old_id = Some(ids[1].to_owned());
                found.new_id = Some(ids[2].to_owned());
                let mode = ids.get(3).map(|mode| format!(" {}", mode.as_str().trim()));
                let mode = mode.unwrap_or_default();
                self.mode(&mode)?;
                found.header.push(format!("index {}..{}{mode}", &ids[1], &ids[2]));
            } else if EXTENDED.iter().any(|word| text.starts_with(word)) {
                let text = text.trim_end();
                match text.split_once(" mode ") {
                    Some(("new file", mode)) => {
                        found.old = None;
                        self.mode(mode)?;
                    }
                    Some(("deleted file", _)) => found.new = None,
                    Some(("new" | "old", mode)) => self.mode(mode)?,
                    _ => {}
                }
                for word in ["copy from ", "copy to ", "rename from ", "rename to "] {
                    if let Some(path) = text.strip_prefix(word) {
                        self.path(path)?;
                    }
                }
                found.header.push(text.to_owned());
            } else {
                return Ok(());
            }
            self.at += 1;
        }
    }

    fn names(&mut self, found: &mut Found, repairs: &mut Vec<Repair>) -> Result<(), Refusal> {
        let mut name = |this: &mut Self| {
            // Wrapped, the path stands on a line of its own.
            let line = this.whole(repairs, |text| text.split_whitespace().count() > 1);
            line.ok_or_else(|| this.refuse(Why::Header(this.text())))
        };
        let (old, new) = (name(self)?, name(self)?);
        if !old.starts_with("--- ") || !new.starts_with("+++ ") {
            return Err(self.refuse(Why::Header(format!("{old}, {new}"))));
        }
        let path = |line: &str| line[4..].split('\t').next().unwrap_or_default().trim().to_owned();
        let (old, new) = (path(&old), path(&new));
        if !new.starts_with("b/") && new != "/dev/null"
            || !old.starts_with("a/") && old != "/dev/null"
        {
            return Err(self.refuse(Why::Header(format!("--- {old}, +++ {new}"))));
        }
        found.header.push(format!("--- {old}"));
        found.header.push(format!("+++ {new}"));
        found.old = self.side(&old)?;
        found.new = self.side(&new)?;
        Ok(())
    }

    fn side(&self, name: &str) -> Result<Option<String>, Refusal> {
        if name == "/dev/null" { Ok(None) } else { self.name(name).map(Some) }
    }

    /// The path behind git's `a/` or `b/`.
    fn name(&self, name: &str) -> Result<String, Refusal> {
        let path = name.strip_prefix("a/").or_else(|| name.strip_prefix("b/")).unwrap_or(name);
        self.path(path)?;
        Ok(path.to_owned())
    }

    /// A path has to stay in the tree, and out of git's own folder.
    fn path(&self, path: &str) -> Result<(), Refusal> {
        let parts = || path.split('/');
        let leads_out = path.starts_with(['/', '"'])
            || path.contains(['\\', '\0'])
            || parts().any(|part| part.is_empty() || part == "." || part == "..");
        // Names that file systems take for `.git`, as git's own verify_path has them.
        let git = parts().any(|part| {
            let part = part.trim_end_matches([' ', '.']).to_lowercase();
            part == ".git" || part == "git~1" || part.replace('\u{200c}', "") == ".git"
        });
        match (leads_out, git) {
            (false, false) => Ok(()),
            (true, _) => Err(self.refuse(Why::LeadsOut(path.to_owned()))),
            (_, true) => Err(self.refuse(Why::GitFolder(path.to_owned()))),
        }
    }

    /// Regular files alone may be touched.
    fn mode(&self, mode: &str) -> Result<(), Refusal> {
        match mode.trim() {
            "" | "100644" | "100755" => Ok(()),
            mode => Err(self.refuse(Why::Mode(mode.to_owned()))),
        }
    }

    fn hunk(
        &mut self,
        as_git: bool,
        repairs: &mut Vec<Repair>,
    ) -> Result<Option<FoundHunk>, Refusal> {
        // Mail may leave an empty line between two.
        let mut ahead = self.at;
        while self.lines.get(ahead).is_some_and(|line| line.text.is_empty()) {
            ahead += 1;
        }
        if !begins_hunk(&String::from_utf8_lossy(text(self.lines, ahead))) {
            return Ok(None);
        }
        self.at = ahead;
        let at = self.number();
        let line = self.whole(repairs, |text| HUNK.is_match(text));
        let line = line.ok_or_else(|| self.refuse(Why::Header(self.text())))?;
        let numbers = HUNK.captures(&line).ok_or_else(|| self.refuse(Why::Header(line.clone())))?;
        let number = |at: usize, default: usize| {
            numbers.get(at).map_or(default, |text| text.as_str().parse().unwrap_or(default))
        };
        let heading = line.as_bytes()[numbers[0].len()..].to_vec();
        let mut lines = Vec::new();
        while let Some(line) = self.lines.get(self.at) {
            let other_file = begins_as_git(self.lines, self.at)
                || !as_git && begins_plainly(self.lines, self.at);
            if other_file || begins_hunk(&self.text()) {
                break;
            }
            lines.push(line.clone());
            self.at += 1;
        }
        let old = Span { start: number(1, 0), count: number(2, 1) };
        let new = Span { start: number(3, 0), count: number(4, 1) };
        Ok(Some(FoundHunk { at, old, new, heading, lines }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str) -> Vec<Line> {
        let lines = text.lines().enumerate();
        lines.map(|(at, text)| Line { number: at + 1, text: text.into() }).collect()
    }

    fn refused(text: &str) -> String {
        find(&lines(text)).unwrap_err().to_string()
    }

    #[test]
    fn files_and_hunks_are_found_among_prose() {
        let text = "Hello,\n\n---\n x.c | 2 +-\n\ndiff --git a/x.c b/x.c\nindex 0123456..789abcd 100644\n\
                    --- a/x.c\n+++ b/x.c\n@@ -1,2 +1,2 @@  int x\n-a\n+b\n c\n\n@@ -9 +9 @@\n-d\n+e\n\
                    diff --git a/y b/y\nnew file mode 100644\nindex 0000000..1111111\n--- /dev/null\n\
                    +++ b/y\n@@ -0,0 +1 @@\n+y\n-- \n2.1\n";
        let found = find(&lines(text)).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].old.as_deref(), found[0].at), (Some("x.c"), 6));
        assert_eq!(found[0].hunks.len(), 2);
        assert_eq!(found[0].hunks[0].heading, b"  int x");
        assert_eq!(found[0].hunks[0].lines.len(), 4);
        assert_eq!(found[0].hunks[1].new, Span { start: 9, count: 1 });
        assert_eq!((found[1].old.as_deref(), found[1].new.as_deref()), (None, Some("y")));
        assert_eq!(found[1].old_id.as_deref(), Some("0000000"));
        assert_eq!(found[1].hunks[0].lines.len(), 3);
    }

    #[test]
    fn wrapped_headers_are_one_line_again() {
        let text = "diff --git a/some/long/path/x.c\nb/some/long/path/x.c\nindex 0123456..789abcd\n\
                    --- a/some/long/path/x.c\n+++\nb/some/long/path/x.c\n@@ -1,2\n+1,2 @@\n-a\n+b\n c\n";
        let found = find(&lines(text)).unwrap();
        assert_eq!(found[0].header[0], "diff --git a/some/long/path/x.c b/some/long/path/x.c");
        assert_eq!(found[0].header[3], "+++ b/some/long/path/x.c");
        assert_eq!(found[0].hunks[0].lines.len(), 3);
        assert_eq!(found[0].repairs.len(), 3);
    }

    #[test]
    fn what_no_patch_may_do_is_refused() {
        let diff = |path: &str| {
            format!(
                "diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n@@ -1 +1 @@\n-a\n+b\n"
            )
        };
        for path in ["../x", "a/../../x", "/etc/passwd", "a//b", "./x", "a\\b"] {
            assert!(refused(&diff(path)).contains("out of the tree"), "{path}");
        }
        for path in [".git/config", "a/.GIT/x", "git~1/x", ".git./x"] {
            assert!(refused(&diff(path)).contains("git's own folder"), "{path}");
        }
        let link = "diff --git a/x b/x\nnew file mode 120000\nindex 0000000..1234567\n";
        assert!(refused(link).contains("120000"));
        let submodule = "diff --git a/x b/x\nindex 0123456..1234567 160000\n";
        assert!(refused(submodule).contains("160000"));
        let rename = "diff --git a/x b/y\nrename from x\nrename to ../y\n";
        assert!(refused(rename).contains("out of the tree"));
        assert!(refused("diff --git a/x b/x\nGIT binary patch\n").contains("binary"));
        assert!(refused("diff --git a/x\n\n\n\n\n\n").contains("diff --git a/x"));
        assert!(refused("--- x.c\n+++ x.c\n@@ -1 +1 @@\n-a\n+b\n").contains("--- x.c"));
    }
}
