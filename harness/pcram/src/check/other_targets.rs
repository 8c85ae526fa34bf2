//! Other targets: those that are PCs offer the option, the others build all the same and refuse it.

use super::trial::Trial;
use super::{Finding, ram_file};
use crate::machine::binary::{Binary, Ended};
use anyhow::Result;
use serde::Deserialize;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct OtherTargets {
    /// The option, with its dash.
    option: String,
    /// The emulators that offer it.
    #[serde(default)]
    offered_by: Vec<String>,
    /// The emulators for which it is an error.
    #[serde(default)]
    refused_by: Vec<String>,
    /// Programs that know no machine; that they build is enough.
    #[serde(default)]
    built: Vec<String>,
    /// Whether the help of this QEMU lists what only other targets have, as in 1.0.
    #[serde(default)]
    help_lists_all: bool,
}

/// What a program of another target was found to be.
#[derive(Debug)]
struct Target {
    name: String,
    wanted: Wanted,
    /// Why it was not built, or what it says of the option.
    found: Result<Answer, String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Wanted {
    Offer,
    Refusal,
    Build,
}

#[derive(Debug, Default)]
struct Answer {
    offers: bool,
    code: Option<i32>,
    said: String,
}

impl Wanted {
    /// Whether the program is started: one of user mode is only built.
    fn is_asked(self) -> bool {
        self != Wanted::Build
    }
}

impl OtherTargets {
    /// All programs that it asks of.
    pub(super) fn programs(&self) -> impl Iterator<Item = String> {
        self.offered_by.iter().chain(&self.refused_by).chain(&self.built).cloned()
    }

    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let beyond = trial.beyond()?;
        let wanted = |names: &[String], wanted| {
            names.iter().map(move |name| (name.clone(), wanted)).collect::<Vec<_>>()
        };
        let all = [
            wanted(&self.offered_by, Wanted::Offer),
            wanted(&self.refused_by, Wanted::Refusal),
            wanted(&self.built, Wanted::Build),
        ];
        let targets = all.concat().into_iter().map(|(name, wanted)| {
            let found = match beyond.programs.get(&name) {
                None => Err("nobody built it".to_owned()),
                Some(Err(error)) => Err(error.clone()),
                Some(Ok(path)) if wanted.is_asked() => Ok(self.ask(trial, &Binary::probe(path)?)?),
                Some(Ok(_)) => Ok(Answer::default()),
            };
            Ok(Target { name, wanted, found })
        });
        Ok(judge(&self.option, self.help_lists_all, &targets.collect::<Result<Vec<_>>>()?))
    }

    fn ask(&self, trial: &Trial, binary: &Binary) -> Result<Answer> {
        let path = trial.folder.join(ram_file::NAME);
        // The option comes first: a QEMU of before 1.4 has no machine `none`, and ends there.
        let board = ["-machine", "none", "-display", "none"].map(str::to_owned);
        let args = [trial.ram_file_args(&path), board.to_vec()].concat();
        let ended: Ended = binary.run_to_end(&args, trial.folder)?;
        let offers = binary.option_help(&self.option).is_some();
        // That of 1.0 says some errors where others print.
        let said = [&ended.stderr, &ended.stdout].map(|text| text.trim());
        let said = said.into_iter().find(|text| !text.is_empty()).unwrap_or_default();
        Ok(Answer { offers, code: ended.code(), said: said.to_owned() })
    }
}

fn judge(option: &str, help_lists_all: bool, targets: &[Target]) -> Finding {
    let mut wrong = Vec::new();
    for Target { name, wanted, found } in targets {
        match (wanted, found) {
            (_, Err(error)) => wrong.push(format!("{name} was not built: {error}")),
            (Wanted::Offer, Ok(answer)) if !answer.offers => {
                wrong.push(format!("{name}'s help does not offer {option}"));
            }
            (Wanted::Refusal, Ok(Answer { offers: true, .. })) if !help_lists_all => {
                wrong.push(format!("{name}'s help offers {option}"));
            }
            (Wanted::Refusal, Ok(Answer { code, said, .. })) => {
                // Of the target, not of the file, which does not exist.
                let names_it = said.contains("not supported for this target")
                    || said.contains("invalid option");
                if *code != Some(1) || !names_it {
                    wrong.push(format!("{name} did not refuse {option}, but said: {said}"));
                }
            }
            _ => {}
        }
    }
    let of = |(kind, does): (Wanted, &str)| {
        let of = targets.iter().filter(|each| each.wanted == kind);
        let names = of.map(|each| each.name.as_str()).collect::<Vec<_>>().join(", ");
        (!names.is_empty()).then(|| format!("{names} {does}"))
    };
    let kinds =
        [(Wanted::Offer, "offers it"), (Wanted::Refusal, "refuses it"), (Wanted::Build, "builds")];
    let summary = kinds.into_iter().filter_map(of).collect::<Vec<_>>().join("; ");
    let said = targets.iter().filter_map(|each| Some((&each.name, each.found.as_ref().ok()?)));
    said.filter(|(_, answer)| !answer.said.is_empty())
        .fold(Finding::new(wrong, summary), |finding, (name, answer)| {
            finding.with(format!("{name} said"), &answer.said)
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict::{Failed, Held};

    #[test]
    fn a_target_that_does_not_build_offers_too_much_or_accepts_fails() {
        let judged = |wanted, found| {
            judge("-x", false, &[Target { name: "qemu-system-avr".into(), wanted, found }]).verdict
        };
        let answer = |offers, code, said: &str| Ok(Answer { offers, code, said: said.into() });
        let refusal = "qemu: -x: Option not supported for this target";
        assert_eq!(judged(Wanted::Refusal, answer(false, Some(1), refusal)), Held);
        assert_eq!(judged(Wanted::Refusal, answer(true, Some(1), refusal)), Failed);
        let listed = answer(true, Some(1), refusal);
        let name = "qemu-system-avr".to_owned();
        let target = Target { name, wanted: Wanted::Refusal, found: listed };
        assert_eq!(judge("-x", true, &[target]).verdict, Held, "its help tells nothing");
        assert_eq!(judged(Wanted::Refusal, answer(false, Some(0), refusal)), Failed);
        assert_eq!(judged(Wanted::Refusal, answer(false, Some(1), "no such file")), Failed);
        assert_eq!(judged(Wanted::Offer, answer(true, Some(1), "no such file")), Held);
        assert_eq!(judged(Wanted::Offer, answer(false, Some(1), refusal)), Failed);
        assert_eq!(judged(Wanted::Build, answer(false, None, "")), Held);
        assert_eq!(judged(Wanted::Build, Err("vl.c:1: error".into())), Failed);
    }

    #[test]
    fn each_target_is_told_by_what_is_wanted_of_it() {
        let target = |name: &str, wanted, said: &str| Target {
            name: name.into(),
            wanted,
            found: Ok(Answer { offers: wanted == Wanted::Offer, code: Some(1), said: said.into() }),
        };
        let refusal = "-x: invalid option";
        let all = [
            target("i386", Wanted::Offer, "no file"),
            target("avr", Wanted::Refusal, refusal),
            target("user", Wanted::Build, ""),
        ];
        let finding = judge("-x", false, &all);
        assert_eq!(finding.summary, "i386 offers it; avr refuses it; user builds");
        let said: Vec<_> = finding.evidence.iter().map(|it| it.to_string()).collect();
        assert_eq!(said, ["i386 said: no file", "avr said: -x: invalid option"]);
        assert!(
            Wanted::Offer.is_asked() && Wanted::Refusal.is_asked() && !Wanted::Build.is_asked()
        );
    }
}
