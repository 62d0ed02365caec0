"""Layers: each knows its output, and the gradients by its input and its parameters."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

import actloss_rs as al

Array = NDArray[Any]


class Layer:
    """A function with parameters. `backward` follows `forward`, which keeps what it needs."""

    def __init__(self) -> None:
        self.parameters: dict[str, Array] = {}
        self.gradients: dict[str, Array] = {}

    def forward(self, x: Array, training: bool) -> Array:
        """The output for a batch, samples along the first axis."""
        raise NotImplementedError

    def backward(self, dy: Array) -> Array:
        """From the gradient by the output: that by the input; those by the parameters are kept."""
        raise NotImplementedError


class Dense(Layer):
    """y = x W + b.

    The weights' standard deviation keeps the size of what flows through: with He's sqrt(2 / inputs) through
    ReLUs, which drop half of it, with Glorot's sqrt(2 / (inputs + outputs)) through functions that are close
    to the identity around 0. `gain` multiplies it.
    """

    def __init__(
        self, inputs: int, outputs: int, rng: np.random.Generator, init: str = "he", gain: float = 1.0
    ) -> None:
        super().__init__()
        variance = {"he": 2 / inputs, "glorot": 2 / (inputs + outputs)}[init]
        weight = rng.standard_normal((inputs, outputs)) * gain * variance**0.5
        self.parameters = {
            "weight": weight.astype(np.float32),
            "bias": np.zeros(outputs, dtype=np.float32),
        }

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        return x @ self.parameters["weight"] + self.parameters["bias"]

    def backward(self, dy: Array) -> Array:
        self.gradients = {"weight": self.x.T @ dy, "bias": dy.sum(axis=0)}
        return dy @ self.parameters["weight"].T


class Activation(Layer):
    """y = f(x), for any activation of `actloss_rs` by its name."""

    def __init__(self, name: str, **options: float) -> None:
        super().__init__()
        self.name, self.options = name, options

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        y: Array = getattr(al, self.name)(x, **self.options)
        return y

    def backward(self, dy: Array) -> Array:
        dx: Array = getattr(al.backward, self.name)(dy, self.x, **self.options)
        return dx


class BatchNorm(Layer):
    """Each channel to mean 0 and variance 1 over the batch, then scaled and shifted as training finds best.

    Later, when single samples come, by the running mean and variance of the batches seen in training.
    """

    def __init__(self, channels: int, momentum: float = 0.1) -> None:
        super().__init__()
        ones, zeros = np.ones(channels, dtype=np.float32), np.zeros(channels, dtype=np.float32)
        self.parameters = {"gamma": ones, "beta": zeros}
        self.momentum = momentum
        self.running_mean, self.running_var = np.zeros(channels), np.ones(channels)

    def forward(self, x: Array, training: bool) -> Array:
        self.x = x
        y: Array = al.batch_norm(
            x,
            self.parameters["gamma"],
            self.parameters["beta"],
            running_mean=self.running_mean,
            running_var=self.running_var,
            training=training,
            momentum=self.momentum,
        )
        return y

    def backward(self, dy: Array) -> Array:
        dx: Array
        dx, dgamma, dbeta = al.backward.batch_norm(dy, self.x, self.parameters["gamma"], training=True)
        self.gradients = {"gamma": dgamma, "beta": dbeta}
        return dx


class Network:
    """Layers one after the other.

    After `forward` and `backward`, `outputs` and `output_gradients` hold what came out of each layer and
    the gradient by it, by index: what a `Monitor` wants to see.
    """

    def __init__(self, layers: Sequence[Layer]) -> None:
        self.layers = list(layers)
        self.outputs: dict[int, Array] = {}
        self.output_gradients: dict[int, Array] = {}

    def __call__(self, x: Array, training: bool = False) -> Array:
        return self.forward(x, training)

    def forward(self, x: Array, training: bool = True) -> Array:
        """The output for a batch."""
        for index, layer in enumerate(self.layers):
            x = self.outputs[index] = layer.forward(x, training)
        return x

    def backward(self, dy: Array) -> Array:
        """The gradient by the input, from that by the output."""
        for index in reversed(range(len(self.layers))):
            self.output_gradients[index] = dy
            dy = self.layers[index].backward(dy)
        return dy

    def parameters(self) -> dict[str, Array]:
        """All parameters, by names like ``3.weight``."""
        return self._named("parameters")

    def gradients(self) -> dict[str, Array]:
        """The gradients by all parameters, under the same names, after `backward`."""
        return self._named("gradients")

    def _named(self, what: str) -> dict[str, Array]:
        return {
            f"{index}.{name}": array
            for index, layer in enumerate(self.layers)
            for name, array in getattr(layer, what).items()
        }


def classifier(
    sizes: Sequence[int],
    activation: str,
    rng: np.random.Generator,
    *,
    init: str = "he",
    gain: float = 1.0,
    batch_norm: bool = False,
    **options: float,
) -> Network:
    """Dense layers of these sizes, inputs first and logits last, with the activation between them."""
    layers: list[Layer] = []
    for inputs, outputs in pairwise(sizes[:-1]):
        layers.append(Dense(inputs, outputs, rng, init, gain))
        if batch_norm:
            layers.append(BatchNorm(outputs))
        layers.append(Activation(activation, **options))
    layers.append(Dense(sizes[-2], sizes[-1], rng, init, gain))
    return Network(layers)
