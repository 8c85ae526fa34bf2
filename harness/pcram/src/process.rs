//! Children that die with their owner: process groups, and commands run to their end.
//!
//! Every child leads a process group of its own, so that all it started can be ended as one, and
//! carries a parent-death signal, so that it ends even where this process is killed outright.
//!
//! The parent-death signal is the kernel's `PR_SET_PDEATHSIG`: it fires when the *thread* that
//! spawned the child ends, not the process. Spawn from a thread that outlives the child.

mod one_processor;
mod run;

pub use one_processor::OneProcessor;
pub use run::{RunError, run};

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use rustix::io::{Errno, FdFlags, fcntl_setfd};
use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, getpid, getppid, kill_process_group,
    set_parent_process_death_signal, waitid,
};

/// How long a group that is asked to end may take before it is killed.
const GRACE: Duration = Duration::from_secs(3);

/// How a group is ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// SIGKILL at once.
    Kill,
    /// SIGTERM first, for programs that have to end children of their own (ninja gives each of
    /// its compilers a process group, which a signal to ninja's group does not reach); SIGKILL
    /// after three seconds.
    Terminate,
}

impl Ending {
    fn first_signal(self) -> Signal {
        match self {
            Ending::Kill => Signal::KILL,
            Ending::Terminate => Signal::TERM,
        }
    }
}

/// The groups whose leaders live, for [`kill_all`]. The lock is held while a child is spawned, so
/// that none slips through between its birth and its entry here.
static LIVE: Mutex<BTreeMap<i32, Ending>> = Mutex::new(BTreeMap::new());

/// Told whenever a group leaves [`LIVE`].
static GONE: Condvar = Condvar::new();

fn live() -> MutexGuard<'static, BTreeMap<i32, Ending>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether [`kill_all`] was called: this process is about to end.
static ENDING: AtomicBool = AtomicBool::new(false);

/// Does not return once [`kill_all`] was called: the thread that called it has the last word, and
/// nobody else tells what became of work whose processes were taken away.
pub fn stay_if_ending() {
    while ENDING.load(Ordering::SeqCst) {
        thread::park();
    }
}

/// Ends every live group. For the thread that handles Ctrl-C, which exits right afterwards; not
/// for a signal handler itself, since it takes a lock.
pub fn kill_all() {
    ENDING.store(true, Ordering::SeqCst);
    let groups = live();
    for (&id, &ending) in groups.iter() {
        signal_group(id, ending.first_signal());
    }
    let (groups, _) = GONE
        .wait_timeout_while(groups, GRACE, |groups| !groups.is_empty())
        .unwrap_or_else(PoisonError::into_inner);
    for &id in groups.keys() {
        signal_group(id, Signal::KILL);
    }
}

fn signal_group(id: i32, signal: Signal) {
    if let Some(pid) = Pid::from_raw(id) {
        // The only error that can come is that nobody is left.
        let _ = kill_process_group(pid, signal);
    }
}

/// Waits for the leader to die, and then ends what it left of its group. The leader stays a
/// zombie meanwhile (NOWAIT), so that the group's id cannot be a stranger's.
fn see_off(id: i32) {
    if let Some(pid) = Pid::from_raw(id) {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        while matches!(waitid(WaitId::Pid(pid), options), Err(Errno::INTR)) {}
    }
    let mut groups = live();
    signal_group(id, Signal::KILL);
    groups.remove(&id);
    GONE.notify_all();
}

/// A child and all it starts, as one process group that ends when this value is dropped.
pub struct Group {
    child: Child,
    id: i32,
    ending: Ending,
    exited: Receiver<()>,
    status: Option<ExitStatus>,
}

impl Group {
    /// Spawns `command` as the leader of a new group that is ended by SIGKILL.
    ///
    /// # Errors
    /// Those of [`Command::spawn`].
    pub fn spawn(command: &mut Command) -> io::Result<Group> {
        Group::spawn_ending(command, Ending::Kill)
    }

