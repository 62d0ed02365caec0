"""The losses of rows and samples: their options, extremes and ties."""

from __future__ import annotations

import numpy as np
import pytest
import reference_losses
from comparison import check
from hypothesis import given
from hypothesis import strategies as st
from inputs import bits, loss_class, loss_inputs
from reference import ulp_error

import actloss_rs as al

LOGITS = pytest.mark.parametrize("from_logits", [False, True])
FOCAL = "categorical_focal_crossentropy"


def values(name, y_true, y_pred, **options):
    return getattr(al, name)(y_true, y_pred, reduction="none", **options)


def slopes(name, y_true, y_pred, **options):
    return loss_class(name, reduction="sum", **options).value_and_grad(y_true, y_pred)[1]


# ------------------------------------------------------------------------------------------- divergence


@LOGITS
@pytest.mark.parametrize("axis", [0, 1, -2])
def test_divergence_along_an_axis(from_logits, axis):
    y_true, y_pred = loss_inputs("kl_divergence", (4, 3, 5), from_logits=from_logits)
    moved = [np.moveaxis(v, -1, axis) for v in (y_true, y_pred)]
    check("kl_divergence", *moved, from_logits=from_logits, axis=axis)


@pytest.mark.parametrize("size", [1e-3, 1e-6, 1e-9, 1e-15])
@LOGITS
def test_divergence_of_distributions_that_nearly_agree(from_logits, size):
    """It is of second order in what they differ by: terms of first order cancel, and must not be lost."""
    rng = np.random.default_rng(0)
    z = rng.normal(0, 2, (5, 9))
    p = np.exp(z) / np.exp(z).sum(axis=-1, keepdims=True)
    y = p * (1 + size * rng.normal(0, 1, p.shape))
    x = z if from_logits else p
    exact = reference_losses.LOSSES["kl_divergence"](y, x, from_logits=from_logits).values
    # Sums that are not exactly 1 are part of the value.
    assert ulp_error(values("kl_divergence", y, x, from_logits=from_logits), exact).max() <= 4
    y /= y.sum(axis=-1, keepdims=True)
    assert (values("kl_divergence", y, y) == 0).all()


def test_divergence_at_the_ends():
    inf = np.inf
    y = [[1.0, 0.0], [1.0, 0.0], [0.0, 1.0], [0.0, 0.0], [0.5, 0.5]]
    p = [[1.0, 0.0], [0.0, 1.0], [0.0, 1.0], [0.0, 0.0], [0.0, 1.0]]
    np.testing.assert_array_equal(values("kl_divergence", y, p), [0, inf, 0, 0, inf])
    np.testing.assert_array_equal(
        slopes("kl_divergence", y, p), [[-1, 0], [-inf, 0], [0, -1], [0, 0], [-inf, -0.5]]
    )
    z = [[inf, 0.0], [-inf, 0.0], [0.0, inf], [inf, inf], [-inf, -inf]]
    actual = values("kl_divergence", [[1.0, 0.0]] * 5, z, from_logits=True)
    np.testing.assert_array_equal(actual, [0, inf, inf, np.nan, np.nan])


@pytest.mark.parametrize("tiny", [1e-160, 1e-300, 5e-324])
def test_divergence_of_tiny_probabilities(tiny):
    check("kl_divergence", [[0.5, 0.5], [tiny, 1.0], [2 * tiny, 1.0]], [[tiny, 1.0]] * 3)


def test_divergence_is_the_sum_of_scipy():
    special = pytest.importorskip("scipy.special")
    y_true, y_pred = loss_inputs("kl_divergence", (20, 7))
    np.testing.assert_allclose(
        values("kl_divergence", y_true, y_pred), special.rel_entr(y_true, y_pred).sum(axis=-1), rtol=1e-13
    )


@pytest.mark.parametrize("epsilon", [2.0**-7, 2.0**-4])
@pytest.mark.parametrize("name", ["kl_divergence", FOCAL])
def test_epsilon_clips(name, epsilon, dtype):
    y_true, y_pred = loss_inputs(name, (7, 5), dtype)
    y_pred[0], y_pred[1] = [0, 1, 0, 0, 0], [0.5, 0.5, 0, 0, 0]
    check(name, y_true, y_pred, epsilon=epsilon)
    outside = (y_pred < epsilon) | (y_pred > 1 - epsilon)
    assert (slopes(name, y_true, y_pred, epsilon=epsilon)[outside] == 0).all()


