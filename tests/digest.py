"""Digests of what every function returns, as JSON on the standard output.

Run as a program by the tests of levels and threads, which compare the answers of settings that may not
differ.
"""

from __future__ import annotations

import hashlib
import json
import sys

import numpy as np
from inputs import KINDS, LOSSES, PARAMETERS, function, loss_class, loss_inputs, samples

import actloss_rs as al

try:
    from ml_dtypes import bfloat16
except ImportError:
    DTYPES = [np.float16, np.float32, np.float64]
else:
    DTYPES = [np.float16, bfloat16, np.float32, np.float64]


def digest(*arrays: object) -> str:
    """NaN of any sign and payload is one value: which one a kernel returns is no promise."""
    state = hashlib.sha256()
    for array in map(np.asarray, arrays):
        if array.dtype.kind not in "biu":
            array = np.where(np.isnan(array), np.array(np.nan, dtype=array.dtype), array)
        state.update(array.tobytes())
    return state.hexdigest()[:16]


def digests(size: int) -> dict[str, str]:
    found = {}
    for dtype in map(np.dtype, DTYPES):
        x = samples(dtype, size)
        dy = np.random.default_rng(5).normal(0, 1, x.shape).astype(dtype)
        for name, parameters in PARAMETERS:
            key = f"{name}{parameters} {dtype.name}"
            found[key] = digest(function(name)(x, *parameters), function(name)(x[::3], *parameters))
            found[f"backward {key}"] = digest(function(name, al.backward)(dy, x, *parameters))
        for classes in (2, 10, 33, 100, 1000):
            rows = np.random.default_rng(6).normal(0, 6, (max(3, size // classes), classes)).astype(dtype)
            for name in ("softmax", "softmin", "sparsemax", "log_softmax", "logsumexp"):
                of = getattr(al, name)
                found[f"{name} {classes} {dtype.name}"] = digest(
                    of(rows), of(rows, axis=0), of(rows, axis=None)
                )
            y = al.softmax(rows)
            found[f"backward rows {classes} {dtype.name}"] = digest(
                al.backward.softmax(rows, y),
                al.backward.log_softmax(rows, rows[::-1]),
                al.backward.logsumexp(rows[:, 0], rows),
            )
            found[f"normalised {classes} {dtype.name}"] = digest(*normalised(rows, rows[::-1]))
            for name, options in LOSSES:
                y_true, y_pred = loss_inputs(name, rows.shape, dtype, **options)
                weight = np.random.default_rng(7).uniform(0, 2, len(rows))
                results = [
                    part
                    for reduction in ("none", "sum", "mean")
                    for part in loss_class(name, reduction=reduction, **options).value_and_grad(
                        y_true, y_pred, weight
                    )
                ]
                hessians = ()
                if KINDS[name].hessian:
                    hessians = loss_class(name, **options).gradient_hessian(y_true, y_pred, weight)
                found[f"{name}{options} {classes} {dtype.name}"] = digest(*results, *hessians)
    return found


def normalised(x: np.ndarray, dy: np.ndarray) -> list[np.ndarray | float]:
    """All that is normalised or counted, of x and of its transpose."""
    results: list[np.ndarray | float] = []
    for of, upstream in ((x, dy), (x.T, dy.T)):
        gamma = np.arange(of.shape[-1], dtype=np.float64)
        results += [al.batch_norm(of, gamma, training=True), al.layer_norm(of, gamma), al.rms_norm(of, gamma)]
        results += al.backward.batch_norm(upstream, of, gamma, training=True)
        results += al.backward.layer_norm(upstream, of, gamma)
        results += al.backward.rms_norm(upstream, of, gamma)
        clipped, norm = al.clip_by_global_norm([of, upstream], 0.5)
        found = al.diagnostics.statistics(of, saturation=(-5.0, 5.0), magnitudes=True)
        results += [*clipped, norm, *(getattr(found, name) for name in found.__slots__)]
    return results


if __name__ == "__main__":
    json.dump(
        {"level": al.simd_level(), "threads": al.get_num_threads(), "digests": digests(int(sys.argv[1]))},
        sys.stdout,
    )
