//! The things that a check can do, each a file of its own in this folder.

use super::Finding;
use super::accounting::Accounting;
use super::backend::Backend;
use super::both_set::BothSet;
use super::capability_refused::CapabilityRefused;
use super::convergence::Convergence;
use super::cpr_transfer::CprTransfer;
use super::crossing::Crossing;
use super::cut_short::CutShort;
use super::descriptor::Descriptor;
use super::dirty_rate::DirtyRate;
use super::each_patch::EachPatchBuilds;
use super::foretold::Foretold;
use super::held::Held;
use super::layout::Layout;
use super::linux::LinuxRuns;
use super::linux_moves::LinuxMoves;
use super::live::Live;
use super::mem_path::MemPath;
use super::mismatch::Mismatch;
use super::moved::Moved;
use super::omission::Omission;
use super::option::Offered;
use super::other_targets::OtherTargets;
use super::own_test::OwnTest;
use super::prefilled::Prefilled;
use super::refusal::Refusal;
use super::reset::Reset;
use super::restore::Restore;
use super::sampled::Sampled;
use super::snapshot_warning::SnapshotWarning;
use super::speed::Speed;
use super::style::Style;
use super::trial::Trial;
use super::unchanged::Unchanged;
use super::vhost_user::VhostUser;
use super::visible::Visible;
use super::waiting::Waiting;
use crate::build::beyond::Reach;
use anyhow::Result;
use serde::Deserialize;

/// What is done, and with what: in the catalogue, `does = "refusal"` and the refusal's own keys.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "does", rename_all = "kebab-case")]
pub enum Procedure {
    /// The patched help offers the option; stock refuses it.
    Option(Offered),
    /// The object behind the option tells its file, and nobody else makes one.
    Backend(Backend),
    /// A file that was filled beforehand is what the guest finds.
    Prefilled(Prefilled),
    /// What the guest wrote is read from the file by this process.
    Visible(Visible),
    /// A sample of RAM of any size, both ways.
    Sampled(Sampled),
    /// A RAM file that QEMU inherits open.
    Descriptor(Descriptor),
    /// A device's back end in another process maps the file.
    VhostUser(VhostUser),
    /// A Linux guest on the file.
    Linux(LinuxRuns),
    /// How QEMU holds the file.
    Held(Held),
    /// `-mem-path` beside the file: which block lies in which file.
    MemPath(MemPath),
    /// A file for a block that comes with memory of its own.
    BothSet(BothSet),
    /// QEMU refuses to start, with one line, and leaves the file alone.
    Refusal(Refusal),
    /// A running QEMU refuses a migration capability by name.
    CapabilityRefused(CapabilityRefused),
    /// A saved or migrated stream holds no page of the block, and every other block whole.
    Omission(Omission),
    /// The RAM section of a stopped guest is what the mirror foretells.
    Foretold(Foretold),
    /// Blocks that are looked up meanwhile are in the stream all the same.
    Moved(Moved),
    /// A new QEMU takes over from one with a RAM file, in the mode cpr-transfer.
    CprTransfer(CprTransfer),
    /// What QEMU tells of a migration or a snapshot is what the stream has, without the block.
    Accounting(Accounting),
    /// What `calc-dirty-rate` tells leaves the block out.
    DirtyRate(DirtyRate),
    /// A migration ends while all RAM is being dirtied.
    Convergence(Convergence),
    /// A guest that writes all its RAM moves to a destination with the file, and goes on there.
    Live(Live),
    /// A Linux guest moves with the file.
    LinuxMoves(LinuxMoves),
    /// Two parties that do not match: what one sent or saved, the other refuses.
    Mismatch(Mismatch),
    /// A destination that waits leaves its RAM file alone.
    Waiting(Waiting),
    /// What is put into RAM at each reset, and a snapshot.
    Reset(Reset),
    /// Back to a snapshot, with the RAM of that moment, code included.
    Restore(Restore),
    /// A snapshot says that the RAM is not in it.
    SnapshotWarning(SnapshotWarning),
    /// A guest moves to or from stock, where neither has a RAM file.
    Crossing(Crossing),
    /// A RAM file that fails under its guest is an error that is told.
    CutShort(CutShort),
    /// Without the option, a stream has the layout of stock's.
    Layout(Layout),
    /// Without the option, the patched QEMU is as fast as stock.
    Speed(Speed),
    /// Without the option, the patched QEMU shows what stock shows.
    Unchanged(Unchanged),
    /// Other targets build, and offer or refuse the option.
    OtherTargets(OtherTargets),
    /// Each patch builds alone.
    EachPatchBuilds(EachPatchBuilds),
    /// Each patch could be sent as it is.
    Style(Style),
    /// The series' own test passes.
    OwnTest(OwnTest),
}

