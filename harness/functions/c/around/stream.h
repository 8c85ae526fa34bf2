/* A stream in memory, and what its records ask of the rest of QEMU. */

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

/* The head of a stream */
typedef struct { int nothing; } QemuUUID;
typedef struct SaveStateEntry SaveStateEntry;
enum { MIG_PRI_MAX };
static QemuUUID qemu_uuid;
static const struct { const char *name; } the_machine = { "pc-q35" };
#define current_machine NULL
#define MACHINE_GET_CLASS(machine) (&the_machine)
#define qemu_target_page_bits() TARGET_PAGE_BITS
#define qemu_target_page_bits_min() TARGET_PAGE_BITS
#define migration_legacy_page_bits() TARGET_PAGE_BITS
#define trace_savevm_state_header() ((void)0)
#define json_writer_start_object(writer, name) say("(json {%s)", (name) ? (const char *)(name) : "")
#define json_writer_end_object(writer) say("(json })")
static int save_configuration(QEMUFile *f, Error **errp);
static int load_configuration(QEMUFile *f);
/* An error is there to be handed on where it is the last argument */
#define SAVE_OF_1(vmdesc) NULL
#define SAVE_OF_2(vmdesc, errp) errp
#define PICK(a, b, picked, ...) picked
#define SAVE_OF(...) PICK(__VA_ARGS__, SAVE_OF_2, SAVE_OF_1, 0)(__VA_ARGS__)
#define vmstate_save_state(f, vmsd, state, ...) save_configuration(f, SAVE_OF(__VA_ARGS__))
#define vmstate_load_state(f, ...) load_configuration(f)

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

/* multifd.h */
typedef struct { int nothing; } QemuThread;
typedef struct { int nothing; } QemuSemaphore;
typedef struct QIOChannel QIOChannel;
typedef struct MultiFDRecvData MultiFDRecvData;
static int multifd_send_pages(QEMUFile *f);
