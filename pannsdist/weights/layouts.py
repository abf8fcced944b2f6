"""Key layouts of published weight files, and their reduction to bare names."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from pannsdist.weights.formats.arrays import Array

FRONT_END = ("spectrogram_extractor.", "logmel_extractor.")
"""Prefixes of the STFT and mel matrices in PANNs' PyTorch files."""
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


def bare(state: Mapping[str, Array]) -> tuple[dict[str, Array], str]:
    """The weights under bare names, and a description of their layout.

    The head of a wrapper keeps its name (`fc_transfer.*`, `fc.*`), in addition to a head of the inner PANNs.
    """
    inner, is_parallel = dict(state), all(key.startswith("module.") for key in state)
    if is_parallel:
        inner = {key.removeprefix("module."): value for key, value in state.items()}
    for wrapper in WRAPPERS:
        if is_wrapped(inner, wrapper):
            inner, description = unwrapped(inner, wrapper), wrapper.description
            break
    else:
        description = "original PANNs" if any(key.startswith(FRONT_END) for key in inner) else "bare keys"
    return inner, description + (", module.-prefixed" if is_parallel else "")


def is_wrapped(state: Mapping[str, Array], wrapper: Wrapper) -> bool:
    """Whether every key belongs to the wrapper or its head, and the bare names are unique."""
    inside = [key for key in state if key.startswith(wrapper.prefix)]
    all_known = all(key.startswith((wrapper.prefix, wrapper.head + ".")) for key in state)
    return bool(inside) and all_known and len(unwrapped(state, wrapper)) == len(state)


def unwrapped(state: Mapping[str, Array], wrapper: Wrapper) -> dict[str, Array]:
    """The state without the prefix of the wrapper."""
    return {key.removeprefix(wrapper.prefix): value for key, value in state.items()}
