"""Margins between the score of the true class and those of the others."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "CategoricalHinge",
    "MultiMargin",
    "categorical_hinge",
    "multi_margin",
]


class CategoricalHinge(Loss):
    """By how much the true class's score does not exceed the others' by 1, one value for each row.

    ``max(0, 1 + max_c (1 - y_c) x_c - sum_c y_c x_c)`` along ``axis``, ``x`` being ``y_pred``. Scores that
    tie for the maximum share its gradient; where the loss just vanishes the gradient is 0. The Hessian is 0.

    Args:
        axis: The axis of ``y_pred`` with the classes.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with one-hot labels ``y_true`` and scores ``y_pred`` of equal shape; the per-sample values have
    that shape without ``axis``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; there are no classes; a label is outside [0, 1]; a weight is negative.
            The message names the first position and the value.

    Example:
        >>> loss = CategoricalHinge()
        >>> value, gradient = loss.value_and_grad([[0, 1, 0]], [[1.0, 1.5, 0.0]])
        >>> float(value), gradient.tolist()
        (0.5, [[1.0, -1.0, 0.0]])

    See also:
        `MultiMargin` for class ids. K. Crammer and Y. Singer, On the Algorithmic Implementation of
        Multiclass Kernel-based Vector Machines, Journal of Machine Learning Research 2, 2001.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        axis: int = -1,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(cls, "categorical_hinge", reduction, axis)


def categorical_hinge(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    axis: int = -1,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Hinge of classes, ``max(0, 1 + max_c (1 - y_c) x_c - sum_c y_c x_c)`` along ``axis``.

    Args:
        y_true: One-hot labels, of the shape of ``y_pred``.
        y_pred: Scores.
        axis: The axis of ``y_pred`` with the classes.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.

    Example:
        >>> float(categorical_hinge([[0, 1, 0]], [[1.0, 1.5, 0.0]]))
        0.5

    See also:
        `actloss_rs.losses.CategoricalHinge`.
    """
    return evaluate_loss("categorical_hinge", y_true, y_pred, sample_weight, reduction, axis)


class MultiMargin(Loss):
    """By how much each other class comes closer to the true one than a margin, one value for each row.

    ``sum_{c != y} max(0, margin + x_c - x_y)**p / C`` along ``axis``, ``x`` being ``y_pred`` and ``C`` the
    number of classes, as in PyTorch. At a kink the gradient is that of the side without loss.

    Args:
        p: The exponent, 1 or 2.
        margin: How far the true class's score is to be above the others.
        axis: The axis of ``y_pred`` with the classes.
        ignore_class: Samples with this id, which need not be a class, have value 0 and gradient 0 and count
            nowhere; their ``y_pred`` is not read.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with integer class ids ``y_true`` and scores ``y_pred``; ``y_true`` and the per-sample values have
    the shape of ``y_pred`` without ``axis`` (``y_true`` may keep it, with length 1).

    Raises:
        TypeError: class ids are not integers; an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes do not fit; there are no classes; a class id is outside [0, C); a weight is
            negative; an option is out of range. The message names the first position and the value.

    Example:
        >>> loss = MultiMargin(p=2)
        >>> value, gradient = loss.value_and_grad([1], [[1.0, 1.5, 0.0, 0.0]])
        >>> float(value), gradient.tolist()
        (0.0625, [[0.25, -0.25, 0.0, 0.0]])

    See also:
        `CategoricalHinge`. J. Weston and C. Watkins, Support Vector Machines for Multi-class Pattern
        Recognition, 1999.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        p: int = 1,
        margin: float = 1.0,
        axis: int = -1,
        ignore_class: int | None = None,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(cls, "multi_margin", reduction, p, margin, axis, ignore_class)


def multi_margin(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    p: int = 1,
    margin: float = 1.0,
    axis: int = -1,
    ignore_class: int | None = None,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Margins of classes, ``sum_{c != y} max(0, margin + x_c - x_y)**p / C`` along ``axis``.

    Args:
        y_true: Class ids: the shape of ``y_pred`` without ``axis``, or with length 1 there.
        y_pred: Scores.
        p: The exponent, 1 or 2.
        margin: How far the true class's score is to be above the others.
        axis: The axis of ``y_pred`` with the classes.
        ignore_class: Samples with this id, which need not be a class, have value 0 and gradient 0 and count
            nowhere; their ``y_pred`` is not read.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.

    Example:
        >>> float(multi_margin([1], [[1.0, 1.5, 0.0, 0.0]]))
        0.125

    See also:
        `actloss_rs.losses.MultiMargin`.
    """
    return evaluate_loss(
        "multi_margin", y_true, y_pred, sample_weight, reduction, p, margin, axis, ignore_class
    )
