"""The weights that a run starts from: a published set of its model by tag, or a file."""

from __future__ import annotations

from pathlib import Path

from pannsdist.registry.building import Part
from pannsdist.runtime.errors import BadWeightsFile, candidates_line
from pannsdist.settings import SettingsOrigin
from pannsdist.weights.downloads import cache
from pannsdist.weights.downloads.fetch import fetch


def locate_weights(asked: str, model: Part, source: SettingsOrigin) -> Path | None:
    """The weight file for `model.weights`: a tag of the model, or a path. Raises BadWeightsFile where it is neither.

    The file of a tag is there after `fetch_weights`.
    """
    if not asked:
        return None
    tags = model.plugin.weights
    if asked in tags:
        return cache.local_path(tags[asked].url)
    path = Path(asked).expanduser()
    if path.is_file():
        return path
    known = candidates_line(asked, tags, f"tags of {model.entry.name}")
    raise BadWeightsFile(f"no weights '{asked}' ({source.where('model.weights')})", f"give a file; or {known}")


def fetch_weights(asked: str, model: Part) -> None:
    """Have the file of a tag on this machine, verified; a path is left alone. Every process may call it."""
    if asked in model.plugin.weights:
        fetch(model.plugin.weights[asked])
