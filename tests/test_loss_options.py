"""Every option of the losses, alone and together, against the textbook."""

from __future__ import annotations

import numpy as np
import pytest
import reference
from comparison import check
from hypothesis import given
from hypothesis import strategies as st
from inputs import CROSSENTROPIES, LOSS_IDS, LOSSES, bits, loss_class, loss_inputs, none_shape

import actloss_rs as al

EACH = pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
ROWS = CROSSENTROPIES


@EACH
@pytest.mark.parametrize("leading", [1, 2])
def test_sample_weight_over_leading_axes(name, options, leading):
    y_true, y_pred = loss_inputs(name, (4, 3, 5), **options)
    weight = np.random.default_rng(0).uniform(0, 2, none_shape(name, (4, 3, 5))[:leading])
    weight[1] = 0
    check(name, y_true, y_pred, weight, **options)


@EACH
def test_sample_weight_for_each_value(name, options, dtype):
    y_true, y_pred = loss_inputs(name, (4, 5), dtype, **options)
    weight = np.random.default_rng(0).uniform(0.5, 2, none_shape(name, (4, 5)))
    none = check(name, y_true, y_pred, weight, **options)
    assert none.dtype == (np.float64 if dtype == np.float64 else np.float32)  # weights never promote


@EACH
@pytest.mark.parametrize("code", ["?", "b", "B", "i", "I", "q", "Q", "e", "f", "d"])
def test_sample_weight_of_any_type(name, options, code):
    y_true, y_pred = loss_inputs(name, (4, 5), np.float32, **options)
    weight = np.array([1, 0, 1, 1]).astype(code)
    one = getattr(al, name)(y_true, y_pred, sample_weight=weight, reduction="none", **options)
    assert bits(one) == bits(
        getattr(al, name)(y_true, y_pred, sample_weight=[1, 0, 1, 1], reduction="none", **options)
    )


def test_sample_weight_is_not_rounded_to_float32():
    """The denominator of the mean is made of the float64 weights."""
    y_pred, weight = np.array([[3.0], [0.0]], np.float32), np.array([1 / 3, 1 / 7])
    none = al.mean_squared_error([[0], [0]], y_pred, sample_weight=weight, reduction="none")
    assert none.tolist() == [[3.0], [0.0]]
    value = al.mean_squared_error([[0], [0]], y_pred, sample_weight=weight)
    assert value == reference.exact_mean(none, weight)
    assert value != reference.exact_mean(none, weight.astype(np.float32))


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("code", ["f", "d", "i"])
def test_class_weight(name, from_logits, code):
    y_true, y_pred = loss_inputs(name, (12, 4), from_logits=from_logits)
    class_weight = np.array([1, 0, 3, 2]).astype(code)
    check(name, y_true, y_pred, class_weight=class_weight, from_logits=from_logits)
    check(name, y_true, y_pred, np.linspace(0.1, 2, 12), class_weight=class_weight, from_logits=from_logits)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("ignored", [-1, 0, 2, 255, -100])
def test_ignore_class(from_logits, ignored):
    y_true, y_pred = loss_inputs("sparse_categorical_crossentropy", (15, 4), from_logits=from_logits)
    y_true[[0, 3, 8]] = ignored
    y_pred[[0, 8]] = np.nan, np.inf, -7, 5  # neither read nor checked
    gone = y_true == ignored
    if 0 <= ignored < 4:
        y_pred[gone] = 17
    none = check(
        "sparse_categorical_crossentropy", y_true, y_pred, from_logits=from_logits, ignore_class=ignored
    )
    assert (none[gone] == 0).all()
    loss = loss_class("sparse_categorical_crossentropy", from_logits=from_logits, ignore_class=ignored)
    _, gradient = loss.value_and_grad(y_true, y_pred)
    assert (gradient[gone] == 0).all()
    kept = ~gone
    whole = loss_class("sparse_categorical_crossentropy", from_logits=from_logits)(y_true[kept], y_pred[kept])
    assert loss(y_true, y_pred) == whole
    metric = loss.metric()
    metric.update_state(y_true, y_pred)
    assert metric.count == kept.sum()
    assert metric.result() == whole


def test_ignored_samples_count_nowhere():
    y, p = np.array([0, -1, 1]), np.array([[0.5, 0.5], [0.5, 0.5], [0.5, 0.5]])
    options = {"ignore_class": -1, "sample_weight": [1.0, np.nan, 3.0]}
    function = al.sparse_categorical_crossentropy
    np.testing.assert_array_equal(function(y, p, reduction="none", **options), [np.log(2), 0, 3 * np.log(2)])
    assert function(y, p, **options) == pytest.approx(np.log(2), rel=1e-15)
    assert function(y, p, reduction="sum_over_batch_size", **options) == pytest.approx(
        2 * np.log(2), rel=1e-15
    )


