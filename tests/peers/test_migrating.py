"""Every line of the tables of `docs/migrating.md`: what one writes there and here gives the same numbers."""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from arrays import arrays
from frameworks import FRAMEWORKS, Framework

import actloss_rs as al

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "docs"))
import migration

TOLERANCE = {"Keras": 2e-6, "ONNX": 1e-6, "TensorFlow": 1e-6}
"""Keras adds 1e-7 here and there; constants of ONNX and TensorFlow are float32. Else it is rounding."""

LOOSER = {"F.softplus(x)": 3e-9, "F.poisson_nll_loss(rate, count, log_input=False)": 1e-7}
"""PyTorch's threshold of 20, and its 1e-8 in the logarithm."""


def test_every_section_is_a_framework():
    assert list(migration.sections()) == list(FRAMEWORKS)
    assert len(migration.lines()) > 200


@pytest.fixture(scope="module")
def made() -> dict[str, Framework]:
    """The frameworks that have been asked for."""
    return {}


@pytest.mark.parametrize("line", migration.lines(), ids=lambda line: f"{line.peer.split()[0]}: {line.theirs}")
def test_the_same_numbers(line, made):
    missing = [name for name in line.functions if not hasattr(al, name)]
    if missing:
        pytest.skip(f"not there yet: {missing}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if line.peer not in made:
            made[line.peer] = FRAMEWORKS[line.peer]()
        theirs = made[line.peer].evaluate(line.theirs, arrays())
    ours = Framework({"al": al}).evaluate(line.ours, arrays())
    assert ours.shape == theirs.shape
    tolerance = LOOSER.get(line.theirs, TOLERANCE.get(line.peer, 1e-12))
    np.testing.assert_allclose(ours, theirs, rtol=tolerance, atol=tolerance)
