"""Times of contenders that take turns.

With several threads a contender's idle ones spin for a while, in case that more work comes: on the cores
that the next contender needs. So each turn begins with a rest, longer than the 40 ms that onnxruntime's
threads spin, the longest of all, and with calls that are not timed: on a virtual machine a core that
slept takes up to a millisecond to come back, and longer to its full speed. And what a call touches has to
come back to the caches that the turns before have filled: every contender gets as many calls for that.
"""

from __future__ import annotations

import gc
from collections.abc import Callable
from time import perf_counter, process_time, sleep

# A contender this many times slower than the fastest is out of the race after this many rounds: in a
# single one, anybody may have been held up.
HOPELESS = 4.0
TRIALS = 2
# Seconds between turns; seconds and calls, at least, before those that are timed, and as many of these.
REST = 0.05
WARM_UP = 0.003
CALLS = 4


# "cpu" counts the time of all of the process's threads: for one thread on a machine that others use too.
CLOCKS = {"wall": perf_counter, "cpu": process_time}


def seconds_per_call(call: Callable[[], object], repeats: int, clock: str, rest: float) -> float:
    """Of `repeats` calls in a row, after a rest and some that are not timed."""
    sleep(rest)
    warm = perf_counter() + (WARM_UP if rest else 0)
    while True:
        for _ in range(CALLS):
            call()
        if perf_counter() > warm:
            break
    now = CLOCKS[clock]
    start = now()
    for _ in range(repeats):
        call()
    return (now() - start) / repeats


def race(
    contenders: dict[str, Callable[[], object]],
    rounds: int = 6,
    round_seconds: float = 0.004,
    clock: str = "wall",
    rest: float = REST,
    hopeless: float = HOPELESS,
) -> dict[str, list[float]]:
    """Seconds of a call in each round. A round is about `round_seconds` long."""
    repeats = {}
    for name, call in contenders.items():
        call()
        seconds = min(seconds_per_call(call, 1, clock, rest), seconds_per_call(call, 1, clock, rest))
        repeats[name] = max(CALLS, round(round_seconds / max(seconds, 1e-7)))
    times: dict[str, list[float]] = {name: [] for name in contenders}
    racing = list(contenders)
    gc.disable()
    try:
        for _ in range(rounds):
            for name in racing:
                times[name].append(seconds_per_call(contenders[name], repeats[name], clock, rest))
            fastest = min(map(min, times.values()))
            racing = [
                name for name in racing if len(times[name]) < TRIALS or min(times[name]) < hopeless * fastest
            ]
            racing = racing[1:] + racing[:1]  # nobody always runs after the same neighbour
    finally:
        gc.enable()
    return times
