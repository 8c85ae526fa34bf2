//! Revisions that are in no table, from the command line: what is tried, told and left to the user.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use tempfile::TempDir;

/// A checkout with a table of two releases, and a source of the newer one, which is a git too.
struct Place {
    dir: TempDir,
}

/// What the tool did.
struct Ran {
    exit: Option<i32>,
    told: String,
}

const TABLE: &str = r#"
[[release]]
name = "NAME"
series = "NAME"

[release.package]
name = "qemu"
suite = "none"
line = "NAME"
version = "NAME.0"
dsc-sha256 = "0000000000000000000000000000000000000000000000000000000000000000"
base = "0000000000000000000000000000000000000000"
"#;

fn numbers() -> String {
    (1..=20).map(|line| format!("line {line}\n")).collect()
}

fn git(dir: &Path, arguments: &[&str]) -> Output {
    let mut git = Command::new("git");
    git.current_dir(dir).args(arguments);
    git.env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_CONFIG_NOSYSTEM", "1");
    for who in ["AUTHOR", "COMMITTER"] {
        git.env(format!("GIT_{who}_NAME"), "A").env(format!("GIT_{who}_EMAIL"), "a@example.org");
    }
    let output = git.output().unwrap();
    assert!(output.status.success(), "git {arguments:?}: {output:?}");
    output
}

impl Place {
    /// 9.0 has a series that changes a file which is gone since; 10.0 one that changes line 10 and
    /// then line 15 of `pc.c`.
    fn new() -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        let source = place.source();
        fs::create_dir(&source).unwrap();
        git(&source, &["init", "--quiet"]);
        let series = |name: &str| {
            let folder = place.path(&format!("patches/{name}"));
            fs::create_dir_all(&folder).unwrap();
            let into = folder.display().to_string();
            let arguments = ["format-patch", "--full-index", "-o", &into, "base.."];
            let written = git(&source, &arguments).stdout;
            let written = String::from_utf8(written).unwrap().replace(&format!("{into}/"), "");
            fs::write(folder.join("series"), written).unwrap();
        };
        place.commit(&[("VERSION", "9.0.0\n"), ("configure", ""), ("old.c", &numbers())]);
        git(&source, &["tag", "base"]);
        place.commit(&[("old.c", "changed\n")]);
        series("9.0");
        git(&source, &["checkout", "--quiet", "-B", "main", "base"]);
        fs::remove_file(source.join("old.c")).unwrap();
        place.commit(&[("VERSION", "10.0.0\n"), ("pc.c", &numbers())]);
        git(&source, &["tag", "--force", "base"]);
        let ten = numbers().replace("line 10\n", "TEN\n");
        place.commit(&[("pc.c", &ten)]);
        place.commit(&[("pc.c", &ten.replace("line 15\n", "FIFTEEN\n"))]);
        series("10.0");
        git(&source, &["checkout", "--quiet", "-B", "main", "base"]);
        let table = ["10.0", "9.0"].map(|name| TABLE.replace("NAME", name)).concat();
        fs::write(place.path("patches/releases.toml"), table).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn source(&self) -> PathBuf {
        self.path("source")
    }

    fn commit(&self, files: &[(&str, &str)]) {
        for (name, text) in files {
            fs::write(self.source().join(name), text).unwrap();
        }
        git(&self.source(), &["add", "--all"]);
        git(&self.source(), &["commit", "--quiet", "-m", "change", "-m", "Why."]);
    }

    /// A tree without a git, with this `pc.c`.
    fn tree(&self, pc: &str) -> String {
        let tree = self.path("tree");
        fs::create_dir_all(&tree).unwrap();
        for (name, text) in [("VERSION", "10.1.50\n"), ("configure", ""), ("pc.c", pc)] {
            fs::write(tree.join(name), text).unwrap();
        }
        tree.display().to_string()
    }

    /// Runs the tool, without a network.
    fn run(&self, arguments: &[&str]) -> Ran {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_pcram"));
        tool.current_dir(self.dir.path()).args(arguments).args(["--offline", "--cache", "cache"]);
        let output = tool.env_remove("CARGO").output().unwrap();
        let text = |bytes| String::from_utf8(bytes).unwrap();
        let told = text(output.stdout) + &text(output.stderr);
        Ran { exit: output.status.code(), told }
    }
}

impl Ran {
    fn tells(&self, exit: i32, parts: &[&str]) {
        assert_eq!(self.exit, Some(exit), "{}", self.told);
        for part in parts {
            assert!(self.told.contains(part), "no {part:?} in: {}", self.told);
        }
    }
}

#[test]
fn an_unknown_revision_wants_a_source() {
    let place = Place::new();
    let parts = ["no release \"v10.1.0\"", "there is 10.0, 9.0", "--git-url", "--tree", "--series"];
    for command in ["fetch", "apply", "build", "check", "verify"] {
        place.run(&[command, "v10.1.0"]).tells(2, &parts);
    }
    let source = place.source().display().to_string();
    place.run(&["apply", "v10.1.0", "--git-url", &source]).tells(3, &["no commit \"v10.1.0\""]);
}

