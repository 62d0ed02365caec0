"""Sums are exact and means rounded once: independent of order, split, layout and merge tree."""

from __future__ import annotations

import math
import pickle

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from inputs import (
    KINDS,
    LOSS_IDS,
    LOSSES,
    bits,
    by_elements,
    layouts,
    loss_class,
    loss_inputs,
    none_shape,
    on_probabilities,
    over_axis,
)
from reference import exact_mean, exact_sum

import actloss_rs as al

EACH = pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
REDUCED = ["sum", "mean", "sum_over_batch_size"]


def fsum(values):
    return math.fsum(np.asarray(values).ravel().astype(float))


def same(a, b):
    return np.float64(a).tobytes() == np.float64(b).tobytes()


@EACH
@pytest.mark.parametrize("shape", [(1, 1), (7, 3), (501, 2), (40, 130), (3, 4, 5, 6)])
def test_sum_is_fsum_of_the_values(name, options, shape, dtype):
    y_true, y_pred = loss_inputs(name, shape, dtype, **options)
    function = getattr(al, name)
    none = function(y_true, y_pred, reduction="none", **options)
    assert same(function(y_true, y_pred, reduction="sum", **options), fsum(none))
    assert same(function(y_true, y_pred, **options), exact_mean(none, np.ones(none.shape)))
    assert same(
        function(y_true, y_pred, reduction="sum_over_batch_size", **options),
        exact_mean(none, np.ones(none.shape)),
    )


@EACH
@pytest.mark.parametrize("leading", [1, None])
def test_mean_is_rounded_once(name, options, leading, dtype):
    shape = (50, 6)
    y_true, y_pred = loss_inputs(name, shape, dtype, **options)
    weight = np.random.default_rng(1).uniform(0, 3, none_shape(name, shape)[:leading])
    function = getattr(al, name)
    none = function(y_true, y_pred, sample_weight=weight, reduction="none", **options)
    each = np.broadcast_to(weight.reshape(weight.shape + (1,) * (none.ndim - weight.ndim)), none.shape)
    assert same(function(y_true, y_pred, sample_weight=weight, **options), exact_mean(none, each))
    assert same(function(y_true, y_pred, sample_weight=weight, reduction="sum", **options), fsum(none))
    over_batch = function(y_true, y_pred, sample_weight=weight, reduction="sum_over_batch_size", **options)
    assert same(over_batch, exact_mean(none, np.ones(none.shape)))


def test_mean_with_class_weights_and_ignored_samples():
    rng = np.random.default_rng(2)
    y_true, y_pred = rng.integers(-1, 6, 400), rng.normal(0, 3, (400, 6)).astype(np.float32)
    weight, class_weight = rng.uniform(0, 3, 400), rng.uniform(0, 3, 6)
    options = {"from_logits": True, "sample_weight": weight, "class_weight": class_weight, "ignore_class": -1}
    none = al.sparse_categorical_crossentropy(y_true, y_pred, reduction="none", **options)
    counted = y_true >= 0
    each = weight[counted] * class_weight[y_true[counted]]
    assert same(
        al.sparse_categorical_crossentropy(y_true, y_pred, **options), exact_mean(none[counted], each)
    )


@EACH
def test_all_zeros_sum_to_positive_zero(name, options):
    y_true, y_pred = loss_inputs(name, (6, 3), **options)
    value = getattr(al, name)(y_true, y_pred, sample_weight=np.zeros(6), reduction="sum", **options)
    assert same(value, 0.0)


# y_pred whose squares reach over the whole range of float64; with y_true = 0 the values are those squares.
ROOTS = (
    st.floats(allow_nan=False, allow_infinity=False)
    | st.floats(-1e154, 1e154)
    | st.sampled_from([1e-162, 1e154, 1])
)


@given(st.lists(ROOTS, max_size=50))
@example([2.0**511] * 5)
@example([1e-162, 2.0**500, 1.0])
def test_sums_of_any_magnitude(roots):
    y_pred = np.array(roots, dtype=np.float64)
    none = al.mean_squared_error(np.zeros_like(y_pred), y_pred, reduction="none")
    total = al.mean_squared_error(np.zeros_like(y_pred), y_pred, reduction="sum")
    if np.isfinite(none).all():
        assert same(total, exact_sum(none))
        if len(roots):
            assert same(
                al.mean_squared_error(np.zeros_like(y_pred), y_pred), exact_mean(none, np.ones(len(none)))
            )
    else:
        assert total == np.inf


