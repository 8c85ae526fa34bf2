//! The run as JUnit XML, which CI systems show as a list of tests.
//!
//! A suite for the steps, and one for each promise; a case for each step and each row. The file is
//! written anew, whole, after every event that adds to it: until the last event it says that the
//! run did not come to its end, so that a run that is killed is not taken for a short good one.

use super::word;
use crate::event::{Event, Figure, Judgement, Report, Row, Verdict};
use crate::failure::Failure;
use anyhow::Result;
use quick_junit::{NonSuccessKind, Property, Report as Document, TestCase, TestCaseStatus};
use quick_junit::{TestSuite, XmlString};
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The name of the suite that holds the steps, and of the document.
const TOOL: &str = "pcram";

/// Writes the report to a file.
pub struct Junit {
    path: PathBuf,
    run: Told,
}

impl Junit {
    /// A report in the file at `path`, which is replaced.
    ///
    /// # Errors
    /// A [`Failure`] where it cannot be written, or is something else than a regular file.
    pub fn create(path: &Path) -> Result<Junit> {
        let cannot = |why: String| {
            Failure::usage(format!("cannot write the JUnit report {}: {why}", path.display()))
        };
        if path.exists() && !path.is_file() {
            return Err(cannot("it is there, and no regular file".into()).into());
        }
        let junit = Junit { path: path.to_owned(), run: Told::default() };
        junit.write().map_err(|error| cannot(error.to_string()))?;
        Ok(junit)
    }

    fn write(&self) -> io::Result<()> {
        // A link stays one: what it leads to is replaced.
        let path = fs::canonicalize(&self.path).unwrap_or(self.path.clone());
        let folder = path.parent().filter(|folder| *folder != Path::new(""));
        // Whoever may read what the user writes may read this too: the user's umask decides.
        let mut file = tempfile::Builder::new()
            .prefix(".pcram-junit-")
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder.unwrap_or(Path::new(".")))?;
        self.run.document().serialize(&mut file).map_err(io::Error::other)?;
        file.persist(&path)?;
        Ok(())
    }
}

impl Report for Junit {
    fn take(&mut self, event: &Event) {
        if self.run.take(event)
            && let Err(error) = self.write()
        {
            eprintln!("warning: cannot write the JUnit report: {error}");
        }
    }
}

/// What was told of a run so far.
#[derive(Default)]
struct Told {
    properties: Vec<Property>,
    steps: Vec<TestCase>,
    /// What the step under way does, by the step's name.
    under_way: Option<(String, String)>,
    /// By promise, in the order in which they were first spoken of.
    promises: Vec<(String, TestSuite)>,
    end: Option<End>,
}

struct End {
    exit: u8,
    why: String,
    time: Duration,
}

impl Told {
    /// Takes an event, and says whether it adds to the report.
    fn take(&mut self, event: &Event) -> bool {
        match event {
            Event::RunStarted { tool, command, revision, host, .. } => {
                let command = command.join(" ");
                let all = [("version", tool), ("command", &command), ("host", host)];
                self.properties = all.map(|(name, value)| property(name, value)).into();
                if !revision.is_empty() {
                    self.properties.push(property("revision", revision));
                }
            }
            Event::StepStarted { step, what } => {
                self.under_way = Some((step.clone(), what.clone()));
            }
            Event::StepFinished { step, seconds, result, evidence, repeat } => {
                let mut case = self.step(step, TestCaseStatus::success());
                case.set_time(duration(*seconds)).set_system_out(result.as_str());
                case.add_properties(evidence.iter().map(figure));
                if !repeat.is_empty() {
                    case.add_property(property("repeat", repeat));
                }
                self.steps.push(case);
            }
            Event::StepFailed { step, error } => {
                let case = self.step(step, error_status("step", error));
                self.steps.push(case);
            }
            Event::Row(row) => {
                self.suite(&row.promise).add_test_case(row_case(row));
            }
            Event::Judged(judged) => judge(self.suite(&judged.promise), judged),
            Event::RunFinished { exit, meaning, error, seconds } => {
                let why = error.as_ref().unwrap_or(meaning).clone();
                self.end = Some(End { exit: *exit, why, time: duration(*seconds) });
            }
            // Its rows are told already.
            Event::Claimed(_) | Event::Progress { .. } | Event::Note { .. } => return false,
        }
        true
    }

    /// A case for the step called `name`, which is over.
    fn step(&mut self, name: &str, status: TestCaseStatus) -> TestCase {
        let mut case = TestCase::new(name, status);
        case.set_classname(TOOL);
        if let Some((_, what)) = self.under_way.take_if(|(step, _)| step == name) {
            case.add_property(property("what", what));
        }
        case
    }

