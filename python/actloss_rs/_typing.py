"""Types of the public objects that are made at run time."""

from collections.abc import Sequence
from typing import Any, Literal, Protocol, TypeAlias

from numpy.typing import ArrayLike, DTypeLike


class Activation(Protocol):
    """A NumPy ufunc of one array."""

    @property
    def __name__(self) -> str: ...

    def __call__(
        self,
        x: ArrayLike,
        /,
        out: Any = None,
        *,
        where: ArrayLike = True,
        casting: Literal["no", "equiv", "safe", "same_kind", "unsafe"] = "same_kind",
        order: Literal["K", "A", "C", "F"] = "K",
        dtype: DTypeLike | None = None,
        subok: bool = True,
        signature: str | Sequence[DTypeLike | None] | None = None,
    ) -> Any: ...


class Gradient(Protocol):
    """A NumPy ufunc of the upstream gradient and the array."""

    @property
    def __name__(self) -> str: ...

    def __call__(
        self,
        dy: ArrayLike,
        x: ArrayLike,
        /,
        out: Any = None,
        *,
        where: ArrayLike = True,
        casting: Literal["no", "equiv", "safe", "same_kind", "unsafe"] = "same_kind",
        order: Literal["K", "A", "C", "F"] = "K",
        dtype: DTypeLike | None = None,
        subok: bool = True,
        signature: str | Sequence[DTypeLike | None] | None = None,
    ) -> Any: ...


Reduction: TypeAlias = Literal["mean"] | Literal["sum"] | Literal["sum_over_batch_size"] | Literal["none"]
"""How a loss reduces its per-sample values. (A union, since stubtest takes a Literal of several for one.)"""
