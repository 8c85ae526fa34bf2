//! Migration channels, recorded on their way from a source to a destination.
//!
//! A [`Recorder`] stands between the two: the source migrates to [`Recorder::uri`], and whatever
//! it sends on each of its connections (several with multifd) goes on to the destination and into
//! a file per connection. What the destination answers goes back unrecorded.

use super::deadline::Deadline;
use super::sockets;
use anyhow::{Context, Result};
use std::fs::File;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::Duration;
use tempfile::TempDir;

/// A man in the middle of every channel of one migration.
pub struct Recorder {
    socket: PathBuf,
    channels: Receiver<Channel>,
    over: Arc<AtomicBool>,
    _sockets: TempDir,
}

struct Channel {
    file: PathBuf,
    recorded: Receiver<io::Result<u64>>,
}

/// How long the last bytes of a completed migration may take to go through.
const THROUGH: Duration = Duration::from_secs(30);

impl Recorder {
    /// Records into `folder`, as `channel-0.stream` and so on, what goes to the unix socket
    /// `destination`.
    pub fn start(destination: &Path, folder: &Path) -> Result<Recorder> {
        let sockets = sockets::folder()?;
        let socket = sockets.path().join("channel");
        let listener = UnixListener::bind(&socket)
            .with_context(|| format!("cannot listen on {}", socket.display()))?;
        let (opened, channels) = channel();
        let over = Arc::new(AtomicBool::new(false));
        let ended = Arc::clone(&over);
        let (destination, folder) = (destination.to_owned(), folder.to_owned());
        thread::Builder::new().name("recorder".into()).spawn(move || {
            for (number, source) in listener.incoming().map_while(Result::ok).enumerate() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let file = folder.join(format!("channel-{number}.stream"));
                // Here and not in the channel's thread: before 8.0 a destination tells its channels
                // by the order in which they come.
                let far = UnixStream::connect(&destination);
                let (done, recorded) = channel();
                let copy = file.clone();
                thread::spawn(move || done.send(far.and_then(|far| record(source, far, &copy))));
                if opened.send(Channel { file, recorded }).is_err() {
                    return;
                }
            }
        })?;
        Ok(Recorder { socket, channels, over, _sockets: sockets })
    }

    /// Where the source migrates to.
    pub fn uri(&self) -> String {
        format!("unix:{}", self.socket.display())
    }

    /// The unix socket that the source migrates to.
    pub fn socket(&self) -> &Path {
        &self.socket
    }

    /// A connection to it, as a source would make one: to be handed to a source.
    pub fn connect(&self) -> Result<UnixStream> {
        let cannot = || format!("cannot connect to {}", self.socket.display());
        UnixStream::connect(&self.socket).with_context(cannot)
    }

    /// The recordings, in the order in which the source connected; waits until each has ended, as
    /// it does when the migration has.
    pub fn finish(&self) -> Result<Vec<PathBuf>> {
        let deadline = Deadline::after(THROUGH, "a migration channel to be opened");
        let first = self.channels.recv_timeout(deadline.left()?).map_err(|_| deadline.expired())?;
        // A destination that has everything had all its channels opened before.
        let channels = std::iter::once(first).chain(self.channels.try_iter());
        let recordings = channels.map(|Channel { file, recorded }| {
            let what = format!("the end of the channel {}", file.display());
            let deadline = Deadline::after(THROUGH, what);
            let bytes = recorded.recv_timeout(deadline.left()?).map_err(|_| deadline.expired())?;
            bytes.with_context(|| format!("cannot record {}", file.display()))?;
            Ok(file)
        });
        recordings.collect()
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        // The listening thread sees that it is over with the next connection, which is this one.
        self.over.store(true, Ordering::SeqCst);
        let _ = UnixStream::connect(&self.socket);
    }
}

fn record(mut source: UnixStream, mut far: UnixStream, file: &Path) -> io::Result<u64> {
    let mut copy = File::create(file)?;
    let (mut answers, mut back) = (far.try_clone()?, source.try_clone()?);
    let returning = thread::spawn(move || {
        // The side that closes first ends this direction; the other one has its own result.
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Write);
    });
    let mut bytes = 0;
    let mut buffer = vec![0; 1 << 16];
    loop {
        let read = match source.read(&mut buffer)? {
            0 => break,
            read => read,
        };
        copy.write_all(&buffer[..read])?;
        far.write_all(&buffer[..read])?;
        bytes += read as u64;
    }
    far.shutdown(Shutdown::Write)?;
    let _ = returning.join();
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_channels_are_passed_on_and_recorded_apart() {
        let folder = tempfile::tempdir().unwrap();
        let destination = folder.path().join("destination");
        let listener = UnixListener::bind(&destination).unwrap();
        let recorder = Recorder::start(&destination, folder.path()).unwrap();
        let socket = recorder.uri().strip_prefix("unix:").unwrap().to_owned();
        for text in ["first", "second"] {
            let mut source = UnixStream::connect(&socket).unwrap();
            let (mut far, _) = listener.accept().unwrap();
            source.write_all(text.as_bytes()).unwrap();
            source.shutdown(Shutdown::Write).unwrap();
            let mut received = String::new();
            far.read_to_string(&mut received).unwrap();
            assert_eq!(received, text);
            far.write_all(b"back").unwrap();
            drop(far);
            let mut answer = String::new();
            source.read_to_string(&mut answer).unwrap();
            assert_eq!(answer, "back");
        }
        let files = recorder.finish().unwrap();
        let recorded: Vec<_> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
        assert_eq!(recorded, [b"first".to_vec(), b"second".to_vec()]);
    }
}
