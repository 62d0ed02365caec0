"""`evaluate`: its figures against scikit-learn and exact fractions, whatever the blocks, and its errors."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
import sklearn.metrics

import actloss_rs as al
from actloss_rs.evaluation import SCHEMA, DataError, Evaluation
from actloss_rs.evaluation.blocks import Block

ALL = ["top_3_accuracy", "brier", "ece", "confusion_matrix", "per_class_loss", "worst_4"]
CLOCK = {"seconds", "rows_per_second", "bytes_per_second"}
SPARSE = {"loss": "sparse_categorical_crossentropy", "from_logits": True}


def data(rows=1000, classes=10, seed=0):
    """Labels, logits of a good classifier, and weights."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, rows)
    z = rng.normal(0, 2, (rows, classes))
    z[np.arange(rows), y] += 4
    return y, z.astype(np.float32), rng.random(rows)


def untimed(result):
    """The result as text, without what the clock says."""
    assert result["rows_per_second"] > 0
    assert result["bytes_per_second"] >= 0
    return json.dumps({key: value for key, value in result.items() if key not in CLOCK})


# --- figures


@pytest.mark.parametrize("weighted", [False, True])
def test_against_scikit_learn(weighted):
    y, z, weight = data()
    w = weight if weighted else None
    p = al.softmax(z.astype(np.float64))
    result = al.evaluate(y, z, **SPARSE, metrics=ALL, sample_weight=w)
    assert result["schema"] == SCHEMA
    assert (result["rows"], result["samples"], result["skipped_rows"]) == (1000, 1000, 0)
    assert result["loss"] == al.sparse_categorical_crossentropy(y, z, from_logits=True, sample_weight=w)
    np.testing.assert_allclose(result["loss"], sklearn.metrics.log_loss(y, p, sample_weight=w), rtol=1e-6)
    np.testing.assert_allclose(result["perplexity"], np.exp(result["loss"]), rtol=1e-15)
    predicted = p.argmax(axis=1)
    accuracy = sklearn.metrics.accuracy_score(y, predicted, sample_weight=w)
    np.testing.assert_allclose(result["accuracy"], accuracy, rtol=1e-15)
    for k in (3, 5):
        top = sklearn.metrics.top_k_accuracy_score(y, p, k=k, sample_weight=w)
        np.testing.assert_allclose(result[f"top_{k}_accuracy"], top, rtol=1e-15)
    brier = np.average(((p - np.eye(10)[y]) ** 2).sum(axis=1), weights=w)
    np.testing.assert_allclose(result["brier"], brier, rtol=1e-6)
    assert result["confusion_matrix"] == sklearn.metrics.confusion_matrix(y, predicted).tolist()
    none = al.sparse_categorical_crossentropy(y, z, from_logits=True, reduction="none", sample_weight=w)
    worst = sorted(range(1000), key=lambda row: (-none[row], row))[:4]
    assert result["worst"] == [
        {"row": row, "loss": float(none[row]), "label": int(y[row]), "predicted": int(predicted[row])}
        for row in worst
    ]
    for entry in result["per_class_loss"]:
        rows = y == entry["class"]
        alone = al.sparse_categorical_crossentropy(
            y[rows], z[rows], from_logits=True, sample_weight=None if w is None else w[rows]
        )
        assert (entry["count"], entry["loss"]) == (rows.sum(), alone)


def test_an_exact_weighted_accuracy():
    y, z, weight = data(300)
    hit = z.argmax(axis=1) == y
    exact = sum(map(Fraction, weight[hit])) / sum(map(Fraction, weight))
    assert al.evaluate(y, z, **SPARSE, sample_weight=weight)["accuracy"] == float(exact)
    assert al.evaluate(y, z, **SPARSE)["accuracy"] == hit.sum() / 300


@pytest.mark.parametrize("weighted", [False, True])
def test_calibration(weighted):
    y, z, weight = data()
    w = weight if weighted else np.ones(1000)
    p = al.softmax(z)
    confidence, hit = p.max(axis=1).astype(np.float64), p.argmax(axis=1) == y
    result = al.evaluate(y, z, **SPARSE, metrics=["ece"], sample_weight=weight if weighted else None)
    gap = 0.0
    for entry in result["reliability"]:
        inside = (confidence > entry["above"]) & (confidence <= entry["up_to"])
        assert entry["count"] == inside.sum()
        if entry["count"]:
            np.testing.assert_allclose(entry["confidence"], np.average(confidence[inside], weights=w[inside]))
            np.testing.assert_allclose(entry["accuracy"], np.average(hit[inside], weights=w[inside]))
            gap += abs(np.sum(w[inside] * (confidence[inside] - hit[inside])))
        else:
            assert entry["confidence"] is entry["accuracy"] is None
    assert len(result["reliability"]) == 15
    np.testing.assert_allclose(result["ece"], gap / w.sum(), rtol=1e-12)


