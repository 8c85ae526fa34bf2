//! A destination leaves its RAM file alone from its start until its stream is loaded, so that a
//! source may still run on it, and pages may come when the guest asks for them.

use super::party::{Party, Side};
use super::trial::Trial;
use super::watched::Watched;
use super::{Finding, ram_file};
use crate::machine::Machine;
use crate::machine::guest::Found;
use anyhow::{Context, Result};
use pcram_mirror::address::TARGET_PAGE_SIZE;
use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use serde::Deserialize;
use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0064;
/// The guest-physical address of the one word that the guest reads first.
const WORD: u64 = 0x30_0000;
/// How long the destination may take to have loaded.
const LOAD: Duration = Duration::from_secs(30);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Waiting {
    /// How the file is watched.
    witness: Witness,
    /// Words for both QEMUs.
    #[serde(default)]
    args: Vec<String>,
    /// Whether a QEMU that is started with these words, and waits for nothing, touches its RAM
    /// before its guest does.
    #[serde(default)]
    touches: bool,
}

/// How a file is watched.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Witness {
    /// It is a file of a file system that counts requests, and has the source's RAM.
    Fuse,
    /// It is an empty memfd, of which blocks are allocated to whoever reads or writes them.
    Memfd,
}

/// What was seen of the file, in pages touched so far.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Watch {
    /// By the same QEMU that waits for nothing, before its guest ran.
    control: u64,
    /// When the destination was up and waited.
    waiting: u64,
    /// When it had loaded its stream.
    loaded: u64,
    /// When its guest had read one word.
    one_word: u64,
    /// What the guest then found of its RAM, where the file has it.
    found: Option<Found>,
    /// Pages of RAM that the guest sees.
    pages: u64,
}

/// A file that is watched.
enum Eye {
    Fuse(Watched),
    Memfd(File),
}

impl Eye {
    fn path(&self) -> PathBuf {
        match self {
            Eye::Fuse(watched) => watched.path().to_owned(),
            Eye::Memfd(file) => {
                let (process, number) = (std::process::id(), file.as_raw_fd());
                format!("/proc/{process}/fd/{number}").into()
            }
        }
    }

    /// How many pages of it were touched so far.
    fn touched(&self) -> Result<u64> {
        Ok(match self {
            Eye::Fuse(watched) => watched.requests()?.pages.len() as u64,
            Eye::Memfd(file) => (file.metadata()?.blocks() * 512).div_ceil(TARGET_PAGE_SIZE),
        })
    }
}

impl Waiting {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let control = self.control(trial)?;

        let source = Party::new(trial, Side::With, "source", trial.board.ram_mib)?.with(&self.args);
        let file = source.ram_file.clone().context("there is no RAM file")?;
        let mut from = source.start(&source.launch(&[]))?;
        from.guest.seed(SEED, 0)?;
        from.guest.stamp()?;
        // On some boards, not all of RAM can be seen.
        let pages = from.guest.find()?.pages;
        from.migrate("exec:cat > stream")?;
        from.migrated(|_| Ok(()))?;
        from.quit()?;

