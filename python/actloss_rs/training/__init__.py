"""A small training kit in NumPy, for learning and for tests: what a framework does, in the open.

Dense layers, activations and batch normalisation with their gradients, SGD, momentum and Adam, and
learning-rate schedules. Nothing here is hidden or tuned: read it, change it, and when you need more than
it has, move to a framework.
"""

from actloss_rs.training.layers import Activation, BatchNorm, Dense, Layer, Network, classifier
from actloss_rs.training.loop import accuracy, batches, train
from actloss_rs.training.optimizers import SGD, Adam, Momentum, Optimizer
from actloss_rs.training.schedules import Schedule, constant, cosine, step_decay, warm_up

__all__ = [
    "SGD",
    "Activation",
    "Adam",
    "BatchNorm",
    "Dense",
    "Layer",
    "Momentum",
    "Network",
    "Optimizer",
    "Schedule",
    "accuracy",
    "batches",
    "classifier",
    "constant",
    "cosine",
    "step_decay",
    "train",
    "warm_up",
]
