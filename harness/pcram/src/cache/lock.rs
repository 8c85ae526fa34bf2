//! Locks between runs: one file each, held through the kernel, and so gone with their holder.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::event::Step;
use crate::failure::Failure;
use crate::process;

/// How long another run may hold a lock: longer than the builder lets a whole build take.
const LIMIT: Duration = Duration::from_secs(5 * 3600);

/// A lock that ends when this value is dropped, and with it the last child that it was lent to.
#[derive(Debug)]
pub struct Lock {
    file: File,
    path: PathBuf,
    lent: AtomicBool,
}

impl Lock {
    /// Opens the lock file, without taking the lock.
    pub(super) fn open(path: &Path) -> Result<Lock> {
        let file = File::options().create(true).append(true).open(path);
        let file = file.with_context(|| format!("opening the lock file {}", path.display()))?;
        Ok(Lock { file, path: path.to_owned(), lent: AtomicBool::new(false) })
    }

    /// Takes the lock for this run alone, if it can be had at once. A lock that was shared may be
    /// lost where this answers no.
    pub(super) fn try_exclusive(&self) -> Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(error).with_context(|| self.locking()),
        }
    }

    /// Takes the lock together with others, or leaves it to them where it was ours alone. Waits
    /// for one who holds it alone: who does is cleaning up, or building.
    pub(super) fn shared(&self) -> Result<()> {
        self.file.lock_shared().with_context(|| self.locking())
    }

    /// Waits until the lock is this run's alone.
    pub(super) fn wait(self, name: &str, step: &Step) -> Result<Lock> {
        if self.try_exclusive()? {
            return Ok(self);
        }
        step.note(format!("waiting for another run, which holds `{name}`"));
        let locking = self.locking();
        let (tell, told) = channel();
        // The kernel knows no limit for this wait. At ours the thread is left behind; a lock that
        // it is given later is dropped with the message nobody takes.
        thread::spawn(move || {
            let locked = self.file.lock();
            let _ = tell.send(locked.map(|()| self));
        });
        match told.recv_timeout(LIMIT) {
            Ok(locked) => locked.with_context(|| locking),
            Err(_) => Err(Failure::missing(format!(
                "another run has held `{name}` for {} hours; end it, or use another cache",
                LIMIT.as_secs() / 3600
            ))
            .into()),
        }
    }

    /// Lets the children that `command` starts hold the lock too, for as long as any of them
    /// lives.
    ///
    /// # Errors
    /// Where the file cannot be shared.
    pub fn lend(&self, command: &mut Command) -> Result<()> {
        self.lent.store(true, Ordering::Relaxed);
        process::lend(command, &self.file).with_context(|| self.locking())
    }

    fn locking(&self) -> String {
        format!("locking {}", self.path.display())
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        if !self.lent.load(Ordering::Relaxed) {
            // Closing the file is not enough: a child that another thread is just starting has a
            // copy until it calls exec. An error leaves it to the closing.
            let _ = self.file.unlock();
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::cache::tests::{a_step, cache, notes};
    use crate::process::Group;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicBool, Ordering};
    use std::thread;

    #[test]
    fn one_waits_for_the_other_and_says_so() {
        let (_dir, cache) = cache();
        let free = AtomicBool::new(false);
        let first = a_step(|step| cache.lock("thing", step)).unwrap();
        thread::scope(|scope| {
            let (waiting, waits) = std::sync::mpsc::channel();
            let (cache, free) = (&cache, &free);
            let second = scope.spawn(move || {
                let events = notes(waiting);
                events.step("test", "", "", |step| {
                    let lock = cache.lock("thing", step)?;
                    assert!(free.load(Ordering::SeqCst), "both hold the lock");
                    Ok((lock, crate::event::Outcome::default()))
                })
            });
            assert!(waits.recv().unwrap().contains("`thing`"));
            free.store(true, Ordering::SeqCst);
            drop(first);
            second.join().unwrap().unwrap();
        });
    }

    #[test]
    fn a_lent_lock_is_held_until_the_last_child_ends() {
        let (_dir, cache) = cache();
        let lock = a_step(|step| cache.lock("thing", step)).unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & wait"]).stdin(Stdio::null());
        lock.lend(&mut command).unwrap();
        let mut group = Group::spawn(&mut command).unwrap();
        drop((command, lock));
        let again = super::Lock::open(&cache.root().join("locks/thing")).unwrap();
        assert!(!again.try_exclusive().unwrap(), "the children hold it");
        group.kill().unwrap();
        // The leader is reaped; its child, killed with it, may take a moment to let go.
        a_step(|step| cache.lock("thing", step)).unwrap();
    }
}
