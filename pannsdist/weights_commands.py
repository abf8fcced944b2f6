"""`pannsdist weights`: what is published, what is on this machine, what is in a file, and one format into another."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist.contracts import Pretrained
from pannsdist.errors import BadWeightsFile, BrokenPlugin, UserError, candidates_line
from pannsdist.registry import Catalog

if TYPE_CHECKING:
    import paddle

LISTING = "pannsdist weights list"


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
    """Two lines for each published set; a model that cannot be imported is named, and does not stop the others."""
    found = False
    for entry in catalog.models:
        try:
            published = entry.load().weights
        except UserError as error:
            print(f"error: {error.wrong}", file=sys.stderr)
            continue
        for tag, weights in published.items():
            found = True
            print("\n".join(description(entry.name, tag, weights)))
    if not found:
        print("no installed model names published weights; give a file as model.weights=FILE")


def description(model: str, tag: str, weights: Pretrained) -> list[str]:
    """A published set in lines: what it is, from whom, and whether it is on this machine."""
    from pannsdist.weights import cache

    path = cache.place(weights.url)
    size = f"{weights.size_bytes / 1e6:.1f} MB" if weights.size_bytes else "size unknown"
    checked = "" if weights.sha256 else ", no checksum published"
    here = f"here: {path}" if path.is_file() else f"not here: pannsdist weights fetch {model} {tag}"
    facts = f"{weights.classes} classes, {size}, {weights.licence}{checked}"
    return [f"{model} {tag}: {facts}", f"  {weights.source}", f"  {here}"]


def fetch_weights(catalog: Catalog, model: str, tag: str) -> None:
    """Download and verify; prints where the file is."""
    from pannsdist.weights.fetch import fetch

    published = catalog.models.find(model).load().weights
    if tag not in published:
        right = candidates_line(tag, published, f"tags of {model}")
        raise BadWeightsFile(f"model '{model}' has no published weights '{tag}'", right, LISTING)
    print(fetch(published[tag]))


def inspect_weights(catalog: Catalog, file: Path) -> None:
    """The facts of a weight file, and the installed networks that it fits."""
    from pannsdist.recognition import networks_of
    from pannsdist.weights import read_weights
    from pannsdist.weights.summary import summary

    weight_file = read_weights(file)
    print(summary(weight_file))
    print(f"looks like  {', '.join(networks_of(weight_file, catalog)) or 'no installed network'}")


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
    plugin_class = entry.load()
    try:
        layer: paddle.nn.Layer = plugin_class(plugin_class.Params()).build(("one", "two"), plugin_class.front_end)
    except UserError:
        raise
    except Exception as error:
        wrong = f"model '{model}' of {entry.origin} cannot be built with its default params: {error}"
        raise BrokenPlugin(wrong, "", f"pannsdist plugins show model {model}") from error
    return layer
