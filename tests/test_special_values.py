"""Zeros and their signs, infinities, NaN, subnormals, huge numbers, nothing at all; and never a warning."""

from __future__ import annotations

import numpy as np
import pytest
from inputs import LOSS_IDS, LOSSES, PARAMETERS, bits, function, loss_inputs, samples
from reference import ACTIVATIONS, FORMATS, widened

import actloss_rs as al

INF, NAN = np.inf, np.nan

# The value at -inf, -0.0, +0.0 and +inf.
VALUES = {
    "sigmoid": (0.0, 0.5, 0.5, 1.0),
    "tanh": (-1.0, -0.0, 0.0, 1.0),
    "silu": (-0.0, -0.0, 0.0, INF),
    "gelu": (-0.0, -0.0, 0.0, INF),
    "gelu_tanh": (-0.0, -0.0, 0.0, INF),
    "softplus": (0.0, np.log(2), np.log(2), INF),
    "log_sigmoid": (-INF, -np.log(2), -np.log(2), -0.0),
    "leaky_relu": (-INF, -0.0, 0.0, INF),
    "elu": (-1.0, -0.0, 0.0, INF),
    "exp": (0.0, 1.0, 1.0, INF),
    "expm1": (-1.0, -0.0, 0.0, INF),
    "log1p": (NAN, -0.0, 0.0, INF),
}


@pytest.mark.parametrize("name", VALUES)
def test_zeros_and_infinities(name, dtype):
    expected = np.array(VALUES[name]).astype(dtype)
    actual = function(name)(np.array([-INF, -0.0, 0.0, INF]).astype(dtype))
    np.testing.assert_array_equal(widened(actual), widened(expected))
    signed = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual)[signed], np.signbit(expected)[signed])


def test_relu_at_zeros_and_infinities(dtype):
    np.testing.assert_array_equal(
        al.relu(np.array([-INF, -1, -0.0, 0, 2, INF]).astype(dtype)), [0, 0, 0, 0, 2, INF]
    )


def test_log1p_at_and_below_minus_one(dtype):
    actual = widened(al.log1p(np.array([-1.0, -1.5, -INF]).astype(dtype)))
    np.testing.assert_array_equal(actual, [-INF, NAN, NAN])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_nan_gives_nan(name, dtype):
    unsigned = np.dtype(f"uint{8 * dtype.itemsize}")
    payload = np.array([NAN, -NAN]).astype(dtype).view(unsigned) | np.arange(1, 5, dtype=unsigned)[:, None]
    assert np.isnan(function(name)(payload.view(dtype))).all()


@pytest.mark.parametrize(
    "name", ["tanh", "expm1", "log1p", "silu", "gelu", "gelu_tanh", "leaky_relu", "elu", "relu"]
)
def test_subnormals_are_not_flushed(name, dtype):
    unsigned = np.dtype(f"uint{8 * dtype.itemsize}")
    x = np.arange(1, 40, dtype=unsigned).view(dtype)
    y = function(name)(x)
    if name in ("silu", "gelu", "gelu_tanh"):  # x / 2 and a trifle: ties may fall to either side
        np.testing.assert_allclose(y.view(unsigned), np.arange(1, 40) / 2, rtol=0, atol=0.5)
    else:
        np.testing.assert_array_equal(y.view(unsigned), np.arange(1, 40))


@pytest.mark.parametrize("shape", [(0,), (3, 0), (0, 4, 2)])
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_empty(name, shape, dtype):
    y = function(name)(np.empty(shape, dtype=dtype))
    assert y.shape == shape
    assert y.dtype == dtype


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_activations_raise_no_floating_point_flag(name, parameters, dtype):
    x = samples(dtype, 600)
    with np.errstate(all="raise"):
        function(name)(x, *parameters)
        function(name)(x[::3], *parameters)
        for v in x[-40:]:
            function(name)(v, *parameters)
        function(name, al.backward)(np.ones_like(x), x, *parameters)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", ["softmax", "softmin", "sparsemax", "log_softmax", "logsumexp"])
@pytest.mark.parametrize("axis", [-1, 0, None])
def test_rows_raise_no_floating_point_flag(name, axis, dtype):
    x = samples(dtype, 600)
    x = x[: len(x) // 8 * 8].reshape(-1, 8)
    with np.errstate(all="raise"):
        getattr(al, name)(x, axis=axis)
        getattr(al, name)(x[:, ::2], axis=axis)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
def test_losses_raise_no_floating_point_flag(name, options, dtype):
    y_true, y_pred = loss_inputs(name, dtype=dtype, **options)
    y_pred[0, 0], y_pred[1, 1], y_pred[2] = NAN, 0, 1
    if options.get("from_logits"):
        y_pred[3], y_pred[4, 2], y_pred[5, 1] = -INF, INF, 60000
    with np.errstate(all="raise"):
        for reduction in ("none", "sum", "mean", "sum_over_batch_size"):
            getattr(al, name)(y_true, y_pred, reduction=reduction, **options)


def test_infinity_alone_in_its_row(dtype):
    x = np.array(
        [[1, INF, 3], [-INF, INF, -INF], [-INF, 0, -INF], [-INF] * 3, [INF] * 3, [0, NAN, 0]]
    ).astype(dtype)
    np.testing.assert_array_equal(
        widened(al.softmax(x)), [[0, 1, 0], [0, 1, 0], [0, 1, 0], [NAN] * 3, [NAN, NAN, NAN], [NAN] * 3]
    )
    np.testing.assert_array_equal(
        widened(al.sparsemax(x)), [[0, 1, 0], [0, 1, 0], [0, 1, 0], [NAN] * 3, [NAN] * 3, [NAN] * 3]
    )
    assert bits(al.softmin(x)) == bits(al.softmax(-x))
    np.testing.assert_array_equal(
        widened(al.log_softmax(x)),
        [[-INF, 0, -INF], [-INF, 0, -INF], [-INF, 0, -INF], [NAN] * 3, [NAN] * 3, [NAN] * 3],
    )
    np.testing.assert_array_equal(widened(al.logsumexp(x)), [INF, INF, 0, -INF, INF, NAN])


def test_rows_of_huge_and_tiny_numbers(dtype):
    form = FORMATS[dtype.name]
    largest = (2.0 - 2.0 ** (1 - form.precision)) * 2.0**form.max_exponent
    x = np.array([[largest, -largest], [largest, largest], [-largest, -largest]]).astype(dtype)
    np.testing.assert_array_equal(al.softmax(x), [[1, 0], [0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(al.sparsemax(x), [[1, 0], [0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(al.softmin(x), [[0, 1], [0.5, 0.5], [0.5, 0.5]])
    np.testing.assert_array_equal(al.logsumexp(x), x[:, 0])


def test_empty_rows(dtype):
    for name in ("softmax", "softmin", "sparsemax"):
        assert getattr(al, name)(np.empty((3, 0), dtype)).shape == (3, 0)
    assert al.log_softmax(np.empty((0, 3), dtype)).shape == (0, 3)
    np.testing.assert_array_equal(al.logsumexp(np.empty((3, 0), dtype)), np.full(3, -INF))
    assert al.logsumexp(np.empty((0, 3), dtype)).shape == (0,)
    assert al.softmax(np.empty((0, 3), dtype), axis=0).shape == (0, 3)
