"""What metrics are made of: exact sums and shares that merge, and their state as text."""

from base64 import b64decode, b64encode
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from actloss_rs.evaluation.sources import Array
from actloss_rs.evaluation.task import Samples
from actloss_rs.losses import LossMetric, MeanSquaredError


class Metric(Protocol):
    """A figure of the data, by the samples it has seen."""

    def update(self, samples: Samples) -> None: ...

    def merge(self, other: Self) -> None: ...

    def result(self) -> dict[str, Any]: ...

    def state(self) -> Any:
        """The state in terms that JSON has."""

    def restore(self, state: Any) -> None:
        """The inverse of `state`."""


def encoded(metric: LossMetric) -> str:
    """The bytes of a loss metric, as text."""
    return b64encode(metric.to_bytes()).decode("ascii")


def decoded(text: str) -> LossMetric:
    """The inverse of `encoded`."""
    return LossMetric.from_bytes(b64decode(text, validate=True))


class Sum:
    """The exact sum of numbers that are not negative."""

    def __init__(self) -> None:
        self._metric = MeanSquaredError(reduction="sum").metric()

    def update(self, numbers: Array) -> None:
        # As weights of ones, which a loss adds up exactly.
        self._metric.update_state(0.0, np.ones(len(numbers)), numbers)

    def merge(self, other: "Sum") -> None:
        self._metric.merge_state([other._metric])

    def result(self) -> float:
        return float(self._metric.result())

    def state(self) -> Any:
        return encoded(self._metric)

    def restore(self, state: Any) -> None:
        self._metric = decoded(state)


class Share:
    """The share of samples that a test holds for, by weight where there are weights."""

    def __init__(self) -> None:
        self._hits = self._count = 0
        self._weighted: LossMetric | None = None

    def update(self, hit: NDArray[np.bool_], weights: Array | None) -> None:
        self._hits += int(np.count_nonzero(hit))
        self._count += len(hit)
        if weights is not None:
            self._weighted = self._weighted or MeanSquaredError().metric()
            self._weighted.update_state(0.0, hit.astype(np.float64), weights)

    def merge(self, other: "Share") -> None:
        self._hits += other._hits
        self._count += other._count
        if other._weighted is not None:
            self._weighted = self._weighted or MeanSquaredError().metric()
            self._weighted.merge_state([other._weighted])

    def result(self) -> float:
        if self._weighted is not None:
            return float(self._weighted.result())
        return self._hits / self._count if self._count else float("nan")

    def state(self) -> Any:
        return [self._hits, self._count, None if self._weighted is None else encoded(self._weighted)]

    def restore(self, state: Any) -> None:
        self._hits, self._count, weighted = state
        self._weighted = None if weighted is None else decoded(weighted)
