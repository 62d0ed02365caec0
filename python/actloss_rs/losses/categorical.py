"""Losses of one class among many, along an axis."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "CategoricalCrossentropy",
    "CategoricalFocalCrossentropy",
    "SparseCategoricalCrossentropy",
    "categorical_crossentropy",
    "categorical_focal_crossentropy",
    "sparse_categorical_crossentropy",
]


class CategoricalCrossentropy(Loss):
    """Cross-entropy of a distribution over classes, one value for each row along ``axis``.

    ``-sum_c y'_c log(p_c) + z_loss logsumexp(z)**2``, where ``y'`` is ``(1 - label_smoothing) y +
    label_smoothing / C`` and ``p`` is ``y_pred``, or ``softmax(z)`` with ``from_logits=True``, ``z = y_pred /
    temperature``. Each value is multiplied by its weight, ``sample_weight * sum_c y_c class_weight_c``.
    Confident predictions keep all their digits.

    Args:
        from_logits: Whether ``y_pred`` holds logits. Default: probabilities, as in Keras; they are used as
            given, never renormalised.
        axis: The axis of ``y_pred`` with the classes.
        class_weight: A weight for each class.
        label_smoothing: From 0 to 1: how far labels are drawn to the uniform distribution.
        z_loss: How much of the squared logsumexp is added; needs logits.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7),
            where the gradient is 0. Otherwise a certain prediction that is wrong costs infinity.
        temperature: What logits are divided by; needs logits. The gradient and the Hessian are with respect
            to ``y_pred`` as passed.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with one-hot labels or distributions ``y_true`` and predictions ``y_pred`` of equal shape; the
    per-sample values have that shape without ``axis``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; there are no classes; a label or probability is outside [0, 1]; a
            weight is negative; an option is out of range. The message names the first position and the
            value.

    Example:
        >>> loss = CategoricalCrossentropy(from_logits=True)
        >>> value, gradient = loss.value_and_grad([[1, 0], [0, 1]], [[0.0, 0.0], [0.0, 0.0]])
        >>> float(value)
        0.6931471805599453
        >>> gradient
        array([[-0.25,  0.25],
               [ 0.25, -0.25]])

    See also:
        `SparseCategoricalCrossentropy` for class ids. I. J. Good, Rational Decisions, Journal of the Royal
        Statistical Society B 14, 1952; label smoothing: C. Szegedy et al., Rethinking the Inception
        Architecture, 2016; z-loss: A. Chowdhery et al., PaLM, 2022.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        from_logits: bool = False,
        axis: int = -1,
        class_weight: ArrayLike | None = None,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        epsilon: float = 0.0,
        temperature: float = 1.0,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(
            cls,
            "categorical_crossentropy",
            reduction,
            from_logits,
            axis,
            class_weight,
            label_smoothing,
            z_loss,
            epsilon,
            temperature,
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
    temperature: float = 1.0,
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
        temperature: What logits are divided by; needs logits.

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
        temperature,
    )


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy of class ids, one value for each row along ``axis``; no one-hot array is ever made.

    ``-log(p_y)``, where ``p`` is ``y_pred``, or ``softmax(z)`` with ``from_logits=True``, ``z = y_pred /
    temperature``. With options it is ``CategoricalCrossentropy`` of the one-hot labels: ``label_smoothing``
    gives every class its share, ``z_loss logsumexp(z)**2`` is added, and each value is multiplied by its
    weight, ``sample_weight * class_weight[y]``. Confident predictions keep all their digits.

    Args:
        from_logits: Whether ``y_pred`` holds logits. Default: probabilities, as in Keras; they are used as
            given, never renormalised.
        axis: The axis of ``y_pred`` with the classes.
        class_weight: A weight for each class.
        ignore_class: Samples with this id, which need not be a class, have value 0 and gradient 0 and count
            nowhere; their ``y_pred`` is not read.
        label_smoothing: From 0 to 1: how far labels are drawn to the uniform distribution.
        z_loss: How much of the squared logsumexp is added; needs logits.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7),
            where the gradient is 0. Otherwise a certain prediction that is wrong costs infinity.
        temperature: What logits are divided by; needs logits. The gradient and the Hessian are with respect
            to ``y_pred`` as passed.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with integer class ids ``y_true`` and predictions ``y_pred``; ``y_true`` and the per-sample values
    have the shape of ``y_pred`` without ``axis`` (``y_true`` may keep it, with length 1).

    Raises:
        TypeError: class ids are not integers; an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes do not fit; there are no classes; a class id is outside [0, C); a probability
            is outside [0, 1]; a weight is negative; an option is out of range. The message names the first
            position and the value.

    Example:
        >>> loss = SparseCategoricalCrossentropy(from_logits=True, reduction="none")
        >>> loss([0, 1], [[60.0, 0.0], [60.0, 0.0]])
        array([8.75651076e-27, 6.00000000e+01])
        >>> metric = SparseCategoricalCrossentropy(from_logits=True).metric()
        >>> metric.update_state([0], [[0.0, 0.0]])
        >>> float(metric.result())
        0.6931471805599453

    See also:
        `CategoricalCrossentropy` for distributions. I. J. Good, Rational Decisions, Journal of the Royal
        Statistical Society B 14, 1952; label smoothing: C. Szegedy et al., Rethinking the Inception
        Architecture, 2016; z-loss: A. Chowdhery et al., PaLM, 2022.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        from_logits: bool = False,
        axis: int = -1,
        class_weight: ArrayLike | None = None,
        ignore_class: int | None = None,
        label_smoothing: float = 0.0,
        z_loss: float = 0.0,
        epsilon: float = 0.0,
        temperature: float = 1.0,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(
            cls,
            "sparse_categorical_crossentropy",
            reduction,
            from_logits,
            axis,
            class_weight,
            ignore_class,
            label_smoothing,
            z_loss,
            epsilon,
            temperature,
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
    temperature: float = 1.0,
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
        temperature: What logits are divided by; needs logits.

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
        temperature,
    )


