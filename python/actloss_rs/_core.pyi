import numpy as np

__all__ = [
    "SIMD_LEVEL",
    "__version__",
    "_panics",
    "backward_ufuncs",
    "get_num_threads",
    "parameters",
    "set_num_threads",
    "ufuncs",
]

__version__: str
SIMD_LEVEL: str
_panics: np.ufunc
ufuncs: dict[str, np.ufunc]
backward_ufuncs: dict[str, np.ufunc]
parameters: dict[str, list[tuple[str, float | None]]]

def get_num_threads() -> int: ...
def set_num_threads(n: int, /) -> None: ...
