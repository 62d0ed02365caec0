"""The losses of one element: every option over wide inputs, the ends of the range, ties, and refusals."""

from __future__ import annotations

import numpy as np
import pytest
import reference_losses
from inputs import bits, loss_class
from reference import exact_array, ulp_error

import actloss_rs as al

INF, NAN = np.inf, np.nan
HUGE, TINY = np.finfo(np.float64).max, 5e-324

CASES = [
    ("mean_absolute_error", {}),
    ("mean_absolute_percentage_error", {}),
    ("mean_absolute_percentage_error", {"epsilon": 0.5}),
    ("mean_squared_logarithmic_error", {}),
    ("huber", {}),
    ("huber", {"delta": 0.1}),
    ("smooth_l1", {}),
    ("smooth_l1", {"beta": 0.3}),
    ("smooth_l1", {"beta": 0.0}),
    ("log_cosh", {}),
    ("quantile", {}),
    ("quantile", {"q": 0.9}),
    ("quantile", {"q": 0.0}),
    ("hinge", {}),
    ("squared_hinge", {}),
    ("soft_margin", {}),
    ("poisson", {}),
    ("poisson", {"full": True}),
    ("poisson", {"log_input": True}),
    ("poisson", {"log_input": True, "full": True}),
]
FOCAL = [
    {"from_logits": logits, **options}
    for logits in (False, True)
    for options in (
        {},
        {"gamma": 0.0},
        {"gamma": 1.0, "alpha": 0.3},
        {"gamma": 0.5, "apply_class_balancing": True},
        {"gamma": 3.3, "apply_class_balancing": True, "alpha": 0.7, "label_smoothing": 0.1},
    )
]
CASES += [("binary_focal_crossentropy", options) for options in (*FOCAL, {"epsilon": 0.1})]


def wide_inputs(name, options, dtype, count=200):
    """y_true and y_pred of all sizes, near each other and far apart."""
    rng = np.random.default_rng(0)
    x = rng.normal(0, 3, count)
    if name in ("hinge", "squared_hinge", "soft_margin"):
        return rng.choice([-1, 0, 1], count), (x * np.exp(rng.normal(0, 2, count))).astype(dtype)
    if name == "mean_squared_logarithmic_error":
        y = np.maximum(np.expm1(x), -0.99)
        p = y * (1 + rng.normal(0, 0.3, count) * 10.0 ** rng.integers(-7, 0, count))
        return y.astype(dtype), np.maximum(p, -0.99).astype(dtype)
    if name == "poisson":
        x = np.clip(x, -9, 6)
        p = x if options.get("log_input") else np.exp(x)
        return rng.poisson(np.exp(x)), p.astype(dtype)
    if name == "binary_focal_crossentropy":
        y = np.where(rng.random(count) < 0.3, rng.random(count), rng.random(count) < 0.5)
        p = 2 * x if options.get("from_logits") else np.clip(1 / (1 + np.exp(-x)), 1e-3, 1 - 2.0**-6)
        return y, p.astype(dtype)
    y = x + rng.normal(0, 1, count) * 10.0 ** rng.integers(-8, 3, count)
    return y.astype(dtype), x.astype(dtype)


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_options_over_wide_inputs(name, options, dtype):
    y_true, y_pred = wide_inputs(name, options, dtype)
    weight = np.random.default_rng(1).uniform(0.5, 2, len(y_pred)).astype(np.float32)
    loss = loss_class(name, reduction="none", **options)
    none = loss(y_true, y_pred)
    plain = reference_losses.LOSSES[name](y_true, y_pred, **options)
    assert ulp_error(none, plain.values, 1e-300).max() <= 1.5
    terms = plain._replace(
        **{key: exact_array(weight) * getattr(plain, key) for key in ("gradient", "hessian", "scale")},
        bend_scale=exact_array(weight) * plain.bend_scale,
    )
    g, h = loss.gradient_hessian(y_true, y_pred, weight)
    assert ulp_error(g, terms.gradient, terms.scale).max() <= 4
    # of the focal loss a sum of products of half a dozen rounded factors
    assert ulp_error(h, terms.hessian, terms.bend_scale).max() <= (10 if "focal" in name else 4)
    _, gradient = loss.value_and_grad(y_true, y_pred, weight)
    assert ulp_error(gradient, terms.gradient, terms.scale).max() <= 4


def none(name, y_true, y_pred, **options):
    return getattr(al, name)(y_true, y_pred, reduction="none", **options)


def derivatives(name, y_true, y_pred, **options):
    return loss_class(name, **options).gradient_hessian(y_true, y_pred)


# ----------------------------------------------------------------------------------------------- the ends