# ------------------------------------------------------------------------------------------------ focal


@LOGITS
@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 1.7, 2, 5.0])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
def test_focal(from_logits, gamma, smoothing):
    y_true, y_pred = loss_inputs(FOCAL, (6, 5), from_logits=from_logits)
    check(FOCAL, y_true, y_pred, gamma=gamma, label_smoothing=smoothing, from_logits=from_logits)


@LOGITS
@pytest.mark.parametrize("alpha", [1, 0.0, [0.5, 1, 2, 0, 4], np.float32([1, 2, 3, 4, 5])])
@pytest.mark.parametrize("axis", [-1, 0])
def test_alpha(from_logits, alpha, axis, dtype):
    y_true, y_pred = loss_inputs(FOCAL, (6, 5), dtype, from_logits=from_logits)
    moved = [np.moveaxis(v, -1, axis) for v in (y_true, y_pred)]
    check(FOCAL, *moved, np.linspace(0.5, 2, 6), alpha=alpha, from_logits=from_logits, axis=axis)


def test_options_of_focal_that_make_no_sense():
    arguments = loss_inputs(FOCAL, (4, 3))
    for options, message in [
        ({"alpha": [1, 2]}, "alpha has length 2, but there are 3 classes"),
        ({"alpha": -1.0}, "alpha must be at least 0.0, got -1.0"),
        ({"gamma": -0.5}, "gamma must be"),
        ({"gamma": np.inf}, "gamma must be"),
        ({"label_smoothing": 2.0}, "label_smoothing must be"),
    ]:
        with pytest.raises(ValueError, match=message):
            getattr(al, FOCAL)(*arguments, **options)


@LOGITS
def test_focal_without_focus_is_the_crossentropy(from_logits):
    y_true, y_pred = loss_inputs(FOCAL, (20, 7), from_logits=from_logits)
    options = {"from_logits": from_logits, "label_smoothing": 0.1}
    np.testing.assert_allclose(
        values(FOCAL, y_true, y_pred, alpha=1.0, gamma=0.0, **options),
        values("categorical_crossentropy", y_true, y_pred, **options),
        rtol=1e-14,
    )


@pytest.mark.parametrize("gamma", [0.0, 0.5, 1.0, 2.0])
def test_focal_at_the_ends(gamma):
    one_hot = np.eye(3)
    assert (values(FOCAL, one_hot, one_hot, gamma=gamma) == 0).all()
    assert (values(FOCAL, one_hot[[1, 2, 0]], one_hot, gamma=gamma) == np.inf).all()
    inf = np.inf
    z = [[inf, 0.0, 0.0], [-inf, 0.0, 0.0], [0.0, inf, 0.0], [inf, inf, 0.0]]
    actual = values(FOCAL, [[1, 0, 0]] * 4, z, from_logits=True, gamma=gamma)
    np.testing.assert_array_equal(actual, [0, inf, inf, np.nan])
    z = np.array([[800.0, 0.0, 0.0], [40.0, 0.0, 0.0], [0.0, 40.0, 0.0]])
    check(FOCAL, [[1.0, 0, 0]] * 3, z, from_logits=True, gamma=gamma, budget=8)


# ---------------------------------------------------------------------------------------------- margins


@pytest.mark.parametrize("p", [1, 2])
@pytest.mark.parametrize("margin", [1.0, 0.25, 0.0, -0.5, 3])
def test_multi_margin(p, margin, dtype):
    y_true, y_pred = loss_inputs("multi_margin", (9, 5), dtype)
    check("multi_margin", y_true, y_pred, p=p, margin=margin)
    check("multi_margin", y_true, y_pred.T.copy(), p=p, margin=margin, axis=0)


