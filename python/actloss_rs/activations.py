"""Elementwise activations.

Without parameters they are NumPy ufuncs. With parameters they are functions that pass them on as operands
of a ufunc, so a parameter may be an array that broadcasts, and every ufunc keyword is taken.
"""

from actloss_rs._core import parameters as _parameters
from actloss_rs._core import ufuncs as _ufuncs
from actloss_rs._parametrised import over_ufunc as _over_ufunc

for _name, _ufunc in _ufuncs.items():
    globals()[_name] = (
        _over_ufunc(_ufunc, "actloss_rs", ["x"], _parameters[_name]) if _parameters[_name] else _ufunc
    )

__all__ = sorted(_ufuncs)
