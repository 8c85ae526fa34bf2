/* memory.c, over a block that has room for no more than its address */
static RAMBlock the_block;

static int memory_region_init_ram_from_fd(MemoryRegion *mr, void *dev, const char *name,
                                          uint64_t size, int fd)
{
    if (HAS(CANNOT_MAP)) {
        return -ENOMEM;
    }
    if (!size) {
        /* What mmap() says */
        return -EINVAL;
    }
    memset(&the_block, 0, sizeof(the_block));
    the_block.host = mr->host = (void *)the_room;
    the_block.length = size;
    the_block.fd = fd;
    the_block.flags = RAM_EXTERNAL_MASK;
    strcpy(the_block.idstr, name);
    QLIST_INIT(&ram_list.blocks);
    QLIST_INSERT_HEAD(&ram_list.blocks, &the_block, next);
    return 0;
}
