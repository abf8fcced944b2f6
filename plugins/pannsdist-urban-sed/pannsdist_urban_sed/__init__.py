"""URBAN-SED for pannsdist: the dataset `urban_sed`, 10 000 soundscapes of ten urban sounds.

J. Salamon, D. MacConnell, M. Cartwright, P. Li and J. P. Bello, "Scaper: A Library for Soundscape Synthesis and
Augmentation", WASPAA 2017.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from pannsdist.contracts import Download, UserError
from pannsdist.contracts.corpora import Corpus, Listed, allowed
from pannsdist.contracts.event_corpora import EventParams, listed_sounds
from pannsdist.contracts.event_files import LabelFiles, read_label_files

__all__ = ["UrbanSed", "UrbanSedParams"]

LABELS = (
    *("air_conditioner", "car_horn", "children_playing", "dog_bark", "drilling"),
    *("engine_idling", "gun_shot", "jackhammer", "siren", "street_music"),
)
PARTS = {"train": "train", "validate": "valid", "test": "test"}
FORMATS = {"txt": "audacity", "jams": "jams"}


@dataclass(frozen=True)
class UrbanSedParams(EventParams):
    """`annotations` are read from the simplified tables, txt, or from jams; both say the same."""

    annotations: str = "txt"


class UrbanSed(Corpus):
    """URBAN-SED 2.0.0 in its three official sets. Sounds of one class may overlap: by itself they become one event."""

    Params = UrbanSedParams
    home = "https://zenodo.org/record/1324404"
    layout = "annotations/ and audio/, each with train/, validate/ and test/"
    unpacks_to = "URBAN-SED_v2.0.0"
    multi_label = True
    downloads = (
        Download(
            "https://zenodo.org/record/1324404/files/URBAN-SED_v2.0.0.tar.gz?download=1",
            licence="CC BY 4.0",
            checksum="md5:a2d24a2148ece7c021fcc079ee87c2dc",
            unpack="tar",
        ),
    )

    def __init__(self, params: Any) -> None:
        self._format = FORMATS[allowed("annotations", params.annotations, tuple(FORMATS))]
        super().__init__(params)

    def listed(self) -> Iterator[Listed]:
        """The soundscapes of each set; the clip id is the name of the file, which has that of its set."""
        for part, split in PARTS.items():
            folder, _ = self.found(f"annotations/{part}"), self.found(f"audio/{part}")
            rows = read_label_files(LabelFiles([folder], self._format, key="data.params.root"))
            if not len(rows):
                raise UserError(f"{folder} has no .{self.params.annotations} file", f"download: {self.home}")
            for number, label in enumerate(rows.labels):
                if label and label not in LABELS:
                    rows.refuse(number, f"unknown label {label!r}", f"labels: {', '.join(LABELS)}")
            yield from listed_sounds(rows, split, f"audio/{part}/{{}}.wav".format, self.params.overlaps)

    def split_of(self, item: Listed) -> str:
        """The split of the clip's set."""
        return str(item.part)

    def label_order(self, _: Sequence[Listed]) -> tuple[str, ...]:
        """The ten labels by name."""
        return LABELS
