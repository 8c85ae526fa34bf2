//! What mail does to a patch, kind by kind and in any combination.

use super::patch::{Made, below};
use rand_chacha::ChaCha8Rng;
use std::fmt;

/// One kind of damage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// Long lines are broken at a blank, which is gone.
    Wrapped,
    /// The same, the blank stays at the line's end.
    WrappedBehindBlank,
    /// White space at the ends of lines is gone, and so the sign of empty lines of context.
    Trimmed,
    /// Lines of context lose the blank that is their sign.
    LostBlanks,
    /// Lines lose all white space that they begin with.
    LostIndent,
    /// The blank behind a hunk's second `@@` is doubled.
    DoubledInHeader,
    /// Lines that begin with a blank have another one.
    DoubledBlanks,
    /// Tabs are blanks up to the next stop.
    TabsToStops,
    /// Tabs are eight blanks.
    TabsToEight,
    /// Tabs are four blanks.
    TabsToFour,
    /// Sent as format=flowed.
    Flowed,
    /// Sent as quoted-printable.
    QuotedPrintable,
    /// Lines end with CR and LF.
    CrLf,
    /// `From ` at the beginning of a line is `>From `.
    EscapedFrom,
    /// There is other text before and behind.
    Prose,
}

impl Kind {
    pub const ALL: [Kind; 15] = [
        Kind::Wrapped,
        Kind::WrappedBehindBlank,
        Kind::Trimmed,
        Kind::LostBlanks,
        Kind::LostIndent,
        Kind::DoubledInHeader,
        Kind::DoubledBlanks,
        Kind::TabsToStops,
        Kind::TabsToEight,
        Kind::TabsToFour,
        Kind::Flowed,
        Kind::QuotedPrintable,
        Kind::CrLf,
        Kind::EscapedFrom,
        Kind::Prose,
    ];

    /// How many of 200 patches with this damage alone have to be repaired at least; the rest lost
    /// what nothing brings back.
    pub fn repaired_of_200(self) -> usize {
        match self {
            Kind::Wrapped | Kind::WrappedBehindBlank => 150,
            Kind::TabsToStops | Kind::TabsToEight | Kind::TabsToFour => 130,
            Kind::LostBlanks | Kind::LostIndent => 180,
            _ => 195,
        }
    }
}

/// Some kinds at once.
pub struct Damage {
    kinds: Vec<Kind>,
    width: usize,
    sign_counts: bool,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} at {}", self.kinds, self.width)
    }
}

pub fn chance(rng: &mut ChaCha8Rng, one_in: usize) -> bool {
    below(rng, one_in) == 0
}

impl Damage {
    pub fn of(kinds: &[Kind], rng: &mut ChaCha8Rng) -> Damage {
        let width = 60 + below(rng, 20);
        Damage { kinds: kinds.to_vec(), width, sign_counts: chance(rng, 2) }
    }

    pub fn any(rng: &mut ChaCha8Rng) -> Damage {
        let mut kinds: Vec<_> =
            (0..1 + below(rng, 4)).map(|_| Kind::ALL[below(rng, Kind::ALL.len())]).collect();
        kinds.sort();
        kinds.dedup();
        Damage::of(&kinds, rng)
    }

    /// Whether it may change a line without a trace in the line's sign and the hunk's counts.
    pub fn hides(&self) -> bool {
        self.kinds.iter().any(|kind| {
            matches!(
                kind,
                Kind::Trimmed
                    | Kind::DoubledBlanks
                    | Kind::LostBlanks
                    | Kind::LostIndent
                    | Kind::EscapedFrom
                    | Kind::TabsToStops
                    | Kind::TabsToEight
                    | Kind::TabsToFour
            )
        })
    }

    fn has(&self, kind: Kind) -> bool {
        self.kinds.contains(&kind)
    }

