"""One pass over the data, block by block, into an exact state: the main job.

Blocks are read and counted in turn, on this machine or by the workers of a cluster; either way the state is
that of a first part of the rows, so that a checkpoint is one number of rows and one state.
"""

import os
import signal
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import Any

from actloss_rs.evaluation.bad_rows import count_block
from actloss_rs.evaluation.blocks import Blocks, Given
from actloss_rs.evaluation.checkpoint import SECONDS, Checkpoint
from actloss_rs.evaluation.formats import ROLES, SEPARATOR, open_source
from actloss_rs.evaluation.sources import Source
from actloss_rs.evaluation.state import Evaluation, mapping_of
from actloss_rs.evaluation.task import check_arrays, loss_classes

BLOCK_BYTES = 8 << 20

Progress = Callable[[int, int | None, int], object]
"""Called with the rows done, their total where it is known, and the bytes of a row."""


def evaluate(
    y_true: Any,
    y_pred: Any = None,
    *,
    loss: Any,
    metrics: Sequence[str] = (),
    sample_weight: Any = None,
    group_by: Any = None,
    on_bad_row: str = "raise",
    checkpoint: str | os.PathLike[str] | None = None,
    checkpoint_seconds: float = SECONDS,
    block_bytes: int = BLOCK_BYTES,
    progress: Progress | None = None,
    scheduler: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """Evaluate a loss, with the metrics that make sense for it, over arrays larger than memory.

    Args:
        y_true, y_pred: arrays, or paths of .npy, .npz, .safetensors, .zarr, .parquet, .arrow or .feather
            files. A path may be a glob of shards, read in the order of their names, and may end in
            ``::NAME``, the array of a file of several. Or, in place of the two, an iterable of blocks
            (y_true, y_pred), (y_true, y_pred, sample_weight) or (y_true, y_pred, sample_weight, groups).
        loss: a loss object of `actloss_rs.losses`, or a loss function's name.
        metrics: figures beyond the usual ones: top_K_accuracy, brier, ece, confusion_matrix,
            per_class_loss, loss_histogram, worst_N, and other losses by name.
        sample_weight: as for the loss, an array or a path.
        group_by: an array or a path of integers, booleans or strings, one for each row, or a mapping of
            names to such: "slices" has the figures of each group's rows alone.
        on_bad_row: "raise" (DataError), or "skip" rows that the loss refuses or whose loss is NaN.
        checkpoint: a file that keeps the state, from which the same call goes on after it was stopped.
        checkpoint_seconds: how often the state is saved.
        block_bytes: how much to read at once. Results do not depend on it.
        progress: called after each block with the rows done, their total (None when not known) and the
            bytes of a row.
        scheduler: the address of a Dask scheduler, or a client: its workers, which must see the same
            files, read and count.
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
            if sample_weight is not None or group_by is not None:
                raise TypeError("sample_weight and groups go into the blocks")
            blocks = Given(y_true)
        else:
            data = {"y_true": y_true, "y_pred": y_pred, "sample_weight": sample_weight}
            blocks = opened.enter_context(opened_blocks(data, group_by, block_bytes))
        if scheduler is None:
            steps = count_blocks(evaluation, blocks, on_bad_row)
        else:
            from actloss_rs.evaluation.cluster import count_on_cluster

            if not isinstance(blocks, Blocks):
                raise TypeError("a cluster reads files: give paths in place of blocks")
            steps = count_on_cluster(scheduler, evaluation, blocks, data, group_by, on_bad_row, block_bytes)
        saved = None
        if checkpoint is not None:
            identity = {
                "loss": evaluation.state()["loss"],
                "metrics": evaluation.asked,
                "treatment of bad rows": on_bad_row,
                "data": blocks.fingerprint(),
            }
            saved = Checkpoint(checkpoint, identity, checkpoint_seconds)
        rows = run(evaluation, steps, saved, progress, blocks)
    seconds = time.perf_counter() - started
    return evaluation.result() | {
        "seconds": seconds,
        "rows_per_second": rows / seconds,
        "bytes_per_second": rows * blocks.row_bytes / seconds,
    }


@contextmanager
def opened_blocks(data: Mapping[str, Any], group_by: Any, block_bytes: int) -> Iterator[Blocks]:
    """The blocks of arrays or files, by their roles; closed when done."""
    with ExitStack() as opened:

        def source(given: Any, role: str) -> Source:
            return opened.enter_context(closing(open_source(given, role)))

        sources = [source(data[role], role) for role in ROLES if data[role] is not None or role != ROLES[2]]
        yield Blocks(
            sources, {name: source(keys, name) for name, keys in groupings(group_by).items()}, block_bytes
        )


def groupings(group_by: Any) -> Mapping[str, Any]:
    """Groupings by their names: of a path without a name that of the column, or of the file."""
    if isinstance(group_by, (str, os.PathLike)):
        path, _, column = os.fspath(group_by).rpartition(SEPARATOR)
        return {column if path else Path(column).stem: group_by}
    return mapping_of(group_by)


Steps = Callable[[int], Iterator[Callable[[], int]]]
"""From a row on: what counts the next rows when it is called, and says how many they were."""


def count_blocks(evaluation: Evaluation, blocks: "Blocks | Given", on_bad_row: str) -> Steps:
    """Count the blocks here, one after the other."""

    def steps(row: int) -> Iterator[Callable[[], int]]:
        for block in blocks.since(row):

            def count() -> int:
                count_block(evaluation, block, on_bad_row, blocks)  # noqa: B023 (called before the next)
                return block.rows  # noqa: B023

            yield count

    return steps


def run(
    evaluation: Evaluation,
    steps: Steps,
    saved: Checkpoint | None,
    progress: Progress | None,
    blocks: "Blocks | Given",
) -> int:
    """Count what the checkpoint has not counted; the number of rows read."""
    if saved is not None:
        state = saved.load()
        if state is not None:
            evaluation.restore(state)
    done = resumed = evaluation.rows + evaluation.skipped_rows
    whole = True  # false while a step is half counted, which a checkpoint must not keep
    try:
        with interruptions() as whole_step:
            for count in steps(done):
                whole = False
                with whole_step():
                    done += count()
                    whole = True
                    if progress is not None:
                        progress(done, blocks.rows, blocks.row_bytes)
                if saved is not None:
                    saved.save_now_and_then(evaluation.state)
    finally:
        if saved is not None and whole:
            saved.save(evaluation.state())
    return done - resumed


@contextmanager
def interruptions() -> Iterator[Callable[[], Any]]:
    """Ctrl-C waits for the end of a step, so that a step is counted whole or not at all; twice, it does not.

    Only where Python's own handler is in force, and in the main thread, which alone gets signals.
    """
    in_step = waiting = False

    def handle(number: int, frame: Any) -> None:
        nonlocal waiting
        if in_step and not waiting:
            waiting = True
        else:
            signal.default_int_handler(number, frame)

    @contextmanager
    def step() -> Iterator[None]:
        nonlocal in_step
        in_step = True
        try:
            yield
        finally:
            in_step = False
        if waiting:
            raise KeyboardInterrupt

    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    try:
        if ours:
            signal.signal(signal.SIGINT, handle)
    except ValueError:  # not the main thread
        ours = False
    try:
        yield step
    finally:
        if ours:
            signal.signal(signal.SIGINT, signal.default_int_handler)


def make_loss(loss: Any, options: dict[str, Any]) -> Any:
    """A loss object, from its name and options or as it is."""
    if not isinstance(loss, str):
        if options:
            raise TypeError(f"options {', '.join(options)} go with a loss's name, not with a loss object")
        return loss
    check_arrays(loss)
    classes = loss_classes()
    if loss not in classes:
        raise ValueError(f"unknown loss {loss!r}; known: {', '.join(sorted(classes))}")
    return classes[loss](**options)
