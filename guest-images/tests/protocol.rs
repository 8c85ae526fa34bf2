//! Commands and reports, and that the bare guest's ROM has the same ones.

use pcram_guests::BARE;
use pcram_guests::protocol::{Command, Report};
use pcram_guests::stamp::Span;
use proptest::prelude::*;

const A: u64 = 0x0123_4567_89ab_cdef;
const B: u64 = 0xfedc_ba98_7654_3210;

/// Every command, with the bytes that are sent for it.
fn commands() -> [(Command, &'static str); 17] {
    let span = Span { first: A, end: B, stride: 0x1000 };
    [
        (Command::Ping, "p"),
        (Command::Set { seed: A, generation: B }, "g0123456789abcdeffedcba9876543210"),
        (Command::Stamp, "s"),
        (Command::Find, "f"),
        (Command::Dirty, "d"),
        (Command::Count, "c"),
        (Command::Stop, "."),
        (Command::Poke { address: A, value: B }, "w0123456789abcdeffedcba9876543210"),
        (Command::Peek { address: A }, "r0123456789abcdef"),
        (Command::StampSpan(span), "S0123456789abcdeffedcba98765432100000000000001000"),
        (Command::FindSpan(span), "F0123456789abcdeffedcba98765432100000000000001000"),
        (Command::DirtySpan(span), "D0123456789abcdeffedcba98765432100000000000001000"),
        (Command::DirtyCachedSpan(span), "K0123456789abcdeffedcba98765432100000000000001000"),
        (Command::Run { address: A, runs: B }, "x0123456789abcdeffedcba9876543210"),
        (Command::Loop { address: A }, "l0123456789abcdef"),
        (Command::Out { port: 0xcf8, value: 1 << 31 }, "o0000000000000cf80000000080000000"),
        (Command::In { port: 0xcfc }, "i0000000000000cfc"),
    ]
}

/// A report of every kind, its numbers taken from `a` and `b`.
fn reports(a: u64, b: u64) -> Vec<Report> {
    vec![
        Report::Ready { below: a, above: b, hole: a..b },
        Report::Pong,
        Report::Set { seed: a, generation: b },
        Report::Stamped { generation: a, pages: b },
        Report::Swept { generation: a },
        Report::Stopped { generation: a },
        Report::Tick { count: a },
        Report::Counted { count: a },
        Report::Found { pages: a, matching: b, first: None },
        Report::Found { pages: b, matching: a, first: Some(a.min(u64::MAX - 1)) },
        Report::Poked { address: a, value: b },
        Report::Peeked { address: a, value: b },
        Report::Running { runs: a, value: b },
        Report::Ran { address: a, runs: b, value: a },
        Report::Sent { port: a as u16, value: b as u32 },
        Report::Received { port: a as u16, value: b as u32 },
        Report::Unmapped { address: a },
        Report::What { byte: a.to_le_bytes()[0] },
        Report::Failed { reason: "the CPU has no long mode".to_owned() },
    ]
}

fn rom_has(bytes: &[u8]) -> bool {
    BARE.windows(bytes.len()).any(|window| window == bytes)
}

#[test]
fn commands_are_a_letter_and_digits() {
    for (command, bytes) in commands() {
        assert_eq!(command.bytes(), bytes.as_bytes(), "{command:?}");
    }
}

#[test]
fn the_rom_compares_a_byte_with_the_letter_of_every_command() {
    const CMP_AL: u8 = 0x3c;
    const JE_NEAR: [u8; 2] = [0x0f, 0x84];
    const JE_SHORT: u8 = 0x74;
    for (command, bytes) in commands() {
        let letter = bytes.as_bytes()[0];
        let compares = rom_has(&[CMP_AL, letter, JE_NEAR[0], JE_NEAR[1]])
            || rom_has(&[CMP_AL, letter, JE_SHORT]);
        // What stops is any byte.
        assert_eq!(compares, command != Command::Stop, "{command:?}");
    }
}

#[test]
fn the_rom_has_the_words_of_every_report() {
    for report in reports(A, B) {
        let line = report.to_string();
        let mut rest = line.as_str();
        while let Some(at) = rest.find('=') {
            let (text, number) = rest.split_at(at + 1);
            assert!(rom_has(text.as_bytes()), "{text:?} of {line:?}");
            rest = &number[16..];
        }
        assert!(rest.is_empty() || rom_has(rest.as_bytes()), "{rest:?} of {line:?}");
    }
}

#[test]
fn lines_that_are_no_report_are_errors() {
    for line in [
        "",
        "fail",
        "hello",
        "pong ",
        "pong byte=0000000000000000",
        "swept",
        "swept generation=",
        "swept generation=000000000000000",
        "swept generation=00000000000000000",
        "swept generation=000000000000000A",
        "swept generation=+00000000000000a",
        "swept count=0000000000000000",
        "swept generation=0000000000000000 ",
        "swept generation=0000000000000000\n",
        "swept  generation=0000000000000000",
        "stamped pages=0000000000000000 generation=0000000000000000",
        "what byte=0000000000000100",
        "sent port=0000000000010000 value=0000000000000000",
        "received port=0000000000000000 value=0000000100000000",
    ] {
        let error = line.parse::<Report>().unwrap_err();
        assert_eq!(error.line, line);
    }
}

#[test]
fn an_unknown_line_is_shown_with_its_control_characters() {
    let error = "po\0ng".parse::<Report>().unwrap_err();
    assert_eq!(error.to_string(), r#"the bare guest wrote a line that is no report: "po\0ng""#);
}

proptest! {
    #[test]
    fn a_report_survives_its_line(a: u64, b: u64) {
        for report in reports(a, b) {
            prop_assert_eq!(report.to_string().parse(), Ok(report));
        }
    }

    #[test]
    fn any_line_is_parsed_without_a_panic(line in "(ready|found|what|fail)?[ a-z0-9=]{0,60}") {
        if let Ok(report) = line.parse::<Report>() {
            prop_assert_eq!(report.to_string(), line);
        }
    }
}
