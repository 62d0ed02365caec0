"""Losses as functions: each gives what the class of the same name in `actloss_rs.losses` gives.

The classes document shapes, dtypes, options and errors; they also give gradients and metrics.
"""

from typing import Any

from numpy.typing import ArrayLike

from actloss_rs._core import evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "binary_crossentropy",
    "categorical_crossentropy",
    "mean_squared_error",
    "sparse_categorical_crossentropy",
]


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


def binary_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    pos_weight: ArrayLike | None = None,
    epsilon: float = 0.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Cross-entropy of independent yes/no labels, ``-y log(p) - (1 - y) log(1 - p)``.

    Args:
        y_true: Labels in [0, 1]: the shape of ``y_pred``, or a scalar.
        y_pred: Probabilities, or logits with ``from_logits=True``.
        from_logits: Whether ``y_pred`` holds logits.
        label_smoothing: From 0 to 1: how far labels are drawn to 1/2.
        pos_weight: Weight of the ``y = 1`` term: a number, or one for each label along the last axis.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]``.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(binary_crossentropy([1, 0], [0.5, 0.0], reduction="sum"))
        0.6931471805599453

    See also:
        `actloss_rs.losses.BinaryCrossentropy`.
    """
    return evaluate_loss(
        "binary_crossentropy",
        y_true,
        y_pred,
        sample_weight,
        reduction,
        from_logits,
        label_smoothing,
        pos_weight,
        epsilon,
    )


def categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    from_logits: bool = False,
    axis: int = -1,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
    class_weight: ArrayLike | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    epsilon: float = 0.0,
) -> Any:
    """Cross-entropy of a distribution over classes, ``-sum_c y_c log(p_c)`` along ``axis``.

    Args:
        y_true: One-hot labels or distributions, of the shape of ``y_pred``.
        y_pred: Probabilities, or logits with ``from_logits=True``.
        from_logits: Whether ``y_pred`` holds logits.
        axis: The axis of ``y_pred`` with the classes.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.
        class_weight: A weight for each class.
        label_smoothing: From 0 to 1: how far labels are drawn to the uniform distribution.
        z_loss: How much of ``logsumexp(y_pred)**2`` is added; needs logits.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]``.

    Example:
        >>> float(categorical_crossentropy([[1, 0], [0, 1]], [[0.5, 0.5], [0.0, 1.0]], reduction="sum"))
        0.6931471805599453

    See also:
        `actloss_rs.losses.CategoricalCrossentropy`.
    """
    return evaluate_loss(
        "categorical_crossentropy",
        y_true,
        y_pred,
        sample_weight,
        reduction,
        from_logits,
        axis,
        class_weight,
        label_smoothing,
        z_loss,
        epsilon,
    )


def sparse_categorical_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    from_logits: bool = False,
    axis: int = -1,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
    class_weight: ArrayLike | None = None,
    ignore_class: int | None = None,
    label_smoothing: float = 0.0,
    z_loss: float = 0.0,
    epsilon: float = 0.0,
) -> Any:
    """Cross-entropy of integer class ids, ``-log(p_y)`` along ``axis``; no one-hot array is ever made.

    Args:
        y_true: Class ids: the shape of ``y_pred`` without ``axis``, or with length 1 there.
        y_pred: Probabilities, or logits with ``from_logits=True``.
        from_logits: Whether ``y_pred`` holds logits.
        axis: The axis of ``y_pred`` with the classes.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.
        class_weight: A weight for each class.
        ignore_class: Samples with this id are left out.
        label_smoothing: From 0 to 1: how far labels are drawn to the uniform distribution.
        z_loss: How much of ``logsumexp(y_pred)**2`` is added; needs logits.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]``.

    Example:
        >>> float(sparse_categorical_crossentropy([0, 1], [[0.5, 0.5], [0.0, 1.0]], reduction="sum"))
        0.6931471805599453

    See also:
        `actloss_rs.losses.SparseCategoricalCrossentropy`.
    """
    return evaluate_loss(
        "sparse_categorical_crossentropy",
        y_true,
        y_pred,
        sample_weight,
        reduction,
        from_logits,
        axis,
        class_weight,
        ignore_class,
        label_smoothing,
        z_loss,
        epsilon,
    )
