"""Losses of numbers: functions of the error ``y_pred - y_true``."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "MeanSquaredError",
    "mean_squared_error",
]


class MeanSquaredError(Loss):
    """Squared error, ``(y_pred - y_true)**2``, one value for each element.

    The gradient with respect to ``y_pred`` is ``2 (y_pred - y_true)``, the Hessian 2.

    Args:
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true`` and predictions ``y_pred`` of equal shape, or with a scalar ``y_true``. A
    float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ, a weight is negative, or the reduction is unknown.

    Example:
        >>> loss = MeanSquaredError()
        >>> float(loss([3.0, 5.0], [2.5, 6.0]))
        0.625
        >>> value, gradient = loss.value_and_grad([3.0, 5.0], [2.5, 6.0])
        >>> gradient
        array([-0.5,  1. ])

    See also:
        C. F. Gauss, Theoria combinationis observationum erroribus minimis obnoxiae, 1821.
    """

    __slots__ = ()

    def __new__(cls, *, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "mean_squared_error", reduction)


def mean_squared_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Squared error, ``(y_pred - y_true)**2``: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets: the shape of ``y_pred``, or a scalar.
        y_pred: Predictions.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(mean_squared_error([3.0, 5.0], [2.5, 6.0]))
        0.625

    See also:
        `actloss_rs.losses.MeanSquaredError`.
    """
    return evaluate_loss("mean_squared_error", y_true, y_pred, sample_weight, reduction)
