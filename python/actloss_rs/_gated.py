"""Gated linear units: of one array split in halves along an axis, or of two arrays.

Both forms are ufuncs of two operands; the halves are views, and the result goes straight to its place.
"""

import operator
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.lib.array_utils import normalize_axis_index

from actloss_rs import _core
from actloss_rs._parametrised import weak

NAMES = ("glu", "swiglu", "geglu")


def is_dask(x: Any) -> bool:
    """Whether x is a Dask array, which is sliced as it is; nothing is imported to find out."""
    module = sys.modules.get("dask.array")
    return module is not None and isinstance(x, module.Array)


def as_array(x: Any, argument: str) -> Any:
    """x as an array to be sliced by position, whatever its labels."""
    if type(x) is np.ndarray:
        return x
    if isinstance(x, np.ma.MaskedArray):
        raise TypeError(
            f"{argument} is a masked array, and its halves are masked differently; pass two arrays"
        )
    return x if is_dask(x) else np.asarray(x)


def halves(x: Any, axis: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
    """The indices of the two halves of x along the axis."""
    axis = normalize_axis_index(operator.index(axis), x.ndim)
    if x.shape[axis] % 2:
        raise ValueError(
            f"x has {x.shape[axis]} elements along axis {axis}: an odd number of them has no halves"
        )
    half, before = x.shape[axis] // 2, (slice(None),) * axis
    return (*before, slice(None, half)), (*before, slice(half, None))


def is_index(axis: Any) -> bool:
    """Whether a second argument is meant as an axis, be it a wrong one; else it is the second array."""
    return axis is None or type(axis) is float or isinstance(axis, (int, tuple, np.integer))


def gated(name: str) -> Callable[..., Any]:
    """The unit of this name as a public function."""
    ufunc: np.ufunc = getattr(_core, name)

    def unit(x: Any, axis: Any = -1, **kwargs: Any) -> Any:
        if not is_index(axis):
            return ufunc(weak(x, axis), axis, **kwargs)
        x = as_array(x, "x")
        first, second = halves(x, axis)
        return ufunc(x[first], x[second], **kwargs)

    unit.__doc__ = f"""{sentence(ufunc)}

    ``{name}(x, axis=-1)``: a and b are the first and the second half of x along one axis, whose length must
    be even. ``{name}(a, b)``: of two arrays, which broadcast; a second argument that is a number is an axis.
    Takes the keywords of a ufunc.

    >>> import numpy as np, actloss_rs as al
    >>> x = np.array([1.0, 2.0, 3.0, 4.0])
    >>> bool((al.{name}(x) == al.{name}(x[:2], x[2:])).all())
    True
    """
    return named(unit, name, "actloss_rs")


def gated_backward(name: str) -> Callable[..., Any]:
    """The derivatives of the unit of this name as a public function."""
    by_a: np.ufunc = getattr(_core, f"{name}_backward_a")
    by_b: np.ufunc = getattr(_core, f"{name}_backward_b")

    def backward(dy: Any, x: Any, axis: Any = -1, *, out: Any = None) -> Any:
        if not is_index(axis):
            operands = weak(dy, x, axis), weak(x, axis), axis
            out_a, out_b = out or (None, None)
            return by_a(*operands, out=out_a), by_b(*operands, out=out_b)
        dy, x = as_array(dy, "dy"), as_array(x, "x")
        first, second = halves(x, axis)
        if out is None:
            parts = by_a(dy, x[first], x[second]), by_b(dy, x[first], x[second])
            return np.concatenate(parts, axis=operator.index(axis))
        # The second derivative needs what the first would write over.
        if np.may_share_memory(out, x):
            x = x.copy()
        if np.may_share_memory(out, dy):
            dy = dy.copy()
        by_a(dy, x[first], x[second], out=out[first])
        by_b(dy, x[first], x[second], out=out[second])
        return out

    backward.__doc__ = f"""The gradient of `actloss_rs.{name}` for the upstream gradient dy.

    ``backward.{name}(dy, x, axis=-1)``: with respect to x, of the shape of x. ``backward.{name}(dy, a, b)``:
    the two gradients with respect to a and to b; ``out`` is then a pair.

    >>> import numpy as np, actloss_rs as al
    >>> al.backward.{name}(np.ones(1), np.zeros(2)).shape
    (2,)
    """
    return named(backward, name, "actloss_rs.backward")


def sentence(ufunc: np.ufunc) -> str:
    """What the ufunc is, without the signature that NumPy puts before it."""
    return (ufunc.__doc__ or "").partition("\n\n")[2]


def named(function: Callable[..., Any], name: str, module: str) -> Callable[..., Any]:
    """The function as it is pickled and shown."""
    function.__name__ = function.__qualname__ = name
    function.__module__ = module
    return function
