"""Statistics of arrays against NumPy and `math.fsum`; the monitor's histories and diagnoses."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from inputs import layouts

import actloss_rs as al
from actloss_rs.diagnostics import statistics

RNG = np.random.default_rng(8)


def array_with_everything(shape, dtype, *, finite=False):
    """Numbers of many sizes, zeros of both signs, dead units, and what is not finite."""
    x = RNG.normal(0, 1, shape) * 10.0 ** RNG.integers(-4, 3, shape)
    x[RNG.random(shape) < 0.2] = 0.0
    x[RNG.random(shape) < 0.1] = -0.0
    x[..., ::3] = 0.0
    if not finite:
        flat = x.reshape(-1)
        flat[5::97], flat[6::89], flat[7::83] = np.nan, np.inf, -np.inf
    return x.astype(dtype)


@pytest.mark.parametrize("shape", [(7,), (40, 5), (3, 4, 5), (50, 33), (3, 3000), (1500, 2), (2, 9001)])
@pytest.mark.parametrize("finite", [False, True])
def test_counts_are_numpy_s(shape, finite, dtype):
    x = array_with_everything(shape, dtype, finite=finite)
    wide = x.astype(np.float64)
    found = statistics(x, saturation=(-1.0, 2.0))
    assert found.count == x.size
    assert found.zeros == (wide == 0).sum()
    assert found.nan == np.isnan(wide).sum()
    assert found.infinite == np.isinf(wide).sum()
    assert found.saturated == ((wide <= -1) | (wide >= 2)).sum()
    assert found.min == np.nanmin(wide)
    assert found.max == np.nanmax(wide)
    assert found.units == shape[-1]
    assert found.live_units == (wide != 0).any(axis=tuple(range(x.ndim - 1))).sum()
    assert found.dead_fraction == pytest.approx(1 - found.live_units / shape[-1])


@pytest.mark.parametrize("shape", [(40, 5), (50, 33), (3, 3000), (2, 9001)])
def test_mean_and_rms_are_sums_in_float64(shape, dtype):
    x = array_with_everything(shape, dtype, finite=True)
    found = statistics(x)
    values = x.astype(np.float64).ravel()
    mean_magnitude = math.fsum(abs(values)) / x.size
    assert abs(found.mean - math.fsum(values) / x.size) <= 1e-13 * mean_magnitude
    assert found.rms == pytest.approx(math.sqrt(math.fsum(values**2) / x.size), rel=1e-13)


def test_units_may_be_any_axis():
    x = np.zeros((4, 6, 5), np.float32)
    x[0, 2, 3] = x[1, 2, 1] = x[3, 5, 3] = 1.0
    assert [statistics(x, unit_axis=axis).live_units for axis in (0, 1, 2, None)] == [3, 2, 2, 1]
    assert [statistics(x, unit_axis=axis).units for axis in (0, -2, 2, None)] == [4, 6, 5, 1]


def test_layout_and_threads_change_nothing(dtype):
    x = array_with_everything((2300, 3, 10), dtype)
    found = [repr(statistics(array, magnitudes=True)) for array in layouts(x).values()]
    with al.num_threads(3):
        found.append(repr(statistics(x, magnitudes=True)))
    assert len(set(found)) == 1


def test_histograms_count_binades(dtype):
    x = array_with_everything((60, 31), dtype)
    found = statistics(x, magnitudes=True)
    edges, counts = found.histogram()
    wide = x.astype(np.float64)
    wide = wide[np.isfinite(wide)]
    assert counts.sum() == len(wide)
    assert (np.diff(edges) > 0).all()
    # Binades are closed at the end nearer to 0.
    positive = [((wide >= a) & (wide < b)).sum() for a, b in pairwise(edges) if a > 0]
    negative = [((wide > a) & (wide <= b)).sum() for a, b in pairwise(edges) if b < 0]
    assert (counts == [*negative, len(wide) - sum(negative) - sum(positive), *positive]).all()


def test_histograms_of_float64_beyond_float32():
    x = np.array([1e-300, -1e300, 1.0, 0.0, np.inf])
    edges, counts = statistics(x, magnitudes=True).histogram()
    assert counts.sum() == 4
    assert counts[0] == 1
    assert len(edges) == len(counts) + 1


def test_squares_that_overflow_are_infinite_and_nothing_else_is_lost():
    found = statistics(np.array([1e200, -3e200, 0.0, 2e200]))
    assert (found.mean, found.rms, found.min, found.max) == (0.0, math.inf, -3e200, 2e200)
    assert (found.zeros, found.not_finite) == (1, 0)


def test_empty_arrays():
    found = statistics(np.empty((0, 4)))
    assert (found.count, found.units, found.live_units) == (0, 4, 0)
    assert math.isnan(found.mean)
    assert math.isnan(found.max)
    assert found.zero_fraction == 0.0
    assert statistics(np.empty((4, 0)), magnitudes=True).count == 0


def test_scalars_integers_and_refusals():
    assert statistics(3).mean == 3.0
    assert statistics([[1, 0], [2, 0]]).dead_fraction == 0.5
    with pytest.raises(TypeError, match="masked"):
        statistics(np.ma.array([1.0]))
    with pytest.raises(IndexError, match="axis 3"):
        statistics(np.ones((2, 2)), unit_axis=3)
    with pytest.raises(ValueError, match="magnitudes=True"):
        statistics(np.ones(3)).histogram()