impl Procedure {
    /// Does it; an error means that it could not be tried to its end.
    pub(super) fn run(&self, trial: &Trial) -> Result<Finding> {
        match self {
            Procedure::Option(it) => it.check(trial),
            Procedure::Backend(it) => it.check(trial),
            Procedure::Prefilled(it) => it.check(trial),
            Procedure::Visible(it) => it.check(trial),
            Procedure::Sampled(it) => it.check(trial),
            Procedure::Descriptor(it) => it.check(trial),
            Procedure::Held(it) => it.check(trial),
            Procedure::MemPath(it) => it.check(trial),
            Procedure::BothSet(it) => it.check(trial),
            Procedure::VhostUser(it) => it.check(trial),
            Procedure::Linux(it) => it.check(trial),
            Procedure::Refusal(it) => it.check(trial),
            Procedure::CapabilityRefused(it) => it.check(trial),
            Procedure::Omission(it) => it.check(trial),
            Procedure::Foretold(it) => it.check(trial),
            Procedure::Moved(it) => it.check(trial),
            Procedure::CprTransfer(it) => it.check(trial),
            Procedure::Accounting(it) => it.check(trial),
            Procedure::DirtyRate(it) => it.check(trial),
            Procedure::Convergence(it) => it.check(trial),
            Procedure::Live(it) => it.check(trial),
            Procedure::LinuxMoves(it) => it.check(trial),
            Procedure::Mismatch(it) => it.check(trial),
            Procedure::Waiting(it) => it.check(trial),
            Procedure::Reset(it) => it.check(trial),
            Procedure::Restore(it) => it.check(trial),
            Procedure::SnapshotWarning(it) => it.check(trial),
            Procedure::Crossing(it) => it.check(trial),
            Procedure::CutShort(it) => it.check(trial),
            Procedure::Layout(it) => it.check(trial),
            Procedure::Speed(it) => it.check(trial),
            Procedure::Unchanged(it) => it.check(trial),
            Procedure::OtherTargets(it) => it.check(trial),
            Procedure::EachPatchBuilds(it) => it.check(trial),
            Procedure::Style(it) => it.check(trial),
            Procedure::OwnTest(it) => it.check(trial),
        }
    }

    /// Adds what has to be built for it beyond the pair that is compared.
    pub(super) fn add_to(&self, reach: &mut Reach) {
        match self {
            Procedure::OtherTargets(it) => reach.programs.extend(it.programs()),
            Procedure::EachPatchBuilds(_) => reach.each_patch = true,
            _ => {}
        }
    }

    /// Whether a machine runs for it.
    pub(super) fn runs_a_machine(&self) -> bool {
        let alone = matches!(self, Procedure::Option(_) | Procedure::OtherTargets(_));
        let text = matches!(self, Procedure::EachPatchBuilds(_) | Procedure::Style(_));
        !alone && !text && !matches!(self, Procedure::OwnTest(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_asks_compiles_or_reads_runs_no_machine() {
        let runs = |text: &str| toml::from_str::<Procedure>(text).unwrap().runs_a_machine();
        let alone = [
            "'option'\noption = '-x'",
            "'other-targets'\noption = '-x'\noffered-by = []\nrefused-by = []\nbuilt = []",
            "'each-patch-builds'",
            "'style'\ncredit = 'Link: x'",
            "'own-test'\nprogram = 'x'",
        ];
        for text in alone {
            assert!(!runs(&format!("does = {text}")), "{text}");
        }
        assert!(runs("does = 'prefilled'"));
        assert!(runs("does = 'speed'\nbenchmark = 'sweep'"));
    }
}
