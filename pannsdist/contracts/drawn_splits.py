"""For dataset plugins without official splits: folds and held-out fractions, drawn by class and by group.

A plugin has the settings of `DrawnParams` among its `Params`, and calls `draw_splits` with its clips and their groups.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fractions import Fraction
from itertools import compress
from typing import Protocol

import numpy as np

from pannsdist.contracts.clip_lists import ids_of, is_labelled_of, joined, labels_of, taken
from pannsdist.contracts.records import Clip
from pannsdist.contracts.stratification import UNLABELLED, Unit, stratified, units_of
from pannsdist.runtime.errors import UserError

__all__ = ["DrawnParams", "check_drawn_params", "draw_splits", "drawn_folds", "refuse_leaked_groups"]

SHOWN = 5


class DrawnParams(Protocol):
    """The settings of drawn splits: `folds` 0 for none, the fold that is `valid` from 1 on, and the held-out fractions.

    `valid_fold` 0 holds out `valid_fraction` instead of a fold; `test_fraction` is held out first. Clips of one `group`
    stay in one split; empty: each clip for itself.
    """

    @property
    def folds(self) -> int:
        """Number of folds to draw; 0: none."""
        ...

    @property
    def valid_fold(self) -> int:
        """The fold that is `valid`, from 1; 0: `valid_fraction`."""
        ...

    @property
    def valid_fraction(self) -> float:
        """Fraction of the clips for `valid`."""
        ...

    @property
    def test_fraction(self) -> float:
        """Fraction of the clips for `test`."""
        ...

    @property
    def group(self) -> str:
        """What names the group of a clip; empty: nothing does."""
        ...

    @property
    def seed(self) -> int:
        """Seed of the draw."""
        ...


def drawn_folds(params: DrawnParams) -> tuple[int, ...]:
    """The folds for `FoldedDatasetPlugin.folds`: 1 to `folds`, or none."""
    return tuple(range(1, params.folds + 1))


def check_drawn_params(params: DrawnParams) -> None:
    """Raise UserError for a number of folds, a fold or fractions that are not possible."""
    if params.folds < 0 or params.folds == 1:
        right = "allowed: 0 for no folds, or 2 and more; data.params.folds=5 is usual"
        raise UserError(f"data.params.folds is {params.folds}", right)
    if params.folds and not 0 <= params.valid_fold <= params.folds:
        right = (
            f"data.params.folds is {params.folds}: allowed are 1 to {params.folds}, or 0 for data.params.valid_fraction"
        )
        raise UserError(f"data.params.valid_fold is {params.valid_fold}", right)
    for key in ("valid_fraction", "test_fraction"):
        if not 0.0 <= getattr(params, key) < 1.0:
            right = "allowed: 0 to 1, without 1; 0.2 holds out a fifth of every class"
            raise UserError(f"data.params.{key} is {getattr(params, key)}", right)
    if params.valid_fraction + params.test_fraction >= 1.0:
        both = (
            f"data.params.valid_fraction is {params.valid_fraction}, data.params.test_fraction {params.test_fraction}"
        )
        raise UserError(f"{both}: together they leave nothing to train on", "their sum is below 1")


def draw_splits(
    clips: Sequence[Clip], groups: Mapping[str, str], params: DrawnParams, test: Sequence[Clip] = ()
) -> dict[str, Sequence[Clip]]:
    """The non-empty splits of `clips`, in their order, in columns if those are.

    `groups` has the group of each clip by its id.

    First `test_fraction` is drawn, unless a `test` split is given, then the folds or `valid_fraction` from the rest,
    stratified by label (`contracts.stratification`). It depends on ids, labels, groups and the seed only, not on the
    order of the clips, and `test` is the same for every `valid_fold`. Where fractions are drawn, every label keeps at
    least one group in `train`. Clips that are not labelled are not drawn: they are in `train`, or where labelled clips
    of their group are. Raises UserError for more folds than groups, a label in one group only, a fraction that
    holds out nothing, and a group that the given test split has too.
    """
    own_groups = [groups[name] for name in ids_of(clips)]
    units = units_of(*_labelled(clips, own_groups))
    held_out = _held_out(units, "test_fraction", Fraction(str(params.test_fraction)), params)
    rest = {name: unit for name, unit in units.items() if name not in held_out}
    if params.valid_fold:
        valid = {name for name, fold in _folds(rest, params).items() if fold == params.valid_fold - 1}
    else:
        left = 1 - Fraction(str(params.test_fraction))
        valid = _held_out(rest, "valid_fraction", Fraction(str(params.valid_fraction)) / left, params)
    part_of = {name: "test" if name in held_out else "valid" if name in valid else "train" for name in units}
    parts = np.array([part_of.get(group, "train") for group in own_groups], object)
    splits = {name: taken(clips, np.flatnonzero(parts == name)) for name in ("train", "valid", "test")}
    if test:
        splits["test"] = joined(splits["test"], test) if splits["test"] else test
    if params.group:
        refuse_leaked_groups(splits, groups)
    return {name: own for name, own in splits.items() if own}


def refuse_leaked_groups(clips: Mapping[str, Sequence[Clip]], groups: Mapping[str, str]) -> None:
    """Raise UserError for a group, given by the id of each clip, that is in two of the splits."""
    known: dict[str, tuple[str, str]] = {}
    for split, own in clips.items():
        for clip_id in ids_of(own):
            first, name = known.setdefault(groups[clip_id], (split, clip_id))
            if first != split:
                wrong = f"group {groups[clip_id]!r} (data.params.group) is in {first} and in {split}: "
                right = "scores of a group that was trained on do not measure generalization: move one of the two\n"
                right += "or draw the splits: data.params.folds=5"
                raise UserError(f"{wrong}{name!r} and {clip_id!r}", right)


def _labelled(clips: Sequence[Clip], groups: Sequence[str]) -> tuple[Iterable[Sequence[str]], Iterable[str]]:
    """The labels and the groups of the labelled clips."""
    labels, is_labelled = labels_of(clips), is_labelled_of(clips)
    if is_labelled.all():
        return labels, groups
    return compress(labels, is_labelled), compress(groups, is_labelled)


def _held_out(units: Mapping[str, Unit], key: str, fraction: Fraction, params: DrawnParams) -> set[str]:
    """The units of a held-out fraction of the clips."""
    if not fraction:
        return set()
    weights = (fraction.numerator, fraction.denominator - fraction.numerator)
    held_out = {name for name, part in stratified(units, weights, params.seed, keep=1).items() if part == 0}
    if not held_out:
        what = "groups" if params.group else "clips"
        wrong = f"data.params.{key} is {getattr(params, key)}, but no class has two {what}, so none can be held out"
        raise UserError(wrong, f"add {what} to a class")
    return held_out


def _folds(units: Mapping[str, Unit], params: DrawnParams) -> dict[str, int]:
    """The fold of each unit, from 0."""
    what = "groups" if params.group else "clips"
    if len(units) < params.folds:
        named = ", ".join(list(units)[:SHOWN]) + (", ..." if len(units) > SHOWN else "")
        wrong = f"data.params.folds is {params.folds}, but there are only {len(units)} {what} to divide: {named}"
        raise UserError(wrong, f"at most data.params.folds={len(units)}" if len(units) > 1 else f"at least two {what}")
    folds = stratified(units, (1,) * params.folds, params.seed)
    found: dict[str, list[str]] = {}
    for name, unit in units.items():
        for label in unit.labels:
            found.setdefault(label, []).append(name)
    for label, names in sorted(found.items()):
        if label != UNLABELLED and len({folds[name] for name in names}) == 1:
            raise _class_in_one_fold(label, names, params)
    return folds


def _class_in_one_fold(label: str, names: Sequence[str], params: DrawnParams) -> UserError:
    """A class with nothing to train on in the fold where all of it is `valid`."""
    what, own = ("group", f"of group {names[0]!r} only") if params.group else ("clip", "a single one")
    if len(names) == 1:
        wrong = f"the clips of class {label!r} are {own}: in its fold there would be none to train on"
        return UserError(
            wrong, f"every class needs at least two {what}s, better {params.folds}; or leave the class out"
        )
    wrong = f"all {len(names)} {what}s of class {label!r} came into one fold with data.params.seed={params.seed}"
    return UserError(wrong, f"another seed, such as data.params.seed={params.seed + 1}, or fewer folds")
