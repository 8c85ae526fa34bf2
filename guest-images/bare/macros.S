/*
 * What all of the bare guest's code shares: names, the use of the registers, and macros.
 */

        .equ    MAPPED_GIB, 12

        .equ    DEBUG_PORT, 0xe9
        .equ    COM1_DATA, 0x3f8
        .equ    COM1_FIFO, 0x3fa
        .equ    COM1_STATUS, 0x3fd
        .equ    CMOS_INDEX, 0x70
        .equ    CMOS_DATA, 0x71
        .equ    FW_CFG_SELECT, 0x510
        .equ    FW_CFG_DATA, 0x511
        .equ    FW_CFG_RAM_SIZE, 3
        .equ    PCI_ADDRESS, 0xcf8
        .equ    PCI_DATA, 0xcfc
        .equ    VGA_MISC_OUTPUT, 0x3cc

        .equ    I440FX, 0x12378086
        .equ    I440FX_PAM0, 0x59
        .equ    Q35, 0x29c08086
        .equ    Q35_PAM0, 0x90
        .equ    PAM_COUNT, 7

        .equ    TICK_CYCLES, 1 << 25

/* ---- registers in long mode
 *
 *   r8   seed                          r12  first address of the hole in low RAM
 *   r9   generation                    r13  first address after the hole
 *   r10  end of RAM below 4 GiB        r11  end of RAM above 4 GiB (4 GiB when there is none)
 *
 * SAY and FIELD change rax, rcx, rdx and rsi; everything else is a command's own.
 */

/* Go to `target`, which returns by `jmp *\link`. */
.macro  CALL target, link
        lea     .Lreturn\@(%rip), \link
        jmp     \target
.Lreturn\@:
.endm

/* Write a text to the debug port. */
.macro  SAY text
        .pushsection .rodata
.Ltext\@:
        .ascii  "\text"
        .equ    .Llength\@, . - .Ltext\@
        .popsection
        mov     $.Ltext\@, %esi
        mov     $.Llength\@, %ecx
        mov     $DEBUG_PORT, %edx
        rep     outsb
.endm

/* Write a text and a register as 16 hexadecimal digits. */
.macro  FIELD text, register
        SAY     "\text"
        mov     \register, %rcx
        CALL    say_hex, %rsi
.endm

/* End a line and wait for the next command. */
.macro  DONE
        SAY     "\n"
        jmp     next_command
.endm

/* Jump to `none` unless a byte waits in COM1. A board without COM1 reads all ones. */
.macro  POLL none
        mov     $COM1_STATUS, %edx
        in      (%dx), %al
        cmp     $0xff, %al
        je      \none
        test    $1, %al
        jz      \none
.endm

/* splitmix64's step and finaliser, in place; changes rdx and rcx. */
.macro  MIX register
        movabs  $0x9e3779b97f4a7c15, %rdx
        add     %rdx, \register
        XORSHIFT 30, \register
        movabs  $0xbf58476d1ce4e5b9, %rdx
        imul    %rdx, \register
        XORSHIFT 27, \register
        movabs  $0x94d049bb133111eb, %rdx
        imul    %rdx, \register
        XORSHIFT 31, \register
.endm

.macro  XORSHIFT bits, register
        mov     \register, %rcx
        shr     $\bits, %rcx
        xor     %rcx, \register
.endm

        .section .rodata
        .balign 8
/* What a page's words are apart. */
word_step:
        .quad   0xd1342543de82ef95
        .text

/* What all stamps of one seed and generation share goes to rbp, the step between words to rbx. */
.macro  PREPARE_STAMPS
        mov     %r8, %rbp
        MIX     %rbp
        add     %r9, %rbp
        MIX     %rbp
        mov     word_step(%rip), %rbx
.endm

/* The first word of the stamp of the page at rdi goes to rax. */
.macro  FIRST_WORD
        lea     (%rbp, %rdi), %rax
        MIX     %rax
.endm

/* Stamp the page at rdi, and move rdi to its end; changes rax, rcx and rdx. */
.macro  WRITE_PAGE
        FIRST_WORD
        .balign 16
.Lwrite\@:
        .set    word, 0
        .rept   8
        mov     %rax, word * 8(%rdi)
        add     %rbx, %rax
        .set    word, word + 1
        .endr
        add     $64, %rdi
        test    $0xfff, %edi
        jnz     .Lwrite\@
.endm

/* Compare the page at rdi with its stamp, whose words are `step` apart, and move rdi to its end:
 * jnz branches where it differs. Changes rax, rcx and rdx. All 512 words are compared without a
 * branch: rdx gathers the bits that differ. */
.macro  COMPARE_PAGE step
        FIRST_WORD
        xor     %edx, %edx
        .balign 16
.Lcompare\@:
        .set    word, 0
        .rept   8
        mov     word * 8(%rdi), %rcx
        xor     %rax, %rcx
        or      %rcx, %rdx
        add     \step, %rax
        .set    word, word + 1
        .endr
        add     $64, %rdi
        test    $0xfff, %edi
        jnz     .Lcompare\@
        test    %rdx, %rdx
.endm

/* Forget which pages were translated; changes rax. Under TCG, a page stays writable without notice
 * once it was found dirty, and not all QEMUs end that when they gather the dirty pages. */
.macro  FLUSH_TLB
        mov     %cr3, %rax
        mov     %rax, %cr3
.endm

/* Move rdi from the end of a page to the next one of a span with the stride rsp, and go to `page`,
 * or fall through where no address is left. */
.macro  NEXT_OF_SPAN page
        lea     -0x1000(%rdi), %rdi
        add     %rsp, %rdi
        jnc     \page
.endm

/* Move rdi from the end of one page of RAM to the next page, or jump to `end` after the last;
 * changes rax. */
.macro  NEXT_PAGE end
        cmp     %r12, %rdi
        jne     .Lnot_hole\@
        mov     %r13, %rdi
.Lnot_hole\@:
        cmp     %r10, %rdi
        jb      .Lpage\@
        mov     %rdi, %rax
        shr     $32, %rax
        jnz     .Labove\@
        mov     $1, %edi
        shl     $32, %rdi
.Labove\@:
        cmp     %r11, %rdi
        jae     \end
.Lpage\@:
.endm

/* Stamp the pages of a span over and over, until a byte comes, and do `first` before each sweep. */
.macro  DIRTY_SPAN first
        CALL    read_span, %rsp
        mov     %rbx, %rsp              /* stride */
        mov     %rdi, %r15              /* first */
.Lsweep\@:
        inc     %r9
        \first
        PREPARE_STAMPS
        mov     %r15, %rdi
.Lpage\@:
        cmp     %r14, %rdi
        jae     .Lswept\@
        WRITE_PAGE
        NEXT_OF_SPAN .Lpage\@
.Lswept\@:
        FIELD   "swept generation=", %r9
        SAY     "\n"
        POLL    .Lsweep\@
        CALL    read_byte, %rsi
        FIELD   "stopped generation=", %r9
        DONE
.endm