def test_one_hot_and_ids_agree_to_the_last_bit():
    y, z, weight = data()
    of_ids = al.evaluate(y, z, **SPARSE, metrics=ALL, sample_weight=weight)
    one_hot = np.eye(10)[y]
    of_one_hot = al.evaluate(
        one_hot, z, loss="categorical_crossentropy", from_logits=True, metrics=ALL, sample_weight=weight
    )
    for name in of_ids.keys() - {"loss_name", "loss_options"} - CLOCK:
        assert of_ids[name] == of_one_hot[name], name


def test_ties_and_nan():
    z = np.array([[1, 1, 0], [1, 1, 0], [0, 0, 0], [np.nan, 0, 1], [0, 1, np.nan]], np.float32)
    y = np.array([0, 1, 2, 2, 1])
    result = al.evaluate(y, z, **SPARSE, metrics=["top_2_accuracy", "top_3_accuracy", "worst_2"])
    # Of equal scores the first is ahead; a NaN is ahead of all.
    assert result["accuracy"] == 1 / 5
    assert result["top_2_accuracy"] == 4 / 5
    assert result["top_3_accuracy"] == 1.0
    assert math.isnan(result["loss"])
    assert [entry["row"] for entry in result["worst"]] == [3, 4]


def test_decisions():
    rng = np.random.default_rng(0)
    y = rng.random(500) < 0.4
    x = rng.normal(0, 1, 500) + 2 * y - 1
    p = al.sigmoid(x)
    names = ["brier", "ece", "confusion_matrix", "per_class_loss"]
    of_p = al.evaluate(y, p, loss="binary_crossentropy", metrics=names)
    assert of_p["accuracy"] == sklearn.metrics.accuracy_score(y, p > 0.5)
    assert of_p["confusion_matrix"] == sklearn.metrics.confusion_matrix(y, p > 0.5).tolist()
    np.testing.assert_allclose(of_p["brier"], sklearn.metrics.brier_score_loss(y, p), rtol=1e-14)
    np.testing.assert_allclose(of_p["loss"], sklearn.metrics.log_loss(y, p), rtol=1e-13)
    assert [entry["count"] for entry in of_p["per_class_loss"]] == [(~y).sum(), y.sum()]
    of_x = al.evaluate(y, x, loss="binary_crossentropy", from_logits=True, metrics=names)
    assert of_x["accuracy"] == of_p["accuracy"]
    assert "perplexity" not in of_x
    # Several labels per row count one by one; weights are the rows'.
    weight = rng.random(100)
    many = al.evaluate(y.reshape(100, 5), p.reshape(100, 5), loss="binary_crossentropy", sample_weight=weight)
    expected = np.average((p > 0.5) == y, weights=np.repeat(weight, 5))
    np.testing.assert_allclose(many["accuracy"], expected, rtol=1e-14)
    assert (many["rows"], many["samples"]) == (100, 500)


def test_plain_numbers_have_a_loss_only():
    _, z, _ = data()
    result = al.evaluate(z + 1, z, loss="mean_squared_error", metrics=["worst_2"])
    assert result["loss"] == al.mean_squared_error(z + 1, z)
    assert "accuracy" not in result
    assert result["worst"][0]["position"][0] == result["worst"][0]["row"]
    with pytest.raises(ValueError, match="'accuracy' makes no sense for mean_squared_error"):
        al.evaluate(z, z, loss="mean_squared_error", metrics=["accuracy"])
    with pytest.raises(ValueError, match="unknown metric 'acuracy'"):
        al.evaluate(z, z, loss="mean_squared_error", metrics=["acuracy"])


def test_options_of_the_loss_count():
    y, z, _ = data()
    loss = al.losses.SparseCategoricalCrossentropy(from_logits=True, label_smoothing=0.1, ignore_class=3)
    result = al.evaluate(y, z, loss=loss, metrics=ALL)
    kept = y != 3
    assert result["loss"] == loss(y, z)
    assert result["samples"] == kept.sum()
    assert result["accuracy"] == np.mean(z[kept].argmax(axis=1) == y[kept])
    plain = al.sparse_categorical_crossentropy(y[kept], z[kept], from_logits=True)
    np.testing.assert_allclose(result["perplexity"], np.exp(plain), rtol=1e-15)
    assert sum(map(sum, result["confusion_matrix"])) == kept.sum()
    assert result["per_class_loss"][3] == {"class": 3, "count": 0, "loss": None}
    assert result["loss_options"]["label_smoothing"] == 0.1


