"""From what a user names, a path or an array, to the source that reads it."""

import fnmatch
import glob
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.lib.format as npy_format

from actloss_rs.evaluation.columns import ArrowTable, Columns, ParquetTable, Table
from actloss_rs.evaluation.sources import (
    DataError,
    Inflated,
    InMemory,
    Mapped,
    Shape,
    Shards,
    Sliceable,
    Source,
)

SEPARATOR = "::"
"""Between a path and the name of an array in it."""

ROLES = ("y_true", "y_pred", "sample_weight")
"""What arrays are of numbers for; those of other names are groupings."""


def open_source(data: Any, role: str) -> Source:
    """The source of what was passed as y_true, y_pred or sample_weight, or as a grouping.

    A path may be a glob of shards and may end in ``::NAME``. In a file of several arrays the one named as
    the role is taken when no name is given.
    """
    if isinstance(data, (str, os.PathLike)):
        spec = os.fspath(data)
        path, separator, name = spec.rpartition(SEPARATOR)
        if not separator or os.path.exists(spec):
            path, name = spec, ""
        if glob.has_magic(path) and not os.path.exists(path):
            paths = sorted(glob.glob(path, recursive=True))
            if not paths:
                raise DataError(f"{path}: no file matches")
            return Shards(spec, [partial(open_file, Path(each), name, role) for each in paths])
        return open_file(Path(path), name, role)
    if isinstance(data, Source):
        return data
    if hasattr(data, "dask"):
        raise TypeError(f"{role} is a Dask array: use actloss_rs.dask.evaluate")
    if np.ma.isMaskedArray(data):
        raise TypeError(f"{role} is a masked array: masks are not counted here; pass a sample_weight instead")
    return InMemory(role, np.asarray(data))


def open_file(path: Path, name: str, role: str) -> Source:
    """The array of a file, whose suffix tells the format."""
    label = f"{path}{SEPARATOR}{name}" if name else str(path)
    opener = FORMATS.get(path.suffix)
    if opener is None:
        raise DataError(f"{label}: unknown format {path.suffix!r}; known: {', '.join(FORMATS)}")
    if not path.exists():
        raise DataError(f"{label}: no such file")
    try:
        source = opener(path, name, role)
    except ModuleNotFoundError as error:
        raise DataError(
            f"{label}: reading it takes the package {error.name}, which is not installed"
        ) from error
    except OSError as error:
        raise DataError(f"{label}: {error.strerror or error}") from error
    if not source.shape:
        raise DataError(f"{label}: a single value, not an array of rows")
    strings = role not in ROLES and source.dtype.kind in "USO"
    if source.dtype.kind not in "biuf" and source.dtype.name != "bfloat16" and not strings:
        raise DataError(f"{label}: holds {source.dtype}, not numbers")
    return source


def pick(path: Path, names: Sequence[str], name: str, role: str) -> str:
    """The array meant, of those that a file holds."""
    if not name and len(names) == 1:
        return names[0]
    if (name or role) in names:
        return name or role
    held = ", ".join(names) or "nothing"
    if name:
        raise DataError(f"{path}: holds no array {name!r}, but: {held}")
    raise DataError(f"{path}: which array is {role}? Add {SEPARATOR}NAME, one of: {held}")


def bfloat16(label: str) -> np.dtype[Any]:
    """The dtype, which NumPy itself does not have."""
    try:
        import ml_dtypes
    except ModuleNotFoundError as error:
        raise DataError(f"{label}: holds bfloat16, which takes the package ml_dtypes") from error
    dtype: np.dtype[Any] = np.dtype(ml_dtypes.bfloat16)
    return dtype


# ------------------------------------------------------------------------------------------------ .npy, .npz


