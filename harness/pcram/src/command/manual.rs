//! `manual`: the tool's manual pages, as `man` reads them.

use super::{print, tell};
use crate::failure::Failure;
use clap::Command;
use clap_mangen::Man;
use std::process::ExitCode;

/// The options of `manual`.
#[derive(clap::Args)]
pub struct Args {
    /// The command whose page is wanted [default: the page of the tool itself]
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

/// Runs `manual`; `tool` is the whole command line interface.
pub fn run(tool: Command, Args { command }: Args) -> ExitCode {
    match page(tool, command.as_deref()) {
        Ok(text) => print(&text),
        Err(error) => ExitCode::from(tell(&error).code()),
    }
}

/// The page of the tool, or of one of its commands, in roff.
fn page(tool: Command, command: Option<&str>) -> anyhow::Result<Vec<u8>> {
    // The page of `help` would be the only one that says nothing.
    let mut tool = tool.disable_help_subcommand(true);
    tool.build();
    let version = tool.render_version();
    let subject = match command {
        None => tool,
        Some(name) => tool.find_subcommand(name).cloned().ok_or_else(|| {
            let names: Vec<_> = tool.get_subcommands().map(Command::get_name).collect();
            Failure::usage(format!("there is no command {name:?}; there is {}", names.join(", ")))
        })?,
    };
    let mut text = Vec::new();
    Man::new(subject).source(version.trim()).manual("pcram").render(&mut text)?;
    Ok(text)
}
