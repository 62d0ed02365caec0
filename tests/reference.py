"""The independent oracle: every function as the textbook writes it.

Evaluated by mpmath with 200 bits and an unbounded exponent, so that no formula needs the care that
floating point does: nothing here overflows, and what cancels leaves more digits than any comparison looks
at. Arrays of exact numbers are NumPy object arrays. Limits at infinity and sums of infinities are written
out where a formula has none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import accumulate
from types import MappingProxyType
from typing import Any, NamedTuple

import mpmath
import numpy as np
from mpmath import erf, exp, expm1, inf, log, log1p, mpf, nan, pi, sech, sign, sqrt, tanh

mpmath.mp.prec = 200

# ------------------------------------------------------------------------------------------ activations


def cubic(x: mpf) -> mpf:
    """The argument of the tanh in the approximate GELU."""
    return sqrt(2 / pi) * (x + mpf("0.044715") * x**3)


def cubic_derivative(x: mpf) -> mpf:
    return sqrt(2 / pi) * (1 + 3 * mpf("0.044715") * x**2)


def sigmoid(x: mpf) -> mpf:
    return 1 / (1 + exp(-x))


def density(x: mpf) -> mpf:
    """Of the standard normal distribution."""
    return exp(-x * x / 2) / sqrt(2 * pi)


def erfc(x: mpf) -> mpf:
    """mpmath's, which some versions cannot evaluate where it is far below the least float64, or 2."""
    return mpf(0) if x > 1000 else mpf(2) if x < -1000 else mpmath.erfc(x)


def clip(x: mpf, low: mpf, high: mpf) -> mpf:
    return max(mpf(low), min(x, mpf(high)))


def root(x: mpf, b: mpf) -> mpf:
    return sqrt(x**2 + b)


class Activation(NamedTuple):
    """A function of x and its parameters, and its derivative with respect to x."""

    value: Callable[..., mpf]
    derivative: Callable[..., mpf]
    parameters: Mapping[str, Sequence[float]] = MappingProxyType({})
    """The values of each parameter that the tests try, the default first."""


ACTIVATIONS = {
    "relu": Activation(lambda x: max(x, mpf(0)), lambda x: mpf(x > 0)),
    "sigmoid": Activation(sigmoid, lambda x: sigmoid(x) * sigmoid(-x)),
    "tanh": Activation(tanh, lambda x: sech(x) ** 2),
    "silu": Activation(lambda x: x * sigmoid(x), lambda x: sigmoid(x) * (1 + x * sigmoid(-x))),
    "gelu": Activation(
        lambda x: x * erfc(-x / sqrt(2)) / 2, lambda x: erfc(-x / sqrt(2)) / 2 + x * density(x)
    ),
    "gelu_tanh": Activation(
        lambda x: x * sigmoid(2 * cubic(x)),
        lambda x: (
            sigmoid(2 * cubic(x))
            + x * 2 * cubic_derivative(x) * sigmoid(2 * cubic(x)) * sigmoid(-2 * cubic(x))
        ),
    ),
    "softplus": Activation(
        lambda x, beta: log1p(exp(beta * x)) / beta,
        lambda x, beta: sigmoid(beta * x),
        {"beta": (1.0, 0.3, 2.0, 20.0)},
    ),
    "log_sigmoid": Activation(lambda x: -log1p(exp(-x)), lambda x: sigmoid(-x)),
    "leaky_relu": Activation(
        lambda x, slope: x if x > 0 else slope * x,
        lambda x, slope: mpf(1) if x > 0 else slope,
        {"negative_slope": (0.01, 0.3, -0.5, 1.5)},
    ),
    "elu": Activation(
        lambda x, alpha: x if x > 0 else alpha * expm1(x),
        lambda x, alpha: mpf(1) if x > 0 else alpha * exp(x),
        {"alpha": (1.0, 1.6732632, 0.1, -2.0)},
    ),
    "exp": Activation(exp, exp),
    "expm1": Activation(expm1, exp),
    "log1p": Activation(
        lambda x: nan if x < -1 else log1p(x) if x > -1 else -inf,
        lambda x: nan if x < -1 else 1 / (1 + x) if x > -1 else inf,
    ),
}

SELU_ALPHA = mpf("1.6732632423543772848170429916717")
SELU_SCALE = mpf("1.0507009873554804934193349852946")

