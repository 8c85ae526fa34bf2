//! Who loads a snapshot, and resets the machine for it: the end of QEMU's start, in 7.2 and later
//! (`qmp_x_exit_preconfig` of vl.c), and `load_snapshot` of migration/savevm.c in 5.2.

use super::{Ends, Machine, Reset};
use serde::{Deserialize, Serialize};

/// How a machine starts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Start {
    /// It cannot be made, where it is asked whether it was.
    pub fails: bool,
    /// Without `-S`.
    pub autostart: bool,
    /// It is replayed.
    pub replay: bool,
    /// `-incoming`.
    pub incoming: Option<Incoming>,
}

/// A migration that comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Incoming {
    /// It is named later.
    Deferred,
    /// It is waited for.
    Awaited,
    /// It cannot be waited for.
    Fails,
}

/// How far a snapshot can be loaded from the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Disk {
    /// The disk has no snapshots at all.
    CannotSnapshot,
    /// It does not have this one.
    NoSnapshot,
    /// No disk has a state of the machine.
    NoState,
    /// The snapshot is gone meanwhile.
    Lost,
    /// It has no state of the machine.
    Empty,
    /// The disk cannot go back to it.
    CannotGo,
    /// The state cannot be opened.
    CannotOpen,
    /// It cannot be loaded.
    Broken,
    /// Nothing is wrong.
    Fine,
}

/// A function that is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Call {
    /// `qemu_init_board`.
    InitBoard,
    /// `qemu_create_cli_devices`.
    CreateDevices,
    /// `load_snapshot`, in 7.2 and later.
    LoadSnapshot,
    /// `load_snapshot_resume`, and the guest runs.
    ResumeRunning,
    /// `load_snapshot_resume`, and the guest does as it did.
    ResumeAsBefore,
    /// `replay_vmstate_init`.
    Replay,
    /// `qmp_migrate_incoming`.
    Incoming,
    /// `qmp_cont`.
    Continue,
    /// `replay_flush_events`.
    Flush,
    /// `bdrv_drain_all_begin`.
    DrainBegin,
    /// `qemu_loadvm_state`.
    LoadState,
    /// `bdrv_drain_all_end`.
    DrainEnd,
}

impl Machine {
    /// Makes the machine, loads the snapshot that was announced, and forgets it: the series, else later
    /// resets would wait for it, too (`qmp_x_exit_preconfig`). Gives whether that was done.
    ///
    /// # Errors
    ///
    /// Where QEMU ends.
    pub fn qmp_x_exit_preconfig(&mut self, start: &Start) -> Result<bool, Ends> {
        if self.initialized {
            return Ok(self.refuse("The command is permitted only before machine initialization"));
        }
        self.call(Call::InitBoard);
        self.initialized = true;
        self.call(Call::CreateDevices);
        let first = Reset { incoming: start.incoming.is_some(), within_loadvm: false };
        self.qemu_devices_reset(first)?;
        if self.tree.may_fail && start.fails {
            return Ok(self.refuse("it cannot be made"));
        }
        if self.pending {
            self.call(Call::LoadSnapshot);
            self.qemu_devices_reset(Reset { within_loadvm: true, ..first })?;
            self.pending = !self.tree.waits;
            if self.tree.resumes {
                let running = start.autostart;
                self.call(if running { Call::ResumeRunning } else { Call::ResumeAsBefore });
            }
        }
        if start.replay {
            self.call(Call::Replay);
        }
        match start.incoming {
            None if start.autostart => self.call(Call::Continue),
            None | Some(Incoming::Deferred) => {}
            Some(Incoming::Awaited) => self.call(Call::Incoming),
            Some(Incoming::Fails) => {
                self.call(Call::Incoming);
                self.refuse("-incoming somewhere: it cannot be waited for\n");
                return Err(Ends::Exits);
            }
        }
        Ok(true)
    }

    /// Loads a snapshot while QEMU runs: in 5.2 with all that can be wrong with it (`load_snapshot`); of
    /// later trees, its reset alone. Gives whether it was loaded.
    ///
    /// # Errors
    ///
    /// Where QEMU ends.
    pub fn load_snapshot(&mut self, disk: Disk, incoming: bool) -> Result<bool, Ends> {
        if self.tree.starts {
            self.call(Call::LoadSnapshot);
            self.qemu_devices_reset(Reset { incoming, within_loadvm: true })?;
            return Ok(true);
        }
        let why = match disk {
            Disk::CannotSnapshot => "Device 'disk' is writable but does not support snapshots",
            Disk::NoSnapshot => "Device 'disk' does not have the requested snapshot 'a snapshot'",
            Disk::NoState => "No block device supports snapshots",
            // Nothing is said.
            Disk::Lost => "",
            Disk::Empty => "This is a disk-only snapshot. Revert to it  offline using qemu-img",
            Disk::CannotGo | Disk::CannotOpen | Disk::Broken | Disk::Fine => {
                return self.load_state(disk, incoming);
            }
        };
        Ok(self.refuse(why))
    }

    /// The rest of that, while the disks do nothing else. The reset finds the snapshot announced: the
    /// series.
    fn load_state(&mut self, disk: Disk, incoming: bool) -> Result<bool, Ends> {
        self.call(Call::Flush);
        self.call(Call::DrainBegin);
        let why = match disk {
            Disk::CannotGo => {
                Some("Could not load snapshot 'a snapshot' on 'disk': it cannot go back")
            }
            Disk::CannotOpen => Some("Could not open VM state file"),
            _ => {
                self.pending = self.tree.waits;
                self.qemu_devices_reset(Reset { incoming, within_loadvm: false })?;
                self.pending = false;
                self.call(Call::LoadState);
                (disk == Disk::Broken).then_some("Error -22 while loading VM state")
            }
        };
        self.call(Call::DrainEnd);
        Ok(why.is_none_or(|why| self.refuse(why)))
    }

    fn call(&mut self, call: Call) {
        self.did.push(super::Did::Call(call));
    }

    /// Says why something is not done.
    fn refuse(&mut self, why: &str) -> bool {
        self.said.push_str(why);
        false
    }
}
