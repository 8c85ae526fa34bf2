/*
 * What the functions around the save loop need around them, in 5.2 and later: as little as will do.
 *
 * What is asked of the rest of QEMU is said, in brackets, between the errors.
 */

#include <errno.h>
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
    int32_t postcopy_advised, send_configuration, restore_vm, running, others_fail, fast_thread;
};
static struct pcram_settings set;
#define migrate_mapped_ram() set.mapped_ram
#define migrate_multifd() set.multifd
#define migrate_multifd_flush_after_each_section() set.flush_each_section
#define migrate_postcopy_ram() set.postcopy_ram
#define migration_incoming_postcopy_advised() set.postcopy_advised
#define postcopy_is_advised() set.postcopy_advised
#define migration_is_running() set.running
#define migration_is_setup_or_active(state) set.running
#define runstate_check(state) set.restore_vm
#define migrate_use_compression() false
#define migration_incoming_colo_enabled() false
#define migration_incoming_in_colo_state() false
#define colo_cache_from_block_offset(block, offset, record) NULL
#define qemu_in_coroutine() false
#define qemu_get_current_aio_context() 0
#define qemu_coroutine_self() 0
#define aio_co_schedule(context, self) ((void)0)
#define qemu_coroutine_yield() ((void)0)

typedef struct { bool send_configuration; int state; } MigrationState;
typedef struct { RAMBlock *last_recv_block[RAM_CHANNEL_MAX]; } MigrationIncomingState;
static MigrationState the_migration;
static MigrationIncomingState the_incoming;
#define migrate_get_current() (&the_migration)
#define migration_incoming_get_current() (&the_incoming)

struct MemoryRegion { uint64_t addr, size; };
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

/*
 * A stream that is read out of a buffer, or written to one, as pieces: where each goes, its length and
 * its bytes; pcram_functions::around::ffi::File
 */
typedef struct QEMUFile {
    uint8_t *out;
    uint64_t out_len, out_cap, out_at;
    const uint8_t *in;
    uint64_t in_len, in_at;
    int32_t error;
} QEMUFile;

#define qemu_file_get_error(f) ((f)->error)

/* The first error stays */
static void qemu_file_set_error(QEMUFile *f, int error)
{
    if (!f->error) {
        f->error = error;
    }
}

static void qemu_file_get_error_obj(QEMUFile *f, Error **errp)
{
    if (f->error) {
        error_setg_errno(errp, -f->error, "the file has an error");
    }
}

static void qemu_put_buffer_at(QEMUFile *f, const uint8_t *buf, size_t size, uint64_t at)
{
    uint64_t piece[2] = { at, size };

    if (f->error) {
        return;
    }
    if (!buf && size) {
        f->error = -EFAULT;
        return;
    }
    assert(f->out_len + sizeof(piece) + size <= f->out_cap);
    memcpy(f->out + f->out_len, piece, sizeof(piece));
    if (size) {
        memcpy(f->out + f->out_len + sizeof(piece), buf, size);
    }
    f->out_len += sizeof(piece) + size;
}

static void qemu_put_buffer(QEMUFile *f, const uint8_t *buf, size_t size)
{
    qemu_put_buffer_at(f, buf, size, f->out_at);
    f->out_at += f->error ? 0 : size;
}

#define qemu_get_offset(f) ((f)->out_at)
#define ram_transferred_add(bytes) (transferred += (bytes))
static uint64_t transferred;

static void qemu_set_offset(QEMUFile *f, int64_t at, int whence)
{
    if (at < 0) {
        qemu_file_set_error(f, -EIO);
    } else if (f->in) {
        f->in_at = at;
    } else {
        f->out_at = at;
    }
}

/* At its end, the file has an error from then on */
static size_t qemu_get_buffer(QEMUFile *f, uint8_t *buf, size_t size)
{
    uint64_t left = f->in_at < f->in_len ? f->in_len - f->in_at : 0;

    if (size > left) {
        qemu_file_set_error(f, -EIO);
        size = left;
    }
    memcpy(buf, f->in + f->in_at, size);
    f->in_at += size;
    return size;
}

