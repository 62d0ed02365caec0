"""Activation functions.

Without parameters they are NumPy ufuncs. With parameters they are functions that pass them on as operands
of a ufunc, so a parameter may be an array that broadcasts, and every ufunc keyword is taken.
"""

from typing import Any

from actloss_rs._core import parameters as _parameters
from actloss_rs._core import ufuncs as _ufuncs
from actloss_rs._parametrised import over_ufunc as _over_ufunc

for _name, _ufunc in _ufuncs.items():
    if _parameters[_name]:
        _doc = _ufunc.__doc__.split("\n\n", 1)[1]
        globals()[_name] = _over_ufunc(_ufunc, "actloss_rs", _doc, ["x"], _parameters[_name])
    else:
        globals()[_name] = _ufunc

__all__ = sorted(_ufuncs)
