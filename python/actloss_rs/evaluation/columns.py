"""Columns of Parquet and Arrow files, as arrays of rows.

A column of numbers is an array of one axis; one of lists of equal length, or several columns of numbers side
by side, an array of two. Files are read a group of rows at a time, from the group that is asked for on.
"""

from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np

from actloss_rs.evaluation.sources import Array, DataError, Shape, Source, file_fingerprint

BATCH_ROWS = 8192


class Table(ABC):
    """A file of columns in groups of rows."""

    path: Path
    schema: Any
    group_rows: Sequence[int]

    @abstractmethod
    def batches(self, group: int, columns: Sequence[str]) -> Iterator[Any]:
        """The record batches of a group of rows."""

    @abstractmethod
    def close(self) -> None: ...


class ParquetTable(Table):
    """A Parquet file."""

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as parquet

        self.path = path
        self._file = parquet.ParquetFile(path)
        self.schema = self._file.schema_arrow
        metadata = self._file.metadata
        self.group_rows = [metadata.row_group(index).num_rows for index in range(metadata.num_row_groups)]

    def batches(self, group: int, columns: Sequence[str]) -> Iterator[Any]:
        yield from self._file.iter_batches(BATCH_ROWS, row_groups=[group], columns=list(columns))

    def close(self) -> None:
        self._file.close()


class ArrowTable(Table):
    """An Arrow file, which Feather's second version is as well; mapped into memory."""

    def __init__(self, path: Path) -> None:
        import pyarrow as pa

        self.path = path
        try:
            self._map = pa.memory_map(str(path))
            self._file = pa.ipc.open_file(self._map)
        except pa.ArrowInvalid as error:
            raise DataError(
                f"{path}: not an Arrow file (a stream is none, nor is Feather 1): {error}"
            ) from error
        self.schema = self._file.schema
        batches = range(self._file.num_record_batches)
        self.group_rows = [self._file.get_batch(index).num_rows for index in batches]

    def batches(self, group: int, columns: Sequence[str]) -> Iterator[Any]:
        batch = self._file.get_batch(group).select(list(columns))
        for start in range(0, batch.num_rows, BATCH_ROWS):
            yield batch.slice(start, BATCH_ROWS)

    def close(self) -> None:
        self._map.close()


class Columns(Source):
    """A column of a table, or several side by side."""

    def __init__(self, name: str, table: Table, columns: Sequence[str]) -> None:
        self.name, self._table, self._columns = name, table, columns
        self._starts = [0, *accumulate(table.group_rows)]
        self._rows = self._starts[-1]
        self._width: int | None = None
        self._go_to(0)
        self.shape: Shape = (self._rows, *self._left.shape[1:])
        self.dtype: np.dtype[Any] = self._left.dtype

    def _go_to(self, row: int) -> None:
        """Make the group of this row the next to be read."""
        self._group = max(0, bisect_right(self._starts, row) - 1)
        self._row = self._starts[min(self._group, len(self._table.group_rows))]
        self._batches: Iterator[Any] = iter(())
        self._left = self._next()

    def _next(self) -> Array:
        """The next batch as an array; an empty one at the end."""
        import pyarrow as pa

        while (batch := next(self._batches, None)) is None:
            if self._group >= len(self._table.group_rows):
                types = [self._table.schema.field(name).type for name in self._columns]
                return self._array([pa.array([], type_) for type_ in types])
            self._batches = self._table.batches(self._group, self._columns)
            self._group += 1
        # By name: Parquet gives columns in the order of the file.
        return self._array([batch.column(name) for name in self._columns])

    def _array(self, columns: Sequence[Any]) -> Array:
        arrays = [self._column_array(column) for column in columns]
        if len(arrays) == 1:
            return arrays[0]
        for name, array in zip(self._columns, arrays, strict=True):
            if array.ndim != 1 or array.dtype.kind not in "biuf":
                raise DataError(f"{self.name}: column {name} is not of numbers, one for each row")
        return np.stack(arrays, axis=1)

    def _column_array(self, column: Any) -> Array:
        import pyarrow as pa

        kind = column.type.value_type if pa.types.is_dictionary(column.type) else column.type
        if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
            return np.asarray(column.to_numpy(zero_copy_only=False), object)
        self._refuse_nulls(column.is_null())
        is_list, is_fixed = self._list_kind(column.type)
        if not is_list:
            return np.asarray(column.to_numpy(zero_copy_only=False))
        lengths = (
            np.full(len(column), column.type.list_size)
            if is_fixed
            else column.value_lengths().to_numpy(zero_copy_only=False)
        )
        if self._width is None:
            self._width = int(lengths[0]) if len(lengths) else column.type.list_size if is_fixed else 0
        ragged = np.flatnonzero(lengths != self._width)
        if len(ragged):
            raise DataError(
                f"{self.name}: row {self._row + int(ragged[0])} has a list of {lengths[ragged[0]]} values, "
                f"the first row one of {self._width}"
            )
        flat = column.flatten()
        if flat.null_count:
            missing = flat.is_null().to_numpy(zero_copy_only=False).reshape(-1, self._width).any(axis=1)
            self._refuse_nulls(pa.array(missing))
        return np.asarray(flat.to_numpy(zero_copy_only=False)).reshape(len(column), self._width)

    @staticmethod
    def _list_kind(type_: Any) -> tuple[bool, bool]:
        import pyarrow as pa

        is_fixed = pa.types.is_fixed_size_list(type_)
        return is_fixed or pa.types.is_list(type_) or pa.types.is_large_list(type_), is_fixed

    def _refuse_nulls(self, nulls: Any) -> None:
        missing = np.flatnonzero(nulls.to_numpy(zero_copy_only=False))
        if len(missing):
            raise DataError(f"{self.name}: no value in row {self._row + int(missing[0])}")

    def read(self, start: int, stop: int) -> Array:
        stop = min(stop, self._rows)
        # Backwards, or beyond the group that is being read.
        if start < self._row or start >= self._starts[min(self._group, len(self._starts) - 1)]:
            self._go_to(start)
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        while self._row < stop:
            if not len(self._left):
                self._left = self._next()
            take = min(len(self._left), (start if self._row < start else stop) - self._row)
            if self._row >= start:
                parts.append(self._left[:take])
            self._left = self._left[take:]
            self._row += take
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def fingerprint(self) -> object:
        return [self._columns, file_fingerprint(self._table.path, self.shape, self.dtype)]

    def close(self) -> None:
        self._table.close()
