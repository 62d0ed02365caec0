"""Similarity of directions."""

from typing import Any, Self

from numpy.typing import ArrayLike

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "CosineSimilarity",
    "cosine_similarity",
]


class CosineSimilarity(Loss):
    """Minus the cosine of the angle between two vectors, one value for each row.

    ``-sum_c y_c x_c / (|y| |x|)`` along ``axis``, ``x`` being ``y_pred``: -1 for vectors of one direction,
    exactly, 0 for orthogonal ones, as in Keras. With a vector of zeros it is 0, and so is its gradient.
    Lengths from the least number to the largest neither overflow nor vanish.

    Args:
        axis: The axis along which the vectors lie.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with vectors ``y_true`` and ``y_pred`` of equal shape; the per-sample values have that shape
    without ``axis``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; there are no elements along ``axis``; a weight is negative.
        NotImplementedError: ``gradient_hessian``, as each second derivative depends on the whole sample.

    Example:
        >>> loss = CosineSimilarity(reduction="none")
        >>> loss([[3.0, 4.0], [3.0, 4.0], [0.0, 0.0]], [[6.0, 8.0], [4.0, 3.0], [1.0, 1.0]])
        array([-1.  , -0.96,  0.  ])

    See also:
        `Dice`.
    """

    __slots__ = ()

    def __new__(
        cls,
        *,
        axis: int = -1,
        reduction: Reduction = "mean",
    ) -> Self:
        return super().__new__(cls, "cosine_similarity", reduction, axis)


def cosine_similarity(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    axis: int = -1,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Minus the cosine of the angle between vectors along ``axis``.

    Args:
        y_true: Vectors, of the shape of ``y_pred``.
        y_pred: Vectors.
        axis: The axis along which the vectors lie.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the samples or of leading axes, not negative.

    Example:
        >>> float(cosine_similarity([[3.0, 4.0]], [[4.0, 3.0]]))
        -0.96

    See also:
        `actloss_rs.losses.CosineSimilarity`.
    """
    return evaluate_loss("cosine_similarity", y_true, y_pred, sample_weight, reduction, axis)
