//! `completions`: what a shell needs to complete this tool's command lines.

use super::print;
use clap::Command;
use clap_complete::Shell;
use std::process::ExitCode;

/// The options of `completions`.
#[derive(clap::Args)]
pub struct Args {
    /// The shell that is to read them
    #[arg(value_name = "SHELL", value_enum)]
    shell: Shell,
}

/// Runs `completions`; `tool` is the whole command line interface.
pub fn run(mut tool: Command, Args { shell }: Args) -> ExitCode {
    let name = tool.get_name().to_owned();
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut tool, name, &mut text);
    print(&text)
}
