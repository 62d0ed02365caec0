"""Gated linear units: accuracy, halves along an axis, two arrays, derivatives, `out=`, other libraries."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from inputs import bits, finite, layouts, samples
from reference import GATED, elementwise, exact_array, finite_difference, ulp_error, widened

import actloss_rs as al
from actloss_rs import _core

EACH = pytest.mark.parametrize("name", GATED)
# Half an ULP, and up to twice the error of the activation (0.95 at most); 16-bit types compute in float64.
BUDGET = {"float16": 0.51, "bfloat16": 0.51, "float32": 2.4, "float64": 1.6}
# One rounding more, of dy times the other array.
BACKWARD_BUDGET = {"float16": 0.51, "bfloat16": 0.51, "float32": 3.0, "float64": 2.5}


def pairs(dtype, n=1500, seed=0):
    """Arguments of every size for the activation, ordinary ones for the other array."""
    rng = np.random.default_rng(seed)
    x = finite(samples(dtype, n))
    other = rng.normal(0, 3, x.shape).astype(dtype)
    return x, other


def of_both(name, a, b):
    """The activation's argument is b for glu, a for the others."""
    return (b, a) if name == "glu" else (a, b)


def arrays(dtype, shape, seed=0):
    return np.random.default_rng(seed).normal(0, 3, shape).astype(dtype)


@EACH
def test_accuracy(name, dtype):
    a, b = of_both(name, *pairs(dtype))
    exact = evaluate_pair(GATED[name].value, a, b)
    errors = ulp_error(getattr(al, name)(a, b), exact)
    at = errors.argmax()
    assert errors[at] <= BUDGET[dtype.name], (a[at], b[at])


def evaluate_pair(function, *operands):
    return elementwise(function, *map(exact_array, operands))


@EACH
def test_a_large_factor_brings_back_what_would_be_subnormal(name):
    """Where the activation alone has lost digits the product has them all."""
    x = np.concatenate([np.linspace(-105, -85, 200), 2.0 ** np.arange(-149, -100)]).astype(np.float32)
    if name == "geglu":
        x = np.concatenate([np.linspace(-14, -12, 200), 2.0 ** np.arange(-149, -100)]).astype(np.float32)
    a, b = of_both(name, x, np.full_like(x, 1e37))
    errors = ulp_error(getattr(al, name)(a, b), evaluate_pair(GATED[name].value, a, b))
    assert errors.max() <= BUDGET["float32"], x[errors.argmax()]


@EACH
def test_signs_and_limits(name, dtype):
    inf, nan = np.inf, np.nan
    x = np.array([-inf, -1e4, -0.0, 0.0, 1e4, inf, nan, -inf, 1.0], dtype=np.float64).astype(dtype)
    other = np.array([1.0, 1.0, 2.0, -2.0, 1.0, -1.0, 1.0, inf, nan]).astype(dtype)
    actual = getattr(al, name)(*of_both(name, x, other))
    if name == "glu":
        expected = [0.0, 0.0, 1.0, -1.0, 1.0, -1.0, nan, nan, nan]
    else:
        expected = [-0.0, -0.0, -0.0, -0.0, dtype.type(1e4), -inf, nan, nan, nan]
    expected = np.array(expected).astype(dtype)
    np.testing.assert_array_equal(widened(actual), widened(expected))
    known = ~np.isnan(expected)
    np.testing.assert_array_equal(np.signbit(actual[known]), np.signbit(expected[known]))


@EACH
@pytest.mark.parametrize("axis", [0, 1, 2, -1, -3])
def test_halves_along_an_axis(name, axis, dtype):
    f, x = getattr(al, name), arrays(dtype, (4, 6, 10))
    a, b = np.split(x, 2, axis=axis)
    expected = f(a, b)
    assert expected.dtype == dtype
    assert bits(f(x, axis=axis)) == bits(f(x, axis)) == bits(expected)
    for layout, held in layouts(x).items():
        assert bits(f(held, axis=axis)) == bits(expected), layout
    out = np.zeros_like(expected)
    assert f(x, axis=axis, out=out) is out
    assert bits(out) == bits(expected)
    first = x[tuple(slice(size) for size in expected.shape)]
    f(x, axis=axis, out=first)
    assert bits(first) == bits(expected)


@EACH
def test_wrong_halves(name):
    f, x = getattr(al, name), np.ones((4, 3))
    with pytest.raises(ValueError, match="3 elements along axis 1"):
        f(x)
    with pytest.raises(np.exceptions.AxisError):
        f(x, axis=2)
    with pytest.raises(np.exceptions.AxisError):
        f(1.0)
    for axis in (None, (0,), 1.0):
        with pytest.raises(TypeError):
            f(x, axis=axis)
    for code in ("D", "U3", "O"):
        with pytest.raises(TypeError):
            f(np.ones((2, 4)).astype(code))
    with pytest.raises(ValueError, match="broadcast"):
        f(np.ones((2, 4)), out=np.ones((3, 5)))


@EACH
def test_two_arrays_follow_the_rules_of_ufuncs(name, dtype):
    f, a = getattr(al, name), arrays(dtype, (3, 1))
    b = arrays(dtype, (4,), 1)
    expected = f(np.repeat(a, 4, axis=1), np.repeat(b[None], 3, axis=0))
    assert bits(f(a, b)) == bits(expected)
    assert f(2.0, b).dtype == dtype
    assert f(a, b, dtype=np.float64).dtype == np.float64
    assert f(np.arange(4), np.arange(4)).dtype == np.float64
    assert f(a, np.ones(4)).dtype == np.float64
    assert f([1, 2, 3, 4]).dtype == np.float64
    out, where = np.full((3, 4), 7).astype(dtype), np.eye(3, 4, dtype=bool)
    f(a, b, out=out, where=where)
    np.testing.assert_array_equal(out[~where], np.full(9, 7).astype(dtype))
    assert bits(out[where]) == bits(expected[where])
    with pytest.raises(ValueError, match="broadcast"):
        f(np.ones(3, dtype), np.ones(4, dtype))


