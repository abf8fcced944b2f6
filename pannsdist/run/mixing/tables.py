"""The tables of mixed soundscapes: of each split as in DCASE task 4, and a manifest of all that our datasets read."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from pannsdist.run.mixing.jams import Summary, seconds
from pannsdist.run.mixing.recipe import Recipe
from pannsdist.runtime import storage

MANIFEST = "clips.jsonl"
COLUMNS = ("filename", "onset", "offset", "event_label")


def write_tables(output: Path, found: Mapping[str, Sequence[Summary]], recipe: Recipe) -> None:
    """`SPLIT.tsv` with the events of each split, `SPLIT_durations.tsv`, and the manifest; paths are relative to it."""
    duration_s = seconds(recipe.samples, recipe.rate_hz)
    for split, soundscapes in found.items():
        durations = (f"{split}/{one.name}.wav\t{duration_s}" for one in soundscapes)
        _write(output / f"{split}_durations.tsv", ["filename\tduration", *durations])
        _write(output / f"{split}.tsv", ["\t".join(COLUMNS), *_rows(split, soundscapes)])
    _write(output / MANIFEST, [_line(split, one) for split, soundscapes in found.items() for one in soundscapes])


def _rows(split: str, soundscapes: Sequence[Summary]) -> Iterator[str]:
    """A row for each event; of a soundscape without events one without values."""
    for one in soundscapes:
        name = f"{split}/{one.name}.wav"
        yield from (f"{name}\t{event.onset_s}\t{event.offset_s}\t{event.label}" for event in one.events)
        yield from () if one.events else (f"{name}\t\t\t",)


def _line(split: str, one: Summary) -> str:
    events = [asdict(event) for event in one.events]
    return json.dumps({"path": f"{split}/{one.name}.wav", "split": split, "events": events}, ensure_ascii=False)


def _write(path: Path, lines: Sequence[str]) -> None:
    storage.write_atomic(path, "\n".join([*lines, ""]))