#[test]
fn a_branch_and_a_tree_get_the_nearest_series() {
    let place = Place::new();
    let source = place.source().display().to_string();
    git(&place.source(), &["checkout", "--quiet", "-b", "topic/pc"]);
    place.commit(&[("pc.c", &numbers().replace("line 12\n", "twelve\n"))]);
    let by_name = place.run(&["apply", "topic/pc", "--git-url", &source]);
    by_name.tells(
        0,
        &[
            "10.0: 0 of the 1 files",
            "its version is the tree's",
            "the nearest is patches/10.0",
            "0001-change.patch: three-way",
            "2 patches: 2 three-way",
        ],
    );
    let by_rev = place.run(&["apply", "--git-url", &source, "--git-rev", "topic/pc"]);
    by_rev.tells(0, &["the nearest is patches/10.0", "2 patches: 2 three-way"]);

    let tree = place.tree(&format!("new\n{}", numbers()));
    let parts = ["10.0: 0 of the 1 files", "1.5 releases away", "2 patches: 2 with an offset"];
    place.run(&["apply", "--tree", &tree, "--write-series", "new"]).tells(0, &parts);
    let parts = ["2 patches of new", "2 patches apply exactly"];
    place.run(&["apply", "--tree", &tree, "--series", "new"]).tells(0, &parts);
    // Who names a release has chosen its series.
    let parts = ["2 patches of patches/10.0", "2 with an offset"];
    place.run(&["apply", "10.0", "--tree", &tree]).tells(0, &parts);
    // Building goes the same way, up to what is no source of QEMU's.
    let built = place.run(&["check", "--tree", &tree]);
    assert!(built.told.contains("the nearest is patches/10.0"), "{}", built.told);
}

#[test]
fn a_conflict_is_left_to_the_user_who_is_told_how_to_go_on() {
    let place = Place::new();
    let source = place.source().display().to_string();
    place.run(&["fetch", "base", "--git-url", &source]).tells(0, &[]);
    let tree = place.tree(&numbers().replace("line 15\n", "fifteen\n"));
    let parts = [
        "stopped at patch 2 of 2: 0002-change.patch",
        "line 15: expected: line 15",
        "line 15: found:    fifteen",
        "Nothing was changed",
        &format!("`pcram apply --tree {tree} --cache cache --to DIR`"),
    ];
    place.run(&["apply", "--tree", &tree]).tells(4, &parts);
    let mut left: Vec<_> = fs::read_dir(place.dir.path()).unwrap().flatten().collect();
    left.retain(|entry| {
        !["cache", "patches", "source", "tree"].iter().any(|it| *it == entry.file_name())
    });
    assert!(left.is_empty(), "{left:?}");

    let stopped = place.run(&["apply", "--tree", &tree, "--to", "work"]);
    stopped.tells(
        4,
        &[
            "`git am` stopped at patch 2 of 2, 0002-change.patch",
            "\n  git add pc.c\n",
            "\n  git am --continue ",
        ],
    );
    let work = place.path("work");
    let marked = fs::read_to_string(work.join("pc.c")).unwrap();
    let conflict = "<<<<<<< HEAD\nfifteen\n=======\nFIFTEEN\n>>>>>>> change\n";
    fs::write(work.join("pc.c"), marked.replace(conflict, "Fifteen\n")).unwrap();
    git(&work, &["add", "pc.c"]);
    git(&work, &["am", "--continue"]);
    assert!(stopped.told.contains("pcram refresh work --to SERIES"), "{}", stopped.told);
    place.run(&["refresh", "work", "--to", "new"]).tells(0, &["2 patches, which apply exactly"]);
    let parts = ["2 patches apply exactly"];
    place.run(&["apply", "--tree", &tree, "--series", "new", "--to", "done"]).tells(0, &parts);
    let done = numbers().replace("line 10\n", "TEN\n").replace("line 15\n", "Fifteen\n");
    assert_eq!(fs::read_to_string(place.path("done/pc.c")).unwrap(), done);
}

#[test]
fn what_a_patch_was_made_on_is_named_where_it_is_not_at_hand() {
    let place = Place::new();
    let tree = place.tree(&numbers().replace("line 12\n", "twelve\n"));
    let parts = [
        "not merged three ways: pc.c that the patch was made on, blob ",
        "`pcram fetch 10.0 --source package` fetches the source that the series was made on",
    ];
    place.run(&["apply", "--tree", &tree]).tells(4, &parts);
    let source = place.source().display().to_string();
    let with_git = place.run(&["apply", "--tree", &tree, "--git-url", &source]);
    with_git.tells(0, &["2 patches: 2 three-way"]);

    let place = Place::new();
    let tree = place.tree(&numbers().replace("line 12\n", "twelve\n"));
    let parts = ["No file has conflict markers", "git apply --reject"];
    place.run(&["apply", "--tree", &tree, "--to", "work"]).tells(4, &parts);
}
