/* Capabilities that are set, as qmp_migrate_set_capabilities() has them checked. */

/* @old: those that are on meanwhile; @new: those that are to be */
int64_t pcram_caps_check(const bool *old, bool *new, const bool *answers)
{
    bool *on = migrate_get_current()->capabilities, before[MIGRATION_CAPABILITY__MAX];
    Error *err = NULL;
    bool ret;

    memcpy(before, on, sizeof(before));
    memcpy(on, old, sizeof(before));
    memcpy(the_answers, answers, sizeof(the_answers));
    the_incoming.transport_data = answers[STARTED] ? &the_incoming : NULL;
#ifdef PCRAM_CAPS_LISTED
    MigrationCapabilityStatus set_to[MIGRATION_CAPABILITY__MAX];
    MigrationCapabilityStatusList list[MIGRATION_CAPABILITY__MAX], *next = NULL;
    bool cap_list[MIGRATION_CAPABILITY__MAX];

    for (int i = MIGRATION_CAPABILITY__MAX - 1; i >= 0; i--) {
        set_to[i] = (MigrationCapabilityStatus) { i, new[i] };
        list[i] = (MigrationCapabilityStatusList) { next, &set_to[i] };
        next = &list[i];
    }
    memcpy(cap_list, on, sizeof(cap_list));
    ret = migrate_caps_check(cap_list, list, &err);
#else
    ret = migrate_caps_check(on, new, &err);
#endif
    memcpy(on, before, sizeof(before));
    if (err) {
        error_report_err(err);
    }
    return ret;
}