    /// Spawns `command` as the leader of a new group that ends as `ending` says.
    ///
    /// # Errors
    /// Those of [`Command::spawn`].
    pub fn spawn_ending(command: &mut Command, ending: Ending) -> io::Result<Group> {
        die_with_owner(command, ending.first_signal());
        let mut groups = live();
        if ENDING.load(Ordering::SeqCst) {
            drop(groups);
            stay_if_ending();
            groups = live();
        }
        let child = command.process_group(0).spawn()?;
        let id = child.id() as i32;
        groups.insert(id, ending);
        drop(groups);
        let (tell, exited) = channel();
        thread::spawn(move || {
            see_off(id);
            // The owner may have stopped listening.
            let _ = tell.send(());
        });
        Ok(Group { child, id, ending, exited, status: None })
    }

    /// The leader, for its pipes. Wait for it with [`Group::wait`], not with its own `wait`.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// The leader's process id, which is also the group's.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the leader to end, then kills whatever is left of the group.
    ///
    /// # Errors
    /// Those of [`Child::wait`].
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        // An error means that the thread that waits is gone, which it only is after telling.
        let _ = self.exited.recv();
        self.reap()
    }

    /// Waits up to `limit` for the leader to end; `None` where it still runs.
    ///
    /// # Errors
    /// Those of [`Child::wait`].
    pub fn wait_timeout(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        if let Some(status) = self.status {
            return Ok(Some(status));
        }
        match self.exited.recv_timeout(limit) {
            Err(RecvTimeoutError::Timeout) => Ok(None),
            Ok(()) | Err(RecvTimeoutError::Disconnected) => self.reap().map(Some),
        }
    }

    /// Ends the group, as its [`Ending`] says, and waits for the leader.
    ///
    /// # Errors
    /// Those of [`Child::wait`].
    pub fn kill(&mut self) -> io::Result<ExitStatus> {
        if let Some(status) = self.status {
            return Ok(status);
        }
        if self.ending == Ending::Terminate {
            signal_group(self.id, Signal::TERM);
            if let Some(status) = self.wait_timeout(GRACE)? {
                return Ok(status);
            }
        }
        signal_group(self.id, Signal::KILL);
        self.wait()
    }

    /// Takes the status of a leader that was seen off.
    fn reap(&mut self) -> io::Result<ExitStatus> {
        let status = self.child.wait()?;
        self.status = Some(status);
        Ok(status)
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // Nobody is left to tell; the child is dead either way.
        let _ = self.kill();
    }
}

/// Has the kernel send `signal` to the child that `command` becomes, when the thread that spawns it
/// ends.
pub fn die_with_owner(command: &mut Command, signal: Signal) {
    let owner = getpid();
    // SAFETY: between fork and exec only prctl and getppid are called, plain system calls that
    // neither allocate nor take locks.
    unsafe {
        command.pre_exec(move || {
            set_parent_process_death_signal(Some(signal))?;
            // The owner may have died before the signal was asked for.
            if getppid() != Some(owner) {
                return Err(io::Error::other("the process that started this one is gone"));
            }
            Ok(())
        });
    }
}

/// Lets `command` inherit `file`, so that a lock on it is held until the last of the command's
/// descendants has ended, even where this process is killed before them.
pub fn lend(command: &mut Command, file: &File) -> io::Result<()> {
    inherit(command, file.try_clone()?);
    Ok(())
}

