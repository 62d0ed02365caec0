# Written by scripts/write_stubs.py from the definitions: do not edit.
from actloss_rs._core import Loss as Loss
from actloss_rs._core import LossMetric as LossMetric
from actloss_rs.losses.binary import BinaryCrossentropy as BinaryCrossentropy
from actloss_rs.losses.binary import binary_crossentropy as binary_crossentropy
from actloss_rs.losses.categorical import CategoricalCrossentropy as CategoricalCrossentropy
from actloss_rs.losses.categorical import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from actloss_rs.losses.categorical import categorical_crossentropy as categorical_crossentropy
from actloss_rs.losses.categorical import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from actloss_rs.losses.regression import MeanSquaredError as MeanSquaredError
from actloss_rs.losses.regression import mean_squared_error as mean_squared_error

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "Loss",
    "LossMetric",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
    "binary_crossentropy",
    "categorical_crossentropy",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]
