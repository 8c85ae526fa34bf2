/*
 * Page tables: every address below 12 GiB is mapped to itself, by 2 MiB pages. The accessed and
 * dirty bits are set, so that the CPU never writes into them.
 */

        .equ    PRESENT_WRITABLE_ACCESSED, 0x23
        .equ    DIRTY_LARGE, 0xc0

        .section .tables, "a"
pml4:
        .quad   pdpt + PRESENT_WRITABLE_ACCESSED
        .fill   511, 8, 0
pdpt:
        .set    gib, 0
        .rept   MAPPED_GIB
        .quad   directories + gib * 0x1000 + PRESENT_WRITABLE_ACCESSED
        .set    gib, gib + 1
        .endr
        .fill   512 - MAPPED_GIB, 8, 0
directories:
        .set    address, 0
        .rept   512 * MAPPED_GIB
        .quad   address + DIRTY_LARGE + PRESENT_WRITABLE_ACCESSED
        .set    address, address + 0x200000
        .endr
