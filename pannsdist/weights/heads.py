"""What becomes of a file's head in a network with classes of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.layouts import FOREIGN_HEADS

KEPT = "kept"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class Settled:
    """Weights with the head decided: what to load, which of the network's own stay fresh, and which are not used."""

    state: dict[str, Array] = field(repr=False)
    outcome: str
    fresh: frozenset[str] = frozenset()
    dropped: tuple[str, ...] = ()


def settle_head(state: Mapping[str, Array], shapes: Mapping[str, Shape], head: str) -> Settled:
    """Decide about the head; `shapes` are the network's, by structured name, and `head` the name of its head.

    The head of a wrapping (`fc`, `fc_transfer`) takes the place of the one inside, which was not trained with it. A
    head that differs only in the number of classes, or is not in the file at all, leaves the network's own; one that
    differs in any other way stays in `state`, where it will be found not to fit.
    """
    named, dropped, found_as = with_own_head(state, shapes, head)
    ours = {key: shape for key, shape in shapes.items() if inside(key, head)}
    theirs = {key: value.shape for key, value in named.items() if inside(key, head)}
    if not theirs:
        return Settled(named, f"remade (none -> {classes(ours)} classes)", frozenset(ours), dropped)
    change = change_of_classes(theirs, ours)
    if change is None:
        return Settled(named, KEPT, dropped=dropped)
    rest = {key: value for key, value in named.items() if key not in theirs}
    unused = tuple(found_as + key[len(head) :] for key in theirs)
    return Settled(rest, f"remade ({change[0]} -> {change[1]} classes)", frozenset(ours), dropped + unused)


def with_own_head(
    state: Mapping[str, Array], shapes: Mapping[str, Shape], head: str
) -> tuple[dict[str, Array], tuple[str, ...], str]:
    """The weights with a wrapping's head under the network's name; names that gave way; what the head was called."""
    for foreign in FOREIGN_HEADS:
        is_ours = foreign == head or any(inside(key, foreign) for key in shapes)
        if is_ours or f"{foreign}.weight" not in state:
            continue
        moved = {head + key[len(foreign) :]: value for key, value in state.items() if inside(key, foreign)}
        rest = {key: value for key, value in state.items() if not inside(key, foreign) and not inside(key, head)}
        return {**rest, **moved}, tuple(key for key in state if inside(key, head)), foreign
    return dict(state), (), head


def inside(key: str, head: str) -> bool:
    """Whether a key belongs to a sub-layer."""
    return key.startswith(head + ".")


def class_axis(shape: Shape) -> int:
    """The axis that counts classes: the last of a bias or of Linear's (in, out), the first of a convolution's."""
    return len(shape) - 1 if len(shape) <= 2 else 0


def classes(shapes: Mapping[str, Shape]) -> int:
    """The number of classes of a head: the size of the last of its tensors along the axis of classes."""
    shape = list(shapes.values())[-1]
    return shape[class_axis(shape)] if shape else 0


def change_of_classes(theirs: Mapping[str, Shape], ours: Mapping[str, Shape]) -> tuple[int, int] | None:
    """Classes of two heads that are alike but for their number; None where they are equal, or differ in more."""
    if {key: len(shape) for key, shape in theirs.items()} != {key: len(shape) for key, shape in ours.items()}:
        return None
    changes: set[tuple[int, int]] = set()
    for key, shape in theirs.items():
        differing = [axis for axis, size in enumerate(shape) if size != ours[key][axis]]
        if any(axis != class_axis(shape) for axis in differing):
            return None
        changes.update((shape[axis], ours[key][axis]) for axis in differing)
    return changes.pop() if len(changes) == 1 else None
