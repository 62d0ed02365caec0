"""See training fail, be told why, and what helps: statistics of layers, and a monitor that reads them."""

from actloss_rs.diagnostics.diagnosis import Diagnosis, Thresholds
from actloss_rs.diagnostics.monitor import Monitor, Record
from actloss_rs.diagnostics.statistics import ArrayStatistics, statistics

__all__ = ["ArrayStatistics", "Diagnosis", "Monitor", "Record", "Thresholds", "statistics"]
