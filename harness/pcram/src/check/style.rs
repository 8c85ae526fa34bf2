//! The patches as somebody would send them: the tree's own checkpatch is content with each, and
//! each argues for itself under nobody's name but the sender's.

use super::Finding;
use super::trial::Trial;
use crate::process::{Ending, run};
use crate::series::Patch;
use anyhow::{Context, Result};
use regex::Regex;
use serde::Deserialize;
use std::fs;
use std::process::Command;
use std::time::Duration;

/// Where the tree has its script.
const SCRIPT: &str = "scripts/checkpatch.pl";
/// How long it may take for one patch.
const LIMIT: Duration = Duration::from_secs(60);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Style {
    /// What must stand in the message of the patch that has the idea from somebody else.
    credit: String,
}

/// What the script said of one patch.
#[derive(Debug)]
struct Checked<'a> {
    patch: &'a Patch,
    output: String,
    succeeded: bool,
}

impl Style {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let provenance = trial.provenance()?;
        let script =
            provenance.text(SCRIPT)?.with_context(|| format!("the tree has no {SCRIPT}"))?;
        let path = trial.folder.join("checkpatch.pl");
        fs::write(&path, script)?;
        let mut checked = Vec::new();
        for (at, patch) in provenance.series.patches.iter().enumerate() {
            let file = trial.folder.join(format!("{:04}.patch", at + 1));
            fs::write(&file, &patch.text)?;
            let mut command = Command::new("perl");
            command.arg(&path).args(["--no-tree", "--no-signoff"]).arg(&file);
            command.current_dir(trial.folder);
            let mut output = String::new();
            let status = run(&mut command, Ending::Kill, LIMIT, |line| {
                output.extend([line, "\n"]);
            })?;
            checked.push(Checked { patch, output, succeeded: status.success() });
        }
        Ok(judge(&self.credit, &checked))
    }
}

fn judge(credit: &str, checked: &[Checked]) -> Finding {
    let total = Regex::new(r"total: (\d+) errors, (\d+) warnings").expect("well-formed");
    let mut wrong = Vec::new();
    let mut credited = false;
    for Checked { patch, output, succeeded } in checked {
        let Patch { file, text, .. } = patch;
        let clean = total.captures(output).is_some_and(|of| &of[1] == "0" && &of[2] == "0");
        if !clean || !succeeded {
            let said = output
                .lines()
                .find(|line| line.starts_with("ERROR") || line.starts_with("WARNING"));
            let said = said.unwrap_or("it says nothing that can be understood");
            wrong.push(format!("{file}: checkpatch.pl: {said}"));
        }
        let text = String::from_utf8_lossy(text);
        let message = message(&text);
        credited |= message.contains(credit);
        if message.lines().any(|line| line.starts_with("Signed-off-by:")) {
            wrong.push(format!("{file} is signed off in somebody's name"));
        }
        let argues = message.lines().filter(|line| !is_trailer(line) && !line.trim().is_empty());
        if argues.count() == 0 {
            wrong.push(format!("{file} does not say why"));
        }
    }
    if !credited {
        wrong.push(format!("no patch credits the idea by {credit}"));
    }
    let count = checked.len();
    Finding::new(wrong, format!("checkpatch.pl finds nothing in {count} patches; each says why"))
        .with("patches", count)
}

/// The message of a mailed patch, without its subject: between the head and the line `---`.
fn message(mail: &str) -> &str {
    let body = mail.split_once("\n\n").map_or("", |(_, body)| body);
    let end = ["\n---\n", "\ndiff --git "].iter().filter_map(|mark| body.find(mark)).min();
    &body[..end.unwrap_or(body.len())]
}

fn is_trailer(line: &str) -> bool {
    line.split_once(": ").is_some_and(|(name, _)| !name.contains(' ') && name.contains('-'))
        || line.starts_with("Link: ")
        || line.starts_with("Fixes: ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict::{Failed, Held};

    const CLEAN: &str = "total: 0 errors, 0 warnings, 9 lines checked\n";

    fn judged(body: &str, output: &str, succeeded: bool) -> Finding {
        let text = format!("From 0\nSubject: [PATCH] x\n\n{body}\n---\n a | 1 +\n").into_bytes();
        let patch = Patch { file: "a.patch".into(), subject: "x".into(), text };
        judge("Link: here", &[Checked { patch: &patch, output: output.into(), succeeded }])
    }

    #[test]
    fn what_could_not_be_sent_is_named() {
        let good = "Because.\n\nLink: here";
        assert_eq!(judged(good, CLEAN, true).verdict, Held);
        let warned = "WARNING: line over 80\ntotal: 0 errors, 1 warnings, 9 lines\n";
        assert_eq!(
            judged(good, warned, true).summary,
            "a.patch: checkpatch.pl: WARNING: line over 80"
        );
        assert_eq!(judged(good, "", true).verdict, Failed);
        assert_eq!(judged(good, CLEAN, false).verdict, Failed);
        let signed = judged("Because.\nLink: here\nSigned-off-by: A <a@example.org>", CLEAN, true);
        assert_eq!(signed.summary, "a.patch is signed off in somebody's name");
        assert_eq!(judged("Link: here", CLEAN, true).summary, "a.patch does not say why");
        assert!(judged("Because.", CLEAN, true).summary.contains("credits the idea"));
    }

    #[test]
    fn a_trailer_has_a_hyphenated_name_of_one_word_or_a_known_one() {
        assert!(is_trailer("Reported-by: A <a@example.org>") && is_trailer("Link: https://x"));
        assert!(is_trailer("Fixes: 0123 (\"x\")"));
        assert!(!is_trailer("Why: because") && !is_trailer("A well-known fact: it is"));
        assert!(!is_trailer("no colon-here"));
    }
}
