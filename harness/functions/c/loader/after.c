/* How the functions above are called from outside. */

static Rom the_roms[8];
static MemoryRegion the_regions[8];
static AddressSpace the_spaces[] = { { "memory" }, { NULL } };
static GenericLoaderState the_loaders[8];
static int used, used_loaders;

/* pcram_functions::loader::ffi::RawLeft */
struct pcram_left {
    const struct pcram_did *did;
    uint64_t did_count;
    const char *said;
    /* Of each image a bit: whether it lies in ROM, and whether it is kept */
    uint64_t isrom, kept;
    int loaded, pending;
};

void pcram_begin(uint32_t cpus)
{
    QTAILQ_INIT(&roms);
    roms_loaded = used = used_loaders = registered = held = 0;
    cpu_count = cpus;
    FORGET();
}

/* Adds an image; @host is NULL where it is in no region, @space is -1 where it is in no space */
void pcram_add(int fw_file, int region_is_rom, uint8_t *data, uint64_t datasize, uint64_t romsize,
               uint8_t *host, uint64_t addr, int space)
{
    static char names[8][8] = { "image0", "image1", "image2", "image3",
                                "image4", "image5", "image6", "image7" };
    Rom *rom = &the_roms[used];

    memset(rom, 0, sizeof(*rom));
    rom->name = names[used];
    rom->fw_file = fw_file ? "a file" : NULL;
    rom->data = data;
    rom->datasize = datasize;
    rom->romsize = romsize;
    rom->addr = addr;
    rom->as = space < 0 ? NULL : &the_spaces[space];
    if (host) {
        the_regions[used].host = host;
        the_regions[used].rom = region_is_rom;
        rom->mr = &the_regions[used];
    }
    used++;
    QTAILQ_INSERT_TAIL(&roms, rom, next);
}

/* These give whether QEMU goes on; what they leave is the C's until the next call */
static void begin_step(void)
{
    did_count = 0;
    the_said[0] = '\0';
}

int pcram_check(int *came)
{
    begin_step();
    if (setjmp(aborted)) {
        return 0;
    }
    *came = rom_check_and_register_reset();
    assert(!held);
    return 1;
}

/* pcram_functions::loader::ffi::RawOptions; the format is -2 where there is no file */
struct pcram_options {
    uint64_t data, addr, entry;
    uint32_t cpu_num;
    int32_t format;
    uint8_t data_len, data_be, force_raw;
};

/* The reset of a device that is gone, as it was refused, or that has no processor to write by */
static void reset_of_none(void *opaque)
{
    abort();
}

/* Says what an error says, and gives whether there is one */
static bool say_error(Error *error)
{
    if (error) {
        say("%s", error->text);
    }
    return error;
}

int pcram_realize(const struct pcram_options *options, int *came)
{
    GenericLoaderState *s = &the_loaders[used_loaders++];
    Error *error = NULL;
    int i;

    begin_step();
    memset(s, 0, sizeof(*s));
    s->data = options->data;
    s->data_len = options->data_len;
    s->data_be = options->data_be;
    s->file = options->format == -2 ? NULL : "an image";
    s->force_raw = options->force_raw;
    s->addr = options->addr;
    s->cpu_num = options->cpu_num;
    the_file.format = options->format;
    the_file.entry = options->entry;
    if (setjmp(aborted)) {
        return 0;
    }
    generic_loader_realize((DeviceState *)s, &error);
    *came = error ? -1 : 0;
    if (say_error(error) || (s->data_len && !s->cpu)) {
        for (i = 0; i < registered; i++) {
            if (handlers[i].opaque == s) {
                handlers[i].func = reset_of_none;
            }
        }
    }
    return 1;
}

void pcram_announce(void)
{
    begin_step();
    ANNOUNCE();
}

int pcram_reset(int migration)
{
    begin_step();
    inmigrate = migration;
    if (setjmp(aborted)) {
        return 0;
    }
    devices_reset(false);
    return 1;
}

int pcram_loadvm(int disk, int migration, int *came)
{
    Error *error = NULL;

    begin_step();
    inmigrate = migration;
    if (setjmp(aborted)) {
        return 0;
    }
    *came = LOADVM(disk, &error);
    say_error(error);
    return 1;
}

#ifdef PCRAM_STARTS
int pcram_exit_preconfig(const struct pcram_start *start, int *came)
{
    Error *error = NULL;

    begin_step();
    the_start = start;
    inmigrate = start->comes != NO_MIGRATION;
    if (setjmp(aborted)) {
        return 0;
    }
    qmp_x_exit_preconfig(&error);
    *came = error ? -1 : 0;
    say_error(error);
    return 1;
}
#endif

void pcram_left(struct pcram_left *left)
{
    int i;

    *left = (struct pcram_left){ the_did, did_count, the_said, 0, 0, roms_loaded, !!PENDING };
    for (i = 0; i < used; i++) {
        left->isrom |= (uint64_t)!!the_roms[i].isrom << i;
        left->kept |= (uint64_t)!!the_roms[i].data << i;
    }
}
