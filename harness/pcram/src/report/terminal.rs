//! The run as a person reads it.

use crate::event::{Event, Judgement, Report, Row, Verdict};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

/// A step shows a bar once it has taken this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines to `out`, and a progress bar on standard error where that is a terminal.
pub struct Terminal<W: Write> {
    out: W,
    bar: ProgressBar,
    since: Instant,
}

impl<W: Write> Terminal<W> {
    /// A report into `out`.
    pub fn new(out: W) -> Self {
        let target = if std::io::stderr().is_terminal() {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        };
        let bar = ProgressBar::with_draw_target(None, target);
        let style = ProgressStyle::with_template("    [{bar:30}] {pos}/{len} {wide_msg}");
        bar.set_style(style.expect("the template is well-formed").progress_chars("=> "));
        Terminal { out, bar, since: Instant::now() }
    }

    fn say(&mut self, text: &str) {
        let out = &mut self.out;
        // A reader that went away (`| head`) is no reason to stop the run.
        self.bar.suspend(|| {
            let _ = writeln!(out, "{text}");
            let _ = out.flush();
        });
    }

    fn row(&mut self, row: &Row) {
        let word = word(row.verdict);
        self.say(&format!("    {word:<9} {:<34} {:>5.1} s", row.id, row.seconds));
        if matches!(row.verdict, Verdict::Failed | Verdict::Broken) {
            self.say(&format!("              {}", row.summary));
            if let Some(folder) = &row.folder {
                self.say(&format!("              left in {}", folder.display()));
            }
            self.say(&format!("              repeat: {}", row.repeat));
        }
    }

    fn judgement(&mut self, judged: &Judgement) {
        let Judgement { promise, title, held, tried, .. } = judged;
        let word = word(judged.verdict);
        if *tried == 0 && judged.not_tried.is_empty() {
            self.say(&format!("\n{promise} {title}: {word} (no check speaks of it)"));
            return;
        }
        self.say(&format!("\n{promise} {title}: {word} ({held} of {tried} checks)"));
        for line in &judged.evidence {
            self.say(&format!("    {line}"));
        }
        for line in &judged.not_tried {
            self.say(&format!("    not tried: {line}"));
        }
    }
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::Failed => "FAILED",
        Verdict::Broken => "BROKEN",
        Verdict::NotTried => "not tried",
    }
}

impl<W: Write + Send> Report for Terminal<W> {
    fn take(&mut self, event: &Event) {
        match event {
            Event::RunStarted { .. } => {}
            Event::StepStarted { step, what } => {
                self.since = Instant::now();
                self.say(&format!("{step}: {what}"));
            }
            Event::Progress { done, total, now, .. } => {
                if self.since.elapsed() >= PATIENCE {
                    self.bar.set_length(*total);
                    self.bar.set_position(*done);
                    self.bar.set_message(now.clone());
                }
            }
            Event::Note { text, .. } => self.say(&format!("    {text}")),
            Event::StepFinished { seconds, result, repeat, .. } => {
                self.bar.reset();
                self.say(&format!("    {result} ({seconds:.1} s)"));
                if !repeat.is_empty() {
                    self.say(&format!("    alone: {repeat}"));
                }
            }
            Event::StepFailed { step, .. } => {
                self.bar.reset();
                self.say(&format!("    {step} failed"));
            }
            Event::Row(row) => self.row(row),
            Event::Judged(judged) => self.judgement(judged),
            Event::RunFinished { exit, meaning, seconds } => {
                self.bar.finish_and_clear();
                self.say(&format!("\nexit {exit}: {meaning} ({seconds:.1} s)"));
            }
        }
    }
}
