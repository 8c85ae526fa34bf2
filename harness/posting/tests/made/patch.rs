//! A random patch: files before and after, and git's diff between them.

use super::damage::chance;
use pcram_posting::blob_id;
use pcram_posting::diff::{FileDiff, Hunk, HunkLine, Sign, Span, lines_of, text_of};
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::Rng;

/// One file, before and after.
pub struct MadeFile {
    pub before: Option<Vec<u8>>,
    pub after: Option<Vec<u8>>,
    pub diff: FileDiff,
}

/// A patch.
pub struct Made {
    pub files: Vec<MadeFile>,
}

pub fn below(rng: &mut ChaCha8Rng, limit: usize) -> usize {
    (rng.next_u32() as usize) % limit.max(1)
}

impl Made {
    pub fn new(rng: &mut ChaCha8Rng) -> Made {
        let count = 1 + below(rng, 3);
        Made { files: (0..count).map(|at| file(rng, at)).collect() }
    }
}

/// A line as C has them, of any length; with tabs where `tabs` says so.
fn line(rng: &mut ChaCha8Rng, tabs: bool) -> Vec<u8> {
    const WORDS: [&str; 24] = [
        "int",
        "return",
        "if (block->host)",
        "ram_addr_t",
        "{",
        "}",
        "x",
        "=",
        "fprintf(stderr,",
        "\"%s has %lu bytes.\\n\"",
        "/* why */",
        "From here",
        "--",
        "++",
        "@@",
        "qemu_ram_alloc",
        "0;",
        ">",
        "&block,",
        "size_t",
        "while (1)",
        "#define",
        "\\",
        "const char *name,",
    ];
    let mut text = String::new();
    match below(rng, 8) {
        0 => return Vec::new(),
        1 => {}
        depth if tabs => text += &"\t".repeat(depth % 4),
        depth => text += &"    ".repeat(depth % 5),
    }
    if chance(rng, 10) {
        text += "  ";
    }
    for _ in 0..1 + below(rng, 9) {
        text += WORDS[below(rng, WORDS.len())];
        text += match below(rng, 12) {
            0 if tabs => "\t",
            1 => "  ",
            _ => " ",
        };
    }
    text.trim_end().to_owned().into_bytes()
}

fn text(rng: &mut ChaCha8Rng, lines: usize, tabs: bool) -> Vec<u8> {
    let lines: Vec<_> = (0..lines).map(|_| line(rng, tabs)).collect();
    let unfinished = chance(rng, 6) && lines.last().is_some_and(|line| !line.is_empty());
    let last = lines.len().saturating_sub(1);
    text_of(lines.iter().enumerate().map(|(at, line)| (&line[..], unfinished && at == last)))
}

fn file(rng: &mut ChaCha8Rng, number: usize) -> MadeFile {
    let name = match below(rng, 4) {
        0 => format!("a-rather-long-name-of-a-file-in-the-tree-of-an-emulator-{number}.c"),
        _ => format!("x{number}.c"),
    };
    let tabs = chance(rng, 3);
    let count = 1 + below(rng, 80);
    match below(rng, 12) {
        0 => {
            let after = text(rng, 1 + count / 4, tabs);
            made(&name, None, Some(after), vec![(0, 0, usize::MAX)])
        }
        1 => {
            let before = text(rng, 1 + count / 4, tabs);
            let lines = lines_of(&before).0.len();
            made(&name, Some(before), None, vec![(0, lines, 0)])
        }
        _ => changed(rng, &name, count, tabs),
    }
}

/// A place in the file before, how many lines go there, and how many come.
type Edit = (usize, usize, usize);

fn changed(rng: &mut ChaCha8Rng, name: &str, count: usize, tabs: bool) -> MadeFile {
    let before = text(rng, count, tabs);
    let (lines, unfinished) = lines_of(&before);
    let mut edits: Vec<Edit> = Vec::new();
    let mut after: Vec<(Vec<u8>, bool)> = Vec::new();
    let mut at = 0;
    let open = |at: usize| unfinished && at + 1 == lines.len();
    while at < lines.len() {
        let keep = below(rng, 25).min(lines.len() - at);
        after.extend((at..at + keep).map(|at| (lines[at].to_vec(), open(at))));
        at += keep;
        let gone = below(rng, 4).min(lines.len() - at);
        // What comes behind a line without a newline would be a change of that line.
        let behind_open = gone == 0 && at == lines.len() && unfinished;
        let come = if behind_open { 0 } else { below(rng, 6) };
        if gone + come == 0 {
            continue;
        }
        edits.push((at, gone, come));
        at += gone;
        after.extend((0..come).map(|_| (line(rng, tabs), false)));
    }
    if edits.is_empty() {
        edits.push((0, 0, 1));
        after.insert(0, (b"int first;".to_vec(), false));
    }
    let after = text_of(after.iter().map(|(line, open)| (&line[..], *open)));
    made(name, Some(before), Some(after), edits)
}

