# Written by scripts/write_stubs.py from the definitions: do not edit.
from typing import Any

from numpy.typing import ArrayLike, NDArray

from actloss_rs._gelu import gelu as gelu
from actloss_rs._typing import Activation

__all__ = [
    "celu",
    "elu",
    "erf",
    "exp",
    "expm1",
    "geglu",
    "gelu",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "leaky_relu",
    "log1p",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "selu",
    "sigmoid",
    "silu",
    "soft_shrink",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squareplus",
    "swiglu",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
    "thresholded_relu",
]

def celu(x: ArrayLike, alpha: ArrayLike = 1.0, **kwargs: Any) -> Any: ...
def elu(x: ArrayLike, alpha: ArrayLike = 1.0, **kwargs: Any) -> Any: ...

erf: Activation
exp: Activation
expm1: Activation

def geglu(x: ArrayLike, axis: ArrayLike = -1, **kwargs: Any) -> Any: ...
def glu(x: ArrayLike, axis: ArrayLike = -1, **kwargs: Any) -> Any: ...
def hard_shrink(x: ArrayLike, threshold: ArrayLike = 0.5, **kwargs: Any) -> Any: ...
def hard_sigmoid(
    x: ArrayLike, alpha: ArrayLike = 0.16666666666666666, beta: ArrayLike = 0.5, **kwargs: Any
) -> Any: ...

hard_silu: Activation
hard_swish: Activation

def hard_tanh(x: ArrayLike, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, **kwargs: Any) -> Any: ...
def leaky_relu(x: ArrayLike, negative_slope: ArrayLike = 0.01, **kwargs: Any) -> Any: ...

log1p: Activation
log_sigmoid: Activation

def log_softmax(
    x: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...
def logsumexp(
    x: ArrayLike,
    axis: int | tuple[int, ...] | None = -1,
    keepdims: bool = False,
    *,
    out: NDArray[Any] | None = None,
) -> Any: ...

mish: Activation

def prelu(x: ArrayLike, slope: ArrayLike, **kwargs: Any) -> Any: ...

relu: Activation
relu6: Activation
selu: Activation
sigmoid: Activation
silu: Activation

def soft_shrink(x: ArrayLike, threshold: ArrayLike = 0.5, **kwargs: Any) -> Any: ...
def softmax(
    x: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...
def softmin(
    x: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...
def softplus(x: ArrayLike, beta: ArrayLike = 1.0, **kwargs: Any) -> Any: ...

softsign: Activation
sparse_plus: Activation
sparse_sigmoid: Activation

def sparsemax(
    x: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...
def squareplus(x: ArrayLike, b: ArrayLike = 4.0, **kwargs: Any) -> Any: ...
def swiglu(x: ArrayLike, axis: ArrayLike = -1, **kwargs: Any) -> Any: ...

swish: Activation
tanh: Activation
tanh_shrink: Activation

def threshold(x: ArrayLike, threshold: ArrayLike, value: ArrayLike, **kwargs: Any) -> Any: ...
def thresholded_relu(x: ArrayLike, theta: ArrayLike = 1.0, **kwargs: Any) -> Any: ...
