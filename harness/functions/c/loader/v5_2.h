/* What load_snapshot() of 5.2 needs around it: a disk on which something may be wrong. */

/* pcram_mirror::loader::Disk */
enum {
    CANNOT_SNAPSHOT, NO_SNAPSHOT, NO_STATE, LOST, EMPTY, CANNOT_GO, CANNOT_OPEN, BROKEN, FINE
};
static int the_disk;

#define PENDING snapshot_pending
#define ANNOUNCE() load_snapshot_announce()
#define FORGET() (snapshot_pending = false)
#define LOADVM(disk, errp) (the_disk = (disk), load_snapshot("a snapshot", errp))

typedef struct BlockDriverState { int nothing; } BlockDriverState;
typedef struct QEMUSnapshotInfo { uint64_t vm_state_size; } QEMUSnapshotInfo;
typedef struct QEMUFile { int nothing; } QEMUFile;
typedef struct AioContext { int nothing; } AioContext;
typedef struct MigrationIncomingState { QEMUFile *from_src_file; } MigrationIncomingState;
static BlockDriverState the_bs;
static QEMUFile the_state;
static MigrationIncomingState the_incoming;

/* Each looks for the one thing that may be wrong */
#define WRONG(what) (the_disk == (what) ? -EINVAL : 0)
#define migration_incoming_get_current() (&the_incoming)
#define migration_incoming_state_destroy() ((void)0)
#define bdrv_all_can_snapshot(bs) (*(bs) = &the_bs, !WRONG(CANNOT_SNAPSHOT))
#define bdrv_get_device_or_node_name(bs) ((bs) == &the_bs ? "disk" : "")
#define bdrv_all_find_snapshot(name, bs) (*(bs) = &the_bs, WRONG(NO_SNAPSHOT))
#define bdrv_all_find_vmstate_bs() (WRONG(NO_STATE) ? NULL : &the_bs)
#define bdrv_get_aio_context(bs) NULL
#define aio_context_acquire(context) ((void)(context))
#define aio_context_release(context) ((void)(context))
#define bdrv_snapshot_find(bs, sn, name) ((sn)->vm_state_size = !WRONG(EMPTY), WRONG(LOST))
#define replay_flush_events() call(FLUSH_EVENTS)
#define bdrv_drain_all_begin() call(DRAIN_BEGIN)
#define bdrv_drain_all_end() call(DRAIN_END)
#define bdrv_all_goto_snapshot(name, bs, errp)                                              \
    (*(bs) = &the_bs, WRONG(CANNOT_GO) ? error_setg(errp, "it cannot go back"), -EINVAL : 0)
#define qemu_fopen_bdrv(bs, is_writable) (WRONG(CANNOT_OPEN) ? NULL : &the_state)
enum { SHUTDOWN_CAUSE_NONE };
#define qemu_system_reset(cause) devices_reset(false)
#define qemu_loadvm_state(file) (assert((file) == the_incoming.from_src_file),              \
                                 call(LOAD_STATE), WRONG(BROKEN))
