"""Normalisations, their gradients and clipping: against the formulas in extended precision.

`np.longdouble` has 64 bits or more; deviations from the mean are formed in it, so the reference itself is
good to far below an ULP of float64.
"""

from __future__ import annotations

import numpy as np
import pytest
from inputs import bits, layouts

import actloss_rs as al

SHAPES = [
    ((2, 3), -1),
    ((9, 4), 0),
    ((64, 30), -1),
    ((1, 5, 6), 1),
    ((7, 5, 4, 3), 1),
    ((3000, 7), -1),
    ((5, 2100), 0),
]
RNG = np.random.default_rng(3)

# Largest error, in ULP of the largest term. In float64 the result is made of some five rounded operations.
BUDGET = {"float16": 0.501, "bfloat16": 0.501, "float32": 0.501, "float64": 6.0}


def wide(x):
    return np.asarray(x).astype(np.float64).astype(np.longdouble)


def sample(shape, dtype, offset=0.0):
    return (RNG.normal(0, 2, shape) + offset).astype(dtype)


def reference(x, gamma, beta, axes, epsilon, centred=True):
    """The normalised x, the terms that it is the sum of, and 1 / sqrt(variance + epsilon)."""
    x = wide(x)
    mean = x.mean(axes, keepdims=True) if centred else np.longdouble(0)
    scale = 1 / np.sqrt(((x - mean) ** 2).mean(axes, keepdims=True) + np.longdouble(epsilon))
    normalised = (x - mean) * scale
    product = normalised * wide(gamma)
    return product + wide(beta), abs(product) + abs(wide(beta)), normalised, scale


def gradients(dy, x, gamma, axes, parameter_axes, epsilon, centred=True):
    """By the chain rule through mean and variance, and by gamma and beta."""
    _, _, normalised, scale = reference(x, gamma, 0.0, axes, epsilon, centred)
    g = wide(dy) * wide(gamma)
    through_mean = g.mean(axes, keepdims=True) if centred else np.longdouble(0)
    dx = scale * (g - through_mean - normalised * (g * normalised).mean(axes, keepdims=True))
    return dx, (wide(dy) * normalised).sum(parameter_axes), wide(dy).sum(parameter_axes)


def worst(actual, exact, size):
    """The largest error, in ULP of the actual dtype at a size."""
    info = al_finfo(actual.dtype)
    _, exponent = np.frexp(np.maximum(abs(size), abs(exact)).astype(np.float64))
    unit = np.ldexp(1.0, np.maximum(exponent - 1, info[0]) - info[1] + 1)
    return float((abs(wide(actual) - exact) / unit).max(initial=0.0))


def al_finfo(dtype):
    """Smallest exponent and bits of the significand."""
    return {"float16": (-14, 11), "bfloat16": (-126, 8), "float32": (-126, 24), "float64": (-1022, 53)}[
        dtype.name
    ]


def channel_shape(x, axis):
    return [x.shape[axis] if i == axis % x.ndim else 1 for i in range(x.ndim)]


def other_axes(x, axis):
    return tuple(i for i in range(x.ndim) if i != axis % x.ndim)


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
@pytest.mark.parametrize("offset", [0.0, 300.0])
def test_batch_norm_is_the_formula(shape, axis, offset, dtype):
    x = sample(shape, dtype, offset)
    channels = x.shape[axis]
    gamma, beta = RNG.normal(1, 0.5, channels), RNG.normal(0, 1, channels)
    y = al.batch_norm(x, gamma, beta, training=True, axis=axis, epsilon=1e-3)
    along = channel_shape(x, axis)
    exact, size, *_ = reference(x, gamma.reshape(along), beta.reshape(along), other_axes(x, axis), 1e-3)
    assert y.dtype == dtype
    assert worst(y, exact, size) <= BUDGET[dtype.name]


@pytest.mark.parametrize(("shape", "axis"), SHAPES)
def test_batch_norm_gradients_are_the_formula(shape, axis, dtype):
    x, dy = sample(shape, dtype), sample(shape, dtype)
    gamma = RNG.normal(1, 0.5, x.shape[axis])
    along, others = channel_shape(x, axis), other_axes(x, axis)
    found = al.backward.batch_norm(dy, x, gamma, training=True, axis=axis, epsilon=1e-3)
    exact = gradients(dy, x, gamma.reshape(along), others, others, 1e-3)
    terms = abs(wide(dy)).sum(others)
    sizes = [abs(exact[0]).max() * 4, terms * 4, terms]
    assert [each.dtype for each in found] == [dtype, np.float64, np.float64]
    for actual, want, size in zip(found, exact, sizes, strict=True):
        assert worst(actual, want, size) <= BUDGET[actual.dtype.name]


