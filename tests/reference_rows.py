"""The oracle of the losses that have one value for a row or a sample: each row's textbook, exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
from mpmath import exp, expm1, log, mpf, nan
from reference import exact_array, log_softmax
from reference_terms import Terms, clipped, term, weights_of


class Row(NamedTuple):
    """A loss of a row and its derivatives by the row's predictions, before the weight."""

    value: mpf
    slope: list[mpf]
    bend: list[mpf]
    """The diagonal of the Hessian."""
    scale: list[mpf]
    """The size of what cancels in the slopes."""
    bend_scale: list[mpf]


def by_rows(
    row: Callable[[list[mpf], list[mpf]], Row],
    y_true: Any,
    y_pred: Any,
    axis: int = -1,
    sample_weight: Any = None,
    counted: Any = None,
) -> Terms:
    """A loss of each row along the axis; a NaN anywhere is NaN everywhere in its row."""
    y_rows, x_rows = (np.moveaxis(exact_array(v), axis, -1) for v in (y_true, y_pred))
    shape, n = x_rows.shape[:-1], x_rows.shape[-1]
    counted = np.ones(shape, dtype=bool) if counted is None else counted
    weights = np.where(counted, weights_of(sample_weight, shape), mpf(0))
    values = np.full(shape, mpf(0), dtype=object)
    derivatives = [np.full(x_rows.shape, mpf(0), dtype=object) for _ in range(4)]
    for i in np.ndindex(shape):
        if not counted[i]:
            continue
        y, x = list(y_rows[i]), list(x_rows[i])
        of_row = Row(nan, *([[nan] * n] * 4)) if any(map(mpmath.isnan, [*y, *x])) else row(y, x)
        values[i] = weights[i] * of_row.value
        for target, parts in zip(derivatives, of_row[1:], strict=True):
            target[i] = [weights[i] * part for part in parts]
    return Terms(values, weights, counted, *(np.moveaxis(v, -1, axis) for v in derivatives))


def power(base: mpf, exponent: mpf) -> mpf:
    """base ** exponent, infinite where 0 has a negative exponent."""
    return base**exponent if base or exponent >= 0 else mpmath.inf


def kl_divergence(
    y_true: Any,
    y_pred: Any,
    *,
    from_logits: bool = False,
    axis: int = -1,
    epsilon: float = 0.0,
    sample_weight: Any = None,
) -> Terms:
    def row(y: list[mpf], x: list[mpf]) -> Row:
        n = len(x)
        if from_logits:
            log_p = log_softmax(x)
            value = mpmath.fsum(term(a, (log(a) if a else mpf(0)) - b) for a, b in zip(y, log_p, strict=True))
            total, p = mpmath.fsum(y), [exp(v) for v in log_p]
            slope = [total * q - a for a, q in zip(y, p, strict=True)]
            bend = [total * q * -expm1(v) for q, v in zip(p, log_p, strict=True)]
            scale = [total * q + a for a, q in zip(y, p, strict=True)]
            return Row(value, slope, bend, scale, [mpf(0)] * n)
        p, free = zip(*(clipped(v, mpf(epsilon)) for v in x), strict=True)
        value = mpmath.fsum(term(a, log(a / q) if a and q else mpmath.inf) for a, q in zip(y, p, strict=True))
        slope = [
            term(a, -1 / q if q else -mpmath.inf) if f else mpf(0) for a, q, f in zip(y, p, free, strict=True)
        ]
        bend = [
            term(a, 1 / q**2 if q else mpmath.inf) if f else mpf(0)
            for a, q, f in zip(y, p, free, strict=True)
        ]
        return Row(value, slope, bend, [mpf(0)] * n, [mpf(0)] * n)

    return by_rows(row, y_true, y_pred, axis, sample_weight)


