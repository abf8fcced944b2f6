"""`pannsdist weights`: list, download, inspect and convert weights."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pannsdist.contracts import Pretrained
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import UserError

HEADING = ("model", "tag", "classes", "size", "checksum", "licence", "downloaded", "source")


def add(commands: Any) -> None:
    """Add the subcommands to the parser."""
    weights = commands.add_parser("weights", help="list, download, inspect and convert weights")
    weights = weights.add_subparsers(required=True, metavar="COMMAND")
    listing = weights.add_parser("list", help="list published weights: size, licence, source, and whether downloaded")
    listing.set_defaults(run=lambda _: list_weights(Catalog.installed()))
    fetching = weights.add_parser("fetch", help="download and verify published weights")
    fetching.add_argument("model", help="model plugin")
    fetching.add_argument("tag", help="tag of its weights, from the list")
    fetching.set_defaults(run=lambda chosen: fetch_weights(Catalog.installed(), chosen.model, chosen.tag))
    inspecting = weights.add_parser("inspect", help="show the content of a weight file, without executing code in it")
    inspecting.add_argument("file", type=Path, help="weight file")
    inspecting.set_defaults(run=lambda chosen: inspect_weights(Catalog.installed(), chosen.file))
    converting = weights.add_parser(
        "convert", help="convert between PyTorch and Paddle; the suffix of OUT selects the format"
    )
    converting.add_argument("source", type=Path, metavar="IN", help=".pth, .pt, .pdparams or .safetensors")
    converting.add_argument("target", type=Path, metavar="OUT", help=".pdparams for Paddle, else a PyTorch format")
    converting.add_argument("--model", default="", help="model of the weights; needed if matrices have no bias")
    converting.set_defaults(
        run=lambda chosen: convert_weights(Catalog.installed(), chosen.source, chosen.target, chosen.model)
    )


def list_weights(catalog: Catalog) -> None:
    """Print a row for each set of published weights; a model that cannot be imported is reported and skipped."""
    from pannsdist.inference.identification import distinct_models
    from pannsdist.runtime.user_folder import home

    rows = []
    for entry in distinct_models(catalog):
        try:
            published = entry.load().weights
        except UserError as error:
            print(f"error: {error.wrong}", file=sys.stderr)
            continue
        rows += [(entry.name, tag, *facts(weights)) for tag, weights in published.items()]
    if not rows:
        print("no installed model has published weights; give a file as model.weights=FILE")
        return
    print("\n".join(aligned([HEADING, *rows])))
    print(f"\ndownloaded weights are in {home() / 'weights'}; download others: pannsdist weights fetch MODEL TAG")


def facts(weights: Pretrained) -> tuple[str, ...]:
    """The table columns for published weights, after model and tag."""
    from pannsdist.weights.downloads import cache

    size = f"{weights.size_bytes / 1e6:.1f} MB" if weights.size_bytes else "?"
    checksum = "yes" if weights.sha256 else "no"
    downloaded = "yes" if cache.local_path(weights.url).is_file() else "no"
    return str(weights.classes), size, checksum, weights.licence, downloaded, weights.source


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines of text with aligned columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def fetch_weights(catalog: Catalog, model: str, tag: str) -> None:
    """Download and verify published weights, and print the path of the file."""
    from pannsdist.inference.published import fetch_published

    print(fetch_published(catalog, model, tag))


def inspect_weights(catalog: Catalog, file: Path) -> None:
    """Print a summary of a weight file, and the installed networks that it fits."""
    from pannsdist.inference.identification import matching_models
    from pannsdist.weights import read_weights
    from pannsdist.weights.summary import summarize

    weight_file = read_weights(file)
    print(summarize(weight_file))
    print(f"looks like  {', '.join(matching_models(weight_file, catalog)) or 'no installed network'}")


def convert_weights(catalog: Catalog, source: Path, target: Path, model: str) -> None:
    """Convert weights to another format, and print a summary."""
    from pannsdist.inference.published import build_default
    from pannsdist.weights.conversion import convert

    done = convert(source, target, build_default(catalog, model) if model else None)
    print(f"{target}: {done.written} tensors, {len(done.transposed)} Linear weights transposed")
    if done.dropped:
        print(f"skipped, since Paddle does not use them: {len(done.dropped)}, such as {done.dropped[0]}")