def test_variances_do_not_cancel():
    """Values that differ in their last digits only, where E[x^2] - E[x]^2 has nothing left."""
    x = 1e8 + np.array([[1.0], [2.0], [3.0], [6.0]])
    y = al.batch_norm(x, training=True, epsilon=0.0)
    assert abs(y[:, 0] - np.array([-2, -1, 0, 3]) / np.sqrt(3.5)).max() < 4e-16
    row = al.layer_norm(x.T, epsilon=0.0)
    assert abs(row[0] - y[:, 0]).max() < 4e-16
    assert not al.batch_norm(np.full((5, 1), 0.1), training=True).any()


def test_running_statistics_move_by_momentum():
    x = sample((50, 3), np.float32)
    mean, variance = np.array([1.0, 2.0, 3.0]), np.array([1.0, 2.0, 3.0])
    expected_mean = 0.7 * mean + 0.3 * wide(x).mean(0)
    expected_variance = 0.7 * variance + 0.3 * wide(x).var(0, ddof=1)
    al.batch_norm(x, running_mean=mean, running_var=variance, training=True, momentum=0.3)
    np.testing.assert_allclose(mean, expected_mean.astype(float), rtol=1e-15)
    np.testing.assert_allclose(variance, expected_variance.astype(float), rtol=1e-15)


def test_inference_uses_the_running_statistics(dtype):
    x, dy = sample((6, 3, 4), dtype), sample((6, 3, 4), dtype)
    mean, variance, gamma, beta = (RNG.uniform(0.5, 2, 3) for _ in range(4))
    along = (1, 3, 1)
    given = {"running_mean": mean, "running_var": variance, "axis": 1, "epsilon": 1e-3}
    scale = wide(gamma) / np.sqrt(wide(variance) + np.longdouble(1e-3))
    difference = wide(x) - wide(mean).reshape(along)
    exact = difference * scale.reshape(along) + wide(beta).reshape(along)
    size = abs(difference * scale.reshape(along)) + abs(wide(beta)).reshape(along)
    before = mean.copy(), variance.copy()
    assert worst(al.batch_norm(x, gamma, beta, **given), exact, size) <= BUDGET[dtype.name]
    assert (mean == before[0]).all()
    assert (variance == before[1]).all()
    dx, dgamma, dbeta = al.backward.batch_norm(dy, x, gamma, **given)
    assert worst(dx, wide(dy) * scale.reshape(along), 0) <= BUDGET[dtype.name]
    normalised = difference * (scale / gamma).reshape(along)
    np.testing.assert_allclose(dgamma, (wide(dy) * normalised).sum((0, 2)).astype(float), rtol=1e-13)
    np.testing.assert_allclose(dbeta, wide(dy).sum((0, 2)).astype(float), rtol=1e-13)


@pytest.mark.parametrize(
    ("shape", "axis"),
    [((4, 7), -1), ((3, 1), -1), ((200, 33), -1), ((5, 1500), -1), ((2, 3, 4), (0, 2)), ((3, 4), None)],
)
@pytest.mark.parametrize("centred", [True, False])
def test_rows_are_the_formula(shape, axis, centred, dtype):
    x, dy = sample(shape, dtype, 3.0), sample(shape, dtype)
    axes = tuple(range(x.ndim)) if axis is None else axis if isinstance(axis, tuple) else (axis,)
    axes = tuple(i % x.ndim for i in axes)
    kept = tuple(i for i in range(x.ndim) if i not in axes)
    columns = tuple(x.shape[i] for i in axes)
    gamma, beta = RNG.normal(1, 0.5, columns), RNG.normal(0, 1, columns)
    along = [x.shape[i] if i in axes else 1 for i in range(x.ndim)]
    forward, backward = (
        (al.layer_norm, al.backward.layer_norm) if centred else (al.rms_norm, al.backward.rms_norm)
    )
    beta = beta if centred else np.zeros(columns)
    y = (
        al.layer_norm(x, gamma, beta, axis, epsilon=1e-3)
        if centred
        else forward(x, gamma, axis, epsilon=1e-3)
    )
    exact, size, *_ = reference(x, gamma.reshape(along), beta.reshape(along), axes, 1e-3, centred)
    assert y.dtype == dtype
    assert worst(y, exact, size) <= BUDGET[dtype.name]
    found = backward(dy, x, gamma, axis, epsilon=1e-3)
    wanted = gradients(dy, x, gamma.reshape(along), axes, kept, 1e-3, centred)
    terms = abs(wide(dy)).sum(kept) * 4
    sizes = [(abs(wide(dy)).max() + abs(wanted[0]).max()) * 4, terms, terms]
    assert len(found) == (3 if centred else 2)
    for actual, want, bound in zip(found, wanted, sizes, strict=False):
        assert worst(actual, want, bound) <= BUDGET[actual.dtype.name]


