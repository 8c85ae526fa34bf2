//! A stream that a destination gets in two parts: what a source sends while its guest still runs
//! there, and the state of the devices, which comes once the source has stopped.

use crate::machine::Machine;
use crate::machine::deadline::Deadline;
use anyhow::{Context, Result, bail};
use pcram_stream::{Reader, RecordKind};
use rustix::io::ioctl_fionread;
use std::fs;
use std::io::{PipeReader, PipeWriter, Write, pipe};
use std::path::Path;
use std::time::Duration;

/// How long the destination may take to read the first part, and how often it is looked at.
const TAKEN: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// The part that a destination did not get yet.
pub struct Rest {
    pipe: PipeWriter,
    bytes: Vec<u8>,
}

/// Has a QEMU that was started with `-incoming defer` load the stream in a file, but for the state
/// of the devices, and waits until it has taken that.
pub fn load_but_devices<G>(to: &mut Machine<G>, stream: &Path) -> Result<Rest> {
    let cannot = || format!("cannot read the stream {}", stream.display());
    let mut bytes = fs::read(stream).with_context(cannot)?;
    let rest = bytes.split_off(devices_at(&bytes).with_context(cannot)?);
    let (reader, mut pipe) = pipe().context("cannot make a pipe")?;
    to.load_from_file(&reader)?;
    pipe.write_all(&bytes).context("the destination does not read its stream")?;
    await_read(&reader, &Deadline::after(TAKEN, "the destination to read its stream"))?;
    // It loads in its main loop, which answers when it has nothing more to load.
    if to.answers_while_it_loads() {
        to.status()?;
    }
    Ok(Rest { pipe, bytes: rest })
}

/// Waits until nothing is left to read.
fn await_read(pipe: &PipeReader, deadline: &Deadline) -> Result<()> {
    while ioctl_fionread(pipe)? > 0 {
        std::thread::sleep(deadline.left()?.min(LOOK_AGAIN));
    }
    Ok(())
}

impl Rest {
    /// Gives the destination the rest.
    pub fn load(mut self) -> Result<()> {
        self.pipe.write_all(&self.bytes).context("the destination does not read its stream")
    }
}

/// Where the state of the devices begins.
fn devices_at(stream: &[u8]) -> Result<usize> {
    let mut reader = Reader::new(stream);
    while let Some(record) = reader.next_record()? {
        if matches!(record.kind, RecordKind::DeviceState(_)) {
            return Ok(record.offset.0 as usize);
        }
    }
    bail!("it has no state of devices")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::streams::built::{PAGE, plain};
    use pcram_stream::Summary;

    #[test]
    fn the_devices_come_behind_all_pages() {
        let stream = plain(&[]);
        let devices = devices_at(&stream).unwrap();
        let pages =
            Summary::read(&stream[..]).unwrap().blocks.iter().map(|it| it.pages.len()).sum::<u64>();
        assert!(devices as u64 > pages * PAGE && devices < stream.len());
        assert!(devices_at(&stream[..devices - 1]).is_err(), "it ends before");
    }

    #[test]
    fn what_nobody_reads_is_waited_for() {
        let (reader, mut writer) = pipe().unwrap();
        let deadline = || Deadline::after(Duration::from_millis(20), "it to be read");
        await_read(&reader, &deadline()).unwrap();
        writer.write_all(b"x").unwrap();
        let error = await_read(&reader, &deadline()).unwrap_err();
        assert!(error.to_string().contains("it to be read"), "{error}");
    }
}
