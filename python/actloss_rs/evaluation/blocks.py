"""Blocks of rows: what an evaluation is fed with, cut from sources of equal length or made by the caller."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from actloss_rs.evaluation.formats import ROLES
from actloss_rs.evaluation.sources import Array, DataError, Source, values_in

Groups = Mapping[str, Array]
"""The group of each row, by the name of the grouping."""


class Block(NamedTuple):
    """Some rows of the data."""

    start: int
    """Number of the first row."""

    y_true: Array
    y_pred: Array
    sample_weight: Array | None = None
    groups: Groups = {}  # noqa: RUF012 (never changed)

    @property
    def rows(self) -> int:
        return len(self.y_pred)

    @property
    def arrays(self) -> tuple[Array, Array, Array | None]:
        """What a loss is called with."""
        return self.y_true, self.y_pred, self.sample_weight

    def part(self, first: int, last: int) -> "Block":
        """Rows first to last of the block."""
        return Block(
            self.start + first,
            self.y_true[first:last],
            self.y_pred[first:last],
            None if self.sample_weight is None else self.sample_weight[first:last],
            {name: keys[first:last] for name, keys in self.groups.items()},
        )

    def taken(self, rows: Array) -> "Block":
        """The rows of these numbers, in their order."""
        return Block(
            self.start,
            self.y_true[rows],
            self.y_pred[rows],
            None if self.sample_weight is None else self.sample_weight[rows],
        )


class Blocks:
    """The blocks of rows of sources of equal length: y_true, y_pred, perhaps weights, and groupings."""

    def __init__(self, sources: Sequence[Source], groupings: Mapping[str, Source], block_bytes: int) -> None:
        self._sources, self._groupings = sources, groupings
        self.rows: int = sources[1].shape[0]
        for source in (*sources, *groupings.values()):
            if source.shape[0] != self.rows:
                raise DataError(
                    f"{source.name} has {source.shape[0]} rows, {sources[1].name} has {self.rows}"
                )
        self.row_bytes = sum(source.dtype.itemsize * values_in(source.shape[1:]) for source in sources)
        self._step = max(1, block_bytes // max(1, self.row_bytes))

    def since(self, row: int, last: int | None = None) -> Iterator[Block]:
        """The blocks from a row on."""
        last = self.rows if last is None else last
        for start in range(row, last, self._step):
            stop = min(start + self._step, last)
            y_true, y_pred, *weight = (source.read(start, stop) for source in self._sources)
            groups = {name: source.read(start, stop) for name, source in self._groupings.items()}
            yield Block(start, y_true, y_pred, weight[0] if weight else None, groups)

    def where(self, role: str, row: int | None) -> tuple[str, int | None]:
        """The file, and the row of it, that a row of the whole comes from."""
        roles = dict(zip(ROLES, self._sources, strict=False))
        source = roles.get(role, self._sources[1])
        return (source.name, None) if row is None else source.where(row)

    def fingerprint(self) -> object:
        groupings = [[name, source.fingerprint()] for name, source in self._groupings.items()]
        return [*(source.fingerprint() for source in self._sources), groupings]


class Given:
    """Blocks that the caller makes."""

    rows: int | None = None
    row_bytes = 0

    def __init__(self, blocks: Iterable[Sequence[Any]]) -> None:
        self._blocks = blocks

    def since(self, row: int) -> Iterator[Block]:
        """The blocks from a row on; those before it are made all the same."""
        start = 0
        for given in self._blocks:
            block = given_block(start, given)
            start += block.rows
            if start > row:
                yield block.part(max(0, row - block.start), block.rows)

    def where(self, role: str, row: int | None) -> tuple[str, int | None]:
        return role, row

    def fingerprint(self) -> object:
        return "blocks"


def given_block(start: int, given: Sequence[Any]) -> Block:
    """A block from its parts: y_true, y_pred, and perhaps weights and groups."""
    if not 2 <= len(given) <= 4:
        raise TypeError(
            "a block is (y_true, y_pred), perhaps with sample_weight and groups, "
            f"not a sequence of {len(given)} parts"
        )
    y_true, y_pred, weight, groups = (*given, None, None)[:4]
    if y_true is None or y_pred is None:
        raise TypeError("a block has None for y_true or y_pred")
    if groups is None:
        groups = {}
    elif not isinstance(groups, Mapping):
        groups = {"group": groups}
    arrays = {"y_true": y_true, "y_pred": y_pred, "sample_weight": weight, **groups}
    made = {name: np.asarray(array) for name, array in arrays.items() if array is not None}
    for name, array in made.items():
        if array.shape[:1] != made["y_pred"].shape[:1]:
            raise DataError(
                f"after row {start}: a block of {len(made['y_pred'])} rows of y_pred "
                f"and {array.shape[0] if array.ndim else 'a single value'} of {name}"
            )
    return Block(
        start,
        made["y_true"],
        made["y_pred"],
        made.get("sample_weight"),
        {name: made[name] for name in groups},
    )