def categorical_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    *,
    alpha: Any = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    axis: int = -1,
    label_smoothing: float = 0.0,
    epsilon: float = 0.0,
    sample_weight: Any = None,
) -> Terms:
    g, s = mpf(gamma), mpf(label_smoothing)

    def row(y: list[mpf], x: list[mpf]) -> Row:
        n = len(x)
        each = np.broadcast_to(exact_array(alpha), (n,))
        a = [w * ((1 - s) * v + s / n) for w, v in zip(each, y, strict=True)]
        if from_logits:
            log_p, free = log_softmax(x), [True] * n
        else:
            p, free = zip(*(clipped(v, mpf(epsilon)) for v in x), strict=True)
            log_p = [log(v) if v else -mpmath.inf for v in p]
        p = [exp(v) for v in log_p]
        q = [-expm1(v) for v in log_p]
        value = mpmath.fsum(term(v, -(r**g) * b) for v, r, b in zip(a, q, log_p, strict=True))
        # F = -(1 - p)^g log p and its derivatives by p
        first = [
            term(v, (g * power(r, g - 1) * b if g and b else mpf(0)) - (r**g / u if u else mpmath.inf))
            for v, r, b, u in zip(a, q, log_p, p, strict=True)
        ]
        second = [
            term(
                v,
                (-g * (g - 1) * power(r, g - 2) * b if g * (g - 1) * b else mpf(0))
                + (2 * g * power(r, g - 1) / u if g else mpf(0))
                + r**g / u**2
                if u
                else mpmath.inf,
            )
            for v, r, b, u in zip(a, q, log_p, p, strict=True)
        ]
        if not from_logits:
            slope = [v if f else mpf(0) for v, f in zip(first, free, strict=True)]
            bend = [v if f else mpf(0) for v, f in zip(second, free, strict=True)]
            return Row(value, slope, bend, [mpf(0)] * n, [abs(v) for v in bend])
        # At p = 1 a class counts with 1 - p, whatever the power of 0.
        first, second = ([v if r else mpf(0) for v, r in zip(vs, q, strict=True)] for vs in (first, second))
        slope, bend, scale, bend_scale = [], [], [], []
        for j in range(n):
            # dp_c / dz_j = p_c (d - p_j), d2 p_c / dz_j2 = p_c ((d - p_j)^2 - p_j (1 - p_j))
            step = [p[c] * (q[j] if c == j else -p[j]) for c in range(n)]
            twist = [p[c] * (step[c] ** 2 / p[c] ** 2 - p[j] * q[j]) if p[c] else mpf(0) for c in range(n)]
            slopes = [first[c] * step[c] for c in range(n)]
            bends = [v for c in range(n) for v in (second[c] * step[c] ** 2, first[c] * twist[c])]
            slope.append(mpmath.fsum(slopes))
            bend.append(mpmath.fsum(bends))
            scale.append(mpmath.fsum(map(abs, slopes)))
            bend_scale.append(mpmath.fsum(map(abs, bends)))
        return Row(value, slope, bend, scale, bend_scale)

    return by_rows(row, y_true, y_pred, axis, sample_weight)


def categorical_hinge(y_true: Any, y_pred: Any, *, axis: int = -1, sample_weight: Any = None) -> Terms:
    def row(y: list[mpf], x: list[mpf]) -> Row:
        right = mpmath.fsum(term(a, b) for a, b in zip(y, x, strict=True))
        wrong = [term(1 - a, b) for a, b in zip(y, x, strict=True)]
        largest, zeros = max(wrong), [mpf(0)] * len(x)
        value = largest - right + 1
        if not value > 0:
            return Row(value if mpmath.isnan(value) else mpf(0), zeros, zeros, zeros, zeros)
        ties = wrong.count(largest)
        slope = [((1 - a) / ties if w == largest else mpf(0)) - a for a, w in zip(y, wrong, strict=True)]
        return Row(value, slope, zeros, [mpf(1)] * len(x), zeros)

    return by_rows(row, y_true, y_pred, axis, sample_weight)


