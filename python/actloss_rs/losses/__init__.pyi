# Written by scripts/write_stubs.py from the definitions: do not edit.
from actloss_rs._core import Loss as Loss
from actloss_rs._core import LossMetric as LossMetric
from actloss_rs.losses.binary import BinaryCrossentropy as BinaryCrossentropy
from actloss_rs.losses.binary import BinaryFocalCrossentropy as BinaryFocalCrossentropy
from actloss_rs.losses.binary import binary_crossentropy as binary_crossentropy
from actloss_rs.losses.binary import binary_focal_crossentropy as binary_focal_crossentropy
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
from actloss_rs.losses.likelihood import GaussianNLL as GaussianNLL
from actloss_rs.losses.likelihood import Poisson as Poisson
from actloss_rs.losses.likelihood import gaussian_nll as gaussian_nll
from actloss_rs.losses.likelihood import poisson as poisson
from actloss_rs.losses.margin import Hinge as Hinge
from actloss_rs.losses.margin import SoftMargin as SoftMargin
from actloss_rs.losses.margin import SquaredHinge as SquaredHinge
from actloss_rs.losses.margin import hinge as hinge
from actloss_rs.losses.margin import soft_margin as soft_margin
from actloss_rs.losses.margin import squared_hinge as squared_hinge
from actloss_rs.losses.overlap import Dice as Dice
from actloss_rs.losses.overlap import Tversky as Tversky
from actloss_rs.losses.overlap import dice as dice
from actloss_rs.losses.overlap import tversky as tversky
from actloss_rs.losses.regression import MeanAbsoluteError as MeanAbsoluteError
from actloss_rs.losses.regression import MeanAbsolutePercentageError as MeanAbsolutePercentageError
from actloss_rs.losses.regression import MeanSquaredError as MeanSquaredError
from actloss_rs.losses.regression import MeanSquaredLogarithmicError as MeanSquaredLogarithmicError
from actloss_rs.losses.regression import mean_absolute_error as mean_absolute_error
from actloss_rs.losses.regression import mean_absolute_percentage_error as mean_absolute_percentage_error
from actloss_rs.losses.regression import mean_squared_error as mean_squared_error
from actloss_rs.losses.regression import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from actloss_rs.losses.robust import Huber as Huber
from actloss_rs.losses.robust import LogCosh as LogCosh
from actloss_rs.losses.robust import Quantile as Quantile
from actloss_rs.losses.robust import SmoothL1 as SmoothL1
from actloss_rs.losses.robust import huber as huber
from actloss_rs.losses.robust import log_cosh as log_cosh
from actloss_rs.losses.robust import quantile as quantile
from actloss_rs.losses.robust import smooth_l1 as smooth_l1
from actloss_rs.losses.similarity import CosineSimilarity as CosineSimilarity
from actloss_rs.losses.similarity import cosine_similarity as cosine_similarity

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "CategoricalHinge",
    "CosineSimilarity",
    "Dice",
    "GaussianNLL",
    "Hinge",
    "Huber",
    "KLDivergence",
    "LogCosh",
    "Loss",
    "LossMetric",
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "MultiMargin",
    "Poisson",
    "Quantile",
    "SmoothL1",
    "SoftMargin",
    "SparseCategoricalCrossentropy",
    "SquaredHinge",
    "Tversky",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "cosine_similarity",
    "dice",
    "gaussian_nll",
    "hinge",
    "huber",
    "kl_divergence",
    "log_cosh",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "multi_margin",
    "poisson",
    "quantile",
    "smooth_l1",
    "soft_margin",
    "sparse_categorical_crossentropy",
    "squared_hinge",
    "tversky",
]
