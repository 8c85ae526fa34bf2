//! What was seen of a destination that was to refuse, and what it means.

use crate::check::Finding;
use crate::check::ram_file::Census;
use crate::machine::binary::Ended;
use crate::machine::migration::End;

/// What was seen of a destination that was to refuse.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Attempt {
    /// How its stream came to it, where it came as one.
    pub by: Option<String>,
    /// How QEMU ended; `None` where it runs.
    pub ended: Option<String>,
    /// The run state of a QEMU that runs.
    pub status: Option<String>,
    /// What the guest reported there, where it was to be silent.
    pub reports: Vec<String>,
    /// What QEMU said.
    pub said: String,
    /// What is in its RAM file, where it has one.
    pub file: Option<Census>,
    /// The source afterwards, where there still is one.
    pub source: Option<Afterwards>,
}

impl Attempt {
    /// Of a QEMU that was to end by itself. One that did not runs on; one that stayed until it was
    /// told to quit has said in what state (`info status`).
    pub fn of(ended: Ended, reports: Vec<String>) -> Attempt {
        let told = ended.stdout.lines().find_map(|line| line.split_once("VM status: "));
        let told = told.map(|(_, status)| status.trim().to_owned());
        let ran_on = ended.status.is_none().then(|| "running".to_owned());
        Attempt {
            ended: ended.status.map(|status| status.to_string()),
            status: told.or(ran_on),
            reports,
            said: ended.stderr,
            ..Attempt::default()
        }
    }
}

/// A source after its guest was refused elsewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Afterwards {
    /// How its migration ended.
    pub migration: End,
    /// Its run state then.
    pub status: String,
    /// Whether it was to hear of the refusal, and to let its guest run on by itself.
    pub hears: bool,
    /// How many pages its guest found as it had stamped them, of how many.
    pub found: (u64, u64),
}

/// Judges a destination that was to refuse, and to say `message`, where it is one of ours.
pub(super) fn judge(message: Option<&str>, attempt: &Attempt) -> Finding {
    let Attempt { by, ended, status, reports, said, file, source } = attempt;
    let mut wrong = Vec::new();
    match status.as_deref() {
        Some("inmigrate") => {
            wrong.push("the destination did not refuse, and waits for more".into())
        }
        Some("running") => wrong.push("the guest ran at the destination".into()),
        _ => {}
    }
    if !reports.is_empty() {
        wrong.push(format!("the guest spoke at the destination, first: {}", reports[0]));
    }
    let reason = reason(said, message);
    match (message, &reason) {
        (Some(message), None) => wrong.push(format!("it does not say {message:?}, but: {said}")),
        (None, None) => wrong.push("the destination gives no reason".into()),
        _ => {}
    }
    if let Some(Census { pages, strangers, .. }) = file
        && !strangers.is_empty()
    {
        let changed = strangers.len();
        wrong.push(format!("{changed} of {pages} pages of the destination's file have changed"));
    }
    if let Some(Afterwards { migration, status, hears, found: (matching, pages) }) = source {
        if *hears && (*migration != End::Failed || status != "running") {
            wrong.push(format!("the source took it for {migration}, and its guest was {status}"));
        }
        if matching != pages || *pages == 0 {
            wrong.push(format!("at the source the guest then found {matching} of {pages} pages"));
        }
    }
    let kept = file.as_ref().map_or(String::new(), |census| {
        format!("; {} pages of its file as they were", census.pages)
    });
    let went_on =
        source.as_ref().map_or(String::new(), |Afterwards { migration, found, .. }| {
            format!(
                "; at the source, migration {migration}, it went on and found all {} pages",
                found.1
            )
        });
    let reason = reason.unwrap_or_default();
    let summary = format!("refused: `{reason}`; the guest did not run there{kept}{went_on}");
    let state = status.as_ref().or(ended.as_ref()).map_or("unknown", String::as_str);
    let finding = Finding::new(wrong, summary);
    let finding = match by {
        Some(by) => finding.with("its stream came by", by),
        None => finding,
    };
    let finding = finding
        .with("the destination", state)
        .with("what it said", said.trim())
        .with("reports of the guest there", reports.len());
    match source {
        Some(Afterwards { migration, status, found: (matching, pages), .. }) => finding
            .with("the source's migration", migration)
            .with("the source's state", status)
            .with("pages found at the source", format!("{matching} of {pages}")),
        None => finding,
    }
}

