"""Functions with keyword parameters over ufuncs that take them as operands."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np


def weak(parameter: Any, x: Any, *others: Any) -> Any:
    """A Python scalar as a scalar of the arrays' floating dtype, if they have one in common.

    NumPy would let it take their dtype as well, but not next to bfloat16, where it counts as float64, and
    it would search for a loop at every call, which costs microseconds.
    """
    if isinstance(parameter, (int, float)) and not isinstance(parameter, np.generic):
        dtype = getattr(x, "dtype", None)
        if (
            isinstance(dtype, np.dtype)
            and (dtype.kind == "f" or dtype.name == "bfloat16")
            and all(getattr(other, "dtype", None) == dtype for other in others)
        ):
            return dtype.type(parameter)
    return parameter


def over_ufunc(
    name: str,
    ufunc: np.ufunc,
    module: str,
    arrays: Sequence[str],
    parameters: Sequence[tuple[str, float | None]],
) -> Callable[..., Any]:
    """``name(*arrays, parameter=default, ..., **ufunc_keywords)``, with a signature of its own.

    Written as source, as `dataclasses` does it, so that a call costs one Python frame.
    """
    operands = ", ".join(arrays)
    defaults = ", ".join(
        parameter if default is None else f"{parameter}={default!r}" for parameter, default in parameters
    )
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