def test_sequences_and_channels_first():
    y, z, _ = data(1200)
    flat = al.evaluate(y, z, **SPARSE, metrics=ALL[:-1])
    y, z = y.reshape(40, 5, 6), z.reshape(40, 5, 6, 10)
    deep = al.evaluate(y, z, **SPARSE, metrics=ALL[:-1], block_bytes=5000)
    first = al.evaluate(y, np.moveaxis(z, -1, 1), **SPARSE, axis=1, metrics=ALL[:-1])
    for name in ("loss", "perplexity", "accuracy", *(name for name in flat if name in ALL)):
        assert flat[name] == deep[name] == first[name], name
    assert (deep["rows"], deep["samples"]) == (40, 1200)


def test_half_floats():
    y, z, _ = data()
    metrics = ["top_3_accuracy", "confusion_matrix"]
    for dtype in (np.float16, pytest.importorskip("ml_dtypes").bfloat16):
        half = z.astype(dtype)
        narrow = al.evaluate(y, half, **SPARSE, metrics=metrics)
        wide = al.evaluate(
            y, half.astype(np.float32), **SPARSE, metrics=["top_3_accuracy", "confusion_matrix"]
        )
        assert untimed(narrow) == untimed(wide)


# --- blocks, merges, restarts


@pytest.mark.parametrize("block_bytes", [1, 700, 10_000, 1 << 30])
@pytest.mark.parametrize("name", ["x.npy", "x.npz", "z.npz"])
def test_the_same_bits_for_any_blocks_of_any_file(block_bytes, name, tmp_path):
    y, z, weight = data()
    paths = {"y_true": tmp_path / "y.npy", "y_pred": tmp_path / name, "sample_weight": tmp_path / "w.npy"}
    np.save(paths["y_true"], y.astype(np.uint8))
    np.save(paths["sample_weight"], weight)
    if name.endswith("npy"):
        np.save(paths["y_pred"], np.asfortranarray(z))
    else:
        (np.savez if name == "x.npz" else np.savez_compressed)(paths["y_pred"], z)
    of_files = al.evaluate(**paths, **SPARSE, metrics=ALL, block_bytes=block_bytes)
    assert untimed(of_files) == untimed(al.evaluate(y, z, **SPARSE, metrics=ALL, sample_weight=weight))


def test_blocks_of_ones_own():
    y, z, weight = data()
    whole = untimed(al.evaluate(y, z, **SPARSE, metrics=ALL, sample_weight=weight))
    cuts = [0, 1, 1, 17, 500, 1000]
    blocks = ((y[a:b], z[a:b], weight[a:b]) for a, b in pairwise(cuts))
    assert untimed(al.evaluate(blocks, **SPARSE, metrics=ALL)) == whole
    with pytest.raises(TypeError, match="not a sequence of 1 parts"):
        al.evaluate([(y,)], **SPARSE)
    with pytest.raises(DataError, match="999 rows of y_pred and 1000 of y_true"):
        al.evaluate([(y, z[1:])], **SPARSE)


def test_merging_is_one_pass():
    y, z, weight = data()
    loss = al.losses.SparseCategoricalCrossentropy(from_logits=True)
    whole = Evaluation(loss, ALL)
    whole.update(Block(0, y, z, weight))
    parts = []
    for start in (600, 0, 999, 300):
        rows = slice(start, {600: 999, 0: 300, 999: 1000, 300: 600}[start])
        parts.append(Evaluation(loss, ALL))
        parts[-1].update(Block(start, y[rows], z[rows], weight[rows]))
    merged = Evaluation(loss, ALL)
    parts[1].merge(parts[2])
    for each in (parts[0], parts[3], parts[1]):
        merged.merge(each)
    assert json.dumps(merged.result()) == json.dumps(whole.result())
    # The state survives as JSON.
    again = Evaluation(loss, ALL)
    again.restore(json.loads(json.dumps(merged.state())))
    assert json.dumps(again.result()) == json.dumps(whole.result())


