"""Losses of numbers: functions of the error ``y_pred - y_true``."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "MeanAbsoluteError",
    "MeanAbsolutePercentageError",
    "MeanSquaredError",
    "MeanSquaredLogarithmicError",
    "mean_absolute_error",
    "mean_absolute_percentage_error",
    "mean_squared_error",
    "mean_squared_logarithmic_error",
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


class MeanAbsoluteError(Loss):
    """Absolute error, ``|y_pred - y_true|``, one value for each element.

    The gradient with respect to ``y_pred`` is the sign of the error, 0 where there is none. The Hessian is
    given as 1, as in scikit-learn: boosters divide by it.

    Args:
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true`` and predictions ``y_pred`` of equal shape, or with a scalar ``y_true``. A
    float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ, a weight is negative, or the reduction is unknown.

    Example:
        >>> loss = MeanAbsoluteError()
        >>> value, gradient = loss.value_and_grad([3.0, 5.0], [2.5, 6.0])
        >>> float(value)
        0.75
        >>> gradient
        array([-0.5,  0.5])

    See also:
        `Quantile`, of which this is twice the median's; `Huber`, which is smooth.
    """

    __slots__ = ()

    def __new__(cls, *, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "mean_absolute_error", reduction)


def mean_absolute_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Absolute error, ``|y_pred - y_true|``: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets: the shape of ``y_pred``, or a scalar.
        y_pred: Predictions.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(mean_absolute_error([3.0, 5.0], [2.5, 6.0]))
        0.75

    See also:
        `actloss_rs.losses.MeanAbsoluteError`.
    """
    return evaluate_loss("mean_absolute_error", y_true, y_pred, sample_weight, reduction)


class MeanAbsolutePercentageError(Loss):
    """Absolute error in percent of the target, one value for each element.

    ``100 |y_pred - y_true| / max(|y_true|, epsilon)``. A prediction that is right has the value 0, for a
    target 0 too; one that is wrong there has an infinite one, unless ``epsilon`` is positive. The gradient
    is ``+-100 / max(|y_true|, epsilon)``, 0 where there is no error; the Hessian is 0.

    Args:
        epsilon: What the divisor is at least (Keras: 1e-7).
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true`` and predictions ``y_pred`` of equal shape, or with a scalar ``y_true``. A
    float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ, a weight is negative, or an option is out of range.

    Example:
        >>> loss = MeanAbsolutePercentageError(reduction="none")
        >>> loss([4.0, -2.0], [5.0, -3.0])
        array([25., 50.])

    See also:
        `MeanSquaredLogarithmicError`, which is symmetric in ratios. scikit-learn's function of this name
        gives a fraction, not percent.
    """

    __slots__ = ()

    def __new__(cls, *, epsilon: float = 0.0, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "mean_absolute_percentage_error", reduction, epsilon)


def mean_absolute_percentage_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    epsilon: float = 0.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Absolute error in percent of the target: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets: the shape of ``y_pred``, or a scalar.
        y_pred: Predictions.
        epsilon: What the divisor is at least (Keras: 1e-7).
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(mean_absolute_percentage_error([4.0, -2.0], [5.0, -3.0]))
        37.5

    See also:
        `actloss_rs.losses.MeanAbsolutePercentageError`.
    """
    return evaluate_loss("mean_absolute_percentage_error", y_true, y_pred, sample_weight, reduction, epsilon)


class MeanSquaredLogarithmicError(Loss):
    """Squared error of logarithms, ``(log(1 + y_pred) - log(1 + y_true))**2``, one value for each element.

    Predictions close to their targets keep all their digits: the difference is taken before the logarithm.
    The gradient is ``2 (log(1 + y_pred) - log(1 + y_true)) / (1 + y_pred)``.

    Args:
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true`` and predictions ``y_pred`` of equal shape, or with a scalar ``y_true``. A
    float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; a target or prediction is not above -1; a weight is negative; the
            reduction is unknown. The message names the first position and the value.

    Example:
        >>> loss = MeanSquaredLogarithmicError(reduction="none")
        >>> loss([0.0, 7.0], [1.0, 7.0])
        array([0.48045301, 0.        ])

    See also:
        `MeanAbsolutePercentageError`.
    """

    __slots__ = ()

    def __new__(cls, *, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "mean_squared_logarithmic_error", reduction)


def mean_squared_logarithmic_error(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Squared error of ``log(1 + y)``: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets above -1: the shape of ``y_pred``, or a scalar.
        y_pred: Predictions above -1.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(mean_squared_logarithmic_error([0.0, 7.0], [1.0, 7.0], reduction="sum"))
        0.48045301391820144

    See also:
        `actloss_rs.losses.MeanSquaredLogarithmicError`.
    """
    return evaluate_loss("mean_squared_logarithmic_error", y_true, y_pred, sample_weight, reduction)
