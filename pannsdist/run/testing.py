"""The test split of a run: evaluated once, after the choice of the best model, with that model; kept in `test.json`."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from pannsdist.contracts import TestReport
from pannsdist.contracts.batch import Batch
from pannsdist.contracts.network import Network
from pannsdist.distributed.world import World
from pannsdist.inference.bundle import WEIGHTS_FILE, read_record
from pannsdist.run.data_record import data_record
from pannsdist.run.folder import RunFolder
from pannsdist.run.planning.data import TEST, Data
from pannsdist.run.trackers import PluginTracker
from pannsdist.runtime import console, storage
from pannsdist.runtime.errors import BadRunFolder, Stopped
from pannsdist.runtime.figures import score
from pannsdist.runtime.json_files import JsonFile
from pannsdist.training.evaluator import Evaluation, Evaluator, SplitToEvaluate
from pannsdist.training.state import Progress
from pannsdist.training.tracking import SavedPredictions, write_predictions
from pannsdist.weights.formats.paddle import read_paddle

TEST_FILE, PREDICTIONS_FOLDER = "test.json", "test_predictions"
FORMAT = 1


@dataclass(frozen=True)
class TestScores:
    """The content of `test.json`: the scores by `test/metric`, None where not finite, of the model of `epoch`.

    `selected` is the score that chose it, after `step` steps; `clips` were scored, which `data` identifies.
    """

    __test__ = False  # not a class of tests, whatever pytest makes of its name

    epoch: int
    step: int
    selected: str
    clips: int
    scores: Mapping[str, float | None]
    data: str

    @property
    def line(self) -> str:
        """The score that corresponds to the one that chose the model, as a line of text."""
        name = f"{TEST}/{self.selected.partition('/')[2]}"
        return f"{name} {score(self.scores.get(name))}, {self.clips} clips, evaluated once with this model"


@dataclass(frozen=True)
class FinishedRun:
    """A finished run: its network, whose weights are replaced, its progress, and on rank 0 its folder and trackers."""

    world: World
    network: Network
    progress: Progress
    folder: RunFolder | None
    trackers: Sequence[PluginTracker]


def read_test_scores(folder: Path) -> TestScores | None:
    """The test scores of a run folder; None if there are none. Raises BadRunFolder, CannotRead."""
    return TEST_SCORES.read(folder / TEST_FILE)


def _test_scores(content: Mapping[str, Any]) -> TestScores:
    scores = TestScores(**content)
    own = {str(name): None if value is None else float(value) for name, value in scores.scores.items()}
    return replace(scores, scores=own, epoch=int(scores.epoch), clips=int(scores.clips))


AGAIN = "remove it, and repeat the command: the test split is then evaluated again"
TEST_SCORES = JsonFile(_test_scores, BadRunFolder, AGAIN, FORMAT, is_removable=True)


def summary_line(run: FinishedRun) -> str:
    """The test scores of the best model as the last line of a run's summary; empty without them. Rank 0 only."""
    scores = read_test_scores(run.folder.path) if run.folder else None
    is_of_best = scores is not None and (scores.epoch, scores.step) == _best(run.progress)
    return f"  {scores.line}" if scores is not None and is_of_best else ""


def evaluate_once(
    run: FinishedRun,
    data: Data,
    evaluator: Evaluator,
    split: SplitToEvaluate | None,
    is_stop_requested: Callable[[], bool],
) -> None:
    """Evaluate the best model on the test split, unless `test.json` has its scores. All processes must call this.

    The result is the same with any number of processes. Nothing is evaluated without a best model or a test split. The
    network keeps the weights of the best model. Raises Stopped between two batches once `is_stop_requested()` is true
    in any process: the same command then evaluates; BadBundle for a damaged `best_model`.
    """
    if split is None or not _best(run.progress)[0]:
        return
    digest = run.world.on_main(lambda: _digest_if_due(run, data))
    if not digest:
        return
    run.world.on_main(lambda: console.print_main(f"evaluates the best model on the test split, {len(split.ids)} clips"))
    weights = run.world.broadcast_arrays(run.world.agree(lambda: _best_weights(run)))
    run.world.agree(lambda: run.network.restore(weights))
    stoppable = replace(split, batches=lambda: _until_stop(split, is_stop_requested))
    evaluation = evaluator.evaluate(stoppable)
    run.world.on_main(lambda: _store(run, evaluation, len(split.ids), digest))


def _digest_if_due(run: FinishedRun, data: Data) -> str:
    """What identifies the clips of the test split; empty if the best model has been evaluated on them. Rank 0 only."""
    assert run.folder is not None and data.test is not None
    digest = data_record(replace(data, splits={TEST: data.test})).digest
    known = read_test_scores(run.folder.path)
    is_known = known is not None and (known.epoch, known.step, known.data) == (*_best(run.progress), digest)
    return "" if is_known else digest


def _best(progress: Progress) -> tuple[int, int]:
    """The epoch and the step of the best model."""
    best = progress.best["best_epochs"][0] if progress.best.get("best_epochs") else {"epoch": 0, "step": 0}
    return int(best["epoch"]), int(best["step"])


def _best_weights(run: FinishedRun) -> Mapping[str, np.ndarray] | None:
    """The weights of `best_model`, verified; None on other ranks than 0."""
    if run.folder is None:
        return None
    folder = storage.complete_version(run.folder.path / "best_model")
    record, (best, _) = read_record(folder), _best(run.progress)
    if record.epoch != best:
        wrong = f"{folder} is of epoch {record.epoch}, but epoch {best} was the best"
        raise BadRunFolder(wrong, "put the run's own model folder back; select.test=false skips the test split")
    return read_paddle(folder / WEIGHTS_FILE)


def _until_stop(split: SplitToEvaluate, is_stop_requested: Callable[[], bool]) -> Iterator[Batch]:
    for batch in split.batches():
        if is_stop_requested():
            wrong = "stopped in the evaluation of the test split, as requested: the training is finished and saved"
            raise Stopped(wrong, "the same command evaluates it")
        yield batch


def _store(run: FinishedRun, evaluation: Evaluation, clips: int, digest: str) -> None:
    """Write predictions, then scores, and report them to the trackers. Rank 0 only."""
    assert run.folder is not None
    path, predictions, (epoch, step) = run.folder.path, evaluation.predictions, _best(run.progress)
    if evaluation.bad:
        run.folder.log_bad_clips(evaluation.bad)
    if predictions is not None:
        write_predictions(path / PREDICTIONS_FOLDER, SavedPredictions(epoch, TEST, predictions))
    report = TestReport(epoch, run.progress.step, evaluation.scores, predictions)
    for tracker in run.trackers:
        tracker.test(report)
        tracker.flush()
    finite = {name: value if math.isfinite(value) else None for name, value in evaluation.scores.items()}
    scored = clips - len(evaluation.bad)
    content: dict[str, Any] = vars(TestScores(epoch, step, run.progress.best["metric"], scored, finite, digest))
    storage.write_atomic(path / TEST_FILE, json.dumps({"format": FORMAT, **content}, indent=1) + "\n")
