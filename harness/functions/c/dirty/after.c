/* How the functions above are called from outside. */

static RAMBlock the_blocks[8];
static MemoryRegion the_regions[8];
static DirtyMemoryBlocks *the_dirty;
static int used;

/* All RAM begins; @dirty has room for @pieces of DIRTY_MEMORY_BLOCK_SIZE pages */
void pcram_begin(int with_tcg, unsigned long *dirty, uint64_t pieces)
{
    uint64_t i;

    free(the_dirty);
    the_dirty = malloc(sizeof(*the_dirty) + pieces * sizeof(the_dirty->blocks[0]));
    for (i = 0; i < pieces; i++) {
        the_dirty->blocks[i] = dirty + i * BITS_TO_LONGS(DIRTY_MEMORY_BLOCK_SIZE);
    }
    tcg = with_tcg;
    used = 0;
    QLIST_INIT(&ram_list.blocks);
    ram_list.mru_block = NULL;
    ram_list.dirty_memory[DIRTY_MEMORY_MIGRATION] = the_dirty;
}

/* Adds a block at the end of the list; @clear_bmap is NULL where there is none */
void pcram_add(uint64_t host, uint64_t offset, uint64_t used_length, uint64_t max_length,
               unsigned long *bmap, unsigned long *clear_bmap, int shift)
{
    RAMBlock *block = &the_blocks[used], *last = used ? block - 1 : NULL;

    memset(block, 0, sizeof(*block));
    the_regions[used].host = host;
    block->mr = &the_regions[used];
    block->host = (uint8_t *)host;
    block->offset = offset;
    block->used_length = used_length;
    block->max_length = max_length;
    block->bmap = bmap;
    block->clear_bmap = clear_bmap;
    block->clear_bmap_shift = shift;
    if (last) {
        QLIST_INSERT_AFTER(last, block, next);
    } else {
        QLIST_INSERT_HEAD(&ram_list.blocks, block, next);
    }
    used++;
}

/*
 * Takes over what was written of a block; what is done is the C's until the next call.  Gives
 * whether QEMU goes on.
 */
int pcram_sync(int at, uint64_t start, uint64_t length, uint64_t *num_dirty,
               const struct pcram_did **did, uint64_t *count)
{
    did_count = 0;
    if (setjmp(aborted)) {
        return 0;
    }
    *num_dirty = PCRAM_SYNC(&the_blocks[at], start, length);
    *did = the_did;
    *count = did_count;
    return 1;
}
