"""The decisions of the models of a cross-validation, each fitted on the folds that it did not evaluate on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from pannsdist import settings
from pannsdist.contracts.predictions import Predictions
from pannsdist.inference.bundle import read_record
from pannsdist.inference.decisions import Decisions
from pannsdist.inference.decisions_file import write_decisions
from pannsdist.registry import Catalog
from pannsdist.run.calibration.fitting import Wish, fit, joined
from pannsdist.run.calibration.scores import decision_scores
from pannsdist.run.same_run import SETTINGS_FILE
from pannsdist.run.series.scores import table
from pannsdist.runtime import devices, paddle_import, reading
from pannsdist.runtime.console import note_main, print_main
from pannsdist.runtime.figures import score
from pannsdist.training.metrics import METRICS
from pannsdist.training.tracking import read_predictions

MODEL_FOLDER, PREDICTIONS_FOLDER = "best_model", "best_predictions"
SHOWN = ("loss", "calibration_error", "macro_f1")


def decide_folds(folders: Mapping[str, Path]) -> None:
    """Give the best model of each fold decisions that were fitted on the other folds' predictions, and print scores.

    The clips of a fold judge its decisions then: neither they nor its model had a part in them. A fold without a best
    model, or without its predictions, is left out; with fewer than two that have both, nothing is fitted.
    """
    known = fold_predictions(folders)
    if len(known) < 2:
        note_main("no decisions are fitted: at least two folds with the predictions of their best epochs are needed")
        return
    scores = {}
    for name, own in known.items():
        others = [other for other in known if other != name]
        found = fit(joined([known[other] for other in others]), Wish(), f"other folds: {', '.join(others)}")
        write_decisions(folders[name] / MODEL_FOLDER, found)
        scores[name] = fold_scores(found, own)
    print_main(f"\n{_summary(scores)}")


def decide_final(folders: Mapping[str, Path], final: Path) -> None:
    """Give the model that was trained on all clips the decisions that fit the predictions of all folds' models."""
    known = fold_predictions(folders)
    if known:
        write_decisions(final / MODEL_FOLDER, fit(joined([*known.values()]), Wish(), f"folds: {', '.join(known)}"))


def fold_predictions(folders: Mapping[str, Path]) -> dict[str, Predictions]:
    """The predictions of each fold for its own clips, of the epoch of its best model; of folds without, none.

    A network that answers by frame is evaluated again for those of its frames.
    """
    found = {}
    for name, folder in folders.items():
        saved = read_predictions(folder / PREDICTIONS_FOLDER)
        if saved is None or not reading.is_folder(folder / MODEL_FOLDER) or not saved.predictions.usable:
            continue
        record = read_record(folder / MODEL_FOLDER)
        if record.epoch == saved.epoch:
            found[name] = _with_frames(folder, saved.split) if record.frame_samples else saved.predictions
    return found


def _with_frames(folder: Path, split: str) -> Predictions:
    """The predictions of the best model of a run, computed again: a run saves those of clips alone, not of frames."""
    paddle_import.import_paddle()
    from pannsdist.run.evaluation import evaluate_bundle

    chosen, origin = settings.load(folder / SETTINGS_FILE, [])
    with devices.selected(""):
        model = folder / MODEL_FOLDER
        return evaluate_bundle(model, chosen, origin, Catalog.installed(), split, raw=True).predictions


def fold_scores(decisions: Decisions, predictions: Predictions) -> dict[str, float]:
    """Scores without decisions and with them, by name."""
    raw = {f"raw_{name}": METRICS[name].compute(predictions) for name in SHOWN}
    return {**raw, **decision_scores(decisions, predictions), "temperature": decisions.temperature}


def _summary(scores: Mapping[str, Mapping[str, float]]) -> str:
    """A table of the folds: each score without decisions and with them."""
    names = [one for name in SHOWN for one in (f"raw_{name}", f"decided_{name}")]
    names += [name for name in ("decided_event_f1",) if any(name in found for found in scores.values())]
    rows: list[Sequence[str]] = [("decisions", "temperature", "none", *(_heading(name) for name in names))]
    for fold, found in scores.items():
        rows.append((fold, *(score(found.get(name)) for name in ("temperature", "decided_none", *names))))
    note = "fitted on the other folds, judged on the clips of each; raw: without decisions (pannsdist ... --raw)"
    return f"{table(rows)}\n\n{note}"


def _heading(name: str) -> str:
    kind, _, metric = name.partition("_")
    return f"{metric.replace('calibration_error', 'ECE').replace('macro_', '')} {kind}"
