"""Losses of scores against labels -1 and 1."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "Hinge",
    "SoftMargin",
    "SquaredHinge",
    "hinge",
    "soft_margin",
    "squared_hinge",
]


class Hinge(Loss):
    """What a score lacks to a margin of 1, ``max(0, 1 - y_true y_pred)``, one value for each element.

    The gradient is ``-y_true`` where the margin is less than 1, elsewhere 0; the Hessian is 0.

    Args:
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with labels ``y_true``, -1 or 1 (0 is a no as well, so that labels 0 and 1 need no conversion),
    and scores ``y_pred`` of equal shape, or with a scalar ``y_true``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; a label is not -1, 0 or 1; a weight is negative; the reduction is
            unknown. The message names the first position and the value.

    Example:
        >>> loss = Hinge(reduction="none")
        >>> loss([1, -1, 1], [0.25, 0.25, 1.5])
        array([0.75, 1.25, 0.  ])

    See also:
        `SquaredHinge`. C. Cortes and V. Vapnik, Support-Vector Networks, Machine Learning 20, 1995.
    """

    __slots__ = ()

    def __new__(cls, *, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "hinge", reduction)


def hinge(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """What a score lacks to a margin of 1: an ``np.float64``, or the per-element values.

    Args:
        y_true: Labels -1 and 1, or 0 and 1: the shape of ``y_pred``, or a scalar.
        y_pred: Scores, positive for a yes.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(hinge([1, -1], [0.25, 0.25]))
        1.0

    See also:
        `actloss_rs.losses.Hinge`.
    """
    return evaluate_loss("hinge", y_true, y_pred, sample_weight, reduction)


class SquaredHinge(Loss):
    """Square of what a score lacks to a margin of 1, ``max(0, 1 - y_true y_pred)**2``, for each element.

    The gradient is ``-2 y_true max(0, 1 - y_true y_pred)``; the Hessian is 2 where the margin is less than
    1, elsewhere 0.

    Args:
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with labels ``y_true``, -1 or 1 (0 is a no as well, so that labels 0 and 1 need no conversion),
    and scores ``y_pred`` of equal shape, or with a scalar ``y_true``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; a label is not -1, 0 or 1; a weight is negative; the reduction is
            unknown. The message names the first position and the value.

    Example:
        >>> loss = SquaredHinge(reduction="none")
        >>> loss([1, -1, 1], [0.25, 0.25, 1.5])
        array([0.5625, 1.5625, 0.    ])

    See also:
        `Hinge`.
    """

    __slots__ = ()

    def __new__(cls, *, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "squared_hinge", reduction)


def squared_hinge(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """The square of what a score lacks to a margin of 1: an ``np.float64``, or the per-element values.

    Args:
        y_true: Labels -1 and 1, or 0 and 1: the shape of ``y_pred``, or a scalar.
        y_pred: Scores, positive for a yes.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(squared_hinge([1, -1], [0.25, 0.25], reduction="sum"))
        2.125

    See also:
        `actloss_rs.losses.SquaredHinge`.
    """
    return evaluate_loss("squared_hinge", y_true, y_pred, sample_weight, reduction)


class SoftMargin(Loss):
    """A smooth margin, ``log(1 + exp(-y_true y_pred))``, one value for each element.

    This is the binary cross-entropy of logits with the labels -1 and 1, with the same bits: nothing
    overflows, and confident scores keep all their digits. The gradient is ``-y_true sigmoid(-y_true
    y_pred)``.

    Args:
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with labels ``y_true``, -1 or 1 (0 is a no as well, so that labels 0 and 1 need no conversion),
    and scores ``y_pred`` of equal shape, or with a scalar ``y_true``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; a label is not -1, 0 or 1; a weight is negative; the reduction is
            unknown. The message names the first position and the value.

    Example:
        >>> loss = SoftMargin(reduction="none")
        >>> loss([1, 1, -1], [0.0, 40.0, 40.0])
        array([6.93147181e-01, 4.24835426e-18, 4.00000000e+01])

    See also:
        `BinaryCrossentropy`.
    """

    __slots__ = ()

    def __new__(cls, *, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "soft_margin", reduction)


def soft_margin(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """A smooth margin, ``log(1 + exp(-y_true y_pred))``: an ``np.float64``, or the per-element values.

    Args:
        y_true: Labels -1 and 1, or 0 and 1: the shape of ``y_pred``, or a scalar.
        y_pred: Scores, positive for a yes.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(soft_margin([1, -1], [0.0, 0.0]))
        0.6931471805599453

    See also:
        `actloss_rs.losses.SoftMargin`.
    """
    return evaluate_loss("soft_margin", y_true, y_pred, sample_weight, reduction)
