"""Evaluation of a loss over data larger than memory: the main job, from Python and from the shell."""

from actloss_rs.evaluation.engine import evaluate
from actloss_rs.evaluation.report import write_report
from actloss_rs.evaluation.sources import DataError
from actloss_rs.evaluation.state import SCHEMA, Evaluation

__all__ = ["SCHEMA", "DataError", "Evaluation", "evaluate", "write_report"]
