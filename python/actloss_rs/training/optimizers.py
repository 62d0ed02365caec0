"""Optimizers: from gradients to updates, which are added to the parameters in place."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


class Optimizer:
    """Makes updates of gradients. State, if any, is kept by the parameters' names."""

    def updates(self, gradients: Arrays, learning_rate: float) -> dict[str, NDArray[Any]]:
        """What is to be added to each parameter."""
        raise NotImplementedError

    def step(self, parameters: Arrays, gradients: Arrays, learning_rate: float) -> dict[str, NDArray[Any]]:
        """Add the updates to the parameters, and return them."""
        updates = self.updates(gradients, learning_rate)
        for name, update in updates.items():
            parameters[name][...] += update
        return updates


class SGD(Optimizer):
    """Stochastic gradient descent: straight downhill."""

    def updates(self, gradients: Arrays, learning_rate: float) -> dict[str, NDArray[Any]]:
        return {name: -learning_rate * gradient for name, gradient in gradients.items()}


class Momentum(Optimizer):
    """Downhill with a memory: a running sum of gradients, the older the less (Polyak 1964)."""

    def __init__(self, momentum: float = 0.9) -> None:
        self.momentum = momentum
        self.velocity: dict[str, NDArray[Any]] = {}

    def updates(self, gradients: Arrays, learning_rate: float) -> dict[str, NDArray[Any]]:
        for name, gradient in gradients.items():
            before = self.velocity.get(name, np.zeros_like(gradient))
            self.velocity[name] = self.momentum * before + gradient
        return {name: -learning_rate * self.velocity[name] for name in gradients}


class Adam(Optimizer):
    """Each weight at its own pace: the mean gradient over its root mean square (Kingma and Ba 2015)."""

    def __init__(self, beta_1: float = 0.9, beta_2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.beta_1, self.beta_2, self.epsilon = beta_1, beta_2, epsilon
        self.steps = 0
        self.mean: dict[str, NDArray[Any]] = {}
        self.square: dict[str, NDArray[Any]] = {}

    def updates(self, gradients: Arrays, learning_rate: float) -> dict[str, NDArray[Any]]:
        self.steps += 1
        updates = {}
        for name, gradient in gradients.items():
            mean = self.mean.get(name, np.zeros_like(gradient))
            square = self.square.get(name, np.zeros_like(gradient))
            self.mean[name] = self.beta_1 * mean + (1 - self.beta_1) * gradient
            self.square[name] = self.beta_2 * square + (1 - self.beta_2) * gradient**2
            # Both start at 0, and are too small by as much as they have not seen yet.
            unbiased_mean = self.mean[name] / (1 - self.beta_1**self.steps)
            unbiased_square = self.square[name] / (1 - self.beta_2**self.steps)
            updates[name] = -learning_rate * unbiased_mean / (np.sqrt(unbiased_square) + self.epsilon)
        return updates
