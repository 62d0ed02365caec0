"""Derivatives: ``backward.<name>(dy, x, ...)`` is the gradient by x for the upstream gradient dy."""

from actloss_rs._core import backward_ufuncs as _ufuncs
from actloss_rs._core import parameters as _parameters
from actloss_rs._parametrised import over_ufunc as _over_ufunc

for _name, _ufunc in _ufuncs.items():
    globals()[_name] = (
        _over_ufunc(_ufunc, "actloss_rs.backward", ["dy", "x"], _parameters[_name])
        if _parameters[_name]
        else _ufunc
    )

__all__ = sorted(_ufuncs)
