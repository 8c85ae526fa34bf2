/* What the readers of options need around them. */

#define qemu_isalpha(c) (((c) | 32) >= 'a' && ((c) | 32) <= 'z')
#define qemu_isalnum(c) (qemu_isalpha(c) || ((c) >= '0' && (c) <= '9'))

typedef struct Location { int nothing; } Location;
#define loc_save(loc) ((void)(loc))
#define loc_restore(loc) ((void)(loc))
#define loc_push_none(loc) ((void)(loc))
#define loc_pop(loc) ((void)(loc))

typedef struct QemuOpt QemuOpt;
typedef struct QemuOpts QemuOpts;
typedef struct QemuOptsList QemuOptsList;
enum QemuOptType { QEMU_OPT_STRING };