    fn suite(&mut self, promise: &str) -> &mut TestSuite {
        let at = self.promises.iter().position(|(name, _)| name == promise);
        let at = at.unwrap_or_else(|| {
            self.promises.push((promise.to_owned(), TestSuite::new(promise)));
            self.promises.len() - 1
        });
        &mut self.promises[at].1
    }

    fn document(&self) -> Document {
        let mut steps = TestSuite::new(TOOL);
        steps.add_properties(self.properties.iter().cloned());
        steps.add_test_cases(self.steps.iter().cloned());
        let suites = self.promises.iter().map(|(_, suite)| suite.clone());
        let suites: Vec<_> = suites.collect();
        let is_bad = |suite: &TestSuite| suite.failures + suite.errors > 0;
        let told = is_bad(&steps) || suites.iter().any(is_bad);
        steps.add_test_cases(self.own_case(told));

        let mut document = Document::new(TOOL);
        if let Some(End { time, .. }) = &self.end {
            document.set_time(*time);
        }
        document.add_test_suite(steps);
        document.add_test_suites(suites);
        document
    }

    /// The case of the run itself, where it did not end, or ended badly for a reason that no
    /// other case tells.
    fn own_case(&self, told: bool) -> Option<TestCase> {
        let status = match (&self.end, &self.under_way) {
            (Some(End { exit: 0, .. }), _) => return None,
            (Some(_), _) if told => return None,
            (Some(End { exit, why, .. }), _) => error_status(&format!("exit {exit}"), why),
            (None, Some((step, what))) => {
                let why = format!("the run did not come to its end; under way was {step}: {what}");
                error_status("unfinished", &why)
            }
            (None, None) => error_status("unfinished", "the run did not come to its end"),
        };
        let mut case = TestCase::new("run", status);
        case.set_classname(TOOL);
        Some(case)
    }
}

fn row_case(row: &Row) -> TestCase {
    let mut status = match row.verdict {
        Verdict::Held => TestCaseStatus::success(),
        Verdict::Failed => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Broken => TestCaseStatus::non_success(NonSuccessKind::Error),
        Verdict::Cannot | Verdict::NotTried => TestCaseStatus::skipped(),
    };
    let mut text = row.summary.clone();
    if let Some(folder) = &row.folder {
        text += &format!("\nleft in {}", folder.display());
    }
    text += &format!("\nrepeat: {}", row.repeat);
    let output = (row.verdict == Verdict::Held).then(|| text.clone());
    status.set_type(word(row.verdict)).set_message(row.summary.as_str()).set_description(text);
    let mut case = TestCase::new(row.id.as_str(), status);
    case.set_classname(row.promise.as_str()).set_time(duration(row.seconds));
    case.system_out = output.map(XmlString::new);
    for (name, value) in
        [("title", &row.title), ("revision", &row.revision), ("machine", &row.machine)]
    {
        if !value.is_empty() {
            case.add_property(property(name, value));
        }
    }
    case.add_properties(row.evidence.iter().map(figure));
    case
}

/// Completes a promise's suite with what was judged. What has no row is a case that was skipped,
/// so that nobody takes the list for all there is.
fn judge(suite: &mut TestSuite, judged: &Judgement) {
    let Judgement { promise, title, verdict, held, tried, not_tried, .. } = judged;
    suite.name = XmlString::new(format!("{promise} {title}"));
    suite
        .add_property(property("verdict", format!("{}: {held} of {tried} checks", word(*verdict))));
    if !not_tried.is_empty() {
        suite.set_system_out(format!("not tried:\n{}", not_tried.join("\n")));
    }
    if suite.test_cases.is_empty() {
        let why = match not_tried[..] {
            [] => "no check speaks of it yet".to_owned(),
            _ => not_tried.join("; "),
        };
        let mut status = TestCaseStatus::skipped();
        status.set_message(why);
        let mut case = TestCase::new(promise.as_str(), status);
        case.set_classname(promise.as_str());
        suite.add_test_case(case);
    }
}

/// An error whose first line is its message, and all of it its text.
fn error_status(kind: &str, error: &str) -> TestCaseStatus {
    let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
    let message = error.lines().next().unwrap_or_default();
    status.set_type(kind).set_message(message).set_description(error);
    status
}

fn figure(Figure { name, value }: &Figure) -> Property {
    property(name, value)
}

fn property(name: &str, value: impl AsRef<str>) -> Property {
    Property::new(name, value.as_ref())
}

/// Wall time from an event, which is never negative.
fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests;
