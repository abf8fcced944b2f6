"""Key layouts of published weight files, and their reduction to bare names."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

from pannsdist.weights.formats.arrays import Array

FRONT_END = ("spectrogram_extractor.", "logmel_extractor.")
"""Prefixes of the STFT and mel matrices in PANNs' PyTorch files."""
MAX_PREFIX_PARTS = 6
FOREIGN_HEADS = ("fc_transfer", "fc")
"""Heads of fine-tuned networks around a PANNs: the authors' transfer template, PaddleHub and PaddleSpeech."""


@dataclass(frozen=True)
class Wrapper:
    """A network around a PANNs: prefix of the inner keys, its own head, and a description for messages."""

    prefix: str
    head: str
    description: str


WRAPPERS = (
    Wrapper("base.", "fc_transfer", "transfer template (base.*, head fc_transfer)"),
    Wrapper("cnn14.", "fc", "PaddleHub fine-tuned (cnn14.*, head fc)"),
    Wrapper("cnn10.", "fc", "PaddleHub fine-tuned (cnn10.*, head fc)"),
    Wrapper("cnn6.", "fc", "PaddleHub fine-tuned (cnn6.*, head fc)"),
    Wrapper("backbone.", "fc", "PaddleSpeech fine-tuned (backbone.*, head fc)"),
)


TECHNICAL = ("module.", "_orig_mod.")
"""Prefixes that data parallelism and compilation add to every name; no sub-layer is called so."""


def bare(state: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
    """The weights under bare names, and a description of their layout.

    A prefix of all names is removed if it is technical, or if a known layout stands behind it. In an unknown layout
    only a network tells a prefix from a sub-layer: `loading.below_prefix`. The head of a wrapper keeps its name
    (`fc_transfer.*`, `fc.*`), in addition to a head of the inner PANNs.
    """
    for prefix in common_prefixes(state):
        inner = without_prefix(state, prefix)
        wrapper = next((known for known in WRAPPERS if is_wrapped(inner, known)), None)
        if wrapper is not None:
            return unwrapped(inner, wrapper), wrapper.description + prefixed(prefix)
        if any(key.startswith(FRONT_END) for key in inner):
            return inner, "original PANNs" + prefixed(prefix)
    technical = [prefix for prefix in common_prefixes(state) if prefix.endswith(TECHNICAL)]
    prefix = technical[-1] if technical else ""
    return without_prefix(state, prefix), "bare keys" + prefixed(prefix)


def common_prefixes(names: Iterable[str]) -> list[str]:
    """The prefixes under which all names stand, from the empty one to the longest, such as `model.net.`."""
    found, rest = [""], list(names)
    while rest:
        first = rest[0].partition(".")[0] + "."
        if not all(name.startswith(first) for name in rest):
            break
        found.append(found[-1] + first)
        rest = [name.removeprefix(first) for name in rest]
    return found


def without_prefix(state: Mapping[str, Array], prefix: str) -> dict[str, Array]:
    """The weights below a prefix, without it."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}


def prefixed(prefix: str) -> str:
    """How a removed prefix is named in the description of a layout."""
    return f", {prefix}-prefixed" if prefix else ""


def prefix_of_network(names: Iterable[str], own: Collection[str]) -> str:
    """The prefix below which most of a network's names stand in a file, such as Lightning's `model.net.`.

    Empty unless more than half of them stand there: then the file is of another network, under its own names.
    """
    votes: Counter[str] = Counter()
    for name in names:
        parts = name.split(".")
        votes.update(
            ".".join(parts[:depth]) + "." * bool(depth)
            for depth in range(min(len(parts), MAX_PREFIX_PARTS + 1))
            if ".".join(parts[depth:]) in own
        )
    best = max(votes, key=lambda prefix: (votes[prefix], -len(prefix)), default="")
    return best if 2 * votes[best] > len(own) else ""


def is_wrapped(state: Mapping[str, Array], wrapper: Wrapper) -> bool:
    """Whether every key belongs to the wrapper or its head, and the bare names are unique."""
    inside = [key for key in state if key.startswith(wrapper.prefix)]
    all_known = all(key.startswith((wrapper.prefix, wrapper.head + ".")) for key in state)
    return bool(inside) and all_known and len(unwrapped(state, wrapper)) == len(state)


def unwrapped(state: Mapping[str, Array], wrapper: Wrapper) -> dict[str, Array]:
    """The state without the prefix of the wrapper."""
    return {key.removeprefix(wrapper.prefix): value for key, value in state.items()}