@pytest.mark.parametrize("ignored", [-1, 2, 255])
def test_multi_margin_of_ignored_samples(ignored):
    y_true, y_pred = loss_inputs("multi_margin", (15, 4))
    y_true[[0, 3, 8]] = ignored
    y_pred[0] = np.nan
    gone = y_true == ignored
    none = check("multi_margin", y_true, y_pred, np.linspace(0, 2, 15), ignore_class=ignored)
    assert (none[gone] == 0).all()
    loss = loss_class("multi_margin", ignore_class=ignored)
    assert (loss.value_and_grad(y_true, y_pred)[1][gone] == 0).all()
    assert loss(y_true, y_pred) == loss_class("multi_margin")(y_true[~gone], y_pred[~gone])


def test_margins_at_kinks_and_ties():
    y, x = [0, 0, 0], [[1.0, 0.0, -5.0], [2.0, 2.0, 2.0], [3.0, 2.0, 2.0]]
    np.testing.assert_array_equal(values("multi_margin", y, x), np.array([0, 2, 0]) / 3)
    np.testing.assert_array_equal(
        slopes("multi_margin", y, x), np.array([[0, 0, 0], [-2, 1, 1], [0, 0, 0]]) / 3
    )
    one_hot = np.eye(3)[[0, 0, 0]]
    np.testing.assert_array_equal(values("categorical_hinge", one_hot, x), [0, 1, 0])
    np.testing.assert_array_equal(
        slopes("categorical_hinge", one_hot, x), [[0, 0, 0], [-1, 0.5, 0.5], [0, 0, 0]]
    )
    # The true class takes part in the maximum with 0, as in Keras.
    np.testing.assert_array_equal(values("categorical_hinge", [[1, 0]], [[-2.0, -3.0]]), [3])
    np.testing.assert_array_equal(slopes("categorical_hinge", [[1, 0]], [[-2.0, -3.0]]), [[-1, 0]])


def test_margins_between_large_and_infinite_scores():
    inf = np.inf
    x = [[inf, 0.0], [-inf, 0.0], [0.0, inf], [0.0, -inf], [inf, inf]]
    expected = [0, inf, inf, 0, np.nan]
    np.testing.assert_array_equal(values("multi_margin", [0] * 5, x), expected)
    expected[3] = 1  # The true class takes part in the maximum.
    np.testing.assert_array_equal(values("categorical_hinge", [[1, 0]] * 5, x), expected)
    # 1e17 + 1 - 1e17: the margin is not lost.
    np.testing.assert_array_equal(values("multi_margin", [0], [[1e17, 1e17]]), [0.5])
    np.testing.assert_array_equal(values("categorical_hinge", [[1, 0]], [[1e17, 1e17]]), [1])


def test_options_of_multi_margin_that_make_no_sense():
    for options, error in [({"p": 3}, ValueError), ({"p": 1.5}, TypeError), ({"margin": np.inf}, ValueError)]:
        with pytest.raises(error, match=next(iter(options))):
            al.multi_margin([0], [[1.0, 2.0]], **options)


@given(st.data())
def test_hinge_of_any_labels(data):
    shape = data.draw(st.tuples(st.integers(1, 5), st.integers(1, 20)))
    y_true, y_pred = loss_inputs("categorical_hinge", shape, seed=data.draw(st.integers(0, 999)))
    y_pred = np.round(y_pred, data.draw(st.integers(0, 3)))  # ties
    check("categorical_hinge", y_true, y_pred)


# ------------------------------------------------------------------------------------------- similarity


def test_parallel_vectors_have_exactly_the_cosine_of_0():
    rng = np.random.default_rng(0)
    for n in (1, 2, 7, 100, 2000):
        y = rng.normal(0, 1, (20, n)) * np.exp2(rng.integers(-300, 300, (20, 1)))
        assert (values("cosine_similarity", y, y) == -1).all()
        assert (values("cosine_similarity", y, -y * 2.0**40) == 1).all()


