//! `refresh`: a series anew, from a work tree that a stopped `apply` left.

use super::Global;
use crate::event::Outcome;
use crate::failure::Exit;
use crate::machine::shell_word;
use std::path::PathBuf;
use std::process::ExitCode;

/// The options of `refresh`.
#[derive(clap::Args)]
pub struct Args {
    /// The work tree that `apply --to` left, with every patch committed
    #[arg(value_name = "DIR")]
    from: PathBuf,
    /// Write the series to SERIES, a folder that is new or empty
    #[arg(long, value_name = "SERIES")]
    to: PathBuf,
}

/// Runs `refresh`.
pub fn run(global: Global, args: Args) -> ExitCode {
    let Args { from, to } = args;
    super::run(global, "", |run| {
        let word = |path: &PathBuf| shell_word(&path.to_string_lossy());
        let repeat = format!("{} refresh {} --to {}", super::program(), word(&from), word(&to));
        let what = format!("the series of {} to {}", from.display(), to.display());
        run.events.step("refresh", what, repeat, |_| {
            let count = crate::series::refresh(&run.cache, &from, &to)?;
            let result = format!("{count} patches, which apply exactly");
            Ok((Exit::AllHeld, Outcome::new(result)))
        })
    })
}
