//! Code for the bare guest to run in RAM, small enough to be poked at once.
//!
//! The guest jumps to it with its address in rdi, and it jumps back to the address in rsi. It
//! finds in rax what it left there in the run before, at first 0; it may change rax, rcx and rdx
//! and nothing else. There is no stack.

/// Code that adds `step` to rax, as the eight bytes to poke. So what a number of runs leave there
/// tells which code ran how often.
#[must_use]
pub fn adds(step: i32) -> u64 {
    let [a, b, c, d] = step.to_le_bytes();
    // add $step, %rax; jmp *%rsi
    u64::from_le_bytes([0x48, 0x05, a, b, c, d, 0xff, 0xe6])
}

/// Bytes that a page has.
const PAGE: u32 = 4096;

/// Code for the start of a page that changes one word in each of the `pages` pages behind its own,
/// and in each of those from the guest-physical address `also` on: one page of either in each run.
/// So it dirties pages that are nearly what they were; it begins with an empty TLB, so that QEMU
/// takes notice. As eight bytes after the other to poke.
///
/// `pages` is a power of two, and `also` a page's address below 2 GiB.
#[must_use]
pub fn marks(pages: u32, also: u32) -> [u64; 5] {
    let [next, last] = [PAGE, (pages - 1) * PAGE].map(u32::to_le_bytes);
    let also = also.to_le_bytes();
    // mov %cr3, %rdx; mov %rdx, %cr3; add $next, %rax; and $last, %rax;
    // incq next(%rdi,%rax); incq also(%rax); jmp *%rsi
    let code: [&[u8]; 11] = [
        &[0x0f, 0x20, 0xda, 0x0f, 0x22, 0xda],
        &[0x48, 0x05],
        &next,
        &[0x48, 0x25],
        &last,
        &[0x48, 0xff, 0x84, 0x07],
        &next,
        &[0x48, 0xff, 0x80],
        &also,
        &[0xff, 0xe6],
        &[0; 5],
    ];
    let mut words = [0; 5];
    for (word, bytes) in words.iter_mut().zip(code.concat().chunks_exact(8)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| word << 8 | u64::from(byte));
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_differ_in_nothing_but_the_step() {
        assert_eq!(adds(1) ^ adds(2), 3 << 16);
        assert_eq!(adds(-1).to_le_bytes(), [0x48, 0x05, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe6]);
    }

    #[test]
    fn marks_are_what_an_assembler_makes_of_them() {
        let bytes = marks(64, 0x10_0000).map(u64::to_le_bytes).concat();
        let expected = [
            0x0f, 0x20, 0xda, // mov %cr3,%rdx
            0x0f, 0x22, 0xda, // mov %rdx,%cr3
            0x48, 0x05, 0x00, 0x10, 0x00, 0x00, // add $0x1000,%rax
            0x48, 0x25, 0x00, 0xf0, 0x03, 0x00, // and $0x3f000,%rax
            0x48, 0xff, 0x84, 0x07, 0x00, 0x10, 0x00, 0x00, // incq 0x1000(%rdi,%rax,1)
            0x48, 0xff, 0x80, 0x00, 0x00, 0x10, 0x00, // incq 0x100000(%rax)
            0xff, 0xe6, 0, 0, 0, 0, 0, // jmp *%rsi
        ];
        assert_eq!(bytes, expected);
    }
}
