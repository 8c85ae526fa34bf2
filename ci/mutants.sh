#!/usr/bin/env bash
# Changes the code of the stream reader, the mirror and the checks in small ways, one at a time, and says which
# changes no test notices (cargo-mutants). What may stay unnoticed stands in .cargo/mutants.toml, with
# reasons; anything else is a gap in the tests, and the script then ends with cargo-mutants' exit code.
#
#     ci/mutants.sh            all of it: hours
#     ci/mutants.sh stream     the stream reader
#     ci/mutants.sh mirror     the mirror of QEMU's block logic
#     ci/mutants.sh held ...   these checks, by the names of their files
#
# A check's code is tried with the tests beside it, with those of what is printed (for which the tool is
# built), and with the rows that it carries out, which have to say what they say in
# qemu-tests/tests/rows/said.txt, on a QEMU 10.0 from the cache (`cargo xtask build 10.0 --thorough` and
# `cargo xtask verify 10.0 --row 'p2.linux.*'` first).
#
# The mirror is tried with the functions of 10.0 and 5.2, and with those of 1.0 where $PCRAM_GIT_URL names
# a git that has it; as posted where $PCRAM_POSTED names the folder that `pcram import` made of the posting.
#
# The code is changed in a clone, target/mutants, of what is committed; what is compiled there stays for
# the next file and the next time.
set -eu
cd "$(dirname "$0")/.."

checks=harness/pcram/src/check

