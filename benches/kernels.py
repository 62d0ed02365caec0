"""Every kernel, at every fast SIMD level: its time in copies of the same memory, against the record.

A function, a dtype and a size make a case; each SIMD level runs in a process of its own, on one thread. A
case is timed in turns with a copy of as many bytes as its input has, so that the machine's load and clock
matter little. The record holds for CPUs of its kind: on another, make one with `--record` before a change,
and compare after it.
"""

from __future__ import annotations

import argparse
import inspect
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from .machine import cpu_name
from .timing import race

RECORD = Path(__file__).resolve().parent / "records" / "kernels.json"
# Those that are meant to be fast.
LEVELS = ["avx512", "avx2", "neon"]
DTYPES = ["float16", "float32", "float64"]
# Elements of the elementwise functions, and shapes of those along an axis: about as many.
SIZES = [10_000, 300_000]
SHAPES = [(1000, 10), (100, 100), (300, 1000), (10, 32000)]
# A case is slower when it takes this many times as long as on record; less may be a busy machine's noise.
WORSE = 1.3

ALONG_AN_AXIS = ["softmax", "log_softmax", "logsumexp", "softmin", "sparsemax"]
GATED = ["glu", "swiglu", "geglu"]
MORE_ARGUMENTS = {"prelu": (0.1,), "threshold": (0.1, 0.2)}
IDS = ["SparseCategoricalCrossentropy", "MultiMargin"]
DISTRIBUTIONS = [
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "KLDivergence",
    "CategoricalHinge",
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "Dice",
    "Tversky",
]
SIGNS = ["Hinge", "SquaredHinge", "SoftMargin"]

Case = tuple[str, Callable[[], object], int]


def elementwise(x: np.ndarray) -> Iterator[Case]:
    """The activations and their gradients."""
    import actloss_rs as al

    out, dy = np.ones_like(x), np.ones_like(x)
    for name in al.activations.__all__:
        if name in ALONG_AN_AXIS or name in GATED:
            continue
        value, gradient = getattr(al, name), getattr(al.backward, name)
        arguments = MORE_ARGUMENTS.get(name, ())
        yield name, lambda f=value, a=arguments: f(x, *a, out=out), x.nbytes
        yield f"backward.{name}", lambda f=gradient, a=arguments: f(dy, x, *a, out=out), x.nbytes


def rows(x: np.ndarray) -> Iterator[Case]:
    """What works along the last axis, and the normalisations."""
    import actloss_rs as al

    for name in [*ALONG_AN_AXIS, *GATED, "layer_norm", "rms_norm"]:
        value = getattr(al, name)
        yield name, lambda f=value: f(x), x.nbytes
    y, dy = al.softmax(x), np.ones_like(x)
    for name in ALONG_AN_AXIS:
        upstream = np.ones(x.shape[:-1], x.dtype) if name == "logsumexp" else dy
        gradient = getattr(al.backward, name)
        yield f"backward.{name}", lambda f=gradient, d=upstream: f(d, y), x.nbytes
    for name in ["layer_norm", "rms_norm"]:
        gradient = getattr(al.backward, name)
        yield f"backward.{name}", lambda f=gradient: f(dy, x), x.nbytes
    yield "batch_norm", lambda: al.batch_norm(x, training=True), x.nbytes
    yield "backward.batch_norm", lambda: al.backward.batch_norm(dy, x, training=True), x.nbytes
    yield "global_norm", lambda: al.global_norm([x]), x.nbytes
    yield "diagnostics.statistics", lambda: al.diagnostics.statistics(x), x.nbytes


def targets(name: str, x: np.ndarray) -> np.ndarray:
    """Labels as the loss wants them."""
    random = np.random.default_rng(1)
    ids = random.integers(0, x.shape[-1], x.shape[0])
    if name in IDS:
        return ids
    if name in DISTRIBUTIONS:
        return (ids[:, None] == np.arange(x.shape[-1])).astype(x.dtype)
    return np.sign(x) if name in SIGNS else np.abs(x[::-1]) + x.dtype.type(1)


