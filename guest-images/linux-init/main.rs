//! The init of the Linux guest, its only process: stamps pages of its memory, tells where they lie,
//! and finds them again.
//!
//! It is linked statically, and uses nothing but the standard library. Commands come from the
//! serial port, line by line; reports go to the debug console, so that the kernel's messages, which
//! go to the serial port, are never in between. README.md describes both.

#[allow(dead_code, reason = "the other half is the host's")]
#[path = "../src/line.rs"]
mod line;
#[allow(dead_code, reason = "the other half is the host's")]
#[path = "../src/linux.rs"]
mod linux;
#[allow(dead_code, reason = "the other half is the host's")]
#[path = "../src/stamp.rs"]
mod stamp;

mod kernel;
mod memory;

use linux::{Command, Report};
use memory::Memory;
use std::fs::{self, File};
use std::io::{self, BufRead, BufReader};
use std::sync::mpsc::{Receiver, TryRecvError, channel};
use std::thread;

const SERIAL: &str = "/dev/ttyS0";
/// The kernel's modules, in the order in which they are to be loaded.
const MODULES: &str = "/modules";

fn main() {
    if let Err(error) = run() {
        report(&Report::Failed { reason: error.to_string() });
    }
    // The kernel panics where its init ends; who waits for a report must be able to read it.
    loop {
        thread::park();
    }
}

fn run() -> io::Result<()> {
    kernel::open_port(linux::DEBUG_PORT)?;
    for (kind, place) in [("devtmpfs", "/dev"), ("proc", "/proc"), ("sysfs", "/sys")] {
        kernel::mount_on(kind, place)?;
    }
    let mut modules: Vec<_> =
        fs::read_dir(MODULES)?.map(|entry| Ok(entry?.path())).collect::<io::Result<_>>()?;
    modules.sort();
    for module in &modules {
        kernel::load_module(module)?;
    }
    let commands = commands(BufReader::new(File::open(SERIAL)?));
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?.trim_end().to_owned();
    report(&Report::Ready { kernel, modules: modules.len() as u64 });

    let mut memory = Memory::default();
    loop {
        let line = commands.recv().map_err(io::Error::other)?;
        let done = match Command::parse(&line) {
            Some(command) => obey(command, &mut memory, &commands),
            None => Err(io::Error::other(format!("no command: {line:?}"))),
        };
        if let Err(error) = done {
            report(&Report::Failed { reason: error.to_string() });
        }
    }
}

/// Reads commands aside, so that one can come while another is being obeyed.
fn commands(serial: BufReader<File>) -> Receiver<String> {
    let (sender, commands) = channel();
    thread::spawn(move || {
        for line in serial.lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    commands
}

fn obey(command: Command, memory: &mut Memory, commands: &Receiver<String>) -> io::Result<()> {
    match command {
        Command::Stamp { seed, generation, pages } => {
            *memory = Memory::default();
            *memory = Memory::take(pages, seed)?;
            memory.stamp(generation);
            report(&Report::Stamped { generation, pages });
        }
        Command::Find => {
            let (pages, matching, first) = memory.find();
            report(&Report::Found { pages, matching, first });
        }
        Command::Addresses => {
            let now = memory.addresses()?;
            for (first, pages) in memory::runs(&now) {
                report(&Report::Run { first, pages });
            }
            let moved = now.iter().zip(memory.stamped_at()).filter(|(now, then)| now != then);
            report(&Report::Addresses { pages: now.len() as u64, moved: moved.count() as u64 });
        }
        Command::Dirty => loop {
            let generation = memory.generation() + 1;
            memory.stamp(generation);
            report(&Report::Swept { generation });
            // Whatever comes ends it.
            if !matches!(commands.try_recv(), Err(TryRecvError::Empty)) {
                report(&Report::Stopped { generation });
                break;
            }
        },
        Command::Stop => {}
        Command::Free => {
            let pages = memory.stamped_at().len() as u64;
            *memory = Memory::default();
            report(&Report::Freed { pages });
        }
        Command::Memory => {
            let text = fs::read_to_string("/proc/meminfo")?;
            let [total, free] = ["MemTotal:", "MemFree:"].map(|name| memory::amount(&text, name));
            report(&Report::Memory { total: total?, free: free? });
        }
    }
    Ok(())
}

fn report(report: &Report) {
    kernel::write_port(linux::DEBUG_PORT, format!("{report}\n").as_bytes());
}