# The rows that a file's code carries out, the quickest that reach all of it.
rows_of() {
    case $1 in
        accounting) echo p5.counts p5.savevm p5.counts.multifd ;;
        backend) echo p1.backend ;;
        capability_refused) echo 'p4.refuses-*' ;;
        convergence) echo p5.converges p5.dirty-rate ;;
        cpr_transfer) echo p4.cpr-transfer ;;
        crossing) echo p8.migrate.patched-to-stock p8.snapshot.patched-to-stock ;;
        cut_short) echo p7.cut-short p7.unreadable ;;
        descriptor) echo p2.memfd p2.fdset ;;
        dirty_rate) echo p5.dirty-rate p5.calc-dirty-rate ;;
        foretold) echo p4.foretold ;;
        halves) echo p6.waiting.linux.devices p6.waiting.fuse.vmgenid ;;
        held) echo p2.held ;;
        layout) echo p8.layout.migrate p8.layout.savevm ;;
        linux) echo p2.linux.pages p2.linux.balloon ;;
        linux_moves) echo p6.live.linux p6.waiting.linux p7.restore.linux ;;
        live) echo p6.live.same-file p6.live.copy ;;
        mismatch | mismatch/*)
            echo 'p6.mismatch.unix.*' 'p6.mismatch.head.*' 'p6.mismatch.loadvm.*' 'p6.mismatch.file.*'
            echo 'p6.mismatch.loadvm-option.*' ;;
        each_patch) echo p9.each-patch-builds ;;
        moved) echo p4.moved p4.moved.video ;;
        need) echo p6.live.same-file.kvm p1.option ;;
        other_targets) echo p1.other-targets ;;
        own_test) echo p9.own-test ;;
        provenance) echo p9.style ;;
        trial) echo p2.prefilled p2.65-mib.running p4.savevm.stopped ;;
        omission) echo p4.migrate-exec.stopped p4.multifd.stopped p4.xbzrle ;;
        option) echo p1.option ;;
        party) echo p6.live.same-file p6.mismatch.loadvm.with-to-without ;;
        prefilled) echo p2.prefilled ;;
        refusal | untouched | ram_file) echo 'p3.*' p2.prefilled ;;
        reset) echo p7.reset ;;
        restore) echo p7.restore.same-qemu p7.restore.same-qemu.in-code p7.restore.new-qemu ;;
        sampled) echo p2.pc.at-split ;;
        snapshot_warning) echo 'p7.says.*' ;;
        speed) echo p8.speed.sweep p8.speed.migrate ;;
        streams/before) echo p4.after-cancelled p4.after-failed ;;
        streams/beside | streams/load) echo 'p4.other-block.*' p4.xbzrle p4.shared-dimm ;;
        streams/*)
            echo p4.migrate-exec.dirtying p4.migrate-fd.dirtying p4.savevm.stopped p4.mapped-ram.restart
            echo p4.multifd.dirtying p4.after-cancelled p4.other-block.vga p5.savevm p5.counts ;;
        style) echo p9.style ;;
        unchanged) echo p8.shows ;;
        vhost_user) echo p2.vhost-user ;;
        visible) echo 'p2.visible.*' ;;
        waiting | watched) echo p6.waiting.fuse.loader p6.waiting.memfd.loader ;;
        *) echo p1.option p2.prefilled p4.migrate-exec.stopped ;;
    esac
}

mutate_stream() { cargo mutants --in-place --output "mutants/stream" --package pcram-stream; }

# The folders of functions that `pcram mirror --keep` leaves, as $PATH has them.
functions() {
    local said
    for revision in 10.0 5.2; do
        said+=$(cargo xtask mirror $revision --cases 1 --keep)
    done
    if [ -n "${PCRAM_GIT_URL-}" ]; then
        said+=$(cargo xtask mirror 1.0 --git-url "$PCRAM_GIT_URL" --cases 1 --keep)
        if [ -n "${PCRAM_POSTED-}" ]; then
            said+=$(cargo xtask mirror 1.0-rc3 --git-url "$PCRAM_GIT_URL" --series "$PCRAM_POSTED" \
                --cases 1 --keep)
        fi
    fi
    sed -n 's/^ *compiled in //p' <<<"$said" | paste -sd:
}

# What decides as QEMU does is tried with QEMU's functions, the rest with the tests beside it.
mutate_mirror() {
    local of=harness/mirror/src functions worst=0
    local decides=(--file $of/ram.rs --file "$of/{around,option}/*.rs" --file "$of/{dirty,loader}.rs"
        --file "$of/v1_0/{save,load,ram_list}.rs")
    functions=$(functions)
    local try=(cargo mutants --in-place --output mutants/mirror --package pcram-mirror
        "${decides[@]}" --baseline skip --timeout 240)
    # What is compiled for each takes longer than what it then does, where that is soon seen.
    local plain=(--cargo-arg=--config=profile.dev.package.pcram-{functions,mirror}.opt-level=0)
    # 2 and 3 are what is left, by living and by its time: the tests beside the mirror may find it.
    PCRAM_FUNCTIONS=$functions "${try[@]}" "${plain[@]}" --test-package pcram-functions \
        -- --test given ||
        [ $? -le 3 ] || worst=1
    "${try[@]}" --iterate --test-package pcram-mirror -- --lib || worst=$?
    cargo mutants --in-place --output "mutants/mirror/rest" --package pcram-mirror \
        "${decides[@]/--file/--exclude}" || worst=$?
    return $worst
}

mutate_check() {
    PCRAM_ROWS=$(rows_of "$1") cargo mutants --in-place --output "mutants/$1" \
        --package pcram --file "$checks/$1.rs" --test-package pcram --test-package qemu-tests \
        -- --lib --test printed --test watched --test rows
}

if [ $# -gt 0 ]; then
    names=("$@")
else
    mapfile -t names < <(cd $checks && git ls-files '*.rs' | sed 's/\.rs$//' | grep -v tests)
    names=(stream mirror "${names[@]}")
fi
clone=$PWD/target/mutants
[ -d "$clone" ] || git clone --quiet --shared . "$clone"
git -C "$clone" fetch --quiet origin HEAD
git -C "$clone" checkout --quiet --force --detach FETCH_HEAD
cd "$clone"
worst=0
for name in "${names[@]}"; do
    echo "== $name"
    case $name in
        stream | mirror) "mutate_$name" ;;
        *) mutate_check "$name" ;;
    esac || worst=$?
done
exit $worst
