"""Losses of independent yes/no labels."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "BinaryCrossentropy",
    "BinaryFocalCrossentropy",
    "binary_crossentropy",
    "binary_focal_crossentropy",
]


class BinaryCrossentropy(Loss):
    """Cross-entropy of independent yes/no labels, one value for each element.

    ``-pos_weight y' log(p) - (1 - y') log(1 - p)``, where ``y'`` is ``(1 - label_smoothing) y +
    label_smoothing / 2`` and ``p`` is ``y_pred``, or ``sigmoid(y_pred)`` with ``from_logits=True``. From
    logits nothing cancels or overflows: confident predictions keep all their digits.

    Args:
        from_logits: Whether ``y_pred`` holds logits. Default: probabilities, as in Keras.
        label_smoothing: From 0 to 1: how far labels are drawn to 1/2.
        pos_weight: Weight of the ``y = 1`` term: a number, or one for each label along the last axis. It
            is in no denominator.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7),
            where the gradient is 0. Otherwise a certain prediction that is wrong costs infinity.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with labels ``y_true`` in [0, 1] and predictions ``y_pred`` of equal shape, or with a scalar
    ``y_true``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; a label or probability is outside [0, 1]; a weight is negative; an
            option is out of range. The message names the first position and the value.

    Example:
        >>> loss = BinaryCrossentropy(from_logits=True, reduction="none")
        >>> loss([1, 0, 1], [0.0, -40.0, -40.0])
        array([6.93147181e-01, 4.24835426e-18, 4.00000000e+01])
        >>> BinaryCrossentropy(epsilon=1e-7)([1.0, 0.0], [1.0, 0.0])
        np.float64(1.0000000500000033e-07)

    See also:
        I. J. Good, Rational Decisions, Journal of the Royal Statistical Society B 14, 1952.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        pos_weight: ArrayLike | None = None,
        epsilon: float = 0.0,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(
            cls, "binary_crossentropy", reduction, from_logits, label_smoothing, pos_weight, epsilon
        )


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


class BinaryFocalCrossentropy(Loss):
    """Cross-entropy of yes/no labels in which easy elements count less, one value for each element.

    The binary cross-entropy times ``m**gamma``, where ``m = y' (1 - p) + (1 - y') p`` is the probability
    given to the wrong outcome, ``y'`` is ``(1 - label_smoothing) y + label_smoothing / 2``, and ``p`` is
    ``y_pred``, or ``sigmoid(y_pred)`` with ``from_logits=True``. With ``apply_class_balancing=True`` it is
    multiplied by ``alpha y' + (1 - alpha) (1 - y')`` as well. With ``gamma=0`` and no balancing it is
    `BinaryCrossentropy`.

    The Hessian is that of this product, and may be negative.

    Args:
        gamma: How much less easy elements count; not negative.
        alpha: Weight of the ``y = 1`` term, from 0 to 1; ``1 - alpha`` is that of the other.
        apply_class_balancing: Whether ``alpha`` is used.
        from_logits: Whether ``y_pred`` holds logits.
        label_smoothing: From 0 to 1: how far labels are drawn to 1/2.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7), where
            the gradient is 0.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with labels ``y_true`` in [0, 1] and predictions ``y_pred`` of equal shape, or with a scalar
    ``y_true``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; a label or probability is outside [0, 1]; a weight is negative; an
            option is out of range. The message names the first position and the value.

    Example:
        >>> loss = BinaryFocalCrossentropy(from_logits=True, reduction="none")
        >>> loss([1, 0, 1], [0.0, -40.0, -40.0])
        array([1.73286795e-01, 7.66764807e-53, 4.00000000e+01])

    See also:
        `BinaryCrossentropy`. T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        gamma: float = 2.0,
        alpha: float = 0.25,
        apply_class_balancing: bool = False,
        from_logits: bool = False,
        label_smoothing: float = 0.0,
        epsilon: float = 0.0,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(
            cls,
            "binary_focal_crossentropy",
            reduction,
            gamma,
            alpha,
            apply_class_balancing,
            from_logits,
            label_smoothing,
            epsilon,
        )


def binary_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    gamma: float = 2.0,
    alpha: float = 0.25,
    apply_class_balancing: bool = False,
    from_logits: bool = False,
    label_smoothing: float = 0.0,
    epsilon: float = 0.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Cross-entropy in which easy elements count less: an ``np.float64``, or the per-element values.

    Args:
        y_true: Labels in [0, 1]: the shape of ``y_pred``, or a scalar.
        y_pred: Probabilities, or logits with ``from_logits=True``.
        gamma: How much less easy elements count; not negative.
        alpha: Weight of the ``y = 1`` term, from 0 to 1; ``1 - alpha`` is that of the other.
        apply_class_balancing: Whether ``alpha`` is used.
        from_logits: Whether ``y_pred`` holds logits.
        label_smoothing: From 0 to 1: how far labels are drawn to 1/2.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7), where
            the gradient is 0.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(binary_focal_crossentropy([1, 0], [0.5, 0.0], reduction="sum"))
        0.17328679513998632

    See also:
        `actloss_rs.losses.BinaryFocalCrossentropy`.
    """
    return evaluate_loss(
        "binary_focal_crossentropy",
        y_true,
        y_pred,
        sample_weight,
        reduction,
        gamma,
        alpha,
        apply_class_balancing,
        from_logits,
        label_smoothing,
        epsilon,
    )
