//! Promises and checks as data: what `checks.toml` of a series says.

use super::board::{Board, Differences};
use super::cannot::{self, Cannot};
use super::instead::{self, Instead};
use super::need::Need;
use super::procedure::Procedure;
use crate::build::beyond::Reach;
use crate::failure::Failure;
use crate::machine::launch::opt_value;
use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The file's name, in a series' folder or in the folder above it.
pub const FILE: &str = "checks.toml";

/// The version of the file's layout that this tool reads.
const LAYOUT: u32 = 1;

/// What a series promises, and how each promise is checked.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Catalogue {
    layout: u32,
    /// The RAM block that the option backs, by its idstr.
    pub block: String,
    /// The words that give a QEMU its RAM file; `{opt-path}` stands for the path as a value in an
    /// option list, its commas doubled.
    pub ram_file: Vec<String>,
    /// The machine that a check runs on where it names no other.
    pub board: Board,
    /// The promises, in the order of the report.
    #[serde(rename = "promise")]
    pub promises: Vec<Promise>,
    /// The checks, in the order in which they run.
    #[serde(rename = "check", default)]
    pub checks: Vec<Check>,
    /// What is known not to be tried.
    #[serde(rename = "untried", default)]
    pub untried: Vec<Untried>,
    /// Files beside this one that hold more checks, and more that is not tried.
    #[serde(default)]
    include: Vec<PathBuf>,
    /// The checks that this line's machinery cannot keep.
    #[serde(skip)]
    pub cannot: Vec<Cannot>,
}

/// What an included file holds.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Included {
    #[serde(rename = "check", default)]
    checks: Vec<Check>,
    #[serde(rename = "untried", default)]
    untried: Vec<Untried>,
}

/// A promise of the series.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Promise {
    /// Its name, e.g. `P4`.
    pub id: String,
    /// Its title.
    pub title: String,
}

/// A check: one row of the report.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Check {
    /// Its stable name.
    pub id: String,
    /// The promise that it speaks of.
    pub promise: String,
    /// What it checks, in words.
    pub title: String,
    /// Whether it is tried only where everything is asked for.
    #[serde(default)]
    pub thorough: bool,
    /// Whether nothing else may run beside it: it measures time.
    #[serde(default)]
    pub alone: bool,
    /// Where its machine differs from the catalogue's.
    #[serde(default)]
    pub on: Differences,
    /// The file system that its RAM file lies on, where it is not that of the run's folder.
    #[serde(default)]
    pub file_on: FileOn,
    /// Without what it cannot be tried.
    #[serde(default)]
    pub needs: Vec<Need>,
    /// What is done, and with what.
    #[serde(flatten)]
    pub procedure: Procedure,
}

/// A kind of file system.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum FileOn {
    /// That of the run's folder.
    #[default]
    Folder,
    /// A tmpfs.
    Tmpfs,
}

/// Something that is known not to be tried.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Untried {
    /// The promise that it belongs to.
    pub promise: String,
    /// What is not tried.
    pub what: String,
    /// Why.
    pub why: String,
}

impl Catalogue {
    /// Reads the catalogue of the series in `series`: its own, or its parent folder's.
    pub fn of_series(series: &Path) -> Result<Catalogue> {
        let candidates = [Some(series), series.parent()].map(|dir| dir.map(|dir| dir.join(FILE)));
        let found = candidates.into_iter().flatten().find(|path| path.is_file());
        let path: PathBuf = found.ok_or_else(|| {
            let series = series.display();
            Failure::usage(format!(
                "the series {series} has no {FILE}, neither in its folder nor in the one above; \
                 without it there is nothing to check"
            ))
        })?;
        let mut catalogue = Catalogue::in_file(&path)?;
        let instead = series.join(instead::FILE);
        if instead.is_file() {
            let changed = read::<Instead>(&instead)?.change(&mut catalogue);
            changed.and_then(|()| catalogue.validate()).map_err(|error| wrong(&instead, &error))?;
        }
        let cannot = series.join(cannot::FILE);
        if cannot.is_file() {
            catalogue.cannot = read::<cannot::List>(&cannot)?.cannot;
            catalogue.check_cannot().map_err(|error| wrong(&cannot, &error))?;
        }
        Ok(catalogue)
    }

    /// Reads a catalogue and the files that it includes.
    fn in_file(path: &Path) -> Result<Catalogue> {
        let mut catalogue: Catalogue = read(path)?;
        for include in catalogue.include.clone() {
            let more: Included = read(&path.with_file_name(include))?;
            catalogue.checks.extend(more.checks);
            catalogue.untried.extend(more.untried);
        }
        catalogue.validate().map_err(|error| wrong(path, &error))?;
        Ok(catalogue)
    }

