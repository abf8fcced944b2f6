"""TAU Urban Acoustic Scenes 2019, development set (DCASE 2019 task 1A), for pannsdist: the dataset `dcase2019task1`.

Layout and lists as in A. Mesaros, T. Heittola and T. Virtanen, "A multi-device dataset for urban acoustic scene
classification", DCASE 2018 Workshop, and its download: no recording location is in both parts of the official split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pannsdist.contracts import Download
from pannsdist.contracts.corpora import Corpus, Listed, RootParams, allowed
from pannsdist.contracts.tables import csv_rows, rows_by

__all__ = ["Dcase2019Task1", "Dcase2019Task1Params"]

CITIES = ("barcelona", "helsinki", "lisbon", "london", "lyon", "paris", "prague", "stockholm", "vienna")
"""Cities of the training list; Milan is only in the evaluation list."""
SET = "TAU-urban-acoustic-scenes-2019-development"
PLACE, LICENCE = f"https://zenodo.org/record/2589280/files/{SET}", "Tampere University, non-commercial use"
META_MD5 = "09782f2097e4735687af73c44919329c"
AUDIO_MD5 = (
    "aca4ebfd9ed03d5f747d6ba8c24bc728",
    "c4f170408ce77c8c70c532bf268d7be0",
    "c7214a07211f10f3250290d05e72c37e",
    "a6a62110f6699cf4432072acb1dffda6",
    "091a0b6d3c84b8e60e46940aa7d4a8a0",
    "114f4ca13e074391b98a1cfd8140de65",
    "5951dd2968f7a514e2afbe279c4f060d",
    "b0b63dc95b327e1509857c8d8a663cc3",
    "3c32a693a6b111ffb957be3c1dd22e9b",
    "0ffbf60006da520cc761fb74c878b98b",
    "599055d93b4c11057c29be2df54538d4",
    "98b8d162ff3665695c4c910e6c372cc8",
    "a356c08b1a5a21d433eba37ef87587f4",
    "f8969771e7faf7dd471d1cf78b0cf011",
    "4758c4b0fb7484faa632266e78850820",
    "a18acad9ede8ea76574216feb887f0bc",
    "1af7703484632f340da5c33662dc9632",
    "b67402bf3e08f4da394a7c18756c0fd2",
    "035db315f19106eb848b6f9b32bcc47c",
    "9cb28c74911bf8a3eadcf53f50a5b5d6",
    "0e44ed85c88ec036a9725b4dd1dfaea0",
)
NAME = r"audio/([a-z_]+-([a-z]+)-[0-9]+-[0-9]+-[a-z])\.wav"


@dataclass(frozen=True)
class Dcase2019Task1Params(RootParams):
    """`root` is the corpus folder. `valid_city` is held out for validation; `none` validates on the official test."""

    valid_city: str = "vienna"


class Dcase2019Task1(Corpus):
    """TAU Urban Acoustic Scenes 2019 in its official split, with one city held out; single-label."""

    Params = Dcase2019Task1Params
    home = "https://zenodo.org/record/2589280"
    layout = "meta.csv, evaluation_setup/fold1_train.csv, evaluation_setup/fold1_evaluate.csv and audio/"
    unpacks_to = SET
    downloads = (
        Download(f"{PLACE}.meta.zip", LICENCE, f"md5:{META_MD5}"),
        *(Download(f"{PLACE}.audio.{n}.zip", LICENCE, f"md5:{md5}") for n, md5 in enumerate(AUDIO_MD5, start=1)),
    )

    def __init__(self, params: Any) -> None:
        allowed("valid_city", params.valid_city, (*CITIES, "none"))
        super().__init__(params)

    def listed(self) -> Iterator[Listed]:
        """The rows of both lists, with labels as in meta.csv; 1030 published clips are in neither list."""
        columns = ("filename", "scene_label")
        scenes = rows_by("filename", csv_rows(self.found("meta.csv"), columns))
        for part in ("train", "evaluate"):
            for row in csv_rows(self.found(f"evaluation_setup/fold1_{part}.csv"), columns):
                name, label = (
                    row.matched("filename", NAME, "expected a path such as audio/park-paris-1-2-a.wav"),
                    row.text("scene_label"),
                )
                known = scenes.get(name[0])
                if known is None or known.text("scene_label") != label:
                    found = f"{known.place} says {known.text('scene_label')!r}" if known else "meta.csv has no such row"
                    row.refuse(f"{name[0]!r} is {label!r}, but {found}", "use both tables from the same download")
                yield Listed(row, name[0], (label,), part if part == "evaluate" else name[2], id=name[1])

    def split_of(self, item: Listed) -> str:
        """The split by list and city."""
        if item.part == "evaluate":
            return "valid" if self.params.valid_city == "none" else "test"
        return "valid" if item.part == self.params.valid_city else "train"
