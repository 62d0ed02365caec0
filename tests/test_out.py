"""`out=` of gradients: any layout, y_pred itself, no other overlap, and untouched by a refused call."""

from __future__ import annotations

import numpy as np
import pytest
from inputs import (
    CLASSES,
    KINDS,
    LOSS_IDS,
    LOSSES,
    bits,
    layouts,
    loss_class,
    loss_inputs,
    on_probabilities,
    over_axis,
    takes_ids,
)

import actloss_rs as al

EACH = pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
REDUCTIONS = pytest.mark.parametrize("reduction", ["none", "sum", "mean"])


@EACH
@REDUCTIONS
def test_out_of_any_layout(name, options, reduction, dtype):
    y_true, y_pred = loss_inputs(name, (6, 8), dtype, **options)
    loss = loss_class(name, reduction=reduction, **options)
    value, gradient = loss.value_and_grad(y_true, y_pred)
    for layout, out in layouts(np.full_like(y_pred, 7)).items():
        if layout == "readonly":
            continue
        same_value, returned = loss.value_and_grad(y_true, y_pred, out=out)
        assert returned is out, layout
        assert bits(out) == bits(gradient), layout
        assert bits(same_value) == bits(value), layout


@EACH
@REDUCTIONS
@pytest.mark.parametrize(
    "layout", ["contiguous", "fortran", "strided", "backward", "unaligned", "byte-swapped"]
)
def test_out_is_y_pred(name, options, reduction, layout):
    y_true, y_pred = loss_inputs(name, (40, 8), np.float32, **options)
    loss = loss_class(name, reduction=reduction, **options)
    value, gradient = loss.value_and_grad(y_true, y_pred)
    held = layouts(y_pred)[layout]
    in_place, returned = loss.value_and_grad(y_true, held, out=held)
    assert returned is held
    assert bits(held) == bits(gradient)
    assert bits(in_place) == bits(value)


@EACH
def test_out_is_y_pred_along_the_first_axis(name, options):
    y_true, y_pred = loss_inputs(name, (40, 8), **options)
    if over_axis(name):
        options = {**options, "axis": 0}
        y_pred = np.ascontiguousarray(y_pred.T)
        y_true = np.ascontiguousarray(np.asarray(y_true).T)
    loss = loss_class(name, **options)
    value, gradient = loss.value_and_grad(y_true, y_pred)
    assert bits(loss.value_and_grad(y_true, y_pred, out=y_pred)[0]) == bits(value)
    assert bits(y_pred) == bits(gradient)


@EACH
@pytest.mark.parametrize("shift", [1, 3, 8])
def test_partial_overlap_with_y_pred(name, options, shift):
    memory = np.full(100, 0.5)
    y_true, _ = loss_inputs(name, (6, 8), **options)
    y_pred, out = memory[:48].reshape(6, 8), memory[shift : shift + 48].reshape(6, 8)
    with pytest.raises(ValueError, match="out"):
        loss_class(name, **options).value_and_grad(y_true, y_pred, out=out)
    assert (memory == 0.5).all()


@EACH
def test_y_pred_in_another_order(name, options):
    y_true, _ = loss_inputs(name, (6, 6), **options)
    y_pred = np.full((6, 6), 0.5)
    for out in (y_pred.T, y_pred[::-1]):
        with pytest.raises(ValueError, match="out"):
            loss_class(name, **options).value_and_grad(y_true, y_pred, out=out)
    assert (y_pred == 0.5).all()


@pytest.mark.parametrize("name", [name for name in CLASSES if not takes_ids(name)])
def test_overlap_with_y_true(name):
    y_true, y_pred = loss_inputs(name, (6, 8))
    y_true = y_true.astype(np.float64)
    before = y_true.copy()
    for out in (y_true, y_true[::-1]):
        with pytest.raises(ValueError, match=r"out.*y_true|y_true.*out"):
            loss_class(name).value_and_grad(y_true, y_pred, out=out)
    np.testing.assert_array_equal(y_true, before)


