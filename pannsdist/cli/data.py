"""`pannsdist data`: check a dataset, cache its sounds, pack it, make soundscapes of it, download a published corpus."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pannsdist import settings
from pannsdist.cli import mixing
from pannsdist.cli.arguments import add_workers
from pannsdist.cli.progress import bar_of, listed, progress_bar
from pannsdist.registry import Catalog
from pannsdist.runtime.errors import shell_command
from pannsdist.runtime.foreign import excerpt

if TYPE_CHECKING:
    from pannsdist.run.dataset_report import DatasetReport
    from pannsdist.run.packing.pack import Pack

MORE = ": --format json"
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
    mixing.add(data)
    fetching = data.add_parser("fetch", help="download, verify and unpack a published corpus")
    fetching.add_argument("name", metavar="NAME", help="dataset plugin")
    fetching.add_argument("-o", "--output", type=Path, metavar="DIR", help="target folder (default: NAME)")
    fetching.set_defaults(run=lambda chosen: fetch(Catalog.installed(), chosen.name, chosen.output))


def _add_dataset(command: argparse.ArgumentParser) -> None:
    """The arguments of a command that reads the clips of a dataset."""
    command.add_argument("-c", "--config", type=Path, required=True, help="settings file (YAML) with the dataset")
    add_workers(command)
    command.add_argument("overrides", nargs="*", metavar="key=value", help="overrides of settings")


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
    with progress_bar("clip", clips) as bar:
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
    written = pack(inventory, PackOrder(chosen.output, chosen.size, chosen.workers, skips_bad, bar_of))
    print("\n".join(_packed(written)))


def _packed(written: Pack) -> Iterator[str]:
    from pannsdist.contracts.shard_manifest import AS_PACKED

    header = written.header
    yield f"{header.clips} clips of {header.files} files in {len(header.shards)} shards: {written.total_bytes:,} bytes"
    yield f"splits: {', '.join(header.divisions[AS_PACKED])}; folds: {', '.join(map(str, header.folds)) or 'none'}"
    yield from listed("left out, since they are no whole sounds", written.left_out) if written.left_out else ()
    yield f"to train on it: {shell_command('data.name=shards', f'data.params.root={written.folder}')}"


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
        with progress_bar("B", None) as bar:
            verified = verify(caching.cache.root, bar.update)
    with progress_bar("clip", sum(len(table) for table in data.splits.values())) as bar:
        report = (caching.look if chosen.check else caching.fill)(chosen.workers, bar.update)
    print("\n".join(lines(report, verified)))
    for line in listed("not to be cached", [f"{name}: {why}" for name, why in report.refused.items()]):
        print(line)
    return report.passed and not (verified and verified.damaged)


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
    if found.marks:
        names = ("with events", "with labels alone", "not labelled", "events")
        for place, name in enumerate(names):
            yield f"{name}: " + ", ".join(f"{split} {counts[place]}" for split, counts in found.marks.items())
        yield from _listed("with an event after the end", [f"{name}: {how}" for name, how in found.beyond.items()])
    yield "rates: " + (", ".join(f"{rate} Hz {count}" for rate, count in found.rates_hz.items()) or "none")
    yield from listed("unreadable", [f"{name}: {why}" for name, why in found.unreadable.items()], MORE)
    yield from listed("in two splits", [" = ".join(names) for names in found.shared], MORE)
    yield from listed("the same sound in one split", [" = ".join(names) for names in found.duplicates], MORE)
    yield from listed("silent", found.silent, MORE)
    yield from listed(
        "unusual levels", [f"{name}: {'; '.join(remarks)}" for name, remarks in found.levels.items()], MORE
    )
    yield from listed("left out", found.skipped, MORE)
    yield from listed("sound files that no split has", found.unlisted, MORE)
    yield f"listed clips without a file: {found.missing}"


def _size(text: str) -> int:
    """Bytes from a text such as `250MB`."""
    found = re.fullmatch("([0-9]{1,6})(?:[.]([0-9]{1,3}))? ?(KB|MB|GB|TB)", text.upper(), re.ASCII)
    units = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
    size = int(found[1] + (found[2] or "").ljust(3, "0")) * units[found[3]] // 1000 if found else 0
    if not LEAST_SHARD <= size <= MOST_SHARD:
        raise argparse.ArgumentTypeError(f"'{excerpt(text)}' is no size from 10KB to 1000TB, such as 250MB or 1GB")
    return size