def test_everything_ignored():
    y, p = np.full(3, -1), np.full((3, 2), 0.5)
    function = al.sparse_categorical_crossentropy
    assert function(y, p, ignore_class=-1, reduction="sum") == 0
    for reduction in ("mean", "sum_over_batch_size"):
        with pytest.warns(RuntimeWarning):
            assert np.isnan(function(y, p, ignore_class=-1, reduction=reduction))


@pytest.mark.parametrize("name", ["binary_crossentropy", *ROWS])
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 0.5, 1.0])
def test_label_smoothing(name, from_logits, smoothing, dtype):
    y_true, y_pred = loss_inputs(name, (7, 5), dtype, from_logits=from_logits)
    check(name, y_true, y_pred, label_smoothing=smoothing, from_logits=from_logits)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("z_loss", [1e-4, 0.5])
def test_z_loss(name, z_loss, dtype):
    y_true, y_pred = loss_inputs(name, (7, 5), dtype, from_logits=True)
    check(name, y_true, y_pred, from_logits=True, z_loss=z_loss)
    check(
        name,
        y_true,
        y_pred,
        np.linspace(0, 2, 7),
        from_logits=True,
        z_loss=z_loss,
        class_weight=[1, 2, 3, 4, 5],
    )


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("temperature", [0.3, 1.7, 2.0**-6, 30.0])
def test_temperature(name, temperature, dtype):
    y_true, y_pred = loss_inputs(name, (7, 5), dtype, from_logits=True)
    check(name, y_true, y_pred, from_logits=True, temperature=temperature)
    check(
        name,
        y_true,
        y_pred,
        np.linspace(0.5, 2, 7),
        from_logits=True,
        temperature=temperature,
        label_smoothing=0.1,
        z_loss=0.25,
    )


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_temperature_in_long_rows_that_rise(name, dtype):
    """The maximum moves from block to block, and one row is too long to keep."""
    for classes in (3000, 300_000) if "sparse" in name else (3000,):
        y_true, y_pred = loss_inputs(name, (2, classes), np.float64, from_logits=True)
        y_pred = (y_pred + np.linspace(0, 9, classes)).astype(dtype)
        loss = loss_class(name, from_logits=True, temperature=2.0, reduction="sum")
        plain = loss_class(name, from_logits=True, reduction="sum")
        value, gradient = loss.value_and_grad(y_true, y_pred)
        # A division by two has no error. In float32 a temperature has an exponential of its own.
        halves = plain.value_and_grad(y_true, y_pred / 2)
        tolerance = 5e-7 if dtype == np.float32 else 0
        np.testing.assert_allclose(value, halves[0], rtol=tolerance)
        # A probability less a label, of about one in `classes`: the error is that of the larger.
        floor = 0 if "sparse" in name else tolerance / classes
        np.testing.assert_allclose(gradient, halves[1] / 2, rtol=tolerance, atol=floor)


@pytest.mark.parametrize("name", ROWS)
def test_extreme_temperatures(name):
    y_true = [0, 1] if "sparse" in name else np.eye(2)
    z = np.array([[1.0, 2.0], [1.0, 2.0]])
    function = getattr(al, name)
    hot = function(y_true, z, from_logits=True, temperature=1e300, reduction="none")
    np.testing.assert_array_equal(hot, np.log(2))
    cold = function(y_true, z, from_logits=True, temperature=2.0**-1000, reduction="none")
    np.testing.assert_array_equal(cold, [2.0**1000, 0])
    equal = function(y_true, np.zeros((2, 2)), from_logits=True, temperature=1e-300, reduction="none")
    np.testing.assert_array_equal(equal, np.log(2))
    z32 = z.astype(np.float32)
    cold = function(y_true, z32, from_logits=True, temperature=1e-300, reduction="none")
    np.testing.assert_array_equal(cold, np.float32([np.inf, 0]))


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("pos_weight", [1.0, 0.25, 3, [0.5, 1, 2, 4, 0], np.float32([1, 2, 3, 4, 5])])
def test_pos_weight(from_logits, pos_weight, dtype):
    y_true, y_pred = loss_inputs("binary_crossentropy", (6, 5), dtype, from_logits=from_logits)
    check("binary_crossentropy", y_true, y_pred, from_logits=from_logits, pos_weight=pos_weight)


def test_pos_weight_is_in_no_denominator():
    y, p = np.array([1.0, 0.0]), np.array([0.5, 0.5])
    assert al.binary_crossentropy(y, p, pos_weight=3.0) == pytest.approx(2 * np.log(2), rel=1e-15)


