"""What the tests put in: values that exercise a dtype, memory layouts, and cases of each loss."""

from __future__ import annotations

from functools import partial
from itertools import product
from typing import Any, NamedTuple

import hypothesis.extra.numpy as hnp
import hypothesis.strategies as st
import numpy as np
from reference import ACTIVATIONS, KEYWORDS, widened

import actloss_rs as al

# ------------------------------------------------------------------------------------------ activations

PARAMETERS = [
    (name, values) for name, entry in ACTIVATIONS.items() for values in product(*entry.parameters.values())
]
"""Every activation with every choice of its parameters."""

UFUNCS = [name for name, entry in ACTIVATIONS.items() if not entry.parameters and "gelu" not in name]
"""The activations of one input, which are ufunc objects."""

EXACT = dict.fromkeys(["relu", "relu6", "hard_tanh", "hard_shrink", "thresholded_relu"], 0.0)
EXACT |= dict.fromkeys(["leaky_relu", "soft_shrink"], 0.5)
"""Activations without an approximation: their budget in ULP."""


def function(name: str, module: Any = al) -> Any:
    """The public function of an entry of the oracle, its keywords bound."""
    public, keywords = KEYWORDS.get(name, (name, {}))
    function = getattr(module, public)
    return partial(function, **keywords) if keywords else function


# ----------------------------------------------------------------------------------------------- values

SPECIAL = np.concatenate(
    [
        np.array(
            [0.0, np.inf, np.nan, 5e-324, 1e-310, 1.4e-45, 1e-40, 1.1754943508222875e-38, 65504.0, 3.4e38]
        ),
        np.array(
            [1e-8, 6e-8, 6e-5, 0.5, 0.693147, 1.0, 2.0, 8.3, 9.7, 11.09, 13.0, 16.635, 17.33, 20.0, 37.5]
        ),
        np.array(
            [38.5, 87.33, 88.72, 88.73, 103.9, 104.0, 708.4, 709.78, 709.79, 745.1, 745.2, 1e200, 1.79e308]
        ),
    ]
)
"""Among them the ends of every format, and the arguments where exponentials overflow and vanish."""


def every_16_bits(dtype: np.dtype) -> np.ndarray:
    return np.arange(2**16, dtype=np.uint16).view(dtype)