class CategoricalFocalCrossentropy(Loss):
    """Cross-entropy in which a class counts the less, the better it is predicted; one value for each row.

    ``-sum_c alpha_c y'_c (1 - p_c)**gamma log(p_c)``, where ``y'`` is ``(1 - label_smoothing) y +
    label_smoothing / C`` and ``p`` is ``y_pred``, or ``softmax(y_pred)`` with ``from_logits=True``. With
    ``gamma=0`` it is ``alpha`` times the cross-entropy.

    Args:
        alpha: Weight of the classes: a number, or one for each class.
        gamma: How much less a class counts that is predicted well; not negative.
        from_logits: Whether ``y_pred`` holds logits. Default: probabilities, as in Keras; they are used as
            given, never renormalised.
        axis: The axis of ``y_pred`` with the classes.
        label_smoothing: From 0 to 1: how far labels are drawn to the uniform distribution.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7), where
            the gradient is 0.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with one-hot labels or distributions ``y_true`` and predictions ``y_pred`` of equal shape; the
    per-sample values have that shape without ``axis``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; there are no classes; a label or probability is outside [0, 1]; a
            weight is negative; an option is out of range. The message names the first position and the
            value.

    Example:
        >>> loss = CategoricalFocalCrossentropy(alpha=1.0, reduction="none")
        >>> loss([[1.0, 0.0], [1.0, 0.0]], [[0.5, 0.5], [0.96875, 0.03125]])
        array([1.73286795e-01, 3.10045882e-05])

    See also:
        T.-Y. Lin et al., Focal Loss for Dense Object Detection, 2017. Keras renormalises probabilities,
        which this does not.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        alpha: ArrayLike = 0.25,
        gamma: float = 2.0,
        from_logits: bool = False,
        axis: int = -1,
        label_smoothing: float = 0.0,
        epsilon: float = 0.0,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(
            cls,
            "categorical_focal_crossentropy",
            reduction,
            alpha,
            gamma,
            from_logits,
            axis,
            label_smoothing,
            epsilon,
        )


def categorical_focal_crossentropy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    alpha: ArrayLike = 0.25,
    gamma: float = 2.0,
    from_logits: bool = False,
    axis: int = -1,
    label_smoothing: float = 0.0,
    epsilon: float = 0.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Focal cross-entropy, ``-sum_c alpha_c y_c (1 - p_c)**gamma log(p_c)`` along ``axis``.

    Args:
        y_true: One-hot labels or distributions, of the shape of ``y_pred``.
        y_pred: Probabilities, or logits with ``from_logits=True``.
        alpha: Weight of the classes: a number, or one for each class.
        gamma: How much less a class counts that is predicted well; not negative.
        from_logits: Whether ``y_pred`` holds logits.
        axis: The axis of ``y_pred`` with the classes.
        label_smoothing: From 0 to 1: how far labels are drawn to the uniform distribution.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7), where
            the gradient is 0.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.

    Example:
        >>> float(categorical_focal_crossentropy([[1, 0]], [[0.5, 0.5]], alpha=4.0))
        0.6931471805599453

    See also:
        `actloss_rs.losses.CategoricalFocalCrossentropy`.
    """
    return evaluate_loss(
        "categorical_focal_crossentropy",
        y_true,
        y_pred,
        sample_weight,
        reduction,
        alpha,
        gamma,
        from_logits,
        axis,
        label_smoothing,
        epsilon,
    )
