"""THE rows: which operation, on which shape and dtype, and what the memory alone would cost."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np

ELEMENTWISE = ["exp", "relu", "sigmoid", "tanh", "gelu", "gelu_tanh", "silu", "softplus", "log_sigmoid"]

# How often an operation must copy or read an array of x's size: the limit that memory sets.
TRAFFIC: dict[str, dict[str, int]] = {
    **{operation: {"copy": 1} for operation in ELEMENTWISE},
    "softmax": {"copy": 1},
    "log_softmax": {"copy": 1},
    "logsumexp": {"read": 1},
    "sparse_ce": {"read": 1},
    "sparse_ce_grad": {"copy": 1},
    "dense_ce": {"read": 2},
    "bce": {"read": 2},
    "bce_grad": {"copy": 1, "read": 1},
    "mse": {"read": 2},
    "batch_norm": {"copy": 1, "read": 1},
    "layer_norm": {"copy": 1},
    "rms_norm": {"copy": 1},
    "global_norm": {"read": 1},
}
SIZES = [(10_000,), (1_000_000,), (16_000_000,)]
SHAPES = [(8192, 10), (4096, 100), (4096, 1000), (256, 32000), (64, 128256)]
NARROW_AND_WIDE = ["float64", "float16", "bfloat16"]


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    operation: str
    shape: tuple[int, ...]
    dtype: str = "float32"
    axis: int = -1
    in_place: bool = False
    spread: float = 3.0

    @property
    def name(self) -> str:
        words = [self.operation, "x".join(map(str, self.shape))]
        words += [self.dtype] if self.dtype != "float32" else []
        words += [f"axis={self.axis}"] if self.axis != -1 else []
        words += ["in place"] if self.in_place else []
        words += [f"N(0,{self.spread:g})"] if self.spread != 3.0 else []
        return " ".join(words)

    @property
    def traffic(self) -> dict[str, int]:
        return TRAFFIC[self.operation]

    @property
    def bytes(self) -> int:
        """Of the arrays read and written."""
        itemsize = {"float64": 8, "float32": 4}.get(self.dtype, 2)
        arrays = self.traffic.get("read", 0) + (2 - self.in_place) * self.traffic.get("copy", 0)
        return math.prod(self.shape) * itemsize * arrays


ROWS = [
    *(Row(operation, shape) for operation in ELEMENTWISE for shape in SIZES),
    *(Row(operation, shape) for operation in TRAFFIC if operation not in ELEMENTWISE for shape in SHAPES),
    *(Row(operation, (1_000_000,), spread=10.0) for operation in ["sigmoid", "tanh", "gelu", "silu"]),
    *(
        Row(operation, shape, dtype)
        for dtype in NARROW_AND_WIDE
        for operation, shape in [
            ("sigmoid", (1_000_000,)),
            ("silu", (1_000_000,)),
            ("softmax", (4096, 1000)),
            ("sparse_ce", (4096, 1000)),
        ]
    ),
    Row("softmax", (10, 8192), axis=0),
    Row("softmax", (1000, 4096), axis=0),
    Row("softmax", (8192, 10), in_place=True),
    Row("softmax", (4096, 1000), in_place=True),
]


class Problem:
    """The arrays of a row, made when asked for: the same for every peer."""

    def __init__(self, row: Row) -> None:
        self.row = row
        self.axis, self.in_place = row.axis, row.in_place
        self.shape = row.shape
        self._random = np.random.default_rng(2024)

    @cached_property
    def dtype(self) -> np.dtype:
        if self.row.dtype == "bfloat16":
            import ml_dtypes

            return np.dtype(ml_dtypes.bfloat16)
        return np.dtype(self.row.dtype)

    @cached_property
    def x(self) -> np.ndarray:
        """Inputs, logits, predictions."""
        normal = self._random.standard_normal(self.shape, dtype=np.float32)
        return (normal * np.float32(self.row.spread)).astype(self.dtype)

    @cached_property
    def class_ids(self) -> np.ndarray:
        return self._random.integers(0, self.shape[-1], self.shape[0])

    @cached_property
    def targets(self) -> np.ndarray:
        """What `x` is compared with, element by element."""
        operation = self.row.operation
        uniform = self._random.random(self.shape, dtype=np.float32)
        if operation == "dense_ce":
            uniform /= uniform.sum(-1, keepdims=True)
        elif operation.startswith("bce"):
            uniform = np.round(uniform)
        return uniform.astype(self.dtype)

    def empty(self) -> np.ndarray:
        """Where to write a result of the shape of `x`."""
        out = np.empty(self.shape, self.dtype)
        out.view(np.uint8).fill(1)  # no page faults while timing
        return out
