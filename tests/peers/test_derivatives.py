"""Derivatives against automatic differentiation of the lines of `docs/migrating.md`, at kinks too."""

from __future__ import annotations

import ast
import inspect
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from arrays import arrays
from frameworks import Framework, Names, jax, torch

import actloss_rs as al

sys.path.insert(0, str(Path(__file__).parent.parent.parent / "docs"))
import catalogue
import migration


def lines(peer: str) -> list[Any]:
    """The lines of a peer that are one call here, and that differentiable there."""
    return [
        line
        for line in migration.lines()
        if line.peer == peer
        and line.ours.startswith("al.")
        and line.ours.endswith(")")
        and not any(
            word in line.ours
            for word in ("swiglu", "geglu", "glu(x)", "token", ".mean", ".sum", " - ", "/ 2")
        )
    ]


def parts(expression: str) -> tuple[str, list[Any], dict[str, Any]]:
    """The function of a call, its arguments as expressions, and its keywords as values."""
    call = ast.parse(expression, mode="eval").body
    assert isinstance(call, ast.Call)
    assert isinstance(call.func, ast.Attribute)
    keywords = {k.arg: Framework({}).evaluate(ast.unparse(k.value), arrays()) for k in call.keywords}
    plain = {name: value.tolist() if value.ndim == 0 else value for name, value in keywords.items()}
    return call.func.attr, [ast.unparse(argument) for argument in call.args], plain


def ours(line: Any, values: dict[str, np.ndarray], dy: np.ndarray | None) -> tuple[str, np.ndarray]:
    """The array that is differentiated by, and the gradient."""
    name, arguments, keywords = parts(line.ours)
    operands = [Framework({}).evaluate(argument, values) for argument in arguments]
    if name in catalogue.losses():
        options = {key: value for key, value in keywords.items() if key != "sample_weight"}
        loss = getattr(al.losses, catalogue.class_name(name))(**options)
        return arguments[1], loss.value_and_grad(
            *operands, **{k: keywords[k] for k in keywords.keys() - options}
        )[1]
    backward = getattr(al.backward, name)
    if not isinstance(backward, np.ufunc) and "y" in inspect.signature(backward).parameters:
        operands[0] = getattr(al, name)(*operands, **keywords)
    return arguments[0], backward(dy, *operands, **keywords)


def upstream(line: Any, values: dict[str, np.ndarray]) -> np.ndarray | None:
    """A gradient of the shape of the result of an activation."""
    name, _, _ = parts(line.ours)
    if name in catalogue.losses():
        return None
    shape = Framework({"al": al}).evaluate(line.ours, values).shape
    return np.random.default_rng(3).normal(1, 1, shape)


def skip_if_missing(line: Any) -> None:
    missing = [name for name in line.functions if not hasattr(al, name)]
    if missing:
        pytest.skip(f"not there yet: {missing}")


def torch_gradient(line: Any, by: str, values: dict[str, np.ndarray], dy: np.ndarray | None) -> np.ndarray:
    peer = torch()
    there = {name: peer.into(value) for name, value in values.items()}
    there[by].requires_grad_()
    result = eval(line.theirs, {}, Names(peer.names, there))
    if dy is None:
        result.sum().backward()
    else:
        result.backward(peer.into(dy))
    return there[by].grad.numpy()


def smooth(values: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The arrays moved away from kinks."""
    return values | {"x": values["x"] + 0.01234}


@pytest.mark.parametrize("line", lines("PyTorch"), ids=lambda line: line.theirs)
def test_gradients_of_pytorch(line):
    skip_if_missing(line)
    torch()
    values = smooth(arrays())
    dy = upstream(line, values)
    by, gradient = ours(line, values, dy)
    expected = torch_gradient(line, by, values, dy)
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("line", lines("JAX and optax"), ids=lambda line: line.theirs)
def test_gradients_of_jax(line):
    skip_if_missing(line)
    peer, values = jax(), smooth(arrays())
    dy = upstream(line, values)
    by, gradient = ours(line, values, dy)
    there = {name: peer.into(value) for name, value in values.items()}

    def total(v: Any) -> Any:
        result = eval(line.theirs, {}, Names(peer.names, {**there, by: v}))
        return (result * (1 if dy is None else dy)).sum()

    expected = np.asarray(peer.names["jax"].grad(total)(there[by]))
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize(
    "line", [line for line in lines("PyTorch") if "(x" in line.theirs], ids=lambda line: line.theirs
)
def test_kinks_are_those_of_pytorch(line):
    skip_if_missing(line)
    torch()
    values = arrays()
    if "sigmoid" in line.theirs:  # 1/6 is no float64, so the kink of our line is beside -3
        values["x"][values["x"] == -3] = -3.5
    dy = upstream(line, values)
    by, gradient = ours(line, values, dy)
    expected = torch_gradient(line, by, values, dy)
    np.testing.assert_allclose(gradient, expected, rtol=1e-7, atol=1e-9)


def test_kinks_are_not_those_of_jax():
    """What `docs/migrating.md` says of JAX."""
    nn, grad = jax().names["nn"], jax().names["jax"].grad
    for function, at, theirs, ours in [
        ("relu", 0.0, 0, 0),
        ("relu6", 6.0, 0, 0),
        ("leaky_relu", 0.0, 1, 0.01),
        ("hard_tanh", -1.0, 1, 0),
        ("hard_tanh", 1.0, 1, 0),
        ("sparse_sigmoid", -1.0, 0.25, 0),
        ("sparse_sigmoid", 1.0, 0.25, 0),
    ]:
        assert grad(getattr(nn, function))(at) == theirs
        assert getattr(al.backward, function)(1.0, at) == ours
