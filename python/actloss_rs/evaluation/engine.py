"""One pass over the data, block by block, into an exact state that merges.

The sums do not depend on where the blocks end, so neither do the results: not on the block size, nor on a
stop and a resume, nor on how many machines had a part.
"""

import os
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing
from itertools import pairwise
from typing import Any

import numpy as np

from actloss_rs.evaluation.checkpoint import Checkpoint
from actloss_rs.evaluation.formats import open_source
from actloss_rs.evaluation.metrics import Metric, decoded, encoded, make_metric, usual_metrics
from actloss_rs.evaluation.sources import Array, DataError, Source, values_in
from actloss_rs.evaluation.task import Samples, Task, loss_classes

SCHEMA = "actloss.evaluation/1"
"""Name and version of the result's layout: keys may be added within a version, none changes its meaning."""

BLOCK_BYTES = 8 << 20

ROLES = ("y_true", "y_pred", "sample_weight")

Block = tuple[int, Array, Array, Array | None]
"""Number of the first row, y_true, y_pred, sample_weight."""


class Evaluation:
    """The loss and the metrics of the rows seen so far."""

    def __init__(self, loss: Any, metrics: Sequence[str] = ()) -> None:
        self.task = Task.of(loss)
        self.rows = self.skipped_rows = 0
        self._metric = loss.metric()
        self.asked = tuple(metrics)
        self._metrics: dict[str, Metric] | None = None
        self._make(metrics)  # refused now rather than after the first block

    def _make(self, names: Iterable[str]) -> dict[str, Metric]:
        return {name: make_metric(name, self.task, self._metric) for name in names}

    def update(self, start: int, y_true: Array, y_pred: Array, sample_weight: Array | None = None) -> None:
        """Count the rows of a block; a block that is refused changes nothing."""
        if self.task.over_classes and y_pred.ndim and self.task.axis % y_pred.ndim == 0:
            raise ValueError("the classes of y_pred lie along its first axis, which is that of the rows")
        self._metric.update_state(y_true, y_pred, sample_weight)
        self.rows += len(y_pred)
        if self._metrics is None:
            classes = y_pred.shape[self.task.axis] if self.task.over_classes else None
            self._metrics = self._make(dict.fromkeys([*usual_metrics(self.task, classes), *self.asked]))
        samples = Samples(self.task, start, y_true, y_pred, sample_weight)
        for metric in self._metrics.values():
            metric.update(samples)

    def merge(self, other: "Evaluation") -> None:
        """Count what another evaluation of the same loss and metrics has counted."""
        self._metric.merge_state([other._metric])
        self.rows += other.rows
        self.skipped_rows += other.skipped_rows
        if other._metrics is None:
            return
        if self._metrics is None:
            self._metrics = self._make(other._metrics)
        for name, metric in self._metrics.items():
            metric.merge(other._metrics[name])

    def result(self) -> dict[str, Any]:
        """The figures, without those of the clock."""
        figures: dict[str, Any] = {
            "schema": SCHEMA,
            "loss_name": self.task.name,
            "loss_options": {key: plain(value) for key, value in self.task.options.items()},
            "loss": float(self._metric.result()),
        }
        for metric in (self._metrics or {}).values():
            figures.update(metric.result())
        return figures | {
            "samples": int(self._metric.count),
            "rows": self.rows,
            "skipped_rows": self.skipped_rows,
        }

    def state(self) -> Any:
        """The state in terms that JSON has."""
        return {
            "rows": self.rows,
            "skipped_rows": self.skipped_rows,
            "loss": encoded(self._metric),
            "metrics": {name: metric.state() for name, metric in (self._metrics or {}).items()},
        }

    def restore(self, state: Any) -> None:
        """The inverse of `state`, for an evaluation of the same loss and metrics."""
        self._metric.reset_state()
        self._metric.merge_state([decoded(state["loss"])])
        self.rows, self.skipped_rows = state["rows"], state["skipped_rows"]
        if state["metrics"]:
            self._metrics = self._make(state["metrics"])
            for name, metric in self._metrics.items():
                metric.restore(state["metrics"][name])


def plain(value: Any) -> Any:
    """An option as JSON has it."""
    return value.tolist() if isinstance(value, (np.ndarray, np.generic)) else value


# ------------------------------------------------------------------------------------------------- bad rows


def refusal(loss: Any, block: Block) -> Exception | None:
    """Why a block is refused; None if it is not."""
    try:
        loss.metric().update_state(*block[1:])
    except (ValueError, TypeError) as error:
        return error
    return None


