# Written by scripts/write_stubs.py from the definitions: do not edit.
from typing import Any

from numpy.typing import ArrayLike, NDArray

from actloss_rs._gelu import gelu_backward as gelu
from actloss_rs._typing import Gradient

__all__ = [
    "batch_norm",
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
    "layer_norm",
    "leaky_relu",
    "log1p",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "rms_norm",
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

def batch_norm(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    *,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    training: bool = False,
    epsilon: float = 1e-05,
    axis: int | tuple[int, ...] | None = -1,
    out: NDArray[Any] | None = None,
) -> Any: ...
def celu(dy: ArrayLike, x: ArrayLike, alpha: ArrayLike = 1.0, **kwargs: Any) -> Any: ...
def elu(dy: ArrayLike, x: ArrayLike, alpha: ArrayLike = 1.0, **kwargs: Any) -> Any: ...

erf: Gradient
exp: Gradient
expm1: Gradient

def geglu(dy: ArrayLike, x: ArrayLike, axis: ArrayLike = -1, *, out: Any = None) -> Any: ...
def glu(dy: ArrayLike, x: ArrayLike, axis: ArrayLike = -1, *, out: Any = None) -> Any: ...
def hard_shrink(dy: ArrayLike, x: ArrayLike, threshold: ArrayLike = 0.5, **kwargs: Any) -> Any: ...
def hard_sigmoid(
    dy: ArrayLike, x: ArrayLike, alpha: ArrayLike = 0.16666666666666666, beta: ArrayLike = 0.5, **kwargs: Any
) -> Any: ...

hard_silu: Gradient
hard_swish: Gradient

def hard_tanh(
    dy: ArrayLike, x: ArrayLike, min_val: ArrayLike = -1.0, max_val: ArrayLike = 1.0, **kwargs: Any
) -> Any: ...
def layer_norm(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    axis: int | tuple[int, ...] | None = -1,
    *,
    epsilon: float = 1e-05,
    out: NDArray[Any] | None = None,
) -> Any: ...
def leaky_relu(dy: ArrayLike, x: ArrayLike, negative_slope: ArrayLike = 0.01, **kwargs: Any) -> Any: ...

log1p: Gradient
log_sigmoid: Gradient

def log_softmax(
    dy: ArrayLike, x: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...
def logsumexp(
    dy: ArrayLike, x: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...

mish: Gradient

def prelu(dy: ArrayLike, x: ArrayLike, slope: ArrayLike, **kwargs: Any) -> Any: ...

relu: Gradient
relu6: Gradient

def rms_norm(
    dy: ArrayLike,
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    axis: int | tuple[int, ...] | None = -1,
    *,
    epsilon: float = 1e-06,
    out: NDArray[Any] | None = None,
) -> Any: ...

selu: Gradient
sigmoid: Gradient
silu: Gradient

def soft_shrink(dy: ArrayLike, x: ArrayLike, threshold: ArrayLike = 0.5, **kwargs: Any) -> Any: ...
def softmax(
    dy: ArrayLike, y: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...
def softmin(
    dy: ArrayLike, y: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...
def softplus(dy: ArrayLike, x: ArrayLike, beta: ArrayLike = 1.0, **kwargs: Any) -> Any: ...

softsign: Gradient
sparse_plus: Gradient
sparse_sigmoid: Gradient

def sparsemax(
    dy: ArrayLike, y: ArrayLike, axis: int | tuple[int, ...] | None = -1, *, out: NDArray[Any] | None = None
) -> Any: ...
def squareplus(dy: ArrayLike, x: ArrayLike, b: ArrayLike = 4.0, **kwargs: Any) -> Any: ...
def swiglu(dy: ArrayLike, x: ArrayLike, axis: ArrayLike = -1, *, out: Any = None) -> Any: ...

swish: Gradient
tanh: Gradient
tanh_shrink: Gradient

def threshold(dy: ArrayLike, x: ArrayLike, threshold: ArrayLike, value: ArrayLike, **kwargs: Any) -> Any: ...
def thresholded_relu(dy: ArrayLike, x: ArrayLike, theta: ArrayLike = 1.0, **kwargs: Any) -> Any: ...
