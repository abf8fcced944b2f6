"""The weights that a run starts from: a published set of its model by tag, or a file."""

from __future__ import annotations

from pathlib import Path

from pannsdist.registry.building import Part
from pannsdist.runtime.errors import BadWeightsFile, candidates_line
from pannsdist.runtime.names import is_file, path_of
from pannsdist.settings import SettingsOrigin
from pannsdist.weights.downloads.fetch import fetch


def fetch_weights(name: str, model: Part, origin: SettingsOrigin) -> Path | None:
    """The weight file for `model.weights`: a tag of the model, or a path; None without a name.

    The file of a tag is downloaded unless it is here, and verified. Every process may call it. Raises BadWeightsFile.
    """
    if not name:
        return None
    tags, path = model.plugin.weights, path_of(name)
    if name in tags:
        return fetch(tags[name])
    if not is_file(path):
        known = candidates_line(name, tags, f"tags of {model.entry.name}")
        raise BadWeightsFile(f"no weights '{name}' ({origin.where('model.weights')})", f"give a file; or {known}")
    return path
