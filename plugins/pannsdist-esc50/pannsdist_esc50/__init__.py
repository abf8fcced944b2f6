"""ESC-50 and ESC-10 for pannsdist: the dataset `esc50`.

Layout and columns as in K. J. Piczak, "ESC: Dataset for Environmental Sound Classification", ACM Multimedia 2015, and
its download: `meta/esc50.csv` names the files of `audio/`, five folds, no source recording in two of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pannsdist.contracts import Clip, UserError
from pannsdist_esc50.table import Row, read_table

__all__ = ["Esc50", "Esc50Params"]

FOLDS = range(1, 6)
SUBSETS = ("esc10", "esc50")
SHOWN = 5


@dataclass(frozen=True)
class Esc50Params:
    """Settings of `esc50`.

    `root` is the download's folder, which holds `meta/esc50.csv` and `audio/`. `test_fold` 0 means no test split.
    """

    root: str
    valid_fold: int = 1
    test_fold: int = 0
    subset: str = "esc50"


class Esc50:
    """`valid` is one fold, `test` another or none, `train` all the others; one label for each clip."""

    Params = Esc50Params
    fold_param = "valid_fold"
    multi_label = False

    def __init__(self, params: Esc50Params) -> None:
        check_params(params)
        self.root = Path(params.root).expanduser()
        rows = checked_rows(self.root, params.subset)
        self.labels: Sequence[str] = tuple(
            dict.fromkeys(row.category for row in sorted(rows, key=lambda row: row.target))
        )
        self._rows = split_rows(rows, params)

    @classmethod
    def folds(cls, params: Esc50Params) -> Sequence[int]:
        """The folds of the table but the test fold."""
        rows = checked_rows(Path(params.root).expanduser(), params.subset)
        return sorted({row.fold for row in rows} - {params.test_fold})

    @property
    def splits(self) -> Sequence[str]:
        """`train`, `valid`, and `test` where a test fold was asked for."""
        return tuple(self._rows)

    def clips(self, split: str) -> Sequence[Clip]:
        """The clips of one split in the order of the table; a clip's id is its file's name without the ending."""
        if split not in self._rows:
            raise UserError(f"esc50 has no split {split!r}", f"splits: {', '.join(self._rows)}")
        audio = self.root / "audio"
        return tuple(Clip(row.id, audio / row.filename, (row.category,)) for row in self._rows[split])


def again(override: str) -> str:
    """The next command: the same one with something else set."""
    return f"the same command with {override}"


def check_params(params: Esc50Params) -> None:
    """Raise `UserError` for a fold or a subset that does not exist."""
    if params.valid_fold not in FOLDS:
        raise UserError(
            f"data.params.valid_fold is {params.valid_fold!r}", "allowed: 1 to 5", again("data.params.valid_fold=1")
        )
    if params.test_fold not in (0, *FOLDS):
        right = "allowed: 1 to 5, or 0 for no test split"
        raise UserError(f"data.params.test_fold is {params.test_fold!r}", right, again("data.params.test_fold=0"))
    if params.test_fold == params.valid_fold:
        wrong = f"data.params.test_fold is {params.test_fold!r}, and so is data.params.valid_fold"
        other = params.valid_fold % len(FOLDS) + 1
        raise UserError(wrong, "allowed: another fold of 1 to 5, or 0", again(f"data.params.test_fold={other}"))
    if params.subset not in SUBSETS:
        right = f"allowed: {', '.join(SUBSETS)}"
        raise UserError(f"data.params.subset is {params.subset!r}", right, again("data.params.subset=esc50"))


def checked_rows(root: Path, subset: str) -> Sequence[Row]:
    """The rows of the subset; raises `UserError` where table, sounds or labels are not as they should be."""
    try:
        rows = read_table(table_path(root), esc10_only=subset == "esc10")
        check_files(root / "audio", rows)
    except OSError as error:
        raise UserError(f"cannot read {error.filename}: {error.strerror}", "data.params.root is read whole") from error
    check_labels(rows)
    return rows


def table_path(root: Path) -> Path:
    """Where the table is; raises `UserError` where the root, the table or the folder of sounds is missing."""
    table = root / "meta" / "esc50.csv"
    right = "it is the folder that holds meta/esc50.csv and audio/; download: https://github.com/karolpiczak/ESC-50"
    if not root.is_dir():
        raise UserError(
            f"data.params.root is {str(root)!r}, which is not a folder", right, again("data.params.root=FOLDER")
        )
    for path, found in ((table, table.is_file()), (root / "audio", (root / "audio").is_dir())):
        if not found:
            wrong = f"data.params.root is {str(root)!r}, which has no {path.relative_to(root)}"
            raise UserError(wrong, right, again("data.params.root=FOLDER"))
    return table


def check_labels(rows: Sequence[Row]) -> None:
    """Raise `UserError` where a class number has two names, or a name two numbers."""
    names: dict[int, str] = {}
    numbers: dict[str, int] = {}
    for row in rows:
        name, number = names.setdefault(row.target, row.category), numbers.setdefault(row.category, row.target)
        if (name, number) != (row.category, row.target):
            wrong = f"{row.place}: target {row.target} is {row.category!r}, but another row says "
            wrong += f"{name!r}" if name != row.category else f"that {row.category!r} is {number}"
            raise UserError(wrong, "each target bears one category, and each category one target")


def check_files(audio: Path, rows: Sequence[Row]) -> None:
    """Raise `UserError` where files that the table names are not in `audio`; one listing, no file is opened."""
    present = {path.name for path in audio.iterdir()}
    missing = [row.filename for row in rows if row.filename not in present]
    if missing:
        some = ", ".join(missing[:SHOWN]) + (", ..." if len(missing) > SHOWN else "")
        wrong = f"{len(missing)} of {len(rows)} files of the table are not in {audio}: {some}"
        raise UserError(
            wrong, "all files of the download, with the names that the table gives them", f"ls {audio} | wc -l"
        )


def split_rows(rows: Sequence[Row], params: Esc50Params) -> dict[str, list[Row]]:
    """The rows of each split; raises `UserError` where one would be empty."""
    held_out = {"valid": params.valid_fold} | ({"test": params.test_fold} if params.test_fold else {})
    splits = {"train": [row for row in rows if row.fold not in held_out.values()]}
    splits |= {split: [row for row in rows if row.fold == fold] for split, fold in held_out.items()}
    for split, found in splits.items():
        if not found:
            key = f"data.params.{split}_fold is {held_out[split]}, and" if split in held_out else "with these folds"
            folds = ", ".join(str(fold) for fold in sorted({row.fold for row in rows}))
            raise UserError(f"{key} no clip is left for {split!r}", f"folds in the table: {folds}")
    return splits
