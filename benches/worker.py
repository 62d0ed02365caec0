"""One process, one number of threads: times rows and prints a line of JSON for each, and one before each
contender's first call, so that it is known which of them ended the process.

Threads are set before any library is imported, in the ways that libraries know: the process's affinity,
environment variables, and each peer's own setting.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

# What keeps the peers to AVX2 as well; ours is ACTLOSS_SIMD.
SIMD_VARIABLES = {
    "avx2": {
        "ACTLOSS_SIMD": "avx2",
        "ATEN_CPU_CAPABILITY": "avx2",
        "ONEDNN_MAX_CPU_ISA": "AVX2",
        "MKL_ENABLE_INSTRUCTIONS": "AVX2",
        "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
        "XLA_FLAGS": "--xla_cpu_max_isa=AVX2",
    }
}
TOLERANCE = {"float64": 1e-6, "float32": 1e-3, "float16": 3e-2, "bfloat16": 6e-2}


def environment(threads: int, simd: str | None) -> dict[str, str]:
    """What a worker is started with."""
    count = str(threads)
    names = ["OMP", "MKL", "OPENBLAS", "NUMEXPR", "NUMEXPR_MAX", "ACTLOSS"]
    return {
        **os.environ,
        **{f"{name}_NUM_THREADS": count for name in names},
        "TF_NUM_INTRAOP_THREADS": count,
        "TF_NUM_INTEROP_THREADS": count,
        "TF_CPP_MIN_LOG_LEVEL": "3",
        **SIMD_VARIABLES.get(simd or "", {}),
    }


def start_peers(threads: int, wanted: str) -> tuple[list[Any], dict[str, str]]:
    """The peers that are installed, and why the others are not there."""
    from benches.peers import OURS, PEERS

    peers, missing = [], {}
    for peer in PEERS:
        if wanted.lower() not in peer.name.lower() and peer.name not in (OURS, "NumPy"):
            continue
        try:
            peers.append(peer(threads))
        except Exception as error:
            missing[peer.name] = f"{type(error).__name__}: {error}".splitlines()[0]
    return peers, missing


def contenders(
    problem: Any, peers: list[Any], skipped: dict[str, str], announce: Callable[[str | None], None]
) -> Iterator[tuple[str, Any, Any]]:
    """The calls of a row, each with its first result; those that are skipped already are not asked."""
    for peer in peers:
        make = getattr(peer, problem.row.operation, None)
        if make is None or peer.name in skipped:
            continue
        announce(peer.name)
        try:
            call = make(problem)
            yield peer.name, call, peer.to_numpy(call())
        except Exception as error:
            skipped[peer.name] = f"{type(error).__name__}: {error}".splitlines()[0][:200]
    announce(None)


def limits(problem: Any, peers: list[Any]) -> dict[str, Any]:
    """The plain memory traffic of a row, by the fastest that copies or reads."""
    calls = {}
    for operation in problem.row.traffic:
        for peer in peers:
            make = getattr(peer, operation, None)
            if make is not None:
                calls[f"{operation} {peer.name}"] = make(problem)
    return calls


def time_row(
    row: Any, peers: list[Any], clock: str, crashed: list[str], announce: Callable[[str | None], None]
) -> dict[str, Any]:
    import numpy as np

    from benches.machine import private_cache
    from benches.peers import OURS
    from benches.rows import Problem
    from benches.timing import race

    problem = Problem(row)
    skipped = dict.fromkeys(crashed, "crashes the process")
    calls, reference = {}, None
    for name, call, result in contenders(problem, peers, skipped, announce):
        if name == OURS:
            reference = result
        elif reference is not None:
            tolerance = TOLERANCE[row.dtype]
            size = max(1e-30, float(np.abs(reference).max()))
            if result.shape != reference.shape or not np.allclose(
                result, reference, rtol=tolerance, atol=tolerance * size
            ):
                skipped[name] = "another result"
                continue
        calls[name] = call
    # The limits race apart: beside a plain copy every contender would be out after one round.
    times = {**race(calls, clock=clock), **race(limits(problem, peers), clock=clock)}
    fastest = {name: min(seconds) for name, seconds in times.items()}
    return {
        "row": row.name,
        "in_cache": row.bytes <= private_cache(),
        "seconds": {name: fastest[name] for name in calls},
        "spread": {name: float(np.median(times[name])) / fastest[name] - 1 for name in calls},
        "limit": sum(
            count * min(fastest[name] for name in fastest if name.startswith(f"{operation} "))
            for operation, count in row.traffic.items()
        ),
        "skipped": skipped,
    }


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--rows", nargs="*", default=[])
    parser.add_argument("--peers", default="")
    parser.add_argument("--clock", default="wall")
    parser.add_argument("--done", type=int, default=0, help="rows that another process has timed")
    parser.add_argument("--crashed", nargs="*", default=[], help="peers that ended it at the next row")
    arguments = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        cpus = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, cpus[-arguments.threads :])
    warnings.simplefilter("ignore")

    from benches.rows import ROWS

    # Whatever a peer prints goes to stderr; the lines of JSON alone to stdout.
    lines = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    peers, missing = start_peers(arguments.threads, arguments.peers)
    versions = {peer.name: peer.version() for peer in peers}
    level = next(peer.al.simd_level() for peer in peers if peer.name == "actloss_rs")
    print(json.dumps({"versions": versions, "missing": missing, "level": level}), file=lines, flush=True)

    def announce(peer: str | None) -> None:
        print(json.dumps({"asked": peer}), file=lines, flush=True)

    rows = [row for row in ROWS if not arguments.rows or any(words in row.name for words in arguments.rows)]
    crashed = arguments.crashed
    for row in rows[arguments.done :]:
        timed = time_row(row, peers, arguments.clock, crashed, announce)
        print(json.dumps(timed), file=lines, flush=True)
        crashed = []
    lines.close()
    sys.stdout = sys.stderr
    os._exit(0)  # some peers' thread pools crash when the interpreter winds down


if __name__ == "__main__":
    main()
