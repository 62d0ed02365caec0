# Written by scripts/write_stubs.py from the definitions: do not edit.
from actloss_rs._core import Loss as Loss
from actloss_rs._core import LossMetric as LossMetric
from actloss_rs.losses.binary import BinaryCrossentropy as BinaryCrossentropy
from actloss_rs.losses.binary import binary_crossentropy as binary_crossentropy
from actloss_rs.losses.categorical import CategoricalCrossentropy as CategoricalCrossentropy
from actloss_rs.losses.categorical import CategoricalFocalCrossentropy as CategoricalFocalCrossentropy
from actloss_rs.losses.categorical import SparseCategoricalCrossentropy as SparseCategoricalCrossentropy
from actloss_rs.losses.categorical import categorical_crossentropy as categorical_crossentropy
from actloss_rs.losses.categorical import categorical_focal_crossentropy as categorical_focal_crossentropy
from actloss_rs.losses.categorical import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from actloss_rs.losses.class_margin import CategoricalHinge as CategoricalHinge
from actloss_rs.losses.class_margin import MultiMargin as MultiMargin
from actloss_rs.losses.class_margin import categorical_hinge as categorical_hinge
from actloss_rs.losses.class_margin import multi_margin as multi_margin
from actloss_rs.losses.divergence import KLDivergence as KLDivergence
from actloss_rs.losses.divergence import kl_divergence as kl_divergence
from actloss_rs.losses.overlap import Dice as Dice
from actloss_rs.losses.overlap import Tversky as Tversky
from actloss_rs.losses.overlap import dice as dice
from actloss_rs.losses.overlap import tversky as tversky
from actloss_rs.losses.regression import MeanSquaredError as MeanSquaredError
from actloss_rs.losses.regression import mean_squared_error as mean_squared_error
from actloss_rs.losses.similarity import CosineSimilarity as CosineSimilarity
from actloss_rs.losses.similarity import cosine_similarity as cosine_similarity

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Dice",
    "KLDivergence",
    "Loss",
    "LossMetric",
    "MeanSquaredError",
    "MultiMargin",
    "SparseCategoricalCrossentropy",
    "Tversky",
    "binary_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "dice",
    "kl_divergence",
    "mean_squared_error",
    "multi_margin",
    "sparse_categorical_crossentropy",
    "tversky",
]
