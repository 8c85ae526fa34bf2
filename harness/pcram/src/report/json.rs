//! The run as JSON lines: one event per line, in order.

use crate::event::{Event, Report};
use crate::failure::Failure;
use anyhow::Result;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

/// Writes every event but progress to a file, each as one line of JSON, flushed at once so that a
/// run that is killed has told what it had found.
pub struct Json<W: Write> {
    out: W,
}

impl Json<BufWriter<File>> {
    /// Creates the file at `path`.
    ///
    /// # Errors
    /// A [`Failure`] where it cannot be created.
    pub fn create(path: &Path) -> Result<Self> {
        let file = File::create(path).map_err(|error| {
            let path = path.display();
            Failure::usage(format!("cannot create the JSON report {path}: {error}"))
        })?;
        Ok(Json { out: BufWriter::new(file) })
    }
}

impl<W: Write> Json<W> {
    /// Writes to any writer.
    pub fn new(out: W) -> Self {
        Json { out }
    }

    fn write(&mut self, event: &Event) -> std::io::Result<()> {
        serde_json::to_writer(&mut self.out, event)?;
        writeln!(self.out)?;
        self.out.flush()
    }
}

impl<W: Write + Send> Report for Json<W> {
    fn take(&mut self, event: &Event) {
        if matches!(event, Event::Progress { .. }) {
            return;
        }
        if let Err(error) = self.write(event) {
            eprintln!("warning: cannot write the JSON report: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_that_cannot_be_written_to_is_bad_usage() {
        let error = Json::create(Path::new("/no/such/folder/events")).map(drop).unwrap_err();
        assert_eq!(crate::failure::Exit::of(&error), crate::failure::Exit::BadUsage);
    }

    #[test]
    fn each_event_is_a_line_and_progress_is_none() {
        let mut json = Json::new(Vec::new());
        let step = "build".to_owned();
        json.take(&Event::Progress { step: step.clone(), done: 1, total: 2, now: "ram.c".into() });
        json.take(&Event::Note { step, text: "two\nlines".into() });
        let text = String::from_utf8(json.out).unwrap();
        assert_eq!(text, "{\"event\":\"note\",\"step\":\"build\",\"text\":\"two\\nlines\"}\n");
    }
}
