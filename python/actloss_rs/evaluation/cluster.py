"""Counting by the workers of a Dask cluster: each opens the files itself and sends back an exact state.

Parts of the rows are handed out a few per worker ahead of what is merged, and merged in their order, so that
memory stays constant on either side and the state is always that of a first part of the rows: the same
checkpoint serves one machine and a cluster.
"""

import os
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any

from actloss_rs.evaluation.bad_rows import count_block
from actloss_rs.evaluation.blocks import Blocks
from actloss_rs.evaluation.sources import DataError
from actloss_rs.evaluation.state import Evaluation

PART_BYTES = 256 << 20
"""What a task reads: seconds of work, against the milliseconds that a task costs."""

TASKS_PER_THREAD = 3

CONNECT_SECONDS = 30


def count_on_cluster(
    scheduler: Any,
    evaluation: Evaluation,
    blocks: Blocks,
    data: Mapping[str, Any],
    group_by: Any,
    on_bad_row: str,
    block_bytes: int,
) -> Callable[[int], Iterator[Callable[[], int]]]:
    """Count parts of the rows on the workers of the scheduler at this address, or of this client."""
    from distributed import Client

    inputs = {role: path_of(role, given) for role, given in data.items() if given is not None}
    grouping = group_by and (
        {name: path_of(name, given) for name, given in group_by.items()}
        if isinstance(group_by, Mapping)
        else path_of("group_by", group_by)
    )
    rows = max(1, PART_BYTES // max(1, blocks.row_bytes))
    task = evaluation.task.loss, evaluation.asked, inputs, grouping, on_bad_row, block_bytes

    def steps(row: int) -> Iterator[Callable[[], int]]:
        with ExitStack() as opened:
            client = scheduler
            if not isinstance(scheduler, Client):
                client = opened.enter_context(connected(scheduler))
            starts = iter(range(row, blocks.rows, rows))
            waiting: deque[Any] = deque()
            opened.callback(lambda: client.cancel(list(waiting)))
            while True:
                # Asked anew each time: workers come and go.
                room = TASKS_PER_THREAD * max(1, sum(client.nthreads().values())) - len(waiting)
                for start in islice(starts, max(0, room)):
                    stop = min(start + rows, blocks.rows)
                    waiting.append(client.submit(evaluated, *task, start, stop, pure=False))
                if not waiting:
                    return
                part = waiting[0].result()
                waiting.popleft()

                def count(part: Evaluation = part) -> int:
                    evaluation.merge(part)
                    return part.rows + part.skipped_rows

                yield count

    return steps


def connected(address: str) -> Any:
    """A client of the scheduler at an address."""
    from distributed import Client

    try:
        return Client(address, set_as_default=False, timeout=CONNECT_SECONDS)
    except (OSError, ValueError) as error:
        raise DataError(f"no Dask scheduler at {address}: {error}") from error


def path_of(role: str, given: Any) -> str:
    """The absolute path, which the workers open."""
    if not isinstance(given, (str, os.PathLike)):
        raise TypeError(f"a cluster reads files: {role} is a {type(given).__name__}, not a path")
    return str(Path(given).absolute())


def evaluated(
    loss: Any,
    metrics: tuple[str, ...],
    data: Mapping[str, str],
    group_by: Any,
    on_bad_row: str,
    block_bytes: int,
    start: int,
    stop: int,
) -> Evaluation:
    """The evaluation of some rows: what a worker does."""
    from actloss_rs.evaluation.engine import opened_blocks

    evaluation = Evaluation(loss, metrics)
    with opened_blocks({"sample_weight": None, **data}, group_by, block_bytes) as blocks:
        for block in blocks.since(start, stop):
            count_block(evaluation, block, on_bad_row, blocks)
    return evaluation
