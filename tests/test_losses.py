"""Losses without options: values, types and shapes, function and class."""

from __future__ import annotations

import inspect
import math
import pickle

import mpmath
import numpy as np
import pytest
import reference_losses
from inputs import CLASSES, CROSSENTROPIES, LOSS_IDS, LOSSES, loss_class, loss_inputs, none_shape
from reference import ulp_error

import actloss_rs as al

EACH = pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
SHAPES = [(4, 1), (5, 2), (17, 10), (3, 100), (2, 3, 4), (2, 2, 2, 3)]
BUDGET = {"float32": 3.0, "float64": 3.0}


@EACH
@pytest.mark.parametrize("shape", SHAPES)
def test_values(name, options, shape, dtype):
    y_true, y_pred = loss_inputs(name, shape, dtype, **options)
    terms = reference_losses.LOSSES[name](y_true, y_pred, **options)
    none = getattr(al, name)(y_true, y_pred, reduction="none", **options)
    assert isinstance(none, np.ndarray)
    assert none.dtype == (np.float64 if dtype == np.float64 else np.float32)
    assert none.shape == none_shape(name, shape)
    errors = ulp_error(none, terms.values)
    assert errors.max() <= BUDGET[none.dtype.name], errors.max()
    for reduction in ("sum", "mean", "sum_over_batch_size"):
        value = getattr(al, name)(y_true, y_pred, reduction=reduction, **options)
        assert type(value) is np.float64
        size = mpmath.fsum(abs(terms.values).ravel()) / terms.divisor(reduction)
        assert abs(value - terms.reduced(reduction)) <= 3 * np.finfo(none.dtype).eps * size
    assert getattr(al, name)(y_true, y_pred, **options) == getattr(al, name)(
        y_true, y_pred, reduction="mean", **options
    )