def numeric(f, x, dy, step=1e-5):
    """dL/dx by central differences, L = sum(dy f(x))."""
    result = np.zeros_like(x)
    for index in np.ndindex(x.shape):
        moved = [x.copy(), x.copy()]
        moved[0][index] += step
        moved[1][index] -= step
        result[index] = (dy * (f(moved[0]) - f(moved[1]))).sum() / (2 * step)
    return result


@pytest.mark.parametrize(
    ("forward", "backward"),
    [
        (
            lambda x, g, b: al.batch_norm(x, g, b, training=True),
            lambda dy, x, g: al.backward.batch_norm(dy, x, g, training=True),
        ),
        (al.layer_norm, al.backward.layer_norm),
        (
            lambda x, g, b: al.rms_norm(x, g) + b,
            lambda dy, x, g: (*al.backward.rms_norm(dy, x, g), dy.sum(0)),
        ),
    ],
    ids=["batch", "layer", "rms"],
)
def test_gradients_are_differences(forward, backward):
    x, dy = sample((5, 4), np.float64), sample((5, 4), np.float64)
    gamma, beta = RNG.normal(1, 0.5, 4), RNG.normal(0, 1, 4)
    found = backward(dy, x, gamma)
    np.testing.assert_allclose(found[0], numeric(lambda v: forward(v, gamma, beta), x, dy), atol=2e-9)
    np.testing.assert_allclose(found[1], numeric(lambda v: forward(x, v, beta), gamma, dy), atol=2e-9)
    np.testing.assert_allclose(found[2], numeric(lambda v: forward(x, gamma, v), beta, dy), atol=2e-9)


@pytest.mark.parametrize("shape", [(6, 5, 4), (1100, 3, 9)])
def test_layout_changes_no_bit(shape, dtype):
    x, dy = sample(shape, dtype), sample(shape, dtype)
    gamma = RNG.normal(1, 0.5, 3 if shape[1] == 3 else 5)
    rows = RNG.normal(1, 0.5, shape[-1])
    y = al.batch_norm(x, gamma, training=True, axis=1)
    layer, rms = al.layer_norm(x, rows), al.rms_norm(x, rows)
    dx = al.backward.batch_norm(dy, x, gamma, training=True, axis=1)
    for name, array in layouts(x).items():
        assert bits(al.batch_norm(array, gamma, training=True, axis=1)) == bits(y), name
        assert bits(al.layer_norm(array, rows)) == bits(layer), name
        assert bits(al.rms_norm(array, rows)) == bits(rms), name
        for got, want in zip(
            al.backward.batch_norm(dy, array, gamma, training=True, axis=1), dx, strict=True
        ):
            assert bits(got) == bits(want), name
    moved = al.batch_norm(np.ascontiguousarray(np.moveaxis(x, 1, -1)), gamma, training=True)
    assert bits(np.moveaxis(moved, -1, 1)) == bits(y)
    with al.num_threads(3):
        assert bits(al.batch_norm(x, gamma, training=True, axis=1)) == bits(y)


