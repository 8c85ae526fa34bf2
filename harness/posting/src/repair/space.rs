//! What mail does to blanks and tabs, and what a line may have been before.

/// Where tabs stop.
const STOP: usize = 8;

/// What of a line is no white space. Two lines that mail made of one are alike in this.
pub(super) fn squashed(text: &[u8]) -> Vec<u8> {
    text.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect()
}

/// A way in which mail may have changed the white space of all lines alike.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Space {
    /// Not at all.
    AsCame,
    /// Tabs became blanks up to the next stop, at the line's beginning or anywhere; the sign of the
    /// diff's line counted as a column or not.
    Stops { sign: bool, anywhere: bool },
    /// A tab became so many blanks, wherever it stood.
    Flat { width: usize, anywhere: bool },
    /// Each blank became two.
    Doubled,
}

impl Space {
    pub(super) const ALL: [Space; 10] = [
        Space::AsCame,
        Space::Stops { sign: true, anywhere: false },
        Space::Stops { sign: false, anywhere: false },
        Space::Stops { sign: true, anywhere: true },
        Space::Stops { sign: false, anywhere: true },
        Space::Flat { width: 8, anywhere: false },
        Space::Flat { width: 8, anywhere: true },
        Space::Flat { width: 4, anywhere: false },
        Space::Flat { width: 4, anywhere: true },
        Space::Doubled,
    ];

    /// What the line was before that.
    pub(super) fn undone(self, text: &[u8]) -> Vec<u8> {
        match self {
            Space::AsCame => text.to_vec(),
            Space::Stops { sign, anywhere } => tabs_at_stops(text, usize::from(sign), anywhere),
            Space::Flat { width, anywhere } => flat_tabs(text, width, anywhere),
            Space::Doubled => {
                runs(text, |_, run, _| vec![b' '; if run > 1 { run / 2 } else { run }])
            }
        }
    }
}

/// Each run of blanks replaced by what `with` makes of its column, its length, and whether the line
/// begins with it.
fn runs(text: &[u8], with: impl Fn(usize, usize, bool) -> Vec<u8>) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len());
    let (mut at, mut column) = (0, 0);
    while at < text.len() {
        let run = text[at..].iter().take_while(|&&byte| byte == b' ').count();
        if run > 0 {
            out.extend(with(column, run, at == 0));
            at += run;
            column += run;
        } else {
            column = match text[at] {
                b'\t' => (column / STOP + 1) * STOP,
                _ => column + 1,
            };
            out.push(text[at]);
            at += 1;
        }
    }
    out
}

fn tabs_at_stops(text: &[u8], before: usize, anywhere: bool) -> Vec<u8> {
    runs(text, |column, run, first| {
        let (from, to) = (column + before, column + before + run);
        let tabs = to / STOP - from / STOP;
        if tabs == 0 || !(first || anywhere) || run == 1 {
            return vec![b' '; run];
        }
        [vec![b'\t'; tabs], vec![b' '; to % STOP]].concat()
    })
}

fn flat_tabs(text: &[u8], width: usize, anywhere: bool) -> Vec<u8> {
    runs(text, |_, run, first| match first || anywhere {
        true => [vec![b'\t'; run / width], vec![b' '; run % width]].concat(),
        false => vec![b' '; run],
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn undone(space: Space, text: &str) -> String {
        String::from_utf8(space.undone(text.as_bytes())).unwrap()
    }

    #[test]
    fn tabs_come_back_as_they_went() {
        let stops = |sign, anywhere| Space::Stops { sign, anywhere };
        assert_eq!(undone(stops(true, false), "       x        y"), "\tx        y");
        assert_eq!(undone(stops(false, false), "        x  y"), "\tx  y");
        assert_eq!(undone(stops(false, false), "          x"), "\t  x");
        assert_eq!(undone(stops(false, true), "#def X  1"), "#def X\t1");
        assert_eq!(undone(stops(false, true), "1234567 x"), "1234567 x");
        let flat = |width, anywhere| Space::Flat { width, anywhere };
        assert_eq!(undone(flat(4, false), "     x    y"), "\t x    y");
        assert_eq!(undone(flat(8, true), "a        b"), "a\tb");
        assert_eq!(undone(Space::Doubled, "  a  b c"), " a b c");
        assert_eq!(undone(Space::AsCame, "   a"), "   a");
    }

    #[test]
    fn a_line_is_known_by_what_is_no_white_space() {
        assert_eq!(squashed(b"\tint  x;\r"), b"intx;");
    }
}
