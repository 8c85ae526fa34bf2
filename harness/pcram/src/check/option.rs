//! The option is built in: the patched help offers it, and stock refuses it.

use super::trial::Trial;
use super::{Finding, ram_file};
use anyhow::Result;
use serde::Deserialize;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Offered {
    /// The option, with its dash.
    option: String,
}

impl Offered {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let Offered { option } = self;
        let patched = trial.patched();
        let mut wrong = Vec::new();
        let offered = patched.option_help(option);
        if offered.is_none() {
            let like = patched.options_like("mem").join(", ");
            wrong.push(format!(
                "{} ({}) does not offer {option}; of its kind its help offers {like}",
                patched.path.display(),
                patched.version()
            ));
        }
        let help = offered.unwrap_or_default().split_whitespace().collect::<Vec<_>>().join(" ");

        let Some(stock) = trial.bench.stock else {
            let summary = format!("help offers `{help}`; there is no stock to refuse it");
            return Ok(Finding::new(wrong, summary).with("help line, patched", help));
        };
        if stock.option_help(option).is_some() {
            wrong.push(format!("stock's help offers {option} as well"));
        }
        let path = trial.folder.join(ram_file::NAME);
        let args = [trial.launch().board_args(), trial.ram_file_args(&path)].concat();
        let ended = stock.run_to_end(&args, trial.folder)?;
        let said = ended.stderr.trim().to_owned();
        if !is_refusal(ended.code(), &said, option) {
            wrong
                .push(format!("stock did not refuse {option}: it {}, saying: {said}", ended.how()));
        }
        let finding = Finding::new(wrong, format!("help offers `{help}`; stock says `{said}`"));
        Ok(finding.with("help line, patched", help).with("stock's answer", said))
    }
}

/// Whether a QEMU ended as one that does not know the option.
fn is_refusal(code: Option<i32>, said: &str, option: &str) -> bool {
    code == Some(1) && said.ends_with(&format!("{option}: invalid option"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_and_ends_with_one() {
        let said = "qemu-system-x86_64: -x: invalid option";
        assert!(is_refusal(Some(1), said, "-x"));
        assert!(!is_refusal(Some(0), said, "-x") && !is_refusal(None, said, "-x"));
        assert!(!is_refusal(Some(1), said, "-y") && !is_refusal(Some(1), "", "-x"));
    }
}
