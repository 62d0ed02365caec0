"""A loss against its oracle: values, reductions, gradient and Hessian."""

from __future__ import annotations

import mpmath
import numpy as np
import reference_losses
from inputs import KINDS, loss_class
from reference import ulp_error

import actloss_rs as al

REDUCTIONS = ["sum", "mean", "sum_over_batch_size"]


def check(name, y_true, y_pred, sample_weight=None, budget=4.0, **options):
    """Values, reductions, gradient and Hessian against the oracle."""
    terms = reference_losses.LOSSES[name](y_true, y_pred, sample_weight=sample_weight, **options)
    none = getattr(al, name)(y_true, y_pred, sample_weight=sample_weight, reduction="none", **options)
    assert none.shape == terms.values.shape
    # Where terms of either sign occur they are summed in twice the digits: every value is good to its last.
    assert ulp_error(none, terms.values, 1e-300).max() <= budget
    eps = float(np.finfo(none.dtype).eps)
    for reduction in REDUCTIONS:
        loss = loss_class(name, reduction=reduction, **options)
        value, gradient = loss.value_and_grad(y_true, y_pred, sample_weight)
        size = mpmath.fsum(abs(terms.values).ravel()) / abs(terms.divisor(reduction))
        assert abs(value - terms.reduced(reduction)) <= budget * eps * size + 1e-300
        scale = terms.scale / terms.divisor(reduction)
        assert ulp_error(gradient, terms.reduced_gradient(reduction), abs(scale)).max() <= 2 * budget
    if KINDS[name].hessian:
        g, h = loss.gradient_hessian(y_true, y_pred, sample_weight)
        assert ulp_error(g, terms.gradient, terms.scale).max() <= 2 * budget
        assert ulp_error(h, terms.hessian, np.maximum(terms.bend_scale, 1e-300)).max() <= 2 * budget
    return none