        let eye = self.eye(trial, &file)?;
        let destination = Party::on(trial, eye.path(), "destination")?.with(&self.args);
        let mut to = destination.start_waiting(&["-S"])?;
        // What answers has come to its main loop, behind every reset.
        to.status()?;
        let waiting = eye.touched()?;
        to.load_from("exec:cat ../source/stream")?;
        to.loaded(LOAD)?;
        let loaded = eye.touched()?;
        to.cont()?;
        to.guest.peek(WORD)?;
        let one_word = eye.touched()?;
        let found = match eye {
            Eye::Fuse(_) => Some(to.guest.find()?),
            Eye::Memfd(_) => None,
        };
        to.kill()?;
        Ok(self.judge(&Watch { control, waiting, loaded, one_word, found, pages }))
    }

    /// How much of its file a QEMU touches that waits for nothing, before its guest runs.
    fn control(&self, trial: &Trial) -> Result<u64> {
        let party = Party::new(trial, Side::With, "control", trial.board.ram_mib)?;
        let file = party.ram_file.clone().context("there is no RAM file")?;
        let eye = self.eye(trial, &file)?;
        let control = Party::on(trial, eye.path(), "control")?.with(&self.args);
        let launch = control.launch(&["-S"]);
        let mut machine = Machine::start(control.binary()?, &launch, &control.folder)?;
        machine.status()?;
        let touched = eye.touched()?;
        machine.kill()?;
        Ok(touched)
    }

    fn eye(&self, trial: &Trial, content: &Path) -> Result<Eye> {
        if self.witness == Witness::Fuse {
            return Ok(Eye::Fuse(Watched::new(content)?));
        }
        let file = memfd_create(ram_file::NAME, MemfdFlags::CLOEXEC).context("memfd_create")?;
        ftruncate(&file, trial.ram()).context("cannot make a memfd as large as RAM")?;
        Ok(Eye::Memfd(file.into()))
    }

    fn judge(&self, watch: &Watch) -> Finding {
        let Watch { control, waiting, loaded, one_word, found, pages } = watch;
        let mut wrong = Vec::new();
        for (when, touched) in [("while it waited", waiting), ("as it loaded", loaded)] {
            if *touched > 0 {
                wrong.push(format!("{touched} pages of its file were read or written {when}"));
            }
        }
        if *one_word == 0 {
            wrong.push("the guest read a word, and nothing was seen of it".into());
        }
        if *one_word > pages / 2 {
            wrong.push(format!("for one word, {one_word} of {pages} pages were read"));
        }
        if self.touches && *control == 0 {
            wrong.push("the same QEMU touches nothing as it starts, though it should".into());
        }
        if let Some(found) = found.filter(|found| !found.all() || found.pages != *pages) {
            wrong.push(format!("the guest then found {} of {pages} pages", found.matching));
        }
        let then = match found {
            Some(found) => format!("; it then found all {}", found.pages),
            None => String::new(),
        };
        let summary = format!(
            "pages touched: 0 while it waited, 0 until it had loaded, {one_word} once the guest \
             had read a word{then}; {control} by the same QEMU where it waits for nothing"
        );
        Finding::new(wrong, summary)
            .with("pages touched by a QEMU that waits for nothing", control)
            .with("while it waited", waiting)
            .with("when it had loaded", loaded)
            .with("when the guest had read one word", one_word)
            .with("pages of RAM", pages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;

    fn judged(damage: impl Fn(&mut Watch)) -> Finding {
        let waiting = Waiting { witness: Witness::Fuse, args: Vec::new(), touches: true };
        let found = Some(Found { pages: 8, matching: 8, first_bad: None });
        let mut watch = Watch { control: 1, waiting: 0, loaded: 0, one_word: 1, found, pages: 8 };
        damage(&mut watch);
        waiting.judge(&watch)
    }

    #[test]
    fn one_page_too_early_fails_and_so_does_a_witness_that_sees_nothing() {
        let finding = judged(|_| ());
        assert_eq!(finding.verdict, Verdict::Held);
        assert!(finding.summary.starts_with("pages touched: 0 while it waited, 0 until"));
        let early = judged(|it| (it.waiting, it.loaded) = (1, 1));
        assert_eq!(
            early.summary,
            "1 pages of its file were read or written while it waited; \
             1 pages of its file were read or written as it loaded"
        );
        assert_eq!(judged(|it| it.loaded = 1).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.one_word = 0).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.control = 0).verdict, Verdict::Failed);
        assert_eq!(judged(|it| it.one_word = 8).verdict, Verdict::Failed, "not on demand");
        let lost = |it: &mut Watch| it.found.as_mut().unwrap().matching = 7;
        assert_eq!(judged(lost).verdict, Verdict::Failed);
    }

    #[test]
    fn half_the_pages_for_one_word_are_not_too_many_yet() {
        assert_eq!(judged(|watch| watch.one_word = 4).verdict, Verdict::Held);
        assert_eq!(judged(|watch| watch.one_word = 5).verdict, Verdict::Failed);
    }
}
