/* The region of the backend, and its block: what maps the file, and what puts a block among the others. */

#define RAM_ADDR_FMT "%" PRIxPTR
#define HOST_PAGE_ALIGN(addr) TARGET_PAGE_ALIGN(addr)
#define REAL_HOST_PAGE_ALIGN(addr) TARGET_PAGE_ALIGN(addr)
#define int128_zero() 0
#define tcg_enabled() (!kvm_enabled())
enum { DIRTY_MEMORY_CODE = 1 };
#define memory_region_name(mr) "pc.ram"
/* No accelerator has a way of its own */
enum { phys_mem_alloc, qemu_anon_ram_alloc = phys_mem_alloc };

/* A block that has no file stands for the RAM that is as ever */
static RAMBlock the_plain_block, *the_block, *the_failed_block;

static void memory_region_init(MemoryRegion *mr, Object *owner, const char *name, uint64_t size)
{
    assert(owner == the_backend && !strcmp(name, "pc.ram"));
    mr->size = size;
}

static void memory_region_destructor_ram(MemoryRegion *mr)
{
    /* Where there is none, nothing was mapped */
    if (mr->ram_block) {
        qemu_close(mr->ram_block->fd);
    }
}

static int64_t get_file_size(int fd)
{
    struct stat st;

    return fstat(fd, &st) ? -errno : st.st_size;
}

/* No device of persistent memory is among the files */
#define get_file_align(fd) (-1)

static void *map_file(RAMBlock *block, int fd, bool truncate, Error **errp)
{
    if (truncate && ftruncate(fd, block->max_length)) {
        abort();
    }
    if (HAS(CANNOT_MAP)) {
        the_failed_block = block;
        error_setg(errp, "it does not map");
        return NULL;
    }
    block->fd = fd;
    return the_room;
}

/* Its arguments have changed: of those behind the file, whether to truncate it, and the last */
#define MAP_2(truncate, errp) truncate, errp
#define MAP_3(truncate, offset, errp) truncate, errp
#define MAP_4(readonly, truncate, offset, errp) truncate, errp
#define PICK(a, b, c, d, picked, ...) picked
#define BEHIND_THE_FILE(...) PICK(__VA_ARGS__, MAP_4, MAP_3, MAP_2, 0)(__VA_ARGS__)
#define file_ram_alloc(block, memory, fd, ...) map_file(block, fd, BEHIND_THE_FILE(__VA_ARGS__))

#define ram_block_add(block, ...) (the_block = (block))
