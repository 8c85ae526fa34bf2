//! A stream that leaves the block out: no page of it, and every other block whole.
//!
//! Stock and patched make their streams the same way in the same run, and the same reader counts
//! both: a zero counts only beside stock's full count.

use super::Finding;
use super::content::contents;
use super::trial::Trial;
use crate::failure::{Exit, Failure};
use crate::machine::binary::Binary;
use crate::machine::channel::Recorder;
use crate::machine::guest::Found;
use crate::machine::launch::Launch;
use crate::machine::{Machine, NoStream, sockets};
use crate::process::{Ending, run};
use anyhow::{Context, Result, ensure};
use pcram_mirror::ram_list::{Carrier, RamBlock, bytes_total_with_ignored};
use pcram_stream::{BlockSummary, DeviceState, StreamError, Summary, qcow2};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// The seed of the guest's stamps.
const SEED: u64 = 0x5ee0_0004;
/// How many sweeps over all RAM a dirtying guest finishes before the stream begins.
const WARM_UP: u64 = 2;
/// How many more it finishes while the migration is held back, so that it is under way for sure.
const HELD_BACK: u64 = 3;
/// How many it finishes in all before it is stopped: a QEMU that sends the block never ends under
/// such a guest.
const UNDER_WAY: u64 = 9;
/// What a migration that is held back may send in a second, in bytes: a fraction of the little
/// that even the patched QEMU has to send.
const SLOWLY: u64 = 16 << 10;
/// The same of one that is not.
const AT_ONCE: u64 = 1 << 30;
/// How long qemu-img may take to create a disk.
const CREATE: Duration = Duration::from_secs(20);
/// The name of the internal snapshot.
const SNAPSHOT: &str = "pcram";
/// The disk that takes it, in the run's folder.
const DISK: &str = "disk.qcow2";

/// What one QEMU sent or saved, and how.
#[derive(Clone, Debug)]
pub struct Stream {
    /// What the stream carries.
    pub summary: Summary,
    /// A hash of what the pages of each block hold, but of the one that is to be left out.
    pub content: BTreeMap<String, blake3::Hash>,
    /// What the guest did while the stream was made; `None` where it was not to run meanwhile.
    pub load: Option<Loaded>,
    /// What the guest found of its stamps at the destination, where there was one.
    pub arrived: Option<Found>,
}

impl Stream {
    /// Reads a whole stream. `block` is the one that is to be left out.
    pub fn read(block: &str, bytes: &[u8]) -> Result<Stream, StreamError> {
        let (summary, content) = (Summary::read(bytes)?, contents(bytes, block)?);
        Ok(Stream { summary, content, load: None, arrived: None })
    }
}

/// What a dirtying guest did during a migration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// Sweeps over all RAM that it finished.
    pub sweeps: u64,
    /// Whether it had to be stopped for the migration to end.
    pub stopped: bool,
}

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Omission {
    /// How the stream is made.
    via: Via,
    /// What the guest does meanwhile.
    guest: Load,
}

/// How a stream is made.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Via {
    /// `migrate exec:`, into a file.
    MigrateExec,
    /// `migrate unix:`, recorded on its way to a destination on the same file.
    MigrateUnix,
    /// `savevm`, into a qcow2.
    Savevm,
}

/// What the guest does while the stream is made.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Load {
    /// Nothing: it is stopped.
    Stopped,
    /// It writes every page of RAM, again and again.
    Dirtying,
}

impl Omission {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let (via, load) = (self.via, self.guest);
        let stock = Making { trial, via, load, folder: trial.folder.join("stock"), ram_file: None };
        let ram_file = Some(trial.ram_file()?);
        let patched = Making { trial, via, load, folder: trial.folder.join("patched"), ram_file };
        let stock = stock.make(trial.stock()?).context("with the stock QEMU")?;
        match patched.make(trial.patched()).context("with the patched QEMU") {
            Ok(patched) => Ok(judge(trial.block(), &stock, &patched)),
            Err(error) if has_no_stream(&error) => Ok(Finding::new(vec![format!("{error:#}")], "")),
            Err(error) => Err(error),
        }
    }
}

/// Whether a QEMU that ran made no stream, or none that can be read. Where stock does, that is a
/// broken promise, and not a check that could not be tried.
fn has_no_stream(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| cause.is::<NoStream>() || cause.is::<StreamError>())
}

