/*
 * The command loop of the bare guest, its commands, and the subroutines of both.
 */

next_command:
        CALL    read_byte, %rsi
        cmp     $'p', %al
        je      ping
        cmp     $'g', %al
        je      set_generation
        cmp     $'s', %al
        je      stamp
        cmp     $'f', %al
        je      find
        cmp     $'d', %al
        je      dirty
        cmp     $'c', %al
        je      count
        cmp     $'w', %al
        je      poke
        cmp     $'r', %al
        je      peek
        cmp     $'S', %al
        je      stamp_span
        cmp     $'F', %al
        je      find_span
        cmp     $'D', %al
        je      dirty_span
        cmp     $'K', %al
        je      dirty_cached_span
        cmp     $'x', %al
        je      execute
        cmp     $'l', %al
        je      loop
        cmp     $'o', %al
        je      output
        cmp     $'i', %al
        je      input
/* The byte that is not understood is in al. */
unknown:
        movzbl  %al, %ebx
        FIELD   "what byte=", %rbx
        DONE

ping:
        SAY     "pong"
        DONE

set_generation:
        CALL    read_number, %r15
        mov     %rbx, %rdi
        CALL    read_number, %r15
        mov     %rdi, %r8
        mov     %rbx, %r9
        FIELD   "set seed=", %r8
        FIELD   " generation=", %r9
        DONE

stamp:
        CALL    sweep, %r15
        FIELD   "stamped generation=", %r9
        FIELD   " pages=", %r14
        DONE

/* The byte that stops is looked for between sweeps, so that all pages end at one generation. */
dirty:
        CALL    sweep, %r15
        FIELD   "swept generation=", %r9
        SAY     "\n"
        POLL    dirty
        CALL    read_byte, %rsi
        FIELD   "stopped generation=", %r9
        DONE

/* Ticks go by the time-stamp counter: iterations take a thousand times as long on some KVMs. */
count:
        xor     %ebx, %ebx
tick:
        rdtsc
        mov     %eax, %ebp
counting:
        mov     $0x400, %ecx
1:      add     $1, %rbx
        sub     $1, %ecx
        jnz     1b
        rdtsc
        sub     %ebp, %eax
        cmp     $TICK_CYCLES, %eax
        jb      counting
        FIELD   "tick count=", %rbx
        SAY     "\n"
        POLL    tick
        CALL    read_byte, %rsi
        FIELD   "counted count=", %rbx
        DONE

find:
        PREPARE_STAMPS
        xor     %r14d, %r14d            /* pages in all */
        xor     %r15d, %r15d            /* pages that match */
        mov     $-1, %rsp               /* address of the first that does not */
        xor     %edi, %edi
find_page:
        NEXT_PAGE found
        inc     %r14
        COMPARE_PAGE %rbx
        jnz     differs
        inc     %r15
        jmp     find_page
differs:
        cmp     $-1, %rsp
        jne     find_page
        lea     -0x1000(%rdi), %rsp
        jmp     find_page
found:
        FIELD   "found pages=", %r14
        FIELD   " matching=", %r15
        FIELD   " first=", %rsp
        DONE

poke:
        CALL    read_number, %r15
        mov     %rbx, %rdi
        CALL    read_number, %r15
        CALL    check_mapped, %rsi
        mov     %rbx, (%rdi)
        FIELD   "poked address=", %rdi
        FIELD   " value=", %rbx
        DONE

peek:
        CALL    read_number, %r15
        mov     %rbx, %rdi
        CALL    check_mapped, %rsi
        mov     (%rdi), %rbx
        FIELD   "peeked address=", %rdi
        FIELD   " value=", %rbx
        DONE

/* ---- commands on a span: the pages from `first` on, `stride` apart, below `end` */

stamp_span:
        CALL    read_span, %rsp
        mov     %rbx, %rsp              /* stride */
        PREPARE_STAMPS
        xor     %r15d, %r15d            /* pages */
stamp_span_page:
        cmp     %r14, %rdi
        jae     stamped_span
        inc     %r15
        WRITE_PAGE
        NEXT_OF_SPAN stamp_span_page
stamped_span:
        FIELD   "stamped generation=", %r9
        FIELD   " pages=", %r15
        DONE

dirty_span:
        DIRTY_SPAN FLUSH_TLB
dirty_cached_span:
        DIRTY_SPAN

/* One register short: the step between words is read from the ROM. */
find_span:
        CALL    read_span, %rsp
        mov     %rbx, %rsp              /* stride */
        PREPARE_STAMPS
        xor     %esi, %esi              /* pages in all */
        xor     %ebx, %ebx              /* pages that match */
        mov     $-1, %r15               /* address of the first that does not */
find_span_page:
        cmp     %r14, %rdi
        jae     found_span
        inc     %rsi
        COMPARE_PAGE word_step(%rip)
        jnz     1f
        inc     %rbx
        jmp     2f
1:      cmp     $-1, %r15
        jne     2f
        lea     -0x1000(%rdi), %r15
2:      NEXT_OF_SPAN find_span_page
found_span:
        mov     %rsi, %rbp
        FIELD   "found pages=", %rbp
        FIELD   " matching=", %rbx
        FIELD   " first=", %r15
        DONE