@pytest.mark.parametrize(
    ("name", "options", "y_true", "y_pred", "expected"),
    [
        ("mean_absolute_error", {}, [-HUGE, INF, 0, -INF], [HUGE, 0, -INF, INF], [INF] * 4),
        # 100 |p - y| / |y|, though p - y overflows
        ("mean_absolute_percentage_error", {}, [-HUGE, 1e-300, 4], [HUGE, 1e300, HUGE], [200, INF, INF]),
        ("mean_absolute_percentage_error", {}, [0, 0, TINY], [0, 1, 3 * TINY], [0, INF, 200]),
        ("mean_absolute_percentage_error", {"epsilon": 0.5}, [0, 0.25], [0, 0.75], [0, 100]),
        ("huber", {}, [0, 0, -HUGE], [INF, -HUGE, HUGE], [INF, HUGE, INF]),
        ("huber", {"delta": 2.0**-600}, [0, 0], [2.0**-580, 2.0**500], [0, 2.0**-100]),
        ("huber", {"delta": INF}, [0, 0], [INF, 2], [INF, 2]),
        ("smooth_l1", {"beta": 2.0**-600}, [0, 0], [2.0**-620, INF], [2.0**-641, INF]),
        ("smooth_l1", {"beta": 2.0**1000}, [0, 0], [2.0**960, 2.0**-30], [2.0**919, 2.0**-1061]),
        ("log_cosh", {}, [0, 0, 0], [INF, -HUGE, 1e300], [INF, HUGE, 1e300]),
        ("quantile", {"q": 0.0}, [INF, 0], [0, INF], [0, INF]),
        ("quantile", {"q": 1.0}, [INF, 0], [0, INF], [INF, 0]),
        ("hinge", {}, [1, -1, 1, 0], [-INF, INF, INF, -HUGE], [INF, INF, 0, 0]),
        ("squared_hinge", {}, [1, -1, 1], [-INF, 1e200, 1e200], [INF, INF, 0]),
        ("soft_margin", {}, [1, 1, -1, -1], [INF, -INF, INF, -HUGE], [0, INF, INF, 0]),
        ("poisson", {}, [0, 1, 0, 1, 1], [0, 0, INF, INF, TINY], [0, INF, INF, INF, 744.4400719213812]),
        ("poisson", {"log_input": True}, [0, 1, 0, 3, 1], [-INF, -INF, INF, INF, 1e4], [0, *[INF] * 4]),
        ("poisson", {"log_input": True}, [2, 1e300], [-HUGE, 400], [INF, -4e302]),
        ("mean_squared_logarithmic_error", {}, [0, 0, 5], [INF, 0, 5], [INF, 0, 0]),
    ],
)  # fmt: skip
def test_the_ends_of_the_range(name, options, y_true, y_pred, expected):
    np.testing.assert_array_equal(
        none(name, np.array(y_true, float), np.array(y_pred, float), **options), expected
    )


@pytest.mark.parametrize(
    ("name", "options", "y_true", "y_pred"),
    [
        # the quotient below the logarithm overflows
        ("mean_squared_logarithmic_error", {}, [2.0**-53 - 1, HUGE, -0.5], [HUGE, 2.0**-53 - 1, 1e305]),
        ("mean_squared_logarithmic_error", {}, [1e-300, 1e-30, 1e300], [2e-300, 1e-30 + 1e-46, 1.5e300]),
        ("log_cosh", {}, [0, 0, 0, 1], [1e-150, 1.25, 700, 1 + 2.0**-52]),
        ("log_cosh", {}, [1e-9, 1e-3, -1e6], [3, 18.5, 1e6 + 1]),
        ("poisson", {}, [1, 2.5, 1e-300], [1e-308, 1e300, 1e-300]),
        ("poisson", {"log_input": True}, [2, 7, 0], [709.7, -800, -708.5]),
        ("poisson", {"full": True}, [1, 1 + 2.0**-52, 1e10], [1, 1, 2e10]),
        ("soft_margin", {}, [1, 1, -1], [700, -700, 36.7]),
        ("binary_focal_crossentropy", {"from_logits": True}, [1, 0, 1, 0.5], [200, -200, -700, 600]),
        ("binary_focal_crossentropy", {"from_logits": True, "gamma": 0.0}, [1, 0], [660, -700]),
        ("binary_focal_crossentropy", {"from_logits": True, "gamma": 0.0625}, [1, 0], [650, -660]),
        ("binary_focal_crossentropy", {}, [1, 0, 1], [1 - 2.0**-53, 1e-100, 1e-300]),
    ],
)
def test_far_out_the_digits_are_kept(name, options, y_true, y_pred):
    y_true, y_pred = np.array(y_true, float), np.array(y_pred, float)
    terms = reference_losses.LOSSES[name](y_true, y_pred, **options)
    budget = 1.5 if "focal" not in name else 60  # of a power: the error of its exponent, which is large
    assert ulp_error(none(name, y_true, y_pred, **options), terms.values, 1e-300).max() <= budget
    g, h = derivatives(name, y_true, y_pred, **options)
    assert ulp_error(g, terms.gradient, np.maximum(terms.scale, 1e-300)).max() <= 2 * budget
    assert ulp_error(h, terms.hessian, np.maximum(terms.bend_scale, 1e-290)).max() <= 2 * budget


