/* How the functions above are called from outside. */

static Rom the_roms[8];
static MemoryRegion the_regions[8];
static GenericLoaderState the_loader;
static CPUState the_cpu;
static int used;

void pcram_begin(uint64_t addr, int data_len, int with_pc)
{
    QTAILQ_INIT(&roms);
    used = 0;
    memset(&the_loader, 0, sizeof(the_loader));
    the_loader.cpu = &the_cpu;
    the_loader.addr = addr;
    the_loader.data_len = data_len;
    the_loader.set_pc = with_pc;
}

/* Adds an image; @host is NULL where it is in no region */
void pcram_add(int fw_file, int isrom, uint8_t *data, uint64_t datasize, uint64_t romsize,
               uint8_t *host, uint64_t addr)
{
    Rom *rom = &the_roms[used];

    memset(rom, 0, sizeof(*rom));
    rom->name = "an image";
    rom->fw_file = fw_file ? "a file" : NULL;
    rom->isrom = isrom;
    rom->data = data;
    rom->datasize = datasize;
    rom->romsize = romsize;
    rom->addr = addr;
    if (host) {
        the_regions[used].host = host;
        rom->mr = &the_regions[used];
    }
    used++;
    QTAILQ_INSERT_TAIL(&roms, rom, next);
}

/* Resets all, and sets a bit in @kept for each image that is; gives whether QEMU goes on */
int pcram_reset(int migration, int snapshot, uint64_t *kept, const struct pcram_did **did,
                uint64_t *count)
{
    int i;

    inmigrate = migration;
    snapshot_pending = snapshot;
    did_count = 0;
    if (setjmp(aborted)) {
        return 0;
    }
    rom_reset(NULL);
    generic_loader_reset(&the_loader);
    *did = the_did;
    *count = did_count;
    for (i = 0; i < used; i++) {
        *kept |= (uint64_t)!!the_roms[i].data << i;
    }
    return 1;
}
