//! Which C functions the carried series touches, and which of them no unit has: one that is neither
//! mirrored nor listed in `touched.txt`, with the reason, was forgotten.
//!
//! A function is touched where no file of the stock tree, of those that differ, defines it in the same
//! words; one with something in it that the parser does not understand is compared like any other. What
//! is outside all functions and not understood, or in a branch that is not compiled here, fails the test
//! where the stock file does not have it as often, in the same words: there may be a function in it.
//! Functions that a macro makes, like those of `OBJECT_DECLARE_SIMPLE_TYPE`, are no text of the tree, and
//! not counted.

use git2::{Delta, Oid, Repository};
use pcram::cache::Cache;
use pcram::check::catalogue::Catalogue;
use pcram::functions::Unit;
use pcram_functions::extract::Definitions;
use qemu_tests::{REVISION, lines, root, run};
use std::collections::{BTreeMap, BTreeSet};
use std::{fmt, fs};

const LIST: &str = "qemu-tests/tests/mirror/touched.txt";
const PAGE: &str = "docs/commands/mirror.md";

/// A function that a tree with the series has, and the stock tree does not have like that.
#[derive(Clone, Debug)]
struct Function {
    name: String,
    file: String,
    /// Where it begins in the file.
    at: usize,
    mirrored: bool,
}

impl Function {
    /// As the list names it. Its folder is another in other lines.
    fn is(&self, named: &Named) -> bool {
        let file = self.file.rsplit('/').next();
        self.name == named.name && file == Some(&named.file)
    }
}

impl fmt::Display for Function {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({}, line {})", self.name, self.file, self.at)
    }
}

/// A function as the list names it: static ones of two files may have one name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Named {
    name: String,
    file: String,
}

/// What a line's two trees show.
#[derive(Clone, Debug, Default)]
struct Line {
    touched: Vec<Function>,
    /// Where what differs was not read.
    unread: Vec<String>,
}

impl Line {
    fn mirrored(&self) -> usize {
        self.touched.iter().filter(|it| it.mirrored).count()
    }
}

/// The text of both sides of each file of C that differs; of a new file, the stock side is empty. The
/// series' own tests are no part of what is mirrored.
fn differing(store: &Repository, trees: [&str; 2]) -> Vec<(String, [String; 2])> {
    let [stock, patched] = trees.map(|id| store.find_tree(Oid::from_str(id).unwrap()).unwrap());
    let diff = store.diff_tree_to_tree(Some(&stock), Some(&patched), None).unwrap();
    let text = |id: Oid| match id.is_zero() {
        true => String::new(),
        false => String::from_utf8_lossy(store.find_blob(id).unwrap().content()).into_owned(),
    };
    let deltas = diff.deltas().filter(|delta| delta.status() != Delta::Deleted);
    let named = deltas.map(|delta| {
        let name = delta.new_file().path().unwrap().to_str().unwrap().to_owned();
        (name, [delta.old_file().id(), delta.new_file().id()])
    });
    let is_c = |name: &str| name.ends_with(".c") || name.ends_with(".h");
    let wanted = named.filter(|(name, _)| is_c(name) && !name.starts_with("tests/"));
    wanted.map(|(name, ids)| (name, ids.map(text))).collect()
}

/// What differs between the two sides of files; `units` are the texts of the units.
fn survey(files: &[(String, [String; 2])], units: &[&str]) -> Line {
    let stock: BTreeSet<_> = files
        .iter()
        .flat_map(|(file, [stock, _])| {
            let definitions = Definitions::of(file, stock);
            definitions.functions().map(|(_, it)| it.text.to_owned()).collect::<Vec<_>>()
        })
        .collect();
    let mut line = Line::default();
    for (file, [before, after]) in files {
        let definitions = Definitions::of(file, after);
        for (name, it) in definitions.functions().filter(|(_, it)| !stock.contains(it.text)) {
            line.touched.push(Function {
                name: name.to_owned(),
                file: file.clone(),
                at: it.line,
                mirrored: units.iter().any(|unit| unit.contains(it.text)),
            });
        }
        let stock = Definitions::of(file, before);
        let mut known: Vec<_> = stock.unread().map(|it| it.text).collect();
        let unread = definitions.unread().filter(|it| {
            let same = known.iter().position(|text| *text == it.text);
            same.map(|at| known.swap_remove(at)).is_none()
        });
        line.unread.extend(unread.map(|it| format!("{file}, line {}", it.line)));
    }
    line
}

/// What the list says of some functions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Group {
    reason: String,
    /// The checks of a running QEMU that show what they do.
    checks: Vec<String>,
    /// Each with the lines of QEMU where it is in no unit.
    functions: Vec<(Named, Vec<String>)>,
}

