#!/usr/bin/env python3
"""Times how often `pcram mirror` calls the save loop of QEMU 1.0 in a second.

Usage: benches/mirror.py PCRAM RUNS [ARGS...]

ARGS are what `pcram mirror 1.0` needs beside, as `--git-url GIT`. A call is one on both sides, the C's and the
mirror's, with what both return, write and leave compared, and the properties of the migration
watched. All is done on one processor, in turn. Printed are the fastest run and the median, in
thousand calls a second, as the tool counts them.
"""

import os
import re
import statistics
import subprocess
import sys

CASES = 40_000
STEP = re.compile(r"mirror: \d+ cases on the functions as (\w+)")
RATE = re.compile(r"of the save loop, (\d+) thousand a second")


def rates(command):
    """The rate of each variant in one run."""
    said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found, variant = {}, None
    for line in said.splitlines():
        if step := STEP.match(line):
            variant = step[1]
        elif (rate := RATE.search(line)) and variant:
            found[variant] = int(rate[1])
    assert found, said
    return found


def main():
    pcram, runs, *args = sys.argv[1:]
    command = [pcram, "mirror", "1.0", "--cases", str(CASES), "--seed", "1", *args]
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    all_runs = [rates(command) for _ in range(int(runs))]
    for variant in all_runs[0]:
        each = [run[variant] for run in all_runs]
        print(f"{variant:8} {max(each):5} (median {statistics.median(each):.0f}) thousand calls a second")


if __name__ == "__main__":
    main()
