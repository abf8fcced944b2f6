"""UrbanSound8K for pannsdist: the dataset `urbansound8k`.

Layout and columns as in J. Salamon, C. Jacoby and J. P. Bello, "A Dataset and Taxonomy for Urban Sound Research", ACM
Multimedia 2014, and its download: ten folds; no field recording is in two folds.
"""

from __future__ import annotations

from collections.abc import Iterator

from pannsdist.contracts import Download
from pannsdist.contracts.corpora import FoldedCorpus, Listed
from pannsdist.contracts.tables import csv_rows

__all__ = ["UrbanSound8k"]

COLUMNS = ("slice_file_name", "fold", "classID", "class")


class UrbanSound8k(FoldedCorpus):
    """UrbanSound8K in its ten folds; single-label."""

    home = "https://urbansounddataset.weebly.com/urbansound8k.html"
    layout = "metadata/UrbanSound8K.csv and audio/fold1 to audio/fold10"
    fold_count = 10
    unpacks_to = "UrbanSound8K"
    downloads = (
        Download(
            "https://zenodo.org/record/1203745/files/UrbanSound8K.tar.gz",
            "CC BY-NC 3.0",
            "md5:9aa69802bbf37fb986f71ec1483a196e",
            unpack="tar",
        ),
    )

    def listed(self) -> Iterator[Listed]:
        """The rows of the table; the clip id is the file name without suffix."""
        for row in csv_rows(self.found("metadata/UrbanSound8K.csv"), COLUMNS):
            fold, name = row.whole("fold", 1, self.fold_count), row.file_name("slice_file_name")
            label, number = row.required("class"), row.whole("classID", 0, 9)
            yield Listed(row, f"audio/fold{fold}/{name}", (label,), fold, id=name.rpartition(".")[0], number=number)
