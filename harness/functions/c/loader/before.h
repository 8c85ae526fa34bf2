/*
 * What writes into RAM at a reset needs around it.  What is written through an address space is told
 * by its address and length, what lies in a region has memory here.
 */

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
typedef struct CPUState { AddressSpace *as; } CPUState;
typedef struct CPUClass { void (*set_pc)(CPUState *cpu, uint64_t addr); } CPUClass;
typedef struct Rom Rom;

/* pcram_functions::loader::ffi::Did */
struct pcram_did { uint64_t what, addr, length; };
static struct pcram_did the_did[64];
static uint64_t did_count;

enum { WRITE, ZERO, FLUSH, BEGIN };
enum { STRETCH = 256 };

static void do_that(uint64_t what, uint64_t addr, uint64_t length)
{
    assert(did_count < sizeof(the_did) / sizeof(the_did[0]));
    the_did[did_count++] = (struct pcram_did){ what, addr, length };
}

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

#define qemu_register_reset(func, opaque) register_reset(func, opaque, false)
#define qemu_register_reset_nosnapshotload(func, opaque) register_reset(func, opaque, true)

static bool inmigrate, snapshot_pending;
enum { RUN_STATE_INMIGRATE };
#define runstate_check(state) inmigrate
#define qemu_loadvm_is_pending() snapshot_pending
#define load_snapshot_is_pending() snapshot_pending

#define memory_region_get_ram_ptr(mr) ((mr)->host)
#define address_space_write_rom(as, addr, attrs, data, size) do_that(WRITE, addr, size)
#define address_space_set(as, addr, byte, size, attrs) do_that(ZERO, addr, size)
#define dma_memory_write(as, addr, data, size, ...) do_that(WRITE, addr, size)
#define cpu_flush_icache_range(addr, size) do_that(FLUSH, addr, size)
#define address_space_flush_icache_range(as, addr, size) do_that(FLUSH, addr, size)
#define trace_loader_write_rom(...) ((void)0)
#define g_mapped_file_unref(file) ((void)(file))
#define g_free(data) ((void)(data))

static void set_pc(CPUState *cpu, uint64_t addr)
{
    do_that(BEGIN, addr, 0);
}

static CPUClass the_class = { set_pc };
#define CPU_GET_CLASS(cpu) (&the_class)
#define cpu_reset(cpu) ((void)(cpu))
#define cpu_set_pc(cpu, addr) set_pc(cpu, addr)
#define GENERIC_LOADER(opaque) ((GenericLoaderState *)(opaque))
typedef struct GenericLoaderState GenericLoaderState;
