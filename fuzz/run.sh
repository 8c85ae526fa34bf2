#!/usr/bin/env bash
# Has a fuzzer look for input that a reader does not stand, for some time each.
#
#   fuzz/run.sh [TIME [TARGET...]]      TIME as 20m; needs cargo-bolero (`cargo install cargo-bolero`)
#
# What reached something new is added to tests/__fuzz__/TARGET/corpus, what failed to .../crashes;
# `cargo test` runs both from then on.
set -eu
cd "$(dirname "$0")"
time=${1:-20m}
[ $# -eq 0 ] || shift
targets=${*:-any_bytes_are_read_or_refused any_bytes_of_a_channel_are_read_or_refused \
    any_image_is_read_or_refused any_posting_is_repaired_or_refused}
for target in $targets; do
    cargo bolero test "$target" --sanitizer NONE -T "$time" --max-input-length 16384 \
        --target-dir ../target/fuzz
done
