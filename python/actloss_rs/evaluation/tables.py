"""Metrics that are more than one number: by class, by size of the loss, by sample."""

import heapq
import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from actloss_rs.evaluation.sources import DataError
from actloss_rs.evaluation.sums import decoded, encoded
from actloss_rs.evaluation.task import Samples, Task
from actloss_rs.losses import LossMetric

MAX_CLASSES = 1000
"""Of a confusion matrix, which takes memory and a result of its square."""


class ConfusionMatrix:
    """How many samples of each class (row) were predicted as each class (column); weights are not used."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros((0, 0), np.int64)

    def update(self, samples: Samples) -> None:
        classes = samples.scores.shape[-1] if samples.task.over_classes else 2
        if classes > MAX_CLASSES:
            raise DataError(f"a confusion matrix is of at most {MAX_CLASSES} classes, these are {classes}")
        pairs = samples.labels.astype(np.intp) * classes + samples.predicted
        counts = np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)
        self._counts = self._counts + counts if self._counts.size else counts

    def merge(self, other: "ConfusionMatrix") -> None:
        if other._counts.size:
            self._counts = self._counts + other._counts if self._counts.size else other._counts

    def result(self) -> dict[str, Any]:
        return {"confusion_matrix": self._counts.tolist()}

    def state(self) -> Any:
        return self._counts.tolist()

    def restore(self, state: Any) -> None:
        self._counts = np.array(state, np.int64).reshape(len(state), -1)


FLAT = {"axis": -1, "ignore_class": None}
"""Options for samples that lie in rows, without the ignored ones."""


class PerClass:
    """The loss of each true class's samples alone."""

    def __init__(self, task: Task) -> None:
        self._loss = task.variant(**{key: value for key, value in FLAT.items() if key in task.options})
        self._metrics: dict[int, LossMetric] = {}

    def update(self, samples: Samples) -> None:
        labels = samples.labels.astype(np.intp)
        classes = samples.scores.shape[-1] if samples.task.over_classes else 2
        order = np.argsort(labels, kind="stable")
        bounds = np.searchsorted(labels[order], np.arange(classes + 1))
        for label in range(classes):
            of_class = order[bounds[label] : bounds[label + 1]]
            metric = self._metrics.setdefault(label, self._loss.metric())
            if len(of_class):
                weights = None if samples.weights is None else samples.weights[of_class]
                metric.update_state(samples.targets[of_class], samples.scores[of_class], weights)

    def merge(self, other: "PerClass") -> None:
        for label, metric in other._metrics.items():
            self._metrics.setdefault(label, self._loss.metric()).merge_state([metric])

    def result(self) -> dict[str, Any]:
        return {
            "per_class_loss": [
                {
                    "class": label,
                    "count": metric.count,
                    "loss": float(metric.result()) if metric.count else None,
                }
                for label, metric in sorted(self._metrics.items())
            ]
        }

    def state(self) -> Any:
        return [[label, encoded(metric)] for label, metric in sorted(self._metrics.items())]

    def restore(self, state: Any) -> None:
        self._metrics = {label: decoded(text) for label, text in state}


class LossHistogram:
    """How many samples have a loss of each size: bins of a quarter of an octave, by the bits of a number.

    Sign, exponent and the two leading bits of the significand are the bin, so its bounds are exact, are
    the same for all data, and span everything from 0 to infinity.
    """

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros(1 << 14, np.int64)

    def update(self, samples: Samples) -> None:
        values = samples.counted_losses + 0.0  # of the two zeros the positive one
        values[np.isnan(values)] = np.nan  # of the many NaNs one
        self._counts += np.bincount(values.view(np.uint64) >> np.uint64(50), minlength=1 << 14)

    def merge(self, other: "LossHistogram") -> None:
        self._counts += other._counts

    def result(self) -> dict[str, Any]:
        bins = []
        for code in np.flatnonzero(self._counts):
            least, bound = (np.array([code, code + 1], np.uint64) << np.uint64(50)).view(np.float64).tolist()
            if bound != bound or math.isinf(least):  # the bins of infinity and of NaN hold one value
                bound = least
            bins.append(
                {"from": min(least, bound), "to": max(least, bound), "count": int(self._counts[code])}
            )
        return {"loss_histogram": sorted(bins, key=lambda each: (each["from"] != each["from"], each["from"]))}

    def state(self) -> Any:
        return [[int(code), int(self._counts[code])] for code in np.flatnonzero(self._counts)]

    def restore(self, state: Any) -> None:
        self._counts[:] = 0
        for code, count in state:
            self._counts[code] = count


class Sample(NamedTuple):
    """A sample of large loss."""

    loss: float
    position: list[int]
    about: dict[str, Any]

    def order(self) -> tuple[float, list[int]]:
        """By loss, NaN before all, and of equal ones by place."""
        return (-np.inf if self.loss != self.loss else -self.loss), self.position


class Worst:
    """The samples of the largest loss, weights applied: NaN before all, and of equal ones the first."""

    def __init__(self, n: int) -> None:
        self._n = n
        self._worst: list[Sample] = []

    def update(self, samples: Samples) -> None:
        values = samples.losses
        flat = values.reshape(-1)
        rank = np.where(np.isnan(flat), np.inf, flat)
        some = np.arange(len(flat))
        if len(flat) > self._n:
            some = np.flatnonzero(rank >= -np.partition(-rank, self._n - 1)[self._n - 1])
        found = []
        for index in some[np.argsort(-rank[some], kind="stable")][: self._n]:
            position = [int(i) for i in np.unravel_index(index, values.shape)]
            about = samples.about(position)
            position[0] += samples.start
            found.append(Sample(float(flat[index]), position, about))
        self._keep(found)

    def _keep(self, found: list[Sample]) -> None:
        self._worst = heapq.nsmallest(self._n, [*self._worst, *found], key=Sample.order)

    def moved(self, rows: int) -> "Worst":
        """The same of samples that lie so many rows further on."""
        moved = Worst(self._n)
        for value, (row, *rest), about in self._worst:
            moved._worst.append(Sample(value, [row + rows, *rest], about))
        return moved

    def merge(self, other: "Worst") -> None:
        self._keep(other._worst)

    def result(self) -> dict[str, Any]:
        worst = [
            {"row": position[0], **({"position": position} if position[1:] else {}), "loss": value, **about}
            for value, position, about in self._worst
        ]
        return {"worst": worst}

    def state(self) -> Any:
        return [[value.hex(), position, about] for value, position, about in self._worst]

    def restore(self, state: Any) -> None:
        self._worst = [Sample(float.fromhex(text), position, about) for text, position, about in state]
