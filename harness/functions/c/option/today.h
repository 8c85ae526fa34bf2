/* What the series on 5.2 and later needs beside: errors, objects, a machine. */

typedef struct Error { char text[8192], hint[256]; } Error;
static Error the_error, *error_abort;

static void set_error(Error **errp, const char *behind, const char *format, ...)
{
    va_list ap;

    va_start(ap, format);
    snprintf(the_error.text, sizeof(the_error.text), "%s%s", g_strdup_vprintf(format, ap), behind);
    va_end(ap);
    the_error.hint[0] = '\0';
    *errp = &the_error;
}

#define error_setg(errp, ...) set_error(errp, "", __VA_ARGS__)
#define error_setg_errno(errp, number, ...)                                             \
    set_error(errp, g_strdup_printf(": %s", strerror(number)), __VA_ARGS__)
#define error_append_hint(errp, ...) strcpy((*(errp))->hint, g_strdup_printf(__VA_ARGS__))
#define error_propagate(errp, error) (*(errp) = (error))
#define error_prepend(errp, ...)                                                        \
    strcpy((*(errp))->text, g_strdup_printf("%s%s", g_strdup_printf(__VA_ARGS__), (*(errp))->text))
#define error_report_err(error) (error_report("%s", (error)->text), say((error)->hint))
#define error_free(error) ((void)(error))
#define warn_report(...) error_report("warning: %s", g_strdup_printf(__VA_ARGS__))
/* Every error pointer here is there */
#define ERRP_GUARD() do { } while (0)

#define QERR_INVALID_PARAMETER "Invalid parameter '%s'"
#define QERR_INVALID_PARAMETER_VALUE "Parameter '%s' expects %s"
#define g_autofree
#define g_renew(type, room, n)                                                          \
    ({ type *grown = g_malloc0((n) * sizeof(type));                                     \
       (room) ? strcpy(grown, room) : grown; })
#define g_strcmp0(a, b) strcmp((a) ?: "", (b) ?: "")
#define g_str_equal(a, b) (!strcmp(a, b))
#define qemu_strchrnul(text, c) strchrnul(text, c)
#define qemu_opts_print_help(list, caption) say("help\n")
#define qemu_opt_parse(opt, errp) true
typedef int (*qemu_opt_loopfunc)(void *opaque, const char *name, const char *value, Error **errp);
char *strchrnul(const char *text, int c);

static QemuOptsList *the_opts;

static inline void qemu_add_opts(QemuOptsList *list)
{
    assert(!the_opts);
    the_opts = list;
}

/* id.c */
static inline bool id_wellformed(const char *id)
{
    if (!qemu_isalpha(*id)) {
        return false;
    }
    while (*++id) {
        if (!qemu_isalnum(*id) && !strchr("-._", *id)) {
            return false;
        }
    }
    return true;
}

/* Objects, and what a backend has of its parent: objects.h has what is done with them */
typedef struct Object { int references; bool parented, canonical; char id[32]; } Object;
typedef struct UserCreatableClass { bool internal; } UserCreatableClass;
typedef struct ObjectClass {
    const char *name;
    bool is_creatable, is_abstract;
    UserCreatableClass creatable;
} ObjectClass;
typedef struct TypeInfo TypeInfo;
typedef struct InterfaceInfo InterfaceInfo;
typedef unsigned long ram_addr_t;
typedef void (*qemu_ram_resize_cb)(const char *name, uint64_t length, void *host);
typedef struct MemoryRegion MemoryRegion;
typedef struct RAMBlock {
    MemoryRegion *mr;
    void *host;
    qemu_ram_resize_cb resized;
    ram_addr_t used_length, max_length;
    uint32_t flags;
    int fd, guest_memfd;
} RAMBlock;
struct MemoryRegion {
    Object parent;
    uint64_t size, align;
    RAMBlock *ram_block;
    bool ram, readonly, terminates;
    uint8_t dirty_log_mask;
    void (*destructor)(MemoryRegion *mr);
};
typedef struct HostMemoryBackend {
    Object parent;
    bool prealloc, share, aligned;
    uint64_t size;
    MemoryRegion mr;
} HostMemoryBackend;
typedef struct HostMemoryBackendClass HostMemoryBackendClass;
typedef struct HostMemoryBackendPcram HostMemoryBackendPcram;

#define OBJECT(object) ((Object *)(object))
#define MEMORY_BACKEND(object) ((HostMemoryBackend *)(object))
#define MEMORY_BACKEND_PCRAM(object) ((HostMemoryBackendPcram *)(object))
#define memory_region_size(mr) ((mr)->size)
#define host_memory_backend_get_name(backend)                                           \
    g_strdup_printf("%s%s", (backend)->parent.canonical ? "/objects/" : "", (backend)->parent.id)
#define g_get_prgname() "qemu-system-x86_64"
#define error_get_progname() "qemu-system-x86_64"

#define memory_region_get_ram_ptr(mr) the_room

/* The name of what a link leads to, which is in the folder; where there is no link, nobody asks */
static inline char *g_file_read_link(const char *link, void *error)
{
    char to[4096];
    ssize_t length = readlink(link, to, sizeof(to) - 1);

    assert(length > 0);
    to[length] = '\0';
    return g_strdup(strrchr(to, '/') + 1);
}

/* The machine */
typedef struct MachineClass { const char *name, *default_ram_id; } MachineClass;
typedef struct MachineState {
    uint64_t ram_size;
    Object *memdev;
    const char *ram_memdev_id, *memory_encryption;
    void *cgs;
} MachineState;
static MachineClass the_class;
static MachineState the_machine;
#define MACHINE_GET_CLASS(machine) (&the_class)
#define numa_uses_legacy_mem() (!HAS(NUMA_MEMDEV))
enum { RUN_STATE_INMIGRATE };
#define runstate_check(state) HAS(INCOMING)
enum { MLOCK_OFF, MLOCK_ON };
#define mlock_state HAS(MEM_LOCK)
#define enable_mlock HAS(MEM_LOCK)
enum { REPLAY_MODE_NONE };
#define replay_mode HAS(REPLAY)

static inline bool migrate_caps_allow_external_ram(const char *idstr, Error **errp)
{
    assert(!strcmp(idstr, "pc.ram"));
    if (HAS(CAPABILITY)) {
        error_setg(errp, "a capability");
    }
    return !HAS(CAPABILITY);
}

/* A signal, which is raised again for good */
static const int si_codes[] = { BUS_ADRERR, BUS_ADRALN, BUS_MCEERR_AR, BUS_MCEERR_AO };
static jmp_buf raised;
#define sigbus_reraise() longjmp(raised, the_did->raised = true)
typedef struct CPUState { int nothing; } CPUState;
static CPUState the_cpu;
#define current_cpu (the_start->cpu ? &the_cpu : NULL)
enum { ASKS_NOBODY, ASKS_VCPU, ASKS_OTHER };

static int kvm_is_asked(int whom, int code, void *addr)
{
    assert(code == si_codes[the_start->si_code] && addr == the_room + the_start->fault_at);
    the_did->asked = whom;
    return the_start->kvm_fails;
}

#define kvm_on_sigbus_vcpu(cpu, code, addr) kvm_is_asked(ASKS_VCPU, code, addr)
#define kvm_on_sigbus(code, addr) kvm_is_asked(ASKS_OTHER, code, addr)
