/* How the functions above are called from outside. */

static void come_to(int came)
{
    the_did->came = came;
}

#if defined(PCRAM_TODAY)

/* What a monitor can ask of the backend, and cannot change */
static void ask(void)
{
    Error *err = NULL;
    char *path = the_path.get(the_backend, &err);

    assert(path && !err);
    pstrcpy(the_did->path, sizeof(the_did->path), path);
    g_free(path);
    the_path.set(the_backend, "elsewhere", &err);
    assert(err);
    error_report_err(err);
}

/* What a monitor asks for, which is a pcram_mirror::option::types::ObjectAdd */
static void object_add(void)
{
    if (the_start->asks == ASKS_FOR_HELP) {
        user_creatable_print_types();
    }
#ifdef HAS_INTERNAL
    if (the_start->asks >= ASKS_FOR_TYPE) {
        unsigned at = the_start->asks - ASKS_FOR_TYPE;
        const char *type = at == PCRAM_TYPE ? the_type->name : the_types[at].name;
        Error *err = NULL;
        Visitor visitor;
        QDict dict;
        Object *obj = user_creatable_add_type(type, "object0", &dict, &visitor, &err);

        assert(!obj == !!err);
        if (err) {
            error_report_err(err);
        } else {
            assert(obj == &the_other && obj->references == 2);
            error_report("%s is made", type);
        }
    }
#endif
}

/* The first thread of a processor */
static void begin(void)
{
    int mode = the_start->detached ? QEMU_THREAD_DETACHED : QEMU_THREAD_JOINABLE;
    QemuThread thread;

    attributes = 0;
    qemu_thread_create(&thread, "CPU 0", runs_a_cpu, &the_cpu, mode);
    assert(the_did->begun && attributes == 0);
}

static QemuOptsList *qemu_find_opts(const char *name)
{
    assert(the_opts && !strcmp(the_opts->name, name));
    return the_opts;
}

/* Whether a block is that of a region, and as long */
static bool is_whole(const RAMBlock *block, const MemoryRegion *mr)
{
    return block == mr->ram_block && block->mr == mr && block->host == the_room &&
           block->used_length == mr->size && block->max_length == mr->size && mr->ram &&
           mr->terminates && !mr->readonly;
}

/* vl.c, as far as the option is concerned */
static void run(void)
{
    Error *err = NULL;
    uint64_t i;

    the_plain_block = (RAMBlock) { .fd = -1 };
    the_block = &the_plain_block;
    the_failed_block = NULL;
    memset(&pcram_mapping, 0, sizeof(pcram_mapping));
    memset(&the_machine, 0, sizeof(the_machine));
    memset(&the_path, 0, sizeof(the_path));
    memset(&the_backend_class, 0, sizeof(the_backend_class));
    the_opts = NULL;
    the_type = NULL;
    the_backend = NULL;
    the_class.name = "none";
    the_class.default_ram_id = HAS(OTHER_MACHINE) ? "ram" : "pc.ram";
    the_machine.ram_size = the_start->ram_size;
    the_machine.memdev = HAS(MEMORY_BACKEND) ? &the_root : NULL;
    the_machine.ram_memdev_id = HAS(MEMORY_BACKEND) ? "mem0" : NULL;
    the_machine.cgs = HAS(CONFIDENTIAL) ? &the_root : NULL;
    the_machine.memory_encryption = HAS(CONFIDENTIAL) ? "sev0" : NULL;

    register_types();
    pcram_file_register_opts();
    QTAILQ_INIT(&qemu_find_opts("pcram-file")->head);
    for (i = 0; i < the_start->given; i++) {
        if (!qemu_opts_parse_noisily(qemu_find_opts("pcram-file"), the_start->args[i], true)) {
            exit(1);
        }
    }
    pcram_file_init(&the_machine, HAS(MEM_PATH) ? "/somewhere" : NULL, &err);
    if (err) {
        /* Nothing of what was begun is left */
        assert(!the_backend && (!the_failed_block || is_freed(the_failed_block)));
        error_report_err(err);
        exit(1);
    }
    if (the_backend) {
        assert(the_machine.memdev == the_backend && the_backend->parented);
        assert(the_backend->references == 1);
        come_to(MAPPED);
        assert(is_whole(the_block, &MEMORY_BACKEND(the_backend)->mr));
        the_did->bytes = the_block->used_length;
        the_did->shared = !!(the_block->flags & RAM_SHARED) && MEMORY_BACKEND(the_backend)->share;
#ifdef RAM_NAMED_FILE
        the_did->named = !!(the_block->flags & RAM_NAMED_FILE);
#endif
        the_did->external = !!(the_block->flags & RAM_EXTERNAL);
        ask();
    }
    object_add();
    pstrcpy(the_did->file, sizeof(the_did->file), ram_block_file_name(the_block) ?: "");
    begin();
}

