"""From figures to words: which failure this is, what shows it, and what helps.

A failure is one that lasts: its condition must hold in each of the last `Thresholds.patience` records,
so that a single odd batch raises no alarm.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actloss_rs.diagnostics.monitor import Record

RECTIFIERS = frozenset({"relu", "relu6", "hard_shrink", "soft_shrink", "thresholded_relu", "hard_swish"})
"""Functions that are 0 with derivative 0 over a range of inputs: their units can die."""

LEAKY = frozenset({"leaky_relu", "prelu", "elu", "celu", "selu", "gelu", "silu", "mish", "softplus"})

SATURATING = frozenset({"sigmoid", "tanh"})


@dataclass(frozen=True, slots=True)
class Thresholds:
    """When something counts as a failure. Each with its source; all can be changed."""

    dead_fraction: float = 0.4
    """Share of a layer's units that are 0 for a whole batch. Stanford's CS231n notes ("Neural Networks 1")
    name 40 % as what a learning rate that is too high can kill; in healthy networks on the digits we see
    less than 20 % at batch size 64."""
    saturated_fraction: float = 0.5
    """Share of a layer's outputs where the derivative is below 4 % of its largest. Glorot and Bengio
    (2010, section 3) find layers stuck at saturation unable to learn; half of a layer is a round number."""
    layer_factor: float = 2.0
    """By how much gradients shrink or grow per layer, on average. A sigmoid's derivative is at most 1/4,
    a layer of ReLUs with He's initialisation keeps the scale, factor 1 (He et al. 2015, section 2.2)."""
    total_factor: float = 1000.0
    """By how much gradients shrink or grow from the last layer to the first, in all. So few layers with a
    factor of 2 are no failure: all of them learn, at different speeds."""
    update_ratio: float = 0.5
    """RMS of an update over RMS of the weights. CS231n's notes ("Neural Networks 3") call 1e-3 healthy;
    at one half a step replaces rather than adjusts."""
    loss_factor: float = 10.0
    """The loss over that of the first record. Guessing evenly costs log(classes), so a run that has got
    ten times worse than its start is diverging."""
    patience: int = 10
    """Records that a condition must hold in, up to the last one."""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """A failure, in words."""

    name: str
    """dead units, saturation, vanishing gradients, exploding gradients, or not finite."""
    layers: tuple[str, ...]
    since: int
    """The step from which on the condition holds."""
    evidence: str
    remedy: str

    def __str__(self) -> str:
        where = f"{_listed(self.layers)}: " if self.layers else ""
        return f"{self.name}: {where}{self.evidence}; {self.remedy}"


History = Sequence["Record"]


def diagnose(
    history: History, function_of: Callable[[str], str | None], thresholds: Thresholds
) -> Iterator[Diagnosis]:
    """All failures of a run, as it is now."""
    if not history:
        return
    broken = list(not_finite(history, thresholds))
    # Up to where numbers are numbers: what led there.
    sound = [record for record in history if not broken or record.step < broken[0].since]
    dead = list(dead_units(sound, function_of, thresholds))
    yield from dead
    exploding = list(exploding_gradients(sound, thresholds, bool(broken)))
    yield from exploding
    yield from broken
    yield from saturation(sound, function_of, thresholds)
    if not dead and not exploding:
        yield from vanishing_gradients(sound, function_of, thresholds)


def dead_units(
    history: History, function_of: Callable[[str], str | None], thresholds: Thresholds
) -> Iterator[Diagnosis]:
    """Layers of rectifiers most of whose units are 0 for whole batches."""
    for layer in history[-1].activations if history else ():
        if function_of(layer) not in RECTIFIERS:
            continue
        fractions = [
            (record.step, record.activations[layer].dead_fraction)
            for record in history
            if layer in record.activations
        ]
        since = lasting(fractions, lambda fraction: fraction >= thresholds.dead_fraction, thresholds)
        if since is None:
            continue
        rate = _learning_rate(history, since)
        if rate is None:
            remedy = "a learning rate that is too large is the likely cause; try a smaller one"
        elif since == history[0].step:
            remedy = f"dead from the start: try He initialisation with zero biases, a rate below {rate:g}"
        else:
            remedy = f"learning rate {rate:g} is the likely cause; try {rate / 10:.2g}"
        yield Diagnosis(
            "dead units",
            (layer,),
            since,
            f"{fractions[-1][1]:.0%} of units dead since step {since}",
            f"{remedy}, leaky_relu or batch_norm",
        )


def saturation(
    history: History, function_of: Callable[[str], str | None], thresholds: Thresholds
) -> Iterator[Diagnosis]:
    """Layers of sigmoid or tanh most of whose outputs are at the ends of their range."""
    for layer in history[-1].activations if history else ():
        function = function_of(layer)
        if function not in SATURATING:
            continue
        fractions = [
            (record.step, record.activations[layer].saturated_fraction)
            for record in history
            if layer in record.activations
        ]
        since = lasting(fractions, lambda fraction: fraction >= thresholds.saturated_fraction, thresholds)
        if since is not None:
            yield Diagnosis(
                "saturation",
                (layer,),
                since,
                f"{fractions[-1][1]:.0%} of {function} outputs at the ends of its range since step {since}",
                "scale the inputs to unit variance, start from smaller weights (Glorot), or use batch_norm",
            )


