"""The oracle of the losses: each before its reduction, exact, with every option as the textbook has it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import mpmath
import numpy as np
import reference_elements
import reference_rows
from mpmath import exp, expm1, inf, log, log1p, mpf, nan
from reference import exact_array, log_softmax, logsumexp, sigmoid
from reference_terms import Terms, clipped, term, weights_of


def mean_squared_error(y_true: Any, y_pred: Any, *, sample_weight: Any = None) -> Terms:
    difference = np.asarray(exact_array(y_pred) - exact_array(y_true), dtype=object)
    w = weights_of(sample_weight, difference.shape)
    counted = np.ones(difference.shape, dtype=bool)
    return Terms(w * difference**2, w, counted, w * 2 * difference, w * mpf(2), w * 2 * abs(difference))


def binary_crossentropy(
    y_true: Any,
    y_pred: Any,
    *,
    from_logits: bool = False,
    sample_weight: Any = None,
    pos_weight: Any = None,
    label_smoothing: float = 0.0,
    epsilon: float = 0.0,
) -> Terms:
    s = mpf(label_smoothing)

    def one(y: mpf, x: mpf, weight: mpf, positive: mpf) -> tuple[mpf, mpf, mpf]:
        y = (1 - s) * y + s / 2
        a, b = positive * y, 1 - y
        if any(map(mpmath.isnan, (y, x, weight, positive))):
            return nan, nan, nan
        if from_logits:
            p, q = sigmoid(x), sigmoid(-x)
            value = term(a, log1p(exp(-x))) + term(b, log1p(exp(x)))
            return weight * value, weight * (b * p - a * q), weight * (a + b) * p * q
        p, free = clipped(x, mpf(epsilon))
        value = term(a, -log(p)) + term(b, -log(1 - p))
        if not free:
            return weight * value, mpf(0), mpf(0)
        slope = (term(b, 1 / (1 - p)) if p < 1 else term(b, inf)) - (term(a, 1 / p) if p else term(a, inf))
        bend = (term(b, 1 / (1 - p) ** 2) if p < 1 else term(b, inf)) + (
            term(a, 1 / p**2) if p else term(a, inf)
        )
        return weight * value, weight * slope, weight * bend

    y, x = exact_array(y_true), exact_array(y_pred)
    positive = np.broadcast_to(exact_array(1.0 if pos_weight is None else pos_weight), x.shape)
    w = weights_of(sample_weight, x.shape)
    values, gradient, hessian = (
        np.asarray(v, dtype=object) for v in np.frompyfunc(one, 4, 3)(y, x, w, positive)
    )
    scale = w * np.maximum(positive, mpf(1)) if from_logits else abs(gradient)
    return Terms(values, w, np.ones(x.shape, dtype=bool), gradient, hessian, scale)


def categorical_crossentropy(
    y_true: Any,
    y_pred: Any,
    *,
    from_logits: bool = False,
    axis: int = -1,
    sample_weight: Any = None,
    class_weight: Any = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    epsilon: float = 0.0,
    temperature: float = 1.0,
    counted: Any = None,
) -> Terms:
    y_rows, x_rows = (np.moveaxis(exact_array(v), axis, -1) for v in (y_true, y_pred))
    t = mpf(temperature)
    shape, classes = x_rows.shape[:-1], x_rows.shape[-1]
    weight = weights_of(sample_weight, shape)
    counted = np.ones(shape, dtype=bool) if counted is None else counted
    s, z = mpf(label_smoothing), mpf(z_loss)

    def of_classes(y: Any) -> mpf:
        if class_weight is None:
            return mpf(1)
        return mpmath.fsum(term(v, c) for v, c in zip(y, exact_array(class_weight), strict=True))

    def row(y: list[mpf], x: list[mpf]) -> tuple[mpf, list[mpf], list[mpf], list[mpf]]:
        y = [(1 - s) * v + s / classes for v in y]
        if any(map(mpmath.isnan, [*y, *x])):
            return nan, *([nan] * classes for _ in range(3))
        if not from_logits:
            p, free = zip(*(clipped(v, mpf(epsilon)) for v in x), strict=True)
            value = mpmath.fsum(term(v, -log(q)) for v, q in zip(y, p, strict=True))
            slope = [
                term(v, -1 / q if q else -inf) if f else mpf(0) for v, q, f in zip(y, p, free, strict=True)
            ]
            bend = [
                term(v, 1 / q**2 if q else inf) if f else mpf(0) for v, q, f in zip(y, p, free, strict=True)
            ]
            return value, slope, bend, list(map(abs, slope))
        x = [v / t for v in x]
        total, log_p, lse = mpmath.fsum(y), log_softmax(x), logsumexp(x)
        p, rest = list(map(exp, log_p)), [-expm1(v) for v in log_p]  # the rest is 1 - p, never cancelled
        value = mpmath.fsum(term(v, -q) for v, q in zip(y, log_p, strict=True)) + term(z, lse**2)
        slope = [
            (total * q - v if q < 0.5 else (total - v) - total * r) + term(z, 2 * lse * q)
            for v, q, r in zip(y, p, rest, strict=True)
        ]
        bend = [total * q * r + term(z, 2 * q * q + 2 * lse * q * r) for q, r in zip(p, rest, strict=True)]
        scale = [(1 + term(z, 2 * abs(lse))) / t] * classes
        return value, [v / t for v in slope], [v / t**2 for v in bend], scale

    values, weights = np.empty(shape, dtype=object), np.empty(shape, dtype=object)
    gradient, hessian, scale = (np.empty(x_rows.shape, dtype=object) for _ in range(3))
    for i in np.ndindex(shape):
        if counted[i]:
            value, *rows = row(list(y_rows[i]), list(x_rows[i]))
            weights[i] = w = weight[i] * of_classes(y_rows[i])
            values[i] = w * value
            gradient[i], hessian[i], scale[i] = ([w * v for v in of_row] for of_row in rows)
        else:
            values[i] = weights[i] = mpf(0)
            gradient[i], hessian[i], scale[i] = ([mpf(0)] * classes for _ in range(3))
    return Terms(values, weights, counted, *(np.moveaxis(v, -1, axis) for v in (gradient, hessian, scale)))


def sparse_categorical_crossentropy(
    y_true: Any, y_pred: Any, *, axis: int = -1, ignore_class: int | None = None, **options: Any
) -> Terms:
    """The dense loss of the one-hot labels."""
    y_pred = np.asarray(y_pred)
    shape = np.moveaxis(y_pred, axis, -1).shape[:-1]
    labels = np.asarray(y_true).reshape(shape)
    counted = np.ones(shape, dtype=bool) if ignore_class is None else labels != ignore_class
    one_hot = np.zeros((*shape, y_pred.shape[axis]))
    for i in np.ndindex(shape):
        if counted[i]:
            one_hot[i][int(labels[i])] = 1
    return categorical_crossentropy(
        np.moveaxis(one_hot, -1, axis), y_pred, axis=axis, counted=counted, **options
    )


LOSSES: dict[str, Callable[..., Terms]] = {
    "mean_squared_error": mean_squared_error,
    "binary_crossentropy": binary_crossentropy,
    "categorical_crossentropy": categorical_crossentropy,
    "sparse_categorical_crossentropy": sparse_categorical_crossentropy,
    **reference_elements.LOSSES,
    **reference_rows.LOSSES,
}
