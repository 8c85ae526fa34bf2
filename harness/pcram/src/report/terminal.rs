//! The run as a person reads it.

use crate::event::{Event, Judgement, Report, Row, Verdict};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

/// A step shows a bar once it has taken this long.
const PATIENCE: Duration = Duration::from_secs(2);

/// Lines to `out`, and a progress bar on standard error where that is a terminal.
pub struct Terminal<W: Write> {
    out: W,
    /// The bar of the step under way, once it has taken long enough to have one.
    bar: Option<ProgressBar>,
    since: Instant,
    judged: bool,
}

impl<W: Write> Terminal<W> {
    /// A report into `out`.
    pub fn new(out: W) -> Self {
        Terminal { out, bar: None, since: Instant::now(), judged: false }
    }

    fn say(&mut self, text: &str) {
        let out = &mut self.out;
        // A reader that went away (`| head`) is no reason to stop the run.
        let mut write = || {
            let _ = writeln!(out, "{text}");
            let _ = out.flush();
        };
        match &self.bar {
            Some(bar) => bar.suspend(write),
            None => write(),
        }
    }

    fn progress(&mut self, done: u64, total: u64, now: &str) {
        let bar = self.bar.get_or_insert_with(|| late_bar(self.since));
        bar.set_length(total);
        bar.set_position(done);
        bar.set_message(now.to_owned());
    }

    fn end_progress(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
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
        let count = match tried {
            0 if judged.not_tried.is_empty() => "no check speaks of it yet".to_owned(),
            _ => format!("{held} of {tried} checks"),
        };
        self.say(&format!("\n{promise} {title}: {word} ({count})"));
        for line in &judged.evidence {
            self.say(&format!("    {line}"));
        }
        for line in &judged.not_tried {
            self.say(&format!("    not tried: {line}"));
        }
    }
}

/// A bar on standard error that shows once a step that began at `since` has taken long enough;
/// indicatif draws none where that is no terminal.
fn late_bar(since: Instant) -> ProgressBar {
    let style = ProgressStyle::with_template("    [{bar:30}] {pos}/{len} {wide_msg}");
    let style = style.expect("the template is well-formed").progress_chars("=> ");
    let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
    bar.set_style(style);
    let later = bar.clone();
    thread::spawn(move || {
        thread::sleep(PATIENCE.saturating_sub(since.elapsed()));
        if !later.is_finished() {
            later.set_draw_target(ProgressDrawTarget::stderr());
            later.tick();
        }
    });
    bar
}

fn word(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Held => "held",
        Verdict::Failed => "FAILED",
        Verdict::Broken => "BROKEN",
        Verdict::Cannot => "cannot",
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
            Event::Progress { done, total, now, .. } => self.progress(*done, *total, now),
            Event::Note { text, .. } => self.say(&format!("    {text}")),
            Event::StepFinished { seconds, result, repeat, .. } => {
                self.end_progress();
                self.say(&format!("    {result} ({seconds:.1} s)"));
                if !repeat.is_empty() {
                    self.say(&format!("    alone: {repeat}"));
                }
            }
            Event::StepFailed { step, .. } => {
                self.end_progress();
                self.say(&format!("    {step} failed"));
            }
            Event::Row(row) => self.row(row),
            Event::Judged(judged) => {
                self.judged = true;
                self.judgement(judged);
            }
            Event::RunFinished { exit, meaning, seconds } => {
                self.end_progress();
                // A step has told its end; only promises and errors want a closing word.
                if !self.judged && *exit == 0 {
                    return;
                }
                self.say(&format!("\nexit {exit}: {meaning} ({seconds:.1} s)"));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Events, Outcome};
    use std::io;
    use std::sync::{Arc, Mutex};

    /// A writer that the test can read.
    #[derive(Clone, Default)]
    struct Shared(Arc<Mutex<Vec<u8>>>);

    impl Write for Shared {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn row(id: &str, verdict: Verdict, summary: &str) -> Row {
        Row {
            id: id.into(),
            promise: "P4".into(),
            title: String::new(),
            revision: "10.0".into(),
            machine: "pc, tcg, 64 MiB".into(),
            verdict,
            summary: summary.into(),
            evidence: Vec::new(),
            seconds: 1.25,
            folder: (verdict != Verdict::Held).then(|| "/runs/1/p4.b".into()),
            repeat: format!("pcram check 10.0 --row {id}"),
        }
    }

    fn judged(promise: &str, verdict: Verdict, evidence: &[&str], not_tried: &[&str]) -> Event {
        let texts = |from: &[&str]| from.iter().map(|&each| each.to_owned()).collect();
        Event::Judged(Judgement {
            promise: promise.into(),
            title: "Omission".into(),
            verdict,
            held: 1,
            tried: if verdict == Verdict::NotTried { 0 } else { 2 },
            evidence: texts(evidence),
            not_tried: texts(not_tried),
        })
    }

    #[test]
    fn a_run_reads_from_its_steps_to_its_promises() {
        let out = Shared::default();
        let events = Events::new(vec![Box::new(Terminal::new(out.clone()))]);
        let work = |step: &crate::event::Step| {
            step.progress(1, 2, "never shown: too soon, and no terminal");
            step.note("took the source package");
            Ok(((), Outcome::new("qemu 1:10.0").with("tree", "d7bb")))
        };
        events.step("fetch", "the source of QEMU 10.0", "pcram fetch 10.0", work).unwrap();
        let refused = events.step("apply", "a series", "", |_| anyhow::bail!("hunk 1"));
        refused.map(|((), _): ((), Outcome)| ()).unwrap_err();
        events.send(Event::Row(row("p4.a", Verdict::Held, "0 pages")));
        events.send(Event::Row(row("p4.b", Verdict::Failed, "1 page of pc.ram")));
        events.send(judged("P4", Verdict::Failed, &["p4.b: 1 page of pc.ram"], &["multifd: no"]));
        events.send(judged("P5", Verdict::NotTried, &[], &[]));
        let (exit, meaning) = (1, "a promise failed".into());
        events.send(Event::RunFinished { exit, meaning, seconds: 2.5 });

        let text = String::from_utf8(out.0.lock().unwrap().clone()).unwrap();
        // The only figure here that the machine decides on.
        let text = text.replace(" (0.0 s)", " (TIME)");
        insta::assert_snapshot!(text, @"
        fetch: the source of QEMU 10.0
            took the source package
            qemu 1:10.0 (TIME)
            alone: pcram fetch 10.0
        apply: a series
            apply failed
            held      p4.a                                 1.2 s
            FAILED    p4.b                                 1.2 s
                      1 page of pc.ram
                      left in /runs/1/p4.b
                      repeat: pcram check 10.0 --row p4.b

        P4 Omission: FAILED (1 of 2 checks)
            p4.b: 1 page of pc.ram
            not tried: multifd: no

        P5 Omission: not tried (no check speaks of it yet)

        exit 1: a promise failed (2.5 s)
        ");
    }
}
