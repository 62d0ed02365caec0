"""THE peers, each a class whose methods are named after operations.

A method takes a `Problem`, does what may be done once (conversion, compilation, allocation), and returns the
call to be timed. What a peer does not offer it has no method for.
"""

from __future__ import annotations

from .actloss import ActLoss
from .base import Peer
from .jax import Jax
from .mlx import Mlx
from .numexpr import NumExpr
from .numpy import NumPy
from .onnxruntime import OnnxRuntime
from .scikit_learn import ScikitLearn
from .scipy import SciPy
from .tensorflow import TensorFlow, TensorFlowXla
from .torch import PyTorch, PyTorchCompiled

PEERS: list[type[Peer]] = [
    ActLoss,
    NumPy,
    SciPy,
    ScikitLearn,
    NumExpr,
    PyTorch,
    PyTorchCompiled,
    Jax,
    TensorFlow,
    TensorFlowXla,
    OnnxRuntime,
    Mlx,
]
OURS = ActLoss.name
