"""The folder of a probe: an ordinary model folder, the record of the probe, the settings and the data."""

from __future__ import annotations

import json

import sklearn

from pannsdist import settings as settings_module
from pannsdist.contracts.network import Network
from pannsdist.inference.bundle import BundleRecord, write_bundle
from pannsdist.run import history
from pannsdist.run.building import plugin_record
from pannsdist.run.data_record import DATA_FILE, data_record
from pannsdist.run.planning.data import VALID
from pannsdist.run.probing.plan import RECORD_FILE, ProbePlan
from pannsdist.run.probing.results import Results
from pannsdist.run.same_run import SETTINGS_FILE
from pannsdist.runtime import storage
from pannsdist.runtime.errors import shell_command

MODEL = "best_model"


def write(plan: ProbePlan, network: Network, results: Results) -> str:
    """Write the folder, replacing an earlier probe; a line that says what is there, with the next command.

    The head of the network has the weights of the classifier. A kNN has no model folder. Raises CannotWrite.
    """
    folder, layers = plan.folder, results.chosen.fitted.layers
    text = json.dumps(results.record(plan), indent=1, allow_nan=False) + "\n"
    storage.write_atomic(folder / RECORD_FILE, text)
    storage.write_atomic(folder / SETTINGS_FILE, settings_module.to_yaml(plan.settings))
    storage.write_atomic(folder / DATA_FILE, data_record(plan.data).text)
    if not layers:
        storage.remove(folder / MODEL)
        what = "a kNN is no layer of a network, so there is no model folder; --kind linear or mlp write one"
        return f"scores: {folder / RECORD_FILE}\n  {what}"
    hidden_units = len(layers[0][1]) if len(layers) > 1 else 0
    write_bundle(folder / MODEL, _record(plan, results, hidden_units), network.arrays())
    next_command = shell_command("pannsdist", "predict", "--model", folder / MODEL, "FILE...")
    trained_on = "the clips of all folds" if plan.request.folds else "train"
    return f"model, trained on {trained_on}: {folder / MODEL}\n  next: {next_command}"


def _record(plan: ProbePlan, results: Results, hidden_units: int) -> BundleRecord:
    metric = "mean_average_precision" if plan.data.multi_label else "accuracy"
    return BundleRecord(
        model=plugin_record(plan.plugins.model),
        feature=plugin_record(plan.plugins.feature),
        dataset=plugin_record(plan.data.part),
        front_end=plan.plugins.front_end,
        labels=plan.data.labels,
        multi_label=plan.data.multi_label,
        crop_s=plan.crop_s,
        metric=f"{VALID}/{metric}",
        settings=settings_module.to_dict(plan.settings),
        versions={**history.versions(), "scikit-learn": sklearn.__version__},
        scores=results.scores,
        further={f"metrics.{name}": plugin_record(part) for name, part in plan.metrics.items()},
        pads_to_crop=plan.pads_to_crop,
        hidden_units=hidden_units,
    )