@pytest.mark.parametrize("name", CROSSENTROPIES)
@pytest.mark.parametrize("scale", [0.01, 3.0, 40.0])
@pytest.mark.parametrize("classes", [2, 17, 64, 65, 1000, 2500])
def test_rows_of_logits_of_any_length_and_width(name, scale, classes, dtype):
    rng = np.random.default_rng(classes)
    count = max(2, 300 // classes)
    z = rng.normal(0, scale, (count, classes)).astype(dtype)
    y_true = rng.integers(0, classes, count)
    y_true[0] = z[0].argmax()
    if name == "categorical_crossentropy":
        y_true = np.eye(classes)[y_true]
    terms = reference_losses.LOSSES[name](y_true, z, from_logits=True)
    none = getattr(al, name)(y_true, z, from_logits=True, reduction="none")
    assert ulp_error(none, terms.values, 1e-310).max() <= BUDGET[none.dtype.name]
    _, gradient = loss_class(name, from_logits=True, reduction="sum").value_and_grad(y_true, z)
    assert ulp_error(gradient, terms.gradient, 1e-310).max() <= (1 if dtype.itemsize == 2 else 3)


@EACH
def test_function_and_class_are_the_same(name, options):
    y_true, y_pred = loss_inputs(name, **options)
    weight = np.linspace(0.5, 1.5, len(y_pred))
    for reduction in ("none", "sum", "mean", "sum_over_batch_size"):
        value = getattr(al, name)(y_true, y_pred, reduction=reduction, sample_weight=weight, **options)
        loss = loss_class(name, reduction=reduction, **options)
        np.testing.assert_array_equal(loss(y_true, y_pred, weight), value)
        np.testing.assert_array_equal(loss(y_true, y_pred, sample_weight=weight), value)
        np.testing.assert_array_equal(loss.value_and_grad(y_true, y_pred, weight)[0], value)


@pytest.mark.parametrize("name", CLASSES)
def test_signatures(name):
    function = inspect.signature(getattr(al, name)).parameters
    options = inspect.signature(getattr(al.losses, CLASSES[name])).parameters
    assert list(function)[:2] == ["y_true", "y_pred"]
    assert all(p.kind is p.KEYWORD_ONLY for p in list(function.values())[2:])
    assert set(options) - {"self"} == set(function) - {"y_true", "y_pred", "sample_weight"}
    assert function["reduction"].default == options["reduction"].default == "mean"
    if name == "sparse_categorical_crossentropy":
        defaults = {key: p.default for key, p in function.items() if p.kind is p.KEYWORD_ONLY}
        assert defaults == {
            "from_logits": False,
            "axis": -1,
            "reduction": "mean",
            "sample_weight": None,
            "class_weight": None,
            "ignore_class": None,
            "label_smoothing": 0.0,
            "z_loss": 0.0,
            "epsilon": 0.0,
            "temperature": 1.0,
        }
    assert getattr(al, name).__doc__
    assert getattr(al.losses, CLASSES[name]).__doc__


@pytest.mark.parametrize("name", CLASSES)
def test_losses_pickle(name):
    y_true, y_pred = loss_inputs(name)
    loss = loss_class(name, reduction="sum")
    assert pickle.loads(pickle.dumps(loss))(y_true, y_pred) == loss(y_true, y_pred)


def test_a_perfect_prediction_costs_nothing():
    one_hot = np.eye(3)
    zeros = [
        al.mean_squared_error(one_hot, one_hot),
        al.binary_crossentropy(one_hot, one_hot),
        al.categorical_crossentropy(one_hot, one_hot),
        al.sparse_categorical_crossentropy([0, 1, 2], one_hot),
    ]
    assert zeros == [0.0] * 4
    assert [math.copysign(1, v) for v in zeros] == [1.0] * 4
    none = al.binary_crossentropy(one_hot, one_hot, reduction="none")
    assert not np.signbit(none).any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_confident_prediction_keeps_its_digits(dtype):
    z = np.array([[30, 0, 1], [60, -20, 0], [80, 0, -3], [1000, 950, 0]], dtype=dtype)
    for name, y_true in [
        ("sparse_categorical_crossentropy", np.zeros(4, int)),
        ("categorical_crossentropy", np.tile([1.0, 0, 0], (4, 1))),
    ]:
        none = getattr(al, name)(y_true, z, from_logits=True, reduction="none")
        exact = reference_losses.LOSSES[name](y_true, z, from_logits=True).values
        assert ulp_error(none, exact).max() <= BUDGET[np.dtype(dtype).name]
    z = np.array([-80, -30, 30, 80], dtype=dtype)
    none = al.binary_crossentropy(z > 0, z, from_logits=True, reduction="none")
    assert ulp_error(none, reference_losses.binary_crossentropy(z > 0, z, from_logits=True).values).max() <= 3
    # log(1 - p) of a small p, and log(p) of one near 1.
    p = np.array([1e-30, 1e-10, 0.25, 1 - 2.0**-23], dtype=dtype)
    y = np.array([0, 0, 1, 1])
    none = al.binary_crossentropy(y, p, reduction="none")
    assert ulp_error(none, reference_losses.binary_crossentropy(y, p).values).max() <= 3


def test_a_wrong_certainty_costs_infinity():
    p = np.array([[0.0, 1.0], [1.0, 0.0]])
    np.testing.assert_array_equal(
        al.sparse_categorical_crossentropy([0, 0], p, reduction="none"), [np.inf, 0]
    )
    np.testing.assert_array_equal(
        al.categorical_crossentropy(np.eye(2), p, reduction="none"), [np.inf, np.inf]
    )
    np.testing.assert_array_equal(
        al.binary_crossentropy([[1, 1], [0, 0]], p, reduction="none"), [[np.inf, 0]] * 2
    )
    assert al.sparse_categorical_crossentropy([0, 0], p) == np.inf


def test_infinite_logits_follow_the_limit():
    inf, nan = np.inf, np.nan
    z = np.array([[inf, 0, 1], [0, inf, 1], [-inf, 0, 1], [0, -inf, -inf], [inf, inf, 0], [-inf] * 3])
    expected = [0.0, inf, inf, 0.0, nan, nan]
    np.testing.assert_array_equal(
        al.sparse_categorical_crossentropy([0] * 6, z, from_logits=True, reduction="none"), expected
    )
    np.testing.assert_array_equal(
        al.categorical_crossentropy(np.tile([1, 0, 0], (6, 1)), z, from_logits=True, reduction="none"),
        expected,
    )
    x = np.array([inf, inf, -inf, -inf])
    np.testing.assert_array_equal(
        al.binary_crossentropy([1, 0, 1, 0], x, from_logits=True, reduction="none"), [0, inf, inf, 0]
    )


@EACH
def test_nan_is_nan_for_its_sample_only(name, options, dtype):
    y_true, y_pred = loss_inputs(name, (6, 4), dtype, **options)
    y_pred[2, 1] = np.nan
    none = getattr(al, name)(y_true, y_pred, reduction="none", **options)
    hit = np.isnan(y_pred).any(axis=1) if none.ndim == 1 else np.isnan(y_pred)
    np.testing.assert_array_equal(np.isnan(none), hit)
    for reduction in ("sum", "mean", "sum_over_batch_size"):
        assert np.isnan(getattr(al, name)(y_true, y_pred, reduction=reduction, **options))


def test_nan_labels_and_weights():
    y_pred = np.full((3, 2), 0.5)
    y_true = np.array([[1, 0], [np.nan, 1], [0, 1]])
    for name in ("mean_squared_error", "binary_crossentropy", "categorical_crossentropy"):
        none = getattr(al, name)(y_true, y_pred, reduction="none")
        hit = np.isnan(y_true).any(axis=1) if none.ndim == 1 else np.isnan(y_true)
        np.testing.assert_array_equal(np.isnan(none), hit)
    none = al.sparse_categorical_crossentropy(
        [0, 1, 0], y_pred, sample_weight=[1, np.nan, 1], reduction="none"
    )
    np.testing.assert_array_equal(np.isnan(none), [False, True, False])


@EACH
def test_empty_batch(name, options):
    y_true, y_pred = loss_inputs(name, (4, 3), **options)
    y_true, y_pred = y_true[:0], y_pred[:0]
    function = getattr(al, name)
    assert function(y_true, y_pred, reduction="none", **options).shape == none_shape(name, (0, 3))
    total = function(y_true, y_pred, reduction="sum", **options)
    assert total == 0
    assert not np.signbit(total)
    for reduction in ("mean", "sum_over_batch_size"):
        with pytest.warns(RuntimeWarning):
            assert np.isnan(function(y_true, y_pred, reduction=reduction, **options))


@EACH
def test_weights_that_sum_to_zero(name, options):
    y_true, y_pred = loss_inputs(name, (4, 3), **options)
    with pytest.warns(RuntimeWarning):
        assert np.isnan(getattr(al, name)(y_true, y_pred, sample_weight=np.zeros(4), **options))
    assert getattr(al, name)(y_true, y_pred, sample_weight=np.zeros(4), reduction="sum", **options) == 0


@EACH
def test_hessians_of_the_textbook(name, options):
    if name not in {"mean_squared_error", "binary_crossentropy", *CROSSENTROPIES}:
        pytest.skip("tested with its own oracle")
    y_true, y_pred = loss_inputs(name, (4, 3), **options)
    _, h = loss_class(name, **options).gradient_hessian(y_true, y_pred)
    if name == "mean_squared_error":
        np.testing.assert_array_equal(h, 2)
    elif options["from_logits"]:
        p = al.softmax(y_pred) if "categorical" in name else al.sigmoid(y_pred)
        np.testing.assert_allclose(h, p * (1 - p), rtol=1e-14)


@pytest.mark.parametrize("threshold", [0.5, 0.25, 0.9])
def test_predict_binary(threshold, dtype):
    p = np.array([0.0, 0.1, 0.25, 0.4999, 0.5, 0.5001, 0.75, 0.9, 1.0]).astype(dtype)
    decided = al.predict_binary(p, threshold=threshold)
    assert decided.dtype == np.bool_
    np.testing.assert_array_equal(decided, p.astype(np.float64) > threshold)
    x = np.array([-np.inf, -5, -0.0, 0.0, 1e-30, 1.0, 5.0, np.inf]).astype(dtype)
    decided = al.predict_binary(x, threshold=threshold, from_logits=True)
    np.testing.assert_array_equal(decided, x.astype(np.float64) > np.log(threshold / (1 - threshold)))
    with pytest.raises(ValueError, match=r"(?i)nan"):
        al.predict_binary(np.array([0.2, np.nan]).astype(dtype), threshold=threshold)


def test_predict_binary_of_scalars_and_shapes():
    assert al.predict_binary(0.75)
    assert not al.predict_binary(0.5)
    assert al.predict_binary(np.zeros((2, 0, 3))).shape == (2, 0, 3)
    assert al.predict_binary([[0.2, 0.8]]).tolist() == [[False, True]]


@pytest.mark.parametrize("classes", [3, 10, 19])
@pytest.mark.parametrize("least", [2.0**-29, 2.0**-30, 1e-44, 0.0])
def test_samples_of_few_classes_are_as_by_themselves(classes: int, least: float) -> None:
    """Several at once, whether their labels add up exactly or not, beside a NaN and a `-inf` too."""
    rng = np.random.default_rng(classes)
    logits = rng.normal(0, 3, (48, classes)).astype(np.float32)
    labels = rng.dirichlet(np.ones(classes), 48).astype(np.float32)
    labels[rng.random(labels.shape) < 0.3] = least
    logits[20, 1], logits[40, 0] = -np.inf, np.nan
    got = al.categorical_crossentropy(labels, logits, from_logits=True, reduction="none")
    for i in range(48):
        alone = al.categorical_crossentropy(labels[i : i + 1], logits[i : i + 1], from_logits=True)
        np.testing.assert_array_equal(got[i], np.float32(alone))
    x, y = logits[:16].astype(np.longdouble), labels[:16].astype(np.longdouble)
    peak = x.max(1, keepdims=True)
    log_sum = peak + np.log(np.exp(x - peak).sum(1, keepdims=True))
    expected = (y * (log_sum - x)).sum(1)
    assert np.all(np.abs(got[:16] - expected) <= 1.5 * np.spacing(expected.astype(np.float32)))
