//! Damages to what is around the save loop, in functions that are not the same in all lines.

use super::{damaged, of, units};
use pcram_functions::around::Around;
use pcram_functions::kinds::Of;
use qemu_tests::run;

/// The most steps of the case that shows it.
const FEW: usize = 2;

/// Text and what stands there instead, each seen on the line's carried functions.
fn each_is_seen(line: &str, damages: &[(&str, &str)]) {
    let units = units(&run(&["apply", line]));
    let (unit, _) = of::<Around>(&units, Of::Around);
    for (from, to) in damages {
        let differs = damaged::<Around>(unit, from, to).expect_err(from);
        assert!(differs.case.steps.len() <= FEW, "{line}, {from}: {:?}", differs.case);
    }
}

#[test]
fn each_damage_to_what_checks_capabilities_is_seen() {
    each_is_seen(
        "10.0",
        &[
            (
                "if (external_ram &&\n        !caps_allow_external_ram(new_caps",
                "if (0 &&\n !caps_allow_external_ram(new_caps",
            ),
            ("!caps_allow_external_ram(new_caps", "!caps_allow_external_ram(old_caps"),
            ("if (new_caps[MIGRATION_CAPABILITY_ZERO_BLOCKS]) {", "if (0) {"),
            ("if (!old_caps[MIGRATION_CAPABILITY_POSTCOPY_RAM] &&", "if ("),
            ("runstate_check(RUN_STATE_INMIGRATE) &&\n            !postcopy", "!postcopy"),
            ("!postcopy_ram_supported_by_host(mis, errp)", "0"),
            ("error_prepend(errp, \"Postcopy is not supported: \");", ""),
            ("if (new_caps[MIGRATION_CAPABILITY_X_IGNORE_SHARED]) {", "if (0) {"),
            (
                "if (new_caps[MIGRATION_CAPABILITY_MULTIFD]) {\n            error_setg(errp, \"Postcopy is",
                "if (0) {\n            error_setg(errp, \"Postcopy is",
            ),
            ("if (new_caps[MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT]) {", "if (0) {"),
            ("if (!ram_write_tracking_available()) {", "if (0) {"),
            ("if (!ram_write_tracking_compatible()) {", "if (0) {"),
            ("if (wt_support < WT_SUPPORT_COMPATIBLE) {", "if (0) {"),
            (
                "    MIGRATION_CAPABILITY_RELEASE_RAM,\n    MIGRATION_CAPABILITY_RDMA",
                "    MIGRATION_CAPABILITY_RDMA",
            ),
            (
                "idx < check_caps_background_snapshot.size",
                "idx < check_caps_background_snapshot.size - 1",
            ),
            ("(!new_caps[MIGRATION_CAPABILITY_MULTIFD] ||\n", "(\n"),
            ("new_caps[MIGRATION_CAPABILITY_XBZRLE] ||\n         migrate", "migrate"),
            ("migrate_multifd_compression() ||\n", ""),
            ("migrate_tls())) {", "0)) {"),
            ("if (!new_caps[MIGRATION_CAPABILITY_POSTCOPY_RAM]) {", "if (0) {"),
            ("if (!migrate_postcopy_preempt() && migrate", "if (migrate"),
            ("if (!migrate_multifd() && migrate", "if (migrate"),
            ("if (!migrate_multifd() && migrate_incoming_started()) {", "if (0) {"),
            ("if (!migrate_postcopy_preempt() && migrate_incoming_started()) {", "if (0) {"),
            ("if (!new_caps[MIGRATION_CAPABILITY_RETURN_PATH]) {", "if (0) {"),
            ("if (new_caps[MIGRATION_CAPABILITY_AUTO_CONVERGE]) {", "if (0) {"),
            ("if (!kvm_enabled() || !kvm_dirty_ring_enabled()) {", "if (!kvm_enabled()) {"),
            (
                "if (!kvm_enabled() || !kvm_dirty_ring_enabled()) {",
                "if (!kvm_dirty_ring_enabled()) {",
            ),
            (
                "if (new_caps[MIGRATION_CAPABILITY_XBZRLE]) {\n            error_setg(errp, \"Multifd",
                "if (0) {\n            error_setg(errp, \"Multifd",
            ),
            (
                "if (new_caps[MIGRATION_CAPABILITY_XBZRLE]) {\n            error_setg(errp,\n                       \"Mapped",
                "if (0) {\n            error_setg(errp,\n                       \"Mapped",
            ),
            (
                "if (new_caps[MIGRATION_CAPABILITY_POSTCOPY_RAM]) {\n            error_setg(errp,\n                       \"Mapped",
                "if (0) {\n            error_setg(errp,\n                       \"Mapped",
            ),
        ],
    );
    each_is_seen(
        "10.2",
        &[
            ("if (migrate_rdma() && !migrate_rdma_caps_check(new_caps, errp)) {", "if (0) {"),
            ("if (migrate_rdma() && !migrate", "if (!migrate"),
            ("if (caps[MIGRATION_CAPABILITY_XBZRLE]) {", "if (0) {"),
            ("if (caps[MIGRATION_CAPABILITY_MULTIFD]) {", "if (0) {"),
            ("if (caps[MIGRATION_CAPABILITY_POSTCOPY_RAM]) {", "if (0) {"),
        ],
    );
    each_is_seen(
        "7.2",
        &[
            ("cap_list[cap->value->capability] = cap->value->state;", ""),
            ("!caps_allow_external_ram(cap_list", "0 && !caps_allow_external_ram(cap_list"),
            ("if (!old_postcopy_cap &&", "if ("),
            (
                "MIGRATION_CAPABILITY_COMPRESS,\n    MIGRATION_CAPABILITY_XBZRLE,",
                "MIGRATION_CAPABILITY_XBZRLE,",
            ),
            ("         cap_list[MIGRATION_CAPABILITY_COMPRESS] ||\n", ""),
            ("!migrate_multi_channels_is_allowed() &&", ""),
            (
                "cap_list[MIGRATION_CAPABILITY_MULTIFD]) {\n        error_setg(errp, \"multifd",
                "0) {\n        error_setg(errp, \"multifd",
            ),
            (
                "if (cap_list[MIGRATION_CAPABILITY_COMPRESS]) {\n            error_setg(errp, \"Postcopy",
                "if (0) {\n            error_setg(errp, \"Postcopy",
            ),
            (
                "if (cap_list[MIGRATION_CAPABILITY_COMPRESS]) {\n            error_setg(errp, \"Multifd",
                "if (0) {\n            error_setg(errp, \"Multifd",
            ),
        ],
    );
    each_is_seen(
        "5.2",
        &[
            (
                "old_postcopy_cap = cap_list[MIGRATION_CAPABILITY_POSTCOPY_RAM];",
                "old_postcopy_cap = 0;",
            ),
            ("if (external_ram &&", "if (0 &&"),
            ("error_setg(errp, \"Postcopy is not supported\");", "error_setg(errp, \"Postcopy\");"),
            ("if (cap_list[MIGRATION_CAPABILITY_X_IGNORE_SHARED]) {", "if (0) {"),
        ],
    );
}