def test_gradients_at_infinity():
    x = np.array([INF, -INF])
    for name, y, expected in [
        ("log_cosh", 0, [1, -1]),
        ("huber", 0, [1, -1]),
        ("smooth_l1", 0, [1, -1]),
        ("quantile", 0, [0.5, -0.5]),
        ("hinge", 1, [0, -1]),
        ("soft_margin", 1, [0, -1]),
    ]:
        g, h = derivatives(name, y, x)
        np.testing.assert_array_equal(g, expected)
        np.testing.assert_array_equal(h, 1 if name == "quantile" else 0)
    for y, expected in [(1, [0, -1]), (0, [1, 0])]:
        g, h = derivatives("binary_focal_crossentropy", y, x, from_logits=True)
        np.testing.assert_array_equal(g, expected)
        np.testing.assert_array_equal(h, 0)
    for derivative in derivatives("mean_squared_logarithmic_error", [0.0], [INF]):
        assert derivative == 0


# --------------------------------------------------------------------------------------------------- ties


def test_gradients_at_kinks():
    y = np.array([0.0, -0.0, 1.5, 1e300, TINY])
    for name, hessian in [
        ("mean_absolute_error", 1),
        ("quantile", 1),
        ("mean_absolute_percentage_error", 0),
        ("smooth_l1", 1),
    ]:
        assert (none(name, y, y) == 0).all()
        g, h = derivatives(name, y, y)
        assert (g == 0).all()
        assert (h == hessian).all()
    g, h = derivatives("huber", 0.0, [1.0, -1.0, 1 + 2.0**-52], delta=1.0)
    assert g.tolist() == [1, -1, 1]
    assert h.tolist() == [1, 1, 0]
    g, h = derivatives("smooth_l1", 0.0, [1.0, -1.0, 1 - 2.0**-53], beta=1.0)
    assert g.tolist() == [1, -1, 1 - 2.0**-53]
    assert h.tolist() == [0, 0, 1]
    for name in ("hinge", "squared_hinge"):
        assert none(name, [1, -1], [1.0, -1.0]).tolist() == [0, 0]
        g, h = derivatives(name, [1, -1], [1.0, -1.0])
        assert g.tolist() == h.tolist() == [0, 0]
    short = 1 - 2.0**-53
    assert derivatives("hinge", [1, -1], [short, -short])[0].tolist() == [-1, 1]


def test_right_probabilities_of_the_focal_loss():
    """m**gamma B ~ m**(1 + gamma) where the probability of being wrong m goes to 0."""
    for gamma, slope, bend in [(0.0, 1, 1), (0.5, 0, INF), (1.0, 0, 2), (2.0, 0, 0)]:
        y = p = np.array([0.0, 1.0])
        assert none("binary_focal_crossentropy", y, p, gamma=gamma).tolist() == [0, 0]
        g, h = derivatives("binary_focal_crossentropy", y, p, gamma=gamma)
        assert g.tolist() == [slope, -slope]
        assert h.tolist() == [bend, bend]


def test_hopeless_probabilities_of_the_focal_loss():
    y, p = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    for gamma in (0.0, 0.5, 1.0, 2.0):
        assert none("binary_focal_crossentropy", y, p, gamma=gamma).tolist() == [INF, INF]
        g, h = derivatives("binary_focal_crossentropy", y, p, gamma=gamma)
        assert g.tolist() == [-INF, INF]
        assert h.tolist() == [INF, INF]


@pytest.mark.parametrize(("name", "options"), CASES, ids=str)
def test_nan_of_either_array(name, options):
    y = np.array([1.0, NAN, 1.0, 1, 1, 1, 1, 1, 1, NAN])
    x = np.array([0.5, 0.5, NAN, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])
    for result in (none(name, y, x, **options), *derivatives(name, y, x, **options)):
        np.testing.assert_array_equal(np.isnan(result), np.isnan(y + x))


# ------------------------------------------------------------------------------------------ relationships


def test_soft_margin_is_the_crossentropy_of_other_labels(dtype):
    y_true, y_pred = wide_inputs("soft_margin", {}, dtype)
    for reduction in ("none", "mean"):
        margin = loss_class("soft_margin", reduction=reduction)
        crossentropy = loss_class("binary_crossentropy", from_logits=True, reduction=reduction)
        for one, other in zip(
            (*margin.value_and_grad(y_true, y_pred), *margin.gradient_hessian(y_true, y_pred)),
            (
                *crossentropy.value_and_grad(y_true > 0, y_pred),
                *crossentropy.gradient_hessian(y_true > 0, y_pred),
            ),
            strict=True,
        ):
            assert bits(one) == bits(other)


