"""What is always told of a run: on the terminal and in files. Trackers live in rank 0; more of them are plugins."""

from pannsdist.training.tracking.console import ConsoleTracker, duration
from pannsdist.training.tracking.predictions_file import Kept, PredictionsTracker, read_predictions
from pannsdist.training.tracking.scores_file import ScoresFile

__all__ = [
    "ConsoleTracker",
    "Kept",
    "PredictionsTracker",
    "ScoresFile",
    "duration",
    "read_predictions",
]
