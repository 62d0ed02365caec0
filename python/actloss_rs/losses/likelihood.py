"""Negative log-likelihoods of counts and numbers."""

from typing import Any, Self

from numpy.typing import ArrayLike, NDArray

from actloss_rs._core import Loss, evaluate_loss
from actloss_rs._typing import Reduction

__all__ = [
    "GaussianNLL",
    "Poisson",
    "gaussian_nll",
    "poisson",
]


class Poisson(Loss):
    """Negative log-likelihood of counts, ``y_pred - y_true log(y_pred)``, one value for each element.

    ``y_pred`` is the rate, or its logarithm with ``log_input=True``: then the value is ``exp(y_pred) -
    y_true y_pred``. A rate of 0 costs infinity where there is a count, as it must, and nothing where there
    is none. With ``full=True`` Stirling's approximation of ``log(y_true!)``, ``y log(y) - y + log(2 pi y) /
    2``, is added where ``y_true > 1``, as in PyTorch.

    The gradient is ``1 - y_true / y_pred``, of logarithms ``exp(y_pred) - y_true``; the Hessian is ``y_true
    / y_pred**2``, or ``exp(y_pred)``.

    Args:
        log_input: Whether ``y_pred`` holds logarithms of rates.
        full: Whether the term that depends on ``y_true`` alone is added.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with counts ``y_true``, which need not be integers, and predictions ``y_pred`` of equal shape, or
    with a scalar ``y_true``.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes differ; a count or rate is negative; a weight is negative; the reduction is
            unknown. The message names the first position and the value.

    Example:
        >>> loss = Poisson(reduction="none")
        >>> loss([0, 2], [0.0, 1.0])
        array([0., 1.])
        >>> Poisson(log_input=True).value_and_grad([0, 2], [0.0, 0.0])
        (np.float64(1.0), array([ 0.5, -0.5]))

    See also:
        `GaussianNLL`.
    """

    __slots__ = ()

    def __new__(cls, *, log_input: bool = False, full: bool = False, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "poisson", reduction, log_input, full)


def poisson(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    log_input: bool = False,
    full: bool = False,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Negative log-likelihood of counts: an ``np.float64``, or the per-element values.

    Args:
        y_true: Counts, not negative: the shape of ``y_pred``, or a scalar.
        y_pred: Rates, or their logarithms with ``log_input=True``.
        log_input: Whether ``y_pred`` holds logarithms of rates.
        full: Whether the term that depends on ``y_true`` alone is added.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(poisson([0, 2], [0.0, 1.0]))
        0.5

    See also:
        `actloss_rs.losses.Poisson`.
    """
    return evaluate_loss("poisson", y_true, y_pred, sample_weight, reduction, log_input, full)


class GaussianNLL(Loss):
    """Negative log-likelihood of normal distributions, one value for each element.

    ``(log(v) + (y_pred - y_true)**2 / v) / 2`` with ``v = max(var, epsilon)``, and with ``full=True`` also
    ``log(2 pi) / 2``: PyTorch's definition. The gradient with respect to ``y_pred`` is ``(y_pred - y_true)
    / v``, the Hessian ``1 / v``.

    The third argument is the variance; it is of any real type, never widens the computation, and is used
    exactly. A metric takes it by name: ``metric.update_state(y_true, y_pred, var=var)``.

    Args:
        full: Whether the constant is added.
        epsilon: The least variance, for which smaller ones are taken; 0 takes them as they are.
        reduction: ``"mean"``, ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.

    Called with targets ``y_true``, predictions ``y_pred`` of equal shape, and variances ``var`` of that
    shape, of its leading axes, or with length 1 along the last axis. ``y_true`` and ``var`` may be scalars.
    A float64 ``y_true`` makes the computation float64 even where ``y_pred`` is narrower.

    Raises:
        TypeError: an array is masked, from Dask, complex, or of no numeric type.
        ValueError: the shapes do not fit; a variance or weight is negative; an option is out of range. The
            message names the first position and the value.

    Example:
        >>> loss = GaussianNLL()
        >>> value, gradient = loss.value_and_grad([3.0, 5.0], [2.0, 7.0], [1.0, 4.0])
        >>> float(value)
        0.8465735902799727
        >>> gradient
        array([-0.5 ,  0.25])

    See also:
        `MeanSquaredError`, for one variance. D. A. Nix and A. S. Weigend, Estimating the Mean and Variance
        of the Target Probability Distribution, 1994.
    """

    __slots__ = ()

    def __new__(cls, *, full: bool = False, epsilon: float = 1e-6, reduction: Reduction = "mean") -> Self:
        return super().__new__(cls, "gaussian_nll", reduction, full, epsilon)

    def __call__(  # type: ignore[override]
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        var: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> Any:
        """The reduced value, or the per-element values with ``reduction="none"``."""
        return super().__call__(y_true, y_pred, sample_weight, var=var)

    def value_and_grad(  # type: ignore[override]
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        var: ArrayLike,
        sample_weight: ArrayLike | None = None,
        *,
        out: NDArray[Any] | None = None,
    ) -> tuple[Any, NDArray[Any]]:
        """The value, and its gradient with respect to ``y_pred``."""
        return super().value_and_grad(y_true, y_pred, sample_weight, out=out, var=var)

    def gradient_hessian(  # type: ignore[override]
        self,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        var: ArrayLike,
        sample_weight: ArrayLike | None = None,
    ) -> tuple[NDArray[Any], NDArray[Any]]:
        """The derivatives of each value with respect to ``y_pred``, weights applied."""
        return super().gradient_hessian(y_true, y_pred, sample_weight, var=var)


def gaussian_nll(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    var: ArrayLike,
    *,
    full: bool = False,
    epsilon: float = 1e-6,
    reduction: Reduction = "mean",
    sample_weight: ArrayLike | None = None,
) -> Any:
    """Negative log-likelihood of normal distributions: an ``np.float64``, or the per-element values.

    Args:
        y_true: Targets: the shape of ``y_pred``, or a scalar.
        y_pred: Predicted means.
        var: Variances: the shape of ``y_pred`` or of its leading axes, or that with length 1 along the last
            axis; a scalar.
        full: Whether the constant is added.
        epsilon: The least variance, for which smaller ones are taken; 0 takes them as they are.
        reduction: ``"mean"`` (weighted), ``"sum"``, ``"sum_over_batch_size"`` or ``"none"``.
        sample_weight: Weights of the elements or of leading axes, not negative.

    Example:
        >>> float(gaussian_nll([3.0, 5.0], [2.0, 7.0], 1.0))
        1.25

    See also:
        `actloss_rs.losses.GaussianNLL`.
    """
    return GaussianNLL(full=full, epsilon=epsilon, reduction=reduction)(y_true, y_pred, var, sample_weight)
