"""What a loss accepts: every label type, container, rank and layout, with one result."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
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
    over_axis,
    takes_ids,
    views,
)

import actloss_rs as al

EACH = pytest.mark.parametrize(("name", "options"), LOSSES, ids=LOSS_IDS)
CODES = ["b", "B", "h", "H", "i", "I", "l", "L", "q", "Q"]
SPARSE = al.sparse_categorical_crossentropy


def results(name, options, y_true, y_pred, weight=None):
    """Everything a loss returns, as bits."""
    none = getattr(al, name)(y_true, y_pred, sample_weight=weight, reduction="none", **options)
    value, gradient = loss_class(name, **options).value_and_grad(y_true, y_pred, weight)
    return bits(none), bits(value), bits(gradient)


@pytest.mark.parametrize("from_logits", [False, True])
@pytest.mark.parametrize("code", ["?", *CODES])
def test_class_ids_of_any_integer_type(code, from_logits, dtype):
    y_true, y_pred = loss_inputs("sparse_categorical_crossentropy", (40, 2), dtype, from_logits=from_logits)
    options = {"from_logits": from_logits}
    expected = results("sparse_categorical_crossentropy", options, y_true, y_pred)
    held = y_true.astype(code)
    assert results("sparse_categorical_crossentropy", options, held, y_pred) == expected
    swapped = held.astype(held.dtype.newbyteorder())
    assert results("sparse_categorical_crossentropy", options, swapped, y_pred) == expected
    assert results("sparse_categorical_crossentropy", options, np.repeat(held, 2)[::2], y_pred) == expected


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy", "mean_squared_error"])
@pytest.mark.parametrize("code", ["?", *CODES, "e", "f", "d"])
def test_dense_labels_of_any_real_type(name, code):
    y_true = np.eye(4)[[0, 3, 1, 1, 2, 0]]
    y_pred = loss_inputs(name, (6, 4))[1]
    expected = results(name, {}, y_true, y_pred)
    held = y_true.astype(code)
    assert results(name, {}, held, y_pred) == expected
    assert results(name, {}, held.astype(held.dtype.newbyteorder()), y_pred) == expected


@pytest.mark.parametrize("name", ["binary_crossentropy", "categorical_crossentropy", "mean_squared_error"])
def test_dense_bfloat16_labels(name):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    y_true = np.eye(4)[[0, 3, 1, 1, 2, 0]]
    y_pred = loss_inputs(name, (6, 4))[1]
    assert results(name, {}, y_true.astype(bfloat16), y_pred) == results(name, {}, y_true, y_pred)


@pytest.mark.parametrize("code", ["?", *CODES])
def test_integer_predictions_are_float64(code):
    y_pred = np.array([[0, 1], [1, 1], [1, 0]]).astype(code)
    for name, y_true, options in [
        ("mean_squared_error", [[1, 0], [0, 0], [1, 1]], {}),
        ("binary_crossentropy", [[1, 0], [0, 0], [1, 1]], {"from_logits": True}),
        ("categorical_crossentropy", [[1, 0], [0, 1], [1, 0]], {"from_logits": True}),
        ("sparse_categorical_crossentropy", [1, 0, 1], {"from_logits": True}),
    ]:
        expected = results(name, options, y_true, y_pred.astype(np.float64))
        assert results(name, options, y_true, y_pred) == expected
        assert loss_class(name, **options).value_and_grad(y_true, y_pred)[1].dtype == np.float64


def test_large_unsigned_labels_in_a_regression():
    big = np.array([2**63 + 2**40, 7], dtype=np.uint64)
    assert al.mean_squared_error(big, big.astype(np.float64), reduction="sum") == 0
    assert (
        al.mean_squared_error(np.array([-5], np.int8), np.array([250], np.uint8), reduction="sum") == 255.0**2
    )


@EACH
def test_lists(name, options):
    y_true, y_pred = loss_inputs(name, (6, 4), **options)
    weight = [1.0, 0.5, 2, 1, 1, 3]
    expected = results(name, options, y_true, y_pred, np.array(weight))
    assert results(name, options, y_true.tolist(), y_pred.tolist(), weight) == expected
    assert (
        results(name, options, tuple(y_true.tolist()), tuple(map(tuple, y_pred.tolist())), tuple(weight))
        == expected
    )


@EACH
def test_pandas(name, options):
    pandas = pytest.importorskip("pandas")
    y_true, y_pred = loss_inputs(name, (6, 4), **options)
    weight = np.linspace(0.5, 2, 6)
    expected = results(name, options, y_true, y_pred, weight)
    frame = pandas.DataFrame if y_true.ndim == 2 else pandas.Series
    index = list("zyxwvu")
    held = (
        frame(y_true, index=index),
        pandas.DataFrame(y_pred, index=index),
        pandas.Series(weight, index=index),
    )
    assert results(name, options, *held) == expected


@EACH
def test_xarray(name, options):
    xarray = pytest.importorskip("xarray")
    y_true, y_pred = loss_inputs(name, (6, 4), **options)
    expected = results(name, options, y_true, y_pred)
    assert results(name, options, xarray.DataArray(y_true), xarray.DataArray(y_pred)) == expected


@EACH
def test_torch_cpu_tensors(name, options):
    torch = pytest.importorskip("torch")
    y_true, y_pred = loss_inputs(name, (6, 4), **options)
    expected = results(name, options, y_true, y_pred)
    assert results(name, options, torch.from_numpy(y_true), torch.from_numpy(y_pred)) == expected


@EACH
def test_read_only_and_memory_mapped(name, options, tmp_path, dtype):
    y_true, y_pred = loss_inputs(name, (6, 4), dtype, **options)
    expected = results(name, options, y_true, y_pred)
    for array in (y_true, y_pred):
        array.flags.writeable = False
    assert results(name, options, y_true, y_pred) == expected
    mapped = []
    for array in (y_true, y_pred):
        np.save(tmp_path / "array.npy", array.view(f"u{array.itemsize}"))  # .npy knows no bfloat16
        mapped.append(np.load(tmp_path / "array.npy", mmap_mode="r").view(array.dtype))
        (tmp_path / "array.npy").unlink()
    assert results(name, options, *mapped) == expected


@EACH
def test_masked_arrays_are_type_errors(name, options):
    y_true, y_pred = loss_inputs(name, (6, 4), **options)
    for masked in [
        (np.ma.array(y_true), y_pred, None),
        (y_true, np.ma.array(y_pred), None),
        (y_true, y_pred, np.ma.ones(6)),
    ]:
        with pytest.raises(TypeError, match=r"(?i)mask"):
            results(name, options, *masked)


@EACH
def test_dask_arrays_are_type_errors_that_name_the_alternative(name, options):
    dask = pytest.importorskip("dask.array")
    y_true, y_pred = loss_inputs(name, (6, 4), **options)
    for lazy in [(dask.from_array(y_true), y_pred), (y_true, dask.from_array(y_pred))]:
        with pytest.raises(TypeError, match=r"actloss_rs\.dask\.evaluate"):
            getattr(al, name)(*lazy, **options)


@EACH
@pytest.mark.parametrize("code", ["D", "F", "U3", "S3", "M8[s]"])
def test_other_types_are_type_errors(name, options, code):
    y_true, y_pred = loss_inputs(name, (6, 4), **options)
    with pytest.raises(TypeError, match="y_pred"):
        getattr(al, name)(y_true, np.ones((6, 4)).astype(code), **options)
    with pytest.raises(TypeError, match="y_true"):
        getattr(al, name)(np.ones(y_true.shape).astype(code), y_pred, **options)


@EACH
@pytest.mark.parametrize("shape", [(5,), (5, 3), (4, 17), (2, 3, 4), (2, 70, 3), (2, 1, 3, 2, 4)])
def test_any_rank_and_layout(name, options, shape, dtype):
    y_true, y_pred = loss_inputs(
        name, shape if len(shape) > 1 or by_elements(name) else (5, 1), dtype, **options
    )
    expected = results(name, options, y_true, y_pred)
    trues, preds = layouts(y_true), layouts(y_pred)
    for true, pred in zip([*trues, *(["contiguous"] * len(preds))], [*preds, *preds], strict=False):
        assert results(name, options, trues[true], preds[pred]) == expected, (true, pred)


@EACH
def test_zero_dimensions(name, options):
    if over_axis(name):
        y, p = (1, [0.25, 0.75]) if takes_ids(name) else ([0, 1], [0.25, 0.75])
        none = getattr(al, name)(y, p, reduction="none", **options)
    elif not by_elements(name):
        with pytest.raises(ValueError, match="no axes"):
            getattr(al, name)(1.0, 0.25, **options)
        return
    else:
        none = getattr(al, name)(1.0, 0.25, reduction="none", **options)
        assert loss_class(name, **options).value_and_grad(1.0, 0.25)[1].shape == ()
    assert np.shape(none) == ()
    assert np.isfinite(none)


@pytest.mark.parametrize("name", ["mean_squared_error", "binary_crossentropy"])
def test_a_scalar_label_is_for_every_element(name):
    y_pred = loss_inputs(name, (6, 4))[1]
    for scalar in (1, 1.0, np.float32(1), np.array(1), True):
        assert results(name, {}, scalar, y_pred) == results(name, {}, np.ones((6, 4)), y_pred)


@pytest.mark.parametrize(("name", "options"), [case for case in LOSSES if over_axis(case[0])], ids=str)
@given(data=st.data())
def test_any_axis_and_view(name, options, data):
    y_pred = data.draw(views("d", min_dims=1))
    axis = data.draw(st.integers(-y_pred.ndim, y_pred.ndim - 1))
    y_pred[...] = loss_inputs(name, y_pred.shape, **options)[1]
    rows = np.ascontiguousarray(np.moveaxis(y_pred, axis, -1))
    y_true, _ = loss_inputs(name, rows.shape)
    expected = getattr(al, name)(y_true, rows, reduction="none", **options)
    _, gradient = loss_class(name, **options).value_and_grad(y_true, rows)
    if not takes_ids(name):
        y_true = np.moveaxis(y_true, -1, axis)
    assert bits(getattr(al, name)(y_true, y_pred, axis=axis, reduction="none", **options)) == bits(expected)
    _, actual = loss_class(name, axis=axis, **options).value_and_grad(y_true, y_pred)
    assert bits(np.moveaxis(actual, axis, -1)) == bits(gradient)


@EACH
def test_arguments_are_left_alone(name, options, dtype):
    y_true, y_pred = loss_inputs(name, (6, 4), dtype, **options)
    weight = np.linspace(0.5, 1, 6)
    before = [bits(v) for v in (y_true, y_pred, weight)]
    results(name, options, y_true, y_pred, weight)
    if KINDS[name].hessian:
        loss_class(name, **options).gradient_hessian(y_true, y_pred, weight)
    assert [bits(v) for v in (y_true, y_pred, weight)] == before
