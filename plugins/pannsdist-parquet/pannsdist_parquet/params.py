"""The settings of the dataset `parquet`."""

from __future__ import annotations

from dataclasses import dataclass, field

from pannsdist.contracts import UserError, param
from pannsdist.contracts.drawn_splits import check_drawn_params
from pannsdist.contracts.split_names import SPLITS

__all__ = ["ROLES", "ParquetParams", "check"]

ROLES = ("audio", "label", "id", "split", "fold", "start", "duration")
COLUMNS_DOC = f"which column is {', '.join(ROLES[:-1])} or {ROLES[-1]}, as {{label: category}}"
SPLITS_DOC = "what the splits are called, where it is not clear, as {train: clean100+clean360, valid: clean}"
NAMES_DOC = "class names of a column of integers, in order; by itself those of the features"


@dataclass(frozen=True)
class ParquetParams:
    """`root` is relative to the working directory, unless it is a URL."""

    root: str = param(doc="a folder of .parquet files or of save_to_disk, one file, or a URL with .parquet files")
    config: str = param("", "the subset, where the folder has several")
    columns: dict[str, str] = field(default_factory=dict, metadata={"doc": COLUMNS_DOC})
    splits: dict[str, str] = field(default_factory=dict, metadata={"doc": SPLITS_DOC})
    names: list[str] = field(default_factory=list, metadata={"doc": NAMES_DOC})
    ids: str = param(
        "path", "without a column id: path in the column audio, or row of the file", choices=("path", "row")
    )
    valid_fold: int = param(0, "fold of the valid split; 0: use the splits, or valid_fraction")
    folds: int = param(0, "number of folds to draw, without a column fold; 0: none")
    valid_fraction: float = param(0.0, "fraction of each class for validation, where no split is called so")
    test_fraction: float = param(0.0, "fraction of each class for testing, where no split is called so")
    group: str = param("", "column whose values are never split")
    seed: int = param(0, "seed of the drawn splits and folds")


def check(params: ParquetParams) -> None:
    """Raise UserError for params that contradict each other or name what there is not."""
    check_drawn_params(params)
    for key, allowed in (("columns", ROLES), ("splits", SPLITS)):
        for name in getattr(params, key):
            if name not in allowed:
                right = f"it maps {', '.join(allowed)} to names in the tables"
                raise UserError(f"data.params.{key} has {name!r}", right)
    if params.ids not in ("path", "row"):
        raise UserError(f"data.params.ids is {params.ids!r}", "allowed: path, row")
    if len(set(params.names)) < len(params.names) or not all(params.names):
        raise UserError("data.params.names has a name twice, or an empty one", "one name for each class, in order")
