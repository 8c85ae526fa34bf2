/*
 * What QEMU 1.0's functions of RAM blocks need around them: as little as will do.
 *
 * The types and functions of RAM are the tree's own.  What is here stands for the rest of QEMU: a
 * stream that goes to a buffer, a clock that is told what to say, and an abort() that returns.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define TARGET_PAGE_BITS 12
#define TARGET_PAGE_SIZE (1 << TARGET_PAGE_BITS)
#define TARGET_PAGE_MASK ~(TARGET_PAGE_SIZE - 1)
#define TARGET_PAGE_ALIGN(addr) (((addr) + TARGET_PAGE_SIZE - 1) & TARGET_PAGE_MASK)
#define TARGET_PHYS_ADDR_MAX UINT64_MAX

/* cpu-common.h, on a 64-bit host without Xen */
typedef unsigned long ram_addr_t;
#define RAM_ADDR_MAX ULONG_MAX
#define RAM_ADDR_FMT "%" PRIxPTR
#ifndef ULONG_MAX
#define ULONG_MAX UINT64_MAX
#endif

#define MIN(a, b) (((a) < (b)) ? (a) : (b))
#define MAX(a, b) (((a) > (b)) ? (a) : (b))
#define smp_wmb() do { } while (0)

typedef struct Monitor Monitor;

/* The stream, and what the functions ask of the world; pcram_functions::v1_0::ffi::File */
typedef struct QEMUFile {
    uint8_t *out;
    uint64_t out_len, out_cap;
    const uint8_t *in;
    uint64_t in_len, in_at;
    uint64_t xfer_limit, section_at;
    uint64_t fail_in;
    int64_t clock[2];
    uint64_t clock_at;
    uint64_t max_downtime;
    int32_t sync_fails;
    int32_t error;
} QEMUFile;

static QEMUFile *the_file;
static jmp_buf aborted;

#define abort() longjmp(aborted, 1)
#define assert(condition) do { if (!(condition)) { abort(); } } while (0)
#define fprintf(...) ((void)0)
#define error_report(...) ((void)0)

static void qemu_put_buffer(QEMUFile *f, const uint8_t *buf, int size)
{
    if (f->out_len + size > f->out_cap) {
        abort();
    }
    memcpy(f->out + f->out_len, buf, size);
    f->out_len += size;
}

/* savevm.c: at its end, the file has an error from then on */
static int qemu_get_buffer(QEMUFile *f, uint8_t *buf, int size)
{
    uint64_t left = f->in_len - f->in_at;

    if ((uint64_t)size > left) {
        f->error = -EIO;
        size = left;
    }
    memcpy(buf, f->in + f->in_at, size);
    f->in_at += size;
    return size;
}

static inline int qemu_get_byte(QEMUFile *f)
{
    uint8_t byte = 0;

    qemu_get_buffer(f, &byte, 1);
    return byte;
}

static inline uint64_t qemu_get_be64(QEMUFile *f)
{
    uint64_t v = 0;
    int i;

    for (i = 0; i < 8; i++) {
        v = v << 8 | qemu_get_byte(f);
    }
    return v;
}

static inline uint32_t qemu_get_be32(QEMUFile *f)
{
    uint32_t v = 0;
    int i;

    for (i = 0; i < 4; i++) {
        v = v << 8 | qemu_get_byte(f);
    }
    return v;
}

static int qemu_file_get_error(QEMUFile *f)
{
    return f->error;
}

static void qemu_file_set_error(QEMUFile *f, int error)
{
    f->error = error;
}

/* buffered_file.c: an error, or whether more was sent since the section began than may be */
static int qemu_file_rate_limit(QEMUFile *f)
{
    if (f->fail_in && !--f->fail_in) {
        f->error = -EIO;
    }
    if (f->error) {
        return f->error;
    }
    return f->out_len - f->section_at > f->xfer_limit;
}

enum { rt_clock };

static int64_t qemu_get_clock_ns(int clock)
{
    return the_file->clock[the_file->clock_at++ & 1];
}

