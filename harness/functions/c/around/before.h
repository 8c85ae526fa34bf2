/*
 * What the functions around the save loop need around them, in 5.2 and later: as little as will do.
 *
 * What is asked of the rest of QEMU is said, in brackets, between the errors.
 */

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/uio.h>

#define TARGET_PAGE_MASK (~(uint64_t)(TARGET_PAGE_SIZE - 1))
#define TARGET_PAGE_ALIGN(n) ROUND_UP(n, TARGET_PAGE_SIZE)
#define HOST_PAGE_ALIGN(n) TARGET_PAGE_ALIGN(n)
#define REAL_HOST_PAGE_ALIGN(n) TARGET_PAGE_ALIGN(n)
#define qemu_host_page_size ((size_t)TARGET_PAGE_SIZE)
#define qemu_real_host_page_size() TARGET_PAGE_SIZE
#define qemu_target_page_size() ((size_t)TARGET_PAGE_SIZE)
#define RAM_ADDR_FMT "%" PRIx64
#define MAX(a, b) (((a) > (b)) ? (a) : (b))
#define QEMU_ALIGN_DOWN(n, d) ROUND_DOWN(n, d)
#define QEMU_IS_ALIGNED(n, d) ((n) % (d) == 0)
#define BITS_TO_LONGS(n) (((n) + BITS_PER_LONG - 1) / BITS_PER_LONG)
#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))
#define QEMU_PACKED __attribute__((packed))
#define unlikely(condition) (condition)
#define cpu_to_be32(n) __builtin_bswap32(n)
#define cpu_to_be64(n) __builtin_bswap64(n)
#define be32_to_cpu(n) __builtin_bswap32(n)
#define be64_to_cpu(n) __builtin_bswap64(n)
#define RAMBLOCK_FOREACH(block) INTERNAL_RAMBLOCK_FOREACH(block)

static inline void free_pointed(void *pointer)
{
    free(*(void **)pointer);
}

#define g_autofree __attribute__((cleanup(free_pointed)))
#define g_new0(type, count) ((type *)calloc(count, sizeof(type)))
#define g_renew(type, memory, count) ((type *)realloc(memory, (count) * sizeof(type)))
#define g_malloc0(size) calloc(1, size)
#define g_free(memory) free(memory)

/* How the migration was set up; pcram_functions::around::ffi::Settings */
struct pcram_settings {
    int32_t mode, ignore_shared, mapped_ram, multifd, flush_each_section, postcopy_ram;
    int32_t postcopy_advised, send_configuration, vmdesc, restore_vm, running, others_fail;
    int32_t fast_thread;
};
static struct pcram_settings set;
#define migrate_mapped_ram() set.mapped_ram
#define migrate_multifd() migrate_get_current()->capabilities[MIGRATION_CAPABILITY_MULTIFD]
#define migrate_multifd_flush_after_each_section() set.flush_each_section
#define migrate_postcopy_ram() set.postcopy_ram
#define migration_incoming_postcopy_advised() set.postcopy_advised
#define postcopy_is_advised() set.postcopy_advised
#define migration_is_running() set.running
#define migration_is_setup_or_active(state) set.running
#define migrate_use_compression() false
#define migration_incoming_colo_enabled() false
#define migration_incoming_in_colo_state() false
#define colo_cache_from_block_offset(block, offset, record) NULL
#define qemu_in_coroutine() false
#define qemu_get_current_aio_context() 0
#define qemu_coroutine_self() 0
#define aio_co_schedule(context, self) ((void)0)
#define qemu_coroutine_yield() ((void)0)

/* pcram_mirror::around::external::Capability::ALL */
typedef enum {
    MIGRATION_CAPABILITY_X_IGNORE_SHARED,
    MIGRATION_CAPABILITY_X_COLO,
    MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT,
    MIGRATION_CAPABILITY_POSTCOPY_RAM,
    MIGRATION_CAPABILITY_MAPPED_RAM,
    MIGRATION_CAPABILITY_XBZRLE,
    MIGRATION_CAPABILITY_RDMA_PIN_ALL,
    MIGRATION_CAPABILITY_AUTO_CONVERGE,
    MIGRATION_CAPABILITY_ZERO_BLOCKS,
    MIGRATION_CAPABILITY_COMPRESS,
    MIGRATION_CAPABILITY_RELEASE_RAM,
    MIGRATION_CAPABILITY_RETURN_PATH,
    MIGRATION_CAPABILITY_PAUSE_BEFORE_SWITCHOVER,
    MIGRATION_CAPABILITY_MULTIFD,
    MIGRATION_CAPABILITY_DIRTY_BITMAPS,
    MIGRATION_CAPABILITY_POSTCOPY_BLOCKTIME,
    MIGRATION_CAPABILITY_LATE_BLOCK_ACTIVATE,
    MIGRATION_CAPABILITY_VALIDATE_UUID,
    MIGRATION_CAPABILITY_ZERO_COPY_SEND,
    MIGRATION_CAPABILITY_POSTCOPY_PREEMPT,
    MIGRATION_CAPABILITY_SWITCHOVER_ACK,
    MIGRATION_CAPABILITY_DIRTY_LIMIT,
    MIGRATION_CAPABILITY__MAX,
} MigrationCapability;