@EACH
def test_overlap_with_weights(name, options):
    y_true, y_pred = loss_inputs(name, (6, 8), **options)
    out = np.ones((6, 8))
    with pytest.raises(ValueError, match=r"out.*sample_weight|sample_weight.*out"):
        loss_class(name, **options).value_and_grad(y_true, y_pred, out[:, 0], out=out)
    assert (out == 1).all()


def test_interleaved_arrays_do_not_overlap():
    memory = np.full((6, 16), 0.5)
    y_pred, out = memory[:, ::2], memory[:, 1::2]
    _, gradient = al.losses.MeanSquaredError().value_and_grad(np.zeros((6, 8)), y_pred, out=out)
    assert gradient is out
    assert (y_pred == 0.5).all()
    np.testing.assert_array_equal(out, 1 / 48)


@EACH
def test_out_of_another_shape_or_type(name, options):
    y_true, y_pred = loss_inputs(name, (6, 8), np.float32, **options)
    loss = loss_class(name, **options)
    for shape in [(8, 6), (48,), (6, 9), (1, 6, 8), (6, 1)]:
        with pytest.raises(ValueError, match="out") as raised:
            loss.value_and_grad(y_true, y_pred, out=np.zeros(shape, np.float32))
        assert str(shape) in str(raised.value)
    for code in ("d", "e", "i", "F"):
        with pytest.raises((TypeError, ValueError), match="out"):
            loss.value_and_grad(y_true, y_pred, out=np.zeros((6, 8), code))
    with pytest.raises(TypeError, match="out"):
        loss.value_and_grad(y_true, y_pred, out=[[0.0] * 8] * 6)
    readonly = np.zeros((6, 8), np.float32)
    readonly.flags.writeable = False
    with pytest.raises(ValueError, match=r"out|read-only"):
        loss.value_and_grad(y_true, y_pred, out=readonly)


def wrong_calls():
    """Calls refused because of the last value: loss, options, what spoils which argument."""

    def probability(y_true, y_pred, weight):
        y_pred[-1, -1] = -1.5

    def label(y_true, y_pred, weight):
        y_true[-1] = -9

    def negative(y_true, y_pred, weight):
        weight[-1] = -1

    for (name, options), case in zip(LOSSES, LOSS_IDS, strict=True):
        yield pytest.param(name, options, negative, "sample_weight", id=f"{case}-weight")
        if KINDS[name].y_true != "numbers":
            yield pytest.param(name, options, label, "y_true", id=f"{case}-label")
        if on_probabilities(name, options) or KINDS[name].y_pred == "positive":
            yield pytest.param(name, options, probability, "y_pred", id=f"{case}-probability")


@pytest.mark.parametrize(("name", "options", "spoil", "argument"), list(wrong_calls()))
@pytest.mark.parametrize("samples", [3, 100_000])
def test_a_refused_call_leaves_out_untouched(name, options, spoil, argument, samples):
    y_true, y_pred = loss_inputs(name, (samples, 3), np.float32, **options)
    weight = np.ones(samples)
    spoil(y_true, y_pred, weight)
    loss = loss_class(name, **options)
    out = np.full_like(y_pred, 7)
    with pytest.raises(ValueError, match=argument):
        loss.value_and_grad(y_true, y_pred, weight, out=out)
    assert (out == 7).all()
    before = bits(y_pred)
    with pytest.raises(ValueError, match=argument):
        loss.value_and_grad(y_true, y_pred, weight, out=y_pred)
    assert bits(y_pred) == before


def test_out_of_an_empty_batch():
    out = np.zeros((0, 3))
    with pytest.warns(RuntimeWarning):
        _, gradient = al.losses.MeanSquaredError().value_and_grad(np.zeros((0, 3)), np.zeros((0, 3)), out=out)
    assert gradient is out


def test_out_of_integers_is_float64():
    out = np.zeros((2, 2))
    _, gradient = al.losses.MeanSquaredError().value_and_grad([[1, 2], [3, 4]], [[1, 2], [3, 8]], out=out)
    assert gradient is out
    np.testing.assert_array_equal(out, [[0, 0], [0, 2]])