@EACH
def test_names_and_pickling(name):
    for module in (al, al.backward):
        function = getattr(module, name)
        assert function.__name__ == name
        assert len(function.__doc__.splitlines()) > 2
        assert pickle.loads(pickle.dumps(function)) is function
    for ufunc in (name, f"{name}_backward_a", f"{name}_backward_b"):
        ufunc = getattr(_core, ufunc)
        assert isinstance(ufunc, np.ufunc)
        assert pickle.loads(pickle.dumps(ufunc)) is ufunc


@pytest.mark.filterwarnings("error")
@EACH
def test_no_floating_point_flag(name, dtype):
    x, other = samples(dtype, 300), np.resize(samples(dtype, 100)[::-1], samples(dtype, 300).shape)
    with np.errstate(all="raise"):
        getattr(al, name)(x, other)
        getattr(al.backward, name)(other, x, x)


# ---------------------------------------------------------------------------------------------- derivatives


@EACH
def test_backward_accuracy(name, dtype):
    x, other = pairs(dtype)
    x, other = x[abs(x.astype(np.float64)) < 80], other[abs(x.astype(np.float64)) < 80]
    dy = np.random.default_rng(1).uniform(1, 2, x.shape).astype(dtype)
    a, b = of_both(name, x, other)
    of_a, of_b = getattr(al.backward, name)(dy, a, b)
    assert of_a.dtype == of_b.dtype == dtype
    # Where the derivative of the activation crosses zero, relative to what it is made of.
    floor = 0.1 * np.abs(other.astype(np.float64)) if name != "glu" else 0
    for actual, derivative, at_least in (
        (of_a, GATED[name].by_a, floor),
        (of_b, GATED[name].by_b, 0),
    ):
        exact = exact_array(dy) * evaluate_pair(derivative, a, b)
        errors = ulp_error(actual, exact, at_least)
        at = errors.argmax()
        assert errors[at] <= BACKWARD_BUDGET[dtype.name], (dy[at], a[at], b[at])


@EACH
@pytest.mark.parametrize("axis", [0, -1])
def test_backward_is_the_difference_quotient(name, axis):
    x = arrays(np.float64, (4, 6)) / 2
    dy = arrays(np.float64, getattr(al, name)(x, axis).shape, 1)

    def value(x):
        return (evaluate_pair(GATED[name].value, *np.split(np.asarray(x), 2, axis=axis)) * dy).sum()

    actual = getattr(al.backward, name)(dy, x, axis=axis)
    np.testing.assert_allclose(actual, finite_difference(value, x), rtol=1e-7, atol=1e-9)


@EACH
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_backward_of_halves(name, axis, dtype):
    backward, x = getattr(al.backward, name), arrays(dtype, (4, 6))
    a, b = np.split(x, 2, axis=axis)
    dy = arrays(dtype, a.shape, 1)
    expected = np.concatenate(backward(dy, a, b), axis=axis)
    assert expected.dtype == dtype
    assert bits(backward(dy, x, axis)) == bits(expected)
    for out in (np.zeros_like(x), np.zeros((6, 8), dtype)[:, ::2].T):
        assert backward(dy, x, axis, out=out) is out
        assert bits(out) == bits(expected)
    pair = np.zeros_like(a), np.zeros_like(a)
    assert backward(dy, a, b, out=pair)[1] is pair[1]
    assert bits(np.concatenate(pair, axis=axis)) == bits(expected)
    assert backward(dy, x, axis, out=x) is x
    assert bits(x) == bits(expected)


# -------------------------------------------------------------------------------------------- other libraries


@EACH
def test_other_libraries(name):
    f, x = getattr(al, name), arrays(np.float64, (4, 6))
    pandas = pytest.importorskip("pandas")
    np.testing.assert_array_equal(f(pandas.DataFrame(x)), f(x))
    frame = f(pandas.DataFrame(x[:, :3]), x[:, 3:])
    assert isinstance(frame, pandas.DataFrame)
    np.testing.assert_array_equal(frame, f(x))
    np.testing.assert_array_equal(f(pandas.DataFrame(x), axis=0), f(x, axis=0))


@EACH
def test_masked_arrays(name):
    x = np.ma.array(arrays(np.float64, (4, 6)), mask=np.eye(4, 6, dtype=bool))
    with pytest.raises(TypeError, match="mask"):
        getattr(al, name)(x)
    with pytest.raises(TypeError, match="mask"):
        getattr(al.backward, name)(np.ones((4, 3)), x)
    y = getattr(al, name)(x[:, :3], x[:, 3:])
    np.testing.assert_array_equal(y.mask, x.mask[:, :3] | x.mask[:, 3:])


@EACH
@pytest.mark.parametrize("axis", [0, -1])
def test_dask_arrays_stay_lazy(name, axis):
    dask = pytest.importorskip("dask.array")
    x = arrays(np.float64, (4, 6))
    dy = np.ones(getattr(al, name)(x, axis).shape)
    lazy = dask.from_array(x, chunks=(3, 2))
    y, backward = getattr(al, name)(lazy, axis), getattr(al.backward, name)
    dx = backward(dask.from_array(dy), lazy, axis)
    assert isinstance(y, dask.Array)
    assert isinstance(dx, dask.Array)
    np.testing.assert_array_equal(y.compute(scheduler="synchronous"), getattr(al, name)(x, axis))
    np.testing.assert_array_equal(dx.compute(scheduler="synchronous"), backward(dy, x, axis))
