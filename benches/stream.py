#!/usr/bin/env python3
"""Times `pcram stream` on a stream of 1 GiB against cat and upstream's scripts/analyze-migration.py.

Usage: benches/stream.py PCRAM QEMU ANALYZE_MIGRATION_PY [RUNS]

QEMU makes the stream: its RAM holds random bytes, so that every page is sent in full. All read the
same file, from the page cache, in turn. Printed are the fastest and the median time of each.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time

MIB = 1024


def make(qemu, folder):
    """A stream of MIB MiB of pages that are not alike."""
    ram, firmware = (os.path.join(folder, name) for name in ("ram", "firmware"))
    with open(ram, "wb") as out:
        for _ in range(MIB):
            out.write(os.urandom(1 << 20))
    with open(firmware, "wb") as out:
        out.write(bytes(1 << 16))
    command = [qemu, "-machine", "pc", "-m", str(MIB + 1), "-nodefaults", "-display", "none", "-S",
               "-bios", firmware, "-device", f"loader,file={ram},addr=0x100000,force-raw=on",
               "-monitor", "stdio"]
    stream = os.path.join(folder, "stream")
    monitor = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    monitor.stdin.write(f'migrate_set_parameter max-bandwidth 10G\nmigrate "exec:cat > {stream}"\n')
    monitor.stdin.flush()
    while True:
        monitor.stdin.write("info migrate\n")
        monitor.stdin.flush()
        for line in monitor.stdout:
            if line.lower().startswith(("status:", "migration status:")):
                break
        if "completed" in line:
            break
        assert "failed" not in line, line
        time.sleep(0.1)
    monitor.communicate("quit\n")
    os.remove(ram)
    return stream


def seconds(command):
    begun = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return time.monotonic() - begun


def main():
    pcram, qemu, script = sys.argv[1:4]
    runs = int(sys.argv[4]) if len(sys.argv) > 4 else 10
    with tempfile.TemporaryDirectory() as folder:
        stream = make(qemu, folder)
        commands = {
            "cat": ["cat", stream],
            "pcram stream": [pcram, "stream", stream],
            "analyze-migration.py": [sys.executable, script, "-f", stream],
        }
        times = {name: [] for name in commands}
        for command in commands.values():
            seconds(command)
        for _ in range(runs):
            for name, command in commands.items():
                times[name].append(seconds(command))
        print(f"{os.path.getsize(stream)} bytes, {runs} runs each, in turn")
        for name, each in times.items():
            print(f"{name:22} fastest {min(each):.3f} s, median {statistics.median(each):.3f} s")


if __name__ == "__main__":
    main()
