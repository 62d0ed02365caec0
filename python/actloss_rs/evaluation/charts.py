"""The charts of a report, drawn with Matplotlib as SVG that takes its colours from the page.

Matplotlib, because its SVG is complete as it is: no script of megabytes in the page, nothing to load, the
same in print. Each colour is drawn as a stand-in that is then replaced by a CSS variable, so that one drawing
serves light and dark. Charts are as wide as a phone, where their type is read at its own size, and scale up.
"""

import io
import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure

INK, LINE, ACCENT, OTHER, PAPER = "#010203", "#010204", "#010205", "#010206", "#010207"
VARIABLES = {INK: "ink", LINE: "line", ACCENT: "accent", OTHER: "other", PAPER: "paper"}
"""Stand-ins that no drawing would have by chance, and the page's variables."""

STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 10,
    "text.color": INK,
    "axes.edgecolor": LINE,
    "axes.facecolor": "none",
    "axes.labelcolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "grid.color": LINE,
    "grid.linewidth": 0.5,
    "figure.facecolor": "none",
}

WIDTH = 4.8
"""In inches of 72 units."""

MOST_BARS = 20
MOST_CELLS = 30


def drawn(name: str, height: float, draw: Callable[[Figure], None]) -> str:
    """The SVG element of a drawing; its ids begin with the name, so that several fit on one page."""
    with matplotlib.rc_context({**STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        draw(figure)
        file = io.StringIO()
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    text = file.getvalue()
    svg = text[text.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'width="[\d.]+pt" height="[\d.]+pt" ', "", svg, count=1)
    svg = re.sub(r'((?:\bid="|href="#|url\(#))', rf"\1{name}-", svg)
    svg = re.sub(r"font: ([\d.]+)px [^;\"]*", r"font-size: \1px", svg)
    for colour, variable in VARIABLES.items():
        svg = svg.replace(colour, f"var(--{variable})")
    return svg


def reliability(bins: Sequence[dict[str, Any]], yes: bool) -> str:
    """Accuracy by confidence, with the gap to the diagonal, over the number of samples in each bin."""

    def draw(figure: Figure) -> None:
        above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
        left = np.array([each["above"] for each in bins])
        width = np.array([each["up_to"] for each in bins]) - left
        counts = np.array([each["count"] for each in bins])
        filled = [n for n, each in enumerate(bins) if finite(each["confidence"], each["accuracy"])]
        accuracy = np.array([bins[index]["accuracy"] for index in filled])
        confidence = np.array([bins[index]["confidence"] for index in filled])
        above.plot([0, 1], [0, 1], color=INK, linewidth=0.8, linestyle=(0, (4, 3)))
        middle, wide = (left + width / 2)[filled], width[filled]
        above.bar(middle, accuracy, wide * 0.94, color=ACCENT, label="share of yes" if yes else "accuracy")
        above.bar(
            middle,
            confidence - accuracy,
            wide * 0.94,
            accuracy,
            facecolor="none",
            edgecolor=OTHER,
            linewidth=1.1,
            label="gap to confidence",
        )
        above.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="share of yes" if yes else "accuracy")
        above.grid(axis="y")
        above.legend(loc="upper left", frameon=False, fontsize=9, handlelength=1.2)
        below.bar(left + width / 2, counts, width * 0.94, color=LINE)
        below.set(xlabel="probability of yes" if yes else "confidence", ylabel="samples")
        plain_counts(below)

    return drawn("reliability", 3.9, draw)


def loss_histogram(bins: Sequence[dict[str, Any]]) -> str:
    """Samples by the size of their loss; on a logarithmic axis where no loss is negative."""
    shown = [each for each in bins if finite(each["from"], each["to"])]
    if not shown:
        return ""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        if shown[0]["from"] < 0:
            edges = np.array([[each["from"], each["to"]] for each in shown])
            heights = np.array([each["count"] for each in shown]) / (edges[:, 1] - edges[:, 0])
            axes.bar(edges[:, 0], heights, edges[:, 1] - edges[:, 0], align="edge", color=ACCENT)
            axes.set(xlabel="loss", ylabel="samples per unit of loss")
        else:
            least, edges, counts = octaves(shown)
            axes.bar(edges[:-1], counts, np.diff(edges) * 0.94, align="edge", color=ACCENT)
            axes.set_xscale("log")
            axes.set(xlabel="loss" + (f" (first bar: below {least:.1g})" if least else ""), ylabel="samples")
        axes.grid(axis="y")
        plain_counts(axes)

    return drawn("losses", 3.1, draw)


def octaves(bins: Sequence[dict[str, Any]]) -> tuple[float, Any, Any]:
    """Bins of an octave each over the last seven decades; what is smaller is in the first."""
    greatest = max(each["to"] for each in bins)
    smallest = min((each["from"] for each in bins if each["from"] > 0), default=greatest / 2)
    low = math.floor(math.log2(max(smallest, greatest * 1e-7)))
    edges = 2.0 ** np.arange(low, math.ceil(math.log2(greatest)) + 1)
    counts = np.zeros(len(edges) - 1)
    under = 0
    for each in bins:
        middle = (each["from"] + each["to"]) / 2
        if middle < edges[0]:
            under += each["count"]
        else:
            counts[np.searchsorted(edges, middle, side="right") - 1] += each["count"]
    if not under:
        return 0.0, edges, counts
    return edges[0], np.concatenate([[edges[0] / 2], edges]), np.concatenate([[under], counts])


def per_class(entries: Sequence[dict[str, Any]], overall: float) -> str:
    """The loss of each class, those of the largest loss where there are many."""
    known = [each for each in entries if finite(each["loss"])]
    shown = sorted(known, key=lambda each: -each["loss"])[:MOST_BARS]
    names = [str(each["class"]) for each in shown]
    return bars("classes", names, [each["loss"] for each in shown], overall, "loss")


def slices(by: str, entries: Sequence[dict[str, Any]], overall: float) -> str:
    """The loss of each group of a grouping."""
    known = [each for each in entries if finite(each["loss"])]
    shown = sorted(known, key=lambda each: -each["loss"])[:MOST_BARS]
    names = [shortened(each["group"]) for each in shown]
    return bars("slices-" + re.sub(r"\W", "-", by), names, [each["loss"] for each in shown], overall, "loss")


def bars(name: str, names: Sequence[str], values: Sequence[float], overall: float, label: str) -> str:
    """Horizontal bars under one another, with a line for the whole."""
    if not values:
        return ""

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        places = np.arange(len(values))
        axes.barh(places, values, 0.72, color=ACCENT)
        for place, value in zip(places, values, strict=True):
            axes.annotate(
                f"{value:.3g}",
                (max(value, 0), place),
                (3, 0),
                textcoords="offset points",
                va="center",
                fontsize=9,
                bbox={"facecolor": PAPER, "linewidth": 0, "pad": 1},
            )
        axes.set_yticks(places, names)
        axes.invert_yaxis()
        axes.margins(x=0.14, y=0.01)
        axes.tick_params(axis="y", length=0)
        if math.isfinite(overall):
            axes.axvline(overall, color=OTHER, linewidth=1.2)
            axes.set_xlabel(f"{label} (line: {overall:.3g}, of all)")
        axes.grid(axis="x")

    return drawn(name, 0.8 + 0.24 * len(values), draw)


def confusion(matrix: Sequence[Sequence[int]]) -> str:
    """Samples of each true class by predicted class, as shares of the true class."""
    counts = np.array(matrix, float)
    classes = len(counts)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)

    def draw(figure: Figure) -> None:
        axes = figure.subplots()
        axes.set_aspect("equal")
        # Half a power: mistakes of one in a hundred are to be seen.
        strength = np.sqrt(shares)
        if classes <= MOST_CELLS:
            for (true, predicted), value in np.ndenumerate(strength):
                if value:
                    axes.fill_between(
                        [predicted - 0.5, predicted + 0.5],
                        true - 0.5,
                        true + 0.5,
                        linewidth=0,
                        color=ACCENT if true == predicted else OTHER,
                        alpha=0.12 + 0.88 * float(value),
                    )
            if classes <= 12:
                annotate(axes, counts, shares)
            axes.set_xticks(range(classes))
            axes.set_yticks(range(classes))
            if classes > 12:
                axes.tick_params(labelsize=6)
        else:  # a picture of that size; colours that show on light and dark
            right = np.where(np.eye(classes, dtype=bool), strength, 0)
            for values, colour in ((right, "#2a78d6"), (strength - right, "#d9622b")):
                clear = LinearSegmentedColormap.from_list("", [f"{colour}00", f"{colour}ff"])
                axes.imshow(values, cmap=clear, vmin=0, vmax=1, interpolation="nearest")
        axes.set(
            xlim=(-0.5, classes - 0.5),
            ylim=(classes - 0.5, -0.5),
            xlabel="predicted class",
            ylabel="true class",
        )
        axes.tick_params(length=0)
        for spine in axes.spines.values():
            spine.set_visible(True)

    return drawn("confusion", 3.2 if classes <= 3 else 4.6, draw)


