"""Failure modes on the digits: each is provoked, named, and cured; the healthy ones raise no alarm.

The examples run over 20 seeds with ``--seeds 20``; here it is a few.
"""

from __future__ import annotations

import re
import subprocess
import sys

import pytest

pytest.importorskip("sklearn")

from actloss_rs.demo.failure_modes import MODES, run

SEEDS = [100]


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("mode", MODES, ids=lambda mode: mode.name)
def test_each_failure_is_named_and_cured(mode, seed):
    sick = run(mode.sick, seed)
    assert mode.diagnosis in sick.names
    assert set(sick.names) <= {mode.diagnosis, "not finite"}
    assert sick.accuracy < 0.5
    for setting in mode.cures:
        cured = run(setting, seed)
        assert not cured.diagnoses, [str(diagnosis) for diagnosis in cured.diagnoses]
        assert cured.accuracy > 0.8, setting.title


def test_the_demonstration_writes_one_page(tmp_path):
    for package in ("jinja2", "matplotlib", "typer", "rich"):
        pytest.importorskip(package)
    page = tmp_path / "page.html"
    command = [
        sys.executable,
        "-m",
        "actloss_rs.cli",
        "demo",
        "failure-modes",
        "--out",
        page,
        "--steps",
        "30",
    ]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert str(page) in ended.stdout.replace("\n", "")
    text = page.read_text(encoding="utf-8")
    for mode in MODES:
        assert mode.title in text
        for setting in (mode.sick, *mode.cures):
            assert setting.title in text
    # Light and dark, all inside the page.
    assert text.count("data:image/svg+xml;base64,") == 2 * sum(1 + len(mode.cures) for mode in MODES)
    assert not re.findall(r'(?:src|srcset|href)="(?!data:)', text)
