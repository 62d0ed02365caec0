# Written by scripts/write_stubs.py from the definitions in src/activation/: do not edit.
from actloss_rs._core import __version__ as __version__
from actloss_rs._core import get_num_threads as get_num_threads
from actloss_rs._core import set_num_threads as set_num_threads
from actloss_rs.activations import leaky_relu as leaky_relu
from actloss_rs.activations import relu as relu
from actloss_rs.threads import num_threads as num_threads
from actloss_rs.threads import simd_level as simd_level

from . import activations as activations
from . import backward as backward

__all__ = [
    "__version__",
    "activations",
    "backward",
    "get_num_threads",
    "leaky_relu",
    "num_threads",
    "relu",
    "set_num_threads",
    "simd_level",
]
