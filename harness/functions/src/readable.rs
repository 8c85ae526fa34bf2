//! A C file as the grammar can read it: what only the preprocessor knows is written out, byte for byte
//! as long, so that whatever is found lies in the file itself at the same place.

/// What is defined where the functions are compiled, of what their conditions ask for.
const DEFINED: [&str; 2] = ["__linux__", "CONFIG_LINUX"];
/// What is not.
const UNDEFINED: [&str; 5] = ["TARGET_S390X", "CONFIG_KVM", "_WIN32", "CONFIG_LIBPMEM", "NDEBUG"];

/// The file without the branches that are not compiled, and without macros that are no C.
pub fn readable(text: &str) -> String {
    without_macros(&without_branches(text))
}

/// Blanks conditions that can be decided here, and what they leave out. Others stay.
fn without_branches(text: &str) -> String {
    /// A condition that is open: of those that are decided, whether it holds here.
    #[derive(Clone, Copy, PartialEq)]
    enum Open {
        Undecided,
        Holds,
        Not,
    }
    let mut open = Vec::new();
    let mut readable = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let directive = line.trim_start().strip_prefix('#').map(str::trim_start).unwrap_or("");
        let (word, condition) = directive.split_once([' ', '\n']).unwrap_or((directive, ""));
        let mut blank = open.contains(&Open::Not);
        match word {
            "if" | "ifdef" | "ifndef" => {
                let holds = match word {
                    "if" => Condition { rest: condition }.whole(),
                    _ => known(condition.trim()).map(|it| it == (word == "ifdef")),
                };
                open.push(match holds {
                    // What is written over several lines is not read.
                    None => Open::Undecided,
                    Some(true) => Open::Holds,
                    Some(false) => Open::Not,
                });
                blank |= holds.is_some();
            }
            "else" => {
                if let Some(last @ (Open::Holds | Open::Not)) = open.last_mut() {
                    *last = if *last == Open::Holds { Open::Not } else { Open::Holds };
                    blank = true;
                }
            }
            "endif" => {
                let last = open.pop();
                blank = last.is_some_and(|it| it != Open::Undecided) || open.contains(&Open::Not);
            }
            _ => {}
        }
        match blank {
            true => readable.extend(line.bytes().map(|it| if it == b'\n' { '\n' } else { ' ' })),
            false => readable.push_str(line),
        }
    }
    readable
}

fn known(name: &str) -> Option<bool> {
    let defined = DEFINED.contains(&name);
    (defined || UNDEFINED.contains(&name)).then_some(defined)
}

/// A condition of `defined`, `!`, `&&`, `||` and brackets; anything else is not decided.
struct Condition<'a> {
    rest: &'a str,
}

impl Condition<'_> {
    fn whole(mut self) -> Option<bool> {
        let holds = self.any()?;
        self.rest.trim().is_empty().then_some(holds)
    }

    fn any(&mut self) -> Option<bool> {
        let mut holds = self.all()?;
        while self.skip("||") {
            holds |= self.all()?;
        }
        Some(holds)
    }

    fn all(&mut self) -> Option<bool> {
        let mut holds = self.one()?;
        while self.skip("&&") {
            holds &= self.one()?;
        }
        Some(holds)
    }

    fn one(&mut self) -> Option<bool> {
        if self.skip("!") {
            return Some(!self.one()?);
        }
        if self.skip("defined") {
            let bracket = self.skip("(");
            let rest = self.rest.trim_start();
            let end = rest.find(|it: char| !it.is_ascii_alphanumeric() && it != '_');
            let (name, rest) = rest.split_at(end.unwrap_or(rest.len()));
            self.rest = rest;
            return known(name).filter(|_| !bracket || self.skip(")"));
        }
        let holds = self.skip("(").then(|| self.any())??;
        self.skip(")").then_some(holds)
    }

    fn skip(&mut self, word: &str) -> bool {
        match self.rest.trim_start().strip_prefix(word) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }
}

/// Macros that stand for control flow or for a type, written as what they are: to the grammar,
/// `QLIST_FOREACH(a, b, c) { … }` is a call without a semicolon.
fn without_macros(text: &str) -> String {
    let mut readable = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(|byte: char| byte.is_ascii_alphabetic() || byte == '_') {
        let word = &rest[at..];
        let end = word.find(|byte: char| !byte.is_ascii_alphanumeric() && byte != '_');
        let (word, after) = word.split_at(end.unwrap_or(word.len()));
        readable.push_str(&rest[..at]);
        rest = after;
        let is_defined = readable.ends_with("#define ");
        if is_loop(word) && !is_defined && after.trim_start().starts_with('(') {
            readable.push_str(&format!("{:<width$}", "while", width = word.len()));
        } else if is_attribute(word) || is_tag(word, &readable) {
            readable.push_str(&" ".repeat(word.len()));
        } else if is_set(word)
            && !is_defined
            && let Some((set, behind)) = after.strip_prefix('(').and_then(|it| it.split_once(')'))
        {
            // To the grammar, what is in it are further variables.
            readable.push_str(&format!("{:<width$}{set} ", "int", width = word.len() + 1));
            rest = behind;
        } else if is_guard(word) || is_type(word) || word == "GCC_FMT_ATTR" {
            let call = after.find(')').map_or(0, |at| at + 1);
            let stands_for = if is_type(word) { "int" } else { "" };
            readable.push_str(&format!("{stands_for:<width$}", width = word.len() + call));
            rest = &after[call..];
        } else {
            readable.push_str(word);
        }
    }
    readable + rest
}

/// Whether a macro is the head of a loop.
fn is_loop(word: &str) -> bool {
    word.contains("FOREACH") && word == word.to_uppercase()
}

/// Whether a macro defines a set: its first argument is the variable, the others are in it.
fn is_set(word: &str) -> bool {
    word == "INITIALIZE_MIGRATE_CAPS_SET"
}

/// Whether a macro stands for the type of a list, or of a link of one.
fn is_type(word: &str) -> bool {
    let kind = word.strip_suffix("_HEAD").or(word.strip_suffix("_ENTRY")).unwrap_or_default();
    kind.starts_with('Q')
        && ["LIST", "QUEUE", "TAILQ", "SIMPLEQ"].iter().any(|it| kind.ends_with(it))
}

/// Whether a macro says something of what is declared, and is no part of its type.
fn is_attribute(word: &str) -> bool {
    matches!(word, "g_autofree" | "QEMU_NORETURN")
}

/// Whether a word makes a type of what follows, which is the first argument of what looks like a call.
fn is_tag(word: &str, before: &str) -> bool {
    word == "struct" && before.ends_with("g_new0(")
}

/// Whether a macro without arguments guards the block behind it.
fn is_guard(word: &str) -> bool {
    word.starts_with("WITH_") && word.ends_with("_GUARD")
}
