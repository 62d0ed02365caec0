"""Rows that cannot be counted: found by halves, and either named in the error or left out.

A loss refuses a block when it would refuse one of its rows alone, so no message needs to be taken apart.
"""

import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np

from actloss_rs.evaluation.blocks import Block, Blocks, Given
from actloss_rs.evaluation.formats import ROLES
from actloss_rs.evaluation.sources import DataError
from actloss_rs.evaluation.state import Evaluation
from actloss_rs.evaluation.task import Task


def refusal(loss: Any, block: Block) -> Exception | None:
    """Why a block is refused; None if it is not."""
    try:
        loss.metric().update_state(*block.arrays)
    except (ValueError, TypeError) as error:
        return error
    return None


def first_bad_row(loss: Any, block: Block) -> int | None:
    """The first row of a refused block that is refused by itself; None if all the block is at fault."""
    if refusal(loss, block.part(0, 0)) is not None:
        return None
    good, bad = 0, block.rows
    while bad - good > 1:
        middle = (good + bad) // 2
        if refusal(loss, block.part(good, middle)) is None:
            good = middle
        else:
            bad = middle
    return good


def nan_rows(task: Task, block: Block) -> list[int]:
    """The rows of a block whose loss is NaN, or that of one of their samples."""
    values = np.asarray(task.variant(reduction="none")(*block.arrays))
    rows: list[int] = np.flatnonzero(np.isnan(values).any(axis=tuple(range(1, values.ndim)))).tolist()
    return rows


def renumbered(text: str, row: int) -> str:
    """What a loss said of its row 0, said of this row."""
    return re.sub(rf"\b({'|'.join(ROLES)})\[0(?=[],])", rf"\1[{row}", text)


def count_block(evaluation: Evaluation, block: Block, on_bad_row: str, blocks: Blocks | Given) -> None:
    """Update with a block; a bad row is skipped and noted, or named in the error."""
    if on_bad_row == "skip":
        for piece in pieces(evaluation.task, block):
            if isinstance(piece, Block):
                evaluation.update(piece)
            else:
                evaluation.skip(*piece)
        return
    try:
        evaluation.update(block)
    except (ValueError, TypeError) as error:
        raise located(evaluation.task.loss, block, error, blocks) from error


def located(loss: Any, block: Block, error: Exception, blocks: Blocks | Given) -> Exception:
    """The error with the file and the row that caused it."""
    if refusal(loss, block) is None:
        return error if isinstance(error, DataError) else DataError(str(error))
    row = first_bad_row(loss, block)
    text = str(error if row is None else refusal(loss, block.part(row, row + 1)) or error)
    mentioned = [(text.index(role), role) for role in ROLES if role in text]
    role = min(mentioned)[1] if mentioned else "y_pred"
    where, number = blocks.where(role, None if row is None else block.start + row)
    if number is not None:
        text = f"row {number}: {renumbered(text, number)}"
    return DataError(text if where in ROLES else f"{where}: {text}")


def pieces(task: Task, block: Block) -> Iterator[Block | tuple[int, str]]:
    """The parts of a block between its bad rows, and each bad row's number with the reason."""
    reason = refusal(task.loss, block)
    if reason is None:
        for before, after in pairwise([-1, *nan_rows(task, block), block.rows]):
            if before + 1 < after:
                yield block.part(before + 1, after)
            if after < block.rows:
                yield block.start + after, "its loss is NaN"
    elif refusal(task.loss, block.part(0, 0)) is not None:
        raise DataError(str(reason)) from reason
    elif block.rows == 1:
        yield block.start, renumbered(str(reason), block.start)
    else:
        middle = block.rows // 2
        yield from pieces(task, block.part(0, middle))
        yield from pieces(task, block.part(middle, block.rows))
