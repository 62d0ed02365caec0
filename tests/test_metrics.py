"""Figures beyond the loss: slices by group, histogram, other losses, "all"; against NumPy and plain calls."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

import actloss_rs as al
from actloss_rs._core import label_ranks
from actloss_rs.evaluation import DataError

SPARSE = {"loss": "sparse_categorical_crossentropy", "from_logits": True}
CLOCK = {"seconds", "rows_per_second", "bytes_per_second"}


def data(rows=1000, classes=10, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    z = rng.normal(0, 2, (rows, classes)).astype(np.float32)
    z[np.arange(rows), y] += 4
    return y, z, rng.random(rows)


@pytest.mark.parametrize(
    "groups",
    [
        np.array(["de", "Köln", "fr"]),
        np.array([b"de", b"at", b"fr"]),
        np.array([3, -1, 7]),
        np.array([False, True, True]),
        np.array(["de", None, "fr"], object),
    ],
)
def test_slices_are_evaluations_of_their_rows(groups):
    y, z, weight = data()
    of_row = groups[np.random.default_rng(1).integers(0, len(groups), 1000)]
    result = al.evaluate(
        y, z, **SPARSE, sample_weight=weight, metrics=["ece", "worst_3"], group_by=of_row, block_bytes=5000
    )
    listed = of_row.astype(str).tolist() if of_row.dtype.kind == "S" else of_row.tolist()
    assert {entry["group"] for entry in result["slices"]} == set(listed)
    assert len(result["slices"]) == len(set(listed))
    for entry in result["slices"]:
        rows = np.array([group == entry["group"] for group in listed])
        alone = al.evaluate(y[rows], z[rows], **SPARSE, sample_weight=weight[rows], metrics=["ece"])
        figures = {name: alone[name] for name in ("loss", "accuracy", "top_5_accuracy", "perplexity", "ece")}
        assert entry == {"by": "group", "group": entry["group"], "rows": rows.sum(), **figures}


def test_several_groupings_of_files_blocks_and_dask(tmp_path):
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    dask_array = pytest.importorskip("dask.array")
    from actloss_rs.dask import evaluate

    y, z, _ = data()
    rng = np.random.default_rng(1)
    groups = {"country": rng.choice(["de", "fr"], 1000).astype(object), "version": rng.integers(1, 4, 1000)}
    expected = al.evaluate(y, z, **SPARSE, group_by=groups)["slices"]
    assert [entry["by"] for entry in expected] == ["country"] * 2 + ["version"] * 3
    assert [entry["group"] for entry in expected] == ["de", "fr", 1, 2, 3]

    parquet.write_table(pa.table(groups), tmp_path / "t.parquet", row_group_size=90)
    np.save(tmp_path / "version.npy", groups["version"])
    paths = {"country": f"{tmp_path}/t.parquet::country", "version": f"{tmp_path}/version.npy"}
    assert al.evaluate(y, z, **SPARSE, group_by=paths, block_bytes=3000)["slices"] == expected
    for path in paths.values():  # named as the column, or as the file
        alone = al.evaluate(y, z, **SPARSE, group_by=path)["slices"]
        assert alone == [entry for entry in expected if entry["by"] == alone[0]["by"]]

    blocks = [
        (y[a:b], z[a:b], None, {name: keys[a:b] for name, keys in groups.items()})
        for a, b in ((0, 300), (300, 1000))
    ]
    assert al.evaluate(blocks, **SPARSE)["slices"] == expected
    lazy = {name: dask_array.from_array(keys, chunks=170) for name, keys in groups.items()}
    of_dask = evaluate(dask_array.from_array(y, 300), dask_array.from_array(z, 300), **SPARSE, group_by=lazy)
    assert of_dask["slices"] == expected


def test_groups_that_are_none():
    y, z, _ = data()
    with pytest.raises(DataError, match="group: more than 1000 groups"):
        al.evaluate(*data(1001)[:2], **SPARSE, group_by=np.arange(1001))
    with pytest.raises(DataError, match=r"group: groups are integers, booleans or strings.*float64"):
        al.evaluate(y, z, **SPARSE, group_by=np.ones(1000))
    with pytest.raises(DataError, match="not float"):
        al.evaluate(y, z, **SPARSE, group_by=np.array(["a", math.nan] * 500, object))
    with pytest.raises(DataError, match="group has 999 rows, y_pred has 1000"):
        al.evaluate(y, z, **SPARSE, group_by=y[1:])
    with pytest.raises(TypeError, match="go into the blocks"):
        al.evaluate([(y, z)], **SPARSE, group_by=y)


def test_loss_histogram():
    rng = np.random.default_rng(0)
    difference = np.concatenate([rng.normal(0, 100, 990) * 10.0 ** rng.integers(-9, 9, 990), [0.0] * 10])
    difference[:3] = np.nan, np.inf, -np.inf
    losses = difference**2
    zeros = np.zeros(1000)
    histogram = al.evaluate(zeros, difference, loss="mean_squared_error", metrics=["loss_histogram"])[
        "loss_histogram"
    ]
    assert sum(entry["count"] for entry in histogram) == 1000
    *bins, infinite, missing = histogram
    assert (infinite["from"], infinite["to"], infinite["count"]) == (math.inf, math.inf, 2)
    assert math.isnan(missing["from"])
    assert missing["count"] == 1
    for entry in bins:
        assert entry["count"] == np.sum((losses >= entry["from"]) & (losses < entry["to"]))
        assert not entry["from"] or entry["to"] / entry["from"] <= 1.25


def test_other_losses_in_the_same_pass():
    rng = np.random.default_rng(0)
    y, p, weight = rng.random(500) < 0.3, rng.random(500), rng.random(500)
    result = al.evaluate(
        y, p, loss="binary_crossentropy", metrics=["mean_squared_error"], sample_weight=weight
    )
    assert result["mean_squared_error"] == al.mean_squared_error(y, p, sample_weight=weight)
    with pytest.raises(ValueError, match="'mean_squared_error' makes no sense for categorical_crossentropy"):
        al.evaluate(p, p, loss="categorical_crossentropy", metrics=["mean_squared_error"])
    with pytest.raises(DataError, match=r"binary_crossentropy: .*from_logits"):
        al.evaluate(y, p + 1, loss="mean_squared_error", metrics=["binary_crossentropy"])


def test_all_is_everything_that_makes_sense():
    y, z, _ = data()
    result = al.evaluate(y, z, **SPARSE, metrics=["all", "worst_2"])
    apart = ["brier", "ece", "confusion_matrix", "per_class_loss", "loss_histogram", "worst_2"]
    for name, value in al.evaluate(y, z, **SPARSE, metrics=apart).items():
        assert name in CLOCK or result[name] == value
    plain = al.evaluate(z, z + 1, loss="mean_squared_error", metrics=["all"])
    assert {"loss_histogram", "worst"} <= plain.keys()
    assert not {"ece", "confusion_matrix"} & plain.keys()
    # As many classes as a confusion matrix takes, and one more.
    y, z, _ = data(50, 1000)
    assert len(al.evaluate(y, z, **SPARSE, metrics=["all"])["confusion_matrix"]) == 1000
    y, z, _ = data(50, 1001)
    assert "confusion_matrix" not in al.evaluate(y, z, **SPARSE, metrics=["all"])
    with pytest.raises(DataError, match="at most 1000 classes, these are 1001"):
        al.evaluate(y, z, **SPARSE, metrics=["confusion_matrix"])


def test_the_json_keeps_to_its_schema():
    jsonschema = pytest.importorskip("jsonschema")
    from importlib.resources import files

    from actloss_rs.evaluation.output import strict

    schema = json.loads((files("actloss_rs.evaluation") / "schema.json").read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator.check_schema(schema)
    # Nothing is left undescribed.
    closed = jsonschema.Draft202012Validator({**schema, "additionalProperties": False})
    y, z, weight = data()
    z[5, 3], z[6] = np.nan, -np.inf
    y[7] = 99
    groups = {"country": np.array(["de", None] * 500, object)}
    results = [
        al.evaluate(y, z, **SPARSE, metrics=["all"], group_by=groups, on_bad_row="skip"),
        al.evaluate(y[8:], z[8:], **SPARSE, metrics=["all", "top_3_accuracy"], sample_weight=weight[8:]),
        al.evaluate(z, z + 1, loss="mean_squared_error", metrics=["all"]),
        al.evaluate(z[8:] > 0, al.sigmoid(z[8:]), loss="binary_crossentropy", metrics=["all"]),
    ]
    for result in results:
        closed.validate(json.loads(json.dumps(strict(result), allow_nan=False)))
    broken = strict(results[0] | {"rows": -1})
    assert [error.json_path for error in closed.iter_errors(broken)] == ["$.rows"]


@pytest.mark.parametrize("kind", ["f4", "f8", "f2", "bfloat16", "i4", ">f4"])
def test_ranks_of_labels(kind):
    dtype = np.dtype(pytest.importorskip("ml_dtypes").bfloat16 if kind == "bfloat16" else kind)
    rng = np.random.default_rng(0)
    for classes in (1, 2, 10, 16, 17, 33, 1500):
        scores = rng.integers(0, 12, (57, classes)).astype(dtype)  # with ties
        if dtype.kind != "i":
            scores[rng.random(scores.shape) < 0.05] = np.nan
        labels = rng.integers(0, classes, 57).astype(np.uint16)
        wide = scores.astype(np.float64)
        of_label = wide[np.arange(57), labels][:, None]
        ties = (wide == of_label) & (np.arange(classes) < labels[:, None])
        expected = (~(wide <= of_label) | ties).sum(axis=1)
        for layout in (scores, np.asfortranarray(scores), scores[:, ::-1][:, ::-1]):
            np.testing.assert_array_equal(label_ranks(labels, layout), expected)
        np.testing.assert_array_equal(label_ranks(labels[::-1], scores[::-1]), expected[::-1])
    assert label_ranks([5, -1, 0], [[1, 2], [1, 2], [3, 1]]).tolist() == [2**32 - 1, 2**32 - 1, 0]
    with pytest.raises(ValueError, match="one class id for each row"):
        label_ranks([0], [[1, 2], [1, 2]])
