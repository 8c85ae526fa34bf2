//! How a snapshot is made, in migration/savevm.c: what ends it, and that what it does not have is told of
//! where it was made, and only there.
//!
//! What is asked of the disks, of the guest's processors and of the rest is said in brackets, in order.

use super::{EIO, ENOENT, Guest};
use serde::{Deserialize, Serialize};

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fails {
    /// `migrate_can_snapshot`: a capability does not go with it.
    MigrateCannot,
    /// `migration_is_blocked`.
    Blocked,
    /// `replay_can_snapshot`.
    ReplayCannot,
    /// `bdrv_all_can_snapshot`: a disk cannot.
    Cannot,
    /// `bdrv_all_delete_snapshot`.
    Delete,
    /// `bdrv_all_has_snapshot`.
    Has,
    /// There is one of that name.
    There,
    /// `bdrv_all_find_vmstate_bs`: no disk takes it.
    NoState,
    /// `global_state_store`; in newer trees it cannot.
    GlobalState,
    /// `qemu_fopen_bdrv`.
    Open,
    /// `qemu_savevm_state`.
    State,
    /// `qemu_fclose`.
    Close,
    /// `bdrv_all_create_snapshot`.
    Create,
}

impl Fails {
    /// All of them.
    pub const ALL: [Fails; 13] = [
        Fails::MigrateCannot,
        Fails::Blocked,
        Fails::ReplayCannot,
        Fails::Cannot,
        Fails::Delete,
        Fails::Has,
        Fails::There,
        Fails::NoState,
        Fails::GlobalState,
        Fails::Open,
        Fails::State,
        Fails::Close,
        Fails::Create,
    ];
}

/// How it is asked for, and what there is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Snapshot {
    /// A name is given.
    pub named: bool,
    /// One of that name may be overwritten; 5.2 does so whatever is said.
    pub overwrite: bool,
    /// The guest is recorded (`replay_mode`).
    pub replay: bool,
    /// What goes wrong, if anything.
    pub fails: Option<Fails>,
}

/// The name that is given.
pub const NAME: &str = "s";
/// The name of one that is given none.
const AUTONAME: &str = "vm-now";

/// What is left to be returned where nothing else was.
const ERROR: i32 = -1;

/// What ended it.
struct Ended {
    /// What is left to be returned.
    ret: i32,
    /// What is said, if anything.
    why: String,
}

impl Ended {
    fn of(ret: i32, why: impl Into<String>) -> Ended {
        Ended { ret, why: why.into() }
    }
}

impl Guest {
    /// Whether it was made; in 5.2, 0 or a negative errno (`save_snapshot`).
    pub fn save_snapshot(&mut self, it: &Snapshot) -> i32 {
        let made = self.may_make_snapshot(it).and_then(|()| self.make_snapshot(it));
        let Ended { ret, why } = made.err().unwrap_or(Ended::of(0, ""));
        if !why.is_empty() {
            self.say(why);
        }
        if self.tree.old_snapshot { ret } else { (ret == 0).into() }
    }

    /// What is asked while the guest runs.
    fn may_make_snapshot(&mut self, it: &Snapshot) -> Result<(), Ended> {
        let old = self.tree.old_snapshot;
        match it.fails {
            Some(Fails::MigrateCannot) if self.tree.asks_capabilities => {
                return Err(Ended::of(ERROR, "a capability does not go with it"));
            }
            Some(Fails::Blocked) => return Err(Ended::of(ERROR, "migration is blocked")),
            Some(Fails::ReplayCannot) => {
                let why = "Record/replay does not allow making snapshot right now. \
                           Try once more later.";
                return Err(Ended::of(ERROR, why));
            }
            Some(Fails::Cannot) if old => {
                let why = "Device 'disk' is writable but does not support snapshots";
                return Err(Ended::of(ERROR, why));
            }
            Some(Fails::Cannot) => return Err(Ended::of(ERROR, "a disk cannot")),
            _ => {}
        }
        if it.named {
            self.make_room(it)?;
        }
        match it.fails {
            // What was returned last: no error, of what deleted the one before.
            Some(Fails::NoState) if old => {
                let ret = if it.named { 0 } else { ERROR };
                Err(Ended::of(ret, "No block device can accept snapshots"))
            }
            Some(Fails::NoState) => Err(Ended::of(ERROR, "no disk takes it")),
            _ => Ok(()),
        }
    }

    /// One of that name goes, or stays and ends it.
    fn make_room(&mut self, it: &Snapshot) -> Result<(), Ended> {
        let old = self.tree.old_snapshot;
        if old || it.overwrite {
            self.say(format!("(delete {NAME})"));
            let of = if old { "Error while deleting snapshot on device 'disk': " } else { "" };
            return match it.fails {
                Some(Fails::Delete) => Err(Ended::of(EIO, format!("{of}it cannot be deleted"))),
                _ => Ok(()),
            };
        }
        match it.fails {
            Some(Fails::Has) => Err(Ended::of(ERROR, "nobody knows")),
            Some(Fails::There) => {
                let why = format!("Snapshot '{NAME}' already exists in one or more devices");
                Err(Ended::of(ERROR, why))
            }
            _ => Ok(()),
        }
    }

    /// Stops the guest, writes it, and has it go on as it was.
    fn make_snapshot(&mut self, it: &Snapshot) -> Result<(), Ended> {
        let tells = self.tree.stores_global_state;
        self.say("(global state)");
        if tells && it.fails == Some(Fails::GlobalState) {
            return Err(Ended::of(EIO, "Error saving global state"));
        }
        self.say("(stop)");
        self.say("(drain)");
        let made = self.write_snapshot(it);
        self.say("(undrain)");
        match (tells, self.settings.running) {
            (true, true) => self.say("(start)"),
            (true, false) => {}
            (false, running) => self.say(format!("(resume {})", i32::from(running))),
        }
        made
    }

    /// Writes it to the disk that was found.
    fn write_snapshot(&mut self, it: &Snapshot) -> Result<(), Ended> {
        let old = self.tree.old_snapshot;
        let fails = |what| it.fails == Some(what);
        let name = if it.named { NAME } else { AUTONAME };
        if fails(Fails::Open) {
            // What was returned last: in 7.2 no error, of the global state.
            let ret = match self.tree.stores_global_state {
                true if old && it.named => ENOENT,
                true => 0,
                false => ERROR,
            };
            return Err(Ended::of(ret, "Could not open VM state file"));
        }
        self.say("(save)");
        self.say("(close)");
        if fails(Fails::State) {
            return Err(Ended::of(EIO, "it cannot be saved"));
        }
        if fails(Fails::Close) {
            return Err(Ended::of(EIO, ""));
        }
        // One that is still there has its id.
        let id = if old && it.named && fails(Fails::There) { "1" } else { "" };
        let icount = if it.replay { "9" } else { "-1" };
        self.say(format!("(create {name} {id}, 7 bytes, at {icount})"));
        if fails(Fails::Create) {
            if old {
                return Err(Ended::of(EIO, "Error while creating snapshot on 'disk'"));
            }
            self.say(format!("(delete {name})"));
            return Err(Ended::of(EIO, "it cannot be made"));
        }
        if self.tree.ram.external {
            self.external_ram_warn(name);
        }
        Ok(())
    }
}