    /// Reads a catalogue from its text; the error says what is wrong where.
    pub fn parse(text: &str) -> Result<Catalogue, String> {
        let catalogue: Catalogue = toml::from_str(text).map_err(|error| error.to_string())?;
        catalogue.validate()?;
        Ok(catalogue)
    }

    fn validate(&self) -> Result<(), String> {
        let catalogue = self;
        if catalogue.layout != LAYOUT {
            let found = catalogue.layout;
            return Err(format!("layout is {found}; this tool reads layout {LAYOUT}"));
        }
        let promises: BTreeSet<_> = catalogue.promises.iter().map(|each| &each.id).collect();
        let mut ids = BTreeSet::new();
        for check in &catalogue.checks {
            // An id names a folder that is made and removed.
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.';
            if !check.id.starts_with(|c: char| c.is_ascii_alphanumeric())
                || !check.id.chars().all(plain)
            {
                let id = &check.id;
                return Err(format!(
                    "the check {id:?}: an id is letters, digits, `.`, `-` and `_`"
                ));
            }
            if !ids.insert(&check.id) {
                return Err(format!("the check {} stands there twice", check.id));
            }
        }
        let speak_of = catalogue.checks.iter().map(|each| (&each.id, &each.promise));
        let leave_out = catalogue.untried.iter().map(|each| (&each.what, &each.promise));
        for (what, promise) in speak_of.chain(leave_out) {
            if !promises.contains(promise) {
                return Err(format!("{what} speaks of {promise}, which is no promise there"));
            }
        }
        Ok(())
    }

    fn check_cannot(&self) -> Result<(), String> {
        let unknown = |cannot: &&Cannot| self.checks.iter().all(|it| it.id != cannot.check);
        match self.cannot.iter().find(unknown) {
            Some(Cannot { check, .. }) => Err(format!("no check is named {check}")),
            None => Ok(()),
        }
    }

    /// The words that give a QEMU the RAM file at `path`; in them `{opt-path}` is the path as a value
    /// in an option list, `{path}` as it is.
    pub fn ram_file_args(&self, path: &Path) -> Vec<String> {
        let (value, path) = (opt_value(path), path.to_string_lossy());
        let fill_in = |word: &String| word.replace("{opt-path}", &value).replace("{path}", &path);
        self.ram_file.iter().map(fill_in).collect()
    }

    /// The checks whose name matches one of `patterns`, where `*` stands for any characters. Where
    /// there is no pattern, those of the default set, or all where `thorough` is asked for. A
    /// pattern that matches none is an error that names them all.
    pub fn select(&self, patterns: &[String], thorough: bool) -> Result<Vec<&Check>> {
        let matchers = patterns.iter().map(|pattern| self.matcher(pattern));
        let matchers = matchers.collect::<Result<Vec<_>, _>>().map_err(Failure::usage)?;
        let wanted = |check: &&Check| {
            if matchers.is_empty() {
                return thorough || !check.thorough;
            }
            matchers.iter().any(|matcher| matcher.is_match(&check.id))
        };
        Ok(self.checks.iter().filter(wanted).collect())
    }

    /// What the names match that `pattern` stands for.
    ///
    /// # Errors
    /// Where it stands for none of the checks: all that there are.
    pub(super) fn matcher(&self, pattern: &str) -> Result<Regex, String> {
        let matcher = Regex::new(&format!("^{}$", regex::escape(pattern).replace(r"\*", ".*")))
            .map_err(|error| error.to_string())?;
        if self.checks.iter().any(|check| matcher.is_match(&check.id)) {
            return Ok(matcher);
        }
        let known: Vec<_> = self.checks.iter().map(|check| check.id.as_str()).collect();
        Err(format!("no check is named {pattern}; there are\n  {}", known.join("\n  ")))
    }
}

/// What has to be built for these checks beyond the pair that is compared.
pub fn reach<'a>(checks: impl IntoIterator<Item = &'a Check>) -> Reach {
    let mut reach = Reach::default();
    checks.into_iter().for_each(|check| check.procedure.add_to(&mut reach));
    reach
}

fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    toml::from_str(&text).map_err(|error| wrong(path, &error.to_string()))
}

