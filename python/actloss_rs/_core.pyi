from collections.abc import Callable, Iterable
from typing import Any, Self, final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actloss_rs._typing import Reduction

__all__ = [
    "SIMD_LEVEL",
    "Loss",
    "LossMetric",
    "__version__",
    "_panics",
    "above_threshold",
    "array_statistics",
    "axis_functions",
    "backward_axis_functions",
    "backward_normalizations",
    "backward_ufuncs",
    "celu",
    "celu_backward",
    "elu",
    "elu_backward",
    "evaluate_loss",
    "geglu",
    "geglu_backward_a",
    "geglu_backward_b",
    "gelu",
    "gelu_backward",
    "gelu_tanh",
    "gelu_tanh_backward",
    "get_num_threads",
    "glu",
    "glu_backward_a",
    "glu_backward_b",
    "hard_shrink",
    "hard_shrink_backward",
    "hard_sigmoid",
    "hard_sigmoid_backward",
    "hard_tanh",
    "hard_tanh_backward",
    "label_log_probabilities",
    "label_ranks",
    "leaky_relu",
    "leaky_relu_backward",
    "log_softmax",
    "logsumexp",
    "losses",
    "normalizations",
    "parameters",
    "prelu",
    "prelu_backward",
    "set_num_threads",
    "soft_shrink",
    "soft_shrink_backward",
    "softmax",
    "softmin",
    "softplus",
    "softplus_backward",
    "sparsemax",
    "squareplus",
    "squareplus_backward",
    "swiglu",
    "swiglu_backward_a",
    "swiglu_backward_b",
    "threshold",
    "threshold_backward",
    "thresholded_relu",
    "thresholded_relu_backward",
    "ufuncs",
]

__version__: str
SIMD_LEVEL: str
_panics: np.ufunc
celu: np.ufunc
celu_backward: np.ufunc
elu: np.ufunc
elu_backward: np.ufunc
geglu: np.ufunc
geglu_backward_a: np.ufunc
geglu_backward_b: np.ufunc
gelu: np.ufunc
gelu_backward: np.ufunc
gelu_tanh: np.ufunc
gelu_tanh_backward: np.ufunc
glu: np.ufunc
glu_backward_a: np.ufunc
glu_backward_b: np.ufunc
hard_shrink: np.ufunc
hard_shrink_backward: np.ufunc
hard_sigmoid: np.ufunc
hard_sigmoid_backward: np.ufunc
hard_tanh: np.ufunc
hard_tanh_backward: np.ufunc
leaky_relu: np.ufunc
leaky_relu_backward: np.ufunc
log_softmax: np.ufunc
logsumexp: np.ufunc
prelu: np.ufunc
prelu_backward: np.ufunc
soft_shrink: np.ufunc
soft_shrink_backward: np.ufunc
softmax: np.ufunc
softmin: np.ufunc
softplus: np.ufunc
softplus_backward: np.ufunc
sparsemax: np.ufunc
squareplus: np.ufunc
squareplus_backward: np.ufunc
swiglu: np.ufunc
swiglu_backward_a: np.ufunc
swiglu_backward_b: np.ufunc
threshold: np.ufunc
threshold_backward: np.ufunc
thresholded_relu: np.ufunc
thresholded_relu_backward: np.ufunc
ufuncs: dict[str, np.ufunc]
axis_functions: dict[str, Callable[..., Any]]
backward_axis_functions: dict[str, Callable[..., Any]]
normalizations: dict[str, Callable[..., Any]]
backward_normalizations: dict[str, Callable[..., Any]]
backward_ufuncs: dict[str, np.ufunc]
parameters: dict[str, list[tuple[str, float | None]]]

def get_num_threads() -> int: ...
def set_num_threads(n: int, /) -> None: ...
def evaluate_loss(
    name: str,
    y_true: ArrayLike,
    y_pred: ArrayLike,
    sample_weight: ArrayLike | None,
    reduction: Reduction,
    /,
    *options: Any,
) -> Any: ...
def label_log_probabilities(
    y_true: ArrayLike, logits: ArrayLike, axis: int, temperature: float, ignore_class: int | None, /
) -> NDArray[Any]: ...
def above_threshold(y_pred: ArrayLike, threshold: float, from_logits: bool, /) -> NDArray[np.bool_]: ...
def label_ranks(labels: ArrayLike, scores: ArrayLike, /) -> NDArray[np.uint32]: ...
def array_statistics(
    x: ArrayLike, unit_axis: int | None, low: float, high: float, magnitudes: bool, /
) -> dict[str, Any]: ...

losses: dict[str, dict[str, Any]]

class Loss:
    def __new__(cls, name: str, reduction: Reduction, /, *options: Any) -> Self: ...
    def __call__(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        var: ArrayLike | None = None,
    ) -> Any: ...
    def value_and_grad(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: NDArray[Any] | None = None,
        var: ArrayLike | None = None,
    ) -> tuple[Any, NDArray[Any]]: ...
    def gradient_hessian(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        var: ArrayLike | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]: ...
    def metric(self) -> LossMetric: ...
    def __getattribute__(self, name: str, /) -> Any: ...
    def __getnewargs_ex__(self) -> tuple[tuple[()], dict[str, Any]]: ...

@final
class LossMetric:
    @property
    def count(self) -> int: ...
    def update_state(
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        var: ArrayLike | None = None,
    ) -> None: ...
    def merge_state(self, metrics: Iterable[LossMetric]) -> None: ...
    def result(self) -> np.float64: ...
    def reset_state(self) -> None: ...
    def to_bytes(self) -> bytes: ...
    @staticmethod
    def from_bytes(data: bytes) -> LossMetric: ...
    def __reduce__(self) -> tuple[Any, tuple[bytes]]: ...
