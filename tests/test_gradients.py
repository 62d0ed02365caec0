"""Derivatives: `backward` and `value_and_grad` against the textbook and against five-point differences."""

from __future__ import annotations

import numpy as np
import pytest
import reference
import reference_losses
from inputs import (
    KINDS,
    LOSS_IDS,
    LOSSES,
    PARAMETERS,
    UFUNCS,
    bits,
    every_16_bits,
    finite,
    function,
    layouts,
    loss_class,
    loss_inputs,
    on_probabilities,
    samples,
)
from reference import ACTIVATIONS, evaluate, exact_array, finite_difference, ulp_error

import actloss_rs as al

EACH = pytest.mark.parametrize("name", ACTIVATIONS)
REDUCTIONS = ["none", "sum", "mean", "sum_over_batch_size"]

# Where the derivative has a zero inside the range its error is relative to this instead.
CROSSES_ZERO = {"mish": 0.1, "silu": 0.1, "gelu": 0.1, "gelu_tanh": 0.1}
# At a NaN the slope of these is NaN; of a piecewise one it may be that of either side.
SMOOTH = {
    "sigmoid",
    "tanh",
    "silu",
    "gelu",
    "gelu_tanh",
    "softplus",
    "log_sigmoid",
    "exp",
    "expm1",
    "log1p",
    "erf",
    "mish",
}

BUDGET = {"float16": 1.0, "bfloat16": 1.0, "float32": 4.0, "float64": 4.0}


def backward_error(name, dy, x, parameters=()):
    derivative = evaluate(ACTIVATIONS[name].derivative, x, *(x.dtype.type(v) for v in parameters))
    exact = exact_array(dy) * derivative
    actual = function(name, al.backward)(dy, x, *parameters)
    assert actual.dtype == x.dtype
    floor = CROSSES_ZERO.get(name, 0) * np.maximum(abs(exact_array(dy)), 1) if name in CROSSES_ZERO else 0
    errors = ulp_error(actual, exact, floor)
    at = int(errors.argmax())
    return errors[at], f"{name}{parameters}: dy {dy[at]!r}, x {x[at]!r}: {actual[at]!r}, exactly {exact[at]}"


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_backward(name, parameters, dtype):
    x = every_16_bits(dtype)[::23] if dtype.itemsize == 2 else samples(dtype, 2000)
    x = finite(x)
    x = x[x != (-1 if name == "log1p" else 0)]
    rng = np.random.default_rng(0)
    dy = rng.uniform(1, 2, x.shape).astype(dtype) * rng.choice([-1, 1], x.shape).astype(dtype)
    error, message = backward_error(name, dy, x, parameters)
    assert error <= BUDGET[dtype.name], message


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_backward_is_the_difference_quotient_of_the_values(name, parameters):
    x = np.linspace(-0.75, 4, 20) if name == "log1p" else np.linspace(-4.1, 4, 20)
    value = ACTIVATIONS[name].value
    numerical = finite_difference(lambda v: evaluate(value, v, *parameters).sum(), x, 2.0**-10)
    actual = function(name, al.backward)(np.ones_like(x), x, *parameters)
    np.testing.assert_allclose(actual, numerical, rtol=1e-7, atol=1e-9)


def test_kinks():
    zero, one = np.zeros(1), np.ones(1)
    for x in (zero, -zero):
        assert al.backward.relu(one, x) == 0
        assert al.backward.leaky_relu(one, x, 0.25) == 0.25
        assert al.backward.elu(one, x, 2.0) == 2
    np.testing.assert_array_equal(
        al.backward.relu(np.array([np.nan, -3.0]), np.array([1.0, -1.0])), [np.nan, 0]
    )


@EACH
def test_backward_of_nan(name, dtype):
    nan = np.array([np.nan]).astype(dtype)
    if name in SMOOTH:
        assert np.isnan(function(name, al.backward)(np.ones_like(nan), nan)).all()
    # Where the slope is 0 a NaN may be cut off with it; no activation is flat at all of these.
    assert np.isnan(function(name, al.backward)(nan, np.array([0.25, 2.5]).astype(dtype))).any()


@EACH
def test_backward_broadcasts(name, dtype):
    backward = function(name, al.backward)
    x = np.linspace(-0.9, 3, 12).astype(dtype).reshape(3, 4)
    dy = np.array([1, -2, 0.5, 3]).astype(dtype)
    full = backward(np.broadcast_to(dy, x.shape).copy(), x)
    assert bits(backward(dy, x)) == bits(full)
    if dtype.name != "bfloat16":  # ml_dtypes: a Python scalar is not weak beside it in a ufunc
        assert bits(backward(1.0, x)) == bits(backward(np.ones_like(x), x))
    assert backward(np.ones((2, 1, 1), dtype), x).shape == (2, 3, 4)
    assert backward(np.ones(4, np.int32), np.arange(4)).dtype == np.float64