# The catalogue beyond.
ACTIVATIONS |= {
    "erf": Activation(erf, lambda x: 2 * exp(-x * x) / sqrt(pi)),
    "mish": Activation(
        lambda x: x * tanh(log1p(exp(x))),
        lambda x: tanh(log1p(exp(x))) + x * sech(log1p(exp(x))) ** 2 * sigmoid(x),
    ),
    "selu": Activation(
        lambda x: SELU_SCALE * (x if x > 0 else SELU_ALPHA * expm1(x)),
        lambda x: SELU_SCALE * (1 if x > 0 else SELU_ALPHA * exp(x)),
    ),
    "celu": Activation(
        lambda x, alpha: x if x > 0 else alpha * expm1(x / alpha),
        lambda x, alpha: mpf(1) if x > 0 else exp(x / alpha),
        {"alpha": (1.0, 1.6732632, 0.1, 30.0)},
    ),
    "tanh_shrink": Activation(lambda x: x - tanh(x) if abs(x) > 1e-9 else x**3 / 3, lambda x: tanh(x) ** 2),
    "relu6": Activation(lambda x: clip(x, 0, 6), lambda x: mpf(0 < x < 6)),
    "softsign": Activation(lambda x: x / (1 + abs(x)), lambda x: 1 / (1 + abs(x)) ** 2),
    "squareplus": Activation(
        lambda x, b: (x + root(x, b)) / 2 if x > 0 else b / (root(x, b) - x) / 2,
        lambda x, b: (1 + x / root(x, b)) / 2 if x > 0 else b / (root(x, b) - x) / root(x, b) / 2,
        {"b": (4.0, 1.0, 0.3)},
    ),
    "sparse_plus": Activation(
        lambda x: (x + 1) ** 2 / 4 if abs(x) < 1 else max(x, mpf(0)), lambda x: clip((x + 1) / 2, 0, 1)
    ),
    "sparse_sigmoid": Activation(lambda x: clip((x + 1) / 2, 0, 1), lambda x: mpf(abs(x) < 1) / 2),
    "hard_sigmoid": Activation(
        lambda x, alpha, beta: clip(alpha * x + beta, 0, 1),
        lambda x, alpha, beta: alpha if 0 < alpha * x + beta < 1 else mpf(0),
        {"alpha": (1 / 6, 0.2), "beta": (0.5, 0.3)},
    ),
    "hard_tanh": Activation(
        clip, lambda x, a, b: mpf(a < x < b), {"min_val": (-1.0, -0.3), "max_val": (1.0, 2.5)}
    ),
    "hard_swish": Activation(
        lambda x: x * clip(x + 3, 0, 6) / 6,
        lambda x: (2 * x + 3) / 6 if abs(x) < 3 else mpf(x > 0),
    ),
    "hard_shrink": Activation(
        lambda x, t: x if abs(x) > t else mpf(0), lambda x, t: mpf(abs(x) > t), {"threshold": (0.5, 0.1, 2.0)}
    ),
    "soft_shrink": Activation(
        lambda x, t: sign(x) * max(abs(x) - t, mpf(0)),
        lambda x, t: mpf(abs(x) > t),
        {"threshold": (0.5, 0.1, 2.0)},
    ),
    "thresholded_relu": Activation(
        lambda x, t: x if x > t else mpf(0), lambda x, t: mpf(x > t), {"theta": (1.0, 0.3, -2.0)}
    ),
}


class Gated(NamedTuple):
    """A function of two numbers, and its derivatives with respect to each."""

    value: Callable[..., mpf]
    by_a: Callable[..., mpf]
    by_b: Callable[..., mpf]


def gated(name: str) -> Gated:
    """The activation of a, times b."""
    value, derivative, _ = ACTIVATIONS[name]
    return Gated(lambda a, b: value(a) * b, lambda a, b: derivative(a) * b, lambda a, b: value(a))


GATED = {
    "glu": Gated(
        lambda a, b: a * sigmoid(b), lambda a, b: sigmoid(b), lambda a, b: a * sigmoid(b) * sigmoid(-b)
    ),
    "swiglu": gated("silu"),
    "geglu": gated("gelu"),
}

KEYWORDS: dict[str, tuple[str, dict[str, Any]]] = {"gelu_tanh": ("gelu", {"approximate": "tanh"})}
"""Entries above that are an option of another function: its name and the keywords."""