def annotate(axes: Axes, counts: Any, shares: Any) -> None:
    """The number in each cell that has one."""
    size = 12 if len(counts) <= 3 else 8.5 if len(counts) <= 10 else 7
    for (true, predicted), count in np.ndenumerate(counts):
        if count:
            colour = PAPER if shares[true, predicted] > 0.3 else INK
            text = compact_count(int(count))
            axes.text(predicted, true, text, ha="center", va="center", fontsize=size, color=colour)


def compact_count(count: int) -> str:
    """A number of at most four characters or so: 999, 1.2k, 35M."""
    for unit, power in (("G", 9), ("M", 6), ("k", 3)):
        if count >= 10**power:
            return f"{count / 10**power:.{0 if count >= 10 ** (power + 1) else 1}f}{unit}"
    return str(count)


def plain_counts(axes: Axes) -> None:
    """Numbers of samples on the y axis in short."""
    axes.yaxis.set_major_locator(matplotlib.ticker.MaxNLocator(4, integer=True))
    axes.yaxis.set_major_formatter(lambda value, _: compact_count(round(value)))


def shortened(group: Any) -> str:
    text = str(group)
    return text if len(text) <= 18 else text[:17] + "\N{HORIZONTAL ELLIPSIS}"


def finite(*values: float | None) -> bool:
    """Whether all are numbers to be drawn."""
    return all(value is not None and math.isfinite(value) for value in values)
