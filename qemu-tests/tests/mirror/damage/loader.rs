//! Damages to what a reset writes: on the line that tests take, and to what 5.2 has else.

use super::{damaged, of, units};
use pcram_functions::kinds::Of;
use pcram_functions::loader::Resets;
use qemu_tests::{REVISION, run};

#[test]
fn each_damage_to_what_a_reset_writes_is_seen() {
    let units = units(&run(&["apply", REVISION]));
    let (unit, tree) = of::<Resets>(&units, Of::Loader);
    assert!(tree.waits && tree.left_out && tree.fills && tree.tells_all && !tree.refuses_eight);
    let damaged = |from: &str, to: &str| damaged::<Resets>(unit, from, to);
    assert!(damaged("Rom *rom;", "Rom *rom;").is_ok());
    for (from, to) in [
        ("if (rom->fw_file) {", "if (0) {"),
        ("if (rom->data && rom->isrom) {", "if (rom->data) {"),
        ("if (!rom->isrom && qemu_loadvm_is_pending()) {", "if (qemu_loadvm_is_pending()) {"),
        ("if (!rom->isrom && qemu_loadvm_is_pending()) {", "if (0) {"),
        ("memset(host + rom->datasize, 0, rom->romsize - rom->datasize);", ""),
        ("if (rom->isrom) {\n            /* rom needs", "if (0) {\n            /* rom needs"),
        ("cpu_flush_icache_range(rom->addr, rom->datasize);", ""),
        ("!runstate_check(RUN_STATE_INMIGRATE) &&", ""),
        ("if (s->set_pc) {", "if (0) {"),
        ("continue;\n        }\n        if (!rom->mr) {", "}\n        if (!rom->mr) {"),
        ("if (!rom->mr) {\n            if (roms_overlap", "{\n            if (roms_overlap"),
        ("if (roms_overlap(last_rom, rom)) {", "if (0) {"),
        ("last_rom->as == this_rom->as &&", ""),
        ("last_rom->addr + last_rom->romsize >", "last_rom->addr + last_rom->romsize >="),
        ("rom->as ? rom->as->name : NULL", "NULL"),
        ("if (!found_overlap) {", "{"),
        ("found_overlap = true;", ""),
        ("            last_rom = rom;\n", ""),
        ("rom->mr ? rom->mr : get_system_memory()", "get_system_memory()"),
        ("int128_nz(section.size) &&", ""),
        ("memory_region_unref(section.mr);", ""),
        ("qemu_register_reset_nosnapshotload(rom_reset", "qemu_register_reset(rom_reset"),
        ("roms_loaded = 1;", ""),
        ("if (s->data || s->data_len  ||", "if (s->data_len  ||"),
        ("if (s->file) {\n            error_setg", "if (0) {\n            error_setg"),
        ("} else if (s->force_raw) {", "} else if (0) {"),
        ("} else if (!s->data_len) {", "} else if (0) {"),
        ("s->data_len > 8", "s->data_len > 9"),
        ("} else if (s->file || s->force_raw)  {", "} else if (s->file)  {"),
        ("if (s->cpu_num != CPU_NONE) {\n            s->set_pc", "if (0) {\n            s->set_pc"),
        ("} else if (s->addr) {", "} else if (1) {"),
        ("} else if (s->cpu_num == CPU_NONE) {", "} else if (0) {"),
        ("        s->set_pc = true;\n    } else {", "    } else {"),
        ("qemu_register_reset_nosnapshotload(generic", "qemu_register_reset(generic"),
        ("if (!s->cpu) {", "if (0) {"),
        ("s->cpu ? s->cpu->as :  NULL", "NULL"),
        ("if (!s->force_raw) {", "{"),
        ("size = load_uimage_as", "load_uimage_as"),
        ("if (size < 0 || s->force_raw) {", "if (size <= 0 || s->force_raw) {"),
        ("s->addr = entry;", ""),
        ("if (size < 0) {\n            error_setg", "if (0) {\n            error_setg"),
        ("cpu_to_be64(s->data)", "cpu_to_le64(s->data)"),
        ("return loadvm;", "return false;"),
        ("if (phase_check(PHASE_MACHINE_INITIALIZED)) {", "if (0) {"),
        ("qemu_init_board();", ""),
        ("qemu_create_cli_devices();", ""),
        ("if (!qemu_machine_creation_done(errp)) {", "qemu_machine_creation_done(errp);\nif (0) {"),
        ("if (loadvm) {", "if (0) {"),
        ("autostart ? RUN_STATE_RUNNING : runstate_get()", "runstate_get()"),
        ("loadvm = NULL;", ""),
        ("load_snapshot_resume(state);", ""),
        ("if (replay_mode != REPLAY_MODE_NONE) {", "if (0) {"),
        ("strcmp(incoming, \"defer\") != 0", "1"),
        ("incoming_channels[MIGRATION_CHANNEL_TYPE_MAIN]", "NULL"),
        ("            if (local_err) {", "            if (0) {"),
        ("} else if (autostart) {", "} else {"),
    ] {
        let differs = damaged(from, to).expect_err(from);
        assert!(differs.case.steps.len() <= 3, "{from}: {:?}", differs.case);
    }
}

#[test]
fn each_damage_to_what_a_reset_writes_in_5_2_is_seen() {
    let units = units(&run(&["apply", "5.2"]));
    let (unit, tree) = of::<Resets>(&units, Of::Loader);
    assert!(tree.waits && !tree.left_out && !tree.tells_all && !tree.refuses_eight);
    let damaged = |from: &str, to: &str| damaged::<Resets>(unit, from, to);
    for (from, to) in [
        ("(addr > rom->addr)", "(addr >= rom->addr)"),
        ("&& (as == rom->as)", ""),
        ("            as = rom->as;\n", ""),
        ("addr += rom->romsize;", ""),
        ("return snapshot_pending;", "return false;"),
        ("snapshot_pending = true;", ""),
        ("if (!bdrv_all_can_snapshot(&bs)) {", "if (0) {"),
        ("ret = bdrv_all_find_snapshot(name, &bs);", "ret = 0;"),
        ("if (!bs_vm_state) {", "if (0) {"),
        ("ret = bdrv_snapshot_find(bs_vm_state", "bdrv_snapshot_find(bs_vm_state"),
        ("sn.vm_state_size == 0", "0"),
        ("replay_flush_events();", ""),
        ("bdrv_drain_all_begin();", ""),
        ("        goto err_drain;\n", ""),
        ("if (!f) {", "if (0) {"),
        ("    load_snapshot_announce();\n    qemu", "    qemu"),
        ("qemu_system_reset(SHUTDOWN_CAUSE_NONE);", ""),
        ("    snapshot_pending = false;\n", ""),
        ("mis->from_src_file = f;", ""),
        ("ret = qemu_loadvm_state(f);", "qemu_loadvm_state(f);"),
        ("err_drain:\n    bdrv_drain_all_end();", "err_drain:"),
    ] {
        let differs = damaged(from, to).expect_err(from);
        assert!(differs.case.steps.len() <= 3, "{from}: {:?}", differs.case);
    }
}
