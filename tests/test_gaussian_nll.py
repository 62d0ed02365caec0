"""The loss of three arrays: variances of every shape and type, and all that the others promise."""

from __future__ import annotations

import inspect
import pickle

import numpy as np
import pytest
import reference_losses
from inputs import bits, layouts
from reference import exact_mean, exact_sum, finite_difference, ulp_error

import actloss_rs as al
from actloss_rs.losses import GaussianNLL

REDUCTIONS = ["sum", "mean", "sum_over_batch_size"]
INF, NAN = np.inf, np.nan


def inputs(shape=(13, 7), dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    y = rng.normal(0, 3, shape)
    p = y + rng.normal(0, 1, shape)
    return y.astype(dtype), p.astype(dtype), rng.uniform(0, 2, shape)


@pytest.mark.parametrize("options", [{}, {"full": True}, {"epsilon": 0.5}, {"full": True, "epsilon": 0.0}])
def test_values_and_derivatives(options, dtype):
    y, p, var = inputs(dtype=dtype)
    weight = np.linspace(0.5, 2, 13)
    terms = reference_losses.LOSSES["gaussian_nll"](y, p, var, sample_weight=weight, **options)
    none = al.gaussian_nll(y, p, var, reduction="none", sample_weight=weight, **options)
    assert none.dtype == (np.float64 if dtype == np.float64 else np.float32)  # variances never promote
    assert ulp_error(none, terms.values).max() <= 3
    eps = float(np.finfo(none.dtype).eps)
    for reduction in REDUCTIONS:
        loss = GaussianNLL(reduction=reduction, **options)
        value, gradient = loss.value_and_grad(y, p, var, weight)
        assert type(value) is np.float64
        assert value == loss(y, p, var, weight) == loss(y, p, var, sample_weight=weight)
        assert value == al.gaussian_nll(y, p, var, reduction=reduction, sample_weight=weight, **options)
        assert value == pytest.approx(float(terms.reduced(reduction)), rel=10 * eps)
        assert gradient.dtype == dtype
        assert ulp_error(gradient, terms.reduced_gradient(reduction)).max() <= 3
    g, h = loss.gradient_hessian(y, p, var, weight)
    assert ulp_error(g, terms.gradient).max() <= 3
    assert ulp_error(h, terms.hessian).max() <= 3


def test_the_gradient_is_the_difference_quotient():
    y, p, var = inputs((4, 3))
    numerical = finite_difference(
        lambda x: reference_losses.LOSSES["gaussian_nll"](y, x, var).reduced("mean"), p
    )
    np.testing.assert_allclose(GaussianNLL().value_and_grad(y, p, var)[1], numerical, rtol=1e-6, atol=1e-9)


def test_sums_are_exact():
    y, p, var = inputs((400, 5), np.float32)
    weight = np.random.default_rng(1).uniform(0, 2, (400, 5))
    none = al.gaussian_nll(y, p, var, reduction="none", sample_weight=weight)
    assert al.gaussian_nll(y, p, var, reduction="sum", sample_weight=weight) == exact_sum(none.ravel())
    assert al.gaussian_nll(y, p, var, sample_weight=weight) == exact_mean(none.ravel(), weight.ravel())


def test_shapes_of_variances():
    y, p, full = inputs((4, 3, 5))
    for shape in [(), (4,), (4, 3), (4, 3, 1), (4, 3, 5)]:
        var = full.ravel()[: int(np.prod(shape))].reshape(shape)
        spread = np.broadcast_to(var.reshape(shape + (1,) * (3 - len(shape))), full.shape)
        expected = al.gaussian_nll(y, p, np.ascontiguousarray(spread), reduction="none")
        assert bits(al.gaussian_nll(y, p, var, reduction="none")) == bits(expected), shape
    assert al.gaussian_nll(1.0, 2.0, 1.0, reduction="none") == 0.5
    for shape in [(3,), (5,), (4, 5), (3, 5), (1, 3, 5), (4, 1, 5), (4, 3, 2), (4, 3, 5, 1)]:
        with pytest.raises(ValueError, match="var has shape") as raised:
            al.gaussian_nll(y, p, np.ones(shape))
        assert str(shape) in str(raised.value)
        assert "(4, 3, 5)" in str(raised.value)


@pytest.mark.parametrize("code", ["?", "b", "H", "i", "Q", "e", "f", "d"])
def test_variances_of_any_type(code):
    y, p, _ = inputs((6, 2), np.float32)
    var = np.array([1, 0, 1, 1, 1, 0]).astype(code)
    expected = al.gaussian_nll(y, p, [1, 0, 1, 1, 1, 0], reduction="none")
    assert bits(al.gaussian_nll(y, p, var, reduction="none")) == bits(expected)


def test_variances_are_not_rounded():
    y, p, var = np.zeros(1, np.float32), np.ones(1, np.float32), np.array([1 + 2.0**-40])
    terms = reference_losses.LOSSES["gaussian_nll"](y, p, var, full=True)
    none = al.gaussian_nll(y, p, var, full=True, reduction="none")
    assert ulp_error(none, terms.values).max() <= 0.5


def test_layouts_and_out(dtype):
    y, p, var = inputs((5, 4), dtype)
    loss = GaussianNLL()
    expected = loss.value_and_grad(y, p, var)
    for held in zip(layouts(y).values(), reversed(layouts(p).values()), layouts(var).values(), strict=False):
        for one, other in zip(loss.value_and_grad(*held), expected, strict=True):
            assert bits(one) == bits(other)
    out = np.empty_like(p)
    assert loss.value_and_grad(y, p, var, out=out)[1] is out
    assert bits(out) == bits(expected[1])
    loss.value_and_grad(y, p, var, out=p)
    assert bits(p) == bits(expected[1])


def test_refusals():
    y, p, var = inputs((5, 4))
    loss, out = GaussianNLL(), np.full((5, 4), 7.0)
    with pytest.raises(ValueError, match="out shares memory with var"):
        loss.value_and_grad(y, p, var, out=var)
    var[3, 1] = var[4, 0] = -0.5
    for call in (
        lambda: al.gaussian_nll(y, p, var),
        lambda: loss(y, p, var),
        lambda: loss.value_and_grad(y, p, var, out=out),
        lambda: loss.gradient_hessian(y, p, var),
        lambda: loss.metric().update_state(y, p, var=var),
    ):
        with pytest.raises(ValueError, match=r"var\[3, 1\] = -0\.5 is negative"):
            call()
    assert (out == 7).all()
    with pytest.raises(ValueError, match=r"var\[3, 0\] = -0\.5"):
        loss(y, p, [[1], [1], [1], [-0.5], [1]])
    with pytest.raises(ValueError, match=r"var\[3\] = -0\.5"):
        loss(y, p, [1, 1, 1, -0.5, 1])
    with pytest.raises(ValueError, match=r"sample_weight\[2\] = -1"):
        loss(y, p, 1.0, [1, 1, -1, 1, 1])
    with pytest.raises(TypeError, match="var"):
        loss(y, p)
    with pytest.raises(TypeError, match="needs var"):
        loss.metric().update_state(y, p)
    with pytest.raises(TypeError, match="takes no var"):
        al.losses.MeanSquaredError().metric().update_state(y, p, var=y)
    with pytest.raises(TypeError, match=r"(?i)mask"):
        loss(y, p, np.ma.ones((5, 4)))


def test_special_values():
    y = np.zeros(8)
    p = np.array([0, 1, INF, 0, 0, NAN, 0, 1e200])
    var = np.array([0, 0, 1, INF, NAN, 1, 1e-300, 1e-200])
    expected = [-INF, INF, INF, INF, NAN, NAN, np.log(1e-300) / 2, INF]
    np.testing.assert_allclose(
        al.gaussian_nll(y, p, var, epsilon=0.0, reduction="none"), expected, rtol=1e-15
    )
    floor = np.log(1e-6) / 2
    np.testing.assert_allclose(
        al.gaussian_nll(np.zeros(2), np.zeros(2), np.zeros(2), reduction="none"), floor, rtol=1e-15
    )


def test_metric():
    y, p, var = inputs((60, 4))
    weight = np.linspace(0, 2, 60)
    for reduction in REDUCTIONS:
        loss = GaussianNLL(reduction=reduction, full=True)
        metric, other = loss.metric(), loss.metric()
        metric.update_state(y[:17], p[:17], weight[:17], var=var[:17])
        other.update_state(y[17:], p[17:], weight[17:], var=var[17:])
        metric.merge_state([pickle.loads(pickle.dumps(other))])
        assert metric.count == 240
        assert metric.result() == loss(y, p, var, weight)
    different = GaussianNLL(full=True, epsilon=1e-3).metric()
    with pytest.raises(ValueError, match="epsilon"):
        different.merge_state([metric])


def test_threads_and_splits():
    y, p, var = inputs((30_011, 3), np.float32)
    loss = GaussianNLL()
    with al.num_threads(1):
        expected = loss.value_and_grad(y, p, var[:, :1])
    for threads in (2, 5):
        with al.num_threads(threads):
            actual = loss.value_and_grad(y, p, var[:, :1])
        assert list(map(bits, actual)) == list(map(bits, expected))
    g, h = loss.gradient_hessian(y, p, var)
    part = loss.gradient_hessian(y[77:99], p[77:99], var[77:99])
    assert (bits(part[0]), bits(part[1])) == (bits(g[77:99]), bits(h[77:99]))


def test_the_object():
    loss = GaussianNLL(full=True, epsilon=0.25, reduction="sum")
    again = pickle.loads(pickle.dumps(loss))
    assert repr(again) == repr(loss) == "GaussianNLL(full=True, epsilon=0.25, reduction='sum')"
    names = [
        list(inspect.signature(method).parameters)[:5]
        for method in (GaussianNLL.__call__, GaussianNLL.value_and_grad, GaussianNLL.gradient_hessian)
    ]
    assert all(found == ["self", "y_true", "y_pred", "var", "sample_weight"] for found in names)


def test_empty_batch():
    empty = np.zeros((0, 3))
    assert al.gaussian_nll(empty, empty, 1.0, reduction="none").shape == (0, 3)
    with pytest.warns(RuntimeWarning):
        assert np.isnan(al.gaussian_nll(empty, empty, empty))


def test_evaluation_says_that_it_has_no_third_array():
    with pytest.raises(ValueError, match=r"gaussian_nll takes a third array.*metric\(\)"):
        al.evaluate([1.0], [1.0], loss="gaussian_nll")
