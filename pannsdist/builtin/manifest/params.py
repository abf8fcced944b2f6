"""The params of the dataset `manifest`."""

from __future__ import annotations

from dataclasses import dataclass, field

from pannsdist.contracts import param
from pannsdist.contracts.event_files import EVENT_FORMATS
from pannsdist.contracts.labelled_clips import OVERLAPS, UNLISTED
from pannsdist.contracts.tables import TABLE_ENDINGS

EVENTS_DOC = "files of event labels, or folders with label tracks (contracts.event_files); none: those of the manifest"
COLUMNS_DOC = "what the table calls its columns, where it differs, as {path: filename, label: category}"


@dataclass(frozen=True)
class ManifestParams:
    """`path`, `root` and `labels` are relative to the working directory."""

    path: str = param(doc=f"manifest file: {', '.join(TABLE_ENDINGS)}")
    root: str = param("", "folder that paths in the manifest are relative to; empty: folder of the manifest")
    valid_fold: int = param(0, "fold of the valid split; 0: use the column split, or valid_fraction")
    multi_label: bool = param(False, "whether a clip may have several labels")
    label_separator: str = param(";", "separator between labels")
    labels: str = param("", "text file with one label per line, in output order; empty: sorted labels")
    folds: int = param(0, "number of folds to draw, without a column fold; 0: none")
    valid_fraction: float = param(0.0, "fraction of each class for validation, without a column split or fold")
    test_fraction: float = param(0.0, "fraction of each class for testing, without a column split or fold")
    group: str = param("", "column whose values are never split, or a pattern of the path, such as (*)_* or (*)/*")
    seed: int = param(0, "seed of the drawn splits and folds")
    events: list[str] = field(default_factory=list, metadata={"doc": EVENTS_DOC})
    event_format: str = param(
        "auto", "format of these files; auto: by ending and first line", choices=("auto", *EVENT_FORMATS)
    )
    event_column: str = param("", "column of the labels in a selection table of Raven; empty: Annotation")
    overlaps: str = param("refuse", "events of one label that overlap: refuse, or merge into one", choices=OVERLAPS)
    unlisted: str = param("refuse", "a clip without labels that no such file lists", choices=UNLISTED)
    columns: dict[str, str] = field(default_factory=dict, metadata={"doc": COLUMNS_DOC})