@given(
    st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1, max_size=50), st.data()
)
def test_float32_sums_of_any_magnitude(roots, data):
    y_pred = np.array(roots, dtype=np.float32)
    weights = st.floats(0, allow_nan=False, allow_infinity=False, max_value=1e200)
    weight = np.array(data.draw(st.lists(weights, min_size=len(roots), max_size=len(roots))))
    none = al.mean_squared_error(0, y_pred, sample_weight=weight, reduction="none")
    total = al.mean_squared_error(0, y_pred, sample_weight=weight, reduction="sum")
    if np.isfinite(none).all():
        assert same(total, exact_sum(none))
        if weight.any():
            assert same(al.mean_squared_error(0, y_pred, sample_weight=weight), exact_mean(none, weight))
    else:
        assert np.isnan(total) == np.isnan(none).any()


@pytest.mark.parametrize("function", [al.mean_squared_error, al.mean_absolute_error])
@given(st.lists(st.integers(-70, 70), min_size=1, max_size=5), st.sampled_from([0, 1, 15, 700]))
@example([0, 30, -60, 65], 0)
def test_sums_of_blocks_of_changing_magnitude(function, exponents, rest):
    blocks = np.random.default_rng(3).standard_normal((len(exponents), 2048))
    y_pred = np.concatenate([*np.ldexp(blocks.T, exponents).T, np.zeros(rest)]).astype(np.float32)
    none = function(np.zeros_like(y_pred), y_pred, reduction="none")
    assert same(function(np.zeros_like(y_pred), y_pred, reduction="sum"), fsum(none))
    y_pred[-1] = np.nan
    assert np.isnan(function(np.zeros_like(y_pred), y_pred))
    y_pred[-1] = -np.inf
    assert function(np.zeros_like(y_pred), y_pred) == np.inf


@EACH
@pytest.mark.parametrize("reduction", REDUCED)
def test_order_is_of_no_account(name, options, reduction, dtype):
    y_true, y_pred = loss_inputs(name, (200, 5), dtype, **options)
    weight = np.random.default_rng(3).uniform(0.1, 2, 200)
    function = getattr(al, name)
    expected = function(y_true, y_pred, sample_weight=weight, reduction=reduction, **options)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(200)
        shuffled = y_true[order], y_pred[order]
        assert same(
            function(*shuffled, sample_weight=weight[order], reduction=reduction, **options), expected
        )


@EACH
def test_layout_never_changes_a_bit(name, options, dtype):
    y_true, y_pred = loss_inputs(name, (33, 6, 5), dtype, **options)
    function = getattr(al, name)
    expected = function(y_true, y_pred, **options)
    for layout, held in layouts(y_pred).items():
        assert same(function(y_true, held, **options), expected), layout


@EACH
@pytest.mark.parametrize("classes", [1, 2, 7, 15, 16, 17, 33, 64, 65, 130, 1000])
def test_a_row_depends_on_nothing_but_its_values(name, options, classes, dtype):
    y_true, y_pred = loss_inputs(name, (37, classes), dtype, **options)
    function, loss = getattr(al, name), loss_class(name, reduction="sum", **options)
    none = function(y_true, y_pred, reduction="none", **options)
    _, gradient = loss.value_and_grad(y_true, y_pred)
    hessian = KINDS[name].hessian
    g, h = loss.gradient_hessian(y_true, y_pred) if hessian else (None, None)
    for part in (slice(0, 1), slice(5, 6), slice(5, 9), slice(20, 37), slice(None, None, -1)):
        assert bits(function(y_true[part], y_pred[part], reduction="none", **options)) == bits(none[part])
        assert bits(loss.value_and_grad(y_true[part], y_pred[part])[1]) == bits(gradient[part])
        if hessian:
            both = loss.gradient_hessian(y_true[part], y_pred[part])
            assert bits(both[0]) == bits(g[part])
            assert bits(both[1]) == bits(h[part])
    if KINDS[name].values == "samples":
        return
    if over_axis(name):
        options = {**options, "axis": 0}
        loss = loss_class(name, reduction="sum", **options)
    for pred in (y_pred.T, np.ascontiguousarray(y_pred.T)):
        actual = function(y_true.T, pred, reduction="none", **options)
        assert bits(actual.T if by_elements(name) else actual) == bits(none)
        assert bits(loss.value_and_grad(y_true.T, pred)[1].T) == bits(gradient)
        if hessian:
            assert bits(loss.gradient_hessian(y_true.T, pred)[1].T) == bits(h)


