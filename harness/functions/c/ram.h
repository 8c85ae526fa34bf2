/* What the functions of RAM blocks need around them in 5.2 and later, whatever they do with blocks */

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>

#define TARGET_PAGE_BITS 12
#define TARGET_PAGE_SIZE (1 << TARGET_PAGE_BITS)
#define MIN(a, b) (((a) < (b)) ? (a) : (b))
#define ROUND_DOWN(n, d) ((n) / (d) * (d))
#define ROUND_UP(n, d) ROUND_DOWN((n) + (d) - 1, (d))
#define QEMU_ALIGN_UP(n, d) ROUND_UP(n, d)

typedef uint64_t ram_addr_t;
typedef uint64_t hwaddr;
typedef struct RAMBlock RAMBlock;
typedef struct RAMState RAMState;
typedef struct Error Error;
typedef struct RamBlockAttributes RamBlockAttributes;
typedef struct { int nothing; } QemuMutex;
typedef struct { int nothing; } PostcopyPreemptState;
struct rcu_head { int nothing; };
struct RAMBlockNotifier;
struct RAMSrcPageRequest;

#define RCU_READ_LOCK_GUARD() do { } while (0)
#define QLIST_FIRST_RCU(head) QLIST_FIRST(head)
#define QLIST_NEXT_RCU(element, field) QLIST_NEXT(element, field)
#define INTERNAL_RAMBLOCK_FOREACH(block) QLIST_FOREACH(block, &ram_list.blocks, next)
#define qemu_mutex_lock(mutex) ((void)(mutex))
#define qemu_mutex_unlock(mutex) ((void)(mutex))

static inline bool buffer_is_zero(const uint8_t *buf, size_t size)
{
    return buf[0] == 0 && !memcmp(buf, buf + 1, size - 1);
}

#define is_zero_range(buf, size) buffer_is_zero(buf, size)

#define BITS_PER_LONG 64
static inline unsigned long find_next_bit(const unsigned long *addr, unsigned long size,
                                          unsigned long at)
{
    while (at < size && !(addr[at / BITS_PER_LONG] >> (at % BITS_PER_LONG) & 1)) {
        at++;
    }
    return at < size ? at : size;
}

/* Migration as it was set up */
enum { MIG_MODE_NORMAL, MIG_MODE_CPR_REBOOT, MIG_MODE_CPR_TRANSFER, MIG_MODE_CPR_EXEC };
typedef int MigMode;
static int the_mode;
static bool ignore_shared;
#define migrate_mode() the_mode
#define migrate_ignore_shared() ignore_shared

/* Who a page is sent to or comes from */
enum { RAM_CHANNEL_PRECOPY, RAM_CHANNEL_POSTCOPY, RAM_CHANNEL_MAX };
