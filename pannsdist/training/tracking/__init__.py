"""What is told of a run: on the terminal, in VisualDL, in files. Trackers live in rank 0."""

from pannsdist.training.tracking.console import ConsoleTracker, duration
from pannsdist.training.tracking.predictions_file import Kept, PredictionsTracker, read_predictions
from pannsdist.training.tracking.reports import EpochReport, StepReport, Tracker
from pannsdist.training.tracking.scores_file import ScoresFile
from pannsdist.training.tracking.visualdl_log import Heard, VisualDLTracker, Watch

__all__ = [
    "ConsoleTracker",
    "EpochReport",
    "Heard",
    "Kept",
    "PredictionsTracker",
    "ScoresFile",
    "StepReport",
    "Tracker",
    "VisualDLTracker",
    "Watch",
    "duration",
    "read_predictions",
]
