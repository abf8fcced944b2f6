"""DESED for pannsdist: the dataset `desed`, sound events at home with strong, weak and no labels.

N. Turpault, R. Serizel, A. Shah and J. Salamon, "Sound Event Detection in Domestic Environments with Weakly Labeled
Data and Soundscape Synthesis", DCASE Workshop 2019.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from pannsdist.contracts import UserError
from pannsdist.contracts.corpora import Corpus, Listed
from pannsdist.contracts.event_corpora import EventParams, listed_sounds
from pannsdist.contracts.event_files_text import dcase_rows
from pannsdist.contracts.locations import Location, below
from pannsdist.contracts.sound_labels import REFUSE
from pannsdist.contracts.tables import read_text

__all__ = ["Desed", "DesedParams"]

LABELS = (
    *("Alarm_bell_ringing", "Blender", "Cat", "Dishes", "Dog", "Electric_shaver_toothbrush", "Frying"),
    *("Running_water", "Speech", "Vacuum_cleaner"),
)
TRAIN = ("synthetic21_train", "weak", "unlabel_in_domain")
AUDIO_OF = {"audioset_strong": "strong_label_real"}
"""The folder of sounds of a table where it has another name."""


@dataclass(frozen=True)
class DesedParams(EventParams):
    """`train` names tables of metadata/train/, `valid` one of metadata/validation/, `test` one of metadata/eval/.

    A table is NAME.tsv or NAME/soundscapes.tsv; `test` may be empty. Published tables have no overlaps.
    """

    train: list[str] = field(default_factory=lambda: list(TRAIN))
    valid: str = "validation"
    test: str = ""
    overlaps: str = REFUSE


class Desed(Corpus):
    """DESED in the tables of task 4 of the DCASE challenge; ten labels. Missing files are skipped and counted."""

    Params = DesedParams
    home = "https://project.inria.fr/desed/"
    layout = "metadata/ and audio/, each with train/ and validation/ (and eval/)"
    multi_label = True
    skips_missing = True

    def __init__(self, params: Any) -> None:
        if not params.train or len(set(params.train)) < len(params.train):
            right = f"tables of metadata/train/, each once, such as {', '.join((*TRAIN, *AUDIO_OF))}"
            raise UserError(f"data.params.train is {params.train}", right)
        super().__init__(params)

    def listed(self) -> Iterator[Listed]:
        """The sounds of each table; the clip id is the name of the table and that of the file."""
        for name in self.params.train:
            yield from self._table("train", name, "train")
        yield from self._table("validation", self.params.valid, "valid")
        if self.params.test:
            yield from self._table("eval", self.params.test, "test")

    def split_of(self, item: Listed) -> str:
        """The split of the clip's table."""
        return str(item.part)

    def label_order(self, _: Sequence[Listed]) -> tuple[str, ...]:
        """The ten labels by name; a table with another one is refused."""
        return LABELS

    def _table(self, part: str, name: str, split: str) -> Iterator[Listed]:
        file = self.found(f"metadata/{part}/{name}.tsv", f"metadata/{part}/{name}/soundscapes.tsv")
        rows, folder = dcase_rows(file, read_text(file)), self._folder(part, name)
        for number, label in enumerate(rows.labels):
            if label and label not in LABELS:
                rows.refuse(number, f"unknown label {label!r}", f"labels: {', '.join(LABELS)}")
        yield from listed_sounds(
            rows,
            split,
            lambda sound: f"{folder}/{sound}",
            self.params.overlaps,
            lambda sound: f"{name}/{sound.rpartition('.')[0] or sound}",
        )

    def _folder(self, part: str, name: str) -> str:
        own = AUDIO_OF.get(name, name)
        places = [f"audio/{part}/{own}/soundscapes", f"audio/{part}/{own}"]
        found: Location = self.found(*places)
        return below(found, self.root).as_posix()