/// Judges the patched QEMU's stream beside stock's. `block` is the one that must be left out.
pub fn judge(block: &str, stock: &Stream, patched: &Stream) -> Finding {
    let mut wrong = Vec::new();
    if list(&stock.summary) != list(&patched.summary) {
        wrong.push("stock and patched list different RAM blocks".to_owned());
    }
    wrong.extend(unlike_the_mirror("stock", &stock.summary, None));
    wrong.extend(unlike_the_mirror("patched", &patched.summary, Some(block)));
    // The guest writes no other block, so they hold the same in both.
    for (idstr, content) in stock.content.iter().filter(|(idstr, _)| *idstr != block) {
        if patched.content.get(idstr) != Some(content) {
            wrong.push(format!("patched: the pages of {idstr} hold something else than stock's"));
        }
    }
    for (side, stream) in [("stock", stock), ("patched", patched)] {
        if let DeviceState::Unexamined { length } = stream.summary.device_state {
            wrong.push(format!("{side}: {length} bytes behind the RAM section were not examined"));
        }
        if stream.load.is_some_and(|load| load.sweeps == 0) {
            wrong.push(format!("{side}: the guest finished no sweep while the stream was made"));
        }
        if let Some(found) = stream.arrived.filter(|found| !found.all()) {
            let Found { pages, matching, .. } = found;
            wrong.push(format!("{side}: at the destination the guest found {matching} of {pages}"));
        }
    }

    let records = |stream: &Stream| {
        stream.summary.block(block).map_or("not listed".into(), |it| it.records.total().to_string())
    };
    let (there, here) = (records(stock), records(patched));
    let others = patched.summary.blocks.len().saturating_sub(1);
    let meanwhile = patched.load.map_or(String::new(), |load| {
        format!("; the guest wrote all its RAM {} times meanwhile", load.sweeps)
    });
    let mut finding = Finding::new(
        wrong,
        format!(
            "{block} pages in the stream: {here} (stock: {there}); {others} other blocks whole{meanwhile}"
        ),
    );
    for (side, stream) in [("stock", stock), ("patched", patched)] {
        finding = finding.with(format!("bytes in the stream, {side}"), stream.summary.length);
        if let Some(Loaded { sweeps, stopped }) = stream.load {
            let end = if stopped { "then it was stopped" } else { "and went on" };
            finding =
                finding.with(format!("guest sweeps meanwhile, {side}"), format!("{sweeps}, {end}"));
        }
        for each in &stream.summary.blocks {
            let pages = each.used_length / stream.summary.page_size.max(1);
            let figure =
                format!("{} of {pages}, {} records", each.pages.len(), each.records.total());
            finding = finding.with(format!("pages of {}, {side}", each.idstr), figure);
        }
        if let Some(found) = &stream.arrived {
            let figure = format!("{} of {}", found.matching, found.pages);
            finding = finding.with(format!("pages found at the destination, {side}"), figure);
        }
    }
    finding
}

fn list(summary: &Summary) -> Vec<(&str, u64)> {
    summary.blocks.iter().map(|each| (each.idstr.as_str(), each.used_length)).collect()
}

/// Where a stream differs from what the mirror foretells of its block list.
fn unlike_the_mirror(side: &str, summary: &Summary, in_file: Option<&str>) -> Vec<String> {
    let blocks: Vec<_> = summary.blocks.iter().map(|each| mirrored(each, in_file)).collect();
    let mut wrong = Vec::new();
    if let Some(block) = in_file.filter(|&block| summary.block(block).is_none()) {
        wrong.push(format!("{side}: {block} does not stand in the block list"));
    }
    let total = bytes_total_with_ignored(&blocks);
    if total != summary.total {
        wrong.push(format!("{side}: the list's total is {}, its sum {total}", summary.total));
    }
    for (foretold, seen) in blocks.iter().zip(&summary.blocks) {
        let (expected, pages) = (foretold.pages_in_stream(), seen.pages.len());
        if pages != expected {
            let idstr = &seen.idstr;
            wrong.push(format!("{side}: {pages} pages of {idstr} in the stream, not {expected}"));
        }
    }
    wrong
}

fn mirrored(block: &BlockSummary, in_file: Option<&str>) -> RamBlock {
    let BlockSummary { idstr, used_length, .. } = block;
    let carrier = if in_file == Some(idstr) { Carrier::File } else { Carrier::Stream };
    RamBlock { idstr: idstr.clone(), used_length: *used_length, carrier }
}

/// One stream in the making.
struct Making<'a> {
    trial: &'a Trial<'a>,
    via: Via,
    load: Load,
    folder: PathBuf,
    ram_file: Option<PathBuf>,
}

