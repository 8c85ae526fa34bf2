//! What a thread claims of its patch, as data: each claim found in the thread's own words, and tried
//! by rows.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use pcram_posting::letter::Letter;
use pcram_posting::series::Posting;
use serde::Deserialize;

use crate::event::{Row, Verdict};
use crate::failure::Failure;

/// The file of claims in a posting's folder.
const FILE: &str = "claims.toml";

/// The layout of that file that is read here.
const LAYOUT: u32 = 1;

/// What is claimed of one posting.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Claims {
    layout: u32,
    /// The posting's message id.
    pub message_id: String,
    /// The release, of the table, that the posting's base is: what it needs to build is that one's.
    pub release: String,
    /// The claims.
    #[serde(rename = "claim")]
    pub all: Vec<Claim>,
    /// The folder.
    #[serde(skip)]
    pub dir: PathBuf,
}

/// One claim.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Claim {
    /// Its name.
    pub id: String,
    /// Who makes it, as the thread names people; empty where the tool asks by itself.
    #[serde(default)]
    pub by: String,
    /// Words that one sentence, or line, of theirs has, in this order: the claim is read there.
    #[serde(default)]
    pub words: Vec<String>,
    /// What was asked, where nobody claims it in a sentence.
    #[serde(default)]
    pub asked: Option<String>,
    /// How it is tried.
    pub how: String,
    /// The rows that try it.
    pub rows: Vec<String>,
    /// Why it does not hold, in the code's own terms; shown where it does not.
    #[serde(default)]
    pub why: Option<String>,
}

/// What came of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// Every row holds.
    Holds,
    /// Some rows hold and some do not.
    HoldsOnlyIf,
    /// No row holds.
    DoesNotHold,
    /// None was tried to its end.
    NotTried,
}

impl fmt::Display for Came {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Came::Holds => "holds",
            Came::HoldsOnlyIf => "holds only if",
            Came::DoesNotHold => "does not hold",
            Came::NotTried => "not tried",
        })
    }
}

/// A claim with the words that make it, and what came of it.
#[derive(Clone, Debug, serde::Serialize)]
pub struct Tried {
    /// Its name.
    pub id: String,
    /// The words.
    pub words: String,
    /// Who, and when; empty where nobody said it.
    pub said: String,
    /// How it was tried.
    pub how: String,
    /// What came of it.
    pub came: Came,
    /// The rows that tried it.
    pub rows: Vec<Row>,
    /// Why it does not hold.
    pub why: Option<String>,
    /// The command line that repeats it alone.
    pub repeat: String,
}

impl Claims {
    /// The claims of the posting with this message id, of those in the folder `postings`.
    ///
    /// # Errors
    /// A [`Failure`] where there are none, or they cannot be read.
    pub fn of(postings: &Path, id: Option<&str>) -> Result<Claims> {
        let mut known = Vec::new();
        let folders =
            fs::read_dir(postings).with_context(|| format!("reading {}", postings.display()))?;
        for folder in folders {
            let dir = folder?.path();
            if !dir.join(FILE).is_file() {
                continue;
            }
            let claims = Claims::read(&dir)?;
            if id == Some(claims.message_id.as_str()) {
                return Ok(claims);
            }
            known.push(claims.message_id);
        }
        Err(Failure::usage(format!(
            "nothing is known of what the posting {} claims: {} has {}",
            id.unwrap_or("without a message id"),
            postings.display(),
            if known.is_empty() { "none".to_owned() } else { known.join(", ") }
        ))
        .into())
    }

    fn read(dir: &Path) -> Result<Claims> {
        let path = dir.join(FILE);
        let wrong = |what: String| Failure::usage(format!("{}: {what}", path.display()));
        let text = fs::read_to_string(&path).map_err(|error| wrong(error.to_string()))?;
        let claims: Claims = toml::from_str(&text).map_err(|error| wrong(error.to_string()))?;
        if claims.layout != LAYOUT {
            return Err(
                wrong(format!("its layout is {}, and {LAYOUT} is read", claims.layout)).into()
            );
        }
        for claim in &claims.all {
            if claim.rows.is_empty() || claim.words.is_empty() && claim.asked.is_none() {
                let text =
                    format!("the claim {:?} has no rows, or neither words nor `asked`", claim.id);
                return Err(wrong(text).into());
            }
        }
        Ok(Claims { dir: dir.to_owned(), ..claims })
    }

    /// The claims of these names, or those that rows of the names in `rows` try; all, where none is
    /// named.
    ///
    /// # Errors
    /// A [`Failure`] where there is no claim, or no row, of a name.
    pub fn chosen(&self, names: &[String], rows: &[String]) -> Result<Vec<&Claim>> {
        let ids: Vec<_> = self.all.iter().map(|claim| claim.id.as_str()).collect();
        if let Some(name) = names.iter().find(|name| !ids.contains(&name.as_str())) {
            let text = format!("there is no claim {name:?}; there are {}", ids.join(", "));
            return Err(Failure::usage(text).into());
        }
        let tries = |claim: &Claim, row: &String| claim.rows.contains(row);
        if let Some(row) = rows.iter().find(|row| !self.all.iter().any(|it| tries(it, row))) {
            return Err(Failure::usage(format!("no claim is tried by a row {row:?}")).into());
        }
        let is_chosen = |claim: &&Claim| match (names, rows) {
            ([], []) => true,
            _ => names.contains(&claim.id) || rows.iter().any(|row| tries(claim, row)),
        };
        Ok(self.all.iter().filter(is_chosen).collect())
    }
}

