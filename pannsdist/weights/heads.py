"""Matching of the classification head of a weight file with that of a network."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from pannsdist.weights.formats.arrays import Array
from pannsdist.weights.layouts import FOREIGN_HEADS

KEPT = "kept"
Shape = tuple[int, ...]


@dataclass(frozen=True)
class HeadMatch:
    """Weights after matching the head: `state` to load, keys that stay randomly initialised, and dropped keys."""

    state: dict[str, Array] = field(repr=False)
    head: str
    fresh: frozenset[str] = frozenset()
    dropped: tuple[str, ...] = ()


def match_head(state: Mapping[str, Array], shapes: Mapping[str, Shape], head: str) -> HeadMatch:
    """Match the head; `shapes` are those of the network by structured name, and `head` is the name of its head.

    The head of a wrapper network (`fc`, `fc_transfer`) replaces the inner head, which was not trained with it. A head
    that differs only in the number of classes, or is missing in the file, stays randomly initialised; any other
    difference stays in `state`, where shape checks will report it.
    """
    named, dropped, original_name = with_own_head(state, shapes, head)
    own_shapes = {key: shape for key, shape in shapes.items() if inside(key, head)}
    if (answers := as_frame_head(named, own_shapes, head)) is not None:
        return replace(answers, dropped=dropped + answers.dropped)
    file_shapes = {key: value.shape for key, value in named.items() if inside(key, head)}
    if not file_shapes:
        return HeadMatch(named, f"remade (none -> {classes(own_shapes)} classes)", frozenset(own_shapes), dropped)
    change = changed_classes(file_shapes, own_shapes)
    if change is None:
        return HeadMatch(named, KEPT, dropped=dropped)
    rest = {key: value for key, value in named.items() if key not in file_shapes}
    unused = tuple(original_name + key[len(head) :] for key in file_shapes)
    return HeadMatch(rest, f"remade ({change[0]} -> {change[1]} classes)", frozenset(own_shapes), dropped + unused)


def as_frame_head(state: Mapping[str, Array], own_shapes: Mapping[str, Shape], head: str) -> HeadMatch | None:
    """The head of a network that answers by clip, for a `FrameHead`; None where either is no such head.

    A linear layer of as many classes becomes that of the frames, as the mean of what it gives of frames is what it
    gives of the clip. Everything else of the head stays randomly initialised.
    """
    file_keys = [key for key in state if inside(key, head)]
    frames = {f"{head}.{key}": f"{head}.frames.{key}" for key in ("weight", "bias")}
    if not set(frames.values()) <= own_shapes.keys() or not file_keys or file_keys[0] in own_shapes:
        return None
    rest = {key: value for key, value in state.items() if key not in file_keys}
    if set(file_keys) == set(frames) and all(state[key].shape == own_shapes[own] for key, own in frames.items()):
        moved = {own: state[key] for key, own in frames.items()}
        fresh = frozenset(own_shapes) - moved.keys()
        return HeadMatch({**rest, **moved}, f"{KEPT} for frames" + (", attention new" if fresh else ""), fresh)
    text = f"new: of {classes(own_shapes)} classes by frame"
    return HeadMatch(rest, text, frozenset(own_shapes), tuple(file_keys))


def with_own_head(
    state: Mapping[str, Array], shapes: Mapping[str, Shape], head: str
) -> tuple[dict[str, Array], tuple[str, ...], str]:
    """Weights with a wrapper's head renamed to the network's; names replaced by it; its original name."""
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
    """The class axis: the last of a bias or Linear weight (in, out), the first of a convolution weight."""
    return len(shape) - 1 if len(shape) <= 2 else 0


def classes(shapes: Mapping[str, Shape]) -> int:
    """Number of classes of a head: size of its last tensor along the class axis."""
    shape = list(shapes.values())[-1]
    return shape[class_axis(shape)] if shape else 0


def changed_classes(file_shapes: Mapping[str, Shape], own_shapes: Mapping[str, Shape]) -> tuple[int, int] | None:
    """(old, new) class counts of heads that differ in nothing else; None if equal or otherwise different."""
    file_axes = {key: len(shape) for key, shape in file_shapes.items()}
    if file_axes != {key: len(shape) for key, shape in own_shapes.items()}:
        return None
    changes: set[tuple[int, int]] = set()
    for key, shape in file_shapes.items():
        differing = [axis for axis, size in enumerate(shape) if size != own_shapes[key][axis]]
        if any(axis != class_axis(shape) for axis in differing):
            return None
        changes.update((shape[axis], own_shapes[key][axis]) for axis in differing)
    return changes.pop() if len(changes) == 1 else None
