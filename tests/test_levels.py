"""The same bits at every SIMD level and number of threads, each in a process of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import actloss_rs as al

LEVELS = ["avx512", "avx2", "sse2", "neon", "scalar"]
HERE = Path(__file__).parent


def run(*arguments, **variables):
    """A fresh interpreter with these environment variables and no others of ours."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("ACTLOSS_")}
    path = os.pathsep.join(filter(None, [str(HERE), kept.get("PYTHONPATH")]))
    return subprocess.run(
        [sys.executable, *arguments],
        env={**kept, "PYTHONPATH": path, **variables},
        capture_output=True,
        text=True,
        timeout=900,
        check=False,
    )


def refusal(level):
    """The error of an import at a level this machine has not."""
    ended = run("-c", "import actloss_rs", ACTLOSS_SIMD=level)
    assert ended.returncode != 0
    last = ended.stderr.strip().splitlines()[-1]
    assert last.startswith("ImportError")
    return last


@cache
def available():
    """The levels that the error of an unknown one lists."""
    text = refusal("mmx")
    assert "mmx" in text
    return [level for level in LEVELS if re.search(rf"\b{level}\b", text)]


def test_an_unknown_level_is_an_import_error_that_lists_the_rest():
    assert available()
    assert al.simd_level() in available()


@pytest.mark.parametrize("level", LEVELS)
def test_a_level_is_forced_or_refused(level):
    if level in available():
        ended = run("-c", "import actloss_rs; print(actloss_rs.simd_level())", ACTLOSS_SIMD=level)
        assert ended.stdout.strip() == level, ended.stderr
    else:
        text = refusal(level)
        assert level in text
        assert all(other in text for other in available())


def test_the_default_is_the_best():
    ended = run("-c", "import actloss_rs; print(actloss_rs.simd_level())")
    assert ended.stdout.strip() == available()[0]


@cache
def digests(level, threads, size):
    ended = run(str(HERE / "digest.py"), str(size), ACTLOSS_SIMD=level, ACTLOSS_NUM_THREADS=str(threads))
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout)
    assert found["level"] == level
    assert found["threads"] == threads
    return found["digests"]


@pytest.mark.slow
@pytest.mark.parametrize("level", LEVELS)
def test_same_bits_at_every_level(level):
    if level not in available():
        assert level != al.simd_level()  # its refusal is tested above
        return
    assert digests(level, 1, 3000) == digests(available()[0], 1, 3000)


@pytest.mark.slow
@pytest.mark.parametrize("threads", [2, 7])
def test_same_bits_for_any_number_of_threads(threads):
    level = available()[0]
    assert digests(level, threads, 400_000) == digests(level, 1, 400_000)
