# Written by scripts/write_stubs.py from the definitions: do not edit.
from collections.abc import Iterable, Sequence
from typing import Any

from numpy.typing import ArrayLike, NDArray

__all__ = ["batch_norm", "clip_by_global_norm", "global_norm", "layer_norm", "rms_norm"]

def batch_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    *,
    running_mean: ArrayLike | None = None,
    running_var: ArrayLike | None = None,
    training: bool = False,
    momentum: float = 0.1,
    epsilon: float = 1e-05,
    axis: int | tuple[int, ...] | None = -1,
    out: NDArray[Any] | None = None,
) -> Any: ...
def clip_by_global_norm(
    arrays: Iterable[ArrayLike], max_norm: float, *, out: Sequence[NDArray[Any]] | None = None
) -> Any: ...
def global_norm(arrays: Iterable[ArrayLike], /) -> Any: ...
def layer_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    beta: ArrayLike | None = None,
    axis: int | tuple[int, ...] | None = -1,
    *,
    epsilon: float = 1e-05,
    out: NDArray[Any] | None = None,
) -> Any: ...
def rms_norm(
    x: ArrayLike,
    gamma: ArrayLike | None = None,
    axis: int | tuple[int, ...] | None = -1,
    *,
    epsilon: float = 1e-06,
    out: NDArray[Any] | None = None,
) -> Any: ...
