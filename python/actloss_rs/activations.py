"""Activations, elementwise and along an axis.

Without parameters they are NumPy ufuncs. With parameters they are functions that pass them on as operands
of a ufunc, so a parameter may be an array that broadcasts, and every ufunc keyword is taken. Gated units are
functions over a ufunc of two arrays.
"""

from actloss_rs._core import axis_functions as _axis_functions
from actloss_rs._core import parameters as _parameters
from actloss_rs._core import ufuncs as _ufuncs
from actloss_rs._gated import NAMES as _GATED
from actloss_rs._gated import gated as _gated
from actloss_rs._gelu import gelu
from actloss_rs._parametrised import over_ufunc as _over_ufunc

# Both forms of GELU are ufuncs of their own; the public function chooses.
_made = {
    name: _over_ufunc(name, ufunc, "actloss_rs", ["x"], _parameters[name]) if _parameters[name] else ufunc
    for name, ufunc in _ufuncs.items()
    if name not in ("gelu", "gelu_tanh")
}
# The same function under the name that another framework uses.
_aliases = {"swish": "silu", "hard_silu": "hard_swish"}
_made |= {alias: _made[name] for alias, name in _aliases.items()}

# Pickled by name, as ufuncs are.
for _function in _axis_functions.values():
    _function.__module__ = "actloss_rs"
_made |= _axis_functions
_made |= {name: _gated(name) for name in _GATED}

globals().update(_made)
__all__ = ["gelu", *sorted(_made)]
