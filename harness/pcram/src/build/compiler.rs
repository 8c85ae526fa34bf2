//! The compiler that a build is made with, as far as it can change what comes out.

use std::env;

use anyhow::{Context, Result};
use xshell::{Shell, cmd};

/// Settings of the environment that configure and its compiler read.
const SETTINGS: [&str; 4] = ["CC", "CFLAGS", "CPPFLAGS", "LDFLAGS"];

/// The compiler's own name and version, its target, and the settings that are made.
pub(super) fn identity() -> Result<String> {
    let shell = Shell::new()?;
    let compiler = env::var("CC").unwrap_or_else(|_| "cc".into());
    // Through a shell, since $CC may have arguments.
    let ask = |question: &str| -> Result<String> {
        let line = format!("{compiler} {question}");
        let said = cmd!(shell, "sh -c {line}").quiet().ignore_stderr().read();
        let said = said.with_context(|| format!("asking the compiler `{compiler}` what it is"))?;
        Ok(said.lines().next().unwrap_or_default().to_owned())
    };
    let mut parts = vec![ask("--version")?, ask("-dumpmachine")?];
    for name in SETTINGS {
        if let Some(value) = env::var_os(name) {
            parts.push(format!("{name}={}", value.to_string_lossy()));
        }
    }
    Ok(parts.join("; "))
}