impl Claim {
    /// The claim in the thread's words, and who made it and when.
    ///
    /// # Errors
    /// A [`Failure`] where no letter of theirs has it.
    pub fn quoted(&self, posting: &Posting) -> Result<(String, String)> {
        if let Some(asked) = &self.asked {
            return Ok((asked.clone(), String::new()));
        }
        let letters = posting.patches.iter().chain(&posting.cover).chain(&posting.comments);
        let by = letters.filter(|letter| letter.name == self.by);
        let mut found =
            by.filter_map(|letter| Some((sentence(letter, &self.words)?, &letter.date)));
        let (words, date) = found.next().ok_or_else(|| {
            let words = self.words.join(" … ");
            let text = format!("{} says nowhere in this thread: … {words} …", self.by);
            Failure::usage(text)
        })?;
        Ok((words, format!("{}, {date}", self.by)))
    }

    /// What the rows come to, those of `rows` that try this claim.
    pub fn judged(&self, rows: &BTreeMap<String, Row>) -> (Came, Vec<Row>) {
        let rows: Vec<Row> = self.rows.iter().filter_map(|id| rows.get(id)).cloned().collect();
        let count = |verdict| rows.iter().filter(|row| row.verdict == verdict).count();
        let (held, failed) = (count(Verdict::Held), count(Verdict::Failed));
        let came = match (held, failed) {
            (0, 0) => Came::NotTried,
            // What was not tried to its end says nothing for it.
            (_, 0) if held == rows.len() => Came::Holds,
            (0, _) => Came::DoesNotHold,
            _ => Came::HoldsOnlyIf,
        };
        (came, rows)
    }
}

/// The first sentence of a letter that has all `words` in their order. What is quoted of others is
/// left out.
fn sentence(letter: &Letter, words: &[String]) -> Option<String> {
    let lines: Vec<_> =
        letter.lines.iter().map(|line| String::from_utf8_lossy(&line.text).into_owned()).collect();
    let diff = lines.iter().position(|line| line.starts_with("diff --git ")).unwrap_or(lines.len());
    let prose = lines[..diff].iter().filter(|line| !line.starts_with('>')).map(String::as_str);
    let added = lines[diff..].iter().map(|line| line.strip_prefix('+').unwrap_or_default());
    let text = [running(prose), running(added)].join("\n");
    let mut sentences = text.split('\n').flat_map(|it| it.split_inclusive(". ")).map(str::trim);
    sentences.find(|sentence| has_in_order(sentence, words)).map(str::to_owned)
}

/// Lines as running text: a paragraph, or an item of a list, is one line.
fn running<'a>(lines: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for line in lines.map(str::trim) {
        text.push(if line.is_empty() || line.starts_with("- ") { '\n' } else { ' ' });
        text += line;
    }
    text
}

fn has_in_order(sentence: &str, words: &[String]) -> bool {
    let mut rest = sentence;
    words.iter().all(|word| match rest.find(word.as_str()) {
        Some(at) => {
            rest = &rest[at + word.len()..];
            true
        }
        None => false,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Event;
    use crate::report::example::row;
    use pcram_posting::letter::text_lines;

    fn claim(by: &str, words: &[&str]) -> Claim {
        Claim {
            id: "x".into(),
            by: by.into(),
            words: words.iter().map(|&word| word.to_owned()).collect(),
            asked: None,
            how: String::new(),
            rows: vec!["a".into(), "b".into()],
            why: None,
        }
    }

    fn posting() -> Posting {
        let letter = |name: &str, text: &str| Letter {
            name: name.into(),
            date: "Nov. 25, 2011, noon".into(),
            lines: text_lines(text.as_bytes()),
            ..Letter::default()
        };
        let first = "It maps a file. The file is shared, so RAM\nneeds no saving.\n\nMore.\n\ndiff --git a/x b/x\n\
                     +PC RAM is never saved.\n";
        Posting {
            patches: vec![letter("A", first)],
            comments: vec![letter("B", "> The file is shared, so RAM\nIs it?\n")],
            ..Posting::default()
        }
    }

    #[test]
    fn a_claim_is_read_in_the_threads_words() {
        let posting = posting();
        let (words, said) = claim("A", &["shared", "saving"]).quoted(&posting).unwrap();
        assert_eq!(words, "The file is shared, so RAM needs no saving.");
        assert_eq!(said, "A, Nov. 25, 2011, noon");
        let (words, _) = claim("A", &["PC RAM", "saved"]).quoted(&posting).unwrap();
        assert_eq!(words, "PC RAM is never saved.");
        assert!(claim("B", &["shared"]).quoted(&posting).is_err());
        let error = claim("A", &["saving", "shared"]).quoted(&posting).unwrap_err().to_string();
        assert!(error.contains("A says nowhere in this thread: … saving … shared …"), "{error}");
    }

    #[test]
    fn what_came_of_a_claim_follows_from_its_rows() {
        use Verdict::{Broken, Failed, Held, NotTried};
        let named = |id: &str, verdict| {
            let Event::Row(row) = row(id, verdict, "") else { panic!("no row") };
            (id.to_owned(), row)
        };
        let came = |a, b| claim("A", &["x"]).judged(&[named("a", a), named("b", b)].into()).0;
        assert_eq!(came(Held, Held), Came::Holds);
        assert_eq!(came(Held, Failed), Came::HoldsOnlyIf);
        assert_eq!(came(Failed, NotTried), Came::DoesNotHold);
        assert_eq!(came(Failed, Failed), Came::DoesNotHold);
        assert_eq!(came(NotTried, Broken), Came::NotTried);
        assert_eq!(came(Held, Broken), Came::HoldsOnlyIf);
    }
}
