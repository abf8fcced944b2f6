"""RAVDESS for pannsdist: the dataset `ravdess`.

S. R. Livingstone and F. A. Russo, "The Ryerson Audio-Visual Database of Emotional Speech and Song (RAVDESS)", PLoS ONE
13(5), 2018: the metadata of a file is in its name, as seven numbers. There is no official split.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pannsdist.contracts import Download
from pannsdist.contracts.corpora import FoldedCorpus, FoldedParams, Listed, allowed
from pannsdist.contracts.tables import file_rows

__all__ = ["Ravdess", "RavdessParams"]

EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")
VOCAL = {"both": ("01", "02"), "song": ("02",), "speech": ("01",)}
NAME = r"Actor_([0-9]{2})/(03-(0[12])-0([1-8])-0[12]-0[12]-0[12]-\1)\.wav"
PLACE, LICENCE = "https://zenodo.org/record/1188976/files", "CC BY-NC-SA 4.0"


@dataclass(frozen=True)
class RavdessParams(FoldedParams):
    """Settings of `ravdess`.

    `root` is the corpus folder. A fold is six actors; `test_fold` 0 means no test split. `vocal` is speech, song or
    both.
    """

    vocal: str = "speech"


class Ravdess(FoldedCorpus):
    """RAVDESS, audio only, in four folds of six actors each; single-label."""

    Params = RavdessParams
    home = "https://zenodo.org/record/1188976"
    layout = "Actor_01/ to Actor_24/ with files such as 03-01-06-01-02-01-12.wav"
    fold_count = 4
    downloads = (
        Download(
            f"{PLACE}/Audio_Speech_Actors_01-24.zip", LICENCE, "md5:bc696df654c87fed845eb13823edef8a", 208_468_073
        ),
    )

    def __init__(self, params: Any) -> None:
        self._channels = VOCAL[allowed("vocal", params.vocal, tuple(VOCAL))]
        super().__init__(params)

    def listed(self) -> Iterator[Listed]:
        """The actors' files; the clip id is the file name without suffix."""
        for row in file_rows(self.root, "Actor_*/*.wav"):
            name = row.matched("path", NAME, "expected a path such as Actor_12/03-01-06-01-02-01-12.wav")
            number, fold = int(name[4]), (int(name[1]) - 1) // 6 + 1
            if not 1 <= fold <= self.fold_count:
                row.refuse(f"actor {name[1]}", "there are 24")
            if name[3] in self._channels:
                yield Listed(row, name[0], (EMOTIONS[number - 1],), fold, id=name[2], number=number)
