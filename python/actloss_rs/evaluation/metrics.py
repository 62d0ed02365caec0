"""Figures taken in the same pass as the loss: exact, and mergeable over any split of the data.

Counts are integers and sums are those of the losses, exact whatever their order, so a metric's state
depends on which samples it saw and on nothing else. Each publishes its figures under keys of its own.
"""

import re
from collections.abc import Iterable
from inspect import signature
from typing import Any

import numpy as np

import actloss_rs as al
from actloss_rs import losses
from actloss_rs.evaluation.sources import Array, DataError
from actloss_rs.evaluation.sums import Metric, Share, Sum, decoded, encoded
from actloss_rs.evaluation.tables import MAX_CLASSES, ConfusionMatrix, LossHistogram, PerClass, Worst
from actloss_rs.evaluation.task import KINDS, Samples, Task, loss_classes, loss_options
from actloss_rs.losses import LossMetric, MeanSquaredError


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


METRICS = (
    "accuracy, top_K_accuracy, perplexity, brier, ece, "
    "confusion_matrix, per_class_loss, loss_histogram, worst_N, all"
)
"""The names a user may give, K and N being numbers; besides them, those of losses, and "all"."""


class OtherLoss:
    """Another loss of the same arrays, with those options of the first that say how to read them."""

    def __init__(self, name: str, task: Task) -> None:
        kind = KINDS.get(name, "values")
        if name == task.name or (kind != task.kind and {kind, task.kind} != {"decisions", "values"}):
            raise ValueError(f"metric {name!r} makes no sense for {task.name}")
        cls = loss_classes()[name]
        known = signature(cls).parameters
        shared = (*KEPT, "class_weight")
        self._name = name
        self._metric = cls(
            **{key: task.options[key] for key in shared if key in task.options and key in known}
        ).metric()

    def update(self, samples: Samples) -> None:
        try:
            self._metric.update_state(samples.y_true, samples.y_pred, samples.sample_weight)
        except (ValueError, TypeError) as error:
            raise DataError(f"{self._name}: {error}") from error

    def merge(self, other: "OtherLoss") -> None:
        self._metric.merge_state([other._metric])

    def result(self) -> dict[str, Any]:
        return {self._name: float(self._metric.result())}

    def state(self) -> Any:
        return encoded(self._metric)

    def restore(self, state: Any) -> None:
        self._metric = decoded(state)


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


def scalar_metrics(task: Task) -> list[str]:
    """Those of "all" that are one number each, or nearly so."""
    return ["brier", "ece"] if task.probabilistic else []


def all_metrics(task: Task, classes: int | None) -> list[str]:
    """What "all" stands for: every figure that makes sense, but for other losses."""
    names = scalar_metrics(task)
    if task.kind != "values" and (classes or 2) <= MAX_CLASSES:
        names += ["confusion_matrix", "per_class_loss"]
    return [*names, "loss_histogram", "worst_20"]


def chosen_metrics(asked: Iterable[str], task: Task, classes: int | None) -> list[str]:
    """The usual ones and those that were asked for, each once."""
    names = usual_metrics(task, classes)
    for name in asked:
        names += all_metrics(task, classes) if name == "all" else [name]
    return list(dict.fromkeys(names))


def make_metric(name: str, task: Task, of_loss: LossMetric) -> Metric:
    """The metric of a name; ValueError where it makes no sense for the loss."""
    top, worst = re.fullmatch(r"top_([1-9]\d*)_accuracy", name), re.fullmatch(r"worst_([1-9]\d*)", name)
    if worst:
        return Worst(int(worst[1]))
    if name == "loss_histogram":
        return LossHistogram()
    if name in loss_classes():
        return OtherLoss(name, task)
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