@pytest.mark.parametrize("name", ["hinge", "squared_hinge", "soft_margin"])
def test_a_label_0_is_a_no(name):
    y_pred = np.linspace(-3, 3, 13)
    assert bits(none(name, np.zeros(13, bool), y_pred)) == bits(none(name, -np.ones(13), y_pred))
    y = np.arange(13) % 2
    assert bits(none(name, y, y_pred)) == bits(none(name, 2 * y - 1, y_pred))


def test_labels_of_the_focal_loss_that_single_precision_lacks():
    y_true, y_pred = wide_inputs("binary_focal_crossentropy", {}, np.float32)
    values = none("binary_focal_crossentropy", y_true, y_pred)
    terms = reference_losses.LOSSES["binary_focal_crossentropy"](y_true, y_pred)
    assert values.dtype == np.float32
    assert ulp_error(values, terms.values).max() <= 0.6


@pytest.mark.parametrize("name", ["mean_absolute_error", "huber", "log_cosh", "quantile"])
def test_a_regression_of_two_types_is_computed_in_the_wider(name):
    y_pred = np.array([0.5, 2.0], np.float32)
    y_true = np.array([0.25, 1.0]) + 2.0**-40
    values = none(name, y_true, y_pred)
    assert values.dtype == np.float64
    assert ulp_error(values, reference_losses.LOSSES[name](y_true, y_pred).values).max() <= 1.5


# ---------------------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("code", ["f", "d"])
@pytest.mark.parametrize(
    ("name", "options", "argument", "found"),
    [
        ("mean_squared_logarithmic_error", {}, "y_true", -1.0),
        ("mean_squared_logarithmic_error", {}, "y_true", -INF),
        ("mean_squared_logarithmic_error", {}, "y_pred", -1.0),
        ("mean_squared_logarithmic_error", {}, "y_pred", -2.5),
        ("poisson", {}, "y_true", -0.5),
        ("poisson", {}, "y_pred", -0.5),
        ("poisson", {"log_input": True}, "y_true", -3.0),
        ("hinge", {}, "y_true", 0.5),
        ("hinge", {}, "y_true", 2.0),
        ("squared_hinge", {}, "y_true", -0.25),
        ("soft_margin", {}, "y_true", -INF),
        ("binary_focal_crossentropy", {}, "y_pred", 1.5),
        ("binary_focal_crossentropy", {"from_logits": True}, "y_true", -0.5),
    ],
)
def test_values_without_meaning(name, options, argument, found, code):
    arrays = {"y_true": np.ones((5, 4), code), "y_pred": np.full((5, 4), 0.5, code)}
    arrays[argument][3, 1] = arrays[argument][4, 0] = found
    loss = loss_class(name, **options)
    for call in (
        lambda: loss(**arrays),
        lambda: loss.value_and_grad(**arrays, out=np.empty((5, 4), code)),
        lambda: loss.metric().update_state(**arrays),
        lambda: getattr(al, name)(**arrays, **options),
    ):
        with pytest.raises(ValueError, match=rf"{argument}\[3, 1\] = {found}"):
            call()


def test_values_at_the_ends_of_the_domains():
    least = np.nextafter(-1.0, 0)
    assert none("mean_squared_logarithmic_error", [least], [least]) == 0
    assert none("poisson", [-0.0], [-0.0]) == 0
    loss_class("poisson", log_input=True)([0.0], [-5.0])
    assert none("hinge", [-0.0], [-1.0]) == 0


@pytest.mark.parametrize(
    ("name", "option", "values"),
    [
        ("huber", "delta", [0.0, -1.0, NAN]),
        ("smooth_l1", "beta", [-0.5, NAN]),
        ("quantile", "q", [-0.1, 1.1, NAN]),
        ("mean_absolute_percentage_error", "epsilon", [-1e-7, NAN]),
        ("binary_focal_crossentropy", "gamma", [-1.0, NAN]),
        ("binary_focal_crossentropy", "alpha", [-0.25, 1.5]),
        ("binary_focal_crossentropy", "label_smoothing", [-0.25, 1.5]),
        ("binary_focal_crossentropy", "epsilon", [-0.25, 0.75]),
        ("gaussian_nll", "epsilon", [-1e-6, NAN]),
    ],
)
def test_options_out_of_range(name, option, values):
    cls = {"gaussian_nll": al.losses.GaussianNLL}.get(name) or type(loss_class(name))
    for value in values:
        with pytest.raises(ValueError, match=rf"{option} must .*{value}"):
            cls(**{option: value})
    for value in ("1", None, [1.0, 2.0]):
        with pytest.raises(TypeError, match=option):
            cls(**{option: value})
