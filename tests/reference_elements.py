"""The oracle of the losses that have one value for each element: the textbook's formulas, exact."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import mpmath
import numpy as np
from mpmath import exp, inf, log, log1p, mpf, nan, pi, sech, sinh, tanh
from reference import exact_array, sigmoid
from reference_terms import Terms, clipped, term, weights_of


class One(NamedTuple):
    """A loss of one element and its derivatives, before the weight."""

    value: mpf
    slope: mpf
    bend: mpf
    scale: mpf
    """The size of what cancels in the slope."""
    bend_scale: mpf


def plain(value: mpf, slope: mpf, bend: mpf) -> One:
    """Nothing cancels."""
    return One(value, slope, bend, abs(slope), abs(bend))


def by_elements(
    one: Callable[..., One], y_true: Any, y_pred: Any, *operands: Any, sample_weight: Any = None
) -> Terms:
    """A loss of each element; NaN where an operand is."""
    y, x, *more = np.broadcast_arrays(*map(exact_array, (y_true, y_pred, *operands)))

    def weighted(weight: mpf, *operands: mpf) -> tuple[mpf, ...]:
        missing = any(map(mpmath.isnan, (weight, *operands)))
        return (nan,) * 5 if missing else tuple(weight * part for part in one(*operands))

    weights = weights_of(sample_weight, x.shape)
    columns = np.frompyfunc(weighted, 3 + len(more), 5)(weights, y, x, *more)
    values, *derivatives = (np.asarray(column, dtype=object) for column in columns)
    return Terms(values, weights, np.ones(x.shape, dtype=bool), *derivatives)


def direction(difference: mpf) -> mpf:
    """The slope of the absolute value, at the kink 0."""
    return mpf(mpmath.sign(difference))


def mean_absolute_error(y_true: Any, y_pred: Any, **weight: Any) -> Terms:
    return by_elements(lambda y, x: plain(abs(x - y), direction(x - y), mpf(1)), y_true, y_pred, **weight)


def mean_absolute_percentage_error(y_true: Any, y_pred: Any, *, epsilon: float = 0.0, **weight: Any) -> Terms:
    def one(y: mpf, x: mpf) -> One:
        divisor = max(abs(y), mpf(epsilon))
        if x == y:
            return plain(mpf(0), mpf(0), mpf(0))
        if not divisor:
            return plain(inf, direction(x - y) * inf, mpf(0))
        return plain(100 * abs(x - y) / divisor, 100 * direction(x - y) / divisor, mpf(0))

    return by_elements(one, y_true, y_pred, **weight)


def mean_squared_logarithmic_error(y_true: Any, y_pred: Any, **weight: Any) -> Terms:
    def one(y: mpf, x: mpf) -> One:
        difference = log1p(x) - log1p(y)
        bend = 2 * (1 - difference) / (1 + x) ** 2
        slope = 2 * difference / (1 + x)
        return One(difference**2, slope, bend, abs(slope), 2 * (1 + abs(difference)) / (1 + x) ** 2)

    return by_elements(one, y_true, y_pred, **weight)


def huber(y_true: Any, y_pred: Any, *, delta: float = 1.0, **weight: Any) -> Terms:
    delta = mpf(delta)

    def one(y: mpf, x: mpf) -> One:
        d = x - y
        if abs(d) <= delta:
            return plain(d**2 / 2, d, mpf(1))
        return plain(delta * (abs(d) - delta / 2), delta * direction(d), mpf(0))

    return by_elements(one, y_true, y_pred, **weight)


def smooth_l1(y_true: Any, y_pred: Any, *, beta: float = 1.0, **weight: Any) -> Terms:
    beta = mpf(beta)

    def one(y: mpf, x: mpf) -> One:
        d = x - y
        if abs(d) < beta:
            return plain(d**2 / (2 * beta), d / beta, 1 / beta)
        return plain(abs(d) - beta / 2, direction(d), mpf(0))

    return by_elements(one, y_true, y_pred, **weight)


def log_cosh(y_true: Any, y_pred: Any, **weight: Any) -> Terms:
    return by_elements(
        # cosh d - 1 = 2 sinh(d / 2)**2, which is far below the last digit of cosh for the least d
        lambda y, x: plain(log1p(2 * sinh((x - y) / 2) ** 2), tanh(x - y), sech(x - y) ** 2),
        y_true,
        y_pred,
        **weight,
    )


def quantile(y_true: Any, y_pred: Any, *, q: float = 0.5, **weight: Any) -> Terms:
    q = mpf(q)

    def one(y: mpf, x: mpf) -> One:
        value = max(q * (y - x), (q - 1) * (y - x))
        return plain(value, (1 - q) if x > y else -q if x < y else mpf(0), mpf(1))

    return by_elements(one, y_true, y_pred, **weight)


def signed(y: mpf) -> mpf:
    """A label 0 is a no, as -1 is."""
    return y or mpf(-1)


def hinge(y_true: Any, y_pred: Any, **weight: Any) -> Terms:
    def one(y: mpf, x: mpf) -> One:
        short = 1 - signed(y) * x
        return plain(max(short, mpf(0)), -signed(y) if short > 0 else mpf(0), mpf(0))

    return by_elements(one, y_true, y_pred, **weight)


def squared_hinge(y_true: Any, y_pred: Any, **weight: Any) -> Terms:
    def one(y: mpf, x: mpf) -> One:
        short = max(1 - signed(y) * x, mpf(0))
        return plain(short**2, -2 * signed(y) * short, mpf(2 if short > 0 else 0))

    return by_elements(one, y_true, y_pred, **weight)


def soft_margin(y_true: Any, y_pred: Any, **weight: Any) -> Terms:
    def one(y: mpf, x: mpf) -> One:
        margin = signed(y) * x
        return plain(log1p(exp(-margin)), -signed(y) * sigmoid(-margin), sigmoid(margin) * sigmoid(-margin))

    return by_elements(one, y_true, y_pred, **weight)


def poisson(y_true: Any, y_pred: Any, *, log_input: bool = False, full: bool = False, **weight: Any) -> Terms:
    def one(y: mpf, x: mpf) -> One:
        constant = y * log(y) - y + log(2 * pi * y) / 2 if full and y > 1 else mpf(0)
        if log_input:
            value, slope, bend = exp(x) - term(y, x), exp(x) - y, exp(x)
            return One(value + constant, slope, bend, exp(x) + y, bend)
        logarithm = term(y, log(x) if x else -inf)
        slope = 1 - (term(y, 1 / x) if x else term(y, inf))
        bend = term(y, 1 / x**2) if x else term(y, inf)
        return One(x - logarithm + constant, slope, bend, 1 + abs(slope), bend)

    return by_elements(one, y_true, y_pred, **weight)


def gaussian_nll(
    y_true: Any, y_pred: Any, var: Any, *, full: bool = False, epsilon: float = 1e-6, **weight: Any
) -> Terms:
    def one(y: mpf, x: mpf, variance: mpf) -> One:
        v = max(variance, mpf(epsilon))
        value = (log(v) + (x - y) ** 2 / v) / 2 + (log(2 * pi) / 2 if full else 0)
        return plain(value, (x - y) / v, 1 / v)

    return by_elements(one, y_true, y_pred, var, **weight)


def binary_focal_crossentropy(
    y_true: Any,
    y_pred: Any,
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
    apply_class_balancing: bool = False,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    epsilon: float = 0.0,
    **weight: Any,
) -> Terms:
    """w m**gamma B, derived by the product rule: by p, and by the chain rule by the logit of p."""
    gamma, s, balance = mpf(gamma), mpf(label_smoothing), mpf(alpha)

    def of_probability(a: mpf, b: mpf, p: mpf, q: mpf, crossentropy: mpf) -> tuple[mpf, list[mpf], list[mpf]]:
        m, change = a * q + b * p, b - a
        slope = (term(b, 1 / q) if q else term(b, inf)) - (term(a, 1 / p) if p else term(a, inf))
        bend = (term(b, 1 / q**2) if q else term(b, inf)) + (term(a, 1 / p**2) if p else term(a, inf))
        power = [term(gamma**k, m ** (gamma - k)) if m else mpf(not gamma) for k in (0, 1)]
        power.append(term(gamma * (gamma - 1), m ** (gamma - 2)) if m else mpf(0))
        first = [power[0] * slope, term(power[1] * change, crossentropy)]
        second = [
            power[0] * bend,
            2 * term(power[1] * change, slope),
            term(power[2] * change**2, crossentropy),
        ]
        return term(power[0], crossentropy), first, second

    def one(y: mpf, x: mpf) -> One:
        a, b = (1 - s) * y + s / 2, (1 - s) * (1 - y) + s / 2
        w = balance * a + (1 - balance) * b if apply_class_balancing else mpf(1)
        if from_logits:
            p, q = sigmoid(x), sigmoid(-x)
            crossentropy = term(a, log1p(exp(-x))) + term(b, log1p(exp(x)))
            value, first, second = of_probability(a, b, p, q, crossentropy)
            bends = [p**2 * q**2 * part for part in second] + [p * q * (q - p) * part for part in first]
            slopes = [p * q * part for part in first]
        else:
            p, free = clipped(x, mpf(epsilon))
            crossentropy = term(a, -log(p) if p else inf) + term(b, -log1p(-p) if p < 1 else inf)
            value, slopes, bends = of_probability(a, b, p, 1 - p, crossentropy)
            if not free:
                slopes, bends = [mpf(0)], [mpf(0)]
        sizes = [w * sum(map(abs, parts)) for parts in (slopes, bends)]
        return One(w * value, w * sum(slopes), w * sum(bends), *sizes)

    return by_elements(one, y_true, y_pred, **weight)


LOSSES: dict[str, Callable[..., Terms]] = {
    function.__name__: function
    for function in (
        mean_absolute_error,
        mean_absolute_percentage_error,
        mean_squared_logarithmic_error,
        huber,
        smooth_l1,
        log_cosh,
        quantile,
        hinge,
        squared_hinge,
        soft_margin,
        poisson,
        gaussian_nll,
        binary_focal_crossentropy,
    )
}