impl Making<'_> {
    fn make(&self, binary: &Binary) -> Result<Stream> {
        let mut launch = self.launch();
        if self.via == Via::Savevm {
            self.create_disk()?;
            launch.disk = Some(DISK.into());
        }
        let mut machine = Machine::start(binary, &launch, &self.folder)?;
        machine.guest.ready()?;
        machine.guest.seed(SEED, 0)?;
        machine.guest.stamp()?;
        match self.load {
            Load::Stopped => machine.stop()?,
            Load::Dirtying => {
                machine.guest.dirty()?;
                machine.guest.sweeps(WARM_UP)?;
            }
        }
        match self.via {
            Via::MigrateExec => self.migrate_exec(machine),
            Via::MigrateUnix => self.migrate_unix(machine, binary),
            Via::Savevm => self.savevm(machine),
        }
    }

    fn migrate_exec(&self, mut machine: Machine) -> Result<Stream> {
        // QEMU runs in the folder, so the path needs no quoting.
        let load = self.migrate(&mut machine, "exec:cat > stream")?;
        machine.quit()?;
        let stream = self.read(&self.folder.join("stream"))?;
        Ok(Stream { load, ..stream })
    }

    fn migrate_unix(&self, mut source: Machine, binary: &Binary) -> Result<Stream> {
        let sockets = sockets::folder()?;
        let socket = sockets.path().join("incoming");
        let mut launch = self.launch();
        launch.extra.extend(["-incoming".to_owned(), format!("unix:{}", socket.display())]);
        let mut destination = Machine::start(binary, &launch, &self.folder.join("destination"))?;
        let recorder = Recorder::start(&socket, &self.folder)?;
        let load = self.migrate(&mut source, &recorder.uri())?;
        source.quit()?;
        let channels = recorder.finish()?;
        let [channel] = &channels[..] else {
            let text =
                format!("one migration channel was expected, {} were opened", channels.len());
            return Err(Failure::new(Exit::DidNotBoot, text).into());
        };

        destination.cont()?;
        if self.load == Load::Dirtying {
            destination.guest.halt()?;
        }
        let arrived = Some(destination.guest.find()?);
        destination.kill()?;
        Ok(Stream { load, arrived, ..self.read(channel)? })
    }

    fn savevm(&self, mut machine: Machine) -> Result<Stream> {
        let said = machine.qmp.human(&format!("savevm {SNAPSHOT}"))?;
        // A warning comes with a snapshot, whatever else with none.
        if said.lines().any(|line| !line.starts_with("warning:")) {
            return Err(NoStream(format!("savevm said: {said}")).into());
        }
        machine.quit()?;
        let path = self.folder.join(DISK);
        let cannot = || format!("cannot read the VM state in {}", path.display());
        let mut image = qcow2::Image::open(File::open(&path)?).with_context(cannot)?;
        let mut bytes = Vec::new();
        let mut state = image.vm_state(SNAPSHOT).with_context(cannot)?;
        state.read_to_end(&mut bytes).with_context(cannot)?;
        // QEMU itself stops the guest while it saves: there is no load to tell of.
        Stream::read(self.trial.block(), &bytes).with_context(cannot)
    }

    /// Migrates to `uri` and says what the guest did meanwhile.
    fn migrate(&self, machine: &mut Machine, uri: &str) -> Result<Option<Loaded>> {
        if self.load == Load::Stopped {
            machine.migrate(uri)?;
            machine.migrated(|_| Ok(()))?;
            return Ok(None);
        }
        machine.limit_migration(SLOWLY)?;
        let before = machine.guest.swept();
        machine.migrate(uri)?;
        let (mut held_back, mut stopped) = (true, false);
        machine.migrated(|machine| {
            let sweeps = machine.guest.swept() - before;
            if held_back && sweeps >= HELD_BACK {
                machine.limit_migration(AT_ONCE)?;
                held_back = false;
            }
            if !stopped && sweeps >= UNDER_WAY {
                machine.stop()?;
                stopped = true;
            }
            Ok(())
        })?;
        Ok(Some(Loaded { sweeps: machine.guest.swept() - before, stopped }))
    }

    fn read(&self, path: &Path) -> Result<Stream> {
        let cannot = || format!("cannot read the stream {}", path.display());
        let bytes = fs::read(path).with_context(cannot)?;
        Stream::read(self.trial.block(), &bytes).with_context(cannot)
    }

    fn launch(&self) -> Launch {
        let mut launch = self.trial.launch();
        let words = self.ram_file.as_deref().map(|path| self.trial.ram_file_args(path));
        launch.extra.extend(words.into_iter().flatten());
        launch
    }

    fn create_disk(&self) -> Result<()> {
        fs::create_dir_all(&self.folder)?;
        let mut create = Command::new(self.trial.qemu_img()?);
        create.args(["create", "-q", "-f", "qcow2", DISK, "1M"]).current_dir(&self.folder);
        let mut said = String::new();
        let status = run(&mut create, Ending::Kill, CREATE, |line| said.push_str(line))?;
        ensure!(status.success(), "qemu-img cannot create a disk: {said}");
        Ok(())
    }
}
