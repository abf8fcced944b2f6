"""TESS, the Toronto emotional speech set, for pannsdist: the dataset `tess`.

M. K. Pichora-Fuller and K. Dupuis, "Toronto emotional speech set (TESS)", 2020, doi 10.5683/SP2/E8H2MF: two speakers
say 200 words in seven emotions each. The metadata of a file is in its name.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from pannsdist.contracts.corpora import FoldedCorpus, Listed, RootParams
from pannsdist.contracts.tables import file_rows

__all__ = ["Tess", "TessParams"]

EMOTIONS = ("angry", "disgust", "fear", "happy", "neutral", "ps", "sad")
LABELS = {"ps": "pleasant_surprise"}
FOLDS = {"OAF": 1, "OA": 1, "YAF": 2}
"""The older and the younger speaker; `OA` covers the misspelt file `OA_bite_neutral.wav` of the download."""
NAME = rf"(?:[^/]+/)*((OAF|OA|YAF)_[a-z]+_({'|'.join(EMOTIONS)}))\.wav"


@dataclass(frozen=True)
class TessParams(RootParams):
    """`root` is the corpus folder. `valid_fold` is the speaker held out for validation: 1 is OAF, 2 is YAF."""

    valid_fold: int = 2


class Tess(FoldedCorpus):
    """TESS with one speaker for training and the other for validation; single-label."""

    Params = TessParams
    home = "https://doi.org/10.5683/SP2/E8H2MF"
    layout = "files such as OAF_back_angry.wav, also in subfolders such as OAF_angry"
    fold_count = 2

    def listed(self) -> Iterator[Listed]:
        """All audio files below the root; the clip id is the file name without suffix."""
        for row in file_rows(self.root, "**/*.wav"):
            name = row.matched("path", NAME, "expected a file name such as OAF_back_angry.wav")
            yield Listed(row, name[0], (LABELS.get(name[3], name[3]),), FOLDS[name[2]], id=name[1])
