//! A start of QEMU with `-pcram-file`: what stands behind it, and what the files are.

use super::ffi::MOST_GIVEN;
use crate::lockstep::{self, Changes};
use pcram_mirror::address::TARGET_PAGE_SIZE as PAGE;
use pcram_mirror::option::Setting;
use pcram_mirror::option::sigbus::{SiCode, Sigbus};
use pcram_mirror::option::thread::{Fails, Mask, Signal, Thread};
use pcram_mirror::option::types::{ObjectAdd, Type};
use proptest::bool::weighted;
use proptest::collection::{btree_set, vec};
use proptest::prelude::*;
use proptest::sample::select;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// The regular files that a case has. Beside them there are a directory `d` and a FIFO `f`.
pub const FILES: [&str; 4] = ["a", "b", "a,b", "x=y"];
/// Characters that may stand behind an option.
const MOST_TEXT: usize = 2000;
/// The most RAM in bytes, and the longest file.
const MOST_RAM: u64 = 1 << 15;

/// A start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// What stands behind each `-pcram-file`.
    pub given: Vec<String>,
    /// The RAM of the machine in bytes.
    pub ram_size: u64,
    /// The length of each of [`FILES`] in bytes.
    pub files: [u64; FILES.len()],
    /// What else is said.
    pub settings: BTreeSet<Setting>,
    /// What then happens to the file.
    pub fault: Option<Fault>,
    /// Whether the backend goes, before the block is touched.
    pub ends: bool,
    /// What the main thread has blocked.
    pub blocked: Mask,
    /// The thread that begins once the option is done with (5.2 and later).
    pub thread: Thread,
    /// The types of objects that there are beside the backend's (5.2 and later).
    pub types: BTreeSet<Type>,
    /// What a monitor asks for (5.2 and later).
    pub asks: Option<ObjectAdd>,
}

impl lockstep::Case for Case {
    fn cases() -> impl Strategy<Value = Case> {
        let given = prop_oneof![
            1 => Just(Vec::new()),
            16 => vec(option(), 1),
            2 => vec(option(), 2..=3),
        ];
        let settings = prop_oneof![
            5 => Just(BTreeSet::new()),
            4 => btree_set(select(&Setting::ALL[..]), 1),
            2 => btree_set(select(&Setting::ALL[..]), 2..4),
            // Each of these says nothing without the other.
            1 => Just(BTreeSet::from([Setting::Kvm, Setting::NoSyncMmu])),
            1 => Just(BTreeSet::from([Setting::Incoming, Setting::MemLock])),
        ];
        let ram_size = prop_oneof![
            1 => Just(0),
            8 => (1..=7_u64).prop_map(|pages| pages << 12),
            1 => 1..MOST_RAM,
        ];
        let all = (given, ram_size, settings).prop_flat_map(|(given, ram_size, settings)| {
            let size = || {
                prop_oneof![
                    8 => Just(ram_size.next_multiple_of(PAGE)),
                    2 => Just(ram_size),
                    1 => Just(ram_size.saturating_sub(1)),
                    1 => Just(ram_size + 1),
                    1 => 0..MOST_RAM,
                ]
            };
            let files = [size(), size(), size(), size()];
            let edge = ram_size as i64;
            let at = prop_oneof![Just(-1), Just(0), Just(edge - 1), Just(edge), Just(edge + 1)];
            let cut_to = prop_oneof![
                Just(ram_size),
                Just(ram_size.saturating_sub(1)),
                Just(ram_size + 1),
                0..=ram_size
            ];
            let code = prop_oneof![Just(SiCode::Adrerr), select(&SiCode::ALL[..])];
            let sigbus = (code, any::<bool>(), any::<bool>())
                .prop_map(|(code, cpu, kvm_fails)| Sigbus { code, cpu, kvm_fails });
            let fault =
                (at, cut_to, sigbus).prop_map(|(at, cut_to, sigbus)| Fault { at, cut_to, sigbus });
            let fault = proptest::option::of(fault);
            let types = btree_set(select(&Type::ALL[..]), 0..Type::ALL.len());
            let all = (files, fault, weighted(0.25), blocked(), thread(), types, asks());
            all.prop_map(move |(files, fault, ends, blocked, thread, types, asks)| Case {
                given: given.clone(),
                ram_size,
                files,
                settings: settings.clone(),
                fault,
                ends,
                blocked,
                thread,
                types,
                asks,
            })
        });
        // It is made small by `smaller`: proptest would draw half of it anew each time.
        all.no_shrink()
    }

