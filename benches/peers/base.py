"""What all peers have in common."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import version
from typing import Any, ClassVar

import numpy as np

Call = Callable[[], Any]


class Peer:
    """A library. Making one imports it and sets its threads; an ImportError says that it is not installed."""

    name: ClassVar[str]
    package: ClassVar[str]

    def __init__(self, threads: int) -> None:
        pass

    def version(self) -> str:
        return version(self.package)

    def to_numpy(self, result: Any) -> np.ndarray:
        """A result, to be compared with the others'."""
        return np.asarray(result, dtype=np.float64)
