"""Arrays of other libraries: pandas, Dask, xarray, masked arrays."""

from __future__ import annotations

import pickle

import numpy as np
import pytest
from inputs import UFUNCS, function
from reference import ACTIVATIONS

import actloss_rs as al

EACH = pytest.mark.parametrize("name", ACTIVATIONS)
ROWS = pytest.mark.parametrize("name", ["softmax", "softmin", "sparsemax", "log_softmax", "logsumexp"])
X = np.linspace(-0.9, 3, 12).reshape(3, 4)


@EACH
def test_pandas_elementwise(name):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(X, index=list("abc"), columns=list("wxyz"))
    expected = pandas.DataFrame(function(name)(X), index=frame.index, columns=frame.columns)
    pandas.testing.assert_frame_equal(function(name)(frame), expected, check_exact=True)
    series = function(name)(frame["w"].astype(np.float32))
    assert series.name == "w"
    assert series.dtype == np.float32
    assert series.index.equals(frame.index)


@ROWS
@pytest.mark.parametrize("axis", [0, 1, -1, None])
def test_pandas_along_an_axis(name, axis):
    """Along the axis that was asked for, whatever pandas does to a ufunc."""
    pandas = pytest.importorskip("pandas")
    actual = getattr(al, name)(pandas.DataFrame(X), axis=axis)
    np.testing.assert_array_equal(np.asarray(actual), getattr(al, name)(X, axis=axis))
    actual = getattr(al, name)(pandas.DataFrame(X))
    np.testing.assert_array_equal(np.asarray(actual), getattr(al, name)(X))


@EACH
def test_dask_elementwise(name):
    dask = pytest.importorskip("dask.array")
    lazy = function(name)(dask.from_array(X, chunks=(2, 3)))
    assert isinstance(lazy, dask.Array)
    # As a cluster does it: what computes is pickled.
    sent = pickle.loads(pickle.dumps(lazy))
    np.testing.assert_array_equal(sent.compute(scheduler="synchronous"), function(name)(X))


@EACH
def test_dask_derivatives(name):
    dask = pytest.importorskip("dask.array")
    lazy = function(name, al.backward)(dask.ones(X.shape, chunks=(2, 3)), dask.from_array(X, chunks=(2, 3)))
    sent = pickle.loads(pickle.dumps(lazy))
    expected = function(name, al.backward)(np.ones(X.shape), X)
    np.testing.assert_array_equal(sent.compute(scheduler="synchronous"), expected)


@ROWS
@pytest.mark.parametrize("axis", [0, -1])
def test_dask_along_an_axis(name, axis):
    dask = pytest.importorskip("dask.array")
    lazy = getattr(al, name)(dask.from_array(X, chunks=X.shape), axis=axis)
    lazy = pickle.loads(pickle.dumps(lazy))
    np.testing.assert_array_equal(np.asarray(lazy), getattr(al, name)(X, axis=axis))


@EACH
def test_xarray_elementwise(name):
    xarray = pytest.importorskip("xarray")
    labelled = xarray.DataArray(X, dims=("row", "column"), coords={"row": list("abc")})
    actual = function(name)(labelled)
    assert isinstance(actual, xarray.DataArray)
    assert actual.dims == labelled.dims
    np.testing.assert_array_equal(actual.values, function(name)(X))


@EACH
def test_masked_arrays_keep_their_mask_elementwise(name):
    mask = X > 2
    actual = function(name)(np.ma.array(X, mask=mask))
    assert isinstance(actual, np.ma.MaskedArray)
    np.testing.assert_array_equal(actual.mask, mask)
    np.testing.assert_array_equal(actual.compressed(), function(name)(X)[~mask])


@ROWS
@pytest.mark.parametrize("axis", [0, -1, None])
def test_masked_arrays_along_an_axis_are_type_errors(name, axis):
    with pytest.raises(TypeError, match=r"(?i)mask"):
        getattr(al, name)(np.ma.array(X, mask=X > 2), axis=axis)


@pytest.mark.parametrize("name", UFUNCS)
def test_backward_of_a_masked_array(name):
    mask = X > 2
    actual = getattr(al.backward, name)(np.ones_like(X), np.ma.array(X, mask=mask))
    np.testing.assert_array_equal(actual.mask, mask)


@pytest.mark.parametrize("name", UFUNCS)
def test_bfloat16_never_becomes_float64(name):
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    assert getattr(al, name)(bfloat16(0.5)).dtype == bfloat16
    assert getattr(al, name)(np.array([0.5, 1], dtype=bfloat16)[::-1]).dtype == bfloat16
