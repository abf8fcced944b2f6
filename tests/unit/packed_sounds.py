"""A small dataset of loose files, and the same packed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import soundfile

from pannsdist import settings
from pannsdist.builtin.manifest import Manifest, ManifestParams
from pannsdist.builtin.shards import Shards, ShardsParams
from pannsdist.cli.command_line import main
from pannsdist.registry import Catalog
from pannsdist.run.packing.divisions import Inventory, take_inventory

RATE_HZ = 8000
HEADER = "path,label,split,start,duration"
FORMATS = ("wav", "flac", "ogg")


def noise(seed: int, duration_s: float = 0.25) -> np.ndarray:
    return np.random.default_rng(seed).uniform(-0.5, 0.5, round(duration_s * RATE_HZ)).astype(np.float32)


class Loose:
    """Files and a manifest: two classes, twelve files of three formats, and a file with three clips."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.table = folder, folder / "clips.csv"
        rows = []
        for number in range(12):
            name = f"{number}.{FORMATS[number % 3]}"
            soundfile.write(folder / name, noise(number), RATE_HZ)
            rows.append(f"{name},{('dog', 'cat')[number % 2]},{('valid' if number > 7 else 'train')},,")
        soundfile.write(folder / "long.wav", noise(99, 1.0), RATE_HZ)
        rows[3:3] = ["long.wav,dog,train,0,0.25", "long.wav,cat,train,0.5,0.25", "long.wav,cat,train,0.75,"]
        self.write(rows)

    def write(self, rows: list[str], header: str = HEADER) -> None:
        self.table.write_text("\n".join([header, *rows]), encoding="utf-8")

    def dataset(self, **params) -> Manifest:
        return Manifest(ManifestParams(path=str(self.table), **params))

    def pack(self, *arguments: object, output: Path | None = None, name: str = "manifest") -> int:
        (self.folder / "pack.yaml").write_text(
            json.dumps({"name": "p", "model": {"name": "panns_cnn6"}, "data": {"name": name}})
        )
        place = [f"data.params.path={self.table}"] if name == "manifest" else []
        given = [] if "--workers" in arguments else ["--workers", "0"]
        where = ["-o", output or self.folder / "packed"]
        words = ["data", "pack", "-c", self.folder / "pack.yaml", *where, *given, *arguments, *place]
        return main([str(word) for word in words])

    def inventory(self) -> Inventory:
        chosen, origin = settings.load(
            {
                "name": "p",
                "model": {"name": "panns_cnn6"},
                "data": {"name": "manifest", "params": {"path": str(self.table)}},
            }
        )
        return take_inventory(chosen.data, origin, Catalog.installed(), ())

    def packed(self, **params) -> Shards:
        return Shards(ShardsParams(root=str(self.folder / "packed"), **params))


def facts(dataset) -> dict[str, list[tuple]]:
    """What a run depends on of the clips of each split, in their order."""
    return {
        split: [
            (c.id, c.labels, c.start_s, c.duration_s, c.group, c.events, c.is_labelled) for c in dataset.clips(split)
        ]
        for split in dataset.splits
    }


def content(clip) -> bytes:
    """The bytes of the file of a clip."""
    if isinstance(clip.source, Path):
        return clip.source.read_bytes()
    with clip.source.open() as file:
        return file.read()
