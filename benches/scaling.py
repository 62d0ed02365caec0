"""Threads by size: where they begin to pay, and that they never cost."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import actloss_rs as al

from .machine import cpus
from .timing import race

CLASSES = 256


def operations(n: int) -> dict[str, Callable[[], object]]:
    """What is timed on `n` elements."""
    random = np.random.default_rng(0)
    x = random.standard_normal(n, np.float32) * np.float32(3)
    out = np.ones_like(x)
    rows = x.reshape(-1, CLASSES)
    labels, targets = random.integers(0, CLASSES, len(rows)), np.round(random.random(n, np.float32))
    return {
        "relu": lambda: al.relu(x, out=out),
        "sigmoid": lambda: al.sigmoid(x, out=out),
        "softplus": lambda: al.softplus(x, out=out),
        "softmax": lambda: al.softmax(rows, out=out.reshape(rows.shape)),
        "sparse_ce": lambda: al.sparse_categorical_crossentropy(labels, rows, from_logits=True),
        "mse": lambda: al.mean_squared_error(targets, x),
        "bce": lambda: al.binary_crossentropy(targets, x, from_logits=True),
    }


def with_threads(threads: int, call: Callable[[], object]) -> Callable[[], object]:
    def run() -> object:
        al.set_num_threads(threads)
        return call()

    return run


def main() -> None:
    """Print the speed-up of all threads over one, for sizes from 2^10 to 2^24."""
    counts = [1, *(2**k for k in range(1, cpus().bit_length()) if 2**k <= cpus())]
    print(f"{'':12}" + "".join(f"{f'2^{k}':>8}" for k in range(10, 25, 2)))
    table: dict[str, list[str]] = {}
    for k in range(10, 25, 2):
        for name, call in operations(2**k).items():
            times = race({str(count): with_threads(count, call) for count in counts})
            ratio = min(times["1"]) / min(times[str(counts[-1])])
            table.setdefault(name, []).append(f"{ratio:7.2f}x")
    for name, ratios in table.items():
        print(f"{name:12}" + "".join(ratios))
