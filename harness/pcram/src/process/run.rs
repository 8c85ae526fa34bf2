//! A command that is run to its end, within a limit, and told line by line.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use super::{Ending, Group};

/// Why a command did not run to its end.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// It could not be started, or its output not be read.
    #[error("cannot run `{program}`: {cause}")]
    Start {
        /// The program, as it was called.
        program: String,
        /// What the system said.
        cause: io::Error,
    },
    /// It was ended at its limit.
    #[error("`{program}` did not end within {} s", limit.as_secs())]
    TimedOut {
        /// The program, as it was called.
        program: String,
        /// The limit.
        limit: Duration,
    },
}

/// Runs `command` to its end, at most for `limit`, and hands each line of its output and error
/// output to `line` as it comes.
///
/// # Errors
/// [`RunError`]; a command that ran and failed is no error but a status.
pub fn run(
    command: &mut Command,
    ending: Ending,
    limit: Duration,
    mut line: impl FnMut(&str),
) -> Result<ExitStatus, RunError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let start = |cause| RunError::Start { program: program.clone(), cause };
    let late = || RunError::TimedOut { program: program.clone(), limit };
    let deadline = Instant::now() + limit;

    let (output, input) = io::pipe().map_err(start)?;
    let error_input = input.try_clone().map_err(start)?;
    command.stdin(Stdio::null()).stdout(input).stderr(error_input);
    let mut group = Group::spawn_ending(command, ending).map_err(start)?;
    // The command holds our ends of the pipe, which would keep it open for ever.
    command.stdout(Stdio::null()).stderr(Stdio::null());

    let (tell, lines) = channel();
    thread::spawn(move || {
        let mut output = BufReader::new(output);
        let mut bytes = Vec::new();
        while output.read_until(b'\n', &mut bytes).is_ok_and(|read| read > 0) {
            let text = String::from_utf8_lossy(bytes.trim_ascii_end()).into_owned();
            bytes.clear();
            if tell.send(text).is_err() {
                break;
            }
        }
    });
    loop {
        match lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
            Ok(text) => line(&text),
            Err(RecvTimeoutError::Disconnected) => break,
            Err(RecvTimeoutError::Timeout) => return Err(late()),
        }
    }
    let left = deadline.saturating_duration_since(Instant::now());
    group.wait_timeout(left).map_err(start)?.ok_or_else(late)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_run_to_its_end_line_by_line() {
        let mut lines = Vec::new();
        let mut command = Command::new("sh");
        command.args(["-c", "echo one; echo two >&2; printf three; exit 4"]);
        let status = run(&mut command, Ending::Kill, Duration::from_secs(60), |line| {
            lines.push(line.to_owned())
        });
        assert_eq!(status.unwrap().code(), Some(4));
        assert_eq!(lines, ["one", "two", "three"]);
    }

    #[test]
    fn a_command_is_ended_at_its_limit() {
        let limit = Duration::from_millis(50);
        let error = run(Command::new("sleep").arg("1000"), Ending::Kill, limit, |_| ());
        assert!(matches!(error, Err(RunError::TimedOut { .. })), "{error:?}");
        let error = run(&mut Command::new("/no/such/program"), Ending::Kill, limit, |_| ());
        assert!(matches!(error, Err(RunError::Start { .. })), "{error:?}");
    }
}