/// The line that gives the reason: the one with `message`, or else the first.
fn reason<'a>(said: &'a str, message: Option<&str>) -> Option<&'a str> {
    // A QEMU without its firmware files misses one at every start.
    let telling = |line: &&str| !line.is_empty() && !line.contains("kvmvapic.bin");
    let mut lines = said.lines().map(str::trim).filter(telling);
    let line = match message {
        Some(message) => lines.find(|line| line.contains(message))?,
        None => lines.next()?,
    };
    Some(line.split_once("qemu-system-x86_64: ").map_or(line, |(_, rest)| rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Verdict;
    use std::os::unix::process::ExitStatusExt;
    use std::process::ExitStatus;

    const REASON: &str = "qemu-system-x86_64: The stream has no pages of RAM block 'pc.ram'";

    fn refused() -> Attempt {
        Attempt {
            ended: Some("exit status: 1".into()),
            said: format!("{REASON}\nqemu-system-x86_64: load of migration failed\n"),
            file: Some(Census { pages: 4, of_generation: vec![4], strangers: vec![] }),
            source: Some(Afterwards {
                migration: End::Failed,
                status: "running".into(),
                hears: true,
                found: (4, 4),
            }),
            ..Attempt::default()
        }
    }

    fn judged(damage: impl Fn(&mut Attempt)) -> Finding {
        let mut attempt = refused();
        damage(&mut attempt);
        judge(Some("has no pages"), &attempt)
    }

    #[test]
    fn a_qemu_that_did_not_end_runs_and_its_guest_may_have_spoken() {
        let ended = |status: Option<i32>| {
            let (stdout, stderr) = (String::new(), REASON.to_owned());
            Ended { status: status.map(ExitStatus::from_raw), stdout, stderr }
        };
        let stayed = |status: &str| {
            let stdout = format!("(qemu) info status\nVM status: {status}\r\n(qemu) quit\n");
            judge(None, &Attempt::of(Ended { stdout, ..ended(Some(0)) }, Vec::new()))
        };
        let stopped = stayed("paused");
        assert_eq!(stopped.verdict, Verdict::Held);
        assert_eq!(stopped.evidence[0].to_string(), "the destination: paused");
        assert_eq!(stayed("running").summary, "the guest ran at the destination");
        let refused = Attempt::of(ended(Some(0x100)), Vec::new());
        let held = judge(None, &refused);
        assert_eq!(held.verdict, Verdict::Held);
        assert_eq!(held.evidence[0].to_string(), "the destination: exit status: 1");
        let ran = judge(None, &Attempt::of(ended(None), Vec::new()));
        assert_eq!(ran.summary, "the guest ran at the destination");
        let spoke = judge(None, &Attempt::of(ended(Some(0x100)), vec!["tick".to_owned()]));
        assert_eq!(spoke.summary, "the guest spoke at the destination, first: tick");
    }

    #[test]
    fn a_refusal_is_told_with_its_reason() {
        let finding = judged(|_| ());
        assert_eq!(finding.verdict, Verdict::Held);
        assert_eq!(
            finding.summary,
            "refused: `The stream has no pages of RAM block 'pc.ram'`; the guest did not run there; \
             4 pages of its file as they were; \
             at the source, migration failed, it went on and found all 4 pages"
        );
        assert_eq!(judge(None, &refused()).verdict, Verdict::Held, "stock says what it likes");
    }

    #[test]
    fn a_guest_that_ran_spoke_or_was_lost_fails() {
        let running = judged(|it| (it.ended, it.status) = (None, Some("running".into())));
        assert_eq!(running.summary, "the guest ran at the destination");
        let waits = judged(|it| (it.ended, it.status) = (None, Some("inmigrate".into())));
        assert!(waits.summary.starts_with("the destination did not refuse"));
        let spoke = judged(|it| it.reports = vec!["tick count=0".into()]);
        assert!(spoke.summary.ends_with("first: tick count=0"));
        let lost = judged(|it| it.source.as_mut().unwrap().found = (3, 4));
        assert!(lost.summary.ends_with("the guest then found 3 of 4 pages"));
        let unheard = judged(|it| it.source.as_mut().unwrap().migration = End::Completed);
        assert_eq!(unheard.summary, "the source took it for completed, and its guest was running");
        let stopped = judged(|it| (it.ended, it.status) = (None, Some("restore-vm".into())));
        assert_eq!(stopped.verdict, Verdict::Held, "it is stopped, and lives on");
    }

    #[test]
    fn another_reason_none_or_a_changed_page_fails() {
        let other = judged(|it| it.said = "qemu-system-x86_64: load of migration failed".into());
        assert_eq!(other.verdict, Verdict::Failed);
        let silent = Attempt { said: "rom: file kvmvapic.bin: error\n".into(), ..refused() };
        assert_eq!(judge(None, &silent).summary, "the destination gives no reason");
        let changed = judged(|it| {
            it.file = Some(Census { pages: 4, of_generation: vec![3], strangers: vec![0x1000] });
        });
        assert_eq!(changed.summary, "1 of 4 pages of the destination's file have changed");
    }
}
