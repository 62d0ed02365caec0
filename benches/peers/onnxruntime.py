from __future__ import annotations

from typing import Any

import numpy as np

from benches.rows import Problem

from .base import Call, Peer


class OnnxRuntime(Peer):
    """A model of one node, bound to its input and output."""

    name = "onnxruntime"
    package = "onnxruntime"

    def __init__(self, threads: int) -> None:
        import onnx
        import onnxruntime

        self.onnx = onnx
        self.runtime = onnxruntime
        self.threads = threads

    def _node(
        self, p: Problem, operator: str, inputs: dict[str, np.ndarray], out: np.ndarray, **attributes: Any
    ) -> Call:
        helper, of = self.onnx.helper, self.onnx.helper.np_dtype_to_tensor_dtype
        graph = helper.make_graph(
            [helper.make_node(operator, list(inputs), ["out"], **attributes)],
            "row",
            [helper.make_tensor_value_info(n, of(x.dtype), x.shape) for n, x in inputs.items()],
            [helper.make_tensor_value_info("out", of(out.dtype), out.shape)],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
        options = self.runtime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.inter_op_num_threads = 1
        session = self.runtime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        binding = session.io_binding()
        for name, x in inputs.items():
            binding.bind_input(name, "cpu", 0, x.dtype, x.shape, x.ctypes.data)
        binding.bind_output("out", "cpu", 0, out.dtype, out.shape, out.ctypes.data)
        arrays = (*inputs.values(), out)  # must live as long as the binding

        def call() -> np.ndarray:
            session.run_with_iobinding(binding)
            return arrays[-1]

        return call

    def exp(self, p: Problem) -> Call:
        return self._node(p, "Exp", {"x": p.x}, p.empty())

    def relu(self, p: Problem) -> Call:
        return self._node(p, "Relu", {"x": p.x}, p.empty())

    def sigmoid(self, p: Problem) -> Call:
        return self._node(p, "Sigmoid", {"x": p.x}, p.empty())

    def tanh(self, p: Problem) -> Call:
        return self._node(p, "Tanh", {"x": p.x}, p.empty())

    def gelu(self, p: Problem) -> Call:
        return self._node(p, "Gelu", {"x": p.x}, p.empty())

    def gelu_tanh(self, p: Problem) -> Call:
        return self._node(p, "Gelu", {"x": p.x}, p.empty(), approximate="tanh")

    def softplus(self, p: Problem) -> Call:
        return self._node(p, "Softplus", {"x": p.x}, p.empty())

    def softmax(self, p: Problem) -> Call:
        if p.in_place:
            raise NotImplementedError
        return self._node(p, "Softmax", {"x": p.x}, p.empty(), axis=p.axis)

    def log_softmax(self, p: Problem) -> Call:
        return self._node(p, "LogSoftmax", {"x": p.x}, p.empty(), axis=p.axis)

    def sparse_ce(self, p: Problem) -> Call:
        inputs = {"x": p.x, "y": p.class_ids}
        return self._node(p, "SoftmaxCrossEntropyLoss", inputs, np.empty((), p.dtype))