def read_npy_header(label: str, file: IO[bytes]) -> tuple[Shape, bool, np.dtype[Any]]:
    """Shape, whether in Fortran order, and dtype; leaves the file at the first value."""
    readers = {(1, 0): npy_format.read_array_header_1_0, (2, 0): npy_format.read_array_header_2_0}
    try:
        version = npy_format.read_magic(file)
        if version not in readers:
            raise ValueError(f"version {version} of the format, which is for structured arrays")
        shape, fortran_order, dtype = readers[version](file)
    except (ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{label}: not a .npy array: {error}") from error
    if dtype == np.dtype("V2"):  # np.save writes bfloat16 as two bytes without a name
        dtype = bfloat16(label)
    if dtype.hasobject:
        raise DataError(f"{label}: holds Python objects, not numbers")
    return shape, fortran_order, dtype


def open_npy(path: Path, name: str, role: str) -> Source:
    if name:
        raise DataError(f"{path}: a .npy file holds one array, without a name: leave out {SEPARATOR}{name}")
    with path.open("rb") as file:
        shape, fortran_order, dtype = read_npy_header(str(path), file)
        return Mapped(str(path), path, file.tell(), shape, dtype, fortran_order)


def open_npz(path: Path, name: str, role: str) -> Source:
    try:
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            name = pick(path, list(members), name, role)
            info = members[name]
            label = f"{path}{SEPARATOR}{name}"
            with archive.open(info) as member:
                shape, fortran_order, dtype = read_npy_header(label, member)
                header_bytes = member.tell()
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:  # such as: encrypted
        raise DataError(f"{path}: not a .npz archive: {error}") from error
    if info.compress_type != zipfile.ZIP_STORED:
        if fortran_order:
            raise DataError(
                f"{label}: compressed and stored by columns (Fortran order), so its rows cannot be streamed; "
                "save np.ascontiguousarray of it, or use np.savez"
            )
        return Inflated(label, path, info.filename, header_bytes, shape, dtype)
    with path.open("rb") as file:  # a member's bytes follow its local header, its name and an extra field
        file.seek(info.header_offset + 26)
        name_bytes, extra_bytes = struct.unpack("<HH", file.read(4))
    start = info.header_offset + 30 + name_bytes + extra_bytes
    return Mapped(label, path, start + header_bytes, shape, dtype, fortran_order, start + info.file_size)


# -------------------------------------------------------------------------------- .safetensors, Zarr, Parquet

SAFETENSORS = {
    "BOOL": "?", "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8",
    "I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8", "F16": "<f2", "F32": "<f4", "F64": "<f8",
}  # fmt: skip
"""The dtypes of the format, but for BF16."""


def open_safetensors(path: Path, name: str, role: str) -> Source:
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        try:
            if length > path.stat().st_size:
                raise ValueError("the header is longer than the file")
            header: dict[str, Any] = json.loads(file.read(length))
            tensors = {key: entry for key, entry in header.items() if key != "__metadata__"}
            spans = {
                key: [8 + length + int(at) for at in entry["data_offsets"]] for key, entry in tensors.items()
            }
            shapes = {key: tuple(map(int, entry["shape"])) for key, entry in tensors.items()}
            dtypes = {key: str(entry["dtype"]) for key, entry in tensors.items()}
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise DataError(f"{path}: not a .safetensors file: {error}") from error
    name = pick(path, list(tensors), name, role)
    label = f"{path}{SEPARATOR}{name}"
    if dtypes[name] not in (*SAFETENSORS, "BF16"):
        raise DataError(f"{label}: holds {dtypes[name]}, which is not known here")
    dtype = bfloat16(label) if dtypes[name] == "BF16" else np.dtype(SAFETENSORS[dtypes[name]])
    return Mapped(label, path, spans[name][0], shapes[name], dtype, end=spans[name][1])


def open_zarr(path: Path, name: str, role: str) -> Source:
    import zarr

    node: Any = zarr.open(str(path), mode="r")
    if not hasattr(node, "array_keys"):
        return Sliceable(str(path), path, node)
    name = pick(path, [name] if name and name in node else sorted(node.array_keys()), name, role)
    return Sliceable(f"{path}{SEPARATOR}{name}", path, node[name])


def open_parquet(path: Path, name: str, role: str) -> Source:
    return open_columns(ParquetTable(path), name, role)


def open_arrow(path: Path, name: str, role: str) -> Source:
    return open_columns(ArrowTable(path), name, role)


def open_columns(table: Table, name: str, role: str) -> Source:
    """A column, or several side by side: ``a,b,c``, or a pattern such as ``p_*`` in the file's order."""
    held = table.schema.names
    columns = name.split(",") if "," in name and name not in held else [name]
    if glob.has_magic(name) and name not in held:
        columns = fnmatch.filter(held, name)
        if not columns:
            raise DataError(f"{table.path}: no column matches {name!r} of: {', '.join(held)}")
    columns = [pick(table.path, held, column.strip(), role) for column in columns]
    return Columns(f"{table.path}{SEPARATOR}{name or columns[0]}", table, columns)


FORMATS: dict[str, Callable[[Path, str, str], Source]] = {
    ".npy": open_npy,
    ".npz": open_npz,
    ".safetensors": open_safetensors,
    ".zarr": open_zarr,
    ".parquet": open_parquet,
    ".arrow": open_arrow,
    ".feather": open_arrow,
}
