"""Functions with keyword parameters over ufuncs that take them as operands."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def weak(parameter: Any, *arrays: Any) -> Any:
    """A Python scalar as a bfloat16 where an array is bfloat16.

    NumPy lets a Python scalar take the array's dtype only for its own dtypes; next to bfloat16 it counts
    as float64.
    """
    if isinstance(parameter, (int, float)):
        for array in arrays:
            dtype = getattr(array, "dtype", None)
            if isinstance(dtype, np.dtype) and dtype.name == "bfloat16":
                return dtype.type(parameter)
    return parameter


def over_ufunc(
    ufunc: np.ufunc, module: str, arrays: Sequence[str], parameters: Sequence[tuple[str, float]]
) -> Callable[..., Any]:
    """``name(*arrays, parameter=default, ..., **ufunc_keywords)``, with a signature of its own.

    Written as source, as `dataclasses` does it, so that a call costs one Python frame.
    """
    name = ufunc.__name__
    operands = ", ".join(arrays)
    defaults = ", ".join(f"{parameter}={default!r}" for parameter, default in parameters)
    passed = ", ".join(f"weak({parameter}, {operands})" for parameter, _ in parameters)
    source = (
        f"def {name}({operands}, {defaults}, **kwargs):\n    return ufunc({operands}, {passed}, **kwargs)"
    )
    namespace: dict[str, Any] = {"ufunc": ufunc, "weak": weak}
    exec(source, namespace)
    function: Callable[..., Any] = namespace[name]
    function.__module__ = module
    # NumPy puts the ufunc's signature before the text.
    function.__doc__ = (ufunc.__doc__ or "").partition("\n\n")[2]
    return function
