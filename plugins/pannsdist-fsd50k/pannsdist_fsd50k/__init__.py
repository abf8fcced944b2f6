"""FSD50K for pannsdist: the multi-label dataset `fsd50k`.

Layout and columns as in E. Fonseca and others, "FSD50K: an Open Dataset of Human-Labeled Sound Events", IEEE/ACM TASLP
30, 2022, and its download. Labels already include the ancestors of each label in the ontology.
"""

from __future__ import annotations

from collections.abc import Iterator

from pannsdist.contracts.corpora import Corpus, Listed
from pannsdist.contracts.tables import csv_rows, rows_by

__all__ = ["Fsd50k"]

TABLES = "FSD50K.ground_truth"
SPLITS = {"train": "train", "val": "valid"}


class Fsd50k(Corpus):
    """FSD50K in its official splits: train and val from the development set, the evaluation set as `test`."""

    home = "https://zenodo.org/record/4060432"
    layout = f"{TABLES}/, FSD50K.dev_audio/ and FSD50K.eval_audio/"
    multi_label = True

    def listed(self) -> Iterator[Listed]:
        """The rows of dev.csv and eval.csv; the clip id is the Freesound id, which is also the file name."""
        for name, columns in (("dev", ("fname", "labels", "split")), ("eval", ("fname", "labels"))):
            audio = self.found(f"FSD50K.{name}_audio").name
            for row in csv_rows(self.found(f"{TABLES}/{name}.csv"), columns):
                split = "test" if name == "eval" else SPLITS[row.choice("split", tuple(SPLITS))]
                file, labels = row.file_name("fname"), tuple(row.required("labels").split(","))
                yield Listed(row, f"{audio}/{file}.wav", labels, split, id=file)

    def split_of(self, item: Listed) -> str:
        """The split given by the table."""
        return str(item.part)

    def label_order(self, _: object) -> tuple[str, ...]:
        """The 200 classes in vocabulary order; the vocabulary file has no header."""
        vocabulary = csv_rows(self.found(f"{TABLES}/vocabulary.csv"), header=("index", "label", "mid"))
        return tuple(rows_by("label", vocabulary))
