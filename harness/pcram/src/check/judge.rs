//! Promises, judged from the rows that speak of them.

use super::catalogue::Catalogue;
use crate::event::{Judgement, Row, Verdict};

/// Judges every promise of the catalogue. A promise holds only where a row was tried and every
/// tried row holds; checks without a row were not asked for, and are told as not tried.
pub fn judge(catalogue: &Catalogue, rows: &[Row]) -> Vec<Judgement> {
    let judged = catalogue.promises.iter().map(|promise| {
        let mine: Vec<&Row> = rows.iter().filter(|row| row.promise == promise.id).collect();
        let tried: Vec<&Row> =
            mine.iter().copied().filter(|row| row.verdict != Verdict::NotTried).collect();
        let held = tried.iter().filter(|row| row.verdict == Verdict::Held).count();
        Judgement {
            promise: promise.id.clone(),
            title: promise.title.clone(),
            verdict: verdict(&tried),
            held,
            tried: tried.len(),
            evidence: evidence(&tried),
            not_tried: not_tried(catalogue, &promise.id, &mine),
        }
    });
    judged.collect()
}

fn verdict(tried: &[&Row]) -> Verdict {
    let any = |verdict| tried.iter().any(|row| row.verdict == verdict);
    match () {
        () if any(Verdict::Failed) => Verdict::Failed,
        () if any(Verdict::Broken) => Verdict::Broken,
        () if !any(Verdict::Held) => Verdict::NotTried,
        () => Verdict::Held,
    }
}

fn evidence(tried: &[&Row]) -> Vec<String> {
    let fails = |row: &&&Row| matches!(row.verdict, Verdict::Failed | Verdict::Broken);
    let failing: Vec<_> = tried.iter().filter(fails).collect();
    let telling = if failing.is_empty() { tried.iter().collect() } else { failing };
    telling.into_iter().map(|row| format!("{}: {}", row.id, row.summary)).collect()
}

fn not_tried(catalogue: &Catalogue, promise: &str, rows: &[&Row]) -> Vec<String> {
    let checks = catalogue.checks.iter().filter(|check| check.promise == promise);
    let without_row = checks.filter(|check| !rows.iter().any(|row| row.id == check.id));
    let left_out = catalogue.untried.iter().filter(|each| each.promise == promise);
    let skipped = rows.iter().filter(|row| row.verdict == Verdict::NotTried);
    let mut all: Vec<_> = skipped.map(|row| format!("{}: {}", row.id, row.summary)).collect();
    let not_asked: Vec<_> = without_row.map(|check| check.id.as_str()).collect();
    match not_asked[..] {
        [] => {}
        [.., _, _, _, _, _] => all.push(format!("not asked for: {} checks", not_asked.len())),
        _ => all.push(format!("not asked for: {}", not_asked.join(", "))),
    }
    all.extend(left_out.map(|each| format!("{}: {}", each.what, each.why)));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    const CATALOGUE: &str = r#"
        layout = 1
        block = "pc.ram"
        ram-file = []
        board = { machine = "pc", accel = "tcg", ram-mib = 64 }
        promise = [{ id = "P1", title = "one" }, { id = "P2", title = "two" }]
        check = [
            { id = "p1.a", promise = "P1", title = "a", does = "prefilled" },
            { id = "p1.b", promise = "P1", title = "b", does = "prefilled" },
        ]
        untried = [{ promise = "P2", what = "Xen", why = "no Xen here" }]
    "#;

    fn row(id: &str, verdict: Verdict) -> Row {
        Row {
            id: id.into(),
            promise: "P1".into(),
            title: String::new(),
            revision: "10.0".into(),
            machine: String::new(),
            verdict,
            summary: format!("{verdict:?}"),
            evidence: Vec::new(),
            seconds: 0.0,
            folder: None,
            repeat: String::new(),
        }
    }

    fn judged(verdicts: [Verdict; 2]) -> Vec<Judgement> {
        let catalogue = Catalogue::parse(CATALOGUE).unwrap();
        judge(&catalogue, &[row("p1.a", verdicts[0]), row("p1.b", verdicts[1])])
    }

    #[test]
    fn one_row_that_does_not_hold_takes_the_promise_with_it() {
        use Verdict::{Broken, Failed, Held, NotTried};
        assert_eq!(judged([Held, Held])[0].verdict, Held);
        assert_eq!(judged([Held, Failed])[0].verdict, Failed);
        assert_eq!(judged([Broken, Failed])[0].verdict, Failed);
        assert_eq!(judged([Broken, Held])[0].verdict, Broken);
        assert_eq!(judged([Held, NotTried])[0].verdict, Held);
        assert_eq!(judged([NotTried, NotTried])[0].verdict, NotTried);
        assert_eq!(judged([Held, Failed])[0].evidence, ["p1.b: Failed"]);
    }

    #[test]
    fn what_was_not_tried_is_named() {
        let judged = judged([Verdict::Held, Verdict::NotTried]);
        assert_eq!(judged[0].not_tried, ["p1.b: NotTried"]);
        assert_eq!(judged[1].verdict, Verdict::NotTried);
        assert_eq!(judged[1].not_tried, ["Xen: no Xen here"]);
        let catalogue = Catalogue::parse(CATALOGUE).unwrap();
        assert_eq!(judge(&catalogue, &[])[0].not_tried, ["not asked for: p1.a, p1.b"]);
        let one = judge(&catalogue, &[row("p1.a", Verdict::Held)]);
        assert_eq!(one[0].not_tried, ["not asked for: p1.b"]);
    }

    #[test]
    fn each_promise_has_its_own_rows_and_many_checks_are_counted() {
        let check = |n: u32| {
            format!("{{ id = 'p2.{n}', promise = 'P2', title = 'c', does = 'prefilled' }},\n")
        };
        let more = |count| {
            let checks: String = (0..count).map(check).collect();
            let text = CATALOGUE.replace("check = [", &format!("check = [{checks}"));
            let catalogue = Catalogue::parse(&text).unwrap();
            judge(&catalogue, &[row("p1.a", Verdict::Held), row("p1.b", Verdict::Held)])
        };
        let judged = more(4);
        assert_eq!((judged[0].verdict, judged[0].held, judged[0].tried), (Verdict::Held, 2, 2));
        assert_eq!(judged[0].not_tried, Vec::<String>::new());
        assert_eq!((judged[1].verdict, judged[1].held), (Verdict::NotTried, 0));
        assert_eq!(judged[1].not_tried[0], "not asked for: p2.0, p2.1, p2.2, p2.3");
        assert_eq!(more(5)[1].not_tried[0], "not asked for: 5 checks");
    }
}
