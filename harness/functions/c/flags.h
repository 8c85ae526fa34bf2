/* The flags of a block of a kind; @kind is pcram_mirror::ram::Kind */
static uint32_t flags_of(int kind)
{
    switch (kind) {
    case 1:
        return 0;
    case 2:
#ifdef RAM_NAMED_FILE
        return RAM_MIGRATABLE | RAM_SHARED | RAM_NAMED_FILE;
#endif
    case 3:
        return RAM_MIGRATABLE | RAM_SHARED;
#ifdef RAM_EXTERNAL
    case 4:
        return RAM_MIGRATABLE | RAM_SHARED | RAM_EXTERNAL;
#endif
    default:
        return RAM_MIGRATABLE;
    }
}

/* Adds a block at the end of the list */
static void append(RAMBlock *block)
{
    RAMBlock *last = NULL, *each;

    QLIST_FOREACH(each, &ram_list.blocks, next) {
        last = each;
    }
    if (last) {
        QLIST_INSERT_AFTER(last, block, next);
    } else {
        QLIST_INSERT_HEAD(&ram_list.blocks, block, next);
    }
}