    /// The patch as a mail, damaged.
    pub fn mail(&self, made: &Made) -> Vec<u8> {
        let mut lines: Vec<String> = Vec::new();
        for file in &made.files {
            let text = String::from_utf8(file.diff.to_bytes()).unwrap();
            lines.extend(text.lines().map(str::to_owned));
        }
        for kind in &self.kinds {
            lines = lines.iter().flat_map(|line| self.line(*kind, line)).collect();
        }
        if self.has(Kind::Prose) {
            let before =
                ["Hello,", "", "this is what we use; - and + it works.", "---", " x.c |  2 +-", ""];
            lines.splice(..0, before.map(str::to_owned));
            lines.extend(["-- ", "2.39.2", "", "- one", "+ two", " three"].map(str::to_owned));
        }
        let mut headers =
            vec!["From: A B <a@example.org>".to_owned(), "Subject: [PATCH] x".to_owned()];
        let flowed = if self.has(Kind::Flowed) { "; format=flowed" } else { "" };
        headers.push(format!("Content-Type: text/plain; charset=us-ascii{flowed}"));
        if self.has(Kind::QuotedPrintable) {
            headers.push("Content-Transfer-Encoding: quoted-printable".to_owned());
            lines = lines.iter().flat_map(|line| quoted(line)).collect();
        }
        headers.push(String::new());
        let end = if self.has(Kind::CrLf) { "\r\n" } else { "\n" };
        headers
            .iter()
            .chain(&lines)
            .map(|line| format!("{line}{end}"))
            .collect::<String>()
            .into_bytes()
    }

    /// A line as this kind of damage leaves it.
    fn line(&self, kind: Kind, line: &str) -> Vec<String> {
        let one = |line: String| vec![line];
        let in_hunk = line.starts_with([' ', '+', '-'])
            && !line.starts_with("--- ")
            && !line.starts_with("+++ ");
        match kind {
            Kind::Wrapped => wrapped(line, self.width, false),
            Kind::WrappedBehindBlank => wrapped(line, self.width, true),
            Kind::Trimmed => one(line.trim_end().to_owned()),
            Kind::LostBlanks => one(line.strip_prefix(' ').unwrap_or(line).to_owned()),
            Kind::LostIndent => one(line.trim_start().to_owned()),
            Kind::DoubledInHeader if line.starts_with("@@ -") => {
                one(line.replacen(" @@ ", " @@  ", 1))
            }
            Kind::DoubledBlanks | Kind::Flowed if line.starts_with(' ') => one(format!(" {line}")),
            Kind::TabsToStops if in_hunk => one(to_stops(line, self.sign_counts)),
            Kind::TabsToEight => one(line.replace('\t', "        ")),
            Kind::TabsToFour => one(line.replace('\t', "    ")),
            Kind::EscapedFrom if line.starts_with("From ") => one(format!(">{line}")),
            _ => one(line.to_owned()),
        }
    }
}

fn wrapped(line: &str, width: usize, keep: bool) -> Vec<String> {
    let mut rest = line;
    let mut lines = Vec::new();
    while rest.len() > width {
        // Not at what the line begins with: what is broken there would not be a wrapped line.
        let begins = rest.len() - rest.trim_start_matches([' ', '+', '-', '\t']).len();
        let Some(at) = rest[..width].rfind(' ').filter(|&at| at > begins) else { break };
        lines.push(rest[..at + usize::from(keep)].to_owned());
        rest = &rest[at + 1..];
    }
    lines.push(rest.to_owned());
    lines
}

fn to_stops(line: &str, sign_counts: bool) -> String {
    let (sign, text) = line.split_at(1);
    let mut out = String::from(sign);
    let before = usize::from(!sign_counts);
    for each in text.chars() {
        if each == '\t' {
            let column = out.len() - before;
            out += &" ".repeat(8 - column % 8);
        } else {
            out.push(each);
        }
    }
    out
}

/// Quoted-printable, with soft line breaks.
fn quoted(line: &str) -> Vec<String> {
    let mut out = String::new();
    for (at, byte) in line.bytes().enumerate() {
        match byte {
            b'=' => out += "=3D",
            b' ' | b'\t' if at + 1 == line.len() => out += &format!("={byte:02X}"),
            byte => out.push(char::from(byte)),
        }
    }
    let mut lines = Vec::new();
    while out.len() > 76 {
        let mut at = 72;
        while out[..at].ends_with('=') || out[..at - 1].ends_with('=') {
            at -= 1;
        }
        lines.push(format!("{}=", &out[..at]));
        out = out[at..].to_owned();
    }
    lines.push(out);
    lines
}
