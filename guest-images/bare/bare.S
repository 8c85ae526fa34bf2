/*
 * The bare guest: a firmware image that drives a PC's RAM without living in it.
 *
 * Code, page tables and texts are in the ROM; all state is in registers. There is no stack and
 * no interrupt table: subroutines return through a register, and the stack pointer is a register
 * like any other. So every page of RAM may be overwritten. README.md documents what the guest
 * does; its stamp is that of src/stamp.rs, its lines and commands are those of src/protocol.rs.
 */

#include "macros.S"
#include "tables.S"

/* ---- from reset to long mode
 *
 * The processor starts in the ROM's mapping at the end of the first 4 GiB, and all code stays
 * there: the copy below 1 MiB vanishes as soon as the chipset shows RAM in its place.
 */

        .section .reset, "ax"
        .code16
        jmp     real_mode

        .text
real_mode:
        cli
        lgdtl   %cs:gdt_pointer_offset
        mov     $0x11, %eax             /* protection on, caching on */
        mov     %eax, %cr0
        ljmpl   $(code32 - gdt), $protected_mode

        .code32
protected_mode:
        mov     $(data - gdt), %eax
        mov     %eax, %ds
        mov     %eax, %es
        mov     %eax, %ss

        mov     $0x80000000, %eax
        cpuid
        cmp     $0x80000001, %eax
        jb      no_long_mode
        mov     $0x80000001, %eax
        cpuid
        bt      $29, %edx
        jnc     no_long_mode

        mov     $0x20, %eax             /* physical address extension */
        mov     %eax, %cr4
        mov     $pml4, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx       /* EFER */
        rdmsr
        bts     $8, %eax                /* long mode enable */
        wrmsr
        mov     $0x80000011, %eax
        mov     %eax, %cr0
        ljmpl   $(code64 - gdt), $long_mode

no_long_mode:
        SAY     "fail the CPU has no long mode (choose another -cpu, such as qemu64)\n"
halt:
        hlt
        jmp     halt

/* The accessed bits are set here too. */
        .balign 8
gdt:
        .quad   0
code32: .quad   0x00cf9b000000ffff
data:   .quad   0x00cf93000000ffff
code64: .quad   0x00af9b000000ffff
        .globl  gdt_pointer
gdt_pointer:
        .word   . - gdt - 1
        .long   gdt

/* ---- the board */

        .code64
long_mode:
/* With its FIFO on, COM1 takes most of a command at once; without, QEMU waits for its main loop
 * before each byte. */
        mov     $COM1_FIFO, %edx
        mov     $0xc7, %al              /* on, both emptied, 14 bytes before it tells */
        out     %al, (%dx)

/* Without a VGA card 0xa0000 is RAM like any other. */
        mov     $0xc0000, %r12d
        mov     $VGA_MISC_OUTPUT, %edx
        in      (%dx), %al
        cmp     $0xff, %al
        je      1f
        mov     $0xa0000, %r12d

/* A chipset that can show RAM from 0xc0000 to 0xfffff is told to. */
1:      mov     $0x100000, %r13d
        mov     $0x80000000, %eax
        mov     $PCI_ADDRESS, %edx
        out     %eax, (%dx)
        mov     $PCI_DATA, %edx
        in      (%dx), %eax
        mov     $I440FX_PAM0, %ebx
        cmp     $I440FX, %eax
        je      open_windows
        mov     $Q35_PAM0, %ebx
        cmp     $Q35, %eax
        jne     ram_size
open_windows:
        mov     $0xc0000, %r13d
        mov     $PAM_COUNT, %ecx
1:      mov     %ebx, %eax
        and     $~3, %eax
        bts     $31, %eax
        mov     $PCI_ADDRESS, %edx
        out     %eax, (%dx)
        mov     %ebx, %edx
        and     $3, %edx
        add     $PCI_DATA, %edx
        mov     $0x33, %al              /* both windows: reads and writes go to RAM */
        out     %al, (%dx)
        inc     %ebx
        dec     %ecx
        jnz     1b

/* fw_cfg has the exact size in all; CMOS has where the part below 4 GiB ends, rounded down to
 * 64 KiB. A remainder below 64 KiB is above 4 GiB only if no more fits below. */
ram_size:
        mov     $FW_CFG_SELECT, %edx
        mov     $FW_CFG_RAM_SIZE, %eax
        out     %ax, (%dx)
        mov     $FW_CFG_DATA, %edx
        mov     $8, %ecx
        xor     %ebx, %ebx
1:      in      (%dx), %al
        mov     %al, %bl
        ror     $8, %rbx
        dec     %ecx
        jnz     1b
        and     $~0xfff, %rbx           /* rbx: size of RAM, whole pages */

        xor     %eax, %eax
        mov     $0x35, %al
        out     %al, $CMOS_INDEX
        in      $CMOS_DATA, %al
        mov     %al, %ah
        mov     $0x34, %al
        out     %al, $CMOS_INDEX
        in      $CMOS_DATA, %al
        shl     $16, %rax
        add     $0x1000000, %rax        /* rax: end of RAM below 4 GiB */

        mov     %rbx, %rcx
        sub     %rax, %rcx              /* rcx: size of RAM above 4 GiB */
        mov     $0xe0000000, %edx
        cmp     %rdx, %rax
        jae     1f
        cmp     $0x10000, %rcx
        jge     1f
        mov     %rbx, %rax
        xor     %ecx, %ecx
1:      mov     %rax, %r10
        mov     $1, %r11d
        shl     $32, %r11
        add     %rcx, %r11
        jc      too_much_ram
        mov     $MAPPED_GIB, %eax
        shl     $30, %rax
        cmp     %rax, %r11
        ja      too_much_ram

        xor     %r8d, %r8d
        xor     %r9d, %r9d
        mov     %rcx, %rbx
        FIELD   "ready below=", %r10
        FIELD   " above=", %rbx
        FIELD   " hole=", %r12
        FIELD   " hole_end=", %r13
        DONE

too_much_ram:
        SAY     "fail RAM does not end below 12 GiB (choose a smaller -m)\n"
        jmp     halt

#include "commands.S"
