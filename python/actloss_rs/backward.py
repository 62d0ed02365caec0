"""Derivatives: ``backward.<name>(dy, x, ...)`` is the gradient by x for the upstream gradient dy."""

from actloss_rs._core import backward_axis_functions as _axis_functions
from actloss_rs._core import backward_normalizations as _normalizations
from actloss_rs._core import backward_ufuncs as _ufuncs
from actloss_rs._core import parameters as _parameters
from actloss_rs._gated import NAMES as _GATED
from actloss_rs._gated import gated_backward as _gated
from actloss_rs._gelu import gelu_backward as gelu
from actloss_rs._parametrised import over_ufunc as _over_ufunc
from actloss_rs.activations import _aliases

_made = {
    name: _over_ufunc(name, ufunc, "actloss_rs.backward", ["dy", "x"], _parameters[name])
    if _parameters[name]
    else ufunc
    for name, ufunc in _ufuncs.items()
    if name not in ("gelu", "gelu_tanh")
}
_made |= {alias: _made[name] for alias, name in _aliases.items()}

# Pickled by name, as ufuncs are.
for _function in (*_axis_functions.values(), *_normalizations.values()):
    _function.__module__ = "actloss_rs.backward"
_made |= _axis_functions | _normalizations
_made |= {name: _gated(name) for name in _GATED}

globals().update(_made)
__all__ = ["gelu", *sorted(_made)]