fn made(name: &str, before: Option<Vec<u8>>, after: Option<Vec<u8>>, edits: Vec<Edit>) -> MadeFile {
    let id = |text: &Option<Vec<u8>>| match text {
        Some(text) => blob_id(text)[..7].to_owned(),
        None => "0000000".to_owned(),
    };
    let (old_id, new_id) = (id(&before), id(&after));
    let mut header = vec![format!("diff --git a/{name} b/{name}")];
    let mode = match (&before, &after) {
        (None, _) => {
            header.push("new file mode 100644".to_owned());
            ""
        }
        (_, None) => {
            header.push("deleted file mode 100644".to_owned());
            ""
        }
        _ => " 100644",
    };
    header.push(format!("index {old_id}..{new_id}{mode}"));
    let side = |text: &Option<Vec<u8>>, letter| match text {
        Some(_) => format!("{letter}/{name}"),
        None => "/dev/null".to_owned(),
    };
    header.push(format!("--- {}", side(&before, "a")));
    header.push(format!("+++ {}", side(&after, "b")));
    let hunks =
        hunks(before.as_deref().unwrap_or_default(), after.as_deref().unwrap_or_default(), &edits);
    let named = |text: &Option<Vec<u8>>| text.as_ref().map(|_| name.to_owned());
    let (old, new) = (named(&before), named(&after));
    let diff = FileDiff { header, old, new, old_id: Some(old_id), new_id: Some(new_id), hunks };
    MadeFile { before, after, diff }
}

/// The hunks, with three lines of context, as git makes them.
fn hunks(before: &[u8], after: &[u8], edits: &[Edit]) -> Vec<Hunk> {
    let ((old, old_open), (new, new_open)) = (lines_of(before), lines_of(after));
    let mut hunks: Vec<Hunk> = Vec::new();
    // Where the hunk under way ends, in the file before, without its last context.
    let mut end = 0;
    let mut shift = 0_isize;
    let context = |at: usize| HunkLine {
        sign: Sign::Context,
        text: old[at].to_vec(),
        unfinished: old_open && at + 1 == old.len(),
    };
    for &(at, gone, come) in edits {
        let come = if come == usize::MAX { new.len() } else { come };
        let near = hunks.last().is_some() && at <= end + 6;
        if near {
            let hunk = hunks.last_mut().unwrap();
            hunk.lines.extend((end..at).map(context));
        } else {
            finish(&mut hunks, end, &old, context);
            let from = at.saturating_sub(3);
            let starts = |line: &&&[u8]| {
                line.first().is_some_and(|it| it.is_ascii_alphabetic() || *it == b'_')
            };
            let heading = old[..from]
                .iter()
                .rev()
                .find(starts)
                .map(|line| line[..line.len().min(80)].trim_ascii_end().to_vec());
            hunks.push(Hunk {
                old: Span { start: from + 1, count: 0 },
                new: Span { start: (from as isize + shift) as usize + 1, count: 0 },
                heading: heading.unwrap_or_default(),
                lines: (from..at).map(context).collect(),
            });
        }
        let hunk = hunks.last_mut().unwrap();
        hunk.lines
            .extend((at..at + gone).map(|at| HunkLine { sign: Sign::Removed, ..context(at) }));
        let first = (at as isize + shift) as usize;
        hunk.lines.extend((first..first + come).map(|at| HunkLine {
            sign: Sign::Added,
            text: new[at].to_vec(),
            unfinished: new_open && at + 1 == new.len(),
        }));
        end = at + gone;
        shift += come as isize - gone as isize;
    }
    finish(&mut hunks, end, &old, context);
    hunks
}

fn finish(hunks: &mut [Hunk], end: usize, old: &[&[u8]], context: impl Fn(usize) -> HunkLine) {
    let Some(hunk) = hunks.last_mut() else { return };
    hunk.lines.extend((end..old.len().min(end + 3)).map(context));
    let count =
        |signs: [Sign; 2]| hunk.lines.iter().filter(|line| signs.contains(&line.sign)).count();
    let (old, new) = (count([Sign::Context, Sign::Removed]), count([Sign::Context, Sign::Added]));
    for (span, count) in [(&mut hunk.old, old), (&mut hunk.new, new)] {
        span.count = count;
        if count == 0 {
            span.start -= 1;
        }
    }
}
