"""Overlap of sets: of masks, as in segmentation."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "Dice",
    "Tversky",
    "dice",
    "tversky",
]


class Dice(Loss):
    """How little two sets overlap, one value for each sample, over all axes but the first.

    ``1 - (2 sum(y p) + smooth) / (sum(y) + sum(p) + smooth)``, ``p`` being ``y_pred``: 0 for equal sets, 1
    for disjoint ones. It is computed as ``(sum(y (1 - p)) + sum((1 - y) p)) / (...)``, in which nothing
    cancels. Two empty sets have loss 0 and gradient 0 (Keras, with 1e-7 below the line alone: loss 1).

    Args:
        smooth: Added above and below the line, so that nearly empty samples weigh less.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with labels ``y_true`` and probabilities ``y_pred`` of equal shape; the first axis is that of the
    samples, one value for each.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; there is no first axis, or nothing along the others; a label or
            probability is outside [0, 1]; a weight is negative; an option is out of range. The message names
            the first position and the value.
        NotImplementedError: ``gradient_hessian``, as each second derivative depends on the whole sample.

    Example:
        >>> loss = Dice(reduction="none")
        >>> loss([[[1, 1], [0, 0]], [[0, 0], [0, 0]]], [[[1.0, 0.5], [0.5, 0.0]], [[0.0, 0.0], [0.0, 0.0]]])
        array([0.25, 0.  ])

    See also:
        `Tversky`. F. Milletari et al., V-Net: Fully Convolutional Neural Networks for Volumetric Medical
        Image Segmentation, 2016; L. R. Dice, Measures of the Amount of Ecologic Association between Species,
        1945.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        smooth: float = 0.0,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(cls, "dice", reduction, smooth)


def dice(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    smooth: float = 0.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Dice loss, ``1 - 2 sum(y p) / (sum(y) + sum(p))`` over all axes but the first.

    Args:
        y_true: Labels in [0, 1], of the shape of ``y_pred``.
        y_pred: Probabilities; the first axis is that of the samples.
        smooth: Added above and below the line, so that nearly empty samples weigh less.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.

    Example:
        >>> float(dice([[1, 1, 0, 0]], [[1.0, 0.5, 0.5, 0.0]]))
        0.25

    See also:
        `actloss_rs.losses.Dice`.
    """
    return evaluate_loss("dice", y_true, y_pred, sample_weight, reduction, smooth)


class Tversky(Loss):
    """How little two sets overlap, what is missed and what is added weighed apart; one value for each sample.

    ``1 - (i + smooth) / (i + alpha sum(y (1 - p)) + beta sum((1 - y) p) + smooth)`` over all axes but the
    first, ``p`` being ``y_pred`` and ``i = sum(y p)``, computed so that nothing cancels. ``alpha = beta =
    0.5`` is `Dice`. As in the code of Keras, ``alpha`` weighs what is missed and ``beta`` what is added; its
    documentation and Salehi et al. name them the other way round. Two empty sets have loss 0 and gradient 0.

    Args:
        alpha: Weight of what is missed, ``sum(y (1 - p))``; not negative.
        beta: Weight of what is added, ``sum((1 - y) p)``; not negative.
        smooth: Added above and below the line, so that nearly empty samples weigh less.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with labels ``y_true`` and probabilities ``y_pred`` of equal shape; the first axis is that of the
    samples, one value for each.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; there is no first axis, or nothing along the others; a label or
            probability is outside [0, 1]; a weight is negative; an option is out of range. The message names
            the first position and the value.
        NotImplementedError: ``gradient_hessian``, as each second derivative depends on the whole sample.

    Example:
        >>> loss = Tversky(alpha=0.75, beta=0.25)
        >>> float(loss([[1, 1, 0, 0]], [[1.0, 0.0, 0.0, 0.0]]))
        0.42857142857142855

    See also:
        `Dice`. S. S. M. Salehi et al., Tversky Loss Function for Image Segmentation Using 3D Fully
        Convolutional Deep Networks, 2017; A. Tversky, Features of Similarity, 1977.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        alpha: float = 0.5,
        beta: float = 0.5,
        smooth: float = 0.0,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(cls, "tversky", reduction, alpha, beta, smooth)


def tversky(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    alpha: float = 0.5,
    beta: float = 0.5,
    smooth: float = 0.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Tversky loss, ``1 - i / (i + alpha sum(y (1 - p)) + beta sum((1 - y) p))``, where ``i = sum(y p)``.

    Args:
        y_true: Labels in [0, 1], of the shape of ``y_pred``.
        y_pred: Probabilities; the first axis is that of the samples.
        alpha: Weight of what is missed, ``sum(y (1 - p))``; not negative.
        beta: Weight of what is added, ``sum((1 - y) p)``; not negative.
        smooth: Added above and below the line, so that nearly empty samples weigh less.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.

    Example:
        >>> float(tversky([[1, 1, 0, 0]], [[1.0, 0.0, 0.0, 0.0]], alpha=0.75, beta=0.25))
        0.42857142857142855

    See also:
        `actloss_rs.losses.Tversky`.
    """
    return evaluate_loss("tversky", y_true, y_pred, sample_weight, reduction, alpha, beta, smooth)
