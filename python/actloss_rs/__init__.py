"""Activation and loss functions for NumPy arrays on the CPU: fast, accurate, bit-for-bit reproducible.

Elementwise activations are NumPy ufuncs; `softmax` and its kin work along an axis; losses are functions
here and, in `actloss_rs.losses`, classes as well; derivatives are in `actloss_rs.backward`.
"""

from typing import Any

from actloss_rs import _core, losses
from actloss_rs._core import __version__
from actloss_rs.activations import *  # noqa: F403
from actloss_rs.decision import predict_binary
from actloss_rs.normalization import *  # noqa: F403
from actloss_rs.scoring import token_log_probs
from actloss_rs.threads import get_num_threads, num_threads, set_num_threads, simd_level

from . import activations, backward, diagnostics, normalization

__all__ = [
    "__version__",
    "activations",
    "backward",
    "diagnostics",
    "evaluate",  # noqa: F405 (below)
    "get_num_threads",
    "losses",
    "num_threads",
    "predict_binary",
    "set_num_threads",
    "simd_level",
    "token_log_probs",
]
__all__ += activations.__all__
__all__ += _core.losses
__all__ += normalization.__all__

globals().update({name: getattr(losses, name) for name in _core.losses})


def __getattr__(name: str) -> Any:
    # Imported when asked for: reading files takes modules that the functions alone do without.
    if name == "evaluate":
        from actloss_rs.evaluation import evaluate

        return evaluate
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
