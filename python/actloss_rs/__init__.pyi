# Written by scripts/write_stubs.py from the definitions: do not edit.
from actloss_rs._core import __version__ as __version__
from actloss_rs._core import get_num_threads as get_num_threads
from actloss_rs._core import set_num_threads as set_num_threads
from actloss_rs.activations import celu as celu
from actloss_rs.activations import elu as elu
from actloss_rs.activations import erf as erf
from actloss_rs.activations import exp as exp
from actloss_rs.activations import expm1 as expm1
from actloss_rs.activations import geglu as geglu
from actloss_rs.activations import gelu as gelu
from actloss_rs.activations import glu as glu
from actloss_rs.activations import hard_shrink as hard_shrink
from actloss_rs.activations import hard_sigmoid as hard_sigmoid
from actloss_rs.activations import hard_silu as hard_silu
from actloss_rs.activations import hard_swish as hard_swish
from actloss_rs.activations import hard_tanh as hard_tanh
from actloss_rs.activations import leaky_relu as leaky_relu
from actloss_rs.activations import log1p as log1p
from actloss_rs.activations import log_sigmoid as log_sigmoid
from actloss_rs.activations import log_softmax as log_softmax
from actloss_rs.activations import logsumexp as logsumexp
from actloss_rs.activations import mish as mish
from actloss_rs.activations import prelu as prelu
from actloss_rs.activations import relu as relu
from actloss_rs.activations import relu6 as relu6
from actloss_rs.activations import selu as selu
from actloss_rs.activations import sigmoid as sigmoid
from actloss_rs.activations import silu as silu
from actloss_rs.activations import soft_shrink as soft_shrink
from actloss_rs.activations import softmax as softmax
from actloss_rs.activations import softmin as softmin
from actloss_rs.activations import softplus as softplus
from actloss_rs.activations import softsign as softsign
from actloss_rs.activations import sparse_plus as sparse_plus
from actloss_rs.activations import sparse_sigmoid as sparse_sigmoid
from actloss_rs.activations import sparsemax as sparsemax
from actloss_rs.activations import squareplus as squareplus
from actloss_rs.activations import swiglu as swiglu
from actloss_rs.activations import swish as swish
from actloss_rs.activations import tanh as tanh
from actloss_rs.activations import tanh_shrink as tanh_shrink
from actloss_rs.activations import threshold as threshold
from actloss_rs.activations import thresholded_relu as thresholded_relu
from actloss_rs.decision import predict_binary as predict_binary
from actloss_rs.evaluation import evaluate as evaluate
from actloss_rs.losses import binary_crossentropy as binary_crossentropy
from actloss_rs.losses import binary_focal_crossentropy as binary_focal_crossentropy
from actloss_rs.losses import categorical_crossentropy as categorical_crossentropy
from actloss_rs.losses import categorical_focal_crossentropy as categorical_focal_crossentropy
from actloss_rs.losses import categorical_hinge as categorical_hinge
from actloss_rs.losses import cosine_similarity as cosine_similarity
from actloss_rs.losses import dice as dice
from actloss_rs.losses import gaussian_nll as gaussian_nll
from actloss_rs.losses import hinge as hinge
from actloss_rs.losses import huber as huber
from actloss_rs.losses import kl_divergence as kl_divergence
from actloss_rs.losses import log_cosh as log_cosh
from actloss_rs.losses import mean_absolute_error as mean_absolute_error
from actloss_rs.losses import mean_absolute_percentage_error as mean_absolute_percentage_error
from actloss_rs.losses import mean_squared_error as mean_squared_error
from actloss_rs.losses import mean_squared_logarithmic_error as mean_squared_logarithmic_error
from actloss_rs.losses import multi_margin as multi_margin
from actloss_rs.losses import poisson as poisson
from actloss_rs.losses import quantile as quantile
from actloss_rs.losses import smooth_l1 as smooth_l1
from actloss_rs.losses import soft_margin as soft_margin
from actloss_rs.losses import sparse_categorical_crossentropy as sparse_categorical_crossentropy
from actloss_rs.losses import squared_hinge as squared_hinge
from actloss_rs.losses import tversky as tversky
from actloss_rs.normalization import batch_norm as batch_norm
from actloss_rs.normalization import clip_by_global_norm as clip_by_global_norm
from actloss_rs.normalization import global_norm as global_norm
from actloss_rs.normalization import layer_norm as layer_norm
from actloss_rs.normalization import rms_norm as rms_norm
from actloss_rs.scoring import token_log_probs as token_log_probs
from actloss_rs.threads import num_threads as num_threads
from actloss_rs.threads import simd_level as simd_level

from . import activations as activations
from . import backward as backward
from . import diagnostics as diagnostics
from . import losses as losses

__all__ = [
    "__version__",
    "activations",
    "backward",
    "batch_norm",
    "binary_crossentropy",
    "binary_focal_crossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "categorical_hinge",
    "celu",
    "clip_by_global_norm",
    "cosine_similarity",
    "diagnostics",
    "dice",
    "elu",
    "erf",
    "evaluate",
    "exp",
    "expm1",
    "gaussian_nll",
    "geglu",
    "gelu",
    "get_num_threads",
    "global_norm",
    "glu",
    "hard_shrink",
    "hard_sigmoid",
    "hard_silu",
    "hard_swish",
    "hard_tanh",
    "hinge",
    "huber",
    "kl_divergence",
    "layer_norm",
    "leaky_relu",
    "log1p",
    "log_cosh",
    "log_sigmoid",
    "log_softmax",
    "logsumexp",
    "losses",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
    "mish",
    "multi_margin",
    "num_threads",
    "poisson",
    "predict_binary",
    "prelu",
    "quantile",
    "relu",
    "relu6",
    "rms_norm",
    "selu",
    "set_num_threads",
    "sigmoid",
    "silu",
    "simd_level",
    "smooth_l1",
    "soft_margin",
    "soft_shrink",
    "softmax",
    "softmin",
    "softplus",
    "softsign",
    "sparse_categorical_crossentropy",
    "sparse_plus",
    "sparse_sigmoid",
    "sparsemax",
    "squared_hinge",
    "squareplus",
    "swiglu",
    "swish",
    "tanh",
    "tanh_shrink",
    "threshold",
    "thresholded_relu",
    "token_log_probs",
    "tversky",
]