/* All or nothing */
static size_t qemu_get_buffer_at(QEMUFile *f, uint8_t *buf, size_t size, uint64_t at)
{
    if (f->error || !size) {
        return 0;
    }
    if (at > f->in_len || size > f->in_len - at) {
        qemu_file_set_error(f, -EIO);
        return 0;
    }
    memcpy(buf, f->in + at, size);
    return size;
}

static size_t ram_load_multifd_pages(void *host, size_t size, uint64_t at);

static int qemu_get_byte(QEMUFile *f)
{
    uint8_t byte = 0;

    qemu_get_buffer(f, &byte, 1);
    return byte;
}

static int qemu_peek_byte(QEMUFile *f, int offset)
{
    uint64_t at = f->in_at;
    int byte = qemu_get_byte(f);

    f->in_at = at;
    return byte;
}

#define qemu_file_skip(f, size) ((f)->in_at += (size))

static uint64_t get_number(QEMUFile *f, int bytes)
{
    uint64_t number = 0;

    while (bytes--) {
        number = number << 8 | qemu_get_byte(f);
    }
    return number;
}

#define qemu_get_be32(f) ((uint32_t)get_number(f, 4))
#define qemu_get_be64(f) get_number(f, 8)

/* A configuration section is one byte: whether it cannot be loaded */
#define vmstate_load_state(f, ...) (qemu_get_byte(f) ? -EINVAL : 0)

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

static inline void set_bit_atomic(long nr, unsigned long *addr)
{
    addr[nr / BITS_PER_LONG] |= 1UL << (nr % BITS_PER_LONG);
}

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

/* What is asked of RDMA and of xbzrle */
enum { RAM_CONTROL_BLOCK_REG, RAM_CONTROL_HOOK };

static int ask_rdma(const char *idstr)
{
    say("(rdma %s)", idstr ? idstr : "");
    return set.others_fail ? -EINVAL : 0;
}

#define rdma_block_notification_handle(f, idstr) ask_rdma(idstr)
#define rdma_registration_handle(f) ask_rdma(NULL)
#define ram_control_load_hook(f, what, idstr) qemu_file_set_error(f, ask_rdma(idstr))

static int load_xbzrle(QEMUFile *f, uint64_t addr, void *host)
{
    say("(xbzrle)");
    return set.others_fail ? -1 : 0;
}

#define compressBound(size) (size)
#define decompress_data_with_multi_threads(f, host, length) ((void)0)
#define wait_for_decompress_done() 0
#define trace_ram_load_loop(...) ((void)0)
#define trace_skip_sample_ramblock(...) ((void)0)
#define trace_multifd_recv_unfill(...) ((void)0)

static struct {
    QemuMutex bitmap_mutex;
    uint64_t migration_dirty_pages;
} the_ram_state, *ram_state = &the_ram_state;

typedef int (RAMBlockIterFunc)(RAMBlock *block, void *opaque);

typedef enum {
    MIGRATION_CAPABILITY_X_IGNORE_SHARED,
    MIGRATION_CAPABILITY_X_COLO,
    MIGRATION_CAPABILITY_BACKGROUND_SNAPSHOT,
    MIGRATION_CAPABILITY_POSTCOPY_RAM,
    MIGRATION_CAPABILITY__MAX,
} MigrationCapability;

static const char *MigrationCapability_str(MigrationCapability cap)
{
    static const char *const names[] = {
        "x-ignore-shared", "x-colo", "background-snapshot", "postcopy-ram",
    };

    return names[cap];
}

/* multifd.h */
typedef struct { int nothing; } QemuThread;
typedef struct { int nothing; } QemuSemaphore;
typedef struct QIOChannel QIOChannel;
typedef struct MultiFDRecvData MultiFDRecvData;
static int multifd_send_pages(QEMUFile *f);
