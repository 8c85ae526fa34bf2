//! One stream in the making.

use super::beside::{Beside, Mapped};
use super::load::Loaded;
use super::pace::{AT_ONCE, Pace};
use super::way::Via;
use super::{Load, Recipe, Saved, Stream};
use crate::check::party::SNAPSHOT;
use crate::check::trial::{DISK, Trial};
use crate::failure::{Exit, Failure};
use crate::machine::binary::Binary;
use crate::machine::channel::Recorder;
use crate::machine::guest::Found;
use crate::machine::launch::Launch;
use crate::machine::{Machine, NoStream, sockets};
use anyhow::{Context, Result};
use pcram_stream::{multifd, qcow2};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

/// The stream, in the run's folder.
const STREAM: &str = "stream";

/// One stream in the making.
pub(super) struct Making<'a> {
    pub trial: &'a Trial<'a>,
    pub recipe: &'a Recipe,
    pub folder: PathBuf,
    pub ram_file: Option<PathBuf>,
}

/// A source at work.
struct Source {
    machine: Machine,
    beside: Vec<Mapped>,
    told: Vec<Value>,
    load: Option<Loaded>,
}

impl Making<'_> {
    pub fn make(&self, binary: &Binary) -> Result<Stream> {
        let Recipe { via, before, ref beside, .. } = *self.recipe;
        let guest = self.guest();
        fs::create_dir_all(&self.folder)
            .with_context(|| format!("cannot create {}", self.folder.display()))?;
        let mut launch = self.launch(binary)?;
        beside.iter().try_for_each(|beside| beside.prepare(&self.folder))?;
        if via == Via::Savevm {
            self.trial.create_disk(&self.folder)?;
            launch.disk = Some(DISK.into());
        }
        let mut machine = Machine::start(binary, &launch, &self.folder)?;
        machine.guest.ready()?;
        let beside = beside.iter().map(|beside| beside.map(&mut machine));
        let beside = beside.collect::<Result<Vec<_>>>()?;
        let stamped = guest.begin(&mut machine, &beside)?;
        self.set_up(&mut machine)?;
        let before =
            before.map(|before| before.try_it(&mut machine, &self.folder, self.trial.block()));
        let before = before.transpose()?;
        let source = Source { machine, beside, told: Vec::new(), load: None };
        let stream = match via {
            Via::MigrateExec => self.to_a_file(source, &format!("exec:cat > {STREAM}")),
            Via::MigrateFile => self.to_a_file(source, &format!("file:{STREAM}")),
            Via::Restart => self.restart(source, binary),
            Via::MigrateUnix | Via::MigrateFd => self.to_a_destination(source, binary),
            Via::Savevm => self.savevm(source),
        };
        Ok(Stream { before, stamped, ..stream? })
    }

    /// What the guest does; stock is the QEMU without a RAM file.
    fn guest(&self) -> Load {
        let Recipe { guest, .. } = *self.recipe;
        if self.ram_file.is_some() { guest } else { guest.under_stock() }
    }

    /// Turns on and sets what the recipe says, which source and destination must agree on.
    fn set_up(&self, machine: &mut Machine) -> Result<()> {
        machine.set_capabilities(&self.recipe.with)?;
        machine.set_parameters(Value::Object(self.recipe.set.clone()))
    }

    /// QEMU runs in the folder, so a path in `uri` needs no quoting.
    fn to_a_file(&self, mut source: Source, uri: &str) -> Result<Stream> {
        self.migrate(&mut source, uri)?;
        source.machine.quit()?;
        self.read(&source, &[self.folder.join(STREAM)])
    }

    fn restart(&self, source: Source, binary: &Binary) -> Result<Stream> {
        let beside = source.beside.clone();
        let stream = self.to_a_file(source, &format!("file:{STREAM}"))?;
        let uri = format!("file:{}", self.folder.join(STREAM).display());
        let mut destination = self.destination(binary, &uri)?;
        destination.migrated(|_| Ok(()))?;
        let arrived = self.arrive(destination, &beside)?;
        Ok(Stream { arrived, ..stream })
    }

    fn to_a_destination(&self, mut source: Source, binary: &Binary) -> Result<Stream> {
        let sockets = sockets::folder()?;
        let socket = sockets.path().join("incoming");
        let destination = self.destination(binary, &format!("unix:{}", socket.display()))?;
        let recorder = Recorder::start(&socket, &self.folder)?;
        if self.recipe.via == Via::MigrateFd {
            source.machine.qmp.give_file("out", recorder.connect()?)?;
            self.migrate(&mut source, "fd:out")?;
        } else {
            self.migrate(&mut source, &recorder.uri())?;
        }
        source.machine.quit()?;
        let channels = recorder.finish()?;
        let stream = self.read(&source, &channels)?;
        let arrived = self.arrive(destination, &source.beside)?;
        Ok(Stream { arrived, ..stream })
    }

    /// A QEMU that awaits a migration at `uri`.
    fn destination(&self, binary: &Binary, uri: &str) -> Result<Machine> {
        let mut launch = self.launch(binary)?;
        launch.extra.extend(["-incoming", "defer"].map(str::to_owned));
        let mut destination = Machine::start(binary, &launch, &self.folder.join("destination"))?;
        self.set_up(&mut destination)?;
        destination.load_from(uri)?;
        Ok(destination)
    }

    fn arrive(&self, mut destination: Machine, beside: &[Mapped]) -> Result<Option<Found>> {
        destination.cont()?;
        let arrived = self.guest().arrived(&mut destination, beside)?;
        destination.kill()?;
        Ok(arrived)
    }

    fn savevm(&self, mut source: Source) -> Result<Stream> {
        let said = source.machine.qmp.human(&format!("savevm {SNAPSHOT}"))?;
        // A warning comes with a snapshot, whatever else with none.
        if said.lines().any(|line| !line.starts_with("warning:")) {
            return Err(NoStream(format!("savevm said: {said}")).into());
        }
        let disks = source.machine.qmp.execute("query-block", json!({}))?;
        let list = source.machine.qmp.human("info snapshots")?;
        let saved = size_of_snapshot(&disks).or_else(|| size_in_list(&list));
        source.machine.quit()?;
        let path = self.folder.join(DISK);
        let cannot = || format!("cannot read the VM state in {}", path.display());
        let mut image = qcow2::Image::open(File::open(&path)?).with_context(cannot)?;
        let mut bytes = Vec::new();
        let mut state = image.vm_state(SNAPSHOT).with_context(cannot)?;
        state.read_to_end(&mut bytes).with_context(cannot)?;
        // QEMU itself stops the guest while it saves: there is no load to tell of.
        let stream = Stream::read(self.trial.block(), &bytes).with_context(cannot)?;
        Ok(Stream { saved, ..stream })
    }

    /// Migrates to `uri`, under the guest's load if there is one, and leaves the source's memory
    /// where it can be compared.
    fn migrate(&self, source: &mut Source, uri: &str) -> Result<()> {
        let Source { machine, beside, told, load } = source;
        let guest = self.guest();
        let mut pace = match guest {
            Load::Stopped => None,
            _ => Some(Pace::new(guest, machine)?),
        };
        if pace.is_none() {
            machine.limit_migration(AT_ONCE)?;
        }
        machine.migrate(uri)?;
        let last = machine.migration_completed(|machine, state| {
            told.push(state.clone());
            pace.as_mut().map_or(Ok(()), |pace| pace.step(machine, state))
        })?;
        told.push(last);
        *load = pace.map(|pace| pace.over(machine));
        match beside.first() {
            Some(beside) => beside.save(machine, &self.folder),
            None => Ok(()),
        }
    }

    /// Reads what `source` sent, in whatever order its channels were opened.
    fn read(&self, source: &Source, files: &[PathBuf]) -> Result<Stream> {
        let of_file = |path: &Path| {
            let bytes = fs::read(path);
            bytes.with_context(|| format!("cannot read the stream {}", path.display()))
        };
        let all = files.iter().map(|path| of_file(path)).collect::<Result<Vec<_>>>()?;
        let slices = all.iter().map(Vec::as_slice);
        let (channels, main): (Vec<_>, Vec<_>) =
            slices.partition(|bytes| bytes.starts_with(&multifd::MAGIC));
        let [main] = main[..] else {
            let text = format!("one main migration channel was expected, there are {}", main.len());
            return Err(Failure::new(Exit::DidNotBoot, text).into());
        };
        let (stream, memory) = Stream::read_all(self.trial.block(), main, &channels)
            .with_context(|| format!("cannot read the stream in {}", self.folder.display()))?;
        let kept = match source.beside.first() {
            Some(beside) if self.guest().writes_beside() => {
                Some(beside.compare(&memory, &self.folder)?)
            }
            _ => None,
        };
        Ok(Stream { load: source.load, kept, told: source.told.clone(), ..stream })
    }

    fn launch(&self, binary: &Binary) -> Result<Launch> {
        let mut launch = self.trial.launch();
        let words = self.ram_file.as_deref().map(|path| self.trial.ram_file_args(path));
        launch.extra.extend(words.into_iter().flatten());
        launch.extra.extend(Beside::args(&self.recipe.beside, binary, &self.folder)?);
        Ok(launch)
    }
}

