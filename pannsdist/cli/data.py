"""`pannsdist data`: check a dataset, cache its sounds, pack it, make soundscapes of it, download a published corpus."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist import settings
from pannsdist.registry import Catalog
from pannsdist.runtime import cpu
from pannsdist.runtime.errors import shell_command
from pannsdist.runtime.foreign import excerpt

if TYPE_CHECKING:
    from pannsdist.run.dataset_report import DatasetReport
    from pannsdist.run.mixing.mix import Mixture
    from pannsdist.run.packing.pack import Pack

SHOWN = 10
"""Number of clips listed per kind of finding in the table; JSON lists all."""
LEAST_SHARD, MOST_SHARD = 10**4, 10**15


def add(commands: Any) -> None:
    """Add the subcommands to the parser."""
    data = commands.add_parser("data", help="check, cache, pack, mix or download datasets").add_subparsers(
        required=True, metavar="COMMAND"
    )
    checking = data.add_parser("check", help="read every clip, and report counts, durations and invalid clips")
    _add_dataset(checking)
    _add_split(checking, "check")
    checking.add_argument("--format", choices=("table", "json"), default="table")
    checking.set_defaults(run=run_check)
    caching = data.add_parser("cache", help="keep all sounds at the rate of the network, or verify what is kept")
    _add_dataset(caching)
    caching.add_argument("--check", action="store_true", help="verify what is in the cache; read no sound file")
    caching.set_defaults(run=run_cache)
    packing = data.add_parser("pack", help="write a dataset as tar shards, with every split and fold that it has")
    _add_dataset(packing)
    _add_split(packing, "pack")
    packing.add_argument("-o", "--output", type=Path, metavar="DIR", required=True, help="new folder for the shards")
    packing.add_argument(
        "--size", type=_size, default=_size("1GB"), metavar="SIZE", help="size of a shard, such as 250MB (default: 1GB)"
    )
    packing.set_defaults(run=run_pack)
    mixing = data.add_parser("mix", help="make labelled soundscapes of isolated sounds and backgrounds")
    mixing.add_argument("-c", "--config", type=Path, required=True, help="recipe of the soundscapes (YAML)")
    mixing.add_argument("-o", "--output", type=Path, metavar="DIR", required=True, help="folder for the soundscapes")
    _add_workers(mixing)
    mixing.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of keys of the recipe")
    mixing.set_defaults(run=run_mix)
    fetching = data.add_parser("fetch", help="download, verify and unpack a published corpus")
    fetching.add_argument("name", metavar="NAME", help="dataset plugin")
    fetching.add_argument("-o", "--output", type=Path, metavar="DIR", help="target folder (default: NAME)")
    fetching.set_defaults(run=lambda chosen: fetch(Catalog.installed(), chosen.name, chosen.output))


def _add_dataset(command: argparse.ArgumentParser) -> None:
    """The arguments of a command that reads the clips of a dataset."""
    command.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML) with the dataset")
    _add_workers(command)
    command.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")


def _add_workers(command: argparse.ArgumentParser) -> None:
    cores = cpu.cores()
    command.add_argument(
        "--workers", type=_from_zero, default=cores, help="worker processes (default: number of cores)"
    )


def _add_split(command: argparse.ArgumentParser, what: str) -> None:
    command.add_argument("--split", action="append", metavar="SPLIT", help=f"{what} only this split; can be repeated")


def run_check(chosen: argparse.Namespace) -> bool:
    """Print the report; returns False if a clip cannot be read or is in two splits."""
    from pannsdist.run.dataset_report import check_dataset
    from pannsdist.run.feature_levels import feature_levels
    from pannsdist.run.planning.data import load_data
    from pannsdist.run.planning.selection import choose_dataset, choose_network

    wanted, origin = settings.load(chosen.config, chosen.overrides)
    catalog = Catalog.installed()
    dataset = choose_dataset(wanted.data, origin, catalog)
    data = load_data(dataset, tuple(dict.fromkeys(chosen.split or ())))
    clips = sum(len(table) for table in data.splits.values())
    network = choose_network(wanted, origin, catalog)
    with _bar("clip", clips) as bar:
        found = check_dataset(data, network.front_end.sample_rate_hz, chosen.workers, bar.update)
    levels = feature_levels(data, network.feature, network.minimum_samples, wanted.train.crop_s)
    if chosen.format == "json":
        front_end = {"front_end": dataclasses.asdict(levels) if levels else None}
        print(json.dumps(dataclasses.asdict(found) | front_end, indent=1, ensure_ascii=False))
    else:
        print("\n".join([str(data.part), *table(found), *([str(levels)] if levels else [])]))
    return found.passed


def run_pack(chosen: argparse.Namespace) -> None:
    """Pack a dataset, and print what was written and the settings that read it."""
    from pannsdist.run.packing.divisions import take_inventory
    from pannsdist.run.packing.pack import PackOrder, pack, refuse_output

    refuse_output(chosen.output)
    wanted, origin = settings.load(chosen.config, chosen.overrides)
    inventory = take_inventory(wanted.data, origin, Catalog.installed(), tuple(dict.fromkeys(chosen.split or ())))

    skips_bad = wanted.data.on_bad_clip == "skip"
    written = pack(inventory, PackOrder(chosen.output, chosen.size, chosen.workers, skips_bad, _bar_of))
    print("\n".join(_packed(written)))


def _packed(written: Pack) -> Iterator[str]:
    from pannsdist.contracts.shard_manifest import AS_PACKED

    header = written.header
    yield f"{header.clips} clips of {header.files} files in {len(header.shards)} shards: {written.total_bytes:,} bytes"
    yield f"splits: {', '.join(header.divisions[AS_PACKED])}; folds: {', '.join(map(str, header.folds)) or 'none'}"
    yield from _listed("left out, since they are no whole sounds", written.left_out) if written.left_out else ()
    yield f"to train on it: {shell_command('data.name=shards', f'data.params.root={written.folder}')}"


def run_mix(chosen: argparse.Namespace) -> None:
    """Make the soundscapes of a recipe, and print what is in them."""
    from pannsdist.run.mixing.mix import MixOrder, mix
    from pannsdist.run.mixing.recipe import load_recipe

    checked = load_recipe(chosen.config, chosen.overrides)
    print("\n".join(_mixed(mix(checked, Catalog.installed(), MixOrder(chosen.output, chosen.workers, _bar_of)))))


@contextmanager
def _bar_of(what: str, files: int) -> Iterator[Callable[[int], object]]:
    with _bar("file", files, what) as shown:
        yield shown.update


def _mixed(made: Mixture) -> Iterator[str]:
    old = sum(not one.is_new for one in made.every)
    there = f", {old} of them were there" if old else ""
    yield f"{len(made.every)} soundscapes{there}, with {made.labels.total()} events, in {made.folder}"
    for split, of_split in made.soundscapes.items():
        yield f"{split}: {len(of_split)} soundscapes, {sum(len(one.events) for one in of_split)} events"
    yield "events: " + ", ".join(f"{label} {made.labels[label]}" for label in sorted(made.labels))
    without = sum(one.without_place for one in made.every)
    yield f"left out for want of a place (events.most_at_once, events.label_gap_s): {without or 'none'}"
    if silent := sum(one.silent for one in made.every):
        yield f"left out since their part of the source is digital silence: {silent}"
    yield f"scaled down so as not to clip: {sum(one.scale < 1 for one in made.every) or 'none'}"
    yield from _listed("clips that could not be used", made.left_out) if made.left_out else ()


def run_cache(chosen: argparse.Namespace) -> bool:
    """Fill the cache, or verify it; print what is in it. Returns False if something is missing or damaged."""
    from pannsdist.run.planning.data import load_data
    from pannsdist.run.planning.selection import choose_dataset, choose_network
    from pannsdist.run.planning.waveforms import cache_to_fill
    from pannsdist.run.waveform_caching import Caching, lines, verify

    wanted, origin = settings.load(chosen.config, chosen.overrides)
    catalog = Catalog.installed()
    data = load_data(choose_dataset(wanted.data, origin, catalog))
    rate_hz = choose_network(wanted, origin, catalog).front_end.sample_rate_hz
    caching = Caching(data, cache_to_fill(wanted, origin, data.splits.values()), rate_hz)
    verified = None
    if chosen.check:
        with _bar("B", None) as bar:
            verified = verify(caching.cache.root, bar.update)
    with _bar("clip", sum(len(table) for table in data.splits.values())) as bar:
        report = (caching.look if chosen.check else caching.fill)(chosen.workers, bar.update)
    print("\n".join(lines(report, verified)))
    for line in _listed("not to be cached", [f"{name}: {why}" for name, why in report.refused.items()]):
        print(line)
    return report.passed and not (verified and verified.damaged)


def _bar(unit: str, total: int | None, what: str = "") -> Any:
    from tqdm import tqdm

    how: dict[str, Any] = {"desc": what or None, "unit": unit, "unit_scale": unit == "B", "leave": False}
    return tqdm(total=total, file=sys.stderr, disable=not sys.stderr.isatty(), **how)


def fetch(catalog: Catalog, name: str, output: Path | None) -> None:
    """Download a corpus, and print the setting for its root folder."""
    from pannsdist.run.dataset_download import fetch_corpus

    entry = catalog.datasets.find(name)
    print(f"data.params.root={fetch_corpus(entry.name, entry.load(), output or Path(entry.name))}")


def table(found: DatasetReport) -> Iterator[str]:
    """The report as lines of text."""
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
    yield from _listed("unusual levels", [f"{name}: {'; '.join(remarks)}" for name, remarks in found.levels.items()])
    yield from _listed("left out", found.skipped)
    yield from _listed("sound files that no split has", found.unlisted)
    yield f"listed clips without a file: {found.missing}"


def _listed(what: str, names: Sequence[str]) -> Iterator[str]:
    yield f"{what}: {len(names) or 'none'}"
    yield from (f"  {name}" for name in names[:SHOWN])
    if len(names) > SHOWN:
        yield f"  and {len(names) - SHOWN} more: --format json"


def _size(text: str) -> int:
    """Bytes from a text such as `250MB`."""
    found = re.fullmatch("([0-9]{1,6})(?:[.]([0-9]{1,3}))? ?(KB|MB|GB|TB)", text.upper(), re.ASCII)
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    size = int(found[1] + (found[2] or "").ljust(3, "0")) * units[found[3]] // 1000 if found else 0
    if not LEAST_SHARD <= size <= MOST_SHARD:
        raise argparse.ArgumentTypeError(f"'{excerpt(text)}' is no size from 10KB to 1000TB, such as 250MB or 1GB")
    return size


def _from_zero(text: str) -> int:
    if not re.fullmatch("[0-9]{1,4}", text, re.ASCII):
        raise argparse.ArgumentTypeError(f"'{excerpt(text)}' is not an integer from 0 to 9999")
    return int(text)
