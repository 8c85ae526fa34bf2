/* How the functions above are called from outside, and their variables seen. */

static RAMState the_state;
static RAMBlock the_blocks[8];
static unsigned long the_bits[8];
static int used;

/* pcram_functions::ram::ffi::View */
struct pcram_view {
    int64_t last_seen_block, last_sent_block;
    uint64_t last_page, dirty_pages;
    uint64_t transferred, zero, normal, refused;
    uint64_t total, total_with_ignored;
    uint64_t bits[8];
    uint8_t ignored[8];
};

#if defined(PCRAM_PSS_HAS_CHANNEL)
#define LAST_SENT the_state.pss[RAM_CHANNEL_PRECOPY].last_sent_block
#define ZERO mig_stats.zero_pages
#define NORMAL mig_stats.normal_pages
#else
#define LAST_SENT the_state.last_sent_block
#define ZERO ram_counters.duplicate
#define NORMAL ram_counters.normal
#endif

/* A guest without RAM, and a migration that has just begun */
void pcram_begin(QEMUFile *f, int mode, int shared)
{
    memset(&the_state, 0, sizeof(the_state));
    QLIST_INIT(&ram_list.blocks);
    used = 0;
    transferred = refused = 0;
    memset(&mig_stats, 0, sizeof(mig_stats));
    memset(&ram_counters, 0, sizeof(ram_counters));
    the_mode = mode;
    ignore_shared = shared;
#if defined(PCRAM_PSS_HAS_CHANNEL)
    the_state.pss[RAM_CHANNEL_PRECOPY].pss_channel = f;
#else
    the_state.f = f;
#endif
}

/* Adds a block at the end of the list, all of its pages dirty */
void pcram_add(const char *idstr, uint8_t *host, uint64_t pages, uint64_t page_size, int kind)
{
    RAMBlock *block = &the_blocks[used];

    memset(block, 0, sizeof(*block));
    block->bmap = &the_bits[used];
    the_bits[used++] = (1UL << pages) - 1;
    strcpy(block->idstr, idstr);
    block->host = host;
    block->used_length = block->max_length = pages << TARGET_PAGE_BITS;
    block->page_size = page_size << TARGET_PAGE_BITS;
    block->flags = flags_of(kind);
    append(block);
}

/* The setup is over: what it counts is counted (ram_init_bitmaps) */
void pcram_start(void)
{
    RAMBlock *block;

    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        the_state.migration_dirty_pages += block->used_length >> TARGET_PAGE_BITS;
    }
#if defined(PCRAM_PSS_HAS_CHANNEL)
    the_state.ram_bytes_total = ram_bytes_total();
#endif
}

/* The guest has written a page, and bitmaps are synchronized: those of what is not ignored */
void pcram_set_dirty(int block, uint64_t page)
{
    unsigned long bit = 1UL << page;

    if (!IS_IGNORED(&the_blocks[block]) && !(the_bits[block] & bit)) {
        the_bits[block] |= bit;
        the_state.migration_dirty_pages++;
    }
}

int64_t pcram_save(void)
{
    return ram_find_and_save_block(&the_state PCRAM_NOT_LAST_STAGE);
}

void pcram_view(struct pcram_view *view)
{
    RAMBlock *seen = the_state.last_seen_block, *sent = LAST_SENT;
    int i;

    view->last_seen_block = seen ? seen - the_blocks : -1;
    view->last_sent_block = sent ? sent - the_blocks : -1;
    view->last_page = the_state.last_page;
    view->dirty_pages = the_state.migration_dirty_pages;
    view->transferred = transferred + ram_counters.transferred;
    view->zero = ZERO;
    view->normal = NORMAL;
    view->refused = refused;
    view->total = ram_bytes_total();
    view->total_with_ignored = PCRAM_TOTAL_WITH_IGNORED;
    for (i = 0; i < 8; i++) {
        view->bits[i] = i < used ? the_bits[i] : 0;
        view->ignored[i] = i < used && IS_IGNORED(&the_blocks[i]);
    }
}
