"""Figures taken in the same pass as the loss: exact, and mergeable over any split of the data.

Counts are integers and sums are those of the losses, exact whatever their order, so a metric's state
depends on which samples it saw and on nothing else. Each publishes its figures under keys of its own.
"""

import heapq
import re
from base64 import b64decode, b64encode
from collections.abc import Iterable
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

import actloss_rs as al
from actloss_rs import losses
from actloss_rs.evaluation.sources import Array
from actloss_rs.evaluation.task import Samples, Task, loss_options
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


class TopK:
    """The share of samples whose label is among the k largest scores; "accuracy" for k = 1."""

    def __init__(self, k: int = 1) -> None:
        self._k = k
        self._share = Share()

    def update(self, samples: Samples) -> None:
        self._share.update(samples.correct if self._k == 1 else samples.within(self._k), samples.weights)

    def merge(self, other: "TopK") -> None:
        self._share.merge(other._share)

    def result(self) -> dict[str, Any]:
        return {"accuracy" if self._k == 1 else f"top_{self._k}_accuracy": self._share.result()}

    def state(self) -> Any:
        return self._share.state()

    def restore(self, state: Any) -> None:
        self._share.restore(state)


KEPT = ("from_logits", "axis", "ignore_class", "temperature")
"""Options of the loss that say what is predicted, not how it is judged."""


class Perplexity:
    """exp of the mean cross-entropy, without smoothing, class weights or auxiliary terms."""

    def __init__(self, task: Task, of_loss: LossMetric) -> None:
        name = "SparseCategoricalCrossentropy" if task.kind == "class ids" else "CategoricalCrossentropy"
        kept = {key: task.options[key] for key in KEPT if key in task.options}
        loss = getattr(losses, name)(**kept)
        # Where the loss is that cross-entropy already, its metric is read and not fed twice.
        self._shared = name == type(task.loss).__name__ and loss_options(loss) == dict(task.options)
        self._metric = of_loss if self._shared else loss.metric()

    def update(self, samples: Samples) -> None:
        if not self._shared:
            self._metric.update_state(samples.y_true, samples.y_pred, samples.sample_weight)

    def merge(self, other: "Perplexity") -> None:
        if not self._shared:
            self._metric.merge_state([other._metric])

    def result(self) -> dict[str, Any]:
        return {"perplexity": float(al.exp(self._metric.result()))}

    def state(self) -> Any:
        return None if self._shared else encoded(self._metric)

    def restore(self, state: Any) -> None:
        if not self._shared:
            self._metric = decoded(state)


class Brier:
    """The mean squared distance of the probabilities from the truth, summed over the classes."""

    def __init__(self) -> None:
        self._classes = 1
        self._metric = MeanSquaredError().metric()

    def update(self, samples: Samples) -> None:
        p = samples.probabilities.astype(np.float64)
        if samples.task.over_classes:
            self._classes = p.shape[-1]
        if samples.task.kind == "class ids":
            truth: Array = np.zeros(p.shape)
            truth[np.arange(len(p)), samples.labels.astype(np.intp)] = 1
        else:
            truth = samples.targets.reshape(p.shape)
        self._metric.update_state(truth, p, samples.weights)

    def merge(self, other: "Brier") -> None:
        self._classes = max(self._classes, other._classes)
        self._metric.merge_state([other._metric])

    def result(self) -> dict[str, Any]:
        return {"brier": float(self._metric.result()) * self._classes}

    def state(self) -> Any:
        return [self._classes, encoded(self._metric)]

    def restore(self, state: Any) -> None:
        self._classes = state[0]
        self._metric = decoded(state[1])


class Calibration:
    """Expected calibration error over bins of equal width of the predicted class's probability.

    A bin holds its upper bound and not its lower one. For decisions the probability is that of a yes, and
    the share of yes stands against it.
    """

    def __init__(self, bins: int = 15) -> None:
        self._counts = [0] * bins
        self._weights = [Sum() for _ in range(bins)]
        self._confidences = [Sum() for _ in range(bins)]
        self._hits = [Sum() for _ in range(bins)]

    def update(self, samples: Samples) -> None:
        over_classes = samples.task.over_classes
        confidence = samples.probabilities.max(axis=-1) if over_classes else samples.probabilities
        confidence = confidence.astype(np.float64)
        hit = samples.correct if over_classes else samples.labels
        weights = np.ones(len(hit)) if samples.weights is None else samples.weights
        last = len(self._counts) - 1
        upper = np.nan_to_num(np.ceil(confidence * len(self._counts)) - 1, nan=last)
        bins = np.clip(upper, 0, last).astype(np.intp)
        for index in np.unique(bins):
            inside = bins == index
            self._counts[index] += int(np.count_nonzero(inside))
            self._weights[index].update(weights[inside])
            self._confidences[index].update(confidence[inside] * weights[inside])
            self._hits[index].update(hit[inside] * weights[inside])

    def _sums(self) -> Iterable[tuple[Sum, Sum, Sum]]:
        return zip(self._weights, self._confidences, self._hits, strict=True)

    def merge(self, other: "Calibration") -> None:
        self._counts = [a + b for a, b in zip(self._counts, other._counts, strict=True)]
        for mine, theirs in zip(self._sums(), other._sums(), strict=True):
            for a, b in zip(mine, theirs, strict=True):
                a.merge(b)

    def result(self) -> dict[str, Any]:
        bins: list[dict[str, Any]] = []
        gap = total = 0.0
        for index, (weight, confidence, hit) in enumerate(
            (a.result(), b.result(), c.result()) for a, b, c in self._sums()
        ):
            gap += abs(confidence - hit)
            total += weight
            bins.append(
                {
                    "above": index / len(self._counts),
                    "up_to": (index + 1) / len(self._counts),
                    "count": self._counts[index],
                    "confidence": confidence / weight if weight else None,
                    "accuracy": hit / weight if weight else None,
                }
            )
        return {"ece": gap / total if total else float("nan"), "reliability": bins}

    def state(self) -> Any:
        return [self._counts, [[s.state() for s in sums] for sums in self._sums()]]

    def restore(self, state: Any) -> None:
        self._counts = state[0]
        for sums, texts in zip(self._sums(), state[1], strict=True):
            for each, text in zip(sums, texts, strict=True):
                each.restore(text)


