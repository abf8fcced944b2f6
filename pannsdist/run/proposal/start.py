"""The network and the pretrained weights to start from: a given file, weights that are here, or a small download."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from pannsdist.contracts import Pretrained
from pannsdist.inference.identification import distinct_models, layer_of_shapes, matching_models
from pannsdist.registry import Catalog, Entry
from pannsdist.registry.building import build_plugin
from pannsdist.runtime.errors import BadWeightsFile, UserError, WeightsMismatch, shell_command
from pannsdist.runtime.names import folder_above, is_file, path_of, shown
from pannsdist.settings import SettingsOrigin
from pannsdist.weights import read_shapes
from pannsdist.weights.downloads import cache

ON_CPU, ON_GPU = "panns_cnn6", "panns_cnn14"
TAG = "audioset"


@dataclass(frozen=True)
class Start:
    """A model plugin, `model.weights`, and why; the shortest sound it takes, in seconds, and its parameters."""

    model: str
    weights: str
    model_reason: str
    weights_reason: str
    minimum_s: float = 0.0
    parameters: int = 0


def choose_start(file: str, catalog: Catalog, on_gpu: bool) -> Start:
    """What to start from. Raises UserError for a file that no installed network fits."""
    if file:
        return _measured(_of_file(file, catalog), catalog)
    here = list(_downloaded(catalog))
    if here:
        entry, tag, path = (max if on_gpu else min)(here, key=lambda one: (one[2].stat().st_size, one[0].name))
        why = f"downloaded already: {path}"
        size = "largest" if on_gpu else "smallest, thus the fastest on a CPU,"
        return _measured(Start(entry.name, tag, f"the {size} network whose weights are here", why), catalog)
    model = ON_GPU if on_gpu else ON_CPU
    size_bytes = catalog.models.find(model).load().weights[TAG].size_bytes
    size = f"{size_bytes / 1e6:.0f} MB, " if size_bytes else ""
    why = f"the first start downloads them ({size}once); or a file: weights: FILE; others: pannsdist weights list"
    return _measured(Start(model, TAG, "comes with pannsdist" if on_gpu else "small enough for a CPU", why), catalog)


def _of_file(file: str, catalog: Catalog) -> Start:
    path = path_of(file)
    if not is_file(path):
        again = shell_command("ls", shown(folder_above(path)))
        raise BadWeightsFile(f"there is no file {shown(path)} (--weights)", "pannsdist weights list names tags", again)
    try:
        names = matching_models(read_shapes(path), catalog)
    except BadWeightsFile as error:
        raise BadWeightsFile(f"{error.wrong} (--weights)", error.right, "pannsdist weights list") from error
    inspect = shell_command("pannsdist", "weights", "inspect", shown(path))
    if not names:
        right = "install the plugin with its network, such as pannsdist-efficientat; or leave --weights out"
        raise WeightsMismatch(f"no installed network has the weights of {shown(path)} (--weights)", right, inspect)
    published = [name for name in names if _has_file(catalog.models.find(name), path.name)]
    model = (published or names)[0]
    others = f"; it fits {', '.join(name for name in names if name != model)} too" if len(names) > 1 else ""
    return Start(model, shown(path), f"the installed network that the weights fit{others}", "the file of --weights")


def _has_file(entry: Entry, name: str) -> bool:
    """Whether a published set of weights is a file of this name."""
    return any(cache.local_path(one.url).name == name for one in entry.load().weights.values())


def _downloaded(catalog: Catalog) -> Iterator[tuple[Entry, str, Path]]:
    for entry in distinct_models(catalog):
        try:
            published: dict[str, Pretrained] = entry.load().weights
        except UserError:
            continue  # a broken plugin: `pannsdist plugins list` names it
        for tag, weights in published.items():
            path = cache.local_path(weights.url)
            if is_file(path):
                yield entry, tag, path


def _measured(start: Start, catalog: Catalog) -> Start:
    """With the shortest sound and the number of parameters."""
    entry = catalog.models.find(start.model)
    plugin_class = entry.load()
    plugin = build_plugin(entry, {}, SettingsOrigin(), "model.params").plugin
    layer = layer_of_shapes(plugin, ("one", "two"), plugin_class.front_end)
    parameters = sum(math.prod(value.shape) for value in layer.parameters() if not value.stop_gradient)
    minimum_s = plugin.minimum_samples(plugin_class.front_end) / plugin_class.front_end.sample_rate_hz
    return Start(start.model, start.weights, start.model_reason, start.weights_reason, minimum_s, parameters)
