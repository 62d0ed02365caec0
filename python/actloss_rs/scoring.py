"""Scores of labels: how likely a model finds what is there."""

from typing import Any

from numpy.typing import ArrayLike, NDArray

from actloss_rs._core import label_log_probabilities

__all__ = ["token_log_probs"]


def token_log_probs(
    y_true: ArrayLike,
    logits: ArrayLike,
    *,
    axis: int = -1,
    temperature: float = 1.0,
    ignore_class: int | None = None,
) -> NDArray[Any]:
    """The logarithm of the probability of each label, ``log_softmax(logits / temperature)[label]``.

    In one pass over the logits: no array of probabilities is made, and those of likely labels keep all
    their digits. It is minus the sparse categorical cross-entropy; the perplexity of a text is ``exp`` of
    minus the mean over its tokens, the score of a continuation their sum.

    Args:
        y_true: Class ids, such as tokens: the shape of ``logits`` without ``axis``, or with length 1 there.
        logits: Unnormalised log-probabilities; float16, bfloat16 and float32 are computed in float32.
        axis: The axis of ``logits`` with the classes.
        temperature: What the logits are divided by, positive.
        ignore_class: Labels with this id, such as padding, get 0.0; their logits are not read.

    Returns:
        One value for each label, float64 for float64 and integer logits, float32 otherwise.

    Raises:
        TypeError: labels are not integers; an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes do not fit, there are no classes, or an id is outside [0, C).

    Example:
        >>> token_log_probs([0, 1], [[60.0, 0.0], [60.0, 0.0]])
        array([-8.75651076e-27, -6.00000000e+01])

    See also:
        `actloss_rs.sparse_categorical_crossentropy`, `actloss_rs.log_softmax`.
    """
    return label_log_probabilities(y_true, logits, axis, temperature, ignore_class)