def vanishing_gradients(
    history: History, function_of: Callable[[str], str | None], thresholds: Thresholds
) -> Iterator[Diagnosis]:
    """Gradients that shrink from layer to layer on their way from output to input."""
    falls = _falls(history)
    since = lasting(
        falls,
        lambda fall: (
            fall[0] >= thresholds.total_factor and fall[0] >= thresholds.layer_factor ** (fall[1] - 1)
        ),
        thresholds,
    )
    if since is None:
        return
    layers = tuple(history[-1].gradients)
    total, count = falls[-1][1]
    per_layer = total ** (1 / (count - 1))
    used = sorted(SATURATING.intersection(filter(None, map(function_of, layers))))
    replace = f"relu in place of {' and '.join(used)}" if used else "relu with He initialisation"
    yield Diagnosis(
        "vanishing gradients",
        (),
        since,
        f"gradient RMS falls {per_layer:.2g}x per layer from output to input, {total:.2g}x from {layers[-1]} "
        f"to {layers[0]}",
        f"try {replace}, batch_norm, or fewer layers",
    )


def exploding_gradients(history: History, thresholds: Thresholds, broken: bool) -> Iterator[Diagnosis]:
    """Gradients that grow from layer to layer, or steps that throw the weights about.

    Numbers that stop being finite end the waiting: then the last record before decides.
    """
    patience = Thresholds(patience=1) if broken else thresholds
    rises = [(step, (1 / total if total else 0.0, count)) for step, (total, count) in _falls(history)]
    since = lasting(
        rises,
        lambda rise: (
            rise[0] >= thresholds.total_factor and rise[0] >= thresholds.layer_factor ** (rise[1] - 1)
        ),
        patience,
    )
    remedy = "try clip_by_global_norm, batch_norm, smaller initial weights (He)"
    if since is not None:
        layers = tuple(history[-1].gradients)
        total, count = rises[-1][1]
        yield Diagnosis(
            "exploding gradients",
            (),
            since,
            f"gradient RMS grows {total ** (1 / (count - 1)):.2g}x per layer from output to input, "
            f"{total:.2g}x from {layers[-1]} to {layers[0]}",
            remedy,
        )
        return
    ratios = [
        (record.step, max(ratio for _, ratio in found))
        for record in history
        if (found := _update_ratios(record))
    ]
    since = lasting(ratios, lambda ratio: ratio >= thresholds.update_ratio, patience)
    if since is not None:
        layer, ratio = max(_update_ratios(history[-1]), key=lambda pair: pair[1])
        yield Diagnosis(
            "exploding gradients",
            (layer,),
            since,
            f"a step changes the weights by {ratio:.2g} of their size since step {since}",
            _lower(_learning_rate(history, since)) + remedy,
        )
        return
    losses = [(record.step, record.loss) for record in history if record.loss is not None]
    if not losses:
        return
    first = losses[0][1]
    since = lasting(losses, lambda loss: loss >= thresholds.loss_factor * first > 0, patience)
    if since is not None:
        yield Diagnosis(
            "exploding gradients",
            (),
            since,
            f"the loss has gone from {first:.3g} to {losses[-1][1]:.3g}",
            _lower(_learning_rate(history, since)) + remedy,
        )


def not_finite(history: History, thresholds: Thresholds) -> Iterator[Diagnosis]:
    """NaN or infinities, from the first step that has any."""
    for record in history:
        named = [
            (kind, layer, found)
            for kind in ("activations", "gradients", "updates", "weights")
            for layer, found in getattr(record, kind).items()
            if found.not_finite
        ]
        if named:
            kind, layer, found = named[0]
            evidence = (
                f"{found.nan} NaN and {found.infinite} infinite values among {found.count} {kind} "
                f"at step {record.step}"
            )
            layers: tuple[str, ...] = (layer,)
        elif record.loss is not None and not isfinite(record.loss):
            evidence, layers = f"the loss is {record.loss} at step {record.step}", ()
        else:
            continue
        rate = _learning_rate(history, record.step)
        remedy = _lower(rate) + "check the inputs, use losses from logits, and clip_by_global_norm"
        yield Diagnosis("not finite", layers, record.step, evidence, remedy)
        return


def lasting(
    series: Sequence[tuple[int, Any]], holds: Callable[[Any], bool], thresholds: Thresholds
) -> int | None:
    """The step from which on a condition holds in all records to the last, if those are enough."""
    since, count = None, 0
    for step, value in reversed(series):
        if not holds(value):
            break
        since, count = step, count + 1
    return since if count >= thresholds.patience else None


def _falls(history: History) -> list[tuple[int, tuple[float, int]]]:
    """For each step: gradient RMS of the last layer over that of the first, and the number of layers."""
    falls = []
    for record in history:
        sizes = [found.rms for found in record.gradients.values()]
        if len(sizes) < 3 or not all(isfinite(size) for size in sizes) or not all(sizes):
            continue
        falls.append((record.step, (sizes[-1] / sizes[0], len(sizes))))
    return falls


def _update_ratios(record: "Record") -> list[tuple[str, float]]:
    pairs = [(layer, found, record.weights.get(layer)) for layer, found in record.updates.items()]
    return [(layer, found.rms / of.rms) for layer, found, of in pairs if of is not None and of.rms > 0]


def _learning_rate(history: History, since: int) -> float | None:
    """The usual learning rate up to a step."""
    rates = [
        record.learning_rate
        for record in history
        if record.learning_rate is not None and record.step <= since
    ]
    return median(rates) if rates else None


def _lower(rate: float | None) -> str:
    return "lower the learning rate, " if rate is None else f"lower the learning rate {rate:g}, "


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
