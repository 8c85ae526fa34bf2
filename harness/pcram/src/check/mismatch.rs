//! Two parties that do not match: the stream or the snapshot of one is refused by the other,
//! before the first page of RAM, and the guest never runs there.

mod attempt;

use super::Finding;
use super::party::{self, DISK, Party, SNAPSHOT, Side};
use super::ram_file::{self, census};
use super::trial::Trial;
use crate::machine::incoming::Arrival;
use crate::machine::kind::Kind;
use crate::machine::kind::bare::Bare;
use crate::machine::launch::opt_value;
use crate::machine::offers::Offers;
use crate::machine::{Machine, sockets};
use anyhow::{Context, Result};
use attempt::{Afterwards, Attempt, judge};
use pcram_stream::{Reader, RecordKind};
use serde::Deserialize;
use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

/// The seeds of the stamps at the source and in the destination's file.
const SEED: u64 = 0x5ee0_0061;
const OTHER_SEED: u64 = 0x5ee0_0062;
/// How long a destination may take to refuse.
const REFUSE: Duration = Duration::from_secs(20);

/// The check's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Mismatch {
    /// What the guest comes from.
    source: Side,
    /// What it is to go on in.
    destination: Side,
    /// How it would come there.
    via: Via,
    /// RAM of the destination in MiB, where it differs from the source's.
    destination_ram_mib: Option<u64>,
    /// Words for both QEMUs.
    #[serde(default)]
    args: Vec<String>,
    /// What the destination says, in part.
    message: Option<String>,
}

/// How a guest comes from one QEMU to another.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
enum Via {
    /// `migrate unix:`, live.
    Unix,
    /// `migrate exec:` into a file and out of it.
    Exec,
    /// `migrate file:`.
    File,
    /// No more of the stream than comes before its first page, from a source that then is silent.
    Head,
    /// `savevm`, and `loadvm` in the monitor of a QEMU whose own guest runs.
    Loadvm,
    /// `savevm`, and the option `-loadvm`.
    LoadvmOption,
}

impl Mismatch {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let ram_mib = trial.board.ram_mib;
        let source = Party::new(trial, self.source, "source", ram_mib)?.with(&self.args);
        let other = self.destination_ram_mib.unwrap_or(ram_mib);
        let destination =
            Party::new(trial, self.destination, "destination", other)?.with(&self.args);
        if let Some(path) = &destination.ram_file {
            ram_file::fill(path, &destination.layout()?, OTHER_SEED, 1)?;
        }
        let mut attempt = match self.via {
            Via::Unix => live(&source, &destination)?,
            Via::Exec | Via::File | Via::Head => self.by_a_file(&source, &destination)?,
            Via::Loadvm => by_loadvm(&source, &destination)?,
            Via::LoadvmOption => by_option(&source, &destination)?,
        };
        if let Some(path) = &destination.ram_file {
            attempt.file = Some(census(path, &destination.layout()?, OTHER_SEED, &[1])?);
        }
        Ok(judge(self.message.as_deref(), &attempt))
    }

    /// The stream is written to a file, and the destination reads it from there.
    fn by_a_file(&self, source: &Party, destination: &Party) -> Result<Attempt> {
        let (out, back) = match self.via {
            Via::File => ("file:stream", "file:../source/stream"),
            _ => ("exec:cat > stream", "exec:cat ../source/stream"),
        };
        let mut from = source.start_counting(SEED, None)?;
        from.migrate(out)?;
        from.migrated(|_| Ok(()))?;
        let stream = source.folder.join("stream");
        let mut to = destination.start_waiting(&[])?;
        let mut attempt = if self.via == Via::Head {
            feed_head(&stream, &mut to, &destination.folder)?
        } else {
            to.load_from(back)?;
            await_refusal(&mut to, &destination.folder, back)?
        };
        attempt.source = Some(afterwards(&mut from, false)?);
        Ok(attempt)
    }
}

fn live(source: &Party, destination: &Party) -> Result<Attempt> {
    let mut from = source.start_counting(SEED, None)?;
    let mut to = destination.start_waiting(&[])?;
    // With it, the source hears of the refusal before it gives the guest away.
    let path = "return-path".to_owned();
    let knows = |party: &Party| -> Result<bool> {
        Ok(Offers::of(&party.binary()?.path)?.capabilities.contains(&path))
    };
    let hears = knows(source)? && knows(destination)?;
    if hears {
        from.set_capabilities(std::slice::from_ref(&path))?;
        to.set_capabilities(&[path])?;
    }
    let _socket = from.migrate_to(&mut to)?;
    let mut attempt = await_refusal(&mut to, &destination.folder, "unix:")?;
    attempt.source = Some(afterwards(&mut from, hears)?);
    Ok(attempt)
}