def multi_margin(
    y_true: Any,
    y_pred: Any,
    *,
    p: int = 1,
    margin: float = 1.0,
    axis: int = -1,
    ignore_class: int | None = None,
    sample_weight: Any = None,
) -> Terms:
    rows = np.moveaxis(np.asarray(y_pred), axis, -1)
    labels = np.asarray(y_true).reshape(rows.shape[:-1])
    counted = np.ones(labels.shape, dtype=bool) if ignore_class is None else labels != ignore_class
    one_hot = np.zeros(rows.shape)
    for i in np.ndindex(labels.shape):
        if counted[i]:
            one_hot[i][int(labels[i])] = 1

    def row(y: list[mpf], x: list[mpf]) -> Row:
        n, target = len(x), y.index(1)
        over = [max(mpf(margin) + v - x[target], mpf(0)) for v in x]
        over[target] = mpf(0)
        slope = [p * v ** (p - 1) / n if v else mpf(0) for v in over]
        bend = [mpf(p * (p - 1)) / n if v else mpf(0) for v in over]
        slope[target], bend[target] = -mpmath.fsum(slope), mpmath.fsum(bend)
        zeros = [mpf(0)] * n
        return Row(mpmath.fsum(v**p for v in over) / n, slope, bend, zeros, zeros)

    return by_rows(row, np.moveaxis(one_hot, -1, axis), y_pred, axis, sample_weight, counted)


def cosine_similarity(y_true: Any, y_pred: Any, *, axis: int = -1, sample_weight: Any = None) -> Terms:
    def row(y: list[mpf], x: list[mpf]) -> Row:
        unknown, zeros = [nan] * len(x), [mpf(0)] * len(x)
        lengths = [mpmath.sqrt(mpmath.fsum(v * v for v in vector)) for vector in (y, x)]
        if not all(lengths):
            return Row(mpf(0), zeros, unknown, zeros, unknown)
        cosine = mpmath.fsum(a * b for a, b in zip(y, x, strict=True)) / (lengths[0] * lengths[1])
        slope = [(cosine * b / lengths[1] - a / lengths[0]) / lengths[1] for a, b in zip(y, x, strict=True)]
        # Of parallel vectors nothing is left but what the terms are rounded to here.
        scale = [mpmath.ldexp(abs(a) / lengths[0] / lengths[1], -80) for a in y]
        return Row(-cosine, slope, unknown, scale, unknown)

    return by_rows(row, y_true, y_pred, axis, sample_weight)


def tversky(
    y_true: Any,
    y_pred: Any,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 0.0,
    sample_weight: Any = None,
) -> Terms:
    a, b, s = map(mpf, (alpha, beta, smooth))

    def row(y: list[mpf], p: list[mpf]) -> Row:
        unknown, zeros = [nan] * len(p), [mpf(0)] * len(p)
        common = mpmath.fsum(u * v for u, v in zip(y, p, strict=True)) + s
        wrong = mpmath.fsum(a * u * (1 - v) + b * (1 - u) * v for u, v in zip(y, p, strict=True))
        whole = common + wrong
        if not whole:
            return Row(mpf(0), zeros, unknown, zeros, unknown)
        # 1 - common / whole
        up = [u * whole / whole**2 for u in y]
        down = [common * (u - a * u + b * (1 - u)) / whole**2 for u in y]
        slope = [v - u for u, v in zip(up, down, strict=True)]
        scale = [abs(u) + abs(v) for u, v in zip(up, down, strict=True)]
        return Row(1 - common / whole, slope, unknown, scale, unknown)

    y_true, y_pred = np.asarray(y_true), np.asarray(y_pred)
    flat = (len(y_pred), int(np.prod(y_pred.shape[1:])))
    terms = by_rows(row, y_true.reshape(flat), y_pred.reshape(flat), -1, sample_weight)
    return terms._replace(
        **{
            name: getattr(terms, name).reshape(y_pred.shape)
            for name in ("gradient", "hessian", "scale", "bend_scale")
        }
    )


def dice(y_true: Any, y_pred: Any, *, smooth: float = 0.0, sample_weight: Any = None) -> Terms:
    """1 - (2 sum yp + s) / (sum y + sum p + s), which halves above and below the line."""
    return tversky(y_true, y_pred, smooth=smooth / 2, sample_weight=sample_weight)


LOSSES: dict[str, Callable[..., Terms]] = {
    function.__name__: function
    for function in (
        kl_divergence,
        categorical_focal_crossentropy,
        categorical_hinge,
        multi_margin,
        cosine_similarity,
        dice,
        tversky,
    )
}
