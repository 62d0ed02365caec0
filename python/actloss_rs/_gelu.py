"""GELU: one name for two ufuncs, the exact form and the tanh form."""

from typing import Any, Literal

import numpy as np
from numpy.typing import ArrayLike

from actloss_rs._core import backward_ufuncs, ufuncs


def _choose(forms: dict[str, np.ufunc], approximate: str) -> np.ufunc:
    names = {"none": "gelu", "tanh": "gelu_tanh"}
    if approximate not in names:
        raise ValueError(f"approximate must be 'none' or 'tanh', got {approximate!r}")
    return forms[names[approximate]]


def gelu(x: ArrayLike, approximate: Literal["none", "tanh"] = "none", **kwargs: Any) -> Any:
    """Gaussian error linear unit: ``x * Phi(x)``, Phi being the normal distribution function.

    ``approximate="tanh"``: ``x / 2 * (1 + tanh(sqrt(2 / pi) * (x + 0.044715 * x**3)))``. Takes the keywords
    of a ufunc. Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016 (arXiv:1606.08415).

    >>> import numpy as np, actloss_rs as al
    >>> al.gelu(np.array([-1.0, 0.0, 1.0]))
    array([-0.15865525,  0.        ,  0.84134475])
    """
    return _choose(ufuncs, approximate)(x, **kwargs)


def gelu_backward(
    dy: ArrayLike, x: ArrayLike, approximate: Literal["none", "tanh"] = "none", **kwargs: Any
) -> Any:
    """The gradient of `actloss_rs.gelu` by x for the upstream gradient dy.

    >>> import actloss_rs as al
    >>> float(al.backward.gelu(1.0, 0.0))
    0.5
    """
    return _choose(backward_ufuncs, approximate)(dy, x, **kwargs)
