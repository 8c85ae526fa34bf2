/* What the series on QEMU 1.0 needs beside: monitors' errors, a machine, a list of blocks. */

#define QEMU_NORETURN
#define GCC_FMT_ATTR(n, m)
#define QERR_INVALID_PARAMETER "Invalid parameter '%s'"
#define QERR_INVALID_PARAMETER_VALUE "Parameter '%s' expects %s"
#define QERR_DUPLICATE_ID "Duplicate ID '%s' for %s"
#define qerror_report(...) error_report(__VA_ARGS__)
#define error_printf_unless_qmp(...) error_printf(__VA_ARGS__)
#define qemu_opt_parse(opt) 0
typedef int (*qemu_opt_loopfunc)(const char *name, const char *value, void *opaque);
typedef int (*qemu_opts_loopfunc)(QemuOpts *opts, void *opaque);

typedef unsigned long ram_addr_t;
typedef struct MemoryRegion { void *host; } MemoryRegion;
typedef struct Notifier Notifier;
struct Notifier { void (*notify)(Notifier *notifier, void *data); };

#define mem_path (HAS(MEM_PATH) ? "/somewhere" : NULL)
#define mem_prealloc HAS(MEM_PREALLOC)
static struct { const char *name; } the_machine = { "pc-1.0" }, *current_machine = &the_machine;
#define memory_region_get_ram_ptr(mr) ((mr)->host)
