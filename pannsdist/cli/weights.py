"""`pannsdist weights`: what is published, what is on this machine, what is in a file, and one format into another."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.contracts import Pretrained
from pannsdist.registry import Catalog
from pannsdist.registry.building import build_plugin
from pannsdist.runtime.errors import BadWeightsFile, BrokenPlugin, UserError, candidates_line
from pannsdist.settings import SettingsOrigin

if TYPE_CHECKING:
    import paddle

LISTING = "pannsdist weights list"
HEADING = ("model", "tag", "classes", "size", "checksum", "licence", "here", "source")


def add(commands: Any) -> None:
    """The sub-commands for argparse."""
    weights = commands.add_parser("weights", help="published and own weights")
    weights = weights.add_subparsers(required=True, metavar="COMMAND")
    listing = weights.add_parser("list", help="every published set: size, licence, source, and whether it is here")
    listing.set_defaults(run=lambda _: list_weights(Catalog.installed()))
    fetching = weights.add_parser("fetch", help="download a published set, and verify it")
    fetching.add_argument("model")
    fetching.add_argument("tag")
    fetching.set_defaults(run=lambda chosen: fetch_weights(Catalog.installed(), chosen.model, chosen.tag))
    inspecting = weights.add_parser("inspect", help="what is in a weight file; nothing in it is run")
    inspecting.add_argument("file", type=Path)
    inspecting.set_defaults(run=lambda chosen: inspect_weights(Catalog.installed(), chosen.file))
    converting = weights.add_parser("convert", help="PyTorch to Paddle or back, by the ending of OUT")
    converting.add_argument("source", type=Path, metavar="IN", help=".pth, .pt, .pdparams or .safetensors")
    converting.add_argument("target", type=Path, metavar="OUT", help=".pdparams for Paddle; others for PyTorch")
    converting.add_argument("--model", default="", help="the model they belong to; needed where matrices have no bias")
    converting.set_defaults(
        run=lambda chosen: convert_weights(Catalog.installed(), chosen.source, chosen.target, chosen.model)
    )


def list_weights(catalog: Catalog) -> None:
    """A row for each published set; a model that cannot be imported is named, and does not stop the others."""
    from pannsdist.inference.identification import distinct_models
    from pannsdist.weights.downloads import cache

    rows = []
    for entry in distinct_models(catalog):
        try:
            published = entry.load().weights
        except UserError as error:
            print(f"error: {error.wrong}", file=sys.stderr)
            continue
        rows += [(entry.name, tag, *facts(weights)) for tag, weights in published.items()]
    if not rows:
        print("no installed model names published weights; give a file as model.weights=FILE")
        return
    print("\n".join(aligned([HEADING, *rows])))
    print(f"\nwhat is here lies in {cache.home() / 'weights'}; the others: pannsdist weights fetch MODEL TAG")


def facts(weights: Pretrained) -> tuple[str, ...]:
    """A published set in columns: what it is, whether it is on this machine, and from whom."""
    from pannsdist.weights.downloads import cache

    size = f"{weights.size_bytes / 1e6:.1f} MB" if weights.size_bytes else "?"
    checksum = "yes" if weights.sha256 else "no"
    here = "yes" if cache.place(weights.url).is_file() else "no"
    return str(weights.classes), size, checksum, weights.licence, here, weights.source


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows of equally many columns as lines of text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def fetch_weights(catalog: Catalog, model: str, tag: str) -> None:
    """Download and verify; prints where the file is."""
    from pannsdist.weights.downloads.fetch import fetch

    published = catalog.models.find(model).load().weights
    if tag not in published:
        right = candidates_line(tag, published, f"tags of {model}")
        raise BadWeightsFile(f"model '{model}' has no published weights '{tag}'", right, LISTING)
    print(fetch(published[tag]))


def inspect_weights(catalog: Catalog, file: Path) -> None:
    """The facts of a weight file, and the installed networks that it fits."""
    from pannsdist.inference.identification import matching_models
    from pannsdist.weights import read_weights
    from pannsdist.weights.summary import summary

    weight_file = read_weights(file)
    print(summary(weight_file))
    print(f"looks like  {', '.join(matching_models(weight_file, catalog)) or 'no installed network'}")


def convert_weights(catalog: Catalog, source: Path, target: Path, model: str) -> None:
    """Write weights in another format; prints what was done."""
    from pannsdist.weights.conversion import convert

    done = convert(source, target, build(catalog, model) if model else None)
    print(f"{target}: {done.written} tensors, {len(done.turned)} Linear weights transposed")
    if done.left_out:
        print(f"left out, since Paddle has no use for them: {len(done.left_out)}, such as {done.left_out[0]}")


def build(catalog: Catalog, model: str) -> paddle.nn.Layer:
    """A network of a model with its own front end and the default params; the number of classes does not matter."""
    entry = catalog.models.find(model)
    model_plugin = build_plugin(entry, {}, SettingsOrigin(), "model.params").plugin
    try:
        layer: paddle.nn.Layer = model_plugin.build(("one", "two"), model_plugin.front_end)
    except UserError:
        raise
    except Exception as error:
        wrong = f"model '{model}' of {entry.origin} cannot be built with its default params: {error}"
        raise BrokenPlugin(wrong, "", f"pannsdist plugins show model {model}") from error
    return layer
