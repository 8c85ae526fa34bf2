//! Without the option, the patched QEMU shows what stock shows: its help but for the option, its
//! devices, memory and objects, and what it offers.

use super::Finding;
use super::party::{Party, Side};
use super::trial::Trial;
use crate::machine::offers::Offers;
use anyhow::Result;
use serde::Deserialize;
use std::collections::BTreeSet;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Unchanged {
    /// The option, with its dash, which may differ in the help.
    option: String,
    /// Commands of the human monitor whose answers are compared.
    monitor: Vec<String>,
    /// The same, of answers whose lines come in an order that changes from run to run.
    unordered: Vec<String>,
}

/// One thing that both show.
struct Shown {
    what: String,
    stock: Vec<String>,
    patched: Vec<String>,
}

impl Unchanged {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let lines = |text: &str| text.lines().map(str::to_owned).collect::<Vec<_>>();
        let (stock, patched) = (trial.stock()?, trial.patched());
        let mut all = vec![Shown {
            what: "-help".into(),
            stock: lines(&stock.help),
            patched: without_option(&patched.help, &self.option),
        }];
        let (there, here) = (Offers::of(&stock.path)?, Offers::of(&patched.path)?);
        let names = |set: &BTreeSet<String>| set.iter().cloned().collect::<Vec<_>>();
        let mut offered = |what: &str, stock: &BTreeSet<String>, patched: &BTreeSet<String>| {
            all.push(Shown { what: what.into(), stock: names(stock), patched: names(patched) });
        };
        offered("machine types", &there.machines, &here.machines);
        offered("devices", &there.devices, &here.devices);
        // What both do not know of shows nothing, and has nothing to show.
        let asked =
            |question: &str| [&there, &here].iter().any(|it| it.answered.contains(question));
        if asked("query-migrate-capabilities") {
            offered("migration capabilities", &there.capabilities, &here.capabilities);
        }
        if asked("query-migrate-parameters") {
            offered("migration parameters", &there.parameters, &here.parameters);
        }
        let there = self.answers(trial, Side::Stock)?;
        let here = self.answers(trial, Side::Without)?;
        let what = self.monitor.iter().chain(&self.unordered);
        let both = what.zip(there.iter().zip(&here)).enumerate();
        for (at, (what, (there, here))) in both {
            let (there, here) = match (there, here) {
                (None, None) => continue,
                (there, here) => {
                    (there.as_deref().unwrap_or_default(), here.as_deref().unwrap_or_default())
                }
            };
            let mut shown = Shown { what: what.clone(), stock: lines(there), patched: lines(here) };
            if at >= self.monitor.len() {
                shown.stock.sort();
                shown.patched.sort();
            }
            all.push(shown);
        }
        Ok(judge(&all))
    }

    /// The answers to all commands, in their order; none to one that the monitor does not know.
    fn answers(&self, trial: &Trial, side: Side) -> Result<Vec<Option<String>>> {
        let name = format!("{side:?}").to_lowercase();
        let party = Party::new(trial, side, &name, trial.board.ram_mib)?;
        let mut machine = party.start(&party.launch(&[]))?;
        machine.stop()?;
        // To `info` of what it does not know, an older QEMU lists what it does.
        let unknown = machine.qmp.human("info no-such-thing")?;
        let commands = self.monitor.iter().chain(&self.unordered);
        let answers = commands.map(|command| {
            let answer = machine.qmp.human(command)?;
            Ok((answer != unknown).then_some(answer))
        });
        let answers = answers.collect::<Result<Vec<_>>>()?;
        machine.kill()?;
        Ok(answers)
    }
}

/// The lines of a help, but for those on one option: its own, and the indented ones below it.
fn without_option(help: &str, option: &str) -> Vec<String> {
    let mut within = false;
    let mut others = Vec::new();
    for line in help.lines() {
        let rest = line.strip_prefix(option);
        let begins = rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(' '));
        within = begins || within && line.starts_with(' ');
        if !within {
            others.push(line.to_owned());
        }
    }
    others
}

fn judge(all: &[Shown]) -> Finding {
    let mut wrong = Vec::new();
    for Shown { what, stock, patched } in all {
        if stock.is_empty() {
            wrong.push(format!("stock shows nothing as {what}"));
        }
        let pairs = stock.iter().zip(patched);
        if let Some((there, here)) = pairs.into_iter().find(|(there, here)| there != here) {
            wrong.push(format!("{what}: where stock has `{there}`, patched has `{here}`"));
        } else if stock.len() != patched.len() {
            let (there, here) = (stock.len(), patched.len());
            wrong.push(format!("{what}: stock has {there} lines, patched {here}"));
        }
    }
    let names: Vec<_> = all.iter().map(|shown| shown.what.as_str()).collect();
    let finding = Finding::new(wrong, format!("the same but for the option: {}", names.join(", ")));
    all.iter().fold(finding, |finding, Shown { what, stock, .. }| {
        finding.with(format!("lines of {what}"), stock.len())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    #[test]
    fn only_the_options_own_lines_are_left_out_of_the_help() {
        let help = "-m size\n-pcram-file FILE\n       a file\n-pcram-files x\n       y\n";
        assert_eq!(without_option(help, "-pcram-file"), ["-m size", "-pcram-files x", "       y"]);
    }

    #[test]
    fn a_line_more_less_or_other_fails() {
        let judged = |stock: &[&str], patched: &[&str]| {
            let lines = |list: &[&str]| list.iter().map(|&line| line.to_owned()).collect();
            judge(&[Shown { what: "x".into(), stock: lines(stock), patched: lines(patched) }])
        };
        assert_eq!(judged(&["a", "b"], &["a", "b"]).verdict, Verdict::Held);
        assert_eq!(judged(&["a"], &["b"]).summary, "x: where stock has `a`, patched has `b`");
        assert_eq!(judged(&["a"], &["a", "b"]).verdict, Verdict::Failed);
        assert_eq!(judged(&["a", "b"], &["a"]).verdict, Verdict::Failed);
        assert_eq!(judged(&[], &[]).verdict, Verdict::Failed, "nothing to compare");
    }
}
