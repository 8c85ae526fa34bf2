//! Nothing can hide behind the RAM section where a VM description says what is there.

use pcram_stream::{DeviceState, Place, StreamError, Summary};
use serde_json::{Value, json};

use crate::build::*;

/// A stream whose RAM section has ended.
fn ended(start: Stream) -> Stream {
    start.start_ram().blocks(&[("pc.ram", 1)]).close().end_ram().close()
}

fn state_of(stream: &[u8]) -> DeviceState {
    Summary::read(stream).unwrap().device_state
}

/// Offset, id, name and length of each section.
fn sections_of(stream: &[u8]) -> Vec<(usize, u32, String, u64)> {
    match state_of(stream) {
        DeviceState::Examined { sections, .. } => sections
            .into_iter()
            .map(|it| (it.offset.0 as usize, it.header.id, it.header.idstr, it.length))
            .collect(),
        unexamined => panic!("{unexamined:?}"),
    }
}

/// The place of a stream's error, what was expected there, and what was found.
fn error_of(stream: &[u8]) -> (usize, String) {
    let error = Summary::read(stream).unwrap_err();
    let Place::Stream(offset) = error.place() else { panic!("{error}") };
    match error {
        StreamError::Malformed { expected, found, .. } => {
            (offset as usize, format!("{expected} | {found}"))
        }
        other => (offset as usize, other.to_string()),
    }
}

#[test]
fn sections_are_told_apart() {
    let ram = ended(Stream::v10_0());
    let first = ram.clone().device(5, "timer");
    let stream = first.clone().device(9, "0000:00:02.0/vga").finish();
    assert_eq!(
        sections_of(&stream),
        [
            (ram.bytes.len(), 5, "timer".into(), 28),
            (first.bytes.len(), 9, "0000:00:02.0/vga".into(), 39),
        ]
    );
}

/// 2.3 has a VM description, but no footers yet.
#[test]
fn sections_without_footers_are_told_apart() {
    let ram = ended(Stream::v10_0().without_footers());
    let stream = ram.clone().device(5, "timer").device(6, "timer2").finish();
    let second = ram.bytes.len() + 19 + 28;
    assert_eq!(
        sections_of(&stream),
        [(ram.bytes.len(), 5, "timer".into(), 28), (second, 6, "timer2".into(), 29)]
    );
}

#[test]
fn the_description_is_kept_as_it_is() {
    let description = json!({"page_size": 4096, "devices": [], "more": "\u{e9}"});
    match state_of(&ended(Stream::v10_0()).finish_with(&description)) {
        DeviceState::Examined { description: text, sections } => {
            assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), description);
            assert_eq!(sections, []);
        }
        unexamined => panic!("{unexamined:?}"),
    }
}

/// One field without a version, as `vmstate_save_old_style` describes it; subsections nest.
#[test]
fn descriptions_of_other_shapes() {
    let ram = ended(Stream::v10_0());
    let stream = ram
        .clone()
        .section(4, 5, "old", 7, 9)
        .raw(b"12345")
        .footer(5)
        .section(4, 6, "nested", 0, 2)
        .subsection("nested/a", 4)
        .raw(b"1")
        .subsection("nested/a/b", 5)
        .subsection("nested/c", 6)
        .raw(b"333")
        .footer(6);
    let stream = stream.finish_with(&json!({"page_size": 4096, "devices": [
        {"name": "old", "instance_id": 7, "size": 5,
         "fields": [{"name": "data", "size": 5, "type": "buffer"}]},
        {"name": "nested", "instance_id": 0, "vmsd_name": "nested", "version": 2, "fields": [],
         "subsections": [
            {"vmsd_name": "nested/a", "version": 4, "fields": [{"name": "x", "size": 1}],
             "subsections": [{"vmsd_name": "nested/a/b", "version": 5, "fields": []}]},
            {"vmsd_name": "nested/c", "version": 6,
             // A list's elements are written into one object, over and over.
             "fields": [{"name": "q", "fields": 1, "struct": {"fields": []}, "size": 3}]}]},
    ]}));
    let lengths: Vec<_> = sections_of(&stream).into_iter().map(|it| it.3).collect();
    assert_eq!(lengths, [5, 15 + 16 + 17]);
}

