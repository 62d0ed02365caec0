"""What a loss says about its data: classes along an axis, yes or no, or plain numbers."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from inspect import signature
from typing import Any

import numpy as np
from numpy.typing import NDArray

import actloss_rs as al
from actloss_rs import losses
from actloss_rs._core import label_ranks
from actloss_rs.evaluation.sources import Array

KINDS: Mapping[str, str] = {
    "sparse_categorical_crossentropy": "class ids",
    "multi_margin": "class ids",
    "categorical_crossentropy": "class distributions",
    "categorical_focal_crossentropy": "class distributions",
    "categorical_hinge": "class distributions",
    "kl_divergence": "class distributions",
    "binary_crossentropy": "decisions",
    "binary_focal_crossentropy": "decisions",
    "hinge": "decisions",
    "squared_hinge": "decisions",
    "soft_margin": "decisions",
}
"""What y_true holds, by loss: "values" for the others, of which no metric but the loss is known."""

OF_THREE_ARRAYS = {"gaussian_nll"}
"""Losses that evaluation has no third array for."""

SCORES = {"hinge", "squared_hinge", "soft_margin", "categorical_hinge", "multi_margin"}
"""Losses of scores, which are neither probabilities nor logits."""


def loss_name(cls: type[Any]) -> str:
    """The name of the function that goes with a loss class."""
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__).lower()


def loss_options(loss: Any) -> dict[str, Any]:
    """The options that a loss object was made with."""
    return {name: getattr(loss, name) for name in signature(type(loss)).parameters}


def loss_classes() -> dict[str, type[Any]]:
    """Every loss class that can be evaluated, by its function's name."""
    public = [getattr(losses, name) for name in losses.__all__]
    classes = [cls for cls in public if isinstance(cls, type) and issubclass(cls, losses.Loss)]
    named = {loss_name(cls): cls for cls in classes if cls is not losses.Loss}
    return {name: cls for name, cls in named.items() if name not in OF_THREE_ARRAYS}


def check_arrays(name: str) -> None:
    """Refuse a loss of more than y_true and y_pred."""
    if name in OF_THREE_ARRAYS:
        raise ValueError(
            f"{name} takes a third array, which evaluation does not read: use the loss's own metric(), whose "
            "update_state takes one block after the other"
        )


@dataclass(frozen=True)
class Task:
    """A loss, and how to read its two arrays."""

    loss: Any
    name: str
    kind: str
    options: Mapping[str, Any]

    @classmethod
    def of(cls, loss: Any) -> "Task":
        name = loss_name(type(loss))
        check_arrays(name)
        return cls(loss, name, KINDS.get(name, "values"), loss_options(loss))

    @property
    def over_classes(self) -> bool:
        return self.kind in ("class ids", "class distributions")

    @property
    def from_logits(self) -> bool:
        return bool(self.options.get("from_logits", False))

    @property
    def probabilistic(self) -> bool:
        return self.kind != "values" and self.name not in SCORES

    @property
    def axis(self) -> int:
        return int(self.options.get("axis", -1))

    def variant(self, **options: Any) -> Any:
        """The same loss with other options."""
        return type(self.loss)(**{**self.options, **options})