static void report_fault(void *addr)
{
    siginfo_t info = { .si_signo = SIGBUS, .si_code = si_codes[the_start->si_code] };

    info.si_addr = addr;
    if (!setjmp(raised)) {
        sigbus_handler(SIGBUS, &info, NULL);
    }
}

#define end() object_unparent(the_backend)
#define report_if_cut_short() hostmem_pcram_report_if_cut_short()

#elif defined(PCRAM_CARRIED)

static void run(void)
{
    MemoryRegion mr;
    uint64_t i;

    QTAILQ_INIT(&qemu_pcram_file_opts.head);
    QLIST_INIT(&ram_list.blocks);
    memset(&watched_ram, 0, sizeof(watched_ram));
    pcram_file_used = false;
    for (i = 0; i < the_start->given; i++) {
        if (!qemu_opts_parse(&qemu_pcram_file_opts, the_start->args[i], 1)) {
            exit(1);
        }
    }
    if (!HAS(OTHER_MACHINE) && !HAS(XEN) && pcram_file_init_ram(&mr, the_start->ram_size)) {
        come_to(MAPPED);
        the_did->bytes = the_block.length;
        the_did->shared = true;
        the_did->external = !!(the_block.flags & RAM_EXTERNAL_MASK);
    }
    pcram_file_refuse_unused(&pcram_file_machine_done, NULL);
}

#define end() ((void)0)
#define report_fault(addr) qemu_ram_report_fault(addr)
#define report_if_cut_short() qemu_ram_report_if_cut_short()

#else

static void *alloc(const char *idstr, RAMBlock *block)
{
    memset(block, 0, sizeof(*block));
    block->fd = -1;
    strcpy(block->idstr, idstr);
    return mem_file_ram_alloc(block, the_start->ram_size);
}

static void run(void)
{
    RAMBlock block;
    uint64_t i;
    void *host;

    memset(&mem_file_list, 0, sizeof(mem_file_list));
    for (i = 0; i < the_start->given; i++) {
        add_memory_file("pc.ram", the_start->args[i]);
    }
    assert(!alloc("vga.vram", &block) && !block.do_not_save);
    host = alloc("pc.ram", &block);
    if (host) {
        come_to(MAPPED);
        the_did->bytes = the_start->ram_size;
        the_did->shared = is_shared(host, block.fd);
        the_did->external = block.do_not_save;
        munmap(host, the_start->ram_size);
    }
}

#define end() ((void)0)
#define report_fault(addr) ((void)(addr))
#define report_if_cut_short() ((void)0)

#endif

/* What then becomes of the file, of the backend, and of who touches the block */
static void go_on(void)
{
    bool is_mapped = the_did->came == MAPPED && the_fd >= 0;

    if (the_did->came == ABORTED) {
        return;
    }
    if (the_start->fault && is_mapped && ftruncate(the_fd, the_start->cut_to)) {
        strcpy(the_did->told, "cannot cut the file short");
    }
    if (the_start->ends && is_mapped) {
        end();
    }
    if (the_start->fault) {
        report_fault(the_room + the_start->fault_at);
        report_if_cut_short();
    }
}

static void until_it_ends(void (*part)(void))
{
    int came = setjmp(ended);

    if (came) {
        come_to(came);
    } else {
        part();
    }
}

/* Runs a case; @did is filled in */
void pcram_start(const struct pcram_start *start, struct pcram_did *did)
{
    the_start = start;
    the_did = did;
    arena_used = pieces_freed = 0;
    the_fd = -1;
    memset(did, 0, offsetof(struct pcram_did, said));
    did->said[0] = did->told[0] = did->path[0] = did->file[0] = '\0';
    block(start->blocked);
    until_it_ends(run);
    until_it_ends(go_on);
    did->blocked = blocked();
    if (the_fd >= 0) {
        (close)(the_fd);
    }
}
