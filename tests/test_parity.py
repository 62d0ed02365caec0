"""Accuracy: every activation against its exact value, in units in the last place."""

from __future__ import annotations

import numpy as np
import pytest
from inputs import EXACT, PARAMETERS, every_16_bits, function, samples
from reference import ACTIVATIONS, evaluate, ulp_error

BUDGET = {"float32": 1.0, "float64": 1.5}


def worst(name, x, parameters=()):
    """The largest error over x in ULP, with the input it belongs to in the message of a failure."""
    exact = evaluate(ACTIVATIONS[name].value, x, *(x.dtype.type(v) for v in parameters))
    actual = function(name)(x, *parameters)
    assert actual.dtype == x.dtype
    errors = ulp_error(actual, exact)
    at = int(errors.argmax())
    return float(errors[at]), f"{name}{parameters}({x[at]!r}) = {actual[at]!r}, exactly {exact[at]}"


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"], indirect=True)
@pytest.mark.parametrize("name", [name for name, entry in ACTIVATIONS.items() if not entry.parameters])
def test_the_nearest_for_every_16_bit_input(name, dtype):
    """Correctly rounded; but a tie may fall to either side that x / 2 is, and the function beyond float32."""
    error, message = worst(name, every_16_bits(dtype))
    assert error <= 0.5 + 2.0**-20, message


@pytest.mark.slow
@pytest.mark.parametrize("dtype", ["float16", "bfloat16"], indirect=True)
@pytest.mark.parametrize(("name", "parameters"), [case for case in PARAMETERS if case[1]])
def test_within_one_ulp_with_parameters_in_16_bits(name, parameters, dtype):
    error, message = worst(name, every_16_bits(dtype)[::5], parameters)
    assert error <= EXACT.get(name, 1.0), message


@pytest.mark.parametrize("dtype", BUDGET, indirect=True)
@pytest.mark.parametrize(("name", "parameters"), PARAMETERS)
def test_within_the_ulp_budget(name, parameters, dtype):
    error, message = worst(name, samples(dtype, 4000), parameters)
    assert error <= EXACT.get(name, BUDGET[dtype.name]), message


@pytest.mark.parametrize("dtype", BUDGET, indirect=True)
@pytest.mark.parametrize("name", ["softplus", "leaky_relu", "elu"])
def test_within_the_ulp_budget_with_a_parameter_for_each_element(name, dtype):
    rng = np.random.default_rng(1)
    x, parameter = (rng.normal(0, 5, 3000).astype(dtype), rng.uniform(0.1, 4, 3000).astype(dtype))
    errors = ulp_error(function(name)(x, parameter), evaluate(ACTIVATIONS[name].value, x, parameter))
    assert errors.max() <= BUDGET[dtype.name]