class Samples:
    """The counted samples of one block of rows, as rows of a matrix: what metrics are updated with.

    Ignored classes are left out; axes before the class axis are flattened.
    """

    def __init__(
        self, task: Task, start: int, y_true: Array, y_pred: Array, sample_weight: Array | None
    ) -> None:
        self.task = task
        self.start = start
        self.y_true, self.y_pred, self.sample_weight = y_true, y_pred, sample_weight

    @cached_property
    def _shape(self) -> tuple[int, ...]:
        """The shape of the "none" values."""
        if not self.task.over_classes:
            return self.y_pred.shape
        axis = self.task.axis % self.y_pred.ndim
        return self.y_pred.shape[:axis] + self.y_pred.shape[axis + 1 :]

    @cached_property
    def _counted(self) -> NDArray[np.bool_] | None:
        """Which samples count; None for all."""
        ignored = self.task.options.get("ignore_class")
        return None if ignored is None else self.y_true.reshape(-1) != ignored

    def _kept(self, values: Array) -> Array:
        return values if self._counted is None else values[self._counted]

    @cached_property
    def scores(self) -> Array:
        """One row of class scores per sample, or one score each for decisions."""
        scores = self.y_pred
        if self.task.over_classes:
            scores = np.moveaxis(scores, self.task.axis, -1).reshape(-1, scores.shape[self.task.axis])
        else:
            scores = scores.reshape(-1)
        # NumPy searches 16-bit floats one by one; they are exact in float32.
        return self._kept(scores.astype(np.float32) if scores.dtype.itemsize == 2 else scores)

    @cached_property
    def targets(self) -> Array:
        """y_true with one entry or row per sample."""
        targets = self.y_true
        if self.task.kind == "class distributions":
            targets = np.moveaxis(targets, self.task.axis, -1).reshape(-1, targets.shape[self.task.axis])
        else:
            targets = targets.reshape(-1)
        return self._kept(targets)

    @cached_property
    def labels(self) -> Array:
        """The true class of each sample, the first of the likeliest; for decisions, whether it is a yes."""
        if self.task.kind == "class distributions":
            return np.asarray(self.targets.argmax(axis=-1))
        if self.task.kind == "class ids":
            return self.targets
        return np.asarray(self.targets > (0.5 if self.task.probabilistic else 0))

    @cached_property
    def weights(self) -> Array | None:
        """One weight per sample; None without weights."""
        if self.sample_weight is None:
            return None
        weights = self.sample_weight.astype(np.float64)
        weights = weights.reshape(weights.shape + (1,) * (len(self._shape) - weights.ndim))
        return self._kept(np.broadcast_to(weights, self._shape).reshape(-1))

    @cached_property
    def predicted(self) -> Array:
        """The predicted class of each sample, the first of the largest scores; for decisions, yes or no."""
        if self.task.over_classes:
            return np.asarray(self.scores.argmax(axis=-1))
        zero = 0.5 if self.task.probabilistic and not self.task.from_logits else 0
        return np.asarray(self.scores > zero)

    @cached_property
    def ranks(self) -> Array:
        """How many classes are ahead of the label: of larger scores, of equal ones the first, and NaN."""
        labels, scores = self.y_true, np.moveaxis(self.y_pred, self.task.axis, -1)
        if self.task.kind == "class distributions":
            labels = np.moveaxis(labels, self.task.axis, -1).argmax(axis=-1)
        return self._kept(label_ranks(labels.reshape(scores.shape[:-1]), scores).reshape(-1))

    @cached_property
    def correct(self) -> NDArray[np.bool_]:
        """Whether the label is the predicted class; a NaN among the scores never is."""
        if self.task.over_classes:
            return self.within(1)
        return np.asarray((self.predicted == self.labels) & (self.scores == self.scores))

    def within(self, k: int) -> NDArray[np.bool_]:
        """Whether the label is among the k largest scores."""
        return np.asarray(self.ranks < k)

    @cached_property
    def losses(self) -> Array:
        """The "none" values, weights applied, in the shape that the loss gives them."""
        loss = self.task.variant(reduction="none")
        return np.asarray(loss(self.y_true, self.y_pred, self.sample_weight), np.float64)

    @property
    def counted_losses(self) -> Array:
        """Those of the counted samples."""
        return self._kept(self.losses.reshape(-1))

    def about(self, position: Sequence[int]) -> dict[str, Any]:
        """The label and the predicted class of the sample at this position of the "none" values."""
        if self.task.kind == "values":
            return {}
        at = tuple(position)
        if not self.task.over_classes:
            one = Samples(self.task, 0, self.y_true[at].reshape(1), self.y_pred[at].reshape(1), None)
            return {"label": bool(one.labels[0]), "predicted": bool(one.predicted[0])}
        axis = self.task.axis % self.y_pred.ndim
        label = (
            self.y_true.reshape(self._shape)[at]
            if self.task.kind == "class ids"
            else (np.moveaxis(self.y_true, axis, -1)[at].argmax())
        )
        return {"label": int(label), "predicted": int(np.moveaxis(self.y_pred, axis, -1)[at].argmax())}

    @cached_property
    def probabilities(self) -> Array:
        """Class probabilities of each sample; for decisions, of a yes."""
        if not self.task.from_logits:
            return self.scores
        if not self.task.over_classes:
            return np.asarray(al.sigmoid(self.scores))
        temperature = self.task.options.get("temperature", 1.0)
        return np.asarray(al.softmax(self.scores if temperature == 1 else self.scores / temperature))
