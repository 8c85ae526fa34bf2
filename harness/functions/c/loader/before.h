/*
 * What writes into RAM at a reset needs around it.  What is written through an address space is told
 * by its address and length, what lies in a region has memory here.
 */

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t hwaddr;
typedef struct AddressSpace { const char *name; } AddressSpace;
typedef struct MemoryRegion { uint8_t *host; bool rom; } MemoryRegion;
typedef struct MemoryRegionSection { MemoryRegion *mr; uint64_t size; } MemoryRegionSection;
typedef struct GMappedFile { int nothing; } GMappedFile;
typedef struct DeviceState { int nothing; } DeviceState;
typedef struct CPUState { AddressSpace *as; bool was_reset; } CPUState;
typedef struct CPUClass { void (*set_pc)(CPUState *cpu, uint64_t addr); } CPUClass;
typedef struct Rom Rom;

/* pcram_functions::loader::ffi::RawDid; the processor counts from 1 */
struct pcram_did { uint64_t what, addr, length, cpu, data; };
static struct pcram_did the_did[512];
static uint64_t did_count;

enum { WRITE, ZERO, FLUSH, BEGIN, STORE, LOAD, CALL };
/* pcram_mirror::loader::Call */
enum {
    INIT_BOARD, CREATE_DEVICES, LOAD_SNAPSHOT, RESUME_RUNNING, RESUME_AS_BEFORE, REPLAY, INCOMING,
    CONTINUE, FLUSH_EVENTS, DRAIN_BEGIN, LOAD_STATE, DRAIN_END
};
enum { STRETCH = 256 };

static struct pcram_did *do_that(uint64_t what, uint64_t addr, uint64_t length)
{
    assert(did_count < sizeof(the_did) / sizeof(the_did[0]));
    the_did[did_count] = (struct pcram_did){ what, addr, length };
    return &the_did[did_count++];
}

#define call(what) ((void)do_that(CALL, what, 0))

static char the_said[4096];

static void say(const char *format, ...)
{
    size_t used = strlen(the_said);
    va_list ap;

    va_start(ap, format);
    vsnprintf(the_said + used, sizeof(the_said) - used, format, ap);
    va_end(ap);
}

#define error_report(...) (say(__VA_ARGS__), say("\n"))
#define error_printf(...) say(__VA_ARGS__)
#define fprintf(stream, ...) say(__VA_ARGS__)

/* The machine has RAM, ROM and nothing in turn, as rig.rs has it; what is found is held */
static MemoryRegion system_memory, the_ram, the_rom = { .rom = true };
static int held;
#define get_system_memory() (&system_memory)
#define int128_nz(size) (size)
#define memory_region_unref(mr) (held -= !!(mr))

static MemoryRegionSection memory_region_find(MemoryRegion *mr, hwaddr addr, uint64_t size)
{
    MemoryRegion *there[] = { &the_ram, &the_rom, NULL };

    if (mr == &system_memory) {
        mr = there[addr / STRETCH % 3];
    }
    held += !!mr;
    return (MemoryRegionSection){ mr, mr ? size : 0 };
}

static bool memory_region_is_rom(MemoryRegion *mr)
{
    assert(mr);
    return mr->rom;
}

/* hw/core/reset.c: what resets call, in this order */
typedef void QEMUResetHandler(void *opaque);
static struct { QEMUResetHandler *func; void *opaque; bool left_out; } handlers[16];
static int registered;

static void register_reset(QEMUResetHandler *func, void *opaque, bool left_out)
{
    assert(registered < sizeof(handlers) / sizeof(handlers[0]));
    handlers[registered].func = func;
    handlers[registered].opaque = opaque;
    handlers[registered++].left_out = left_out;
}

static void devices_reset(bool within_loadvm)
{
    int i;

    for (i = 0; i < registered; i++) {
        if (!within_loadvm || !handlers[i].left_out) {
            handlers[i].func(handlers[i].opaque);
        }
    }
}

#define qemu_register_reset(func, opaque) register_reset(func, opaque, false)
#define qemu_register_reset_nosnapshotload(func, opaque) register_reset(func, opaque, true)

static bool inmigrate;
enum { RUN_STATE_INMIGRATE };
#define runstate_check(state) inmigrate

