"""Plots of value and derivative, drawn from what the package itself computes."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from catalogue import class_name
from matplotlib.figure import Figure

import actloss_rs as al

mpl.rcParams |= {
    "svg.hashsalt": "actloss_rs",
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "legend.frameon": False,
}
VALUE = {"color": "#0b5fa5", "linewidth": 1.8, "label": "value"}
SLOPE = {"color": "#d1662f", "linewidth": 1.4, "label": "derivative"}

REQUIRED = {"slope": 0.25, "threshold": 0.5, "value": -0.5}
"""Parameters that have no default."""


def jumps(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """y with a gap where it jumps, that is where a step is unlike both its neighbours."""
    steps = np.abs(np.diff(y))
    neighbours = np.maximum(np.append(steps[1:], 0), np.append(0, steps[:-1]))
    broken = y.copy()
    broken[1:][steps > 4 * neighbours + 8 * (x[1] - x[0])] = np.nan
    return broken


def draw(
    path: Path, x: np.ndarray, value: np.ndarray, slope: np.ndarray, xlabel: str, title: str = ""
) -> None:
    """One figure, as SVG."""
    figure = Figure(figsize=(4.6, 2.8), layout="constrained")
    axes = figure.subplots()
    axes.axhline(0, color="#888888", linewidth=0.8)
    if x[0] < 0 < x[-1]:
        axes.axvline(0, color="#888888", linewidth=0.8)
    axes.plot(x, jumps(x, value), **VALUE)
    axes.plot(x, jumps(x, slope), **SLOPE)
    shown = np.concatenate([value, slope])
    shown = shown[np.isfinite(shown)]
    reach = max(7.0, 3 * float(np.median(np.abs(shown))))
    low, high = max(shown.min(), -0.6 * reach), min(shown.max(), reach)
    axes.set_ylim(low - 0.05 * (high - low) - 0.02, high + 0.05 * (high - low) + 0.02)
    axes.set_xlabel(xlabel)
    axes.set_title(title, fontsize=9)
    axes.legend()
    figure.savefig(path, metadata={"Date": None})


def activation(name: str, path: Path) -> bool:
    """The plot of an elementwise activation at its default parameters; false if it is none."""
    function = getattr(al, name)
    given: dict[str, Any] = {}
    if not isinstance(function, np.ufunc):
        parameters = inspect.signature(function).parameters
        if next(iter(parameters)) != "x" or "axis" in parameters:
            return False
        required = [
            p.name for p in list(parameters.values())[1:] if p.default is p.empty and p.kind != p.VAR_KEYWORD
        ]
        given = {parameter: REQUIRED[parameter] for parameter in required}
    x = np.linspace(-5, 7.5, 2501)
    value = function(x, **given)
    slope = getattr(al.backward, name)(np.ones_like(x), x, **given)
    shown = ", ".join(f"{parameter}={number:g}" for parameter, number in given.items())
    draw(path, x, value, slope, "x", shown and f"{name}(x, {shown})")
    return True


@dataclass
class Case:
    """Labels and predictions, of which `y_pred[entry]` varies over `x`."""

    title: str
    xlabel: str
    x: np.ndarray
    y_true: np.ndarray
    y_pred: np.ndarray
    entry: Any
    options: dict[str, Any]


def cases() -> Iterator[Case]:
    """Inputs of every kind; a loss is drawn for the first that it accepts."""
    t, positive, p = np.linspace(-5, 5, 1001), np.linspace(0.01, 5, 999), np.linspace(0.005, 0.995, 991)
    classes = np.zeros(len(t), dtype=int)
    scores = np.stack([t, np.zeros_like(t), np.full_like(t, -1.0)], axis=-1)
    shares = np.stack([p, 0.6 * (1 - p), 0.4 * (1 - p)], axis=-1)
    each, first = (slice(None),), (slice(None), 0)
    logits = {"from_logits": True}
    yield Case("y_true = 1", "y_pred, a logit", t, np.ones_like(t), t, each, logits)
    three = "y_pred[0] of logits (y_pred[0], 0, -1)"
    yield Case("y_true = class 0 of 3", three, t, np.eye(3)[classes], scores, first, logits)
    yield Case("y_true = class 0 of 3", three, t, classes, scores, first, logits)
    for x in (t, positive, p):
        yield Case("y_true = 1", "y_pred", x, np.ones_like(x), x, each, {})
    truth = np.tile([0.7, 0.2, 0.1], (len(p), 1))
    three = "y_pred[0] of (y_pred[0], ..)"
    yield Case("y_true = (0.7, 0.2, 0.1)", three, p, truth, shares, first, {})
    three = "y_pred[0] of (y_pred[0], 0, -1)"
    yield Case("y_true = (1, 0, 0)", three, t, np.eye(3)[classes], scores, first, {})
    yield Case("y_true = class 0 of 3", three, t, classes, scores, first, {})


def curve(name: str, case: Case) -> tuple[np.ndarray, np.ndarray] | None:
    """Values of a loss and their derivative by the entry that varies, or None if it takes no such input."""
    if not class_name(name) or not set(case.options) <= set(al._core.losses[name]):
        return None
    loss = getattr(al.losses, class_name(name))(**case.options, reduction="none")
    variance = "var" in inspect.signature(getattr(al, name)).parameters
    arrays = [case.y_true, case.y_pred, *[np.ones_like(case.y_pred)] * variance]
    try:
        values, gradient = loss.value_and_grad(*arrays)
    except (ValueError, TypeError):
        return None
    drawable = values.shape == case.x.shape and np.isfinite(values).all()
    return (values, gradient[case.entry]) if drawable else None


def loss(name: str, path: Path) -> bool:
    """The plot of a loss at its default options; false if it takes none of the inputs."""
    for case in cases():
        drawn = curve(name, case)
        if drawn is not None:
            draw(path, case.x, *drawn, case.xlabel, case.title)
            return True
    return False
