//! What a QEMU line's machinery cannot keep: checks that are known to fail there, and how they do.
//!
//! Such a check is run all the same. Where it fails as foretold, that is told with the QEMU
//! function that prevents it; where it holds, the list is out of date, and that is a failure.

use super::Finding;
use crate::event::Verdict;
use serde::Deserialize;

/// The file's name, in a series' folder.
pub const FILE: &str = "cannot.toml";

/// One check that cannot hold.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Cannot {
    /// The check's name.
    pub check: String,
    /// The QEMU function that prevents it.
    pub function: String,
    /// How it does.
    pub why: String,
    /// What the finding then says, in part.
    pub shows: String,
}

/// The list, as it stands in the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct List {
    #[serde(default)]
    pub cannot: Vec<Cannot>,
}

impl Cannot {
    /// What a finding means, given that its check cannot hold.
    pub fn judge(&self, finding: Finding) -> Finding {
        let Cannot { function, why, shows, .. } = self;
        let (verdict, summary) = match finding.verdict {
            Verdict::Failed if finding.summary.contains(shows.as_str()) => {
                (Verdict::Cannot, format!("{function}: {why}; shown: {}", finding.summary))
            }
            Verdict::Held => (
                Verdict::Failed,
                format!(
                    "it holds, but stands in {FILE} as prevented by {function}: {}",
                    finding.summary
                ),
            ),
            verdict => (verdict, finding.summary),
        };
        Finding { verdict, summary, ..finding }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_failure_that_was_foretold_is_excused() {
        let text = "check = 'p4.x'\nfunction = 'ram_save_setup'\nwhy = 'no'\nshows = '3 pages'";
        let cannot: Cannot = toml::from_str(text).unwrap();
        let judged = |wrong: &[&str]| {
            let wrong = wrong.iter().map(|&each| each.to_owned()).collect();
            cannot.judge(Finding::new(wrong, "0 pages"))
        };
        let excused = judged(&["3 pages of pc.ram"]);
        assert_eq!(excused.verdict, Verdict::Cannot);
        assert_eq!(excused.summary, "ram_save_setup: no; shown: 3 pages of pc.ram");
        assert_eq!(judged(&["4 pages of pc.ram"]).verdict, Verdict::Failed);
        assert_eq!(judged(&[]).verdict, Verdict::Failed, "the list is out of date");
    }
}
