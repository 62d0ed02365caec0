"""ONNX's own conformance tests, inputs and expected outputs, of every operator that is a function here."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import actloss_rs as al

pytest.importorskip("onnx")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from onnx.backend.test.case.node import collect_testcases
    from onnx.helper import get_attribute_value


def shrink(x: Any, lambd: float = 0.5, bias: float = 0.0) -> Any:
    assert bias in (0, lambd), "neither of the two that are functions here"
    return al.soft_shrink(x, lambd) if bias else al.hard_shrink(x, lambd)


def clip(x: Any, low: Any = -np.inf, high: Any = np.inf) -> Any:
    # Of bounds in the wrong order the upper one counts there.
    return al.hard_tanh(x, np.minimum(low, high), high)


def logsumexp(x: Any, axes: Any, keepdims: int = 1) -> Any:
    return al.logsumexp(x, axis=tuple(axes.tolist()) or None, keepdims=bool(keepdims))


def crossentropy(
    x: Any, ids: Any, weight: Any = None, reduction: str = "mean", ignore_index: Any = None
) -> Any:
    """The loss, and the second output that some cases have: log-probabilities."""
    value = al.sparse_categorical_crossentropy(
        ids, x, from_logits=True, axis=1, class_weight=weight, reduction=reduction, ignore_class=ignore_index
    )
    return value, al.log_softmax(x, axis=1)


def negative_log_likelihood(
    x: Any, ids: Any, weight: Any = None, reduction: str = "mean", ignore_index: Any = None
) -> Any:
    """Of x - c, which are logarithms, and c times the weights: ONNX's cases have any numbers."""
    c, x = x.max(), x.astype(np.float64)
    options = {"axis": 1, "class_weight": weight, "ignore_class": ignore_index, "reduction": reduction}
    shifted = al.sparse_categorical_crossentropy(ids, np.exp(x - c), **options)
    # Where each probability is 1/e, the loss is the weight.
    return shifted - c * al.sparse_categorical_crossentropy(ids, np.full_like(x, np.exp(-1)), **options)


SELU = (1.67326319217681884765625, 1.05070102214813232421875)


def selu(x: Any, alpha: float = SELU[0], gamma: float = SELU[1]) -> Any:
    """With other constants than its own it is an ELU."""
    return al.selu(x) if (alpha, gamma) == SELU else gamma * al.elu(x, alpha)


OPERATORS = {
    "Relu": al.relu,
    "LeakyRelu": lambda x, alpha=0.01: al.leaky_relu(x, alpha),
    "PRelu": al.prelu,
    "ThresholdedRelu": lambda x, alpha=1.0: al.thresholded_relu(x, alpha),
    "Elu": al.elu,
    "Celu": al.celu,
    "Selu": selu,
    "Gelu": al.gelu,
    "Swish": lambda x, alpha=1.0: al.silu(alpha * x) / alpha,
    "Mish": al.mish,
    "Sigmoid": al.sigmoid,
    "HardSigmoid": lambda x, alpha=0.2, beta=0.5: al.hard_sigmoid(x, alpha, beta),
    "HardSwish": al.hard_swish,
    "Softplus": al.softplus,
    "Softsign": al.softsign,
    "Tanh": al.tanh,
    "Clip": clip,
    "Shrink": shrink,
    "Exp": al.exp,
    "Erf": al.erf,
    "Softmax": al.softmax,
    "LogSoftmax": al.log_softmax,
    "ReduceLogSumExp": logsumexp,
    "SoftmaxCrossEntropyLoss": crossentropy,
    "NegativeLogLikelihoodLoss": negative_log_likelihood,
}
"""Every operator that is a function here, of its inputs and attributes."""


def cases() -> dict[str, Any]:
    """The cases of a single node of one of these operators, by name."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        collected = collect_testcases()
    return {
        case.name: case
        for case in collected
        if len(case.model.graph.node) == 1 and case.model.graph.node[0].op_type in OPERATORS
    }


CASES = cases()


def test_every_operator_has_cases():
    assert {case.model.graph.node[0].op_type for case in CASES.values()} == set(OPERATORS)


@pytest.mark.parametrize("name", CASES)
def test_node(name):
    node = CASES[name].model.graph.node[0]
    attributes = {a.name: get_attribute_value(a) for a in node.attribute}
    attributes = {k: v.decode() if isinstance(v, bytes) else v for k, v in attributes.items()}
    for given, expected in CASES[name].data_sets:
        inputs = iter(given)
        operands = [next(inputs) if operand else None for operand in node.input]
        if node.op_type == "Clip":
            names = ("low", "high")
            attributes = {k: v for k, v in zip(names, operands[1:], strict=False) if v is not None}
            operands = operands[:1]
        outputs = OPERATORS[node.op_type](*operands, **attributes)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        assert len(outputs) >= len(expected)
        for ours, theirs in zip(outputs, expected, strict=False):
            np.testing.assert_allclose(ours, theirs, rtol=2e-6, atol=2e-7)
            assert np.shape(ours) == np.shape(theirs)