    fn check(&self) -> Result<(), &'static str> {
        let printable = |text: &String| {
            text.len() <= MOST_TEXT && text.bytes().all(|it| (0x20..0x7f).contains(&it))
        };
        if self.given.len() > MOST_GIVEN || !self.given.iter().all(printable) {
            return Err("there are at most 4 options of 2000 printable characters");
        }
        // A path that leaves the folder would lead to somebody's file.
        if self.given.iter().any(|text| text.contains('/')) {
            return Err("a path has no slash");
        }
        let long = self.files.iter().chain([&self.ram_size]).any(|&it| it > MOST_RAM);
        let far = |it: Fault| it.cut_to > MOST_RAM || it.at.unsigned_abs() > MOST_RAM;
        match long || self.fault.is_some_and(far) {
            true => Err("RAM and files have at most 32768 bytes"),
            false => Ok(()),
        }
    }

    fn smaller(&self) -> Vec<Case> {
        let mut all = Changes::of(self);
        all.add(|case| case.fault = None);
        all.add(|case| case.ends = false);
        all.add(|case| case.asks = None);
        for of in &self.types {
            all.add(|case| _ = case.types.remove(of));
        }
        all.add(|case| case.thread.fails = None);
        all.add(|case| case.thread.detached = false);
        for signal in &self.blocked {
            all.add(|case| _ = case.blocked.remove(signal));
        }
        if let Some(fault) = self.fault {
            all.add(|case| case.fault = Some(Fault { at: 0, ..fault }));
            all.add(|case| case.fault = Some(Fault { cut_to: 0, ..fault }));
            let sigbus = |sigbus| Some(Fault { sigbus, ..fault });
            all.add(|case| case.fault = sigbus(Sigbus { code: SiCode::Adrerr, ..fault.sigbus }));
            all.add(|case| case.fault = sigbus(Sigbus { cpu: false, ..fault.sigbus }));
            all.add(|case| case.fault = sigbus(Sigbus { kvm_fails: false, ..fault.sigbus }));
        }
        for setting in &self.settings {
            all.add(|case| _ = case.settings.remove(setting));
        }
        all.add(|case| (case.ram_size, case.files) = (PAGE, [PAGE; FILES.len()]));
        all.add(|case| case.ram_size = PAGE);
        for at in 0..FILES.len() {
            all.add(|case| case.files[at] = case.ram_size.next_multiple_of(PAGE));
        }
        for at in 0..self.given.len() {
            all.add(|case| _ = case.given.remove(at));
            let length = self.given[at].len();
            for piece in [64, 8, 1] {
                for from in (0..length.saturating_sub(piece - 1)).step_by(piece) {
                    all.add(|case| case.given[at].replace_range(from..from + piece, ""));
                }
            }
        }
        all.all()
    }
}

/// The file is cut short, and somebody touches an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Fault {
    /// The distance of the address from where the block begins, in bytes.
    pub at: i64,
    /// The bytes that the file has then.
    pub cut_to: u64,
    /// The signal that comes of it (5.2 and later).
    pub sigbus: Sigbus,
}

impl Case {
    /// The start in words.
    pub fn tell(&self) -> Vec<String> {
        let files = FILES.iter().zip(self.files).map(|(name, size)| format!("{name:?} {size}"));
        let mut lines = vec![
            format!("files in bytes: {}", files.collect::<Vec<_>>().join(", ")),
            format!("a machine with {} bytes of RAM, {:?}", self.ram_size, self.settings),
            format!(
                "signals that are blocked: {:?}; then begins a {:?}",
                self.blocked, self.thread
            ),
        ];
        lines.extend(self.given.iter().map(|text| format!("-pcram-file {text:?}")));
        lines.extend(self.asks.map(|asks| {
            format!("a monitor's object_add: {asks:?}, of {:?} and the backend's type", self.types)
        }));
        if self.ends {
            lines.push("the backend goes, before anything is touched".to_owned());
        }
        lines.extend(self.fault.map(|Fault { at, cut_to, sigbus }| {
            format!(
                "the file is cut to {cut_to} bytes, byte {at} of the block is touched: {sigbus:?}"
            )
        }));
        lines
    }
}

/// What the main thread has blocked: as in QEMU, or anything.
fn blocked() -> impl Strategy<Value = Mask> {
    prop_oneof![
        3 => Just(Mask::from([Signal::Bus, Signal::Io, Signal::Alrm])),
        1 => btree_set(select(&Signal::ALL[..]), 0..Signal::ALL.len()),
    ]
}

/// What a monitor asks for, if anything.
fn asks() -> impl Strategy<Value = Option<ObjectAdd>> {
    prop_oneof![
        2 => Just(None),
        1 => Just(Some(ObjectAdd::Help)),
        1 => select(&Type::ALL[..]).prop_map(|of| Some(ObjectAdd::Type(of))),
    ]
}

/// A thread, which mostly begins.
fn thread() -> impl Strategy<Value = Thread> {
    let fails = prop_oneof![
        16 => Just(None),
        1 => select(&[Fails::Attribute, Fails::Create][..]).prop_map(Some),
    ];
    (any::<bool>(), fails).prop_map(|(detached, fails)| Thread { detached, fails })
}

/// What stands behind an option: mostly a path, else anything.
fn option() -> impl Strategy<Value = String> {
    let long = "z".repeat(90);
    let pieces = [
        "a", "b", "d", "f", "none", "x", "y", "path", "path=", "id=", "=", ",", ",,", "no", "help",
        "delay", "?", "1", &long,
    ]
    .map(str::to_owned)
    .to_vec();
    const PATHS: [&str; 10] =
        ["a", "path=a", "b", "a,,b", "path=x=y", "d", "f", "none", "", "a,id=c"];
    prop_oneof![
        12 => select(&PATHS[..]).prop_map(str::to_owned),
        // 1.0 cuts a name off, and then takes "no" from it.
        1 => (110..140_usize).prop_map(|length| format!("a,no{}", "z".repeat(length))),
        8 => vec(select(pieces), 0..9).prop_map(|pieces| pieces.concat()),
    ]
}
