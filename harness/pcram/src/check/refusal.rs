//! A QEMU that is to refuse its RAM file: one line, exit status 1, and the file untouched.

use super::Finding;
use super::ram_file::{self, FileKind};
use super::trial::Trial;
use super::untouched::Seen;
use crate::machine::binary::Ended;
use crate::machine::launch::opt_value;
use anyhow::Result;
use rustix::process::Signal;
use serde::Deserialize;
use std::fs;
use std::os::unix::process::ExitStatusExt;

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
    #[serde(default)]
    message: Option<String>,
    /// What the line has in it, where the whole is not foretold.
    #[serde(default)]
    mentions: Vec<String>,
    /// How QEMU ends.
    #[serde(default)]
    ends: End,
}

/// How a QEMU ends that refuses something.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum End {
    /// With exit status 1.
    #[default]
    Exit,
    /// By `abort()`.
    Abort,
}

/// What is expected of it.
struct Expected {
    message: Option<String>,
    mentions: Vec<String>,
    ends: End,
}

impl Refusal {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let Refusal { file, args, message, mentions, ends } = self;
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
        let expected = Expected {
            message: message.as_deref().map(fill_in),
            mentions: mentions.iter().map(|each| fill_in(each)).collect(),
            ends: *ends,
        };
        let mut finding = judge(&ended, &expected, &touched);
        // The path is in the evidence; a summary is read by people.
        for written in [path.to_string_lossy().into_owned(), opt_value(&path)] {
            finding.summary = finding.summary.replace(&written, "PATH");
        }
        Ok(finding)
    }
}

fn judge(ended: &Ended, expected: &Expected, touched: &[String]) -> Finding {
    // QEMU puts its own name before what it reports.
    let said = ended.stderr.trim_end();
    let said = said.split_once(": ").map_or(said, |(_, rest)| rest);
    let mut wrong = Vec::new();
    let (as_expected, way) = match expected.ends {
        End::Exit => (ended.code() == Some(1), "exit 1"),
        End::Abort => {
            let signal = ended.status.and_then(|status| status.signal());
            (signal == Some(Signal::ABORT.as_raw()), "abort()")
        }
    };
    if !as_expected {
        wrong.push(format!("it {}, instead of {way}", ended.how()));
    }
    if let Some(message) = &expected.message
        && said != message
    {
        wrong.push(format!("it said {said:?}, not {message:?}"));
    }
    for mention in expected.mentions.iter().filter(|mention| !said.contains(*mention)) {
        wrong.push(format!("it said {said:?}, with no {mention:?}"));
    }
    if !touched.is_empty() {
        wrong.push(format!("it touched the file: {}", touched.join(", ")));
    }
    Finding::new(wrong, format!("{way}, file untouched: `{said}`"))
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
    use std::process::ExitStatus;

    fn expected(ends: End) -> Expected {
        let message = Some("-pcram-file: no such file".to_owned());
        Expected { message, mentions: vec!["such".to_owned()], ends }
    }

    fn judged(status: i32, stderr: &str, touched: &[&str]) -> Verdict {
        let status = Some(ExitStatus::from_raw(status));
        let ended = Ended { status, stdout: String::new(), stderr: stderr.into() };
        let touched: Vec<_> = touched.iter().map(|&each| each.to_owned()).collect();
        judge(&ended, &expected(End::Exit), &touched).verdict
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
        assert_eq!(judge(&ran_on, &expected(End::Exit), &[]).verdict, Verdict::Failed);
    }

    #[test]
    fn an_abort_is_one_where_it_is_expected_and_has_to_name_what_it_is_about() {
        let judged = |status, stderr: &str| {
            let status = Some(ExitStatus::from_raw(status));
            let ended = Ended { status, stdout: String::new(), stderr: stderr.into() };
            let mentions = vec!["/x".to_owned(), "17".to_owned()];
            let expected = Expected { message: None, mentions, ends: End::Abort };
            judge(&ended, &expected, &[]).verdict
        };
        assert_eq!(judged(6, "/x has 17 bytes\n"), Verdict::Held);
        assert_eq!(judged(0x100, "/x has 17 bytes\n"), Verdict::Failed);
        assert_eq!(judged(6, "/x has 18 bytes\n"), Verdict::Failed);
        assert_eq!(judged(11, "/x has 17 bytes\n"), Verdict::Failed);
    }
}
