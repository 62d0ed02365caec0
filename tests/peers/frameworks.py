"""The peers as the names that `docs/migrating.md` uses for them, each made when it is asked for."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

os.environ.setdefault("KERAS_BACKEND", "numpy")


class Framework:
    """Names of a peer's modules, and how arrays go there and come back."""

    def __init__(self, names: Mapping[str, Any], into: Callable[[Any], Any] = np.asarray) -> None:
        self.names, self.into = names, into

    def evaluate(self, expression: str, arrays: Mapping[str, np.ndarray]) -> np.ndarray:
        """The value of an expression of these names and arrays."""
        there = {name: self.into(array) for name, array in arrays.items() if name in expression}
        return np.asarray(eval(expression, {"np": np}, Names(self.names, there)))


class Names(dict[str, Any]):
    """Arrays, modules, and, where a peer has none, its operators by name."""

    def __init__(self, names: Mapping[str, Any], arrays: Mapping[str, Any]) -> None:
        super().__init__({**names, **arrays})
        self.operator = names.get("operator")

    def __missing__(self, name: str) -> Any:
        if self.operator is None or not name[0].isupper():
            raise KeyError(name)
        return lambda *inputs, **attributes: self.operator(name, inputs, attributes)


def keras() -> Framework:
    module = pytest.importorskip("keras")
    module.config.set_floatx("float64")
    names = {"A": module.activations, "L": module.losses, "ops": module.ops}
    return Framework(names, module.ops.convert_to_tensor)


def torch() -> Framework:
    module = pytest.importorskip("torch")
    return Framework({"torch": module, "F": module.nn.functional}, module.from_numpy)


def jax() -> Framework:
    module = pytest.importorskip("jax")
    module.config.update("jax_enable_x64", True)
    names = {"jax": module, "jnp": module.numpy, "nn": module.nn}
    names["o"] = pytest.importorskip("optax").losses
    return Framework(names, module.numpy.asarray)


def tensorflow() -> Framework:
    module = pytest.importorskip("tensorflow")
    return Framework({"tf": module, "nn": module.nn}, module.constant)


def scikit_learn() -> Framework:
    special = pytest.importorskip("scipy.special")
    metrics = pytest.importorskip("sklearn.metrics")
    return Framework({"special": special, "metrics": metrics})


def onnx() -> Framework:
    pytest.importorskip("onnx")
    return Framework({"operator": onnx_operator})


def onnx_operator(name: str, inputs: tuple[Any, ...], attributes: dict[str, Any]) -> Any:
    """The first output of one operator, by ONNX's reference implementation."""
    from onnx import TensorProto, helper
    from onnx.reference import ReferenceEvaluator

    given = [np.asarray(value) for value in inputs]
    operands = [f"x{i}" for i in range(len(given))]
    infos = [
        helper.make_tensor_value_info(operand, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
        for operand, value in zip(operands, given, strict=True)
    ]
    node = helper.make_node(name, operands, ["y"], **attributes)
    output = helper.make_tensor_value_info("y", TensorProto.DOUBLE, None)
    graph = helper.make_graph([node], name, infos, [output])
    model = helper.make_model(graph)
    return ReferenceEvaluator(model).run(None, dict(zip(operands, given, strict=True)))[0]


FRAMEWORKS = {
    "Keras": keras,
    "PyTorch": torch,
    "JAX and optax": jax,
    "TensorFlow": tensorflow,
    "scikit-learn and SciPy": scikit_learn,
    "ONNX": onnx,
}
"""By the heading of their section."""
