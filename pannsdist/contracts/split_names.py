"""For dataset plugins that read splits from a table or from folders: the names that stand for a split.

`train` and `training`; `valid`, `validation`, `val` and `dev`; `test` and `testing`; in upper or lower case. Names that
mean one split in some corpora and another one in others are refused: `eval` and `evaluation` are the clips that choose
the best epoch or those of the final test, `development` is what is trained on or what is validated on.
"""

from __future__ import annotations

__all__ = ["SPLITS", "how_to_name", "is_unclear", "split_named"]

SPLITS = ("train", "valid", "test")
OTHER_NAMES = {"training": "train", "validation": "valid", "val": "valid", "dev": "valid", "testing": "test"}
UNCLEAR = ("eval", "evaluation", "development", "devel")


def split_named(name: str) -> str:
    """The split that a name stands for; empty for a name that stands for none, or may stand for several."""
    lower = name.strip().lower()
    return lower if lower in SPLITS else OTHER_NAMES.get(lower, "")


def is_unclear(name: str) -> bool:
    """Whether a name stands for one split here and for another one there."""
    return name.strip().lower() in UNCLEAR


def how_to_name(name: str) -> str:
    """What is right in place of a name that `split_named` does not know."""
    others = ", ".join(f"{other} for {split}" for other, split in OTHER_NAMES.items())
    known = f"splits: {', '.join(SPLITS)}; also read: {others}"
    if not is_unclear(name):
        return known
    meanings = (
        "train for clips to learn from, valid for those that choose the best epoch, test for those scored at the end"
    )
    return f"{name!r} may mean several: call it {meanings}\n{known}"
