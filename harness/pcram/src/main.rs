//! `pcram`: carries an out-of-tree patch series for QEMU and proves what it does.

use clap::{CommandFactory, Parser, Subcommand};
use pcram::command::{
    self, apply, boot, build, cache, check, completions, doctor, fetch, import, list, manual,
    mirror, refresh, reproduce, stream, verify,
};
use std::process::ExitCode;

/// Carries an out-of-tree patch series for QEMU and proves what it does.
#[derive(Parser)]
#[command(name = "pcram", version, after_help = command::exit_codes())]
struct Cli {
    #[command(flatten)]
    global: command::Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Do all: fetch, apply, build stock and patched, and check every promise
    Verify(verify::Args),
    /// Say what this machine lacks, and what would not be tried on it
    Doctor(doctor::Args),
    /// List the revisions that a series is carried for, and what the cache holds of each
    List(list::Args),
    /// Fetch the source of a revision into the cache
    Fetch(fetch::Args),
    /// Apply the series to the source, and write the patched tree where you want it
    Apply(apply::Args),
    /// Write a series anew, from the work tree that a stopped `apply` left
    Refresh(refresh::Args),
    /// Make a series of a mailing-list posting, with what mail did to it undone
    Import(import::Args),
    /// Try what a mailing-list thread claims of its patch, on a QEMU built from it
    Reproduce(reproduce::Args),
    /// Build QEMU without and with the series
    Build(build::Args),
    /// Try the checks on QEMUs that were built before
    Check(check::Args),
    /// Read a migration stream or a snapshot: what it carries, and where two differ
    Stream(stream::Args),
    /// Hold QEMU's own functions of RAM blocks against their mirror, call by call
    Mirror(mirror::Args),
    /// Boot a patched QEMU in front of you, with its RAM in a file
    Boot(boot::Args),
    /// Show what the cache holds, and remove what is not wanted any more
    Cache(cache::Args),
    /// Print what a shell needs to complete command lines
    Completions(completions::Args),
    /// Print the manual page of the tool, or of one command
    Manual(manual::Args),
}

fn main() -> ExitCode {
    let Cli { global, command } = Cli::parse();
    match command {
        Command::Verify(args) => verify::run(global, args),
        Command::Doctor(args) => doctor::run(global, args),
        Command::List(args) => list::run(global, args),
        Command::Fetch(args) => fetch::run(global, args),
        Command::Apply(args) => apply::run(global, args),
        Command::Refresh(args) => refresh::run(global, args),
        Command::Import(args) => import::run(global, args),
        Command::Reproduce(args) => reproduce::run(global, args),
        Command::Build(args) => build::run(global, args),
        Command::Check(args) => check::run(global, args),
        Command::Stream(args) => stream::run(global, args),
        Command::Mirror(args) => mirror::run(global, args),
        Command::Boot(args) => boot::run(global, args),
        Command::Cache(args) => cache::run(global, args),
        Command::Completions(args) => completions::run(Cli::command(), args),
        Command::Manual(args) => manual::run(Cli::command(), args),
    }
}
