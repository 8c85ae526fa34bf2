//! Where a QEMU waits for its stream that cannot be told of it later: a socket on which it listens from
//! its start.
//!
//! `-incoming defer` and `migrate-incoming` came with 2.3. What an older QEMU is to load is led to
//! its door instead: whoever connects to a unix socket finds this one there, and what a command or a
//! file gives is carried there.

use super::binary::Binary;
use super::launch::{Launch, opt_value};
use super::sockets;
use crate::failure::{Exit, Failure};
use crate::process::Group;
use anyhow::{Context, Result};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tempfile::TempDir;

/// A socket on which a QEMU listens.
pub(super) struct Door {
    socket: PathBuf,
    /// What carries a stream to it.
    carrier: Option<Group>,
    _folder: TempDir,
}

impl Door {
    /// The launch of a QEMU that is to wait (`-incoming defer`), with a door where its help does
    /// not know of that.
    pub(super) fn open(binary: &Binary, launch: &Launch) -> Result<(Launch, Option<Door>)> {
        let mut launch = launch.clone();
        let waits = |words: &[String]| words == ["-incoming", "defer"];
        let Some(at) = launch.extra.windows(2).position(waits) else { return Ok((launch, None)) };
        if binary.help.contains("-incoming defer") {
            return Ok((launch, None));
        }
        let folder = sockets::folder()?;
        let socket = folder.path().join("incoming");
        launch.extra[at + 1] = format!("unix:{}", opt_value(&socket));
        Ok((launch, Some(Door { socket, carrier: None, _folder: folder })))
    }

    /// Has the stream at `uri` come in. A command runs in `folder`, as QEMU does.
    pub(super) fn lead_to(&mut self, uri: &str, folder: &Path) -> Result<()> {
        match uri.split_once(':') {
            Some(("unix", path)) => symlink(&self.socket, path)
                .with_context(|| format!("cannot lead {path} to {}", self.socket.display())),
            Some(("exec", line)) => {
                let mut command = Command::new("sh");
                command.args(["-c", line]).current_dir(folder).stdin(Stdio::null());
                self.carry(&mut command)
            }
            _ => {
                let text = format!(
                    "this QEMU waits at a socket, and cannot be told to load from {uri}: only \
                     unix:, exec: and open files can be led there"
                );
                Err(Failure::new(Exit::DidNotBoot, text).into())
            }
        }
    }

    /// Has what `file` holds come in.
    pub(super) fn feed(&mut self, file: BorrowedFd) -> Result<()> {
        let file = file.try_clone_to_owned()?;
        self.carry(Command::new("cat").stdin(Stdio::from(file)))
    }

    /// Whether nothing was carried in.
    pub(super) fn is_closed(&self) -> bool {
        self.carrier.is_none()
    }

    /// Runs `command`, and has what it prints come in. The socket has no other owner then: where the
    /// command ends, so does the stream.
    fn carry(&mut self, command: &mut Command) -> Result<()> {
        let door = UnixStream::connect(&self.socket)
            .with_context(|| format!("cannot connect to {}", self.socket.display()))?;
        command.stdout(Stdio::from(OwnedFd::from(door)));
        self.carrier = Some(Group::spawn(command).context("cannot start what gives the stream")?);
        command.stdout(Stdio::null());
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::io::{Read, Write, pipe};
    use std::os::unix::net::UnixListener;

    fn binary(help: &str) -> Binary {
        Binary { path: "qemu".into(), help: help.into() }
    }

    fn waiting() -> Launch {
        let extra = ["-S", "-incoming", "defer"].map(str::to_owned).to_vec();
        Launch { extra, ..Launch::default() }
    }

    /// A door on which this process listens, as a QEMU of 2011 would.
    fn door() -> (Door, UnixListener) {
        let (launch, door) = Door::open(&binary("-incoming p  listen\n"), &waiting()).unwrap();
        let door = door.unwrap();
        let listener = UnixListener::bind(&door.socket).unwrap();
        assert_eq!(launch.extra[2], format!("unix:{}", door.socket.display()));
        (door, listener)
    }

    fn heard(listener: &UnixListener) -> String {
        let mut text = String::new();
        listener.accept().unwrap().0.read_to_string(&mut text).unwrap();
        text
    }

    #[test]
    fn there_is_a_door_only_where_defer_is_wanted_and_not_known() {
        let (launch, door) = Door::open(&binary("-incoming defer\n"), &waiting()).unwrap();
        assert!(door.is_none() && launch.extra == waiting().extra);
        let (_, door) = Door::open(&binary("-incoming p\n"), &Launch::default()).unwrap();
        assert!(door.is_none());
    }

    #[test]
    fn commands_files_and_whoever_connects_come_in_at_the_door() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("stream"), "of a command").unwrap();
        let (mut first, listener) = door();
        first.lead_to("exec:cat stream", folder.path()).unwrap();
        assert_eq!(heard(&listener), "of a command");

        let (mut second, listener) = door();
        assert!(second.is_closed());
        let (reader, mut writer) = pipe().unwrap();
        second.feed(std::os::fd::AsFd::as_fd(&reader)).unwrap();
        writer.write_all(b"of a pipe").unwrap();
        drop(writer);
        assert_eq!(heard(&listener), "of a pipe");

        let (mut third, listener) = door();
        let path = folder.path().join("socket");
        third.lead_to(&format!("unix:{}", path.display()), folder.path()).unwrap();
        UnixStream::connect(path).unwrap().write_all(b"of a source").unwrap();
        assert_eq!(heard(&listener), "of a source");

        let error = third.lead_to("tcp:host:1", folder.path()).unwrap_err();
        assert!(error.to_string().contains("cannot be told to load from tcp:host:1"), "{error}");
    }
}
