"""A real Dask cluster of worker processes, one of which dies in mid-run: the bits of one machine."""

from __future__ import annotations

import os
import signal
import threading
import time

import numpy as np
import pytest
from typer.testing import CliRunner

import actloss_rs as al
from actloss_rs.evaluation import DataError, cluster

distributed = pytest.importorskip("distributed")
dask_array = pytest.importorskip("dask.array")
dask_frame = pytest.importorskip("dask.dataframe")
pd = pytest.importorskip("pandas")

# What Dask itself complains of while workers die and the test's loop ends.
pytestmark = pytest.mark.filterwarnings("ignore")

SPARSE = {"loss": "sparse_categorical_crossentropy", "from_logits": True, "metrics": ["all"]}
ROWS = 110_000


@pytest.fixture(scope="module")
def arrays():
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 10, ROWS), rng.normal(0, 3, (ROWS, 10)).astype(np.float32)
    return y, z, rng.random(ROWS), rng.choice(["de", "fr"], ROWS)


@pytest.fixture(scope="module")
def client():
    with (
        distributed.LocalCluster(
            n_workers=3, threads_per_worker=1, processes=True, dashboard_address=None, silence_logs=50
        ) as local,
        distributed.Client(local) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def paths(arrays, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    for name, array in zip("yzwg", arrays, strict=True):
        np.save(folder / f"{name}.npy", array)
    return [str(folder / f"{name}.npy") for name in "yzwg"]


def untimed(result):
    return {key: value for key, value in result.items() if "second" not in key}


def kill_a_worker(client):
    pid = next(iter(client.run(os.getpid).values()))
    os.kill(pid, signal.SIGKILL)


def test_files_with_a_worker_killed(client, arrays, paths, tmp_path, monkeypatch):
    y, z, weight, groups = arrays
    expected = al.evaluate(y, z, **SPARSE, sample_weight=weight, group_by={"g": groups})
    monkeypatch.setattr(cluster, "PART_BYTES", 200_000)
    keywords = {**SPARSE, "sample_weight": paths[2], "group_by": paths[3], "checkpoint": tmp_path / "state"}
    killed = []

    def kill(rows, total, row_bytes):
        if rows > ROWS / 4 and not killed:
            killed.append(rows)
            kill_a_worker(client)

    class Stop(BaseException):
        pass

    def stop(rows, total, row_bytes):
        kill(rows, total, row_bytes)
        if rows > ROWS / 2:
            raise Stop

    address = client.scheduler.address
    with pytest.raises(Stop):
        al.evaluate(*paths[:2], **keywords, scheduler=address, progress=stop)
    assert killed
    # The state is that of a first part of the rows: one machine goes on where the cluster stopped.
    seen = []
    result = al.evaluate(*paths[:2], **keywords, progress=lambda rows, *_: seen.append(rows))
    assert seen[0] > ROWS / 2
    assert untimed(result) == untimed(expected)


def test_the_command(client, paths):
    from actloss_rs.evaluation.commands import app

    arguments = ["evaluate", *paths[:2], "--loss", SPARSE["loss"], "--from-logits"]
    here = CliRunner().invoke(app, arguments)
    there = CliRunner().invoke(app, [*arguments, "--scheduler", client.scheduler.address])
    assert here.exit_code == there.exit_code == 0
    assert here.stdout.split("rows/s")[0] == there.stdout.split("rows/s")[0]


def test_bad_rows_of_workers(client, arrays, paths, tmp_path, monkeypatch):
    y, z, *_ = arrays
    y = y.copy()
    y[[70_001, ROWS - 1]] = 77
    np.save(tmp_path / "y.npy", y)
    monkeypatch.setattr(cluster, "PART_BYTES", 600_000)
    with pytest.raises(DataError, match=r"y\.npy: row 70001: y_true\[70001\] = 77"):
        al.evaluate(tmp_path / "y.npy", paths[1], **SPARSE, scheduler=client)
    result = al.evaluate(tmp_path / "y.npy", paths[1], **SPARSE, scheduler=client, on_bad_row="skip")
    assert untimed(result) == untimed(al.evaluate(y, z, **SPARSE, on_bad_row="skip"))
    with pytest.raises(TypeError, match="y_true is a ndarray, not a path"):
        al.evaluate(y, paths[1], **SPARSE, scheduler=client)
    monkeypatch.setattr(cluster, "CONNECT_SECONDS", 0.5)
    with pytest.raises(DataError, match=r"no Dask scheduler at tcp://127\.0\.0\.1:9"):
        al.evaluate(*paths[:2], **SPARSE, scheduler="tcp://127.0.0.1:9")


def test_arrays_with_a_worker_killed(client, arrays):
    from actloss_rs.dask import evaluate

    y, z, weight, groups = arrays
    expected = al.evaluate(y, z, **SPARSE, sample_weight=weight, group_by={"g": groups})

    def slowly(block):
        time.sleep(0.1)
        return block

    lazy = [dask_array.from_array(array, chunks=(6000, *array.shape[1:])) for array in arrays]
    lazy[1] = lazy[1].map_blocks(slowly, dtype=np.float32)
    timer = threading.Timer(0.5, kill_a_worker, [client])
    timer.start()
    result = evaluate(
        lazy[0], lazy[1], **SPARSE, sample_weight=lazy[2].rechunk(7777), group_by={"g": lazy[3]}
    )
    timer.join()
    assert untimed(result) == untimed(expected)


def test_frames(client, arrays):
    from actloss_rs.dask import evaluate

    y, z, weight, groups = (array[:21_000] for array in arrays)
    scores = {f"p_{number}": column for number, column in enumerate(z.T)}
    frame = pd.DataFrame({"label": y, "weight": weight, "g": groups.astype(object), **scores})
    lazy = dask_frame.from_pandas(frame, npartitions=7)
    expected = al.evaluate(y, z, **SPARSE, sample_weight=weight, group_by={"g": groups})
    lazy = lazy.map_partitions(lambda part: part)
    result = evaluate(
        lazy["label"], lazy[list(scores)], **SPARSE, sample_weight=lazy["weight"], group_by={"g": lazy["g"]}
    )
    assert untimed(result) == untimed(expected)
    # Rows are numbered through the partitions, whose lengths Dask does not know.
    assert [entry["row"] for entry in result["worst"]] == [entry["row"] for entry in expected["worst"]]
    frame.loc[10_000, "label"] = 77
    lazy = dask_frame.from_pandas(frame, npartitions=7)
    with pytest.raises(DataError, match="partition 3: row 1000: y_true"):
        evaluate(lazy["label"], lazy[list(scores)], **SPARSE)
    skipped = evaluate(lazy["label"], lazy[list(scores)], **SPARSE, on_bad_row="skip")
    assert skipped["bad_rows"][0]["row"] == 10_000
