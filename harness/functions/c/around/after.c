/* How the functions above are called from outside, and their variables seen. */

#define MOST_BLOCKS 8

static RAMBlock the_blocks[MOST_BLOCKS];
static struct MemoryRegion the_regions[MOST_BLOCKS];
static int used;
static uint8_t *memory;
/* Where pages are read from behind the back of the stream */
static QEMUFile *the_file;

/* physmem.c: whose memory it is */
static RAMBlock *block_of_host(uint8_t *host, ram_addr_t *offset)
{
    RAMBlock *block;

    RAMBLOCK_FOREACH(block) {
        if (host >= block->host && host - block->host < block->max_length) {
            *offset = host - block->host;
            return block;
        }
    }
    return NULL;
}

RAMBlock *qemu_ram_block_from_host(void *host, bool round_offset, ram_addr_t *offset)
{
    return block_of_host(host, offset);
}

/* A channel reads at once what it is told to read */
static size_t ram_load_multifd_pages(void *host, size_t size, uint64_t at)
{
    say("(multifd %" PRIx64 " %zx)", at, size);
    return qemu_get_buffer_at(the_file, host, size, at);
}

#ifdef PCRAM_QUEUED
#define ALLOCATED 3

static MultiFDPages_t queues[2];
static ram_addr_t queue_offsets[2][ALLOCATED];
static struct iovec queue_iov[2][ALLOCATED];

static void forget_pages(MultiFDPages_t *pages)
{
    pages->block = NULL;
    pages->PCRAM_QUEUED = 0;
}

/* A channel takes the pages, and gives those that it has sent before; a thread forgets them then */
static int multifd_send_pages(QEMUFile *f)
{
    MultiFDPages_t *pages = multifd_send_state->pages;
    char text[32 * ALLOCATED] = "";

    if (set.others_fail) {
        return -1;
    }
    for (int i = 0; i < pages->PCRAM_QUEUED; i++) {
        sprintf(text + strlen(text), " %" PRIx64, pages->offset[i]);
    }
    say("(multifd send %s%s)", pages->block->idstr, text);
    multifd_send_state->pages = pages == &queues[0] ? &queues[1] : &queues[0];
    forget_pages(multifd_send_state->pages);
    if (set.fast_thread) {
        forget_pages(pages);
    }
    return 1;
}
#endif

#define PACKET_PAGES (MULTIFD_PACKET_SIZE / TARGET_PAGE_SIZE)
static MultiFDRecvParams the_receiver;

static void forget_receiver(void)
{
#ifdef PCRAM_PACKETS_USED
    if (the_receiver.pages) {
        multifd_pages_clear(the_receiver.pages);
    }
    memset(&the_receiver, 0, sizeof(the_receiver));
    the_receiver.pages = multifd_pages_init(PACKET_PAGES);
#else
    static ram_addr_t normal[PACKET_PAGES];

    memset(normal, 0, sizeof(normal));
    memset(&the_receiver, 0, sizeof(the_receiver));
    the_receiver.normal = normal;
#ifdef PCRAM_PACKETS_ZERO
    static ram_addr_t zero[PACKET_PAGES];

    memset(zero, 0, sizeof(zero));
    the_receiver.zero = zero;
#endif
#endif
}

static void forget_blocks(void)
{
    for (int i = 0; i < used; i++) {
        g_free(the_blocks[i].bmap);
        g_free(the_blocks[i].receivedmap);
#ifdef PCRAM_MAPPED_RAM
        g_free(the_blocks[i].file_bmap);
#endif
    }
    used = 0;
    QLIST_INIT(&ram_list.blocks);
}

/* A guest without RAM, and a migration that has just begun */
void pcram_begin(const struct pcram_settings *settings, uint8_t *arena)
{
    set = *settings;
    the_mode = set.mode;
    ignore_shared = set.ignore_shared;
    the_migration.send_configuration = set.send_configuration;
    the_migration.vmdesc = set.vmdesc ? &the_description : NULL;
    the_migration.capabilities[MIGRATION_CAPABILITY_X_IGNORE_SHARED] = set.ignore_shared;
    the_migration.capabilities[MIGRATION_CAPABILITY_POSTCOPY_RAM] = set.postcopy_ram;
    the_migration.capabilities[MIGRATION_CAPABILITY_MAPPED_RAM] = set.mapped_ram;
    the_migration.capabilities[MIGRATION_CAPABILITY_MULTIFD] = set.multifd;
    memory = arena;
    memset(&the_incoming, 0, sizeof(the_incoming));
    memset(&the_ram_state, 0, sizeof(the_ram_state));
    transferred = 0;
    forget_blocks();
    forget_receiver();
#ifdef PCRAM_KEEPS_REFUSED
    /* It has the last block to itself: it is made to look for one that is not there */
    ram_block_from_stream(&(QEMUFile) { .in = (const uint8_t *)"\1?", .in_len = 2 }, 0);
#endif
    forget_configuration();
#ifdef PCRAM_QUEUED
    for (int i = 0; i < 2; i++) {
        memset(&queues[i], 0, sizeof(queues[i]));
        queues[i].allocated = ALLOCATED;
        queues[i].offset = queue_offsets[i];
#ifdef PCRAM_PACKETS_USED
        queues[i].iov = queue_iov[i];
#endif
    }
    multifd_send_state->pages = &queues[0];
#endif
    said_len = 0;
}