def test_no_length_overflows_or_vanishes():
    y_true, y_pred = loss_inputs("cosine_similarity", (6, 5))
    expected = values("cosine_similarity", y_true, y_pred)
    gradient = slopes("cosine_similarity", y_true, y_pred)
    for exponents in ((1000, -1000), (-1000, 1000), (1000, 1000), (-1000, -1000), (0, 600)):
        a, b = (2.0**e for e in exponents)
        assert bits(values("cosine_similarity", y_true * a, y_pred * b)) == bits(expected)
        np.testing.assert_allclose(
            slopes("cosine_similarity", y_true * a, y_pred * b), gradient / b, rtol=1e-14, atol=5e-323
        )
    least = np.full((1, 3), 5e-324)
    assert values("cosine_similarity", least, least) == -1


def test_a_vector_of_zeros_is_like_nothing():
    y, x = [[0.0, 0.0], [1.0, 2.0], [0.0, 0.0]], [[1.0, 2.0], [0.0, 0.0], [0.0, 0.0]]
    actual = values("cosine_similarity", y, x)
    np.testing.assert_array_equal(actual, 0)
    assert not np.signbit(actual).any()
    np.testing.assert_array_equal(slopes("cosine_similarity", y, x), 0)
    assert not np.signbit(values("cosine_similarity", [[1.0, 0.0]], [[0.0, 1.0]])[0])
    assert np.isnan(values("cosine_similarity", [[1.0, 0.0]], [[np.inf, 1.0]])[0])


def test_gradients_of_nearly_parallel_vectors(dtype):
    """They vanish to first order."""
    y = np.array([[1.0, 2.0, 3.0, 4.0]]).astype(dtype)
    x = y.copy()
    x[0, 0] += np.array(2.0**-6).astype(dtype)
    check("cosine_similarity", y, x)


@pytest.mark.parametrize("axis", [0, 1, -2])
def test_similarity_along_an_axis(axis, dtype):
    y_true, y_pred = loss_inputs("cosine_similarity", (4, 3, 5), dtype)
    check("cosine_similarity", np.moveaxis(y_true, -1, axis), np.moveaxis(y_pred, -1, axis), axis=axis)


# ---------------------------------------------------------------------------------------------- overlap


@pytest.mark.parametrize("smooth", [0.0, 1e-7, 1])
@pytest.mark.parametrize("shape", [(5,), (3, 8), (2, 3, 4, 5)])
def test_overlap(smooth, shape, dtype):
    y_true, y_pred = loss_inputs("dice", shape, dtype)
    check("dice", y_true, y_pred, smooth=smooth)
    check("tversky", y_true, y_pred, np.arange(1, shape[0] + 1), smooth=smooth, alpha=0.3, beta=0.7)
    check("tversky", y_true, y_pred, smooth=smooth, alpha=0.0, beta=2)


@pytest.mark.parametrize("name", ["dice", "tversky"])
def test_overlap_at_the_ends(name):
    one = np.array([[1.0, 0.0, 1.0, 0.0]])
    for smooth in (0.0, 1.0):
        assert values(name, one, one, smooth=smooth) == 0
        assert values(name, 0 * one, 0 * one, smooth=smooth) == 0
    assert values(name, one, 1 - one) == 1
    np.testing.assert_array_equal(slopes(name, 0 * one, 0 * one), 0)
    assert np.isfinite(slopes(name, one, 0 * one)).all()


def test_overlap_that_is_almost_perfect_keeps_its_digits():
    y = np.ones((1, 4))
    p = y.copy()
    p[0, 1] = 1 - 2.0**-53
    none = check("dice", y, p)
    assert 0 < none[0] < 2e-17


def test_dice_is_the_even_tversky():
    y_true, y_pred = loss_inputs("dice", (5, 40))
    assert bits(values("dice", y_true, y_pred)) == bits(values("tversky", y_true, y_pred))
    y_true, y_pred = y_true > 0.5, y_pred > 0.5
    for y, p, value in zip(y_true, y_pred, values("dice", y_true, y_pred), strict=True):
        assert value == pytest.approx(1 - 2 * (y & p).sum() / (y.sum() + p.sum()), rel=1e-15)


def test_no_second_derivatives_by_elements():
    for name in ("dice", "tversky", "cosine_similarity"):
        with pytest.raises(NotImplementedError, match=f"{name} has no Hessian"):
            loss_class(name).gradient_hessian([[1, 0]], [[0.5, 0.5]])
