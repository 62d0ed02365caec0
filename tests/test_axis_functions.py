"""softmax, softmin, sparsemax, log_softmax, logsumexp: accuracy, axes, layouts, `out=` and `keepdims`."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from hypothesis import given
from hypothesis import strategies as st
from inputs import bits, layouts, views
from reference import along, exact_array, ulp_error

import actloss_rs as al

NAMES = ["softmax", "softmin", "sparsemax", "log_softmax", "logsumexp"]
EACH = pytest.mark.parametrize("name", NAMES)
# Half an ULP is the rounding of the result, one the exponential, the sum and the division.
SPARSEMAX_FLOOR = 2.0**-45  # a difference, exact to some 2^-100
BUDGET = {"float16": 0.51, "bfloat16": 0.51, "float32": 1.5, "float64": 1.5}


def rows(dtype, shape=(20, 11), scale=3.0, seed=0):
    return np.random.default_rng(seed).normal(0, scale, shape).astype(dtype)


@EACH
@pytest.mark.parametrize("scale", [0.1, 3.0, 30.0])
@pytest.mark.parametrize("classes", [1, 2, 3, 16, 17, 100, 1000])
def test_accuracy(name, scale, classes, dtype):
    x = rows(dtype, (max(3, 300 // classes), classes), scale)
    actual = getattr(al, name)(x)
    assert actual.dtype == dtype
    exact = along(getattr(reference, name), x, -1)
    # A logsumexp near zero cancels; relative to the largest input of its row it is as good. log_softmax is
    # the -log1p of what the others have and cancels nowhere; too small, it is a zero of any sign.
    floors = {"sparsemax": SPARSEMAX_FLOOR, "logsumexp": np.abs(exact_array(x)).max(axis=-1)}
    at_least = floors.get(name, 1e-310)
    errors = ulp_error(actual, exact, at_least)
    assert errors.max() <= BUDGET[dtype.name], (
        x[np.unravel_index(errors.argmax(), errors.shape)[0]],
        errors.max(),
    )


def test_softmax_of_unlikely_classes_is_as_accurate():
    x = np.linspace(0, 700, 701)
    errors = ulp_error(al.softmax(x), along(reference.softmax, x, -1))
    assert errors.max() <= BUDGET["float64"]
    x = np.linspace(0, 100, 701, dtype=np.float32)
    assert ulp_error(al.softmax(x), along(reference.softmax, x, -1)).max() <= BUDGET["float32"]


def test_sparsemax_of_close_calls(dtype):
    """Rows whose last element is in or out by little, ties, and rows that one step less would get wrong."""
    rng = np.random.default_rng(3)
    x = [np.array([1.0, 2.0**-20, 2.0**-30]), np.zeros(7), np.linspace(0, 1, 40), [0.0, -1.0, -1.0]]
    x += [[1 + 2.0**-7, 2.0**-7, 2.0**-7], [0.5] * 9 + [0.25] * 9, -(2.0 ** -np.arange(30.0))]
    x += [np.sort(rng.exponential(0.05, n))[::-1] for n in (30, 300)]
    for row in x:
        row = np.asarray(row).astype(dtype)
        exact = along(reference.sparsemax, row, -1)
        actual = al.sparsemax(row)
        np.testing.assert_array_equal(actual != 0, np.asarray(exact != 0, dtype=bool))
        assert ulp_error(actual, exact, SPARSEMAX_FLOOR).max() <= 0.51


def test_sparsemax_in_few_steps():
    """Elements that fall off geometrically are dropped many at a time, of a row in any order."""
    x = np.random.default_rng(0).permutation(-(1.0 - 0.9999 ** np.arange(100_000)))
    y = al.sparsemax(x)
    t = np.sort(x)[::-1]
    k = np.arange(1, len(x) + 1)
    support = int((1 + k * t > np.cumsum(t)).sum())
    assert np.count_nonzero(y) == support
    assert abs(y.sum() - 1) < 1e-12


def test_softmin_is_softmax_of_the_negative(dtype):
    x = rows(dtype, (7, 2100))
    for layout, held in layouts(x).items():
        assert bits(al.softmin(held)) == bits(al.softmax(-x)), layout


@EACH
@pytest.mark.parametrize(
    "axis", [0, 1, 2, -1, -3, (0, 1), (1, 2), (0, 2), (2, 0), (-1, 1), (0, 1, 2), None, ()]
)
def test_axes(name, axis):
    x = rows("d", (3, 4, 5))
    if axis == ():
        expected = {"log_softmax": np.zeros_like(x), "logsumexp": x}.get(name, np.ones_like(x))
    else:
        axes = tuple(range(3)) if axis is None else tuple(np.atleast_1d(axis) % 3)
        kept = [i for i in range(3) if i not in axes]
        moved = np.ascontiguousarray(x.transpose(*kept, *sorted(axes)))
        flat = moved.reshape(*(x.shape[i] for i in kept), -1)
        expected = getattr(al, name)(flat)
        if name != "logsumexp":
            expected = expected.reshape(moved.shape).transpose(np.argsort([*kept, *sorted(axes)]))
    actual = getattr(al, name)(x, axis=axis)
    assert actual.shape == expected.shape
    np.testing.assert_allclose(actual, expected, rtol=1e-14, atol=1e-14)
    assert bits(getattr(al, name)(x, axis)) == bits(actual)  # by position too


@pytest.mark.parametrize("axis", [0, -1, (0, 2), None])
def test_keepdims(axis):
    x = rows("d", (3, 4, 5))
    kept = al.logsumexp(x, axis=axis, keepdims=True)
    assert kept.shape == x.sum(axis=axis, keepdims=True).shape
    assert bits(kept.squeeze()) == bits(al.logsumexp(x, axis=axis))
    np.testing.assert_allclose(x - kept, al.log_softmax(x, axis=axis), rtol=1e-13)


@EACH
def test_wrong_axes(name):
    f, x = getattr(al, name), np.ones((2, 3))
    for axis in (2, -3, (0, 2)):
        with pytest.raises(np.exceptions.AxisError):
            f(x, axis=axis)
    with pytest.raises(ValueError, match=r"duplicate|repeated"):
        f(x, axis=(0, -2))
    with pytest.raises(TypeError):
        f(x, axis=1.0)


@EACH
@pytest.mark.parametrize("axis", [-1, None])
def test_zero_dimensions(name, axis):
    expected = {"log_softmax": 0.0, "logsumexp": 2.5}.get(name, 1.0)
    for x in (2.5, np.float32(2.5), np.array(2.5)):
        y = getattr(al, name)(x, axis=axis)
        assert np.shape(y) == ()
        assert y == expected
        assert y.dtype == np.asarray(x).dtype


@EACH
@pytest.mark.parametrize("code", ["?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q"])
def test_integers_give_float64(name, code):
    x = np.array([[0, 1, 1], [1, 0, 1]]).astype(code)
    assert bits(getattr(al, name)(x)) == bits(getattr(al, name)(x.astype(np.float64)))
    assert getattr(al, name)([[1, 2], [3, 4]]).dtype == np.float64


@EACH
@pytest.mark.parametrize("code", ["F", "D", "U3", "O"])
def test_other_types_are_type_errors(name, code):
    with pytest.raises(TypeError):
        getattr(al, name)(np.ones((2, 3)).astype(code))


@EACH
@pytest.mark.parametrize("axis", [0, 1, 2, (0, 2), None])
@pytest.mark.parametrize("shape", [(4, 3, 5), (17, 2, 40), (2, 70, 3)])
def test_layout_never_changes_a_bit(name, axis, shape, dtype):
    x = rows(dtype, shape)
    expected = bits(getattr(al, name)(x, axis=axis))
    for layout, held in layouts(x).items():
        assert bits(getattr(al, name)(held, axis=axis)) == expected, layout


@EACH
@pytest.mark.parametrize("classes", [1, 2, 7, 10, 16, 33, 64, 65, 500])
def test_a_row_depends_on_nothing_but_its_values(name, classes, dtype):
    x = rows(dtype, (37, classes))
    f = getattr(al, name)
    expected = f(x)
    transposed = f(np.asfortranarray(x.T), axis=0), f(np.ascontiguousarray(x.T), axis=0)
    for other in transposed:
        assert bits(other if name == "logsumexp" else other.T) == bits(expected)
    for i in range(len(x)):
        assert bits(f(x[i])) == bits(expected[i])
    assert bits(f(x[5:9])) == bits(expected[5:9])
    assert bits(f(x[::-1])) == bits(expected[::-1])


@EACH
@given(data=st.data())
def test_any_view_has_the_bits_of_its_copy(name, data):
    x = data.draw(views(data.draw(st.sampled_from(["e", "f", "d"])), min_dims=1))
    axis = data.draw(st.integers(-x.ndim, x.ndim - 1))
    f = getattr(al, name)
    contiguous = f(np.ascontiguousarray(np.moveaxis(x, axis, -1)))
    actual = f(x, axis=axis)
    assert bits(actual if name == "logsumexp" else np.moveaxis(actual, axis, -1)) == bits(contiguous)


@EACH
def test_out(name, dtype):
    f, x = getattr(al, name), rows(dtype, (6, 9))
    for axis in (0, 1, None):
        expected = f(x, axis=axis)
        out = np.full_like(expected, 7) if expected.ndim else np.full((), 7).astype(dtype)
        assert f(x, axis=axis, out=out) is out
        assert bits(out) == bits(expected)
    if name != "logsumexp":
        expected = f(x)
        strided = np.zeros((9, 12), dtype=dtype)[:, ::2].T
        assert f(x, out=strided) is strided
        assert bits(strided) == bits(expected)
        assert f(x, out=x) is x
        assert bits(x) == bits(expected)


@EACH
def test_out_of_another_shape(name):
    with pytest.raises(ValueError, match=r"out|mismatch"):
        getattr(al, name)(np.ones((2, 3)), out=np.ones((4, 5)))


@pytest.mark.parametrize("name", NAMES[:-1])
@pytest.mark.parametrize("axis", [0, 1])
def test_overlapping_out(name, axis):
    x = rows("d", (30, 30))
    expected = bits(getattr(al, name)(x[:-1, 1:], axis=axis))
    out = x[1:, :-1]
    getattr(al, name)(x[:-1, 1:], axis=axis, out=out)
    assert bits(out) == expected


@EACH
def test_names(name):
    assert getattr(al, name).__name__ == name
    assert getattr(al, name).__doc__