/* pcram_functions::around::ffi::Block */
struct pcram_block {
    const char *idstr;
    uint64_t host, used_length, max_length, page_size, addr;
    int32_t kind, resizeable;
};

/* Adds a block at the end of the list */
void pcram_add(const struct pcram_block *it)
{
    RAMBlock *block = &the_blocks[used];

    memset(block, 0, sizeof(*block));
    block->mr = &the_regions[used++];
    block->mr->addr = it->addr;
    strcpy(block->idstr, it->idstr);
    block->host = memory + it->host;
    block->offset = it->host;
    /* Its number stands for the file that a block of this kind has */
    block->fd = it->kind == 2 || it->kind == 4 ? used - 1 : -1;
    block->used_length = it->used_length;
    block->max_length = it->max_length;
    block->page_size = it->page_size;
    block->flags = flags_of(it->kind) | (it->resizeable ? RAM_RESIZEABLE : 0);
    append(block);
}

/* The setup is over: what is not ignored has its bitmaps (ram_list_init_bitmaps) */
void pcram_start(void)
{
    RAMBlock *block;

    RAMBLOCK_FOREACH_NOT_IGNORED(block) {
        long pages = block->max_length >> TARGET_PAGE_BITS;

        block->bmap = g_new0(unsigned long, BITS_TO_LONGS(pages));
        for (long page = 0; page < pages; page++) {
            set_bit_atomic(page, block->bmap);
        }
        block->receivedmap = g_new0(unsigned long, BITS_TO_LONGS(pages));
#ifdef PCRAM_MAPPED_RAM
        block->file_bmap = g_new0(unsigned long, BITS_TO_LONGS(pages));
#endif
        the_ram_state.migration_dirty_pages += block->used_length >> TARGET_PAGE_BITS;
    }
}

/* What was said since it was last asked for */
const char *pcram_said(uint64_t *length)
{
    *length = said_len;
    said_len = 0;
    return said;
}

/* The other questions that are asked of a block, and of all */
static int visit(RAMBlock *block, void *left)
{
    say("(visit %s)", block->idstr);
    return --*(int *)left ? 0 : 7;
}

int64_t pcram_ask(int stop)
{
    RAMBlock *block;

    RAMBLOCK_FOREACH(block) {
        say("(%s%s%s)", block->idstr, IS_IGNORED(block) ? " ignored" : "",
            skip_sample_ramblock(block) ? " skipped" : "");
    }
#ifdef PCRAM_EXTERNAL
    const char *external = ram_external_block_name();

    say("(external %s%s%s)", external ? external : "", configuration_is_needed() ? " needed" : "",
        vmstate_external_ram_needed(NULL) ? " listed" : "");
#endif
    return foreach_not_ignored_block(visit, &stop);
}

int64_t pcram_load(QEMUFile *f)
{
    the_file = f;
    return ram_load_precopy(f);
}

void pcram_hint(uint64_t at, uint64_t length)
{
    qemu_guest_free_page_hint(memory + at, length);
}

int64_t pcram_header(QEMUFile *f)
{
#ifdef PCRAM_HEADER_ERROR
    Error *err = NULL;
    int ret = qemu_loadvm_state_header(f, &err);

    if (err) {
        error_report_err(err);
    }
    return ret;
#else
    return qemu_loadvm_state_header(f);
#endif
}

void pcram_save_header(QEMUFile *f)
{
    qemu_savevm_state_header(f);
}

int64_t pcram_receive(uint8_t *packet)
{
    Error *err = NULL;
    int ret;

    the_receiver.packet = (MultiFDPacket_t *)packet;
#ifdef PCRAM_PACKETS_ZERO
    ret = multifd_recv_unfill_packet_header(&the_receiver, &the_receiver.packet->hdr, &err);
    ret = ret ? ret : multifd_recv_unfill_packet_ram(&the_receiver, &err);
#else
    ret = multifd_recv_unfill_packet(&the_receiver, &err);
#endif
    if (err) {
        error_report_err(err);
    }
    return ret;
}

#ifdef PCRAM_QUEUED
int64_t pcram_queue(QEMUFile *f, int block, uint64_t offset)
{
    return multifd_queue_page(f, &the_blocks[block], offset);
}
#endif

#ifdef PCRAM_MAPPED_RAM
void pcram_setup(QEMUFile *f, int block)
{
    mapped_ram_setup_ramblock(f, &the_blocks[block]);
}

/* A page of the block is in the file from now on */
void pcram_mark(int block, uint64_t page)
{
    if (the_blocks[block].file_bmap) {
        set_bit_atomic(page, the_blocks[block].file_bmap);
    }
}

void pcram_save_file_bmap(QEMUFile *f)
{
    ram_save_file_bmap(f);
}
#endif

#ifdef PCRAM_EXTERNAL
/* Those that are on, where none are given */
int64_t pcram_caps(const bool *caps, const char *idstr)
{
    Error *err = NULL;
    bool ret = caps ? caps_allow_external_ram(caps, idstr, &err)
                    : migrate_caps_allow_external_ram(idstr, &err);

    if (err) {
        error_report_err(err);
    }
    return ret;
}
#endif
