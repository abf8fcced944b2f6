"""FSDKaggle2018 for pannsdist: the dataset `fsdkaggle2018`.

Layout and columns as in E. Fonseca and others, "General-purpose Tagging of Freesound Audio with AudioSet Labels",
DCASE 2018 Workshop, and its post-competition download, which lists the Freesound id of every clip.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pannsdist.contracts import Download
from pannsdist.contracts.corpora import FoldedCorpus, Listed, RootParams, allowed
from pannsdist.contracts.tables import csv_rows

__all__ = ["FsdKaggle2018", "FsdKaggle2018Params"]

TABLES = {
    "train": ("train_post_competition.csv", ("fname", "label", "manually_verified", "freesound_id")),
    "test": ("test_post_competition_scoring_clips.csv", ("fname", "label", "freesound_id")),
}
BLOCK = 1000
"""Clips uploaded together have neighbouring Freesound ids and may be similar, so blocks of ids stay in one fold."""
PLACE, LICENCE = "https://zenodo.org/record/2552860/files/FSDKaggle2018", "CC BY 4.0; each clip CC0, CC BY or CC BY-NC"


@dataclass(frozen=True)
class FsdKaggle2018Params(RootParams):
    """Settings of `fsdkaggle2018`.

    `root` is the corpus folder. `valid_fold` is held out for validation. `train_on` is `all` or `verified`: the clips
    used for training.
    """

    valid_fold: int = 1
    train_on: str = "all"


class FsdKaggle2018(FoldedCorpus):
    """FSDKaggle2018: the official test set, and five folds of the training set by Freesound id; single-label."""

    Params = FsdKaggle2018Params
    home = "https://zenodo.org/record/2552860"
    layout = "FSDKaggle2018.meta/, FSDKaggle2018.audio_train/ and FSDKaggle2018.audio_test/"
    fold_count = 5
    downloads = tuple(Download(f"{PLACE}.{name}.zip", LICENCE) for name in ("meta", "audio_train", "audio_test"))

    def __init__(self, params: Any) -> None:
        allowed("train_on", params.train_on, ("verified", "all"))
        super().__init__(params)

    def listed(self) -> Iterator[Listed]:
        """The rows of both tables; the clip id is the file name without suffix."""
        for part, (table, columns) in TABLES.items():
            audio = self.found(f"FSDKaggle2018.audio_{part}").name
            for row in csv_rows(self.found(f"FSDKaggle2018.meta/{table}"), columns):
                if part == "train":
                    row.choice("manually_verified", ("0", "1"))
                name, block = row.file_name("fname"), row.whole("freesound_id", 1, 999_999_999) // BLOCK
                fold = block % self.fold_count + 1 if part == "train" else "test"
                yield Listed(row, f"{audio}/{name}", (row.required("label"),), fold, id=name.rpartition(".")[0])

    def split_of(self, item: Listed) -> str | None:
        """The split by table and fold; of the held-out fold, only verified clips are used."""
        if item.part == "test":
            return "test"
        split, is_verified = super().split_of(item), item.row.text("manually_verified") == "1"
        is_needed = is_verified or (split == "train" and self.params.train_on == "all")
        return split if is_needed else None
