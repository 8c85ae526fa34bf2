//! What comes in at a destination, and what becomes of it there.

use super::deadline::Deadline;
use super::door::Door;
use super::migration::ASK_AGAIN;
use super::{Machine, sockets};
use anyhow::{Result, bail};
use serde_json::json;
use std::os::fd::AsFd;
use std::process::ExitStatus;
use std::time::Duration;
use tempfile::TempDir;

/// The name in the monitor of a file that a stream comes from.
const FILE: &str = "stream";

/// What became of a stream at its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Arrival {
    /// QEMU has ended.
    Ended(ExitStatus),
    /// QEMU waits no more; its run state.
    Loaded(String),
    /// QEMU still waits, after the time that it was given.
    Waits,
}

impl<G> Machine<G> {
    /// The run state, in QEMU's own word (`query-status`).
    pub fn status(&mut self) -> Result<String> {
        let status = self.qmp.execute("query-status", json!({}))?;
        Ok(status["status"].as_str().unwrap_or_default().to_owned())
    }

    /// How QEMU ended, where it does so within `limit`.
    pub fn ended_within(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        Ok(self.group.wait_timeout(limit)?)
    }

    /// Has a QEMU that was started with `-incoming defer` load the stream at `uri`. One that ends
    /// before it has answered is for [`Machine::arrival`] to tell.
    pub fn load_from(&mut self, uri: &str) -> Result<()> {
        if let Some(door) = &mut self.door {
            return door.lead_to(uri, &self.folder);
        }
        let answer = self.qmp.execute("migrate-incoming", json!({ "uri": uri }));
        if answer.is_err() && self.ended_within(ASK_AGAIN)?.is_some() {
            return Ok(());
        }
        answer.map(drop)
    }

    /// The same, with the stream that an open file holds: a pipe's, say.
    pub fn load_from_file(&mut self, file: impl AsFd) -> Result<()> {
        if let Some(door) = &mut self.door {
            return door.feed(file.as_fd());
        }
        self.qmp.give_file(FILE, &file)?;
        self.load_from(&format!("fd:{FILE}"))
    }

    /// Whether this QEMU answers its monitor while it loads, as far as the stream has come. One that
    /// is older than `-incoming defer` reads its stream whole before it does anything else.
    pub fn answers_while_it_loads(&self) -> bool {
        self.door.as_ref().is_none_or(Door::is_closed)
    }

    /// Waits up to `limit` for what becomes of the stream.
    pub fn arrival(&mut self, limit: Duration) -> Result<Arrival> {
        let deadline = Deadline::after(limit, "the stream to arrive");
        while let Ok(left) = deadline.left() {
            if let Some(status) = self.ended_within(left.min(ASK_AGAIN))? {
                return Ok(Arrival::Ended(status));
            }
            // A monitor that is closed is that of a QEMU that is about to end.
            match self.status() {
                Ok(status) if status != "inmigrate" => return Ok(Arrival::Loaded(status)),
                _ => {}
            }
        }
        Ok(Arrival::Waits)
    }

    /// Waits until a destination has loaded its stream.
    ///
    /// # Errors
    /// Where it does not within `limit`, or ends instead, with what QEMU said.
    pub fn loaded(&mut self, limit: Duration) -> Result<()> {
        match self.arrival(limit)? {
            Arrival::Loaded(_) => Ok(()),
            arrival => bail!("the destination did not load: {arrival:?}, saying: {}", self.said()),
        }
    }

    /// Begins to migrate over a unix socket to a QEMU that was started with `-incoming defer`. The
    /// socket lies in a folder that goes with the returned value, once nobody connects any more.
    pub fn migrate_to<H>(&mut self, destination: &mut Machine<H>) -> Result<TempDir> {
        let sockets = sockets::folder()?;
        let uri = format!("unix:{}", sockets.path().join("incoming").display());
        destination.load_from(&uri)?;
        self.migrate(&uri)?;
        Ok(sockets)
    }
}