@EACH
def test_backward_out_and_layouts(name, dtype):
    backward = function(name, al.backward)
    x = np.linspace(-0.9, 3, 60).astype(dtype).reshape(5, 12)
    dy = np.cos(np.arange(60)).astype(dtype).reshape(5, 12)
    expected = bits(backward(dy, x))
    out = np.empty_like(x)
    assert backward(dy, x, out=out) is out
    assert bits(out) == expected
    for (layout, held_dy), held_x in zip(layouts(dy).items(), reversed(layouts(x).values()), strict=True):
        assert bits(backward(held_dy, held_x)) == expected, layout
    backward(dy, x, out=x)
    assert bits(x) == expected


@pytest.mark.parametrize("name", UFUNCS)
def test_backward_of_ufuncs_are_ufuncs(name):
    backward = getattr(al.backward, name)
    assert isinstance(backward, np.ufunc)
    assert (backward.nin, backward.nout) == (2, 1)


def test_backward_names_the_forms_of_gelu():
    with pytest.raises(ValueError, match=r"approximate.*'none'.*'tanh'"):
        al.backward.gelu(np.ones(2), np.ones(2), approximate="no")
    assert al.backward.swish is al.backward.silu


# ------------------------------------------------------------------------------------------------- rows


@pytest.mark.parametrize("axis", [-1, 0, (0, 2), None])
@pytest.mark.parametrize("name", ["softmax", "softmin", "sparsemax"])
def test_backward_of_probabilities(name, axis):
    rng = np.random.default_rng(1)
    x, dy = rng.normal(0, 2, (2, 3, 4)), rng.normal(0, 1, (2, 3, 4))
    f = getattr(reference, name)
    y = np.asarray(reference.along(f, x, axis), dtype=np.float64)
    numerical = finite_difference(lambda v: (reference.along(f, v, axis) * dy).sum(), x)
    actual = getattr(al.backward, name)(dy, y, axis=axis)
    np.testing.assert_allclose(actual, numerical, rtol=1e-7, atol=1e-9)
    if name == "sparsemax":
        mean = (dy * (y > 0)).sum(axis=axis, keepdims=True) / (y > 0).sum(axis=axis, keepdims=True)
        textbook = np.where(y > 0, dy - mean, 0)
    else:
        textbook = y * (dy - (dy * y).sum(axis=axis, keepdims=True)) * (-1 if name == "softmin" else 1)
    np.testing.assert_allclose(actual, textbook, rtol=1e-13, atol=1e-15)


@pytest.mark.parametrize("axis", [-1, 0, (0, 2), None])
@pytest.mark.parametrize("name", ["log_softmax", "logsumexp"])
def test_backward_of_logarithms(name, axis):
    rng = np.random.default_rng(1)
    x = rng.normal(0, 2, (2, 3, 4))
    value = getattr(al, name)(x, axis=axis)
    dy = rng.normal(0, 1, np.shape(value))
    numerical = finite_difference(
        lambda v: np.sum(reference.along(getattr(reference, name), v, axis) * dy), x
    )
    actual = getattr(al.backward, name)(dy, x, axis=axis)
    np.testing.assert_allclose(actual, numerical, rtol=1e-7, atol=1e-9)
    if name == "logsumexp":
        kept = np.reshape(dy, al.logsumexp(x, axis=axis, keepdims=True).shape)
        assert bits(al.backward.logsumexp(kept, x, axis=axis)) == bits(actual)
    assert getattr(al.backward, name)(dy, x, axis=axis, out=x) is x
    assert bits(x) == bits(actual)


@pytest.mark.parametrize("name", ["softmax", "softmin", "sparsemax"])
def test_backward_of_probabilities_dtypes_and_out(name, dtype):
    rng = np.random.default_rng(2)
    y = getattr(al, name)(rng.normal(0, 1, (9, 33)).astype(dtype))
    backward = getattr(al.backward, name)
    dy = rng.normal(0, 1, (9, 33)).astype(dtype)
    y64, dy64 = y.astype(np.float64), dy.astype(np.float64)
    if name == "sparsemax":
        mean = (dy64 * (y64 > 0)).sum(axis=-1, keepdims=True) / (y64 > 0).sum(axis=-1, keepdims=True)
        exact = np.where(y64 > 0, dy64 - mean, 0)
    else:
        exact = y64 * (dy64 - (dy64 * y64).sum(axis=-1, keepdims=True)) * (-1 if name == "softmin" else 1)
    actual = backward(dy, y)
    assert actual.dtype == dtype
    step = 2.0 ** (1 - reference.FORMATS[dtype.name].precision)
    np.testing.assert_allclose(actual.astype(np.float64), exact, rtol=4 * step, atol=4 * step)
    for layout, held in layouts(y).items():
        assert bits(backward(dy, held)) == bits(actual), layout
    assert bits(backward(np.asfortranarray(dy.T), y.T, axis=0).T) == bits(actual)
    assert backward(dy, y, out=dy) is dy
    assert bits(dy) == bits(actual)


