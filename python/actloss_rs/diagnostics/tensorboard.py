"""A monitor's history as TensorBoard's event files, written by tensorboardX.

One chart for each figure and layer: ``gradients_rms/layer_1``; a histogram for each array of which
magnitudes were kept: ``gradients/layer_1``; diagnoses as text.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from actloss_rs.diagnostics.statistics import ArrayStatistics

if TYPE_CHECKING:
    from actloss_rs.diagnostics.monitor import Monitor

FIGURES = {
    "activations": ("zero_fraction", "dead_fraction", "saturated_fraction", "mean", "rms"),
    "gradients": ("rms", "max_abs"),
    "weights": ("rms",),
    "updates": ("rms",),
}
"""What there is a chart of, by kind."""


def write(monitor: "Monitor", logdir: Path) -> None:
    """Write the history, step by step, and close the file."""
    try:
        from tensorboardX import SummaryWriter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "to_tensorboard takes the package tensorboardX; install it with: "
            "pip install 'actloss_rs[tensorboard]'",
            name=error.name,
        ) from None
    with SummaryWriter(logdir=str(logdir)) as writer:
        for record in monitor.history:
            for name, value in (("loss", record.loss), ("learning_rate", record.learning_rate)):
                if value is not None:
                    writer.add_scalar(name, value, record.step)
            for kind, figures in FIGURES.items():
                for layer, found in getattr(record, kind).items():
                    for figure in figures:
                        writer.add_scalar(
                            f"{kind}_{figure}/{tag(layer)}", getattr(found, figure), record.step
                        )
                    histogram(writer, f"{kind}/{tag(layer)}", found, record.step)
        for diagnosis in monitor.diagnose():
            writer.add_text("diagnoses", str(diagnosis), diagnosis.since)


def tag(layer: str) -> str:
    """A layer's name as TensorBoard takes it."""
    return layer.replace(" ", "_")


def histogram(writer: Any, name: str, found: ArrayStatistics, step: int) -> None:
    """Write a histogram, where magnitudes were kept and there is a finite element."""
    if found.magnitudes is None or found.count == found.not_finite:
        return
    edges, counts = found.histogram()
    filled = np.flatnonzero(counts)
    seen = slice(filled[0], filled[-1] + 1)
    # Of sums that are not finite nothing is left to say; TensorBoard shows the buckets alone.
    total, square = (
        (found.mean * found.count, found.rms**2 * found.count) if not found.not_finite else (0.0, 0.0)
    )
    writer.add_histogram_raw(
        name,
        min=float(edges[seen.start]),
        max=float(edges[seen.stop]),
        num=int(counts.sum()),
        sum=total,
        sum_squares=square,
        bucket_limits=edges[1:][seen].tolist(),
        bucket_counts=counts[seen].tolist(),
        global_step=step,
    )
