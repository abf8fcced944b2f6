"""The model after a cross-validation: trained on the clips of all folds, for the median of their best epochs."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from pannsdist import settings
from pannsdist.inference.bundle import read_record
from pannsdist.run.calibration.folds import decide_final
from pannsdist.run.next_step import sound_command
from pannsdist.run.same_run import SETTINGS_FILE
from pannsdist.run.series.execution import execute
from pannsdist.run.series.runs import Request, Series, plan_series
from pannsdist.run.series.scores import Result
from pannsdist.run.testing import read_test_scores
from pannsdist.runtime.console import print_main
from pannsdist.runtime.errors import BadRunFolder, shell_command

NAME = "final"
NO_PATIENCE = ("train.patience_epochs=null", "train.max_steps=null", "train.max_minutes=null")
"""Nothing ends the run before its last epoch."""


def train_final(request: Request, fold: str, results: Sequence[Result]) -> int:
    """Train `runs/NAME/final` on `train` and `valid` of all folds, and return the exit code. The test split stays out.

    Its epochs are the median of the folds' best epochs; of an even number of folds the lower one of the two in the
    middle. `fold` is the setting of any fold: the clips are the same. Its decisions are fitted on the predictions of
    the folds' models. Raises BadRunFolder if a fold has no best epoch, or if the folder has a run of another number of
    epochs; UserError for settings that this number contradicts.
    """
    without = [result.name for result in results if result.best is None]
    if without:
        wrong = f"no final model: {', '.join(without)} had no epoch with a finite score"
        raise BadRunFolder(wrong, "the number of epochs is the median of the folds' best epochs")
    best = [result.best.epoch for result in results if result.best]
    epochs = statistics.median_low(best)
    series = plan_series(request, {NAME: (fold, "train.all_clips=true", f"train.epochs={epochs}", *NO_PATIENCE)})
    _refuse_other_epochs(series, epochs)
    clips, listed = series.runs[0].plan.lengths.clips, ", ".join(map(str, best))
    length = f"{epochs} {'epoch' if epochs == 1 else 'epochs'}, the median of the folds' best epochs ({listed})"
    print_main(f"\n{NAME}  trains on all {clips} clips of the folds for {length}")
    code = execute(series, stop_at_failure=True).exit_code
    if code == 0:
        decide_final({result.name: result.folder for result in results}, series.runs[0].folder)
        print_main(_summary(series))
    return code


def _summary(series: Series) -> str:
    folder = series.runs[0].folder
    tested = read_test_scores(folder)
    what = (
        f"  {tested.line}"
        if tested
        else "  no clip is left to score it: the last epochs of the folds tell what to expect"
    )
    model = folder / "best_model"
    command = sound_command(model, bool(read_record(model).frame_samples))
    return f"final model: {model}\n{what}\n  next: {command}"


def _refuse_other_epochs(series: Series, epochs: int) -> None:
    """A run that went on for more epochs would have had another learning rate in each of them."""
    folder = series.runs[0].folder
    written = folder / SETTINGS_FILE
    if not written.is_file():
        return
    before = settings.read_yaml(written).get("train", {}).get("epochs")
    if before != epochs:
        wrong = f"{folder} is a final run of {before} epochs, but the median of the folds' best epochs is {epochs} now"
        raise BadRunFolder(wrong, "remove or rename that folder", shell_command("rm", "-r", folder))