@pytest.mark.parametrize("chunks", [(1000, 10), (123, 3), (1, 10)])
def test_dask(chunks):
    dask_array = pytest.importorskip("dask.array")
    from actloss_rs.dask import evaluate

    y, z, weight = data(200 if chunks[0] == 1 else 1000)
    arrays = dask_array.from_array(y, chunks=77), dask_array.from_array(z, chunks=chunks)
    result = evaluate(*arrays, **SPARSE, metrics=ALL, sample_weight=dask_array.from_array(weight, chunks=50))
    assert untimed(result) == untimed(al.evaluate(y, z, **SPARSE, metrics=ALL, sample_weight=weight))
    kept = arrays[1][arrays[1][:, 0] > 0]  # a number of rows that Dask does not know
    result = evaluate(arrays[0][arrays[1][:, 0] > 0], kept, **SPARSE)
    assert untimed(result) == untimed(al.evaluate(y[z[:, 0] > 0], z[z[:, 0] > 0], **SPARSE))


class Stop(BaseException):
    """As Ctrl-C, between two blocks."""


def stop_after(rows):
    def progress(done, total, row_bytes):
        assert total == 1000
        if done >= rows:
            raise Stop

    return progress


def test_a_stopped_evaluation_goes_on(tmp_path):
    y, z, weight = data()
    for name, array in {"y": y, "z": z, "w": weight}.items():
        np.save(tmp_path / f"{name}.npy", array)
    paths = [tmp_path / "y.npy", tmp_path / "z.npy"]
    keywords = {**SPARSE, "metrics": ALL, "sample_weight": tmp_path / "w.npy", "block_bytes": 2000}
    checkpoint = tmp_path / "state"
    for rows in (100, 700):
        with pytest.raises(Stop):
            al.evaluate(*paths, **keywords, checkpoint=checkpoint, progress=stop_after(rows))
    seen = []
    result = al.evaluate(*paths, **keywords, checkpoint=checkpoint, progress=lambda *at: seen.append(at))
    assert 700 < seen[0][0] < 800
    assert seen[-1] == (1000, 1000, 56)
    assert untimed(result) == untimed(al.evaluate(*paths, **keywords))
    # What is done is not done again.
    again = al.evaluate(*paths, **keywords, checkpoint=checkpoint, progress=stop_after(0))
    assert again["loss"] == result["loss"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["state", "w.npy", "y.npy", "z.npy"]
    # It is of these data, this loss and these metrics.
    for other, what in (
        ({"label_smoothing": 0.1}, "loss"),
        ({"metrics": ["ece"]}, "metrics"),
        ({"sample_weight": None}, "data"),
        ({"group_by": paths[0]}, "data"),
        ({"on_bad_row": "skip"}, "treatment of bad rows"),
    ):
        with pytest.raises(DataError, match=f"checkpoint of an evaluation with another {what}$"):
            al.evaluate(*paths, **{**keywords, **other}, checkpoint=checkpoint)
    np.save(paths[1], z + 1)
    with pytest.raises(DataError, match="evaluation with another data"):
        al.evaluate(*paths, **keywords, checkpoint=checkpoint)


@pytest.mark.parametrize(
    "damage",
    [
        lambda b: b"",
        lambda b: b[:-30],
        lambda b: b.replace(b'"rows": 1', b'"rows": 2'),
        lambda b: b"[1, 2]",
        lambda b: b'{"format": "of another program"}',
    ],
)
def test_a_damaged_checkpoint_is_refused(damage, tmp_path):
    y, z, _ = data()
    checkpoint = tmp_path / "state"
    al.evaluate(y, z, **SPARSE, checkpoint=checkpoint)
    content = checkpoint.read_bytes()
    checkpoint.write_bytes(damage(content))
    assert checkpoint.read_bytes() != content
    with pytest.raises(DataError, match="not a checkpoint, or a damaged one"):
        al.evaluate(y, z, **SPARSE, checkpoint=checkpoint)


PEAK = """
import sys, resource, actloss_rs as al
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
keywords = {"loss": "sparse_categorical_crossentropy", "from_logits": True}
al.evaluate(sys.argv[1], sys.argv[2], **keywords)
before = peak()
al.evaluate(sys.argv[3], sys.argv[4], **keywords)
print(peak() - before)
"""


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_memory_does_not_grow_with_the_file(suffix, tmp_path):
    paths = []
    for rows in (1 << 18, 1 << 22):  # 10 MiB of logits, and 160 MiB
        z = np.zeros((rows, 10), np.float32)
        z[:, 0] = np.arange(rows) % 1024
        for name, array in (("y", np.zeros(rows, np.uint8)), ("z", z)):
            paths.append(str(tmp_path / f"{name}{rows}{suffix}"))
            np.save(paths[-1], array) if suffix == ".npy" else np.savez_compressed(paths[-1], array)
    run = subprocess.run([sys.executable, "-c", PEAK, *paths], capture_output=True, text=True, check=True)
    unit = 1 if sys.platform == "darwin" else 1024
    assert int(run.stdout) * unit < 40 << 20, run.stdout


# --- errors


def test_the_bad_row_is_named(tmp_path):
    y, z, weight = data()
    y[777] = 10
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "z.npy", z)
    for block_bytes in (1, 1000, 1 << 20):
        with pytest.raises(
            DataError, match=r"y\.npy: row 777: y_true\[777\] = 10 is not a class id"
        ) as raised:
            al.evaluate(tmp_path / "y.npy", tmp_path / "z.npy", **SPARSE, block_bytes=block_bytes)
        assert str(raised.value).startswith(str(tmp_path))
    y[777] = 0
    with pytest.raises(DataError, match=r"z\.npy: row 0: y_pred\[0, \d\] = .*from_logits"):
        al.evaluate(y, tmp_path / "z.npy", loss="sparse_categorical_crossentropy")
    weight[5] = -1
    with pytest.raises(DataError, match=r"^row 5: sample_weight\[5\] = -1"):
        al.evaluate(y, z, **SPARSE, sample_weight=weight)


