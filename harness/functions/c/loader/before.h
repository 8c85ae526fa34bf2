/*
 * What writes into RAM at a reset needs around it.  What is written through an address space is told
 * by its address and length, what lies in a region has memory here.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef uint64_t hwaddr;
typedef struct AddressSpace { int nothing; } AddressSpace;
typedef struct MemoryRegion { uint8_t *host; } MemoryRegion;
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

static void do_that(uint64_t what, uint64_t addr, uint64_t length)
{
    assert(did_count < sizeof(the_did) / sizeof(the_did[0]));
    the_did[did_count++] = (struct pcram_did){ what, addr, length };
}

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
