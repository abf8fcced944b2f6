"""Which installed network a weight file belongs to."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pannsdist.contracts import FrontEnd
from pannsdist.registry import Catalog, Entry
from pannsdist.runtime.errors import UserError, WeightsMismatch
from pannsdist.weights.loading import LoadReport, load_into, matched
from pannsdist.weights.weight_file import WeightFile

if TYPE_CHECKING:
    import paddle

SPECTRUM = "spectrogram_extractor.stft.conv_real.weight"
"""PyTorch's PANNs carry their Fourier transform (bins, 1, samples), which tells networks of different rates apart."""


def load_or_name(layer: paddle.nn.Layer, weight_file: WeightFile, head: str, catalog: Catalog) -> LoadReport:
    """As `load_into`; where the weights do not fit, `WeightsMismatch` also says which installed network they are of."""
    try:
        return load_into(layer, weight_file, head=head)
    except WeightsMismatch as error:
        names = networks_of(weight_file, catalog)
        found = f"it is a file of {' or '.join(names)}" if names else "no installed network has such weights"
        raise WeightsMismatch(error.wrong, f"{error.right}\n{found}", error.command) from error


def networks_of(weight_file: WeightFile, catalog: Catalog) -> list[str]:
    """The names of the installed networks that a file's weights fit, whatever the number of classes.

    Imports and builds them all, without values: 32 networks took 1.1 s. One that cannot be built is named on stderr.
    """
    return [entry.name for entry in once_each(catalog) if _fits(weight_file, entry)]


def once_each(catalog: Catalog) -> Iterator[Entry]:
    """The model plugins, those with several names under the first one without capitals."""
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
        with paddle.LazyGuard():
            layer = plugin_class(plugin_class.Params()).build(("one", "two"), plugin_class.front_end)
        matched(layer, weight_file, plugin_class.head)
    except WeightsMismatch:
        return False
    except UserError as error:
        print(f"{entry.name} was not asked: {error.wrong}", file=sys.stderr)
        return False
    except Exception as error:  # noqa: BLE001 - a stranger's network may raise anything
        print(f"{entry.name} was not asked: {type(error).__name__}: {error}", file=sys.stderr)
        return False
    return True


def _same_transform(weight_file: WeightFile, front_end: FrontEnd) -> bool:
    spectrum = weight_file.state.get(SPECTRUM)
    return spectrum is None or front_end.kind != "logmel" or spectrum.shape[-1] == front_end.fft_samples
