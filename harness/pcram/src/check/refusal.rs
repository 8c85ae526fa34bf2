//! A QEMU that is to refuse its RAM file: one line, exit status 1, and the file untouched.

use super::Finding;
use super::ram_file::{self, FileKind};
use super::trial::Trial;
use super::untouched::Seen;
use crate::machine::binary::Ended;
use crate::machine::launch::opt_value;
use anyhow::Result;
use serde::Deserialize;
use std::fs;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Refusal {
    /// What lies at the path.
    file: FileKind,
    /// The words after the board's; `{opt-path}` is the path as a value in an option list, its
    /// commas doubled, `{path}` as it is.
    args: Vec<String>,
    /// The line on standard error, whole; `{path}`, `{size}` (the file's, in bytes) and `{ram}`
    /// (the machine's, in bytes) stand for what they say.
    message: String,
}

impl Refusal {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let Refusal { file, args, message } = self;
        let path = ram_file::prepare(&trial.place().join(ram_file::NAME), *file, trial.ram())?;
        let size = fs::symlink_metadata(&path).map(|meta| meta.len()).unwrap_or_default();
        let fill_in = |text: &str| {
            text.replace("{opt-path}", &opt_value(&path))
                .replace("{path}", &path.to_string_lossy())
                .replace("{size}", &size.to_string())
                .replace("{ram}", &trial.ram().to_string())
        };

        let launch = trial.launch();
        let words = args.iter().map(|word| fill_in(word)).collect();
        let args = [launch.board_args(), launch.extra, words].concat();

        let before = Seen::at(&path)?;
        let ended = trial.patched().run_to_end(&args, trial.folder)?;
        let touched = before.differences(&Seen::at(&path)?);
        let mut finding = judge(&ended, &fill_in(message), &touched);
        // The path is in the evidence; a summary is read by people.
        for written in [path.to_string_lossy().into_owned(), opt_value(&path)] {
            finding.summary = finding.summary.replace(&written, "PATH");
        }
        Ok(finding)
    }
}

fn judge(ended: &Ended, expected: &str, touched: &[String]) -> Finding {
    // QEMU puts its own name before what it reports.
    let said = ended.stderr.trim_end();
    let said = said.split_once(": ").map_or(said, |(_, rest)| rest);
    let mut wrong = Vec::new();
    if ended.code() != Some(1) {
        wrong.push(format!("it {}, instead of exit status 1", ended.how()));
    }
    if said != expected {
        wrong.push(format!("it said {said:?}, not {expected:?}"));
    }
    if !touched.is_empty() {
        wrong.push(format!("it touched the file: {}", touched.join(", ")));
    }
    Finding::new(wrong, format!("exit 1, file untouched: `{said}`"))
        .with("exit status", ended.how())
        .with("message", said)
        .with(
            "changes to the file",
            if touched.is_empty() { "none".into() } else { touched.join(", ") },
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    fn judged(status: i32, stderr: &str, touched: &[&str]) -> Verdict {
        let status = Some(ExitStatus::from_raw(status));
        let ended = Ended { status, stdout: String::new(), stderr: stderr.into() };
        let touched: Vec<_> = touched.iter().map(|&each| each.to_owned()).collect();
        judge(&ended, "-pcram-file: no such file", &touched).verdict
    }

    #[test]
    fn only_the_one_expected_line_with_exit_status_one_holds() {
        let line = "qemu-system-x86_64: -pcram-file: no such file\n";
        assert_eq!(judged(0x100, line, &[]), Verdict::Held);
        assert_eq!(judged(0, line, &[]), Verdict::Failed);
        assert_eq!(judged(6, line, &[]), Verdict::Failed, "an abort is no refusal");
        assert_eq!(judged(0x100, "qemu-system-x86_64: oh\n", &[]), Verdict::Failed);
        assert_eq!(judged(0x100, &line.repeat(2), &[]), Verdict::Failed, "two lines");
        assert_eq!(judged(0x100, line, &["its length was 1, is 2"]), Verdict::Failed);
        let ran_on = Ended { status: None, stdout: String::new(), stderr: line.into() };
        assert_eq!(judge(&ran_on, "-pcram-file: no such file", &[]).verdict, Verdict::Failed);
    }
}
