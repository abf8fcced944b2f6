"""Dataset plugin `manifest`: clips listed in a CSV or JSON lines file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pannsdist.builtin.manifest.clips import check_clips, read_clips
from pannsdist.builtin.manifest.events import has_events, with_events
from pannsdist.builtin.manifest.params import ManifestParams
from pannsdist.builtin.manifest.reading import check_division, fold_of, read_labels, read_manifest
from pannsdist.builtin.manifest.splits import file_names, split_clips
from pannsdist.contracts import Clip, UserError
from pannsdist.contracts.drawn_splits import check_drawn_params, drawn_folds
from pannsdist.contracts.locations import is_root, location_of
from pannsdist.contracts.split_names import split_named

__all__ = ["Manifest", "ManifestParams"]


class Manifest:
    """Clips listed in a table: text with a header (.csv, .tsv, .txt) or one JSON object per line (.jsonl, .json).

    How texts are separated and encoded: `contracts.tables`. Columns: `path`, relative to the root, with slashes;
    `label` or `labels` (in JSON a string or a list of strings); and `split` (its values: `contracts.split_names`) or
    `fold` (counted from 1). With `valid_fold` 0 the column `split` is used; otherwise that fold is `valid` and the
    others are `train`, but `test` of a column `split` stays `test`. Optional columns: `start` and `duration` in seconds
    of a segment of the file; `id`, which defaults to the path, with `#start` appended if a start is given; the column
    of `group`. Other columns are ignored. `columns` says what the table calls them, such as
    `{path: filename, label: category}`.

    A table without these columns is divided by `folds` or by `valid_fraction` and `test_fraction`, and `folds` divides
    `train` and `valid` of a column `split` anew (`contracts.drawn_splits`). The clips of one group stay together;
    without `group` those of one file.

    The table, the root and the file of labels may be URLs of stores (`contracts.locations`).

    A file whose name on disk has another Unicode normal form, as on macOS, is found.

    Clips may have events: of a column `events` in JSON, a list of `{"onset_s", "offset_s", "label"}` in seconds from
    the start of the clip; or of the files and folders that `events` names, in seconds from the start of the sound, of
    which a clip with a `start` gets its part. A clip with labels and no events is weakly labelled, one with neither not
    at all, as `unlisted` says. Such a dataset is multi-label.

    With `multi_label`, labels are split at `label_separator` and may be empty. `labels` is a text file with one label
    per line, in the order of the network's outputs; without it labels are sorted.
    """

    Params: ClassVar[type] = ManifestParams
    fold_param: ClassVar[str] = "valid_fold"

    @classmethod
    def folds(cls, params: ManifestParams) -> tuple[int, ...]:
        """The folds of the column `fold`, or those to draw; empty if there are none."""
        if params.folds:
            return drawn_folds(params)
        table = read_manifest(location_of(params.path, "data.params.path"), params)
        if not all("fold" in row.cells for row in table.examples):
            return ()
        return tuple(sorted({fold_of(row) for row in table if split_named(row.text("split")) != "test"}))

    def __init__(self, params: ManifestParams) -> None:
        if not params.label_separator:
            raise UserError("data.params.label_separator is empty", "it is at least one character, such as ';'")
        check_drawn_params(params)
        path = location_of(params.path, "data.params.path")
        root = location_of(params.root, "data.params.root") if params.root else path.parent
        if params.root and not is_root(root):
            raise UserError(
                f"{root} is not a folder (data.params.root)",
                "give the folder that the paths in the manifest are relative to",
            )
        known = read_labels(location_of(params.labels, "data.params.labels")) if params.labels else ()
        table = read_manifest(path, params)
        check_division(table, params)
        is_with_events = has_events(table, params)
        self.multi_label = params.multi_label or is_with_events
        clips = read_clips(path, table, root, replace(params, multi_label=self.multi_label))
        check_clips(table, clips, known or clips.label_names, params.labels)
        if is_with_events:
            clips = with_events(table, clips, file_names(root, clips.sources), params, known)
        self.labels = known or tuple(sorted(clips.used_label_names))
        self._clips = split_clips(root, table, clips, params)
        self.splits = tuple(self._clips)

    def clips(self, split: str) -> Sequence[Clip]:
        """Clips of one split, in the order of the manifest; opens no audio."""
        if split not in self._clips:
            raise UserError(f"the dataset has no split {split!r}", f"splits: {', '.join(self.splits)}")
        return self._clips[split]
