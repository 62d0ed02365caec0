from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import numpy as np

from benches.rows import Problem

from .base import Call, Peer


class PyTorch(Peer):
    """Eager: one native kernel an operation, into `out`; gradients by autograd, its fastest way to them."""

    name = "PyTorch"
    package = "torch"

    def __init__(self, threads: int) -> None:
        import torch

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch = torch
        self.functional = torch.nn.functional
        self.native = torch._C._nn

    def to_numpy(self, result: Any) -> np.ndarray:
        return result.detach().double().numpy()

    def tensor(self, array: np.ndarray) -> Any:
        if array.dtype.name == "bfloat16":
            return self.torch.from_numpy(array.astype(np.float32)).bfloat16()
        return self.torch.from_numpy(array)

    def _into(self, p: Problem, function: Callable, *arguments: Any, **options: Any) -> Call:
        x, out = self.tensor(p.x), self.tensor(p.empty())
        return lambda: function(x, *arguments, out=out, **options)

    def copy(self, p: Problem) -> Call:
        x, out = self.tensor(p.x), self.tensor(p.empty())
        return lambda: out.copy_(x)

    def read(self, p: Problem) -> Call:
        x = self.tensor(p.x)
        return lambda: x.sum()

    def exp(self, p: Problem) -> Call:
        return self._into(p, self.torch.exp)

    def relu(self, p: Problem) -> Call:
        return self._into(p, self.torch.clamp_min, 0)

    def sigmoid(self, p: Problem) -> Call:
        return self._into(p, self.torch.sigmoid)

    def tanh(self, p: Problem) -> Call:
        return self._into(p, self.torch.tanh)

    def gelu(self, p: Problem) -> Call:
        return self._into(p, self.native.gelu)

    def gelu_tanh(self, p: Problem) -> Call:
        return self._into(p, self.native.gelu, approximate="tanh")

    def silu(self, p: Problem) -> Call:
        return self._into(p, self.torch.ops.aten.silu.out)

    def softplus(self, p: Problem) -> Call:
        return self._into(p, self.native.softplus)

    def log_sigmoid(self, p: Problem) -> Call:
        return self._into(p, self.native.log_sigmoid)

    def softmax(self, p: Problem) -> Call:
        x = self.tensor(p.x.copy() if p.in_place else p.x)
        out = x if p.in_place else self.tensor(p.empty())
        return lambda: self.torch.softmax(x, p.axis, out=out)

    def batch_norm(self, p: Problem) -> Call:
        x, function = self.tensor(p.x), self.functional.batch_norm
        return lambda: function(x, None, None, training=True)

    def layer_norm(self, p: Problem) -> Call:
        x, function = self.tensor(p.x), self.functional.layer_norm
        return lambda: function(x, x.shape[-1:])

    def rms_norm(self, p: Problem) -> Call:
        x, function = self.tensor(p.x), self.functional.rms_norm
        return lambda: function(x, x.shape[-1:], eps=1e-6)

    def global_norm(self, p: Problem) -> Call:
        x = self.tensor(p.x)
        return lambda: self.torch.linalg.vector_norm(x)

    def log_softmax(self, p: Problem) -> Call:
        return self._into(p, self.torch.log_softmax, p.axis)

    def logsumexp(self, p: Problem) -> Call:
        x = self.tensor(p.x)
        return lambda: self.torch.logsumexp(x, p.axis)

    def _loss(self, function: Callable) -> Callable:
        return function

    def _gradient(self, function: Callable, x: Any, y: Any) -> Call:
        x.requires_grad_()

        def call() -> Any:
            with self.torch.enable_grad():
                value = function(x, y)
                self.torch.autograd.grad(value, x)
            return value

        return call

    def sparse_ce(self, p: Problem) -> Call:
        x, y, loss = self.tensor(p.x), self.tensor(p.class_ids), self._loss(self.functional.cross_entropy)
        return lambda: loss(x, y)

    def dense_ce(self, p: Problem) -> Call:
        x, y, loss = self.tensor(p.x), self.tensor(p.targets), self._loss(self.functional.cross_entropy)
        return lambda: loss(x, y)

    def sparse_ce_grad(self, p: Problem) -> Call:
        loss = self._loss(self.functional.cross_entropy)
        return self._gradient(loss, self.tensor(p.x), self.tensor(p.class_ids))

    def bce(self, p: Problem) -> Call:
        loss = self._loss(self.functional.binary_cross_entropy_with_logits)
        x, y = self.tensor(p.x), self.tensor(p.targets)
        return lambda: loss(x, y)

    def bce_grad(self, p: Problem) -> Call:
        loss = self._loss(self.functional.binary_cross_entropy_with_logits)
        return self._gradient(loss, self.tensor(p.x), self.tensor(p.targets))

    def mse(self, p: Problem) -> Call:
        loss = self._loss(self.functional.mse_loss)
        x, y = self.tensor(p.x), self.tensor(p.targets)
        return lambda: loss(x, y)


class PyTorchCompiled(PyTorch):
    """`torch.compile`: fused C++ of its own. It needs a C++ compiler and seconds for each row."""

    name = "PyTorch compiled"

    def __init__(self, threads: int) -> None:
        super().__init__(threads)
        with contextlib.suppress(AttributeError):
            self.torch._dynamo.config.recompile_limit = 1000
        self.compile = self.torch.compile

    copy = read = None  # type: ignore[assignment]
    batch_norm = layer_norm = rms_norm = global_norm = None  # type: ignore[assignment]

    def _into(self, p: Problem, function: Callable, *arguments: Any, **options: Any) -> Call:
        x, out = self.tensor(p.x), self.tensor(p.empty())
        compiled = self.compile(lambda x, out: out.copy_(function(x, *arguments, **options)), dynamic=False)
        return lambda: compiled(x, out)

    def relu(self, p: Problem) -> Call:
        return self._into(p, self.torch.relu)

    def silu(self, p: Problem) -> Call:
        return self._into(p, self.functional.silu)

    def softmax(self, p: Problem) -> Call:
        if p.in_place:
            raise NotImplementedError
        return self._into(p, self.torch.softmax, p.axis)

    def logsumexp(self, p: Problem) -> Call:
        x = self.tensor(p.x)
        compiled = self.compile(lambda x: self.torch.logsumexp(x, p.axis), dynamic=False)
        return lambda: compiled(x)

    def _loss(self, function: Callable) -> Callable:
        return self.compile(lambda x, y: function(x, y), dynamic=False)
