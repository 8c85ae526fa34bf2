/* A measure of the dirty rate, and what the guest does meanwhile. */

struct pcram_written { int32_t block, page; };
static const struct pcram_written *the_written;
static int the_writes, the_cut;

static int64_t meanwhile(int64_t msec)
{
    for (int i = 0; i < the_writes; i++) {
        the_blocks[the_written[i].block].host[the_written[i].page * TARGET_PAGE_SIZE]++;
    }
    if (the_cut >= 0 && the_blocks[the_cut].used_length > TARGET_PAGE_SIZE) {
        the_blocks[the_cut].used_length -= TARGET_PAGE_SIZE;
    }
    return msec;
}

/* @cut: the block that loses a page, where it has more than one; or -1 */
void pcram_sample(uint64_t rate, int64_t seconds, const struct pcram_written *written, int writes,
                  int cut)
{
    struct DirtyRateConfig config = { .sample_pages_per_gigabytes = rate };

    config.PCRAM_PERIOD = seconds * PCRAM_PERIODS;
    the_written = written;
    the_writes = writes;
    the_cut = cut;
    memset(&DirtyStat, 0, sizeof(DirtyStat));
    DirtyStat.dirty_rate = -1;
    PCRAM_CALCULATE(config);
    say("rate %" PRId64 ": %" PRIu64 " of %" PRIu64 ", %" PRIu64 " MiB", DirtyStat.dirty_rate,
        DirtyStat.PCRAM_SAMPLING total_dirty_samples, DirtyStat.PCRAM_SAMPLING total_sample_count,
        DirtyStat.PCRAM_SAMPLING total_block_mem_MB);
}
