"""Three ways in which gradient descent fails, on handwritten digits, and what cures each.

Each failure and its cures differ in one thing only, so that what helps is plain to see.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

import actloss_rs as al
from actloss_rs.diagnostics import Diagnosis, Monitor
from actloss_rs.training import SGD, Network, accuracy, classifier, constant, train

STEPS = 300
TRAINING_SAMPLES = 1400

MakeNetwork = Callable[[np.random.Generator], Network]


def deep(activation: str, **options: Any) -> MakeNetwork:
    """Twelve layers, of which eleven are hidden."""
    return lambda rng: classifier([64] * 12 + [10], activation, rng, **options)


def shallow(activation: str, **options: Any) -> MakeNetwork:
    """One hidden layer."""
    return lambda rng: classifier([64, 64, 10], activation, rng, **options)


@dataclass(frozen=True)
class Setting:
    """A network, and how it is trained."""

    title: str
    network: MakeNetwork
    function: str
    learning_rate: float
    clip_norm: float | None = None


@dataclass(frozen=True)
class FailureMode:
    """A failure, what the monitor calls it, and its cures."""

    name: str
    title: str
    text: str
    diagnosis: str
    sick: Setting
    cures: tuple[Setting, ...]


@dataclass(frozen=True)
class Outcome:
    """What came of a setting."""

    setting: Setting
    monitor: Monitor
    losses: list[float]
    accuracy: float
    diagnoses: list[Diagnosis]

    @property
    def names(self) -> list[str]:
        """The failures that the monitor names, each once."""
        return list(dict.fromkeys(diagnosis.name for diagnosis in self.diagnoses))


MODES = (
    FailureMode(
        "vanishing-gradients",
        "Gradients vanish",
        "A sigmoid's derivative is at most 1/4. On the way back through twelve layers the gradient is "
        "multiplied by it eleven times, and the weights do not make up for it: the first layers see next to "
        "nothing and stay as they were drawn. A ReLU passes the gradient whole where it is active.",
        "vanishing gradients",
        Setting("12 layers of sigmoids", deep("sigmoid", init="glorot"), "sigmoid", 0.05),
        (Setting("12 layers of ReLUs", deep("relu"), "relu", 0.05),),
    ),
    FailureMode(
        "exploding-gradients",
        "Gradients explode",
        "The ReLU network with initial weights half as large again: each layer multiplies what flows through "
        "it by 1.5, forwards and backwards, a hundredfold in all. The first steps throw the weights about, "
        "and soon nothing is a number any more. Batch normalisation takes the scale out of each layer; "
        "clipping limits the length of a step.",
        "exploding gradients",
        Setting("initial weights 1.5 times too large", deep("relu", gain=1.5), "relu", 0.1),
        (
            Setting("the same with batch_norm", deep("relu", gain=1.5, batch_norm=True), "relu", 0.1),
            Setting("the same with clip_by_global_norm", deep("relu", gain=1.5), "relu", 0.1, clip_norm=4.0),
        ),
    ),
    FailureMode(
        "dying-relus",
        "ReLUs die",
        "A large step can push a unit so far down that it is 0 for every digit. Its derivative is 0 there, "
        "too, so no gradient will bring it back: it is dead. A smaller learning rate does not push so far; "
        "leaky_relu keeps a slope on which units come back.",
        "dead units",
        Setting("ReLUs at learning rate 1.8", shallow("relu"), "relu", 1.8),
        (
            Setting("ReLUs at learning rate 0.2", shallow("relu"), "relu", 0.2),
            Setting(
                "leaky_relu at learning rate 1.8",
                shallow("leaky_relu", negative_slope=0.04),
                "leaky_relu",
                1.8,
            ),
        ),
    ),
)


def digits(rng: np.random.Generator) -> tuple[NDArray[np.float32], ...]:
    """Pixels from 0 to 1 and labels, for training and for testing, split at random."""
    from sklearn.datasets import load_digits

    data = load_digits()
    x = (data.data / 16).astype(np.float32)
    order = rng.permutation(len(x))
    training, test = order[:TRAINING_SAMPLES], order[TRAINING_SAMPLES:]
    return x[training], data.target[training], x[test], data.target[test]


def run(setting: Setting, seed: int, steps: int = STEPS) -> Outcome:
    """Train a network and watch it."""
    rng = np.random.default_rng(seed)
    x, y, x_test, y_test = digits(rng)
    network = setting.network(rng)
    monitor = Monitor(setting.function)
    losses = train(
        network,
        al.losses.SparseCategoricalCrossentropy(from_logits=True),
        SGD(),
        constant(setting.learning_rate),
        x,
        y,
        rng,
        steps=steps,
        clip_norm=setting.clip_norm,
        monitor=monitor,
    )
    with np.errstate(over="ignore", invalid="ignore"):
        score = accuracy(network, x_test, y_test)
    return Outcome(setting, monitor, losses, score, monitor.diagnose())
