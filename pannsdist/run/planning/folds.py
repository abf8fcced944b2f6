"""The folds of a dataset plugin: which settings key selects one, and which there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import BadDataset, SettingsError, shell_command
from pannsdist.settings import SettingsOrigin
from pannsdist.settings.schema import DataSettings

OWN_FOLDS = "the datasets folder and manifest draw folds from sounds of any kind: data.name=folder data.params.folds=5"


def dataset_folds(
    chosen: DataSettings, origin: SettingsOrigin, catalog: Catalog, selected: Sequence[int] = ()
) -> tuple[str, list[int]]:
    """(the settings key that selects the fold, the folds to run). Raises BadDataset if the dataset has no folds.

    Raises SettingsError where one of those selected is not a fold.
    """
    entry = catalog.datasets.find(chosen.name, origin.where("data.name"))
    plugin = entry.load()
    show = shell_command("pannsdist", "plugins", "show", "dataset", entry.name)
    param, folds = fold_param_and_folds(chosen, origin, catalog)
    if not param:
        right = f"{OWN_FOLDS}\na dataset plugin declares folds with `fold_param` and `folds` (pannsdist.contracts)"
        raise BadDataset(f"dataset {entry.name} ({entry.origin}) has no folds to cross-validate over", right, show)
    if len(folds) < 2:
        wrong = f"dataset {entry.name} has {len(folds)} folds with these params"
        right = "at least two are needed: one for validation, the others for training"
        if any(item.name == "folds" for item in dataclasses.fields(plugin.Params)):
            right += "\nto draw five, stratified by class: data.params.folds=5; data.params.group keeps clips together"
        raise BadDataset(wrong, right, show)
    unknown = [fold for fold in selected if fold not in folds]
    if unknown:
        wrong = f"--folds has {unknown[0]}, which is not a fold of dataset {entry.name}"
        raise SettingsError(wrong, f"its folds: {', '.join(map(str, folds))}")
    return f"data.params.{param}", [fold for fold in folds if fold in selected or not selected]


def fold_param_and_folds(chosen: DataSettings, origin: SettingsOrigin, catalog: Catalog) -> tuple[str, list[int]]:
    """(the name of the param that selects the fold, the folds); an empty name where the plugin knows no folds."""
    plugin = catalog.datasets.find(chosen.name, origin.where("data.name")).load()
    if not hasattr(plugin, "fold_param"):
        return "", []
    params = settings.fill_params(plugin.Params, chosen.params, origin, "data.params")
    return plugin.fold_param, list(plugin.folds(params))
