"""Derivatives: ``backward.<name>(dy, x, ...)`` is the gradient with respect to x for the upstream gradient dy."""

from actloss_rs._core import backward_ufuncs as _ufuncs
from actloss_rs._core import parameters as _parameters
from actloss_rs._parametrised import over_ufunc as _over_ufunc

for _name, _ufunc in _ufuncs.items():
    if _parameters[_name]:
        _doc = _ufunc.__doc__.split("\n\n", 1)[1]
        globals()[_name] = _over_ufunc(_ufunc, "actloss_rs.backward", _doc, ["dy", "x"], _parameters[_name])
    else:
        globals()[_name] = _ufunc

__all__ = sorted(_ufuncs)
