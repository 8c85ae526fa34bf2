//! A running QEMU: its process group, its monitor, its guest, and the folder it leaves.

pub mod back_end;
pub mod binary;
pub mod channel;
pub mod deadline;
mod door;
pub mod guest;
pub mod incoming;
pub mod kind;
pub mod kvm;
pub mod launch;
pub mod migration;
pub mod mounts;
pub mod offers;
pub mod qmp;
pub mod sockets;
pub mod wire;

use crate::failure::{Exit, Failure};
use crate::process::Group;
use anyhow::{Context, Result};
use binary::Binary;
use deadline::Deadline;
use door::Door;
use guest::Guest;
use kind::{Kind, Sockets, bare::Bare};
use launch::Launch;
use qmp::Qmp;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, pidfd_open};
use serde_json::json;
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

/// How long a QEMU may take to connect its chardevs.
const START: Duration = Duration::from_secs(20);

/// A QEMU that runs, with the bare guest or another one. Dropping it kills its whole process group.
pub struct Machine<G = Guest> {
    group: Group,
    /// Its monitor.
    pub qmp: Qmp,
    /// Its guest.
    pub guest: G,
    folder: PathBuf,
    /// Where it waits for its stream, where it cannot be told of it.
    door: Option<Door>,
}

impl Machine {
    /// Starts `binary` as `launch` says, with the bare guest.
    pub fn start(binary: &Binary, launch: &Launch, folder: &Path) -> Result<Machine> {
        Machine::boot(binary, launch, &Bare, folder)
    }
}

impl<G> Machine<G> {
    /// Starts `binary` as `launch` says, with a guest of a `kind`. What it leaves goes to `folder`:
    /// `command-line`, `monitor.log`, `console.log` (the guest's reports), `qemu.log` (QEMU's own
    /// output).
    pub fn boot<K>(binary: &Binary, launch: &Launch, kind: &K, folder: &Path) -> Result<Machine<G>>
    where
        K: Kind<Guest = G>,
    {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create the run folder {}", folder.display()))?;
        let sockets = sockets::folder()?;
        let listen = |name: &str| UnixListener::bind(sockets.path().join(name));
        let (monitor, debug, serial) = (listen("monitor")?, listen("debug")?, listen("serial")?);

        let (launch, door) = Door::open(binary, launch)?;
        let mut command = Command::new(&binary.path);
        let boot = kind.args(&launch.machine, folder)?;
        command.args(launch.args(sockets.path(), kind.debug_port(), &boot)).current_dir(folder);
        launch.prepare(&mut command);
        fs::write(folder.join("command-line"), shell_line(&command))?;
        let log = File::create(folder.join("qemu.log"))?;
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut group = Group::spawn(&mut command).map_err(|error| {
            let text = format!("cannot start {}: {error}", binary.path.display());
            Failure::new(Exit::DidNotBoot, text)
        })?;

        let mut accept = |listener: &UnixListener, what: &str| -> Result<UnixStream> {
            let deadline = Deadline::after(START, format!("QEMU to connect its {what}"));
            Ok(accept_from(&mut group, listener, &deadline)?.ok_or_else(|| {
                let text = format!("QEMU ended before it ran; it said: {}", said(folder));
                Failure::new(Exit::DidNotBoot, text)
            })?)
        };
        // In the order of the command line, in which QEMU connects them.
        let monitor = accept(&monitor, "monitor")?;
        let debug = accept(&debug, "debug port")?;
        let serial = accept(&serial, "serial port")?;
        let guest = kind.meet(Sockets { debug, serial }, folder)?;
        let qmp = Qmp::greet(monitor, &folder.join("monitor.log"))
            .with_context(|| format!("QEMU said: {}", said(folder)))?;
        Ok(Machine { group, qmp, guest, folder: folder.to_owned(), door })
    }

    /// QEMU's process id.
    pub fn id(&self) -> u32 {
        self.group.id()
    }

    /// What this QEMU printed so far.
    pub fn said(&self) -> String {
        said(&self.folder)
    }

    /// Stops the guest.
    pub fn stop(&mut self) -> Result<()> {
        self.qmp.execute("stop", json!({})).map(drop)
    }

    /// Lets the guest run on.
    pub fn cont(&mut self) -> Result<()> {
        self.qmp.execute("cont", json!({})).map(drop)
    }

    /// Kills QEMU with SIGKILL and waits until it is gone.
    pub fn kill(&mut self) -> Result<()> {
        self.group.kill()?;
        self.ended().map(drop)
    }

    /// Tells QEMU to quit, and waits until it has.
    pub fn quit(&mut self) -> Result<ExitStatus> {
        // QEMU may close the monitor before its answer is read.
        let _ = self.qmp.execute("quit", json!({}));
        self.ended()
    }

    /// Waits until QEMU has ended.
    pub fn ended(&mut self) -> Result<ExitStatus> {
        let deadline = Deadline::after(START, "QEMU to end");
        Ok(self.group.wait_timeout(deadline.left()?)?.ok_or_else(|| deadline.expired())?)
    }
}

/// A QEMU that ran, and would not migrate or save.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NoStream(pub String);

/// The connection that QEMU makes to `listener`; `None` where QEMU ended instead.
fn accept_from(
    group: &mut Group,
    listener: &UnixListener,
    deadline: &Deadline,
) -> Result<Option<UnixStream>> {
    let end = end_of(group)?;
    loop {
        let left = deadline.left()?;
        let timeout =
            Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() };
        let mut watched = [PollFd::new(listener, PollFlags::IN), PollFd::new(&end, PollFlags::IN)];
        poll(&mut watched, Some(&timeout))?;
        if watched[0].revents().contains(PollFlags::IN) {
            return Ok(Some(listener.accept()?.0));
        }
        if watched[1].revents().contains(PollFlags::IN) {
            return Ok(None);
        }
    }
}

fn end_of(group: &mut Group) -> Result<OwnedFd> {
    let pid = Pid::from_child(group.child());
    Ok(pidfd_open(pid, PidfdFlags::empty())?)
}

fn said(folder: &Path) -> String {
    let text = fs::read_to_string(folder.join("qemu.log")).unwrap_or_default();
    if text.trim().is_empty() { "nothing".to_owned() } else { text.trim().to_owned() }
}

/// A command line as a shell takes it, with a line break at its end.
pub fn shell_line(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| shell_word(&word.to_string_lossy())).collect::<Vec<_>>().join(" ") + "\n"
}

/// A word as a shell reads it back.
pub fn shell_word(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_=./:,+@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shell_words_are_quoted_where_a_shell_would_split_or_expand_them() {
        assert_eq!(shell_word("-m"), "-m");
        assert_eq!(shell_word("exec:cat > stream"), "'exec:cat > stream'");
        assert_eq!(shell_word("it's"), r"'it'\''s'");
        assert_eq!(shell_word(""), "''");
    }
}
