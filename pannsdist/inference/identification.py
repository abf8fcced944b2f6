"""Finds the installed models that a weight file fits."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pannsdist.contracts import FrontEnd
from pannsdist.registry import Catalog, Entry
from pannsdist.registry.building import build_plugin
from pannsdist.runtime.errors import UserError, WeightsMismatch
from pannsdist.settings import SettingsOrigin
from pannsdist.weights.loading import LoadReport, load_into, matched
from pannsdist.weights.weight_file import WeightFile

if TYPE_CHECKING:
    import paddle

STFT_WEIGHT = "spectrogram_extractor.stft.conv_real.weight"
"""PANNs' PyTorch files contain the STFT (bins, 1, samples), which tells models of different sample rates apart."""


def load_or_name(layer: paddle.nn.Layer, weight_file: WeightFile, head: str, catalog: Catalog) -> LoadReport:
    """As `load_into`; WeightsMismatch also names the installed models that the weights fit."""
    try:
        return load_into(layer, weight_file, head=head)
    except WeightsMismatch as error:
        names = matching_models(weight_file, catalog)
        found = f"it fits {' or '.join(names)}" if names else "no installed model has such weights"
        raise WeightsMismatch(error.wrong, f"{error.right}\n{found}", error.command) from error


def matching_models(weight_file: WeightFile, catalog: Catalog) -> list[str]:
    """The names of the installed models that a file's weights fit, whatever the number of classes.

    Imports and builds all of them, without initialising weights: 32 models took 1.1 s. One that cannot be built is
    reported on stderr.
    """
    return [entry.name for entry in distinct_models(catalog) if _fits(weight_file, entry)]


def distinct_models(catalog: Catalog) -> Iterator[Entry]:
    """Each model plugin once: one with several names under the first name in lower case."""
    seen = set()
    for entry in sorted(catalog.models, key=lambda entry: (not entry.name.islower(), entry.name)):
        if (entry.origin, entry.target) not in seen:
            seen.add((entry.origin, entry.target))
            yield entry


def _fits(weight_file: WeightFile, entry: Entry) -> bool:
    import paddle

    try:
        plugin_class = entry.load()
        if not _same_transform(weight_file, plugin_class.front_end):
            return False
        model = build_plugin(entry, {}, SettingsOrigin(), "model.params").plugin
        with paddle.LazyGuard():
            layer = model.build(("one", "two"), plugin_class.front_end)
        matched(layer, weight_file, plugin_class.head)
    except WeightsMismatch:
        return False
    except UserError as error:
        print(f"model {entry.name} was not compared: {error.wrong}", file=sys.stderr)
        return False
    except Exception as error:  # noqa: BLE001 - a plugin may raise anything
        print(f"model {entry.name} was not compared: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    return True


def _same_transform(weight_file: WeightFile, front_end: FrontEnd) -> bool:
    stft = weight_file.state.get(STFT_WEIGHT)
    return stft is None or front_end.kind != "logmel" or stft.shape[-1] == front_end.fft_samples
