# Written by scripts/write_stubs.py from the definitions in src/activation/: do not edit.
from typing import Any

from numpy.typing import ArrayLike

from actloss_rs._typing import Activation

__all__ = ["leaky_relu", "relu"]

def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01, **kwargs: Any) -> Any: ...

relu: Activation