static const char *MigrationCapability_str(MigrationCapability cap)
{
    static const char *const names[] = {
        "x-ignore-shared", "x-colo", "background-snapshot", "postcopy-ram", "mapped-ram",
        "xbzrle", "rdma-pin-all", "auto-converge", "zero-blocks", "compress", "release-ram",
        "return-path", "pause-before-switchover", "multifd", "dirty-bitmaps", "postcopy-blocktime",
        "late-block-activate", "validate-uuid", "zero-copy-send", "postcopy-preempt",
        "switchover-ack", "dirty-limit",
    };

    return names[cap];
}

typedef struct JSONWriter { int nothing; } JSONWriter;
static JSONWriter the_description;
typedef struct {
    bool send_configuration;
    int state;
    JSONWriter *vmdesc;
    /* The second is its name before 8.1 */
    union {
        bool capabilities[MIGRATION_CAPABILITY__MAX];
        bool enabled_capabilities[MIGRATION_CAPABILITY__MAX];
    };
} MigrationState;
typedef struct {
    RAMBlock *last_recv_block[RAM_CHANNEL_MAX];
    void *transport_data;
} MigrationIncomingState;
static MigrationState the_migration;
static MigrationIncomingState the_incoming;
#define migrate_get_current() (&the_migration)
#define migration_incoming_get_current() (&the_incoming)

struct MemoryRegion { uint64_t addr, size; bool readonly; };
#define memory_region_size(mr) ((mr)->size)
#define memory_region_set_size(mr, bytes) ((mr)->size = (bytes))
#define cpu_physical_memory_clear_dirty_range(...) ((void)0)
#define cpu_physical_memory_set_dirty_range(...) ((void)0)
#define physical_memory_clear_dirty_range(...) ((void)0)
#define physical_memory_set_dirty_range(...) ((void)0)
#define ram_block_notify_resize(...) ((void)0)
#define qemu_ram_get_used_length(block) ((block)->used_length)

/* What was said */
static char said[1 << 18];
static size_t said_len;

static void vsay(const char *format, va_list arguments)
{
    size_t room = sizeof(said) - said_len;
    size_t length = vsnprintf(said + said_len, room, format, arguments);

    assert(length + 1 < room);
    said_len += length;
    said[said_len++] = '\n';
}

__attribute__((format(printf, 1, 2))) static void say(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    vsay(format, arguments);
    va_end(arguments);
}

#define error_report(...) say(__VA_ARGS__)
#define error_report_once(...) say(__VA_ARGS__)
#define warn_report(...) say(__VA_ARGS__)
#define qemu_loadvm_state_cleanup() say("(cleanup)")
#define multifd_recv_sync_main() say("(multifd sync)")
#define migration_clear_memory_region_dirty_bitmap_range(block, start, pages) \
    say("(clear %s %zu %zu)", (block)->idstr, (size_t)(start), (size_t)(pages))

/* error.h, for errors that are always wanted */
struct Error { char text[2048]; };
#define ERRP_GUARD() ((void)0)

__attribute__((format(printf, 2, 3))) static void error_setg(Error **errp, const char *format, ...)
{
    va_list arguments;

    assert(!*errp);
    *errp = g_new0(Error, 1);
    va_start(arguments, format);
    vsnprintf((*errp)->text, sizeof((*errp)->text), format, arguments);
    va_end(arguments);
}

__attribute__((format(printf, 2, 3))) static void error_prepend(Error **errp, const char *format, ...)
{
    Error *first = g_new0(Error, 1);
    va_list arguments;

    va_start(arguments, format);
    vsnprintf(first->text, sizeof(first->text), format, arguments);
    va_end(arguments);
    strncat(first->text, (*errp)->text, sizeof(first->text) - strlen(first->text) - 1);
    g_free(*errp);
    *errp = first;
}

#define error_setg_errno(errp, number, format, ...) \
    error_setg(errp, format ": %s", ##__VA_ARGS__, strerror(number))

static void error_report_err(Error *err)
{
    say("%s", err->text);
    g_free(err);
}

/* bitmap.h */
#define find_first_bit(addr, size) find_next_bit(addr, size, 0)

static inline unsigned long find_next_zero_bit(const unsigned long *addr, unsigned long size,
                                               unsigned long at)
{
    while (at < size && (addr[at / BITS_PER_LONG] >> (at % BITS_PER_LONG) & 1)) {
        at++;
    }
    return at < size ? at : size;
}

static inline void set_bit(long nr, unsigned long *addr)
{
    addr[nr / BITS_PER_LONG] |= 1UL << (nr % BITS_PER_LONG);
}

#define set_bit_atomic(nr, addr) set_bit(nr, addr)
#define test_bit(nr, addr) (((addr)[(nr) / BITS_PER_LONG] >> ((nr) % BITS_PER_LONG)) & 1)
#define bitmap_new(bits) g_new0(unsigned long, BITS_TO_LONGS(bits))

static inline long bitmap_count_one_with_offset(const unsigned long *addr, long at, long bits)
{
    long count = 0;

    for (; bits > 0; bits--, at++) {
        count += addr[at / BITS_PER_LONG] >> (at % BITS_PER_LONG) & 1;
    }
    return count;
}

static inline void bitmap_clear(unsigned long *addr, long at, long bits)
{
    for (; bits > 0; bits--, at++) {
        addr[at / BITS_PER_LONG] &= ~(1UL << (at % BITS_PER_LONG));
    }
}