def test_what_is_wrong_with_all_of_it_names_no_row(tmp_path):
    y, z, _ = data()
    np.save(tmp_path / "y.npy", y.astype(np.float64))
    with pytest.raises(DataError, match=r"y\.npy: .*astype\(int\)") as raised:
        al.evaluate(tmp_path / "y.npy", z, **SPARSE)
    assert "row" not in str(raised.value)
    with pytest.raises(DataError, match="y_true has 999 rows, y_pred has 1000"):
        al.evaluate(y[1:], z, **SPARSE)
    with pytest.raises(DataError):
        al.evaluate(np.stack([y, y], axis=1), z, **SPARSE)


def test_bad_rows_are_skipped_when_asked():
    y, z, weight = data()
    bad = [0, 3, 4, 500, 999]
    y[bad[:3]] = [10, -1, 11]
    z[500, 2] = z[999, 0] = np.nan
    good = np.delete(np.arange(1000), bad)
    keywords = {**SPARSE, "metrics": ["worst_9", "ece", "confusion_matrix"]}
    expected = al.evaluate(y[good], z[good], **keywords, sample_weight=weight[good])
    for entry in expected["worst"]:
        entry["row"] = good[entry["row"]]
    for block_bytes in (1, 1000, 1 << 20):
        keywords["block_bytes"] = block_bytes
        result = al.evaluate(y, z, **keywords, sample_weight=weight, on_bad_row="skip")
        assert (result["rows"], result["skipped_rows"]) == (995, 5)
        assert [entry["row"] for entry in result["bad_rows"]] == bad
        assert "y_true[3] = -1 is not a class id" in result["bad_rows"][1]["reason"]
        assert result["bad_rows"][3]["reason"] == "its loss is NaN"
        for name in expected.keys() - {"skipped_rows"} - CLOCK:
            assert result[name] == expected[name], name


def test_arguments():
    y, z, _ = data()
    with pytest.raises(ValueError, match=r"unknown loss 'crossentropy'; known: .*sparse_categorical"):
        al.evaluate(y, z, loss="crossentropy")
    with pytest.raises(TypeError, match="no_such_option"):
        al.evaluate(y, z, **SPARSE, no_such_option=1)
    with pytest.raises(TypeError, match="from_logits"):
        al.evaluate(y, z, loss=al.losses.SparseCategoricalCrossentropy(), from_logits=True)
    with pytest.raises(ValueError, match="along its first axis"):
        al.evaluate(y[:10], z[:10], **SPARSE, axis=0)
    with pytest.raises(ValueError, match="on_bad_row"):
        al.evaluate(y, z, **SPARSE, on_bad_row="stop")
    with pytest.raises(ValueError, match="block_bytes"):
        al.evaluate(y, z, **SPARSE, block_bytes=0)


def test_no_rows():
    with pytest.warns(RuntimeWarning):
        result = al.evaluate(np.zeros(0, int), np.zeros((0, 10)), **SPARSE)
    assert math.isnan(result["loss"])
    assert result["rows"] == 0


def test_a_temperature_counts_in_every_metric():
    y, z, _ = data()
    names = ["accuracy", "perplexity", "brier", "ece"]
    warm = al.evaluate(y, z, **SPARSE, temperature=2.0, metrics=names)
    halved = al.evaluate(y, z / 2, **SPARSE, metrics=names)
    for name in ("loss", *names):
        assert warm[name] == pytest.approx(halved[name], rel=1e-7), name
