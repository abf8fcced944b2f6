"""The weights that a run starts from: a published set of its model by tag, or a file; and whether they fit it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pannsdist.contracts import FrontEnd
from pannsdist.inference.identification import layer_of_shapes, refuse_misfit
from pannsdist.registry import Catalog
from pannsdist.registry.building import Part
from pannsdist.runtime.errors import BadWeightsFile, candidates_line
from pannsdist.runtime.names import is_file, path_of
from pannsdist.settings import SettingsOrigin
from pannsdist.weights import read_shapes
from pannsdist.weights.downloads import cache
from pannsdist.weights.downloads.fetch import described, fetch


def fetch_weights(name: str, model: Part, origin: SettingsOrigin, downloads: bool = True) -> Path | None:
    """The weight file for `model.weights`: a tag of the model, or a path; None without a name.

    The file of a tag is downloaded unless it is here, and verified. Without `downloads` its path is returned although
    nothing is there. Every process may call it. Raises BadWeightsFile.
    """
    if not name:
        return None
    tags, path = model.plugin.weights, path_of(name)
    if name in tags:
        awaited = cache.remote(tags[name]).path
        return fetch(tags[name]) if downloads or is_file(awaited) else awaited
    if not is_file(path):
        known = candidates_line(name, tags, f"tags of {model.entry.name}")
        raise BadWeightsFile(f"no weights '{name}' ({origin.where('model.weights')})", f"give a file; or {known}")
    return path


def awaited_download(name: str, model: Part, weights: Path | None) -> str:
    """What a run with these weights downloads first, for the plan of a dry run; empty if they are here."""
    if weights is None or is_file(weights):
        return ""
    file = cache.remote(model.plugin.weights[name])
    return f"{weights.name} is not here; the run downloads {described(file)} to {weights.parent}"


def refuse_weights_of_others(
    weights: Path | None, model: Part, labels: Sequence[str], front_end: FrontEnd, catalog: Catalog
) -> None:
    """Raise WeightsMismatch, naming the models that fit, for weights of another network; BadWeightsFile for no weights.

    A file that is not here is not compared.

    Compares names, shapes and types alone: the values are not read, and the network is built without any. Every process
    may call it.
    """
    if weights is not None and is_file(weights):
        layer = layer_of_shapes(model.plugin, labels, front_end)
        refuse_misfit(layer, read_shapes(weights), model.plugin.head, catalog)
