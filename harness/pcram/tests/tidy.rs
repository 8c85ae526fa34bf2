//! Formatting, licences, file heads, and the docs' agreement with the tool.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// What a dependency may be licensed under; one of the alternatives of its expression is enough.
const LICENCES: [&str; 9] = [
    "MIT",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];
/// Most files are shorter; a longer one has more than one reason to exist.
const LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

fn cargo(args: &[&str]) -> Output {
    let output = Command::new(env!("CARGO")).args(args).current_dir(root()).output();
    output.expect("cargo starts")
}

fn passes(args: &[&str]) {
    let output = cargo(args);
    let text = String::from_utf8_lossy(&output.stdout);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo {}\n{text}{error}", args.join(" "));
}

fn tracked(ending: &str) -> Vec<PathBuf> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output()
        .expect("git starts");
    assert!(output.status.success(), "git ls-files: {}", String::from_utf8_lossy(&output.stderr));
    let names = String::from_utf8(output.stdout).expect("paths are UTF-8");
    let wanted = names.split('\0').filter(|name| name.ends_with(ending));
    let files: Vec<_> = wanted.map(|name| root().join(name)).filter(|file| file.exists()).collect();
    assert!(!files.is_empty(), "no file ends in {ending}");
    files
}

#[test]
fn code_is_formatted() {
    passes(&["fmt", "--all", "--check"]);
}

#[test]
fn every_file_says_why_it_exists_and_is_short() {
    let mut wrong = Vec::new();
    for file in tracked(".rs") {
        let text = fs::read_to_string(&file).unwrap();
        if !text.starts_with("//! ") {
            wrong.push(format!("{} does not begin with a `//!` line", file.display()));
        }
        if text.lines().count() > LINES {
            wrong.push(format!("{} has more than {LINES} lines", file.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn dependencies_are_licensed_as_we_can_use_them() {
    let output = cargo(&["metadata", "--format-version", "1", "--locked"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let mut wrong = BTreeSet::new();
    for package in metadata["packages"].as_array().unwrap() {
        let (name, licence) = (&package["name"], package["license"].as_str().unwrap_or("none"));
        // `/` is how older crates write OR. Of an AND, every part must do.
        let alternatives = licence.replace('/', " OR ").replace(['(', ')'], "");
        let allowed = alternatives.split(" OR ").any(|alternative| {
            let mut parts = alternative.split(" AND ").map(str::trim);
            parts.all(|part| LICENCES.contains(&part))
        });
        if !allowed {
            wrong.insert(format!("{name}: {licence}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn the_changelog_speaks_of_this_version() {
    let changelog = fs::read_to_string(root().join("CHANGELOG.md")).unwrap();
    let heading = format!("## {}", env!("CARGO_PKG_VERSION"));
    assert!(changelog.contains(&heading), "CHANGELOG.md has no heading {heading:?}");
}

/// What the tool prints for `args`, at the width that the docs have.
fn help(args: &[&str]) -> String {
    let tool = Command::new(env!("CARGO_BIN_EXE_pcram")).args(args).env("COLUMNS", "100").output();
    let output = tool.expect("the tool starts");
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn each_command_has_a_page_with_its_help() {
    let commands = [
        "verify",
        "doctor",
        "list",
        "fetch",
        "apply",
        "refresh",
        "import",
        "reproduce",
        "stream",
        "build",
        "check",
        "mirror",
        "boot",
        "cache",
        "completions",
        "manual",
    ];
    let overview = help(&["--help"]);
    for command in commands {
        assert!(overview.contains(&format!("\n  {command} ")), "no command {command}");
        let page = root().join(format!("docs/commands/{command}.md"));
        let text = fs::read_to_string(&page).unwrap_or_default();
        let help = help(&[command, "--help"]);
        assert!(
            text.contains(&format!("```text\n{help}\n```")),
            "{} does not have the help as it is now:\n{help}",
            page.display()
        );
    }
    let listed = overview.lines().skip_while(|line| *line != "Commands:").skip(1);
    let listed = listed.take_while(|line| !line.is_empty()).count();
    assert_eq!(listed, commands.len() + 1, "a command without a page, beside `help`:\n{overview}");
}

#[test]
fn the_documented_exit_codes_are_the_tools() {
    let page = fs::read_to_string(root().join("docs/exit-codes.md")).unwrap();
    let rows: Vec<_> = page.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    let expected = pcram::failure::Exit::ALL.map(|exit| (exit.code(), exit.meaning()));
    assert_eq!(rows.len(), expected.len(), "{page}");
    for (row, (code, meaning)) in rows.iter().zip(expected) {
        assert!(row.starts_with(&format!("| {code} | {meaning} |")), "{row}");
    }
}