def part(block: Block, first: int, last: int) -> Block:
    """Some rows of a block."""
    start, y_true, y_pred, weight = block
    return (
        start + first,
        y_true[first:last],
        y_pred[first:last],
        None if weight is None else weight[first:last],
    )


def first_bad_row(loss: Any, block: Block) -> int | None:
    """The first row of a refused block that is refused by itself; None if all the block is at fault.

    By halves: a block is refused when one of its rows is, so no message needs to be taken apart.
    """
    if refusal(loss, part(block, 0, 0)) is not None:
        return None
    good, bad = 0, len(block[2])
    while bad - good > 1:
        middle = (good + bad) // 2
        if refusal(loss, part(block, good, middle)) is None:
            good = middle
        else:
            bad = middle
    return good


def nan_rows(task: Task, block: Block) -> list[int]:
    """The rows of a block whose loss is NaN, or that of one of their samples."""
    values = np.asarray(task.variant(reduction="none")(*block[1:]))
    rows: list[int] = np.flatnonzero(np.isnan(values).any(axis=tuple(range(1, values.ndim)))).tolist()
    return rows


# ---------------------------------------------------------------------------------------------------- input


class Blocks:
    """The blocks of rows of two or three sources of equal length."""

    def __init__(self, sources: Sequence[Source], block_bytes: int) -> None:
        self._sources = sources
        self.names = [source.name for source in sources]
        self.rows = sources[1].shape[0]
        for source in sources:
            if source.shape[0] != self.rows:
                raise DataError(
                    f"{source.name} has {source.shape[0]} rows, {sources[1].name} has {self.rows}"
                )
        row_bytes = sum(source.dtype.itemsize * values_in(source.shape[1:]) for source in sources)
        self._step = max(1, block_bytes // max(1, row_bytes))

    def since(self, row: int) -> Iterator[Block]:
        for start in range(row, self.rows, self._step):
            stop = min(start + self._step, self.rows)
            y_true, y_pred, *weight = (source.read(start, stop) for source in self._sources)
            yield start, y_true, y_pred, weight[0] if weight else None

    def fingerprint(self) -> object:
        return [source.fingerprint() for source in self._sources]


class Given:
    """Blocks that the caller makes."""

    def __init__(self, blocks: Iterable[Sequence[Any]]) -> None:
        self._blocks = blocks
        self.names = list(ROLES)
        self.rows: int | None = None

    def since(self, row: int) -> Iterator[Block]:
        start = 0
        for block in self._blocks:
            if not 2 <= len(block) <= 3:
                raise TypeError(
                    f"a block is (y_true, y_pred) or (y_true, y_pred, sample_weight), not {len(block)} parts"
                )
            y_true, y_pred, *weight = (None if array is None else np.asarray(array) for array in block)
            if y_true is None or y_pred is None:
                raise TypeError("a block has None for y_true or y_pred")
            if len(y_true) != len(y_pred):
                raise DataError(
                    f"after row {start}: a block of {len(y_true)} rows of y_true and {len(y_pred)} of y_pred"
                )
            end = start + len(y_pred)
            if end > row:
                yield part(
                    (start, y_true, y_pred, weight[0] if weight else None), max(0, row - start), len(y_pred)
                )
            start = end

    def fingerprint(self) -> object:
        return "blocks"


def evaluate(
    y_true: Any,
    y_pred: Any = None,
    *,
    loss: Any,
    metrics: Sequence[str] = (),
    sample_weight: Any = None,
    on_bad_row: str = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
    block_bytes: int = BLOCK_BYTES,
    progress: Callable[[int, int | None], object] | None = None,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a loss, with the metrics that make sense for it, over arrays larger than memory.

    Args:
        y_true, y_pred: arrays, or paths of .npy, .npz, .safetensors, .zarr or .parquet files. A path may be
            a glob of shards, read in the order of their names, and may end in ``::NAME``, the array of a
            file of several. Or, in place of the two, an iterable of blocks (y_true, y_pred) or (y_true,
            y_pred, sample_weight).
        loss: a loss object of `actloss_rs.losses`, or a loss function's name.
        metrics: figures beyond the usual ones: top_K_accuracy, brier, ece, confusion_matrix,
            per_class_loss, worst_N.
        sample_weight: as for the loss, an array or a path.
        on_bad_row: "raise" (DataError), or "skip" rows that the loss refuses or whose loss is NaN.
        checkpoint: a file that keeps the state, from which the same call goes on after it was stopped.
        block_bytes: how much to read at once. Results do not depend on it.
        progress: called with the rows done and their total (None when not known) after each block.
        **options: options of the loss when it is given by name.

    Returns:
        What ``actloss evaluate --json`` prints: "loss", "accuracy" and so on, as docs/evaluation.md lists.

    >>> import actloss_rs as al
    >>> al.evaluate([1, 0], [[0.25, 0.75], [0.5, 0.5]], loss="sparse_categorical_crossentropy")["accuracy"]
    1.0
    """
    if on_bad_row not in ("raise", "skip"):
        raise ValueError(f"on_bad_row is 'raise' or 'skip', not {on_bad_row!r}")
    if block_bytes < 1:
        raise ValueError(f"block_bytes is {block_bytes}, which is less than 1")
    started = time.perf_counter()
    evaluation = Evaluation(make_loss(loss, options), metrics)
    with ExitStack() as opened:
        blocks: Blocks | Given
        if y_pred is None:
            if sample_weight is not None:
                raise TypeError("sample_weight goes into the blocks")
            blocks = Given(y_true)
        else:
            sources = [
                opened.enter_context(closing(open_source(data, role)))
                for data, role in zip((y_true, y_pred, sample_weight), ROLES, strict=True)
                if data is not None or role != "sample_weight"
            ]
            blocks = Blocks(sources, block_bytes)
        rows = run(evaluation, blocks, on_bad_row, checkpoint, progress)
    seconds = time.perf_counter() - started
    return evaluation.result() | {"seconds": seconds, "rows_per_second": rows / seconds}


def run(
    evaluation: Evaluation,
    blocks: "Blocks | Given",
    on_bad_row: str,
    checkpoint: str | os.PathLike[str] | None,
    progress: Callable[[int, int | None], object] | None,
) -> int:
    """Count the blocks, after those that the checkpoint has counted; the number of rows read."""
    saved = None
    if checkpoint is not None:
        empty = evaluation.state()
        saved = Checkpoint(checkpoint, [empty["loss"], evaluation.asked, on_bad_row, blocks.fingerprint()])
        state = saved.load()
        if state is not None:
            evaluation.restore(state)
    done = resumed = evaluation.rows + evaluation.skipped_rows
    whole = True  # false while a block is half counted, which a checkpoint must not keep
    try:
        for block in blocks.since(done):
            whole = False
            count_block(evaluation, block, on_bad_row, blocks.names)
            whole = True
            done += len(block[2])
            if progress is not None:
                progress(done, blocks.rows)
            if saved is not None:
                saved.save_now_and_then(evaluation.state)
    finally:
        if saved is not None and whole:
            saved.save(evaluation.state())
    return done - resumed


def make_loss(loss: Any, options: dict[str, Any]) -> Any:
    """A loss object, from its name and options or as it is."""
    if not isinstance(loss, str):
        if options:
            raise TypeError(f"options {', '.join(options)} go with a loss's name, not with a loss object")
        return loss
    classes = loss_classes()
    if loss not in classes:
        raise ValueError(f"unknown loss {loss!r}; known: {', '.join(sorted(classes))}")
    return classes[loss](**options)


def count_block(evaluation: Evaluation, block: Block, on_bad_row: str, names: Sequence[str]) -> None:
    """Update with a block; a bad row is skipped, or named in the error."""
    loss = evaluation.task.loss
    if on_bad_row == "skip":
        rows = len(block[2])
        for piece in good_pieces(evaluation.task, block):
            evaluation.update(*piece)
            rows -= len(piece[2])
        evaluation.skipped_rows += rows
        return
    try:
        evaluation.update(*block)
    except (ValueError, TypeError) as error:
        if refusal(loss, block) is None:
            raise
        row = first_bad_row(loss, block)
        reason = error if row is None else refusal(loss, part(block, row, row + 1)) or error
        text = str(reason)
        mentioned = [
            (text.index(role), name) for role, name in zip(ROLES, names, strict=False) if role in text
        ]
        where = min(mentioned)[1] if mentioned else names[1]
        if row is not None:
            # The row was refused alone, as row 0.
            number = block[0] + row
            text = f"row {number}: " + re.sub(rf"\b({'|'.join(ROLES)})\[0(?=[],])", rf"\1[{number}", text)
        raise DataError(text if where in ROLES else f"{where}: {text}") from error


def good_pieces(task: Task, block: Block) -> Iterator[Block]:
    """The parts of a block between its bad rows."""
    while len(block[2]):
        bad = len(block[2])
        reason = refusal(task.loss, block)
        if reason is not None:
            first = first_bad_row(task.loss, block)
            if first is None:
                raise DataError(str(reason)) from reason
            bad = first
        good = part(block, 0, bad)
        for before, after in pairwise([-1, *nan_rows(task, good), bad]):
            if before + 1 < after:
                yield part(good, before + 1, after)
        block = part(block, bad + 1, len(block[2]))
