"""Losses as objects that hold their options.

Every class is callable, ``loss(y_true, y_pred, sample_weight=None)``, and has the methods of `Loss`:
``value_and_grad``, ``gradient_hessian`` and ``metric``. The function of the same name gives the same value.

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

from typing import Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, LossMetric
from actloss_rs._typing import Reduction

__all__ = [
    "BinaryCrossentropy",
    "CategoricalCrossentropy",
    "LossMetric",
    "MeanSquaredError",
    "SparseCategoricalCrossentropy",
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


class CategoricalCrossentropy(Loss):
    """Cross-entropy of a distribution over classes, one value for each row along ``axis``.

    ``-sum_c y'_c log(p_c) + z_loss logsumexp(y_pred)**2``, where ``y'`` is ``(1 - label_smoothing) y +
    label_smoothing / C`` and ``p`` is ``y_pred``, or ``softmax(y_pred)`` with ``from_logits=True``. Each
    value is multiplied by its weight, ``sample_weight * sum_c y_c class_weight_c``. Confident predictions
    keep all their digits.

    Args:
        from_logits: Whether ``y_pred`` holds logits. Default: probabilities, as in Keras; they are used as
            given, never renormalised.
        axis: The axis of ``y_pred`` with the classes.
        class_weight: A weight for each class.
        label_smoothing: From 0 to 1: how far labels are drawn to the uniform distribution.
        z_loss: How much of the squared logsumexp is added; needs logits.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7),
            where the gradient is 0. Otherwise a certain prediction that is wrong costs infinity.
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
        )


class SparseCategoricalCrossentropy(Loss):
    """Cross-entropy of class ids, one value for each row along ``axis``; no one-hot array is ever made.

    ``-log(p_y)``, where ``p`` is ``y_pred``, or ``softmax(y_pred)`` with ``from_logits=True``. With options
    it is ``CategoricalCrossentropy`` of the one-hot labels: ``label_smoothing`` gives every class its share,
    ``z_loss logsumexp(y_pred)**2`` is added, and each value is multiplied by its weight,
    ``sample_weight * class_weight[y]``. Confident predictions keep all their digits.

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
        )
