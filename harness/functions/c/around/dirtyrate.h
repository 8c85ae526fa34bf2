/* What the dirty rate is measured with: pages that a case knows, and a wait in which it happens. */

typedef struct { int nvcpu; void *rates; } VcpuStat;
typedef int DirtyRateMeasureMode;
typedef size_t gsize;
typedef struct { uint64_t drawn; } GRand;
static GRand the_rand;

#define g_assert(condition) assert(condition)
#define g_try_malloc0_n(count, size) ((count) ? calloc(count, size) : NULL)
#define g_rand_new() (the_rand.drawn = 0, &the_rand)
#define g_rand_free(rand) ((void)(rand))
/* pcram_functions::around::rig::sampled */
#define g_rand_int_range(rand, from, to) ((from) + (rand)->drawn++ * 61 % ((to) - (from)))
#define g_strlcpy(to, from, size) ((gsize)snprintf(to, size, "%s", from))
#define qemu_ram_get_idstr(block) ((block)->idstr)
#define qemu_ram_get_host_addr(block) ((void *)(block)->host)
#define qemu_target_pages_to_MiB(pages) ((pages) >> (20 - TARGET_PAGE_BITS))
#define qemu_clock_get_ms(clock) 0
#define rcu_read_lock() ((void)0)
#define rcu_read_unlock() ((void)0)
#define rcu_register_thread() ((void)0)
#define rcu_unregister_thread() ((void)0)
#define trace_calc_page_dirty_rate(...) ((void)0)
#define trace_get_ramblock_vfn_hash(...) ((void)0)
#define trace_find_page_matched(...) ((void)0)

static uint32_t hash_of(const uint8_t *page)
{
    uint32_t hash = 0;

    for (int i = 0; i < TARGET_PAGE_SIZE; i++) {
        hash = hash * 31 + page[i];
    }
    return hash;
}

#define compute_page_hash(page) hash_of((const uint8_t *)(page))
#define crc32(start, page, size) hash_of((const uint8_t *)(page))

static int64_t meanwhile(int64_t msec);
#define dirty_stat_wait(msec, begun) meanwhile(msec)
#define set_sample_page_period(msec, begun) meanwhile(msec)
