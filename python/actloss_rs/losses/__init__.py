"""Losses, a family a file: for each a class, which holds the options, and a function.

Every class is callable, ``loss(y_true, y_pred, sample_weight=None)``, and has the methods of `Loss`:
``value_and_grad``, ``gradient_hessian`` and ``metric``. The function gives the same value as the class; it is
in `actloss_rs` as well.

Common to all: ``y_true`` and ``y_pred`` are anything ``np.asarray`` converts (masked and Dask arrays are
refused), in float16, bfloat16, float32, float64, integers or bool, of any layout, and are never copied.
The loss is computed in float32 for narrower types, in float64 for float64 and integers; ``sample_weight`` is
used as float64 and has the shape of the per-sample values or of their leading axes. ``reduction`` is one of

- ``"mean"``: the weighted sum over the sum of the weights,
- ``"sum"``: the weighted sum,
- ``"sum_over_batch_size"``: the weighted sum over the number of samples,
- ``"none"``: no reduction, the per-sample values with weights applied, in float64 or float32.

Sums are exact and rounded once, so a reduced value is an ``np.float64`` that depends on nothing but the
inputs: not on order, threads or machine. The mean of no samples is NaN, with a ``RuntimeWarning``.
"""

from actloss_rs._core import Loss, LossMetric
from actloss_rs.losses.binary import *  # noqa: F403
from actloss_rs.losses.categorical import *  # noqa: F403
from actloss_rs.losses.class_margin import *  # noqa: F403
from actloss_rs.losses.divergence import *  # noqa: F403
from actloss_rs.losses.likelihood import *  # noqa: F403
from actloss_rs.losses.margin import *  # noqa: F403
from actloss_rs.losses.overlap import *  # noqa: F403
from actloss_rs.losses.regression import *  # noqa: F403
from actloss_rs.losses.robust import *  # noqa: F403
from actloss_rs.losses.similarity import *  # noqa: F403

from . import (
    binary,
    categorical,
    class_margin,
    divergence,
    likelihood,
    margin,
    overlap,
    regression,
    robust,
    similarity,
)

__all__ = ["Loss", "LossMetric"]
__all__ += binary.__all__
__all__ += categorical.__all__
__all__ += class_margin.__all__
__all__ += divergence.__all__
__all__ += likelihood.__all__
__all__ += margin.__all__
__all__ += overlap.__all__
__all__ += regression.__all__
__all__ += robust.__all__
__all__ += similarity.__all__
