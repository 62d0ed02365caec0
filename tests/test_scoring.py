"""`token_log_probs`: minus the sparse cross-entropy, in one pass, to the last digits."""

from __future__ import annotations

import math
import re

import numpy as np
import pytest
import reference_losses
from inputs import bits, layouts, loss_inputs
from reference import ulp_error

import actloss_rs as al

SPARSE = "sparse_categorical_crossentropy"


def inputs(shape, dtype=np.float64):
    return loss_inputs(SPARSE, shape, dtype, from_logits=True)


@pytest.mark.parametrize("shape", [(7, 1), (9, 3), (5, 130), (2, 3, 17)])
@pytest.mark.parametrize("temperature", [1.0, 0.7, 3.0, 2.0**-5])
def test_values(shape, temperature, dtype):
    y_true, logits = inputs(shape, dtype)
    actual = al.token_log_probs(y_true, logits, temperature=temperature)
    assert actual.dtype == (np.float64 if dtype == np.float64 else np.float32)
    assert actual.shape == shape[:-1]
    terms = reference_losses.sparse_categorical_crossentropy(
        y_true, logits, from_logits=True, temperature=temperature
    )
    assert ulp_error(actual, -terms.values, 1e-300).max() <= 3


def test_it_is_minus_the_loss(dtype):
    y_true, logits = inputs((40, 33), dtype)
    y_true[::5] = -100
    options = {"temperature": 1.5, "ignore_class": -100}
    loss = al.sparse_categorical_crossentropy(y_true, logits, from_logits=True, reduction="none", **options)
    actual = al.token_log_probs(y_true, logits, **options)
    np.testing.assert_array_equal(actual, -loss)
    assert (actual[::5] == 0).all()
    assert not np.signbit(actual[::5]).any()


def test_certainty_is_positive_zero():
    actual = al.token_log_probs([0, 1, 0], [[np.inf, 0], [np.inf, 0], [-np.inf, 0]])
    np.testing.assert_array_equal(actual, [0, -np.inf, -np.inf])
    assert not np.signbit(actual[0])
    assert not np.signbit(al.token_log_probs([0], [[3.0]]))[0]


def test_likely_labels_keep_their_digits():
    actual = al.token_log_probs([0, 0], [[40.0, 0, 0], [90.0, 0, 1]])
    exact = [-2 * math.exp(-40), -(math.exp(-90) + math.exp(-89))]
    np.testing.assert_allclose(actual, exact, rtol=1e-15)


def test_axis_layout_and_shape_of_labels(dtype):
    y_true, logits = inputs((4, 6, 5), dtype)
    expected = bits(al.token_log_probs(y_true, logits))
    assert bits(al.token_log_probs(y_true[..., None], logits)) == expected
    assert bits(al.token_log_probs(y_true, np.moveaxis(logits, -1, 1), axis=1)) == expected
    for layout, held in layouts(logits).items():
        assert bits(al.token_log_probs(y_true, held)) == expected, layout
    assert bits(al.token_log_probs(y_true.tolist(), logits)) == expected


def test_a_single_label_and_integer_logits():
    assert al.token_log_probs(1, [0, 0]) == -np.log(2)
    assert al.token_log_probs([1], [[0, 0]]).dtype == np.float64
    assert al.token_log_probs(np.zeros(0, int), np.zeros((0, 3))).shape == (0,)


def test_nan_is_nan_for_its_row_only():
    actual = al.token_log_probs([0, 0], [[1, np.nan], [1, 2]])
    np.testing.assert_array_equal(np.isnan(actual), [True, False])


@pytest.mark.parametrize("temperature", [0.0, -1.0, np.nan, np.inf])
def test_temperatures(temperature):
    with pytest.raises(ValueError, match="temperature must be a positive"):
        al.token_log_probs([0], [[1.0, 2.0]], temperature=temperature)


def test_errors_call_the_arguments_by_their_names():
    logits = np.zeros((2, 3))
    for arguments, error, words in [
        (([0, 3], logits), ValueError, r"y_true\[1\] = 3.*logits has 3 classes"),
        (([0, 1, 2], logits), ValueError, r"y_true has shape \(3,\) but logits has shape \(2, 3\)"),
        (([0.0, 1.0], logits), TypeError, r"y_true.*\.astype\(int\)"),
        (([0, 1], logits.astype(complex)), TypeError, "logits has dtype complex128"),
        (([0, 1], np.zeros((2, 0))), ValueError, "logits has no classes"),
        (([0, 1], np.ma.array(logits)), TypeError, "logits"),
    ]:
        with pytest.raises(error) as raised:
            al.token_log_probs(*arguments)
        assert re.search(words, str(raised.value)), raised.value
    with pytest.raises(ValueError, match="axis 2 is out of range: logits"):
        al.token_log_probs([0, 1], logits, axis=2)
    with pytest.raises(TypeError):
        al.token_log_probs([0, 1], logits, -1)


def test_threads_change_nothing():
    y_true, logits = inputs((3000, 50), np.dtype(np.float32))
    expected = bits(al.token_log_probs(y_true, logits))
    for threads in (1, 3):
        with al.num_threads(threads):
            assert bits(al.token_log_probs(y_true, logits)) == expected
