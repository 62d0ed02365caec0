"""What happened in each layer, step by step."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from numpy.typing import ArrayLike

from actloss_rs.diagnostics.diagnosis import Diagnosis, Thresholds, diagnose
from actloss_rs.diagnostics.statistics import SATURATION_BOUNDS, ArrayStatistics, statistics

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Kind: TypeAlias = Literal["activations"] | Literal["gradients"] | Literal["weights"] | Literal["updates"]
KINDS: tuple[Kind, ...] = ("activations", "gradients", "weights", "updates")

Layers = Mapping[str, ArrayLike]


@dataclass(frozen=True, slots=True)
class Record:
    """The statistics of one step. Layers are in their order from input to output."""

    step: int
    loss: float | None = None
    learning_rate: float | None = None
    activations: dict[str, ArrayStatistics] = field(default_factory=dict)
    gradients: dict[str, ArrayStatistics] = field(default_factory=dict)
    weights: dict[str, ArrayStatistics] = field(default_factory=dict)
    updates: dict[str, ArrayStatistics] = field(default_factory=dict)

    def layers(self, kind: Kind) -> dict[str, ArrayStatistics]:
        """The statistics of one kind, by layer."""
        found: dict[str, ArrayStatistics] = getattr(self, kind)
        return found


class Monitor:
    """Watches a training run and says what is wrong with it.

    Works with any training loop: hand it arrays, it keeps their statistics. `Monitor.diagnose` names
    failures in words, with evidence and remedies; `plot` and `to_tensorboard` show the history.

    Args:
        functions: The activation function of each layer by name ("relu", "sigmoid", ...), or one for all
            layers. Tells zeros of ReLU, which are dead units, from others, and where a sigmoid or tanh is
            saturated. A layer without one is only checked for NaN and infinities.
        thresholds: When something counts as a failure.
        magnitudes_every: Histograms are kept of every so many records; 0: never.
    """

    def __init__(
        self,
        functions: str | Mapping[str, str] | None = None,
        *,
        thresholds: Thresholds | None = None,
        magnitudes_every: int = 10,
    ) -> None:
        self.functions = functions
        self.thresholds = thresholds or Thresholds()
        self.magnitudes_every = magnitudes_every
        self.history: list[Record] = []

    def record(
        self,
        step: int,
        *,
        activations: Layers | None = None,
        gradients: Layers | None = None,
        weights: Layers | None = None,
        updates: Layers | None = None,
        loss: float | None = None,
        learning_rate: float | None = None,
    ) -> Record:
        """Keep the statistics of one step; layers in their order from input to output.

        Args:
            step: Number of the step, larger than that of the last record.
            activations: Output of each layer's activation function, with the units along the last axis.
            gradients: Gradient of the loss by each layer's output, before or after its activation function:
                what flows backwards. (Gradients by weights hide an explosion: where the gradient by the
                output is small, the layer's input is large.)
            weights: Weights of each layer, after the step.
            updates: What the step added to the weights.
            loss: The loss of the step.
            learning_rate: The learning rate of the step.
        """
        if self.history and step <= self.history[-1].step:
            raise ValueError(f"step {step} does not follow the last record's, {self.history[-1].step}")
        magnitudes = self.magnitudes_every > 0 and len(self.history) % self.magnitudes_every == 0
        taken = {
            kind: {layer: self._statistics(kind, layer, array, magnitudes) for layer, array in given.items()}
            for kind, given in zip(KINDS, (activations, gradients, weights, updates), strict=True)
            if given is not None
        }
        record = Record(step, _number(loss), _number(learning_rate), **taken)
        self.history.append(record)
        return record

    def _statistics(self, kind: Kind, layer: str, array: ArrayLike, magnitudes: bool) -> ArrayStatistics:
        function = self.function_of(layer) if kind == "activations" else None
        bounds = SATURATION_BOUNDS.get(function or "")
        return statistics(array, saturation=bounds, magnitudes=magnitudes)

    def function_of(self, layer: str) -> str | None:
        """The activation function of a layer, as far as it is known."""
        if self.functions is None or isinstance(self.functions, str):
            return self.functions
        return self.functions.get(layer)

    def series(self, kind: Kind, layer: str, figure: str) -> tuple[list[int], list[float]]:
        """Steps, and a figure of `ArrayStatistics` at each.

        >>> import numpy as np
        >>> from actloss_rs.diagnostics import Monitor
        >>> monitor = Monitor("relu")
        >>> for step in range(3):
        ...     _ = monitor.record(step, activations={"layer 1": np.array([[0.0, step]])})
        >>> monitor.series("activations", "layer 1", "dead_fraction")
        ([0, 1, 2], [1.0, 0.5, 0.5])
        """
        found = [(record.step, record.layers(kind)) for record in self.history]
        pairs = [(step, float(getattr(of[layer], figure))) for step, of in found if layer in of]
        return [step for step, _ in pairs], [value for _, value in pairs]

    def layers(self, kind: Kind) -> list[str]:
        """Names of the layers of which a kind was recorded, from input to output."""
        return list(dict.fromkeys(name for record in self.history for name in record.layers(kind)))

    def diagnose(self) -> list[Diagnosis]:
        """What is wrong with the run as it is now, the root of the trouble first; nothing if healthy."""
        return list(diagnose(self.history, self.function_of, self.thresholds))

    def to_tensorboard(self, logdir: str | Path) -> None:
        """Write scalars, histograms and diagnoses for TensorBoard; takes ``actloss_rs[tensorboard]``."""
        from actloss_rs.diagnostics.tensorboard import write

        write(self, Path(logdir))

    def plot(self) -> "Figure":
        """The history as a Matplotlib figure; takes ``actloss_rs[plot]``."""
        from actloss_rs.diagnostics.plots import figure

        return figure(self)

    def __iter__(self) -> Iterator[Record]:
        return iter(self.history)

    def __len__(self) -> int:
        return len(self.history)


def _number(value: Any) -> float | None:
    return None if value is None else float(value)
