//! What `pcram verify --thorough` made of a line: its end, and the rows that were not tried.

use crate::skips::Skips;
use anyhow::{Context, Result};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// One run, as its JSON events tell it.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Verified {
    /// Rows that were tried and hold.
    pub held: usize,
    /// Rows that were tried and do not, or could not be tried to their end.
    pub failed: Vec<String>,
    /// Rows that were not tried, or that the line cannot keep: `LINE/ROW: reason`.
    pub skipped: Skips,
}

impl Verified {
    /// Reads the events in the file at `path`, of a run on `line`.
    pub fn read(line: &str, path: &Path) -> Result<Verified> {
        let text =
            fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
        Verified::parse(line, &text)
    }

    fn parse(line: &str, text: &str) -> Result<Verified> {
        let mut verified = Verified::default();
        for event in text.lines() {
            let event: Value = serde_json::from_str(event).context("an event is not JSON")?;
            if event["event"] != "row" {
                continue;
            }
            let word = |key: &str| event[key].as_str().unwrap_or_default().to_owned();
            let name = format!("{line}/{}", word("id"));
            match &*word("verdict") {
                "held" => verified.held += 1,
                "not-tried" | "cannot" => verified.skipped.add(name, word("summary")),
                _ => verified.failed.push(format!("{name}: {}", word("summary"))),
            }
        }
        Ok(verified)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_told_apart_and_whatever_is_unknown_has_failed() {
        let row = |id: &str, verdict: &str| {
            format!(r#"{{"event":"row","id":"{id}","verdict":"{verdict}","summary":"so"}}"#)
        };
        let rows =
            [("a", "held"), ("b", "not-tried"), ("c", "failed"), ("d", "new"), ("e", "cannot")];
        let text = rows.map(|(id, verdict)| row(id, verdict)).join("\n");
        let verified = Verified::parse("9.9", &text).unwrap();
        assert_eq!(verified.held, 1);
        assert_eq!(verified.failed, ["9.9/c: so", "9.9/d: so"]);
        let skipped: Vec<_> = verified.skipped.iter().map(|skip| skip.to_string()).collect();
        assert_eq!(skipped, ["9.9/b: so", "9.9/e: so"]);
        assert!(Verified::parse("9.9", "no JSON").is_err());
    }
}
