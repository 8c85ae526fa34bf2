//! Back to a snapshot: the guest runs on with the RAM of that moment, its code included.
//!
//! The guest runs code in RAM until it is translated, and different code at the same place after
//! the snapshot was taken. Code that adds a step to a sum tells by the sum which of the two ran.

use super::Finding;
use super::party::{self, DISK, Party, SNAPSHOT, Side};
use super::ram_file;
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::guest::Found;
use crate::machine::guest::code::Ran;
use anyhow::{Context, Result};
use pcram_guests::code::adds;
use serde::Deserialize;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0071;
/// The guest-physical address of the code, the start of a page.
const CODE: u64 = 0x20_1000;
/// What the code adds when the snapshot is taken, and what the code adds that takes its place.
const OLD_STEP: i32 = 3;
const NEW_STEP: i32 = 7;
/// How often the code is run at once, and how many reports of a loop are waited for: more than it
/// takes to have it translated.
const RUNS: u64 = 20_000;
const REPORTS: usize = 2;

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Restore {
    /// Where the guest runs on.
    into: Target,
    /// What the guest does when the snapshot is taken.
    guest: Doing,
    /// Words for every QEMU.
    #[serde(default)]
    args: Vec<String>,
}

/// Where the guest runs on.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Target {
    /// In the same QEMU, on the same file, which is written over in place.
    SameQemu,
    /// In a new QEMU, on the copy.
    NewQemu,
}

/// What the guest does when the snapshot is taken.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Doing {
    /// It waits to be told what to do.
    Waiting,
    /// It runs the code, and is in the midst of it.
    Looping,
}

/// What the guest ran and found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Restored {
    /// The old code, before the snapshot.
    before: Ran,
    /// The new code, after it; `None` where the guest did not run on there.
    meanwhile: Option<Ran>,
    /// What a loop that goes on had come to when it was first heard of again; `None` where the
    /// code is run anew.
    back: Option<Ran>,
    /// What ran once the guest was back. A loop that goes on is counted from its beginning.
    after: Ran,
    /// The code that the guest reads then.
    code: u64,
    /// The stamps that it finds then.
    found: Found,
}

impl Restore {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let party = Party::new(trial, Side::With, "qemu", trial.board.ram_mib)?.with(&self.args);
        let file = party.ram_file.clone().context("there is no RAM file")?;
        let disk = party.create_disk()?;
        let mut launch = party.launch(&[]);
        launch.disk = Some(DISK.into());
        let mut machine = party.start(&launch)?;
        machine.guest.seed(SEED, 0)?;
        machine.guest.stamp()?;
        let before = self.run_hot(&mut machine, OLD_STEP)?;

        machine.stop()?;
        party::savevm(&mut machine)?;
        let again = Party::new(trial, Side::With, "again", trial.board.ram_mib)?.with(&self.args);
        let copy = again.ram_file.clone().context("there is no RAM file")?;
        ram_file::copy(&file, &copy)?;
        machine.cont()?;
        if self.guest == Doing::Looping {
            machine.guest.end_loop()?;
        }
        machine.guest.stamp()?;
        let meanwhile = Some(self.run_hot(&mut machine, NEW_STEP)?);

        match self.into {
            Target::SameQemu => {
                machine.stop()?;
                ram_file::copy(&copy, &file)?;
                let said = machine.qmp.human(&format!("loadvm {SNAPSHOT}"))?;
                if !said.is_empty() {
                    return Ok(Finding::new(vec![format!("loadvm said: {said}")], ""));
                }
                machine.cont()?;
            }
            Target::NewQemu => {
                machine.quit()?;
                let mut launch = again.launch(&["-loadvm", SNAPSHOT]);
                launch.disk = Some(disk);
                machine = Machine::start(again.binary()?, &launch, &again.folder)?;
            }
        }
        let (back, after) = match self.guest {
            Doing::Waiting => (None, machine.guest.run(CODE, RUNS)?),
            Doing::Looping => {
                // It was stopped anywhere in the loop: what counts is what it runs from there on.
                let back = machine.guest.looping()?;
                machine.guest.looping()?;
                (Some(back), machine.guest.end_loop()?)
            }
        };
        let code = machine.guest.peek(CODE)?;
        let found = machine.guest.find()?;
        machine.kill()?;
        Ok(judge(&Restored { before, meanwhile, back, after, code, found }))
    }

    /// Puts code in its place and has it run until it is translated; a looping guest stays in it.
    fn run_hot(&self, machine: &mut Machine, step: i32) -> Result<Ran> {
        machine.guest.poke(CODE, adds(step))?;
        if self.guest == Doing::Waiting {
            return machine.guest.run(CODE, RUNS);
        }
        machine.guest.loop_at(CODE)?;
        let mut ran = machine.guest.looping()?;
        for _ in 1..REPORTS {
            ran = machine.guest.looping()?;
        }
        Ok(ran)
    }
}