@pytest.mark.parametrize("name", ["binary_crossentropy", *ROWS])
@pytest.mark.parametrize("epsilon", [2.0**-7, 2.0**-4])
def test_epsilon_clips(name, epsilon, dtype):
    y_true, y_pred = loss_inputs(name, (7, 5), dtype)
    y_pred[0], y_pred[1] = [0, 1, 0, 0, 0], [0.5, 0.5, 0, 0, 0]
    check(name, y_true, y_pred, epsilon=epsilon)
    _, gradient = loss_class(name, epsilon=epsilon).value_and_grad(y_true, y_pred)
    outside = (y_pred < epsilon) | (y_pred > 1 - epsilon)
    assert outside.any()
    assert (gradient[outside] == 0).all()


def test_epsilon_of_keras():
    value = al.binary_crossentropy([1.0, 0.0], [0.0, 1.0], epsilon=1e-7)
    assert value == pytest.approx(-np.log(1e-7), rel=1e-8)
    value = al.sparse_categorical_crossentropy([0], [[0.0, 1.0]], epsilon=1e-7)
    assert value == pytest.approx(-np.log(1e-7), rel=1e-14)


@pytest.mark.parametrize("name", ROWS)
@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2, -2])
def test_axis(name, from_logits, axis):
    y_true, y_pred = loss_inputs(name, (4, 3, 5), from_logits=from_logits)
    expected = getattr(al, name)(y_true, y_pred, from_logits=from_logits, reduction="none")
    moved = np.moveaxis(y_pred, -1, axis)
    y_true = np.moveaxis(y_true, -1, axis) if y_true.ndim == 3 else y_true
    actual = getattr(al, name)(y_true, moved, from_logits=from_logits, reduction="none", axis=axis)
    assert bits(actual) == bits(expected)
    check(
        name,
        y_true,
        moved,
        np.arange(moved.shape[0] if axis else moved.shape[1]),
        from_logits=from_logits,
        axis=axis,
    )


def test_length_one_along_the_axis():
    y_true, y_pred = loss_inputs("sparse_categorical_crossentropy", (4, 3, 5))
    function = al.sparse_categorical_crossentropy
    expected = bits(function(y_true, y_pred, reduction="none"))
    assert bits(function(y_true[..., None], y_pred, reduction="none")) == expected
    moved = np.moveaxis(y_pred, -1, 1)
    assert bits(function(y_true[:, None], moved, reduction="none", axis=1)) == expected


@pytest.mark.parametrize("name", ROWS)
@given(data=st.data())
def test_options_together(name, data):
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 9)))
    from_logits = data.draw(st.booleans())
    y_true, y_pred = loss_inputs(name, shape, from_logits=from_logits, seed=data.draw(st.integers(0, 99)))
    weights = st.floats(0.125, 8)
    options = {
        "from_logits": from_logits,
        "label_smoothing": data.draw(st.sampled_from([0.0, 0.1, 0.9])),
        "class_weight": data.draw(st.none() | st.lists(weights, min_size=shape[1], max_size=shape[1])),
        "z_loss": data.draw(st.sampled_from([0.0, 0.25])) if from_logits else 0.0,
        "temperature": data.draw(st.sampled_from([1.0, 0.6, 5.0])) if from_logits else 1.0,
    }
    if name == "sparse_categorical_crossentropy":
        options["ignore_class"] = data.draw(st.none() | st.integers(-1, shape[1]))
        if options["ignore_class"] is not None and (y_true == options["ignore_class"]).all():
            options["ignore_class"] = None
    sample_weight = data.draw(st.none() | st.lists(weights, min_size=shape[0], max_size=shape[0]))
    check(name, y_true, y_pred, sample_weight, **options)


@given(data=st.data())
def test_binary_options_together(data):
    shape = data.draw(st.tuples(st.integers(1, 6), st.integers(1, 5)))
    from_logits = data.draw(st.booleans())
    y_true, y_pred = loss_inputs(
        "binary_crossentropy", shape, from_logits=from_logits, seed=data.draw(st.integers(0, 99))
    )
    weights = st.floats(0.125, 8)
    check(
        "binary_crossentropy",
        y_true,
        y_pred,
        data.draw(st.none() | st.lists(weights, min_size=shape[0], max_size=shape[0])),
        from_logits=from_logits,
        label_smoothing=data.draw(st.sampled_from([0.0, 0.1, 0.9])),
        pos_weight=data.draw(st.none() | weights | st.lists(weights, min_size=shape[1], max_size=shape[1])),
    )