INFINITE = mpf(2) ** 1100
"""Stands for infinity: what has a limit has reached it in every format, what grows has left 50 behind."""


def evaluate(function: Callable[..., mpf], x: Any, *parameters: Any) -> Any:
    """`function` of every element of x, exactly; limits at infinity."""

    def one(x: float, *parameters: float) -> mpf:
        if any(math.isnan(v) for v in (x, *parameters)):
            return nan
        if math.isinf(x):
            limit = function(math.copysign(1, x) * INFINITE, *map(mpf, parameters))
            return limit if abs(limit) <= 50 else sign(limit) * inf
        return mpf(function(mpf(x), *map(mpf, parameters)))

    return elementwise(one, *map(widened, (x, *parameters)))


def widened(x: Any) -> Any:
    """The same numbers in float64; a signalling NaN is not worth a warning."""
    with np.errstate(all="ignore"):
        return np.asarray(x).astype(np.float64)


def elementwise(function: Callable[..., Any], *operands: Any) -> Any:
    """An object array of `function` of the broadcast operands; mpmath sets flags that NumPy would report."""
    with np.errstate(all="ignore"):
        return np.frompyfunc(function, len(operands), 1)(*operands)


# --------------------------------------------------------------------------------------------- rounding


class Format(NamedTuple):
    """A binary format: its digits, and the exponents of the smallest and largest normal numbers."""

    precision: int
    min_exponent: int
    max_exponent: int


FORMATS = {
    "float16": Format(11, -14, 15),
    "bfloat16": Format(8, -126, 127),
    "float32": Format(24, -126, 127),
    "float64": Format(53, -1022, 1023),
}


def spacing(exact: mpf, form: Format) -> mpf:
    """The distance of neighbouring numbers of the format at `exact`: one ULP."""
    exponent = mpmath.frexp(exact)[1] - 1 if exact else form.min_exponent
    return mpmath.ldexp(1, max(exponent, form.min_exponent) - form.precision + 1)


def round_to(exact: Any, dtype: Any) -> Any:
    """The nearest number of the format, ties to even, overflow to infinity: correct rounding."""
    form = FORMATS[np.dtype(dtype).name]

    def one(value: mpf) -> float:
        if not mpmath.isfinite(value):
            return float(value)
        unit = spacing(value, form)
        rounded = mpmath.nint(value / unit) * unit
        if abs(rounded) >= mpf(2) ** (form.max_exponent + 1):
            return math.copysign(math.inf, value)
        return math.copysign(float(rounded), -1 if value < 0 else 1)

    return np.asarray(elementwise(one, exact), dtype=np.float64)


def ulp_error(actual: Any, exact: Any, at_least: Any = 0) -> Any:
    """|actual - exact| in ULPs of the dtype of `actual`; infinite where a NaN or a sign is wrong.

    An infinity counts as the power of two that follows the largest number, so that overflow may come as early
    as the budget allows, and no later. `at_least` measures in ULPs of a larger number, where terms cancel.
    """
    actual, exact = np.asarray(actual), np.asarray(exact)
    form = FORMATS[actual.dtype.name]
    got = widened(actual)
    if form.precision == 53:
        errors = np.asarray(elementwise(difference(form), got, exact, at_least), dtype=np.float64)
    else:  # float64 has 29 digits more than are looked at, and is quick
        want, size = (np.asarray(elementwise(float, v), dtype=np.float64) for v in (exact, at_least))
        top = 2.0 ** (form.max_exponent + 1)
        exponent = np.frexp(np.clip(np.maximum(abs(want), size), 0, top / 2))[1] - 1
        unit = np.ldexp(1.0, np.maximum(exponent, form.min_exponent) - form.precision + 1)
        errors = abs(np.clip(got, -top, top) - np.clip(want, -top, top)) / unit
    missing = np.asarray(exact != exact, dtype=bool)
    signed = np.asarray((exact != 0) & (np.asarray(at_least) == 0) & ~missing, dtype=bool)
    errors = np.where(signed & (np.signbit(got) != np.asarray(exact < 0, dtype=bool)), np.inf, errors)
    return np.where(missing | np.isnan(got), np.where(missing & np.isnan(got), 0.0, np.inf), errors)


def difference(form: Format) -> Callable[[float, mpf, mpf], float]:
    """|got - want| in ULPs of the larger of want and a size, whatever their exponents."""
    top = mpf(2) ** (form.max_exponent + 1)

    def one(got: float, want: mpf, size: mpf) -> float:
        got, want = (max(-top, min(top, mpf(v))) for v in (got, want))
        return float(abs(got - want) / spacing(min(max(abs(want), size), top / 2), form))

    return one