@pytest.mark.parametrize("shape", [(3, 5, 150), (40, 600), (90, 40, 7), (9000, 3)])
def test_ways_through_memory_change_no_bit(shape, dtype):
    """Few and many channels, long and short runs of samples; some channels far from 0."""
    x, dy = sample(shape, dtype), sample(shape, dtype)
    x[:, ::3] += dtype.type(50)
    y = al.batch_norm(x, training=True, axis=1)
    exact, size, *_ = reference(x, 1.0, 0.0, other_axes(x, 1), 1e-5)
    assert worst(y, exact, size + 1) <= BUDGET[dtype.name]
    found = al.backward.batch_norm(dy, x, training=True, axis=1)
    for move in (np.ascontiguousarray, np.asfortranarray):
        moved = move(np.moveaxis(x, 1, -1))
        assert bits(np.moveaxis(al.batch_norm(moved, training=True), -1, 1)) == bits(y)
        again = al.backward.batch_norm(move(np.moveaxis(dy, 1, -1)), moved, training=True)
        assert bits(np.moveaxis(again[0], -1, 1)) == bits(found[0])
        assert [bits(each) for each in again[1:]] == [bits(each) for each in found[1:]]
    with al.num_threads(3):
        assert bits(al.batch_norm(x, training=True, axis=1)) == bits(y)
        again = al.backward.batch_norm(dy, x, training=True, axis=1)
        assert [bits(each) for each in again] == [bits(each) for each in found]
    held = x.copy()
    al.batch_norm(held, training=True, axis=1, out=held)
    assert bits(held) == bits(y)
    held = x.copy()
    al.backward.batch_norm(dy, held, training=True, axis=1, out=held)
    assert bits(held) == bits(found[0])


@pytest.mark.parametrize("columns", [1, 7, 16, 17, 40, 100, 1500])
def test_rows_in_place_and_far_from_zero(columns, dtype):
    x, dy = sample((130, columns), dtype), sample((130, columns), dtype)
    x[::3] += dtype.type(100)
    gamma = RNG.normal(1, 0.5, columns)
    for forward, backward in (
        (al.layer_norm, al.backward.layer_norm),
        (al.rms_norm, al.backward.rms_norm),
    ):
        y, found = forward(x, gamma), backward(dy, x, gamma)
        held = x.copy()
        forward(held, gamma, out=held)
        assert bits(held) == bits(y)
        for into in (0, 1):
            held = [dy.copy(), x.copy()]
            again = backward(*held, gamma, out=held[into])
            assert [bits(each) for each in again] == [bits(each) for each in found]
        with al.num_threads(3):
            assert bits(backward(dy, x, gamma)[0]) == bits(found[0])
    exact, size, *_ = reference(x, gamma, 0.0, (1,), 1e-5)
    assert worst(al.layer_norm(x, gamma), exact, size + 1) <= BUDGET[dtype.name]


def test_results_go_to_out_and_in_place():
    x, dy = sample((70, 9), np.float32), sample((70, 9), np.float32)
    y = al.batch_norm(x, training=True)
    out = np.empty((9, 70), np.float32).T
    assert al.batch_norm(x, training=True, out=out) is out
    assert bits(out) == bits(y)
    for into in ("x", "dy"):
        held = {"x": x.copy(), "dy": dy.copy()}
        want = al.backward.layer_norm(dy, x)[0]
        al.backward.layer_norm(held["dy"], held["x"], out=held[into])
        assert bits(held[into]) == bits(want)
    shifted = np.zeros(71 * 9, np.float32)
    shifted[: 70 * 9] = x.ravel()
    al.batch_norm(shifted[: 70 * 9].reshape(70, 9), training=True, out=shifted[9:].reshape(70, 9))
    assert bits(shifted[9:].reshape(70, 9)) == bits(y)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_what_is_not_finite_stays_in_its_channel(value):
    x = sample((8, 3), np.float32)
    x[2, 1] = value
    y = al.batch_norm(x, training=True)
    assert np.isnan(y[:, 1]).all()
    assert np.isfinite(y[:, [0, 2]]).all()
    rows = al.layer_norm(x)
    assert np.isnan(rows[2]).all()
    assert np.isfinite(np.delete(rows, 2, axis=0)).all()


def test_empty_and_single():
    assert al.batch_norm(np.empty((0, 3)), training=True).shape == (0, 3)
    assert al.batch_norm(np.empty((3, 0)), training=True).shape == (3, 0)
    assert al.layer_norm(np.empty((3, 0))).shape == (3, 0)
    assert al.layer_norm(np.empty((0, 3))).shape == (0, 3)
    mean, variance = np.zeros(3), np.ones(3)
    al.batch_norm(np.empty((0, 3)), running_mean=mean, running_var=variance, training=True)
    assert not mean.any()
    assert (variance == 1).all()
    with pytest.raises(ValueError, match=r"\(1, 3\).*more"):
        al.batch_norm(np.ones((1, 3)), training=True)


