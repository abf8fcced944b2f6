"""`pannsdist data`: fetch a published corpus, and see whether the clips of a dataset are what a training needs."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist import settings
from pannsdist.registry import Catalog

if TYPE_CHECKING:
    from pannsdist.run.dataset_report import Report

SHOWN = 10
"""Clips that the table names of each kind; JSON has all of them."""


def add(commands: Any) -> None:
    """The sub-commands for argparse."""
    data = commands.add_parser("data", help="datasets").add_subparsers(required=True, metavar="COMMAND")
    checking = data.add_parser("check", help="read every clip once: counts, lengths, and what is wrong")
    checking.add_argument("-c", "--config", type=Path, required=True, help="settings file that names the dataset")
    checking.add_argument("--split", action="append", metavar="SPLIT", help="this split alone; may be given again")
    checking.add_argument("--workers", type=_from_zero, default=len(os.sched_getaffinity(0)), help="default: all cores")
    checking.add_argument("--format", choices=("table", "json"), default="table")
    checking.add_argument("overrides", nargs="*", metavar="key=value")
    checking.set_defaults(run=run_check)
    fetching = data.add_parser("fetch", help="download, verify and unpack a published corpus, where that is allowed")
    fetching.add_argument("name", metavar="NAME", help="dataset plugin")
    fetching.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder to fill (default: NAME)")
    fetching.set_defaults(run=lambda chosen: fetch(Catalog.installed(), chosen.name, chosen.output))


def run_check(chosen: argparse.Namespace) -> bool:
    """Print the report; False if a clip cannot be read or is in two splits."""
    from tqdm import tqdm

    from pannsdist.audio.loader import Loader
    from pannsdist.run.dataset_report import read_all, report
    from pannsdist.run.planning.data import load_data
    from pannsdist.run.planning.selection import choose_dataset

    wanted, origin = settings.load(chosen.config, chosen.overrides)
    dataset = choose_dataset(wanted.data, origin, Catalog.installed())
    data = load_data(dataset, tuple(dict.fromkeys(chosen.split or ())))
    clips = sum(len(table) for table in data.splits.values())
    loader = Loader(chosen.workers)
    try:
        with tqdm(total=clips, unit="clip", leave=False, file=sys.stderr, disable=not sys.stderr.isatty()) as bar:
            heard = read_all(data, loader, bar.update)
    finally:
        loader.close()
    found = report(data, heard)
    if chosen.format == "json":
        print(json.dumps(dataclasses.asdict(found), indent=1, ensure_ascii=False))
    else:
        print("\n".join([str(data.part), *table(found)]))
    return found.is_sound


def fetch(catalog: Catalog, name: str, output: Path | None) -> None:
    """Bring a corpus; prints the setting that names its root."""
    from pannsdist.run.dataset_download import fetch_corpus

    entry = catalog.datasets.find(name)
    print(f"data.params.root={fetch_corpus(entry.name, entry.load(), output or Path(entry.name))}")


def table(found: Report) -> Iterator[str]:
    """The report in lines."""
    splits = list(found.clips)
    width = max(len(name) for name in (*found.classes, "median length"))
    rows: dict[str, Sequence[object]] = {"clips": splits, "all": list(found.clips.values())}
    rows |= {label: [counts[split] for split in splits] for label, counts in found.classes.items()}
    for place, name in enumerate(("shortest", "median length", "longest")):
        lengths = (found.lengths_s.get(split) for split in splits)
        rows[name] = [f"{length[place]:.3f} s" if length else "-" for length in lengths]
    for name, cells in rows.items():
        yield f"{name:<{width}}" + "".join(f"  {cell!s:>10}" for cell in cells)
    yield "rates: " + (", ".join(f"{rate} Hz {count}" for rate, count in found.rates_hz.items()) or "none")
    yield from _listed("unreadable", [f"{name}: {why}" for name, why in found.unreadable.items()])
    yield from _listed("in two splits", [" = ".join(names) for names in found.shared])
    yield from _listed("the same sound in one split", [" = ".join(names) for names in found.duplicates])
    yield from _listed("silent", found.silent)
    yield from _listed("sound files that no split has", found.unlisted)
    yield f"listed clips without a file: {found.missing}"


def _listed(what: str, names: Sequence[str]) -> Iterator[str]:
    yield f"{what}: {len(names) or 'none'}"
    yield from (f"  {name}" for name in names[:SHOWN])
    if len(names) > SHOWN:
        yield f"  and {len(names) - SHOWN} more: --format json"


def _from_zero(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 0 up")
    return int(text)
