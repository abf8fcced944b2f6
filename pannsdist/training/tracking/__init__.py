"""The built-in trackers: terminal and files. Trackers run on rank 0 only; others are plugins."""

from pannsdist.training.tracking.class_scores_file import ClassScoresFile
from pannsdist.training.tracking.console import ConsoleTracker
from pannsdist.training.tracking.predictions_file import (
    PredictionsTracker,
    SavedPredictions,
    read_predictions,
    write_predictions,
)
from pannsdist.training.tracking.scores_file import ScoresFile

__all__ = [
    "ClassScoresFile",
    "ConsoleTracker",
    "PredictionsTracker",
    "SavedPredictions",
    "ScoresFile",
    "read_predictions",
    "write_predictions",
]
