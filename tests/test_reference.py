"""The oracle itself, against libraries that know nothing of it and against numerical differentiation."""

from __future__ import annotations

import math
from itertools import product

import mpmath
import numpy as np
import pytest
import reference
import reference_losses
from reference import ACTIVATIONS, evaluate

from actloss_rs._core import ufuncs

X = np.concatenate([np.linspace(-30, 30, 241), [-1e-9, 1e-9, 1e-300, -1e-300]])


def test_every_activation_has_its_line():
    """In reference.py: without it the contract tests do not know of it."""
    elsewhere = {"prelu", "threshold"}  # in test_ufunc_contract.py: they have a parameter without a default
    assert set(ufuncs) - elsewhere == set(ACTIVATIONS)


def floats(exact):
    return np.asarray(exact, dtype=np.float64)


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("sigmoid", "expit"),
        ("log_sigmoid", "log_expit"),
        ("expm1", "expm1"),
        ("log1p", "log1p"),
    ],
)
def test_activations_against_scipy(name, peer):
    special = pytest.importorskip("scipy.special")
    x = X[X > -1] if name == "log1p" else X
    np.testing.assert_allclose(
        floats(evaluate(ACTIVATIONS[name].value, x)), getattr(special, peer)(x), rtol=1e-14
    )


def test_gelu_against_scipy():
    ndtr = pytest.importorskip("scipy.special").ndtr
    np.testing.assert_allclose(floats(evaluate(ACTIVATIONS["gelu"].value, X)), X * ndtr(X), rtol=1e-12)


def test_piecewise_activations_by_hand():
    x = np.array([-4.0, -1.5, -0.25, 0.0, 0.25, 1.5, 4.0])
    by_hand = {
        "relu6": [0, 0, 0, 0, 0.25, 1.5, 4],
        "softsign": [-0.8, -0.6, -0.2, 0, 0.2, 0.6, 0.8],
        "hard_swish": [0, -0.375, -0.25 * 2.75 / 6, 0, 0.25 * 3.25 / 6, 1.125, 4],
        "sparse_plus": [0, 0, 0.140625, 0.25, 0.390625, 1.5, 4],
        "sparse_sigmoid": [0, 0, 0.375, 0.5, 0.625, 1, 1],
    }
    for name, expected in by_hand.items():
        np.testing.assert_allclose(floats(evaluate(ACTIVATIONS[name].value, x)), expected, rtol=1e-15)
    with_parameters = {
        "hard_sigmoid": ((1 / 6, 0.5), [0, 0.25, 2.75 / 6, 0.5, 3.25 / 6, 0.75, 1]),
        "hard_tanh": ((-1, 1), [-1, -1, -0.25, 0, 0.25, 1, 1]),
        "hard_shrink": ((0.5,), [-4, -1.5, 0, 0, 0, 1.5, 4]),
        "soft_shrink": ((0.5,), [-3.5, -1, 0, 0, 0, 1, 3.5]),
        "thresholded_relu": ((1.0,), [0, 0, 0, 0, 0, 1.5, 4]),
        "squareplus": ((4.0,), (x + np.sqrt(x * x + 4)) / 2),
    }
    for name, (parameters, expected) in with_parameters.items():
        actual = floats(evaluate(ACTIVATIONS[name].value, x, *parameters))
        np.testing.assert_allclose(actual, expected, rtol=1e-14)


def test_approximate_gelu_is_near_the_exact_one():
    exact, approximate = (floats(evaluate(ACTIVATIONS[name].value, X)) for name in ("gelu", "gelu_tanh"))
    assert 1e-4 < np.abs(exact - approximate).max() < 5e-4


