/*
 * What the save loop of migration/ram.c needs around it, in 5.2 and later: as little as will do.
 *
 * Migrations are those of one channel, without multifd, compression, xbzrle, RDMA or postcopy.
 */

/* The stream goes to a buffer; pcram_functions::ram::ffi::File */
typedef struct QEMUFile {
    uint8_t *out;
    uint64_t out_len, out_cap;
} QEMUFile;

static void qemu_put_buffer(QEMUFile *f, const uint8_t *buf, size_t size)
{
    assert(f->out_len + size <= f->out_cap);
    memcpy(f->out + f->out_len, buf, size);
    f->out_len += size;
}

#define qemu_put_buffer_async(f, buf, size, may_free) qemu_put_buffer(f, buf, size)
#define qemu_put_buffer_at(f, buf, size, at) qemu_put_buffer(f, buf, size)
#define qemu_fflush(f) ((void)(f))

/* bitops.h, for bitmaps of one word and more */
static inline bool test_and_clear_bit(long nr, unsigned long *addr)
{
    unsigned long mask = 1UL << (nr % BITS_PER_LONG);
    unsigned long old = addr[nr / BITS_PER_LONG];

    addr[nr / BITS_PER_LONG] = old & ~mask;
    return old & mask;
}

#define set_bit(nr, addr) ((void)(addr))
#define clear_bit_atomic(nr, addr) ((void)(addr))

/* Migration as it was set up */
enum { ZERO_PAGE_DETECTION_NONE, ZERO_PAGE_DETECTION_LEGACY };
#define migrate_zero_page_detection() ZERO_PAGE_DETECTION_LEGACY
#define migrate_mapped_ram() false
#define migrate_multifd() false
#define migrate_use_multifd() false
#define migrate_rdma() false
#define migrate_xbzrle() false
#define migrate_use_xbzrle() false
#define migrate_release_ram() false
#define migrate_postcopy_preempt() false
#define migration_in_postcopy() false
#define postcopy_preempt_active() false
#define postcopy_preempt_triggered(rs) false
#define postcopy_preempt_restore(rs, pss, requested) ((void)0)
#define postcopy_preempt_choose_channel(rs, pss) ((void)0)
#define postcopy_needs_preempt(rs, pss) false
#define postcopy_do_preempt(rs, pss) ((void)0)
#define multifd_ram_sync_per_round() false
#define multifd_ram_sync_per_section() false
#define multifd_ram_flush_and_sync(f) 0
#define ram_save_multifd_page(...) -1
#define control_save_page(...) false
#define rdma_control_save_page(...) 0
enum { RAM_SAVE_CONTROL_NOT_SUPP = -1000, RAM_SAVE_CONTROL_DELAYED = -2000 };
#define save_compress_page(rs, block, offset) false
#define save_page_use_compression(rs) false
#define flush_compressed_data(rs) ((void)0)
#define save_xbzrle_page(...) -1
#define XBZRLE_cache_lock() ((void)0)
#define XBZRLE_cache_unlock() ((void)0)
#define xbzrle_cache_zero_page(...) ((void)0)
#define ram_release_page(name, offset) ((void)0)
#define ram_save_release_protection(rs, pss, start) 0
#define migration_rate_limit() ((void)0)
#define migration_clear_memory_region_dirty_bitmap(rb, page) ((void)0)
#define clear_bmap_test_and_clear(rb, page) false
#define trace_migration_bitmap_clear_dirty(...) ((void)0)
#define memory_region_clear_dirty_bitmap(...) ((void)0)
#define ram_release_pages(...) ((void)0)
#define QEMU_ALIGN_DOWN(n, d) ROUND_DOWN(n, d)
#define get_queued_page(rs, pss) false
#define ram_page_hint_valid(rs) false
#define ram_page_hint_collect(rs, block, page) ((void)0)
#define ram_page_hint_update(rs, pss) ((void)0)
#define error_report(...) (refused++)
#define trace_ram_save_page(...) ((void)0)
static int refused;

/* What is counted */
static uint64_t transferred, zero_pages, normal_pages;
#define ram_transferred_add(bytes) (transferred += (bytes))
static struct {
    uint64_t zero_pages, normal_pages;
} mig_stats;
#define stat64_add(stat, n) (*(stat) += (n))
static struct {
    uint64_t duplicate, normal, transferred;
} ram_counters;
#define qemu_ram_pagesize(rb) ((rb)->page_size)
