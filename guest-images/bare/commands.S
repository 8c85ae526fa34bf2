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

/* All 512 words are compared without a branch: rdx gathers the bits that differ. */
find:
        PREPARE_STAMPS
        xor     %r14d, %r14d            /* pages in all */
        xor     %r15d, %r15d            /* pages that match */
        mov     $-1, %rsp               /* address of the first that does not */
        xor     %edi, %edi
find_page:
        NEXT_PAGE found
        inc     %r14
        FIRST_WORD
        xor     %edx, %edx
        .balign 16
1:
        .set    word, 0
        .rept   8
        mov     word * 8(%rdi), %rcx
        xor     %rax, %rcx
        or      %rcx, %rdx
        add     %rbx, %rax
        .set    word, word + 1
        .endr
        add     $64, %rdi
        test    $0xfff, %edi
        jnz     1b
        test    %rdx, %rdx
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

/* ---- subroutines that return to r15 */

/* Stamp all RAM at the next generation; r14: pages stamped. */
sweep:
        inc     %r9
        PREPARE_STAMPS
        xor     %r14d, %r14d
        xor     %edi, %edi
sweep_page:
        NEXT_PAGE swept
        inc     %r14
        FIRST_WORD
        .balign 16
1:
        .set    word, 0
        .rept   8
        mov     %rax, word * 8(%rdi)
        add     %rbx, %rax
        .set    word, word + 1
        .endr
        add     $64, %rdi
        test    $0xfff, %edi
        jnz     1b
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