@pytest.mark.parametrize("unusual", [np.inf, -np.inf, np.nan, 5000.0, -6e4])
@pytest.mark.parametrize("classes", [2, 10, 40])
def test_a_row_of_logits_is_not_changed_by_unusual_neighbours(classes, unusual, dtype):
    rng = np.random.default_rng(classes)
    y_pred = (4 * rng.standard_normal((37, classes))).astype(dtype)
    y_pred[20, 1] = unusual
    y_pred[21] = unusual
    distributions = al.softmax(rng.standard_normal((37, classes)))
    distributions[::4] = np.eye(classes)[0]
    for name, y_true in [
        ("categorical_crossentropy", distributions),
        ("categorical_crossentropy", distributions.astype(dtype)),
        ("sparse_categorical_crossentropy", distributions.argmax(-1)),
    ]:
        loss = loss_class(name, reduction="none", from_logits=True)
        values, gradient = loss.value_and_grad(y_true, y_pred)
        rows = [loss.value_and_grad(y_true[i : i + 1], y_pred[i : i + 1]) for i in range(37)]
        assert bits(values) == bits(np.concatenate([row[0] for row in rows]))
        assert bits(gradient) == bits(np.concatenate([row[1] for row in rows]))
    for function in (al.softmax, al.log_softmax):
        rows = [function(y_pred[i : i + 1]) for i in range(37)]
        assert bits(function(y_pred)) == bits(np.concatenate(rows))


@EACH
def test_the_value_with_a_gradient_is_the_value(name, options, dtype):
    y_true, y_pred = loss_inputs(name, (70, 9), dtype, **options)
    for reduction in REDUCED:
        loss = loss_class(name, reduction=reduction, **options)
        assert same(loss.value_and_grad(y_true, y_pred)[0], loss(y_true, y_pred))


# ----------------------------------------------------------------------------------------------- metric


@EACH
@pytest.mark.parametrize("reduction", REDUCED)
@given(data=st.data())
def test_any_split_and_merge_tree(name, options, reduction, data):
    samples = data.draw(st.integers(1, 40))
    code = data.draw(st.sampled_from([np.float16, np.float32, np.float64]))
    y_true, y_pred = loss_inputs(name, (samples, 4), code, seed=data.draw(st.integers(0, 9)), **options)
    weight = data.draw(st.none() | st.just(np.random.default_rng(0).uniform(0.1, 3, samples)))
    loss = loss_class(name, reduction=reduction, **options)
    cuts = sorted(data.draw(st.lists(st.integers(0, samples), max_size=6)))
    metrics = [loss.metric()]
    for start, stop in zip([0, *cuts], [*cuts, samples], strict=True):
        part = slice(start, stop)
        if data.draw(st.booleans()):
            metrics.append(loss.metric())
        target = data.draw(st.sampled_from(metrics))
        target.update_state(y_true[part], y_pred[part], None if weight is None else weight[part])
    metrics = data.draw(st.permutations(metrics))
    while len(metrics) > 1:
        into = metrics.pop(data.draw(st.integers(0, len(metrics) - 1)))
        taken = data.draw(st.integers(1, len(metrics)))
        into.merge_state([pass_on(data, metric) for metric in metrics[:taken]])
        metrics = [*metrics[taken:], into]
    (whole,) = metrics
    assert same(whole.result(), loss(y_true, y_pred, weight))
    assert whole.count == (samples * 4 if by_elements(name) else samples)


def pass_on(data, metric):
    """The metric, or a copy that went through bytes or pickle."""
    way = data.draw(st.sampled_from(["itself", "bytes", "pickle"]))
    if way == "bytes":
        return type(metric).from_bytes(metric.to_bytes())
    return pickle.loads(pickle.dumps(metric)) if way == "pickle" else metric


def updated(name, options, seed=0, **more):
    metric = loss_class(name, **options, **more).metric()
    metric.update_state(*loss_inputs(name, (30, 4), seed=seed, **options), np.linspace(0.5, 2, 30))
    return metric


@EACH
def test_a_new_metric_is_empty(name, options):
    for reduction in REDUCED:
        metric = loss_class(name, reduction=reduction, **options).metric()
        assert metric.count == 0
        if reduction == "sum":
            assert same(metric.result(), 0.0)
        else:
            with pytest.warns(RuntimeWarning):
                assert np.isnan(metric.result())