/// Lets `command` inherit `file` under the number that it has here.
pub fn inherit(command: &mut Command, file: impl AsFd + Send + Sync + 'static) {
    // SAFETY: between fork and exec only fcntl is called, a plain system call that neither
    // allocates nor takes locks.
    unsafe {
        command.pre_exec(move || Ok(fcntl_setfd(&file, FdFlags::empty())?));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{BufRead, BufReader, PipeReader, PipeWriter, Read, pipe};
    use std::process::Stdio;

    const LONG: Duration = Duration::from_secs(60);

    /// A shell whose child holds the pipe's writing end too, both for as long as they live.
    fn sleepers() -> (Command, PipeReader, PipeWriter) {
        let (reader, writer) = pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & echo up; wait"]);
        command.stdout(writer.try_clone().unwrap());
        (command, reader, writer)
    }

    fn await_line(reader: &mut PipeReader) {
        let mut byte = [0];
        while byte != *b"\n" {
            reader.read_exact(&mut byte).unwrap();
        }
    }

    /// Reads to the end, which comes when the last holder of the writing end is gone.
    fn await_all_gone(mut reader: impl Read + Send + 'static) {
        let (tell, told) = channel();
        thread::spawn(move || tell.send(reader.read_to_end(&mut Vec::new()).is_ok()));
        assert_eq!(told.recv_timeout(LONG), Ok(true), "a process of the group lives on");
    }

    #[test]
    fn dropping_a_group_ends_all_of_it() {
        let (mut command, mut reader, writer) = sleepers();
        let group = Group::spawn(&mut command).unwrap();
        drop((command, writer));
        await_line(&mut reader);
        drop(group);
        await_all_gone(reader);
    }

    #[test]
    fn what_a_dead_leader_left_behind_is_ended_too() {
        let (reader, writer) = pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "sleep 1000 & exit 3"]).stdout(writer);
        let mut group = Group::spawn(&mut command).unwrap();
        drop(command);
        assert_eq!(group.wait().unwrap().code(), Some(3));
        await_all_gone(reader);
    }

    #[test]
    fn a_wait_has_its_limit() {
        let mut group = Group::spawn(Command::new("sleep").arg("1000")).unwrap();
        assert_eq!(group.wait_timeout(Duration::from_millis(20)).unwrap(), None);
        assert_eq!(group.kill().unwrap().code(), None, "it was killed by a signal");
        assert!(group.wait_timeout(Duration::ZERO).unwrap().is_some());
    }

    #[test]
    fn a_group_that_ignores_the_request_to_end_is_killed() {
        let (reader, writer) = pipe().unwrap();
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo up; while :; do sleep 1000; done"]).stdout(writer);
        let mut group = Group::spawn_ending(&mut command, Ending::Terminate).unwrap();
        drop(command);
        let mut reader = reader;
        await_line(&mut reader);
        assert_eq!(group.kill().unwrap().code(), None);
        await_all_gone(reader);
    }

    const SCRIPT: &str = "PCRAM_TEST_SCRIPT";

    /// Runs the test `name` again in a process of its own, and waits until that owns two groups,
    /// one of each ending, whose output it shares. In that process: owns them, until its input
    /// ends; then calls [`kill_all`] and exits.
    fn owner(name: &str, script: &str) -> Child {
        if let Ok(script) = std::env::var(SCRIPT) {
            let groups = [Ending::Kill, Ending::Terminate].map(|ending| {
                Group::spawn_ending(Command::new("sh").args(["-c", &script]), ending).unwrap()
            });
            io::stdin().read_to_end(&mut Vec::new()).unwrap();
            std::mem::forget(groups);
            kill_all();
            std::process::exit(0);
        }
        let mut owner = Command::new(std::env::current_exe().unwrap());
        owner.args([&format!("process::tests::{name}"), "--exact", "--nocapture"]);
        owner.env(SCRIPT, script).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut owner = owner.spawn().unwrap();
        let lines = BufReader::new(owner.stdout.as_mut().unwrap()).lines().map_while(Result::ok);
        assert_eq!(lines.filter(|line| line.ends_with("up")).take(2).count(), 2);
        owner
    }

    #[test]
    fn all_groups_are_ended_as_one() {
        let mut owner = owner("all_groups_are_ended_as_one", "sleep 1000 & echo up; wait");
        drop(owner.stdin.take());
        await_all_gone(owner.stdout.take().unwrap());
        owner.wait().unwrap();
    }

    #[test]
    fn leaders_die_with_an_owner_that_is_killed() {
        let name = "leaders_die_with_an_owner_that_is_killed";
        let mut owner = owner(name, "echo up; exec sleep 1000");
        owner.kill().unwrap();
        await_all_gone(owner.stdout.take().unwrap());
        owner.wait().unwrap();
    }
}
