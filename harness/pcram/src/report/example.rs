//! A run with one event of each kind, as the reports' tests tell it.

use crate::event::{Event, Figure, Judgement, Row, SCHEMA, Verdict};
use crate::failure::Exit;

/// A run that fetches, does not apply, checks all the same, and fails.
pub fn run() -> Vec<Event> {
    vec![
        started(),
        step_started("fetch", "the source of QEMU 10.0"),
        Event::Progress { step: "fetch".into(), done: 1, total: 2, now: "never shown".into() },
        Event::Note { step: "fetch".into(), text: "took the source package".into() },
        Event::StepFinished {
            step: "fetch".into(),
            seconds: 1.5,
            result: "qemu 1:10.0".into(),
            evidence: vec![Figure::new("tree", "d7bb")],
            repeat: "pcram fetch 10.0".into(),
        },
        step_started("apply", "a series"),
        Event::StepFailed { step: "apply".into(), error: "hunk 1 of 2:\n  <a & b>".into() },
        row("p4.a", Verdict::Held, "pc.ram pages in the stream: 0 (stock: 16384)"),
        row("p4.b", Verdict::Failed, "1 page of pc.ram"),
        row("p4.c", Verdict::Broken, "waited 20 s in vain for QEMU to connect its monitor"),
        row("p4.d", Verdict::NotTried, "there is no qemu-img"),
        row("p4.e", Verdict::Cannot, "ram_save_setup: it sends all; shown: 3 pages of pc.ram"),
        judged("P4", Verdict::Failed, &["p4.b: 1 page of pc.ram"], &["multifd: no check yet"]),
        judged("P5", Verdict::NotTried, &[], &[]),
        judged("P6", Verdict::NotTried, &[], &["not asked for: p6.a", "Xen: no Xen here"]),
        finished(Exit::PromiseFailed, None),
    ]
}

/// The first event.
pub fn started() -> Event {
    Event::RunStarted {
        schema: SCHEMA,
        run: "1-2".into(),
        tool: "0.1.0".into(),
        command: vec!["verify".into(), "10.0".into()],
        revision: "10.0".into(),
        host: "Linux 6.1 x86_64, 2 processors".into(),
    }
}

/// A step that begins.
pub fn step_started(step: &str, what: &str) -> Event {
    Event::StepStarted { step: step.into(), what: what.into() }
}

/// A row of P4.
pub fn row(id: &str, verdict: Verdict, summary: &str) -> Event {
    let left = matches!(verdict, Verdict::Failed | Verdict::Broken);
    Event::Row(Row {
        id: id.into(),
        promise: "P4".into(),
        title: "no page".into(),
        revision: "10.0".into(),
        machine: "pc, tcg, 64 MiB".into(),
        verdict,
        summary: summary.into(),
        evidence: vec![Figure::new("pc.ram pages, patched", 0)],
        seconds: 1.25,
        folder: left.then(|| format!("/runs/1/{id}").into()),
        repeat: format!("pcram check 10.0 --row {id}"),
    })
}

/// A promise that was judged; two checks of it were tried, if any.
pub fn judged(promise: &str, verdict: Verdict, evidence: &[&str], not_tried: &[&str]) -> Event {
    let texts = |from: &[&str]| from.iter().map(|&each| each.to_owned()).collect();
    let tried = if verdict == Verdict::NotTried { 0 } else { 3 };
    Event::Judged(Judgement {
        promise: promise.into(),
        title: "Omission".into(),
        verdict,
        held: tried.min(1),
        tried,
        evidence: texts(evidence),
        not_tried: texts(not_tried),
    })
}

/// The last event.
pub fn finished(exit: Exit, error: Option<&str>) -> Event {
    Event::RunFinished {
        exit: exit.code(),
        meaning: exit.meaning().into(),
        error: error.map(str::to_owned),
        seconds: 2.5,
    }
}
