//! Tests that need a QEMU; see `tests/`.
