//! Builds the bare guest's ROM with the system's assembler and linker, and the Linux guest's init
//! with the compiler that builds this crate.

use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::{env, io};

fn main() -> ExitCode {
    for inputs in ["bare", "linux-init", "src"] {
        println!("cargo::rerun-if-changed={inputs}");
    }
    match build() {
        Ok(()) => ExitCode::SUCCESS,
        Err(message) => {
            for line in message.lines() {
                println!("cargo::error={line}");
            }
            ExitCode::FAILURE
        }
    }
}

fn build() -> Result<(), String> {
    let out = PathBuf::from(env::var_os("OUT_DIR").ok_or("OUT_DIR is unset: run this by cargo")?);
    let object = out.join("bare.o");
    let rom = out.join("bare.bin");

    let mut assemble = Command::new("cc");
    assemble.args(["-c", "-x", "assembler-with-cpp", "bare/bare.S", "-o"]).arg(&object);
    run(assemble, "gcc")?;

    let mut link = Command::new("ld");
    link.args(["-m", "elf_x86_64", "-static", "--oformat", "binary", "-T", "bare/bare.ld", "-o"]);
    link.arg(&rom).arg(&object);
    run(link, "binutils")?;

    let mut init = Command::new(env::var_os("RUSTC").ok_or("RUSTC is unset: run this by cargo")?);
    init.args(["--edition=2024", "--crate-name=linux_init", "linux-init/main.rs"]);
    // It runs where there is no library, and says with its last line why it could not go on.
    init.args([
        "-Ctarget-feature=+crt-static",
        "-Cpanic=abort",
        "-Copt-level=2",
        "-Cstrip=symbols",
    ]);
    init.arg("-o").arg(out.join("linux-init"));
    run(init, "libc6-dev")
}

/// Runs a program that Debian has in `package`; what it says is passed on only if it fails.
fn run(mut command: Command, package: &str) -> Result<(), String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            format!("`{program}` is not installed: install the package `{package}`")
        }
        _ => format!("failed to run `{program}`: {error}"),
    })?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(format!("`{program}` failed on a guest ({}):\n{said}", output.status))
}
