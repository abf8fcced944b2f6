"""AudioSet for pannsdist: the multi-label dataset `audioset`.

The lists are those of J. F. Gemmeke and others, "Audio Set: An Ontology and Human-Labeled Dataset for Audio Events",
ICASSP 2017. The audio is not published with them; each segment is expected in its own file.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pannsdist.contracts.corpora import Corpus, Listed, RootParams, allowed
from pannsdist.contracts.locations import Location, below, is_root
from pannsdist.contracts.sound_files import find_sound_files
from pannsdist.contracts.tables import csv_rows, rows_by

__all__ = ["AudioSet", "AudioSetParams"]

LABELS = "class_labels_indices.csv"
SEGMENTS = ("YTID", "start_seconds", "end_seconds", "positive_labels")
BALANCED, UNBALANCED, EVALUATION = (f"{name}_segments" for name in ("balanced_train", "unbalanced_train", "eval"))
SPLITS = {
    "unbalanced": {UNBALANCED: "train", BALANCED: "valid", EVALUATION: "test"},
    "both": {BALANCED: "train", UNBALANCED: "train", EVALUATION: "valid"},
    "balanced": {BALANCED: "train", EVALUATION: "valid"},
}
NAME = re.compile(r"(?:Y(?P<prefixed>[\w-]{11})|(?P<plain>[\w-]{11}))(?:_[0-9].*)?")
"""File name of a segment without suffix: the video id, with optional prefix Y and optional start such as _30.000."""


@dataclass(frozen=True)
class AudioSetParams(RootParams):
    """`root` is the folder with lists and audio. `train` selects the training lists: balanced, unbalanced or both."""

    train: str = "balanced"


class AudioSet(Corpus):
    """AudioSet in its official lists; multi-label with 527 classes. Missing files are skipped and counted."""

    Params = AudioSetParams
    home = "https://research.google.com/audioset/download.html"
    layout = f"{LABELS}, the lists such as {BALANCED}.csv (both perhaps in metadata/) and audio/ or audios/"
    multi_label = True
    skips_missing = True

    def __init__(self, params: Any) -> None:
        self._splits = SPLITS[allowed("train", params.train, tuple(SPLITS))]
        super().__init__(params)

    def listed(self) -> Iterator[Listed]:
        """The segments of the lists; the clip id is the video id, which is unique in AudioSet."""
        names = {mid: row.required("display_name") for mid, row in self._classes().items()}
        audio = self.found("audio", "audios").name
        for name, split in self._splits.items():
            files = dict(self._files(self.root / audio / name))
            for row in csv_rows(self.found(f"{name}.csv", f"metadata/{name}.csv"), header=SEGMENTS):
                video = row.matched("YTID", r"[\w-]{11}", "expected a video id of 11 characters")[0]
                mids = row.required("positive_labels").split(",")
                unknown = [mid for mid in mids if mid not in names]
                if unknown:
                    row.refuse(f"unknown label {unknown[0]!r}", f"labels are defined in {LABELS}")
                path = files.get(video, f"{audio}/{name}/Y{video}.wav")
                yield Listed(row, path, tuple(dict.fromkeys(names[mid] for mid in mids)), split, id=video)

    def split_of(self, item: Listed) -> str:
        """The split of the clip's list."""
        return str(item.part)

    def label_order(self, _: object) -> tuple[str, ...]:
        """The display names in index order."""
        return tuple(row.required("display_name") for row in self._classes().values())

    def _classes(self) -> dict[str, Any]:
        path = self.found(LABELS, f"metadata/{LABELS}")
        return rows_by("mid", csv_rows(path, ("index", "mid", "display_name")))

    def _files(self, folder: Location) -> Iterator[tuple[str, str]]:
        """Pairs (video id, path relative to the root), recursively."""
        if not is_root(folder):
            return
        found = find_sound_files(folder)
        self.skipped = (*self.skipped, *found.skipped)
        for path in found.files:
            name = NAME.fullmatch(path.stem)
            if name:
                yield name["prefixed"] or name["plain"], below(path, self.root).as_posix()