def test_activations_against_torch():
    torch = pytest.importorskip("torch")
    functional, x = torch.nn.functional, torch.from_numpy(X)
    peers = {
        "relu": functional.relu(x),
        "tanh": torch.tanh(x),
        "silu": functional.silu(x),
        "gelu": functional.gelu(x),
        "gelu_tanh": functional.gelu(x, approximate="tanh"),
        "log_sigmoid": functional.logsigmoid(x),
        "mish": functional.mish(x),
        "selu": functional.selu(x),
        "tanh_shrink": functional.tanhshrink(x),
    }
    for name, peer in peers.items():
        np.testing.assert_allclose(floats(evaluate(ACTIVATIONS[name].value, X)), peer, rtol=1e-12, atol=1e-15)
    for beta, peer in [(b, functional.softplus(x, beta=b, threshold=700)) for b in (0.3, 2.0)]:
        ours = floats(evaluate(ACTIVATIONS["softplus"].value, X, beta))
        np.testing.assert_allclose(ours, peer, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(
        floats(evaluate(ACTIVATIONS["elu"].value, X, 1.7)), functional.elu(x, alpha=1.7), rtol=1e-12
    )
    np.testing.assert_allclose(
        floats(evaluate(ACTIVATIONS["leaky_relu"].value, X, 0.3)), functional.leaky_relu(x, 0.3), rtol=1e-14
    )


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_derivatives_are_those_of_the_values(name):
    value, derivative, parameters = ACTIVATIONS[name]
    for arguments in product(*parameters.values()):
        arguments = [mpmath.mpf(v) for v in arguments]
        for x in np.linspace(-0.9, 12, 11) if name == "log1p" else np.linspace(-12.3, 12, 11):
            numerical = mpmath.diff(lambda v, a=arguments: value(v, *a), mpmath.mpf(x))
            assert mpmath.almosteq(derivative(mpmath.mpf(x), *arguments), numerical, 1e-20, 1e-20)


LIMITS = {
    "erf": (-1, 1, 0, 0),
    "mish": (0, math.inf, 0, 1),
    "selu": (-1.7580993408473766, math.inf, 0, 1.0507009873554805),
    "celu": (-1, math.inf, 0, 1),
    "tanh_shrink": (-math.inf, math.inf, 1, 1),
    "relu6": (0, 6, 0, 0),
    "softsign": (-1, 1, 0, 0),
    "squareplus": (0, math.inf, 0, 1),
    "sparse_plus": (0, math.inf, 0, 1),
    "sparse_sigmoid": (0, 1, 0, 0),
    "hard_sigmoid": (0, 1, 0, 0),
    "hard_tanh": (-1, 1, 0, 0),
    "hard_swish": (0, math.inf, 0, 1),
    "hard_shrink": (-math.inf, math.inf, 1, 1),
    "soft_shrink": (-math.inf, math.inf, 1, 1),
    "thresholded_relu": (0, math.inf, 0, 1),
    "relu": (0, math.inf, 0, 1),
    "sigmoid": (0, 1, 0, 0),
    "tanh": (-1, 1, 0, 0),
    "silu": (0, math.inf, 0, 1),
    "gelu": (0, math.inf, 0, 1),
    "gelu_tanh": (0, math.inf, 0, 1),
    "softplus": (0, math.inf, 0, 1),
    "log_sigmoid": (-math.inf, 0, 1, 0),
    "leaky_relu": (-math.inf, math.inf, 0.01, 1),
    "elu": (-1, math.inf, 0, 1),
    "exp": (0, math.inf, 0, math.inf),
    "expm1": (-1, math.inf, 0, math.inf),
    "log1p": (math.nan, math.inf, math.nan, 0),
}
"""Of the value at -inf and inf, and of the derivative."""


@pytest.mark.parametrize("name", LIMITS)
def test_limits_at_infinity(name):
    value, derivative, parameters = ACTIVATIONS[name]
    defaults = [values[0] for values in parameters.values()]
    both = [-math.inf, math.inf]
    ours = np.concatenate([evaluate(value, both, *defaults), evaluate(derivative, both, *defaults)])
    np.testing.assert_array_equal(reference.round_to(ours, np.float32), np.float32(LIMITS[name]))


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_rounding_is_that_of_numpy(dtype):
    rng = np.random.default_rng(1)
    bits = rng.integers(0, 2**64, 4000, dtype=np.uint64).view(np.float64)
    x = np.concatenate(
        [bits, rng.normal(0, 1e-6, 4000), rng.normal(0, 1e5, 4000), np.arange(4096) * 2.0**-26]
    )
    x = x[np.isfinite(x)]
    with np.errstate(all="ignore"):
        expected = x.astype(dtype)
    np.testing.assert_array_equal(reference.round_to(reference.exact_array(x), dtype), expected)
    errors = reference.ulp_error(expected, reference.exact_array(x))
    assert errors.max() <= 0.5


def test_rounding_to_bfloat16():
    bfloat16 = pytest.importorskip("ml_dtypes").bfloat16
    x = np.random.default_rng(2).normal(0, 10, 4000).astype(np.float32)
    np.testing.assert_array_equal(
        reference.round_to(reference.exact_array(x), bfloat16), x.astype(bfloat16).astype(np.float64)
    )


def test_an_ulp_is_one_step():
    x = np.float32([1, 1.5, 1e-40, 3e38, -7.25])
    up = np.nextafter(x, np.float32(np.inf))
    np.testing.assert_array_equal(reference.ulp_error(up, reference.exact_array(x)), 1)
    assert reference.ulp_error(np.float32(-0.0), mpmath.mpf(1e-60)) == math.inf
    assert reference.ulp_error(np.float32(np.nan), mpmath.mpf(1)) == math.inf
    largest = float(np.finfo(np.float32).max)
    assert reference.ulp_error(np.float32(np.inf), mpmath.mpf(largest)) == 1
    assert reference.ulp_error(np.float32(largest), mpmath.inf) == 1


@pytest.mark.parametrize("axis", [-1, 0, 1, (0, 2), None])
def test_rows_against_scipy(axis):
    special = pytest.importorskip("scipy.special")
    x = np.random.default_rng(3).normal(0, 5, (3, 4, 5))
    for name in ("softmax", "log_softmax", "logsumexp"):
        if name == "logsumexp" or axis != (0, 2):
            ours = floats(reference.along(getattr(reference, name), x, axis))
            np.testing.assert_allclose(ours, getattr(special, name)(x, axis=axis), rtol=1e-13, atol=1e-15)


def test_crossentropies_against_scikit_learn():
    log_loss = pytest.importorskip("sklearn.metrics").log_loss
    rng = np.random.default_rng(4)
    logits = rng.normal(0, 2, (40, 5))
    p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    y, weight = rng.integers(0, 5, 40), rng.uniform(0.1, 2, 40)
    expected = log_loss(y, p, sample_weight=weight, labels=range(5))
    for pred, from_logits in [(p, False), (logits, True)]:
        terms = reference_losses.sparse_categorical_crossentropy(
            y, pred, from_logits=from_logits, sample_weight=weight
        )
        assert float(terms.reduced("mean")) == pytest.approx(expected, rel=1e-13)
    binary = reference_losses.binary_crossentropy((y > 2) * 1.0, p[:, 0], sample_weight=weight)
    assert float(binary.reduced("mean")) == pytest.approx(
        log_loss(y > 2, p[:, 0], sample_weight=weight), rel=1e-13
    )


def test_losses_against_torch():
    torch = pytest.importorskip("torch")
    functional = torch.nn.functional
    rng = np.random.default_rng(5)
    z, y, cw = rng.normal(0, 3, (30, 6)), rng.integers(0, 6, 30), rng.uniform(0.5, 2, 6)
    y[::7] = -1
    zt = torch.tensor(z, requires_grad=True)
    peer = functional.cross_entropy(zt, torch.from_numpy(y), ignore_index=-1, weight=torch.from_numpy(cw))
    peer.backward()
    ours = reference_losses.sparse_categorical_crossentropy(
        y, z, from_logits=True, ignore_class=-1, class_weight=cw
    )
    assert float(ours.reduced("mean")) == pytest.approx(peer.item(), rel=1e-13)
    np.testing.assert_allclose(floats(ours.reduced_gradient("mean")), zt.grad, rtol=1e-12, atol=1e-15)
    smooth = functional.cross_entropy(zt, torch.from_numpy(y), ignore_index=-1, label_smoothing=0.1)
    ours = reference_losses.sparse_categorical_crossentropy(
        y, z, from_logits=True, ignore_class=-1, label_smoothing=0.1
    )
    assert float(ours.reduced("mean")) == pytest.approx(smooth.item(), rel=1e-13)
    b = rng.uniform(0, 1, z.shape)
    peer = functional.binary_cross_entropy_with_logits(
        zt, torch.from_numpy(b), pos_weight=torch.from_numpy(cw)
    )
    ours = reference_losses.binary_crossentropy(b, z, from_logits=True, pos_weight=cw)
    assert float(ours.reduced("mean")) == pytest.approx(peer.item(), rel=1e-13)


LOGITS = np.random.default_rng(6).normal(0, 2, (3, 4))
PROBABILITIES = np.random.default_rng(7).uniform(0.3, 0.7, (3, 4))
CASES = {
    "mean_squared_error": (reference_losses.mean_squared_error, LOGITS + 1, LOGITS, {}),
    "binary": (reference_losses.binary_crossentropy, PROBABILITIES, PROBABILITIES[::-1], {"pos_weight": 2.0}),
    "binary logits": (
        reference_losses.binary_crossentropy,
        PROBABILITIES,
        LOGITS,
        {"from_logits": True, "label_smoothing": 0.2, "pos_weight": [1.0, 2.0, 0.5, 3.0]},
    ),
    "categorical": (
        reference_losses.categorical_crossentropy,
        PROBABILITIES,
        PROBABILITIES[::-1],
        {"label_smoothing": 0.1},
    ),
    "sparse logits": (
        reference_losses.sparse_categorical_crossentropy,
        [3, 0, 1],
        LOGITS,
        {
            "from_logits": True,
            "z_loss": 0.25,
            "label_smoothing": 0.125,
            "class_weight": [1, 2, 0.5, 4],
            "ignore_class": 0,
        },
    ),
    "categorical logits": (
        reference_losses.categorical_crossentropy,
        PROBABILITIES,
        LOGITS,
        {
            "from_logits": True,
            "z_loss": 0.5,
            "class_weight": [1, 2, 0.5, 4],
            "axis": 0,
            "sample_weight": [1, 2, 0, 4],
        },
    ),
    "kl divergence": (reference_losses.LOSSES["kl_divergence"], PROBABILITIES, PROBABILITIES[::-1], {}),
    "kl divergence logits": (
        reference_losses.LOSSES["kl_divergence"],
        PROBABILITIES,
        LOGITS,
        {"from_logits": True, "axis": 0},
    ),
    "focal": (
        reference_losses.LOSSES["categorical_focal_crossentropy"],
        PROBABILITIES,
        PROBABILITIES[::-1],
        {"label_smoothing": 0.125, "alpha": [1, 2, 0.5, 4]},
    ),
    "focal logits": (
        reference_losses.LOSSES["categorical_focal_crossentropy"],
        PROBABILITIES,
        LOGITS,
        {"from_logits": True, "gamma": 1.5, "label_smoothing": 0.125},
    ),
    "categorical hinge": (reference_losses.LOSSES["categorical_hinge"], PROBABILITIES, LOGITS, {}),
    "multi margin": (reference_losses.LOSSES["multi_margin"], [3, 0, 1], LOGITS, {"ignore_class": 0}),
    "multi margin squared": (reference_losses.LOSSES["multi_margin"], [3, 0, 1], LOGITS, {"p": 2}),
    "cosine similarity": (reference_losses.LOSSES["cosine_similarity"], LOGITS[::-1], LOGITS, {}),
    "dice": (reference_losses.LOSSES["dice"], PROBABILITIES, PROBABILITIES[::-1], {"smooth": 1.0}),
    "tversky": (
        reference_losses.LOSSES["tversky"],
        PROBABILITIES,
        PROBABILITIES[::-1],
        {"alpha": 0.25, "beta": 2.0},
    ),
}
CASES["categorical logits"][3]["class_weight"] = [1, 2, 0.5]


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("reduction", ["sum", "mean", "sum_over_batch_size"])
def test_loss_derivatives_are_those_of_the_values(case, reduction):
    loss, y_true, y_pred, options = CASES[case]
    terms = loss(y_true, y_pred, **options)
    numerical = reference.finite_difference(lambda x: loss(y_true, x, **options).reduced(reduction), y_pred)
    np.testing.assert_allclose(floats(terms.reduced_gradient(reduction)), numerical, rtol=1e-6, atol=1e-9)
    for i in np.ndindex(y_pred.shape) if reduction == "sum" else ():

        def slope(x, i=i):
            return loss(y_true, x, **options).gradient[i]

        if terms.hessian[i] != terms.hessian[i]:  # there is none by elements
            continue
        numerical = reference.finite_difference(slope, y_pred)[i]
        assert float(terms.hessian[i]) == pytest.approx(numerical, rel=1e-5, abs=1e-9)


def test_exact_sums():
    values = [1e308, 1.0, -1e308, 2.0**-1074]
    assert reference.exact_sum(values) == math.fsum(values) == 1.0
    assert reference.exact_mean([0.1] * 10, [1.0] * 10) == 0.1
    assert reference.exact_sum([1e308, 1e308]) == math.inf