/// How many bytes of VM state the snapshot has, as QEMU tells its user (`query-block`).
fn size_of_snapshot(disks: &Value) -> Option<Saved> {
    let mut disks = disks.as_array().into_iter().flatten();
    let snapshots = disks.find_map(|disk| disk["inserted"]["image"]["snapshots"].as_array())?;
    let ours = snapshots.iter().find(|snapshot| snapshot["name"] == SNAPSHOT)?;
    ours["vm-state-size"].as_u64().map(|bytes| Saved { bytes, rounded: 0 })
}

/// The same from `info snapshots`, which is all that a QEMU of before 1.3 tells: `218K`, `1.2M`.
fn size_in_list(list: &str) -> Option<Saved> {
    let ours = list.lines().find_map(|line| line.split_once(&format!(" {SNAPSHOT} ")))?;
    let size = ours.1.split_whitespace().next()?;
    let (number, unit) = match size.find(|c: char| c.is_ascii_alphabetic()) {
        Some(at) => (&size[..at], 1 << (10 * (1 + "KMGT".find(&size[at..])?))),
        None => (size, 1),
    };
    let digit = if number.contains('.') { unit / 10 } else { unit };
    let bytes = (number.parse::<f64>().ok()? * unit as f64) as u64;
    Some(Saved { bytes, rounded: if unit == 1 { 0 } else { digit / 2 + 1 } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_snapshot_is_that_of_ours() {
        let disk = |name: &str| {
            json!([{ "device": "ide0" }, { "inserted": { "image": {
                "snapshots": [{ "name": name, "vm-state-size": 195_430 }],
            }}}])
        };
        let exact = Saved { bytes: 195_430, rounded: 0 };
        assert_eq!(size_of_snapshot(&disk(SNAPSHOT)), Some(exact));
        assert_eq!(size_of_snapshot(&disk("other")), None);
        assert_eq!(size_of_snapshot(&json!([])), None);
    }

    #[test]
    fn the_size_in_a_list_is_as_exact_as_it_is_shown() {
        let list = |name: &str, size: &str| {
            let heads = "ID        TAG                 VM SIZE                DATE       VM CLOCK";
            let row =
                format!("1         {name}               {size} 2011-12-01 12:00:00   00:00:02");
            size_in_list(&format!("{heads}\n{row}"))
        };
        let saved = |bytes, rounded| Some(Saved { bytes, rounded });
        assert_eq!(list(SNAPSHOT, "218K"), saved(218 << 10, 513));
        assert_eq!(list(SNAPSHOT, "1.5M"), saved(3 << 19, (1 << 20) / 20 + 1));
        assert_eq!(list(SNAPSHOT, "907"), saved(907, 0));
        assert_eq!(list("other", "218K"), None);
    }
}