@pytest.mark.parametrize(
    ("call", "error", "words"),
    [
        (lambda x: al.batch_norm(x), ValueError, "running_mean and running_var"),
        (lambda x: al.batch_norm(x, np.ones(3), training=True), ValueError, r"gamma.*\(3,\).*\(4,\)"),
        (lambda x: al.batch_norm(x, training=True, momentum=2), ValueError, "momentum"),
        (lambda x: al.batch_norm(x, training=True, epsilon=-1), ValueError, "epsilon"),
        (lambda x: al.batch_norm(x, training=True, axis=2), IndexError, "axis 2"),
        (lambda x: al.batch_norm(np.float64(1), training=True), ValueError, "axes"),
        (lambda x: al.batch_norm(np.ma.array(x), training=True), TypeError, "masked"),
        (lambda x: al.batch_norm(x, training=True, out=np.empty((4, 6))), ValueError, "out has shape"),
        (lambda x: al.batch_norm(x, training=True, running_mean=[0] * 4), TypeError, "running_mean"),
        (lambda x: al.backward.layer_norm(x[1:], x), ValueError, "dy has shape"),
        (lambda x: al.layer_norm(x, np.ones((2, 2))), ValueError, "gamma"),
        (lambda x: al.clip_by_global_norm(x, 1.0), TypeError, "sequence"),
        (lambda x: al.clip_by_global_norm([x], 0.0), ValueError, "max_norm"),
        (lambda x: al.clip_by_global_norm([x], 1.0, out=[]), ValueError, "out"),
        (lambda x: al.clip_by_global_norm([x, "a"], 1.0), TypeError, r"arrays\[1\]"),
    ],
)
def test_errors_name_the_argument(call, error, words):
    with pytest.raises(error, match=words):
        call(np.ones((6, 4)))


def test_the_norm_is_exact_whatever_the_order(dtype):
    arrays = [sample((300, 7), dtype), sample((11,), dtype), np.float64([1e-3, 7.0])]
    exact = np.sqrt(sum((wide(each) ** 2).sum() for each in arrays))
    norm = al.global_norm(arrays)
    assert abs(wide(norm) - exact) <= 0.76 * np.spacing(float(exact))
    assert norm == al.global_norm([each.ravel()[::-1] for each in arrays[::-1]])
    with al.num_threads(3):
        big = sample((400, 1000), dtype)
        whole = al.global_norm([big])
    assert whole == al.global_norm([big[:77], big[77:]])


@pytest.mark.parametrize("size", [1e-320, 1e-200, 1.0, 1e200, 1e307])
def test_the_norm_neither_overflows_nor_underflows(size):
    norm = al.global_norm([np.array([3 * size, 4 * size])])
    assert norm == pytest.approx(5 * size, rel=1e-3 if size < 1e-300 else 3e-16)


def test_clipping_shortens_and_keeps_the_direction(dtype):
    arrays = [sample((20, 3), dtype), sample((5,), np.float64)]
    norm = al.global_norm(arrays)
    clipped, found = al.clip_by_global_norm(arrays, norm / 3)
    assert found == norm
    for before, after in zip(arrays, clipped, strict=True):
        assert after.dtype == before.dtype
        assert worst(after, wide(before) / 3, 0) <= (0.51 if before.dtype != np.float64 else 2)
    same, _ = al.clip_by_global_norm(arrays, norm * 1.01)
    assert all(bits(a) == bits(b) for a, b in zip(arrays, same, strict=True))
    held = [each.copy() for each in arrays]
    al.clip_by_global_norm(held, norm / 3, out=held)
    assert all(bits(a) == bits(b) for a, b in zip(held, clipped, strict=True))


def test_a_norm_that_is_not_finite_is_not_hidden():
    for bad in (np.nan, np.inf):
        clipped, norm = al.clip_by_global_norm([np.array([1.0, bad]), np.ones(2)], 1.0)
        assert not np.isfinite(norm)
        assert np.isnan(clipped).all()