/// Reads the list: a reason at the margin, on as many lines as it needs, below it `shown by` with checks,
/// and the functions, each with its file and, behind a colon, its lines of QEMU. A `#` begins a comment.
fn groups(text: &str) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let words = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let Some(said) = line.strip_prefix("  ") else {
            match groups.last_mut() {
                Some(last) if last.functions.is_empty() => last.reason += &format!(" {line}"),
                _ => groups.push(Group { reason: line.to_owned(), ..Group::default() }),
            }
            continue;
        };
        let group = groups.last_mut().unwrap_or_else(|| panic!("{line:?} has no reason above it"));
        if let Some(checks) = said.strip_prefix("shown by ") {
            group.checks.extend(words(checks));
        } else if let Some((named, lines)) = said.split_once(": ")
            && let Some((name, file)) = named.split_once(' ')
        {
            let named = Named { name: name.to_owned(), file: file.to_owned() };
            group.functions.push((named, words(lines)));
        } else {
            panic!("{line:?} is neither `shown by CHECK...` nor `FUNCTION FILE: LINE...`");
        }
    }
    groups
}

/// Whether a word is the name of a check: it begins with a promise's, as in `p4.`.
fn is_check(word: &str) -> bool {
    let promise = word.strip_prefix('p').and_then(|rest| rest.split_once('.'));
    promise.is_some_and(|(number, _)| number.parse::<u32>().is_ok())
}

/// What is wrong, of the list and of the lines, and what to do about it.
fn judge(lines: &BTreeMap<String, Line>, list: &[Group], checks: &BTreeSet<String>) -> Vec<String> {
    let mut wrong = Vec::new();
    let mut listed = BTreeSet::new();
    for group in list {
        // A reason may say what a check does not show.
        let said = group.reason.split([' ', '(', ')', ',']).filter(|word| is_check(word));
        let named = group.checks.iter().map(String::as_str).chain(said);
        for check in named.filter(|check| !checks.contains(*check)) {
            wrong.push(format!("there is no check {check}: name another for {:?}", group.reason));
        }
        let all = group.functions.iter();
        for (named, of) in all.flat_map(|(named, lines)| lines.iter().map(move |of| (named, of))) {
            let what = format!("{of}: {} of {}", named.name, named.file);
            if !listed.insert((of, named)) {
                wrong.push(format!("{what} is listed twice: keep the better reason"));
            }
            let Some(line) = lines.get(of) else {
                wrong.push(format!("{what} is listed for a line that is not tried: remove it"));
                continue;
            };
            let mut touched = line.touched.iter().filter(|it| it.is(named));
            // Under other conditions, a file may have another of this name.
            match (touched.clone().find(|it| !it.mirrored), touched.next()) {
                (Some(_), _) => {}
                (None, Some(it)) => wrong.push(format!(
                    "{of}: {it} is listed, and a unit has it: remove {of} from its entry"
                )),
                (None, None) => wrong.push(format!(
                    "{what} is listed, and the series does not touch it: remove {of} from its entry"
                )),
            }
        }
    }
    for (of, line) in lines {
        let of_this = |it: &&Function| listed.iter().any(|(l, named)| *l == of && it.is(named));
        let missing = line.touched.iter().filter(|it| !it.mirrored && !of_this(it));
        wrong.extend(missing.map(|it| {
            format!(
                "{of}: {it} is touched by the series, and no unit has it: have a unit take it, or list \
                 it with the reason why none does"
            )
        }));
        wrong.extend(line.unread.iter().map(|place| {
            format!(
                "{of}: what differs in {place} is not read, and may define functions: have \
                 harness/functions/src/readable.rs write it so that it is"
            )
        }));
    }
    wrong
}

/// How many of what the series touches have a unit, in words.
fn figures(lines: &BTreeMap<String, Line>) -> String {
    let of = |(name, line): (&String, &Line)| {
        format!("{} of {} in {name}", line.mirrored(), line.touched.len())
    };
    lines.iter().map(of).collect::<Vec<_>>().join(", ")
}

#[test]
fn each_function_that_the_series_touches_is_mirrored_or_listed() {
    let cache = Cache::open(None).unwrap();
    let store = cache.store().unwrap();
    let of = |revision: String| {
        let told = run(&["apply", &revision]);
        let step = told.of("step-finished").find(|each| each["step"] == "apply").unwrap();
        let evidence = step["evidence"].as_array().unwrap();
        let [stock, patched] = ["source tree", "patched tree"].map(|name| {
            let figure = evidence.iter().find(|figure| figure["name"] == name).unwrap();
            figure["value"].as_str().unwrap()
        });
        let units = Unit::of_tree(&cache, patched).unwrap();
        let texts: Vec<_> = units.iter().map(|unit| unit.text.as_str()).collect();
        (revision, survey(&differing(&store, [stock, patched]), &texts))
    };
    let lines: BTreeMap<_, _> = lines().into_iter().map(of).collect();
    let list = groups(&fs::read_to_string(root().join(LIST)).unwrap());
    for (of, line) in &lines {
        let (touched, mirrored) = (line.touched.len(), line.mirrored());
        let listed = list.iter().flat_map(|group| &group.functions);
        let listed = listed.filter(|(_, lines)| lines.contains(of)).count();
        println!("{of}: {touched} touched, {mirrored} mirrored, {listed} listed");
    }
    let catalogue = Catalogue::of_series(&root().join("patches").join(REVISION)).unwrap();
    let checks = catalogue.checks.into_iter().map(|check| check.id).collect();
    let wrong = judge(&lines, &list, &checks);
    assert!(wrong.is_empty(), "{LIST} is to be mended:\n{}", wrong.join("\n"));
    let (page, figures) = (fs::read_to_string(root().join(PAGE)).unwrap(), figures(&lines));
    let page = page.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(page.contains(&figures), "{PAGE} is to say: {figures}");
}

