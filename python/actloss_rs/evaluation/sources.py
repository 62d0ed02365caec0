"""Arrays to read, in blocks of rows, from memory or from files larger than memory.

A `Source` hands out rows of one array by their number; reading forward costs each byte once. Files whose
rows lie uncompressed are mapped into memory, and the pages of a block are let go when the next is asked
for; compressed ones are inflated block by block. So memory stays at a few blocks whatever the file's size.
"""

import mmap
import os
import zipfile
import zlib
from abc import ABC, abstractmethod
from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]


class DataError(ValueError):
    """What was wrong with the data, naming the file and the row where it was found."""


class Source(ABC):
    """One array, read by rows: the entries of its first axis."""

    name: str
    """What errors call it."""

    shape: Shape
    dtype: np.dtype[Any]

    @abstractmethod
    def read(self, start: int, stop: int) -> Array:
        """Rows start to stop. Reading backwards may be slow."""

    @abstractmethod
    def fingerprint(self) -> object:
        """What changes when the data do, as far as a look at the file tells; in terms that JSON has."""

    def where(self, row: int) -> tuple[str, int]:
        """The file that a row lies in, and its number there."""
        return self.name, row

    def close(self) -> None:  # noqa: B027 (most have nothing open)
        """Give back open files; what was read stays valid."""


def values_in(shape: Sequence[int]) -> int:
    """How many values an array of this shape holds."""
    return int(np.prod(shape, dtype=np.int64))


def file_fingerprint(path: Path, shape: Shape, dtype: np.dtype[Any]) -> object:
    """Shape, dtype, and the size and time of the file."""
    status = path.stat()
    return [list(shape), dtype.str, status.st_size, status.st_mtime_ns]


class InMemory(Source):
    """An array that is in memory already."""

    def __init__(self, name: str, array: Array) -> None:
        if not array.ndim:
            raise DataError(f"{name}: a single value, not an array of rows")
        self.name, self.shape = name, array.shape
        self.dtype: np.dtype[Any] = array.dtype
        self._array = array

    def read(self, start: int, stop: int) -> Array:
        return self._array[start:stop]

    def fingerprint(self) -> object:
        checksum = 0
        for row in range(0, self.shape[0], 4096):
            checksum = zlib.crc32(self._array[row : row + 4096].tobytes(), checksum)
        return [list(self.shape), self.dtype.str, checksum]


class Mapped(Source):
    """An array that lies in a file as it would in memory."""

    def __init__(
        self,
        name: str,
        path: Path,
        offset: int,
        shape: Shape,
        dtype: np.dtype[Any],
        fortran_order: bool = False,
        end: int | None = None,
    ) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype
        self._path = path
        needed = dtype.itemsize * values_in(shape)
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            held = max(0, min(size, size if end is None else end) - offset)
            if held < needed:
                raise DataError(f"{name}: cut short: {held} bytes, where {shape} of {dtype} takes {needed}")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        # Of an array by columns a row lies all over the file.
        self._offset, self._row_bytes = offset, 0 if fortran_order else dtype.itemsize * values_in(shape[1:])
        self._array: Array = np.ndarray(
            shape, dtype, buffer=self._map, offset=offset, order="F" if fortran_order else "C"
        )

    def read(self, start: int, stop: int) -> Array:
        # Pages that were read count as this process's memory until it says that it is done with them.
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)
            self._fetch(stop, 2 * stop - start)
        return self._array[start:stop]

    def _fetch(self, start: int, stop: int) -> None:
        """Have the disk read these rows while others are counted."""
        first = self._offset + start * self._row_bytes
        first -= first % mmap.PAGESIZE
        length = min(len(self._map), self._offset + stop * self._row_bytes) - first
        if self._row_bytes and length > 0:
            self._map.madvise(mmap.MADV_WILLNEED, first, length)

    def fingerprint(self) -> object:
        return file_fingerprint(self._path, self.shape, self.dtype)


class Inflated(Source):
    """An array in a compressed member of a zip archive, its values after a header."""

    def __init__(
        self, name: str, path: Path, member: str, header_bytes: int, shape: Shape, dtype: np.dtype[Any]
    ) -> None:
        self.name, self.shape, self.dtype = name, shape, dtype
        self._path, self._offset = path, header_bytes
        self._archive = zipfile.ZipFile(path)
        self._file = self._archive.open(member)

    def read(self, start: int, stop: int) -> Array:
        rows = max(0, min(stop, self.shape[0]) - start)
        block = np.empty((rows, *self.shape[1:]), self.dtype)
        view = block.reshape(-1).view(np.uint8)
        filled = 0
        try:
            self._file.seek(self._offset + start * self.dtype.itemsize * values_in(self.shape[1:]))
            while filled < len(view):
                piece = self._file.read(min(len(view) - filled, 1 << 20))
                if not piece:
                    raise EOFError("the data end early")
                view[filled : filled + len(piece)] = np.frombuffer(piece, np.uint8)
                filled += len(piece)
        except (EOFError, zipfile.BadZipFile, zlib.error) as error:
            raise DataError(f"{self.name}: damaged in rows {start} to {stop - 1}: {error}") from error
        return block

    def fingerprint(self) -> object:
        return file_fingerprint(self._path, self.shape, self.dtype)

    def close(self) -> None:
        self._file.close()
        self._archive.close()


class Shards(Source):
    """Arrays one after another, as one; one of them is open at a time."""

    def __init__(self, name: str, openers: Sequence[Callable[[], Source]]) -> None:
        self.name = name
        self._openers = openers
        self._starts = [0]
        self._names: list[str] = []
        self._fingerprints = []
        first = openers[0]()
        for opener in openers:
            shard = opener()
            shard.close()
            self._names.append(shard.name)
            if (shard.shape[1:], shard.dtype) != (first.shape[1:], first.dtype):
                raise DataError(
                    f"{shard.name}: rows of shape {shard.shape[1:]} and {shard.dtype}, "
                    f"where {first.name} has {first.shape[1:]} and {first.dtype}"
                )
            self._starts.append(self._starts[-1] + shard.shape[0])
            self._fingerprints.append(shard.fingerprint())
        self.shape = (self._starts[-1], *first.shape[1:])
        self.dtype = first.dtype
        self._open = 0, first

    def where(self, row: int) -> tuple[str, int]:
        index = bisect_right(self._starts, row) - 1
        return self._names[index], row - self._starts[index]

    def read(self, start: int, stop: int) -> Array:
        parts = [np.empty((0, *self.shape[1:]), self.dtype)]
        for index, (first, last) in enumerate(pairwise(self._starts)):
            if first < stop and start < last:
                if self._open[0] != index:
                    self.close()
                    self._open = index, self._openers[index]()
                parts.append(self._open[1].read(max(start, first) - first, min(stop, last) - first))
        return parts[1] if len(parts) == 2 else np.concatenate(parts)

    def fingerprint(self) -> object:
        return self._fingerprints

    def close(self) -> None:
        self._open[1].close()


class Sliceable(Source):
    """An array of another library that gives NumPy arrays when sliced, as Zarr's do."""

    def __init__(self, name: str, path: Path, array: Any) -> None:
        self.name, self._path, self._array = name, path, array
        self.shape: Shape = tuple(array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)

    def read(self, start: int, stop: int) -> Array:
        return np.asarray(self._array[start:stop])

    def fingerprint(self) -> object:
        return file_fingerprint(self._path, self.shape, self.dtype)
