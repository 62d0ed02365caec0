"""Demonstrations of ``actloss demo``: failures of training provoked on real data, named, and cured."""
