/* What a snapshot is made with: disks, clocks and a guest that only say what is asked of them. */

#include <time.h>

/* pcram_mirror::around::snapshot::Fails */
enum {
    MIGRATE_CANNOT, BLOCKED, REPLAY_CANNOT, CANNOT, DELETE, HAS, THERE, NO_STATE, GLOBAL_STATE, OPEN,
    STATE, CLOSE, CREATE,
};
/* pcram_functions::around::ffi */
struct pcram_snapshot { int32_t named, overwrite, replay, fails; };
static struct pcram_snapshot the_snapshot;

/* Whether something fails, with what it says then */
static bool fails(int what, Error **errp, const char *why)
{
    if (the_snapshot.fails == what && errp) {
        error_setg(errp, "%s", why);
    }
    return the_snapshot.fails == what;
}

typedef struct { int nothing; } BlockDriverState, AioContext, strList, GDateTime;
typedef struct {
    char id_str[128], name[256];
    uint64_t date_sec, date_nsec, vm_clock_nsec, icount;
} QEMUSnapshotInfo;
typedef struct { long tv_sec, tv_usec; } qemu_timeval;
typedef int RunState;
static BlockDriverState the_disk;
static QEMUFile the_state;
static GDateTime the_time;

enum { REPLAY_MODE_NONE };
#define replay_mode the_snapshot.replay
#define replay_get_current_icount() 9
#define replay_can_snapshot() (the_snapshot.fails != REPLAY_CANNOT)
#define migrate_can_snapshot(errp) \
    (!fails(MIGRATE_CANNOT, errp, "a capability does not go with it"))
#define migration_is_blocked(errp) fails(BLOCKED, errp, "migration is blocked")
#define GLOBAL_STATE_CODE() ((void)0)

#define g_autoptr(type) type *
#define g_date_time_new_now_local() (&the_time)
#define g_date_time_to_unix(time) 1
#define g_date_time_get_microsecond(time) 1
#define g_date_time_format(time, format) g_strdup_printf("vm-%s", (time) ? "now" : "")
#define qemu_gettimeofday(time) ((time)->tv_sec = (time)->tv_usec = 1)
#define localtime_r(time, tm) ((void)(tm))
#define strftime(to, size, format, tm) snprintf(to, size, "vm-now")
#define qemu_clock_get_ns(clock) 1
#define pstrcpy(to, size, from) ((void)snprintf(to, size, "%s", from))

#define runstate_get() (!!set.running)
#define runstate_is_running() (!!set.running)
#define vm_stop(state) say("(stop)")
#define vm_start() say("(start)")
#define vm_resume(state) say("(resume %d)", state)
#define bdrv_drain_all_begin() say("(drain)")
#define bdrv_drain_all_end() say("(undrain)")
#define bdrv_get_aio_context(bs) NULL
#define aio_context_acquire(context) ((void)(context))
#define aio_context_release(context) ((void)(context))
#define bdrv_get_device_or_node_name(bs) ((bs) == &the_disk ? "disk" : "")

static inline int global_state_store(void)
{
    say("(global state)");
    return the_snapshot.fails == GLOBAL_STATE ? -EIO : 0;
}

static int delete(const char *name, Error **errp)
{
    say("(delete %s)", name);
    return fails(DELETE, errp, "it cannot be deleted") ? -EIO : 0;
}

static int create(const QEMUSnapshotInfo *sn, uint64_t size)
{
    say("(create %s %s, %" PRIu64 " bytes, at %" PRId64 ")", sn->name, sn->id_str, size,
        (int64_t)sn->icount);
    return the_snapshot.fails == CREATE ? -EIO : 0;
}

#ifdef PCRAM_OLD_SNAPSHOT
#define bdrv_all_can_snapshot(bs) (*(bs) = &the_disk, the_snapshot.fails != CANNOT)
#define bdrv_all_delete_snapshot(name, bs, errp) (*(bs) = &the_disk, delete(name, errp))
#define bdrv_all_find_vmstate_bs() (the_snapshot.fails == NO_STATE ? NULL : &the_disk)
#define bdrv_all_create_snapshot(sn, bs, size, failed) (*(failed) = &the_disk, create(sn, size))

static int bdrv_snapshot_find(BlockDriverState *bs, QEMUSnapshotInfo *sn, const char *name)
{
    *sn = (QEMUSnapshotInfo) { "1" };
    pstrcpy(sn->name, sizeof(sn->name), name);
    return the_snapshot.fails == THERE ? 0 : -ENOENT;
}
#else
#define bdrv_all_can_snapshot(has, devices, errp) (!fails(CANNOT, errp, "a disk cannot"))
#define bdrv_all_delete_snapshot(name, has, devices, errp) delete(name, errp)
#define bdrv_all_has_snapshot(name, has, devices, errp) \
    (fails(HAS, errp, "nobody knows") ? -EIO : the_snapshot.fails == THERE)
#define bdrv_all_find_vmstate_bs(vmstate, has, devices, errp) \
    (fails(NO_STATE, errp, "no disk takes it") ? NULL : &the_disk)
#define bdrv_all_create_snapshot(sn, bs, size, has, devices, errp) \
    (fails(CREATE, errp, "it cannot be made"), create(sn, size))
#endif

#define qemu_fopen_bdrv(bs, is_writable) (the_snapshot.fails == OPEN ? NULL : &the_state)
#define qemu_file_transferred(f) 7
#define qemu_file_total_transferred(f) 7
#define qemu_ftell(f) 7

static int qemu_savevm_state(QEMUFile *f, Error **errp)
{
    say("(save)");
    return fails(STATE, errp, "it cannot be saved") ? -EIO : 0;
}

static int qemu_fclose(QEMUFile *f)
{
    say("(close)");
    return the_snapshot.fails == CLOSE ? -EIO : 0;
}
