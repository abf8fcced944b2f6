"""What is told of a run: on the terminal, in VisualDL, in files. Trackers live in rank 0."""

from pannsdist.training.tracking.console import ConsoleTracker, duration
from pannsdist.training.tracking.predictions_file import Kept, PredictionsTracker, read_predictions
from pannsdist.training.tracking.scores_file import ScoresFile
from pannsdist.training.tracking.visualdl_log import VisualDLTracker, Watch

__all__ = [
    "ConsoleTracker",
    "Kept",
    "PredictionsTracker",
    "ScoresFile",
    "VisualDLTracker",
    "Watch",
    "duration",
    "read_predictions",
]
