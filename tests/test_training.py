"""The training kit: gradients against differences, updates against the papers' formulas; it learns."""

from __future__ import annotations

import numpy as np
import pytest

import actloss_rs as al
from actloss_rs import training
from actloss_rs.diagnostics import Monitor

LOSS = al.losses.SparseCategoricalCrossentropy(from_logits=True)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("activation", ["tanh", "leaky_relu"])
def test_gradients_are_differences(activation, batch_norm):
    rng = np.random.default_rng(1)
    network = training.classifier([5, 4, 3, 3], activation, rng, init="glorot", batch_norm=batch_norm)
    for layer in network.layers:
        layer.parameters = {name: array.astype(np.float64) for name, array in layer.parameters.items()}
    x, y = rng.normal(0, 1, (8, 5)), rng.integers(0, 3, 8)
    _, gradient = LOSS.value_and_grad(y, network.forward(x))
    network.backward(gradient)
    found = network.gradients()
    parameters = network.parameters()
    assert found.keys() == parameters.keys()
    for name, array in parameters.items():
        for index in list(np.ndindex(array.shape))[::3]:
            before = array[index]
            values = []
            for step in (1e-6, -1e-6):
                array[index] = before + step
                values.append(LOSS(y, network.forward(x)))
            array[index] = before
            assert found[name][index] == pytest.approx((values[0] - values[1]) / 2e-6, abs=1e-8), name


def test_updates_are_the_formulas():
    rng = np.random.default_rng(2)
    gradients = [{"w": rng.normal(0, 1, 4)} for _ in range(3)]
    first, second, third = (gradient["w"] for gradient in gradients)
    sgd, momentum, adam = training.SGD(), training.Momentum(0.9), training.Adam(0.8, 0.9, 1e-3)
    for optimizer in (sgd, momentum, adam):
        updates = [optimizer.updates(gradient, 0.1)["w"] for gradient in gradients]
        if optimizer is sgd:
            expected = -0.1 * third
        elif optimizer is momentum:
            expected = -0.1 * (third + 0.9 * second + 0.81 * first)
        else:
            mean = (third + 0.8 * second + 0.64 * first) * 0.2 / (1 - 0.8**3)
            square = (third**2 + 0.9 * second**2 + 0.81 * first**2) * 0.1 / (1 - 0.9**3)
            expected = -0.1 * mean / (np.sqrt(square) + 1e-3)
        np.testing.assert_allclose(updates[-1], expected, rtol=1e-12)


def test_schedules():
    assert [training.step_decay(1.0, 0.5, 2)(step) for step in range(5)] == [1, 1, 0.5, 0.5, 0.25]
    schedule = training.warm_up(training.cosine(1.0, 10, final=0.2), 4)
    assert [schedule(step) for step in range(5)] == [0.25, 0.5, 0.75, 1.0, 1.0]
    assert schedule(9) == pytest.approx(0.6)
    assert schedule(14) == schedule(1000) == pytest.approx(0.2)


def test_batches_show_every_sample_before_any_twice():
    x = np.arange(10)
    seen = [set(a) for a, b in training.batches(x, x, 5, 4, np.random.default_rng(0)) if (a == b).all()]
    assert seen[0] | seen[1] == seen[2] | seen[3] == set(range(10))


@pytest.mark.parametrize("optimizer", [training.SGD, training.Momentum, training.Adam])
def test_a_network_learns(optimizer):
    rng = np.random.default_rng(3)
    centres = rng.normal(0, 1, (4, 6))
    y = rng.integers(0, 4, 400)
    x = (centres[y] + rng.normal(0, 0.3, (400, 6))).astype(np.float32)
    network = training.classifier([6, 16, 4], "relu", rng, batch_norm=True)
    rate = training.warm_up(training.cosine(0.01 if optimizer is training.Adam else 0.1, 150), 10)
    monitor = Monitor("relu")
    training.train(network, LOSS, optimizer(), rate, x[:300], y[:300], rng, steps=160, monitor=monitor)
    assert training.accuracy(network, x[300:], y[300:]) > 0.9
    assert not monitor.diagnose()
    assert monitor.layers("gradients") == ["layer 1", "layer 2"]
    assert monitor.layers("activations") == ["layer 1"]


def test_clipping_bounds_the_step():
    rng = np.random.default_rng(5)
    network = training.classifier([3, 4, 2], "relu", rng, gain=20.0)
    before = {name: array.copy() for name, array in network.parameters().items()}
    x, y = rng.normal(0, 1, (64, 3)).astype(np.float32), rng.integers(0, 2, 64)
    training.train(network, LOSS, training.SGD(), training.constant(0.1), x, y, rng, steps=1, clip_norm=2.0)
    moved = al.global_norm([network.parameters()[name] - array for name, array in before.items()])
    assert moved == pytest.approx(0.2, rel=1e-4)
