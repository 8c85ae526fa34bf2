//! The series' own test passes in the tree's own test suite (qtest, which speaks TAP).

use super::trial::Trial;
use super::{Finding, NotTried};
use crate::process::{Ending, run};
use anyhow::Result;
use serde::Deserialize;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// How long one test program may take.
const LIMIT: Duration = Duration::from_secs(300);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OwnTest {
    /// The program's name.
    program: String,
}

impl OwnTest {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let name = &self.program;
        let program = match trial.beyond()?.programs.get(name) {
            None => {
                let text = format!("the series adds no {name}");
                return Ok(Finding::new(vec![text], ""));
            }
            Some(Err(error)) => {
                return Ok(Finding::new(vec![format!("{name} does not build: {error}")], ""));
            }
            Some(Ok(program)) => program,
        };
        let mut command = Command::new(program);
        command.arg("--tap").current_dir(trial.folder);
        command.env("QTEST_QEMU_BINARY", &trial.patched().path);
        command.env("QTEST_QEMU_IMG", trial.qemu_img()?);
        let mut output = String::new();
        let status = run(&mut command, Ending::Kill, LIMIT, |line| {
            output.push_str(line);
            output.push('\n');
        })?;
        fs::write(trial.folder.join("tap"), &output)?;
        if status.code() == Some(77) {
            return Err(NotTried(format!("{name} skipped itself")).into());
        }
        Ok(judge(name, status.success(), &output))
    }
}

fn judge(name: &str, succeeded: bool, tap: &str) -> Finding {
    let is_point = |line: &&str| line.starts_with("ok ") || line.starts_with("not ok ");
    let points: Vec<&str> = tap.lines().filter(is_point).collect();
    let (skipped, tried): (Vec<&str>, Vec<&str>) =
        points.iter().partition(|line| line.to_lowercase().contains("# skip"));
    let failed: Vec<_> = tried.iter().filter(|line| line.starts_with("not ok")).collect();
    let mut wrong: Vec<String> = failed.iter().map(|line| format!("{name}: {line}")).collect();
    let planned = tap.lines().find_map(|line| line.strip_prefix("1..")?.trim().parse().ok());
    if planned != Some(points.len()) {
        let planned = planned.map_or("no plan".to_owned(), |n: usize| format!("{n} planned"));
        wrong.push(format!("{name}: {} tests ended, {planned}", points.len()));
    }
    if tried.is_empty() {
        wrong.push(format!("{name} tried nothing"));
    }
    if !succeeded {
        wrong.push(format!("{name} did not end well"));
    }
    let passed = tried.len() - failed.len();
    Finding::new(wrong, format!("{name}: {passed} of {} tests pass", tried.len()))
        .with("tests passed", passed)
        .with("tests skipped by themselves", skipped.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict::{Failed, Held};

    #[test]
    fn a_test_that_fails_is_missing_or_tries_nothing_fails_the_check() {
        let good = "# random seed\n1..2\n# Start\nok 1 /x86_64/a\nok 2 /x86_64/b # SKIP no\n";
        let judged = |succeeded, tap: &str| judge("t", succeeded, tap);
        assert_eq!(judged(true, good).verdict, Held);
        assert_eq!(judged(true, good).summary, "t: 1 of 1 tests pass");
        assert_eq!(judged(false, good).verdict, Failed);
        assert_eq!(judged(true, &good.replace("ok 1", "not ok 1")).verdict, Failed);
        assert_eq!(judged(true, &good.replace("1..2", "1..3")).verdict, Failed);
        assert_eq!(judged(true, "1..1\nok 1 /a # SKIP\n").verdict, Failed);
        assert_eq!(judged(true, "").verdict, Failed);
    }

    #[test]
    fn what_failed_is_not_among_what_passed() {
        let tap = "1..3\nok 1 /a\nnot ok 2 /b\nok 3 /c # SKIP no\n";
        let finding = judge("t", false, tap);
        let figures: Vec<_> = finding.evidence.iter().map(|it| it.to_string()).collect();
        assert_eq!(figures, ["tests passed: 1", "tests skipped by themselves: 1"]);
    }
}
