"""List the functions that call single vector operations: code that was compiled for the baseline CPU.

    python scripts/find_outlined.py [--level avx2]

A closure without ``#[inline(always)]``, or one that the standard library keeps to itself, may be left out
of line; then it is no part of the function that is compiled for a level, and each operation on lanes in it
is a call. Results are the same, five to fifty times later. Here the extension is built for one level with
its symbols, and ``objdump`` (binutils) tells who calls. Some functions that run once a call may remain; none
with a loop in it should.
"""

import argparse
import os
import re
import subprocess
from collections import Counter

FUNCTION = re.compile(r"^[0-9a-f]+ <(.*)>:")
CALL = re.compile(r"(?:call|jmp)\s+[0-9a-f]+ <(.*)>")
# What fearless_simd's operations are compiled as.
OPERATION = "__fearless_simd_kernel"
TARGET = "target/outlined"


def callers(disassembly: str) -> Counter[str]:
    """How many operations each function calls."""
    counts: Counter[str] = Counter()
    function = ""
    for line in disassembly.splitlines():
        if begin := FUNCTION.match(line):
            function = begin[1]
        elif (call := CALL.search(line)) and OPERATION in call[1] and OPERATION not in function:
            counts[function] += 1
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level", default="avx2", help="a feature of Cargo.toml")
    level = parser.parse_args().level
    build = ["cargo", "build", "--release", "--no-default-features", "--features", f"python,{level}"]
    environment = {"CARGO_PROFILE_RELEASE_STRIP": "none", "CARGO_TARGET_DIR": TARGET}
    subprocess.run(build, check=True, env={**os.environ, **environment})
    disassemble = ["objdump", "-d", "--no-show-raw-insn", "-C", f"{TARGET}/release/libactloss_rs.so"]
    disassembly = subprocess.run(disassemble, check=True, capture_output=True, text=True).stdout
    for function, count in callers(disassembly).most_common():
        print(f"{count:4} {function}")


if __name__ == "__main__":
    main()
