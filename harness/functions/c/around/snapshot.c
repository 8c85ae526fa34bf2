/* A snapshot that a user makes. What is there to be said at its end was said as it went. */
int64_t pcram_snapshot(const struct pcram_snapshot *it)
{
    const char *name = it->named ? "s" : NULL;
    Error *err = NULL;
    int ret;

    the_snapshot = *it;
#ifdef PCRAM_OLD_SNAPSHOT
    ret = save_snapshot(name, &err);
#else
    ret = save_snapshot(name, it->overwrite, NULL, false, NULL, &err);
#endif
    if (err) {
        error_report_err(err);
    }
    return ret;
}
