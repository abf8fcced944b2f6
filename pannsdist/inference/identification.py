"""Finds the installed models that a weight file fits."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pannsdist.contracts import FrontEnd, ModelPlugin
from pannsdist.registry import Catalog, Entry
from pannsdist.registry.building import build_plugin
from pannsdist.runtime.errors import UserError, WeightsMismatch
from pannsdist.runtime.foreign import OF_THIS_PROCESS
from pannsdist.settings import SettingsOrigin
from pannsdist.weights.layouts import FOREIGN_HEADS
from pannsdist.weights.loading import LoadReport, load_into, matched
from pannsdist.weights.weight_file import WeightFile

if TYPE_CHECKING:
    import paddle

STFT_WEIGHT = "spectrogram_extractor.stft.conv_real.weight"
"""PANNs' PyTorch files contain the STFT (bins, 1, samples), which tells models of different sample rates apart."""


def load_or_name(layer: paddle.nn.Layer, weight_file: WeightFile, head: str, catalog: Catalog) -> LoadReport:
    """As `load_into`; WeightsMismatch also names the installed models that the weights fit."""
    with naming_models(weight_file, catalog):
        return load_into(layer, weight_file, head=head)


def refuse_misfit(layer: paddle.nn.Layer, weight_file: WeightFile, head: str, catalog: Catalog) -> None:
    """Raise what `load_or_name` would raise for names, shapes or types; needs no values of either side."""
    with naming_models(weight_file, catalog):
        matched(layer, weight_file, head)


@contextmanager
def naming_models(weight_file: WeightFile, catalog: Catalog) -> Iterator[None]:
    """Context that adds the installed models that the weights fit to a WeightsMismatch."""
    try:
        yield
    except WeightsMismatch as error:
        names = matching_models(weight_file, catalog)
        found = f"it fits {' or '.join(names)}" if names else "no installed model has such weights"
        raise WeightsMismatch(error.wrong, f"{error.right}\n{found}", error.command) from error


def layer_of_shapes(plugin: ModelPlugin, labels: Sequence[str], front_end: FrontEnd) -> paddle.nn.Layer:
    """The layer of a model without initial weights where it can be built so, for its names and shapes.

    It takes no memory on a device, and no names from layers that are built later.
    """
    import paddle

    with paddle.utils.unique_name.guard():
        try:
            with paddle.LazyGuard():
                return plugin.build(labels, front_end)
        except Exception:  # noqa: BLE001 - a plugin that sets values cannot be built so; what is wrong besides, is raised
            return plugin.build(labels, front_end)


def matching_models(weight_file: WeightFile, catalog: Catalog) -> list[str]:
    """The names of the installed models that a file's weights fit, whatever the number of classes.

    Only names and shapes are compared. Networks are built without initial weights, those alone whose head occurs in
    the file, if any does: 47 models took 2.0 s, those of one family 0.8 s. One that cannot be built is reported on
    stderr.
    """
    entries = list(distinct_models(catalog))
    with_head = [entry for entry in entries if _has_head(weight_file, entry)]
    return [entry.name for entry in with_head or entries if _fits(weight_file, entry)]


def _has_head(weight_file: WeightFile, entry: Entry) -> bool:
    """Whether the file has the head of a model, under any prefix, or the head of a network around it."""
    try:
        heads = (entry.load().head, *FOREIGN_HEADS)
    except UserError:
        return True  # reported when it is compared
    return any(f".{head}." in f".{key}" for key in weight_file.state for head in heads)


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
    except OF_THIS_PROCESS:
        raise
    except BaseException as error:  # noqa: BLE001 - a plugin may raise anything
        print(f"model {entry.name} was not compared: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    return True


def _same_transform(weight_file: WeightFile, front_end: FrontEnd) -> bool:
    stft = weight_file.state.get(STFT_WEIGHT)
    return stft is None or front_end.kind != "logmel" or stft.shape[-1] == front_end.fft_samples
