"""Small calls: what the way through Python costs, in calls of `np.exp` on one element."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

import actloss_rs as al

from .timing import race

UNIT = "np.exp, 1 element"


def calls() -> dict[str, tuple[Callable[[], object], str, float | None]]:
    """Each call, what it is compared with, and the most it may cost in that."""
    random = np.random.default_rng(0)
    made: dict[str, tuple[Callable[[], object], str, float | None]] = {}
    for n in (1, 10, 100):
        x = random.standard_normal(n).astype(np.float32)
        unit = UNIT if n == 1 else f"np.exp, {n} elements"
        made[unit] = (lambda x=x: np.exp(x), UNIT, None)
        made[f"sigmoid, {n} element{'s' if n > 1 else ''}"] = (lambda x=x: al.sigmoid(x), unit, 1.1)
    x, logits = random.standard_normal((10,), np.float32), random.standard_normal((32, 10), np.float32)
    labels, targets = random.integers(0, 10, 32), random.random((32, 10), np.float32)
    made["gelu, 10 elements"] = (lambda: al.gelu(x), UNIT, None)
    made["softmax, 10 elements"] = (lambda: al.softmax(x), UNIT, 1.5)
    loss = al.losses.SparseCategoricalCrossentropy(from_logits=True)
    made["sparse cross-entropy, class, (32, 10)"] = (lambda: loss(labels, logits), UNIT, 7.0)
    made["sparse cross-entropy, function, (32, 10)"] = (
        lambda: al.sparse_categorical_crossentropy(labels, logits, from_logits=True),
        UNIT,
        7.0,
    )
    made["binary cross-entropy, function, (32, 10)"] = (
        lambda: al.binary_crossentropy(targets, logits, from_logits=True),
        UNIT,
        7.0,
    )
    made["mean squared error, function, (32, 10)"] = (
        lambda: al.mean_squared_error(targets, logits),
        UNIT,
        7.0,
    )
    try:
        import torch

        torch.set_num_threads(1)
        tensor, ids = torch.from_numpy(logits), torch.from_numpy(labels)
        entropy = torch.nn.functional.cross_entropy
        made["sparse cross-entropy, PyTorch, (32, 10)"] = (lambda: entropy(tensor, ids), UNIT, None)
    except ImportError:
        pass
    return made


def main(clock: str) -> None:
    """Print each call's time and ratio."""
    made = calls()
    times = race(
        {name: call for name, (call, _, _) in made.items()}, rounds=15, round_seconds=0.01, clock=clock
    )
    fastest = {name: min(seconds) for name, seconds in times.items()}
    for name, (_, unit, bound) in made.items():
        ratio = fastest[name] / fastest[unit]
        promise = "" if bound is None else f"of {bound:.1f}" + ("" if ratio <= bound else "  MISSED")
        print(f"{name:44}{fastest[name] * 1e9:9.0f} ns{ratio:7.2f} {unit:22}{promise}")