/// Gives a destination the head of a stream, up to its first page, and holds the line.
fn feed_head(stream: &Path, to: &mut Machine, folder: &Path) -> Result<Attempt> {
    let bytes = fs::read(stream).with_context(|| format!("cannot read {}", stream.display()))?;
    let head = head(&bytes).with_context(|| format!("cannot read {}", stream.display()))?;
    let sockets = sockets::folder()?;
    let socket = sockets.path().join("incoming");
    to.load_from(&format!("unix:{}", socket.display()))?;
    let mut line = UnixStream::connect(&socket)?;
    // A destination that refuses may close the line before it was told everything.
    let _ = line.write_all(head);
    let by = format!("unix:, {} bytes before the first page", head.len());
    let attempt = await_refusal(to, folder, &by)?;
    drop(line);
    Ok(attempt)
}

/// What a stream has before its first page.
fn head(stream: &[u8]) -> Result<&[u8]> {
    let mut reader = Reader::new(stream);
    while let Some(record) = reader.next_record()? {
        if matches!(record.kind, RecordKind::Page { .. }) {
            return Ok(&stream[..record.offset.0 as usize]);
        }
    }
    anyhow::bail!("it has no page")
}

/// Waits for what a destination makes of its stream, which comes `by` some way, and kills it where it
/// does not end by itself.
fn await_refusal(to: &mut Machine, folder: &Path, by: &str) -> Result<Attempt> {
    let mut attempt = Attempt { by: Some(by.to_owned()), ..Attempt::default() };
    match to.arrival(REFUSE)? {
        Arrival::Ended(status) => attempt.ended = Some(status.to_string()),
        Arrival::Loaded(status) => attempt.status = Some(status),
        Arrival::Waits => attempt.status = Some(to.status()?),
    }
    to.kill()?;
    to.guest.hear_out();
    attempt.reports = party::guest_reports(folder)?;
    attempt.said = to.said();
    Ok(attempt)
}

/// What has become of the source; it is let run on where it stands.
fn afterwards(from: &mut Machine, hears: bool) -> Result<Afterwards> {
    let (migration, _) = from.migration_over(|_, _| Ok(()))?;
    let status = from.status()?;
    if status != "running" {
        from.cont()?;
    }
    from.guest.counted()?;
    let found = from.guest.find()?;
    from.kill()?;
    Ok(Afterwards { migration, status, hears, found: (found.matching, found.pages) })
}

/// Leaves a snapshot of a running guest in the source's disk.
fn leave_snapshot(source: &Party) -> Result<()> {
    source.create_disk()?;
    let mut from = source.start_counting(SEED, Some(Path::new(DISK)))?;
    party::savevm(&mut from)?;
    from.quit()?;
    Ok(())
}

fn by_loadvm(source: &Party, destination: &Party) -> Result<Attempt> {
    leave_snapshot(source)?;
    let mut launch = destination.launch(&[]);
    launch.disk = Some(source.folder.join(DISK));
    let mut to = destination.start(&launch)?;
    to.guest.seed(OTHER_SEED, 0)?;
    to.guest.stamp()?;
    to.guest.count()?;
    to.guest.counting()?;
    let said = to.qmp.human(&format!("loadvm {SNAPSHOT}"))?;
    let status = Some(to.status()?);
    to.kill()?;
    let printed = to.said();
    Ok(Attempt { status, said: format!("{said}\n{printed}"), ..Attempt::default() })
}

/// A QEMU that loads as it starts ends before its monitor can be spoken to; one of 2011 stops its guest
/// and stays, so it is asked, and told to quit.
fn by_option(source: &Party, destination: &Party) -> Result<Attempt> {
    leave_snapshot(source)?;
    let console = destination.folder.join("console.log");
    let launch = destination.launch(&[]);
    let firmware = Bare.args(&launch.machine, &destination.folder)?;
    let disk = opt_value(&source.folder.join(DISK));
    let words = [
        "-chardev".to_owned(),
        format!("file,id=debug,path={}", opt_value(&console)),
        "-device".to_owned(),
        "isa-debugcon,iobase=0xe9,chardev=debug".to_owned(),
    ];
    let rest = ["-chardev", "null,id=serial", "-device", "isa-serial,chardev=serial"];
    let rest = [&rest[..], &["-loadvm", SNAPSHOT, "-monitor", "stdio"]].concat();
    let drive = ["-drive".to_owned(), format!("file={disk},if=none,id=disk,format=qcow2")];
    let rest: Vec<_> = rest.iter().map(|&word| word.to_owned()).collect();
    let board = [launch.board_args(), firmware, launch.extra].concat();
    let args = [board, words.into(), drive.into(), rest].concat();
    let lines = "info status\nquit\n";
    let ended = destination.binary()?.run_and_tell(&args, &destination.folder, lines)?;
    Ok(Attempt::of(ended, party::guest_reports(&destination.folder)?))
}
