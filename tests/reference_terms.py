"""What the oracle gives of a loss, and what the losses have in common."""

from __future__ import annotations

from typing import Any, NamedTuple

import mpmath
import numpy as np
from mpmath import mpf
from reference import exact_array


class Terms(NamedTuple):
    """A loss before its reduction: exact, weights applied."""

    values: Any
    weights: Any
    counted: Any
    gradient: Any
    """Of each value with respect to its own elements of y_pred, which has that shape."""
    hessian: Any
    """The diagonal."""
    scale: Any
    """Of y_pred's shape: the size of the terms that cancel in the gradient; its errors are relative to it."""
    bend_scale: Any = mpf(0)
    """The same of the Hessian."""

    def divisor(self, reduction: str) -> mpf:
        counted = self.counted.ravel()
        if reduction == "mean":
            return mpmath.fsum(self.weights.ravel()[counted])
        return mpf(int(counted.sum()) if reduction == "sum_over_batch_size" else 1)

    def reduced(self, reduction: str) -> mpf:
        return mpmath.fsum(self.values.ravel()[self.counted.ravel()]) / self.divisor(reduction)

    def reduced_gradient(self, reduction: str) -> Any:
        return self.gradient / self.divisor(reduction)


def term(y: mpf, factor: mpf) -> mpf:
    """y * factor, and 0 where y is 0 whatever the factor."""
    return y * factor if y else mpf(0)


def weights_of(sample_weight: Any, shape: tuple[int, ...]) -> Any:
    """sample_weight over its leading axes, repeated over the others."""
    if sample_weight is None:
        return exact_array(np.ones(shape))
    sample_weight = exact_array(sample_weight)
    return np.broadcast_to(
        sample_weight.reshape(sample_weight.shape + (1,) * (len(shape) - sample_weight.ndim)), shape
    )


def clipped(p: mpf, epsilon: mpf) -> tuple[mpf, bool]:
    """p in [epsilon, 1 - epsilon], and whether it was there already."""
    inside = min(max(p, epsilon), 1 - epsilon)
    return (inside, inside == p) if epsilon else (p, True)
