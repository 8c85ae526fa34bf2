/* What is asked where capabilities are set, of the rest of QEMU and of the host: the case answers. */

#define CONFIG_LINUX
#define CONFIG_REPLICATION
#define CONFIG_LIVE_BLOCK_MIGRATION

/* pcram_mirror::around::capabilities::Answer::ALL */
enum {
    INCOMING, POSTCOPY, WRITE_TRACKING, WRITE_TRACKING_COMPATIBLE, COMPRESSION, TLS, CHANNELS,
    STARTED, KVM, DIRTY_RING, RDMA, ANSWERS,
};
static bool the_answers[ANSWERS];

enum { RUN_STATE_RESTORE_VM, RUN_STATE_INMIGRATE };
#define runstate_check(state) \
    ((state) == RUN_STATE_INMIGRATE ? the_answers[INCOMING] : set.restore_vm)
#define ram_write_tracking_available() the_answers[WRITE_TRACKING]
#define ram_write_tracking_compatible() the_answers[WRITE_TRACKING_COMPATIBLE]
#define migrate_multifd_compression() the_answers[COMPRESSION]
#define migrate_tls() the_answers[TLS]
#define migrate_use_tls() the_answers[TLS]
#define migrate_multi_channels_is_allowed() the_answers[CHANNELS]
#define kvm_enabled() the_answers[KVM]
#define kvm_dirty_ring_enabled() the_answers[DIRTY_RING]
#define migrate_rdma() the_answers[RDMA]
#define migrate_postcopy_preempt() \
    migrate_get_current()->capabilities[MIGRATION_CAPABILITY_POSTCOPY_PREEMPT]

#ifdef PCRAM_CAPS_LISTED
typedef struct { MigrationCapability capability; bool state; } MigrationCapabilityStatus;
typedef struct MigrationCapabilityStatusList {
    struct MigrationCapabilityStatusList *next;
    MigrationCapabilityStatus *value;
} MigrationCapabilityStatusList;

/* It reports why itself */
static bool postcopy_ram_supported_by_host(MigrationIncomingState *mis)
{
    if (!the_answers[POSTCOPY]) {
        error_report("no userfaultfd");
    }
    return the_answers[POSTCOPY];
}
#else
static bool postcopy_ram_supported_by_host(MigrationIncomingState *mis, Error **errp)
{
    if (!the_answers[POSTCOPY]) {
        error_setg(errp, "no userfaultfd");
    }
    return the_answers[POSTCOPY];
}
#endif
