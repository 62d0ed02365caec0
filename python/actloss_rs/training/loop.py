"""The loop: batch, forward, loss, backward, update."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

import actloss_rs as al
from actloss_rs.diagnostics import Monitor
from actloss_rs.training.layers import Activation, Dense, Network
from actloss_rs.training.optimizers import Optimizer
from actloss_rs.training.schedules import Schedule

Array = NDArray[Any]


def batches(
    x: Array, y: Array, size: int, steps: int, rng: np.random.Generator
) -> Iterator[tuple[Array, Array]]:
    """So many batches; the samples are shuffled anew whenever all have been seen."""
    order = rng.permutation(len(x))
    start = 0
    for _ in range(steps):
        if start + size > len(x):
            order, start = rng.permutation(len(x)), 0
        chosen = order[start : start + size]
        start += size
        yield x[chosen], y[chosen]


def train(
    network: Network,
    loss: Any,
    optimizer: Optimizer,
    schedule: Schedule,
    x: Array,
    y: Array,
    rng: np.random.Generator,
    *,
    steps: int,
    batch_size: int = 64,
    clip_norm: float | None = None,
    monitor: Monitor | None = None,
) -> list[float]:
    """Train the network; the losses of all steps.

    `loss` is one of `actloss_rs.losses`; with `clip_norm`, the gradients by all parameters together are made
    no longer than that. A `monitor` sees every step. Training goes on through NaN, as it would anywhere.
    """
    losses = []
    parameters = network.parameters()
    # Where a network explodes, NumPy's matrix products overflow: that is the monitor's to say.
    with np.errstate(over="ignore", invalid="ignore"):
        for step, (inputs, labels) in enumerate(batches(x, y, batch_size, steps, rng)):
            value, gradient = loss.value_and_grad(labels, network.forward(inputs))
            network.backward(gradient)
            gradients = network.gradients()
            if clip_norm is not None:
                clipped, _ = al.clip_by_global_norm(list(gradients.values()), clip_norm)
                gradients = dict(zip(gradients, clipped, strict=True))
            rate = schedule(step)
            updates = optimizer.step(parameters, gradients, rate)
            losses.append(float(value))
            if monitor is not None:
                watch(monitor, network, updates, step, value, rate)
    return losses


def watch(
    monitor: Monitor, network: Network, updates: dict[str, Array], step: int, loss: float, rate: float
) -> None:
    """Show a step to the monitor. A layer, there, is a dense layer with what follows it up to the next."""
    activations, gradients, weights, changes = {}, {}, {}, {}
    name = ""
    number = 0
    for index, layer in enumerate(network.layers):
        if isinstance(layer, Dense):
            number += 1
            name = f"layer {number}"
            gradients[name] = network.output_gradients[index]
            weights[name] = layer.parameters["weight"]
            changes[name] = updates[f"{index}.weight"]
        elif isinstance(layer, Activation):
            activations[name] = network.outputs[index]
    monitor.record(
        step,
        activations=activations,
        gradients=gradients,
        weights=weights,
        updates=changes,
        loss=loss,
        learning_rate=rate,
    )


def accuracy(network: Network, x: Array, y: Array) -> float:
    """The share of samples whose largest logit is that of their class."""
    return float(np.mean(network(x).argmax(axis=1) == y))