# ----------------------------------------------------------------------------------------------- losses


@pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_value_and_grad(name, options, reduction, dtype):
    y_true, y_pred = loss_inputs(name, (9, 5), dtype, **options)
    value, gradient = loss_class(name, reduction=reduction, **options).value_and_grad(y_true, y_pred)
    terms = reference_losses.LOSSES[name](y_true, y_pred, **options)
    assert gradient.dtype == dtype
    assert gradient.shape == y_pred.shape
    assert bits(value) == bits(getattr(al, name)(y_true, y_pred, reduction=reduction, **options))
    exact = terms.reduced_gradient(reduction)
    assert ulp_error(gradient, exact, terms.scale / terms.divisor(reduction)).max() <= BUDGET[dtype.name]


@pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
@pytest.mark.parametrize("reduction", ["sum", "mean", "sum_over_batch_size"])
def test_gradient_is_the_difference_quotient_of_the_reference(name, options, reduction):
    y_true, y_pred = loss_inputs(name, (4, 3), **options)
    if on_probabilities(name, options):
        y_pred = 0.2 + 0.6 * y_pred  # far enough from the pole
    weight = np.array([1, 0.5, 2, 0.25])
    loss = loss_class(name, reduction=reduction, **options)
    _, gradient = loss.value_and_grad(y_true, y_pred, weight)
    numerical = finite_difference(
        lambda x: reference_losses.LOSSES[name](y_true, x, sample_weight=weight, **options).reduced(
            reduction
        ),
        y_pred,
    )
    np.testing.assert_allclose(gradient, numerical, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
def test_gradient_hessian(name, options, dtype):
    if not KINDS[name].hessian:
        with pytest.raises(NotImplementedError, match=name):
            loss_class(name).gradient_hessian(*loss_inputs(name, (9, 5), dtype))
        return
    y_true, y_pred = loss_inputs(name, (9, 5), dtype, **options)
    weight = np.linspace(0.5, 2, 9)
    for reduction in REDUCTIONS:  # unreduced, whatever the reduction
        g, h = loss_class(name, reduction=reduction, **options).gradient_hessian(y_true, y_pred, weight)
        terms = reference_losses.LOSSES[name](y_true, y_pred, sample_weight=weight, **options)
        computed = np.float64 if dtype == np.float64 else np.float32
        assert g.dtype == h.dtype == computed
        assert g.shape == h.shape == y_pred.shape
        assert ulp_error(g, terms.gradient, terms.scale).max() <= 4
        assert ulp_error(h, terms.hessian, terms.bend_scale).max() <= 8


@pytest.mark.parametrize(("name", "options"), [case for case in LOSSES if KINDS[case[0]].hessian], ids=str)
def test_gradients_agree_with_each_other(name, options):
    y_true, y_pred = loss_inputs(name, (9, 5), **options)
    g, _ = loss_class(name, **options).gradient_hessian(y_true, y_pred)
    _, gradient = loss_class(name, reduction="sum", **options).value_and_grad(y_true, y_pred)
    np.testing.assert_array_max_ulp(g, gradient, 2)


def test_confident_gradients_keep_their_digits():
    """d/dz of the target is -(the others' probability), not 1 - 1."""
    z = np.array([[40.0, 0.0], [0.0, 60.0]])
    _, gradient = al.losses.SparseCategoricalCrossentropy(from_logits=True, reduction="sum").value_and_grad(
        [0, 1], z
    )
    terms = reference_losses.sparse_categorical_crossentropy([0, 1], z, from_logits=True)
    assert ulp_error(gradient, terms.gradient).max() <= 4


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_mean_squared_error_of_two_types_is_computed_in_the_wider(dtype):
    other = np.float64 if dtype == np.float32 else np.float32
    y_true, y_pred = loss_inputs("mean_squared_error", (6,), dtype)
    y_true = y_true.astype(other) + np.float64(2) ** -40 * (other == np.float64)
    none = al.mean_squared_error(y_true, y_pred, reduction="none")
    assert none.dtype == np.float64
    assert ulp_error(none, reference_losses.mean_squared_error(y_true, y_pred).values).max() <= 2
    _, gradient = al.losses.MeanSquaredError().value_and_grad(y_true, y_pred)
    assert gradient.dtype == dtype
