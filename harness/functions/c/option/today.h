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

/* Objects: there is one that is made, and one that is the root of all */
typedef struct Object { int references; bool parented, canonical; char id[32]; } Object;
typedef struct RAMBlock { uint32_t flags; } RAMBlock;
typedef struct MemoryRegion { uint64_t size; RAMBlock *ram_block; } MemoryRegion;
typedef struct HostMemoryBackend {
    Object parent;
    bool prealloc, share, aligned;
    uint64_t size;
    MemoryRegion mr;
} HostMemoryBackend;
typedef struct HostMemoryBackendPcram HostMemoryBackendPcram;
static HostMemoryBackendPcram *the_backend;
static RAMBlock the_block;
static Object the_root;
static HostMemoryBackend *made(void);

#define OBJECT(object) ((Object *)(object))
#define MEMORY_BACKEND(object) ((HostMemoryBackend *)(object))
#define MEMORY_BACKEND_PCRAM(object) ((HostMemoryBackendPcram *)(object))
#define USER_CREATABLE(object) (object)
#define host_memory_backend_mr_inited(backend) false
#define object_get_objects_root() (&the_root)
#define object_new(type) OBJECT(made())
#define object_property_find(...) HAS(OBJECT_EXISTS)
#define object_get_typename(object) "memory-backend-pcram"
#define g_get_prgname() "qemu-system-x86_64"
#define error_get_progname() "qemu-system-x86_64"

static inline void object_property_set_bool(Object *obj, const char *name, bool value, Error **errp)
{
    assert(!strcmp(name, "x-use-canonical-path-for-ramblock-id"));
    obj->canonical = value;
}

static inline void object_property_set_int(Object *obj, const char *name, uint64_t value,
                                           Error **errp)
{
    assert(!strcmp(name, "size"));
    MEMORY_BACKEND(obj)->size = value;
}

static inline void object_property_add_child(Object *parent, const char *id, Object *obj)
{
    assert(parent == &the_root);
    obj->references++;
    obj->parented = true;
    strcpy(obj->id, id);
}

static inline void object_unparent(Object *obj)
{
    obj->references--;
    obj->parented = false;
}

#define object_unref(obj) ((void)(obj)->references--)
#define host_memory_backend_get_name(backend)                                           \
    g_strdup_printf("%s%s", (backend)->parent.canonical ? "/objects/" : "", (backend)->parent.id)

/* A region of one block.  Its arguments have changed: only the first and the last two count. */
static bool init_ram(MemoryRegion *mr, const char *name, uint64_t size, uint32_t flags, Error **errp)
{
    assert(!strcmp(name, "pc.ram"));
    if (HAS(CANNOT_MAP)) {
        error_setg(errp, "it does not map");
        return false;
    }
    the_block.flags = flags;
    mr->ram_block = &the_block;
    mr->size = size;
    return true;
}

#define ERRP_OF_1(errp) errp
#define ERRP_OF_2(offset, errp) errp
#define PICK(a, b, picked, ...) picked
#define ERRP_OF(...) PICK(__VA_ARGS__, ERRP_OF_2, ERRP_OF_1, 0)(__VA_ARGS__)
#define memory_region_init_ram_from_fd(mr, owner, name, size, flags, fd, ...)           \
    init_ram(mr, name, size, FLAGS(flags), ERRP_OF(__VA_ARGS__))
#define memory_region_get_ram_ptr(mr) the_room
#define qemu_ram_set_external(block) ((block)->flags |= RAM_EXTERNAL)

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

/* 5.2 names the object, later versions link it */
#define object_property_set_link(obj, name, value, errp)                                \
    (assert_is_machine(obj, name), the_machine.memdev = (value))

static inline void assert_is_machine(Object *obj, const char *name)
{
    assert(obj == OBJECT(&the_machine) && !strcmp(name, "memory-backend"));
}

static void set_path(Object *obj, const char *path);

static inline void object_property_set_str(Object *obj, const char *name, const char *value,
                                           Error **errp)
{
    if (obj != OBJECT(&the_machine)) {
        assert(!strcmp(name, "path"));
        set_path(obj, value);
        return;
    }
    assert_is_machine(obj, name);
    assert(!strcmp(value, OBJECT(the_backend)->id));
    the_machine.memdev = OBJECT(the_backend);
}

static bool complete(Object *obj, Error **errp);
#define user_creatable_complete(obj, errp) complete(obj, errp)
