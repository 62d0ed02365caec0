"""Divergences of two distributions."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "KLDivergence",
    "kl_divergence",
]


class KLDivergence(Loss):
    """Kullback-Leibler divergence of the prediction from the true distribution, one value for each row.

    ``sum_c y_c log(y_c / p_c)`` along ``axis``, where ``p`` is ``y_pred``, or ``softmax(y_pred)`` with
    ``from_logits=True``. A term with ``y_c = 0`` is 0; one with ``p_c = 0`` and ``y_c > 0`` is infinite. Of
    distributions that nearly agree, whose divergence is of second order, it keeps all digits. Neither is
    renormalised.

    Args:
        from_logits: Whether ``y_pred`` holds logits. Default: probabilities, as in Keras; they are used as
            given, never renormalised.
        axis: The axis of ``y_pred`` with the classes.
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
        >>> loss = KLDivergence(reduction="none")
        >>> loss([[0.5, 0.5], [1.0, 0.0]], [[0.5, 0.5], [0.25, 0.75]])
        array([0.        , 1.38629436])

    See also:
        `CategoricalCrossentropy`, which differs by the entropy of ``y_true``. S. Kullback and R. A. Leibler,
        On Information and Sufficiency, Annals of Mathematical Statistics 22, 1951.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        from_logits: bool = False,
        axis: int = -1,
        epsilon: float = 0.0,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(cls, "kl_divergence", reduction, from_logits, axis, epsilon)


def kl_divergence(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    from_logits: bool = False,
    axis: int = -1,
    epsilon: float = 0.0,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Kullback-Leibler divergence, ``sum_c y_c log(y_c / p_c)`` along ``axis``.

    Args:
        y_true: One-hot labels or distributions, of the shape of ``y_pred``.
        y_pred: Probabilities, or logits with ``from_logits=True``.
        from_logits: Whether ``y_pred`` holds logits.
        axis: The axis of ``y_pred`` with the classes.
        epsilon: If positive, probabilities are clipped into ``[epsilon, 1 - epsilon]`` (Keras: 1e-7), where
            the gradient is 0.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.

    Example:
        >>> float(kl_divergence([[1.0, 0.0]], [[0.5, 0.5]]))
        0.6931471805599453

    See also:
        `actloss_rs.losses.KLDivergence`.
    """
    return evaluate_loss(
        "kl_divergence", y_true, y_pred, sample_weight, reduction, from_logits, axis, epsilon
    )
