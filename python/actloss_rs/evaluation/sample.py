"""The data that come with the package: real logits and labels, small enough to look at."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any

import numpy as np

import actloss_rs as al
from actloss_rs.evaluation.formats import open_source
from actloss_rs.evaluation.sources import InMemory, Source
from actloss_rs.evaluation.task import Task

SAMPLES: Mapping[str, str] = {"digits": "sparse_categorical_crossentropy"}
"""Name, and the loss to evaluate it with; examples/train_digits.py writes the digits."""


def open_sample(name: str, loss: Any) -> tuple[Source, Source]:
    """y_true and y_pred of a sample: one-hot and probabilities where the loss asks for them."""
    path = str(files("actloss_rs") / "data" / f"{name}.npz")
    y_true, y_pred = open_source(path, "y_true"), open_source(path, "y_pred")
    task = Task.of(loss)
    if not task.over_classes or not task.probabilistic:
        raise ValueError(f"the sample {name!r} is of class probabilities, which {task.name} is not for")
    if task.kind == "class distributions":
        one_hot = np.eye(y_pred.shape[1], dtype=np.float32)[y_true.read(0, y_true.shape[0])]
        y_true = InMemory(y_true.name, one_hot)
    if not task.from_logits:
        y_pred = InMemory(y_pred.name, al.softmax(y_pred.read(0, y_pred.shape[0])))
    return y_true, y_pred
