/* What a stream is written with, over a qemu_put_buffer() that is there already */

static inline void qemu_put_byte(QEMUFile *f, int v)
{
    uint8_t byte = v;

    qemu_put_buffer(f, &byte, 1);
}

static inline void qemu_put_be64(QEMUFile *f, uint64_t v)
{
    uint64_t number = __builtin_bswap64(v);

    qemu_put_buffer(f, (uint8_t *)&number, 8);
}

static inline void qemu_put_be32(QEMUFile *f, uint32_t v)
{
    uint32_t number = __builtin_bswap32(v);

    qemu_put_buffer(f, (uint8_t *)&number, 4);
}
