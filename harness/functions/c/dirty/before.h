/*
 * What the bitmaps of written pages need around them.  A dirty bitmap has pieces of two words here,
 * not of 32768, so that small blocks lie in more than one.
 */

#define fprintf(...) ((void)0)
#define BIT_WORD(nr) ((nr) / BITS_PER_LONG)
#define DIV_ROUND_UP(n, d) (((n) + (d) - 1) / (d))
#define BITS_TO_LONGS(nr) DIV_ROUND_UP(nr, BITS_PER_LONG)
#define TARGET_PAGE_MASK ((ram_addr_t)-TARGET_PAGE_SIZE)
#define TARGET_PAGE_ALIGN(addr) ROUND_UP(addr, TARGET_PAGE_SIZE)
#define DIRTY_MEMORY_BLOCK_SIZE ((ram_addr_t)128)
#define WITH_RCU_READ_LOCK_GUARD()
#define qatomic_rcu_read(ptr) (*(ptr))
#define ctpopl(bits) __builtin_popcountl(bits)
enum { DIRTY_MEMORY_VGA, DIRTY_MEMORY_CODE, DIRTY_MEMORY_MIGRATION, DIRTY_MEMORY_NUM };

static inline unsigned long xchg(unsigned long *word, unsigned long new)
{
    unsigned long old = *word;

    *word = new;
    return old;
}

#define qatomic_xchg(word, new) xchg(word, new)

static inline bool test_and_set_bit(long nr, unsigned long *addr)
{
    unsigned long mask = 1UL << (nr % BITS_PER_LONG), old = addr[BIT_WORD(nr)];

    addr[BIT_WORD(nr)] = old | mask;
    return old & mask;
}

static inline bool bitmap_test_and_clear_atomic(unsigned long *map, long start, long nr)
{
    bool was = false;
    long i;

    for (i = start; i < start + nr; i++) {
        was |= map[BIT_WORD(i)] >> (i % BITS_PER_LONG) & 1;
        map[BIT_WORD(i)] &= ~(1UL << (i % BITS_PER_LONG));
    }
    return was;
}

static inline void bitmap_set(unsigned long *map, long start, long nr)
{
    long i;

    for (i = start; i < start + nr; i++) {
        test_and_set_bit(i, map);
    }
}

#define bitmap_set_atomic(map, start, nr) bitmap_set(map, start, nr)

/* What is done; pcram_functions::dirty::ffi::RawDid */
struct pcram_did { uint64_t what, place, length; };
static struct pcram_did the_did[4096];
static uint64_t did_count;

enum { RESET, CLEAR_LOG };

static void do_that(uint64_t what, uint64_t place, uint64_t length)
{
    assert(did_count < sizeof(the_did) / sizeof(the_did[0]));
    the_did[did_count++] = (struct pcram_did){ what, place, length };
}

/* Where a block is, is told by an address that nobody follows */
typedef struct MemoryRegion { uint64_t host; } MemoryRegion;
#define memory_region_clear_dirty_bitmap(mr, start, length) \
    do_that(CLEAR_LOG, (mr)->host + (start), length)

typedef struct CPUState { int nothing; } CPUState;
static bool tcg;
#define tcg_enabled() tcg
#define CPU_FOREACH(cpu) for (cpu = NULL; !cpu; cpu = (CPUState *)1)
#define tlb_reset_dirty(cpu, start, length) do_that(RESET, start, length)
