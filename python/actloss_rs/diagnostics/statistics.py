"""Statistics of one array, taken in one pass."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actloss_rs._core import array_statistics

Saturation = Literal["sigmoid", "tanh"] | tuple[float, float] | None

SATURATION_BOUNDS = {"sigmoid": (0.01, 0.99), "tanh": (-0.98, 0.98)}
"""Where the derivative, y (1 - y) or 1 - y^2, is below 4 % of what it is at 0: hardly any gradient passes."""

_EXPONENTS = 256
_SMALLEST = 40
"""Binades below the largest that a histogram tells apart; all that is smaller is one bin around 0."""


@dataclass(frozen=True, slots=True)
class ArrayStatistics:
    """What is known of an array's elements."""

    count: int
    zeros: int
    nan: int
    infinite: int
    saturated: int
    """Elements at or beyond the bounds of saturation."""
    units: int
    live_units: int
    """Units that are not 0 for the whole batch."""
    min: float
    max: float
    """Of all elements but NaN; NaN if there are none."""
    mean: float
    """To within 1e-13 of the mean magnitude; the same bits for any layout and number of threads."""
    rms: float
    """To within 1e-13 of itself, likewise."""
    magnitudes: NDArray[np.int64] | None = None
    """How many elements have which sign and exponent; see `histogram`."""

    @property
    def zero_fraction(self) -> float:
        """The share of elements that are exactly 0."""
        return _share(self.zeros, self.count)

    @property
    def dead_fraction(self) -> float:
        """The share of units that are 0 for the whole batch."""
        return _share(self.units - self.live_units, self.units)

    @property
    def saturated_fraction(self) -> float:
        """The share of elements at or beyond the bounds of saturation."""
        return _share(self.saturated, self.count)

    @property
    def not_finite(self) -> int:
        """Elements that are infinite or NaN."""
        return self.nan + self.infinite

    @property
    def max_abs(self) -> float:
        """The largest magnitude."""
        return max(abs(self.min), abs(self.max))

    def histogram(self) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Edges, in rising order, and counts between them, in binades; without NaN and infinities.

        Needs ``statistics(..., magnitudes=True)``.
        """
        if self.magnitudes is None:
            raise ValueError("the statistics were taken without magnitudes=True")
        positive = self.magnitudes[: _EXPONENTS - 1]
        negative = self.magnitudes[_EXPONENTS : 2 * _EXPONENTS - 1]
        seen = np.flatnonzero(positive + negative)
        largest = int(seen[-1]) if seen.size else 0
        lowest = max(largest - _SMALLEST, 0)
        powers = np.ldexp(1.0, np.arange(lowest + 1, largest + 2) - 127)
        near_zero = positive[: lowest + 1].sum() + negative[: lowest + 1].sum()
        edges = np.concatenate([-powers[::-1], powers])
        above = slice(lowest + 1, largest + 1)
        counts = np.concatenate([negative[above][::-1], [near_zero], positive[above]])
        return edges, counts


def statistics(
    x: ArrayLike, *, unit_axis: int | None = -1, saturation: Saturation = None, magnitudes: bool = False
) -> ArrayStatistics:
    """The statistics of an array.

    Args:
        x: Any array of numbers.
        unit_axis: The axis of the units; a unit that is 0 along all others is dead. None: one unit.
        saturation: The activation whose output this is, or the bounds at and beyond which an element is
            saturated.
        magnitudes: Whether to count elements by sign and exponent, for a histogram.

    >>> import numpy as np
    >>> from actloss_rs.diagnostics import statistics
    >>> found = statistics(np.array([[0.0, 3.0], [0.0, -4.0]]))
    >>> found.dead_fraction, found.mean, found.max_abs
    (0.5, -0.25, 4.0)
    """
    bounds = SATURATION_BOUNDS[saturation] if isinstance(saturation, str) else saturation
    low, high = bounds or (-np.inf, np.inf)
    found = array_statistics(x, unit_axis, low, high, magnitudes)
    if bounds is None:
        found["saturated"] = 0
    if magnitudes:
        found["magnitudes"] = np.array(found["magnitudes"], dtype=np.int64)
    return ArrayStatistics(**found)


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 0.0
