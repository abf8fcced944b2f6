"""ESC-50 and ESC-10 for pannsdist: the dataset `esc50`.

Layout and columns as in K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015, and
its download: `meta/esc50.csv` lists the files of `audio/` in five folds; no source recording is in two folds.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pannsdist.contracts import Download
from pannsdist.contracts.corpora import FoldedCorpus, FoldedParams, Listed, allowed
from pannsdist.contracts.tables import csv_rows

__all__ = ["Esc50", "Esc50Params"]

COLUMNS = ("filename", "fold", "target", "category", "esc10")
SUBSETS = ("esc10", "esc50")


@dataclass(frozen=True)
class Esc50Params(FoldedParams):
    """Settings of `esc50`.

    `root` is the corpus folder. `test_fold` 0 means no test split. `subset` is `esc50` for all clips, or `esc10`.
    """

    subset: str = "esc50"


class Esc50(FoldedCorpus):
    """ESC-50 or ESC-10 in its five folds; single-label."""

    Params = Esc50Params
    home = "https://github.com/karolpiczak/ESC-50"
    layout = "meta/esc50.csv and audio/"
    fold_count = 5
    unpacks_to = "ESC-50-master"
    downloads = (Download("https://github.com/karolpiczak/ESC-50/archive/refs/heads/master.zip", "CC BY-NC 3.0"),)

    def __init__(self, params: Any) -> None:
        allowed("subset", params.subset, SUBSETS)
        super().__init__(params)

    def listed(self) -> Iterator[Listed]:
        """The rows of the table; the clip id is the file name without suffix."""
        audio = self.found("audio").name
        for row in csv_rows(self.found("meta/esc50.csv"), COLUMNS):
            of_esc10 = row.choice("esc10", ("True", "False")) == "True"
            if of_esc10 or self.params.subset == "esc50":
                name, label, number = row.file_name("filename"), row.required("category"), row.whole("target", 0, 999)
                fold = row.whole("fold", 1, 5)
                yield Listed(row, f"{audio}/{name}", (label,), fold, id=name.rpartition(".")[0], number=number)
