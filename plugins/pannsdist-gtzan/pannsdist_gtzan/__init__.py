"""GTZAN for pannsdist: the dataset `gtzan`, in its fault-filtered split.

Collected by G. Tzanetakis and P. Cook, "Musical Genre Classification of Audio Signals", IEEE TSAP 10(5), 2002. The
split keeps repetitions and artists in separate splits: C. Kereliuk, B. L. Sturm and J. Larsen, "Deep Learning and Music
Adversaries", IEEE TMM 17(11), 2015.
"""

from __future__ import annotations

from collections.abc import Iterator

from pannsdist.contracts.corpora import Corpus, Listed
from pannsdist.contracts.tables import line_rows

__all__ = ["Gtzan"]

GENRES = ("blues", "classical", "country", "disco", "hiphop", "jazz", "metal", "pop", "reggae", "rock")


class Gtzan(Corpus):
    """GTZAN in the fault-filtered split; single-label clips of 30 s."""

    home = "http://marsyas.info, the lists: https://github.com/jongpillee/music_dataset_split (GTZAN_split)"
    layout = "genres/ (or genres_original/), train_filtered.txt, valid_filtered.txt and test_filtered.txt"

    def listed(self) -> Iterator[Listed]:
        """The lines of the three lists; clip ids are like `blues.00029`."""
        audio = self.found("genres", "genres_original").name
        for split in ("train", "valid", "test"):
            for row in line_rows(self.found(f"{split}_filtered.txt")):
                name = row.matched(
                    "path", r"([a-z]+)/(\1\.[0-9]{5})\.wav", "expected a path such as blues/blues.00029.wav"
                )
                yield Listed(row, f"{audio}/{name[0]}", (name[1],), split, id=name[2])

    def split_of(self, item: Listed) -> str:
        """The split of the clip's list."""
        return str(item.part)

    def label_order(self, _: object) -> tuple[str, ...]:
        """The ten genres in alphabetical order."""
        return GENRES