def samples(dtype: Any, count: int = 2000, seed: int = 0) -> np.ndarray:
    """All exponents alike, the range where functions bend, and the special values of both signs."""
    rng = np.random.default_rng(seed)
    dtype = np.dtype(dtype)
    unsigned = np.dtype(f"uint{8 * dtype.itemsize}")
    any_bits = rng.integers(0, np.iinfo(unsigned).max, count // 2, dtype=unsigned, endpoint=True).view(dtype)
    bends = np.concatenate([rng.normal(0, scale, count // 6) for scale in (0.1, 3.0, 40.0)])
    with np.errstate(all="ignore"):
        return np.concatenate(
            [any_bits, bends.astype(dtype), SPECIAL.astype(dtype), (-SPECIAL).astype(dtype)]
        )


def finite(x: np.ndarray) -> np.ndarray:
    return x[np.isfinite(widened(x))]


# ---------------------------------------------------------------------------------------------- layouts


def bits(x: Any) -> tuple[str, tuple[int, ...], bytes]:
    """What must be equal when two results are to be the same, NaN and signs of zero included."""
    x = np.asarray(x)
    return x.dtype.newbyteorder("=").name, x.shape, x.astype(x.dtype.newbyteorder("="), order="C").tobytes()


def layouts(x: np.ndarray) -> dict[str, np.ndarray]:
    """The same array in memory of other shapes."""
    wide = np.zeros((*(2 * n for n in x.shape[:-1]), 3 * x.shape[-1]), dtype=x.dtype)
    strided = wide[(*(slice(None, None, 2) for _ in x.shape[:-1]), slice(1, None, 3))]
    strided[...] = x
    unaligned = np.zeros(x.nbytes + 1, dtype=np.uint8)[1:].view(x.dtype).reshape(x.shape)
    unaligned[...] = x
    backward = tuple(slice(None, None, -1) for _ in x.shape)
    readonly = x.copy()
    readonly.flags.writeable = False
    held = {
        "contiguous": x.copy(),
        "fortran": np.asfortranarray(x),
        "strided": strided,
        "backward": x[backward].copy()[backward],
        "unaligned": unaligned,
        "readonly": readonly,
        "first axis moved": np.moveaxis(np.moveaxis(x, 0, -1).copy(), -1, 0),
    }
    if x.dtype.name != "bfloat16":  # ml_dtypes has no other byte order
        held["byte-swapped"] = x.astype(x.dtype.newbyteorder())
    for name, array in held.items():
        assert bits(array) == bits(x), name
    return held


@st.composite
def views(draw: st.DrawFn, dtype: Any, min_dims: int = 0) -> np.ndarray:
    """Any bit patterns, in any basic indexing and order of axes of an array."""
    dtype = np.dtype(dtype)
    unsigned = np.dtype(f"uint{8 * dtype.itemsize}")
    shape = draw(hnp.array_shapes(min_dims=max(1, min_dims), max_dims=4, min_side=1, max_side=9))
    base = draw(hnp.arrays(unsigned, shape)).view(dtype)
    view = base[
        tuple(
            draw(st.sampled_from([slice(None), slice(None, None, -1), slice(None, None, 2)])) for _ in shape
        )
    ]
    return view.transpose(draw(st.permutations(range(view.ndim))))


# ----------------------------------------------------------------------------------------------- losses


class Kind(NamedTuple):
    """What a loss is called with, and what of."""

    cls: str
    values: str
    """One value for each of the "elements", "rows" along an axis, or "samples" of the first axis."""
    y_true: str
    """"numbers", "positive" ones, "counts", "signs", "probabilities", "distributions" or "ids"."""
    y_pred: str
    """"numbers", "positive" ones, "probabilities", or "either", by from_logits."""
    hessian: bool = True


KINDS = {
    "mean_squared_error": Kind("MeanSquaredError", "elements", "numbers", "numbers"),
    "mean_absolute_error": Kind("MeanAbsoluteError", "elements", "numbers", "numbers"),
    "mean_absolute_percentage_error": Kind("MeanAbsolutePercentageError", "elements", "numbers", "numbers"),
    "mean_squared_logarithmic_error": Kind("MeanSquaredLogarithmicError", "elements", "positive", "positive"),
    "huber": Kind("Huber", "elements", "numbers", "numbers"),
    "smooth_l1": Kind("SmoothL1", "elements", "numbers", "numbers"),
    "log_cosh": Kind("LogCosh", "elements", "numbers", "numbers"),
    "quantile": Kind("Quantile", "elements", "numbers", "numbers"),
    "poisson": Kind("Poisson", "elements", "counts", "positive"),
    "hinge": Kind("Hinge", "elements", "signs", "numbers"),
    "squared_hinge": Kind("SquaredHinge", "elements", "signs", "numbers"),
    "soft_margin": Kind("SoftMargin", "elements", "signs", "numbers"),
    "binary_focal_crossentropy": Kind("BinaryFocalCrossentropy", "elements", "probabilities", "either"),
    "binary_crossentropy": Kind("BinaryCrossentropy", "elements", "probabilities", "either"),
    "categorical_crossentropy": Kind("CategoricalCrossentropy", "rows", "distributions", "either"),
    "sparse_categorical_crossentropy": Kind("SparseCategoricalCrossentropy", "rows", "ids", "either"),
    "kl_divergence": Kind("KLDivergence", "rows", "distributions", "either"),
    "categorical_focal_crossentropy": Kind("CategoricalFocalCrossentropy", "rows", "distributions", "either"),
    "categorical_hinge": Kind("CategoricalHinge", "rows", "distributions", "numbers"),
    "multi_margin": Kind("MultiMargin", "rows", "ids", "numbers"),
    "cosine_similarity": Kind("CosineSimilarity", "rows", "numbers", "numbers", hessian=False),
    "dice": Kind("Dice", "samples", "probabilities", "probabilities", hessian=False),
    "tversky": Kind("Tversky", "samples", "probabilities", "probabilities", hessian=False),
}

CLASSES = {name: kind.cls for name, kind in KINDS.items()}
"""The losses of two arrays."""

OF_THREE_ARRAYS = {"gaussian_nll": "GaussianNLL"}

LOSSES = [
    (name, {"from_logits": logits} if kind.y_pred == "either" else {})
    for name, kind in KINDS.items()
    for logits in ((False, True) if kind.y_pred == "either" else (False,))
]
"""Each loss on probabilities and on logits, if it takes both."""

LOSS_IDS = [name + ("-logits" if options.get("from_logits") else "") for name, options in LOSSES]

CROSSENTROPIES = ["categorical_crossentropy", "sparse_categorical_crossentropy"]
"""Those with all the options."""


def over_axis(name: str) -> bool:
    return KINDS[name].values == "rows"


def by_elements(name: str) -> bool:
    return KINDS[name].values == "elements"


def takes_ids(name: str) -> bool:
    return KINDS[name].y_true == "ids"


def on_probabilities(name: str, options: dict[str, Any]) -> bool:
    """Whether y_pred must lie in [0, 1]."""
    y_pred = KINDS[name].y_pred
    return y_pred == "probabilities" or (y_pred == "either" and not options.get("from_logits"))


def loss_class(name: str, **options: Any) -> Any:
    return getattr(al.losses, CLASSES[name])(**options)


def loss_inputs(
    name: str,
    shape: tuple[int, ...] = (13, 7),
    dtype: Any = np.float64,
    from_logits: bool = False,
    seed: int = 0,
) -> tuple[Any, Any]:
    """Random y_true and y_pred of a loss; classes lie along the last axis."""
    kind = KINDS[name]
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 3, shape)
    if kind.y_true == "numbers":
        return (x + rng.normal(0, 1, shape)).astype(dtype), x.astype(dtype)
    if kind.y_true == "positive":
        return np.exp((x + rng.normal(0, 1, shape)) / 3).astype(dtype), np.exp(x / 3).astype(dtype)
    if kind.y_true == "counts":  # at rates below 1, where both terms of the likelihood are positive
        return rng.poisson(2, shape).astype(dtype), (0.2 + 0.8 * np.exp(-abs(x))).astype(dtype)
    if kind.y_true == "signs":
        return rng.choice([-1, 1], shape).astype(dtype), x.astype(dtype)
    if kind.y_true == "ids":
        y = rng.integers(0, shape[-1], shape[:-1])
    elif kind.y_true == "distributions":
        y = rng.dirichlet(np.ones(shape[-1]), shape[:-1])
        one_hot = np.eye(shape[-1])[rng.integers(0, shape[-1], shape[:-1])]
        y = np.where(rng.random((*shape[:-1], 1)) < 0.5, one_hot, np.minimum(y, 1))
    else:
        y = np.where(rng.random(shape) < 0.3, rng.random(shape), rng.random(shape) < 0.5)
    if not on_probabilities(name, {"from_logits": from_logits}):
        return y, x.astype(dtype)
    p = 1 / (1 + np.exp(-x))
    if over_axis(name):
        p = np.exp(x) / np.exp(x).sum(axis=-1, keepdims=True)
    return y, np.clip(p, 1e-3, 1 - 2.0**-6).astype(dtype)


def none_shape(name: str, shape: tuple[int, ...], axis: int = -1) -> tuple[int, ...]:
    """The shape of the "none" values."""
    if KINDS[name].values == "samples":
        return shape[:1]
    axis %= len(shape)
    return shape[:axis] + shape[axis + 1 :] if over_axis(name) else shape
