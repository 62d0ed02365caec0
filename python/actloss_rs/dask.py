"""Evaluation of Dask arrays and DataFrames where their parts lie: an exact state each, merged in a tree.

The states are exact, so the result has the bits of a run on one machine, whatever the partitions and
whichever worker had them, even one that was started again after another died.
"""

import time
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import dask
import numpy as np

from actloss_rs.evaluation.bad_rows import count_block
from actloss_rs.evaluation.blocks import Given, given_block
from actloss_rs.evaluation.engine import make_loss
from actloss_rs.evaluation.sources import DataError
from actloss_rs.evaluation.state import Evaluation, mapping_of

MERGED_AT_ONCE = 8


def evaluate(
    y_true: Any,
    y_pred: Any,
    *,
    loss: Any,
    metrics: Sequence[str] = (),
    sample_weight: Any = None,
    group_by: Any = None,
    on_bad_row: str = "raise",
    **options: Any,
) -> dict[str, Any]:
    """As `actloss_rs.evaluate`, for Dask arrays, Series and DataFrames (a column per class).

    The result's bits do not depend on the partitions or workers. Rows are split as those of y_pred are.
    """
    if on_bad_row not in ("raise", "skip"):
        raise ValueError(f"on_bad_row is 'raise' or 'skip', not {on_bad_row!r}")
    started = time.perf_counter()
    made = make_loss(loss, options)
    Evaluation(made, metrics)  # refuses what makes no sense before anything is computed
    groups = mapping_of(group_by)
    inputs = {"y_true": y_true, "y_pred": y_pred, "sample_weight": sample_weight, **groups}
    arrays = aligned({name: as_array(given) for name, given in inputs.items() if given is not None})
    parts = partitions(arrays)
    rows = arrays["y_pred"].chunks[0]
    rows_unknown = unknown(arrays["y_pred"])
    starts = [None] * len(parts) if rows_unknown else [0, *accumulate(rows)][:-1]
    states = [
        dask.delayed(_evaluated)(made, metrics, on_bad_row, list(groups), number, start, part)
        for number, (start, part) in enumerate(zip(starts, parts, strict=True))
    ]
    while len(states) > 1:  # a tree, so that no worker holds more than a few states
        states = [
            dask.delayed(_merged)(states[index : index + MERGED_AT_ONCE], rows_unknown)
            for index in range(0, len(states), MERGED_AT_ONCE)
        ]
    evaluation: Evaluation = dask.compute(states[0])[0] if states else Evaluation(made, metrics)
    seconds = time.perf_counter() - started
    row_bytes = sum(array.dtype.itemsize * int(np.prod(array.shape[1:])) for array in arrays.values())
    return evaluation.result() | {
        "seconds": seconds,
        "rows_per_second": evaluation.rows / seconds,
        "bytes_per_second": evaluation.rows * row_bytes / seconds,
    }


def as_array(given: Any) -> Any:
    """A Dask array: of a DataFrame its columns side by side."""
    return given.to_dask_array() if hasattr(given, "to_dask_array") else given


def unknown(array: Any) -> bool:
    """Whether Dask does not know how many rows the parts have."""
    return any(size != size for size in array.chunks[0])


def aligned(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The arrays, split into the same numbers of rows."""
    if any(unknown(array) for array in arrays.values()):
        if all(unknown(array) for array in arrays.values()) and (
            len({len(array.chunks[0]) for array in arrays.values()}) == 1
        ):
            return dict(arrays)  # partitions of one frame, presumably; each is checked when it is there
        arrays = {
            name: array.compute_chunk_sizes() if unknown(array) else array for name, array in arrays.items()
        }
    y_pred = arrays["y_pred"]
    for name, array in arrays.items():
        if array.shape[0] != y_pred.shape[0]:
            raise ValueError(f"{name} has {array.shape[0]} rows, y_pred has {y_pred.shape[0]}")
    return {name: array.rechunk({0: y_pred.chunks[0]}) for name, array in arrays.items()}


def partitions(arrays: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """For each part of the rows, the block of each array, its other axes whole."""
    blocks = {
        name: array.rechunk(dict.fromkeys(range(1, array.ndim), -1)).to_delayed().reshape(-1).tolist()
        for name, array in arrays.items()
    }
    return [dict(zip(blocks, part, strict=True)) for part in zip(*blocks.values(), strict=True)]


def _evaluated(
    loss: Any,
    metrics: Sequence[str],
    on_bad_row: str,
    groups: Sequence[str],
    number: int,
    start: int | None,
    part: Mapping[str, Any],
) -> Evaluation:
    evaluation = Evaluation(loss, metrics)
    given = part["y_true"], part["y_pred"], part.get("sample_weight"), {name: part[name] for name in groups}
    try:
        block = given_block(start or 0, given)
        count_block(evaluation, block, on_bad_row, Given([]))
    except DataError as error:
        raise DataError(str(error) if start is not None else f"partition {number}: {error}") from error
    return evaluation


def _merged(evaluations: Sequence[Evaluation], rows_unknown: bool) -> Evaluation:
    # Into a new one: Dask may use a result again.
    merged = Evaluation(evaluations[0].task.loss, evaluations[0].asked)
    for evaluation in evaluations:
        before = merged.rows + merged.skipped_rows
        merged.merge(evaluation, after=before if rows_unknown else 0)
    return merged
