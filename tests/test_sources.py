"""Every file format gives the rows that were written, in any blocks, and refuses what it cannot read."""

from __future__ import annotations

import json
import zipfile
from contextlib import closing
from itertools import pairwise

import numpy as np
import pytest

import actloss_rs as al
from actloss_rs.evaluation import DataError
from actloss_rs.evaluation.formats import open_source

X = np.random.default_rng(0).normal(0, 3, (1000, 7)).astype(np.float32)


def save_safetensors(path, **arrays):
    header, data = {"__metadata__": {"made": "by hand"}}, b""
    names = {"float32": "F32", "float64": "F64", "uint8": "U8", "int64": "I64", "bfloat16": "BF16"}
    for name, array in arrays.items():
        offsets = [len(data), len(data) + array.nbytes]
        header[name] = {"dtype": names[array.dtype.name], "shape": array.shape, "data_offsets": offsets}
        data += array.tobytes()
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)


def save(kind, folder):
    """A file that holds X, and what to open."""
    path = folder / f"x.{kind.split()[0]}"
    match kind:
        case "npy":
            np.save(path, X)
        case "npy by columns":
            np.save(path, np.asfortranarray(X))
        case "npy of the other byte order":
            np.save(path, X.astype(X.dtype.newbyteorder()))
        case "npz":
            np.savez(path, y_true=X[:, 0], y_pred=X)
        case "npz by columns":
            np.savez(path, other=X[:, 0], x=np.asfortranarray(X))
            return f"{path}::x"
        case "npz compressed":
            np.savez_compressed(path, y_true=X[:, 0], y_pred=X)
        case "npy in shards":
            for number, rows in enumerate((X[:1], X[1:600], X[600:600], X[600:])):
                np.save(folder / f"x-{number}.npy", rows)
            return str(folder / "x-*.npy")
        case "npz in shards":
            for number, rows in enumerate((X[:333], X[333:])):
                np.savez_compressed(folder / f"x-{number}.npz", other=rows[:, 0], x=rows)
            return f"{folder}/x-?.npz::x"
        case "safetensors":
            save_safetensors(path, y_true=X[:, 0], x=X)
            return f"{path}::x"
        case "zarr":
            zarr = pytest.importorskip("zarr")
            zarr.save_array(str(path), X)
        case "zarr group":
            zarr = pytest.importorskip("zarr")
            zarr.save_group(str(path), x=X, y=X[:, 0])
            return f"{path}::x"
        case "parquet":
            pa = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            lists = pa.FixedSizeListArray.from_arrays(X.reshape(-1), 7)
            parquet.write_table(pa.table({"y_true": X[:, 0], "x": lists}), path, row_group_size=90)
            return f"{path}::x"
        case "parquet by columns":
            pa = pytest.importorskip("pyarrow")
            parquet = pytest.importorskip("pyarrow.parquet")
            # In the order asked for, which is not the file's.
            names = ["p_2", "p_0", "p_1", "q", "p_10", "p_4", "p_3"]
            table = pa.table({"label": X[:, 0], **dict(zip(names, X.T, strict=True))})
            parquet.write_table(table.select(sorted(table.column_names)), path, row_group_size=300)
            return f"{path}::{','.join(names)}"
        case "feather":
            pa = pytest.importorskip("pyarrow")
            feather = pytest.importorskip("pyarrow.feather")
            table = pa.table({"label": X[:, 0], **{f"p_{number}": X[:, number] for number in range(7)}})
            feather.write_feather(table, path, chunksize=333, compression="lz4")
            return f"{path}::p_*"
        case "arrow":
            pa = pytest.importorskip("pyarrow")
            table = pa.table({"label": X[:, 0], "x": X.tolist()})
            table = table.set_column(1, "x", table["x"].cast(pa.list_(pa.float32())))
            with pa.ipc.new_file(path, table.schema) as file:
                file.write_table(table, max_chunksize=400)
            return f"{path}::x"
    return path


