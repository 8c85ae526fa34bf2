/*
 * What the functions of -pcram-file need around them, whichever series they are of.
 *
 * Files are real: paths begin at a folder that the case names.  What is said goes to a buffer, and
 * exit() and abort() come back to whoever called.
 */

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX(a, b) (((a) > (b)) ? (a) : (b))
#define TARGET_PAGE_SIZE 4096
#define TARGET_PAGE_ALIGN(addr) (((addr) + TARGET_PAGE_SIZE - 1) & ~(TARGET_PAGE_SIZE - 1))

/* pcram_functions::option::ffi::Start; the bits are pcram_mirror::option::Setting */
struct pcram_start {
    int32_t folder;
    uint32_t settings;
    uint64_t ram_size;
    uint64_t given;
    const char *args[4];
    int32_t ends, fault;
    int64_t fault_at;
    uint64_t cut_to;
    /* The number of a pcram_mirror::option::sigbus::SiCode */
    uint32_t si_code;
    uint8_t cpu, kvm_fails;
    /* A pcram_mirror::option::thread::Thread, and of what the caller has blocked, the bits of a Mask */
    uint8_t detached, thread_fails;
    uint32_t blocked;
    /* The types that there are, a bit each, and which is asked for */
    uint32_t types, asks;
};

/* pcram_functions::option::ffi::RawDid */
struct pcram_did {
    uint64_t came;
    uint64_t opened, closed;
    uint64_t bytes, freed;
    uint8_t shared, named, external;
    uint8_t asked, raised;
    uint8_t begun, detached;
    uint32_t blocked, begun_blocked;
    char said[8192];
    char told[2048];
    char path[2048];
    char file[256];
};

static const struct pcram_start *the_start;
static struct pcram_did *the_did;
static jmp_buf ended;

enum { NOT_ASKED, MAPPED, REFUSED, ABORTED };
enum {
    OTHER_MACHINE, MEM_PATH, MEM_PREALLOC, MEMORY_BACKEND, NUMA_MEMDEV, OBJECT_EXISTS, INCOMING,
    MEM_LOCK, CONFIDENTIAL, XEN, KVM, NO_SYNC_MMU, REPLAY, CAPABILITY, CANNOT_MAP
};
enum { ASKS_FOR_NOTHING, ASKS_FOR_HELP, ASKS_FOR_TYPE };
#define HAS(setting) ((the_start->settings >> (setting)) & 1)

#define exit(status) longjmp(ended, REFUSED)
#define abort() longjmp(ended, ABORTED)
#define assert(condition) do { if (!(condition)) { abort(); } } while (0)

/* What a case takes is given back as a whole, before the next.  What is freed is spoilt. */
struct piece { uint64_t size, freed; };
static char arena[1 << 16];
static size_t arena_used;
static uint64_t pieces_freed;

static void *g_malloc0(size_t size)
{
    struct piece *piece = (struct piece *)(arena + arena_used);

    arena_used += sizeof(*piece) + (size + 15) / 16 * 16;
    assert(arena_used <= sizeof(arena));
    *piece = (struct piece) { size };
    return memset(piece + 1, 0, size);
}

static inline void g_free(void *room)
{
    struct piece *piece = (struct piece *)room - 1;

    if (room) {
        assert((char *)room > arena && (char *)room < arena + arena_used && !piece->freed);
        piece->freed = ++pieces_freed;
        memset(room, 0xa5, piece->size);
    }
}

#define is_freed(room) (((struct piece *)(room) - 1)->freed)
#define g_malloc(size) g_malloc0(size)

static char *g_strndup(const char *text, size_t size)
{
    char *copy = g_malloc0(size + 1);

    return memcpy(copy, text, size);
}

static char *g_strdup(const char *text)
{
    return text ? g_strndup(text, strlen(text)) : NULL;
}

static char *g_strdup_vprintf(const char *format, va_list ap)
{
    char text[8192];

    vsnprintf(text, sizeof(text), format, ap);
    return g_strdup(text);
}

static char *g_strdup_printf(const char *format, ...)
{
    va_list ap;
    char *text;

    va_start(ap, format);
    text = g_strdup_vprintf(format, ap);
    va_end(ap);
    return text;
}

static inline void pstrcpy(char *buf, int size, const char *text)
{
    snprintf(buf, size, "%s", text);
}

static void say(const char *text)
{
    size_t used = strlen(the_did->said);

    assert(used + strlen(text) < sizeof(the_did->said));
    strcpy(the_did->said + used, text);
}

#define error_report(...) (say(g_strdup_printf(__VA_ARGS__)), say("\n"))
#define error_printf(...) say(g_strdup_printf(__VA_ARGS__))

/* Files */
static int the_fd = -1;

static int open_there(const char *path, int flags)
{
    int fd = openat(the_start->folder, path, flags | O_CLOEXEC);

    if (fd >= 0) {
        the_did->opened++;
        the_fd = fd;
    }
    return fd;
}

static inline int close_there(int fd)
{
    the_did->closed++;
    the_fd = -1;
    return close(fd);
}

#define qemu_open(path, flags, ...) open_there(path, flags)
#define qemu_close(fd) close_there(fd)
#define close(fd) close_there(fd)
#define open(path, flags) open_there(path, flags)
#define stat(path, buf) fstatat(the_start->folder, path, buf, 0)

static inline void *mmap_there(size_t length, int prot, int flags, int fd, off_t offset)
{
    return HAS(CANNOT_MAP) ? MAP_FAILED : mmap(NULL, length, prot, flags, fd, offset);
}

#define mmap(addr, length, prot, flags, fd, offset) mmap_there(length, prot, flags, fd, offset)

/* What is told of faults goes to a buffer, too */
#define write(fd, text, size) tell(fd, text, size)
static inline ssize_t tell(int fd, const char *text, size_t size)
{
    assert(fd == STDERR_FILENO && strlen(the_did->told) + size < sizeof(the_did->told));
    strncat(the_did->told, text, size);
    return size;
}

/* What the main thread has blocked; the bits are pcram_mirror::option::thread::Signal */
static const int signals[] = {
    SIGILL, SIGBUS, SIGFPE, SIGSEGV, SIGIO, SIGALRM, SIGUSR1, SIGTERM
};
#define SIGNALS (sizeof(signals) / sizeof(*signals))
static sigset_t the_mask;

static void block(uint32_t bits)
{
    unsigned i;

    sigemptyset(&the_mask);
    for (i = 0; i < SIGNALS; i++) {
        if (bits >> i & 1) {
            sigaddset(&the_mask, signals[i]);
        }
    }
}

static uint32_t blocked(void)
{
    uint32_t bits = 0;
    unsigned i;

    for (i = 0; i < SIGNALS; i++) {
        bits |= (uint32_t)sigismember(&the_mask, signals[i]) << i;
    }
    return bits;
}

static inline int set_mask(int how, const sigset_t *set, sigset_t *old)
{
    unsigned i;

    if (old) {
        *old = the_mask;
    }
    if (how == SIG_SETMASK) {
        the_mask = *set;
        return 0;
    }
    assert(how == SIG_UNBLOCK);
    for (i = 0; i < SIGNALS; i++) {
        if (sigismember(set, signals[i])) {
            sigdelset(&the_mask, signals[i]);
        }
    }
    return 0;
}

#define pthread_sigmask(how, set, old) set_mask(how, set, old)

#define kvm_enabled() HAS(KVM)
#define kvm_has_sync_mmu() (!HAS(NO_SYNC_MMU))
#define xen_enabled() HAS(XEN)

/* Only its address is used */
static char the_room[1 << 16];
