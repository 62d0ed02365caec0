"""Evaluation of Dask arrays where their chunks lie: an exact state per chunk, merged to the same bits."""

import time
from collections.abc import Sequence
from typing import Any

import dask

from actloss_rs.evaluation.engine import Evaluation, make_loss


def evaluate(
    y_true: Any,
    y_pred: Any,
    *,
    loss: Any,
    metrics: Sequence[str] = (),
    sample_weight: Any = None,
    **options: Any,
) -> dict[str, Any]:
    """As `actloss_rs.evaluate`, for Dask arrays; the result's bits do not depend on chunks or workers."""
    started = time.perf_counter()
    made = make_loss(loss, options)
    Evaluation(made, metrics)  # refuses what makes no sense before anything is computed
    if any(size != size for sizes in y_pred.chunks for size in sizes):
        y_pred = y_pred.compute_chunk_sizes()
    rows = y_pred.chunks[0]
    columns = []
    for name, array in (("y_true", y_true), ("y_pred", y_pred), ("sample_weight", sample_weight)):
        if array is None:
            columns.append([None] * len(rows))
            continue
        if any(size != size for sizes in array.chunks for size in sizes):
            array = array.compute_chunk_sizes()
        if array.shape[0] != y_pred.shape[0]:
            raise ValueError(f"{name} has {array.shape[0]} rows, y_pred has {y_pred.shape[0]}")
        whole_rows = array.rechunk({0: rows, **dict.fromkeys(range(1, array.ndim), -1)})
        columns.append(whole_rows.to_delayed().reshape(-1).tolist())
    starts = [sum(rows[:index]) for index in range(len(rows))]
    states = [dask.delayed(_evaluated)(made, metrics, *block) for block in zip(starts, *columns, strict=True)]
    while len(states) > 1:  # a tree, so that no worker holds more than a few states
        states = [dask.delayed(_merged)(states[index : index + 8]) for index in range(0, len(states), 8)]
    evaluation: Evaluation = dask.compute(states[0])[0] if states else Evaluation(made, metrics)
    seconds = time.perf_counter() - started
    return evaluation.result() | {"seconds": seconds, "rows_per_second": evaluation.rows / seconds}


def _evaluated(
    loss: Any, metrics: Sequence[str], start: int, y_true: Any, y_pred: Any, weight: Any
) -> Evaluation:
    evaluation = Evaluation(loss, metrics)
    evaluation.update(start, y_true, y_pred, weight)
    return evaluation


def _merged(evaluations: Sequence[Evaluation]) -> Evaluation:
    # Into a new one: Dask may use a result again.
    merged = Evaluation(evaluations[0].task.loss, evaluations[0].asked)
    for evaluation in evaluations:
        merged.merge(evaluation)
    return merged
