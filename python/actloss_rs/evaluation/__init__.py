"""Evaluation of a loss over data larger than memory: the main job, from Python and from the shell."""

from actloss_rs.evaluation.engine import SCHEMA, Evaluation, evaluate
from actloss_rs.evaluation.sources import DataError

__all__ = ["SCHEMA", "DataError", "Evaluation", "evaluate"]