#define memory_region_get_ram_ptr(mr) ((mr)->host)
#define address_space_write_rom(as, addr, attrs, data, size) do_that(WRITE, addr, size)
#define address_space_set(as, addr, byte, size, attrs) do_that(ZERO, addr, size)
#define cpu_flush_icache_range(addr, size) do_that(FLUSH, addr, size)
#define address_space_flush_icache_range(as, addr, size) do_that(FLUSH, addr, size)
#define trace_loader_write_rom(...) ((void)0)
#define g_mapped_file_unref(file) ((void)(file))
#define g_free(data) ((void)(data))

/* Processors, each with an address space */
static AddressSpace cpu_spaces[2];
static CPUState the_cpus[2] = { { &cpu_spaces[0] }, { &cpu_spaces[1] } };
static uint32_t cpu_count;
#define first_cpu (cpu_count ? &the_cpus[0] : NULL)
#define qemu_get_cpu(index) ((uint32_t)(index) < cpu_count ? &the_cpus[index] : NULL)
#define cpu_reset(cpu) ((cpu)->was_reset = true)

static uint64_t cpu_of(AddressSpace *as)
{
    return as ? as - cpu_spaces + 1 : 0;
}

static void set_pc(CPUState *cpu, uint64_t addr)
{
    assert(cpu->was_reset);
    cpu->was_reset = false;
    do_that(BEGIN, addr, 0)->cpu = cpu_of(cpu->as);
}

static CPUClass the_class = { set_pc };
#define CPU_GET_CLASS(cpu) (&the_class)
#define cpu_set_pc(cpu, addr) set_pc(cpu, addr)
#define target_words_bigendian() 0
#define cpu_to_be64(data) __builtin_bswap64(data)
#define cpu_to_le64(data) (data)

static void store(AddressSpace *as, hwaddr addr, const void *data, uint64_t size)
{
    struct pcram_did *did = do_that(STORE, addr, size);

    did->cpu = cpu_of(as);
    memcpy(&did->data, data, size);
}

#define dma_memory_write(as, addr, data, size, ...) store(as, addr, data, size)

typedef struct Error { char text[256]; } Error;
static Error the_error;

static void error_setg(Error **errp, const char *format, ...)
{
    va_list ap;

    assert(!*errp);
    va_start(ap, format);
    vsnprintf(the_error.text, sizeof(the_error.text), format, ap);
    va_end(ap);
    *errp = &the_error;
}

static inline void error_prepend(Error **errp, const char *format, ...)
{
    Error behind = **errp;
    va_list ap;

    va_start(ap, format);
    vsnprintf(the_error.text, sizeof(the_error.text), format, ap);
    va_end(ap);
    strncat(the_error.text, behind.text, sizeof(the_error.text) / 2);
}

/* The file of a device: as what it can be loaded, or -1 where it cannot be read */
static struct { int format; uint64_t entry; } the_file;
enum { ELF, UIMAGE, HEX, IMAGE };
enum { ELFDATANONE };
/* How much RAM there is, a variable of its own in 5.2 */
static uint64_t ram_size = 1 << 20;
static struct { uint64_t ram_size; } the_machine = { 1 << 20 };
#define current_machine (&the_machine)

static int load_file(int format, hwaddr addr, uint64_t most, AddressSpace *as)
{
    struct pcram_did *did = do_that(LOAD, addr, most);

    did->cpu = cpu_of(as);
    did->data = format;
    return format == the_file.format || (format == IMAGE && the_file.format >= 0) ? 0 : -1;
}

static int load_as(int format, uint64_t *entry, AddressSpace *as)
{
    *entry = the_file.entry;
    return load_file(format, 0, 0, as);
}

static int load_image(hwaddr addr, uint64_t most, AddressSpace *as, Error **errp)
{
    int size = load_file(IMAGE, addr, most, as);

    if (size < 0 && errp) {
        error_setg(errp, "it cannot be read");
    }
    return size;
}

#define load_elf_as(file, fn, translate, opaque, entry, low, high, flags, endian, machine,  \
                    clear_lsb, data_swab, as)                                               \
    load_as(ELF, entry, as)
#define load_uimage_as(file, entry, addr, is_linux, translate, opaque, as)                  \
    load_as(UIMAGE, entry, as)
#define load_targphys_hex_as(file, entry, as) load_as(HEX, entry, as)
/* Only in 10.2, it says why it fails */
#define load_image_targphys_as(file, addr, most, as, ...)                                   \
    load_image(addr, most, as, ((Error **[1]){ __VA_ARGS__ })[0])

#define GENERIC_LOADER(opaque) ((GenericLoaderState *)(opaque))
typedef struct GenericLoaderState GenericLoaderState;
