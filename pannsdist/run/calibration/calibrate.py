"""`pannsdist calibrate`: fit the decisions of a trained model on clips that it did not train on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pannsdist import settings
from pannsdist.contracts.clip_lists import ids_of
from pannsdist.inference.bundle import RECORD_FILE, BundleRecord, read_record
from pannsdist.inference.decisions_file import write_decisions
from pannsdist.registry import Catalog
from pannsdist.run.calibration.fitting import Wish, fit
from pannsdist.run.calibration.summary import summary
from pannsdist.run.data_record import DATA_FILE, read_data_record
from pannsdist.run.evaluation import evaluate_bundle
from pannsdist.run.planning.data import TRAIN, load_data
from pannsdist.run.planning.selection import choose_dataset
from pannsdist.run.same_run import SETTINGS_FILE
from pannsdist.runtime import console, reading
from pannsdist.runtime.errors import BadDataset, UserError, shell_command
from pannsdist.runtime.folder_lock import refuse_held
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import Settings

MODEL_FOLDER = "best_model"
WHY = "decisions are fitted on clips that the model did not train on: of the others it is too sure"


@dataclass(frozen=True)
class CalibrationRequest:
    """A run folder or a model folder, the split to fit on, and what is wanted.

    `config` has the dataset, by default that of the run; `overrides` are settings.
    """

    model: Path
    split: str = "valid"
    wish: Wish = field(default_factory=Wish)
    config: Path | None = None
    overrides: Sequence[str] = ()


def calibrate(request: CalibrationRequest, catalog: Catalog) -> str:
    """Fit the decisions of a model, write them into its `bundle.json`, and give a summary in words.

    Raises BadDataset for a split that the model trained on, BadBundle for no model folder, BadRunFolder where a
    process trains in the folder of the run, and what an evaluation raises.
    """
    folder = model_folder(request.model)
    record = read_record(folder)
    chosen, origin = settings.load(_config(folder, request.config), list(request.overrides))
    refuse_training_clips(folder, record, request.split, chosen, origin, catalog)
    if reading.is_file(folder.parent / SETTINGS_FILE):
        refuse_held(folder.parent)
    predictions = evaluate_bundle(folder, chosen, origin, catalog, request.split).predictions
    found = fit(predictions, request.wish, f"{request.split} of {record.dataset.name}")
    write_decisions(folder, found)
    applied = "predict, tag, detect, evaluate and export apply them; without them: --raw"
    return f"{summary(found, predictions)}\n\nwritten: {folder / RECORD_FILE}\n  {applied}"


def model_folder(given: Path) -> Path:
    """The model folder of a run, or the folder itself."""
    inside = given / MODEL_FOLDER
    is_run = reading.is_file(given / SETTINGS_FILE) and not reading.is_file(given / RECORD_FILE)
    return inside if is_run else given


def refuse_training_clips(  # noqa: PLR0913, PLR0917 - what decides is spread over run, model and settings
    folder: Path, record: BundleRecord, split: str, chosen: Settings, origin: SettingsOrigin, catalog: Catalog
) -> None:
    """Raise BadDataset for a split of which the model has trained on a clip."""
    trained = dict(record.settings.get("train", {}))
    if split == TRAIN:
        again = shell_command("pannsdist", "calibrate", "--model", folder, "--split", "valid")
        raise BadDataset(f"--split {TRAIN} has the clips that the model trained on", WHY, again)
    if trained.get("overfit_batches"):
        raise BadDataset(f"the model in {folder} was trained and evaluated on the same few clips", WHY)
    if trained.get("all_clips") and split != "test":
        wrong = f"the model in {folder} trained on {split}, too: train.all_clips is true"
        right = f"{WHY}\ngive --split test, if the dataset has one; pannsdist crossval --final fits them on the folds"
        raise BadDataset(wrong, right)
    part = choose_dataset(chosen.data, origin, catalog)
    known = read_data_record(folder.parent / DATA_FILE)
    if known is None or part.entry.name != record.dataset.name:
        why = f"{DATA_FILE} is not beside it" if known is None else f"it is of dataset {record.dataset.name}"
        console.note_main(f"which clips the model trained on is not known here ({why}): give it no clip of them")
        return
    seen = set(known[0].splits.get(TRAIN, {}).get("ids", ()))
    both = [name for name in ids_of(load_data(part, (split,)).splits[split].clips) if name in seen]
    if both:
        wrong = f"the model in {folder} trained on {len(both)} clips of {split}, such as '{both[0]}'"
        raise BadDataset(wrong, f"{WHY}\ngive the dataset with the split as in the run, or another split")


def _config(folder: Path, given: Path | None) -> Path:
    """The settings file. Raises UserError where there is none beside the model."""
    written = folder.parent / SETTINGS_FILE
    if given is None and not reading.is_file(written):
        wrong = f"{folder} is not in the folder of its run, so the clips to fit on are not known"
        right = "give settings with a dataset as -c FILE"
        raise UserError(wrong, right, shell_command("pannsdist", "calibrate", "--model", folder, "-c", "FILE.yaml"))
    return given or written
