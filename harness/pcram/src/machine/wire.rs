//! Lines from a QEMU's socket: read by a thread of their own, logged, and handed on.
//!
//! A chardev that nobody reads blocks the guest that writes to it, so the thread reads all the
//! time, whether or not anybody waits. What a QEMU that has gone mad writes is bounded: lines that
//! nobody has taken yet, the length of one, and the log.

use super::deadline::Deadline;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;

/// How many lines may wait to be taken; a QEMU that writes more is blocked. A guest that dirties its
/// RAM for minutes reports far less.
const WAITING: usize = 1 << 14;
/// How long a line may be, in bytes: the longest answers of a monitor have some hundred thousand.
const LONGEST: u64 = 16 << 20;
/// How much of it all the log takes, in bytes.
const LOGGED: usize = 64 << 20;

/// The receiving end of a socket, line by line.
pub struct Lines {
    lines: Receiver<String>,
    log: File,
    name: &'static str,
}

impl Lines {
    /// Reads `stream`, called `name` in messages, and appends every line to `log`.
    pub fn new(stream: UnixStream, log: &Path, name: &'static str) -> Result<Lines> {
        let log = File::options()
            .append(true)
            .create(true)
            .open(log)
            .with_context(|| format!("cannot write the log {}", log.display()))?;
        let mut copy = log.try_clone()?;
        let (sender, lines) = sync_channel(WAITING);
        thread::Builder::new().name(name.into()).spawn(move || {
            let mut reader = BufReader::new(stream);
            let (mut line, mut logged) = (Vec::new(), 0);
            // An error on the socket is the end of QEMU: the receiver sees a closed channel.
            while matches!((&mut reader).take(LONGEST).read_until(b'\n', &mut line), Ok(n) if n > 0)
            {
                logged += line.len();
                if logged <= LOGGED {
                    // A log that cannot be written (a full disk) must not stop the guest.
                    let _ = copy.write_all(&line);
                }
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                line.clear();
                if sender.send(text).is_err() {
                    return;
                }
            }
        })?;
        Ok(Lines { lines, log, name })
    }

    /// The next line; an error once the deadline has passed or QEMU has closed the socket.
    pub fn next(&self, deadline: &Deadline) -> Result<String> {
        match self.lines.recv_timeout(deadline.left()?) {
            Ok(line) => Ok(line),
            Err(RecvTimeoutError::Timeout) => Err(deadline.expired().into()),
            Err(RecvTimeoutError::Disconnected) => Err(deadline.forsaken(&self.closed()).into()),
        }
    }

    /// The next line if one has come already.
    pub fn try_next(&self) -> Option<String> {
        self.lines.try_recv().ok()
    }

    /// The next line of a QEMU that has ended; `None` after its last.
    pub fn last_words(&self) -> Option<String> {
        self.lines.recv().ok()
    }

    /// Writes a line of our own into the log, so that it shows both directions.
    pub fn log(&mut self, text: &str) {
        // As above: a full disk must not stop the run.
        let _ = writeln!(self.log, "{text}");
    }

    fn closed(&self) -> String {
        format!("QEMU closed its {}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn lines_arrive_in_order_are_logged_and_a_closed_socket_is_told() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let (mut far, near) = UnixStream::pair().unwrap();
        let lines = Lines::new(near, &log, "debug port").unwrap();
        far.write_all(b"one\ntwo\n").unwrap();
        drop(far);
        let deadline = Deadline::after(Duration::from_secs(5), "a third line");
        assert_eq!(lines.next(&deadline).unwrap(), "one");
        assert_eq!(lines.next(&deadline).unwrap(), "two");
        let error = lines.next(&deadline).unwrap_err().to_string();
        assert_eq!(error, "QEMU closed its debug port while waiting for a third line");
        assert_eq!(std::fs::read_to_string(log).unwrap(), "one\ntwo\n");
    }
}
