"""TESS, the Toronto emotional speech set, for pannsdist: the dataset `tess`.

M. K. Pichora-Fuller and K. Dupuis, "Toronto emotional speech set (TESS)", 2020, doi 10.5683/SP2/E8H2MF: two speakers
say 200 words in seven emotions each. What a file is stands in its name.
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
"""The older and the younger speaker; `OA_bite_neutral.wav` is misspelt so in the download."""
NAME = rf"(?:[^/]+/)*((OAF|OA|YAF)_[a-z]+_({'|'.join(EMOTIONS)}))\.wav"


@dataclass(frozen=True)
class TessParams(RootParams):
    """`root` is the download's folder. `valid_fold` is the speaker held out of training: 1 is OAF, 2 is YAF."""

    valid_fold: int = 2


class Tess(FoldedCorpus):
    """TESS with one speaker to train on and the other to validate; one label for each clip."""

    Params = TessParams
    home = "https://doi.org/10.5683/SP2/E8H2MF"
    layout = "the files such as OAF_back_angry.wav, perhaps in folders such as OAF_angry"
    fold_count = 2

    def listed(self) -> Iterator[Listed]:
        """All sound files below the root; a clip's id is its file's name without the ending."""
        for row in file_rows(self.root, "**/*.wav"):
            name = row.matched("path", NAME, "its name is such as OAF_back_angry.wav")
            yield Listed(row, name[0], (LABELS.get(name[3], name[3]),), FOLDS[name[2]], id=name[1])