fn judge(restored: &Restored) -> Finding {
    let Restored { before, meanwhile, back, after, code, found } = restored;
    let adds_up = |ran: &Ran, step: i32| ran.runs > 0 && ran.value == ran.runs * step as u64;
    let mut wrong = Vec::new();
    if !adds_up(before, OLD_STEP) || !meanwhile.is_none_or(|ran| adds_up(&ran, NEW_STEP)) {
        wrong
            .push("the guest did not run the code that it was given in the first place".to_owned());
    }
    if *code != adds(OLD_STEP) {
        let newer = if *code == adds(NEW_STEP) { ", which is the newer one" } else { "" };
        wrong.push(format!("the guest finds the code {code:#018x} in RAM{newer}"));
    }
    if back.is_some_and(|back| after.runs <= back.runs) {
        wrong.push("the guest ran no code once it was back".to_owned());
    }
    if !adds_up(after, OLD_STEP) {
        let Ran { runs, value } = after;
        wrong.push(format!(
            "{runs} runs of the code came to {value}, not {}: something else than it was run",
            runs * OLD_STEP as u64
        ));
    }
    // The page that the code is in has no stamp.
    let Found { pages, matching, first_bad } = found;
    if matching + 1 != *pages || *first_bad != Some(CODE) {
        wrong.push(format!("of {pages} pages, {matching} are as they were, and one has the code"));
    }
    let summary = format!(
        "{} runs of the code came to {}: the old one ran; {matching} of {pages} pages as they \
         were, and the code's",
        after.runs, after.value
    );
    let figure = |Ran { runs, value }: &Ran| format!("{runs} runs, sum {value}");
    let finding = Finding::new(wrong, summary)
        .with(format!("before, adding {OLD_STEP}"), figure(before))
        .with("back there", figure(after))
        .with("code found", format!("{code:#018x}"))
        .with("pages as they were", format!("{matching} of {pages}"));
    match meanwhile {
        Some(ran) => finding.with(format!("meanwhile, adding {NEW_STEP}"), figure(ran)),
        None => finding,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn judged(damage: impl Fn(&mut Restored)) -> Finding {
        let ran = |step: i32| Ran { runs: 10, value: 10 * step as u64 };
        let found = Found { pages: 8, matching: 7, first_bad: Some(CODE) };
        let (before, after, meanwhile) = (ran(OLD_STEP), ran(OLD_STEP), Some(ran(NEW_STEP)));
        let mut restored =
            Restored { before, meanwhile, back: None, after, code: adds(OLD_STEP), found };
        damage(&mut restored);
        judge(&restored)
    }

    #[test]
    fn only_the_old_code_on_the_old_pages_holds() {
        let finding = judged(|_| ());
        assert_eq!(finding.verdict, Verdict::Held);
        assert!(finding.summary.starts_with("10 runs of the code came to 30: the old one ran; 7 "));
        let stale = judged(|it| it.after.value = 70);
        assert!(stale.summary.starts_with("10 runs of the code came to 70, not 30"));
        let mixed = judged(|it| it.after.value = 34);
        assert_eq!(mixed.verdict, Verdict::Failed, "one run of the newer code");
        let back = |runs| judged(move |it| it.back = Some(Ran { runs, value: 0 }));
        assert_eq!(back(9).verdict, Verdict::Held);
        assert_eq!(back(10).summary, "the guest ran no code once it was back");
        let newer = judged(|it| it.code = adds(NEW_STEP));
        assert!(newer.summary.ends_with("in RAM, which is the newer one"));
    }

    #[test]
    fn a_page_of_another_moment_or_code_that_never_ran_fails() {
        assert_eq!(judged(|it| it.found.matching = 6).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.found.matching = 8).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.found.first_bad = Some(0)).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.after = Ran { runs: 0, value: 0 }).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.meanwhile = Some(it.before)).verdict, Verdict::Failed);
    }
}