KINDS = [
    "npy", "npy by columns", "npy of the other byte order", "npz", "npz by columns", "npz compressed",
    "npy in shards", "npz in shards", "safetensors", "zarr", "zarr group", "parquet",
    "parquet by columns", "feather", "arrow",
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_rows(kind, tmp_path):
    source = open_source(save(kind, tmp_path), "y_pred")
    assert source.shape == X.shape
    assert source.dtype.newbyteorder("=") == X.dtype
    rng = np.random.default_rng(1)
    cuts = np.sort(rng.integers(0, 1001, 20))
    spans = [(0, 1000), (999, 1000), (0, 1), (1000, 1000), *pairwise(cuts)]
    spans += [tuple(np.sort(rng.integers(0, 1001, 2))) for _ in range(20)]
    for start, stop in spans:
        np.testing.assert_array_equal(source.read(int(start), int(stop)), X[start:stop])
    json.dumps(source.fingerprint())
    source.close()


def test_rows_stay_as_they_were_read(tmp_path):
    for kind in KINDS:
        source = open_source(save(kind, tmp_path), "y_pred")
        first = source.read(0, 400)
        source.read(400, 1000)
        source.close()
        del source
        np.testing.assert_array_equal(first, X[:400], err_msg=kind)


def test_bfloat16(tmp_path):
    ml_dtypes = pytest.importorskip("ml_dtypes")
    x = X.astype(ml_dtypes.bfloat16)
    np.save(tmp_path / "x.npy", x)
    np.savez_compressed(tmp_path / "x.npz", x)
    save_safetensors(tmp_path / "x.safetensors", x=x)
    for path in tmp_path.iterdir():
        source = open_source(path, "y_pred")
        assert source.dtype == x.dtype
        np.testing.assert_array_equal(source.read(10, 900), x[10:900])


def test_a_column_of_numbers(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    table = pa.table({"label": np.arange(20_000), "holes": [None if i == 9000 else i for i in range(20_000)]})
    parquet.write_table(table, tmp_path / "x.parquet")
    source = open_source(f"{tmp_path}/x.parquet::label", "y_true")
    np.testing.assert_array_equal(source.read(8000, 17_000), np.arange(8000, 17_000))
    with pytest.raises(DataError, match="no value in row 9000"):
        open_source(f"{tmp_path}/x.parquet::holes", "y_true").read(0, 20_000)


def test_tables_with_holes(tmp_path):
    pa = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    ragged = pa.array([[1.0, 2.0]] * 600 + [[1.0]] + [[1.0, 2.0]])
    inside = pa.array([[1.0, 2.0]] * 600 + [[1.0, None]] + [[1.0, 2.0]])
    text = pa.array(["a", None] * 301).dictionary_encode()
    table = pa.table({"ragged": ragged, "inside": inside, "text": text, "number": range(602)})
    path = tmp_path / "x.parquet"
    parquet.write_table(table, path, row_group_size=256)
    for column, message in (
        ("ragged", "row 600 has a list of 1 values, the first row one of 2"),
        ("inside", "no value in row 600"),
        ("text", "not numbers"),
        ("number,ragged", "column ragged is not of numbers, one for each row"),
        ("x_*", r"no column matches 'x_\*' of: ragged, inside, text, number"),
        ("number,none", "no array 'none'"),
    ):
        with pytest.raises(DataError, match=message) as raised:
            open_source(f"{path}::{column}", "y_pred").read(0, 602)
        assert str(raised.value).startswith(str(path))
    groups = open_source(f"{path}::text", "country")
    assert groups.read(1, 4).tolist() == [None, "a", None]
    (tmp_path / "x.arrow").write_bytes(b"no arrow")
    with pytest.raises(DataError, match="not an Arrow file"):
        open_source(tmp_path / "x.arrow", "y_pred")


def test_the_shard_of_a_bad_row_is_named(tmp_path):
    for number, labels in enumerate(([0, 1, 0], [1, 1, 0, 7, 0], [0, 0])):
        np.save(tmp_path / f"y-{number}.npy", np.array(labels))
    np.save(tmp_path / "z.npy", np.zeros((10, 2), np.float32))
    with pytest.raises(DataError, match=r"y-1\.npy: row 3: y_true\[3\] = 7 is not a class id"):
        al.evaluate(
            f"{tmp_path}/y-*.npy",
            tmp_path / "z.npy",
            loss="sparse_categorical_crossentropy",
            from_logits=True,
        )


def test_a_name_may_hold_what_separates(tmp_path):
    path = tmp_path / "run::[1].npy"
    np.save(path, X)
    np.testing.assert_array_equal(open_source(path, "y_pred").read(0, 1000), X)


def damaged_npz(path):
    np.savez_compressed(path, x=X)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)
    return path


def cut_npy(path):
    np.save(path, X)
    path.write_bytes(path.read_bytes()[:-4])
    return path


def written(path, content):
    path.write_bytes(content)
    return path


def saved(path, *arrays, **named):
    (np.savez if path.suffix == ".npz" else np.save)(path, *arrays, **named)
    return path


def cut_member(path):
    """A member whose header promises more than the member holds."""
    whole = saved(path.with_suffix(".npy"), X).read_bytes()
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x.npy", whole[:-4])
        archive.writestr("y.npy", whole)
    return f"{path}::x"


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda d: d / "none.npy", "no such file"),
        (lambda d: d / "none-*.npy", "no file matches"),
        (lambda d: written(d / "x.txt", b"1 2 3"), "unknown format"),
        (lambda d: written(d / "x.npy", b"1 2 3"), "not a .npy array"),
        (lambda d: written(d / "x.npz", b"1 2 3"), "not a .npz archive"),
        (lambda d: written(d / "x.safetensors", b"\xff" * 20), "not a .safetensors file"),
        (lambda d: written(d / "x.safetensors", b""), "not a .safetensors file"),
        (lambda d: saved(d / "x.npy", np.float32(1)), "a single value"),
        (lambda d: saved(d / "x.npy", np.array(["a"])), "not numbers"),
        (lambda d: saved(d / "x.npy", np.zeros(3, complex)), "not numbers"),
        (lambda d: saved(d / "x.npy", np.array([None])), "Python objects"),
        (lambda d: f"{saved(d / 'x.npy', X)}::x", "without a name"),
        (lambda d: saved(d / "x.npz", a=X, b=X), "which array is y_pred.*one of: a, b"),
        (lambda d: f"{saved(d / 'x.npz', a=X, b=X)}::c", "no array 'c', but: a, b"),
        (lambda d: cut_npy(d / "x.npy"), "cut short"),
        (lambda d: cut_member(d / "x.npz"), "cut short"),
        (lambda d: damaged_npz(d / "x.npz"), "damaged"),
    ],
)
def test_refusals(make, message, tmp_path):
    with (
        pytest.raises(DataError, match=message) as raised,
        closing(open_source(make(tmp_path), "y_pred")) as source,
    ):
        source.read(0, 1000)
    assert str(tmp_path) in str(raised.value)


def test_columns_cannot_be_inflated_by_rows(tmp_path):
    np.savez_compressed(tmp_path / "x.npz", np.asfortranarray(X))
    with pytest.raises(DataError, match="Fortran order"):
        open_source(tmp_path / "x.npz", "y_pred")


def test_shards_that_differ(tmp_path):
    np.save(tmp_path / "x-0.npy", X)
    np.save(tmp_path / "x-1.npy", X[:, :3])
    with pytest.raises(DataError, match=r"x-1.npy: rows of shape \(3,\)"):
        open_source(f"{tmp_path}/x-*.npy", "y_pred")


def test_arrays_in_memory():
    assert open_source([[1, 2], [3, 4]], "y_true").shape == (2, 2)
    with pytest.raises(TypeError, match="masked"):
        open_source(np.ma.masked_array([1, 2], [0, 1]), "y_true")
    with pytest.raises(DataError, match="single value"):
        open_source(1.0, "y_true")
    dask_array = pytest.importorskip("dask.array")
    with pytest.raises(TypeError, match=r"actloss_rs\.dask\.evaluate"):
        open_source(dask_array.zeros(3), "y_true")