static uint64_t migrate_max_downtime(void)
{
    return the_file->max_downtime;
}

static int in_migration;

static int cpu_physical_memory_set_dirty_tracking(int enable)
{
    in_migration = enable;
    return 0;
}

static int cpu_physical_sync_dirty_bitmap(uint64_t start, uint64_t end)
{
    return the_file->sync_fails;
}

/* Memory comes from here, and is given back by pcram_reset() */
static union {
    uint8_t bytes[16 << 10];
    uint64_t aligned;
} heap;
static size_t heap_used;

static void *g_malloc0(size_t size)
{
    void *memory = heap.bytes + heap_used;

    heap_used += (size + 15) & ~15;
    if (heap_used > sizeof(heap)) {
        abort();
    }
    return memset(memory, 0, size);
}

#define g_malloc g_malloc0
#define g_free(memory) ((void)(memory))

/* The dirty flags are as far as anybody may look behind their end, and zero there */
static uint8_t dirty_flags[4096];

static void *g_realloc(void *memory, size_t size)
{
    memset(dirty_flags + size, 0, sizeof(dirty_flags) - size);
    return dirty_flags;
}

#define pstrcat(to, size, from) strncat(to, from, (size) - strlen(to) - 1)
#define pstrcpy(to, size, from) strncpy(to, from, (size) - 1)
#define kvm_enabled() 0
#define kvm_has_sync_mmu() 1
#define kvm_setup_guest_memory(host, size) ((void)0)
#define xen_enabled() 0
#define xen_ram_alloc(offset, size) ((void)0)
#define xen_map_cache(addr, size, lock) NULL
#define xen_invalidate_map_cache_entry(host) ((void)0)
#define qemu_madvise(host, size, advice) ((void)0)
#define QEMU_MADV_MERGEABLE 0
#define QEMU_MADV_DONTNEED 0

static const char *mem_path;

/* pcram_functions::v1_0::ffi::RawGivenBack */
static struct pcram_given_back {
    uint64_t unmapped, closed, freed;
} given_back;

/* The memory of the next block, and its size: a file of that size maps to it */
static uint8_t *next_host;
static uint64_t next_size;
#define NEXT_FD 1000

static inline int open_next(const char *path, int flags)
{
    return !strcmp(path, "the file") && flags == O_RDWR ? NEXT_FD : -1;
}

static inline int stat_next(int fd, struct stat *st)
{
    st->st_size = next_size;
    return fd == NEXT_FD ? 0 : -1;
}

static inline void *map_next(void *addr, size_t length, int prot, int flags, int fd, off_t offset)
{
    bool is_it = !addr && length == next_size && prot == (PROT_READ | PROT_WRITE) &&
                 flags == MAP_SHARED && fd == NEXT_FD && !offset;

    return is_it ? next_host : MAP_FAILED;
}

#define open(path, flags) open_next(path, flags)
#define fstat(fd, st) stat_next(fd, st)
#define mmap(addr, length, prot, flags, fd, offset)                                     \
    map_next(addr, length, prot, flags, fd, offset)
#define munmap(host, length) (given_back.unmapped += (length))
#define close(fd) (given_back.closed += (fd) == NEXT_FD)
#define file_ram_alloc(block, size, path) NULL
#define qemu_vmalloc(size) next_host
#define qemu_vfree(host) ((void)given_back.freed++)

/* No device has a path, and there is no processor whose TLB would have to know */
typedef struct DeviceState {
    struct {
        struct {
            char *(*get_dev_path)(struct DeviceState *dev);
        } *info;
    } *parent_bus;
} DeviceState;

#define NB_MMU_MODES 1
#define CPU_TLB_SIZE 1
typedef struct CPUState {
    struct CPUState *next_cpu;
    int tlb_table[NB_MMU_MODES][CPU_TLB_SIZE];
} CPUState;
static CPUState *first_cpu;
#define tlb_reset_dirty_range(entry, start, length) ((void)0)
