"""Losses of numbers that follow outliers less than the square does, and of quantiles."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "Huber",
    "LogCosh",
    "Quantile",
    "SmoothL1",
    "huber",
    "log_cosh",
    "quantile",
    "smooth_l1",
]


class Huber(Loss):
    """Squared error near the target, linear far from it, one value for each element.

    ``d**2 / 2`` where ``d = |y_pred - y_true|`` is at most ``delta``, elsewhere ``delta (d - delta / 2)``.
    The gradient is the error, cut off at ``-delta`` and ``delta``; the Hessian is 1, beyond ``delta`` 0.

    Args:
        delta: Where the line begins; positive.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true`` and predictions ``y_pred`` of equal shape, or with a scalar ``y_true``. A
    float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ, a weight is negative, or an option is out of range.

    Example:
        >>> loss = Huber(delta=1.0, reduction="none")
        >>> loss([0.0, 0.0], [0.5, 3.0])
        array([0.125, 2.5  ])

    See also:
        `SmoothL1`, which is this over its ``beta``. P. J. Huber, Robust Estimation of a Location Parameter,
        Annals of Mathematical Statistics 35, 1964.
    """

    __slots__ = ()

    def __new__(cls, *, delta: float = 1.0, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "huber", reduction, delta)


def huber(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    delta: float = 1.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Squared error near the target, linear far from it: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets: the shape of ``y_pred``, or a scalar.
        y_pred: Predictions.
        delta: Where the line begins; positive.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(huber([0.0, 0.0], [0.5, 3.0]))
        1.3125

    See also:
        `actloss_rs.losses.Huber`.
    """
    return evaluate_loss("huber", y_true, y_pred, sample_weight, reduction, delta)


class SmoothL1(Loss):
    """Absolute error with a smooth minimum, one value for each element.

    ``d**2 / (2 beta)`` where ``d = |y_pred - y_true|`` is less than ``beta``, elsewhere ``d - beta / 2``:
    Huber's loss over ``beta``. With ``beta=0`` it is the absolute error. The gradient goes from -1 to 1;
    the Hessian is ``1 / beta``, beyond ``beta`` 0.

    Args:
        beta: Where the line begins; not negative.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true`` and predictions ``y_pred`` of equal shape, or with a scalar ``y_true``. A
    float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ, a weight is negative, or an option is out of range.

    Example:
        >>> loss = SmoothL1(beta=2.0, reduction="none")
        >>> loss([0.0, 0.0], [1.0, 3.0])
        array([0.25, 2.  ])

    See also:
        `Huber`. R. Girshick, Fast R-CNN, 2015.
    """

    __slots__ = ()

    def __new__(cls, *, beta: float = 1.0, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "smooth_l1", reduction, beta)


def smooth_l1(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    beta: float = 1.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Absolute error with a smooth minimum: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets: the shape of ``y_pred``, or a scalar.
        y_pred: Predictions.
        beta: Where the line begins; not negative.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(smooth_l1([0.0, 0.0], [0.5, 3.0]))
        1.3125

    See also:
        `actloss_rs.losses.SmoothL1`.
    """
    return evaluate_loss("smooth_l1", y_true, y_pred, sample_weight, reduction, beta)


class LogCosh(Loss):
    """``log(cosh(y_pred - y_true))``, one value for each element.

    About half the squared error near the target, the absolute error less ``log 2`` far from it, and smooth
    throughout. It neither overflows nor loses the digits of small errors. The gradient is ``tanh(y_pred -
    y_true)``, the Hessian ``1 - tanh(y_pred - y_true)**2``.

    Args:
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true`` and predictions ``y_pred`` of equal shape, or with a scalar ``y_true``. A
    float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ, a weight is negative, or the reduction is unknown.

    Example:
        >>> loss = LogCosh(reduction="none")
        >>> loss([0.0, 0.0], [1e-10, 1000.0])
        array([5.00000000e-21, 9.99306853e+02])

    See also:
        `Huber`.
    """

    __slots__ = ()

    def __new__(cls, *, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "log_cosh", reduction)


def log_cosh(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """``log(cosh(y_pred - y_true))``: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets: the shape of ``y_pred``, or a scalar.
        y_pred: Predictions.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(log_cosh([0.0], [1000.0]))
        999.3068528194401

    See also:
        `actloss_rs.losses.LogCosh`.
    """
    return evaluate_loss("log_cosh", y_true, y_pred, sample_weight, reduction)


class Quantile(Loss):
    """Error of a predicted quantile, the pinball loss, one value for each element.

    ``q (y_true - y_pred)`` where the target is above the prediction, elsewhere ``(1 - q) (y_pred -
    y_true)``: least, in the mean, for the quantile ``q`` of the targets. The gradient is ``-q`` or ``1 -
    q``, 0 where there is no error. The Hessian is given as 1, as in scikit-learn: boosters divide by it.

    Args:
        q: Which quantile, from 0 to 1.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true`` and predictions ``y_pred`` of equal shape, or with a scalar ``y_true``. A
    float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ, a weight is negative, or an option is out of range.

    Example:
        >>> loss = Quantile(q=0.75, reduction="none")
        >>> loss([1.0, 1.0], [0.0, 2.0])
        array([0.75, 0.25])

    See also:
        `MeanAbsoluteError`. R. Koenker and G. Bassett, Regression Quantiles, Econometrica 46, 1978.
    """

    __slots__ = ()

    def __new__(cls, *, q: float = 0.5, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "quantile", reduction, q)


def quantile(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    q: float = 0.5,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Error of a predicted quantile, the pinball loss: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets: the shape of ``y_pred``, or a scalar.
        y_pred: Predictions.
        q: Which quantile, from 0 to 1.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(quantile([1.0, 1.0], [0.0, 2.0], q=0.75))
        0.5

    See also:
        `actloss_rs.losses.Quantile`.
    """
    return evaluate_loss("quantile", y_true, y_pred, sample_weight, reduction, q)