/* ---- commands that run code in RAM
 *
 * The code is jumped to with its own address in rdi, and jumps back to rsi. It finds in rax what
 * it left there the last time, at first 0, and may change rcx and rdx besides.
 */

execute:
        CALL    read_number, %r15
        mov     %rbx, %rdi
        CALL    read_number, %r15
        CALL    check_mapped, %rsi
        mov     %rbx, %r14              /* runs that are due */
        xor     %ebx, %ebx              /* runs */
        xor     %eax, %eax
1:      cmp     %r14, %rbx
        je      2f
        inc     %rbx
        CALL    *%rdi, %rsi
        jmp     1b
2:      mov     %rax, %rbp
ran:
        FIELD   "ran address=", %rdi
        FIELD   " runs=", %rbx
        FIELD   " value=", %rbp
        DONE

loop:
        CALL    read_number, %r15
        mov     %rbx, %rdi
        CALL    check_mapped, %rsi
        xor     %ebx, %ebx              /* runs */
        xor     %ebp, %ebp              /* what the last one left */
loop_tick:
        rdtsc
        mov     %eax, %r14d
looping:
        mov     %rbp, %rax
        mov     $0x400, %r15d
1:      inc     %rbx
        CALL    *%rdi, %rsi
        dec     %r15d
        jnz     1b
        mov     %rax, %rbp
        rdtsc
        sub     %r14d, %eax
        cmp     $TICK_CYCLES, %eax
        jb      looping
        FIELD   "running runs=", %rbx
        FIELD   " value=", %rbp
        SAY     "\n"
        POLL    loop_tick
        CALL    read_byte, %rsi
        jmp     ran

/* ---- commands on 32-bit I/O ports */

output:
        CALL    read_number, %r15
        mov     %rbx, %rdi
        CALL    read_number, %r15
        mov     %edi, %edx
        mov     %ebx, %eax
        out     %eax, (%dx)
        FIELD   "sent port=", %rdi
        FIELD   " value=", %rbx
        DONE

input:
        CALL    read_number, %r15
        mov     %ebx, %edx
        mov     %rbx, %rdi
        in      (%dx), %eax
        mov     %eax, %ebx
        FIELD   "received port=", %rdi
        FIELD   " value=", %rbx
        DONE

/* ---- subroutines that return to rsp */

/* Read a span: its first page to rdi, its end to r14, its stride to rbx, all rounded down to
 * pages, but the stride to no less than one. A span that ends outside the map ends the command. */
read_span:
        CALL    read_number, %r15
        mov     %rbx, %rdi
        CALL    read_number, %r15
        mov     %rbx, %r14
        CALL    read_number, %r15
        and     $~0xfff, %rdi
        and     $~0xfff, %r14
        and     $~0xfff, %rbx
        jnz     1f
        mov     $0x1000, %ebx
1:      mov     $MAPPED_GIB, %eax
        shl     $30, %rax
        cmp     %rax, %r14
        ja      2f
        jmp     *%rsp
2:      FIELD   "unmapped address=", %r14
        DONE

/* ---- subroutines that return to r15 */

/* Stamp all RAM at the next generation; r14: pages stamped. */
sweep:
        inc     %r9
        FLUSH_TLB
        PREPARE_STAMPS
        xor     %r14d, %r14d
        xor     %edi, %edi
sweep_page:
        NEXT_PAGE swept
        inc     %r14
        WRITE_PAGE
        jmp     sweep_page
swept:
        jmp     *%r15

/* Read 16 lower-case hexadecimal digits into rbx; any other byte ends the command. Keeps rdi. */
read_number:
        xor     %ebx, %ebx
        mov     $16, %ebp
1:      CALL    read_byte, %rsi
        mov     %eax, %ecx
        sub     $'0', %cl
        cmp     $10, %cl
        jb      2f
        sub     $('a' - '0'), %cl
        cmp     $6, %cl
        jae     unknown
        add     $10, %cl
2:      movzbl  %cl, %ecx
        shl     $4, %rbx
        or      %rcx, %rbx
        dec     %ebp
        jnz     1b
        jmp     *%r15

/* ---- subroutines that return to rsi */

/* Wait for a byte on COM1 and read it into al. */
read_byte:
        pause
        POLL    read_byte
        mov     $COM1_DATA, %edx
        in      (%dx), %al
        jmp     *%rsi

/* Write rcx as 16 hexadecimal digits. */
say_hex:
        mov     $DEBUG_PORT, %edx
        mov     $16, %ah
1:      rol     $4, %rcx
        mov     %cl, %al
        and     $0xf, %al
        cmp     $10, %al
        jb      2f
        add     $('a' - '0' - 10), %al
2:      add     $'0', %al
        out     %al, (%dx)
        dec     %ah
        jnz     1b
        jmp     *%rsi

/* End the command unless the eight bytes at rdi are mapped. */
check_mapped:
        mov     $MAPPED_GIB, %eax
        shl     $30, %rax
        sub     $8, %rax
        cmp     %rax, %rdi
        ja      1f
        jmp     *%rsi
1:      FIELD   "unmapped address=", %rdi
        DONE
