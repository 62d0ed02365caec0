"""Activations behave as `np.exp` does: genuine ufuncs, or functions over one that take its keywords."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from inputs import UFUNCS, bits, function, layouts, samples, views
from reference import ACTIVATIONS, KEYWORDS, widened

import actloss_rs as al

ALL = pytest.mark.parametrize("name", ACTIVATIONS)
ONE_INPUT = pytest.mark.parametrize("name", UFUNCS)
ONE_PARAMETER = [name for name, entry in ACTIVATIONS.items() if len(entry.parameters) == 1]
PARAMETER = pytest.mark.parametrize("name", ONE_PARAMETER)
INTEGERS = ["?", "b", "B", "h", "H", "i", "I", "l", "L", "q", "Q"]


@ONE_INPUT
def test_is_a_ufunc(name):
    ufunc = getattr(al, name)
    assert isinstance(ufunc, np.ufunc)
    assert (ufunc.nin, ufunc.nout) == (1, 1)
    assert {"e->e", "f->f", "d->d"} <= set(ufunc.types)


@ONE_INPUT
def test_names_documents_and_pickles_itself(name):
    ufunc = getattr(al, name)
    assert ufunc.__name__ == name
    assert ufunc.__doc__.startswith(f"{name}(x, /, out=None, *, where=True")
    assert len(ufunc.__doc__.splitlines()) > 2
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        assert pickle.loads(pickle.dumps(ufunc, protocol)) is ufunc


@ALL
def test_functions_are_documented(name):
    name, _ = KEYWORDS.get(name, (name, {}))
    public = getattr(al, name)
    assert public.__doc__
    assert public.__name__ == name
    assert pickle.loads(pickle.dumps(public)) is public


def test_aliases():
    assert al.swish is al.silu
    assert al.hard_silu is al.hard_swish


def test_required_parameters(dtype):
    x, slope = np.linspace(-3, 3, 12).astype(dtype).reshape(4, 3), np.array([0.25, 0.5, 1]).astype(dtype)
    assert bits(al.prelu(x, slope)) == bits(al.leaky_relu(x, slope))
    np.testing.assert_array_equal(al.threshold(x, 0.5, 20.0), np.where(x > 0.5, x, dtype.type(20)))
    assert al.threshold(x, 0.5, 20.0).dtype == dtype
    for missing in (lambda: al.prelu(x), lambda: al.threshold(x), lambda: al.threshold(x, 0.5)):
        with pytest.raises(TypeError):
            missing()


@ALL
def test_dtype_in_is_dtype_out(name, dtype):
    x = np.linspace(0, 1, 12).astype(dtype).reshape(3, 4)
    y = function(name)(x)
    assert y.dtype == dtype
    assert y.shape == x.shape


@ALL
@pytest.mark.parametrize("code", INTEGERS)
def test_integers_and_bool_give_float64(name, code):
    x = np.array([0, 1, 1, 0] if code == "?" else [0, 1, 5, 100]).astype(code)
    f = function(name)
    y = f(x)
    assert y.dtype == np.float64
    np.testing.assert_array_equal(y, f(x.astype(np.float64)))
    assert f(x.astype(x.dtype.newbyteorder())).dtype == np.float64


@ALL
@pytest.mark.parametrize("x", [np.array(["1.0"]), np.array([b"1"]), np.array([1.0], dtype=object)])
def test_strings_and_objects_are_type_errors(name, x):
    with pytest.raises(TypeError):
        function(name)(x)


@ALL
@pytest.mark.parametrize("code", ["F", "D", "G", "g", "M8[s]", "m8[s]"])
def test_wider_and_other_types_are_type_errors(name, code):
    if code == "g" and np.can_cast("g", "d"):
        return  # the platform's long double is a double
    with pytest.raises(TypeError):
        function(name)(np.ones(3).astype(code))


@ALL
def test_scalars_and_zero_dimensions(name):
    f, one = function(name), function(name)(np.array([0.75]))[0]
    for x in (0.75, np.float64(0.75), np.array(0.75)):
        y = f(x)
        assert type(y) is np.float64
        assert y == one
    assert type(f(np.float32(0.75))) is np.float32
    assert type(f(np.array(0.75, dtype=np.float16))) is np.float16
    for x in (3, True):
        assert type(f(x)) is np.float64
    assert f([0.75, 0.75]).tolist() == [one, one]


@ALL
def test_out(name, dtype):
    f, x = function(name), samples(dtype, 100)
    x = x[: len(x) // 4 * 4].reshape(4, -1)
    expected = f(x)
    out = np.full_like(x, 7)
    assert f(x, out=out) is out
    assert bits(out) == bits(expected)
    assert f(x, out=(out,)) is out
    every_other = np.zeros((4, 2 * x.shape[1]), dtype=dtype)[:, ::2]
    f(x, out=every_other)
    assert bits(every_other) == bits(expected)
    wide = np.zeros(x.shape)
    assert f(x, out=wide) is wide
    np.testing.assert_array_equal(wide, widened(expected))
    f(x, out=x)
    assert bits(x) == bits(expected)
    with pytest.raises(ValueError, match="broadcast"):
        f(np.zeros(3, dtype), out=np.zeros(4, dtype))
    with pytest.raises(TypeError):
        f(np.zeros(3, dtype), out=np.zeros(3, np.int64))


@ALL
def test_where(name, dtype):
    f, x = function(name), np.linspace(-0.9, 4, 1000).astype(dtype)
    where = np.random.default_rng(0).random(1000) < 0.5
    out = np.full(1000, 99).astype(dtype)
    f(x, where=where, out=out)
    np.testing.assert_array_equal(out[~where], np.full((~where).sum(), 99).astype(dtype))
    assert bits(out[where]) == bits(f(x)[where])


@ALL
def test_dtype_and_casting(name):
    f, x = function(name), np.linspace(-0.9, 4, 10)
    y = f(x, dtype=np.float32, casting="same_kind")
    assert y.dtype == np.float32
    assert bits(y) == bits(f(x.astype(np.float32)))
    assert f(x.astype(np.float16), dtype=np.float64).dtype == np.float64
    with pytest.raises(TypeError):
        f(x, dtype=np.float32, casting="safe")
    with pytest.raises(TypeError):
        f(x, dtype=np.complex128)


@ALL
@pytest.mark.parametrize("shape", [(1,), (40,), (6, 37), (3, 5, 8)])
def test_layout_never_changes_a_bit(name, shape, dtype):
    x = samples(dtype, 200)[: np.prod(shape)].reshape(shape)
    expected = bits(function(name)(x))
    for layout, held in layouts(x).items():
        assert bits(function(name)(held)) == expected, layout


@ALL
def test_position_never_changes_a_bit(name, dtype):
    x = samples(dtype, 60)[-90:]
    expected = function(name)(x)
    for start in range(20):
        for stop in (start + 1, start + 17, len(x) - start):
            assert bits(function(name)(x[start:stop])) == bits(expected[start:stop])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name", ["sigmoid", "relu"])
def test_large_results_have_the_bits_of_small_ones(name, dtype):
    function = getattr(al, name)
    size = (2**25 + 2**18) // np.dtype(dtype).itemsize + 5
    part = (np.random.default_rng(5).standard_normal(4099) * 20).astype(dtype)
    x, expected = (np.resize(array, size) for array in (part, function(part)))
    for start in (0, 1):  # the second begins where no line of memory does
        out = np.full(size + 2, 7, dtype)
        function(x, out=out[start : start + size])
        assert out[start : start + size].tobytes() == expected.tobytes()
        assert (out[:start] == 7).all()
        assert (out[start + size :] == 7).all()
    function(x, out=x)
    assert x.tobytes() == expected.tobytes()


@pytest.mark.parametrize("name", [*UFUNCS, "gelu", "elu", "softplus"])
@given(data=st.data())
def test_any_view_has_the_bits_of_its_copy(name, data):
    x = data.draw(views(data.draw(st.sampled_from(["e", "f", "d"]))))
    assert bits(function(name)(x)) == bits(function(name)(np.array(x, order="C")))


@ALL
@pytest.mark.parametrize("shift", [-3, -1, 1, 2, 17])
def test_overlapping_output(name, shift, dtype):
    x = np.linspace(-0.9, 5, 5000).astype(dtype)
    expected = bits(function(name)(x[20:-20]))
    out = x[20 + shift : len(x) - 20 + shift]
    function(name)(x[20:-20], out=out)
    assert bits(out) == expected


@ALL
def test_reversed_in_place(name):
    x = np.linspace(-0.9, 5, 1001)
    expected = bits(function(name)(x[::-1]))
    function(name)(x[::-1], out=x)
    assert bits(x) == expected


@ALL
def test_keeps_the_order_of_axes(name):
    x = np.asfortranarray(np.ones((4, 5)))
    assert function(name)(x).flags.f_contiguous


@ALL
def test_broadcast_input(name):
    x = np.broadcast_to(np.linspace(0, 1, 5), (3, 4, 5))
    assert bits(function(name)(x)) == bits(function(name)(x.copy()))
    with pytest.raises(ValueError, match=r"read-only|output array"):
        function(name)(x, out=x)


@ALL
def test_dispatches_to_array_ufunc(name):
    class Quantity:
        def __array_ufunc__(self, ufunc, method, *inputs, **keywords):
            assert isinstance(ufunc, np.ufunc)
            assert inputs[0] is self
            return "dispatched", method

    assert function(name)(Quantity()) == ("dispatched", "__call__")


@ALL
def test_subclasses_are_kept(name):
    class Sub(np.ndarray):
        pass

    assert type(function(name)(np.ones(3).view(Sub))) is Sub


@ONE_INPUT
def test_at(name):
    x = np.linspace(-0.5, 2, 6)
    expected = x.copy()
    expected[[1, 4]] = getattr(al, name)(x[[1, 4]])
    getattr(al, name).at(x, [1, 4])
    np.testing.assert_array_equal(x, expected)


@PARAMETER
def test_a_parameter_broadcasts(name, dtype):
    f, x = function(name), np.linspace(-2, 2, 6).astype(dtype).reshape(6, 1)
    parameter = np.array([0.5, 1.0, 2.0]).astype(dtype)
    y = f(x, parameter)
    assert y.shape == (6, 3)
    assert y.dtype == dtype
    for i, value in enumerate(parameter.tolist()):
        assert bits(y[:, i]) == bits(f(x[:, 0], value))


@PARAMETER
def test_a_parameter_is_named(name, dtype):
    (keyword,) = ACTIVATIONS[name].parameters
    x = np.linspace(-2, 2, 6).astype(dtype)
    assert bits(function(name)(x, **{keyword: 0.5})) == bits(function(name)(x, 0.5))
    default = ACTIVATIONS[name].parameters[keyword][0]
    assert bits(function(name)(x)) == bits(function(name)(x, default))


@PARAMETER
def test_python_scalars_are_weak_and_numpy_ones_promote(name, dtype):
    f, x = function(name), np.linspace(-2, 2, 6).astype(dtype)
    assert f(x, 2.0).dtype == f(x, 2).dtype == dtype
    for strong in (np.float64(2), np.full(6, 2.0), np.array([2])):
        assert f(x, strong).dtype == np.float64
    assert f(x, dtype.type(2)).dtype == dtype
    assert f(np.arange(3), 2.0).dtype == np.float64
    assert f(np.arange(3, dtype=np.int8), np.float32(2)).dtype == np.float64


def test_leaky_relu_without_a_slope(dtype):
    x = np.linspace(-3, 3, 20).astype(dtype)
    np.testing.assert_array_equal(al.leaky_relu(x, 0.0), al.relu(x))


def test_gelu_knows_two_forms():
    with pytest.raises(ValueError, match=r"approximate.*'none'.*'tanh'"):
        al.gelu(np.ones(2), approximate="sigmoid")
