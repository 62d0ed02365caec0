"""Runs that are killed go on to the same bits: `kill -9` at random moments, and Ctrl-C in a block.

``ACTLOSS_KILLS=20 pytest tests/test_interruptions.py`` kills at twenty moments instead of three.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import actloss_rs as al

KILLS = int(os.environ.get("ACTLOSS_KILLS", "3"))

RUN = """
import json, sys
import actloss_rs as al
y, z, groups, checkpoint = sys.argv[1:]
result = al.evaluate(
    y, z, loss="sparse_categorical_crossentropy", from_logits=True, metrics=["all"], group_by=groups,
    on_bad_row="skip", checkpoint=checkpoint, checkpoint_seconds=0.02, block_bytes=30_000,
)
print(json.dumps(result))
"""


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Labels, logits and groups of a run that takes seconds, some rows bad."""
    folder = tmp_path_factory.mktemp("run")
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 10, 100_000), rng.normal(0, 3, (100_000, 10)).astype(np.float32)
    y[[5, 70_000]] = 10
    for name, array in {"y": y, "z": z, "g": y % 3}.items():
        np.save(folder / f"{name}.npy", array)
    return [str(folder / f"{name}.npy") for name in "yzg"]


def untimed(result):
    return {key: value for key, value in result.items() if "second" not in key}


@pytest.mark.skipif(sys.platform == "win32", reason="has no such signal")
def test_killed_at_random_moments(files, tmp_path):
    checkpoint = tmp_path / "state"
    command = [sys.executable, "-c", RUN, *files, str(checkpoint)]
    started = time.monotonic()
    whole = subprocess.run(command, capture_output=True, text=True, check=True)
    duration = time.monotonic() - started
    expected = untimed(json.loads(whole.stdout))
    plain = al.evaluate(
        *files[:2],
        loss="sparse_categorical_crossentropy",
        from_logits=True,
        metrics=["all"],
        group_by=files[2],
        on_bad_row="skip",
    )
    assert expected == untimed(plain)
    checkpoint.unlink()

    rng = np.random.default_rng()
    reached, finished = [0], 0
    for moment in rng.uniform(0, duration, KILLS):
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            out, error = run.communicate(timeout=moment)
        except subprocess.TimeoutExpired:
            run.kill()
            out, error = run.communicate()
            assert run.returncode == -signal.SIGKILL
            if checkpoint.exists():  # whole, whatever the moment, and never behind
                reached.append(json.loads(checkpoint.read_bytes())["state"]["rows"])
                assert reached[-1] >= reached[-2]
        else:
            assert run.returncode == 0, error
            assert untimed(json.loads(out)) == expected
            finished += 1
            reached.append(0)
            checkpoint.unlink()
    last = subprocess.run(command, capture_output=True, text=True, check=True)
    assert untimed(json.loads(last.stdout)) == expected
    assert finished < KILLS


def test_control_c_in_a_block_counts_it_whole(tmp_path):
    rng = np.random.default_rng(0)
    y, z = rng.integers(0, 10, 1000), rng.normal(0, 3, (1000, 10)).astype(np.float32)
    keywords = {"loss": "sparse_categorical_crossentropy", "from_logits": True, "metrics": ["all"]}
    keywords |= {"block_bytes": 4800, "checkpoint": tmp_path / "state"}
    paths = [tmp_path / "y.npy", tmp_path / "z.npy"]
    np.save(paths[0], y)
    np.save(paths[1], z)
    seen = []

    def interrupt(rows, total, row_bytes):
        seen.append(rows)
        if rows >= 300:
            os.kill(os.getpid(), signal.SIGINT)  # while the block is being counted
            seen.append("on")

    with pytest.raises(KeyboardInterrupt):
        al.evaluate(*paths, **keywords, progress=interrupt)
    assert seen == [100, 200, 300, "on"]
    assert json.loads((tmp_path / "state").read_bytes())["state"]["rows"] == 300
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    resumed = al.evaluate(*paths, **keywords, progress=lambda rows, *_: seen.append(rows))
    assert seen[4] == 400
    whole = al.evaluate(*paths, **{**keywords, "checkpoint": None})
    assert untimed(resumed) == untimed(whole)
