//! The rate at which a guest dirties memory, as `calc-dirty-rate` samples it, leaves the block out.

use super::Finding;
use super::streams::plugged_at;
use super::trial::Trial;
use crate::machine::Machine;
use crate::machine::binary::Binary;
use crate::machine::deadline::Deadline;
use anyhow::{Context, Result};
use pcram_guests::stamp::Span;
use serde::Deserialize;
use serde_json::json;
use std::time::Duration;

/// How long QEMU samples, in seconds: the least that it takes.
const CALC_TIME: u64 = 1;
/// How long it may take to tell what came of it.
const MEASURED: Duration = Duration::from_secs(30);
/// How often it is asked.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// The length of the DIMM, in bytes: it gives 64 samples.
const DIMM: u64 = 128 << 20;

/// The check's own keys: there are none.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct DirtyRate {}

/// The rates that one QEMU told, in MiB a second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Rates {
    /// While the guest wrote all its RAM.
    ram: i64,
    /// While it wrote a DIMM.
    dimm: i64,
}

impl DirtyRate {
    pub(super) fn check(&self, trial: &Trial) -> Result<Finding> {
        let ram_file = trial.ram_file_args(&trial.ram_file()?);
        let stock = rates(trial, trial.stock()?, "stock", &[]).context("with the stock QEMU")?;
        let patched = rates(trial, trial.patched(), "patched", &ram_file);
        let patched = patched.context("with the patched QEMU")?;
        let alone = alone(trial, &ram_file).context("with the patched QEMU without a DIMM")?;
        Ok(judge(trial.block(), stock, patched, alone))
    }
}

/// The rate that the patched QEMU tells where no block gives a sample.
fn alone(trial: &Trial, ram_file: &[String]) -> Result<i64> {
    let mut launch = trial.launch();
    launch.extra.extend(ram_file.iter().cloned());
    let mut machine = Machine::start(trial.patched(), &launch, &trial.folder.join("alone"))?;
    machine.guest.ready()?;
    machine.guest.dirty()?;
    machine.guest.sweeps(1)?;
    let rate = rate(&mut machine)?;
    machine.kill()?;
    Ok(rate)
}

fn rates(trial: &Trial, binary: &Binary, side: &str, ram_file: &[String]) -> Result<Rates> {
    let mut launch = trial.launch();
    launch.extra.extend(ram_file.iter().cloned());
    let backend = format!("memory-backend-ram,id=dimm,size={DIMM}");
    let slot = ["-m", "slots=1,maxmem=4G", "-object", &backend];
    let words = slot.into_iter().chain(["-device", "pc-dimm,memdev=dimm"]);
    launch.extra.extend(words.map(str::to_owned));
    let mut machine = Machine::start(binary, &launch, &trial.folder.join(side))?;
    machine.guest.ready()?;
    let first = plugged_at(&mut machine, "dimm")?;

    machine.guest.dirty()?;
    machine.guest.sweeps(1)?;
    let ram = rate(&mut machine)?;
    machine.guest.halt()?;
    machine.guest.dirty_span(Span::whole(first, first + DIMM))?;
    machine.guest.sweeps(1)?;
    let dimm = rate(&mut machine)?;
    machine.kill()?;
    Ok(Rates { ram, dimm })
}

fn rate(machine: &mut Machine) -> Result<i64> {
    machine.qmp.execute("calc-dirty-rate", json!({ "calc-time": CALC_TIME }))?;
    let deadline = Deadline::after(MEASURED, "QEMU to tell a rate of dirty pages");
    loop {
        let told = machine.qmp.execute("query-dirty-rate", json!({}))?;
        if told["status"] == "measured" {
            return told["dirty-rate"].as_i64().context("QEMU measured a rate, but tells none");
        }
        std::thread::sleep(deadline.left()?.min(ASK_AGAIN));
    }
}

fn judge(block: &str, stock: Rates, patched: Rates, alone: i64) -> Finding {
    let mut wrong = Vec::new();
    if stock.ram <= 0 || stock.dimm <= 0 {
        let Rates { ram, dimm } = stock;
        wrong.push(format!("stock: {ram} MiB/s of RAM, {dimm} of a DIMM, though both are written"));
    }
    if patched.ram != 0 {
        let told = patched.ram;
        wrong.push(format!("patched: {told} MiB/s, though only {block} is written"));
    }
    if patched.dimm <= 0 {
        wrong.push(format!("patched: {} MiB/s of a DIMM that is written", patched.dimm));
    }
    if alone != 0 {
        wrong.push(format!("patched: {alone} MiB/s where no block gives a sample, not 0"));
    }
    let summary = format!(
        "calc-dirty-rate tells {} MiB/s while the guest writes all its RAM (stock: {}), and {} while \
         it writes a DIMM ({}); without one {alone}",
        patched.ram, stock.ram, patched.dimm, stock.dimm
    );
    Finding::new(wrong, summary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_of_the_block_and_a_dimm_without_one_are_found_out() {
        let rates = |[ram, dimm]: [i64; 2]| Rates { ram, dimm };
        let judged = |stock, patched| judge("pc.ram", rates(stock), rates(patched), 0).summary;
        let none = judge("pc.ram", rates([130, 120]), rates([0, 120]), -1);
        assert_eq!(none.summary, "patched: -1 MiB/s where no block gives a sample, not 0");
        assert!(judged([130, 120], [0, 120]).starts_with("calc-dirty-rate tells 0 MiB/s"));
        let counted = judged([130, 120], [130, 120]);
        assert_eq!(counted, "patched: 130 MiB/s, though only pc.ram is written");
        assert!(judged([130, 120], [-1, 120]).starts_with("patched: -1 MiB/s"));
        assert_eq!(judged([1, 1], [0, 0]), "patched: 0 MiB/s of a DIMM that is written");
        let blind = judged([0, 120], [0, 120]);
        assert_eq!(blind, "stock: 0 MiB/s of RAM, 120 of a DIMM, though both are written");
    }
}
