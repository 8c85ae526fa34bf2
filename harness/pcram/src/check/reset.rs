//! What is put into RAM at each reset stays out of a snapshot's RAM while that is loaded, and is put there
//! again at the reset after.

use super::Finding;
use super::party::{self, DISK, Party, SNAPSHOT, Side};
use super::ram_file;
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::guest::Found;
use crate::machine::launch::opt_value;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::json;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0072;
/// What a device writes at each reset, and the guest-physical address where it does.
const DATA: u64 = 0x1122_3344_5566_7788;
const DATA_AT: u64 = 0x30_0000;
/// What an image in RAM begins with, and where it is.
const IMAGE: u64 = 0x8877_6655_4433_2211;
const IMAGE_AT: u64 = 0x31_0000;

/// The check has no keys of its own.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Reset {}

/// What the guest has where the data and the image are put.
type Words = [u64; 2];

/// What the guest found.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// Once it was up for the first time.
    first: Words,
    /// Of its stamps, after `loadvm` in the same QEMU.
    same: Found,
    /// Of its stamps, in a new QEMU that was started with `-loadvm`.
    new: Found,
    /// Once that one was reset.
    reset: Words,
}

impl Reset {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let image = trial.folder.join("image");
        std::fs::write(&image, IMAGE.to_le_bytes())?;
        let file = opt_value(&image);
        let words = [
            format!("loader,addr={DATA_AT:#x},data={DATA:#x},data-len=8"),
            format!("loader,addr={IMAGE_AT:#x},file={file},force-raw=on"),
        ];
        let words = words.map(|it| ["-device".to_owned(), it]).concat();
        let party = |name: &str| -> Result<Party> {
            Ok(Party::new(trial, Side::With, name, trial.board.ram_mib)?.with(&words))
        };

        let before = party("qemu")?;
        let file = before.ram_file.clone().context("there is no RAM file")?;
        let disk = before.create_disk()?;
        let mut launch = before.launch(&[]);
        launch.disk = Some(DISK.into());
        let mut machine = before.start(&launch)?;
        let first = words_of(&mut machine)?;
        machine.guest.seed(SEED, 0)?;
        machine.guest.stamp()?;
        machine.stop()?;
        party::savevm(&mut machine)?;
        let after = party("again")?;
        let copy = after.ram_file.clone().context("there is no RAM file")?;
        ram_file::copy(&file, &copy)?;

        let said = machine.qmp.human(&format!("loadvm {SNAPSHOT}"))?;
        ensure!(said.is_empty(), "loadvm said: {said}");
        machine.cont()?;
        let same = machine.guest.find()?;
        machine.quit()?;

        let mut launch = after.launch(&["-loadvm", SNAPSHOT]);
        launch.disk = Some(disk);
        let mut machine = Machine::start(after.binary()?, &launch, &after.folder)?;
        let new = machine.guest.find()?;
        machine.qmp.execute("system_reset", json!({}))?;
        machine.guest.ready()?;
        let reset = words_of(&mut machine)?;
        machine.kill()?;
        Ok(judge(&Seen { first, same, new, reset }))
    }
}

fn words_of(machine: &mut Machine) -> Result<Words> {
    Ok([machine.guest.peek(DATA_AT)?, machine.guest.peek(IMAGE_AT)?])
}

fn judge(seen: &Seen) -> Finding {
    let Seen { first, same, new, reset } = seen;
    let put = |words: &Words| *words == [DATA, IMAGE];
    let told = |[data, image]: &Words| format!("{data:#018x}, {image:#018x}");
    let mut wrong = Vec::new();
    if !put(first) {
        wrong.push(format!("at its start the guest has {}, not what is put there", told(first)));
    }
    for (found, how) in [(same, "loadvm"), (new, "-loadvm")] {
        if !found.all() {
            let first = found.first_bad.map_or("none".into(), |at| format!("{at:#x}"));
            let (matching, pages) = (found.matching, found.pages);
            wrong.push(format!(
                "after {how}, {matching} of {pages} pages are the snapshot's; the first other one at \
                 {first}"
            ));
        }
    }
    if !put(reset) {
        wrong.push(format!("a reset later, it has {}: nobody put them there again", told(reset)));
    }
    let summary = format!(
        "{} of {} pages are the snapshot's after loadvm, {} after -loadvm; a reset later, both are put \
         there again",
        same.matching, same.pages, new.matching
    );
    Finding::new(wrong, summary)
        .with("data and image, at the start", told(first))
        .with("data and image, a reset after -loadvm", told(reset))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn judged(damage: impl Fn(&mut Seen)) -> Finding {
        let found = Found { pages: 8, matching: 8, first_bad: None };
        let put = [DATA, IMAGE];
        let mut seen = Seen { first: put, same: found, new: found, reset: put };
        damage(&mut seen);
        judge(&seen)
    }

    #[test]
    fn the_pages_are_the_snapshots_until_the_next_reset() {
        assert_eq!(judged(|_| ()).verdict, Verdict::Held);
        let bad = Found { pages: 8, matching: 7, first_bad: Some(DATA_AT) };
        let same = judged(|it| it.same = bad);
        assert_eq!(
            same.summary,
            "after loadvm, 7 of 8 pages are the snapshot's; the first other one at 0x300000"
        );
        let new = judged(|it| it.new = bad);
        assert!(new.summary.starts_with("after -loadvm, 7 of 8 pages"));
        assert_eq!(judged(|it| it.reset[1] = 0).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.reset[0] = 0).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.first = [0, 0]).verdict, Verdict::Failed);
    }
}
