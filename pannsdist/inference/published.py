"""Published weights of model plugins by tag, and networks of model plugins at their defaults."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from pannsdist.registry import Catalog
from pannsdist.runtime.errors import BadWeightsFile, BrokenPlugin, UserError, candidates_line, shell_command

if TYPE_CHECKING:
    import paddle

LISTING = "pannsdist weights list"


def fetch_published(catalog: Catalog, model: str, tag: str) -> Path:
    """Download and verify the published weights of a model; returns the file. Raises BadWeightsFile for other tags."""
    from pannsdist.weights.downloads.fetch import fetch

    published = catalog.models.find(model).load().weights
    if tag not in published:
        right = candidates_line(tag, published, f"tags of {model}")
        raise BadWeightsFile(f"model '{model}' has no published weights '{tag}'", right, LISTING)
    return fetch(published[tag])


def build_default(catalog: Catalog, model: str) -> paddle.nn.Layer:
    """A network of a model plugin with its default params and front end, for an arbitrary number of classes."""
    entry = catalog.models.find(model)
    plugin_class = entry.load()
    try:
        layer: paddle.nn.Layer = plugin_class(plugin_class.Params()).build(("one", "two"), plugin_class.front_end)
    except UserError:
        raise
    except Exception as error:
        wrong = f"model '{model}' of {entry.origin} cannot be built with its default params: {error}"
        raise BrokenPlugin(wrong, "", shell_command("pannsdist", "plugins", "show", "model", model)) from error
    return layer