@EACH
def test_reset(name, options):
    metric, fresh = updated(name, options), loss_class(name, **options).metric()
    metric.reset_state()
    assert metric.count == 0
    assert metric.to_bytes() == fresh.to_bytes()


@EACH
def test_merging_leaves_the_others_alone(name, options):
    metric, other = updated(name, options), updated(name, options, seed=1)
    before = other.to_bytes()
    metric.merge_state([other])
    assert other.to_bytes() == before
    assert metric.count == 2 * other.count


@EACH
def test_the_state_is_the_same_for_any_order(name, options):
    one, two = updated(name, options), updated(name, options, seed=1)
    two_one, one_two = updated(name, options, seed=1), updated(name, options)
    two_one.merge_state([one])
    one_two.merge_state([two])
    assert same(two_one.result(), one_two.result())


@EACH
def test_a_refused_update_changes_nothing(name, options):
    metric = updated(name, options)
    before = metric.to_bytes()
    y_true, y_pred = loss_inputs(name, (30, 4), **options)
    with pytest.raises(ValueError, match="sample_weight"):
        metric.update_state(y_true, y_pred, -np.ones(30))
    with pytest.raises(ValueError, match="y_true"):
        metric.update_state(y_true, y_pred[:-1])
    if on_probabilities(name, options):
        y_pred[-1, -1] = 2
        with pytest.raises(ValueError, match="y_pred"):
            metric.update_state(y_true, y_pred)
    assert metric.to_bytes() == before


@EACH
def test_bytes_carry_the_loss_and_its_options(name, options):
    metric = updated(name, options, reduction="sum_over_batch_size")
    for copy in (type(metric).from_bytes(metric.to_bytes()), pickle.loads(pickle.dumps(metric))):
        assert same(copy.result(), metric.result())
        assert copy.count == metric.count
        batch = loss_inputs(name, (5, 4), seed=3, **options)
        copy.update_state(*batch)
        again = type(metric).from_bytes(metric.to_bytes())
        again.update_state(*batch)
        assert same(copy.result(), again.result())
    assert isinstance(metric.to_bytes(), bytes)


@EACH
def test_foreign_and_corrupt_bytes(name, options):
    metric = updated(name, options)
    data = metric.to_bytes()
    from_bytes = type(metric).from_bytes
    for wrong in [b"", b"\0" * len(data), data[:-1], data + b"\0", data[1:], pickle.dumps(1), b"actloss"]:
        with pytest.raises(ValueError, match=r"(?i)bytes|metric"):
            from_bytes(wrong)
    for i in range(0, len(data), max(1, len(data) // 97)):
        flipped = bytearray(data)
        flipped[i] ^= 0x40
        with pytest.raises(ValueError, match=r"(?i)bytes|metric"):
            from_bytes(bytes(flipped))


def test_merging_another_loss_or_other_options():
    metric = updated("sparse_categorical_crossentropy", {"from_logits": True})
    others = [
        updated("mean_squared_error", {}),
        updated("sparse_categorical_crossentropy", {"from_logits": False}),
        updated("sparse_categorical_crossentropy", {"from_logits": True}, reduction="sum"),
        updated("sparse_categorical_crossentropy", {"from_logits": True}, z_loss=0.5),
        updated("sparse_categorical_crossentropy", {"from_logits": True}, class_weight=[1, 2, 3, 4]),
        updated("sparse_categorical_crossentropy", {"from_logits": True}, ignore_class=0),
    ]
    before = metric.to_bytes()
    for other in others:
        with pytest.raises(ValueError, match=r"(?i)loss|option"):
            metric.merge_state([updated("sparse_categorical_crossentropy", {"from_logits": True}), other])
    assert metric.to_bytes() == before
    with pytest.raises(TypeError):
        metric.merge_state([1])


def test_infinite_and_missing_values():
    metric = al.losses.BinaryCrossentropy(reduction="sum").metric()
    metric.update_state([1.0, 1.0], [0.0, 0.5])
    assert metric.result() == np.inf
    other = al.losses.BinaryCrossentropy(reduction="sum").metric()
    other.update_state([1.0], [np.nan])
    other.merge_state([metric])
    assert np.isnan(other.result())
    assert bits(other.result())[2] == bits(type(other).from_bytes(other.to_bytes()).result())[2]
