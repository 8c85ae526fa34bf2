/*
 * How the functions above are called from outside, and their static variables seen.
 *
 * Each call returns PCRAM_ABORTED where the C called abort().
 */

#define PCRAM_ABORTED INT64_MIN

/* pcram_functions::v1_0::ffi::Variables */
struct pcram_view {
    uint64_t blocks;
    uint64_t order[16];
    uint64_t lengths[16];
    uint64_t last_block;
    uint64_t last_offset;
    uint64_t bytes_transferred;
    uint64_t remaining, total;
    int64_t dirty_tracking;
    uint64_t dirty_len;
};

extern char __bss_start[] __attribute__((visibility("hidden")));
extern char _end[] __attribute__((visibility("hidden")));

#define CALL(call)                  \
    do {                            \
        if (setjmp(aborted)) {      \
            return PCRAM_ABORTED;   \
        }                           \
        call;                       \
    } while (0)

/* As if the program had just been started */
void pcram_reset(void)
{
    memset(__bss_start, 0, _end - __bss_start);
}

/* Gives the new block's address; @from is pcram_mirror::v1_0::Host */
int64_t pcram_alloc(const char *name, uint64_t size, uint8_t *host, int from)
{
    next_host = host;
    next_size = size;
    if (from == 0) {
        CALL(return qemu_ram_alloc_from_ptr(NULL, name, size, host));
    }
    if (from == 2) {
#if defined(PCRAM_POSTED)
        /* The registry keeps the pointer */
        CALL(add_memory_file(strcpy(g_malloc0(strlen(name) + 1), name), "the file"));
#elif defined(PCRAM_CARRIED)
        CALL(return qemu_ram_alloc_from_fd(NULL, name, size, NEXT_FD));
#endif
    }
    CALL(return qemu_ram_alloc(NULL, name, size));
    return 0;
}

int64_t pcram_free(uint64_t addr, struct pcram_given_back *all)
{
    memset(&given_back, 0, sizeof(given_back));
    CALL(qemu_ram_free(addr));
    *all = given_back;
    return 0;
}

/* Gives the pointer's distance from @base */
int64_t pcram_get_ram_ptr(uint64_t addr, uint8_t *base)
{
    uint8_t *host;

    CALL(host = qemu_get_ram_ptr(addr));
    return host - base;
}

int64_t pcram_set_dirty(uint64_t addr)
{
    cpu_physical_memory_set_dirty(addr);
    return 0;
}

int64_t pcram_save_block(QEMUFile *f)
{
    the_file = f;
    CALL(return ram_save_block(f));
    return 0;
}

int64_t pcram_save_live(QEMUFile *f, int stage)
{
    the_file = f;
    CALL(return ram_save_live(NULL, f, stage, NULL));
    return 0;
}

int64_t pcram_load(QEMUFile *f, int version_id)
{
    the_file = f;
    CALL(return ram_load(f, NULL, version_id));
    return 0;
}

#ifdef PCRAM_CARRIED
/* Gives whether there is an external block */
int64_t pcram_save_external_list(QEMUFile *f)
{
    CALL(ram_save_external_list(f));
    return ram_external_block_name() != NULL;
}

int64_t pcram_load_external_list(QEMUFile *f, int has_list)
{
    CALL(return ram_load_external_list(has_list ? f : NULL));
    return 0;
}
#endif

/* Fills in what is 0; gives the dirty flags */
const uint8_t *pcram_view(struct pcram_view *view)
{
    RAMBlock *block;

    QLIST_FOREACH(block, &ram_list.blocks, next) {
        view->lengths[view->blocks] = block->length;
        view->order[view->blocks++] = block->offset;
    }
    view->last_block = last_block ? last_block->offset : UINT64_MAX;
    view->last_offset = last_offset;
    view->bytes_transferred = ram_bytes_transferred();
    view->remaining = ram_bytes_remaining();
    view->total = ram_bytes_total();
    view->dirty_tracking = in_migration;
    view->dirty_len = last_ram_offset() >> TARGET_PAGE_BITS;
    return ram_list.phys_dirty;
}
