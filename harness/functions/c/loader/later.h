/* What the end of QEMU's start needs around it, in 7.2 and later. */

/* pcram_functions::loader::ffi::RawStart */
struct pcram_start { uint8_t fails, runs, replays, comes; };
static const struct pcram_start *the_start;
static bool initialized;

#define PENDING loadvm
#define ANNOUNCE() (loadvm = "a snapshot")
#define FORGET() (loadvm = NULL, initialized = false)
/* Its reset alone */
#define LOADVM(disk, errp) (loads("a snapshot"), 0)

enum { PHASE_MACHINE_INITIALIZED };
#define phase_check(phase) initialized
#define qemu_init_board() (call(INIT_BOARD), initialized = true)
#define qemu_create_cli_devices() call(CREATE_DEVICES)
/* Here the machine is reset for the first time.  In 7.2, nobody asks whether it could be made. */
#define qemu_machine_creation_done(...) created((Error **[1]){ __VA_ARGS__ }[0])

static inline bool created(Error **errp)
{
    devices_reset(false);
    if (errp && the_start->fails) {
        error_setg(errp, "it cannot be made");
        return false;
    }
    return true;
}

static Error *error_fatal;
#define load_snapshot(name, ...) loads(name)

static inline void loads(const char *name)
{
    assert(!strcmp(name, "a snapshot"));
    call(LOAD_SNAPSHOT);
    devices_reset(true);
}

#define autostart (the_start->runs)
typedef int RunState;
enum { RUN_STATE_RUNNING = 1, RUN_STATE_PRELAUNCH };
#define runstate_get() RUN_STATE_PRELAUNCH
#define load_snapshot_resume(state)                                                         \
    call((state) == RUN_STATE_RUNNING ? RESUME_RUNNING : RESUME_AS_BEFORE)
enum { REPLAY_MODE_NONE };
#define replay_mode (the_start->replays)
#define replay_vmstate_init() call(REPLAY)
#define qmp_cont(errp) call(CONTINUE)

/* pcram_mirror::loader::Incoming, from 1 on */
enum { NO_MIGRATION, DEFERRED, AWAITED, FAILS };
static const char *const incoming_names[] = { NULL, "defer", "somewhere", "somewhere" };
#define incoming incoming_names[the_start->comes]
typedef struct MigrationChannel { int nothing; } MigrationChannel;
typedef struct MigrationChannelList { MigrationChannel *value; } MigrationChannelList;
enum { MIGRATION_CHANNEL_TYPE_MAIN, MIGRATION_CHANNEL_TYPE__MAX };
static MigrationChannel the_channel;
static MigrationChannel *incoming_channels[] = { &the_channel };
#define g_autofree
#define g_new0(type, n) ((type[n]){ 0 })

/* In 7.2, of an address; later, of channels */
#define TO_ADDRESS(uri, errp) migrates(!strcmp(uri, "somewhere"), errp)
#define TO_CHANNELS(uri, has_channels, channels, has_exit, exits, errp)                     \
    migrates((channels)->value == &the_channel, errp)
#define PICK(a, b, c, d, e, f, picked, ...) picked
#define qmp_migrate_incoming(...)                                                           \
    PICK(__VA_ARGS__, TO_CHANNELS, , , , TO_ADDRESS, )(__VA_ARGS__)

static inline void migrates(bool is_known, Error **errp)
{
    assert(is_known);
    call(INCOMING);
    if (the_start->comes == FAILS) {
        error_setg(errp, "it cannot be waited for");
    }
}

#define error_reportf_err(error, format, ...)                                               \
    error_report(format "%s", __VA_ARGS__, (error)->text)
#define exit(status) longjmp(aborted, 1)
