"""Batch, layer and RMS normalisation, and gradients clipped by their common norm.

Derivatives are in `actloss_rs.backward`, under the same names.
"""

from actloss_rs._core import normalizations as _normalizations

# Pickled by name, as ufuncs are.
for _function in _normalizations.values():
    _function.__module__ = "actloss_rs"

globals().update(_normalizations)
__all__ = sorted(_normalizations)
