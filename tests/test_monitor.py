"""The monitor: its histories, and that it names what is wrong and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from actloss_rs.diagnostics import Monitor, Thresholds

RNG = np.random.default_rng(4)
LAYERS = [f"layer {number}" for number in range(1, 7)]


def healthy(step, **changed):
    """Arrays as of a healthy network of ReLUs at a step."""
    arrays = {
        "activations": {layer: np.maximum(RNG.normal(0, 1, (64, 20)), 0) for layer in LAYERS},
        "gradients": {layer: RNG.normal(0, 1e-3, (64, 20)) for layer in LAYERS},
        "weights": {layer: RNG.normal(0, 0.3, (20, 20)) for layer in LAYERS},
        "updates": {layer: RNG.normal(0, 3e-4, (20, 20)) for layer in LAYERS},
        "loss": 2.0 / (step + 1),
        "learning_rate": 0.8,
    }
    return arrays | changed


def recorded(steps, change=lambda step, arrays: None, functions="relu", **options):
    monitor = Monitor(functions, **options)
    for step in range(steps):
        arrays = healthy(step)
        change(step, arrays)
        monitor.record(step, **arrays)
    return monitor


def names(monitor):
    return [diagnosis.name for diagnosis in monitor.diagnose()]


def test_a_healthy_run_raises_no_alarm():
    assert not recorded(40).diagnose()
    assert not Monitor().diagnose()


def test_dead_units_are_named_with_layer_step_rate_and_remedy():
    def kill(step, arrays):
        if step >= 12:
            arrays["activations"]["layer 3"][:, :18] = 0

    (found,) = recorded(40, kill).diagnose()
    assert (found.name, found.layers, found.since) == ("dead units", ("layer 3",), 12)
    assert found.evidence == "90% of units dead since step 12"
    assert "learning rate 0.8 is the likely cause; try 0.08, leaky_relu or batch_norm" in str(found)


def test_zeros_of_other_functions_and_for_a_while_are_no_dead_units():
    def kill(step, arrays):
        arrays["activations"]["layer 3"][:, :18] = 0

    assert names(recorded(40, kill)) == ["dead units"]
    assert not names(recorded(40, kill, functions={"layer 2": "relu", "layer 3": "leaky_relu"}))
    assert not names(recorded(40, kill, thresholds=Thresholds(dead_fraction=0.95)))
    assert not names(recorded(9, kill))
    assert not names(recorded(40, lambda step, arrays: kill(step, arrays) if step % 9 else None))


@pytest.mark.parametrize("factor", [5.0, 40.0])
def test_vanishing_gradients_are_measured_per_layer(factor):
    def shrink(step, arrays):
        for depth, layer in enumerate(reversed(LAYERS)):
            arrays["gradients"][layer] /= factor**depth

    (found,) = recorded(30, shrink, functions="tanh").diagnose()
    assert found.name == "vanishing gradients"
    per_layer = float(found.evidence.split("falls ")[1].split("x")[0])
    assert per_layer == pytest.approx(factor, rel=0.1)
    assert "relu in place of tanh" in found.remedy


def test_exploding_gradients_by_layer_step_and_loss():
    def grow(step, arrays):
        for depth, layer in enumerate(reversed(LAYERS)):
            arrays["gradients"][layer] *= 6.0**depth

    def throw(step, arrays):
        arrays["updates"]["layer 2"] *= 1e4

    def diverge(step, arrays):
        arrays["loss"] = 2.0 + 3.0 * step

    for change, words in [(grow, "grows 6"), (throw, "layer 2"), (diverge, "loss has gone from 2 to 89")]:
        (found,) = recorded(30, change).diagnose()
        assert found.name == "exploding gradients"
        assert words in str(found)
        assert "clip_by_global_norm" in found.remedy


def test_what_is_not_finite_is_named_at_its_first_step():
    def break_it(step, arrays):
        if step >= 5:
            arrays["gradients"]["layer 4"][0, :3] = np.nan
            arrays["weights"]["layer 1"][:] = np.inf

    (found,) = recorded(20, break_it).diagnose()
    assert (found.name, found.layers, found.since) == ("not finite", ("layer 4",), 5)
    assert found.evidence.startswith("3 NaN and 0 infinite values among 1280 gradients")
    (found,) = recorded(3, lambda step, arrays: arrays.update(loss=np.inf)).diagnose()
    assert "loss is inf at step 0" in found.evidence


@pytest.mark.parametrize(("function", "value"), [("sigmoid", 0.999), ("tanh", -0.99)])
def test_saturation(function, value):
    def saturate(step, arrays):
        for layer in LAYERS:
            arrays["activations"][layer] = RNG.uniform(0.2, 0.8, (64, 20))
        arrays["activations"]["layer 5"][:, :15] = value

    (found,) = recorded(20, saturate, functions=function).diagnose()
    assert (found.name, found.layers) == ("saturation", ("layer 5",))
    assert found.evidence.startswith(f"75% of {function} outputs")


def test_histories_are_those_of_the_arrays():
    monitor = Monitor("relu", magnitudes_every=2)
    arrays = RNG.normal(0, 1, (4, 5, 6))
    for step, array in enumerate(arrays):
        monitor.record(10 * step, gradients={"a": array}, loss=step)
    steps, rms = monitor.series("gradients", "a", "rms")
    assert steps == [0, 10, 20, 30]
    np.testing.assert_allclose(rms, np.sqrt((arrays**2).mean((1, 2))), rtol=1e-15)
    assert [record.gradients["a"].magnitudes is not None for record in monitor] == [True, False, True, False]
    assert monitor.layers("gradients") == ["a"]
    assert len(monitor) == 4
    with pytest.raises(ValueError, match="step 30 does not follow"):
        monitor.record(30)


def test_plots_show_what_there_is():
    pytest.importorskip("matplotlib")

    def break_it(step, arrays):
        if step > 7:
            arrays["gradients"]["layer 4"][0, 0] = np.nan

    for monitor in (recorded(12), recorded(12, break_it), Monitor()):
        page = monitor.plot()
        page.canvas.draw()
        titles = [axis.get_title(loc="left") for axis in page.axes]
        assert titles[0] == "loss"
        assert ("gradient RMS" in titles) == (len(monitor) > 0)
    assert "saturated outputs" not in titles


def test_tensorboard_reads_what_is_written(tmp_path):
    """With TensorBoard's own reader, and the numbers against NumPy."""
    pytest.importorskip("tensorboardX")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")

    def break_it(step, arrays):
        if step == 11:
            arrays["updates"]["layer 4"][0, 0] = np.nan

    kept = []
    monitor = recorded(12, lambda step, arrays: (break_it(step, arrays), kept.append(arrays)))
    monitor.to_tensorboard(tmp_path)
    events = accumulator.EventAccumulator(str(tmp_path), size_guidance={"scalars": 0, "histograms": 0})
    events.Reload()
    tags = events.Tags()
    assert {"loss", "learning_rate", "gradients_rms/layer_1", "activations_dead_fraction/layer_6"} <= set(
        tags["scalars"]
    )
    read = events.Scalars("gradients_rms/layer_2")
    assert [event.step for event in read] == list(range(12))
    expected = [np.sqrt((arrays["gradients"]["layer 2"] ** 2).mean()) for arrays in kept]
    np.testing.assert_allclose([event.value for event in read], expected, rtol=1e-6)
    assert [event.step for event in events.Histograms("weights/layer_3")] == [0, 10]
    histogram = events.Histograms("weights/layer_3")[0].histogram_value
    weights = kept[0]["weights"]["layer 3"]
    assert histogram.num == weights.size
    np.testing.assert_allclose(histogram.sum, weights.sum(), rtol=1e-12)
    counts, _ = np.histogram(weights, [histogram.min, *histogram.bucket_limit])
    assert list(histogram.bucket) == list(counts)
    assert any("diagnoses" in tag for tag in tags["tensors"])
