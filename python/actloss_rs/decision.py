"""Decisions from predictions."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from actloss_rs._core import above_threshold

__all__ = ["predict_binary"]


def predict_binary(y_pred: ArrayLike, threshold: float = 0.5, from_logits: bool = False) -> NDArray[np.bool_]:
    """Yes or no for each prediction: ``p > threshold``.

    Args:
        y_pred: Probabilities, or logits with ``from_logits=True``, which are compared with
            ``log(threshold / (1 - threshold))``.
        threshold: The probability that must be exceeded.
        from_logits: Whether ``y_pred`` holds logits.

    Raises:
        ValueError: a prediction is NaN, or the threshold is outside [0, 1].

    Example:
        >>> predict_binary([0.2, 0.5, 0.8])
        array([False, False,  True])
    """
    return above_threshold(y_pred, threshold, from_logits)
