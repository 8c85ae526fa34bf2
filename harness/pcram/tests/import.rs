//! `import` as a user runs it: on a small git of the test's own making, with a letter that mail has
//! damaged.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a test works in: a git, a letter, and a cache of its own.
struct Place {
    dir: tempfile::TempDir,
}

const BEFORE: &str =
    "#include \"pc.h\"\n\nstatic int pc_init(ram_addr_t size)\n{\n\tint a;\n\n\treturn size;\n}\n";

fn git(dir: &Path, args: &[&str]) -> String {
    let output = Command::new("git")
        .args(["-c", "user.name=A", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"])
        .args(args)
        .current_dir(dir)
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_COMMITTER_DATE", "2011-11-21T12:00:00Z")
        .env("GIT_AUTHOR_DATE", "2011-11-21T12:00:00Z")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

impl Place {
    /// A git with a tagged commit, and a letter with a change of it.
    fn new(damage: impl Fn(String) -> String) -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap() };
        let tree = place.path("qemu");
        fs::create_dir_all(tree.join("hw")).unwrap();
        git(&tree, &["init", "--quiet"]);
        fs::write(tree.join("hw/pc.c"), BEFORE).unwrap();
        git(&tree, &["add", "."]);
        git(&tree, &["commit", "--quiet", "-m", "one"]);
        git(&tree, &["tag", "v1.0-rc3"]);
        let line = "\terror_report(\"the size of the file is not the size of the RAM, which is wrong\");\n";
        fs::write(tree.join("hw/pc.c"), BEFORE.replace("\treturn", &format!("{line}\treturn")))
            .unwrap();
        let diff = git(&tree, &["diff"]);
        git(&tree, &["checkout", "--quiet", "."]);
        let letter = format!(
            "From: A B <ab@example.org>\nDate: Fri, 25 Nov 2011 19:02:00 +0000\nMessage-ID: <1@example.org>\n\
             Subject: [PATCH] pc: say it\n\nWhy.\n\n---\n\nA note.\n\n{}\n-- \n1.7\n",
            damage(diff)
        );
        fs::write(place.path("letter"), letter).unwrap();
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn import(&self, args: &[&str]) -> Output {
        let mut tool = Command::new(env!("CARGO_BIN_EXE_pcram"));
        tool.arg("import").args(args).current_dir(self.dir.path());
        tool.env("PCRAM_CACHE", self.path("cache")).output().unwrap()
    }
}

fn said(output: &Output) -> String {
    let (out, err) = (&output.stdout, &output.stderr);
    format!("{}{}", String::from_utf8_lossy(out), String::from_utf8_lossy(err))
}

/// The long line wrapped, the blank line of context without its blank, tabs as blanks.
fn damaged(diff: String) -> String {
    diff.replace("the RAM, which", "the RAM,\nwhich")
        .replace("\n \n", "\n\n")
        .replace('\t', "        ")
}

#[test]
fn a_damaged_letter_becomes_a_series_that_git_takes() {
    let place = Place::new(damaged);
    let output = place.import(&["letter", "--git-url", "qemu", "--to", "series"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    let letter = fs::read_to_string(place.path("letter")).unwrap();
    let wrapped = letter.lines().position(|line| line.ends_with("the RAM,")).unwrap() + 1;
    let wrapped = format!("line {wrapped}: 2 lines are one again");
    for expected in [
        &*wrapped,
        "an empty line of context has its blank again",
        "blanks are tabs again",
        "1 of 1 files make the blobs that they promise",
        "the base is v1.0-rc3 of 2011-11-21",
    ] {
        assert!(text.contains(expected), "{expected:?} in:\n{text}");
    }
    let patch = place.path("series/0001-pc-say-it.patch");
    git(&place.path("qemu"), &["am", "--quiet", patch.to_str().unwrap()]);
    let author = git(
        &place.path("qemu"),
        &["log", "-1", "--format=%an <%ae> %ad %s", "--date=iso-strict-local"],
    );
    assert!(author.starts_with("A B <ab@example.org> 2011-11-25T"), "{author}");
    let after = fs::read_to_string(place.path("qemu/hw/pc.c")).unwrap();
    assert!(
        after
            .contains("\terror_report(\"the size of the file is not the size of the RAM, which is")
    );
    // The folder is there now, and is not written to again.
    let again = place.import(&["letter", "--git-url", "qemu", "--to", "series"]);
    assert_eq!(again.status.code(), Some(2), "{}", said(&again));
}

#[test]
fn only_to_check_writes_nothing() {
    let place = Place::new(damaged);
    let before = fs::read_dir(place.dir.path()).unwrap().count();
    let output = place.import(&["letter", "--git-url", "qemu", "--check-only"]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    let cache = 1;
    assert_eq!(fs::read_dir(place.dir.path()).unwrap().count(), before + cache);
}

#[test]
fn what_nothing_decides_is_refused_and_both_readings_are_shown() {
    let place = Place::new(damaged);
    let output = place.import(&["letter", "--to", "series"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("two readings fit") && text.contains("--git-url"), "{text}");
    assert!(!place.path("series").exists());
}

#[test]
fn what_does_not_make_the_promised_blob_is_refused() {
    let place = Place::new(|diff| diff.replace("is wrong", "is right"));
    let output = place.import(&["letter", "--git-url", "qemu", "--to", "series"]);
    let text = said(&output);
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("its line `index` promises"), "{text}");
    let whole = Place::new(|diff| diff);
    let output = whole.import(&["letter", "--git-url", "/no/git", "--to", "series"]);
    assert_eq!(output.status.code(), Some(2), "{}", said(&output));
    let output = whole.import(&["letter"]);
    assert!(said(&output).contains("--to <DIR>"), "{}", said(&output));
}

#[test]
fn standard_input_is_read() {
    let place = Place::new(|diff| diff);
    let mut tool = Command::new(env!("CARGO_BIN_EXE_pcram"));
    tool.args(["import", "-", "--check-only", "--git-url", "qemu"]).current_dir(place.dir.path());
    tool.env("PCRAM_CACHE", place.path("cache"))
        .stdin(fs::File::open(place.path("letter")).unwrap());
    let output = tool.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
    assert!(said(&output).contains("0 repairs; 1 of 1 files make"), "{}", said(&output));
}