# ------------------------------------------------------------------------------------------------- rows


def along(rows: Callable[[list[mpf]], Any], x: Any, axis: Any) -> Any:
    """A function of a list, to a list or to one number, along an axis, a tuple of axes or all of them."""
    x = exact_array(x)
    axes = tuple(range(x.ndim)) if axis is None else tuple(np.atleast_1d(axis) % max(x.ndim, 1))[: x.ndim]
    last = tuple(range(x.ndim - len(axes), x.ndim))
    moved = np.moveaxis(x, axes, last)
    kept = moved.shape[: x.ndim - len(axes)]
    results = [
        rows(list(row))
        for row in moved.reshape(math.prod(kept), -1 if x.size else math.prod(moved.shape[len(kept) :]))
    ]
    if results and not isinstance(results[0], list):
        return object_array(results, kept)
    return np.moveaxis(object_array([v for row in results for v in row], moved.shape), last, axes)


def object_array(values: Sequence[Any], shape: tuple[int, ...]) -> Any:
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape)


def exact_array(x: Any) -> Any:
    return np.asarray(elementwise(mpf, widened(x)), dtype=object)


def logsumexp(z: list[mpf]) -> mpf:
    return log(mpmath.fsum(map(exp, z))) if z else -inf


def log_softmax(z: list[mpf]) -> list[mpf]:
    """log p_c = -log(1 + sum of exp(z_j) over the others / exp(z_c)); +inf alone in its row has it all."""
    if any(map(mpmath.isnan, z)) or z.count(inf) > 1 or z.count(-inf) == len(z):
        return [nan] * len(z)
    e = list(map(exp, z))
    before = list(accumulate(e, initial=mpf(0)))
    after = list(accumulate(reversed(e), initial=mpf(0)))[::-1]
    return [-log1p((before[c] + after[c + 1]) / e[c]) if e[c] else -inf for c in range(len(z))]


def softmax(z: list[mpf]) -> list[mpf]:
    return [exp(v) for v in log_softmax(z)]


def softmin(z: list[mpf]) -> list[mpf]:
    return softmax([-v for v in z])


def sparsemax(z: list[mpf]) -> list[mpf]:
    """max(z - t, 0) that sums to 1: the k largest are above t for the last k with 1 + k z_k > their sum."""
    if any(map(mpmath.isnan, z)) or z.count(inf) > 1 or z.count(-inf) == len(z):
        return [nan] * len(z)
    if inf in z:
        return [mpf(v == inf) for v in z]
    ordered = sorted((v for v in z if v > -inf), reverse=True)
    threshold, total = mpf(0), mpf(0)
    for k, v in enumerate(ordered, 1):
        total += v
        if 1 + k * v > total:
            threshold = (total - 1) / k
    return [max(v - threshold, mpf(0)) for v in z]


# ----------------------------------------------------------------------------------------- exact sums


def exact_sum(values: Any) -> float:
    """The float64 nearest to the sum of finite float64 values; zero is +0.0."""
    return nearest_float(
        sum(map(Fraction, np.asarray(values).astype(np.float64).ravel().tolist()), Fraction(0))
    )


def exact_mean(values: Any, weights: Any) -> float:
    """The float64 nearest to the quotient of the exact sums."""
    total, divisor = (
        sum(map(Fraction, np.asarray(v).astype(np.float64).ravel().tolist()), Fraction(0))
        for v in (values, weights)
    )
    return nearest_float(total / divisor)


def nearest_float(value: Fraction) -> float:
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


# ------------------------------------------------------------------------------------ finite differences


def finite_difference(function: Callable[[Any], float], x: Any, step: float = 2.0**-9) -> Any:
    """The gradient of a scalar function by five-point differences: exact to the fourth order of the step."""
    x = np.array(x, dtype=np.float64)
    gradient = np.empty_like(x)
    for i in np.ndindex(x.shape):
        at = {}
        for k in (-2, -1, 1, 2):
            moved = x.copy()
            moved[i] += k * step
            at[k] = mpf(function(moved))
        gradient[i] = float((at[-2] - 8 * at[-1] + 8 * at[1] - at[2]) / (12 * step))
    return gradient
