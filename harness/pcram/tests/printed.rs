//! What the tool makes for other programs: completions for shells, pages for `man`, JUnit for CI.

use std::process::{Command, Output};

const SHELLS: [&str; 5] = ["bash", "elvish", "fish", "powershell", "zsh"];

fn tool(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_pcram")).args(args).output().expect("the tool starts")
}

fn printed(args: &[&str]) -> String {
    let output = tool(args);
    assert!(output.status.success(), "{args:?}: {output:?}");
    assert!(output.stderr.is_empty(), "{args:?}: {output:?}");
    String::from_utf8(output.stdout).expect("it prints UTF-8")
}

/// The commands, as the tool's own help lists them.
fn commands() -> Vec<String> {
    let help = printed(&["--help"]);
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    let lines = lines.take_while(|line| !line.is_empty());
    let names = lines.filter_map(|line| line.split_whitespace().next().map(str::to_owned));
    names.filter(|name| name != "help").collect()
}

#[test]
fn every_shell_is_told_of_every_command() {
    for shell in SHELLS {
        let text = printed(&["completions", shell]);
        for command in commands() {
            assert!(text.contains(&command), "{shell} is not told of {command}");
        }
    }
}

#[test]
fn bash_completes_a_command_and_its_options() {
    let script = printed(&["completions", "bash"]);
    let ask = "\nCOMP_WORDS=(pcram check --jun); COMP_CWORD=2; \
               _pcram pcram --jun check; echo \"${COMPREPLY[*]}\"";
    let output = Command::new("bash").args(["-c", &(script + ask)]).output().expect("bash starts");
    assert_eq!(String::from_utf8_lossy(&output.stdout).trim(), "--junit", "{output:?}");
}

#[test]
fn the_manual_has_a_page_of_the_tool_and_one_of_each_command() {
    let overview = printed(&["manual"]);
    assert!(overview.contains(".TH pcram 1"), "{overview}");
    for code in ["a promise failed", "a prerequisite is missing", "interrupted"] {
        assert!(overview.contains(code), "{overview}");
    }
    for command in commands() {
        assert!(overview.contains(&format!("pcram\\-{command}(1)")), "{command} is not there");
        let page = printed(&["manual", &command]);
        assert!(page.contains(&format!(".TH pcram-{command} 1")), "{page}");
        for section in ["NAME", "SYNOPSIS", "DESCRIPTION", "OPTIONS"] {
            assert!(page.contains(&format!(".SH {section}")), "{section} is not in {page}");
        }
    }
}

#[test]
fn a_page_of_no_command_is_refused_with_those_there_are() {
    let output = tool(&["manual", "nonsense"]);
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("no command \"nonsense\"; there is verify, doctor, list"), "{said}");
}

#[test]
fn a_run_that_an_error_ends_early_is_an_error_in_its_junit_report() {
    let folder = tempfile::tempdir().unwrap();
    let [cache, junit] = ["cache", "junit.xml"].map(|name| folder.path().join(name));
    let mut check = Command::new(env!("CARGO_BIN_EXE_pcram"));
    check.args(["check", "0.9", "--cache"]).arg(cache).arg("--junit").arg(&junit);
    assert_eq!(check.output().expect("the tool starts").status.code(), Some(2));
    let text = std::fs::read_to_string(junit).unwrap();
    assert!(text.contains("tests=\"1\" skipped=\"0\" failures=\"0\" errors=\"1\""), "{text}");
    assert!(text.contains("there is no release &quot;0.9&quot;; there is 10.0"), "{text}");
}