/// A part of the RAM section between two devices, or in one, makes the walk stumble.
#[test]
fn a_hidden_part_of_ram() {
    let hide = |stream: Stream| stream.part_ram().page("pc.ram", 0, FLAG_ZERO).u8(0).close();
    let between = ended(Stream::v10_0()).device(5, "timer");
    let at = between.bytes.len();
    let between = hide(between).device(6, "rtc").finish();
    assert_eq!(error_of(&between), (at, "the section of rtc, instance 0 | type 0x02".into()));

    let last = ended(Stream::v10_0()).device(5, "timer");
    let at = last.bytes.len();
    assert_eq!(
        error_of(&hide(last).finish()),
        (at, "the end of the described sections | type 0x02".into())
    );

    let after_eof = ended(Stream::v10_0()).device(5, "timer").u8(0);
    let at = after_eof.bytes.len();
    assert_eq!(
        error_of(&hide(after_eof).finish()),
        (at, "the VM description | more of the device state".into())
    );
}

#[test]
fn a_section_that_the_description_has_otherwise() {
    let described = |name: &str, instance: u32, version: u32| {
        json!({"page_size": 4096, "devices": [
            {"name": name, "instance_id": instance, "version": version, "fields": []},
        ]})
    };
    let ram = ended(Stream::v10_0());
    let at = ram.bytes.len();
    let stream = ram.clone().section(4, 5, "timer", 1, 3).footer(5);
    let found = r#"SectionHeader { id: 5, idstr: "timer", instance: 1, version: 3 }"#;
    sections_of(&stream.clone().finish_with(&described("timer", 1, 3)));
    for (name, instance, version) in [("rtc", 1, 3), ("timer", 0, 3), ("timer", 1, 2)] {
        assert_eq!(
            error_of(&stream.clone().finish_with(&described(name, instance, version))),
            (at, format!("the section of {name}, instance {instance} | {found}"))
        );
    }
    let fewer = stream.clone().finish_with(&json!({"page_size": 4096, "devices": []}));
    assert_eq!(error_of(&fewer), (at, "the end of the described sections | type 0x04".into()));
    let footer = ram.section(4, 5, "timer", 1, 3).footer(6).finish_with(&described("timer", 1, 3));
    assert_eq!(error_of(&footer), (at + 19, "the footer of section 5 | type 0x7e, id 6".into()));
}

#[test]
fn a_subsection_that_the_description_has_otherwise() {
    let ram = ended(Stream::v10_0());
    let at = ram.bytes.len() + 19;
    let stream = ram.section(4, 5, "timer", 0, 3);
    let described = |name: &str, version: u32| {
        json!({"page_size": 4096, "devices": [
            {"name": "timer", "instance_id": 0, "version": 3, "fields": [], "subsections": [
                {"vmsd_name": name, "version": version, "fields": []},
            ]},
        ]})
    };
    let right = stream.clone().subsection("timer/a", 1).footer(5);
    sections_of(&right.clone().finish_with(&described("timer/a", 1)));
    for (name, version) in [("timer/b", 1), ("timer/a", 2)] {
        assert_eq!(
            error_of(&right.clone().finish_with(&described(name, version))),
            (at, format!("subsection {name} version {version} | timer/a version 1"))
        );
    }
    let none = stream.footer(5).finish_with(&described("timer/a", 1));
    assert_eq!(error_of(&none), (at, "timer/a | type 0x7e".into()));
}