class ConfusionMatrix:
    """How many samples of each class (row) were predicted as each class (column); weights are not used."""

    def __init__(self) -> None:
        self._counts: NDArray[np.int64] = np.zeros((0, 0), np.int64)

    def update(self, samples: Samples) -> None:
        classes = samples.scores.shape[-1] if samples.task.over_classes else 2
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


class Worst:
    """The samples of the largest loss, weights applied: NaN before all, and of equal ones the first."""

    def __init__(self, task: Task, n: int) -> None:
        self._loss = task.variant(reduction="none")
        self._n = n
        self._worst: list[tuple[float, float, list[int]]] = []

    def update(self, samples: Samples) -> None:
        values = np.asarray(self._loss(samples.y_true, samples.y_pred, samples.sample_weight), np.float64)
        flat = values.reshape(-1)
        rank = np.where(np.isnan(flat), np.inf, flat)
        some = np.arange(len(flat))
        if len(flat) > self._n:
            some = np.flatnonzero(rank >= -np.partition(-rank, self._n - 1)[self._n - 1])
        found = []
        for index in some[np.argsort(-rank[some], kind="stable")][: self._n]:
            row, *rest = (int(i) for i in np.unravel_index(index, values.shape))
            found.append((-float(rank[index]), float(flat[index]), [samples.start + row, *rest]))
        self._keep(found)

    def _keep(self, found: list[tuple[float, float, list[int]]]) -> None:
        self._worst = heapq.nsmallest(self._n, [*self._worst, *found], key=lambda entry: (entry[0], entry[2]))

    def merge(self, other: "Worst") -> None:
        self._keep(other._worst)

    def result(self) -> dict[str, Any]:
        worst = [
            {"row": position[0], **({"position": position} if position[1:] else {}), "loss": value}
            for _, value, position in self._worst
        ]
        return {"worst": worst}

    def state(self) -> Any:
        return [[float(value).hex(), position] for _, value, position in self._worst]

    def restore(self, state: Any) -> None:
        entries = [(float.fromhex(text), list(map(int, position))) for text, position in state]
        self._worst = [
            (-np.inf if value != value else -value, value, position) for value, position in entries
        ]


METRICS = "accuracy, top_K_accuracy, perplexity, brier, ece, confusion_matrix, per_class_loss, worst_N"
"""The names a user may give, K and N being numbers."""


def usual_metrics(task: Task, classes: int | None) -> list[str]:
    """Those that a loss comes with."""
    if task.kind == "values":
        return []
    names = ["accuracy"]
    if task.over_classes and classes is not None and classes > 5:
        names.append("top_5_accuracy")
    if task.over_classes and task.probabilistic:
        names.append("perplexity")
    return names


def make_metric(name: str, task: Task, of_loss: LossMetric) -> Metric:
    """The metric of a name; ValueError where it makes no sense for the loss."""
    top, worst = re.fullmatch(r"top_([1-9]\d*)_accuracy", name), re.fullmatch(r"worst_([1-9]\d*)", name)
    if worst:
        return Worst(task, int(worst[1]))
    if name == "accuracy" and task.kind != "values":
        return TopK()
    if top and task.over_classes:
        return TopK(int(top[1]))
    if name == "perplexity" and task.over_classes and task.probabilistic:
        return Perplexity(task, of_loss)
    if name == "brier" and task.probabilistic:
        return Brier()
    if name == "ece" and task.probabilistic:
        return Calibration()
    if name == "confusion_matrix" and task.kind != "values":
        return ConfusionMatrix()
    if name == "per_class_loss" and task.kind != "values":
        return PerClass(task)
    known = top or name in METRICS.split(", ")
    raise ValueError(
        f"metric {name!r} makes no sense for {task.name}"
        if known
        else f"unknown metric {name!r}; known: {METRICS}"
    )
