//! The functions of the option as carried today, with one thing in them replaced.

use super::{damaged, of, units};
use pcram_functions::kinds::Of;
use pcram_functions::option::PcramFile;
use qemu_tests::{REVISION, run};

#[test]
fn each_damage_to_the_option_is_seen() {
    let units = units(&run(&["apply", REVISION]));
    let (unit, _) = of::<PcramFile>(&units, Of::Option);
    let damaged = |from: &str, to: &str| damaged::<PcramFile>(unit, from, to);
    assert!(damaged("unsigned paths = 0;", "unsigned paths = 0;").is_ok());
    for (from, to) in [
        ("stat(path, &st) == 0 && !S_ISREG(st.st_mode)", "0"),
        ("qemu_open(path, O_RDWR, NULL)", "qemu_open(path, O_RDWR | O_CREAT, NULL)"),
        ("st.st_size != size", "st.st_size < size"),
        ("st.st_size != size", "st.st_size > size"),
        ("st.st_size != size", "ftruncate(fd, size)"),
        ("    qemu_close(fd);\n    return -1;", "    return -1;"),
        ("if (backend->prealloc) {", "if (0) {"),
        ("RAM_SHARED | RAM_NAMED_FILE |", "RAM_NAMED_FILE |"),
        ("                                        RAM_EXTERNAL,", "                 0,"),
        ("if (g_strcmp0(mc->default_ram_id, PCRAM_ID)) {", "if (0) {"),
        ("runstate_check(RUN_STATE_INMIGRATE) && ", ""),
        ("} else if (xen_enabled()) {", "} else if (0) {"),
        ("kvm_enabled() && !kvm_has_sync_mmu()", "!kvm_has_sync_mmu()"),
        ("return migrate_caps_allow_external_ram(PCRAM_ID, errp);", "return true;"),
        ("if (QTAILQ_NEXT(opts, next)) {", "if (0) {"),
        ("} else if (paths > 1) {", "} else if (0) {"),
        ("} else if (!*path) {", "} else if (0) {"),
        ("object_unparent(obj);", ""),
        ("    object_unref(obj);", ""),
        ("qemu_add_opts(&qemu_pcram_file_opts);", ""),
        (".name = \"pcram-file\",", ".name = \"pcram\","),
        (".implied_opt_name = \"path\",", ""),
        ("type_register_static(&pcram_backend_info);", ""),
        (".instance_size = sizeof(HostMemoryBackendPcram)", ".instance_size = sizeof(Object)"),
        (".instance_init = pcram_backend_instance_init,", ""),
        (".instance_finalize = pcram_backend_instance_finalize,", ""),
        ("MEMORY_BACKEND(obj)->share = true;", ""),
        ("bc->alloc = pcram_backend_memory_alloc;", ""),
        ("pcram_backend_get_path,\n", "NULL,\n"),
        ("return g_strdup(MEMORY_BACKEND_PCRAM(obj)->path);", "return g_strdup(\"\");"),
        (
            "return g_strdup(MEMORY_BACKEND_PCRAM(obj)->path);",
            "return MEMORY_BACKEND_PCRAM(obj)->path;",
        ),
        (
            "if (host_memory_backend_mr_inited(MEMORY_BACKEND(obj))) {\n        error",
            "if (0) {\n        error",
        ),
        (
            "if (host_memory_backend_mr_inited(MEMORY_BACKEND(obj))) {\n        pcram",
            "if (0) {\n        pcram",
        ),
        ("pcram_mapping.host = NULL;", ""),
        ("g_free(pcram_mapping.cut_short);", ""),
        ("g_free(pcram_mapping.unavailable);", ""),
        ("    g_free(MEMORY_BACKEND_PCRAM(obj)->path);", ""),
        ("pcram_watch_faults(backend, name, fd);\n    return true;", "return true;"),
        ("name, fd);\n    return true;", "name, fd);\n    return false;"),
        ("(const char *)addr < host + pcram_mapping.size", "1"),
        ("st.st_size < pcram_mapping.size", "st.st_size <= pcram_mapping.size"),
        ("*(offset + 1) == ','", "0"),
        ("siginfo->si_code != BUS_MCEERR_AO && ", ""),
        (" && siginfo->si_code != BUS_MCEERR_AR", ""),
        ("if (siginfo->si_code == BUS_ADRERR) {", "if (1) {"),
        ("hostmem_pcram_report_sigbus(siginfo->si_addr);", ""),
        ("        }\n        sigbus_reraise();", "        }"),
        ("    if (current_cpu) {", "    if (0) {"),
        ("kvm_on_sigbus_vcpu(current_cpu, siginfo->si_code,", "kvm_on_sigbus_vcpu(current_cpu, 0,"),
        ("si_addr)) {\n            sigbus_reraise();", "si_addr)) {"),
        ("} else if (siginfo->si_code == BUS_MCEERR_AO) {", "} else if (1) {"),
        ("} else if (siginfo->si_code == BUS_MCEERR_AO) {", "} else if (0) {"),
        ("if (kvm_on_sigbus(siginfo->si_code, siginfo->si_addr)) {", "if (1) {"),
        ("without the memory that it lost.  */\n        sigbus_reraise();", "*/"),
        ("if (block->fd < 0) {", "if (0) {"),
        ("if (block->fd < 0) {", "if (1) {"),
        ("\"/proc/self/fd/%d\", block->fd", "\"/proc/self/fd/%d\", 0"),
        ("    if (!kvm_enabled()) {\n        sigemptyset", "    if (1) {\n        sigemptyset"),
        ("sigaddset(&set, SIGBUS);", ""),
        ("sigfillset(&set);", "sigemptyset(&set);"),
        ("sigdelset(&set, SIGSEGV);", ""),
        ("sigdelset(&set, SIGFPE);", ""),
        ("sigdelset(&set, SIGILL);", ""),
        ("sigdelset(&set, SIGBUS);", ""),
        ("pthread_sigmask(SIG_SETMASK, &set, &oldset);", "oldset = set;"),
        ("pthread_sigmask(SIG_SETMASK, &oldset, NULL);", ""),
        ("if (mode == QEMU_THREAD_DETACHED) {", "if (0) {"),
        ("if (mode == QEMU_THREAD_DETACHED) {", "if (1) {"),
        ("if (err) {\n        error_exit(err, __func__);\n    }", ""),
        ("    if (err)\n        error_exit(err, __func__);", ""),
        ("qemu_thread_args->start_routine = start_routine;", ""),
        ("qemu_thread_args->arg = arg;", ""),
        ("pthread_attr_destroy(&attr);", ""),
        ("RAM_RESIZEABLE | RAM_EXTERNAL)) == 0);", "RAM_RESIZEABLE)) == 0);"),
        ("RAM_SHARED | RAM_PMEM |", "RAM_PMEM |"),
        ("if (file_size && file_size < offset + max_size && !grow) {", "if (0) {"),
        ("file_size < offset + max_size && !grow", "file_size <= offset + max_size && !grow"),
        ("file_size < offset + max_size && !grow", "file_size < offset + max_size && grow"),
        ("memory_region_name(mr), file_size, max_size,", "memory_region_name(mr), file_size, 0L,"),
        ("new_block->mr = mr;", ""),
        ("new_block->used_length = size;", ""),
        ("new_block->max_length = max_size;", ""),
        ("new_block->flags = ram_flags;", ""),
        ("        g_free(new_block);", ""),
        ("if (qapi_enum_parse(&ObjectType_lookup, type, -1, NULL) >= 0) {", "if (1) {"),
        ("qapi_enum_parse(&ObjectType_lookup, type, -1, NULL) >= 0", "0"),
        ("mr->ram = true;", ""),
        ("mr->destructor = memory_region_destructor_ram;", ""),
    ] {
        let differs = damaged(from, to).expect_err(from);
        assert!(differs.case.given.len() <= 2, "{from}: {:?}", differs.case);
        assert!(differs.case.settings.len() <= 2, "{from}: {:?}", differs.case);
    }
}

#[test]
fn each_damage_to_what_the_option_has_in_5_2_alone_is_seen() {
    let units = units(&run(&["apply", "5.2"]));
    let (unit, _) = of::<PcramFile>(&units, Of::Option);
    for (from, to) in [
        ("ucc->internal = true;", ""),
        ("size, true, fd", "size, false, fd"),
        ("share ? RAM_SHARED : 0", "0"),
        ("rb->flags |= RAM_EXTERNAL;", ""),
        ("if (!USER_CREATABLE_CLASS(oc)->internal) {", "if (1) {"),
        ("if (!USER_CREATABLE_CLASS(oc)->internal) {", "if (0) {"),
        (" ||\n        USER_CREATABLE_CLASS(klass)->internal) {", ") {"),
        ("!object_class_dynamic_cast(klass, TYPE_USER_CREATABLE) ||\n        ", ""),
        ("if (object_class_is_abstract(klass)) {", "if (0) {"),
        ("(TYPE_USER_CREATABLE, false);", "(TYPE_USER_CREATABLE, true);"),
    ] {
        let differs = damaged::<PcramFile>(unit, from, to).expect_err(from);
        assert_eq!(differs.case.settings.len(), 0, "{from}: {:?}", differs.case);
    }
}