def losses(x: np.ndarray) -> Iterator[Case]:
    """Every loss: its value, with its gradient, and gradient and Hessian; on probabilities and on logits."""
    import actloss_rs as al

    probabilities = al.softmax(x)
    for name in al.losses.__all__:
        kind = getattr(al.losses, name)
        if not inspect.isclass(kind) or name in ("Loss", "LossMetric"):
            continue
        y = targets(name, x)
        on_logits = "from_logits" in inspect.signature(kind).parameters
        for from_logits in [False, True] if on_logits else [None]:
            loss = kind() if from_logits is None else kind(from_logits=from_logits)
            of_probabilities = from_logits is False or name in ("KLDivergence", "Dice", "Tversky")
            prediction = probabilities if of_probabilities else x
            if name in ("Poisson", "MeanSquaredLogarithmicError"):
                prediction = np.abs(x) + x.dtype.type(1)
            given = (y, prediction, np.ones_like(x)) if name == "GaussianNLL" else (y, prediction)
            label = f"{name}(from_logits=True)" if from_logits else name
            yield label, lambda f=loss, a=given: f(*a), x.nbytes
            yield f"{label}.value_and_grad", lambda f=loss, a=given: f.value_and_grad(*a), x.nbytes
            try:
                loss.gradient_hessian(*given)
            except NotImplementedError:
                continue
            yield (
                f"{label}.gradient_hessian",
                lambda f=loss, a=given: f.gradient_hessian(*a),
                x.nbytes,
            )


def cases(wanted: list[str]) -> Iterator[Case]:
    """All of them, or those whose name contains one of `wanted`, with their sizes in the name."""
    random = np.random.default_rng(0)
    for dtype in DTYPES:
        for shape in [*((n,) for n in SIZES), *SHAPES]:
            x = (3 * random.standard_normal(shape, np.float32)).astype(dtype)
            makers = [elementwise] if len(shape) == 1 else [rows, losses]
            for make in makers:
                for name, call, size in make(x):
                    full = f"{name} {dtype} {'x'.join(map(str, shape))}"
                    if not wanted or any(words in full for words in wanted):
                        yield full, call, size


def measure(wanted: list[str], rounds: int) -> dict[str, float]:
    """Copies of the input's memory that each case takes, at the level of this process."""
    import actloss_rs as al

    al.set_num_threads(1)
    found = {}
    buffers: dict[int, tuple[np.ndarray, np.ndarray]] = {}
    for name, call, size in cases(wanted):
        source, copy = buffers.setdefault(size, (np.ones(size, np.uint8), np.ones(size, np.uint8)))
        contenders = {"ours": call, "copy": lambda s=source, c=copy: np.copyto(c, s)}
        times = race(contenders, rounds, round_seconds=1e-3, rest=0.0, hopeless=math.inf)
        found[name] = min(times["ours"]) / min(times["copy"])
    return found


def at_level(level: str, wanted: list[str], rounds: int) -> dict[str, float] | None:
    """As `measure`, in a process at that level; None where this machine or build has not got it."""
    command = [sys.executable, "-m", "benches.kernels", "--rounds", str(rounds), *wanted]
    # Memory is kept, or the page faults of new results would be measured.
    kept = {f"MALLOC_{name}_THRESHOLD_": str(2**25) for name in ("MMAP", "TRIM")}
    variables = {**os.environ, **kept, "ACTLOSS_SIMD": level}
    ended = subprocess.run(
        command, cwd=RECORD.parents[2], env=variables, capture_output=True, text=True, check=False
    )
    if "ACTLOSS_SIMD" in ended.stderr:
        return None
    if ended.returncode:
        sys.exit(ended.stderr)
    return json.loads(ended.stdout)


def compare(level: str, found: dict[str, float], before: dict[str, float]) -> list[str]:
    """The cases that are slower than on record, measured again before they are believed."""
    suspects = [name for name in found if found[name] > WORSE * before.get(name, math.inf)]
    again = (at_level(level, suspects, 20) or {}) if suspects else {}
    slower = [name for name in suspects if again[name] > WORSE * before[name]]
    for name in slower:
        print(f"{level:8}{name:64}{before[name]:9.2f}{again[name]:9.2f}  SLOWER")
    return slower


def main(wanted: list[str], record: bool) -> None:
    """Print what is slower than on record, or write the record."""
    on_record: dict[str, Any] = json.loads(RECORD.read_text()) if RECORD.exists() else {}
    if not record and on_record.get("cpu") != cpu_name():
        print(f"the record is of another CPU ({on_record.get('cpu')}): make one with --record, then compare")
    levels: dict[str, dict[str, float]] = {}
    slower = []
    for level in LEVELS:
        found = at_level(level, wanted, 5)
        if found is None:
            continue
        levels[level] = found
        print(f"{level}: {len(found)} cases", flush=True)
        if not record:
            slower += compare(level, found, on_record.get("copies", {}).get(level, {}))
    if record:
        rounded = {level: {k: float(f"{v:.3g}") for k, v in of.items()} for level, of in levels.items()}
        RECORD.write_text(json.dumps({"cpu": cpu_name(), "copies": rounded}, indent=1) + "\n")
        print(f"record: {RECORD}")
    elif not slower:
        print(f"none takes {WORSE} times as long as on record")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("wanted", nargs="*")
    options = parser.parse_args()
    json.dump(measure(options.wanted, options.rounds), sys.stdout)