/// A function of a.c.
fn function(name: &str, mirrored: bool) -> Function {
    Function { name: name.to_owned(), file: "hw/a.c".to_owned(), at: 7, mirrored }
}

#[test]
fn a_list_that_is_not_honest_is_found_out() {
    let list = "# Why.\nStarts a\nthread\n  shown by p1.there\n  starts a.c: 9.0\n";
    let touched = [function("starts", false), function("taken", true)];
    let judged = |list: &str, touched: &[Function], unread: &[&str]| {
        let unread = unread.iter().map(|place| (*place).to_owned()).collect();
        let line = Line { touched: touched.to_vec(), unread };
        let checks = BTreeSet::from(["p1.there".to_owned()]);
        judge(&BTreeMap::from([("9.0".to_owned(), line)]), &groups(list), &checks)
    };
    assert_eq!(groups(list)[0].reason, "Starts a thread");
    assert!(judged(list, &touched, &[]).is_empty());
    let says = |wrong: Vec<String>, words: &str| {
        assert!(wrong.len() == 1 && wrong[0].starts_with(words), "{wrong:?}, not {words}");
    };
    let [starts, taken] = &touched;
    let both = [starts.clone(), function("forgotten", false)];
    says(judged(list, &both, &[]), "9.0: forgotten (hw/a.c, line 7) is touched by the series");
    says(judged("", &touched, &[]), "9.0: starts (hw/a.c, line 7) is touched by the series");
    says(
        judged(list, std::slice::from_ref(taken), &[]),
        "9.0: starts of a.c is listed, and the series does",
    );
    let mirrored = [function("starts", true)];
    says(judged(list, &mirrored, &[]), "9.0: starts (hw/a.c, line 7) is listed, and a unit has it");
    let elsewhere = [Function { file: "hw/b.c".to_owned(), ..starts.clone() }, starts.clone()];
    says(judged(list, &elsewhere, &[]), "9.0: starts (hw/b.c, line 7) is touched by the series");
    let unknown = list.replace("p1.there", "p1.there p1.gone");
    says(judged(&unknown, &touched, &[]), "there is no check p1.gone: name another");
    let said = list.replace("thread", "thread (p1.gone and the like do not)");
    says(judged(&said, &touched, &[]), "there is no check p1.gone: name another");
    let twice = format!("{list}\nAgain\n  starts a.c: 9.0\n");
    says(judged(&twice, &touched, &[]), "9.0: starts of a.c is listed twice");
    let other_line = list.replace("9.0", "9.0 8.0");
    says(judged(&other_line, &touched, &[]), "8.0: starts of a.c is listed for a line that is not");
    says(judged(list, &touched, &["hw/a.c, line 9"]), "9.0: what differs in hw/a.c, line 9");
}

#[test]
fn what_differs_is_touched_and_nothing_is_dropped() {
    let stock = "int same(void)\n{\n    return 1;\n}\nint other(void)\n{\n    return 1;\n}\n";
    let odd = "int odd(void)\n{\n    return 1 +* / ;\n}\n";
    let hidden = "#ifdef CONFIG_KVM\nint hidden(void)\n{\n    return 1;\n}\n#endif\n";
    let patched = format!("{}{odd}{hidden}) ? (\n", stock.replace("int other", "long other"));
    let file = |stock: &str, patched: &str| {
        survey(&[("hw/a.c".to_owned(), [stock.to_owned(), patched.to_owned()])], &[odd])
    };
    let line = file(stock, &patched);
    let touched: Vec<_> = line.touched.iter().map(|it| (&*it.name, it.at, it.mirrored)).collect();
    assert_eq!(touched, [("odd", 9, true), ("other", 5, false)]);
    assert_eq!(line.unread, ["hw/a.c, line 19", "hw/a.c, line 14"]);
    let line = file(&patched, &patched);
    assert!(line.touched.is_empty() && line.unread.is_empty(), "{line:?}");
    let lines = BTreeMap::from([("9.0".to_owned(), file("", stock))]);
    assert_eq!(figures(&lines), "0 of 2 in 9.0");
}