#[test]
fn each_damage_to_what_prints_blocks_is_seen() {
    each_is_seen(
        "10.0",
        &[
            ("if (block->fd < 0) {", "if (0) {"),
            ("if (block->fd < 0) {", "if (1) {"),
            ("/proc/self/fd/%d\", block->fd", "/proc/self/fd/%d\", 1"),
            ("size_to_str(block->page_size)", "size_to_str(TARGET_PAGE_SIZE)"),
            ("(uint64_t)block->offset,", "(uint64_t)block->used_length,"),
            ("(uint64_t)block->max_length,\n", "(uint64_t)block->used_length,\n"),
            ("(uint64_t)(uintptr_t)block->host,", "(uint64_t)block->offset,"),
            ("block->mr->readonly ? \"ro\" : \"rw\"", "\"rw\""),
            ("file ? \" \" : \"\", file ?: \"\"", "\" \", file ?: \"\""),
            ("file ? \" \" : \"\", file ?: \"\"", "\"\", \"\""),
            ("\"HVA\", \"RO\", \"File\"", "\"HVA\", \"RO\", \"\""),
        ],
    );
    each_is_seen("7.2", &[("file ? \" \" : \"\", file ?: \"\"", "\"\", \"\"")]);
    each_is_seen("5.2", &[("file ? \" \" : \"\", file ?: \"\"", "\"\", \"\"")]);
}

#[test]
fn each_damage_to_what_makes_a_snapshot_is_seen() {
    each_is_seen(
        "10.0",
        &[
            ("if (migration_is_blocked(errp)) {", "if (0) {"),
            ("if (!replay_can_snapshot()) {", "if (0) {"),
            ("if (!bdrv_all_can_snapshot(has_devices, devices, errp)) {", "if (0) {"),
            ("        if (overwrite) {", "        if (1) {"),
            ("            if (ret2 < 0) {", "            if (0) {"),
            ("if (ret2 == 1) {", "if (0) {"),
            ("    global_state_store();\n", ""),
            ("vm_stop(RUN_STATE_SAVE_VM);", ""),
            ("bdrv_drain_all_begin();", ""),
            ("if (replay_mode != REPLAY_MODE_NONE) {", "if (0) {"),
            ("    if (ret < 0) {\n        goto the_end;", "    if (0) {\n        goto the_end;"),
            ("    if (ret2 < 0) {\n        ret = ret2;", "    if (0) {\n        ret = ret2;"),
            (
                "bdrv_all_delete_snapshot(sn->name, has_devices, devices, NULL);\n        goto",
                "goto",
            ),
            ("devices, NULL);\n        goto the_end;", "devices, NULL);"),
            ("    external_ram_warn(sn->name);", ""),
            ("    external_ram_warn(sn->name);", "external_ram_warn(name);"),
            ("bdrv_drain_all_end();", ""),
            ("vm_resume(saved_state);", ""),
            ("    return ret == 0;", "    return true;"),
        ],
    );
    each_is_seen(
        "10.2",
        &[
            ("if (!migrate_can_snapshot(errp)) {", "if (0) {"),
            ("    external_ram_warn(sn->name);", ""),
        ],
    );
    each_is_seen(
        "7.2",
        &[
            ("    ret = global_state_store();\n", "    ret = global_state_store() * 0;\n"),
            ("    external_ram_warn(sn->name);", ""),
            ("    if (saved_vm_running) {", "    if (1) {"),
        ],
    );
    each_is_seen(
        "5.2",
        &[
            (
                "ret = bdrv_snapshot_find(bs, old_sn, name);",
                "bdrv_snapshot_find(bs, old_sn, name);",
            ),
            ("pstrcpy(sn->id_str, sizeof(sn->id_str), old_sn->id_str);", ""),
            ("ret = bdrv_all_create_snapshot(", "bdrv_all_create_snapshot("),
            ("    external_ram_warn(sn->name);", ""),
        ],
    );
}
