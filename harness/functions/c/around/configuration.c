/*
 * The configuration section, written and read as vmstate.c does by its description: here, the hooks
 * are those of the tree.  What vmstate.c itself reports is not said.
 */

static void put_subsection(QEMUFile *f, const char *name)
{
    qemu_put_byte(f, QEMU_VM_SUBSECTION);
    qemu_put_byte(f, strlen(name));
    qemu_put_buffer(f, (const uint8_t *)name, strlen(name));
    qemu_put_be32(f, 1);
}

static int save_configuration(QEMUFile *f, Error **errp)
{
    SaveState *state = &savevm_state;

    configuration_pre_save(state);
    if (set.others_fail) {
        if (errp) {
            error_setg(errp, "the section cannot be written");
        }
    } else {
        qemu_put_be32(f, state->len);
        qemu_put_buffer(f, (const uint8_t *)state->name, state->len);
        if (state->caps_count) {
            put_subsection(f, "configuration/capabilities");
            qemu_put_be32(f, state->caps_count);
            for (uint32_t i = 0; i < state->caps_count; i++) {
                const char *name = MigrationCapability_str(state->capabilities[i]);

                qemu_put_byte(f, strlen(name));
                qemu_put_buffer(f, (const uint8_t *)name, strlen(name));
            }
        }
#ifdef PCRAM_EXTERNAL
        if (vmstate_external_ram_needed(state)) {
            put_subsection(f, "configuration/external-ram");
            qemu_put_be32(f, state->external_ram_count);
            for (uint32_t i = 0; i < state->external_ram_count; i++) {
                qemu_put_buffer(f, (const uint8_t *)state->external_ram[i].idstr, 256);
            }
        }
#endif
    }
#ifdef PCRAM_POST_SAVE
    configuration_post_save(state);
#endif
    return set.others_fail ? -EINVAL : 0;
}

/* A list that does not load is empty */
static int load_capabilities(QEMUFile *f, SaveState *state)
{
    uint32_t count = qemu_get_be32(f);

    state->caps_count = 0;
    if (count > MIGRATION_CAPABILITY__MAX) {
        return -EINVAL;
    }
    state->capabilities = g_renew(MigrationCapability, state->capabilities, count + 1);
    for (uint32_t i = 0; i < count; i++) {
        char name[256] = "";
        int cap = 0;

        qemu_get_buffer(f, (uint8_t *)name, qemu_get_byte(f));
        while (cap < MIGRATION_CAPABILITY__MAX && strcmp(name, MigrationCapability_str(cap))) {
            cap++;
        }
        if (cap == MIGRATION_CAPABILITY__MAX) {
            return -EINVAL;
        }
        state->capabilities[i] = cap;
    }
    state->caps_count = f->error ? 0 : count;
    return f->error;
}

#ifdef PCRAM_EXTERNAL
static int load_external_ram(QEMUFile *f, SaveState *state)
{
    uint32_t count = qemu_get_be32(f);

    if (!f->error) {
        state->external_ram = g_renew(ExternalRAM, state->external_ram, count + 1);
        qemu_get_buffer(f, (uint8_t *)state->external_ram, count * sizeof(ExternalRAM));
    }
    state->external_ram_count = f->error ? 0 : count;
    return f->error;
}
#endif

static int load_subsection(QEMUFile *f, SaveState *state)
{
    char name[256] = "";

    qemu_get_byte(f);
    qemu_get_buffer(f, (uint8_t *)name, qemu_get_byte(f));
    qemu_get_be32(f);
    if (f->error) {
        return f->error;
    }
    if (!strcmp(name, "configuration/target-page-bits")) {
        state->target_page_bits = qemu_get_be32(f);
        return f->error;
    }
    if (!strcmp(name, "configuration/capabilities")) {
        return load_capabilities(f, state);
    }
#ifdef PCRAM_EXTERNAL
    if (!strcmp(name, "configuration/external-ram")) {
        return load_external_ram(f, state);
    }
#endif
    return -ENOENT;
}

static int load_configuration(QEMUFile *f)
{
    SaveState *state = &savevm_state;
    int ret;

    configuration_pre_load(state);
    /* What was there is lost where nothing frees it, as it is in QEMU */
    state->len = qemu_get_be32(f);
    if (f->error) {
        return f->error;
    }
    state->name = g_malloc0(state->len + 1);
    qemu_get_buffer(f, (uint8_t *)state->name, state->len);
    ret = f->error;
    while (!ret && qemu_peek_byte(f, 0) == QEMU_VM_SUBSECTION) {
        ret = load_subsection(f, state);
    }
    return ret ? ret : configuration_post_load(state, 1);
}

static void forget_configuration(void)
{
    g_free(savevm_state.capabilities);
#ifdef PCRAM_EXTERNAL
    g_free(savevm_state.external_ram);
#endif
    memset(&savevm_state, 0, sizeof(savevm_state));
}
