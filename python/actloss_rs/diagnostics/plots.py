"""A monitor's history as a Matplotlib figure: what TensorBoard shows, on one page."""

from collections.abc import Iterator
from math import isfinite
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from actloss_rs.diagnostics.monitor import Kind, Monitor

PANELS: tuple[tuple["Kind", str, str, str], ...] = (
    ("gradients", "rms", "gradient RMS", "log"),
    ("activations", "zero_fraction", "outputs that are 0", "linear"),
    ("activations", "dead_fraction", "dead units", "linear"),
    ("activations", "saturated_fraction", "saturated outputs", "linear"),
    ("updates", "ratio", "update RMS / weight RMS", "log"),
)
"""Kind, figure, title, and scale; those with nothing but zeros to show are left out."""


def figure(monitor: "Monitor", *, width: float = 10.0) -> "Figure":
    """The loss, and for each layer what tells health from failure, over the steps."""
    try:
        from matplotlib.figure import Figure
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "plot takes the package matplotlib; install it with: pip install 'actloss_rs[plot]'",
            name=error.name,
        ) from None
    panels = list(drawn(monitor))
    rows = (len(panels) + 2) // 2
    page = Figure(figsize=(width, 0.3 * width * rows), layout="constrained")
    axes = page.subplots(rows, 2, squeeze=False).ravel()
    losses = [(record.step, record.loss) for record in monitor.history if record.loss is not None]
    line(axes[0], [step for step, _ in losses], [loss for _, loss in losses], color="#5b8bd0")
    finite = [loss for _, loss in losses if isfinite(loss)]
    wide = bool(finite) and min(finite) > 0 and max(finite) > 10 * min(finite)
    finish(axes[0], "loss", "log" if wide else "linear", monitor)
    for axis, (title, scale, lines) in zip(axes[1:], panels, strict=False):
        layered(axis, lines)
        finish(axis, title, scale, monitor)
    for axis in axes[len(panels) + 1 :]:
        axis.set_axis_off()
    return page


def drawn(monitor: "Monitor") -> Iterator[tuple[str, str, dict[str, tuple[list[int], list[float]]]]]:
    """Title, scale and lines of each panel that has something to show."""
    for kind, figure, title, scale in PANELS:
        lines = {
            layer: ratio(monitor, layer) if figure == "ratio" else monitor.series(kind, layer, figure)
            for layer in monitor.layers(kind)
        }
        if any(any(values) for _, values in lines.values()):
            yield title, scale, lines


def ratio(monitor: "Monitor", layer: str) -> tuple[list[int], list[float]]:
    """How much of a layer's weights a step changed."""
    pairs = [
        (record.step, record.updates[layer].rms / record.weights[layer].rms)
        for record in monitor.history
        if layer in record.updates and layer in record.weights and record.weights[layer].rms > 0
    ]
    return [step for step, _ in pairs], [value for _, value in pairs]


def layered(axis: "Axes", lines: dict[str, tuple[list[int], list[float]]]) -> None:
    """A line for each layer, from yellow at the input to violet at the output."""
    import matplotlib as mpl

    colours = mpl.colormaps["plasma"]
    for place, (layer, (steps, values)) in enumerate(lines.items()):
        share = place / max(len(lines) - 1, 1)
        # The ends of the colour map cannot be seen on white and on black.
        colour = colours(0.85 - 0.55 * share)
        told = place in (0, len(lines) // 2, len(lines) - 1)
        line(axis, steps, values, color=colour, label=layer if told else None)
    axis.legend(fontsize="small", framealpha=0.7, edgecolor="none", loc="upper right")


def line(axis: "Axes", steps: list[int], values: list[float], **style: Any) -> None:
    """A line over the steps; a run that ends after a few finite ones shows as points, too."""
    few = sum(map(isfinite, values)) < 10
    axis.plot(steps, values, linewidth=1.2, marker="o" if few else None, markersize=3, **style)


def finish(axis: "Axes", title: str, scale: str, monitor: "Monitor") -> None:
    """Title, scale, grid, and a shade over the steps after numbers stopped being finite."""
    steps = [record.step for record in monitor.history]
    broken = [diagnosis.since for diagnosis in monitor.diagnose() if diagnosis.name == "not finite"]
    if steps:
        axis.set_xlim(steps[0], max(steps[-1], steps[0] + 1))
    if broken:
        axis.axvspan(broken[0], steps[-1], color="#d9534f", alpha=0.15, linewidth=0)
        axis.text(0.5, 0.5, "not finite", transform=axis.transAxes, color="#d9534f", ha="center")
    axis.set_title(title, loc="left", fontsize="medium")
    axis.set_xlabel("step", fontsize="small")
    axis.set_yscale(scale, **({"nonpositive": "mask"} if scale == "log" else {}))
    if scale == "linear" and title != "loss":
        axis.set_ylim(-0.03, 1.03)
    axis.grid(alpha=0.25)
    axis.spines[["top", "right"]].set_visible(False)
