"""Demonstrations as one HTML page that needs nothing else, in light and dark."""

from base64 import b64encode
from collections.abc import Sequence
from importlib.resources import files
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import jinja2
import matplotlib as mpl

from actloss_rs.diagnostics.plots import figure

if TYPE_CHECKING:
    from actloss_rs.demo.failure_modes import FailureMode, Outcome

INK = {"light": ("#1f2937", "#ffffff"), "dark": ("#e5e7eb", "#111827")}


def write_page(path: Path, results: Sequence[tuple["FailureMode", Sequence["Outcome"]]]) -> None:
    """Write the page."""
    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    source = files("actloss_rs.demo").joinpath("failure_modes.html.jinja").read_text(encoding="utf-8")
    plots = {
        outcome.setting.title: {theme: plot(outcome, theme) for theme in INK}
        for _, outcomes in results
        for outcome in outcomes
    }
    path.write_text(environment.from_string(source).render(results=results, plots=plots), encoding="utf-8")


def plot(outcome: "Outcome", theme: str) -> str:
    """The history of a run as an SVG in the colours of a theme, as a data URI."""
    ink, paper = INK[theme]
    style = {
        "text.color": ink,
        "axes.labelcolor": ink,
        "axes.edgecolor": ink,
        "xtick.color": ink,
        "ytick.color": ink,
        "grid.color": ink,
        "axes.facecolor": paper,
        "figure.facecolor": paper,
        "savefig.facecolor": paper,
        "svg.fonttype": "none",
        "svg.hashsalt": "actloss",
        "font.family": "sans-serif",
        "font.size": 9,
    }
    with mpl.rc_context(style):
        drawing = BytesIO()
        figure(outcome.monitor).savefig(drawing, format="svg", metadata={"Date": None})
    return "data:image/svg+xml;base64," + b64encode(drawing.getvalue()).decode()
