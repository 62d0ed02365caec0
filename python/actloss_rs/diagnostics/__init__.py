"""Figures that tell a healthy layer from a dead, saturated or exploding one, in one pass over an array."""

from actloss_rs.diagnostics.statistics import ArrayStatistics, statistics

__all__ = ["ArrayStatistics", "statistics"]