fn wrong(path: &Path, error: &str) -> anyhow::Error {
    Failure::usage(format!("{}: {error}", path.display())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = r#"
        layout = 1
        block = "pc.ram"
        ram-file = ["-pcram-file", "{opt-path}"]
        board = { machine = "pc", accel = "tcg", ram-mib = 64 }
        [[promise]]
        id = "P2"
        title = "Mapping"
    "#;

    fn with(rest: &str) -> Result<Catalogue, String> {
        Catalogue::parse(&format!("{HEAD}{rest}"))
    }

    fn check(id: &str, rest: &str) -> String {
        format!("[[check]]\nid = '{id}'\npromise = 'P2'\ntitle = 't'\n{rest}\n")
    }

    #[test]
    fn a_check_is_its_name_its_promise_and_what_it_does() {
        let text = check("p2.a", "does = 'visible'\nwhen = 'stopped'");
        let catalogue = with(&text).unwrap();
        let procedure = &catalogue.checks[0].procedure;
        assert!(matches!(procedure, Procedure::Visible(_)));
    }

    #[test]
    fn what_makes_no_sense_is_refused_with_its_reason() {
        let twice = check("p2.a", "does = 'prefilled'").repeat(2);
        assert!(with(&twice).unwrap_err().contains("p2.a stands there twice"));
        let unknown = check("p2.a", "does = 'visible'\nwhen = 'stopped'\nwhenn = 1");
        assert!(with(&unknown).unwrap_err().contains("whenn"));
        let stranger = check("p2.a", "does = 'prefilled'").replace("'P2'", "'P9'");
        assert!(with(&stranger).unwrap_err().contains("speaks of P9"));
        for id in ["", "..", "/etc", "p2/../..", "a b"] {
            let error = with(&check(id, "does = 'prefilled'")).unwrap_err();
            assert!(error.contains("an id is letters"), "{id}: {error}");
        }
        assert!(with(&check("p2.a-b_c", "does = 'prefilled'")).is_ok());
        assert!(Catalogue::parse(&HEAD.replace("layout = 1", "layout = 2")).is_err());
    }

    #[test]
    fn what_cannot_hold_is_a_check_that_there_is() {
        let mut catalogue = with(&check("p2.a", "does = 'prefilled'")).unwrap();
        let cannot = |check: &str| {
            let text = format!("check = '{check}'\nfunction = 'f'\nwhy = 'w'\nshows = 's'");
            toml::from_str::<Cannot>(&text).unwrap()
        };
        catalogue.cannot = vec![cannot("p2.a")];
        assert_eq!(catalogue.check_cannot(), Ok(()));
        catalogue.cannot.push(cannot("p2.b"));
        assert_eq!(catalogue.check_cannot(), Err("no check is named p2.b".into()));
    }

    #[test]
    fn what_checks_want_built_is_all_of_it_together() {
        let targets = "does = 'other-targets'\noption = '-x'\noffered-by = ['a']\n\
                       refused-by = ['b']\nbuilt = ['c']";
        let catalogue = with(&check("p2.a", targets)).unwrap();
        let programs = ["a", "b", "c"].map(str::to_owned).to_vec();
        assert_eq!(reach(&catalogue.checks), Reach { each_patch: false, programs });
    }

    #[test]
    fn a_path_stands_in_the_words_as_an_option_takes_it() {
        let catalogue = with("").unwrap();
        assert_eq!(catalogue.ram_file_args(Path::new("/a,b")), ["-pcram-file", "/a,,b"]);
    }

    #[test]
    fn rows_are_selected_by_name_or_pattern_in_the_catalogues_order() {
        let text = ["p2.b", "p2.a", "p2.ab"].map(|id| check(id, "does = 'prefilled'")).concat();
        let catalogue = with(&text).unwrap();
        let ids = |patterns: &[&str]| {
            let patterns: Vec<_> = patterns.iter().map(|&each| each.to_owned()).collect();
            let selected = catalogue.select(&patterns, false).map_err(|error| error.to_string())?;
            Ok::<_, String>(selected.iter().map(|check| check.id.clone()).collect::<Vec<_>>())
        };
        assert_eq!(ids(&[]).unwrap(), ["p2.b", "p2.a", "p2.ab"]);
        assert_eq!(ids(&["p2.a", "p2.b"]).unwrap(), ["p2.b", "p2.a"]);
        assert_eq!(ids(&["p2.a*"]).unwrap(), ["p2.a", "p2.ab"]);
        assert!(ids(&["p3.*"]).unwrap_err().contains("no check is named p3.*; there are\n  p2.b"));
    }

    #[test]
    fn a_path_is_given_as_a_value_or_as_it_is() {
        let text = fs::read_to_string("../../patches/checks.toml").unwrap();
        let line = "ram-file = [\"-pcram-file\", \"{opt-path}\"]";
        let include = text.lines().find(|line| line.starts_with("include")).unwrap();
        let text = text.replace(include, "check = []");
        assert!(text.contains(line));
        let args = |words: &str| {
            let text = text.replace(line, &format!("ram-file = [{words}]"));
            Catalogue::parse(&text).unwrap().ram_file_args(Path::new("/a,b"))
        };
        assert_eq!(args("'-x', '{opt-path}'"), ["-x", "/a,,b"]);
        assert_eq!(args("'-x', '{path}'"), ["-x", "/a,b"]);
    }
}
