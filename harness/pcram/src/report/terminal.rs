//! The run as a person reads it.

use super::word;
use crate::event::{Event, Judgement, Report, Row, Verdict};
use crate::posting::claims::Tried;
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

impl<W: Write> Terminal<W> {
    /// A claim in its words, what came of it, and how it is tried again.
    fn claim(&mut self, claim: &Tried) {
        self.say(&format!("\n{}: {}", claim.id, claim.came));
        self.say(&format!("    {:?}", claim.words));
        if !claim.said.is_empty() {
            self.say(&format!("    {}", claim.said));
        }
        for row in &claim.rows {
            self.say(&format!("    {:9} {}: {}", word(row.verdict), row.id, row.summary));
        }
        self.say(&format!("    alone: {}", claim.repeat));
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
            Event::Claimed(claim) => self.claim(claim),
            Event::RunFinished { exit, meaning, seconds, .. } => {
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
    use crate::failure::Exit;
    use crate::report::example;

    fn told(events: Vec<Event>) -> String {
        let mut terminal = Terminal::new(Vec::new());
        events.iter().for_each(|event| terminal.take(event));
        String::from_utf8(terminal.out).unwrap()
    }

    #[test]
    fn a_run_reads_from_its_steps_to_its_promises() {
        insta::assert_snapshot!(told(example::run()), @"
        fetch: the source of QEMU 10.0
            took the source package
            qemu 1:10.0 (1.5 s)
            alone: pcram fetch 10.0
        apply: a series
            apply failed
            held      p4.a                                 1.2 s
            FAILED    p4.b                                 1.2 s
                      1 page of pc.ram
                      left in /runs/1/p4.b
                      repeat: pcram check 10.0 --row p4.b
            BROKEN    p4.c                                 1.2 s
                      waited 20 s in vain for QEMU to connect its monitor
                      left in /runs/1/p4.c
                      repeat: pcram check 10.0 --row p4.c
            not tried p4.d                                 1.2 s
            cannot    p4.e                                 1.2 s

        P4 Omission: FAILED (1 of 3 checks)
            p4.b: 1 page of pc.ram
            not tried: multifd: no check yet

        P5 Omission: not tried (no check speaks of it yet)

        P6 Omission: not tried (0 of 0 checks)
            not tried: not asked for: p6.a
            not tried: Xen: no Xen here

        exit 1: a promise failed (2.5 s)
        ");
    }

    #[test]
    fn only_promises_and_bad_ends_have_a_closing_word() {
        let end = |exit: Exit| vec![example::finished(exit, None)];
        assert_eq!(told(end(Exit::AllHeld)), "");
        let bad = told(end(Exit::DidNotBuild));
        assert_eq!(bad, "\nexit 5: QEMU did not build (2.5 s)\n");
        let judged = example::judged("P1", Verdict::Held, &["p1.a: fine"], &[]);
        let good = told([vec![judged], end(Exit::AllHeld)].concat());
        assert!(good.ends_with("\n\nexit 0: all held (2.5 s)\n"), "{good}");
    }
}
