"""The state of an evaluation: a loss and its metrics over the rows seen so far, in all and by group.

Exact, so that it does not depend on where blocks end nor on the order of merges: not on the block size,
nor on a stop and a resume, nor on how many machines had a part.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from actloss_rs.evaluation.blocks import Block
from actloss_rs.evaluation.metrics import chosen_metrics, make_metric, scalar_metrics
from actloss_rs.evaluation.sources import Array, DataError
from actloss_rs.evaluation.sums import Metric, decoded, encoded
from actloss_rs.evaluation.tables import Worst
from actloss_rs.evaluation.task import Samples, Task

SCHEMA = "actloss.evaluation/1"
"""Name and version of the result's layout: keys may be added within a version, none changes its meaning."""

MAX_GROUPS = 1000
"""Of one grouping: more are not a slice but an identifier, and each takes memory."""

LISTED_BAD_ROWS = 100

Key = str | int | bool | None


class Evaluation:
    """The loss and the metrics of the rows seen so far."""

    def __init__(self, loss: Any, metrics: Sequence[str] = ()) -> None:
        self.task = Task.of(loss)
        self.rows = self.skipped_rows = 0
        self._bad_rows: list[tuple[int, str]] = []
        self._metric = loss.metric()
        self.asked = tuple(metrics)
        self._metrics: dict[str, Metric] | None = None
        self._slices: dict[str, Slices] = {}
        self._make(name for name in metrics if name != "all")  # refused now, not after the first block

    def _make(self, names: Iterable[str]) -> dict[str, Metric]:
        return {name: make_metric(name, self.task, self._metric) for name in names}

    def _slices_by(self, names: Iterable[str]) -> "dict[str, Slices]":
        for name in names:
            self._slices.setdefault(name, Slices(name, self.task.loss, self.asked))
        return self._slices

    def update(self, block: Block) -> None:
        """Count the rows of a block; a block that the loss refuses changes nothing."""
        y_pred = block.y_pred
        if self.task.over_classes and y_pred.ndim and self.task.axis % y_pred.ndim == 0:
            raise ValueError("the classes of y_pred lie along its first axis, which is that of the rows")
        self._metric.update_state(*block.arrays)
        self.rows += block.rows
        if self._metrics is None:
            classes = y_pred.shape[self.task.axis] if self.task.over_classes else None
            self._metrics = self._make(chosen_metrics(self.asked, self.task, classes))
        samples = Samples(self.task, block.start, *block.arrays)
        for metric in self._metrics.values():
            metric.update(samples)
        for name, slices in self._slices_by(block.groups).items():
            slices.update(block, block.groups[name])

    def skip(self, row: int, reason: str) -> None:
        """Note a row that is not counted."""
        self.skipped_rows += 1
        if len(self._bad_rows) < LISTED_BAD_ROWS:
            self._bad_rows.append((row, reason))

    def merge(self, other: "Evaluation", after: int = 0) -> None:
        """Count what another evaluation of the same loss and metrics has counted.

        Its rows have their own numbers where these count from the first of the whole, else they begin
        `after` as many rows.
        """
        self._metric.merge_state([other._metric])
        self.rows += other.rows
        self.skipped_rows += other.skipped_rows
        moved = [(row + after, reason) for row, reason in other._bad_rows]
        self._bad_rows = sorted([*self._bad_rows, *moved])[:LISTED_BAD_ROWS]
        if other._metrics is not None:
            if self._metrics is None:
                self._metrics = self._make(other._metrics)
            for name, metric in self._metrics.items():
                theirs = other._metrics[name]
                metric.merge(theirs.moved(after) if isinstance(theirs, Worst) else theirs)
        self._slices_by(other._slices)
        for name, slices in other._slices.items():
            self._slices[name].merge(slices)

    def figures(self) -> dict[str, Any]:
        """The loss, and those of the metrics."""
        figures: dict[str, Any] = {"loss": float(self._metric.result())}
        for metric in (self._metrics or {}).values():
            figures.update(metric.result())
        return figures

    def result(self) -> dict[str, Any]:
        """What there is to say, but for what the clock says."""
        result = {
            "schema": SCHEMA,
            "loss_name": self.task.name,
            "loss_options": {key: plain(value) for key, value in self.task.options.items()},
            **self.figures(),
            "samples": int(self._metric.count),
            "rows": self.rows,
            "skipped_rows": self.skipped_rows,
        }
        if self._bad_rows:
            result["bad_rows"] = [{"row": row, "reason": reason} for row, reason in self._bad_rows]
        if self._slices:
            result["slices"] = [entry for slices in self._slices.values() for entry in slices.result()]
        return result

    def state(self) -> Any:
        """The state in terms that JSON has."""
        return {
            "rows": self.rows,
            "skipped_rows": self.skipped_rows,
            "bad_rows": self._bad_rows,
            "loss": encoded(self._metric),
            "metrics": {name: metric.state() for name, metric in (self._metrics or {}).items()},
            "slices": {name: slices.state() for name, slices in self._slices.items()},
        }

    def restore(self, state: Any) -> None:
        """The inverse of `state`, for an evaluation of the same loss and metrics."""
        self._metric.reset_state()
        self._metric.merge_state([decoded(state["loss"])])
        self.rows, self.skipped_rows = state["rows"], state["skipped_rows"]
        self._bad_rows = [(row, reason) for row, reason in state["bad_rows"]]
        if state["metrics"]:
            self._metrics = self._make(state["metrics"])
            for name, metric in self._metrics.items():
                metric.restore(state["metrics"][name])
        for name, slices in self._slices_by(state["slices"]).items():
            slices.restore(state["slices"][name])


