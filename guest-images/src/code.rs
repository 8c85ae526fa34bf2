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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_steps_differ_in_nothing_but_the_step() {
        assert_eq!(adds(1) ^ adds(2), 3 << 16);
        assert_eq!(adds(-1).to_le_bytes(), [0x48, 0x05, 0xff, 0xff, 0xff, 0xff, 0xff, 0xe6]);
    }
}