#[test]
fn descriptions_that_are_none() {
    let ram = || ended(Stream::v10_0());
    let at = ram().bytes.len() + 6;
    let (place, error) = error_of(&ram().finish_with(&json!({"page_size": 4096})));
    assert_eq!(place, at);
    assert!(error.starts_with("a VM description | missing field `devices`"), "{error}");
    assert_eq!(
        error_of(&ram().finish_with(&json!({"page_size": 8192, "devices": []}))),
        (at, "a VM description with pages of 4096 | 8192".into())
    );
    let huge = json!({"page_size": 4096, "devices": [
        {"name": "a", "instance_id": 0, "fields": [{"size": 1u64 << 60, "array_len": 1u64 << 60}]},
    ]});
    let (_, error) = error_of(&ram().section(4, 1, "a", 0, 1).finish_with(&huge));
    assert!(error.contains("expected the section of a, instance 0"), "{error}");
}

#[test]
fn without_a_description_the_end_must_look_like_one() {
    let unexamined = |length| DeviceState::Unexamined { length };
    let old = || ended(Stream::v1_0()).section(4, 5, "timer", 0, 3);
    assert_eq!(
        state_of(&ended(Stream::v1_0()).section(4, 5, "t", 0, 3).u8(0).bytes),
        unexamined(16)
    );
    assert_eq!(state_of(&ended(Stream::v1_0()).u8(0).bytes), unexamined(1));
    let ram = ended(Stream::v10_0());
    assert_eq!(state_of(&ram.clone().u8(0).bytes), unexamined(1));
    let new = ram.clone().section(4, 5, "timer", 0, 3);
    assert_eq!(state_of(&new.clone().footer(5).u8(0).bytes), unexamined(25));

    let missing = "the end of the device state before the end of the input | the bytes";
    for (stream, end) in [
        (old().u8(1), "[00, 00, 00, 00, 03, 01]"),
        (new.clone().u8(0), "[00, 00, 00, 00, 03, 00]"),
        (new.footer(5), "[03, 7e, 00, 00, 00, 05]"),
        (ram.clone().u8(4), "[04]"),
        (ram.u8(0).u8(6).u32(1), "[00, 06, 00, 00, 00, 01]"),
    ] {
        let length = stream.bytes.len();
        assert_eq!(error_of(&stream.bytes), (length, format!("{missing} {end}")));
    }
}

/// Before 2.3: each section begins with its name, and with an id above the last one's.
#[test]
fn sections_without_a_description_are_told_apart_by_their_names() {
    let listed = |stream: &[u8]| match state_of(stream) {
        DeviceState::Listed { sections } => sections
            .into_iter()
            .map(|it| (it.offset.0 as usize, it.header.id, it.header.idstr, it.length))
            .collect::<Vec<_>>(),
        other => panic!("{other:?}"),
    };
    let ram = ended(Stream::v1_0());
    let timer = ram.clone().section(4, 5, "timer", 0, 3).raw(&[4, 0, 0]);
    // Of an id that is not above the last one's, it is a part of what the section holds.
    let timer = timer.section(4, 5, "like", 0, 1);
    let both = timer.clone().device(9, "0000:00:02.0/vga").finish();
    assert_eq!(
        listed(&both),
        [
            (ram.bytes.len(), 5, "timer".to_owned(), 21),
            (timer.bytes.len(), 9, "0000:00:02.0/vga".into(), 39),
        ]
    );
    // Neither numbers that are large nor names that are none begin a section.
    for (id, idstr, instance, version) in
        [(10_000, "pci", 0, 1), (9, "p\u{1}i", 0, 1), (9, "p", 0, 1), (9, "pci", 1 << 20, 1)]
    {
        let stream = timer.clone().section(4, id, idstr, instance, version).u8(0);
        assert_eq!(listed(&stream.bytes).len(), 1, "{id} {idstr:?} {instance} {version}");
    }
}

#[test]
fn device_state_without_end() {
    let head = ended(Stream::v1_0()).u8(4).bytes;
    let at = head.len() - 1;
    let endless = std::io::Read::chain(head.as_slice(), std::io::repeat(0));
    let endless = std::io::BufReader::new(endless);
    let error = Summary::read(endless).unwrap_err();
    assert_eq!(
        error.to_string(),
        format!(
            "byte {at:#x} of the stream: device state of over 67108864 bytes: \
             this reader does not support it"
        )
    );
}