class Slices:
    """An evaluation of each group's rows alone."""

    def __init__(self, name: str, loss: Any, metrics: Sequence[str]) -> None:
        self._name, self._loss = name, loss
        # Figures that are one number: a slice is a line of a table.
        several = scalar_metrics(Task.of(loss)) if "all" in metrics else []
        tables = re.compile("all|confusion_matrix|per_class_loss|loss_histogram|worst_.*")
        self._metrics = [*several, *(name for name in metrics if not tables.fullmatch(name))]
        self._groups: dict[Key, Evaluation] = {}

    def _of(self, key: Key) -> Evaluation:
        if key not in self._groups and len(self._groups) == MAX_GROUPS:
            raise DataError(
                f"{self._name}: more than {MAX_GROUPS} groups; is it an identifier rather than a group?"
            )
        return self._groups.setdefault(key, Evaluation(self._loss, self._metrics))

    def update(self, block: Block, keys: Array) -> None:
        """Count each row of a block in its group."""
        order, bounds, found = sorted_by_group(self._name, keys)
        block = block.taken(order)
        for key, (first, last) in zip(found, pairwise(bounds), strict=True):
            self._of(key).update(block.part(first, last))

    def merge(self, other: "Slices") -> None:
        for key, evaluation in other._groups.items():
            self._of(key).merge(evaluation)

    def result(self) -> list[dict[str, Any]]:
        """A line of figures for each group, in the order of the groups."""
        ordered = sorted(self._groups.items(), key=lambda entry: (type(entry[0]).__name__, entry[0] or 0))
        return [
            {
                "by": self._name,
                "group": key,
                "rows": evaluation.rows,
                **{
                    name: value for name, value in evaluation.figures().items() if not isinstance(value, list)
                },
            }
            for key, evaluation in ordered
        ]

    def state(self) -> Any:
        return [[key, evaluation.state()] for key, evaluation in self._groups.items()]

    def restore(self, state: Any) -> None:
        for key, of_group in state:
            self._of(key).restore(of_group)


def sorted_by_group(name: str, keys: Array) -> tuple[Array, list[int], list[Key]]:
    """The rows in order of their groups, where each group begins and the last ends, and the groups."""
    if keys.ndim != 1 or keys.dtype.kind not in "biuUSOT":
        raise DataError(
            f"{name}: groups are integers, booleans or strings, one for each row; "
            f"this has shape {keys.shape} and {keys.dtype}"
        )
    listed = (np.char.decode(keys, "utf-8") if keys.dtype.kind == "S" else keys).tolist()
    found: dict[Key, int] = {}
    try:
        codes = np.fromiter((found.setdefault(key, len(found)) for key in listed), np.int64, len(listed))
    except TypeError:
        found = {b"": 0}  # type: ignore[dict-item]
    unfit = next((key for key in found if not (key is None or isinstance(key, (str, int)))), None)
    if unfit is not None:
        raise DataError(f"{name}: groups are integers, booleans or strings, not {type(unfit).__name__}")
    narrow = codes.astype(np.uint16) if len(found) <= 1 << 16 else codes  # sorts in linear time
    bounds = np.concatenate([[0], np.cumsum(np.bincount(codes, minlength=len(found)))])
    return np.argsort(narrow, kind="stable"), bounds.tolist(), list(found)


def plain(value: Any) -> Any:
    """An option as JSON has it."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


def mapping_of(groups: Mapping[str, Any] | Any) -> Mapping[str, Any]:
    """Groupings by name, from such a mapping or one grouping without a name."""
    if groups is None:
        return {}
    return groups if isinstance(groups, Mapping) else {"group": groups}
